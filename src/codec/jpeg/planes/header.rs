//! What stands between the scans: frame header, tables, scan headers (ITU-T T.81 annex B).

use super::Declined;
use super::huffman::Code;
use crate::codec::metadata::be16;

/// The place of each coefficient of a block, row by row, in the order in which they are coded (T.81 figure A.6). What lies
/// past the 64th is the last one again, for a run that goes too far and is found out afterwards.
const ZIGZAG: [u8; 128] = {
    let mut order = [63; 128];
    let (mut row, mut column, mut at) = (0_u8, 0_u8, 0);
    while at < 64 {
        order[at] = 8 * row + column;
        let up = (row + column).is_multiple_of(2);
        // Along a diagonal, and at an edge on to the next one.
        (row, column) = match (up, row, column) {
            (true, _, 7) => (row + 1, column),
            (true, 0, _) => (row, column + 1),
            (true, ..) => (row - 1, column + 1),
            (false, 7, _) => (row, column + 1),
            (false, _, 0) => (row + 1, column),
            (false, ..) => (row + 1, column - 1),
        };
        at += 1;
    }
    order
};

/// Where the coefficient of this place in the order of coding stands in a block.
#[inline(always)]
pub(super) const fn place_of(place: usize) -> usize {
    (ZIGZAG[place & 127] & 63) as usize
}

/// The frame header (B.2.2).
pub(super) struct Frame {
    pub(super) progressive: bool,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Luma, or luma and both chroma.
    pub(super) components: Vec<Component>,
    /// Columns and rows of MCUs where components are interleaved.
    pub(super) mcus: (usize, usize),
}

/// One component of the frame.
pub(super) struct Component {
    id: u8,
    /// Blocks of an MCU, across and down.
    pub(super) across: usize,
    pub(super) down: usize,
    /// Samples of luma across and down that one of its own stands for.
    pub(super) ratios: (usize, usize),
    /// Which quantiser.
    pub(super) quantiser: usize,
    /// Samples, without padding.
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Component {
    /// Blocks that hold its samples, columns and rows: what a scan of it alone has (A.2.2).
    pub(super) const fn blocks(&self) -> (usize, usize) {
        (self.width.div_ceil(8), self.height.div_ceil(8))
    }
}

impl Frame {
    /// Reads the header of the frame that marker `kind` begins.
    pub(super) fn read(kind: u8, body: &[u8]) -> Result<Self, Declined> {
        let progressive = match kind {
            0xC0 | 0xC1 => false,
            0xC2 => true,
            _ => return Err(Declined::NotMine),
        };
        let (&[8, _, _, _, _, count @ (1 | 3)], Some(height), Some(width)) =
            (body.first_chunk::<6>().ok_or(Declined::NotMine)?, be16(body, 1), be16(body, 3))
        else {
            return Err(Declined::NotMine);
        };
        if width == 0 || height == 0 || body.len() != 6 + 3 * usize::from(count) {
            return Err(Declined::NotMine);
        }
        let (parts, _) = body.get(6..).unwrap_or_default().as_chunks::<3>();
        let factors = |sides: u8| (usize::from(sides >> 4), usize::from(sides & 15));
        let (most_across, most_down) = parts.first().map_or((0, 0), |[_, sides, _]| factors(*sides));
        let mut components: Vec<Component> = Vec::with_capacity(parts.len());
        for &[id, sides, quantiser] in parts {
            let (across, down) = factors(sides);
            // A sample of chroma has a whole number of samples of luma.
            let fits = |part: usize, most: usize| (1..=4).contains(&part) && most.is_multiple_of(part) && most > 0;
            if !fits(across, most_across) || !fits(down, most_down) || quantiser > 3 {
                return Err(Declined::NotMine);
            }
            if components.iter().any(|other| other.id == id) {
                return Err(Declined::NotMine);
            }
            let share = |side: u16, part: usize, most: usize| (usize::from(side) * part).div_ceil(most);
            components.push(Component {
                id,
                across,
                down,
                ratios: (most_across / across, most_down / down),
                quantiser: usize::from(quantiser),
                width: share(width, across, most_across),
                height: share(height, down, most_down),
            });
        }
        let ids = components.iter().map(|component| component.id);
        if ids.eq(*b"RGB") {
            return Err(Declined::NotMine);
        }
        Ok(Self {
            progressive,
            width: u32::from(width),
            height: u32::from(height),
            components,
            mcus: (usize::from(width).div_ceil(8 * most_across), usize::from(height).div_ceil(8 * most_down)),
        })
    }
}

/// The tables as they stand where a scan begins.
#[derive(Default)]
pub(super) struct Tables {
    /// In the order of rows, not of coding.
    pub(super) quantisers: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<Code>; 4],
    pub(super) ac: [Option<Code>; 4],
    /// MCUs between restart markers; 0: there are none.
    pub(super) restart_interval: usize,
}

impl Tables {
    /// Takes the quantisers of a DQT segment (B.2.4.1).
    pub(super) fn read_quantisers(&mut self, mut body: &[u8]) -> Result<(), Declined> {
        while let Some((&kind, rest)) = body.split_first() {
            let bytes = match kind >> 4 {
                0 => 1,
                1 => 2,
                _ => return Err(Declined::NotMine),
            };
            let (values, rest) = rest.split_at_checked(64 * bytes).ok_or(Declined::NotMine)?;
            let mut table = [0; 64];
            for (value, place) in values.chunks_exact(bytes).zip(ZIGZAG) {
                let value = value.iter().fold(0, |sum, &byte| sum << 8 | u16::from(byte));
                if value == 0 {
                    return Err(Declined::NotMine);
                }
                if let Some(entry) = table.get_mut(usize::from(place)) {
                    *entry = value;
                }
            }
            *self.quantisers.get_mut(usize::from(kind & 15)).ok_or(Declined::NotMine)? = Some(table);
            body = rest;
        }
        Ok(())
    }

    /// Takes the codes of a DHT segment (B.2.4.2).
    pub(super) fn read_codes(&mut self, mut body: &[u8]) -> Result<(), Declined> {
        while let Some((&kind, rest)) = body.split_first() {
            let (code, rest) = Code::read(rest)?;
            let codes = match kind >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(Declined::NotMine),
            };
            *codes.get_mut(usize::from(kind & 15)).ok_or(Declined::NotMine)? = Some(code);
            body = rest;
        }
        Ok(())
    }
}

/// The scan header (B.2.3).
pub(super) struct ScanHeader {
    /// Each component, by its place in the frame, and its codes for DC and AC.
    pub(super) parts: Vec<(usize, usize, usize)>,
    /// The first and the last coefficient, in the order of coding.
    pub(super) first: usize,
    pub(super) last: usize,
    /// The bit that came before, plus one, and the one that comes now: of progressive frames.
    pub(super) high: u8,
    pub(super) low: u8,
}

impl ScanHeader {
    /// Reads it, and whether the frame can have such a scan (tables B.3, G.1.1.1).
    pub(super) fn read(body: &[u8], frame: &Frame) -> Result<Self, Declined> {
        let (&count, rest) = body.split_first().ok_or(Declined::NotMine)?;
        let (named, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or(Declined::NotMine)?;
        let &[first, last, bits] = rest else { return Err(Declined::NotMine) };
        let mut parts: Vec<(usize, usize, usize)> = Vec::with_capacity(frame.components.len());
        for &[id, codes] in named.as_chunks::<2>().0 {
            let at = frame.components.iter().position(|component| component.id == id).ok_or(Declined::NotMine)?;
            if parts.last().is_some_and(|(before, ..)| *before >= at) {
                return Err(Declined::NotMine);
            }
            parts.push((at, usize::from(codes >> 4), usize::from(codes & 15)));
        }
        let scan = Self { parts, first: usize::from(first), last: usize::from(last), high: bits >> 4, low: bits & 15 };
        let blocks: usize = scan
            .parts
            .iter()
            .filter_map(|(at, ..)| frame.components.get(*at))
            .map(|component| component.across * component.down)
            .sum();
        let interleaved = scan.parts.len() > 1;
        let whole = if frame.progressive {
            let band = if scan.first == 0 { scan.last == 0 } else { !interleaved && scan.first <= scan.last };
            band && scan.last < 64 && scan.low <= 13 && (scan.high == 0 || scan.high == scan.low + 1)
        } else {
            scan.first == 0 && scan.last == 63 && bits == 0
        };
        if scan.parts.is_empty() || interleaved && blocks > 10 || !whole {
            return Err(Declined::NotMine);
        }
        Ok(scan)
    }
}
