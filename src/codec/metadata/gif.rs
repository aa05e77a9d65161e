//! Walks a GIF file from block to block (GIF89a specification).
//!
//! Kept: the screen, palettes, frames with their timing, the loop count and the colour profile. Comments, plain text, XMP
//! and other application data go, and what follows the trailer.

use std::ops::Range;

use super::super::budget::area;
use super::super::error::CodecError;
use super::super::orientation::Orientation;
use super::{Pieces, Walked, array, le16};

const NAME: &str = "GIF";

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2C;
const TRAILER: u8 = 0x3B;
const GRAPHIC_CONTROL: u8 = 0xF9;
const APPLICATION: u8 = 0xFF;

/// Walks the file. Without `keep_profile` the colour profile goes too.
///
/// # Errors
/// [`CodecError::Damaged`] when the header is unusable; what is wrong behind it is the `fault` of the result.
pub(crate) fn walk(bytes: &[u8], keep_profile: bool) -> Result<Walked, CodecError> {
    let (Some(width), Some(height), Some(&packed)) = (le16(bytes, 6), le16(bytes, 8), bytes.get(10)) else {
        return Err(CodecError::truncated(NAME));
    };
    let (width, height) = (u32::from(width), u32::from(height));
    if width == 0 || height == 0 {
        return Err(CodecError::damaged(NAME, format_args!("it is {width} by {height} pixels")));
    }
    let mut walker = Walker { bytes, keep_profile, ..Walker::default() };
    let fault = walker.run(packed).err();
    let (pieces, fault) = match (walker.pieces.finish(), fault) {
        (Ok(pieces), fault) => (pieces, fault),
        (Err(error), fault) => (Vec::new(), fault.or(Some(error))),
    };
    // The canvas, one frame's indices, and a row for interlacing.
    let peak_bytes = area(width, height).saturating_mul(4).saturating_add(walker.largest).saturating_add(1024 * 1024);
    Ok(Walked {
        width,
        height,
        frames: walker.frames.max(1),
        frame_pixels: walker.frame_pixels,
        orientation: Orientation::NoTransforms,
        profile: walker.profile,
        peak_bytes,
        pieces,
        irregular: false,
        fault,
    })
}

#[derive(Default)]
struct Walker<'a> {
    bytes: &'a [u8],
    keep_profile: bool,
    frames: u32,
    frame_pixels: u64,
    /// Pixels of the largest frame.
    largest: u64,
    /// A graphic control extension that waits for its image.
    control: Option<Range<usize>>,
    profile: Vec<Range<usize>>,
    pieces: Pieces,
}

impl Walker<'_> {
    fn run(&mut self, packed: u8) -> Result<(), CodecError> {
        let mut at = 13 + palette_bytes(packed);
        if at > self.bytes.len() {
            return Err(CodecError::truncated(NAME));
        }
        self.pieces.keep(0..at);
        loop {
            match self.bytes.get(at) {
                None => return Err(CodecError::truncated(NAME)),
                Some(&TRAILER) => {
                    self.pieces.keep(at..at + 1);
                    return if self.frames == 0 { Err(CodecError::damaged(NAME, "it has no picture")) } else { Ok(()) };
                }
                Some(&IMAGE) => at = self.image(at)?,
                Some(&EXTENSION) => at = self.extension(at)?,
                Some(&other) => {
                    return Err(CodecError::damaged(NAME, format_args!("an unknown block {other:#04x}")));
                }
            }
        }
    }

    fn image(&mut self, at: usize) -> Result<usize, CodecError> {
        let (Some(width), Some(height), Some(&packed)) =
            (le16(self.bytes, at + 5), le16(self.bytes, at + 7), self.bytes.get(at + 9))
        else {
            return Err(CodecError::truncated(NAME));
        };
        let pixels = area(u32::from(width), u32::from(height));
        self.frames = self.frames.saturating_add(1);
        self.frame_pixels = self.frame_pixels.saturating_add(pixels);
        self.largest = self.largest.max(pixels);
        // Descriptor, palette, code size.
        let end = self.sub_blocks(at + 10 + palette_bytes(packed) + 1, |_| {})?;
        if let Some(control) = self.control.take() {
            self.pieces.keep(control);
        }
        self.pieces.keep(at..end);
        Ok(end)
    }

    fn extension(&mut self, at: usize) -> Result<usize, CodecError> {
        let label = self.bytes.get(at + 1).copied().ok_or_else(|| CodecError::truncated(NAME))?;
        let mut blocks = Vec::new();
        let wanted = label == APPLICATION;
        let end = self.sub_blocks(at + 2, |block| {
            if wanted {
                blocks.push(block);
            }
        })?;
        match label {
            // The last one in front of an image is the one that counts. By the letter a plain text would use up the one in
            // front of it; no viewer draws plain text, and all hand its control on to the next image, so it stays.
            GRAPHIC_CONTROL => self.control = Some(at..end),
            APPLICATION => self.application(at..end, &blocks),
            _ => {}
        }
        Ok(end)
    }

    fn application(&mut self, whole: Range<usize>, blocks: &[Range<usize>]) {
        let Some((name, data)) = blocks.split_first() else { return };
        match self.bytes.get(name.clone()) {
            Some(b"NETSCAPE2.0" | b"ANIMEXTS1.0") => {
                // The sub-block that starts with 1 holds the loop count; written anew so that it holds nothing else.
                let count = data.iter().find_map(|block| match self.bytes.get(block.clone()) {
                    Some(&[1, low, high, ..]) => Some([low, high]),
                    Some(_) | None => None,
                });
                if let Some([low, high]) = count {
                    let name = array::<11>(self.bytes, name.start).unwrap_or(*b"NETSCAPE2.0");
                    self.pieces.insert([&[EXTENSION, APPLICATION, 11][..], &name, &[3, 1, low, high, 0]].concat());
                }
            }
            Some(b"ICCRGBG1012") if self.profile.is_empty() => {
                self.profile = data.to_vec();
                if self.keep_profile {
                    self.pieces.keep(whole);
                }
            }
            Some(_) | None => {}
        }
    }

    /// Calls `each` with every sub-block from `at` on; returns where the chain ends.
    fn sub_blocks(&self, at: usize, mut each: impl FnMut(Range<usize>)) -> Result<usize, CodecError> {
        let mut at = at;
        loop {
            match self.bytes.get(at).copied().map(usize::from) {
                None => return Err(CodecError::truncated(NAME)),
                Some(0) => return Ok(at + 1),
                Some(length) => {
                    if at + 1 + length > self.bytes.len() {
                        return Err(CodecError::truncated(NAME));
                    }
                    each(at + 1..at + 1 + length);
                    at += 1 + length;
                }
            }
        }
    }
}

/// Bytes of the palette that follows a packed field.
const fn palette_bytes(packed: u8) -> usize {
    if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) }
}
