//! GIF (www.w3.org/Graphics/GIF/spec-gif89a.txt), animated or not.

use std::io::Cursor;

use image::codecs::gif::{GifDecoder, GifEncoder, Repeat};
use image::{AnimationDecoder, Frame, ImageDecoder, Rgba};

use super::still::{fit, shrink};
use super::{
    Format, MAX_ANIMATION_PIXELS, MAX_FRAMES, MAX_MEMORY, Picture, Refusal, check, limits, next_bytes,
    next_slice,
};

/// Largest result, in bytes. Each frame is stored whole, so a well compressed animation grows.
const MAX_GIF: usize = 10 << 20;

/// How coarsely the encoder chooses the 256 colours, from 1 (slow) to 30.
const QUANTIZER_SPEED: i32 = 30;

/// Memory for decoding a frame: palette index, colour, the canvas before and after it.
const BYTES_PER_PIXEL: u64 = 1 + 4 + 4 + 4;

/// Result of the walk over a GIF.
#[derive(Default)]
pub(super) struct Container {
    /// Memory needed for decoding, in bytes.
    pub(super) memory: u64,
    /// The GIF without the bytes that the decoder does not accept, and with a trailer.
    clean: Vec<u8>,
    frames: u32,
    /// Total of all frames. The decoder makes each as large as the canvas, or larger if the frame itself is.
    pixels: u64,
    /// How often an animation repeats, if it does. The decoder does not distinguish "never" from "forever".
    repeat: Option<Repeat>,
}

impl Container {
    /// Walks over a GIF to its end: the trailer, or else the end of the file between two blocks, or a byte that begins
    /// no block. Browsers show all of these, and skip zeros between blocks.
    pub(super) fn read(bytes: &[u8]) -> Result<Container, Refusal> {
        let mut gif = Container::default();
        let mut rest = bytes;
        let [..] = next_bytes::<6>(&mut rest)?;
        let canvas = area(&mut rest)?;
        let [flags, ..] = next_bytes::<3>(&mut rest)?;
        skip_palette(&mut rest, flags)?;
        let mut largest = canvas;
        gif.clean.extend(&bytes[..bytes.len() - rest.len()]);
        loop {
            let start = rest;
            match next_bytes(&mut rest) {
                // A frame: left, top, width, height, flags, palette, code size, data.
                Ok([0x2c]) => {
                    let [..] = next_bytes::<4>(&mut rest)?;
                    let pixels = area(&mut rest)?.max(canvas);
                    gif.frames += 1;
                    gif.pixels += pixels;
                    largest = largest.max(pixels);
                    let [flags] = next_bytes(&mut rest)?;
                    skip_palette(&mut rest, flags)?;
                    let [_] = next_bytes(&mut rest)?;
                    while !block(&mut rest)?.is_empty() {}
                }
                // An extension; only NETSCAPE2.0 matters, which holds the loop count.
                Ok([0x21]) => {
                    let [_label] = next_bytes(&mut rest)?;
                    let mut looping = false;
                    loop {
                        match *block(&mut rest)? {
                            [] => break,
                            [1, 0, 0] if looping => gif.repeat = Some(Repeat::Infinite),
                            [1, low, high] if looping => {
                                gif.repeat = Some(Repeat::Finite(u16::from_le_bytes([low, high])));
                            }
                            ref name => looping = name == b"NETSCAPE2.0",
                        }
                    }
                }
                Ok([0]) => continue,
                _ => break,
            }
            gif.clean.extend(&start[..start.len() - rest.len()]);
        }
        gif.clean.push(0x3b);
        gif.memory = (BYTES_PER_PIXEL * largest).saturating_add(gif.clean.len() as u64);
        if canvas == 0 || gif.frames == 0 {
            return Err(Refusal::Broken);
        }
        if gif.frames > MAX_FRAMES {
            return Err(Refusal::TooManyFrames);
        }
        check(gif.pixels, MAX_ANIMATION_PIXELS, gif.memory)?;
        Ok(gif)
    }
}

/// Decodes a file that [`Container::read`] accepted, and encodes it again.
pub(super) fn read(container: &Container) -> Result<Picture, Refusal> {
    let mut decoder = GifDecoder::new(Cursor::new(&container.clean))?;
    decoder.set_limits(limits(MAX_MEMORY))?; // in case it finds more than the walk did
    let (width, height) = fit(decoder.dimensions().0, decoder.dimensions().1);
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, QUANTIZER_SPEED);
    if let Some(repeat) = container.repeat {
        encoder.set_repeat(repeat)?;
    }
    // One by one: 100 decoded frames would exceed the memory limit.
    for frame in decoder.into_frames() {
        let frame = frame?;
        let delay = frame.delay();
        let whole = frame.into_buffer();
        let size = fit(whole.width(), whole.height());
        let mut pixels = shrink(whole.into(), size, true)?.into_rgba8();
        // GIF has no partial transparency, which shrinking produces at every edge.
        for pixel in pixels.pixels_mut() {
            if pixel.0[3] < 128 {
                *pixel = Rgba([0; 4]);
            }
        }
        encoder.encode_frame(Frame::from_parts(pixels, 0, 0, delay))?;
    }
    drop(encoder); // writes the trailer
    if bytes.len() > MAX_GIF {
        return Err(Refusal::TooHeavy);
    }
    Ok(Picture { bytes, format: Format::Gif, width, height })
}

fn area(rest: &mut &[u8]) -> Result<u64, Refusal> {
    let [width, height] = [next_bytes(rest)?, next_bytes(rest)?].map(u16::from_le_bytes);
    Ok(u64::from(width) * u64::from(height))
}

fn skip_palette(rest: &mut &[u8], flags: u8) -> Result<(), Refusal> {
    if flags & 0x80 != 0 {
        next_slice(rest, 3 * (2 << (flags & 7)))?;
    }
    Ok(())
}

/// One data sub-block of at most 255 bytes; an empty one is the last.
fn block<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Refusal> {
    let [length] = next_bytes(rest)?;
    next_slice(rest, length.into())
}
