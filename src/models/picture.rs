//! Turns an uploaded file into a picture that is safe to keep and to show, or says why not.
//!
//! What comes in is never what goes out: every picture is decoded, shrunk, converted to sRGB and encoded anew, so that
//! neither metadata (EXIF with the place where it was taken) nor anything hidden in or behind the picture survives (OWASP
//! File Upload, "content disarm and reconstruct"; ASVS V5). Before any decoder runs, a walk over the parts of the file,
//! which costs next to nothing, estimates how much memory and time it takes, and finds what is cut off.

mod color;
mod gif;
mod jpeg;
mod png;
mod still;
#[cfg(test)]
mod tests;
mod webp;

use std::io::{self, BufRead, Seek};

use fast_image_resize::ResizeError;
use image::{ImageError, ImageFormat, Limits};

/// The longest side of a picture that is kept, in pixels.
pub const MAX_SIDE: u32 = 400;

/// How many pixels a still picture may have: as many as the sensors of phones.
pub const MAX_PIXELS: u64 = 200_000_000;

/// How many pixels all frames of an animation may have together: each frame is decoded, shrunk and encoded again.
pub const MAX_ANIMATION_PIXELS: u64 = 40_000_000;

/// How many frames an animation may have.
pub const MAX_FRAMES: u32 = 100;

/// What decoding one upload may take, in bytes. A JPEG is decoded at a fraction of its size, so only a progressive one,
/// whose coefficients are all kept, comes near: at 20 million pixels without chroma subsampling, 40 million with it. A PNG
/// with 8 bits and transparency reaches it at 32 million pixels, a GIF at 10 in one frame.
pub const MAX_MEMORY: u64 = 130_000_000;

/// The longest side of an upload, in pixels: that of JPEG and GIF, which only a PNG can exceed. For each pixel of a side,
/// shrinking takes some 40 bytes.
const MAX_UPLOAD_SIDE: u32 = 65_535;

/// What a picture is kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Photos.
    Jpeg,
    /// Drawings, with transparency. An animated one becomes its still image.
    Png,
    /// Animations, with transparency.
    Gif,
}

impl Format {
    /// For the `Content-Type` header.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
        }
    }

    /// For the end of a file name or a key, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Gif => "gif",
        }
    }

    /// Reads it back from a key that ends in [`Format::extension`].
    pub fn of_key(key: &str) -> Self {
        match key.rsplit('.').next() {
            Some("jpg") => Self::Jpeg,
            Some("gif") => Self::Gif,
            _ => Self::Png,
        }
    }
}

/// A picture as it is kept: made by us, at most [`MAX_SIDE`] on each side, in sRGB, without metadata.
#[derive(Debug)]
pub struct Picture {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// What it is: the same as the upload was, and for WebP a PNG if it is transparent, else a JPEG.
    pub format: Format,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// Why an upload is not taken. As text, it follows the word "Picture" in a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Whatever its name says, it does not start like one of ours.
    #[error("is not a JPEG, PNG, GIF or WebP image")]
    NotAPicture,
    /// What iPhones and some other phones take, and browsers do not show.
    #[error(
        "is in the HEIC format, which most browsers cannot show. Please save or share it as JPEG and choose that file. \
         (On an iPhone, Settings > Camera > Formats > Most Compatible takes new photos as JPEG)"
    )]
    Heic,
    /// Browsers show it; nothing here decodes it.
    #[error(
        "is in the AVIF format, which cannot be read here. Please save or share it as JPEG and choose that file"
    )]
    Avif,
    /// It starts like one, but does not decode to the end (or the file could not be read).
    #[error("is broken or cut off")]
    Broken,
    /// More than [`MAX_PIXELS`] or [`MAX_ANIMATION_PIXELS`].
    #[error(
        "has too many pixels (at most {} million, or {} million in all frames of an animation together)",
        MAX_PIXELS / 1_000_000, MAX_ANIMATION_PIXELS / 1_000_000
    )]
    TooManyPixels,
    /// More than [`MAX_FRAMES`].
    #[error("has too many frames (at most {})", MAX_FRAMES)]
    TooManyFrames,
    /// Not too many pixels, yet decoding them would take too much memory or time.
    #[error("takes too much work to read (try a smaller one)")]
    TooHeavy,
}

impl From<io::Error> for Refusal {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Limits(_) => Self::TooHeavy,
            _ => Self::Broken,
        }
    }
}

// For pixels of a kind that it does not know; the decoders give none of those.
impl From<ResizeError> for Refusal {
    fn from(_: ResizeError) -> Self {
        Self::Broken
    }
}

/// A file whose parts have been walked over.
enum Outline {
    Jpeg(jpeg::Outline),
    Png(png::Outline),
    Gif(gif::Outline),
    WebP(webp::Outline),
}

/// How many bytes [`read`] will take for this upload, the file itself included; at most [`MAX_MEMORY`] and the file.
/// Reads the file, but decodes nothing.
///
/// # Errors
/// Why the file is not taken, as far as that is known without decoding it.
pub fn memory(file: impl BufRead + Seek) -> Result<u64, Refusal> {
    let bytes = load(file)?;
    let decoding = match outline(&bytes)? {
        Outline::Jpeg(jpeg) => jpeg.memory,
        Outline::Png(png) => png.memory,
        Outline::Gif(gif) => gif.memory,
        Outline::WebP(webp) => webp.memory,
    };
    Ok(decoding + bytes.len() as u64)
}

/// Reads an upload from its start and makes the picture that is kept: turned upright, fitted into [`MAX_SIDE`] x
/// [`MAX_SIDE`] with its proportions, never enlarged, in sRGB. An animated GIF keeps its delays and its loop; of other
/// animations the first frame is kept.
///
/// Takes up to [`MAX_MEMORY`] and some seconds: call it on a blocking thread, few at a time. The caller limits the size of
/// the file.
///
/// # Errors
/// Why the file is not taken.
pub fn read(file: impl BufRead + Seek) -> Result<Picture, Refusal> {
    let bytes = load(file)?;
    match outline(&bytes)? {
        Outline::Jpeg(outline) => jpeg::read(bytes, &outline)?.encode(),
        Outline::Png(outline) => png::read(&bytes, &outline)?.encode(),
        Outline::Gif(outline) => gif::read(&outline),
        Outline::WebP(_) => webp::read(&bytes)?.encode(),
    }
}

fn load(mut file: impl BufRead + Seek) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn outline(bytes: &[u8]) -> Result<Outline, Refusal> {
    let outline = match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => Outline::Jpeg(jpeg::Outline::read(bytes)?),
        Ok(ImageFormat::Png) => Outline::Png(png::Outline::read(bytes)?),
        Ok(ImageFormat::Gif) => Outline::Gif(gif::Outline::read(bytes)?),
        Ok(ImageFormat::WebP) => Outline::WebP(webp::Outline::read(bytes)?),
        _ => return Err(unknown(bytes)),
    };
    Ok(outline)
}

/// HEIC and AVIF are boxes of ISO 14496-12: the first is `ftyp`, with the name of the format as its brand.
fn unknown(bytes: &[u8]) -> Refusal {
    match (bytes.get(4..8), bytes.get(8..12)) {
        (Some(b"ftyp"), Some(b"avif" | b"avis")) => Refusal::Avif,
        (
            Some(b"ftyp"),
            Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1"),
        ) => Refusal::Heic,
        _ => Refusal::NotAPicture,
    }
}

/// Refuses what has no pixels, too many, or takes too much memory.
fn check(pixels: u64, most: u64, memory: u64) -> Result<(), Refusal> {
    match pixels {
        0 => Err(Refusal::Broken),
        _ if pixels > most => Err(Refusal::TooManyPixels),
        _ if memory > MAX_MEMORY => Err(Refusal::TooHeavy),
        _ => Ok(()),
    }
}

fn limits(bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bytes);
    limits
}

/// The next `N` bytes.
fn next_bytes<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Refusal> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(Refusal::Broken)?;
    *bytes = rest;
    Ok(*taken)
}

/// The next so many bytes.
fn next_slice<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Refusal> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(Refusal::Broken)?;
    *bytes = rest;
    Ok(taken)
}
