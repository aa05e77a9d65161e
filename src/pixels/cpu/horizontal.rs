//! Twin of `shaders/horizontal.wgsl`: one row through a kernel along x.

use super::row::Shape;
use crate::pixels::kernel::{Kernel, LANES, Row};

/// Output samples made together.
const BLOCK: usize = 32;

/// Filters every plane of `source` into `target`: `target[x] = sum of weights[t] * source[first + t]`.
///
/// Both are planar rows of the kernel's lengths. Costs `taps * target_len` multiply-adds a plane.
pub fn run(kernel: &Kernel, source: &[f32], from: Shape, target: &mut [f32], to: Shape) {
    let source = source.chunks_exact(from.pitch);
    for (source, target) in source.zip(target.chunks_exact_mut(to.pitch)) {
        plane(kernel, source, target);
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn plane(kernel: &Kernel, source: &[f32], target: &mut [f32]) {
    for run in kernel.runs() {
        let rows = kernel.rows().get(run.start..run.start + run.len).unwrap_or(&[]);
        let outputs = target.get_mut(run.start..run.start + run.len).unwrap_or(&mut []);
        if run.shared {
            shared_run(kernel, rows, source, outputs);
        } else {
            single(kernel, rows, source, outputs);
        }
    }
}

/// One set of weights sliding by one: a block of outputs is kept in registers while the taps go by.
#[inline(always)]
fn shared_run(kernel: &Kernel, rows: &[Row], source: &[f32], outputs: &mut [f32]) {
    let Some(&row) = rows.first() else { return };
    let weights = kernel.row_weights(row).get(..kernel.taps() as usize).unwrap_or(&[]);
    let mut first = row.first as usize;
    let (blocks, rest) = outputs.as_chunks_mut::<BLOCK>();
    for block in blocks {
        let mut sums = [0.0; BLOCK];
        for (&weight, at) in weights.iter().zip(first..) {
            let Some(samples) = source.get(at..).and_then(<[f32]>::first_chunk::<BLOCK>) else { break };
            for (sum, &sample) in sums.iter_mut().zip(samples) {
                *sum += weight * sample;
            }
        }
        *block = sums;
        first += BLOCK;
    }
    let done = rows.len() - rest.len();
    single(kernel, rows.get(done..).unwrap_or(&[]), source, rest);
}

/// Output by output. The lanes of a block of outputs wait in memory for their last additions: added at once, they
/// make the compiler vectorise the tree of additions (2 wide) instead of the taps (8 wide), at half the speed.
#[inline(always)]
fn single(kernel: &Kernel, rows: &[Row], source: &[f32], outputs: &mut [f32]) {
    let mut lanes = [[0.0; LANES]; BLOCK];
    for (rows, outputs) in rows.chunks(BLOCK).zip(outputs.chunks_mut(BLOCK)) {
        for (&row, lanes) in rows.iter().zip(&mut lanes) {
            *lanes = dot(kernel.row_weights(row), source, row.first as usize);
        }
        for (output, &[a, b, c, d, e, f, g, h]) in outputs.iter_mut().zip(&lanes) {
            *output = ((a + e) + (c + g)) + ((b + f) + (d + h));
        }
    }
}

/// The products of one padded row of weights with the samples from `first`, summed in [`LANES`] lanes.
#[inline(always)]
fn dot(weights: &[f32], source: &[f32], first: usize) -> [f32; LANES] {
    let mut sums = [0.0_f32; LANES];
    let samples = source.get(first..first + weights.len()).unwrap_or(&[]);
    let (weights, _) = weights.as_chunks::<LANES>();
    let (samples, _) = samples.as_chunks::<LANES>();
    for (weights, samples) in weights.iter().zip(samples) {
        for ((sum, &weight), &sample) in sums.iter_mut().zip(weights).zip(samples) {
            *sum += weight * sample;
        }
    }
    sums
}
