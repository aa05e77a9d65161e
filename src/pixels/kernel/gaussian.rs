//! Gaussian kernels: direct while small, else decimate, blur, interpolate, so that cost does not grow with sigma.
//!
//! The line is thought of as going on for ever with its edge samples repeated. A blur is then the sum of
//! `f(clamp(x + n)) * exp(-n^2 / 2 sigma^2)`, normalised.
//!
//! # Half of the samples
//!
//! From a sigma of [`HALVED_MIN`] on a blur leaves so little above a quarter of the rate (`exp(-2 pi^2 sigma^2 / 16)`, 4e-5 of it)
//! that half of its samples say all: those between two pixels, of which the pixels lie a quarter to each side.
//! They are interpolated by [`TAPS`] weights, those of least mean square error for what this blur leaves of white noise:
//! its covariance over a distance of `d` is `exp(-d^2 / 4 sigma^2)`, and the weights are those that this makes of samples in
//! their places (simple kriging), divided by their sum. No frequency comes out wrong by more than 5e-4 of what it was (a test
//! computes it), and spectra of pictures fall off.
//!
//! # Why decimating further is right
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
//!
//! # Lines that come divided
//!
//! A decoder that divides by 2 keeps what lies below a quarter of the rate, and samples it where squares of pixels have their
//! middle. All that such a blur leaves lies below that, so the first kernel reads those samples instead, at their places
//! in the whole line.

use super::{Band, Kernel};

/// Where Gaussians are cut off, in standard deviations.
const REACH: f64 = 4.0;

/// The largest sigma of a kernel that makes every sample directly, in pixels.
pub const DIRECT_MAX: f64 = 4.0;

/// From this sigma on a blur makes half of its samples and interpolates, in pixels.
pub const HALVED_MIN: f64 = 2.875;

/// The largest sigma for which those are made directly, from 46 samples each: with more, decimating further costs less.
const HALVED_MAX: f64 = 5.75;

/// Samples that one in between is interpolated from.
const TAPS: u32 = 8;

/// The sigma whose weights serve larger ones too: they change little, less is left for them to get wrong, and the covariances of very
/// smooth noise can hardly be told apart.
const NARROWEST: f64 = 4.0;

/// Standard deviation of the filters before decimating and for interpolating, in decimated samples.
const SIDE: f64 = 0.7;

/// Sums of more samples than this are computed in closed form.
const LONG_SUM: f64 = 256.0;

/// The kernels, to be applied in order, that blur a line of `len` samples: one, or two or three for a larger sigma. Empty when
/// `len` is 0, or sigma is not positive and finite. Lines of different length get the same number of kernels.
///
/// Costs `O(len)` Gaussians for any sigma.
#[must_use]
pub fn blur(len: u32, sigma: f64) -> Vec<Kernel> {
    blur_divided(len, 1, sigma)
}

/// The same for a line of `whole_len` samples of which there is only one for each `divisor`; what comes out are all of them. Empty
/// too where that is more than [`divisor`] allows.
#[must_use]
pub fn blur_divided(whole_len: u32, by: u32, sigma: f64) -> Vec<Kernel> {
    let kernels = if whole_len == 0 || !sigma.is_finite() || sigma <= 0.0 || by == 0 || by > divisor(sigma) {
        None
    } else if sigma < HALVED_MIN {
        direct(whole_len, sigma).map(|kernel| vec![kernel])
    } else if sigma <= HALVED_MAX {
        halved(whole_len, by, sigma)
    } else {
        decimated(whole_len, by, sigma)
    };
    kernels.unwrap_or_default()
}

/// What a line may come divided by for a blur of this sigma: 2 where half of the samples say all, else 1. Not more for larger ones: 4 and 8
/// would hold all that is needed too, but as means of squares in sRGB-encoded values, which are darker than those of light where there
/// is texture (docs/benchmarks.md).
#[must_use]
pub fn divisor(sigma: f64) -> u32 {
    if sigma >= HALVED_MIN { 2 } else { 1 }
}

/// The kernel that makes every sample directly. `None` when `len` is 0.
#[must_use]
pub fn direct(len: u32, sigma: f64) -> Option<Kernel> {
    Kernel::from_bands(len, &bands(len, f64::from, sigma, len))
}

/// The Gaussians around `count` places among `len` samples.
fn bands(count: u32, place: impl Fn(u32) -> f64, sigma: f64, len: u32) -> Vec<Band> {
    let reach = REACH * sigma;
    // Away from the edges most are one, moved by whole samples: the last one again.
    let mut inner: Option<(f64, Band)> = None;
    let mut all = Vec::with_capacity(count as usize);
    for centre in (0..count).map(place) {
        let is_inside = centre - reach >= 0.0 && centre + reach <= f64::from(len.saturating_sub(1));
        let moved = inner.as_ref().and_then(|(its, inner)| {
            let by = centre - its;
            let first = f64::from(inner.first) + by;
            (is_inside && by.fract() == 0.0).then(|| Band { first: whole(first), weights: inner.weights.clone() })
        });
        all.push(moved.unwrap_or_else(|| {
            let made = band(centre, sigma, len);
            if is_inside {
                inner = Some((centre, made.clone()));
            }
            made
        }));
    }
    all
}

/// Where the middle of sample `at` of the whole line lies among those of a line divided `by`.
fn divided(at: f64, by: u32) -> f64 {
    (at + 0.5) / f64::from(by) - 0.5
}

fn halved(whole_len: u32, by: u32, sigma: f64) -> Option<Vec<Kernel>> {
    // Samples beyond each edge: what the outermost pixel is interpolated from.
    let beyond = TAPS / 2;
    let grid = whole_len.div_ceil(2) + 2 * beyond;
    let len = whole_len.div_ceil(by);
    let position = |at: u32| divided(2.0 * (f64::from(at) - f64::from(beyond)) + 0.5, by);
    let down = bands(grid, position, sigma / f64::from(by), len);
    let after = interpolation(sigma.min(NARROWEST) / 2.0, 0.25);
    let before = after.iter().rev().copied().collect::<Vec<f64>>();
    let up: Vec<Band> = (0..whole_len)
        .map(|at| match at % 2 {
            0 => Band { first: at / 2, weights: before.clone() },
            _ => Band { first: at / 2 + 1, weights: after.clone() },
        })
        .collect();
    Some(vec![Kernel::from_bands(len, &down)?, Kernel::from_bands(grid, &up)?])
}

/// The weights of [`TAPS`] samples for a place `offset` behind the one in front of their middle, for noise blurred by `sigma`: those
/// that solve `covariances * weights = covariances with the place`, by elimination. Symmetric and positive definite: no pivots.
fn interpolation(sigma: f64, offset: f64) -> Vec<f64> {
    let covariance = |distance: f64| (-0.25 * (distance / sigma).powi(2)).exp();
    let middle = f64::from(TAPS / 2 - 1);
    let mut rows: Vec<Vec<f64>> = (0..TAPS)
        .map(|row| {
            let others = (0..TAPS).map(|column| covariance(f64::from(row) - f64::from(column)));
            others.chain([covariance(f64::from(row) - middle - offset)]).collect()
        })
        .collect();
    for done in 0..rows.len() {
        let (above, below) = rows.split_at_mut(done + 1);
        let Some(pivot) = above.last() else { break };
        for row in below {
            let factor = row[done] / pivot[done];
            row.iter_mut().zip(pivot).for_each(|(value, its)| *value -= factor * its);
        }
    }
    let mut weights = vec![0.0; rows.len()];
    for (at, row) in rows.iter().enumerate().rev() {
        let known: f64 = row.iter().zip(&weights).skip(at + 1).map(|(value, weight)| value * weight).sum();
        weights[at] = (row[rows.len()] - known) / row[at];
    }
    weights
}

fn decimated(whole_len: u32, by: u32, sigma: f64) -> Option<Vec<Kernel>> {
    let factor = (sigma / 2.0).floor();
    let middle = ((sigma / factor).powi(2) - 2.0 * SIDE * SIDE).sqrt();
    // Decimated samples beyond each edge: enough that the outermost sees only repeated edge.
    let beyond = (REACH * SIDE).ceil();
    let inside = (f64::from(whole_len - 1) / factor).ceil();
    let grid = whole(inside + 2.0 * beyond) + 1;
    let len = whole_len.div_ceil(by);
    let position = |at: u32| divided((f64::from(at) - beyond) * factor, by);
    let down = bands(grid, position, SIDE * factor / f64::from(by), len);
    let up: Vec<Band> = (0..whole_len).map(|at| band(f64::from(at) / factor + beyond, SIDE, grid)).collect();
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
                assert!(taps <= 32 * u64::from(len) + 400, "sigma {sigma} len {len}: {taps}");
            }
        }
    }

    /// The share of a frequency, in cycles a pixel, by which it comes out wrong at the second pixel of a pair: of what blur and
    /// interpolation make of it, and of what the blur alone does.
    fn wrong_by(frequency: f64, sigma: f64, weights: &[f64]) -> f64 {
        let left = (-2.0 * (std::f64::consts::PI * sigma * frequency).powi(2)).exp();
        let turn = |pixels: f64| (2.0 * std::f64::consts::PI * frequency * pixels).sin_cos();
        let total: f64 = weights.iter().sum();
        let (mut sine, mut cosine) = (0.0, 0.0);
        for (weight, at) in weights.iter().zip(0_u32..) {
            let (its_sine, its_cosine) = turn(2.0 * (f64::from(at) - f64::from(TAPS / 2 - 1)));
            sine += its_sine * weight / total;
            cosine += its_cosine * weight / total;
        }
        let (wanted_sine, wanted_cosine) = turn(0.5);
        left * (sine - wanted_sine).hypot(cosine - wanted_cosine)
    }

    #[test]
    fn half_of_the_samples_say_all() {
        let worst = |sigma: f64, weights: &[f64]| {
            (0..=500).map(|step| wrong_by(f64::from(step) / 1000.0, sigma, weights)).fold(0.0, f64::max)
        };
        for step in 0..=23 {
            let sigma = HALVED_MIN + f64::from(step) / 8.0;
            assert!(worst(sigma, &interpolation(sigma.min(NARROWEST) / 2.0, 0.25)) < 5e-4, "{sigma}");
        }
        assert!(worst(2.2, &interpolation(1.1, 0.25)) > 2e-3, "the control: a sigma that is too small");
        let linear = [0.0, 0.0, 0.0, 0.75, 0.25, 0.0, 0.0, 0.0];
        assert!(worst(3.0, &linear) > 1e-2, "the control: two samples");
    }

    /// A divided line holds what a slow wave is in the middle of each square: the blur of it is that of the whole line.
    #[test]
    fn a_divided_line_is_blurred_as_the_whole_one_is() {
        let applied = |kernels: &[Kernel], line: Vec<f64>| {
            kernels.iter().fold(line, |line, kernel| {
                let sum = |row: &crate::pixels::kernel::Row| {
                    let weights = kernel.row_weights(*row).iter().map(|weight| f64::from(*weight));
                    line.iter().skip(row.first as usize).zip(weights).map(|(sample, weight)| sample * weight).sum()
                };
                kernel.rows().iter().map(sum).collect()
            })
        };
        for (sigma, by) in [(1.0, 1), (2.875, 2), (3.0, 2), (4.0, 2), (5.75, 2), (8.5, 2), (20.0, 2)] {
            assert_eq!(divisor(sigma), by);
            for len in [400_u32, 401, 407] {
                let wave = |by: u32| -> Vec<f64> {
                    let middle = |at: u32| (f64::from(at) + 0.5) * f64::from(by) - 0.5;
                    (0..len.div_ceil(by)).map(|at| (0.02 * middle(at)).sin()).collect()
                };
                let whole = applied(&blur(len, sigma), wave(1));
                let got = applied(&blur_divided(len, by, sigma), wave(by));
                let off = |got: &[f64], at: usize| (got[at] - whole[at]).abs();
                assert_eq!(got.len(), whole.len());
                for at in 90..310 {
                    assert!(off(&got, at) < 1e-3, "sigma {sigma} of {len}, {at}: {} {}", got[at], whole[at]);
                }
                let moved = applied(&blur_divided(len, by, sigma), wave(1)[..len.div_ceil(by) as usize].to_vec());
                assert!(by == 1 || (90..310).any(|at| off(&moved, at) > 0.1), "the control: another line");
                assert!(blur_divided(len, 2 * by, sigma).is_empty());
            }
        }
    }

    #[test]
    fn nothing_to_blur_is_no_kernel() {
        assert!(blur(0, 1.0).is_empty() && blur(5, 0.0).is_empty() && blur(5, f64::NAN).is_empty());
        assert_eq!(blur(5, 1e-3), [Kernel::identity(5)], "too small to reach a neighbour");
    }
}
