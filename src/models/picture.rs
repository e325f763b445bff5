//! Turns an uploaded file into a picture that is safe to store and to show, or returns why it cannot.
//!
//! Uploaded bytes are never served. Every picture is decoded, shrunk, converted to sRGB and encoded again, so neither
//! metadata (EXIF with the location) nor anything hidden in or after the picture survives (OWASP File Upload, "content
//! disarm and reconstruct"; ASVS V5). Before decoding, a cheap walk over the file's structure estimates the memory and
//! time needed and detects truncated files.

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

/// Longest side of a stored picture, in pixels.
pub const MAX_SIDE: u32 = 400;

/// Limit for a still picture: as many pixels as phone sensors have.
pub const MAX_PIXELS: u64 = 200_000_000;

/// Limit for all frames of an animation together: each frame is decoded, shrunk and encoded again.
pub const MAX_ANIMATION_PIXELS: u64 = 40_000_000;

/// Limit for an animation.
pub const MAX_FRAMES: u32 = 100;

/// Limit for decoding one upload, in bytes. JPEGs are decoded at a fraction of their size, so only a progressive one,
/// whose coefficients all stay in memory, comes near it: at 20 million pixels without chroma subsampling, at 40 million
/// with it. An 8-bit PNG with transparency reaches it at 32 million pixels, a GIF of one frame at 10 million.
pub const MAX_MEMORY: u64 = 130_000_000;

/// Longest side of an upload, in pixels: the maximum of JPEG and GIF; only a PNG can exceed it. Shrinking takes about
/// 40 bytes for each pixel of a side.
const MAX_UPLOAD_SIDE: u32 = 65_535;

/// Format of a stored picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Photos.
    Jpeg,
    /// Drawings, with transparency. Of an animated PNG, only the still image is kept.
    Png,
    /// Animations, with transparency.
    Gif,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
        }
    }

    /// Without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Gif => "gif",
        }
    }

    /// The format of a key that ends in [`Format::extension`].
    pub fn of_key(key: &str) -> Self {
        match key.rsplit('.').next() {
            Some("jpg") => Self::Jpeg,
            Some("gif") => Self::Gif,
            _ => Self::Png,
        }
    }
}

/// A picture ready to be stored: encoded by us, at most [`MAX_SIDE`] pixels on each side, in sRGB, without metadata.
#[derive(Debug)]
pub struct Picture {
    /// The encoded file.
    pub bytes: Vec<u8>,
    /// The format of the upload; a WebP becomes a PNG if it is transparent, else a JPEG.
    pub format: Format,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// Why an upload is refused. The text follows the word "Picture" in a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Starts like none of the supported formats, whatever its name says.
    #[error("is not a JPEG, PNG, GIF or WebP image")]
    NotAPicture,
    /// Used by iPhones and some other phones; most browsers cannot show it.
    #[error(
        "is in the HEIC format, which most browsers cannot show. Please save or share it as JPEG and choose that file. \
         (On an iPhone, Settings > Camera > Formats > Most Compatible takes new photos as JPEG)"
    )]
    Heic,
    /// Browsers show it, but we have no decoder for it.
    #[error(
        "is in the AVIF format, which cannot be read here. Please save or share it as JPEG and choose that file"
    )]
    Avif,
    /// Starts like a supported format but does not decode to the end (or the file could not be read).
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
    /// Within the pixel limits, but decoding would take too much memory or time.
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

// Means an unsupported pixel type; the decoders return none of these.
impl From<ResizeError> for Refusal {
    fn from(_: ResizeError) -> Self {
        Self::Broken
    }
}

/// A file whose structure has been checked.
enum Container {
    Jpeg(jpeg::Container),
    Png(png::Container),
    Gif(gif::Container),
    WebP(webp::Container),
}

/// How many bytes of memory [`read`] needs for this upload, the file itself included: at most [`MAX_MEMORY`] and the
/// file. Reads the file but decodes nothing, so it returns only errors that can be detected without decoding.
pub fn memory(file: impl BufRead + Seek) -> Result<u64, Refusal> {
    let bytes = load(file)?;
    let decoding = match container(&bytes)? {
        Container::Jpeg(jpeg) => jpeg.memory,
        Container::Png(png) => png.memory,
        Container::Gif(gif) => gif.memory,
        Container::WebP(webp) => webp.memory,
    };
    Ok(decoding + bytes.len() as u64)
}

/// Reads an upload from its start and makes the picture to store: upright, scaled down to fit [`MAX_SIDE`] x
/// [`MAX_SIDE`] with its aspect ratio, never enlarged, in sRGB. An animated GIF keeps its delays and its loop; of other
/// animations only the first frame is kept.
///
/// Takes up to [`MAX_MEMORY`] and some seconds: call it on a blocking thread, few at a time. The caller limits the file
/// size.
pub fn read(file: impl BufRead + Seek) -> Result<Picture, Refusal> {
    let bytes = load(file)?;
    match container(&bytes)? {
        Container::Jpeg(container) => jpeg::read(bytes, &container)?.encode(),
        Container::Png(container) => png::read(&bytes, &container)?.encode(),
        Container::Gif(container) => gif::read(&container),
        Container::WebP(_) => webp::read(&bytes)?.encode(),
    }
}

fn load(mut file: impl BufRead + Seek) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn container(bytes: &[u8]) -> Result<Container, Refusal> {
    let container = match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => Container::Jpeg(jpeg::Container::read(bytes)?),
        Ok(ImageFormat::Png) => Container::Png(png::Container::read(bytes)?),
        Ok(ImageFormat::Gif) => Container::Gif(gif::Container::read(bytes)?),
        Ok(ImageFormat::WebP) => Container::WebP(webp::Container::read(bytes)?),
        _ => return Err(unknown(bytes)),
    };
    Ok(container)
}

/// HEIC and AVIF consist of boxes (ISO 14496-12). The first one is `ftyp`, with the name of the format as its brand.
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

/// Refuses a picture that has no pixels or too many, or needs too much memory.
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

fn next_bytes<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Refusal> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(Refusal::Broken)?;
    *bytes = rest;
    Ok(*taken)
}

fn next_slice<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Refusal> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(Refusal::Broken)?;
    *bytes = rest;
    Ok(taken)
}
