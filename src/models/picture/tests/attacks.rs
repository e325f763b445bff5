//! Hidden data that must not survive, broken files, and malicious ones.

use std::io::Cursor;

use image::codecs::gif::Repeat;
use image::{ImageFormat, Rgb, Rgba, RgbaImage};

use super::super::*;
use super::files::*;

#[test]
fn exif_turns_the_picture_and_is_gone() {
    let upright = encode(plain(40, 20), ImageFormat::Jpeg);
    for (orientation, size, first, last) in
        [(1, (40, 20), RED, BLUE), (6, (20, 40), RED, BLUE), (8, (20, 40), BLUE, RED)]
    {
        let app1 = jpeg_segment(0xe1, &[b"Exif\0\0", &exif(orientation)[..]].concat());
        let jpeg = [&upright[..2], &app1, &upright[2..]].concat();
        let png = with_chunk(&encode(plain(40, 20), ImageFormat::Png), b"eXIf", &exif(orientation));
        for (file, name) in [(jpeg, &b"Exif"[..]), (png, b"eXIf")] {
            assert!(contains(&file, name) && contains(&file, SECRET));
            let picture = take(&file);
            assert!(!contains(&picture.bytes, name) && !contains(&picture.bytes, SECRET));
            let image = decoded(&picture).into_rgba8();
            assert_eq!(image.dimensions(), size, "{orientation}");
            assert!(near(image.get_pixel(3, 3).0, first), "{orientation}");
            assert!(near(image.get_pixel(size.0 - 4, size.1 - 4).0, last), "{orientation}");
        }
    }
}

#[test]
fn what_hides_in_or_behind_a_picture_is_gone() {
    let comment = [&[0x21, 0xfe, u8::try_from(SECRET.len()).unwrap()][..], SECRET, &[0]].concat();
    let [jpeg, png, gif] =
        [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif].map(|format| encode(plain(40, 30), format));
    let text = [b"Comment\0", SECRET].concat();
    let files = [
        [&jpeg[..2], &jpeg_segment(0xfe, SECRET), &jpeg[2..]].concat(),
        with_chunk(&png, b"tEXt", &text),
        with_chunk(&png, b"prVt", SECRET),
        [&gif[..gif.len() - 1], &comment, b"\x3b"].concat(),
        jpeg,
        png,
        gif,
    ];
    for file in files {
        for behind in [SECRET.to_vec(), [b"PK\x03\x04", SECRET, b"PK\x05\x06\xff\xd9\x3b"].concat()] {
            let picture = take(&[&file[..], &behind].concat());
            assert!(!contains(&picture.bytes, SECRET), "{:?}", picture.format);
            assert!(!contains(&picture.bytes, b"PK\x03\x04"), "{:?}", picture.format);
            assert_eq!(decoded(&picture).width(), 40);
        }
    }
}

#[test]
fn whatever_is_cut_off_is_refused() {
    let gradient = image::RgbImage::from_fn(24, 16, |x, y| Rgb([x as u8 * 10, y as u8 * 15, (x * y) as u8]));
    let files = [
        encode(gradient.clone(), ImageFormat::Jpeg),
        jpeg(0xc2, 8, 8, 3, 1, &[0b0001_1111]), // progressive
        encode(gradient, ImageFormat::Png),
        animation([(halves(8, 8, RED, BLUE), 50)], Some(Repeat::Infinite)),
    ];
    for file in files {
        take(&file);
        // The end marker may be missing, and the last bytes, which decoders do not need.
        for length in 12..file.len() - 6 {
            assert_eq!(refuse(&file[..length]), Refusal::Broken, "{length} of {}", file.len());
        }
    }
}

/// As in browsers.
#[test]
fn an_animation_that_is_cut_off_between_two_frames_keeps_those_before() {
    let file = animation([(halves(8, 8, RED, BLUE), 50), (halves(8, 8, BLUE, RED), 50)], None);
    let taken =
        (12..file.len() - 1).filter_map(|length| super::super::read(Cursor::new(&file[..length])).ok());
    let counts: Vec<_> = taken.map(|picture| frames(&picture).len()).collect();
    // Cut off before the second frame's extension, and after it.
    assert_eq!(counts, [1, 1]);
}

#[test]
fn whatever_is_damaged_is_refused() {
    let mut png = encode(plain(40, 30), ImageFormat::Png);
    let data = png.windows(4).position(|window| window == b"IDAT").unwrap() + 12;
    png[data] ^= 0xff;
    assert_eq!(refuse(&png), Refusal::Broken);

    // A frame that claims more pixels than it has; no frames; an empty canvas; an unknown block.
    assert_eq!(refuse(&gif([2, 2], [2, 2], 1)), Refusal::Broken);
    assert_eq!(refuse(&gif([1, 1], [1, 1], 0)), Refusal::Broken);
    assert_eq!(refuse(&gif([0, 1], [1, 1], 1)), Refusal::Broken);
    let mut gif = gif([1, 1], [1, 1], 1);
    take(&gif);
    let end = gif.len() - 1;
    gif[end] = 0x42;
    take(&gif); // an unknown block ends the file

    // A side of 0; arithmetic coding, which no browser supports.
    assert_eq!(refuse(&jpeg(0xc0, 8, 0, 1, 1, &[0x3f])), Refusal::Broken);
    assert_eq!(refuse(&jpeg(0xc9, 8, 8, 1, 1, &[0x3f])), Refusal::Broken);
}

#[test]
fn too_many_pixels_are_refused_unread() {
    for file in [
        png(65_535, 65_535, 8, 6, b""),
        jpeg(0xc0, 65_535, 65_535, 3, 1, &[0]),
        gif([65_535, 8191], [1, 1], 1),
        gif([1, 1], [65_535, 65_535], 1),
        gif([700, 700], [1, 1], 100), // 49 million pixels in all frames together
        gif([1, 1], [700, 700], 100),
    ] {
        assert_eq!(refuse(&file), Refusal::TooManyPixels);
    }
    assert_eq!(check(0, 2, 0), Err(Refusal::Broken));
    assert_eq!((check(2, 2, MAX_MEMORY), check(3, 2, 0)), (Ok(()), Err(Refusal::TooManyPixels)));
    assert_eq!(check(2, 2, MAX_MEMORY + 1), Err(Refusal::TooHeavy));
}

#[test]
fn a_hundred_frames_are_enough() {
    assert_eq!(refuse(&gif([1, 1], [1, 1], 10_000)), Refusal::TooManyFrames);
    assert_eq!(refuse(&gif([1, 1], [1, 1], 101)), Refusal::TooManyFrames);
    assert_eq!(frames(&take(&gif([1, 1], [1, 1], 100))).len(), 100);
}

#[test]
fn what_takes_too_much_memory_or_time_is_refused_unread() {
    for file in [
        png(6000, 6000, 16, 6, b""),
        png(6000, 6000, 16, 4, b""),
        png(1, 65_536, 8, 6, b""),
        png(u32::MAX >> 1, u32::MAX >> 1, 16, 6, b""),
        jpeg(0xc2, 8000, 6000, 3, 1, &[0]),
        jpeg(0xc0, 8, 8, 1, 51, &[0x3f]),
        gif([6000, 6000], [1, 1], 1),
        gif([1, 1], [6000, 6000], 1),
    ] {
        assert_eq!(refuse(&file), Refusal::TooHeavy);
    }
    take(&jpeg(0xc0, 8, 8, 1, 50, &[0x3f]));
}

#[test]
fn an_animation_that_grows_too_much_is_refused() {
    let mut state = 1_u32;
    let noise = RgbaImage::from_fn(400, 400, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Rgba([(state >> 24) as u8, 0, 0, 255])
    });
    let times = |count| std::iter::repeat_n((noise.clone(), 50), count);
    take(&animation(times(20), None));
    assert_eq!(refuse(&animation(times(60), None)), Refusal::TooHeavy);
}

#[test]
fn packed_texts_and_profiles_stay_packed() {
    let small = encode(plain(4, 4), ImageFormat::Png);
    let bomb = bomb();
    for (kind, start) in [(b"zTXt", &b"k\0\0"[..]), (b"iTXt", b"k\0\x01\0\0\0"), (b"iCCP", b"k\0\0")] {
        let picture = take(&with_chunk(&small, kind, &[start, &bomb].concat()));
        assert!(picture.bytes.len() < 200 && !contains(&picture.bytes, kind));
    }
    // More data than pixels: the surplus is not unpacked either.
    let picture = take(&png(1, 1, 8, 0, &bomb));
    assert_eq!(decoded(&picture).width(), 1);
}
