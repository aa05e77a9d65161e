//! Squares of samples to quantised coefficients: the cosine transform of Arai, Agui and Nakajima (1988) in floats.
//!
//! Five products a line; what it leaves to be multiplied by is part of the quantiser's factor. Sums of samples are whole
//! numbers that floats hold exactly, and no step is fused with another, so every processor gives the same bytes.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;

/// Samples of a block: eight rows.
pub(super) type Square = [[u8; 8]; 8];

/// Coefficients of a block on their side: that of horizontal frequency `u` and vertical frequency `v` in place `8 u + v`.
pub(super) type Coefficients = [i16; 64];

type Lines = [[f32; 8]; 8];

/// What a file's quantiser multiplies coefficients by, on their side too.
pub(super) struct Factors(Lines);

/// The output of the transform is this many times the coefficient, in the direction of each line, times the square root of 8.
const SCALES: [f64; 8] =
    [1.0, 1.387_039_845, 1.306_562_965, 1.175_875_602, 1.0, 0.785_694_958, 0.541_196_1, 0.275_899_379];

impl Factors {
    /// The factors for steps in rows from the top: `steps[8 v + u]`.
    pub(super) fn new(steps: &[u8; 64]) -> Self {
        let factor = |u: usize, v: usize| {
            let exact = 1.0 / (f64::from(steps[8 * v + u]) * SCALES[u] * SCALES[v] * 8.0);
            #[expect(clippy::cast_possible_truncation, reason = "the one rounding of a factor")]
            let factor = exact as f32;
            factor
        };
        Self(std::array::from_fn(|u| std::array::from_fn(|v| factor(u, v))))
    }
}

/// What the eight rows of 128 add to the first coefficient.
const MIDDLE: f32 = 64.0 * 128.0;

/// The largest coefficient that a baseline file can hold (F.1.2.2).
const LARGEST: f32 = 1023.0;

/// A float of this size has no room for a fraction: adding it rounds, halves to even, and leaves the number in the lowest bits.
const ROUND: f32 = 12_582_912.0;

/// The quantised coefficients of a square, and a bit for each that is not 0.
#[cfg_attr(target_feature = "avx2", expect(dead_code, reason = "for other processors"))]
#[inline(always)]
pub(super) fn quantised(square: &Square, factors: &Factors) -> (Coefficients, u64) {
    let lines = transformed(turned(&transformed(square.map(|row| row.map(f32::from)))));
    let mut coefficients = [0; 64];
    let mut mask = 0;
    for ((line, factors), at) in lines.iter().zip(&factors.0).zip((0..).step_by(8)) {
        for ((value, factor), at) in line.iter().zip(factors).zip(at..) {
            let value = if at == 0 { value - MIDDLE } else { *value };
            let value = (value * factor).clamp(-LARGEST, LARGEST) + ROUND;
            #[expect(clippy::cast_possible_truncation, reason = "the lowest bits are the number")]
            let value = value.to_bits() as i16;
            coefficients[at] = value;
            mask |= u64::from(value != 0) << at;
        }
    }
    (coefficients, mask)
}

#[inline(always)]
fn turned(lines: &Lines) -> Lines {
    std::array::from_fn(|x| std::array::from_fn(|y| lines[y][x]))
}

/// The transform down the columns of eight lines.
#[inline(always)]
fn transformed(lines: Lines) -> Lines {
    let mut columns = [[0.0; 8]; 8];
    for (column, at) in columns.iter_mut().zip(0..) {
        *column = column_of(lines.map(|line| line[at]));
    }
    turned(&columns)
}

/// One column: the twin of [`avx2::column`], step for step.
#[inline(always)]
fn column_of([a, b, c, d, e, f, g, h]: [f32; 8]) -> [f32; 8] {
    let (s0, s1, s2, s3) = (a + h, b + g, c + f, d + e);
    let (d0, d1, d2, d3) = (a - h, b - g, c - f, d - e);
    let (even, inner) = (s0 + s3, s1 + s2);
    let (outer, between) = (s0 - s3, s1 - s2);
    let turn = (between + outer) * HALF_ROOT;
    let (low, mid, high) = (d3 + d2, d2 + d1, d1 + d0);
    let shared = (low - high) * SIXTH;
    let (low, high) = (low * LOWER + shared, high * UPPER + shared);
    let mid = mid * HALF_ROOT;
    let (plus, minus) = (d0 + mid, d0 - mid);
    [even + inner, plus + high, outer + turn, minus - low, even - inner, minus + low, outer - turn, plus - high]
}

/// `cos(pi / 4)`.
const HALF_ROOT: f32 = 0.707_106_77;
/// `cos(3 pi / 8)`.
const SIXTH: f32 = 0.382_683_43;
/// `cos(pi / 8) - cos(3 pi / 8)`.
const LOWER: f32 = 0.541_196_1;
/// `cos(pi / 8) + cos(3 pi / 8)`.
const UPPER: f32 = 1.306_563;

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    fn noise(seed: u32) -> Square {
        let mut state = seed.wrapping_mul(2_654_435_761) + 1;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        };
        std::array::from_fn(|_| std::array::from_fn(|_| next()))
    }

    fn squares() -> impl Iterator<Item = Square> {
        let checks = [0, 1]
            .map(|odd| std::array::from_fn(|y| std::array::from_fn(|x| if (x + y) % 2 == odd { 255 } else { 0 })));
        let halves = std::array::from_fn(|_| [0, 0, 0, 0, 255, 255, 255, 255]);
        (0..200).map(noise).chain(checks).chain([[[0; 8]; 8], [[255; 8]; 8], [[128; 8]; 8], halves])
    }

    /// The transform of the standard (A.3.3), not rounded, divided by its step: `[u][v]`.
    fn defined(square: &Square, steps: &[u8; 64], u: usize, v: usize) -> f64 {
        let scale = |frequency: usize| if frequency == 0 { 0.5_f64.sqrt() } else { 1.0 };
        let wave = |at: usize, frequency: usize| {
            let halves = f64::from(u32::try_from((2 * at + 1) * frequency).unwrap());
            (halves * PI / 16.0).cos()
        };
        let rows = square.iter().zip(0..);
        let sum: f64 = rows
            .flat_map(|(row, y)| row.iter().zip(0..).map(move |(sample, x)| (f64::from(*sample) - 128.0, x, y)))
            .map(|(sample, x, y)| sample * wave(x, u) * wave(y, v))
            .sum();
        0.25 * scale(u) * scale(v) * sum / f64::from(steps[8 * v + u])
    }

    #[test]
    fn coefficients_are_those_of_the_standard_to_the_rounding() {
        let steps: [u8; 64] = std::array::from_fn(|at| u8::try_from(1 + at % 8 * 3 + at / 8).unwrap());
        let turned: [u8; 64] = std::array::from_fn(|at| steps[at % 8 * 8 + at / 8]);
        let mut wrong = 0;
        for square in squares() {
            let (got, mask) = quantised(&square, &Factors::new(&steps));
            for (u, v) in (0..64).map(|at| (at / 8, at % 8)) {
                let want = defined(&square, &steps, u, v).clamp(-1023.0, 1023.0);
                let value = got[8 * u + v];
                assert!((f64::from(value) - want).abs() < 0.501, "{u}, {v}: {value} {want}");
                assert_eq!(mask >> (8 * u + v) & 1 == 1, value != 0);
                wrong += usize::from((f64::from(value) - defined(&square, &turned, u, v)).abs() > 0.501);
            }
        }
        assert!(wrong > 1000, "the control: steps on their side are seen");
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_way_gives_the_same_coefficients() {
        #[multiversion::multiversion(targets("x86_64+avx2"))]
        fn fastest(square: &Square, factors: &Factors) -> (Coefficients, u64) {
            multiversion::target::match_target! {
                "x86_64+avx2" => avx2::quantised(square, factors),
                _ => quantised(square, factors),
            }
        }
        for quality in [1, 3, 16, 99] {
            let factors = Factors::new(&[quality; 64]);
            for square in squares() {
                assert_eq!(fastest(&square, &factors), quantised(&square, &factors));
            }
        }
    }
}
