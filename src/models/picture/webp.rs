//! WebP (RFC 9649), and the first frame of an animated one.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage, RgbaImage};
use image_webp::{DecodingError, WebPDecoder};

use super::still::{Pixels, Still, fit};
use super::{Format, MAX_PIXELS, Refusal, check, color, next_bytes, next_slice};

/// Result of the walk over a WebP.
#[derive(Default)]
pub(super) struct Container {
    /// Memory needed for decoding, in bytes.
    pub(super) memory: u64,
    /// Pixels of the canvas, or of a frame that claims to be larger.
    largest: u64,
    animated: bool,
    lossless: bool,
    alpha: bool,
}

impl Container {
    /// Walks over all chunks. Each states a size of its own, and the decoder trusts some of them at first.
    pub(super) fn read(bytes: &[u8]) -> Result<Container, Refusal> {
        let mut webp = Container::default();
        webp.chunks(bytes.get(12..).unwrap_or_default())?;
        // In bytes. Lossy: the planes and the pixels. Lossless: RGBA and the pixels. Transparency: planes of its own,
        // decoded like a lossless picture. An animation: the canvas as well.
        let per_pixel = match (webp.animated, webp.alpha, webp.lossless) {
            (true, ..) => 18,
            (_, true, false) => 12,
            (_, _, true) => 9,
            (_, false, false) => 5,
        };
        webp.memory = webp.largest * per_pixel;
        check(webp.largest, MAX_PIXELS, webp.memory)?;
        Ok(webp)
    }

    fn chunks(&mut self, mut rest: &[u8]) -> Result<(), Refusal> {
        while let Ok(kind) = next_bytes::<4>(&mut rest) {
            let length = u32::from_le_bytes(next_bytes(&mut rest)?) as usize;
            // Metadata may be cut off, the picture may not.
            if length > rest.len() && matches!(&kind, b"EXIF" | b"XMP ") {
                break;
            }
            let data = next_slice(&mut rest, length)?;
            if length % 2 == 1 {
                let _padding = next_bytes::<1>(&mut rest);
            }
            self.chunk(&kind, data)?;
        }
        Ok(())
    }

    fn chunk(&mut self, kind: &[u8; 4], mut data: &[u8]) -> Result<(), Refusal> {
        let u24 = |[a, b, c]: [u8; 3]| u64::from(u32::from_le_bytes([a, b, c, 0]));
        let area = match kind {
            b"VP8X" => {
                let [flags, ..] = next_bytes::<4>(&mut data)?;
                self.animated |= flags & 0x02 != 0;
                (u24(next_bytes(&mut data)?) + 1) * (u24(next_bytes(&mut data)?) + 1)
            }
            // A frame, which has chunks of its own.
            b"ANMF" => {
                let [..] = next_bytes::<6>(&mut data)?;
                let area = (u24(next_bytes(&mut data)?) + 1) * (u24(next_bytes(&mut data)?) + 1);
                let [..] = next_bytes::<4>(&mut data)?;
                self.chunks(data)?;
                area
            }
            b"VP8 " => {
                let [..] = next_bytes::<6>(&mut data)?;
                let [width, height] =
                    [next_bytes(&mut data)?, next_bytes(&mut data)?].map(u16::from_le_bytes);
                u64::from(width & 0x3fff) * u64::from(height & 0x3fff)
            }
            b"VP8L" => {
                let [_signature] = next_bytes(&mut data)?;
                let header = u32::from_le_bytes(next_bytes(&mut data)?);
                self.lossless = true;
                u64::from((header & 0x3fff) + 1) * u64::from((header >> 14 & 0x3fff) + 1)
            }
            b"ALPH" => {
                self.alpha = true;
                0
            }
            _ => 0,
        };
        self.largest = self.largest.max(area);
        Ok(())
    }
}

/// Decodes a file that [`Container::read`] accepted. A transparent picture becomes a PNG, any other a JPEG: not every
/// program that shows pictures supports WebP.
pub(super) fn read(bytes: &[u8]) -> Result<Still, Refusal> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(broken)?;
    decoder.set_memory_limit(bytes.len()); // per chunk, since the stated length may be wrong
    let (width, height) = decoder.dimensions();
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or(Refusal::TooHeavy)?];
    decoder.read_image(&mut pixels).map_err(broken)?;
    let (image, format) = if decoder.has_alpha() {
        let opaque = pixels.chunks_exact(4).all(|pixel| pixel[3] == 255);
        let format = if opaque { Format::Jpeg } else { Format::Png };
        (RgbaImage::from_raw(width, height, pixels).map(DynamicImage::from), format)
    } else {
        (RgbImage::from_raw(width, height, pixels).map(DynamicImage::from), Format::Jpeg)
    };
    let exif = decoder.exif_metadata().ok().flatten();
    let icc = decoder.icc_profile().ok().flatten();
    Ok(Still {
        pixels: Pixels::Light(image.ok_or(Refusal::Broken)?),
        fitted: fit(width, height),
        profile: icc.and_then(|icc| color::from_icc(&icc)),
        orientation: exif
            .and_then(|exif| Orientation::from_exif_chunk(&exif))
            .unwrap_or(Orientation::NoTransforms),
        format,
    })
}

fn broken(_: DecodingError) -> Refusal {
    Refusal::Broken
}
