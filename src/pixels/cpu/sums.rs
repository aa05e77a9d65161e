//! A filter along y, then along x, a few source rows at a time.
//!
//! For a picture that gets smaller, y first is the cheaper order: the pass over all source pixels runs along plain rows,
//! with no sums across lanes, and the pass along x is over the few rows that are left. Source rows are not kept: a batch of them is
//! cut into tiles that stay in the first-level cache while they are linearised and added to the sums of every output row
//! they belong to.

use std::ops::Range;

use super::horizontal::{self, Block, ROWS};
use super::row::{self, Shape};
use super::vertical::{self, GROUP};
pub use super::vertical::{BATCH, TILE};
use crate::pixels::kernel::{Kernel, Row};
use crate::pixels::pixmap::Layout;
use crate::pixels::plan::Separable;

/// Bytes of a [`Tiles`] of four planes.
pub const TILE_BYTES: u64 = 4 * (BATCH * TILE * size_of::<f32>()) as u64;

/// A part of a batch of source rows: at most [`BATCH`] rows, [`TILE`] pixels of each, linear light, premultiplied.
pub struct Tiles {
    /// A plane after the other; [`BATCH`] rows each.
    rows: Vec<[f32; TILE]>,
    /// The first pixel.
    at: usize,
}

impl Tiles {
    /// Room for `planes` planes.
    #[must_use]
    pub fn new(planes: usize) -> Self {
        Self { rows: vec![[0.0; TILE]; planes * BATCH], at: 0 }
    }

    /// Fills it with the pixels from `at` on of rows of 8-bit pixels; zeros behind the last pixel.
    pub fn linearise(&mut self, rows: &[&[u8]], layout: Layout, at: usize) {
        let channels = layout.channels();
        for (pixels, target) in rows.iter().zip(0..BATCH) {
            let part = pixels.get(at * channels..).unwrap_or(&[]);
            let part = part.get(..TILE * channels).unwrap_or(part);
            let width = part.len() / channels;
            let planar = self.rows.get_mut(target..).unwrap_or(&mut []).as_flattened_mut();
            row::linearise(part, layout, planar, Shape { width, pitch: BATCH * TILE, planes: channels });
            self.end(target, width);
        }
        self.at = at;
    }

    /// Fills it with the pixels from `at` on of one row of `shape`.
    fn copy(&mut self, planar: &[f32], shape: Shape, at: usize) {
        for (plane, target) in planar.chunks_exact(shape.pitch).zip(self.rows.chunks_exact_mut(BATCH)) {
            let part = plane.get(at..shape.width).unwrap_or(&[]);
            if let Some(target) = target.first_mut() {
                target.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            }
        }
        self.end(0, shape.width - at.min(shape.width));
        self.at = at;
    }

    /// Zeros behind `width` pixels of a row.
    fn end(&mut self, row: usize, width: usize) {
        for plane in self.rows.chunks_exact_mut(BATCH) {
            if let Some(behind) = plane.get_mut(row).and_then(|row| row.get_mut(width..)) {
                behind.fill(0.0);
            }
        }
    }
}

/// Output rows that a batch is added to together.
struct Group {
    /// Where their sums are.
    slots: [usize; GROUP],
    /// How many they are.
    len: usize,
    /// The rows of the batch that they read.
    first: usize,
    /// The weight of each of those rows in each output row.
    weights: Vec<[f32; GROUP]>,
}

/// The sums of the output rows under way.
pub struct Sums<'p> {
    kernels: &'p Separable,
    /// Rows between the passes.
    between: Shape,
    /// Rows of the result.
    pub shape: Shape,
    /// Sums of the output rows that are begun and not yet made: row `y` is in slot `y % sums.len()`.
    sums: Vec<Vec<f32>>,
    /// The rows that were filtered along x last.
    out: Vec<f32>,
    /// Where they are filtered together.
    block: Option<Block>,
    /// What to do with the batch.
    groups: Vec<Group>,
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
    tiles: Tiles,
}

impl<'p> Sums<'p> {
    /// Sums for pictures of `planes` channels.
    #[must_use]
    pub fn new(kernels: &'p Separable, planes: usize) -> Self {
        let between = Shape::new(kernels.source().width, planes);
        let shape = Shape::new(kernels.target().width, planes);
        let block = horizontal::in_blocks(&kernels.horizontal).then(|| Block::new(between, shape));
        let together = if block.is_some() { ROWS } else { 1 };
        // Rows under way, and rows that wait until there is a block of them.
        let slots = kernels.vertical.most_begun(BATCH) + together - 1;
        Self {
            kernels,
            between,
            shape,
            sums: (0..slots).map(|_| between.zeros()).collect(),
            out: vec![0.0; shape.len() * together],
            block,
            groups: Vec::new(),
            taken: 0,
            begun: 0,
            whole: 0,
            across: 0,
            made: 0,
            tiles: Tiles::new(planes),
        }
    }

    /// Prepares for the next `batch` rows, at most [`BATCH`]. Every row that could be made must have been.
    pub fn begin(&mut self, batch: usize) {
        let kernel = &self.kernels.vertical;
        let slots = self.sums.len();
        let new = kernel.rows().iter().skip(self.begun);
        for _ in new.take_while(|row| (row.first as usize) < self.taken + batch) {
            if let Some(sums) = self.sums.get_mut(self.begun % slots) {
                sums.fill(0.0);
            }
            self.begun += 1;
        }
        self.groups.clear();
        let mut first = self.whole;
        while first < self.begun {
            let outputs = first..first + group_len(self.begun - first);
            first = outputs.end;
            self.groups.push(Group::new(kernel, outputs, slots, self.taken..self.taken + batch));
        }
    }

    /// Adds a part of the batch.
    pub fn add(&mut self, tiles: &Tiles) {
        for group in &self.groups {
            match group.len {
                1 => group.add::<1>(&mut self.sums, self.between, tiles),
                2 => group.add::<2>(&mut self.sums, self.between, tiles),
                3 => group.add::<3>(&mut self.sums, self.between, tiles),
                _ => group.add::<GROUP>(&mut self.sums, self.between, tiles),
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

    /// Takes one row of linear light.
    pub fn take(&mut self, planar: &[f32], shape: Shape) {
        self.begin(1);
        let mut tiles = std::mem::replace(&mut self.tiles, Tiles { rows: Vec::new(), at: 0 });
        for at in (0..self.between.pitch).step_by(TILE) {
            tiles.copy(planar, shape, at);
            self.add(&tiles);
        }
        self.tiles = tiles;
        self.end(1);
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
        let slots = self.sums.len();
        let row = |at: usize| self.sums.get(at % slots).map_or(&[][..], Vec::as_slice);
        match &mut self.block {
            None if waiting == 0 => {}
            None => {
                horizontal::run(horizontal, row(self.across), self.between, &mut self.out, self.shape);
                self.across += 1;
            }
            Some(block) => {
                let rows = waiting.min(ROWS);
                if rows == ROWS || self.taken == vertical.source_len() as usize {
                    let rows: Vec<&[f32]> = (self.across..self.across + rows).rev().map(row).collect();
                    block.run(horizontal, &rows, self.between, &mut self.out, self.shape);
                    self.across += rows.len();
                }
            }
        }
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

impl Group {
    /// How the source rows `batch` are added to the output rows `outputs`; row `y` is in slot `y % slots`.
    fn new(kernel: &Kernel, outputs: Range<usize>, slots: usize, batch: Range<usize>) -> Self {
        let places = std::array::from_fn(|at| (outputs.start + at) % slots);
        let rows = kernel.rows().get(outputs).unwrap_or(&[]);
        let taps = kernel.taps() as usize;
        // `first` never falls: the first output row reads the first source row, the last the last.
        let start = rows.first().map_or(batch.end, |row| batch.start.max(row.first as usize));
        let end = rows.last().map_or(batch.start, |row| batch.end.min(row.first as usize + taps));
        let weight = |row: Row, source: usize| {
            let tap = source.checked_sub(row.first as usize)?;
            kernel.row_weights(row).get(..taps)?.get(tap).copied()
        };
        let weights = (start..end).map(|source| {
            let mut weights = [0.0; GROUP];
            for (slot, &row) in weights.iter_mut().zip(rows) {
                *slot = weight(row, source).unwrap_or(0.0);
            }
            weights
        });
        Self { slots: places, len: rows.len(), first: start - batch.start, weights: weights.collect() }
    }

    fn add<const G: usize>(&self, sums: &mut [Vec<f32>], shape: Shape, tiles: &Tiles) {
        let Some(&slots) = self.slots.first_chunk::<G>() else { return };
        // No more output rows are under way than there are slots, so no two of them share one.
        let Ok(mut sums) = sums.get_disjoint_mut(slots) else { return };
        let len = TILE.min(shape.pitch - tiles.at);
        let rows = self.first..self.first + self.weights.len();
        for (plane, at) in tiles.rows.chunks_exact(BATCH).zip((tiles.at..).step_by(shape.pitch)) {
            let parts = sums.each_mut().map(|sums| sums.get_mut(at..at + len).unwrap_or_default());
            vertical::add(plane.get(rows.clone()).unwrap_or(&[]), &self.weights, parts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn made(sums: &mut Sums<'_>, all: &mut Vec<Vec<f32>>) {
        let shape = sums.shape;
        while let Some(row) = sums.make() {
            all.push(row.chunks_exact(shape.pitch).flat_map(|plane| plane[..shape.width].to_vec()).collect());
        }
    }

    /// By batches of codes, and row by row of light.
    fn both_ways(kernels: &Separable, codes: &[Vec<u8>], rows: &[Vec<f32>], from: Shape) -> [Vec<Vec<f32>>; 2] {
        let (mut batched, mut single) = (Vec::new(), Vec::new());
        let (mut sums, mut tiles) = (Sums::new(kernels, 4), Tiles::new(4));
        for batch in codes.chunks(BATCH) {
            let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
            sums.begin(batch.len());
            for at in (0..from.pitch).step_by(TILE) {
                tiles.linearise(&batch, Layout::Rgba, at);
                sums.add(&tiles);
            }
            sums.end(batch.len());
            made(&mut sums, &mut batched);
        }
        let mut sums = Sums::new(kernels, 4);
        for row in rows {
            sums.take(row, from);
            made(&mut sums, &mut single);
        }
        [batched, single]
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
            let close = |got: &[Vec<f32>], want: &[Vec<f32>]| {
                let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-6;
                got.len() == want.len() && !got.iter().flatten().zip(want.iter().flatten()).any(far)
            };
            let [batched, single] = both_ways(&kernels, &codes, &rows, from);
            // Many taps along x are added up in lanes; all else is in the order of the taps.
            assert!(batched == single && close(&batched, &want), "{taps:?} taps");
            assert!(!horizontal::in_blocks(&kernels.horizontal) || batched == want, "{taps:?} taps: to the bit");
            assert!(!close(&batched, &plain(&kernels, &rows, from, 1.000_01)), "{taps:?} taps: the control");
        }
    }
}
