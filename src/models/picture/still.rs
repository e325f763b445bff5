//! A still picture between its decoder and its encoder.

use fast_image_resize::{FilterType, MulDiv, ResizeAlg, ResizeError, ResizeOptions, Resizer};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, RgbaImage};
use moxcms::ColorProfile;

use super::{Format, MAX_SIDE, MAX_UPLOAD_SIDE, Picture, Refusal, color};

/// Quality of stored JPEGs, in percent.
const JPEG_QUALITY: u8 = 85;

/// A decoded picture, perhaps large.
pub(super) struct Still {
    pub(super) pixels: Pixels,
    /// The size that fits into [`MAX_SIDE`]. Computed from the size of the file: a JPEG may be decoded at a fraction of
    /// it.
    pub(super) fitted: (u32, u32),
    /// Colour profile; sRGB if there is none.
    pub(super) profile: Option<ColorProfile>,
    /// How the camera was held.
    pub(super) orientation: Orientation,
    pub(super) format: Format,
}

/// Pixels in the colour space of the file.
pub(super) enum Pixels {
    Light(DynamicImage),
    /// Cyan, magenta, yellow and black; 255 is full ink.
    Ink(RgbaImage),
}

impl Still {
    /// Decodes with a decoder of the `image` crate.
    pub(super) fn decode(
        mut decoder: impl ImageDecoder,
        profile: Option<ColorProfile>,
        format: Format,
    ) -> Result<Still, Refusal> {
        let orientation = decoder.orientation()?;
        let (width, height) = decoder.dimensions();
        let pixels = Pixels::Light(DynamicImage::from_decoder(decoder)?);
        Ok(Still { pixels, fitted: fit(width, height), profile, orientation, format })
    }

    /// Shrinks the picture and then makes it 8-bit, sRGB and upright, which is cheap for so few pixels.
    pub(super) fn encode(self) -> Result<Picture, Refusal> {
        let profile = self.profile.as_ref();
        let mut image = match self.pixels {
            Pixels::Light(image) => color::to_srgb(to_8_bits(shrink(image, self.fitted, true)?), profile),
            Pixels::Ink(image) => {
                color::ink_to_srgb(&shrink(image.into(), self.fitted, false)?.into_rgba8(), profile)
            }
        };
        image.apply_orientation(self.orientation);
        let mut bytes = Vec::new();
        match self.format {
            Format::Jpeg => {
                if image.color().has_alpha() {
                    image = image.into_rgb8().into();
                }
                image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))?;
            }
            _ => image.write_with_encoder(PngEncoder::new(&mut bytes))?,
        }
        Ok(Picture { bytes, format: self.format, width: image.width(), height: image.height() })
    }
}

fn to_8_bits(image: DynamicImage) -> DynamicImage {
    let color = image.color();
    match (color.has_alpha(), color.has_color()) {
        (true, _) => DynamicImage::from(image.into_rgba8()),
        (false, true) => image.into_rgb8().into(),
        (false, false) => image.into_luma8().into(),
    }
}

/// Scales a picture to this size. With `alpha`, the fourth channel is transparency.
pub(super) fn shrink(
    image: DynamicImage,
    (width, height): (u32, u32),
    alpha: bool,
) -> Result<DynamicImage, ResizeError> {
    if (width, height) == (image.width(), image.height()) {
        return Ok(image);
    }
    // Premultiplied alpha: transparent pixels have a colour, too, which would otherwise show at the edges. Done here in
    // place; the resizer would not do it in place.
    let alpha = alpha && image.color().has_alpha();
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

/// The size of a picture scaled down to fit [`MAX_SIDE`]. A side never becomes 0.
pub(super) fn fit(width: u32, height: u32) -> (u32, u32) {
    let longest = u64::from(width.max(height).max(MAX_SIDE));
    let scale = |side: u32| ((u64::from(side) * u64::from(MAX_SIDE) + longest / 2) / longest).max(1) as u32;
    if longest == u64::from(MAX_SIDE) { (width, height) } else { (scale(width), scale(height)) }
}

/// Refuses a picture so long that shrinking it takes too much memory.
pub(super) fn check_sides(width: u32, height: u32) -> Result<(), Refusal> {
    if width.max(height) > MAX_UPLOAD_SIDE { Err(Refusal::TooHeavy) } else { Ok(()) }
}
