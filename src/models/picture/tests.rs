use std::io::Cursor;

use image::codecs::gif::Repeat;
use image::{Delay, ExtendedColorType, ImageEncoder, Rgb};

use super::*;

const RED: [u8; 4] = [255, 0, 0, 255];
const BLUE: [u8; 4] = [0, 0, 255, 255];
const UNSEEN_GREEN: [u8; 4] = [0, 255, 0, 0];

/// What stands for anything that must not come out.
const SECRET: &[u8] = b"<script>52.5163 N 13.3777 E</script>";

fn take(file: &[u8]) -> Picture {
    super::read(Cursor::new(file)).unwrap()
}

fn refuse(file: &[u8]) -> Refusal {
    super::read(Cursor::new(file)).unwrap_err()
}

fn decoded(picture: &Picture) -> DynamicImage {
    image::load_from_memory(&picture.bytes).unwrap()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Is each channel about what it should be?
fn near(a: [u8; 4], b: [u8; 4]) -> bool {
    a.into_iter().zip(b).all(|(a, b)| a.abs_diff(b) < 16)
}

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// The left half has one colour, the right half the other.
fn halves(width: u32, height: u32, left: [u8; 4], right: [u8; 4]) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, _| Rgba(if x < width / 2 { left } else { right }))
}

fn plain(width: u32, height: u32) -> DynamicImage {
    DynamicImage::from(halves(width, height, RED, BLUE)).into_rgb8().into()
}

// --- Files by hand -------------------------------------------------------------------------------------------------

fn jpeg_segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker], &length[..], data].concat()
}

/// A grey JPEG whose every coefficient is a 0 of one bit. `scan` is the data of each scan, enough or not.
fn jpeg(frame: u8, width: u16, height: u16, components: u8, scans: usize, scan: &[u8]) -> Vec<u8> {
    let [w1, w2] = width.to_be_bytes();
    let [h1, h2] = height.to_be_bytes();
    let tables = [[&[0x00, 1][..], &[0; 16]].concat(), [&[0x10, 1][..], &[0; 16]].concat()].concat();
    let spectrum_end = if frame == 0xc2 { 0 } else { 63 };
    let start = [
        &[0xff, 0xd8][..],
        &jpeg_segment(0xdb, &[&[0][..], &[1; 64]].concat()),
        &jpeg_segment(0xc4, &tables),
        &jpeg_segment(
            frame,
            &[
                &[8, h1, h2, w1, w2, components][..],
                &(1..=components).flat_map(|id| [id, 0x11, 0]).collect::<Vec<_>>(),
            ]
            .concat(),
        ),
    ]
    .concat();
    let ids: Vec<u8> = (1..=components).flat_map(|id| [id, 0]).collect();
    let header = jpeg_segment(0xda, &[&[components][..], &ids, &[0, spectrum_end, 0]].concat());
    [start, [header, scan.to_vec()].concat().repeat(scans), vec![0xff, 0xd9]].concat()
}

/// EXIF: how the camera was held, and where.
fn exif(orientation: u8) -> Vec<u8> {
    let orientation = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]; // a short
    let place = [0x88, 0x25, 0, 4, 0, 0, 0, 1, 0, 0, 0, 38]; // the GPS block's offset
    let latitude = [0, 1, 0, 1, 0, 2, 0, 0, 0, 2, b'N', 0, 0, 0, 0, 0, 0, 0];
    [&b"MM\0*\0\0\0\x08\0\x02"[..], &orientation, &place, &[0; 4], &latitude, SECRET].concat()
}

fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    let checksum = !body.iter().fold(!0, |mut checksum: u32, byte| {
        checksum ^= u32::from(*byte);
        for _ in 0..8 {
            checksum = if checksum & 1 == 1 { (checksum >> 1) ^ 0xedb8_8320 } else { checksum >> 1 };
        }
        checksum
    });
    [&u32::try_from(data.len()).unwrap().to_be_bytes()[..], &body, &checksum.to_be_bytes()].concat()
}

/// A PNG of this size with no matter which data.
fn png(width: u32, height: u32, bits: u8, color: u8, data: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[bits, color, 0, 0, 0]].concat();
    let chunks = [png_chunk(b"IHDR", &header), png_chunk(b"IDAT", data), png_chunk(b"IEND", b"")].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunks].concat()
}

/// Puts a chunk behind the header.
fn with_chunk(png: &[u8], kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let (header, rest) = png.split_at(8 + 25);
    [header, &png_chunk(kind, data), rest].concat()
}

/// 64 MB of zeros, packed as PNG packs: from the data of a black picture.
fn bomb() -> Vec<u8> {
    let mut file = Vec::new();
    let black = vec![0; 8192 * 8192];
    PngEncoder::new(&mut file).write_image(&black, 8192, 8192, ExtendedColorType::L8).unwrap();
    let start = file.windows(4).position(|window| window == b"IDAT").unwrap();
    let length = u32::from_be_bytes(file[start - 4..start].try_into().unwrap());
    assert!(length < 1_000_000 && file.len() > start + 4 + length as usize);
    file[start + 4..start + 4 + length as usize].to_vec()
}

/// A GIF with frames of one black pixel, whatever size they claim.
fn gif(canvas: [u16; 2], frame: [u16; 2], frames: usize) -> Vec<u8> {
    let size = |[width, height]: [u16; 2]| [width.to_le_bytes(), height.to_le_bytes()].concat();
    let start = [b"GIF89a", &size(canvas)[..], &[0x80, 0, 0, 0, 0, 0, 255, 255, 255]].concat();
    let frame = [&[0x2c, 0, 0, 0, 0][..], &size(frame), &[0, 2, 2, 0x44, 0x01, 0]].concat();
    [start, frame.repeat(frames), vec![0x3b]].concat()
}

fn animation(frames: impl IntoIterator<Item = (RgbaImage, u32)>, repeat: Option<Repeat>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = GifEncoder::new(&mut file);
    if let Some(repeat) = repeat {
        encoder.set_repeat(repeat).unwrap();
    }
    for (image, delay) in frames {
        let delay = Delay::from_numer_denom_ms(delay, 1);
        encoder.encode_frame(Frame::from_parts(image, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    file
}

fn frames(picture: &Picture) -> Vec<(RgbaImage, u32)> {
    let decoder = GifDecoder::new(Cursor::new(&picture.bytes)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    frames.into_iter().map(|frame| (frame.buffer().clone(), frame.delay().numer_denom_ms().0)).collect()
}

// --- What it is ----------------------------------------------------------------------------------------------------

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
        b"RIFF\x24\0\0\0WEBPVP8L\x17\0\0\0\x2f\0\0\0\0\x07\xd0\xff\xfe\xf7\xbf\xff\x81\x88\xe8\x7f\0\0",
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
        (Refusal::NotAPicture, "is not a JPEG, GIF or PNG image"),
        (Refusal::Broken, "is broken or cut off"),
        (Refusal::TooManyPixels, "has too many pixels (at most 40 million, all frames together)"),
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

// --- Size ----------------------------------------------------------------------------------------------------------

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
    // Of 8x8 pixels: one block for each component, two bits for each block. Padding is ones.
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
    assert_eq!(refuse(&jpeg[..jpeg.len() - 4]), Refusal::Broken); // behind the first restart
}

// --- What must not survive -----------------------------------------------------------------------------------------

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

// --- Broken --------------------------------------------------------------------------------------------------------

#[test]
fn whatever_is_cut_off_is_refused() {
    let gradient = image::RgbImage::from_fn(24, 16, |x, y| Rgb([x as u8 * 10, y as u8 * 15, (x * y) as u8]));
    let files = [
        encode(gradient.clone(), ImageFormat::Jpeg),
        jpeg(0xc2, 8, 8, 3, 1, &[0b0001_1111]), // progressive
        encode(gradient, ImageFormat::Png),
        animation([(halves(8, 8, RED, BLUE), 50), (halves(8, 8, BLUE, RED), 50)], Some(Repeat::Infinite)),
    ];
    for file in files {
        take(&file);
        for length in 8..file.len() {
            assert_eq!(refuse(&file[..length]), Refusal::Broken, "{length} of {}", file.len());
        }
    }
}

#[test]
fn whatever_is_damaged_is_refused() {
    let mut png = encode(plain(40, 30), ImageFormat::Png);
    let data = png.windows(4).position(|window| window == b"IDAT").unwrap() + 12;
    png[data] ^= 0xff;
    assert_eq!(refuse(&png), Refusal::Broken);

    // Frames that claim more pixels than they have; none at all; a block that does not exist.
    assert_eq!(refuse(&gif([2, 2], [2, 2], 1)), Refusal::Broken);
    assert_eq!(refuse(&gif([1, 1], [1, 1], 0)), Refusal::Broken);
    assert_eq!(refuse(&gif([0, 1], [1, 1], 1)), Refusal::Broken);
    let mut gif = gif([1, 1], [1, 1], 1);
    take(&gif);
    let end = gif.len() - 1;
    gif[end] = 0x42;
    assert_eq!(refuse(&gif), Refusal::Broken);

    // Without a side; of a kind that nobody uses (arithmetic coding).
    assert_eq!(refuse(&jpeg(0xc0, 8, 0, 1, 1, &[0x3f])), Refusal::Broken);
    assert_eq!(refuse(&jpeg(0xc9, 8, 8, 1, 1, &[0x3f])), Refusal::Broken);
}

// --- Bombs ---------------------------------------------------------------------------------------------------------

#[test]
fn too_many_pixels_are_refused_unread() {
    for file in [
        png(65_535, 65_535, 8, 6, b""),
        jpeg(0xc0, 65_535, 65_535, 3, 1, &[0]),
        gif([65_535, 8191], [1, 1], 1),
        gif([1, 1], [65_535, 65_535], 1),
        gif([700, 700], [1, 1], 100), // 49 million, all frames together
        gif([1, 1], [700, 700], 100),
    ] {
        assert_eq!(refuse(&file), Refusal::TooManyPixels);
    }
    assert_eq!(check_pixels(0), Err(Refusal::Broken));
    assert_eq!(check_pixels(1), Ok(()));
    assert_eq!(check_pixels(40_000_000), Ok(()));
    assert_eq!(check_pixels(40_000_001), Err(Refusal::TooManyPixels));
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
        png(40_000_000, 1, 8, 6, b""), // one line
        png(u32::MAX >> 1, u32::MAX >> 1, 16, 6, b""),
        jpeg(0xc2, 6000, 6000, 3, 1, &[0]),
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
    // More data than pixels: the rest is not unpacked either.
    let picture = take(&png(1, 1, 8, 0, &bomb));
    assert_eq!(decoded(&picture).width(), 1);
}

// --- Animations ----------------------------------------------------------------------------------------------------

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
