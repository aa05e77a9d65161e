//! What HEVC data says about itself before it is decoded: the decoder's record, the sequence parameter set, and how many slices follow
//! (ITU-T H.265, sections 7.3 and E.2; ISO/IEC 14496-15, section 8.3.3).

use std::ops::Range;

use super::super::super::error::CodecError;
use super::boxes::Fields;
use super::sequence::{Bits, Cicp, Sequence};

const NAME: &str = "HEIC";

/// Parameter sets of a picture: one of each of three kinds is what encoders write.
const MAX_SETS: usize = 16;

/// Slices of one picture, and pixels times slices: the decoder goes through a whole picture for each that says so.
const MAX_SLICES: u64 = 200;
const MAX_SLICE_PIXELS: u64 = 1_000_000_000;

/// What a decoder needs to know of one picture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hevc {
    /// Where its parameter sets lie in the file.
    pub(crate) sets: Vec<Range<usize>>,
    /// Bytes in front of each unit of data, that say how long it is.
    pub(crate) length_bytes: usize,
    /// The picture before it is cut to its size.
    pub(crate) coded_width: u32,
    pub(crate) coded_height: u32,
}

impl Hevc {
    /// The units of a picture's data that a decoder needs: its slices.
    pub(crate) fn slices<'a>(&self, data: &'a [u8]) -> impl Iterator<Item = Result<&'a [u8], CodecError>> {
        let mut fields = Fields::new(data, 0..data.len());
        let length_bytes = self.length_bytes;
        let units = std::iter::from_fn(move || {
            if fields.rest().is_empty() {
                return None;
            }
            let unit = fields
                .number(length_bytes)
                .and_then(|length| fields.take(usize::try_from(length).unwrap_or(usize::MAX)));
            if unit.is_err() {
                fields = Fields::new(&[], 0..0);
            }
            Some(unit)
        });
        units.filter(|unit| unit.as_ref().map_or(true, |unit| matches!(kind(unit), Some(0..32))))
    }
}

/// The kind of a unit of the one layer that is a picture.
fn kind(unit: &[u8]) -> Option<u8> {
    match unit {
        [first, second, ..] if first & 1 == 0 && second >> 3 == 0 => Some(first >> 1 & 63),
        _ => None,
    }
}

/// Whether a unit is one. The decoder takes units behind marks, so one in the middle would make two of it, of which the second has not
/// been looked at.
fn whole(unit: &[u8]) -> Result<(), CodecError> {
    if unit.windows(3).any(|window| matches!(window, [0, 0, 0..=2])) {
        return Err(damaged("a unit of its data is not one"));
    }
    Ok(())
}

fn damaged(cause: impl std::fmt::Display) -> CodecError {
    CodecError::damaged(NAME, cause)
}

fn too_complex(what: &'static str, got: u64, max: u64) -> CodecError {
    CodecError::TooComplex { format: NAME, what: what.into(), got, max }
}

/// Reads the decoder's record of an item, the sequence parameter set in it, and goes through the item's data.
///
/// # Errors
/// [`CodecError`]: something is missing, there is more than one sequence, or decoding would take more than the size explains.
pub(super) fn read(file: &[u8], mut record: Fields<'_>, data: &[u8]) -> Result<(Sequence, Hevc), CodecError> {
    let head = record.take(23)?;
    let (length_bytes, arrays) =
        (usize::from(head.get(21).copied().unwrap_or(0) & 3) + 1, head.last().copied().unwrap_or(0));
    let mut sets: [Vec<Range<usize>>; 3] = Default::default();
    for _ in 0..arrays {
        record.take(1)?;
        for _ in 0..record.small(2)? {
            let length = record.small(2)? as usize;
            let start = record.at;
            let unit = record.take(length)?;
            let place = kind(unit).and_then(|kind| kind.checked_sub(32)).and_then(|at| sets.get_mut(usize::from(at)));
            let Some(place) = place else { continue };
            place.push(start..start + length);
            if sets.iter().map(Vec::len).sum::<usize>() > MAX_SETS {
                return Err(too_complex("parameter sets, or more", MAX_SETS as u64 + 1, MAX_SETS as u64));
            }
        }
    }
    // Which of several the data means would be known only by reading all that the decoder reads.
    let set = match &sets {
        [_, one, _] if one.len() == 1 => one.first().and_then(|range| file.get(range.clone())).unwrap_or_default(),
        [_, none, _] if none.is_empty() => return Err(damaged("it has no sequence parameter set")),
        _ => return Err(CodecError::unsupported("HEIC of several sequences")),
    };
    for set in sets.iter().flatten() {
        whole(file.get(set.clone()).unwrap_or_default())?;
    }
    let set = Set::read(set)?;
    let hevc = Hevc { sets: sets.concat(), length_bytes, coded_width: set.coded.0, coded_height: set.coded.1 };
    let mut slices = 0_u64;
    for slice in hevc.slices(data) {
        whole(slice?)?;
        slices += 1;
    }
    let pixels = u64::from(set.coded.0) * u64::from(set.coded.1);
    let max = MAX_SLICES.min(MAX_SLICE_PIXELS / pixels.max(1)).max(1);
    if slices > max {
        return Err(too_complex("slices", slices, max));
    }
    Ok((Sequence { frames: u32::try_from(slices).unwrap_or(u32::MAX), ..set.sequence }, hevc))
}

/// What a sequence parameter set says.
#[derive(Debug)]
struct Set {
    /// With the size that is shown.
    sequence: Sequence,
    /// The size that is coded.
    coded: (u32, u32),
    /// Bits of the numbers that pictures are counted with.
    counting: u32,
}

impl Set {
    fn read(unit: &[u8]) -> Result<Self, CodecError> {
        let payload = payload(unit);
        let mut bits = Bits::new(&payload);
        let mut set = size(&mut bits).ok_or_else(|| damaged("its sequence parameter set is broken"))?;
        let Sequence { width, height, depth, .. } = set.sequence;
        if width == 0 || height == 0 || set.coded.0 > 65_535 || set.coded.1 > 65_535 {
            return Err(damaged("its sequence parameter set has an impossible size"));
        }
        if !(8..=16).contains(&depth) {
            return Err(CodecError::unsupported(format!("HEIC of {depth} bits, or of two depths")));
        }
        // What it says of colour stands last, and need not be there.
        set.sequence.colour = colour(&mut bits, set.counting).unwrap_or(UNKNOWN);
        Ok(set)
    }
}

/// What is meant where nothing is said.
const UNKNOWN: Cicp = Cicp { primaries: 2, transfer: 2, matrix: 2, full_range: false };

/// The bytes of a unit behind its header, without those that only keep others apart.
fn payload(unit: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let mut payload = Vec::with_capacity(unit.len());
    for &byte in unit.get(2..).unwrap_or_default() {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        payload.push(byte);
    }
    payload
}

/// `seq_parameter_set_rbsp()`, as far as sizes go.
fn size(bits: &mut Bits<'_>) -> Option<Set> {
    bits.skip(4)?;
    let layers = bits.number(3)?;
    bits.skip(1)?;
    profile(bits, layers)?;
    bits.exponential()?;
    let chroma = bits.exponential()?;
    if chroma > 3 || chroma == 3 && bits.bit()? {
        // Planes coded as pictures of their own: nobody writes them, and the decoder does not read them.
        return None;
    }
    let coded = (bits.exponential()?, bits.exponential()?);
    let halved = (matches!(chroma, 1 | 2), chroma == 1);
    let mut shown = coded;
    if bits.bit()? {
        let unit = |halved: bool| if halved { 2 } else { 1 };
        let mut cut = |side: u32, unit: u32| {
            let edges = bits.exponential()?.checked_add(bits.exponential()?)?;
            side.checked_sub(edges.checked_mul(unit)?)
        };
        shown = (cut(coded.0, unit(halved.0))?, cut(coded.1, unit(halved.1))?);
    }
    let (luma, differences) = (bits.exponential()?, bits.exponential()?);
    let depth = if luma == differences || chroma == 0 { luma.checked_add(8)? } else { 0 };
    let order = bits.exponential()?;
    let each = bits.bit()?;
    for _ in 0..if each { layers + 1 } else { 1 } {
        for _ in 0..3 {
            bits.exponential()?;
        }
    }
    bits.exponential()?;
    bits.exponential()?;
    let sequence =
        Sequence { width: shown.0, height: shown.1, depth, grey: chroma == 0, halved, colour: UNKNOWN, frames: 0 };
    Some(Set { sequence, coded, counting: order.checked_add(4)? })
}

/// `profile_tier_level()`.
fn profile(bits: &mut Bits<'_>, layers: u32) -> Option<()> {
    bits.skip(2 + 1 + 5 + 32 + 48 + 8)?;
    let present = (0..layers).map(|_| Some((bits.bit()?, bits.bit()?))).collect::<Option<Vec<_>>>()?;
    if layers > 0 {
        bits.skip(2 * (8 - layers))?;
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    Some(())
}

/// The rest of it, up to what it says of colour; `None` when it says nothing.
fn colour(bits: &mut Bits<'_>, counting: u32) -> Option<Cicp> {
    for _ in 0..4 {
        bits.exponential()?;
    }
    if bits.bit()? && bits.bit()? {
        scaling(bits)?;
    }
    bits.skip(2)?;
    if bits.bit()? {
        bits.skip(8)?;
        bits.exponential()?;
        bits.exponential()?;
        bits.skip(1)?;
    }
    references(bits)?;
    if bits.bit()? {
        for _ in 0..bits.exponential()?.min(64) {
            bits.skip(counting.checked_add(1)?)?;
        }
    }
    bits.skip(2)?;
    if !bits.bit()? {
        return None;
    }
    // The shape of pixels, and how much of the picture may be hidden.
    if bits.bit()? && bits.number(8)? == 255 {
        bits.skip(32)?;
    }
    if bits.bit()? {
        bits.skip(1)?;
    }
    if !bits.bit()? {
        return None;
    }
    bits.skip(3)?;
    let full_range = bits.bit()?;
    if !bits.bit()? {
        return Some(Cicp { full_range, ..UNKNOWN });
    }
    let mut number = || bits.number(8).and_then(|number| u16::try_from(number).ok());
    Some(Cicp { primaries: number()?, transfer: number()?, matrix: number()?, full_range })
}

/// `scaling_list_data()`.
fn scaling(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4_u32 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !bits.bit()? {
                bits.exponential()?;
                continue;
            }
            // The first of the larger ones stands by itself.
            let count = 64.min(1 << (4 + 2 * size)) + u32::from(size > 1);
            for _ in 0..count {
                bits.exponential()?;
            }
        }
    }
    Some(())
}

/// `st_ref_pic_set()`, each: of no use to a still, and in the way all the same.
fn references(bits: &mut Bits<'_>) -> Option<()> {
    let mut before = 0_u32;
    for at in 0..bits.exponential()?.min(64) {
        if at > 0 && bits.bit()? {
            bits.skip(1)?;
            bits.exponential()?;
            let mut count = 0;
            for _ in 0..=before {
                if bits.bit()? || bits.bit()? {
                    count += 1;
                }
            }
            before = count;
        } else {
            let count = bits.exponential()?.checked_add(bits.exponential()?)?;
            for _ in 0..count {
                bits.exponential()?;
                bits.skip(1)?;
            }
            before = count;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What x265 writes for a picture of 61 by 47, which libheif fills up to 64 by 64: 4:2:0, 8 bits, BT.601 coefficients, all levels.
    const X265: [u8; 42] = [
        0x42, 0x01, 0x01, 0x03, 0x70, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x1e,
        0xa0, 0x20, 0x81, 0x05, 0x96, 0xea, 0xe4, 0xa6, 0xb9, 0xb8, 0x08, 0x68, 0x30, 0x20, 0x00, 0x00, 0x03, 0x00,
        0x20, 0x00, 0x00, 0x03, 0x00, 0x21,
    ];

    #[test]
    fn a_set_of_an_encoder_is_read_to_its_colours() {
        let set = Set::read(&X265).unwrap();
        assert_eq!(set.coded, (64, 64));
        let Sequence { width, height, depth, grey, halved, colour, .. } = set.sequence;
        assert_eq!((width, height, depth, grey, halved), (64, 64, 8, false, (true, true)));
        assert_eq!(colour, Cicp { primaries: 1, transfer: 13, matrix: 6, full_range: true });
        // Cut where its sizes are, it is broken; cut behind them, its colours are unknown.
        assert!(Set::read(&X265[..22]).is_err());
        assert_eq!(Set::read(&X265[..27]).unwrap().sequence.colour, UNKNOWN);
    }

    #[derive(Default)]
    struct Writer(Vec<u8>);

    impl Writer {
        fn bits(&mut self, value: u32, count: u32) {
            self.0.extend((0..count).rev().map(|at| u8::from(at < 32 && value >> at & 1 == 1)));
        }

        fn exponential(&mut self, values: &[u32]) {
            for value in values {
                let value = value + 1;
                self.bits(value, 2 * (32 - value.leading_zeros()) - 1);
            }
        }

        fn unit(self) -> Vec<u8> {
            let bytes =
                self.0.chunks(8).map(|bits| (0..8).fold(0, |byte, at| byte << 1 | bits.get(at).copied().unwrap_or(0)));
            [0x42, 1].into_iter().chain(bytes).collect()
        }
    }

    /// With all that may stand in front of the colours: two layers, a cut, lists, raw blocks, sets of references made of each other.
    fn laden(differences: u32) -> Vec<u8> {
        let mut set = Writer::default();
        set.bits(0b0000_0011, 8);
        set.bits(0xFFFF_FFFF, 8 + 32 + 48 + 8);
        set.bits(0b11, 2);
        set.bits(0, 14);
        set.bits(u32::MAX, 96);
        set.exponential(&[0, 1, 1920, 1088]);
        set.bits(1, 1);
        set.exponential(&[1, 2, 0, 4, 2, differences, 4]);
        set.bits(1, 1);
        set.exponential(&[4, 0, 0, 4, 0, 0]);
        set.exponential(&[0, 3, 0, 3, 1, 1]);
        set.bits(0b11, 2);
        for size in 0..4_u32 {
            for list in 0..if size == 3 { 2 } else { 6 } {
                set.bits(u32::from(list == 0), 1);
                let count = if list == 0 { 64.min(16 << (2 * size)) + u32::from(size > 1) } else { 1 };
                set.exponential(&vec![3; count as usize]);
            }
        }
        // Tools; raw blocks.
        set.bits(0b111, 3);
        set.bits(0x77, 8);
        set.exponential(&[0, 1]);
        set.bits(0, 1);
        // Two pictures before and one behind; and those shifted, but one of them.
        set.exponential(&[2, 2, 1]);
        for _ in 0..3 {
            set.exponential(&[0]);
            set.bits(1, 1);
        }
        set.bits(0b10, 2);
        set.exponential(&[0]);
        set.bits(0b1_0011, 5);
        // One picture kept for long, its number of eight bits.
        set.bits(1, 1);
        set.exponential(&[1]);
        set.bits(0b1_0101_0101, 9);
        set.bits(0b11, 2);
        // The colours, behind the shape of pixels.
        set.bits(0b11, 2);
        set.bits(255, 8);
        set.bits(7, 32);
        set.bits(0b11, 2);
        set.bits(0b11_0111, 6);
        for number in [9, 16, 9] {
            set.bits(number, 8);
        }
        set.bits(0, 32);
        set.unit()
    }

    #[test]
    fn colours_are_found_behind_everything_else() {
        let set = Set::read(&laden(2)).unwrap();
        assert_eq!((set.coded, set.sequence.width, set.sequence.height), ((1920, 1088), 1914, 1080));
        assert_eq!(set.sequence.depth, 10);
        assert_eq!(set.sequence.colour, Cicp { primaries: 9, transfer: 16, matrix: 9, full_range: true });
        assert!(matches!(Set::read(&laden(0)), Err(CodecError::Unsupported { .. })), "two depths");
    }
}
