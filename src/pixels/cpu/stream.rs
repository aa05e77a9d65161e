//! Rows pushed through the steps of a plan.

use std::ops::Range;

use super::pairs::{self, Pair};
use super::row::{self, Shape};
use super::smooth::Doubling;
use super::sums::{BATCH, Sums, TILE, Tiles};
use super::{CpuError, chroma, colour, horizontal, orient, sharpen, vertical};
use crate::pixels::op::{Rect, Size};
use crate::pixels::orientation::Orientation;
use crate::pixels::pixmap::{Layout, Picture, Pixmap, Planes, Source};
use crate::pixels::plan::{Chain, Form, Plan, Separable, Step};
use crate::pixels::stop::Stop;

/// Runs a whole plan on the calling thread: every row of the source is read once, for all results.
///
/// # Errors
/// [`CpuError::Broken`] when `source` is not of the size the plan is for, [`CpuError::Stopped`] when `stop` says so.
pub fn run_all(plan: &Plan, source: Source<'_>, stop: &Stop) -> Result<Vec<Picture>, CpuError> {
    let layout = source.layout();
    let region = plan.region();
    let shape = Shape::new(region.size.width, layout.channels());
    let mut lines: Vec<Line<'_>> = plan.chains().iter().map(|chain| Line::new(chain, layout, plan.form())).collect();
    let mut tiles = Tiles::new(layout.channels(), BATCH);
    let mut linear = shape.zeros();
    let mut converted = Vec::new();
    let end = region.y + region.size.height;
    let batch = u32::try_from(BATCH).unwrap_or(u32::MAX);
    for y in (region.y..end).step_by(BATCH) {
        stop.check()?;
        let rows = rows_of(source, y..end.min(y.saturating_add(batch)), region, &mut converted);
        add(&mut lines, &rows, (layout, shape), &mut tiles);
        for (pixels, y) in rows.iter().zip(y..) {
            let mut is_linear = false;
            for line in &mut lines {
                match line.stages.first() {
                    None => line.sink.copy(line.chain, region.x, y, pixels),
                    Some(Stage::Pairs(_)) => {}
                    Some(Stage::Sums(..) | Stage::Filter(_) | Stage::Sharpen { .. } | Stage::Colour { .. }) => {
                        if !is_linear {
                            row::linearise(pixels, layout, &mut linear, shape);
                            is_linear = true;
                        }
                        push(&mut line.stages, &mut linear, shape, &mut line.sink);
                    }
                }
            }
        }
    }
    lines.into_iter().map(|line| line.sink.finish()).collect()
}

/// Gives a batch of rows to those lines that begin with sums: each tile is linearised once for all of them.
fn add(lines: &mut [Line<'_>], rows: &[&[u8]], (layout, shape): (Layout, Shape), tiles: &mut Tiles<Pair>) {
    let mut all: Vec<&mut Sums<'_, Pair>> = lines.iter_mut().filter_map(Line::sums).collect();
    if all.is_empty() {
        return;
    }
    all.iter_mut().for_each(|sums| sums.begin(rows.len()));
    for at in (0..shape.pitch).step_by(TILE) {
        tiles.linearise(rows, layout, at);
        all.iter_mut().for_each(|sums| sums.add(tiles));
    }
    all.into_iter().for_each(|sums| sums.end(rows.len()));
    for Line { stages, sink, .. } in lines {
        if let Some((first @ Stage::Pairs(_), later)) = stages.split_first_mut() {
            while let Some((row, shape)) = first.make() {
                push(later, row, shape, sink);
            }
        }
    }
}

/// Parts of rows of the source, in its layout; planes are converted into `converted`.
fn rows_of<'a>(source: Source<'a>, rows: Range<u32>, part: Rect, converted: &'a mut Vec<u8>) -> Vec<&'a [u8]> {
    let (x, width) = (part.x as usize, part.size.width as usize);
    match source {
        Source::Packed(image) => {
            let channels = image.layout().channels();
            let row = |y: u32| {
                let start = (y as usize * image.width() as usize + x) * channels;
                image.data().get(start..start + width * channels).unwrap_or(&[])
            };
            rows.map(row).collect()
        }
        Source::Planar(image) => {
            converted.resize(rows.len() * width * 3, 0);
            for (y, row) in rows.zip(converted.chunks_exact_mut(width * 3)) {
                image.rgb_row(y, part.x, row);
            }
            converted.chunks_exact(width * 3).collect()
        }
    }
}

/// One result on its way.
struct Line<'p> {
    chain: &'p Chain,
    stages: Vec<Stage<'p>>,
    sink: Sink<'p>,
}

impl<'p> Line<'p> {
    fn new(chain: &'p Chain, layout: Layout, form: Form) -> Self {
        let planes = layout.channels();
        let mut stages: Vec<Stage<'_>> = chain.steps.iter().map(|step| Stage::new(step, planes)).collect();
        if let (Some(first @ Stage::Sums(..)), Some(Step::Filter(kernels))) = (stages.first_mut(), chain.steps.first())
            && pairs::fits(&kernels.vertical)
        {
            *first = Stage::Pairs(Sums::new(kernels, planes));
        }
        let sink = Sink::new(chain, layout, form);
        if matches!(sink, Sink::Doubled(_)) {
            stages.pop();
        }
        Self { chain, stages, sink }
    }

    /// The sums it begins with, if it does.
    fn sums(&mut self) -> Option<&mut Sums<'p, Pair>> {
        match self.stages.first_mut() {
            Some(Stage::Pairs(sums)) => Some(sums),
            Some(Stage::Sums(..) | Stage::Filter(_) | Stage::Sharpen { .. } | Stage::Colour { .. }) | None => None,
        }
    }
}

/// Where the last row goes.
enum Sink<'p> {
    Pixels(Pixels),
    /// Rows of opaque colour, as they lie, to planes of 4:2:0; and one of them as codes.
    Planes(Planes, Vec<u8>),
    /// The same, with the last step of a blur done on the way.
    Doubled(Doubling<'p>),
}

impl<'p> Sink<'p> {
    fn new(chain: &'p Chain, layout: Layout, form: Form) -> Self {
        let as_it_lies = chain.orientation == Orientation::UPRIGHT && !chain.steps.is_empty();
        if form != Form::Ycbcr420 || layout != Layout::Rgb || !as_it_lies {
            return Self::Pixels(Pixels::new(chain, layout, form));
        }
        if let [_, .., Step::Filter(last)] = &chain.steps[..]
            && let Some(doubling) = Doubling::new(last)
        {
            return Self::Doubled(doubling);
        }
        let Size { width, height } = chain.stored();
        Self::Planes(Planes::new(width, height, true), vec![0; width as usize * 3])
    }

    /// Takes a row of linear light.
    fn take(&mut self, linear: &[f32], shape: Shape) {
        match self {
            Self::Pixels(pixels) => pixels.take(linear, shape),
            Self::Planes(planes, codes) => {
                row::encode_planes(linear, shape, codes);
                let mut rows = codes.chunks_exact(shape.width);
                planes.push(std::array::from_fn(|_| rows.next().unwrap_or(&[])));
            }
            Self::Doubled(doubling) => doubling.take(linear, shape),
        }
    }

    /// Takes what a chain without steps reads of row `y`, of which `pixels` are those from column `x` on.
    fn copy(&mut self, chain: &Chain, x: u32, y: u32, pixels: &[u8]) {
        if let Self::Pixels(sink) = self {
            sink.copy(chain, x, y, pixels);
        }
    }

    fn finish(self) -> Result<Picture, CpuError> {
        Ok(match self {
            Self::Pixels(pixels) => pixels.finish()?,
            Self::Planes(planes, _) => Picture::Planar(planes.finish()?),
            Self::Doubled(doubling) => Picture::Planar(doubling.finish()?),
        })
    }
}

/// Rows of codes, each in its place.
struct Pixels {
    layout: Layout,
    form: Form,
    orientation: Orientation,
    stored: Size,
    /// Rows that came so far.
    rows: u32,
    /// A row before it is turned; empty where nothing is.
    row: Vec<u8>,
    pixels: Vec<u8>,
}

impl Pixels {
    fn new(chain: &Chain, layout: Layout, form: Form) -> Self {
        let (orientation, stored) = (chain.orientation, chain.stored());
        let row = stored.width as usize * layout.channels();
        let bytes = row * stored.height as usize;
        // Rows that stay rows in order are added one by one; others are put in their places.
        let (row, pixels) = if orientation == Orientation::UPRIGHT {
            (Vec::new(), Vec::with_capacity(bytes))
        } else {
            (vec![0; row], vec![0; bytes])
        };
        Self { layout, form, orientation, stored, rows: 0, row, pixels }
    }

    /// Takes a row of linear light.
    fn take(&mut self, linear: &[f32], shape: Shape) {
        if self.orientation == Orientation::UPRIGHT {
            let start = self.pixels.len();
            self.pixels.resize(start + shape.width * shape.planes, 0);
            row::encode(linear, shape, self.layout, self.pixels.get_mut(start..).unwrap_or(&mut []));
        } else {
            row::encode(linear, shape, self.layout, &mut self.row);
            let channels = self.layout.channels();
            orient::place(self.orientation, self.stored, self.rows, &self.row, channels, &mut self.pixels);
        }
        self.rows += 1;
    }

    /// Takes what a chain without steps reads of row `y`, of which `pixels` are those from column `x` on.
    fn copy(&mut self, chain: &Chain, x: u32, y: u32, pixels: &[u8]) {
        let channels = self.layout.channels();
        let rect = chain.region;
        let start = (rect.x - x) as usize * channels;
        let row = pixels.get(start..start + rect.size.width as usize * channels).unwrap_or(&[]);
        match y.checked_sub(rect.y).filter(|y| *y < rect.size.height) {
            Some(_) if self.orientation == Orientation::UPRIGHT => self.pixels.extend_from_slice(row),
            Some(y) => orient::place(self.orientation, self.stored, y, row, channels, &mut self.pixels),
            None => {}
        }
    }

    fn finish(self) -> Result<Picture, CpuError> {
        let Size { width, height } = self.orientation.size(self.stored);
        let image = Pixmap::new(width, height, self.layout, self.pixels)?;
        Ok(match (self.form, self.layout) {
            (Form::Ycbcr420, Layout::Rgb) => Picture::Planar(chroma::run(&image)?),
            (Form::Ycbcr420 | Form::Pixels, _) => Picture::Packed(image),
        })
    }
}

/// One step and the rows it waits with.
enum Stage<'p> {
    /// A filter along y first, of the source.
    Pairs(Sums<'p, Pair>),
    /// A filter along y first, of the rows of another step.
    Sums(Sums<'p, f32>, Tiles<f32>),
    /// A filter along x first.
    Filter(Filter<'p>),
    Sharpen {
        blur: Filter<'p>,
        amount: f32,
        centre: (u32, u32),
        /// The last rows as they came: source row `y` in slot `y % taps`, like those of the blur.
        ring: Vec<f32>,
    },
    Colour {
        step: &'p crate::pixels::colour::Matrix,
        row: Vec<f32>,
        shape: Shape,
        waits: bool,
    },
}

/// A separable filter along x first, and its rows.
struct Filter<'p> {
    kernels: &'p Separable,
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

impl<'p> Filter<'p> {
    fn new(kernels: &'p Separable, planes: usize) -> Self {
        let shape = Shape::new(kernels.horizontal.target_len(), planes);
        let ring = vec![0.0; shape.len() * kernels.vertical.taps() as usize];
        Self { kernels, shape, ring, out: shape.zeros(), taken: 0, made: 0 }
    }

    fn taps(&self) -> usize {
        self.kernels.vertical.taps() as usize
    }

    fn take(&mut self, source: &[f32], from: Shape) {
        let slot = self.taken % self.taps();
        if let Some(target) = self.ring.chunks_exact_mut(self.shape.len()).nth(slot) {
            horizontal::run(&self.kernels.horizontal, source, from, target, self.shape);
        }
        self.taken += 1;
    }

    /// Makes the next output row in `out`, if the ring holds all it needs. The ring never drops a row too early:
    /// `first` never falls, so rows before it are done with, and it has room for all from it on.
    fn make(&mut self) -> bool {
        let kernel = &self.kernels.vertical;
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

impl<'p> Stage<'p> {
    fn new(step: &'p Step, planes: usize) -> Self {
        match step {
            Step::Filter(kernels) if kernels.is_y_first() => {
                Self::Sums(Sums::new(kernels, planes), Tiles::new(planes, 1))
            }
            Step::Filter(kernels) => Self::Filter(Filter::new(kernels, planes)),
            Step::Sharpen { blur, amount, centre } => {
                let blur = Filter::new(blur, planes);
                let ring = vec![0.0; blur.ring.len()];
                Self::Sharpen { blur, amount: *amount, centre: *centre, ring }
            }
            Step::Colour { matrix, size } => {
                let shape = Shape::new(size.width, planes);
                Self::Colour { step: matrix, row: shape.zeros(), shape, waits: false }
            }
        }
    }

    fn take(&mut self, source: &[f32], from: Shape) {
        match self {
            // It is given batches of the source.
            Self::Pairs(_) => {}
            Self::Sums(sums, tiles) => sums.take(source, from, tiles),
            Self::Filter(filter) => filter.take(source, from),
            Self::Sharpen { blur, centre, ring, .. } => {
                let (slot, shape) = (blur.taken % blur.taps(), blur.shape);
                if let Some(kept) = ring.chunks_exact_mut(shape.len()).nth(slot) {
                    // The result's columns of the row as it is.
                    let planes = kept.chunks_exact_mut(shape.pitch).zip(source.chunks_exact(from.pitch));
                    for (kept, source) in planes {
                        let source = source.iter().skip(centre.0 as usize).take(shape.width);
                        kept.iter_mut().zip(source).for_each(|(kept, source)| *kept = *source);
                    }
                }
                blur.take(source, from);
            }
            Self::Colour { row, waits, .. } => {
                row.copy_from_slice(source);
                *waits = true;
            }
        }
    }

    /// Makes the next row, if it can; returns it and its shape.
    fn make(&mut self) -> Option<(&mut [f32], Shape)> {
        match self {
            Self::Pairs(sums) => {
                let shape = sums.shape;
                sums.make().map(|row| (row, shape))
            }
            Self::Sums(sums, _) => {
                let shape = sums.shape;
                sums.make().map(|row| (row, shape))
            }
            Self::Filter(filter) => filter.make().then_some((&mut filter.out, filter.shape)),
            Self::Sharpen { blur, amount, centre, ring } => {
                let y = blur.made + centre.1 as usize;
                if !blur.make() {
                    return None;
                }
                // The blur of a row reads the row itself: it was taken, and no newer one has its slot.
                let original = ring.chunks_exact(blur.shape.len()).nth(y % blur.taps()).unwrap_or(&[]);
                sharpen::run(*amount, original, &mut blur.out);
                Some((&mut blur.out, blur.shape))
            }
            Self::Colour { step, row, shape, waits } => {
                if !std::mem::take(waits) {
                    return None;
                }
                colour::run(step, row, *shape);
                Some((row, *shape))
            }
        }
    }
}

fn push(stages: &mut [Stage<'_>], row: &mut [f32], shape: Shape, sink: &mut Sink<'_>) {
    let Some((stage, later)) = stages.split_first_mut() else {
        sink.take(row, shape);
        return;
    };
    stage.take(row, shape);
    while let Some((row, shape)) = stage.make() {
        push(later, row, shape, sink);
    }
}
