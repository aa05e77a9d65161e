//! Changes of colours as matrices: what each [`Colour`] multiplies and adds, and in which space.

use super::op::Colour;

/// The space a change is made in; always on straight colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Linear light, as it is.
    Linear,
    /// sRGB-encoded, clamped to 0 to 1 before and after.
    Encoded,
}

/// `out[c] = sum over k of rows[c][k] * in[k] + rows[c][3]`, for red, green and blue; alpha stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matrix {
    /// A row a channel: three factors and what is added.
    pub rows: [[f32; 4]; 3],
    /// The space of its values.
    pub space: Space,
}

/// Luminance of linear light, by channel (IEC 61966-2-1); CSS has the same numbers for its luma of encoded values.
const LUMINANCE: [f32; 3] = [0.2126, 0.7152, 0.0722];

impl Matrix {
    /// What a change multiplies and adds. Saturation is CSS' matrix with its three-digit constants replaced by those they
    /// are rounded from: grey stays grey to the bit of an `f32`.
    #[must_use]
    pub fn of(colour: Colour) -> Self {
        let [red, green, blue] = LUMINANCE;
        let grey = [red, green, blue, 0.0];
        let diagonal =
            |factor: f32, plus: f32| [[factor, 0.0, 0.0, plus], [0.0, factor, 0.0, plus], [0.0, 0.0, factor, plus]];
        match colour {
            Colour::Grayscale => Self { rows: [grey; 3], space: Space::Linear },
            Colour::Brightness(factor) => Self { rows: diagonal(factor, 0.0), space: Space::Encoded },
            Colour::Contrast(factor) => Self { rows: diagonal(factor, 0.5 - 0.5 * factor), space: Space::Encoded },
            Colour::Saturation(factor) => {
                let mut rows = diagonal(factor, 0.0);
                for row in &mut rows {
                    for (slot, weight) in row.iter_mut().zip(grey) {
                        *slot += (1.0 - factor) * weight;
                    }
                }
                Self { rows, space: Space::Encoded }
            }
        }
    }

    /// What it does to a grey value, red, green and blue being one: a factor and what is added.
    #[must_use]
    pub fn of_grey(&self) -> (f32, f32) {
        let [[red, green, blue, plus], ..] = self.rows;
        (red + green + blue, plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(matrix: &Matrix, pixel: [f32; 3]) -> [f32; 3] {
        matrix.rows.map(|[r, g, b, plus]| r * pixel[0] + g * pixel[1] + b * pixel[2] + plus)
    }

    #[test]
    fn one_is_no_change_and_zero_is_what_css_says() {
        let pixel = [0.9, 0.4, 0.1];
        for change in [Colour::Brightness(1.0), Colour::Contrast(1.0), Colour::Saturation(1.0)] {
            assert_eq!(apply(&Matrix::of(change), pixel), pixel, "{change:?}");
        }
        assert_eq!(apply(&Matrix::of(Colour::Brightness(0.0)), pixel), [0.0; 3]);
        assert_eq!(apply(&Matrix::of(Colour::Contrast(0.0)), pixel), [0.5; 3]);
        let [red, green, blue] = apply(&Matrix::of(Colour::Saturation(0.0)), pixel);
        let luma = 0.2126 * 0.9 + 0.7152 * 0.4 + 0.0722 * 0.1;
        assert!([red, green, blue].iter().all(|its| (its - luma).abs() < 1e-6));
        let (factor, plus) = Matrix::of(Colour::Saturation(3.0)).of_grey();
        assert!((factor - 1.0).abs() < 1e-6 && plus == 0.0);
    }
}
