//! Gaussian kernels: direct while small, else decimate, blur, interpolate, so that cost does not grow with sigma.
//!
//! The line is thought of as going on for ever with its edge samples repeated. A blur is then the sum of
//! `f(clamp(x + n)) * exp(-n^2 / 2 sigma^2)`, normalised.
//!
//! # Why decimating is right
//!
//! With decimation factor `k`, `d` is the line filtered by a Gaussian of `s_d = 0.7 k` and sampled every `k` pixels,
//! `b` is `d` blurred by `s_b` (in units of `k`), and the result is `b` interpolated by a Gaussian of `s_i = 0.7 k`.
//! Gaussians convolve to Gaussians and variances add, so without sampling error the whole is one of
//! `sigma^2 = s_d^2 + k^2 s_b^2 + s_i^2`, which gives `s_b^2 = (sigma / k)^2 - 0.98`.
//!
//! Sampling error: a frequency of `u` cycles per `k` pixels leaves `d` multiplied by `exp(-9.67 u^2)`
//! (`2 pi^2 0.49 = 9.67`). Sampling folds it onto `u - 1`, the blur multiplies that by `exp(-2 pi^2 s_b^2 (u - 1)^2)`.
//! `k = floor(sigma / 2)` keeps `s_b >= 1.73`, so the worst `u` (0.88) survives with at most 2.1e-4 of its amplitude,
//! and interpolation's images mirror the same bound: together under 4.2e-4 of the swing of a pattern made for it.
//! Spectra of pictures fall off; what is seen there is far smaller.
//!
//! Truncation: cutting at 4 standard deviations leaves 6.3e-5 of the weight out. The sRGB curve is steepest at black,
//! `12.92 * 255 = 3295` codes for the whole range, so that is at most 0.2 of a code.
//!
//! # Edges
//!
//! The decimated line starts and ends so far beyond the picture that its last samples see nothing but the repeated
//! edge. From there on the extended line is constant, hence so is its decimated form, and repeating *its* edge is
//! exact. The taps of `d` that fall beyond the picture are summed into the edge tap.

use super::{Band, Kernel};

/// Where Gaussians are cut off, in standard deviations.
const REACH: f64 = 4.0;

/// The largest sigma that is blurred directly, in pixels.
pub const DIRECT_MAX: f64 = 4.0;

/// Standard deviation of the filters before decimating and for interpolating, in decimated samples.
const SIDE: f64 = 0.7;

/// Sums of more samples than this are computed in closed form.
const LONG_SUM: f64 = 256.0;

/// The kernels, to be applied in order, that blur a line of `len` samples: one, or three for a large sigma. Empty when
/// `len` is 0, or sigma is not positive and finite. Lines of different length get the same number of kernels.
///
/// Costs `O(len)` Gaussians for any sigma.
#[must_use]
pub fn blur(len: u32, sigma: f64) -> Vec<Kernel> {
    let kernels = if len == 0 || !sigma.is_finite() || sigma <= 0.0 {
        None
    } else if sigma <= DIRECT_MAX {
        direct(len, sigma).map(|kernel| vec![kernel])
    } else {
        decimated(len, sigma)
    };
    kernels.unwrap_or_default()
}

fn direct(len: u32, sigma: f64) -> Option<Kernel> {
    // Away from the edges all bands are one, moved.
    let reach = whole((REACH * sigma).ceil());
    let inner = band(f64::from(reach), sigma, 2 * reach + 1);
    let bands: Vec<Band> = (0..len)
        .map(|at| match (at.checked_sub(reach), len - 1 - at >= reach) {
            (Some(before), true) => Band { first: before + inner.first, weights: inner.weights.clone() },
            (Some(_) | None, _) => band(f64::from(at), sigma, len),
        })
        .collect();
    Kernel::from_bands(len, &bands)
}

fn decimated(len: u32, sigma: f64) -> Option<Vec<Kernel>> {
    let factor = (sigma / 2.0).floor();
    let middle = ((sigma / factor).powi(2) - 2.0 * SIDE * SIDE).sqrt();
    // Decimated samples beyond each edge: enough that the outermost sees only repeated edge.
    let beyond = (REACH * SIDE).ceil();
    let inside = (f64::from(len - 1) / factor).ceil();
    let grid = whole(inside + 2.0 * beyond) + 1;
    let position = |at: u32| (f64::from(at) - beyond) * factor;
    let down: Vec<Band> = (0..grid).map(|at| band(position(at), SIDE * factor, len)).collect();
    let up: Vec<Band> = (0..len).map(|at| band(f64::from(at) / factor + beyond, SIDE, grid)).collect();
    Some(vec![Kernel::from_bands(len, &down)?, direct(grid, middle)?, Kernel::from_bands(grid, &up)?])
}

/// The Gaussian around `centre`, sampled at the whole numbers of `0..len`; what lies beyond is folded into the edges.
fn band(centre: f64, sigma: f64, len: u32) -> Band {
    let gaussian = Gaussian { centre, sigma };
    let end = f64::from(len - 1);
    let low = (centre - REACH * sigma).ceil();
    let high = (centre + REACH * sigma).floor();
    let first = low.clamp(0.0, end);
    let last = high.clamp(0.0, end);
    let mut weights: Vec<f64> = (whole(first)..=whole(last)).map(|at| gaussian.at(f64::from(at))).collect();
    // Beyond the start lie low..=-1, beyond the end len..=high; where the whole band is beyond, the edge sample itself
    // is not under it and must not count.
    if let Some(edge) = weights.first_mut().filter(|_| low < 0.0) {
        let own = if high < 0.0 { 0.0 } else { *edge };
        *edge = own + gaussian.sum(low, high.min(-1.0));
    }
    if let Some(edge) = weights.last_mut().filter(|_| high > end) {
        let own = if low > end { 0.0 } else { *edge };
        *edge = own + gaussian.sum(low.max(end + 1.0), high);
    }
    Band { first: whole(first), weights }
}

struct Gaussian {
    centre: f64,
    sigma: f64,
}

impl Gaussian {
    fn at(&self, x: f64) -> f64 {
        let z = (x - self.centre) / self.sigma;
        (-0.5 * z * z).exp()
    }

    fn slope(&self, x: f64) -> f64 {
        -(x - self.centre) / (self.sigma * self.sigma) * self.at(x)
    }

    /// The sum over the whole numbers `from..=to`.
    ///
    /// Long sums by Euler-Maclaurin: integral, plus half the end values, plus a twelfth of the difference of slopes.
    /// The next term is `g''' / 720`, at most `0.002 / sigma^3`, and a long sum has `sigma > 32`: under 6e-8. The
    /// integral is Simpson's over 128 panels of at most 8 sigma in all: an error under 1e-8.
    fn sum(&self, from: f64, to: f64) -> f64 {
        let count = to - from + 1.0;
        if count < 1.0 {
            return 0.0;
        }
        if count <= LONG_SUM {
            return (0..whole(count)).map(|step| self.at(from + f64::from(step))).sum();
        }
        const PANELS: u32 = 128;
        let step = (to - from) / f64::from(PANELS);
        let inner: f64 = (1..PANELS)
            .map(|panel| if panel % 2 == 1 { 4.0 } else { 2.0 } * self.at(f64::from(panel).mul_add(step, from)))
            .sum();
        let ends = self.at(from) + self.at(to);
        let integral = (ends + inner) * step / 3.0;
        integral + ends / 2.0 + (self.slope(to) - self.slope(from)) / 12.0
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; whole and 0 or more")]
fn whole(x: f64) -> u32 {
    x as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sums_are_those_of_the_loop() {
        for (sigma, from, to) in
            [(40.0, -160.0, 160.0), (64.0, 10.0, 300.0), (700.0, -2800.0, -1.0), (3500.0, 5.0, 14_000.0)]
        {
            let gaussian = Gaussian { centre: 0.3, sigma };
            let slow: f64 = (0..=whole(to - from)).map(|step| gaussian.at(from + f64::from(step))).sum();
            let fast = gaussian.sum(from, to);
            assert!((fast / slow - 1.0).abs() < 1e-7, "sigma {sigma}: {fast} {slow}");
        }
    }

    #[test]
    fn a_band_beyond_the_edge_is_the_edge() {
        assert_eq!(
            band(-50.0, 3.0, 10),
            Band { first: 0, weights: vec![Gaussian { centre: -50.0, sigma: 3.0 }.sum(-62.0, -38.0)] }
        );
        let right = band(60.0, 3.0, 10);
        assert_eq!((right.first, right.weights.len()), (9, 1));
    }

    #[test]
    fn cost_does_not_grow_with_sigma() {
        for sigma in [5.0, 20.0, 333.3, 10_000.0] {
            for len in [1, 2, 3, 100, 4000] {
                let taps: u64 = blur(len, sigma)
                    .iter()
                    .map(|kernel| u64::from(kernel.taps()) * u64::from(kernel.target_len()))
                    .sum();
                assert!(taps <= 24 * u64::from(len) + 200, "sigma {sigma} len {len}: {taps}");
            }
        }
    }

    #[test]
    fn nothing_to_blur_is_no_kernel() {
        assert!(blur(0, 1.0).is_empty() && blur(5, 0.0).is_empty() && blur(5, f64::NAN).is_empty());
        assert_eq!(blur(5, 1e-3), [Kernel::identity(5)], "too small to reach a neighbour");
    }
}
