//! What samples mean: from luma and differences to RGB. Numbers are those of ITU-T H.273.

use super::super::error::CodecError;
use super::super::metadata::avif::Cicp;
use super::frame::Levels;

/// How luma and differences were made from RGB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Weights {
    /// Not at all: the planes are green, blue and red.
    Identity,
    /// YCgCo.
    Lifted,
    /// With these parts of red and blue in luma.
    Parts { red: f32, blue: f32 },
}

impl Weights {
    /// H.273, table 4. Unspecified coefficients are those of BT.601 (MIAF, section 7.3.6.4).
    pub(super) fn new(cicp: Cicp) -> Result<Self, CodecError> {
        let parts = |red, blue| Ok(Self::Parts { red, blue });
        match cicp.matrix {
            0 => Ok(Self::Identity),
            1 => parts(0.2126, 0.0722),
            4 => parts(0.30, 0.11),
            2 | 5 | 6 => parts(0.299, 0.114),
            7 => parts(0.212, 0.087),
            8 => Ok(Self::Lifted),
            9 => parts(0.2627, 0.0593),
            // Derived from the primaries.
            12 => match cicp.primaries {
                9 => parts(0.2627, 0.0593),
                12 => parts(0.228_975, 0.079_287),
                _ => parts(0.2126, 0.0722),
            },
            other => Err(CodecError::unsupported(format!("AVIF with matrix coefficients {other}"))),
        }
    }

    /// RGB of one pixel, in the curve it is stored in; not clamped.
    pub(super) fn rgb(self, levels: &Levels, y: f32, cb: f32, cr: f32) -> [f32; 3] {
        match self {
            Self::Identity => [levels.luma(cr), levels.luma(y), levels.luma(cb)],
            Self::Lifted => {
                let (y, green, orange) = (levels.luma(y), levels.chroma(cb), levels.chroma(cr));
                let rest = y - green;
                [rest + orange, y + green, rest - orange]
            }
            Self::Parts { red, blue } => {
                let (y, cb, cr) = (levels.luma(y), levels.chroma(cb), levels.chroma(cr));
                let (r, b) = (2.0 * (1.0 - red) * cr, 2.0 * (1.0 - blue) * cb);
                [y + r, y - (red * r + blue * b) / (1.0 - red - blue), y + b]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cicp(primaries: u16, transfer: u16) -> Cicp {
        Cicp { primaries, transfer, matrix: 1, full_range: true }
    }

    /// BT.709 primaries through each matrix: pure colours come back (H.273, equations 38 to 43).
    #[test]
    fn weights_invert_their_equations() {
        let levels = Levels::new(8, true);
        for matrix in [1, 4, 5, 6, 7, 9] {
            let weights = Weights::new(Cicp { matrix, ..cicp(1, 1) }).unwrap();
            let Weights::Parts { red, blue } = weights else { panic!("{matrix}") };
            for [r, g, b] in [[1.0, 0.0, 0.0_f32], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.5, 0.9]] {
                let y = red * r + (1.0 - red - blue) * g + blue * b;
                let (cb, cr) = ((b - y) / (2.0 - 2.0 * blue), (r - y) / (2.0 - 2.0 * red));
                let got = weights.rgb(&levels, y * 255.0, cb * 255.0 + 128.0, cr * 255.0 + 128.0);
                for (got, want) in got.into_iter().zip([r, g, b]) {
                    assert!((got - want).abs() < 1e-5, "{matrix}: {got} for {want}");
                }
            }
        }
        assert!(matches!(Weights::new(Cicp { matrix: 14, ..cicp(1, 1) }), Err(CodecError::Unsupported { .. })));
    }
}
