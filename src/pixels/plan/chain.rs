//! From operations to the steps of one result: where a picture is cropped or turned, no pixel is moved before the end.
//!
//! *Turning* waits. Every step works on the picture as it is stored, with sides and rectangles turned back instead, and
//! the result alone is turned. Filters are symmetric, so this is exact for all but a decimated blur, whose grid then lies
//! as it would in the stored picture: within its error. *Cropping* is a window on what is there so far. The next step
//! reads through it; at the end every step is cut to what the one after it reads, and the source to what the first reads.

use super::step::{Separable, Step, trimmed};
use super::{Matrix, PlanError, PlanLimits, Rect, Size};
use crate::pixels::kernel::resample::resample_part;
use crate::pixels::kernel::{Kernel, gaussian};
use crate::pixels::op::{Colour, Op, Target};
use crate::pixels::orientation::Orientation;

/// One result of a plan and how it is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The part of the source that it reads.
    pub region: Rect,
    /// The steps, in order; the first is a filter and takes the plan's region. With none, the result is the region itself.
    pub steps: Vec<Step>,
    /// How the result of the steps is turned.
    pub orientation: Orientation,
    /// The size of the result, turned.
    pub output: Size,
}

impl Chain {
    /// The size that the steps make, before it is turned.
    #[must_use]
    pub const fn stored(&self) -> Size {
        self.orientation.size(self.output)
    }
}

/// A chain while operations are added. Without steps, `window` is on the source; where that comes divided, on the picture that it is of.
pub(super) struct Builder<'l> {
    limits: &'l PlanLimits,
    /// Of the picture.
    whole: Size,
    /// Of what there is: already divided.
    source: Size,
    /// What the sides of the source were divided by: no more once it has been read.
    divisor: u32,
    steps: Vec<Step>,
    window: Rect,
    orientation: Orientation,
}

impl<'l> Builder<'l> {
    pub(super) const fn new(whole: Size, divisor: u32, limits: &'l PlanLimits) -> Self {
        let source = whole.divided(divisor);
        let window = Rect::whole(whole);
        Self { limits, whole, source, divisor, steps: Vec::new(), window, orientation: Orientation::UPRIGHT }
    }

    /// The picture's size as it is seen now.
    const fn size(&self) -> Size {
        self.orientation.size(self.window.size)
    }

    /// Adds one operation.
    pub(super) fn add(&mut self, op: Op) -> Result<(), PlanError> {
        check(op, self.limits)?;
        if self.divisor > 1 && matches!(op, Op::Sharpen { .. } | Op::Colour(_)) {
            return Err(self.misfit());
        }
        match op {
            Op::Orient(next) => self.orientation = self.orientation.then(next),
            Op::Crop(rect) => self.crop(rect)?,
            Op::CropAspect { aspect, at } => {
                let size = self.size();
                self.crop(at.part(size, size.aspect(aspect)))?;
            }
            Op::Resize { to, filter } => {
                let (resized, kept) = to.of(self.size());
                if resized != self.size() {
                    let to = self.orientation.size(resized);
                    let (whole, part, divisor) = self.read();
                    let along = |whole, from, len, to| resample_part(filter, whole, divisor, from..from + len, to);
                    let horizontal = along(whole.width, part.x, part.size.width, to.width);
                    let vertical = along(whole.height, part.y, part.size.height, to.height);
                    self.filter(horizontal.zip(vertical))?;
                }
                self.crop(kept)?;
            }
            Op::Blur { sigma } => {
                if self.divisor > 1 && self.window != Rect::whole(self.whole) {
                    return Err(self.misfit());
                }
                let size = self.window.size;
                let (_, _, divisor) = self.read();
                let kernels = |len| gaussian::blur_divided(len, divisor, f64::from(sigma));
                let (horizontal, vertical) = (kernels(size.width), kernels(size.height));
                if divisor > 1 && horizontal.is_empty() {
                    return Err(self.misfit());
                }
                for kernels in horizontal.into_iter().zip(vertical) {
                    self.filter(Some(kernels))?;
                }
            }
            Op::Sharpen { sigma, amount } if sigma > 0.0 && amount > 0.0 => {
                self.start()?;
                let kernel = |len| gaussian::direct(len, f64::from(sigma));
                let (horizontal, vertical) = (kernel(self.window.size.width), kernel(self.window.size.height));
                let blur = horizontal.zip(vertical).map(|(horizontal, vertical)| Separable { horizontal, vertical });
                self.push(blur.map(|blur| Step::Sharpen { blur, amount, centre: (0, 0) }))?;
            }
            Op::Sharpen { .. } => {}
            Op::Colour(Colour::Brightness(1.0) | Colour::Contrast(1.0) | Colour::Saturation(1.0)) => {}
            Op::Colour(colour) => {
                self.start()?;
                // On all that is there: the window stays where it is.
                let size = self.real();
                self.steps.push(Step::Colour { matrix: Matrix::of(colour), size });
            }
        }
        self.check_work()
    }

    /// For the step that reads next: the picture, the part of it that is seen, and what its sides were divided by. That is so once,
    /// and then the step itself leaves out what is not seen; otherwise it is given what the window shows, and that is all.
    const fn read(&mut self) -> (Size, Rect, u32) {
        let divisor = std::mem::replace(&mut self.divisor, 1);
        let part = self.window;
        if divisor == 1 {
            return (part.size, Rect::whole(part.size), 1);
        }
        self.window = Rect::whole(self.source);
        (self.whole, part, divisor)
    }

    /// The size of what the window is on.
    fn real(&self) -> Size {
        self.steps.last().map_or(self.source, Step::target)
    }

    fn crop(&mut self, rect: Rect) -> Result<(), PlanError> {
        let size = self.size();
        if !rect.is_inside(size) {
            return Err(PlanError::CropOutside { rect, size });
        }
        let inside = self.orientation.source_rect(rect, self.window.size);
        self.window = Rect { x: self.window.x + inside.x, y: self.window.y + inside.y, size: inside.size };
        Ok(())
    }

    fn filter(&mut self, kernels: Option<(Kernel, Kernel)>) -> Result<(), PlanError> {
        self.push(kernels.map(|(horizontal, vertical)| Step::filter(horizontal, vertical)))
    }

    /// A first step for those that cannot read 8-bit pixels.
    fn start(&mut self) -> Result<(), PlanError> {
        if self.steps.is_empty() { self.push(Some(Step::identity(self.window.size))) } else { Ok(()) }
    }

    /// Adds a step for the window: it reads through it, and its result is all there is to see.
    fn push(&mut self, step: Option<Step>) -> Result<(), PlanError> {
        let step = step
            .and_then(|step| step.embedded((self.window.x, self.window.y), self.real()))
            .ok_or_else(|| self.misfit())?;
        self.window = Rect::whole(step.target());
        self.steps.push(step);
        Ok(())
    }

    /// Refuses before the next kernels are made. Steps that are cut to less may need less.
    fn check_work(&self) -> Result<(), PlanError> {
        if super::check_work(super::work(&self.steps), self.limits).is_ok() {
            return Ok(());
        }
        trimmed(&self.steps, self.window)
            .map_or(Ok(()), |(steps, _)| super::check_work(super::work(&steps), self.limits))
    }

    /// The next step does not fit what it is given.
    fn misfit(&self) -> PlanError {
        let Size { width, height } = self.window.size;
        PlanError::Misfit { step: self.steps.len(), width, height }
    }

    pub(super) fn finish(self) -> Result<Chain, PlanError> {
        if self.divisor > 1 {
            return Err(self.misfit());
        }
        let output = self.size();
        let Self { steps, window, orientation, source, .. } = self;
        if steps.is_empty() {
            return Ok(Chain { region: window, steps, orientation, output });
        }
        let Size { width, height } = source;
        let (steps, region) = trimmed(&steps, window).ok_or(PlanError::Misfit { step: 0, width, height })?;
        Ok(Chain { region, steps, orientation, output })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "4 is a float of any size")]
const DIRECT_MAX: f32 = gaussian::DIRECT_MAX as f32;

fn check(op: Op, limits: &PlanLimits) -> Result<(), PlanError> {
    let sigma_up_to = |got: f32, max: f32| {
        if !got.is_finite() || got < 0.0 {
            Err(PlanError::BadSigma { got })
        } else if got > max {
            Err(PlanError::SigmaTooLarge { got, max })
        } else {
            Ok(())
        }
    };
    let amount = |got: f32| {
        let max = Op::MAX_AMOUNT;
        if (0.0..=max).contains(&got) { Ok(()) } else { Err(PlanError::BadAmount { got, max }) }
    };
    match op {
        Op::Resize { to: Target::Fit(frame) | Target::Cover(frame, _) | Target::Fill(frame), .. }
        | Op::CropAspect { aspect: frame, .. } => {
            let got = frame.width.min(frame.height);
            if got == 0 { Err(PlanError::ZeroSide { got }) } else { Ok(()) }
        }
        Op::Blur { sigma } => sigma_up_to(sigma, limits.max_sigma),
        Op::Sharpen { sigma, amount: by } => sigma_up_to(sigma, DIRECT_MAX.min(limits.max_sigma)).and(amount(by)),
        Op::Colour(Colour::Brightness(factor) | Colour::Contrast(factor) | Colour::Saturation(factor)) => {
            amount(factor)
        }
        Op::Colour(Colour::Grayscale) | Op::Orient(_) | Op::Crop(_) => Ok(()),
    }
}
