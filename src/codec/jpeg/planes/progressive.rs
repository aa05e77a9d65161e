//! Scans of progressive frames (ITU-T T.81 annex G): coefficients are collected, and transformed when all are there.

use super::bits::Bits;
use super::header::place_of;
use super::huffman::{Coded, Differences, Lookup};
use super::idct::{self, Block, Quantiser};
use super::plane::Plane;
use super::scale::{self, Shape, last_used};
use super::{Declined, Restarts};
use crate::codec::Budget;

/// The coefficients of a component, and how far they have come.
pub(super) struct Coefficients {
    /// Blocks in rows, with the padding to whole MCUs.
    values: Vec<i16>,
    /// Values of a block: all, row by row, or the first few in the order of coding.
    kept: usize,
    /// For each block a bit for each coefficient of AC that is not 0, in the order of coding: so that a scan looks at those
    /// alone, and not into a block that has none.
    set: Vec<u64>,
    /// Blocks of a row.
    stride: usize,
    /// For each coefficient in the order of coding the lowest bit that is known; none, before its first scan.
    known: [Option<u8>; 64],
}

/// Values kept of a block that becomes 2 by 2 samples, and of one that becomes 4 by 4: those that are used, rounded up. What
/// becomes something else keeps the first of these that has all.
const FEW: usize = 8;
const HALF: usize = 32;
const _: () = assert!(last_used((2, 2)) < FEW && last_used((4, 4)) < HALF);

/// Values kept of a block that becomes one of this shape.
const fn kept_of(shape: Shape) -> usize {
    match last_used(shape) {
        0 => 1,
        last if last < FEW => FEW,
        last if last < HALF => HALF,
        _ => 64,
    }
}

/// Puts a coefficient where it is kept, if it is.
#[inline(always)]
fn put<const KEPT: usize>(block: &mut [i16; KEPT], place: usize, value: i16) {
    if KEPT == 64 {
        block[place_of(place)] = value;
    } else if let Some(kept) = block.get_mut(place) {
        *kept = value;
    }
}

/// What a scan is about.
#[derive(Clone, Copy)]
pub(super) struct Band {
    /// The first coefficient and the last, in the order of coding.
    pub(super) first: usize,
    pub(super) last: usize,
    /// Whether the bits above are known: then this brings one more.
    pub(super) refines: bool,
    /// The lowest bit that comes.
    pub(super) low: u8,
}

/// A component of a scan of DC.
pub(super) struct DcPart<'a> {
    pub(super) coefficients: &'a mut Coefficients,
    /// Not in a scan that refines.
    pub(super) dc: Option<Differences>,
    /// Blocks of an MCU, across and down.
    pub(super) across: usize,
    pub(super) down: usize,
}

impl Coefficients {
    /// Zeros for this many columns and rows of blocks, which will become ones of that `shape`. The caller has checked the size
    /// against the budget.
    pub(super) fn new(columns: usize, rows: usize, shape: Shape) -> Self {
        let (blocks, kept) = (columns * rows, kept_of(shape));
        Self { values: vec![0; kept * blocks], kept, set: vec![0; blocks], stride: columns, known: [None; 64] }
    }

    /// Bytes held for each block of this shape.
    pub(super) const fn block_bytes(shape: Shape) -> u64 {
        (kept_of(shape) * size_of::<i16>() + size_of::<u64>()) as u64
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<i16>() + self.set.capacity() * size_of::<u64>()
    }

    /// Notes that a scan brings this, and whether that is its turn (G.1.1.1): bit after bit, DC before AC.
    pub(super) fn turn(&mut self, band: Band) -> Result<(), Declined> {
        let [dc, ..] = self.known;
        for known in self.known.get_mut(band.first..=band.last).unwrap_or_default() {
            let its_turn = if band.refines { *known == Some(band.low + 1) } else { known.is_none() };
            if !its_turn || band.first > 0 && dc.is_none() {
                return Err(Declined::NotMine);
            }
            *known = Some(band.low);
        }
        Ok(())
    }

    /// Whether every bit of every coefficient came.
    pub(super) fn are_complete(&self) -> bool {
        self.known.iter().all(|known| *known == Some(0))
    }

    /// Transforms all into the plane.
    pub(super) fn render(
        &self,
        plane: &mut Plane,
        shape: Shape,
        quantiser: &Quantiser,
        budget: &Budget,
    ) -> Result<(), Declined> {
        let stride = self.stride.max(1);
        let rows = self.values.chunks_exact(stride * self.kept).zip(self.set.chunks_exact(stride)).zip(0..);
        for ((values, set), row) in rows {
            budget.check_deadline().map_err(|_late| Declined::TimedOut)?;
            let row = Row { values, set, row };
            match (self.kept, shape) {
                (1, _) => render_means(values, row.row, plane, quantiser),
                (FEW, (2, 2)) => {
                    render_row::<FEW, 2>(&row, plane, quantiser, |block, _| scale::two(block, quantiser));
                }
                (HALF, (4, 4)) => {
                    render_row::<HALF, 4>(&row, plane, quantiser, |block, _| scale::rectangle(block, quantiser));
                }
                (64, (8, 8)) => {
                    render_row::<64, 8>(&row, plane, quantiser, |block, last| idct::samples(block, last, quantiser));
                }
                (FEW, _) => render_any::<FEW>(&row, plane, shape, quantiser),
                (HALF, _) => render_any::<HALF>(&row, plane, shape, quantiser),
                _ => render_any::<64>(&row, plane, shape, quantiser),
            }
        }
        Ok(())
    }
}

fn render_means(values: &[i16], row: usize, plane: &mut Plane, quantiser: &Quantiser) {
    for (dc, column) in values.iter().zip(0..) {
        plane.fill::<1, 1>((column, row), scale::one(*dc, quantiser));
    }
}

/// A row of blocks.
struct Row<'a> {
    values: &'a [i16],
    set: &'a [u64],
    row: usize,
}

#[multiversion::multiversion(targets("x86_64+avx2+bmi1+bmi2"))]
fn render_row<const KEPT: usize, const N: usize>(
    row: &Row<'_>,
    plane: &mut Plane,
    quantiser: &Quantiser,
    samples: impl Fn(&Block, usize) -> [[u8; N]; N],
) {
    let mut few: Block = [0; 64];
    for ((block, set), column) in row.values.as_chunks::<KEPT>().0.iter().zip(row.set).zip(0..) {
        let Some(last) = set.checked_ilog2() else {
            plane.fill::<N, N>((column, row.row), scale::one(block[0], quantiser));
            continue;
        };
        plane.put((column, row.row), &samples(in_rows(block, &mut few), last as usize));
    }
}

/// The same where blocks become other shapes than squares.
fn render_any<const KEPT: usize>(row: &Row<'_>, plane: &mut Plane, shape: Shape, quantiser: &Quantiser) {
    let mut few: Block = [0; 64];
    for ((block, set), column) in row.values.as_chunks::<KEPT>().0.iter().zip(row.set).zip(0..) {
        let last = set.checked_ilog2().unwrap_or(0) as usize;
        let block = in_rows(block, &mut few);
        scale::put_any(plane, (column, row.row), shape, (block, last), quantiser);
    }
}

/// The block with its values row by row; through `few`, whose other values are 0, where not all are kept.
#[inline(always)]
fn in_rows<'a, const KEPT: usize>(block: &'a [i16; KEPT], few: &'a mut Block) -> &'a Block {
    block.first_chunk().unwrap_or_else(|| {
        block.iter().zip(0..).for_each(|(value, place)| few[place_of(place)] = *value);
        few
    })
}

/// Decodes a scan of DC over `mcus` columns and rows of MCUs (G.1.2.1).
#[multiversion::multiversion(targets("x86_64+avx2+bmi1+bmi2"))]
pub(super) fn scan_dc<'a>(
    mut bits: Bits<'a>,
    parts: &mut [DcPart<'_>],
    low: u8,
    mcus: (usize, usize),
    mut restarts: Restarts,
    budget: &Budget,
) -> Result<Bits<'a>, Declined> {
    let mut predictions = [0; 3];
    for row in 0..mcus.1 {
        budget.check_deadline().map_err(|_late| Declined::TimedOut)?;
        for column in 0..mcus.0 {
            if restarts.due(&mut bits)? {
                predictions = [0; 3];
            }
            for (part, prediction) in parts.iter_mut().zip(&mut predictions) {
                for at in 0..part.down * part.across {
                    let (x, y) = (column * part.across + at % part.across, row * part.down + at / part.across);
                    let block = y * part.coefficients.stride + x;
                    let value = part.coefficients.values.get_mut(block * part.coefficients.kept);
                    let value = value.ok_or(Declined::NotMine)?;
                    if let Some(dc) = &part.dc {
                        *prediction += dc.next(&mut bits)?;
                        // Checked before it is shifted: it cannot be past an i32 then.
                        super::dc_of(*prediction)?;
                        *value = super::dc_of(*prediction << low)?;
                    } else if bits.bit() {
                        *value |= 1 << low;
                    }
                }
            }
            if bits.ran_dry() {
                return Err(Declined::NotMine);
            }
        }
    }
    Ok(bits)
}

/// Decodes a scan of AC over `size` columns and rows of blocks (G.1.2.2, G.1.2.3).
pub(super) fn scan_ac<'a>(
    bits: Bits<'a>,
    coefficients: &mut Coefficients,
    ac: &Lookup,
    band: Band,
    size: (usize, usize),
    restarts: Restarts,
    budget: &Budget,
) -> Result<Bits<'a>, Declined> {
    match coefficients.kept {
        FEW => scan_ac_of::<FEW>(bits, coefficients, ac, band, size, restarts, budget),
        HALF => scan_ac_of::<HALF>(bits, coefficients, ac, band, size, restarts, budget),
        _ => scan_ac_of::<64>(bits, coefficients, ac, band, size, restarts, budget),
    }
}

#[multiversion::multiversion(targets("x86_64+avx2+bmi1+bmi2"))]
fn scan_ac_of<'a, const KEPT: usize>(
    mut bits: Bits<'a>,
    coefficients: &mut Coefficients,
    ac: &Lookup,
    band: Band,
    size: (usize, usize),
    mut restarts: Restarts,
    budget: &Budget,
) -> Result<Bits<'a>, Declined> {
    // Blocks, from this one on, in which nothing new stands.
    let mut empty = 0_usize;
    let stride = coefficients.stride.max(1);
    let blocks = coefficients.values.as_chunks_mut::<KEPT>().0.chunks_exact_mut(stride);
    let rows = blocks.zip(coefficients.set.chunks_exact_mut(stride));
    for (blocks, set) in rows.take(size.1) {
        budget.check_deadline().map_err(|_late| Declined::TimedOut)?;
        let mut row = blocks.iter_mut().zip(set).take(size.0);
        while let Some((block, set)) = row.next() {
            // A run of empty blocks ends with its interval.
            if restarts.due(&mut bits)? && empty > 0 {
                return Err(Declined::NotMine);
            }
            if band.refines {
                refine_block(&mut bits, ac, block, set, band, &mut empty)?;
            } else if empty == 0 {
                read_block(&mut bits, ac, block, set, band, &mut empty)?;
            } else {
                empty -= 1;
                if restarts.interval == 0 && empty > 0 {
                    let skipped = empty.min(row.len());
                    empty -= skipped;
                    if let Some(last) = skipped.checked_sub(1) {
                        row.nth(last);
                    }
                }
            }
            if bits.ran_dry() {
                return Err(Declined::NotMine);
            }
        }
    }
    if empty > 0 { Err(Declined::NotMine) } else { Ok(bits) }
}

/// Blocks of an end-of-band run (table G.1), the one at hand among them.
#[inline(always)]
fn run_of_empty(bits: &mut Bits<'_>, exponent: u8) -> usize {
    (1 << exponent) + bits.take(u32::from(exponent))
}

/// Reads the first bits of a band.
#[inline(always)]
fn read_block<const KEPT: usize>(
    bits: &mut Bits<'_>,
    ac: &Lookup,
    block: &mut [i16; KEPT],
    set: &mut u64,
    band: Band,
    empty: &mut usize,
) -> Result<(), Declined> {
    let shifted = |value: i16| i16::try_from(i32::from(value) << band.low).map_err(|_overflow| Declined::NotMine);
    let mut next = band.first;
    while next <= band.last {
        bits.refill();
        let place;
        let value = match ac.next(bits, next, band.last)? {
            Coded::Numbers { run, second, values: [first, other], advance } => {
                put(block, next + run, shifted(first)?);
                *set |= 1 << (next + run);
                place = next + run + second;
                next += advance;
                other
            }
            Coded::Symbol(0xF0) => {
                next += 16;
                if next > band.last {
                    return Err(Declined::NotMine);
                }
                continue;
            }
            Coded::Symbol(symbol) => {
                let (run, size) = (symbol >> 4, u32::from(symbol & 15));
                if size == 0 {
                    *empty = run_of_empty(bits, run) - 1;
                    break;
                }
                if size > 10 {
                    return Err(Declined::NotMine);
                }
                place = next + usize::from(run);
                next = place + 1;
                super::i16_of(bits.signed(size))
            }
        };
        if place > band.last {
            return Err(Declined::NotMine);
        }
        put(block, place, shifted(value)?);
        *set |= 1 << place;
    }
    Ok(())
}

/// Reads one more bit of a band: of those that are not zero, and which others become one.
#[inline(always)]
fn refine_block<const KEPT: usize>(
    bits: &mut Bits<'_>,
    ac: &Lookup,
    block: &mut [i16; KEPT],
    set: &mut u64,
    band: Band,
    empty: &mut usize,
) -> Result<(), Declined> {
    let one = 1_i16 << band.low;
    let known = *set;
    let mut next = band.first;
    if *empty == 0 {
        while next <= band.last {
            let symbol = ac.symbol(bits)?;
            let run = symbol >> 4;
            let new = match (run, symbol & 15) {
                (15, 0) => 0,
                (exponent, 0) => {
                    *empty = run_of_empty(bits, exponent);
                    break;
                }
                (_, 1) => {
                    if bits.bit() {
                        one
                    } else {
                        -one
                    }
                }
                _ => return Err(Declined::NotMine),
            };
            // Over as many zeros as the run has, and over those that are known on the way.
            let (mut place, mut between) = (next + usize::from(run), known & u64::MAX << next);
            while between != 0 && between.trailing_zeros() as usize <= place {
                place += 1;
                between &= between - 1;
            }
            if place > band.last {
                return Err(Declined::NotMine);
            }
            correct(bits, block, known & u64::MAX << next & !(u64::MAX << place), one);
            if new != 0 {
                put(block, place, new);
                *set |= 1 << place;
            }
            next = place + 1;
        }
    }
    if *empty > 0 {
        *empty -= 1;
        if next <= band.last {
            correct(bits, block, known & u64::MAX << next & u64::MAX >> (63 - band.last), one);
        }
    }
    Ok(())
}

/// Reads the next bit of each of these coefficients, none of which is 0: 1 is a step away from it. Bits of those that are not kept
/// come last, and are passed over.
#[inline(always)]
fn correct<const KEPT: usize>(bits: &mut Bits<'_>, block: &mut [i16; KEPT], which: u64, one: i16) {
    let mut kept = if KEPT == 64 { which } else { which & ((1 << KEPT) - 1) };
    let mut left = which.count_ones();
    while left > 0 {
        let now = left.min(56);
        bits.refill();
        let mut corrections = bits.ahead();
        bits.skip(now);
        left -= now;
        for _ in 0..now {
            if kept == 0 {
                break;
            }
            let place = kept.trailing_zeros() as usize;
            if let Some(coefficient) = block.get_mut(if KEPT == 64 { place_of(place) } else { place }) {
                let away = if *coefficient > 0 { one } else { -one };
                // Without a branch: whether there is a step is not to be foretold.
                *coefficient = coefficient.wrapping_add(if corrections.leading_zeros() == 0 { away } else { 0 });
            }
            corrections <<= 1;
            kept &= kept - 1;
        }
    }
}
