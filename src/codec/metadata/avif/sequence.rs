//! What AV1 data says about itself before it is decoded: the sequence header, and how many frames follow
//! (AV1 Bitstream & Decoding Process Specification, sections 5.3 to 5.5).

use super::super::super::error::CodecError;
use super::NAME;

/// Numbers for colour of ITU-T H.273: primaries, transfer, matrix, and whether all levels are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cicp {
    pub(crate) primaries: u16,
    pub(crate) transfer: u16,
    pub(crate) matrix: u16,
    pub(crate) full_range: bool,
}

/// The sequence header of one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// The largest frame.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bits of a sample: 8, 10 or 12.
    pub(crate) depth: u32,
    pub(crate) grey: bool,
    /// Chroma has half the columns, and half the rows.
    pub(crate) halved: (bool, bool),
    pub(crate) colour: Cicp,
    /// Frames that are coded, shown or not.
    pub(crate) frames: u32,
}

/// Layers a picture may have, and frames its coding may take: what an encoder of stills needs is one or two a layer.
const MAX_FRAMES: u32 = 8;

impl Sequence {
    /// Looks at the header of every unit of data and reads the sequence header.
    ///
    /// # Errors
    /// [`CodecError`]: no header, two that differ, no frame, or more frames than a picture has use for.
    pub(crate) fn read(data: &[u8]) -> Result<Self, CodecError> {
        let mut found: Option<Self> = None;
        let mut frames = 0;
        for unit in Units(data) {
            let unit = unit?;
            match unit.kind {
                SEQUENCE_HEADER => {
                    let read =
                        header(unit.body).ok_or_else(|| CodecError::damaged(NAME, "a sequence header is broken"))?;
                    if found.is_some_and(|before| before != read) {
                        return Err(CodecError::damaged(NAME, "its sequence header changes"));
                    }
                    found = Some(read);
                }
                FRAME_HEADER | FRAME => frames += 1,
                _ => {}
            }
            if frames > MAX_FRAMES {
                return Err(CodecError::unsupported(format!("AVIF of more than {MAX_FRAMES} frames a picture")));
            }
        }
        match found {
            Some(found) if frames > 0 => Ok(Self { frames, ..found }),
            Some(_) => Err(CodecError::damaged(NAME, "it has no frame")),
            None => Err(CodecError::damaged(NAME, "it has no sequence header")),
        }
    }
}

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const TILE_GROUP: u8 = 4;
const FRAME: u8 = 6;
const REDUNDANT_FRAME_HEADER: u8 = 7;

/// The units that a decoder needs, in one piece: without metadata, padding, and what is reserved.
pub(crate) fn picture_units(data: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut picture = Vec::with_capacity(data.len());
    for unit in Units(data) {
        let unit = unit?;
        if matches!(
            unit.kind,
            SEQUENCE_HEADER | TEMPORAL_DELIMITER | FRAME_HEADER | TILE_GROUP | FRAME | REDUNDANT_FRAME_HEADER
        ) {
            picture.extend_from_slice(unit.whole);
        }
    }
    Ok(picture)
}

/// A unit: what it is, what it says, and all of it.
struct Unit<'a> {
    kind: u8,
    body: &'a [u8],
    whole: &'a [u8],
}

/// Unit after unit; ends at the first that is broken.
struct Units<'a>(&'a [u8]);

impl<'a> Iterator for Units<'a> {
    type Item = Result<Unit<'a>, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        let all = std::mem::take(&mut self.0);
        let (first, tail) = all.split_first()?;
        let (kind, extended, sized) = (first >> 3 & 15, first & 4 != 0, first & 2 != 0);
        let parts = tail.get(usize::from(extended)..).ok_or_else(|| CodecError::truncated(NAME));
        Some(parts.and_then(|tail| if sized { sized_unit(tail) } else { Ok((tail, &[][..])) }).map(|(body, rest)| {
            self.0 = rest;
            Unit { kind, body, whole: all.get(..all.len() - rest.len()).unwrap_or_default() }
        }))
    }
}

/// A unit behind its length, and what follows it.
fn sized_unit(data: &[u8]) -> Result<(&[u8], &[u8]), CodecError> {
    let mut length = 0_usize;
    for (at, &byte) in data.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            let rest = data.get(at + 1..).unwrap_or_default();
            return rest.split_at_checked(length).ok_or_else(|| CodecError::truncated(NAME));
        }
    }
    Err(CodecError::damaged(NAME, "a unit has an impossible length"))
}

/// Bits, from the top of each byte.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    pub(super) fn bit(&mut self) -> Option<bool> {
        let byte = self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    pub(super) fn number(&mut self, count: u32) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            number = number << 1 | u32::from(self.bit()?);
        }
        Some(number)
    }

    /// Passes over so many bits.
    #[cfg(feature = "heic")]
    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        self.at = self.at.checked_add(count as usize).filter(|&at| at <= self.data.len() * 8)?;
        Some(())
    }

    /// `ue(v)` of H.265: zeros, and as many bits behind them. `se(v)` is as long.
    #[cfg(feature = "heic")]
    pub(super) fn exponential(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
        }
        (zeros < 32).then_some(())?;
        (self.number(zeros)?).checked_add((1 << zeros) - 1)
    }

    /// `uvlc()`: as many bits as there are zeros in front.
    fn skip_variable(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
        }
        if zeros < 32 {
            self.number(zeros)?;
        }
        Some(())
    }
}

/// `sequence_header_obu()`.
fn header(unit: &[u8]) -> Option<Sequence> {
    let mut bits = Bits::new(unit);
    let profile = bits.number(3)?;
    bits.bit()?;
    let reduced = bits.bit()?;
    if reduced {
        bits.number(5)?;
    } else {
        operating_points(&mut bits)?;
    }
    let (width_bits, height_bits) = (bits.number(4)? + 1, bits.number(4)? + 1);
    let (width, height) = (bits.number(width_bits)? + 1, bits.number(height_bits)? + 1);
    if !reduced && bits.bit()? {
        bits.number(7)?;
    }
    bits.number(3)?;
    if !reduced {
        tools(&mut bits)?;
    }
    bits.number(3)?;
    let mut depth = if bits.bit()? { 10 } else { 8 };
    if profile == 2 && depth == 10 && bits.bit()? {
        depth = 12;
    }
    let grey = profile != 1 && bits.bit()?;
    let (primaries, transfer, matrix) =
        if bits.bit()? { (bits.number(8)?, bits.number(8)?, bits.number(8)?) } else { (2, 2, 2) };
    let identity = !grey && (primaries, transfer, matrix) == (1, 13, 0);
    let full_range = identity || bits.bit()?;
    let halved = match profile {
        _ if grey => (true, true),
        _ if identity => (false, false),
        0 => (true, true),
        1 => (false, false),
        _ if depth == 12 => {
            let columns = bits.bit()?;
            (columns, columns && bits.bit()?)
        }
        _ => (true, false),
    };
    let [primaries, transfer, matrix] = [primaries, transfer, matrix].map(|number| u16::try_from(number).unwrap_or(2));
    let colour = Cicp { primaries, transfer, matrix, full_range };
    Some(Sequence { width, height, depth, grey, halved, colour, frames: 0 })
}

/// Timing and operating points, of which nothing is of use here.
fn operating_points(bits: &mut Bits<'_>) -> Option<()> {
    let mut delay_bits = None;
    if bits.bit()? {
        bits.number(64)?;
        if bits.bit()? {
            bits.skip_variable()?;
        }
        if bits.bit()? {
            delay_bits = Some(bits.number(5)? + 1);
            bits.number(32 + 5 + 5)?;
        }
    }
    let delays = bits.bit()?;
    for _ in 0..=bits.number(5)? {
        bits.number(12)?;
        if bits.number(5)? > 7 {
            bits.bit()?;
        }
        if let Some(delay_bits) = delay_bits
            && bits.bit()?
        {
            bits.number(2 * delay_bits + 1)?;
        }
        if delays && bits.bit()? {
            bits.number(4)?;
        }
    }
    Some(())
}

/// Which tools a sequence of more than one still may use.
fn tools(bits: &mut Bits<'_>) -> Option<()> {
    bits.number(4)?;
    let ordered = bits.bit()?;
    if ordered {
        bits.number(2)?;
    }
    let screen_content = bits.bit()? || bits.bit()?;
    if screen_content && !bits.bit()? {
        bits.bit()?;
    }
    if ordered {
        bits.number(3)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reduced header as encoders of stills write it: profile 0, 100 by 60, 8 bits, 4:2:0, BT.709 with the curve of sRGB
    /// and BT.601 coefficients, all levels.
    fn reduced() -> Vec<u8> {
        let fields = [(0, 3), (1, 1), (1, 1), (0, 5), (6, 4), (5, 4), (99, 7), (59, 6), (0, 3), (0, 3)];
        let colour = [(0, 1), (0, 1), (1, 1), (1, 8), (13, 8), (6, 8), (1, 1), (0, 2), (0, 1), (0, 1), (1, 1)];
        let mut bits: Vec<u8> = Vec::new();
        for (value, count) in fields.into_iter().chain(colour) {
            bits.extend((0..count).rev().map(|at| u8::try_from(value >> at & 1_u32).unwrap()));
        }
        bits.resize(bits.len().next_multiple_of(8), 0);
        bits.chunks(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
    }

    fn unit(kind: u8, data: &[u8]) -> Vec<u8> {
        [&[kind << 3 | 2, u8::try_from(data.len()).unwrap()][..], data].concat()
    }

    #[test]
    fn a_still_is_read() {
        let data = [unit(2, &[]), unit(1, &reduced()), unit(6, &[0; 40])].concat();
        let colour = Cicp { primaries: 1, transfer: 13, matrix: 6, full_range: true };
        let want = Sequence { width: 100, height: 60, depth: 8, grey: false, halved: (true, true), colour, frames: 1 };
        assert_eq!(Sequence::read(&data), Ok(want));
        for cut in 0..data.len() {
            assert!(Sequence::read(&data[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn too_many_frames_and_changes_are_refused() {
        let header = unit(1, &reduced());
        let frames = |count| [header.clone(), unit(6, &[0]).repeat(count)].concat();
        assert!(Sequence::read(&frames(8)).is_ok());
        assert!(matches!(Sequence::read(&frames(9)), Err(CodecError::Unsupported { .. })));
        let mut other = reduced();
        other[2] ^= 0x10;
        let data = [header, unit(1, &other), unit(6, &[0])].concat();
        assert!(matches!(Sequence::read(&data), Err(CodecError::Damaged { .. })));
    }
}
