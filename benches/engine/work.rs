//! What is measured: pictures, and plans on them.

use glimt::pixels::cpu::chroma;
use glimt::pixels::kernel::resample::{ResizeFilter, resample};
use glimt::pixels::plan::{Separable, Step};
use glimt::pixels::stop::Stop;
use glimt::pixels::{
    Anchor, Colour, Engines, Form, Kernel, Layout, Op, Orientation, Picture, Pixmap, Plan, PlanLimits, Size, Source,
    Target, exec,
};

use crate::Outcome;

/// A size and what it is called.
pub(crate) type Named = (&'static str, Size);

/// Half a megapixel.
pub(crate) const HALF: Named = ("0.5 MP", Size::new(864, 576));
/// Two megapixels.
pub(crate) const TWO: Named = ("2 MP", Size::new(1728, 1152));
/// Twelve megapixels: a phone photo.
pub(crate) const TWELVE: Named = ("12 MP", Size::new(4000, 3000));
/// Fifty megapixels.
pub(crate) const FIFTY: Named = ("50 MP", Size::new(8640, 5760));

/// How a source lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Pixel after pixel.
    Packed(Layout),
    /// Planes as a JPEG has them; results are planes too.
    Planar,
}

impl Kind {
    /// What it is called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Packed(Layout::Luma) => "grey",
            Self::Packed(Layout::LumaAlpha) => "grey and alpha",
            Self::Packed(Layout::Rgb) => "RGB",
            Self::Packed(Layout::Rgba) => "RGBA",
            Self::Planar => "4:2:0",
        }
    }

    /// The test picture of this kind and size.
    pub(crate) fn picture(self, size: Size) -> Outcome<Picture> {
        Ok(match self {
            Self::Packed(layout) => Picture::Packed(picture(size, layout)?),
            Self::Planar => Picture::Planar(chroma::run(&picture(size, Layout::Rgb)?)?),
        })
    }
}

/// A picture as a source.
pub(crate) const fn source(picture: &Picture) -> Source<'_> {
    match picture {
        Picture::Packed(image) => Source::Packed(image),
        Picture::Planar(image) => Source::Planar(image),
    }
}

/// Slopes, hard edges and a little noise, the same in any run: a picture that shows what a filter did, and that no code
/// can take a short cut on.
fn picture(size: Size, layout: Layout) -> Outcome<Pixmap> {
    let mut state = 1_u32;
    let mut data = Vec::with_capacity(usize::try_from(size.pixels())? * layout.channels());
    let slope = |at: u32| (at % 512).min(511 - at % 512);
    for y in 0..size.height {
        for x in 0..size.width {
            for channel in 0..layout.channels() {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = state >> 28;
                let step = u32::try_from(channel)? + 1;
                let code = if layout.has_alpha() && channel + 1 == layout.channels() {
                    // Wholly there in places, and shading off in others.
                    slope(x / 2 + y) * 2
                } else {
                    let block = if (x / 97 + y / 61).is_multiple_of(3) { 70 } else { 0 };
                    slope(x * step / 2 + y) / 2 + block + noise
                };
                data.push(u8::try_from(code).unwrap_or(u8::MAX));
            }
        }
    }
    Ok(Pixmap::new(size.width, size.height, layout, data)?)
}

/// How a plan is made.
enum How {
    /// From operations, inside the time: a request plans too.
    Ops,
    /// From steps, before the clock runs: one stage alone.
    Steps(fn(Size) -> Option<Vec<Step>>),
}

/// One thing to do to a picture.
pub(crate) struct Work {
    /// What it is called in the table.
    pub(crate) name: &'static str,
    how: How,
    form: Form,
    /// The same as operations, for the crates alone; none where no crate does the like.
    pub(crate) ops: fn(Size) -> Vec<Op>,
}

/// Far above anything here: a refusal would be a hole in the table.
const LIMITS: PlanLimits =
    PlanLimits { max_side_px: 100_000, max_sigma: 10_000.0, max_multiply_adds: u64::MAX, max_bytes: u64::MAX };

impl Work {
    /// The plan for pictures of `size`.
    pub(crate) fn plan(&self, size: Size) -> Outcome<Plan> {
        let plan = match self.how {
            How::Ops => Plan::new(&(self.ops)(size), size, &LIMITS)?,
            How::Steps(steps) => Plan::from_steps(size, steps(size).ok_or("no such kernels")?, &LIMITS)?,
        };
        Ok(plan.with_form(self.form))
    }

    /// Whether it is one stage, by kernels of its own.
    pub(crate) const fn is_stage(&self) -> bool {
        matches!(self.how, How::Steps(_))
    }

    /// What one job on `engines` does, from the picture in memory to the results in memory.
    pub(crate) fn job<'a>(
        &'a self,
        kind: Kind,
        picture: &'a Picture,
        engines: &'a Engines,
    ) -> Outcome<impl Fn() -> Outcome<Vec<Picture>> + Sync + 'a> {
        let (width, height) = source(picture).size();
        let size = Size::new(width, height);
        let form = if kind == Kind::Planar { Form::Ycbcr420 } else { self.form };
        let ready = if self.is_stage() { Some(self.plan(size)?.with_form(form)) } else { None };
        Ok(move || {
            let run = |plan: &Plan| exec::run_all(plan, source(picture), engines, &Stop::never());
            Ok(match &ready {
                Some(plan) => run(plan)?,
                None => run(&self.plan(size)?.with_form(form))?,
            })
        })
    }
}

const fn plan_of(name: &'static str, ops: fn(Size) -> Vec<Op>) -> Work {
    Work { name, how: How::Ops, form: Form::Pixels, ops }
}

/// Whole plans.
pub(crate) const PLANS: [Work; 7] = [
    plan_of("thumbnail 256", |_| vec![Op::fit(256)]),
    plan_of("thumbnail 1024", |_| vec![Op::fit(1024)]),
    plan_of("blur 3", |_| vec![Op::Blur { sigma: 3.0 }]),
    plan_of("blur 20", |_| vec![Op::Blur { sigma: 20.0 }]),
    plan_of("thumbnail 256, blur 3", |_| vec![Op::fit(256), Op::Blur { sigma: 3.0 }]),
    plan_of("cover 256x256", |_| {
        vec![Op::Resize { to: Target::Cover(Size::new(256, 256), Anchor::CENTRE), filter: ResizeFilter::Lanczos3 }]
    }),
    plan_of("sharpen 1", |_| vec![Op::Sharpen { sigma: 1.0, amount: 1.0 }]),
];

/// Plans measured in the other layouts too.
pub(crate) const IN_LAYOUTS: [usize; 3] = [0, 2, 6];

const fn stage(name: &'static str, steps: fn(Size) -> Option<Vec<Step>>) -> Work {
    Work { name, how: How::Steps(steps), form: Form::Pixels, ops: |_| Vec::new() }
}

fn lanczos(from: u32, to: u32) -> Option<Kernel> {
    resample(ResizeFilter::Lanczos3, from, to)
}

fn fill(width: u32, height: u32) -> Op {
    Op::Resize { to: Target::Fill(Size::new(width, height)), filter: ResizeFilter::Lanczos3 }
}

/// The stages, each with as little beside it as a plan can have: to linear light and back is in all of them, and the first
/// row is that alone.
pub(crate) fn stages() -> Vec<Work> {
    vec![
        stage("stage: linearise, encode", |size| Some(vec![Step::identity(size)])),
        Work {
            ops: |size| vec![fill(size.width / 4, size.height)],
            ..stage("stage: horizontal, to a quarter", |size| {
                Some(vec![Step::filter(lanczos(size.width, size.width / 4)?, Kernel::identity(size.height))])
            })
        },
        Work {
            ops: |size| vec![fill(size.width, size.height / 4)],
            ..stage("stage: vertical, to a quarter", |size| {
                Some(vec![Step::filter(Kernel::identity(size.width), lanczos(size.height, size.height / 4)?)])
            })
        },
        stage("stage: sharpen, nothing blurred", |size| {
            let (horizontal, vertical) = (Kernel::identity(size.width), Kernel::identity(size.height));
            let blur = Separable { horizontal, vertical };
            Some(vec![Step::identity(size), Step::Sharpen { blur, amount: 1.0, centre: (0, 0) }])
        }),
        Work { how: How::Ops, ops: |_| vec![SATURATION], ..stage("stage: colour", |_| None) },
        Work {
            how: How::Ops,
            ops: |_| vec![SATURATION, Op::Orient(Orientation::ROTATE_90)],
            ..stage("stage: colour, orient", |_| None)
        },
        Work { form: Form::Ycbcr420, ..stage("stage: chroma", |size| Some(vec![Step::identity(size)])) },
    ]
}

const SATURATION: Op = Op::Colour(Colour::Saturation(0.5));

/// Whether the crates alone can do all of `ops`.
pub(crate) fn is_for_crates(ops: &[Op]) -> bool {
    let can = |op: &Op| matches!(op, Op::Resize { .. } | Op::Blur { .. } | Op::Sharpen { .. });
    !ops.is_empty() && ops.iter().all(can)
}

/// Millions of pixels, for telling from a smaller size how long a larger one takes.
pub(crate) fn megapixels(size: Size) -> f64 {
    f64::from(size.width) * f64::from(size.height) / 1e6
}
