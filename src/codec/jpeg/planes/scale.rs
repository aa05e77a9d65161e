//! Smaller pictures straight from the coefficients: a block of 8 by 8 samples becomes one of 4 by 4, 2 by 2 or 1.

use super::idct::{self, Block, Quantiser};

/// By how much each side is divided while a JPEG is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scale {
    /// Nothing is.
    #[default]
    Whole,
    /// Blocks of 4 by 4.
    Half,
    /// Blocks of 2 by 2.
    Quarter,
    /// A sample a block: its mean.
    Eighth,
}

impl Scale {
    /// All of them, from the largest picture to the smallest.
    pub const ALL: [Self; 4] = [Self::Whole, Self::Half, Self::Quarter, Self::Eighth];

    /// What a side is divided by.
    #[must_use]
    pub const fn divisor(self) -> u32 {
        match self {
            Self::Whole => 1,
            Self::Half => 2,
            Self::Quarter => 4,
            Self::Eighth => 8,
        }
    }

    /// The one that divides by this; none for what is not a divisor.
    #[must_use]
    pub const fn of_divisor(divisor: u32) -> Self {
        match divisor {
            8 => Self::Eighth,
            4 => Self::Quarter,
            2 => Self::Half,
            _ => Self::Whole,
        }
    }

    /// A side of the picture that comes out: what is not whole is rounded up, the last sample then has less of the picture
    /// under it.
    #[must_use]
    pub const fn side(self, whole: u32) -> u32 {
        whole.div_ceil(self.divisor())
    }
}

/// Samples on a side of what a block becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    One,
    Two,
    Four,
    Eight,
}

impl Side {
    pub(super) const fn samples(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }

    pub(super) const fn doubled(self) -> Self {
        match self {
            Self::One => Self::Two,
            Self::Two => Self::Four,
            Self::Four | Self::Eight => Self::Eight,
        }
    }
}

impl From<Scale> for Side {
    fn from(scale: Scale) -> Self {
        match scale {
            Scale::Whole => Self::Eight,
            Scale::Half => Self::Four,
            Scale::Quarter => Self::Two,
            Scale::Eighth => Self::One,
        }
    }
}

/// The last coefficient, in the order of coding, that a block of `N` by `N` samples is made from: of row and column `N - 1`.
pub(super) const fn last_used(side: usize) -> usize {
    match side {
        1 => 0,
        2 => 4,
        4 => 24,
        _ => 63,
    }
}

/// `REDUCED[v][y]` is `C(v) / 2 * cos((2 y + 1) v pi / 8)`, with `C(0) = sqrt(1/2)` and `C(v) = 1` else.
const REDUCED: [[f32; 4]; 4] = {
    // cos(pi / 4) / 2, cos(pi / 8) / 2, sin(pi / 8) / 2.
    const D: f32 = 0.353_553_39;
    const C: f32 = 0.461_939_77;
    const S: f32 = 0.191_341_72;
    [[D, D, D, D], [C, S, -S, -C], [D, -D, -D, D], [S, -C, C, -S]]
};

/// The 4 by 4 samples whose transform is the first 4 rows and columns of the block's, with their share of its power.
#[inline(always)]
pub(super) fn four(block: &Block, quantiser: &Quantiser) -> [[u8; 4]; 4] {
    let mut half = [[0.0_f32; 4]; 4];
    for (v, basis) in REDUCED.iter().enumerate() {
        let coefficients: [f32; 4] = std::array::from_fn(|u| quantiser.restored(block, 8 * v + u));
        for (half, weight) in half.iter_mut().zip(basis) {
            half.iter_mut().zip(coefficients).for_each(|(sum, coefficient)| *sum += coefficient * weight);
        }
    }
    let mut samples = [[0; 4]; 4];
    for (samples, half) in samples.iter_mut().zip(&half) {
        let mut sums = [0.0_f32; 4];
        for (half, basis) in half.iter().zip(&REDUCED) {
            sums.iter_mut().zip(basis).for_each(|(sum, weight)| *sum += half * weight);
        }
        *samples = sums.map(idct::sample);
    }
    samples
}

/// The same of the first 2 rows and columns. In whole numbers, which is as exact: sums are in eighths.
#[inline(always)]
pub(super) fn two(block: &Block, quantiser: &Quantiser) -> [[u8; 2]; 2] {
    let of = |at: usize| i32::from(block[at]) * quantiser.first[at];
    let (mean, across, down, both) = (of(0), of(1), of(8), of(9));
    let (left, right) = (mean + across, mean - across);
    let (below, beyond) = (down + both, down - both);
    [[eighths(left + below), eighths(right + beyond)], [eighths(left - below), eighths(right - beyond)]]
}

/// The mean of a block: all its samples, where it has no other coefficient.
#[inline(always)]
pub(super) fn one(dc: i16, quantiser: &Quantiser) -> u8 {
    eighths(i32::from(dc) * quantiser.first[0])
}

/// A sample of a sum in eighths, rounded from a half upwards.
#[inline(always)]
fn eighths(sum: i32) -> u8 {
    ((sum + 8 * 128 + 4) >> 3).clamp(0, 255).to_le_bytes()[0]
}
