//! Converts pictures of all colour spaces to sRGB. A picture without a profile is assumed to be sRGB.

use image::{DynamicImage, RgbImage, RgbaImage};
use moxcms::{
    Chromaticity, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, Layout, ParsingOptions,
    ToneReprCurve, TransferCharacteristics, TransformOptions,
};

/// Largest colour profile that is read, in bytes. Those of printers have half a megabyte.
const MAX_PROFILE: usize = 4 << 20;
/// Largest lookup table in a profile, in entries of 4 bytes.
const MAX_TABLE: usize = 2_000_000;

/// Parses an ICC profile. A broken or huge one is ignored, as in browsers.
pub(super) fn from_icc(bytes: &[u8]) -> Option<ColorProfile> {
    let options = ParsingOptions {
        max_profile_size: MAX_PROFILE,
        max_allowed_clut_size: MAX_TABLE,
        max_allowed_trc_size: 40_000,
    };
    ColorProfile::new_from_slice_with_options(bytes, options).ok()
}

/// Parses the four numbers of a cICP chunk (ITU-T H.273). HDR (PQ and HLG) is ignored, because it would need tone
/// mapping.
pub(super) fn from_cicp([primaries, transfer, matrix, range]: [u8; 4]) -> Option<ColorProfile> {
    let cicp = CicpProfile {
        color_primaries: primaries.try_into().ok()?,
        transfer_characteristics: transfer.try_into().ok()?,
        matrix_coefficients: matrix.try_into().ok()?,
        full_range: range == 1,
    };
    let hdr = [TransferCharacteristics::Smpte2084, TransferCharacteristics::Hlg];
    if hdr.contains(&cicp.transfer_characteristics) {
        return None;
    }
    let profile = ColorProfile::new_from_cicp(cicp);
    profile.red_trc.is_some().then_some(profile)
}

/// The profile of a PNG's gAMA and cHRM chunks, for colour pictures. A missing chunk means the value of sRGB.
pub(super) fn from_gamma(gamma: Option<f32>, chromaticities: Option<[f32; 8]>) -> Option<ColorProfile> {
    if gamma.is_none() && chromaticities.is_none() {
        return None;
    }
    let mut profile = ColorProfile::new_srgb();
    profile.cicp = None;
    if let Some([wx, wy, rx, ry, gx, gy, bx, by]) = chromaticities {
        let primaries = ColorPrimaries {
            red: Chromaticity { x: rx, y: ry },
            green: Chromaticity { x: gx, y: gy },
            blue: Chromaticity { x: bx, y: by },
        };
        profile.update_rgb_colorimetry(Chromaticity { x: wx, y: wy }.to_xyyb(), primaries);
    }
    if let Some(gamma) = gamma {
        let curve = Some(ToneReprCurve::Parametric(vec![1.0 / gamma]));
        profile.red_trc = curve.clone();
        profile.green_trc = curve.clone();
        profile.blue_trc = curve;
    }
    Some(profile)
}

/// Converts a picture with 8 bits per channel to sRGB. A profile for another colour space than the picture's is
/// ignored.
pub(super) fn to_srgb(mut image: DynamicImage, profile: Option<&ColorProfile>) -> DynamicImage {
    let Some(profile) = profile else { return image };
    match (&mut image, profile.color_space) {
        (DynamicImage::ImageRgb8(image), DataColorSpace::Rgb) => {
            if let Some(converted) = transform(profile, image, Layout::Rgb, Layout::Rgb) {
                image.copy_from_slice(&converted);
            }
        }
        (DynamicImage::ImageRgba8(image), DataColorSpace::Rgb) => {
            if let Some(converted) = transform(profile, image, Layout::Rgba, Layout::Rgba) {
                image.copy_from_slice(&converted);
            }
        }
        (DynamicImage::ImageLuma8(image), DataColorSpace::Gray) => {
            if let Some(converted) = transform(profile, image, Layout::Gray, Layout::Rgb) {
                for (pixel, converted) in image.pixels_mut().zip(converted.chunks_exact(3)) {
                    pixel.0.copy_from_slice(&converted[..1]);
                }
            }
        }
        // Grey with transparency.
        (DynamicImage::ImageRgba8(image), DataColorSpace::Gray) => {
            let grey: Vec<u8> = image.pixels().map(|pixel| pixel.0[0]).collect();
            if let Some(converted) = transform(profile, &grey, Layout::Gray, Layout::Rgb) {
                for (pixel, converted) in image.pixels_mut().zip(converted.chunks_exact(3)) {
                    pixel.0[..3].copy_from_slice(converted);
                }
            }
        }
        _ => {}
    }
    image
}

/// Converts CMYK to sRGB with the printer's profile; without a profile, as browsers do.
pub(super) fn ink_to_srgb(image: &RgbaImage, profile: Option<&ColorProfile>) -> DynamicImage {
    let printed = profile
        .filter(|profile| profile.color_space == DataColorSpace::Cmyk)
        .and_then(|profile| transform(profile, image, Layout::Rgba, Layout::Rgb))
        .and_then(|pixels| RgbImage::from_raw(image.width(), image.height(), pixels));
    let image = printed.unwrap_or_else(|| {
        let mut plain = RgbImage::new(image.width(), image.height());
        for (light, ink) in plain.pixels_mut().zip(image.pixels()) {
            let [inks @ .., black] = ink.0.map(|ink| 255 - u32::from(ink));
            light.0 = inks.map(|ink| ((ink * black + 127) / 255) as u8);
        }
        plain
    });
    image.into()
}

/// Converts pixels from this profile to sRGB; `None` if the profile is unusable.
fn transform(profile: &ColorProfile, pixels: &[u8], from: Layout, to: Layout) -> Option<Vec<u8>> {
    let options = TransformOptions::default();
    let transform = profile.create_transform_8bit(from, &ColorProfile::new_srgb(), to, options).ok()?;
    let mut converted = vec![0; pixels.len() / from.channels() * to.channels()];
    transform.transform(pixels, &mut converted).ok()?;
    Some(converted)
}
