//! What will be done, decided before a pixel is touched: sizes, kernels, work, memory.

use super::kernel::{Kernel, gaussian, lanczos};
use super::op::{Op, Size};

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

/// One separable filter: `horizontal` along every row, then `vertical` along every column.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Along the rows.
    pub horizontal: Kernel,
    /// Along the columns.
    pub vertical: Kernel,
}

impl Step {
    /// The size it takes.
    #[must_use]
    pub fn source(&self) -> Size {
        Size::new(self.horizontal.source_len(), self.vertical.source_len())
    }

    /// The size it makes.
    #[must_use]
    pub fn target(&self) -> Size {
        Size::new(self.horizontal.target_len(), self.vertical.target_len())
    }

    /// Pixels times taps: every source row is filtered along x, then every target row is made.
    fn multiply_adds(&self) -> u64 {
        let width = u64::from(self.horizontal.target_len());
        let across = width * u64::from(self.vertical.source_len()) * u64::from(self.horizontal.taps());
        across.saturating_add(self.target().pixels().saturating_mul(u64::from(self.vertical.taps())))
    }

    /// Bytes the cpu engine holds for it with four planes: the ring of rows, one row out, and both kernels.
    fn working_bytes(&self) -> u64 {
        let ring = u64::from(self.vertical.taps()) + 1;
        let row = (u64::from(self.horizontal.target_len()) + 16) * 16;
        (ring * row).saturating_add(self.horizontal.bytes() + self.vertical.bytes())
    }
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

/// The steps from a picture of one size to another. Immutable; costs nothing to keep but its kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    source: Size,
    output: Size,
    steps: Vec<Step>,
}

impl Plan {
    /// Plans `ops`, in order, for a picture of size `source`. Operations that change nothing leave no step.
    ///
    /// # Errors
    /// [`PlanError`], before any kernel is computed where the operation alone tells, and before any pixel is touched.
    pub fn new(ops: &[Op], source: Size, limits: &PlanLimits) -> Result<Self, PlanError> {
        let mut steps: Vec<Step> = Vec::new();
        let mut size = source;
        check_size(source, limits)?;
        // Known before any kernel: a picture over the memory limit must not get kernels as long as its sides.
        check_bytes(source.pixels().saturating_mul(4), limits)?;
        for op in ops {
            check(*op, limits)?;
            let at = steps.len();
            let more =
                steps_of(*op, size).ok_or(PlanError::Misfit { step: at, width: size.width, height: size.height })?;
            steps.extend(more);
            size = steps.last().map_or(source, Step::target);
            check_work(work(&steps), limits)?;
        }
        Self::from_steps(source, steps, limits)
    }

    /// A plan of given steps: for operations that are not in [`Op`], and for tests of single stages.
    ///
    /// # Errors
    /// [`PlanError`] when a step does not take the size it is given, and past the limits.
    pub fn from_steps(source: Size, steps: Vec<Step>, limits: &PlanLimits) -> Result<Self, PlanError> {
        check_size(source, limits)?;
        let mut size = source;
        for (step, at) in steps.iter().zip(0..) {
            if step.source() != size || step.target().pixels() == 0 {
                return Err(PlanError::Misfit { step: at, width: size.width, height: size.height });
            }
            size = step.target();
        }
        let plan = Self { source, output: size, steps };
        check_work(plan.cost().multiply_adds, limits)?;
        check_bytes(plan.peak_bytes(), limits)?;
        Ok(plan)
    }

    /// The size it takes.
    #[must_use]
    pub const fn source(&self) -> Size {
        self.source
    }

    /// The size it makes.
    #[must_use]
    pub const fn output(&self) -> Size {
        self.output
    }

    /// Whether it leaves every picture as it is.
    #[must_use]
    pub const fn is_identity(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Bytes of the source, the result, and what the cpu engine holds in between, for four channels. What a device job
    /// needs on top is in [`super::exec::Engines::peak_bytes`].
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        let pixels = self.source.pixels().saturating_add(self.output.pixels());
        let row_in = (u64::from(self.source.width) + 16) * 16;
        let working = self.steps.iter().map(Step::working_bytes).fold(row_in, u64::saturating_add);
        pixels.saturating_mul(4).saturating_add(working)
    }

    /// What it costs.
    #[must_use]
    pub fn cost(&self) -> Cost {
        Cost {
            multiply_adds: work(&self.steps),
            source_pixels: self.source.pixels(),
            output_pixels: self.output.pixels(),
        }
    }
}

fn work(steps: &[Step]) -> u64 {
    steps.iter().map(Step::multiply_adds).fold(0, u64::saturating_add)
}

fn check_size(size: Size, limits: &PlanLimits) -> Result<(), PlanError> {
    let (got, max) = (size.width.max(size.height), limits.max_side_px);
    match size.pixels() {
        0 => Err(PlanError::EmptySource { width: size.width, height: size.height }),
        _ if got > max => Err(PlanError::SideTooLong { got, max }),
        _ => Ok(()),
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

fn check(op: Op, limits: &PlanLimits) -> Result<(), PlanError> {
    match op {
        Op::Fit { side_px: 0 } => Err(PlanError::ZeroSide { got: 0 }),
        Op::Blur { sigma } if !sigma.is_finite() || sigma < 0.0 => Err(PlanError::BadSigma { got: sigma }),
        Op::Blur { sigma } if sigma > limits.max_sigma => {
            Err(PlanError::SigmaTooLarge { got: sigma, max: limits.max_sigma })
        }
        Op::Fit { .. } | Op::Blur { .. } => Ok(()),
    }
}

fn steps_of(op: Op, size: Size) -> Option<Vec<Step>> {
    match op {
        Op::Fit { side_px } => {
            let target = size.fit(side_px);
            if target == size {
                return Some(Vec::new());
            }
            let horizontal = lanczos::resize(size.width, target.width)?;
            let vertical = lanczos::resize(size.height, target.height)?;
            Some(vec![Step { horizontal, vertical }])
        }
        Op::Blur { sigma } if sigma <= 0.0 => Some(Vec::new()),
        Op::Blur { sigma } => {
            let across = gaussian::blur(size.width, f64::from(sigma));
            let down = gaussian::blur(size.height, f64::from(sigma));
            let fits = !across.is_empty() && across.len() == down.len();
            let pair = |(horizontal, vertical)| Step { horizontal, vertical };
            fits.then(|| across.into_iter().zip(down).map(pair).collect())
        }
    }
}
