//! From coefficients to samples: dequantisation, inverse DCT, level shift (ITU-T T.81 A.3.3, A.3.1).
//!
//! In single precision, as two products with the 8 by 8 matrix of the transform. Sums are exact to about 1e-4 of a level, so
//! a sample is off by one from the exact transform's only where that is as near to a half. No fused multiply-add: the result
//! is the same on every machine.

use super::plane::Samples;

/// Quantised coefficients, row by row.
pub(super) type Block = [i16; 64];

/// Steps of quantisation, row by row.
pub(super) type Quantiser = [[f32; 8]; 8];

/// `BASIS[v][y]` is `C(v) / 2 * cos((2 y + 1) v pi / 16)`, with `C(0) = sqrt(1/2)` and `C(v) = 1` else.
const BASIS: [[f32; 8]; 8] = {
    /// `cos(k pi / 16) / 2`.
    const HALF_COSINES: [f32; 9] =
        [0.5, 0.490_392_64, 0.461_939_77, 0.415_734_8, 0.353_553_39, 0.277_785_12, 0.191_341_72, 0.097_545_16, 0.0];
    let mut basis = [[HALF_COSINES[4]; 8]; 8];
    let mut v = 1;
    while v < 8 {
        let mut y = 0;
        while y < 8 {
            // The angle in sixteenths of pi, of a full turn of 32: folded into the first quarter.
            let angle = (2 * y + 1) * v % 32;
            let half = if angle > 16 { 32 - angle } else { angle };
            basis[v][y] = if half > 8 { -HALF_COSINES[16 - half] } else { HALF_COSINES[half] };
            y += 1;
        }
        v += 1;
    }
    basis
};

/// The steps as the transform wants them.
pub(super) fn quantiser(steps: &[u16; 64]) -> Quantiser {
    let mut quantiser = [[0.0; 8]; 8];
    for (to, from) in quantiser.as_flattened_mut().iter_mut().zip(steps) {
        *to = f32::from(*from);
    }
    quantiser
}

/// The samples of a block that has no coefficient behind place `last` of the order of coding. Diagonals are coded one after
/// the other, so the first few lie in a smaller square.
#[inline(always)]
pub(super) fn samples(block: &Block, last: usize, quantiser: &Quantiser) -> Samples {
    match last {
        0..=2 => square::<2>(block, quantiser),
        3..=9 => square::<4>(block, quantiser),
        10..=20 => square::<6>(block, quantiser),
        _ => square::<8>(block, quantiser),
    }
}

/// The samples of a block whose coefficients are in the rows and columns 0 to `furthest`.
#[inline(always)]
pub(super) fn samples_within(block: &Block, furthest: usize, quantiser: &Quantiser) -> Samples {
    match furthest {
        0..=1 => square::<2>(block, quantiser),
        2..=3 => square::<4>(block, quantiser),
        4..=5 => square::<6>(block, quantiser),
        _ => square::<8>(block, quantiser),
    }
}

/// The one sample of a block of a DC coefficient alone.
#[inline(always)]
pub(super) fn flat(dc: i16, quantiser: &Quantiser) -> u8 {
    sample(f32::from(dc) * quantiser[0][0] * 0.125)
}

/// The samples of a block whose coefficients are all in the first `N` rows and columns; `N` is even.
#[inline(always)]
fn square<const N: usize>(block: &Block, quantiser: &Quantiser) -> Samples {
    let (rows, _) = block.as_chunks::<8>();
    // Down the columns. The basis is symmetric for even and antisymmetric for odd frequencies: half the products do.
    let mut half = [[0.0_f32; 8]; 8];
    let mut coefficients = [[0.0_f32; 8]; N];
    for ((coefficients, row), steps) in coefficients.iter_mut().zip(rows).zip(quantiser) {
        for ((coefficient, &quantised), step) in coefficients.iter_mut().zip(row).zip(steps) {
            *coefficient = f32::from(quantised) * step;
        }
    }
    for y in 0..4 {
        let (mut even, mut odd) = ([0.0_f32; 8], [0.0_f32; 8]);
        for (pair, basis) in coefficients.chunks_exact(2).zip(BASIS.chunks_exact(2)) {
            let ([low, high], [even_basis, odd_basis]) = (pair, basis) else { continue };
            for u in 0..8 {
                even[u] += low[u] * even_basis[y];
                odd[u] += high[u] * odd_basis[y];
            }
        }
        for u in 0..8 {
            half[y][u] = even[u] + odd[u];
            half[7 - y][u] = even[u] - odd[u];
        }
    }
    // Along the rows.
    let mut samples = [[0; 8]; 8];
    for (samples, half) in samples.iter_mut().zip(&half) {
        let mut sums = [0.0_f32; 8];
        for (value, basis) in half.iter().zip(&BASIS).take(N) {
            for (sum, basis) in sums.iter_mut().zip(basis) {
                *sum += value * basis;
            }
        }
        *samples = sums.map(sample);
    }
    samples
}

/// Shifted to 0 to 255, clamped, rounded to the nearest (even at a half).
#[inline(always)]
fn sample(value: f32) -> u8 {
    // Past 2^23 the unit is the last bit, so adding that rounds, and leaves the integer in the lowest byte.
    ((value + 128.0).clamp(0.0, 255.0) + 8_388_608.0).to_bits().to_le_bytes()[0]
}
