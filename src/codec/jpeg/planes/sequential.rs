//! Scans of sequential frames (ITU-T T.81 F.2): each block goes from its bits to its place in the plane.

use super::bits::Bits;
use super::header::place_of;
use super::huffman::{Coded, Differences, Lookup};
use super::idct::{self, Block, Quantiser};
use super::plane::Plane;
use super::scale::{self, Side, last_used};
use super::skip::Skip;
use super::{Declined, Restarts};
use crate::codec::Budget;

/// A component of a scan.
pub(super) struct Part<'a> {
    pub(super) plane: &'a mut Plane,
    pub(super) quantiser: &'a Quantiser,
    pub(super) dc: Differences,
    /// For coefficients that are used, and for those behind them: where there are any.
    pub(super) ac: Option<Lookup>,
    pub(super) skip: Option<Skip>,
    pub(super) side: Side,
    /// The last DC coefficient.
    pub(super) prediction: i32,
    /// Blocks of an MCU, across and down.
    pub(super) across: usize,
    pub(super) down: usize,
}

/// Decodes a scan of `mcus` columns and rows of MCUs. Each coefficient is read once and nothing is kept but the block at hand.
pub(super) fn scan<'a>(
    bits: Bits<'a>,
    parts: &mut [Part<'_>],
    mcus: (usize, usize),
    restarts: Restarts,
    budget: &Budget,
) -> Result<Bits<'a>, Declined> {
    use Side::{Eight, Four, One, Two};
    let sides = (parts.first().map(|part| part.side), parts.last().map(|part| part.side));
    match sides {
        (Some(One), Some(One)) => scan_of::<1, 1>(bits, parts, mcus, restarts, budget),
        (Some(One), _) => scan_of::<1, 2>(bits, parts, mcus, restarts, budget),
        (Some(Two), Some(Two)) => scan_of::<2, 2>(bits, parts, mcus, restarts, budget),
        (Some(Two), _) => scan_of::<2, 4>(bits, parts, mcus, restarts, budget),
        (Some(Four), Some(Four)) => scan_of::<4, 4>(bits, parts, mcus, restarts, budget),
        (Some(Four), _) => scan_of::<4, 8>(bits, parts, mcus, restarts, budget),
        (Some(Eight), _) => scan_of::<8, 8>(bits, parts, mcus, restarts, budget),
        (None, _) => Err(Declined::NotMine),
    }
}

/// The same where blocks of the first component become `FIRST` samples on a side, those of the others `OTHERS`.
#[multiversion::multiversion(targets("x86_64+avx2+bmi1+bmi2"))]
fn scan_of<'a, const FIRST: usize, const OTHERS: usize>(
    mut bits: Bits<'a>,
    parts: &mut [Part<'_>],
    mcus: (usize, usize),
    mut restarts: Restarts,
    budget: &Budget,
) -> Result<Bits<'a>, Declined> {
    let Some((first, others)) = parts.split_first_mut() else { return Err(Declined::NotMine) };
    for row in 0..mcus.1 {
        budget.check_deadline().map_err(|_late| Declined::TimedOut)?;
        for column in 0..mcus.0 {
            if restarts.due(&mut bits)? {
                first.prediction = 0;
                others.iter_mut().for_each(|part| part.prediction = 0);
            }
            scan_part::<FIRST>(&mut bits, first, (column, row))?;
            for part in &mut *others {
                scan_part::<OTHERS>(&mut bits, part, (column, row))?;
            }
            if bits.ran_dry() {
                return Err(Declined::NotMine);
            }
        }
    }
    Ok(bits)
}

/// The blocks of a component in an MCU.
#[inline(always)]
fn scan_part<const N: usize>(
    bits: &mut Bits<'_>,
    part: &mut Part<'_>,
    (column, row): (usize, usize),
) -> Result<(), Declined> {
    let mut here = *bits;
    let mut block: Block = [0; 64];
    for down in 0..part.down {
        for across in 0..part.across {
            scan_block::<N>(&mut here, part, &mut block, (column * part.across + across, row * part.down + down))?;
        }
    }
    *bits = here;
    Ok(())
}

/// Reads a block, through a block of zeros that it is again afterwards, and puts the `N` by `N` samples that it becomes.
#[inline(always)]
fn scan_block<const N: usize>(
    bits: &mut Bits<'_>,
    part: &mut Part<'_>,
    block: &mut Block,
    at: (usize, usize),
) -> Result<(), Declined> {
    part.prediction += part.dc.next(bits)?;
    let dc = super::dc_of(part.prediction)?;
    let last = match (&part.ac, &part.skip) {
        (None, Some(skip)) => {
            skip.rest(bits, 1)?;
            0
        }
        (Some(ac), skip) => {
            let (next, last) = read_block(bits, ac, last_used(N), block)?;
            if let Some(skip) = skip
                && next < 64
            {
                skip.rest(bits, next)?;
            }
            last
        }
        (None, None) => return Err(Declined::NotMine),
    };
    if last == 0 {
        part.plane.fill::<N>(at, scale::one(dc, part.quantiser));
        return Ok(());
    }
    block[0] = dc;
    match N {
        2 => part.plane.put(at, &scale::two(block, part.quantiser)),
        4 => part.plane.put(at, &scale::four(block, part.quantiser)),
        _ => part.plane.put(at, &idct::samples(block, last, part.quantiser)),
    }
    *block = [0; 64];
    Ok(())
}

/// Reads coefficients of AC up to the one in place `until` at least, into a block of zeros; returns the place of the next one, 64
/// at the end of the block, and that of the last one read.
#[inline(always)]
fn read_block(bits: &mut Bits<'_>, ac: &Lookup, until: usize, block: &mut Block) -> Result<(usize, usize), Declined> {
    let (mut next, mut last) = (1, 0);
    while next <= until {
        bits.refill();
        let value = match ac.next(bits, next, 63)? {
            Coded::Numbers { run, second, values: [first, other], advance } => {
                block[place_of(next + run)] = first;
                last = next + run + second;
                next += advance;
                other
            }
            Coded::Symbol(0) => {
                next = 64;
                break;
            }
            Coded::Symbol(0xF0) => {
                next += 16;
                if next > 63 {
                    return Err(Declined::NotMine);
                }
                continue;
            }
            Coded::Symbol(symbol) => {
                let size = u32::from(symbol & 15);
                if !(1..=10).contains(&size) {
                    return Err(Declined::NotMine);
                }
                last = next + usize::from(symbol >> 4);
                next = last + 1;
                super::i16_of(bits.signed(size))
            }
        };
        // A place past the end is found out below: it can only be the last one.
        block[place_of(last)] = value;
    }
    if last > 63 { Err(Declined::NotMine) } else { Ok((next, last)) }
}
