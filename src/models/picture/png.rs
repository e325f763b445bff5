//! PNG (www.w3.org/TR/png-3).

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::{ColorType, ImageDecoder};
use moxcms::ColorProfile;

use super::still::{Still, check_sides};
use super::{Format, MAX_PIXELS, Refusal, check, color, limits, next_bytes, next_slice};

/// What a PNG may take besides its pixels, in bytes. Colour profiles are unpacked while the header is read: without
/// a limit, 4 MB unpack to 4 GB. (Texts are not unpacked.)
const MAX_HEADER: u64 = 16 << 20;

/// What a PNG consists of.
pub(super) struct Outline {
    /// What decoding it takes, in bytes.
    pub(super) memory: u64,
    /// What chunks say about the colours.
    srgb: bool,
    cicp: Option<[u8; 4]>,
    gamma: Option<f32>,
    chromaticities: Option<[f32; 8]>,
}

impl Outline {
    /// Walks over a PNG to its last chunk, which the decoder does not read.
    pub(super) fn read(bytes: &[u8]) -> Result<Outline, Refusal> {
        let mut png = Outline { memory: 0, srgb: false, cicp: None, gamma: None, chromaticities: None };
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
        // Shrinking makes 8-bit RGBA of it: for a moment, there are both.
        let extra = if color.has_alpha() && color != ColorType::Rgba8 { 4 } else { 0 };
        png.memory = decoder.total_bytes().saturating_add(extra * pixels);
        check(pixels, MAX_PIXELS, png.memory)?;
        check_sides(width, height)?;
        Ok(png)
    }

    /// Of what a PNG says about its colours, the first of these counts (PNG 4.3).
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

/// Decodes what [`Outline::read`] walked over.
pub(super) fn read(bytes: &[u8], outline: &Outline) -> Result<Still, Refusal> {
    let mut decoder = decoder(bytes)?;
    let profile = outline.profile(decoder.icc_profile()?);
    Still::decode(decoder, profile, Format::Png)
}

fn decoder(bytes: &[u8]) -> Result<PngDecoder<Cursor<&[u8]>>, Refusal> {
    Ok(PngDecoder::with_limits(Cursor::new(bytes), limits(MAX_HEADER))?)
}

/// Positive numbers in hundred thousandths.
fn numbers<const N: usize>(mut data: &[u8]) -> Option<[f32; N]> {
    let mut numbers = [0.0; N];
    for number in &mut numbers {
        *number = u32::from_be_bytes(next_bytes(&mut data).ok()?) as f32 / 100_000.0;
    }
    numbers.iter().all(|number| *number > 0.0).then_some(numbers)
}
