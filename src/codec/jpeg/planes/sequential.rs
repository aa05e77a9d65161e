//! Scans of sequential frames (ITU-T T.81 F.2): each block goes from its bits to its place in the plane.

use super::bits::Bits;
use super::header::place_of;
use super::huffman::{Answer, Coded, Differences, EMPTY, LOOK, Lookup, PAST};
use super::idct::{self, Block, Quantiser};
use super::plane::Plane;
use super::scale::{self, Shape, last_used};
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
    pub(super) shape: Shape,
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
    let Some((first, others)) = parts.split_first() else { return Err(Declined::NotMine) };
    // Those of a scan are of one shape but in samplings that are rare.
    let other = others.first().map_or(first.shape, |part| part.shape);
    let other = if others.iter().all(|part| part.shape == other) { other } else { (0, 0) };
    let scan = match (first.shape, other) {
        ((1, 1), (1, 1)) => scan_of::<1, 1, 1>,
        ((1, 1), (2, 2)) => scan_of::<1, 2, 2>,
        ((1, 1), (2, 1)) => scan_of::<1, 2, 1>,
        ((1, 1), (1, 2)) => scan_of::<1, 1, 2>,
        ((2, 2), (2, 2)) => scan_of::<2, 2, 2>,
        ((2, 2), (4, 4)) => scan_of::<2, 4, 4>,
        ((2, 2), (4, 2)) => scan_of::<2, 4, 2>,
        ((2, 2), (2, 4)) => scan_of::<2, 2, 4>,
        ((4, 4), (4, 4)) => scan_of::<4, 4, 4>,
        ((4, 4), (8, 8)) => scan_of::<4, 8, 8>,
        ((4, 4), (8, 4)) => scan_of::<4, 8, 4>,
        ((4, 4), (4, 8)) => scan_of::<4, 4, 8>,
        ((8, 8), (8, 8)) => scan_of::<8, 8, 8>,
        _ => scan_of::<ANY, ANY, ANY>,
    };
    scan(bits, parts, mcus, restarts, budget)
}

/// In the place of a number of samples: ask the part.
const ANY: usize = 0;

/// The same where blocks of the first component become `FIRST` samples on a side, those of the others `W` across and `H` down.
#[multiversion::multiversion(targets("x86_64+avx2+bmi1+bmi2"))]
fn scan_of<'a, const FIRST: usize, const W: usize, const H: usize>(
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
            scan_part::<FIRST, FIRST>(&mut bits, first, (column, row))?;
            for part in &mut *others {
                scan_part::<W, H>(&mut bits, part, (column, row))?;
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
fn scan_part<const W: usize, const H: usize>(
    bits: &mut Bits<'_>,
    part: &mut Part<'_>,
    (column, row): (usize, usize),
) -> Result<(), Declined> {
    let mut here = *bits;
    let mut block: Block = [0; 64];
    for down in 0..part.down {
        for across in 0..part.across {
            scan_block::<W, H>(&mut here, part, &mut block, (column * part.across + across, row * part.down + down))?;
        }
    }
    *bits = here;
    Ok(())
}

/// Reads a block, through a block of zeros that it is again afterwards, and puts the samples that it becomes.
#[inline(always)]
fn scan_block<const W: usize, const H: usize>(
    bits: &mut Bits<'_>,
    part: &mut Part<'_>,
    block: &mut Block,
    at: (usize, usize),
) -> Result<(), Declined> {
    part.prediction += part.dc.next(bits)?;
    let dc = super::dc_of(part.prediction)?;
    let until = if W == ANY { last_used(part.shape) } else { const { last_used((W, H)) } };
    let last = match (&part.ac, &part.skip) {
        (None, Some(skip)) => {
            skip.rest(bits, 1)?;
            0
        }
        (Some(ac), skip) => {
            let (next, last) = read_block(bits, ac, until, block)?;
            if let Some(skip) = skip
                && next < PAST
            {
                bits.refill();
                skip.rest(bits, next)?;
            }
            last
        }
        (None, None) => return Err(Declined::NotMine),
    };
    if last == 0 && W != ANY {
        part.plane.fill::<W, H>(at, scale::one(dc, part.quantiser));
        return Ok(());
    }
    block[0] = dc;
    match (W, H) {
        (ANY, ANY) => scale::put_any(part.plane, at, part.shape, (block, last), part.quantiser),
        (2, 2) => part.plane.put(at, &scale::two(block, part.quantiser)),
        (8, 8) => part.plane.put(at, &idct::samples(block, last, part.quantiser)),
        _ => part.plane.put(at, &scale::rectangle::<W, H>(block, part.quantiser)),
    }
    *block = [0; 64];
    Ok(())
}

/// Answers that are taken between two refills.
const ANSWERS: u32 = 5;
const _: () = assert!(ANSWERS * LOOK <= 56);

/// Reads coefficients of AC up to the one in place `until` at least, into a block of zeros; returns the place of the next one, 64
/// or more at the end of the block, and that of the last one read or, where the end is coded by itself, that of the end; 0 where
/// there is none.
#[inline(always)]
fn read_block(bits: &mut Bits<'_>, ac: &Lookup, until: usize, block: &mut Block) -> Result<(usize, usize), Declined> {
    let (mut next, mut last) = (1, 0);
    loop {
        bits.refill();
        for _ in 0..ANSWERS {
            let answer = ac.answer(bits);
            let (first, second) = answer.places();
            // Behind the last coefficient no end is coded: what looks like it belongs to the next block.
            if next + second < 63 {
                let values = answer.values();
                block[place_of(next + first)] = values[0];
                block[place_of(next + second)] = values[1];
                bits.skip(answer.length());
                last = next + second;
                next += answer.advance();
            } else {
                (*bits, next, last) = read_one(*bits, ac, answer, (next, last), block)?;
            }
            if next > until {
                // What ends at once has nothing to show.
                return Ok((next, if next == 1 + EMPTY { 0 } else { last }));
            }
        }
    }
}

/// Reads a word and its number, where the answer does not say it; returns the next place and the last one read. Leaves as much
/// loaded as a refill.
#[inline(never)]
fn read_one<'a>(
    mut bits: Bits<'a>,
    ac: &Lookup,
    answer: Answer,
    (next, last): (usize, usize),
    block: &mut Block,
) -> Result<(Bits<'a>, usize, usize), Declined> {
    bits.refill();
    let Coded::Symbol(symbol) = ac.symbol_of(&mut bits, answer)? else { return Err(Declined::NotMine) };
    let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
    let place = next + run;
    let (next, last) = match (run, size) {
        (0, 0) => (64, last),
        // Something stands behind so many zeros.
        (15, 0) if place < 63 => (place + 1, last),
        (_, 1..=10) if place <= 63 => {
            block[place_of(place)] = super::i16_of(bits.signed(size));
            (place + 1, place)
        }
        _ => return Err(Declined::NotMine),
    };
    bits.refill();
    Ok((bits, next, last))
}
