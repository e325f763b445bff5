//! Walks over the outline of a picture's file: to its end, without decoding anything. Every size is read, none is
//! believed: what lies behind the end of the file is an error here, and the decoders check the rest.

use std::io::{self, BufRead, Read, Seek};

use image::codecs::gif::Repeat;

/// Walks over a JPEG to the end of its (first) image, which the decoder does not do: it paints what is missing grey.
/// Returns how many times the decoder goes over the picture; more than once if it has to keep all the coefficients.
pub(super) fn jpeg_passes(file: &mut (impl BufRead + Seek)) -> io::Result<u32> {
    let mut passes = 0;
    loop {
        file.skip_until(0xff)?;
        let mut marker = 0xff;
        while marker == 0xff {
            [marker] = bytes(file)?;
        }
        match marker {
            0x00 | 0x01 | 0xd0..=0xd8 => continue, // no segment: an 0xff in the data, restarts, the start
            0xd9 => return Ok(passes),
            0xc2 | 0xda => passes += 1, // progressive; a scan
            _ => {}
        }
        let length = u16::from_be_bytes(bytes(file)?);
        file.seek_relative(i64::from(length).max(2) - 2)?;
    }
}

/// Walks over a PNG to its last chunk, which the decoder does not read.
pub(super) fn find_png_end(file: &mut (impl BufRead + Seek)) -> io::Result<()> {
    let [..] = bytes::<8>(file)?;
    loop {
        let length = u32::from_be_bytes(bytes(file)?);
        let kind = bytes(file)?;
        file.seek_relative(length.into())?;
        let [..] = bytes::<4>(file)?; // checksum
        if kind == *b"IEND" {
            return Ok(());
        }
    }
}

/// What a GIF consists of.
#[derive(Default)]
pub(super) struct Gif {
    pub(super) frames: u32,
    /// Of all frames together. The decoder makes each as large as the canvas, or larger if the frame itself is.
    pub(super) pixels: u64,
    /// Of the largest frame.
    pub(super) largest: u64,
    /// How often an animation starts again, if it does. The decoder does not tell "never" from "always".
    pub(super) repeat: Option<Repeat>,
}

impl Gif {
    /// Walks over a GIF to its end.
    pub(super) fn read(file: &mut (impl BufRead + Seek)) -> io::Result<Gif> {
        let mut gif = Gif::default();
        let [..] = bytes::<6>(file)?;
        let canvas = gif_area(file)?;
        if canvas == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let [flags, ..] = bytes::<3>(file)?;
        skip_gif_palette(file, flags)?;
        loop {
            match bytes(file)? {
                // A frame: left, top, width, height, flags, palette, code size, data.
                [0x2c] => {
                    let [..] = bytes::<4>(file)?;
                    let pixels = gif_area(file)?.max(canvas);
                    gif.frames += 1;
                    gif.pixels += pixels;
                    gif.largest = gif.largest.max(pixels);
                    let [flags] = bytes(file)?;
                    skip_gif_palette(file, flags)?;
                    let [_] = bytes(file)?;
                    while !gif_block(file)?.is_empty() {}
                }
                // An extension; the one that matters is named like this.
                [0x21] => {
                    let [_label] = bytes(file)?;
                    let mut looping = false;
                    loop {
                        match *gif_block(file)? {
                            [] => break,
                            [1, 0, 0] if looping => gif.repeat = Some(Repeat::Infinite),
                            [1, low, high] if looping => {
                                gif.repeat = Some(Repeat::Finite(u16::from_le_bytes([low, high])));
                            }
                            ref name => looping = name == b"NETSCAPE2.0",
                        }
                    }
                }
                [0x3b] => return Ok(gif),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

fn gif_area(file: &mut impl Read) -> io::Result<u64> {
    let [width, height] = [bytes(file)?, bytes(file)?].map(u16::from_le_bytes);
    Ok(u64::from(width) * u64::from(height))
}

fn skip_gif_palette(file: &mut impl Seek, flags: u8) -> io::Result<()> {
    if flags & 0x80 != 0 { file.seek_relative(3 * (2 << (flags & 7))) } else { Ok(()) }
}

/// One block of data, at most 255 bytes; the empty one is the last.
fn gif_block(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let [length] = bytes(file)?;
    let mut block = vec![0; length.into()];
    file.read_exact(&mut block)?;
    Ok(block)
}

fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
