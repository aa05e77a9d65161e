//! Scans of sequential frames (ITU-T T.81 F.2): each block goes from its bits to its place in the plane.

use super::bits::Bits;
use super::header::place_of;
use super::huffman::{Coded, Lookup};
use super::idct::{self, Block, Quantiser};
use super::plane::Plane;
use super::{Declined, Restarts};
use crate::codec::Budget;

/// A component of a scan.
pub(super) struct Part<'a> {
    pub(super) plane: &'a mut Plane,
    pub(super) quantiser: &'a Quantiser,
    pub(super) dc: Lookup,
    pub(super) ac: Lookup,
    /// Blocks of an MCU, across and down.
    pub(super) across: usize,
    pub(super) down: usize,
}

/// Decodes a scan of `mcus` columns and rows of MCUs. Each coefficient is read once and nothing is kept but the block at hand.
#[multiversion::multiversion(targets("x86_64+avx2+bmi1+bmi2"))]
pub(super) fn scan<'a>(
    mut bits: Bits<'a>,
    parts: &mut [Part<'_>],
    mcus: (usize, usize),
    mut restarts: Restarts,
    budget: &Budget,
) -> Result<Bits<'a>, Declined> {
    let mut predictions = [0; 3];
    let mut block: Block = [0; 64];
    for row in 0..mcus.1 {
        budget.check_deadline().map_err(|_late| Declined::TimedOut)?;
        for column in 0..mcus.0 {
            if restarts.due(&mut bits)? {
                predictions = [0; 3];
            }
            for (part, prediction) in parts.iter_mut().zip(&mut predictions) {
                for down in 0..part.down {
                    for across in 0..part.across {
                        let last = read_block(&mut bits, &part.dc, &part.ac, prediction, &mut block)?;
                        let at = (column * part.across + across, row * part.down + down);
                        if last == 0 {
                            part.plane.fill(at, idct::flat(block[0], part.quantiser));
                            block[0] = 0;
                        } else {
                            part.plane.put(at, &idct::samples(&block, last, part.quantiser));
                            block = [0; 64];
                        }
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

/// Reads a block into one of zeros; returns the place of its last coefficient in the order of coding.
#[inline(always)]
fn read_block(
    bits: &mut Bits<'_>,
    dc: &Lookup,
    ac: &Lookup,
    prediction: &mut i32,
    block: &mut Block,
) -> Result<usize, Declined> {
    *prediction += dc.difference(bits)?;
    block[0] = super::dc_of(*prediction)?;
    let (mut next, mut last) = (1, 0);
    while next < 64 {
        bits.refill();
        let value = match ac.next(bits, next, 63)? {
            Coded::Numbers { run, second, values: [first, other], advance } => {
                block[place_of(next + run)] = first;
                last = next + run + second;
                next += advance;
                other
            }
            Coded::Symbol(0) => break,
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
    if last > 63 { Err(Declined::NotMine) } else { Ok(last) }
}
