//! Twin of `shaders/colour.wgsl`: one row through a matrix of colours.

use super::row::Shape;
use crate::pixels::colour::{Matrix, Space};
use crate::pixels::srgb::CURVES;

/// Changes the colours of a planar row of `shape` in place: premultiplied to straight, encoded where the matrix is for
/// encoded values, multiplied, and back. With one plane, or one and alpha, the colour is grey. Alpha stays; where it is not positive,
/// colours become 0.
pub fn run(matrix: &Matrix, row: &mut [f32], shape: Shape) {
    let Shape { width, pitch, planes } = shape;
    let has_alpha = planes.is_multiple_of(2);
    let (colours, alpha) = row.split_at_mut((pitch * (planes - usize::from(has_alpha))).min(row.len()));
    let opacity = |at: usize| if has_alpha { alpha.get(at).copied().unwrap_or(0.0) } else { 1.0 };
    if planes <= 2 {
        let (factor, plus) = matrix.of_grey();
        for (grey, at) in colours.iter_mut().take(width).zip(0..) {
            *grey = changed(matrix.space, [*grey; 3], opacity(at), |[grey, ..]| [factor * grey + plus; 3])[0];
        }
        return;
    }
    let (red, rest) = colours.split_at_mut(pitch.min(colours.len()));
    let (green, blue) = rest.split_at_mut(pitch.min(rest.len()));
    for (((red, green), blue), at) in red.iter_mut().zip(green).zip(blue).take(width).zip(0..) {
        let multiply = |[r, g, b]: [f32; 3]| matrix.rows.map(|[x, y, z, plus]| x * r + y * g + z * b + plus);
        [*red, *green, *blue] = changed(matrix.space, [*red, *green, *blue], opacity(at), multiply);
    }
}

#[inline(always)]
fn changed(space: Space, light: [f32; 3], alpha: f32, multiply: impl Fn([f32; 3]) -> [f32; 3]) -> [f32; 3] {
    if alpha <= 0.0 {
        return [0.0; 3];
    }
    let straight = light.map(|light| light / alpha);
    let made = match space {
        Space::Linear => multiply(straight),
        Space::Encoded => {
            let curves = &*CURVES;
            multiply(straight.map(|light| curves.encoded(light))).map(|encoded| curves.linear(encoded))
        }
    };
    made.map(|light| light * alpha)
}
