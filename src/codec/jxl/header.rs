//! The first fields of a JPEG XL file (ISO/IEC 18181-1, annex D): all that is to be known before its decoder sees a byte.

use super::super::budget::area;
use super::super::error::CodecError;
use super::super::metadata::{array, be32};
use super::NAME;

/// What a bare codestream begins with.
const MAGIC: [u8; 2] = [0xFF, 0x0A];

/// Bytes of the codestream that are looked at: more than the fields read here take.
const HEAD: usize = 4096;

/// Extra channels that are read. The format has room for 4112, and level 5 of its profiles for four.
const MAX_EXTRA: u32 = 16;

/// What the header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// Columns and rows as stored.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bits of a colour.
    pub(crate) depth: u32,
    /// Whether 16 bits are enough for whatever the decoder works out.
    pub(crate) short: bool,
    /// Channels beside three colours.
    pub(crate) extra: u32,
    pub(crate) alpha: bool,
    /// Lossy: in the colour space of the eye, or a JPEG in other words.
    pub(crate) lossy: bool,
}

impl Header {
    /// Reads it: from a bare codestream, or from one in boxes.
    ///
    /// # Errors
    /// [`CodecError::Damaged`] when it is cut off or makes no sense; [`CodecError::Unsupported`] past [`MAX_EXTRA`].
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, CodecError> {
        let (codestream, recompressed) = codestream(bytes)?;
        let mut bits = Bits { data: codestream.get(MAGIC.len()..).unwrap_or_default(), at: 0 };
        let mut header = header(&mut bits).ok_or_else(|| CodecError::truncated(NAME))?;
        if header.extra > MAX_EXTRA {
            let extra = header.extra;
            return Err(CodecError::unsupported(format!(
                "JPEG XL of {extra} extra channels (at most {MAX_EXTRA} are read)"
            )));
        }
        if !channels(&mut bits, &mut header).ok_or_else(|| CodecError::truncated(NAME))? {
            return Err(CodecError::damaged(NAME, "an extra channel makes no sense"));
        }
        header.lossy |= recompressed;
        Ok(header)
    }

    /// Samples of the picture: its pixels times its channels.
    pub(crate) fn samples(&self) -> u64 {
        area(self.width, self.height).saturating_mul(3 + u64::from(self.extra))
    }

    /// An upper estimate of what decoding a file of this length holds, itself not counted.
    ///
    /// Measured at 12 MP, beside the result and the file: 1.3 bytes a pixel (lossy) to 2.5 (lossless in one piece) for three channels of
    /// 8 bits, 6 for four of 16, where a whole picture of 2 or 4 bytes a sample is counted here. What the decoder reads is copied once.
    pub(crate) fn peak_bytes(&self, length: usize) -> u64 {
        let channels = if self.extra > 0 { 4 } else { 3 };
        let result = area(self.width, self.height).saturating_mul(channels * if self.depth > 8 { 2 } else { 1 });
        let decoder = self.samples().saturating_mul(if self.short && self.depth <= 8 { 2 } else { 4 });
        result.saturating_add(decoder).saturating_add(length as u64).saturating_add(8 * 1024 * 1024)
    }
}

/// The beginning of the codestream: of the whole file, or of what lies in its boxes (ISO/IEC 18181-2), `jxlc` in one piece and `jxlp`
/// in several; and whether it is a JPEG in other words.
fn codestream(bytes: &[u8]) -> Result<(Vec<u8>, bool), CodecError> {
    let mut joined = Vec::new();
    let mut recompressed = false;
    if bytes.starts_with(&MAGIC) {
        joined.extend(bytes.iter().take(HEAD));
        return Ok((joined, recompressed));
    }
    let mut at = 0_usize;
    while joined.len() < HEAD
        && let (Some(size), Some(kind)) = (be32(bytes, at), array::<4>(bytes, at + 4))
    {
        let (head, length) = match size {
            0 => (8, bytes.len() - at),
            1 => {
                let size = array(bytes, at + 8).map(u64::from_be_bytes).ok_or_else(|| CodecError::truncated(NAME))?;
                (16, usize::try_from(size).unwrap_or(usize::MAX))
            }
            size => (8, size as usize),
        };
        if length < head {
            return Err(CodecError::damaged(NAME, "a box has an impossible length"));
        }
        // A box that is cut off gives what there is of it: a header can be read from less than all.
        let end = at.saturating_add(length).min(bytes.len());
        let body = bytes.get(at + head..end).unwrap_or_default();
        let part = match &kind {
            b"jxlc" => body,
            // Behind the number of the part.
            b"jxlp" => body.get(4..).unwrap_or_default(),
            b"jbrd" => {
                recompressed = true;
                &[]
            }
            _ => &[],
        };
        joined.extend(part.iter().take(HEAD - joined.len()));
        if &kind == b"jxlc" {
            break;
        }
        at = end;
    }
    if joined.starts_with(&MAGIC) { Ok((joined, recompressed)) } else { Err(CodecError::truncated(NAME)) }
}

/// Bits, from the bottom of each byte.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn number(&mut self, count: u32) -> Option<u32> {
        let mut number = 0;
        for bit in 0..count {
            let byte = self.data.get(self.at / 8)?;
            number |= u32::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(number)
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.number(1)? == 1)
    }

    /// One of four ranges, each a least number and bits to be added to it.
    fn ranged(&mut self, ranges: [(u32, u32); 4]) -> Option<u32> {
        let (least, bits) = *ranges.get(self.number(2)? as usize)?;
        least.checked_add(self.number(bits)?)
    }
}

/// Columns and rows: rows, and columns by a ratio or by themselves; in eights where both are few.
fn size(bits: &mut Bits<'_>, eights: [(u32, u32); 4], sides: [(u32, u32); 4], plain: bool) -> Option<(u32, u32)> {
    let small = bits.flag()?;
    let side = |bits: &mut Bits<'_>| match (small, plain) {
        (true, true) => Some((bits.number(5)? + 1) * 8),
        (true, false) => Some(bits.ranged(eights)? * 8),
        (false, _) => bits.ranged(sides),
    };
    let height = side(bits)?;
    let (over, under) = match bits.number(3)? {
        1 => (1, 1),
        2 => (12, 10),
        3 => (4, 3),
        4 => (3, 2),
        5 => (16, 9),
        6 => (5, 4),
        7 => (2, 1),
        _ => return Some((side(bits)?, height)),
    };
    let width = u64::from(height) * over / under;
    Some((u32::try_from(width).unwrap_or(u32::MAX), height))
}

fn picture_size(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    size(bits, [(0, 0); 4], [(1, 9), (1, 13), (1, 18), (1, 30)], true)
}

/// Bits of a sample.
fn depth(bits: &mut Bits<'_>) -> Option<u32> {
    if bits.flag()? {
        let depth = bits.ranged([(32, 0), (16, 0), (24, 0), (1, 6)])?;
        bits.number(4)?;
        return Some(depth);
    }
    bits.ranged([(8, 0), (10, 0), (12, 0), (1, 6)])
}

/// All up to the extra channels.
fn header(bits: &mut Bits<'_>) -> Option<Header> {
    let (width, height) = picture_size(bits)?;
    if bits.flag()? {
        return Some(Header { width, height, depth: 8, short: true, lossy: true, ..Header::default() });
    }
    if bits.flag()? {
        bits.number(3)?;
        if bits.flag()? {
            picture_size(bits)?;
        }
        if bits.flag()? {
            size(bits, [(16, 0), (32, 0), (1, 5), (33, 9)], [(1, 6), (65, 8), (321, 10), (1345, 12)], false)?;
        }
        if bits.flag()? {
            bits.ranged([(100, 0), (1000, 0), (1, 10), (1, 30)])?;
            bits.ranged([(1, 0), (1001, 0), (1, 8), (1, 10)])?;
            bits.ranged([(0, 0), (0, 3), (0, 16), (0, 32)])?;
            bits.flag()?;
        }
    }
    let depth = depth(bits)?;
    let short = bits.flag()?;
    let extra = bits.ranged([(0, 0), (1, 0), (2, 4), (1, 12)])?;
    // Whether it is lossy stands behind the extra channels, which nothing but the default has none of here.
    Some(Header { width, height, depth, short, extra, alpha: false, lossy: false })
}

/// The extra channels, and the bit behind them; `Some(false)` for numbers that cannot be. Nothing where the header was the default.
fn channels(bits: &mut Bits<'_>, header: &mut Header) -> Option<bool> {
    if header.lossy {
        return Some(true);
    }
    for _ in 0..header.extra {
        if bits.flag()? {
            header.alpha = true;
            continue;
        }
        let kind = bits.ranged([(0, 0), (1, 0), (2, 4), (18, 6)])?;
        depth(bits)?;
        bits.ranged([(0, 0), (3, 0), (4, 0), (1, 3)])?;
        let letters = bits.ranged([(0, 0), (0, 4), (16, 5), (48, 10)])?;
        for _ in 0..letters {
            bits.number(8)?;
        }
        match kind {
            0 => {
                header.alpha = true;
                bits.flag()?;
            }
            // A spot colour: four numbers of 16 bits.
            2 => {
                bits.number(32)?;
                bits.number(32)?;
            }
            5 => {
                bits.ranged([(1, 0), (0, 2), (3, 4), (19, 8)])?;
            }
            1 | 3 | 4 | 6..=18 => {}
            _ => return Some(false),
        }
    }
    header.lossy = bits.flag()?;
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields of a header, bottom bits first, behind the magic.
    fn fields(fields: &[(u32, u32)]) -> Vec<u8> {
        let bits: Vec<u8> = fields
            .iter()
            .flat_map(|&(value, count)| (0..count).map(move |at| u8::from(value >> at & 1 == 1)))
            .collect();
        let packed = bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, bit| byte << 1 | bit));
        MAGIC.into_iter().chain(packed).collect()
    }

    #[test]
    fn sizes_are_read() {
        for (bits, size) in [
            (&[(1, 1), (4, 5), (1, 3), (1, 1)][..], (40, 40)),
            (&[(1, 1), (4, 5), (0, 3), (9, 5), (1, 1)][..], (80, 40)),
            (&[(0, 1), (1, 2), (1079, 13), (5, 3), (1, 1)][..], (1920, 1080)),
            (&[(0, 1), (3, 2), (99_999, 30), (0, 3), (0, 2), (4, 9), (1, 1)][..], (5, 100_000)),
        ] {
            let bare = fields(bits);
            let read = |bytes: &[u8]| Header::read(bytes).map(|header| (header.width, header.height, header.lossy));
            assert_eq!(read(&bare), Ok((size.0, size.1, true)));
            assert!(read(&bare[..3]).is_err());
            // In boxes, whose parts need not be cut where anything ends.
            let boxed = |kind: &[u8], data: &[u8]| {
                let length = u32::try_from(data.len() + 8).unwrap().to_be_bytes();
                [&length[..], kind, data].concat()
            };
            let signature = &b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a"[..];
            assert_eq!(read(&[signature, &boxed(b"jxlc", &bare)].concat()), Ok((size.0, size.1, true)));
            let part = |data: &[u8]| boxed(b"jxlp", &[&[0; 4], data].concat());
            assert_eq!(read(&[signature, &part(&bare[..1]), &part(&bare[1..])].concat()), Ok((size.0, size.1, true)));
        }
    }

    #[test]
    fn too_many_channels_are_refused_by_number() {
        let head = [(1, 1), (4, 5), (1, 3), (0, 1), (0, 1), (0, 1), (0, 2), (1, 1), (3, 2), (4095, 12)];
        let refused = Header::read(&fields(&head)).unwrap_err();
        assert_eq!(refused.to_string(), "JPEG XL of 4096 extra channels (at most 16 are read) is not supported");
    }
}
