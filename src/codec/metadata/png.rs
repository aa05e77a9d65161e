//! Walks a PNG or APNG file from chunk to chunk (PNG third edition, W3C 2025).
//!
//! Kept: what makes up the picture and how it is to look. Everything else goes: text, EXIF, time, unknown and private
//! chunks, and what follows the end.

use std::ops::Range;

use super::super::budget::area;
use super::super::error::CodecError;
use super::super::orientation::{self, Orientation};
use super::{Pieces, Walked, be32};

const NAME: &str = "PNG";
const SIGNATURE_BYTES: usize = 8;
/// Length, type and checksum.
const CHUNK_OVERHEAD: usize = 12;

/// Chunks that are part of the picture or of its colour, animation chunks and the profile aside.
const KEPT: [&[u8; 4]; 14] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"pHYs", b"cICP",
    b"mDCV", b"cLLI",
];

/// What a walk of a PNG says beyond any container.
#[derive(Debug)]
pub(crate) struct Png {
    pub(crate) walked: Walked,
    /// Pictures to decode: the frames, and the default image where that is no frame.
    pub(crate) images: u32,
}

/// Walks the file. Without `keep_profile` the colour profile goes too.
///
/// # Errors
/// [`CodecError::Damaged`] or [`CodecError::Unsupported`] when the header is unusable; what is wrong behind it is the
/// `fault` of the result.
pub(crate) fn walk(bytes: &[u8], keep_profile: bool) -> Result<Png, CodecError> {
    let header = Header::read(bytes)?;
    let mut walker =
        Walker { bytes, keep_profile, head: Pieces::default(), body: Pieces::default(), ..Walker::default() };
    let fault = walker.run(&header).err();
    Ok(walker.finish(&header, fault))
}

struct Header {
    width: u32,
    height: u32,
    bit_depth: u8,
    colour_type: u8,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.get(SIGNATURE_BYTES + 4..SIGNATURE_BYTES + 8) != Some(b"IHDR") {
            let what = match bytes.get(SIGNATURE_BYTES + 4..SIGNATURE_BYTES + 8) {
                // Apple's build tools write this in front; the data behind it is no zlib stream.
                Some(b"CgBI") => return Err(CodecError::unsupported("PNG optimised for iOS")),
                Some(_) => "it does not begin with its header",
                None => return Err(CodecError::truncated(NAME)),
            };
            return Err(CodecError::damaged(NAME, what));
        }
        let (Some(width), Some(height), Some(&bit_depth), Some(&colour_type)) =
            (be32(bytes, 16), be32(bytes, 20), bytes.get(24), bytes.get(25))
        else {
            return Err(CodecError::truncated(NAME));
        };
        if width == 0 || height == 0 {
            return Err(CodecError::damaged(NAME, format_args!("it is {width} by {height} pixels")));
        }
        Ok(Self { width, height, bit_depth, colour_type })
    }
}

#[derive(Default)]
struct Walker<'a> {
    bytes: &'a [u8],
    keep_profile: bool,
    /// The animation chunk before the first image data, and how many frames it promises.
    promised: Option<u32>,
    frames: u32,
    frame_pixels: u64,
    /// A frame control chunk came before the image data: the default image is the first frame.
    default_is_frame: bool,
    seen_data: bool,
    transparency: bool,
    orientation: Option<Orientation>,
    profile: Option<Range<usize>>,
    /// Signature and header, then the rest: the orientation goes in between.
    head: Pieces,
    body: Pieces,
}

impl Walker<'_> {
    fn run(&mut self, header: &Header) -> Result<(), CodecError> {
        self.head.keep(0..SIGNATURE_BYTES);
        let mut at = SIGNATURE_BYTES;
        loop {
            let (Some(length), Some(kind)) = (be32(self.bytes, at), super::array::<4>(self.bytes, at + 4)) else {
                return Err(CodecError::truncated(NAME));
            };
            let end = at + CHUNK_OVERHEAD + length as usize;
            let data = at + 8..end - 4;
            if end > self.bytes.len() {
                return Err(CodecError::truncated(NAME));
            }
            self.chunk(header, &kind, at..end, data)?;
            if &kind == b"IEND" {
                return self.check_complete();
            }
            at = end;
        }
    }

    fn chunk(
        &mut self,
        header: &Header,
        kind: &[u8; 4],
        whole: Range<usize>,
        data: Range<usize>,
    ) -> Result<(), CodecError> {
        match kind {
            b"IHDR" => {
                if whole.start != SIGNATURE_BYTES {
                    return Err(CodecError::damaged(NAME, "two headers"));
                }
                self.head.keep(whole);
            }
            b"acTL" if !self.seen_data && self.promised.is_none() => {
                self.promised = be32(self.bytes, data.start);
                self.body.keep(whole);
            }
            b"fcTL" if self.promised.is_some() => {
                self.default_is_frame |= !self.seen_data;
                self.frames = self.frames.saturating_add(1);
                let (width, height) = (be32(self.bytes, data.start + 4), be32(self.bytes, data.start + 8));
                let (width, height) = (width.unwrap_or(0), height.unwrap_or(0));
                if width > header.width || height > header.height {
                    return Err(CodecError::damaged(NAME, "a frame is larger than the image"));
                }
                self.frame_pixels = self.frame_pixels.saturating_add(area(width, height));
                self.body.keep(whole);
            }
            b"fdAT" if self.promised.is_some() => self.body.keep(whole),
            b"iCCP" if self.profile.is_none() => {
                self.profile = Some(data);
                if self.keep_profile {
                    self.body.keep(whole);
                }
            }
            b"eXIf" if self.orientation.is_none() => {
                self.orientation = Some(orientation::from_exif(self.bytes.get(data).unwrap_or_default()));
            }
            _ if KEPT.contains(&kind) => {
                self.seen_data |= kind == b"IDAT";
                self.transparency |= kind == b"tRNS";
                self.body.keep(whole);
            }
            // A capital first letter, or what is none but has its bit: no decoder may show the picture without knowing the chunk.
            [first, ..] if first & 0x20 == 0 => {
                let kind = kind.escape_ascii();
                return Err(CodecError::damaged(NAME, format_args!("an unknown critical chunk {kind}")));
            }
            _ => {}
        }
        Ok(())
    }

    fn check_complete(&self) -> Result<(), CodecError> {
        if !self.seen_data {
            return Err(CodecError::damaged(NAME, "it has no image data"));
        }
        match self.promised {
            Some(promised) if promised != self.frames => Err(CodecError::damaged(
                NAME,
                format_args!("the animation promises {promised} frames and holds {}", self.frames),
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn finish(mut self, header: &Header, fault: Option<CodecError>) -> Png {
        let turn = self.orientation.unwrap_or(Orientation::NoTransforms);
        if turn != Orientation::NoTransforms {
            self.head.insert(chunk(b"eXIf", &orientation::minimal_exif(turn)));
        }
        self.head.append(self.body);
        let pixels = area(header.width, header.height);
        let channels = match header.colour_type {
            0 => 1 + u64::from(self.transparency),
            2 | 3 => 3 + u64::from(self.transparency),
            4 => 2,
            _ => 4,
        };
        let picture = pixels.saturating_mul(channels);
        let turned = if orientation::swaps_sides(turn) { picture } else { 0 };
        // A few rows at the stored depth, and the window of the compression with its output buffer.
        let rows = u64::from(header.width) * channels * u64::from(header.bit_depth.div_ceil(8)) * 8 + 1024 * 1024;
        let frames = self.frames.max(1);
        let (pieces, fault) = match (self.head.finish(), fault) {
            (Ok(pieces), fault) => (pieces, fault),
            (Err(error), fault) => (Vec::new(), fault.or(Some(error))),
        };
        Png {
            images: if self.default_is_frame || self.frames == 0 { frames } else { self.frames.saturating_add(1) },
            walked: Walked {
                width: header.width,
                height: header.height,
                frames,
                frame_pixels: self.frame_pixels,
                orientation: turn,
                profile: self.profile.into_iter().collect(),
                peak_bytes: picture.saturating_add(turned).saturating_add(rows),
                pieces,
                irregular: false,
                fault,
            },
        }
    }
}

/// A whole chunk of this type and data.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(kind);
    checksum.update(data);
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), &kind[..], data, &checksum.finalize().to_be_bytes()].concat()
}
