//! Lanczos3 kernels for reducing: windowed sinc, cut off and renormalised at the edges.

use std::f64::consts::PI;

use super::{Band, Kernel};

/// Lobes on each side at scale 1.
const LOBES: f64 = 3.0;

/// Weights smaller than this, of a peak of 1, are zeros of the sinc seen through rounding.
const NOTHING: f64 = 1e-12;

/// The kernel that makes `target_len` samples of `source_len`.
///
/// Sample centres lie at half integers, so output `i` looks at source position `(i + 1/2) * ratio - 1/2`. When
/// reducing, the filter is stretched by the ratio: it must cut off at the *target's* highest frequency. Beyond the
/// edge nothing is invented: weights there are dropped and the rest renormalised.
///
/// `None` when a length is zero. Costs `target_len * 6 * ratio` sines.
#[must_use]
pub fn resize(source_len: u32, target_len: u32) -> Option<Kernel> {
    if source_len == 0 || target_len == 0 {
        return None;
    }
    if source_len == target_len {
        return Some(Kernel::identity(source_len));
    }
    let ratio = f64::from(source_len) / f64::from(target_len);
    let scale = ratio.max(1.0);
    let bands: Vec<Band> =
        (0..target_len).map(|at| band((f64::from(at) + 0.5).mul_add(ratio, -0.5), scale, source_len)).collect();
    Kernel::from_bands(source_len, &bands)
}

fn band(centre: f64, scale: f64, source_len: u32) -> Band {
    let reach = LOBES * scale;
    let first = index((centre - reach).ceil().max(0.0));
    let last = index((centre + reach).floor()).min(source_len - 1);
    let weight = |at: u32| lanczos3((f64::from(at) - centre) / scale);
    let mut first = first;
    while first < last && weight(first).abs() < NOTHING {
        first += 1;
    }
    let mut weights: Vec<f64> = (first..=last).map(weight).collect();
    while weights.len() > 1 && weights.last().is_some_and(|weight| weight.abs() < NOTHING) {
        weights.pop();
    }
    Band { first, weights }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; positions are 0 or more")]
fn index(position: f64) -> u32 {
    position as u32
}

/// `sinc(x) * sinc(x / 3)` inside three lobes, 0 outside. One sine: `sin(3t) = 3 sin t - 4 sin^3 t` with `t = pi x / 3`.
fn lanczos3(x: f64) -> f64 {
    if x.abs() >= LOBES {
        return 0.0;
    }
    let third = PI * x / LOBES;
    if third.abs() < 1e-9 {
        return 1.0;
    }
    let sine = third.sin();
    let whole = sine * (4.0 * sine).mul_add(-sine, 3.0);
    LOBES * whole * sine / (PI * x).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_the_textbook_one() {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        for step in -350..=350 {
            let x = f64::from(step) / 100.0;
            let want = if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 };
            assert!((lanczos3(x) - want).abs() < 1e-13, "{x}: {} {want}", lanczos3(x));
        }
    }

    #[test]
    fn equal_lengths_change_nothing_and_integer_ratios_share_their_rows() {
        assert_eq!(resize(5, 5), Some(Kernel::identity(5)));
        let half = resize(200, 100).unwrap();
        assert_eq!(half.taps(), 12);
        assert!(half.weights().len() <= 7 * half.stride(), "one inner row and three at each edge");
        assert_eq!(resize(0, 1), None);
    }

    #[test]
    fn a_single_source_sample_or_target_sample_works() {
        assert_eq!(resize(1, 1).unwrap().taps(), 1);
        let one = resize(7, 1).unwrap();
        assert_eq!((one.taps(), one.target_len()), (7, 1));
    }
}
