//! Walks a WebP file from chunk to chunk (RFC 9649).
//!
//! Kept: the picture, its alpha, its animation and its colour profile. EXIF, XMP, unknown chunks and what follows the RIFF
//! container go; the flags and sizes that spoke of them are put right.

use std::ops::Range;

use super::super::budget::area;
use super::super::error::CodecError;
use super::super::orientation::{self, Orientation};
use super::{Pieces, Walked, array, le16, le24, le32};

const NAME: &str = "WebP";

const FLAG_PROFILE: u8 = 0x20;
const FLAG_ALPHA: u8 = 0x10;
const FLAG_EXIF: u8 = 0x08;
const FLAG_XMP: u8 = 0x04;
const FLAG_ANIMATION: u8 = 0x02;

/// A chunk: its name, the whole of it with its pad byte, and its data.
struct Chunk {
    kind: [u8; 4],
    whole: Range<usize>,
    data: Range<usize>,
}

/// Walks the file. Without `keep_profile` the colour profile goes too.
///
/// # Errors
/// [`CodecError::Damaged`] when the header is unusable; what is wrong behind it is the `fault` of the result.
pub(crate) fn walk(bytes: &[u8], keep_profile: bool) -> Result<Walked, CodecError> {
    let declared = le32(bytes, 4).ok_or_else(|| CodecError::truncated(NAME))? as usize;
    let end = declared.saturating_add(8);
    let first = chunk_at(bytes, 12, end.max(20))?;
    let mut walker = Walker { bytes, keep_profile, width: 0, height: 0, ..Walker::default() };
    match &first.kind {
        b"VP8X" => {
            let flags = bytes.get(first.data.start).copied();
            let width = le24(bytes, first.data.start + 4);
            let height = le24(bytes, first.data.start + 7);
            let (Some(flags), Some(width), Some(height), 10..) = (flags, width, height, first.data.len()) else {
                return Err(CodecError::truncated(NAME));
            };
            (walker.width, walker.height) = (width + 1, height + 1);
            walker.extended = Some(Extended { flags, data: first.data.clone() });
        }
        b"VP8 " | b"VP8L" => {
            (walker.width, walker.height) = bitstream_size(bytes, &first)?;
        }
        _ => return Err(CodecError::damaged(NAME, "it does not begin with a picture")),
    }
    let fault = walker.run(end).err();
    Ok(walker.finish(fault))
}

/// The chunk whose header stands at `at`, in a container that ends at `end`. The pad byte of the last chunk may be missing.
fn chunk_at(bytes: &[u8], at: usize, end: usize) -> Result<Chunk, CodecError> {
    let (Some(kind), Some(length)) = (array::<4>(bytes, at), le32(bytes, at + 4)) else {
        return Err(CodecError::truncated(NAME));
    };
    let data = at + 8..(at + 8).saturating_add(length as usize);
    if data.end > end || data.end > bytes.len() {
        return Err(CodecError::truncated(NAME));
    }
    let padded = (data.end + data.len() % 2).min(end).min(bytes.len());
    Ok(Chunk { kind, whole: at..padded, data })
}

/// The size that a `VP8 ` or `VP8L` bitstream gives itself.
fn bitstream_size(bytes: &[u8], chunk: &Chunk) -> Result<(u32, u32), CodecError> {
    let data = bytes.get(chunk.data.clone()).unwrap_or_default();
    let size = if &chunk.kind == b"VP8 " {
        match (data.get(3..6), le16(data, 6), le16(data, 8)) {
            // The upper two bits are a hint for scaling.
            (Some([0x9D, 0x01, 0x2A]), Some(width), Some(height)) => {
                Some((u32::from(width & 0x3FFF), u32::from(height & 0x3FFF)))
            }
            _ => None,
        }
    } else {
        match (data.first(), le32(data, 1)) {
            (Some(0x2F), Some(packed)) => Some(((packed & 0x3FFF) + 1, ((packed >> 14) & 0x3FFF) + 1)),
            _ => None,
        }
    };
    match size {
        Some((width, height)) if width > 0 && height > 0 => Ok((width, height)),
        Some(_) => Err(CodecError::damaged(NAME, "a picture without pixels")),
        None => Err(CodecError::damaged(NAME, "a picture without a header")),
    }
}

/// The extended header.
struct Extended {
    flags: u8,
    data: Range<usize>,
}

#[derive(Default)]
struct Walker<'a> {
    bytes: &'a [u8],
    keep_profile: bool,
    width: u32,
    height: u32,
    extended: Option<Extended>,
    /// A still's picture has come.
    picture: bool,
    /// The animation header has come.
    animation: bool,
    frames: u32,
    frame_pixels: u64,
    orientation: Option<Orientation>,
    /// Flags of the metadata that has come.
    metadata: u8,
    profile: Option<Range<usize>>,
    /// What stands behind the RIFF and VP8X headers.
    body: Pieces,
}

impl Walker<'_> {
    fn animated(&self) -> bool {
        self.extended.as_ref().is_some_and(|extended| extended.flags & FLAG_ANIMATION != 0)
    }

    fn run(&mut self, end: usize) -> Result<(), CodecError> {
        // The container may end before its last pad byte; it may not end before a header or data.
        if end > self.bytes.len() + 1 {
            return Err(CodecError::truncated(NAME));
        }
        let mut at = 12;
        // Fewer than eight bytes are no chunk: leftovers of padding.
        while at + 8 <= end.min(self.bytes.len()) {
            let chunk = chunk_at(self.bytes, at, end)?;
            at = chunk.whole.end;
            self.chunk(&chunk)?;
        }
        if self.animated() && (!self.animation || self.frames == 0) {
            return Err(CodecError::damaged(NAME, "an animation without frames"));
        }
        if !self.animated() && !self.picture {
            return Err(CodecError::damaged(NAME, "it has no picture"));
        }
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk) -> Result<(), CodecError> {
        let extended = self.extended.is_some();
        match &chunk.kind {
            b"ICCP" if extended && self.profile.is_none() => {
                self.profile = Some(chunk.data.clone());
                if self.keep_profile {
                    keep(&mut self.body, chunk);
                }
            }
            b"ANIM" if self.animated() && !self.animation => {
                self.animation = true;
                keep(&mut self.body, chunk);
            }
            b"ANMF" if self.animated() => self.frame(chunk)?,
            b"ALPH" if extended && !self.animated() && !self.picture => keep(&mut self.body, chunk),
            b"VP8 " | b"VP8L" if !self.animated() && !self.picture => {
                self.picture = true;
                if bitstream_size(self.bytes, chunk)? != (self.width, self.height) {
                    return Err(CodecError::damaged(NAME, "the picture is not the size the header says"));
                }
                keep(&mut self.body, chunk);
            }
            b"EXIF" if extended && self.orientation.is_none() => {
                let block = self.bytes.get(chunk.data.clone()).unwrap_or_default();
                self.orientation = Some(orientation::from_exif(block));
                self.metadata |= FLAG_EXIF;
            }
            b"XMP " => self.metadata |= FLAG_XMP,
            _ => {}
        }
        Ok(())
    }

    /// One frame: sixteen bytes of where and how long, then chunks of its own.
    fn frame(&mut self, frame: &Chunk) -> Result<(), CodecError> {
        let start = frame.data.start;
        let (Some(x), Some(y), Some(width), Some(height), true) = (
            le24(self.bytes, start),
            le24(self.bytes, start + 3),
            le24(self.bytes, start + 6),
            le24(self.bytes, start + 9),
            frame.data.len() > 16,
        ) else {
            return Err(CodecError::truncated(NAME));
        };
        let (width, height) = (width + 1, height + 1);
        if 2 * x + width > self.width || 2 * y + height > self.height {
            return Err(CodecError::damaged(NAME, "a frame lies outside of the image"));
        }
        self.frames = self.frames.saturating_add(1);
        self.frame_pixels = self.frame_pixels.saturating_add(area(width, height));
        let mut inner = Pieces::default();
        inner.keep(start..start + 16);
        let mut picture = false;
        let mut at = start + 16;
        while at + 8 <= frame.data.end {
            let chunk = chunk_at(self.bytes, at, frame.data.end)?;
            at = chunk.whole.end;
            match &chunk.kind {
                b"ALPH" if !picture => keep(&mut inner, &chunk),
                b"VP8 " | b"VP8L" if !picture => {
                    picture = true;
                    if bitstream_size(self.bytes, &chunk)? != (width, height) {
                        return Err(CodecError::damaged(NAME, "a frame is not the size its header says"));
                    }
                    keep(&mut inner, &chunk);
                }
                _ => {}
            }
        }
        if !picture {
            return Err(CodecError::damaged(NAME, "a frame without a picture"));
        }
        if inner.len() == frame.data.len() {
            keep(&mut self.body, frame);
        } else {
            self.body.insert(chunk_header(b"ANMF", inner.len()));
            self.body.append(inner);
        }
        Ok(())
    }

    fn finish(mut self, fault: Option<CodecError>) -> Walked {
        let turn = self.orientation.unwrap_or(Orientation::NoTransforms);
        if turn != Orientation::NoTransforms {
            let block = orientation::minimal_exif(turn);
            self.body.insert([&chunk_header(b"EXIF", block.len())[..], &block].concat());
        }
        let pixels = area(self.width, self.height);
        let animated = self.animated();
        // The decoder insists on metadata that the header promises; encoders forget the flags when they strip it.
        let promised = self.extended.as_ref().map_or(0, |extended| extended.flags & (FLAG_EXIF | FLAG_XMP));
        let irregular = promised & !self.metadata != 0;
        let header = self.extended.as_ref().map(|extended| {
            let mut data = self.bytes.get(extended.data.start..extended.data.start + 10).unwrap_or_default().to_vec();
            let mut flags = extended.flags & (FLAG_ALPHA | FLAG_ANIMATION);
            flags |= if self.keep_profile && self.profile.is_some() { FLAG_PROFILE } else { 0 };
            flags |= if turn == Orientation::NoTransforms { 0 } else { FLAG_EXIF };
            if let Some(first) = data.first_mut() {
                *first = flags;
            }
            [&chunk_header(b"VP8X", 10)[..], &data].concat()
        });
        let mut pieces = Pieces::default();
        let header = header.unwrap_or_default();
        let size = u32::try_from(4 + header.len() + self.body.len()).unwrap_or(u32::MAX);
        pieces.insert([b"RIFF", &size.to_le_bytes()[..], b"WEBP", &header].concat());
        pieces.append(self.body);
        let (pieces, fault) = match (pieces.finish(), fault) {
            (Ok(pieces), fault) => (pieces, fault),
            (Err(error), fault) => (Vec::new(), fault.or(Some(error))),
        };
        // Lossless without alpha is the dearest still: four channels in, three out. A lossy one holds its planes (1.5)
        // and alpha (1) beside the picture. An animation holds canvas, frame and picture.
        let bytes_a_pixel = if animated { 4 + 4 + 4 + 2 } else { 4 + 4 };
        Walked {
            width: self.width,
            height: self.height,
            frames: self.frames.max(1),
            frame_pixels: self.frame_pixels,
            orientation: turn,
            profile: self.profile.into_iter().collect(),
            peak_bytes: pixels.saturating_mul(bytes_a_pixel).saturating_add(1024 * 1024),
            pieces,
            irregular,
            fault,
        }
    }
}

/// Keeps a chunk, with a pad byte where its own is missing.
fn keep(pieces: &mut Pieces, chunk: &Chunk) {
    pieces.keep(chunk.whole.clone());
    if !chunk.whole.len().is_multiple_of(2) {
        pieces.insert([0]);
    }
}

/// The name and length of a chunk.
fn chunk_header(kind: &[u8; 4], length: usize) -> [u8; 8] {
    let [a, b, c, d] = *kind;
    let [e, f, g, h] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [a, b, c, d, e, f, g, h]
}
