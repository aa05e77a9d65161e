//! Twin of `shaders/sharpen.wgsl`: one row of the unsharp mask.

/// `blurred[i] = original[i] + amount * (original[i] - blurred[i])`, on planar rows of one length, linear light,
/// premultiplied, alpha like the colours.
#[multiversion::multiversion(targets("x86_64+avx2"))]
pub fn run(amount: f32, original: &[f32], blurred: &mut [f32]) {
    for (blurred, &original) in blurred.iter_mut().zip(original) {
        *blurred = original + amount * (original - *blurred);
    }
}
