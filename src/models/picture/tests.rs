mod attacks;
mod files;

use std::io::{Cursor, Read};

use image::codecs::gif::Repeat;
use image::{ColorType, DynamicImage, Rgb, Rgba};

use super::*;
use files::*;

#[test]
fn three_formats_stay_what_they_are() {
    for (encoding, format, content_type, extension) in [
        (ImageFormat::Jpeg, Format::Jpeg, "image/jpeg", "jpg"),
        (ImageFormat::Png, Format::Png, "image/png", "png"),
        (ImageFormat::Gif, Format::Gif, "image/gif", "gif"),
    ] {
        let picture = take(&encode(plain(40, 30), encoding));
        assert_eq!(picture.format, format);
        assert_eq!(image::guess_format(&picture.bytes).unwrap(), encoding);
        assert_eq!((format.content_type(), format.extension()), (content_type, extension));
        assert_eq!(Format::of_key(&format!("0123.png.{extension}")), format);
        let image = decoded(&picture).into_rgba8();
        assert_eq!(image.dimensions(), (40, 30));
        assert!(near(image.get_pixel(5, 15).0, RED) && near(image.get_pixel(35, 15).0, BLUE));
    }
}

#[test]
fn what_only_says_that_it_is_a_picture_is_refused() {
    for file in [
        &b""[..],
        b"GIF",
        b"<!doctype html><script>alert(1)</script>",
        b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>",
        b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0",
        b"%PDF-1.7 and so on and on",
        b"PK\x03\x04 and so on and on",
    ] {
        assert_eq!(refuse(file), Refusal::NotAPicture, "{}", String::from_utf8_lossy(file));
    }
}

#[test]
fn what_only_starts_like_a_picture_is_refused() {
    for start in [&b"\xff\xd8\xff\xe0"[..], b"\x89PNG\r\n\x1a\n", b"GIF89a"] {
        assert_eq!(refuse(&[start, SECRET].concat()), Refusal::Broken);
        assert_eq!(refuse(start), Refusal::Broken);
    }
}

#[test]
fn refusals_end_the_sentence_of_a_form() {
    for (refusal, text) in [
        (Refusal::NotAPicture, "is not a JPEG, PNG, GIF or WebP image"),
        (Refusal::Broken, "is broken or cut off"),
        (
            Refusal::TooManyPixels,
            "has too many pixels (at most 200 million, or 40 million in all frames of an animation together)",
        ),
        (Refusal::TooManyFrames, "has too many frames (at most 100)"),
        (Refusal::TooHeavy, "takes too much work to read (try a smaller one)"),
    ] {
        assert_eq!(refusal.to_string(), text);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_broken() {
    struct Torn;
    impl Read for Torn {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    impl Seek for Torn {
        fn seek(&mut self, _: io::SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }
    assert_eq!(super::read(io::BufReader::new(Torn)).unwrap_err(), Refusal::Broken);
}

#[test]
fn large_pictures_shrink_and_small_ones_stay() {
    for (from, to) in [
        ((1, 1), (1, 1)),
        ((400, 400), (400, 400)),
        ((401, 401), (400, 400)),
        ((1200, 900), (400, 300)),
        ((1000, 999), (400, 400)),
        ((300, 1201), (100, 400)),
        ((1801, 600), (400, 133)),
        ((1, 20_000), (1, 400)),
        ((20_000, 3), (400, 1)),
    ] {
        let original = plain(from.0, from.1);
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif] {
            let image = decoded(&take(&encode(original.clone(), format))).into_rgba8();
            assert_eq!(image.dimensions(), to, "{format:?} {from:?}");
            let right = image.get_pixel(to.0 - 1, to.1 / 2).0;
            assert!(near(right, BLUE), "{format:?} {from:?} {right:?}");
        }
    }
}

#[test]
fn colours_are_not_mixed_with_those_of_transparent_pixels() {
    for side in [799, 2001] {
        let picture = take(&encode(halves(side, side, UNSEEN_GREEN, RED), ImageFormat::Png));
        let image = decoded(&picture).into_rgba8();
        assert_eq!((image.get_pixel(100, 200).0[3], image.get_pixel(300, 200).0), (0, RED));
        assert!(image.pixels().any(|pixel| (1..255).contains(&pixel.0[3])), "no soft edge");
        assert!(image.pixels().filter(|pixel| pixel.0[3] > 16).all(|pixel| pixel.0[1] < 16), "a green edge");
    }
}

#[test]
fn sixteen_bits_and_grey_become_eight_bits() {
    let rgba = image::ImageBuffer::from_pixel(500, 250, Rgba([0xffff_u16, 0, 0x8080, 0x8080]));
    let image = decoded(&take(&encode(rgba, ImageFormat::Png)));
    assert_eq!((image.color(), image.width(), image.height()), (ColorType::Rgba8, 400, 200));
    let pixel = image.into_rgba8().get_pixel(200, 100).0;
    assert!(near(pixel, [255, 0, 128, 128]), "{pixel:?}");

    let rgb = image::ImageBuffer::from_pixel(500, 250, Rgb([0xffff_u16, 0, 0x8080]));
    let image = decoded(&take(&encode(rgb, ImageFormat::Png)));
    assert_eq!(image.color(), ColorType::Rgb8);
    assert!(near(image.into_rgba8().get_pixel(200, 100).0, [255, 0, 128, 255]));

    for (image, format) in [
        (DynamicImage::new_luma16(500, 250), ImageFormat::Png),
        (DynamicImage::new_luma8(500, 250), ImageFormat::Png),
        (DynamicImage::new_luma8(500, 250), ImageFormat::Jpeg),
    ] {
        assert_eq!(decoded(&take(&encode(image, format))).color(), ColorType::L8);
    }
    let transparent = decoded(&take(&encode(DynamicImage::new_luma_a16(500, 250), ImageFormat::Png)));
    assert_eq!(transparent.into_rgba8().get_pixel(200, 100).0[3], 0);
}

#[test]
fn jpegs_of_one_and_four_colours_are_read() {
    // 8x8 pixels: one block per component, two bits per block, padded with ones.
    for (components, data, grey) in [(1, 0b0011_1111, 128), (3, 0b0000_0011, 128), (4, 0, 64)] {
        let image = decoded(&take(&jpeg(0xc0, 8, 8, components, 1, &[data]))).into_rgba8();
        let pixel = image.get_pixel(4, 4).0;
        assert!(near(pixel, [grey, grey, grey, 255]), "{components}: {pixel:?}");
    }
}

#[test]
fn a_jpeg_may_have_fill_bytes_and_restarts() {
    let restart = jpeg_segment(0xdd, &[0, 1]);
    let scan = [0b0011_1111, 0xff, 0xd0, 0b0011_1111, 0xff, 0xff]; // the last two before the end
    let jpeg = jpeg(0xc0, 16, 8, 1, 1, &scan);
    let jpeg = [&jpeg[..2], &restart, &jpeg[2..]].concat();
    assert_eq!(decoded(&take(&jpeg)).width(), 16);
    assert_eq!(refuse(&jpeg[..jpeg.len() - 6]), Refusal::Broken); // before the first restart
}

#[test]
fn an_animation_keeps_its_frames_delays_and_loop() {
    let shown = [(RED, BLUE, 50), (BLUE, RED, 120), (RED, RED, 2000)];
    for (repeat, block) in [
        (Some(Repeat::Infinite), Some(b"NETSCAPE2.0\x03\x01\x00\x00")),
        (Some(Repeat::Finite(3)), Some(b"NETSCAPE2.0\x03\x01\x03\x00")),
        (Some(Repeat::Finite(300)), Some(b"NETSCAPE2.0\x03\x01\x2c\x01")),
        (None, None),
    ] {
        let picture = take(&animation(
            shown.map(|(left, right, delay)| (halves(800, 400, left, right), delay)),
            repeat,
        ));
        let frames = frames(&picture);
        assert_eq!(frames.len(), 3);
        for ((image, delay), (left, right, wanted)) in frames.into_iter().zip(shown) {
            assert_eq!((image.dimensions(), delay), ((400, 200), wanted));
            assert!(near(image.get_pixel(50, 100).0, left) && near(image.get_pixel(350, 100).0, right));
        }
        assert_eq!(contains(&picture.bytes, b"NETSCAPE"), repeat.is_some());
        assert!(block.is_none_or(|block| contains(&picture.bytes, block)), "{repeat:?}");
    }
}

#[test]
fn an_animation_keeps_its_transparency() {
    let file = animation(
        [(halves(800, 400, UNSEEN_GREEN, RED), 50), (halves(800, 400, RED, UNSEEN_GREEN), 50)],
        None,
    );
    let frames = frames(&take(&file));
    for ((image, _), (left, right)) in frames.into_iter().zip([(0, 255), (255, 0)]) {
        assert_eq!((image.get_pixel(100, 100).0[3], image.get_pixel(300, 100).0[3]), (left, right));
        let visible: Vec<_> = image.pixels().filter(|pixel| pixel.0[3] > 0).collect();
        assert!(visible.iter().all(|pixel| near(pixel.0, RED)), "another colour");
        assert_eq!(visible.len(), 200 * 200, "another edge");
    }
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/pictures/").to_owned() + name).unwrap()
}

/// The expected colours come from LittleCMS 2.19 (Pillow 13: `ImageCms.profileToProfile` to sRGB, perceptual), in the
/// middle of four patches.
#[test]
fn colour_profiles_are_converted_to_srgb() {
    for name in ["adobergb.jpg", "p3.jpg", "p3.png", "prophoto.jpg"] {
        let image = decoded(&take(&file(name))).into_rgb8();
        for (x, y, wanted) in [
            (100, 50, [220, 40, 29]),
            (250, 30, [28, 160, 61]),
            (150, 150, [40, 70, 210]),
            (300, 170, [240, 220, 151]),
        ] {
            let found = image.get_pixel(x, y).0;
            let off = found.into_iter().zip(wanted).map(|(a, b): (u8, u8)| a.abs_diff(b)).max();
            assert!(off <= Some(4), "{name} {x} {y}: {found:?}, not {wanted:?}");
        }
    }
}

#[test]
fn a_png_may_say_its_colours_without_a_profile() {
    // Display P3 in the numbers of ITU-T H.273: primaries 12, transfer function of sRGB 13.
    let p3 = encode(image::load_from_memory(&file("p3.png")).unwrap(), ImageFormat::Png);
    let image = decoded(&take(&with_chunk(&p3, b"cICP", &[12, 13, 0, 1]))).into_rgb8();
    let wanted = decoded(&take(&file("p3.png"))).into_rgb8();
    let off = image.as_raw().iter().zip(wanted.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(off <= Some(2), "{off:?}");

    // Linear light: half intensity is 188 of 255 in sRGB.
    let half = encode(image::RgbImage::from_pixel(4, 4, Rgb([128; 3])), ImageFormat::Png);
    let image = decoded(&take(&with_chunk(&half, b"gAMA", &100_000_u32.to_be_bytes()))).into_rgb8();
    assert!(
        image.get_pixel(2, 2).0.iter().all(|light| light.abs_diff(188) <= 1),
        "{:?}",
        image.get_pixel(2, 2)
    );
    assert_eq!(decoded(&take(&half)).into_rgb8().get_pixel(2, 2).0, [128; 3]);
}

#[test]
fn a_grey_profile_is_converted() {
    let profile = moxcms::ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let icc = jpeg_segment(0xe2, &[&b"ICC_PROFILE\0\x01\x01"[..], &profile].concat());
    let half = encode(image::GrayImage::from_pixel(8, 8, image::Luma([128])), ImageFormat::Jpeg);
    let image = decoded(&take(&[&half[..2], &icc, &half[2..]].concat())).into_luma8();
    assert!(image.get_pixel(4, 4).0[0].abs_diff(188) <= 2, "{:?}", image.get_pixel(4, 4));
}

#[test]
fn a_broken_profile_counts_as_none() {
    let plain = encode(plain(40, 30), ImageFormat::Jpeg);
    let icc = jpeg_segment(0xe2, b"ICC_PROFILE\0\x01\x01 this is none");
    let image = decoded(&take(&[&plain[..2], &icc, &plain[2..]].concat())).into_rgba8();
    assert!(near(image.get_pixel(5, 15).0, RED) && near(image.get_pixel(35, 15).0, BLUE));
}

#[test]
fn what_browsers_show_without_its_end_is_taken() {
    for name in ["no_end.jpg", "no_end_samsung.jpg", "no_trailer.gif", "zeros_before_trailer.gif"] {
        assert_eq!(decoded(&take(&file(name))).width(), 400, "{name}");
    }
    let picture = take(&file("animation_no_trailer.gif"));
    assert_eq!((frames(&picture).len(), picture.width, picture.height), (3, 400, 200));
    for name in ["no_end.jpg", "no_trailer.gif", "p3.png"] {
        let file = file(name);
        assert_eq!(refuse(&file[..file.len() * 2 / 3]), Refusal::Broken, "{name}");
    }
}

#[test]
fn large_photos_are_decoded_within_the_memory_limit() {
    for (frame, width, height) in [(0xc0, 8064, 6048), (0xc2, 5712, 4284)] {
        let file = sampled_jpeg(frame, width, height, &[0x22, 0x11, 0x11], 1, &[0]);
        assert!(super::memory(Cursor::new(&file)).unwrap() <= MAX_MEMORY + file.len() as u64);
        let picture = take(&file);
        assert_eq!((picture.width, picture.height), (400, 300));
    }
}

#[test]
fn webp_becomes_a_jpeg_or_if_it_is_transparent_a_png() {
    let webp = |image: DynamicImage| {
        let mut file = Vec::new();
        let encoder = image_webp::WebPEncoder::new(&mut file);
        let image = image.into_rgba8();
        encoder.encode(&image, image.width(), image.height(), image_webp::ColorType::Rgba8).unwrap();
        file
    };
    let (opaque, clear) = (webp(plain(800, 400)), webp(halves(800, 400, RED, [0; 4]).into()));
    let picture = take(&opaque);
    assert_eq!((picture.format, picture.width, picture.height), (Format::Jpeg, 400, 200));
    assert!(near(decoded(&picture).into_rgba8().get_pixel(300, 100).0, BLUE));
    let picture = take(&clear);
    assert_eq!(picture.format, Format::Png);
    assert_eq!(decoded(&picture).into_rgba8().get_pixel(300, 100).0[3], 0);
    assert_eq!(refuse(&opaque[..opaque.len() - 10]), Refusal::Broken);
}

#[test]
fn heic_and_avif_get_advice() {
    assert_eq!(refuse(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), Refusal::Heic);
    assert_eq!(refuse(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif"), Refusal::Avif);
    assert!(Refusal::Heic.to_string().contains("Most Compatible"));
}
