//! A filter along y, then along x, a few source rows at a time.
//!
//! For a picture that gets smaller, y first is the cheaper order: the pass over all source pixels runs along plain rows,
//! with no sums across lanes, and the pass along x is over the few rows that are left. Source rows are not kept: a batch of them is
//! cut into tiles that stay in the nearest caches while they are linearised and added to the sums of every output row
//! they belong to.

use std::ops::Range;

use super::horizontal::{self, Block, ROWS};
use super::pairs::{self, Pair};
use super::row::{Light, Shape};
use super::vertical::{self, GROUP};
pub use super::vertical::{BATCH, TILE};
use crate::pixels::kernel::{Kernel, Row};
use crate::pixels::pixmap::Layout;
use crate::pixels::plan::Separable;

/// Bytes of the [`Tiles`] of four planes of a source, and of a row of light.
pub const TILE_BYTES: u64 = 4 * ((BATCH / 2 * size_of::<Pair>() + size_of::<f32>()) * TILE) as u64;

/// What the rows of a batch are held in. Sources of 8 bits come in [`Pair`]s, rows of an earlier step as they are.
pub trait Samples: Copy + Default {
    /// A weight of one source row.
    type Scalar: Copy + Default;
    /// The weights of all rows in a sample.
    type Weight: Copy + Default;
    /// A sum of products.
    type Sum: Light;
    /// Source rows in a sample.
    const ROWS: usize;

    /// The weights of an output row.
    fn scalars(weights: &[f32]) -> Vec<Self::Scalar>;

    /// The weights for a sample: `scalar(row)` for each source row in it.
    fn weight(scalar: impl Fn(usize) -> Self::Scalar) -> Self::Weight;

    /// `sums[g][i] += weights[r][g] * rows[r][i]`; where `fresh[g]`, sums are taken for 0.
    fn add<const G: usize>(
        rows: &[[Self; TILE]],
        weights: &[[Self::Weight; GROUP]],
        fresh: [bool; GROUP],
        sums: [&mut [Self::Sum]; G],
    );
}

impl Samples for f32 {
    type Scalar = Self;
    type Weight = Self;
    type Sum = Self;
    const ROWS: usize = 1;

    fn scalars(weights: &[f32]) -> Vec<Self> {
        weights.to_vec()
    }

    fn weight(scalar: impl Fn(usize) -> Self) -> Self {
        scalar(0)
    }

    fn add<const G: usize>(
        rows: &[[Self; TILE]],
        weights: &[[Self; GROUP]],
        fresh: [bool; GROUP],
        sums: [&mut [Self]; G],
    ) {
        vertical::add(rows, weights, fresh, sums);
    }
}

impl Samples for Pair {
    type Scalar = i16;
    type Weight = Self;
    type Sum = i32;
    const ROWS: usize = 2;

    fn scalars(weights: &[f32]) -> Vec<i16> {
        pairs::weights(weights)
    }

    fn weight(scalar: impl Fn(usize) -> i16) -> Self {
        [scalar(0), scalar(1)]
    }

    fn add<const G: usize>(
        rows: &[[Self; TILE]],
        weights: &[[Self; GROUP]],
        fresh: [bool; GROUP],
        sums: [&mut [i32]; G],
    ) {
        pairs::add(rows, weights, fresh, sums);
    }
}

/// A part of a batch of source rows: at most [`BATCH`] rows, [`TILE`] pixels of each, linear light, premultiplied.
pub struct Tiles<S> {
    /// A plane after the other.
    rows: Vec<[S; TILE]>,
    planes: usize,
    /// The first pixel.
    at: usize,
}

impl<S: Samples> Tiles<S> {
    /// Room for `planes` planes of `rows` source rows.
    #[must_use]
    pub fn new(planes: usize, rows: usize) -> Self {
        Self { rows: vec![[S::default(); TILE]; planes * rows.div_ceil(S::ROWS)], planes, at: 0 }
    }
}

impl Tiles<Pair> {
    /// Fills it with the pixels from `at` on of rows of 8-bit pixels. What was behind the last pixel stays there.
    pub fn linearise(&mut self, rows: &[&[u8]], layout: Layout, at: usize) {
        let channels = layout.channels();
        let pairs = BATCH / 2;
        for (rows, pair) in rows.chunks(2).zip(0..pairs) {
            // One that has none below it goes with itself: the weight of that is 0.
            let [first, second] = [rows.first(), rows.last()].map(|row| {
                let part = row.and_then(|row| row.get(at * channels..)).unwrap_or(&[]);
                part.get(..TILE * channels).unwrap_or(part)
            });
            let mut planes = self.rows.chunks_exact_mut(pairs).filter_map(|plane| plane.get_mut(pair));
            let planes = std::array::from_fn(|_| planes.next().map_or(&mut [][..], |row| row.as_mut_slice()));
            pairs::linearise([first, second], layout, planes);
        }
        self.at = at;
    }
}

impl Tiles<f32> {
    /// Fills it with the pixels from `at` on of one row of `shape`; zeros behind the last pixel.
    fn copy(&mut self, planar: &[f32], shape: Shape, at: usize) {
        for (plane, target) in planar.chunks_exact(shape.pitch).zip(&mut self.rows) {
            let part = plane.get(at..shape.width).unwrap_or(&[]);
            let part = part.get(..TILE).unwrap_or(part);
            let (to, behind) = target.split_at_mut(part.len());
            to.copy_from_slice(part);
            behind.fill(0.0);
        }
        self.at = at;
    }
}

/// Output rows that a batch is added to together.
struct Group<S: Samples> {
    /// Where their sums are.
    slots: [usize; GROUP],
    /// How many they are.
    len: usize,
    /// Those to which nothing was added yet.
    fresh: [bool; GROUP],
    /// The rows of the tiles that they read.
    first: usize,
    /// The weight of each of those rows in each output row.
    weights: Vec<[S::Weight; GROUP]>,
}

/// An output row that is begun and not yet made.
struct Begun<S: Samples> {
    /// Its weights, one a tap.
    weights: Vec<S::Scalar>,
    /// Its sums so far: a planar row.
    sums: Vec<S::Sum>,
}

/// The sums of the output rows under way.
pub struct Sums<'p, S: Samples> {
    kernels: &'p Separable,
    /// Rows between the passes.
    between: Shape,
    /// Rows of the result.
    pub shape: Shape,
    /// The output rows that are begun and not yet made: row `y` is in slot `y % rows.len()`.
    rows: Vec<Begun<S>>,
    /// The rows that were filtered along x last.
    out: Vec<f32>,
    /// Where they are filtered together.
    block: Option<Block>,
    /// Or the light of one.
    light: Vec<f32>,
    /// What to do with the batch.
    groups: Vec<Group<S>>,
    /// Source rows before the batch.
    taken: usize,
    /// Output rows begun so far.
    begun: usize,
    /// Output rows to which all was added so far.
    whole: usize,
    /// Output rows filtered along x so far: those up to it that were not made are in `out`.
    across: usize,
    /// Output rows made so far.
    made: usize,
}

impl<'p, S: Samples> Sums<'p, S> {
    /// Sums for pictures of `planes` channels.
    #[must_use]
    pub fn new(kernels: &'p Separable, planes: usize) -> Self {
        let between = Shape::new(kernels.source().width, planes);
        let shape = Shape::new(kernels.target().width, planes);
        let block = horizontal::in_blocks(&kernels.horizontal).then(|| Block::new(between, shape));
        let (together, light) = if block.is_some() { (ROWS, Vec::new()) } else { (1, between.zeros()) };
        // Rows under way, and rows that wait until there is a block of them.
        let slots = kernels.vertical.most_begun(BATCH) + together - 1;
        let row = || Begun { weights: Vec::new(), sums: vec![S::Sum::default(); between.len()] };
        Self {
            kernels,
            between,
            shape,
            rows: (0..slots).map(|_| row()).collect(),
            out: vec![0.0; shape.len() * together],
            block,
            light,
            groups: Vec::new(),
            taken: 0,
            begun: 0,
            whole: 0,
            across: 0,
            made: 0,
        }
    }

    /// Prepares for the next `batch` rows, at most [`BATCH`]. Every row that could be made must have been.
    pub fn begin(&mut self, batch: usize) {
        let kernel = &self.kernels.vertical;
        let slots = self.rows.len();
        let old = self.begun;
        let new = kernel.rows().iter().skip(old);
        for &row in new.take_while(|row| (row.first as usize) < self.taken + batch) {
            if let Some(Begun { weights, .. }) = self.rows.get_mut(self.begun % slots) {
                *weights = S::scalars(kernel.row_weights(row).get(..kernel.taps() as usize).unwrap_or(&[]));
            }
            self.begun += 1;
        }
        self.groups.clear();
        let mut first = self.whole;
        while first < self.begun {
            let outputs = first..first + group_len(self.begun - first);
            first = outputs.end;
            self.groups.push(Group::new(kernel, outputs, old, &self.rows, self.taken..self.taken + batch));
        }
    }

    /// Adds a part of the batch.
    pub fn add(&mut self, tiles: &Tiles<S>) {
        for group in &self.groups {
            match group.len {
                1 => group.add::<1>(&mut self.rows, self.between, tiles),
                2 => group.add::<2>(&mut self.rows, self.between, tiles),
                3 => group.add::<3>(&mut self.rows, self.between, tiles),
                _ => group.add::<GROUP>(&mut self.rows, self.between, tiles),
            }
        }
    }

    /// All parts of a batch of `rows` were added.
    pub fn end(&mut self, rows: usize) {
        self.taken += rows;
        let kernel = &self.kernels.vertical;
        let open = kernel.rows().iter().skip(self.whole);
        self.whole += open.take_while(|row| (row.first + kernel.taps()) as usize <= self.taken).count();
    }

    /// Makes the next output row, if all it needs was added, and a block is full or the picture at its end.
    pub fn make(&mut self) -> Option<&mut [f32]> {
        if self.made == self.across {
            self.cross();
        }
        let at = (self.across - self.made).checked_sub(1)?;
        self.made += 1;
        // Last first in memory, so that the place follows from how many are left.
        self.out.chunks_exact_mut(self.shape.len()).nth(at)
    }

    /// Filters along x what is whole.
    fn cross(&mut self) {
        let Separable { horizontal, vertical } = self.kernels;
        let waiting = self.whole - self.across;
        let slots = self.rows.len();
        let row = |at: usize| self.rows.get(at % slots).map_or(&[][..], |row| row.sums.as_slice());
        match &mut self.block {
            None if waiting == 0 => {}
            None => {
                let sums = row(self.across);
                self.light.iter_mut().zip(sums).for_each(|(light, sum)| *light = sum.light());
                horizontal::run(horizontal, &self.light, self.between, &mut self.out, self.shape);
                self.across += 1;
            }
            Some(block) => {
                let rows = waiting.min(ROWS);
                if rows == ROWS || self.taken == vertical.source_len() as usize {
                    let rows: Vec<&[S::Sum]> = (self.across..self.across + rows).rev().map(row).collect();
                    block.run(horizontal, &rows, self.between, &mut self.out, self.shape);
                    self.across += rows.len();
                }
            }
        }
    }
}

impl Sums<'_, f32> {
    /// Takes one row of linear light.
    pub fn take(&mut self, planar: &[f32], shape: Shape, tiles: &mut Tiles<f32>) {
        self.begin(1);
        for at in (0..self.between.pitch).step_by(TILE) {
            tiles.copy(planar, shape, at);
            self.add(tiles);
        }
        self.end(1);
    }
}

/// How many of `left` output rows to take together: 4 or 3, so that little is left for shorter groups, which are slower.
const fn group_len(left: usize) -> usize {
    match left {
        0..=2 => left,
        5 => 3,
        _ if left.is_multiple_of(3) && !left.is_multiple_of(GROUP) => 3,
        _ => GROUP,
    }
}

impl<S: Samples> Group<S> {
    /// How the source rows `batch` are added to the output rows `outputs`, of which those from `old` on are fresh; row `y`
    /// is in slot `y % begun.len()`.
    fn new(kernel: &Kernel, outputs: Range<usize>, old: usize, begun: &[Begun<S>], batch: Range<usize>) -> Self {
        let fresh = std::array::from_fn(|at| outputs.start + at >= old);
        let slots = std::array::from_fn(|at| (outputs.start + at) % begun.len());
        let rows = kernel.rows().get(outputs).unwrap_or(&[]);
        let taps = kernel.taps() as usize;
        // `first` never falls: the first output row reads the first source row, the last the last.
        let start = rows.first().map_or(batch.end, |row| batch.start.max(row.first as usize));
        let end = rows.last().map_or(batch.start, |row| batch.end.min(row.first as usize + taps));
        let scalar = |row: Row, slot: usize, source: usize| {
            let tap = source.checked_sub(row.first as usize).filter(|_| source < batch.end)?;
            begun.get(slot)?.weights.get(tap).copied()
        };
        let samples = (start - batch.start) / S::ROWS..end.saturating_sub(batch.start).div_ceil(S::ROWS);
        let weights = samples.clone().map(|sample| {
            let mut weights = [S::Weight::default(); GROUP];
            for ((weight, &row), slot) in weights.iter_mut().zip(rows).zip(slots) {
                let source = batch.start + sample * S::ROWS;
                *weight = S::weight(|below| scalar(row, slot, source + below).unwrap_or_default());
            }
            weights
        });
        Self { slots, len: rows.len(), fresh, first: samples.start, weights: weights.collect() }
    }

    fn add<const G: usize>(&self, rows: &mut [Begun<S>], shape: Shape, tiles: &Tiles<S>) {
        let Some(&slots) = self.slots.first_chunk::<G>() else { return };
        // No more output rows are under way than there are slots, so no two of them share one.
        let Ok(mut begun) = rows.get_disjoint_mut(slots) else { return };
        let len = TILE.min(shape.pitch - tiles.at);
        let rows = self.first..self.first + self.weights.len();
        let planes = tiles.rows.chunks_exact(tiles.rows.len() / tiles.planes);
        for (plane, at) in planes.zip((tiles.at..).step_by(shape.pitch)) {
            let parts = begun.each_mut().map(|row| row.sums.get_mut(at..at + len).unwrap_or_default());
            S::add(plane.get(rows.clone()).unwrap_or(&[]), &self.weights, self.fresh, parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::cpu::row;
    use crate::pixels::kernel::gaussian;
    use crate::pixels::kernel::resample::{ResizeFilter, resample};

    /// Output rows as the definition says: for each sample of each plane two sums, in the order of the taps.
    fn plain(kernels: &Separable, rows: &[Vec<f32>], from: Shape, nudge: f32) -> Vec<Vec<f32>> {
        let Separable { horizontal, vertical } = kernels;
        let sum = |kernel: &Kernel, row: Row, sample: &dyn Fn(usize) -> f32| {
            let weights = &kernel.row_weights(row)[..kernel.taps() as usize];
            weights.iter().zip(row.first as usize..).fold(0.0, |sum, (weight, at)| sum + weight * sample(at))
        };
        let down =
            |row: Row| -> Vec<f32> { (0..from.len()).map(|at| nudge * sum(vertical, row, &|y| rows[y][at])).collect() };
        let across = |between: &Vec<f32>| -> Vec<f32> {
            let plane = |plane: &[f32]| -> Vec<f32> {
                horizontal.rows().iter().map(|&row| sum(horizontal, row, &|x| plane[x])).collect()
            };
            between.chunks_exact(from.pitch).flat_map(plane).collect()
        };
        vertical.rows().iter().map(|&row| down(row)).map(|between| across(&between)).collect()
    }

    fn made<S: Samples>(sums: &mut Sums<'_, S>, all: &mut Vec<Vec<f32>>) {
        let shape = sums.shape;
        while let Some(row) = sums.make() {
            all.push(row.chunks_exact(shape.pitch).flat_map(|plane| plane[..shape.width].to_vec()).collect());
        }
    }

    /// Codes in batches of at most so many rows.
    fn of_codes(kernels: &Separable, codes: &[Vec<u8>], from: Shape, rows: usize) -> Vec<Vec<f32>> {
        let mut all = Vec::new();
        let (mut sums, mut tiles) = (Sums::new(kernels, 4), Tiles::new(4, BATCH));
        for batch in codes.chunks(rows) {
            let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
            sums.begin(batch.len());
            for at in (0..from.pitch).step_by(TILE) {
                tiles.linearise(&batch, Layout::Rgba, at);
                sums.add(&tiles);
            }
            sums.end(batch.len());
            made(&mut sums, &mut all);
        }
        all
    }

    /// Light row by row.
    fn of_light(kernels: &Separable, rows: &[Vec<f32>], from: Shape) -> Vec<Vec<f32>> {
        let mut all = Vec::new();
        let (mut sums, mut tiles) = (Sums::new(kernels, 4), Tiles::new(4, 1));
        for row in rows {
            sums.take(row, from, &mut tiles);
            made(&mut sums, &mut all);
        }
        all
    }

    #[test]
    fn sums_of_tiles_are_the_sums_of_the_definition() {
        let (width, height) = (600, 83);
        let lanczos = |from, to| resample(ResizeFilter::Lanczos3, from, to).unwrap();
        let blur = |len| gaussian::blur(len, 2.0).remove(0);
        // Few taps, filtered in blocks; many, filtered a row at a time; equal weights; nothing to do.
        let cases = [
            (lanczos(width, 290), lanczos(height, 61)),
            (lanczos(width, 31), lanczos(height, 7)),
            (blur(width), blur(height)),
            (Kernel::identity(width), Kernel::identity(height)),
        ];
        let mut state = 3_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        };
        let codes: Vec<Vec<u8>> = (0..height).map(|_| (0..width * 4).map(|_| random()).collect()).collect();
        let from = Shape::new(width, 4);
        let rows: Vec<Vec<f32>> = codes
            .iter()
            .map(|codes| {
                let mut row = from.zeros();
                row::linearise(codes, Layout::Rgba, &mut row, from);
                row
            })
            .collect();
        for (horizontal, vertical) in cases {
            let kernels = Separable { horizontal, vertical };
            let taps = (kernels.horizontal.taps(), kernels.vertical.taps());
            let want = plain(&kernels, &rows, from, 1.0);
            let close = |got: &[Vec<f32>], want: &[Vec<f32>], by: f32| {
                let far = |(a, b): (&f32, &f32)| (a - b).abs() > by;
                got.len() == want.len() && !got.iter().flatten().zip(want.iter().flatten()).any(far)
            };
            let light = of_light(&kernels, &rows, from);
            // Many taps along x are added up in lanes; all else is in the order of the taps.
            assert!(close(&light, &want, 1e-6), "{taps:?} taps");
            assert!(!horizontal::in_blocks(&kernels.horizontal) || light == want, "{taps:?} taps: to the bit");
            let wrong = plain(&kernels, &rows, from, 1.000_01);
            assert!(!close(&light, &wrong, 1e-6), "{taps:?} taps: the control");
            // Samples of 16 bits and weights of 15.
            let whole = of_codes(&kernels, &codes, from, BATCH);
            assert!(pairs::fits(&kernels.vertical) && close(&whole, &want, 5e-5), "{taps:?} taps");
            let wrong = plain(&kernels, &rows, from, 1.000_1);
            assert!(!close(&whole, &wrong, 5e-5), "{taps:?} taps: the control");
            for rows in [1, 3, BATCH - 1] {
                assert!(of_codes(&kernels, &codes, from, rows) == whole, "{taps:?} taps, batches of {rows} rows");
            }
        }
    }
}
