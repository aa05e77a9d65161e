//! What will be done, decided before a pixel is touched: sizes, kernels, work, memory.

mod chain;
mod step;

pub use self::chain::Chain;
pub use self::step::{Separable, Step};

use self::chain::Builder;
use super::colour::Matrix;
use super::kernel::gaussian;
use super::kernel::resample::{self, ResizeFilter};
use super::op::{Op, Rect, Size};
use super::orientation::Orientation;

/// What a plan may ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlanLimits {
    /// The longest side of a source, in pixels. Kernels have a row a pixel of a side.
    pub max_side_px: u32,
    /// The largest standard deviation of a blur, in pixels.
    pub max_sigma: f32,
    /// The most multiply-adds, in pixels times taps, for the whole plan. A core does about 1e9 of them a second.
    pub max_multiply_adds: u64,
    /// The most bytes of pixels at one time, [`Plan::peak_bytes`].
    pub max_bytes: u64,
}

impl Default for PlanLimits {
    fn default() -> Self {
        Self { max_side_px: 100_000, max_sigma: 10_000.0, max_multiply_adds: 20_000_000_000, max_bytes: 1 << 30 }
    }
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// The source has no pixels.
    #[error("a picture of {width} by {height} pixels has no pixels")]
    EmptySource {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A side over the limit.
    #[error("a side of {got} pixels is over the limit of {max}")]
    SideTooLong {
        /// The longer side.
        got: u32,
        /// The longest allowed.
        max: u32,
    },
    /// Fitting into nothing.
    #[error("cannot fit a picture into {got} pixels, the least is 1")]
    ZeroSide {
        /// The side asked for.
        got: u32,
    },
    /// A part that is not in the picture, or has no pixels.
    #[error(
        "a part of {} from column {}, row {} is not inside a picture of {size}", rect.size, rect.x, rect.y
    )]
    CropOutside {
        /// The part.
        rect: Rect,
        /// The picture.
        size: Size,
    },
    /// An amount or a factor out of its range.
    #[error("an amount of {got} is not one from 0 to {max}")]
    BadAmount {
        /// The amount asked for.
        got: f32,
        /// The largest allowed.
        max: f32,
    },
    /// A plan for nothing, or for too many results.
    #[error("a plan has 1 to {max} results, not {got}")]
    BadOutputs {
        /// Results asked for.
        got: usize,
        /// The most allowed.
        max: usize,
    },
    /// A sigma that is negative, infinite or not a number.
    #[error("a blur of {got} pixels is no blur: a finite number of 0 or more is")]
    BadSigma {
        /// The sigma asked for.
        got: f32,
    },
    /// A sigma over the limit.
    #[error("a blur of {got} pixels is over the limit of {max}")]
    SigmaTooLarge {
        /// The sigma asked for.
        got: f32,
        /// The largest allowed.
        max: f32,
    },
    /// More arithmetic than allowed.
    #[error("{got} multiply-adds are over the limit of {max}")]
    TooMuchWork {
        /// Multiply-adds the plan needs.
        got: u64,
        /// The most allowed.
        max: u64,
    },
    /// More memory than allowed.
    #[error("{got} bytes of pixels are over the limit of {max}")]
    TooMuchMemory {
        /// Bytes the plan needs at its peak.
        got: u64,
        /// The most allowed.
        max: u64,
    },
    /// Kernels that do not fit the picture they are given, or that cannot be made.
    #[error("step {step} does not fit a picture of {width} by {height} pixels")]
    Misfit {
        /// The step, from 0.
        step: usize,
        /// Columns of the picture it gets.
        width: u32,
        /// Rows of the picture it gets.
        height: u32,
    },
}

/// What a plan costs, for limits and for choosing an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Pixels times taps over all passes; each is one multiply-add a channel.
    pub multiply_adds: u64,
    /// Pixels read at the start.
    pub source_pixels: u64,
    /// Pixels written at the end.
    pub output_pixels: u64,
}

/// What the results of a plan are made as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// In the layout of the source; RGB for YCbCr.
    #[default]
    Pixels,
    /// As 4:2:0 planes, for a JPEG: where the source has colour and no alpha; else as `Pixels`.
    Ycbcr420,
}

/// From a picture of one size to one or more results, the source read once. Immutable; costs nothing to keep but its kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    source: Size,
    region: Rect,
    chains: Vec<Chain>,
    form: Form,
}

/// The most results of one plan.
pub const MAX_OUTPUTS: usize = 16;

impl Plan {
    /// Plans `ops`, in order, for a picture of size `source`. Operations that change nothing leave no step.
    ///
    /// # Errors
    /// [`PlanError`], before any kernel is computed where the operation alone tells, and before any pixel is touched.
    pub fn new(ops: &[Op], source: Size, limits: &PlanLimits) -> Result<Self, PlanError> {
        Self::many(&[ops], source, limits)
    }

    /// Plans a result for each list of operations, all from the same picture.
    ///
    /// # Errors
    /// As [`Plan::new`]; and for no list, or more than [`MAX_OUTPUTS`].
    pub fn many(outputs: &[&[Op]], source: Size, limits: &PlanLimits) -> Result<Self, PlanError> {
        Self::many_divided(outputs, source, 1, limits)
    }

    /// Plans `ops` for a picture of size `whole` that comes with its sides divided, as [`Size::divided`] says: what its pixels
    /// stand for ends where the picture does, not where they do, and sizes that come out are those of the whole picture's plan.
    /// [`divisor`] tells what that may be.
    ///
    /// # Errors
    /// As [`Plan::new`]; and [`PlanError::Misfit`] where anything but turning and cropping comes before the picture is reduced, or anything but
    /// turning before it is blurred enough.
    pub fn divided(ops: &[Op], whole: Size, divisor: u32, limits: &PlanLimits) -> Result<Self, PlanError> {
        Self::many_divided(&[ops], whole, divisor.max(1), limits)
    }

    fn many_divided(outputs: &[&[Op]], whole: Size, divisor: u32, limits: &PlanLimits) -> Result<Self, PlanError> {
        let source = whole.divided(divisor);
        check_source(source, limits)?;
        if !(1..=MAX_OUTPUTS).contains(&outputs.len()) {
            return Err(PlanError::BadOutputs { got: outputs.len(), max: MAX_OUTPUTS });
        }
        let mut chains = Vec::with_capacity(outputs.len());
        for ops in outputs {
            let mut builder = Builder::new(whole, divisor, limits);
            ops.iter().try_for_each(|op| builder.add(*op))?;
            chains.push(builder.finish()?);
        }
        Self::of_chains(source, chains, limits)
    }

    /// Plans to divide the sides of a picture of size `whole` by a whole number, each pixel of the result the mean of a square: what
    /// [`Plan::divided`] takes.
    ///
    /// # Errors
    /// [`PlanError`] past the limits.
    pub fn dividing(whole: Size, divisor: u32, limits: &PlanLimits) -> Result<Self, PlanError> {
        check_source(whole, limits)?;
        let along = |len| resample::divide(ResizeFilter::Box, len, divisor);
        let Size { width, height } = whole;
        let kernels = along(width).zip(along(height)).ok_or(PlanError::Misfit { step: 0, width, height })?;
        Self::from_steps(whole, vec![Step::filter(kernels.0, kernels.1)], limits)
    }

    /// A plan of given steps: for operations that are not in [`Op`], and for tests of single stages. The first must be a filter.
    ///
    /// # Errors
    /// [`PlanError`] when a step does not take the size it is given, and past the limits.
    pub fn from_steps(source: Size, steps: Vec<Step>, limits: &PlanLimits) -> Result<Self, PlanError> {
        check_source(source, limits)?;
        let mut size = source;
        for (step, at) in steps.iter().zip(0..) {
            let reads_codes = at > 0 || matches!(step, Step::Filter(_));
            if step.source() != size || !step.is_whole() || !reads_codes {
                return Err(PlanError::Misfit { step: at, width: size.width, height: size.height });
            }
            size = step.target();
        }
        let chain = Chain { region: Rect::whole(source), steps, orientation: Orientation::UPRIGHT, output: size };
        Self::of_chains(source, vec![chain], limits)
    }

    /// Puts chains, each with steps for its own region, on what they read together.
    fn of_chains(source: Size, mut chains: Vec<Chain>, limits: &PlanLimits) -> Result<Self, PlanError> {
        let region = chains.iter().map(|chain| chain.region).reduce(Rect::union).unwrap_or(Rect::whole(source));
        for chain in &mut chains {
            let at = (chain.region.x - region.x, chain.region.y - region.y);
            if let Some(first) = chain.steps.first_mut() {
                let Size { width, height } = region.size;
                let misfit = PlanError::Misfit { step: 0, width, height };
                *first = first.clone().embedded(at, region.size).ok_or(misfit)?;
            }
        }
        let plan = Self { source, region, chains, form: Form::default() };
        check_work(plan.cost().multiply_adds, limits)?;
        check_bytes(plan.peak_bytes(), limits)?;
        Ok(plan)
    }

    /// The same with results in another form.
    #[must_use]
    pub fn with_form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// What results are made as.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// The size it takes.
    #[must_use]
    pub const fn source(&self) -> Size {
        self.source
    }

    /// The part of the source that is read.
    #[must_use]
    pub const fn region(&self) -> Rect {
        self.region
    }

    /// How each result is made, in order.
    #[must_use]
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The size of the first result.
    #[must_use]
    pub fn output(&self) -> Size {
        self.chains.first().map_or(self.source, |chain| chain.output)
    }

    /// Whether it has one result, and that is the source.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        matches!(&self.chains[..], [chain] if chain.steps.is_empty()
            && chain.region == Rect::whole(self.source) && chain.orientation == Orientation::UPRIGHT)
    }

    /// Whether nothing is computed: pixels are cropped and turned at most.
    #[must_use]
    pub fn only_moves(&self) -> bool {
        self.chains.iter().all(|chain| chain.steps.is_empty())
    }

    /// The plan of one result alone.
    #[must_use]
    pub fn only(&self, chain: usize) -> Option<Self> {
        let mut chain = self.chains.get(chain)?.clone();
        let whole = Rect::whole(chain.stored());
        let mut region = chain.region;
        if !chain.steps.is_empty() {
            let (steps, reads) = step::trimmed(&chain.steps, whole)?;
            region = Rect { x: self.region.x + reads.x, y: self.region.y + reads.y, size: reads.size };
            chain = Chain { region, steps, ..chain };
        }
        Some(Self { source: self.source, region, chains: vec![chain], form: self.form })
    }

    /// The plan that makes only `rows` of the one result of this plan, not turned: for devices that cannot hold all of it.
    /// `None` when this has several results or no steps.
    #[must_use]
    pub fn band(&self, rows: &std::ops::Range<u32>) -> Option<Self> {
        let [chain] = &self.chains[..] else { return None };
        if chain.steps.is_empty() {
            return None;
        }
        let output = Size::new(chain.stored().width, rows.end.checked_sub(rows.start)?);
        let wanted = Rect { x: 0, y: rows.start, size: output };
        let (steps, reads) = wanted.is_inside(chain.stored()).then(|| step::trimmed(&chain.steps, wanted))??;
        let region = Rect { x: self.region.x + reads.x, y: self.region.y + reads.y, size: reads.size };
        let chain = Chain { region, steps, orientation: Orientation::UPRIGHT, output };
        Some(Self { source: self.source, region, chains: vec![chain], form: Form::Pixels })
    }

    /// Bytes of the source, the results, and what the cpu engine holds in between, for four channels. What a device job
    /// needs on top is in [`super::exec::Engines::peak_bytes`].
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        let outputs = self.chains.iter().map(|chain| chain.output.pixels()).fold(0, u64::saturating_add);
        let row_in = (u64::from(self.region.size.width) + 16) * 16;
        let steps = self.chains.iter().flat_map(|chain| &chain.steps);
        let working = steps.map(Step::working_bytes).fold(row_in, u64::saturating_add);
        self.source.pixels().saturating_add(outputs).saturating_mul(4).saturating_add(working)
    }

    /// What it costs.
    #[must_use]
    pub fn cost(&self) -> Cost {
        Cost {
            multiply_adds: self.chains.iter().map(|chain| work(&chain.steps)).fold(0, u64::saturating_add),
            source_pixels: self.region.size.pixels(),
            output_pixels: self.chains.iter().map(|chain| chain.output.pixels()).fold(0, u64::saturating_add),
        }
    }
}

/// The largest of 1, 2, 4 and 8 that the sides of a picture of size `whole` may be divided by, in sRGB-encoded values, before `ops` are
/// done to it: so that it is still as many times as large as what it is reduced to as [`LEAST_RATIOS`] says, or holds all that a blur
/// leaves ([`gaussian::divisor`]).
#[must_use]
pub fn divisor(ops: &[Op], whole: Size) -> u32 {
    let mut size = whole;
    for op in ops {
        match *op {
            Op::Resize { to, .. } => {
                let (resized, _) = to.of(size);
                // In sixteenths, of what is there without a rest.
                let enough = |from: u32, to: u32, (by, least): (u32, u64)| {
                    to > 0 && u64::from(from) * 16 >= u64::from(to) * u64::from(by) * least
                };
                let fits = |one: &(u32, u64)| {
                    enough(size.width, resized.width, *one) && enough(size.height, resized.height, *one)
                };
                return LEAST_RATIOS.into_iter().find(fits).map_or(1, |(by, _)| by);
            }
            Op::Blur { sigma } if size.pixels() == whole.pixels() => return gaussian::divisor(f64::from(sigma)),
            Op::Blur { .. } | Op::Sharpen { .. } | Op::Colour(_) => return 1,
            Op::Orient(_) | Op::Crop(_) | Op::CropAspect { .. } => size = seen(*op, size),
        }
    }
    1
}

/// Whether the sides of a picture of size `whole` may be divided by any such number before `ops` are done to it: whether they reduce
/// it before all else but turns and crops, and it is still as many times as large as what it is reduced to as [`LEAST_RATIOS`] has for the largest divisors.
#[must_use]
pub fn bears(ops: &[Op], whole: Size, divisor: u32) -> bool {
    let mut size = whole;
    for op in ops {
        match *op {
            Op::Resize { to, .. } => {
                let (resized, _) = to.of(size);
                let least = u64::from(divisor) * LEAST_RATIOS[0].1;
                let enough = |from: u32, to: u32| to > 0 && u64::from(from) * 16 >= u64::from(to).saturating_mul(least);
                return enough(size.width, resized.width) && enough(size.height, resized.height);
            }
            Op::Blur { .. } | Op::Sharpen { .. } | Op::Colour(_) => return false,
            Op::Orient(_) | Op::Crop(_) | Op::CropAspect { .. } => size = seen(*op, size),
        }
    }
    false
}

/// What is to be seen of a picture of this size when it has been turned or cropped.
fn seen(op: Op, size: Size) -> Size {
    match op {
        Op::Orient(turn) => turn.size(size),
        Op::Crop(rect) => rect.size,
        Op::CropAspect { aspect, .. } => size.aspect(aspect),
        Op::Resize { .. } | Op::Blur { .. } | Op::Sharpen { .. } | Op::Colour(_) => size,
    }
}

/// Divisors, and in sixteenths by how much what was divided is to be reduced at least. 1.875, so that the 4032 columns of a
/// 12-megapixel photo become 504 for a thumbnail of 256. 1.5 at a half, which has the lower half of all frequencies as they were: of
/// that less is lost than of the others at 1.875 (docs/codecs.md), and 1728 columns become 864 for 512.
const LEAST_RATIOS: [(u32, u64); 3] = [(8, 30), (4, 30), (2, 24)];

/// Whether the picture that comes of `ops` has nothing that chroma of half its rows and columns would lose: it was blurred last.
#[must_use]
pub fn is_smooth(ops: &[Op]) -> bool {
    let last = ops.iter().rev().find(|op| !matches!(op, Op::Orient(_) | Op::Crop(_) | Op::CropAspect { .. }));
    matches!(last, Some(Op::Blur { sigma }) if f64::from(*sigma) >= gaussian::HALVED_MIN)
}

fn work(steps: &[Step]) -> u64 {
    steps.iter().map(Step::multiply_adds).fold(0, u64::saturating_add)
}

/// Known before any kernel: a picture over the memory limit must not get kernels as long as its sides.
fn check_source(size: Size, limits: &PlanLimits) -> Result<(), PlanError> {
    let (got, max) = (size.width.max(size.height), limits.max_side_px);
    match size.pixels() {
        0 => Err(PlanError::EmptySource { width: size.width, height: size.height }),
        _ if got > max => Err(PlanError::SideTooLong { got, max }),
        pixels => check_bytes(pixels.saturating_mul(4), limits),
    }
}

const fn check_work(got: u64, limits: &PlanLimits) -> Result<(), PlanError> {
    let max = limits.max_multiply_adds;
    if got > max { Err(PlanError::TooMuchWork { got, max }) } else { Ok(()) }
}

const fn check_bytes(got: u64, limits: &PlanLimits) -> Result<(), PlanError> {
    let max = limits.max_bytes;
    if got > max { Err(PlanError::TooMuchMemory { got, max }) } else { Ok(()) }
}
