//! The last step of a blur, from half of the rows and columns to all, where the planes of a JPEG are made of it: in sRGB codes.
//!
//! In linear light it is the filter that every engine has (`shaders/horizontal.wgsl`, `shaders/vertical.wgsl`), three planes of
//! all pixels, each of them then encoded, which takes longer than everything before. But what is left by a blur for which half of the
//! samples say all is as smooth when it is encoded, so the few samples are encoded, and luma alone is interpolated. Chroma
//! of 4:2:0 is sampled where they are: it has only to be made the mean of the pixels around, which the second differences
//! tell (`f(x + 1/4) + f(x - 1/4) = 2 f(x) + f''(x) / 16`). What this comes to beside the filter in light is in the tests, and within
//! the tolerance between engines.

use super::row::Shape;
use crate::pixels::kernel::Kernel;
use crate::pixels::pixmap::{PixmapError, Sampling, Ycbcr};
use crate::pixels::plan::Separable;
use crate::pixels::srgb::{code_from_linear, rounded};

/// Samples that one in between is interpolated from.
const TAPS: usize = 8;

/// Samples before the one of a pair of pixels that the pair needs.
const BEFORE: usize = TAPS / 2;

/// Samples made together.
const BLOCK: usize = 16;

/// What of a second difference makes a sample the mean of the pixels around it.
const MEAN: f32 = 1.0 / 32.0;

/// What of the difference of its neighbours makes that the first of those pixels.
const FIRST: f32 = -1.0 / 8.0;

/// Half of the samples on their way to planes.
pub struct Doubling<'p> {
    across: Pairs<'p>,
    down: Pairs<'p>,
    width: usize,
    height: usize,
    /// Floats of a row of samples, and of one of pixels.
    pitches: [usize; 2],
    /// Luma and chroma of a row of samples.
    row: Vec<f32>,
    /// The last rows of luma, with all columns: row `y` in slot `y % TAPS`.
    ring: Vec<f32>,
    /// The last three rows of both chroma planes, with the columns that are kept: row `y` in slot `y % 3`.
    last: [Vec<f32>; 3],
    /// Rows of samples taken so far.
    taken: usize,
    luma: Vec<u8>,
    chroma: [Vec<u8>; 2],
}

/// A kernel that makes pairs of samples, one set of weights for the first of each and one for the second.
struct Pairs<'p> {
    /// The first sample that the first pair reads: pair `i` reads from `first + i` on, its second from one further.
    first: usize,
    weights: [&'p [f32; TAPS]; 2],
}

impl<'p> Pairs<'p> {
    /// `None` for any other kernel.
    fn of(kernel: &'p Kernel) -> Option<Self> {
        let rows = kernel.rows();
        let &[one, two, ..] = rows else { return None };
        let is_pairs = rows.chunks(2).zip(one.first..).all(|(pair, first)| match *pair {
            [a, b] => (a.first, b.first, a.offset, b.offset) == (first, first + 1, one.offset, two.offset),
            [a] => (a.first, a.offset) == (first, one.offset),
            _ => false,
        });
        if kernel.taps() as usize != TAPS || !is_pairs {
            return None;
        }
        let weights = [kernel.row_weights(one).first_chunk()?, kernel.row_weights(two).first_chunk()?];
        Some(Self { first: one.first as usize, weights })
    }
}

impl<'p> Doubling<'p> {
    /// For the last step of a chain, where that is what makes all samples of half; `None` for any other. Nothing but a blur has
    /// such kernels: no picture is enlarged.
    #[must_use]
    pub fn new(step: &'p Separable) -> Option<Self> {
        let (across, down) = (Pairs::of(&step.horizontal)?, Pairs::of(&step.vertical)?);
        let (from, to) = (step.source(), step.target());
        let (width, height) = (to.width as usize, to.height as usize);
        let (columns, rows) = (width.div_ceil(2), height.div_ceil(2));
        // Blocks of samples are read and made whole.
        let pitches = [from.width as usize + 2 * BLOCK + TAPS, columns.next_multiple_of(BLOCK) * 2];
        Some(Self {
            across,
            down,
            width,
            height,
            pitches,
            row: vec![0.0; 3 * pitches[0]],
            ring: vec![0.0; TAPS * pitches[1]],
            last: std::array::from_fn(|_| vec![0.0; 2 * columns]),
            taken: 0,
            luma: Vec::with_capacity(width * height),
            chroma: std::array::from_fn(|_| Vec::with_capacity(columns * rows)),
        })
    }

    /// Takes a row of samples in linear light, of `from`.
    pub fn take(&mut self, linear: &[f32], from: Shape) {
        encode(linear, from, &mut self.row, self.pitches[0]);
        let (luma, chroma) = self.row.split_at(self.pitches[0]);
        if let Some(row) = self.ring.chunks_exact_mut(self.pitches[1]).nth(self.taken % TAPS) {
            double(&self.across, luma, row);
        }
        if let Some(last) = self.last.get_mut(self.taken % 3) {
            let columns = last.len() / 2;
            for (kept, plane) in last.chunks_exact_mut(columns).zip(chroma.chunks_exact(self.pitches[0])) {
                // From the one before the first pair's sample on.
                let source = plane.get(self.across.first + BEFORE - 1..).unwrap_or(&[]);
                average(source, kept);
                if let (true, Some(last), Some([before, _, after])) =
                    (self.width % 2 == 1, kept.last_mut(), source.get(columns - 1..).and_then(<[f32]>::first_chunk))
                {
                    *last += FIRST * (after - before);
                }
            }
        }
        self.taken += 1;
        self.make_chroma();
        self.make_luma();
    }

    /// The chroma of the row before the one that was taken last, if it is one of the picture's.
    fn make_chroma(&mut self) {
        let Some(at) = self.taken.checked_sub(2 + self.down.first + BEFORE) else { return };
        if at >= self.height.div_ceil(2) {
            return;
        }
        let [above, its, below] = [3, 2, 1].map(|back| &self.last[(self.taken - back) % 3]);
        let columns = its.len() / 2;
        for (plane, start) in self.chroma.iter_mut().zip([0, columns]) {
            let [above, its, below] = [above, its, below].map(|row| row.get(start..start + columns).unwrap_or(&[]));
            // Of two rows, or of the one that is there.
            let slope = if 2 * at + 1 == self.height { FIRST } else { 0.0 };
            mean([above, its, below], slope, plane);
        }
    }

    /// The pixel rows that what was taken last is enough for: the second of a pair, and the first of the next.
    fn make_luma(&mut self) {
        while self.luma.len() < self.width * self.height {
            let y = self.luma.len() / self.width;
            let first = self.down.first + y.div_ceil(2);
            if self.taken < first + TAPS {
                return;
            }
            // The second of a pair reads the rows that the first of the next one does.
            let count = if y % 2 == 1 && y + 1 < self.height { 2 } else { 1 };
            let weights =
                if y % 2 == 1 { [self.down.weights[1], self.down.weights[0]] } else { [self.down.weights[0]; 2] };
            let start = self.luma.len();
            self.luma.resize(start + count * self.width, 0);
            let (one, two) = self.luma.split_at_mut(start + self.width);
            let made = [one.get_mut(start..).unwrap_or(&mut []), two];
            interpolate(&self.ring, self.pitches[1], first % TAPS, weights, made);
        }
    }

    /// The planes, if all rows were taken.
    ///
    /// # Errors
    /// [`PixmapError`] if they were not.
    pub fn finish(self) -> Result<Ycbcr, PixmapError> {
        let side = |side: usize| u32::try_from(side).unwrap_or(0);
        Ycbcr::new(side(self.width), side(self.height), Sampling::JPEG_420, self.luma, self.chroma)
    }
}

/// Fills three planes, `pitch` apart: luma and both chroma, 0 to 255, of a row of linear light of three planes.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn encode(linear: &[f32], from: Shape, target: &mut [f32], pitch: usize) {
    let (red, rest) = linear.split_at(from.pitch.min(linear.len()));
    let (green, blue) = rest.split_at(from.pitch.min(rest.len()));
    let [red, green, blue] = [red, green, blue].map(|plane| plane.as_chunks::<BLOCK>().0);
    let (luma, rest) = target.split_at_mut(pitch.min(target.len()));
    let (cb, cr) = rest.split_at_mut(pitch.min(rest.len()));
    let [luma, cb, cr] = [luma, cb, cr].map(|plane| plane.as_chunks_mut::<BLOCK>().0.iter_mut());
    for (((red, green), blue), ((luma, cb), cr)) in red.iter().zip(green).zip(blue).zip(luma.zip(cb).zip(cr)) {
        for i in 0..BLOCK {
            let (r, g, b) = (code_from_linear(red[i]), code_from_linear(green[i]), code_from_linear(blue[i]));
            let y = 0.299 * r + 0.587 * g + 0.114 * b;
            luma[i] = y;
            cb[i] = (b - y) * (1.0 / 1.772) + 128.0;
            cr[i] = (r - y) * (1.0 / 1.402) + 128.0;
        }
    }
}

/// Two samples of each.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn double(pairs: &Pairs<'_>, source: &[f32], target: &mut [f32]) {
    let [first, second] = pairs.weights;
    let blocks = target.as_chunks_mut::<2>().0.as_chunks_mut::<BLOCK>().0;
    for (block, at) in blocks.iter_mut().zip((pairs.first..).step_by(BLOCK)) {
        let Some(window) = source.get(at..).and_then(<[f32]>::first_chunk::<{ BLOCK + TAPS }>) else { break };
        let (mut firsts, mut seconds) = ([0.0; BLOCK], [0.0; BLOCK]);
        for tap in 0..TAPS {
            for i in 0..BLOCK {
                firsts[i] += first[tap] * window[i + tap];
                seconds[i] += second[tap] * window[i + tap + 1];
            }
        }
        for i in 0..BLOCK {
            block[i] = [firsts[i], seconds[i]];
        }
    }
}

/// Samples of two rows, or of one where the second is empty, from the rows of a ring, of which that in slot `first` is the oldest.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn interpolate(ring: &[f32], pitch: usize, first: usize, weights: [&[f32; TAPS]; 2], targets: [&mut [u8]; 2]) {
    let mut rows: [&[f32]; TAPS] = [&[]; TAPS];
    for (row, slot) in rows.iter_mut().zip(first..) {
        let start = slot % TAPS * pitch;
        *row = ring.get(start..start + pitch).unwrap_or(&[]);
    }
    let [one, two] = targets;
    for at in (0..one.len()).step_by(BLOCK) {
        let (mut ones, mut twos) = ([0.0; BLOCK], [0.0; BLOCK]);
        for tap in 0..TAPS {
            let Some(samples) = rows[tap].get(at..).and_then(<[f32]>::first_chunk::<BLOCK>) else { break };
            for i in 0..BLOCK {
                ones[i] += weights[0][tap] * samples[i];
                twos[i] += weights[1][tap] * samples[i];
            }
        }
        round(&ones, one.get_mut(at..).unwrap_or(&mut []));
        round(&twos, two.get_mut(at..).unwrap_or(&mut []));
    }
}

/// A block of samples, or as many of it as there is room for.
#[inline(always)]
fn round(values: &[f32; BLOCK], samples: &mut [u8]) {
    let mut codes = [0; BLOCK];
    for i in 0..BLOCK {
        codes[i] = code(values[i]);
    }
    if let Some(samples) = samples.first_chunk_mut::<BLOCK>() {
        *samples = codes;
    } else {
        samples.iter_mut().zip(codes).for_each(|(sample, code)| *sample = code);
    }
}

/// Means of the pixels around along the row: `target[i]` is of `source[i + 1]`.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn average(source: &[f32], target: &mut [f32]) {
    let triples = source.iter().zip(source.get(1..).unwrap_or(&[])).zip(source.get(2..).unwrap_or(&[]));
    for (target, ((before, its), after)) in target.iter_mut().zip(triples) {
        *target = its + MEAN * ((before - its) + (after - its));
    }
}

/// The same down the columns, rounded.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn mean([above, its, below]: [&[f32]; 3], slope: f32, target: &mut Vec<u8>) {
    let start = target.len();
    target.resize(start + its.len(), 0);
    let samples = target.get_mut(start..).unwrap_or(&mut []);
    for (((sample, above), its), below) in samples.iter_mut().zip(above).zip(its).zip(below) {
        *sample = code(its + MEAN * ((above - its) + (below - its)) + slope * (below - above));
    }
}

#[inline(always)]
fn code(value: f32) -> u8 {
    rounded(value.clamp(0.0, 255.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::cpu::run_all;
    use crate::pixels::kernel::gaussian;
    use crate::pixels::op::{Op, Rect, Size};
    use crate::pixels::pixmap::{Layout, Picture, Pixmap};
    use crate::pixels::plan::{Form, Plan, PlanLimits, Step};
    use crate::pixels::stop::Stop;

    /// Noise, hard edges, and colours at the ends of their range.
    fn picture(width: u32, height: u32) -> Pixmap {
        let mut state = width * 31 + height;
        let pixel = |at: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [_, _, a, b] = state.to_le_bytes();
            let (x, y) = (at % width, at / width);
            match (x / 16 + y / 12) % 4 {
                0 => [a, b, a ^ b],
                1 => [255, 0, 0],
                2 => [a % 30, b % 30, 0],
                _ => [255, 255, 255 * u8::from(x % 2 == 0)],
            }
        };
        let data: Vec<u8> = (0..width * height).flat_map(pixel).collect();
        Pixmap::new(width, height, Layout::Rgb, data).unwrap()
    }

    fn planes(plan: Plan, picture: &Pixmap) -> Ycbcr {
        let made = run_all(&plan.with_form(Form::Ycbcr420), picture.into(), &Stop::never()).unwrap().pop().unwrap();
        let Picture::Planar(planes) = made else { panic!("not planes") };
        planes
    }

    /// The largest difference, and the mean of squares, of all samples.
    fn apart(a: &Ycbcr, b: &Ycbcr) -> (u8, f64) {
        let all = |planes: &'_ Ycbcr| [planes.luma(), &planes.chroma()[0], &planes.chroma()[1]].concat();
        let (a, b) = (all(a), all(b));
        assert_eq!(a.len(), b.len());
        let squares: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
        let most = a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        (most, squares / f64::from(u32::try_from(a.len()).unwrap()))
    }

    #[test]
    fn planes_are_those_of_the_filter_in_light() {
        let (mut most, mut mean) = (0, 0.0_f64);
        for (width, height) in [(160, 120), (161, 119), (33, 70), (9, 5), (2, 2), (515, 7)] {
            let picture = picture(width, height);
            for sigma in [2.875, 3.0, 4.0, 5.5] {
                let plan =
                    |sigma| Plan::new(&[Op::Blur { sigma }], Size::new(width, height), &PlanLimits::default()).unwrap();
                assert!(
                    matches!(&plan(sigma).chains()[0].steps[..], [_, Step::Filter(last)] if Doubling::new(last).is_some())
                );
                let made = run_all(&plan(sigma), (&picture).into(), &Stop::never()).unwrap().pop().unwrap();
                let want = Ycbcr::from_rgb(&made.into_pixmap().unwrap(), true).unwrap();
                let seen = apart(&planes(plan(sigma), &picture), &want);
                assert!(seen.0 <= 1 && seen.1 < 0.2, "sigma {sigma} of {width}x{height}: {seen:?}");
                (most, mean) = (most.max(seen.0), mean.max(seen.1));
                let other = apart(&planes(plan(sigma + 0.15), &picture), &want);
                assert!(
                    width < 100 || sigma > 4.0 || other.0 > 1,
                    "the control: sigma {sigma} of {width}x{height}: {other:?}"
                );
            }
        }
        println!("{most} codes at most, mean square {mean:.3}");
    }

    /// A part that begins in the second of a pair of rows or columns is made by the filter, any other in codes.
    #[test]
    fn parts_are_what_they_are_in_the_whole() {
        let (picture, size) = (picture(160, 120), Size::new(160, 120));
        for (x, y, in_codes) in [(0, 0, true), (6, 8, true), (7, 8, false), (6, 9, false)] {
            let rect = Rect { x, y, size: Size::new(97, 60) };
            let plan = Plan::new(&[Op::Blur { sigma: 3.0 }, Op::Crop(rect)], size, &PlanLimits::default()).unwrap();
            assert!(
                matches!(plan.chains()[0].steps.last(), Some(Step::Filter(last)) if Doubling::new(last).is_some() == in_codes)
            );
            let made = run_all(&plan, (&picture).into(), &Stop::never()).unwrap().pop().unwrap();
            let want = Ycbcr::from_rgb(&made.into_pixmap().unwrap(), true).unwrap();
            assert!(apart(&planes(plan, &picture), &want).0 <= 1, "{x}, {y}");
        }
    }

    #[test]
    fn other_kernels_are_not_taken() {
        let halves = gaussian::blur(40, 3.0);
        let of = |horizontal: &Kernel, vertical: &Kernel| {
            Doubling::new(&Separable { horizontal: horizontal.clone(), vertical: vertical.clone() }).is_some()
        };
        assert!(of(&halves[1], &halves[1]));
        assert!(!of(&halves[1], &halves[0]) && !of(&halves[0], &halves[1]));
        assert!(!of(&Kernel::identity(40), &halves[1]));
        let further = gaussian::blur(40, 9.0);
        assert!(!of(&further[2], &further[2]));
    }
}
