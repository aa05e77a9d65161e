//! A filter along y, then along x, a few source rows at a time.
//!
//! For a picture that gets smaller, y first is the cheaper order: the pass over all source pixels runs along plain rows,
//! with no sums across lanes, and the pass along x is over the few rows that are left. Source rows are not kept: a batch of them is
//! cut into tiles that stay in the first-level cache while they are linearised and added to the sums of every output row
//! they belong to.

use super::horizontal;
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
    /// Where their sums are. The last group may name slots of rows that are not begun: their weights are 0.
    slots: [usize; GROUP],
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
    /// The row that was made last.
    pub out: Vec<f32>,
    /// What to do with the batch.
    groups: Vec<Group>,
    /// Source rows before the batch.
    taken: usize,
    /// Output rows begun so far.
    begun: usize,
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
        // So that the last group fits too.
        let slots = kernels.vertical.most_begun(BATCH).next_multiple_of(GROUP);
        Self {
            kernels,
            between,
            shape,
            sums: vec![between.zeros(); slots],
            out: shape.zeros(),
            groups: Vec::new(),
            taken: 0,
            begun: 0,
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
        for made in (self.made..self.begun).step_by(GROUP) {
            let end = (made + GROUP).min(self.begun);
            let slots = std::array::from_fn(|at| (made + at) % slots);
            self.groups.push(group(kernel, made..end, slots, self.taken..self.taken + batch));
        }
    }

    /// Adds a part of the batch.
    pub fn add(&mut self, tiles: &Tiles) {
        for group in &self.groups {
            group.add(&mut self.sums, self.between, tiles);
        }
    }

    /// All parts of a batch of `rows` were added.
    pub const fn end(&mut self, rows: usize) {
        self.taken += rows;
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

    /// Makes the next output row in `out`, if all it needs was added.
    pub fn make(&mut self) -> bool {
        let Separable { horizontal, vertical } = self.kernels;
        let Some(&row) = vertical.rows().get(self.made) else { return false };
        if self.taken < (row.first + vertical.taps()) as usize {
            return false;
        }
        let sums = self.sums.get(self.made % self.sums.len()).map_or(&[][..], Vec::as_slice);
        horizontal::run(horizontal, sums, self.between, &mut self.out, self.shape);
        self.made += 1;
        true
    }
}

/// How the source rows `batch` are added to the output rows `outputs`.
fn group(
    kernel: &Kernel,
    outputs: std::ops::Range<usize>,
    slots: [usize; GROUP],
    batch: std::ops::Range<usize>,
) -> Group {
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
    Group { slots, first: start - batch.start, weights: weights.collect() }
}

impl Group {
    fn add(&self, sums: &mut [Vec<f32>], shape: Shape, tiles: &Tiles) {
        // A group is never longer than the ring, so no two of its slots are one.
        let Ok(mut sums) = sums.get_disjoint_mut(self.slots) else { return };
        let len = TILE.min(shape.pitch - tiles.at);
        let rows = self.first..self.first + self.weights.len();
        for (plane, at) in tiles.rows.chunks_exact(BATCH).zip((tiles.at..).step_by(shape.pitch)) {
            let parts = sums.each_mut().map(|sums| sums.get_mut(at..at + len).unwrap_or_default());
            vertical::add(plane.get(rows.clone()).unwrap_or(&[]), &self.weights, parts);
        }
    }
}
