//! Banded kernels: how each sample of a line is made from a run of samples of another line.

pub mod gaussian;
pub mod resample;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Weight rows are padded with zeros to a multiple of this, so that inner loops have no remainder.
pub const LANES: usize = 8;

/// Where one output sample reads: `taps` source samples from `first`, weighted by the weights from `offset`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Row {
    /// The first source sample. `first + taps <= source_len`, and `first` never falls from one row to the next.
    pub first: u32,
    /// Index of the first weight, a multiple of [`LANES`].
    pub offset: u32,
}

/// Runs of equal weights at least this long are kept apart.
const SHARED_RUN: usize = 16;

/// A run of output samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first output sample of the run.
    pub start: usize,
    /// Output samples in it.
    pub len: usize,
    /// Whether all have the same weights and `first` grows by one from each to the next.
    pub shared: bool,
}

/// A linear map from a line of `source_len` samples to a line of `target_len` samples.
///
/// All rows have the same number of taps (rows that need fewer are padded with zeros), equal weight rows are stored
/// once, and what lies beyond the edges is folded in already: a kernel never reads outside its line.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    source_len: u32,
    taps: u32,
    rows: Vec<Row>,
    weights: Arc<[f32]>,
    runs: Vec<Run>,
}

/// Weights of one output sample before they are packed: the first source sample and its weights from there.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The first source sample read.
    pub first: u32,
    /// At least one weight; `first + weights.len() <= source_len`. Any scale: they are divided by their sum.
    pub weights: Vec<f64>,
}

impl Kernel {
    /// Packs one band an output sample. Weights are normalised in `f64`; after rounding to `f32` the largest takes up
    /// what rounding left over, so that a constant line stays constant to within one rounding.
    ///
    /// Bands whose `first` falls are put in order by padding; there must be a band, and each must lie inside the line,
    /// else `None`. Costs one pass over all weights.
    #[must_use]
    pub fn from_bands(source_len: u32, bands: &[Band]) -> Option<Self> {
        let taps = u32::try_from(bands.iter().map(|band| band.weights.len()).max()?).ok()?;
        if taps == 0 || taps > source_len {
            return None;
        }
        let stride = (taps as usize).next_multiple_of(LANES);
        let last_first = source_len - taps;
        let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
        let mut weights: Vec<f32> = Vec::new();
        let mut rows: Vec<Row> = Vec::with_capacity(bands.len());
        let mut row = vec![0.0_f32; stride];
        // Bands as they were given, how far in, and the weights that were made of them: the last two that differ.
        let mut known_bands: [Option<(&Band, usize, u32)>; 2] = [None; 2];
        for band in bands {
            let end = band.first as usize + band.weights.len();
            let total: f64 = band.weights.iter().sum();
            if band.weights.is_empty() || end > source_len as usize || !(total.is_finite() && total != 0.0) {
                return None;
            }
            // A row near the end starts earlier, behind zeros, so that it still has room for `taps` samples.
            let first = band.first.min(last_first);
            let last = rows.last().copied();
            if last.is_some_and(|before| before.first > first) {
                return None;
            }
            // Most rows of a blur have the weights, and the room, of the row before or the one before that.
            let shift = (band.first - first) as usize;
            let same = known_bands
                .into_iter()
                .flatten()
                .find(|(before, its_shift, _)| *its_shift == shift && before.weights == band.weights);
            if let Some((_, _, offset)) = same {
                rows.push(Row { first, offset });
                continue;
            }
            row.fill(0.0);
            for (slot, weight) in row.iter_mut().skip(shift).zip(&band.weights) {
                *slot = narrow(weight / total);
            }
            settle(&mut row);
            let bits: Vec<u32> = row.iter().map(|weight| weight.to_bits()).collect();
            let next = u32::try_from(weights.len()).ok()?;
            let offset = *known.entry(bits).or_insert(next);
            if offset == next {
                weights.extend_from_slice(&row);
            }
            known_bands = [known_bands[1], Some((band, shift, offset))];
            rows.push(Row { first, offset });
        }
        let runs = runs_of(&rows);
        Some(Self { source_len, taps, rows, weights: weights.into(), runs })
    }

    /// The kernel that changes nothing.
    #[must_use]
    pub fn identity(len: u32) -> Self {
        let rows: Vec<Row> = (0..len).map(|first| Row { first, offset: 0 }).collect();
        let mut weights = vec![0.0; LANES];
        if let Some(weight) = weights.first_mut() {
            *weight = 1.0;
        }
        let runs = runs_of(&rows);
        Self { source_len: len, taps: 1, rows, weights: weights.into(), runs }
    }

    /// Samples it reads from.
    #[must_use]
    pub const fn source_len(&self) -> u32 {
        self.source_len
    }

    /// Samples it makes.
    #[must_use]
    pub fn target_len(&self) -> u32 {
        // Made from u32 counts of bands.
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    /// Source samples each output sample reads.
    #[must_use]
    pub const fn taps(&self) -> u32 {
        self.taps
    }

    /// Weights from one row's offset to the next: `taps` up to a multiple of [`LANES`], zeros behind.
    #[must_use]
    pub const fn stride(&self) -> usize {
        (self.taps as usize).next_multiple_of(LANES)
    }

    /// One row an output sample.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// All weight rows, each [`Kernel::stride`] long.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The `stride` weights of one row, zeros behind the taps.
    #[must_use]
    pub fn row_weights(&self, row: Row) -> &[f32] {
        let offset = row.offset as usize;
        self.weights.get(offset..offset + self.stride()).unwrap_or(&[])
    }

    /// The rows cut into runs, in order, without gaps: those that share their weights, and what is between them.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The source samples it reads, from the first to the last.
    #[must_use]
    pub fn reads(&self) -> Range<u32> {
        let start = self.rows.first().map_or(0, |row| row.first);
        let end = self.rows.last().map_or(0, |row| row.first + self.taps);
        start..end
    }

    /// Where source samples come in order, `batch` at a time, the most output samples that are begun and not yet made:
    /// those that read a sample of the batch, or did before and still read one of it or after it.
    #[must_use]
    pub fn most_begun(&self, batch: usize) -> usize {
        let mut end = 0;
        let begun = self.rows.iter().zip(0_usize..).map(|(oldest, at)| {
            // The last batch in which the oldest is unmade begins with its last sample at the latest.
            let end_of_batch = (oldest.first + self.taps - 1) as usize + batch;
            while self.rows.get(end).is_some_and(|row| (row.first as usize) < end_of_batch) {
                end += 1;
            }
            end - at
        });
        begun.max().unwrap_or(0)
    }

    /// The same on a longer line: its source samples are those of `source_len` from `offset` on. `None` where they do
    /// not fit. Shares the weights.
    #[must_use]
    pub fn embedded(mut self, offset: u32, source_len: u32) -> Option<Self> {
        if offset.checked_add(self.source_len)? > source_len {
            return None;
        }
        self.rows.iter_mut().for_each(|row| row.first += offset);
        self.source_len = source_len;
        Some(self)
    }

    /// The same on a shorter line, that of its source samples `range`, all that it reads. `None` where it reads others.
    #[must_use]
    pub fn without(mut self, range: &Range<u32>) -> Option<Self> {
        let reads = self.reads();
        if reads.start < range.start || reads.end > range.end {
            return None;
        }
        self.rows.iter_mut().for_each(|row| row.first -= range.start);
        self.source_len = range.end - range.start;
        Some(self)
    }

    /// Only its output samples `range`; each is what it was, to the bit. Shares the weights.
    #[must_use]
    pub fn narrowed(mut self, range: &Range<u32>) -> Self {
        let (start, end) = (range.start as usize, range.end as usize);
        if start == 0 && end >= self.rows.len() {
            return self;
        }
        self.rows.truncate(end);
        self.rows.drain(..start.min(self.rows.len()));
        self.runs = runs_of(&self.rows);
        self
    }

    /// Bytes it holds.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (size_of_val(self.rows.as_slice()) + size_of_val(&*self.weights)) as u64
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the one rounding from f64 to f32 of a weight")]
fn narrow(weight: f64) -> f32 {
    weight as f32
}

/// Adds to the largest weight what the `f32` roundings took from a sum of 1.
fn settle(row: &mut [f32]) {
    let sum: f64 = row.iter().map(|&weight| f64::from(weight)).sum();
    let largest = row.iter_mut().max_by(|a, b| a.abs().total_cmp(&b.abs()));
    if let Some(weight) = largest {
        *weight = narrow(f64::from(*weight) + (1.0 - sum));
    }
}

/// Cuts rows into runs, then joins neighbours that are too short to be worth sharing weights.
fn runs_of(rows: &[Row]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut start = 0;
    let slides = |pair: &[Row]| matches!(pair, [a, b] if a.offset == b.offset && a.first + 1 == b.first);
    for (end, pair) in (1..).zip(rows.windows(2)) {
        if !slides(pair) {
            close(&mut runs, start, end);
            start = end;
        }
    }
    if !rows.is_empty() {
        close(&mut runs, start, rows.len());
    }
    runs
}

fn close(runs: &mut Vec<Run>, start: usize, end: usize) {
    let (len, shared) = (end - start, end - start >= SHARED_RUN);
    match runs.last_mut() {
        Some(last) if !shared && !last.shared => last.len += len,
        Some(_) | None => runs.push(Run { start, len, shared }),
    }
}

#[cfg(test)]
mod tests {
    use super::resample::ResizeFilter;
    use super::*;

    #[test]
    fn rows_are_padded_shared_and_normalised() {
        let bands = [
            Band { first: 0, weights: vec![3.0, 1.0] },
            Band { first: 0, weights: vec![1.0, 2.0, 1.0] },
            Band { first: 1, weights: vec![1.0, 2.0, 1.0] },
            Band { first: 2, weights: vec![1.0, 3.0] },
        ];
        let kernel = Kernel::from_bands(4, &bands).unwrap();
        assert_eq!((kernel.taps(), kernel.stride(), kernel.target_len()), (3, 8, 4));
        assert_eq!(kernel.rows().iter().map(|row| row.first).collect::<Vec<_>>(), [0, 0, 1, 1]);
        assert_eq!(kernel.row_weights(kernel.rows()[3])[..3], [0.0, 0.25, 0.75]);
        assert_eq!(kernel.weights().len(), 3 * 8, "the two middle rows are one");
        assert_eq!(kernel.runs(), [Run { start: 0, len: 4, shared: false }], "too short to be worth it");
        assert_eq!(Kernel::identity(16).runs(), [Run { start: 0, len: 16, shared: true }]);
        let blur = gaussian::blur(100, 2.0);
        let runs: Vec<_> = blur[0].runs().iter().map(|run| (run.start, run.len, run.shared)).collect();
        assert_eq!(runs, [(0, 8, false), (8, 84, true), (92, 8, false)]);
    }

    #[test]
    fn parts_of_a_kernel_read_what_they_read_before() {
        let whole = resample::resample(ResizeFilter::Lanczos3, 100, 40).unwrap();
        let part = whole.clone().narrowed(&(10..25));
        let reads = part.reads();
        assert_eq!(part.rows(), &whole.rows()[10..25]);
        assert!(reads.start > 0 && reads.end < 100);
        let short = part.clone().without(&reads).unwrap();
        assert_eq!((short.source_len(), short.rows()[0].first), (reads.end - reads.start, 0));
        assert_eq!(short.clone().embedded(reads.start, 100), Some(part.clone()));
        assert_eq!(part.without(&(reads.start + 1..100)), None, "it reads the one before");
        assert_eq!(short.embedded(1, reads.end - reads.start), None, "no room");
        let runs = Kernel::identity(50).narrowed(&(3..40)).runs().to_vec();
        assert_eq!(runs, [Run { start: 0, len: 37, shared: true }]);
    }

    #[test]
    fn bands_outside_their_line_are_refused() {
        assert!(Kernel::from_bands(3, &[Band { first: 2, weights: vec![1.0, 1.0] }]).is_none());
        assert!(Kernel::from_bands(3, &[Band { first: 0, weights: vec![] }]).is_none());
        assert!(Kernel::from_bands(3, &[Band { first: 0, weights: vec![f64::NAN] }]).is_none());
        assert!(Kernel::from_bands(3, &[]).is_none());
    }
}
