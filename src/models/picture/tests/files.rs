//! Files for the tests: written by the encoders of the `image` crate, or by hand where no encoder can write them.

use std::io::Cursor;

use image::codecs::gif::{GifDecoder, GifEncoder, Repeat};
use image::codecs::png::PngEncoder;
use image::{
    AnimationDecoder, Delay, DynamicImage, ExtendedColorType, Frame, ImageEncoder, ImageFormat, Rgba,
    RgbaImage,
};

use super::super::*;

pub(super) const RED: [u8; 4] = [255, 0, 0, 255];
pub(super) const BLUE: [u8; 4] = [0, 0, 255, 255];
pub(super) const UNSEEN_GREEN: [u8; 4] = [0, 255, 0, 0];

/// Stands for any data that must not survive.
pub(super) const SECRET: &[u8] = b"<script>52.5163 N 13.3777 E</script>";

pub(super) fn take(file: &[u8]) -> Picture {
    super::super::read(Cursor::new(file)).unwrap()
}

pub(super) fn refuse(file: &[u8]) -> Refusal {
    super::super::read(Cursor::new(file)).unwrap_err()
}

pub(super) fn decoded(picture: &Picture) -> DynamicImage {
    image::load_from_memory(&picture.bytes).unwrap()
}

pub(super) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Whether each channel is approximately as expected.
pub(super) fn near(a: [u8; 4], b: [u8; 4]) -> bool {
    a.into_iter().zip(b).all(|(a, b)| a.abs_diff(b) < 16)
}

pub(super) fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// Left half in one colour, right half in the other.
pub(super) fn halves(width: u32, height: u32, left: [u8; 4], right: [u8; 4]) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, _| Rgba(if x < width / 2 { left } else { right }))
}

pub(super) fn plain(width: u32, height: u32) -> DynamicImage {
    DynamicImage::from(halves(width, height, RED, BLUE)).into_rgb8().into()
}

pub(super) fn jpeg_segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker], &length[..], data].concat()
}

/// A JPEG of [`sampled_jpeg`] without subsampling.
pub(super) fn jpeg(
    frame: u8,
    width: u16,
    height: u16,
    components: usize,
    scans: usize,
    scan: &[u8],
) -> Vec<u8> {
    sampled_jpeg(frame, width, height, &[0x11, 0x11, 0x11, 0x11][..components], scans, scan)
}

/// A grey JPEG: all coefficients are 0, and every Huffman code is one bit. `sampling` has the factors of each
/// component, across and down; `scan` is the data of each scan, sufficient or not.
pub(super) fn sampled_jpeg(
    frame: u8,
    width: u16,
    height: u16,
    sampling: &[u8],
    scans: usize,
    scan: &[u8],
) -> Vec<u8> {
    let components = sampling.len() as u8;
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
                &(1..=components).zip(sampling).flat_map(|(id, of)| [id, *of, 0]).collect::<Vec<_>>(),
            ]
            .concat(),
        ),
    ]
    .concat();
    let ids: Vec<u8> = (1..=components).flat_map(|id| [id, 0]).collect();
    let header = jpeg_segment(0xda, &[&[components][..], &ids, &[0, spectrum_end, 0]].concat());
    [start, [header, scan.to_vec()].concat().repeat(scans), vec![0xff, 0xd9]].concat()
}

/// EXIF with the camera's orientation and position.
pub(super) fn exif(orientation: u8) -> Vec<u8> {
    let orientation = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]; // type SHORT
    let place = [0x88, 0x25, 0, 4, 0, 0, 0, 1, 0, 0, 0, 38]; // the GPS block's offset
    let latitude = [0, 1, 0, 1, 0, 2, 0, 0, 0, 2, b'N', 0, 0, 0, 0, 0, 0, 0];
    [&b"MM\0*\0\0\0\x08\0\x02"[..], &orientation, &place, &[0; 4], &latitude, SECRET].concat()
}

pub(super) fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
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

/// A PNG of this size with any data.
pub(super) fn png(width: u32, height: u32, bits: u8, color: u8, data: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[bits, color, 0, 0, 0]].concat();
    let chunks = [png_chunk(b"IHDR", &header), png_chunk(b"IDAT", data), png_chunk(b"IEND", b"")].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunks].concat()
}

/// Inserts a chunk after the header.
pub(super) fn with_chunk(png: &[u8], kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let (header, rest) = png.split_at(8 + 25);
    [header, &png_chunk(kind, data), rest].concat()
}

/// 64 MB of zeros, compressed as in a PNG: taken from the data of a black picture.
pub(super) fn bomb() -> Vec<u8> {
    let mut file = Vec::new();
    let black = vec![0; 8192 * 8192];
    PngEncoder::new(&mut file).write_image(&black, 8192, 8192, ExtendedColorType::L8).unwrap();
    let start = file.windows(4).position(|window| window == b"IDAT").unwrap();
    let length = u32::from_be_bytes(file[start - 4..start].try_into().unwrap());
    assert!(length < 1_000_000 && file.len() > start + 4 + length as usize);
    file[start + 4..start + 4 + length as usize].to_vec()
}

/// A GIF whose frames have one black pixel each, whatever size they claim.
pub(super) fn gif(canvas: [u16; 2], frame: [u16; 2], frames: usize) -> Vec<u8> {
    let size = |[width, height]: [u16; 2]| [width.to_le_bytes(), height.to_le_bytes()].concat();
    let start = [b"GIF89a", &size(canvas)[..], &[0x80, 0, 0, 0, 0, 0, 255, 255, 255]].concat();
    let frame = [&[0x2c, 0, 0, 0, 0][..], &size(frame), &[0, 2, 2, 0x44, 0x01, 0]].concat();
    [start, frame.repeat(frames), vec![0x3b]].concat()
}

pub(super) fn animation(
    frames: impl IntoIterator<Item = (RgbaImage, u32)>,
    repeat: Option<Repeat>,
) -> Vec<u8> {
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

pub(super) fn frames(picture: &Picture) -> Vec<(RgbaImage, u32)> {
    let decoder = GifDecoder::new(Cursor::new(&picture.bytes)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    frames.into_iter().map(|frame| (frame.buffer().clone(), frame.delay().numer_denom_ms().0)).collect()
}
