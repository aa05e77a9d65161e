//! Twin of `shaders/vertical.wgsl`: output rows from the rows a kernel row names.
//!
//! Two loops with one result. [`run`] makes one output row from all its source rows. [`add`] adds a few source rows to
//! all the output rows they belong to, so that rows need not wait: for a reduction of 16 a row belongs to 6 output rows,
//! but an output row needs 96. Both sum in the order of the source rows, so they agree to the bit.

/// Floats of the output row made together: they stay in registers while the rows go by.
const BLOCK: usize = 32;

/// Pixels of a row of a tile. One plane of a tile fits the first-level cache, all of them the second: shorter ones are slower,
/// since the source is then read in shorter runs.
pub const TILE: usize = 1024;

/// Rows added together: as many as a tile has.
pub const BATCH: usize = 8;

/// The most output rows added to together.
pub const GROUP: usize = 4;

/// `target[i] = sum of weights[t] * rows[t][i]`. Rows and target are planar rows of one shape, whose length is a
/// multiple of 8. Costs `rows * length` multiply-adds.
#[multiversion::multiversion(targets("x86_64+avx2"))]
pub fn run(weights: &[f32], rows: &[&[f32]], target: &mut [f32]) {
    let (blocks, rest) = target.as_chunks_mut::<BLOCK>();
    let mut at = 0;
    for block in blocks {
        *block = sums(weights, rows, at);
        at += BLOCK;
    }
    let (eights, _) = rest.as_chunks_mut::<8>();
    for eight in eights {
        *eight = sums(weights, rows, at);
        at += 8;
    }
}

#[inline(always)]
fn sums<const N: usize>(weights: &[f32], rows: &[&[f32]], at: usize) -> [f32; N] {
    let mut sums = [0.0; N];
    for (&weight, row) in weights.iter().zip(rows) {
        let Some(samples) = row.get(at..).and_then(<[f32]>::first_chunk::<N>) else { break };
        for (sum, &sample) in sums.iter_mut().zip(samples) {
            *sum += weight * sample;
        }
    }
    sums
}

/// `sums[g][i] += weights[r][g] * rows[r][i]`, for `G` output rows, at most [`GROUP`]; where `fresh[g]`, sums are taken
/// for 0. A sample is loaded once for all of
/// them, and their sums stay in registers while the rows go by. `sums` are of one length, a multiple of 16 and at most
/// [`TILE`]. Costs `G * rows * length` multiply-adds.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub fn add<const G: usize>(
    rows: &[[f32; TILE]],
    weights: &[[f32; GROUP]],
    fresh: [bool; GROUP],
    sums: [&mut [f32]; G],
) {
    let sums = sums.map(|sums| sums.as_chunks_mut::<16>().0);
    let blocks = sums.iter().fold(TILE / 16, |blocks, sums| blocks.min(sums.len()));
    #[expect(clippy::needless_range_loop, reason = "zipped, it is vectorised across rows: 30 times slower")]
    for at in 0..blocks {
        let mut block = [[0.0; 16]; G];
        for g in 0..G {
            if !fresh[g] {
                block[g] = sums[g][at];
            }
        }
        for (row, weights) in rows.iter().zip(weights) {
            let samples = &row.as_chunks::<16>().0[at];
            for g in 0..G {
                for i in 0..16 {
                    block[g][i] += weights[g] * samples[i];
                }
            }
        }
        for g in 0..G {
            sums[g][at] = block[g];
        }
    }
}
