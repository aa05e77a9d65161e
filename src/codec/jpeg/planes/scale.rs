//! Smaller pictures straight from the coefficients: a block of 8 by 8 samples becomes one of 4 by 4, 2 by 2 or 1.

use super::header::place_of;
use super::idct::{self, Block, Quantiser};
use super::plane::Plane;

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

/// Samples of what a block becomes, across and down; 1 to 8 each.
pub(super) type Shape = (usize, usize);

/// The shape of a block of luma.
pub(super) const fn shape_of(scale: Scale) -> Shape {
    let side = 8 / scale.divisor() as usize;
    (side, side)
}

/// How a line of chroma comes to lie under one of luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// Samples of a block.
    pub(super) samples: usize,
    /// By how much the line is stretched after that; 1 for what is usual.
    pub(super) stretch: usize,
}

impl Fit {
    /// Of chroma of which a sample lies under `ratio` samples of luma, whose blocks become `luma` samples, if it is to have all or
    /// half of the samples of luma.
    pub(super) fn new(luma: usize, ratio: usize, is_half: bool) -> Option<Self> {
        let wanted = luma * ratio;
        if is_half && (ratio < 2 || !wanted.is_multiple_of(2)) {
            return None;
        }
        let wanted = if is_half { wanted / 2 } else { wanted };
        let stretch = (1..=wanted).find(|by| wanted.is_multiple_of(*by) && wanted / by <= 8)?;
        Some(Self { samples: wanted / stretch, stretch })
    }

    /// Along one side of the picture, for each component of chroma: whether all have half as many samples as luma, and what their
    /// lines become. As many as luma where blocks have them: divided less than luma, by as much as it was less to begin with, they
    /// lose no more than luma does. Else half, if more is kept that way or as much.
    pub(super) fn of(luma: usize, ratios: &[usize]) -> Option<(bool, Vec<Self>)> {
        let fits = |is_half| ratios.iter().map(|ratio| Self::new(luma, *ratio, is_half)).collect::<Option<Vec<Self>>>();
        let least = |fits: &[Self]| fits.iter().map(|fit| fit.samples).min();
        let full = fits(false)?;
        match fits(true) {
            Some(half) if full.iter().any(|fit| fit.stretch > 1) && least(&half) >= least(&full) => Some((true, half)),
            _ => Some((false, full)),
        }
    }
}

/// The last coefficient, in the order of coding, that a block of this shape is made from.
pub(super) const fn last_used((across, down): Shape) -> usize {
    let mut place = 63;
    while place > 0 {
        let at = place_of(place);
        if at % 8 < across && at / 8 < down {
            return place;
        }
        place -= 1;
    }
    0
}

/// `BASES[n][v][y]` is `C(v) / 2 * cos((2 y + 1) v pi / 2 n)`, with `C(0) = sqrt(1/2)` and `C(v) = 1` else: from the first `n`
/// frequencies of 8 samples to `n` samples.
pub(super) static BASES: [[[f32; 8]; 8]; 9] = {
    let mut bases = [[[0.0; 8]; 8]; 9];
    let mut n = 1;
    while n <= 8 {
        bases[n] = basis(n);
        n += 1;
    }
    bases
};

/// One of [`BASES`].
pub(super) const fn basis(n: usize) -> [[f32; 8]; 8] {
    let mut basis = [[0.0; 8]; 8];
    let mut v = 0;
    while v < n {
        let mut y = 0;
        while y < n {
            basis[v][y] = if v == 0 { half_cosine(1, 2) } else { half_cosine((2 * y + 1) * v, n) };
            y += 1;
        }
        v += 1;
    }
    basis
}

/// `cos(k pi / 2 n) / 2`, by its series, which is exact to the last bit of an `f32` in the first quarter of a turn.
#[expect(clippy::cast_possible_truncation, reason = "meant: rounded to single precision once")]
const fn half_cosine(k: usize, n: usize) -> f32 {
    // In quarters of `n`, of a full turn of four.
    let angle = k % (4 * n);
    let folded = if angle > 2 * n { 4 * n - angle } else { angle };
    let (folded, sign) = if folded > n { (2 * n - folded, -1.0) } else { (folded, 1.0) };
    let x = std::f64::consts::FRAC_PI_2 * folded as f64 / n as f64;
    let (mut sum, mut term, mut at) = (0.0, 1.0, 0.0);
    while at < 24.0 {
        sum += term;
        term *= -x * x / ((at + 1.0) * (at + 2.0));
        at += 2.0;
    }
    (sign * sum / 2.0) as f32
}

/// The samples of this shape whose transform is the first rows and columns of the block's, with their share of its power.
#[inline(always)]
pub(super) fn rectangle<const W: usize, const H: usize>(block: &Block, quantiser: &Quantiser) -> [[u8; W]; H] {
    let (across, down) = const { (basis(W), basis(H)) };
    let mut half = [[0.0_f32; W]; H];
    for (v, basis) in down.iter().enumerate().take(H) {
        let coefficients: [f32; W] = std::array::from_fn(|u| quantiser.restored(block, 8 * v + u));
        for (half, weight) in half.iter_mut().zip(basis) {
            half.iter_mut().zip(coefficients).for_each(|(sum, coefficient)| *sum += coefficient * weight);
        }
    }
    let mut samples = [[0; W]; H];
    for (samples, half) in samples.iter_mut().zip(&half) {
        let mut sums = [0.0_f32; W];
        for (half, basis) in half.iter().zip(&across) {
            sums.iter_mut().zip(basis).for_each(|(sum, weight)| *sum += half * weight);
        }
        *samples = sums.map(idct::sample);
    }
    samples
}

/// The same where nothing is known of the shape before: for samplings that are rare.
fn any_rectangle(block: &Block, quantiser: &Quantiser, (across, down): Shape) -> [[u8; 8]; 8] {
    let (columns, rows) = (&BASES[across.min(8)], &BASES[down.min(8)]);
    let mut half = [[0.0_f32; 8]; 8];
    for (v, basis) in rows.iter().enumerate().take(down) {
        for (half, weight) in half.iter_mut().zip(basis).take(down) {
            for (u, sum) in half.iter_mut().enumerate().take(across) {
                *sum += quantiser.restored(block, 8 * v + u) * weight;
            }
        }
    }
    let mut samples = [[0; 8]; 8];
    for (samples, half) in samples.iter_mut().zip(&half).take(down) {
        let mut sums = [0.0_f32; 8];
        for (half, basis) in half.iter().zip(columns).take(across) {
            sums.iter_mut().zip(basis).for_each(|(sum, weight)| *sum += half * weight);
        }
        *samples = sums.map(idct::sample);
    }
    samples
}

/// Puts what a block of any shape becomes, which has no coefficient behind place `last` of the order of coding.
#[multiversion::multiversion(targets("x86_64+avx2+bmi1+bmi2"))]
pub(super) fn put_any(
    plane: &mut Plane,
    at: (usize, usize),
    shape: Shape,
    (block, last): (&Block, usize),
    quantiser: &Quantiser,
) {
    match shape {
        _ if last == 0 => plane.put_part(at, shape, &[[one(block[0], quantiser); 8]; 8]),
        (2, 1) => plane.put(at, &rectangle::<2, 1>(block, quantiser)),
        (1, 2) => plane.put(at, &rectangle::<1, 2>(block, quantiser)),
        (2, 2) => plane.put(at, &two(block, quantiser)),
        (4, 2) => plane.put(at, &rectangle::<4, 2>(block, quantiser)),
        (2, 4) => plane.put(at, &rectangle::<2, 4>(block, quantiser)),
        (4, 4) => plane.put(at, &rectangle::<4, 4>(block, quantiser)),
        (8, 4) => plane.put(at, &rectangle::<8, 4>(block, quantiser)),
        (4, 8) => plane.put(at, &rectangle::<4, 8>(block, quantiser)),
        (8, 8) => plane.put(at, &idct::samples(block, last, quantiser)),
        _ => plane.put_part(at, shape, &any_rectangle(block, quantiser, shape)),
    }
}

/// [`rectangle`] of the first 2 rows and columns. In whole numbers, which is as exact: sums are in eighths.
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
