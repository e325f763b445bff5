//! PNG (www.w3.org/TR/png-3).

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::{ColorType, ImageDecoder};
use moxcms::ColorProfile;

use super::still::{Still, check_sides};
use super::{Format, MAX_PIXELS, Refusal, check, color, limits, next_bytes, next_slice};

/// Memory limit of the decoder besides the pixels, in bytes. It unpacks colour profiles while it reads the header:
/// without a limit, 4 MB unpack to 4 GB. (It does not unpack texts.)
const MAX_HEADER: u64 = 16 << 20;

/// Result of the walk over a PNG.
pub(super) struct Container {
    /// Memory needed for decoding, in bytes.
    pub(super) memory: u64,
    /// Whether there is an sRGB chunk.
    srgb: bool,
    cicp: Option<[u8; 4]>,
    gamma: Option<f32>,
    chromaticities: Option<[f32; 8]>,
}

impl Container {
    /// Walks over a PNG up to its last chunk; the decoder does not read that far.
    pub(super) fn read(bytes: &[u8]) -> Result<Container, Refusal> {
        let mut png = Container { memory: 0, srgb: false, cicp: None, gamma: None, chromaticities: None };
        let mut rest = bytes.get(8..).unwrap_or_default();
        loop {
            let length = u32::from_be_bytes(next_bytes(&mut rest)?) as usize;
            let kind = next_bytes::<4>(&mut rest)?;
            let data = next_slice(&mut rest, length)?;
            let [..] = next_bytes::<4>(&mut rest)?; // checksum
            match &kind {
                b"sRGB" => png.srgb = true,
                b"cICP" => png.cicp = data.try_into().ok(),
                b"gAMA" => png.gamma = numbers::<1>(data).map(|[gamma]| gamma),
                b"cHRM" => png.chromaticities = numbers(data),
                b"IEND" => break,
                _ => {}
            }
        }
        let decoder = decoder(bytes)?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        let color = decoder.color_type();
        // Shrinking converts to 8-bit RGBA: for a moment, both copies are in memory.
        let extra = if color.has_alpha() && color != ColorType::Rgba8 { 4 } else { 0 };
        png.memory = decoder.total_bytes().saturating_add(extra * pixels);
        check(pixels, MAX_PIXELS, png.memory)?;
        check_sides(width, height)?;
        Ok(png)
    }

    /// The first of the colour chunks that is present, in the order of precedence of PNG 4.3.
    fn profile(&self, icc: Option<Vec<u8>>) -> Option<ColorProfile> {
        if let Some(profile) = self.cicp.and_then(color::from_cicp) {
            return Some(profile);
        }
        if let Some(profile) = icc.and_then(|icc| color::from_icc(&icc)) {
            return Some(profile);
        }
        if self.srgb { None } else { color::from_gamma(self.gamma, self.chromaticities) }
    }
}

/// Decodes a file that [`Container::read`] accepted.
pub(super) fn read(bytes: &[u8], container: &Container) -> Result<Still, Refusal> {
    let mut decoder = decoder(bytes)?;
    let profile = container.profile(decoder.icc_profile()?);
    Still::decode(decoder, profile, Format::Png)
}

fn decoder(bytes: &[u8]) -> Result<PngDecoder<Cursor<&[u8]>>, Refusal> {
    Ok(PngDecoder::with_limits(Cursor::new(bytes), limits(MAX_HEADER))?)
}

/// Positive numbers, stored as integers in units of 1/100,000.
fn numbers<const N: usize>(mut data: &[u8]) -> Option<[f32; N]> {
    let mut numbers = [0.0; N];
    for number in &mut numbers {
        *number = u32::from_be_bytes(next_bytes(&mut data).ok()?) as f32 / 100_000.0;
    }
    numbers.iter().all(|number| *number > 0.0).then_some(numbers)
}
