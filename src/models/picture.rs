//! Turns an uploaded file into a picture that is safe to keep and to show, or says why not.
//!
//! What comes in is never what goes out: every picture is decoded, shrunk and encoded anew, so that neither metadata
//! (EXIF with the place where it was taken) nor anything hidden in or behind the picture survives (OWASP File
//! Upload, "content disarm and reconstruct"; ASVS V5). Before any decoder runs, a walk over the outline of
//! the file, which costs next to nothing, refuses what is cut off or has too many frames; before a pixel is decoded,
//! the header must promise few enough of them.

mod outline;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Read, Seek};

use fast_image_resize::{FilterType, MulDiv, ResizeAlg, ResizeError, ResizeOptions, Resizer};
use image::codecs::gif::{GifDecoder, GifEncoder};
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::{PngDecoder, PngEncoder};
use image::{
    AnimationDecoder, ColorType, DynamicImage, Frame, ImageDecoder, ImageError, ImageFormat, Limits, Rgba,
};

/// The longest side of a picture that is kept, in pixels.
pub const MAX_SIDE: u32 = 400;

/// How many pixels an upload may have; those of an animation are counted frame by frame.
pub const MAX_PIXELS: u64 = 40_000_000;

/// How many frames an animation may have.
pub const MAX_FRAMES: u32 = 100;

/// What decoding one upload may take, in bytes. Enough for all the pixels of a plain JPEG or an 8-bit PNG; a
/// progressive JPEG reaches it at 17 million, a PNG with 16 bits and transparency at 13, a GIF at 12 in one frame.
const MAX_MEMORY: u64 = 4 * MAX_PIXELS;

/// The longest side of an upload, in pixels: that of JPEG and GIF, which only a PNG can exceed. For each pixel of a side,
/// [`shrink`] keeps some 40 bytes.
const MAX_UPLOAD_SIDE: u32 = 65_535;

/// What a PNG may take besides its pixels, in bytes. Colour profiles are unpacked while the header is read: without
/// a limit, 4 MB unpack to 4 GB. (Texts are not unpacked.)
const MAX_PNG_HEADER: u64 = 16 << 20;

/// How many passes a JPEG may take. Progressive ones have about ten; each costs time for the whole picture, even one
/// that is empty.
const MAX_PASSES: u32 = 50;

/// JPEG quality of what is kept, in percent.
const JPEG_QUALITY: u8 = 85;

/// How large an animation may become, in bytes. Each frame is kept whole, so that one which was packed well grows.
const MAX_GIF: usize = 10 << 20;

/// How coarsely the 256 colours of a GIF are chosen, from 1 (slow) to 30.
const GIF_SPEED: i32 = 30;

/// What a picture may be.
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

/// A picture as it is kept: made by us, at most [`MAX_SIDE`] on each side, without metadata.
#[derive(Debug)]
pub struct Picture {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// What it is; the same as the upload was.
    pub format: Format,
}

/// Why an upload is not taken. As text, it follows the word "Picture" in a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Whatever its name says, it does not start like one of ours.
    #[error("is not a JPEG, GIF or PNG image")]
    NotAPicture,
    /// It starts like one, but does not decode to the end (or the file could not be read).
    #[error("is broken or cut off")]
    Broken,
    /// More than [`MAX_PIXELS`].
    #[error("has too many pixels (at most {} million, all frames together)", MAX_PIXELS / 1_000_000)]
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

/// Reads an upload from its start and makes the picture that is kept: the same format, turned upright, fitted into
/// [`MAX_SIDE`] x [`MAX_SIDE`] with its proportions, never enlarged. An animated GIF keeps its delays and its loop.
///
/// The largest pictures take up to 200 MB and a second, the longest animations 50 MB and four seconds: call it on a
/// blocking thread, few at a time. The caller limits the size of the file.
///
/// # Errors
/// Why the file is not taken.
pub fn read<R: BufRead + Seek>(mut file: R) -> Result<Picture, Refusal> {
    let mut start = Vec::new();
    file.by_ref().take(16).read_to_end(&mut start)?;
    file.rewind()?;
    let (format, bytes) = match image::guess_format(&start) {
        Ok(ImageFormat::Jpeg) => (Format::Jpeg, read_jpeg(file)?),
        Ok(ImageFormat::Png) => (Format::Png, read_png(file)?),
        Ok(ImageFormat::Gif) => (Format::Gif, read_gif(file)?),
        _ => return Err(Refusal::NotAPicture),
    };
    Ok(Picture { bytes, format })
}

fn read_jpeg<R: BufRead + Seek>(mut file: R) -> Result<Vec<u8>, Refusal> {
    let passes = outline::jpeg_passes(&mut file)?;
    if passes > MAX_PASSES {
        return Err(Refusal::TooHeavy);
    }
    file.rewind()?;
    let decoder = JpegDecoder::new(file)?;
    // Until the last pass, two bytes are kept for each sample.
    let extra = if passes > 1 { 2 * u64::from(decoder.color_type().bytes_per_pixel()) } else { 0 };
    let image = decode(decoder, extra)?;
    let mut bytes = Vec::new();
    image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))?;
    Ok(bytes)
}

fn read_png<R: BufRead + Seek>(mut file: R) -> Result<Vec<u8>, Refusal> {
    outline::find_png_end(&mut file)?;
    file.rewind()?;
    let decoder = PngDecoder::with_limits(file, memory(MAX_PNG_HEADER))?;
    let color = decoder.color_type();
    // `shrink` makes 8-bit RGBA of it: for a moment, there are both.
    let extra = if color.has_alpha() && color != ColorType::Rgba8 { 4 } else { 0 };
    let image = decode(decoder, extra)?;
    let mut bytes = Vec::new();
    image.write_with_encoder(PngEncoder::new(&mut bytes))?;
    Ok(bytes)
}

fn read_gif<R: BufRead + Seek>(mut file: R) -> Result<Vec<u8>, Refusal> {
    let outline = outline::Gif::read(&mut file)?;
    if outline.frames > MAX_FRAMES {
        return Err(Refusal::TooManyFrames);
    }
    check_pixels(outline.pixels)?;
    // For each pixel: its palette index, its colour, the canvas before it and after it.
    if (1 + 4 + 4 + 4) * outline.largest > MAX_MEMORY {
        return Err(Refusal::TooHeavy);
    }
    file.rewind()?;
    let mut decoder = GifDecoder::new(file)?;
    decoder.set_limits(memory(MAX_MEMORY))?; // in case that it sees more than the walk did
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, GIF_SPEED);
    if let Some(repeat) = outline.repeat {
        encoder.set_repeat(repeat)?;
    }
    // One by one: a hundred decoded frames would not fit the memory.
    for frame in decoder.into_frames() {
        let frame = frame?;
        let delay = frame.delay();
        let mut pixels = shrink(frame.into_buffer().into())?.into_rgba8();
        // A GIF knows no half-transparent pixels, which shrinking makes at every edge.
        for pixel in pixels.pixels_mut() {
            if pixel.0[3] < 128 {
                *pixel = Rgba([0; 4]);
            }
        }
        encoder.encode_frame(Frame::from_parts(pixels, 0, 0, delay))?;
    }
    drop(encoder); // writes the end
    if bytes.len() > MAX_GIF { Err(Refusal::TooHeavy) } else { Ok(bytes) }
}

/// Decodes a still picture that needs `extra` bytes for each pixel besides the pixel itself, and makes it upright,
/// small and 8-bit.
fn decode(mut decoder: impl ImageDecoder, extra: u64) -> Result<DynamicImage, Refusal> {
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    check_pixels(pixels)?;
    // Not left to the decoders: neither of the two counts the memory of its pixels.
    if decoder.total_bytes() + extra * pixels > MAX_MEMORY || width.max(height) > MAX_UPLOAD_SIDE {
        return Err(Refusal::TooHeavy);
    }
    let orientation = decoder.orientation()?;
    let image = shrink(DynamicImage::from_decoder(decoder)?)?;
    let color = image.color();
    let mut image = match (color.has_alpha(), color.has_color()) {
        (true, _) => DynamicImage::from(image.into_rgba8()),
        (false, true) => image.into_rgb8().into(),
        (false, false) => image.into_luma8().into(),
    };
    image.apply_orientation(orientation);
    Ok(image)
}

fn check_pixels(pixels: u64) -> Result<(), Refusal> {
    match pixels {
        0 => Err(Refusal::Broken),
        1..=MAX_PIXELS => Ok(()),
        _ => Err(Refusal::TooManyPixels),
    }
}

fn memory(bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bytes);
    limits
}

/// Fits a picture into [`MAX_SIDE`] x [`MAX_SIDE`].
fn shrink(image: DynamicImage) -> Result<DynamicImage, ResizeError> {
    let (width, height) = fit(image.width(), image.height());
    if (width, height) == (image.width(), image.height()) {
        return Ok(image);
    }
    // Transparent pixels have a colour, too: unless it is weighed by how visible it is, it shines through the edges.
    // In place, which the resizer would not do.
    let alpha = image.color().has_alpha();
    let mut image = if alpha { image.into_rgba8().into() } else { image };
    if alpha {
        MulDiv::new().multiply_alpha_inplace(&mut image)?;
    }
    let mut small = DynamicImage::new(width, height, image.color());
    let filter = ResizeAlg::Convolution(FilterType::CatmullRom);
    Resizer::new().resize(&image, &mut small, &ResizeOptions::new().resize_alg(filter).use_alpha(false))?;
    if alpha {
        MulDiv::new().divide_alpha_inplace(&mut small)?;
    }
    Ok(small)
}

/// The size of a picture after fitting: a side never becomes 0.
fn fit(width: u32, height: u32) -> (u32, u32) {
    let longest = u64::from(width.max(height).max(MAX_SIDE));
    let scale = |side: u32| ((u64::from(side) * u64::from(MAX_SIDE) + longest / 2) / longest).max(1) as u32;
    if longest == u64::from(MAX_SIDE) { (width, height) } else { (scale(width), scale(height)) }
}
