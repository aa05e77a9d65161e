//! Linear light in whole numbers, two rows zipped: what 8-bit pixels are filtered along y in.
//!
//! A sample has 16 bits, a weight 15, a sum 32; an instruction multiplies and adds two samples to each sum, so this takes half
//! of the time and the memory that floats do. Sums are exact: in whatever order and batches rows are added, the same
//! bytes come out.
//!
//! What is lost is less than what rounding to 8 bits loses: a sample is off by half of 1/65535 at most, which is 0.025 of
//! a code in the dark, where codes are closest. Weights are rounded one after the other so that they always add up to
//! what they should: a flat part of a picture stays what it was, and what is left of their error alternates.

#[cfg(target_arch = "x86_64")]
mod madd;

use std::sync::LazyLock;

use multiversion::target::match_target;

use super::lookup::{Table, look_up};
use super::row::Light;
use super::vertical::{GROUP, TILE};
use crate::pixels::kernel::Kernel;
use crate::pixels::pixmap::Layout;
use crate::pixels::srgb::LINEAR_FROM_CODE;

/// A sample of one row and the one under it in the next: 0 is -32768, 1 is 32767.
pub type Pair = [i16; 2];

/// What the weights of an output row add up to: weights of 1 are the largest.
const ONE: i16 = i16::MAX;

/// What is taken off each sample of 16 bits, so that it is a number with a sign.
const MIDDLE: u16 = 1 << 15;

/// Light as 16 bits.
const WHITE: f32 = 65_535.0;

/// The sum of a product and the light that it is.
const LIGHT: f32 = 1.0 / (ONE as f32 * WHITE);
/// The light that taking [`MIDDLE`] off each sample took away: the float that makes a sum of black exactly 0.
const TAKEN: f32 = (ONE as i32 * MIDDLE as i32) as f32 * LIGHT;

impl Light for i32 {
    #[inline(always)]
    fn light(self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "24 bits are enough")]
        let sum = self as f32;
        sum * LIGHT + TAKEN
    }
}

/// Whether the kernel's weights and sums have room: no weight over 1, and absolute weights of an output row that add up
/// to less than 2. So has every kernel that makes a picture smaller or blurs it.
#[must_use]
pub fn fits(kernel: &Kernel) -> bool {
    kernel.rows().iter().all(|&row| {
        let weights = kernel.row_weights(row);
        let (total, largest) = weights
            .iter()
            .fold((0.0_f32, 0.0_f32), |(total, largest), weight| (total + weight.abs(), largest.max(weight.abs())));
        largest <= 1.0 && total < 1.9
    })
}

/// Weights of an output row in units of 1/32767. What is lost of one is given to the next.
#[must_use]
pub fn weights(weights: &[f32]) -> Vec<i16> {
    let (mut exact, mut given) = (0.0_f64, 0.0_f64);
    let rounded = weights.iter().map(|&weight| {
        exact += f64::from(weight) * f64::from(ONE);
        let next = exact.round() - given;
        given += next;
        #[expect(clippy::cast_possible_truncation, reason = "weights are at most 1; a cast saturates")]
        let next = next as i16;
        next
    });
    rounded.collect()
}

/// Linear light of each code, as 16 bits.
static LIGHTS: LazyLock<[u16; 256]> = LazyLock::new(|| {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65535")]
    LINEAR_FROM_CODE.map(|light| (light * WHITE).round() as u16)
});

/// The same with [`MIDDLE`] taken off.
static OPAQUE: LazyLock<Table> = LazyLock::new(|| Table::new(LIGHTS.map(|light| light ^ MIDDLE)));
static TRANSPARENT: LazyLock<Table> = LazyLock::new(|| Table::new(*LIGHTS));

/// Alpha of each opacity, as 16 bits.
static ALPHA: Table = {
    let mut table = [0; 256];
    let mut opacity = 0_u8;
    while opacity < 255 {
        opacity += 1;
        table[opacity as usize] = opacity as u16 * 257;
    }
    Table::new(table)
};

/// Fills a part of a plane a channel from two rows of 8-bit pixels, of one length: sRGB to linear light, straight to
/// premultiplied alpha. There is room for all pixels.
pub fn linearise(rows: [&[u8]; 2], layout: Layout, planes: [&mut [Pair]; 4]) {
    let [first, second, third, fourth] = planes.map(bytemuck::cast_slice_mut::<Pair, [u16; 2]>);
    match layout {
        Layout::Luma => look_up(rows.map(|row| row.as_chunks::<1>().0), [&OPAQUE], [first]),
        Layout::LumaAlpha => {
            look_up(rows.map(|row| row.as_chunks::<2>().0), [&TRANSPARENT, &ALPHA], [first, second]);
            premultiply([first], second);
        }
        Layout::Rgb => look_up(rows.map(|row| row.as_chunks::<3>().0), [&OPAQUE; 3], [first, second, third]),
        Layout::Rgba => {
            let light = &*TRANSPARENT;
            let planes = [&mut *first, second, third, fourth];
            look_up(rows.map(|row| row.as_chunks::<4>().0), [light, light, light, &ALPHA], planes);
            premultiply([first, second, third], fourth);
        }
    }
}

/// Multiplies planes of colour by alpha, rounded to the nearest of 1/65536, and takes [`MIDDLE`] off all of them. That is
/// 1/65535 too little for the lighter half of what is opaque: 0.003 of a code.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn premultiply<const N: usize>(colours: [&mut [[u16; 2]]; N], alpha: &mut [[u16; 2]]) {
    for plane in colours {
        for (colour, alpha) in plane.as_flattened_mut().iter_mut().zip(alpha.as_flattened()) {
            // In halves, for which there are instructions.
            let upper = ((u32::from(*colour) * u32::from(*alpha)) >> 16) as u16;
            let lower = colour.wrapping_mul(*alpha);
            *colour = (upper + (lower >> 15)) ^ MIDDLE;
        }
    }
    alpha.as_flattened_mut().iter_mut().for_each(|alpha| *alpha ^= MIDDLE);
}

/// `sums[g][i] += weights[p][g] . rows[p][i]`, for `G` output rows, at most [`GROUP`]; where `fresh[g]`, sums are taken for
/// 0. A pair is loaded once for all of them, and their sums stay in registers while the rows go by. `sums` are of one
/// length, a multiple of 16 and at most [`TILE`]. Costs `2 G * rows * length` multiply-adds.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw", "x86_64+avx2"))]
pub fn add<const G: usize>(
    rows: &[[Pair; TILE]],
    weights: &[[Pair; GROUP]],
    fresh: [bool; GROUP],
    sums: [&mut [i32]; G],
) {
    let mut sums = sums.map(|sums| sums.as_chunks_mut::<16>().0);
    let blocks = sums.iter().fold(TILE / 16, |blocks, sums| blocks.min(sums.len()));
    for at in 0..blocks {
        let mut block = [[0; 16]; G];
        for ((block, sums), fresh) in block.iter_mut().zip(&sums).zip(fresh) {
            if !fresh {
                *block = sums[at];
            }
        }
        let block = match_target! {
            "x86_64+avx512f+avx512bw" => madd::added_avx512(rows, weights, at, block),
            "x86_64+avx2" => madd::added_avx2(rows, weights, at, block),
            _ => added(rows, weights, at, block),
        };
        for (sums, block) in sums.iter_mut().zip(block) {
            sums[at] = block;
        }
    }
}

/// The sums of a block with all its rows added.
#[cfg_attr(target_feature = "avx2", expect(dead_code, reason = "for other processors"))]
#[inline(always)]
fn added<const G: usize>(
    rows: &[[Pair; TILE]],
    weights: &[[Pair; GROUP]],
    at: usize,
    mut block: [[i32; 16]; G],
) -> [[i32; 16]; G] {
    for (row, weights) in rows.iter().zip(weights) {
        let pairs = row.as_chunks::<16>().0[at];
        for (sums, weights) in block.iter_mut().zip(weights) {
            let [above, below] = weights.map(i32::from);
            for (sum, pair) in sums.iter_mut().zip(&pairs) {
                let [first, second] = pair.map(i32::from);
                *sum += above * first + below * second;
            }
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::kernel::resample::{ResizeFilter, resample};
    use crate::pixels::kernel::{Band, gaussian};

    #[test]
    fn weights_add_up_and_are_nearly_what_they_were() {
        let lanczos = resample(ResizeFilter::Lanczos3, 1632, 1024).unwrap();
        for kernel in [lanczos, gaussian::blur(900, 20.0).remove(0), Kernel::identity(9)] {
            assert!(fits(&kernel));
            for &row in kernel.rows() {
                let exact = kernel.row_weights(row);
                let rounded = weights(exact);
                assert_eq!(rounded.iter().map(|&weight| i32::from(weight)).sum::<i32>(), i32::from(ONE));
                for (exact, rounded) in exact.iter().zip(rounded) {
                    assert!((exact * f32::from(ONE) - f32::from(rounded)).abs() <= 1.001);
                }
            }
        }
    }

    #[test]
    fn kernels_without_room_are_told() {
        // One that makes a picture larger has weights over 1 where it sharpens.
        assert!(!fits(&Kernel::from_bands(3, &[Band { first: 0, weights: vec![-0.25, 1.5, -0.25] }]).unwrap()));
        assert!(!fits(&Kernel::from_bands(4, &[Band { first: 0, weights: vec![0.9, -0.4, 0.9, -0.4] }]).unwrap()));
    }

    #[test]
    fn black_and_white_come_back_exactly() {
        let sum = |sample: i16| i32::from(ONE) * i32::from(sample);
        assert_eq!(sum(i16::MIN).light(), 0.0);
        assert!((sum(i16::MAX).light() - 1.0).abs() < 1e-6);
        assert!((sum(0).light() - 0.5).abs() < 1e-5);
    }

    #[test]
    fn alpha_is_multiplied_and_rounded() {
        let all: Vec<u16> = (0..=u16::MAX).step_by(97).chain([u16::MAX]).collect();
        for opacity in [0_u16, 257, 32_639, 65_278, 65_535] {
            let mut colour: Vec<[u16; 2]> = all.iter().map(|&light| [light, u16::MAX - light]).collect();
            let before = colour.clone();
            let mut alpha = vec![[opacity; 2]; colour.len()];
            premultiply([&mut colour], &mut alpha);
            for (got, before) in colour.as_flattened().iter().zip(before.as_flattened()) {
                let want = f64::from(*before) * f64::from(opacity) / 65_535.0;
                assert!((f64::from(got ^ MIDDLE) - want).abs() <= 1.5, "{before} times {opacity}");
            }
            assert!(alpha.iter().flatten().all(|&alpha| alpha ^ MIDDLE == opacity));
        }
    }

    #[test]
    fn every_way_of_adding_gives_the_same_sums() {
        let mut state = 5_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            i16::from_le_bytes([state.to_le_bytes()[2], state.to_le_bytes()[3]])
        };
        let rows: Vec<[Pair; TILE]> = (0..3).map(|_| std::array::from_fn(|_| [random(), random()])).collect();
        // As small as they are where all of a kernel's have room together.
        let weights: Vec<[Pair; GROUP]> =
            (0..3).map(|_| std::array::from_fn(|_| [random() / 8, random() / 8])).collect();
        let fresh = [true, false, false, true];
        let mut got = vec![vec![1000; 48]; GROUP];
        let mut sums = got.iter_mut();
        add::<GROUP>(&rows, &weights, fresh, std::array::from_fn(|_| sums.next().unwrap().as_mut_slice()));
        for (g, sums) in got.iter().enumerate() {
            for (i, &sum) in sums.iter().enumerate() {
                let products = rows.iter().zip(&weights).map(|(row, weights)| {
                    let ([a, b], [c, d]) = (row[i], weights[g]);
                    i32::from(a) * i32::from(c) + i32::from(b) * i32::from(d)
                });
                assert_eq!(sum, products.sum::<i32>() + if fresh[g] { 0 } else { 1000 }, "output {g}, sample {i}");
            }
        }
    }
}
