//! Kernels that reduce a line: a filter, sampled where each output sample looks, cut off and renormalised at the edges.

use std::{f64::consts::PI, ops::Range};

use super::{Band, Kernel};

/// The filters to reduce with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResizeFilter {
    /// `sinc(x) sinc(x / 3)`, three lobes: the sharpest, with a little ringing.
    #[default]
    Lanczos3,
    /// The cubic of Keys with `a = -1/2` (Cubic Convolution Interpolation, 1981): sharp, one small negative lobe.
    CatmullRom,
    /// The cubic of Mitchell and Netravali with `B = C = 1/3` (Reconstruction Filters in Computer Graphics, 1988).
    Mitchell,
    /// A triangle.
    Bilinear,
    /// The mean of the pixels under an output pixel, those at its ends by how much of them it covers.
    Box,
}

impl ResizeFilter {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Lanczos3, Self::CatmullRom, Self::Mitchell, Self::Bilinear, Self::Box];

    /// Its name, as people type it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lanczos3 => "lanczos3",
            Self::CatmullRom => "catmullrom",
            Self::Mitchell => "mitchell",
            Self::Bilinear => "bilinear",
            Self::Box => "box",
        }
    }

    /// The radius outside which it is zero, at scale 1.
    #[must_use]
    pub const fn support(self) -> f64 {
        match self {
            Self::Lanczos3 => 3.0,
            Self::CatmullRom | Self::Mitchell => 2.0,
            Self::Bilinear => 1.0,
            Self::Box => 0.5,
        }
    }

    /// Its value at `x`; not normalised.
    fn at(self, x: f64) -> f64 {
        let x = x.abs();
        if x >= self.support() {
            return 0.0;
        }
        match self {
            Self::Lanczos3 => lanczos3(x),
            Self::CatmullRom => cubic(x, 0.0, 0.5),
            Self::Mitchell => cubic(x, 1.0 / 3.0, 1.0 / 3.0),
            Self::Bilinear => 1.0 - x,
            Self::Box => 1.0,
        }
    }
}

/// Weights smaller than this, of a peak of 1, are zeros seen through rounding.
const NOTHING: f64 = 1e-12;

/// The kernel that makes `target_len` samples of `source_len`.
///
/// Sample centres lie at half integers, so output `i` looks at source position `(i + 1/2) * ratio - 1/2`. When
/// reducing, the filter is stretched by the ratio: it must cut off at the *target's* highest frequency. Beyond the
/// edge nothing is invented: weights there are dropped and the rest renormalised.
///
/// `None` when a length is zero. Costs `target_len * 2 * support * ratio` values of the filter.
#[must_use]
pub fn resample(filter: ResizeFilter, source_len: u32, target_len: u32) -> Option<Kernel> {
    resample_divided(filter, source_len, 1, target_len)
}

/// The same for a line of `whole_len` samples of which there is only one for each `divisor`, the mean of them. The last one may
/// have fewer samples of the line under it, so the line ends within it: ratio and positions are those of the line.
#[must_use]
pub fn resample_divided(filter: ResizeFilter, whole_len: u32, divisor: u32, target_len: u32) -> Option<Kernel> {
    resample_part(filter, whole_len, divisor, 0..whole_len, target_len)
}

/// The same of a part of the line alone, which may begin and end between two of the samples that there are: those that it has any part of
/// are looked at, and none else.
///
/// `None` for a part with nothing in it too, or that goes past the line.
#[must_use]
pub fn resample_part(
    filter: ResizeFilter,
    whole_len: u32,
    divisor: u32,
    part: Range<u32>,
    target_len: u32,
) -> Option<Kernel> {
    if part.is_empty() || part.end > whole_len || target_len == 0 || divisor == 0 {
        return None;
    }
    let (source_len, part_len) = (whole_len.div_ceil(divisor), part.end - part.start);
    if part_len == source_len && source_len == target_len {
        return Some(Kernel::identity(source_len));
    }
    let ratio = f64::from(part_len) / f64::from(divisor) / f64::from(target_len);
    let scale = ratio.max(1.0);
    let before = f64::from(part.start) / f64::from(divisor) - 0.5;
    let centre = |at: u32| (f64::from(at) + 0.5).mul_add(ratio, before);
    let samples = part.start / divisor..part.end.div_ceil(divisor);
    let bands: Vec<Band> = (0..target_len).map(|at| band(filter, centre(at), scale, &samples)).collect();
    Kernel::from_bands(source_len, &bands)
}

/// The kernel that divides a line by a whole number: what [`resample_divided`] takes. Each sample of the result stands for
/// `divisor` samples of the line, the last one for those that are left.
///
/// `None` when the length or the divisor is zero.
#[must_use]
pub fn divide(filter: ResizeFilter, whole_len: u32, divisor: u32) -> Option<Kernel> {
    if whole_len == 0 || divisor == 0 {
        return None;
    }
    let scale = f64::from(divisor);
    let centre = |at: u32| (f64::from(at) + 0.5).mul_add(scale, -0.5);
    let bands: Vec<Band> =
        (0..whole_len.div_ceil(divisor)).map(|at| band(filter, centre(at), scale, &(0..whole_len))).collect();
    Kernel::from_bands(whole_len, &bands)
}

fn band(filter: ResizeFilter, centre: f64, scale: f64, samples: &Range<u32>) -> Band {
    let weight = |at: u32| match filter {
        // A pixel covers half a pixel to each side of its centre: the length of what it shares with the box.
        ResizeFilter::Box => {
            let (low, high) = (centre - scale / 2.0, centre + scale / 2.0);
            ((f64::from(at) + 0.5).min(high) - (f64::from(at) - 0.5).max(low)).max(0.0)
        }
        ResizeFilter::Lanczos3 | ResizeFilter::CatmullRom | ResizeFilter::Mitchell | ResizeFilter::Bilinear => {
            filter.at((f64::from(at) - centre) / scale)
        }
    };
    // A pixel more on each side: the box reaches pixels whose centres are outside of it.
    let reach = filter.support() * scale + 1.0;
    let inside = |position: f64| index(position.max(0.0)).clamp(samples.start, samples.end - 1);
    let (mut first, last) = (inside((centre - reach).ceil()), inside((centre + reach).floor()));
    while first < last && weight(first).abs() < NOTHING {
        first += 1;
    }
    let mut weights: Vec<f64> = match filter {
        ResizeFilter::Lanczos3 => lanczos3_run((f64::from(first) - centre) / scale, 1.0 / scale, last - first + 1),
        ResizeFilter::CatmullRom | ResizeFilter::Mitchell | ResizeFilter::Bilinear | ResizeFilter::Box => {
            (first..=last).map(weight).collect()
        }
    };
    // Noise would keep rows of equal weights from being one.
    weights.iter_mut().filter(|weight| weight.abs() < NOTHING).for_each(|weight| *weight = 0.0);
    while weights.len() > 1 && weights.last().is_some_and(|weight| weight.abs() < NOTHING) {
        weights.pop();
    }
    Band { first, weights }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; positions are 0 or more")]
fn index(position: f64) -> u32 {
    position as u32
}

/// `sinc(x) * sinc(x / 3)`. One sine: `sin(3t) = 3 sin t - 4 sin^3 t` with `t = pi x / 3`.
fn lanczos3(x: f64) -> f64 {
    let third = PI * x / 3.0;
    if third.abs() < 1e-9 { 1.0 } else { lanczos3_of_sine(third.sin(), third) }
}

/// The same where the sine of `third`, a third of `pi x`, is known.
fn lanczos3_of_sine(sine: f64, third: f64) -> f64 {
    let square = sine * sine;
    square * (3.0 - 4.0 * square) / (3.0 * third * third)
}

/// Where the sine is not of the value's own, in thirds of `pi x`: near 0 its error would be divided by next to nothing.
const OWN_SINE: f64 = 0.1;

/// `ResizeFilter::Lanczos3.at` at `count` places from `start` on, `step` apart: nearly all the time of making a kernel.
/// Each sine is that of the place before, turned by the step: sines and cosines are sums of products of sines and
/// cosines. Off by one rounding a place, so by less than 1e-12 over the 10,000 places of the widest kernels.
fn lanczos3_run(start: f64, step: f64, count: u32) -> Vec<f64> {
    let (mut sine, mut cosine) = (PI * start / 3.0).sin_cos();
    let (step_sine, step_cosine) = (PI * step / 3.0).sin_cos();
    let value = |at: u32| {
        let x = f64::from(at) * step + start;
        let third = PI * x / 3.0;
        let own = sine;
        (sine, cosine) = (sine * step_cosine + cosine * step_sine, cosine * step_cosine - sine * step_sine);
        if x.abs() >= ResizeFilter::Lanczos3.support() {
            0.0
        } else if third.abs() < OWN_SINE {
            lanczos3(x)
        } else {
            lanczos3_of_sine(own, third)
        }
    };
    (0..count).map(value).collect()
}

/// The two-parameter cubics of Mitchell and Netravali, for `0 <= x < 2`.
fn cubic(x: f64, b: f64, c: f64) -> f64 {
    let six_times = if x < 1.0 {
        (12.0 - 9.0 * b - 6.0 * c) * x.powi(3) + (-18.0 + 12.0 * b + 6.0 * c) * x.powi(2) + (6.0 - 2.0 * b)
    } else {
        (-b - 6.0 * c) * x.powi(3)
            + (6.0 * b + 30.0 * c) * x.powi(2)
            + (-12.0 * b - 48.0 * c) * x
            + (8.0 * b + 24.0 * c)
    };
    six_times / 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanczos(source: u32, target: u32) -> Option<Kernel> {
        resample(ResizeFilter::Lanczos3, source, target)
    }

    #[test]
    fn the_window_is_the_textbook_one() {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        for step in -350..=350 {
            let x = f64::from(step) / 100.0;
            let want = if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 };
            let got = ResizeFilter::Lanczos3.at(x);
            assert!((got - want).abs() < 1e-13, "{x}: {got} {want}");
        }
    }

    #[test]
    fn a_run_of_values_is_the_values_one_by_one() {
        for (start, step, count) in
            [(-3.1, 0.07, 100), (-2.999, 1.0 / 34.1, 206), (-3.0, 0.0006, 10_001), (-0.4, 1.0, 2)]
        {
            let run = lanczos3_run(start, step, count);
            for (got, at) in run.iter().zip(0_u32..) {
                let want = ResizeFilter::Lanczos3.at(f64::from(at) * step + start);
                assert!((got - want).abs() < 1e-11, "{start} + {at} * {step}: {got} {want}");
            }
            let other = lanczos3_run(start, step * 1.000_001, count);
            assert!(run.iter().zip(&other).any(|(a, b)| (a - b).abs() > 1e-9), "the control: another step");
        }
    }

    #[test]
    fn cubics_have_their_known_values_and_every_filter_sums_to_one_on_the_grid() {
        assert_eq!([0.0, 1.0].map(|x| ResizeFilter::CatmullRom.at(x)), [1.0, 0.0], "it interpolates");
        assert!((ResizeFilter::Mitchell.at(0.0) - 8.0 / 9.0).abs() < 1e-15);
        assert!((ResizeFilter::Mitchell.at(1.0) - 1.0 / 18.0).abs() < 1e-15);
        for filter in ResizeFilter::ALL.into_iter().filter(|filter| *filter != ResizeFilter::Lanczos3) {
            for step in 0..20 {
                let offset = f64::from(step) / 20.0 - 0.5 + 1e-9;
                let sum: f64 = (-4..=4).map(|at| filter.at(f64::from(at) + offset)).sum();
                assert!((sum - 1.0).abs() < 1e-12, "{filter:?} {offset} {sum}");
            }
        }
    }

    #[test]
    fn a_box_is_the_mean_of_what_it_covers() {
        // 3 to 2: each output covers one pixel and half of the middle one.
        let kernel = resample(ResizeFilter::Box, 3, 2).unwrap();
        let row = |at: usize| kernel.row_weights(kernel.rows()[at])[..2].to_vec();
        for (got, want) in [(row(0), [2.0, 1.0]), (row(1), [1.0, 2.0])] {
            assert!(got.iter().zip(want).all(|(got, third)| (got - third / 3.0).abs() < 1e-6), "{got:?}");
        }
        let kernel = resample(ResizeFilter::Box, 100, 25).unwrap();
        assert_eq!((kernel.taps(), kernel.weights()[..4].to_vec()), (4, vec![0.25; 4]));
    }

    #[test]
    fn equal_lengths_change_nothing_and_integer_ratios_share_their_rows() {
        for filter in ResizeFilter::ALL {
            assert_eq!(resample(filter, 5, 5), Some(Kernel::identity(5)));
            assert_eq!(resample(filter, 0, 1), None);
        }
        let half = lanczos(200, 100).unwrap();
        assert_eq!(half.taps(), 12);
        assert!(half.weights().len() <= 7 * half.stride(), "one inner row and three at each edge");
    }

    /// On a slope a symmetric filter gives the height at its centre.
    #[test]
    fn a_part_of_a_divided_line_begins_and_ends_where_it_does() {
        let (part, divisor, target_len) = (101..805_u32, 8_u32, 44_u32);
        let height = |at: usize| 8.0 * at as f64 + 3.5;
        let kernel = resample_part(ResizeFilter::Lanczos3, 1001, divisor, part.clone(), target_len).unwrap();
        assert_eq!((kernel.source_len(), kernel.target_len()), (126, 44));
        for (row, at) in kernel.rows().iter().zip(0..) {
            let (first, weights) = (row.first as usize, kernel.row_weights(*row));
            // The last tap that counts: rows are filled up with zeros.
            let end = first + weights.iter().rposition(|weight| *weight != 0.0).unwrap();
            assert!(first >= 12 && end <= 100, "{at}: samples {first} to {end}");
            let got: f64 = weights.iter().zip(first..).map(|(weight, at)| f64::from(*weight) * height(at)).sum();
            let want = 101.0 + (f64::from(at) + 0.5) * 16.0 - 0.5;
            let allowed = if (3..41).contains(&at) { 0.1 } else { 8.0 };
            assert!((got - want).abs() < allowed, "{at}: {got} {want}");
        }
        let part_of_all = |part| resample_part(ResizeFilter::Lanczos3, 1001, 8, part, 44);
        assert_eq!(part_of_all(0..1001), resample_divided(ResizeFilter::Lanczos3, 1001, 8, 44));
        #[expect(clippy::reversed_empty_ranges, reason = "what is refused")]
        let wrong = [5..5, 7..5, 0..1002].map(part_of_all);
        assert_eq!(wrong, [None, None, None]);
    }

    #[test]
    fn a_single_source_sample_or_target_sample_works() {
        for filter in ResizeFilter::ALL {
            assert_eq!(resample(filter, 1, 1).unwrap().taps(), 1);
            let one = resample(filter, 7, 1).unwrap();
            assert_eq!((one.taps(), one.target_len()), (7, 1), "{filter:?}");
        }
    }

    /// On a slope a symmetric filter gives the height at its centre, within what its samples lie unevenly about that.
    #[test]
    fn a_divided_line_ends_where_the_line_does() {
        let (whole_len, divisor, target_len) = (1001_u32, 8_u32, 50_u32);
        let divided: Vec<f64> = (0..126).map(|at| f64::from(8 * at) + 3.5).collect();
        let heights = |kernel: &Kernel| -> Vec<f64> {
            let height = |row: &crate::pixels::kernel::Row| {
                let weights = kernel.row_weights(*row).iter().map(|weight| f64::from(*weight));
                divided.iter().skip(row.first as usize).zip(weights).map(|(height, weight)| height * weight).sum()
            };
            kernel.rows().iter().map(height).collect()
        };
        let wanted = |at: u32| (f64::from(at) + 0.5) * f64::from(whole_len) / f64::from(target_len) - 0.5;
        let kernel = resample_divided(ResizeFilter::Lanczos3, whole_len, divisor, target_len).unwrap();
        assert_eq!((kernel.source_len(), kernel.target_len()), (126, 50));
        let ends = lanczos(126, 50).unwrap();
        for at in 4..46 {
            let want = wanted(at);
            let got = heights(&kernel)[at as usize];
            assert!((got - want).abs() < 0.1, "{at}: {got} {want}");
        }
        let off = (heights(&ends)[45] - wanted(45)).abs();
        assert!(off > 5.0, "the control, a line as long as its samples: {off}");
        assert_eq!(resample_divided(ResizeFilter::Lanczos3, 7, 1, 3), lanczos(7, 3));
        assert_eq!(resample_divided(ResizeFilter::Lanczos3, 7, 0, 3), None);
    }
}
