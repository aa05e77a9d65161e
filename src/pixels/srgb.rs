//! The sRGB transfer function (IEC 61966-2-1), both ways, exact to the rounding.

use std::sync::LazyLock;

/// Buckets of linear light over `0..1`. Thresholds between codes are at least `1 / 3295` apart (the curve is steepest
/// at black, 12.92), so no bucket holds two of them.
const BUCKETS: usize = 4096;
const BUCKETS_F32: f32 = 4096.0;

/// Linear light, 0 to 1, of an sRGB-encoded value, 0 to 1.
#[must_use]
pub fn linear_from_srgb(encoded: f64) -> f64 {
    if encoded <= 0.04045 { encoded / 12.92 } else { ((encoded + 0.055) / 1.055).powf(2.4) }
}

/// Linear light of each 8-bit sRGB code.
pub static LINEAR_FROM_CODE: LazyLock<[f32; 256]> = LazyLock::new(|| {
    let mut table = [0.0; 256];
    for (slot, code) in table.iter_mut().zip(0..=255_u8) {
        *slot = narrow(linear_from_srgb(f64::from(code) / 255.0));
    }
    table
});

/// The look-up that encodes linear light: `code = bucket's code, plus 1 from that code's threshold on`.
///
/// Exact: for every `f32` the result is `round(255 * srgb(x))`, halves up. A bucket's code is that of its lower edge,
/// and at most one threshold lies inside it; a threshold is the smallest `f32` not under the exact value.
pub struct CodeFromLinear {
    /// The code at the lower edge of each bucket, and of 1.0.
    codes: [u8; BUCKETS + 1],
    /// The smallest linear value that encodes to the code after this one; infinite after 255.
    next: [f32; 256],
}

/// The one table.
pub static CODE_FROM_LINEAR: LazyLock<CodeFromLinear> = LazyLock::new(CodeFromLinear::new);

impl CodeFromLinear {
    fn new() -> Self {
        let mut next = [f32::INFINITY; 256];
        for (slot, code) in next.iter_mut().zip(0_u8..255) {
            let exact = linear_from_srgb((f64::from(code) + 0.5) / 255.0);
            let near = narrow(exact);
            *slot = if f64::from(near) < exact { near.next_up() } else { near };
        }
        let mut codes = [0; BUCKETS + 1];
        let mut code = 0_u8;
        for (bucket, slot) in (0_u16..).zip(codes.iter_mut()) {
            let edge = f32::from(bucket) / BUCKETS_F32;
            while next.get(usize::from(code)).is_some_and(|&threshold| edge >= threshold) {
                code += 1;
            }
            *slot = code;
        }
        Self { codes, next }
    }

    /// The 8-bit sRGB code of linear light; clamped to 0 and 255, NaN is 0.
    #[must_use]
    #[inline(always)]
    pub fn encode(&self, linear: f32) -> u8 {
        let x = linear.clamp(0.0, 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 4096; NaN becomes 0")]
        let bucket = (x * BUCKETS_F32) as usize;
        let code = self.codes.get(bucket).copied().unwrap_or(255);
        let threshold = self.next.get(usize::from(code)).copied().unwrap_or(f32::INFINITY);
        // At 255 the threshold is infinite: no overflow.
        code.wrapping_add(u8::from(x >= threshold))
    }
}

/// The fourth root of linear light to its code, above the straight line: `255 (1.055 q^(5/3) - 0.055)` for `q` from
/// 0.2365 to 1, lowest degree first. The polynomial of least largest error: 0.0004 of a code.
const CODE_FROM_ROOT: [f32; 7] = [-15.184_366, 35.598_85, 348.310_7, -217.505_88, 167.584_87, -81.197_06, 17.393_234];

/// The 8-bit sRGB codes of linear light; clamped to 0 and 255, NaN is 0.
///
/// The same as [`CodeFromLinear::encode`], but for values within a thousandth of a code of a threshold, which may go to
/// either side of it; a look-up cannot be done in vectors, square roots can. Every processor rounds each step alike.
#[must_use]
#[inline(always)]
pub fn codes_from_linear<const N: usize>(linear: &[f32; N]) -> [u8; N] {
    let mut codes = [0; N];
    // No `map`: it is compiled without the instructions of the loop around it, and stays a call.
    for (code, &linear) in codes.iter_mut().zip(linear) {
        *code = rounded(code_from_linear(linear));
    }
    codes
}

/// The sRGB code of linear light, 0 to 255, not rounded; clamped, NaN is 0.
#[must_use]
#[inline(always)]
pub fn code_from_linear(linear: f32) -> f32 {
    let x = clamped(linear);
    let root = x.sqrt().sqrt();
    let [a, b, c, d, e, f, g] = CODE_FROM_ROOT;
    let curve = (((((g * root + f) * root + e) * root + d) * root + c) * root + b) * root + a;
    let line = x * (12.92 * 255.0);
    if x <= 0.003_130_8 { line } else { curve }
}

/// The value, at least 0 and at most 1; NaN is 0, where `clamp` would leave it.
#[must_use]
#[inline(always)]
pub const fn clamped(x: f32) -> f32 {
    x.max(0.0).min(1.0)
}

/// The whole number nearest to `code`, 0 to 255. A float of 2^23 and more has no room for a fraction: adding that
/// rounds, and leaves the whole number in the lowest bits.
#[must_use]
#[inline(always)]
pub fn rounded(code: f32) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "the lowest byte is the number")]
    let lowest = (code + 8_388_608.0).to_bits() as u8;
    lowest
}

/// Steps of the table from encoded to linear.
const STEPS: usize = 4096;
const STEPS_F32: f32 = 4096.0;

/// Binary orders of magnitude of linear light in the table to encoded, and parts of each.
const OCTAVES: u32 = 16;
const PARTS: u32 = 128;

/// Both curves for values in between the codes, as tables with linear interpolation: within 3e-6 of the exact curves, a
/// thousandth of a code. `powf` costs twenty times as much.
pub struct Curves {
    linear: Vec<f32>,
    encoded: Vec<f32>,
}

/// The one pair of tables.
pub static CURVES: LazyLock<Curves> = LazyLock::new(Curves::new);

impl Curves {
    fn new() -> Self {
        let step = |at: usize| f64::from(u32::try_from(at).unwrap_or(0)) / f64::from(STEPS_F32);
        let linear = (0..=STEPS + 1).map(|at| narrow(linear_from_srgb(step(at)))).collect();
        // An f32's bits from the exponent on, and 7 of the fraction: equal parts of each octave up to 1.
        let part = |at: u32| f64::from(f32::from_bits(LOWEST + (at << PART_SHIFT)));
        let encoded = (0..=OCTAVES * PARTS + 1).map(|at| narrow(srgb_from_linear(part(at)))).collect();
        Self { linear, encoded }
    }

    /// Linear light of an encoded value; clamped to 0 and 1.
    #[must_use]
    #[inline(always)]
    pub fn linear(&self, encoded: f32) -> f32 {
        let x = encoded.clamp(0.0, 1.0) * STEPS_F32;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 4096; NaN becomes 0")]
        let at = x as usize;
        #[expect(clippy::cast_precision_loss, reason = "at most 4096")]
        let rest = x - at as f32;
        between(&self.linear, at, rest)
    }

    /// The encoded value of linear light; clamped to 0 and 1.
    #[must_use]
    #[inline(always)]
    pub fn encoded(&self, linear: f32) -> f32 {
        let x = linear.clamp(0.0, 1.0);
        // Below the table the curve is a straight line; NaN goes there too and is no number in any case.
        let Some(above) = x.to_bits().checked_sub(LOWEST) else { return 12.92 * x };
        let at = (above >> PART_SHIFT) as usize;
        #[expect(clippy::cast_precision_loss, reason = "16 bits")]
        let rest = (above & ((1 << PART_SHIFT) - 1)) as f32 / (1_u32 << PART_SHIFT) as f32;
        between(&self.encoded, at, rest)
    }
}

/// The bits of `2^-16`, where the table to encoded begins.
const LOWEST: u32 = (127 - OCTAVES) << 23;
const PART_SHIFT: u32 = 23 - PARTS.ilog2();

#[inline(always)]
fn between(table: &[f32], at: usize, rest: f32) -> f32 {
    match table.get(at..) {
        Some([low, high, ..]) => low + rest * (high - low),
        _ => 1.0,
    }
}

/// The encoded value, 0 to 1, of linear light, 0 to 1.
#[must_use]
pub fn srgb_from_linear(linear: f64) -> f64 {
    if linear <= 0.003_130_8 { linear * 12.92 } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

#[expect(clippy::cast_possible_truncation, reason = "the one rounding of a table's value")]
fn narrow(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(x: f32) -> u8 {
        // Inverts the decoding curve, so that both sides of its joint agree.
        let x = f64::from(x.clamp(0.0, 1.0));
        (1..=255_u8).rev().find(|&code| x >= linear_from_srgb((f64::from(code) - 0.5) / 255.0)).unwrap_or(0)
    }

    #[test]
    fn every_code_survives_the_round_trip() {
        for code in 0..=255_u8 {
            assert_eq!(CODE_FROM_LINEAR.encode(LINEAR_FROM_CODE[usize::from(code)]), code);
        }
    }

    #[test]
    fn encoding_rounds_right_on_both_sides_of_every_threshold() {
        for code in 0..255_u8 {
            let threshold = CODE_FROM_LINEAR.next[usize::from(code)];
            assert_eq!(CODE_FROM_LINEAR.encode(threshold), code + 1);
            assert_eq!(CODE_FROM_LINEAR.encode(threshold.next_down()), code);
            assert_eq!((exact(threshold), exact(threshold.next_down())), (code + 1, code));
        }
        for step in 0..=100_000_u32 {
            #[expect(clippy::cast_precision_loss, reason = "under 2^24")]
            let x = step as f32 / 100_000.0;
            assert_eq!(CODE_FROM_LINEAR.encode(x), exact(x), "{x}");
        }
    }

    /// Whether a code is that of the exact look-up, with `slack` codes to either side of a threshold.
    fn agrees(code: u8, x: f32, slack: f64) -> bool {
        let at = 255.0 * srgb_from_linear(f64::from(x.clamp(0.0, 1.0)));
        code == CODE_FROM_LINEAR.encode(x) || (at.fract() - 0.5).abs() < slack && (f64::from(code) - at).abs() < 0.6
    }

    #[test]
    fn codes_in_vectors_are_those_of_the_look_up_but_at_thresholds() {
        let steps = (0..=1_000_000_u32).map(|step| narrow(f64::from(step) / 1_000_000.0));
        let dark = (0..100_000_u32).map(|step| narrow(f64::from(step) / 1e7));
        let odd = [-1.0, -0.0, f32::NAN, f32::NEG_INFINITY, 2.0, f32::INFINITY, f32::MIN_POSITIVE, 1e-40];
        let all: Vec<f32> = steps.chain(dark).chain(odd).chain(*LINEAR_FROM_CODE).collect();
        let wrong = |nudge: f32| all.iter().filter(|&&x| !agrees(codes_from_linear(&[x * nudge])[0], x, 0.001)).count();
        assert_eq!(wrong(1.0), 0);
        assert!(wrong(1.000_1) > 100, "the control: a curve that is off by a ten thousandth");
        for code in 0..=255_u8 {
            assert_eq!(codes_from_linear(&[LINEAR_FROM_CODE[usize::from(code)]]), [code]);
        }
    }

    #[test]
    fn the_curve_is_the_standards() {
        for step in 0..=1000 {
            let x = f64::from(step) / 1000.0;
            let encoded = if x <= 0.003_130_8 { 12.92 * x } else { 1.055 * x.powf(1.0 / 2.4) - 0.055 };
            assert!((linear_from_srgb(encoded) - x).abs() < 1e-7, "{x}");
        }
    }

    #[test]
    fn curves_in_between_are_within_a_thousandth_of_a_code() {
        for step in 0..=200_000_u32 {
            let x = narrow(f64::from(step) / 200_000.0);
            for (got, want) in [
                (CURVES.encoded(x), srgb_from_linear(f64::from(x))),
                (CURVES.encoded(x * x * x), srgb_from_linear(f64::from(x * x * x))),
                (CURVES.linear(x), linear_from_srgb(f64::from(x))),
            ] {
                assert!((f64::from(got) - want).abs() < 3e-6, "{x}: {got} {want}");
            }
        }
        assert_eq!(
            [CURVES.encoded(-1.0), CURVES.encoded(7.0), CURVES.linear(-1.0), CURVES.linear(7.0)],
            [0.0, 1.0, 0.0, 1.0]
        );
    }

    #[test]
    fn what_is_outside_is_clamped() {
        for (x, want) in [(-1.0, 0), (f32::NAN, 0), (f32::NEG_INFINITY, 0), (2.0, 255), (f32::INFINITY, 255)] {
            assert_eq!(CODE_FROM_LINEAR.encode(x), want);
        }
    }
}
