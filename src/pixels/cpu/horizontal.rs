//! Twin of `shaders/horizontal.wgsl`: one row through a kernel along x.

use super::row::{Light, Shape};
use super::transpose;
pub use super::transpose::ROWS;
use crate::pixels::kernel::{Kernel, LANES, Row};

/// Output samples made together.
const BLOCK: usize = 32;

/// Taps taken together.
const TAPS: usize = 4;

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
        // Some taps at a time, so that what they read is looked for once.
        let (groups, others) = weights.as_chunks::<TAPS>();
        for (weights, at) in groups.iter().zip((first..).step_by(TAPS)) {
            let Some(window) = source.get(at..).and_then(<[f32]>::first_chunk::<{ BLOCK + TAPS - 1 }>) else { break };
            for tap in 0..TAPS {
                for i in 0..BLOCK {
                    sums[i] += weights[tap] * window[i + tap];
                }
            }
        }
        for (&weight, at) in others.iter().zip(first + TAPS * groups.len()..) {
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

/// The most taps for which rows are filtered together: with more, [`run`] is faster.
const FEW_TAPS: u32 = 48;

/// Whether it is faster to filter [`ROWS`] rows together: where few source samples make an output, and neighbours have
/// different weights, [`run`] spends its time on adding up lanes.
#[must_use]
pub fn in_blocks(kernel: &Kernel) -> bool {
    let shared: usize = kernel.runs().iter().filter(|run| run.shared).map(|run| run.len).sum();
    kernel.taps() <= FEW_TAPS && shared * 2 < kernel.rows().len()
}

/// A plane of [`ROWS`] rows on its side, before and after: the samples of all rows at one place lie together, so that
/// each row has a lane and no lanes are to be added up.
pub struct Block {
    source: Vec<[f32; ROWS]>,
    target: Vec<[f32; ROWS]>,
}

impl Block {
    /// Room for rows of these shapes.
    #[must_use]
    pub fn new(from: Shape, to: Shape) -> Self {
        let columns = |width: usize| vec![[0.0; ROWS]; width.next_multiple_of(LANES)];
        Self { source: columns(from.width), target: columns(to.width) }
    }

    /// Bytes it holds for rows of these widths.
    #[must_use]
    pub const fn bytes(from: u32, to: u32) -> u64 {
        (from as u64 + to as u64 + 16) * size_of::<[f32; ROWS]>() as u64
    }

    /// What [`run`] does, for at most [`ROWS`] rows; but that it sums in the order of the taps.
    pub fn run<T: Light>(&mut self, kernel: &Kernel, sources: &[&[T]], from: Shape, targets: &mut [f32], to: Shape) {
        let mut targets: Vec<&mut [f32]> = targets.chunks_exact_mut(to.len()).collect();
        for plane in 0..from.planes.min(to.planes) {
            transpose::lay(sources, plane * from.pitch, &mut self.source);
            columns(kernel, &self.source, &mut self.target);
            transpose::stand(&self.target, &mut targets, plane * to.pitch);
        }
    }
}

/// Filters [`ROWS`] rows that lie on their side.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn columns(kernel: &Kernel, source: &[[f32; ROWS]], target: &mut [[f32; ROWS]]) {
    let taps = kernel.taps() as usize;
    for (&row, target) in kernel.rows().iter().zip(target) {
        let first = row.first as usize;
        let mut sums = [0.0; ROWS];
        for (&weight, samples) in kernel.row_weights(row).iter().zip(source.get(first..first + taps).unwrap_or(&[])) {
            for (sum, &sample) in sums.iter_mut().zip(samples) {
                *sum += weight * sample;
            }
        }
        *target = sums;
    }
}
