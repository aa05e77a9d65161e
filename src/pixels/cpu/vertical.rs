//! Twin of `shaders/vertical.wgsl`: one output row from the rows a kernel row names.

/// Floats of the output row made together: they stay in registers while the rows go by.
const BLOCK: usize = 32;

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
