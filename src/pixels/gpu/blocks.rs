//! Kernels as the shaders read them: four outputs at a time.
//!
//! Neighbouring outputs read nearly the same samples. A shader invocation makes four of them along the kernel's axis,
//! so that it loads (and linearises) a sample once for all four; the four weights of a sample lie in one vector.

use std::collections::HashMap;

use crate::pixels::kernel::{Kernel, Row};

/// Outputs of a block.
pub(super) const BLOCK: usize = 4;

/// A kernel in blocks of four outputs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Blocks {
    /// Samples each block reads: `first..first + taps`, inside the line.
    pub(super) taps: u32,
    /// One for four outputs; `offset` counts vectors.
    pub(super) rows: Vec<Row>,
    /// For each sample of a block the weights of its four outputs; equal blocks are stored once.
    pub(super) weights: Vec<[f32; BLOCK]>,
}

/// Samples that the widest block of a kernel reads.
pub(super) fn taps(kernel: &Kernel) -> u32 {
    let reach = |block: &[Row]| match block {
        [first, .., last] => last.first - first.first,
        [_] | [] => 0,
    };
    kernel.rows().chunks(BLOCK).map(reach).max().unwrap_or(0) + kernel.taps()
}

impl Blocks {
    /// Packs a kernel. Costs one pass over its weights.
    pub(super) fn of(kernel: &Kernel) -> Self {
        let taps = taps(kernel);
        // A kernel's rows end inside its line, so the union of four of them does too.
        let last_first = kernel.source_len() - taps;
        let mut known: HashMap<Vec<(u32, u32)>, u32> = HashMap::new();
        let mut rows = Vec::new();
        let mut weights: Vec<[f32; BLOCK]> = Vec::new();
        for block in kernel.rows().chunks(BLOCK) {
            let first = block.first().map_or(0, |row| row.first).min(last_first);
            // Equal weight rows at equal distances are equal blocks.
            let key = block.iter().map(|row| (row.first - first, row.offset)).collect();
            let next = u32::try_from(weights.len()).unwrap_or(u32::MAX);
            let offset = *known.entry(key).or_insert(next);
            if offset == next {
                let start = weights.len();
                weights.resize(start + taps as usize, [0.0; BLOCK]);
                for (lane, row) in block.iter().enumerate() {
                    let place = weights.iter_mut().skip(start + (row.first - first) as usize);
                    let taken = kernel.row_weights(*row).iter().take(kernel.taps() as usize);
                    for (slot, &weight) in place.filter_map(|vector| vector.get_mut(lane)).zip(taken) {
                        *slot = weight;
                    }
                }
            }
            rows.push(Row { first, offset });
        }
        Self { taps, rows, weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::kernel::gaussian;
    use crate::pixels::kernel::resample::{ResizeFilter, resample};

    #[test]
    fn blocks_are_the_kernel_regrouped() {
        let kernels = gaussian::blur(90, 2.0).into_iter().chain(gaussian::blur(90, 30.0)).chain(resample(
            ResizeFilter::Lanczos3,
            90,
            13,
        ));
        for kernel in kernels.chain([Kernel::identity(1), Kernel::identity(7)]) {
            let blocks = Blocks::of(&kernel);
            for (at, row) in kernel.rows().iter().enumerate() {
                let block = blocks.rows[at / BLOCK];
                assert!(block.first + blocks.taps <= kernel.source_len());
                for sample in 0..kernel.source_len() {
                    let tap = sample.checked_sub(row.first).filter(|tap| *tap < kernel.taps());
                    let want = tap.map_or(0.0, |tap| kernel.row_weights(*row)[tap as usize]);
                    let place = sample.checked_sub(block.first).filter(|place| *place < blocks.taps);
                    let got = place.map_or(0.0, |place| blocks.weights[(block.offset + place) as usize][at % BLOCK]);
                    assert!(got == want, "output {at}, sample {sample}: {got} {want}");
                }
            }
        }
        let blur = Blocks::of(&gaussian::blur(4000, 2.5)[0]);
        assert!(blur.weights.len() < 12 * blur.taps as usize, "the inner blocks are one");
    }
}
