//! From coefficients to samples: dequantisation, inverse DCT, level shift (ITU-T T.81 A.3.3, A.3.1).
//!
//! In single precision, as two products with the 8 by 8 matrix of the transform. Sums are exact to about 1e-4 of a level, so
//! a sample is off by one from the exact transform's only where that is as near to a half. No fused multiply-add: the result
//! is the same on every machine.

use super::plane::Samples;
use super::scale::basis;

/// Quantised coefficients, row by row.
pub(super) type Block = [i16; 64];

/// Steps of quantisation, row by row.
pub(super) struct Quantiser {
    steps: [f32; 64],
    /// Of the first two rows, in whole numbers.
    pub(super) first: [i32; 16],
}

/// Of all 8 samples.
const BASIS: [[f32; 8]; 8] = basis(8);

impl Quantiser {
    /// The steps as the transforms want them.
    pub(super) fn new(steps: &[u16; 64]) -> Self {
        let first = steps.first_chunk::<16>().map_or([0; 16], |rows| rows.map(i32::from));
        Self { steps: steps.map(f32::from), first }
    }

    /// The coefficient in this place of a block.
    #[inline(always)]
    pub(super) fn restored(&self, block: &Block, at: usize) -> f32 {
        f32::from(block[at]) * self.steps[at]
    }
}

/// The samples of a block that has no coefficient behind place `last` of the order of coding. Diagonals are coded one after
/// the other, so the first few lie in a smaller square.
#[inline(always)]
pub(super) fn samples(block: &Block, last: usize, quantiser: &Quantiser) -> Samples<8, 8> {
    match last {
        0..=9 => square::<4>(block, quantiser),
        _ => square::<8>(block, quantiser),
    }
}

/// The samples of a block whose coefficients are all in the first `N` rows and columns; `N` is even.
///
/// The outer loops are over the eight lanes of a vector, with all else inside: so the compiler makes one pass of them.
#[inline(always)]
fn square<const N: usize>(block: &Block, quantiser: &Quantiser) -> Samples<8, 8> {
    // Down the columns. The basis is symmetric for even and antisymmetric for odd frequencies: half the products do.
    let mut half = [0.0_f32; 64];
    for u in 0..8 {
        let coefficients: [f32; N] = std::array::from_fn(|v| quantiser.restored(block, 8 * v + u));
        for y in 0..4 {
            let (mut even, mut odd) = (0.0_f32, 0.0_f32);
            for v in (0..N).step_by(2) {
                even += coefficients[v] * BASIS[v][y];
                odd += coefficients[v + 1] * BASIS[v + 1][y];
            }
            half[8 * y + u] = even + odd;
            half[8 * (7 - y) + u] = even - odd;
        }
    }
    // Along the rows.
    let mut sums = [0.0_f32; 64];
    for (sums, half) in sums.as_chunks_mut::<8>().0.iter_mut().zip(half.as_chunks::<8>().0) {
        for (half, basis) in half.iter().zip(&BASIS).take(N) {
            for x in 0..8 {
                sums[x] += half * basis[x];
            }
        }
    }
    let mut samples = [[0; 8]; 8];
    samples.as_flattened_mut().iter_mut().zip(sums).for_each(|(to, sum)| *to = sample(sum));
    samples
}

/// Shifted to 0 to 255, clamped, rounded to the nearest, from a half upwards.
#[inline(always)]
pub(super) fn sample(value: f32) -> u8 {
    // Past 2^23 the unit is the last bit, so adding that rounds, and leaves the integer in the lowest byte. It rounds a half
    // to even, though; blocks of DC alone are often just there, and other decoders go up: so does the last bit of this.
    const LEVEL: f32 = 128.0 + 1.0 / 1024.0;
    ((value + LEVEL).clamp(0.0, 255.0) + 8_388_608.0).to_bits().to_le_bytes()[0]
}
