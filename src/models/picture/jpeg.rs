//! JPEG (ITU-T T.81). Large ones are decoded at a half, a quarter or an eighth of their size, which the format makes
//! cheap: then neither memory nor time grows with the number of pixels.

use image::metadata::Orientation;
use image::{GrayImage, RgbImage, RgbaImage};
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};

use super::still::{Pixels, Still, fit};
use super::{Format, MAX_PIXELS, MAX_SIDE, Refusal, check, color, next_bytes, next_slice};

/// Limit for pixels times passes.
const MAX_WORK: u64 = 400_000_000;

/// Progressive JPEGs have about ten passes.
const MAX_PASSES: u32 = 50;

/// Minimum side of a decoded JPEG, in pixels: twice the stored side, so that the final downscaling is smooth.
const DECODED_SIDE: u16 = 2 * MAX_SIDE as u16;

/// Appended to a JPEG without an end-of-image marker. No JPEG code consists of ones only (T.81, annex C): a decoder
/// that needs more data fails on these bytes, and one that does not skips them (a stuffed 0xff is not a marker) up to
/// the marker.
const END: [u8; 18] = [0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0xd9];

/// Result of the walk over a JPEG.
#[derive(Default)]
pub(super) struct Container {
    /// Memory needed for decoding, in bytes.
    pub(super) memory: u64,
    width: u16,
    height: u16,
    /// Memory for the coefficients of a progressive JPEG, in bytes. They are kept until the last pass.
    coefficients: u64,
    channels: u64,
    /// How many times the decoder goes over the picture.
    passes: u32,
    /// For each component its id, and a bit set of the 64 coefficients: those that are complete to the last bit.
    complete: Vec<(u8, u64)>,
    progressive: bool,
    /// Three channels that are RGB instead of YCbCr.
    is_rgb: bool,
    /// Where the data ends.
    end: usize,
    /// Whether there is an end-of-image marker.
    ended: bool,
}

impl Container {
    /// Walks over a JPEG to the end of its (first) image. A missing end marker is accepted, because cameras omit it and
    /// browsers do not need it, unless data is missing as well.
    pub(super) fn read(bytes: &[u8]) -> Result<Container, Refusal> {
        let mut jpeg = Container::default();
        let (mut jfif, mut adobe) = (false, None);
        let mut rest = bytes.get(2..).unwrap_or_default();
        loop {
            jpeg.end = bytes.len();
            let Some(marker) = next_marker(&mut rest) else { break };
            jpeg.end = bytes.len() - rest.len() - 2;
            match marker {
                0x00 | 0x01 | 0xd0..=0xd7 => continue, // no segment: an 0xff in the data, a restart
                0xd9 => {
                    jpeg.ended = true;
                    break;
                }
                0xc0..=0xfe => {}
                _ => break, // not a valid marker
            }
            let Ok(segment) = segment(&mut rest) else { break };
            match marker {
                0xc0..=0xc2 if jpeg.complete.is_empty() => jpeg.frame(marker == 0xc2, segment)?,
                // Another picture begins: only the first one counts.
                0xc0..=0xc2 | 0xd8 => break,
                // Lossless, differential, arithmetic coding: no browser supports them.
                0xc3 | 0xc5..=0xc7 | 0xc9..=0xcf if marker != 0xcc => return Err(Refusal::Broken),
                0xda => jpeg.scan(segment)?,
                0xe0 => jfif |= segment.starts_with(b"JFIF\0"),
                0xee if segment.starts_with(b"Adobe") => adobe = segment.get(11).copied(),
                _ => {}
            }
        }
        if jpeg.passes == 0 || (!jpeg.ended && jpeg.complete.iter().any(|(_, complete)| *complete != !0)) {
            return Err(Refusal::Broken);
        }
        jpeg.is_rgb = jpeg.channels == 3 && !jfif && adobe == Some(0);
        let (_, width, height) = decoder(bytes, jpeg.is_rgb)?;
        // The planes of the components, the pixels, and the sRGB pixels of a CMYK picture.
        jpeg.memory = jpeg.coefficients + 3 * jpeg.channels * u64::from(width) * u64::from(height);
        let pixels = u64::from(jpeg.width) * u64::from(jpeg.height);
        check(pixels, MAX_PIXELS, jpeg.memory)?;
        if jpeg.passes > MAX_PASSES || pixels * u64::from(jpeg.passes) > MAX_WORK {
            return Err(Refusal::TooHeavy);
        }
        Ok(jpeg)
    }

    /// The frame header (T.81, B.2.2).
    fn frame(&mut self, progressive: bool, mut segment: &[u8]) -> Result<(), Refusal> {
        let [_bits, h1, h2, w1, w2, channels] = next_bytes(&mut segment)?;
        self.width = u16::from_be_bytes([w1, w2]);
        self.height = u16::from_be_bytes([h1, h2]);
        self.progressive = progressive;
        self.channels = channels.into();
        let mut components = Vec::new();
        for _ in 0..channels {
            let [id, sampling, _table] = next_bytes(&mut segment)?;
            components.push((u64::from(sampling >> 4), u64::from(sampling & 15)));
            self.complete.push((id, 0));
        }
        if progressive {
            let blocks =
                |side: u16, most: Option<u64>| u64::from(side).div_ceil(8 * most.unwrap_or(1).max(1));
            let across = blocks(self.width, components.iter().map(|(h, _)| *h).max());
            let down = blocks(self.height, components.iter().map(|(_, v)| *v).max());
            self.coefficients = components.iter().map(|(h, v)| across * h * down * v * 64 * 2).sum();
        }
        Ok(())
    }

    /// The scan header (B.2.3): which coefficients of which components the scan contains, and down to which bit.
    fn scan(&mut self, mut segment: &[u8]) -> Result<(), Refusal> {
        self.passes += 1;
        let [count] = next_bytes(&mut segment)?;
        let ids = next_slice(&mut segment, 2 * usize::from(count))?;
        let [first, last, bits] = next_bytes(&mut segment)?;
        let completed: u64 = match (self.progressive, bits & 15) {
            (false, _) => !0,
            (true, 0) => (first..=last.min(63)).map(|at| 1 << at).sum(),
            (true, _) => 0,
        };
        for (id, complete) in &mut self.complete {
            if ids.iter().step_by(2).any(|of| of == id) {
                *complete |= completed;
            }
        }
        Ok(())
    }
}

/// Decodes a file that [`Container::read`] accepted.
pub(super) fn read(mut bytes: Vec<u8>, container: &Container) -> Result<Still, Refusal> {
    if !container.ended {
        bytes.truncate(container.end);
        while bytes.pop_if(|last| *last == 0xff).is_some() {} // half of the missing marker
        bytes.extend(END);
    }
    let (mut decoder, width, height) = decoder(&bytes, container.is_rgb)?;
    let decoded = decoder.decode().map_err(broken)?;
    let (width, height) = (width.into(), height.into());
    let pixels = match decoder.info().map(|info| info.pixel_format) {
        Some(PixelFormat::L8) => {
            GrayImage::from_raw(width, height, decoded).map(|grey| Pixels::Light(grey.into()))
        }
        Some(PixelFormat::RGB24) => {
            RgbImage::from_raw(width, height, decoded).map(|rgb| Pixels::Light(rgb.into()))
        }
        Some(PixelFormat::CMYK32) => RgbaImage::from_raw(width, height, decoded).map(Pixels::Ink),
        _ => None,
    };
    Ok(Still {
        pixels: pixels.ok_or(Refusal::Broken)?,
        fitted: fit(container.width.into(), container.height.into()),
        profile: decoder.icc_profile().and_then(|icc| color::from_icc(&icc)),
        orientation: decoder
            .exif_data()
            .and_then(Orientation::from_exif_chunk)
            .unwrap_or(Orientation::NoTransforms),
        format: Format::Jpeg,
    })
}

/// The decoder, and the width and height at which it decodes.
fn decoder(bytes: &[u8], is_rgb: bool) -> Result<(Decoder<&[u8]>, u16, u16), Refusal> {
    let mut decoder = Decoder::new(bytes);
    if is_rgb {
        // As libjpeg and browsers do; by default the decoder looks at the component ids first.
        decoder.set_color_transform(ColorTransform::RGB);
    }
    let (width, height) = decoder.scale(DECODED_SIDE, DECODED_SIDE).map_err(broken)?;
    Ok((decoder, width, height))
}

fn broken(_: jpeg_decoder::Error) -> Refusal {
    Refusal::Broken
}

/// Skips past the next marker and returns it.
fn next_marker(rest: &mut &[u8]) -> Option<u8> {
    let from = rest.iter().position(|byte| *byte == 0xff)?;
    let fill = rest[from..].iter().position(|byte| *byte != 0xff)?;
    let marker = rest[from + fill];
    *rest = &rest[from + fill + 1..];
    Some(marker)
}

fn segment<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Refusal> {
    let length = u16::from_be_bytes(next_bytes(rest)?);
    next_slice(rest, usize::from(length).saturating_sub(2))
}
