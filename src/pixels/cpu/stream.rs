//! Rows pushed through the steps of a plan.

use super::row::{self, Shape};
use super::{horizontal, vertical};
use crate::pixels::pixmap::{Layout, Pixmap, PixmapError};
use crate::pixels::plan::{Plan, Step};

/// Runs a whole plan on the calling thread.
///
/// # Errors
/// [`PixmapError`] when `image` is not of the size the plan is for.
pub fn run(plan: &Plan, image: &Pixmap) -> Result<Pixmap, PixmapError> {
    if plan.is_identity() {
        return Ok(image.clone());
    }
    let layout = image.layout();
    let planes = layout.channels();
    let mut stages: Vec<Stage<'_>> = plan.steps().iter().map(|step| Stage::new(step, planes)).collect();
    let output = plan.output();
    let bytes = usize::try_from(output.pixels()).unwrap_or(usize::MAX).saturating_mul(planes);
    let mut sink = Sink { layout, pixels: Vec::with_capacity(bytes) };
    let shape = Shape::new(plan.source().width, planes);
    let mut linear = shape.zeros();
    for pixels in image.rows() {
        row::linearise(pixels, layout, &mut linear, shape);
        push(&mut stages, &mut linear, shape, &mut sink);
    }
    Pixmap::new(output.width, output.height, layout, sink.pixels)
}

/// Where the last row goes.
struct Sink {
    layout: Layout,
    pixels: Vec<u8>,
}

/// One step and the rows it waits with.
struct Stage<'p> {
    step: &'p Step,
    /// The shape of its rows after the horizontal kernel.
    shape: Shape,
    /// The last `taps` rows, filtered along x: source row `y` is in slot `y % taps`.
    ring: Vec<f32>,
    /// The row that is being made.
    out: Vec<f32>,
    /// Source rows taken so far.
    taken: usize,
    /// Output rows made so far.
    made: usize,
}

impl<'p> Stage<'p> {
    fn new(step: &'p Step, planes: usize) -> Self {
        let shape = Shape::new(step.horizontal.target_len(), planes);
        let ring = vec![0.0; shape.len() * step.vertical.taps() as usize];
        Self { step, shape, ring, out: shape.zeros(), taken: 0, made: 0 }
    }

    fn take(&mut self, source: &[f32], from: Shape) {
        let slot = self.taken % self.step.vertical.taps() as usize;
        if let Some(target) = self.ring.chunks_exact_mut(self.shape.len()).nth(slot) {
            horizontal::run(&self.step.horizontal, source, from, target, self.shape);
        }
        self.taken += 1;
    }

    /// Makes the next output row in `out`, if the ring holds all it needs. The ring never drops a row too early:
    /// `first` never falls, so rows before it are done with, and it has room for all from it on.
    fn make(&mut self) -> bool {
        let kernel = &self.step.vertical;
        let taps = kernel.taps() as usize;
        let Some(&row) = kernel.rows().get(self.made) else { return false };
        let first = row.first as usize;
        if self.taken < first + taps {
            return false;
        }
        let (wrapped, start) = self.ring.split_at(first % taps * self.shape.len());
        let slots = start.chunks_exact(self.shape.len()).chain(wrapped.chunks_exact(self.shape.len()));
        let rows: Vec<&[f32]> = slots.collect();
        vertical::run(kernel.row_weights(row), &rows, &mut self.out);
        self.made += 1;
        true
    }
}

fn push(stages: &mut [Stage<'_>], row: &mut [f32], shape: Shape, sink: &mut Sink) {
    let Some((stage, later)) = stages.split_first_mut() else {
        let start = sink.pixels.len();
        sink.pixels.resize(start + shape.width * shape.planes, 0);
        row::encode(row, shape, sink.layout, sink.pixels.get_mut(start..).unwrap_or(&mut []));
        return;
    };
    stage.take(row, shape);
    while stage.make() {
        push(later, &mut stage.out, stage.shape, sink);
    }
}
