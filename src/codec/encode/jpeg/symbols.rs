//! Blocks to the symbols they are written in (ITU-T T.81, annex F.1.2), and how often each comes.

use multiversion::target::match_target;

use super::transform::{self, Factors, Square};

/// A symbol and the bits behind it: bits in 0 to 15, symbol in 16 to 23, the number of its code from 24 on. So what is over 16 bits
/// is a place among the words of all codes.
pub(super) type Token = u32;

/// Codes: of first coefficients and of the others, for luma and for chroma.
pub(super) const CODES: usize = 4;

/// Sixteen coefficients of 0.
const ZEROS: u32 = 0xF0;

/// The most tokens of a block: where the last coefficient is 0 there is one for the end, else none.
const MOST: usize = 64;

/// For each place among coefficients on their side its place in the order of coding.
const ORDER: [u8; 64] = {
    let mut order = [0; 64];
    let mut at = 0_u8;
    while at < 64 {
        order[PLACES[at as usize] as usize] = at;
        at += 1;
    }
    order
};

/// For each place in the order of coding the place among coefficients on their side: the zigzag of the standard, mirrored.
const PLACES: [u8; 64] = {
    let mut places = [0; 64];
    let (mut u, mut v) = (0_u8, 0_u8);
    let mut at = 0;
    while at < 64 {
        places[at] = 8 * u + v;
        at += 1;
        let right_up = (u + v) % 2 == 0;
        (u, v) = match (right_up, u, v) {
            (true, 7, v) => (7, v + 1),
            (true, u, 0) => (u + 1, 0),
            (true, u, v) => (u + 1, v - 1),
            (false, u, 7) => (u + 1, 7),
            (false, 0, v) => (0, v + 1),
            (false, u, v) => (u - 1, v + 1),
        };
    }
    places
};

/// The place of a coefficient in the order of coding, counted in rows from the top.
pub(super) fn in_order<T: Copy>(table: &[T; 64]) -> [T; 64] {
    PLACES.map(|place| table[usize::from(place % 8 * 8 + place / 8)])
}

/// A plane of samples, no padding.
pub(super) struct Plane<'a> {
    pub(super) samples: &'a [u8],
    pub(super) width: usize,
    pub(super) height: usize,
    /// Blocks on a side of what is written together.
    pub(super) side: usize,
    /// 0 for luma, 1 for chroma.
    pub(super) kind: u8,
}

impl Plane<'_> {
    /// The square in column `x` and row `y` of squares, its last column and row repeated past the ends; `None` for one wholly past.
    #[inline(always)]
    fn square(&self, x: usize, y: usize) -> Option<Square> {
        let (left, top) = (8 * x, 8 * y);
        if left >= self.width || top >= self.height {
            return None;
        }
        let mut square = [[0; 8]; 8];
        let whole = left + 8 <= self.width;
        for (row, y) in square.iter_mut().zip(top..) {
            let start = y.min(self.height - 1) * self.width;
            if whole {
                *row = self.samples.get(start + left..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
            } else {
                for (sample, x) in row.iter_mut().zip(left..) {
                    *sample = self.samples.get(start + x.min(self.width - 1)).copied().unwrap_or_default();
                }
            }
        }
        Some(square)
    }
}

/// Adds the tokens of row `y` of what is written together, `across` times. `before` has the last first coefficient of each plane.
#[multiversion::multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt"))]
pub(super) fn add_row(
    planes: &[Plane<'_>],
    factors: &[Factors; 2],
    (across, y): (usize, usize),
    before: &mut [i32; 3],
    tokens: &mut Vec<Token>,
) {
    for x in 0..across {
        for (plane, before) in planes.iter().zip(before.iter_mut()) {
            let side = plane.side;
            for (column, row) in (0..side * side).map(|at| (side * x + at % side, side * y + at / side)) {
                let Some(square) = plane.square(column, row) else {
                    // Nothing is seen of it: the same first coefficient, and no other.
                    tokens.extend_from_slice(&[
                        token(first_code(plane.kind), 0, 0),
                        token(first_code(plane.kind) + 1, 0, 0),
                    ]);
                    continue;
                };
                let factors = &factors[usize::from(plane.kind) % 2];
                let (coefficients, mask) = match_target! {
                    "x86_64+avx2+bmi1+bmi2+lzcnt" => transform::avx2::quantised(&square, factors),
                    _ => transform::quantised(&square, factors),
                };
                tokens.extend_from_slice(block(&coefficients, mask, plane.kind, before).tokens());
            }
        }
    }
}

const fn token(code: u32, symbol: u32, bits: u32) -> Token {
    (code << 24) | (symbol << 16) | bits
}

/// The code of first coefficients; that of the others is the next.
const fn first_code(kind: u8) -> u32 {
    2 * kind as u32
}

/// The tokens of a block.
struct Block {
    tokens: [Token; MOST],
    count: usize,
}

impl Block {
    #[inline(always)]
    fn push(&mut self, token: Token) {
        if let Some(slot) = self.tokens.get_mut(self.count) {
            *slot = token;
            self.count += 1;
        }
    }

    fn tokens(&self) -> &[Token] {
        self.tokens.get(..self.count).unwrap_or(&[])
    }
}

#[inline(always)]
fn block(coefficients: &[i16; 64], mask: u64, kind: u8, before: &mut i32) -> Block {
    let mut block = Block { tokens: [0; MOST], count: 0 };
    let code = first_code(kind);
    let first = i32::from(coefficients[0]);
    let (size, bits) = number(first - *before);
    *before = first;
    block.push(token(code, size, bits));
    let mut ordered = 0_u64;
    let mut left = mask & !1;
    while left != 0 {
        ordered |= 1 << ORDER[left.trailing_zeros() as usize % 64];
        left &= left - 1;
    }
    let mut last = 0;
    while ordered != 0 {
        let at = ordered.trailing_zeros();
        ordered &= ordered - 1;
        let mut run = at - last - 1;
        last = at;
        while run > 15 {
            block.push(token(code + 1, ZEROS, 0));
            run -= 16;
        }
        let (size, bits) = number(i32::from(coefficients[usize::from(PLACES[at as usize % 64] % 64)]));
        block.push(token(code + 1, (run << 4) | size, bits));
    }
    if last < 63 {
        block.push(token(code + 1, 0, 0));
    }
    block
}

/// How many bits a number has, and those: a negative one less 1.
#[inline(always)]
fn number(value: i32) -> (u32, u32) {
    let size = 32 - value.unsigned_abs().leading_zeros();
    (size, (value + (value >> 31)).cast_unsigned() & ((1 << size) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_zigzag_of_the_standard() {
        let rows: [u8; 64] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let zigzag = in_order(&rows);
        assert_eq!(zigzag[..12], [0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25]);
        assert_eq!(zigzag[56..], [53, 60, 61, 54, 47, 55, 62, 63]);
        assert!((0..64).all(|at| usize::from(ORDER[usize::from(PLACES[at])]) == at));
    }

    fn tokens(coefficients: &[i16; 64], before: i32) -> Vec<(u32, u32, u32)> {
        let mask = (0..64).filter(|at| coefficients[*at] != 0).fold(0, |mask, at| mask | 1 << at);
        let mut before = before;
        let block = block(coefficients, mask, 1, &mut before);
        assert_eq!(before, i32::from(coefficients[0]));
        block.tokens().iter().map(|token| (token >> 24, token >> 16 & 0xFF, token & 0xFFFF)).collect()
    }

    #[test]
    fn blocks_are_runs_and_numbers() {
        let mut coefficients = [0; 64];
        assert_eq!(tokens(&coefficients, 0), [(2, 0, 0), (3, 0, 0)]);
        coefficients[0] = -5;
        coefficients[usize::from(PLACES[1])] = 1;
        coefficients[usize::from(PLACES[3])] = -1;
        coefficients[usize::from(PLACES[60])] = 1023;
        let long = [(3, 0xF0, 0), (3, 0xF0, 0), (3, 0xF0, 0), (3, 0x8A, 1023)];
        let want = [(2, 3, 0b010), (3, 0x01, 1), (3, 0x11, 0), long[0], long[1], long[2], long[3], (3, 0, 0)];
        assert_eq!(tokens(&coefficients, 0), want);
        coefficients = [-1023; 64];
        let full = tokens(&coefficients, 1023);
        assert_eq!((full.len(), full[0], full[63]), (64, (2, 11, 1), (3, 0x0A, 0)), "no end behind the last");
    }
}
