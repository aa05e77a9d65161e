//! A row of planes as RGB: chroma blended down, interpolated across, and then the matrix; a span of columns at a time, each
//! step over all of it, so that each is a loop over vectors.

use super::ycbcr::{Siting, rgb_from_ycbcr};

/// Columns at a time.
const SPAN: usize = 256;

/// The samples that a row is made of.
pub(super) struct Lines<'a> {
    /// From the row's first column on.
    pub(super) luma: &'a [u8],
    /// Blue-difference and red-difference, each the two rows that are blended, of one length that is not 0.
    pub(super) chroma: [[&'a [u8]; 2]; 2],
    /// The weights of those two: 4 together.
    pub(super) weights: [u8; 2],
    /// Whether chroma has half the columns, and where its samples lie then.
    pub(super) half_width: Option<Siting>,
}

/// Fills `rgb`, 3 bytes a pixel, from column `x` on.
///
/// Weights are integers, 4 down and 4 across, and the sum of 16 is rounded once: in which order they are multiplied is no
/// matter, so this is to the bit the sum over four samples that the shaders have (`shaders/common/ycbcr.wgsl`).
#[multiversion::multiversion(targets("x86_64+avx2"))]
pub(super) fn fill(lines: &Lines<'_>, x: usize, rgb: &mut [u8]) {
    for (rgb, x) in rgb.chunks_mut(3 * SPAN).zip((x..).step_by(SPAN)) {
        let mut luma = [0; SPAN];
        let row = lines.luma.get(x..).unwrap_or(&[]);
        luma.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
        let [blue, red] =
            &lines.chroma.map(|rows| across(&down(rows, lines.weights, lines.half_width, x), lines.half_width, x));
        let mut colours = [[0; SPAN]; 3];
        let [r, g, b] = &mut colours;
        for at in 0..SPAN {
            [r[at], g[at], b[at]] = rgb_from_ycbcr(i32::from(luma[at]), i32::from(blue[at]), i32::from(red[at]));
        }
        for (((pixel, r), g), b) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(r).zip(g).zip(b) {
            *pixel = [*r, *g, *b];
        }
    }
}

/// Chroma samples of a span, and one or two more on either side.
type Window = [i16; SPAN + 8];

/// Four times the chroma between two rows: samples from the one before that of column `x` on. Ends repeat.
#[inline(always)]
fn down([near, far]: [&[u8]; 2], [its, others]: [u8; 2], half_width: Option<Siting>, x: usize) -> Window {
    let mut blended = [0; SPAN + 8];
    let first = if half_width.is_some() { x / 2 } else { x };
    // The first has none before it but itself.
    let (skipped, start) = if first == 0 { (1, 0) } else { (0, first - 1) };
    let (near, far) = (near.get(start..).unwrap_or(&[]), far.get(start..).unwrap_or(&[]));
    let target = blended.get_mut(skipped..).unwrap_or_default();
    for ((to, near), far) in target.iter_mut().zip(near).zip(far) {
        *to = i16::from(its) * i16::from(*near) + i16::from(others) * i16::from(*far);
    }
    let last = (near.len() + skipped).saturating_sub(1);
    if skipped == 1 {
        blended[0] = blended[1];
    }
    if let Some((last, beyond)) = blended.get_mut(last..).and_then(<[i16]>::split_first_mut) {
        beyond.fill(*last);
    }
    blended
}

/// Samples of chroma with two columns each: a span, and one more where it begins with the second of a pair.
const PAIRS: usize = SPAN / 2 + 8;

/// The chroma of each column, from column `x` on.
#[inline(always)]
fn across(blended: &Window, half_width: Option<Siting>, x: usize) -> [i16; SPAN] {
    let mut samples = [0; SPAN];
    let Some(siting) = half_width else {
        for (sample, blended) in samples.iter_mut().zip(&blended[1..]) {
            *sample = (4 * blended + 8) >> 4;
        }
        return samples;
    };
    // For every sample of chroma the column before it (or on it) and the one behind.
    let (mut firsts, mut seconds) = ([0; PAIRS], [0; PAIRS]);
    match siting {
        Siting::Centre => {
            for at in 0..PAIRS {
                firsts[at] = (3 * blended[at + 1] + blended[at] + 8) >> 4;
                seconds[at] = (3 * blended[at + 1] + blended[at + 2] + 8) >> 4;
            }
        }
        Siting::Left => {
            for at in 0..PAIRS {
                firsts[at] = (4 * blended[at + 1] + 8) >> 4;
                seconds[at] = (2 * blended[at + 1] + 2 * blended[at + 2] + 8) >> 4;
            }
        }
    }
    let mut pairs = [[0; 2]; PAIRS];
    for ((pair, first), second) in pairs.iter_mut().zip(&firsts).zip(&seconds) {
        *pair = [*first, *second];
    }
    // An odd column is the second of its pair.
    let from = pairs.as_flattened().get(x % 2..).unwrap_or(&[]);
    samples.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    samples
}
