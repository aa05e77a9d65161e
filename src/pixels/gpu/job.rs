//! A plan and a picture as a device takes them: one block of constants, one dispatch a kernel.

use std::ops::Range;

use super::Caps;
use super::blocks::{self, Blocks};
use super::params::{Horizontal, Vertical};
use super::stages::{Params, Stage};
use crate::pixels::kernel::Kernel;
use crate::pixels::op::Size;
use crate::pixels::pixmap::{Layout, Pixmap, PixmapError};
use crate::pixels::plan::Plan;

/// Offsets in the block of constants are multiples of this: the largest alignment WebGPU lets a device ask for.
const ALIGN: usize = 256;

/// Bytes of a pixel between dispatches: four 16-bit floats.
const HALF_BYTES: u64 = 8;

/// Bytes of a pixel at either end.
const CODE_BYTES: u64 = 4;

/// What a plan needs of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of the largest buffer.
    pub largest_bytes: u64,
    /// Bytes of all its buffers, those for upload and read-back too.
    pub total_bytes: u64,
    /// The most workgroups in one dimension of a dispatch.
    pub groups: u32,
}

impl Footprint {
    /// What `plan` needs. Pure; costs nothing.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let (source, output) = (plan.source().pixels() * CODE_BYTES, plan.output().pixels() * CODE_BYTES);
        let between = Between::of(plan);
        let constants: u64 =
            dispatches(plan).map(|(_, kernel, _, _)| blocks::most_bytes(kernel) + 3 * ALIGN as u64).sum();
        let largest_bytes = [source, output, between.even, between.odd, constants].into_iter().max().unwrap_or(0);
        let total_bytes = 2 * (source + constants + output) + between.even + between.odd;
        let groups = dispatches(plan).flat_map(|(stage, _, _, target)| stage.groups(target.width, target.height));
        Self { largest_bytes, total_bytes, groups: groups.max().unwrap_or(0) }
    }

    /// Whether a device of these caps takes it.
    #[must_use]
    pub const fn fits(&self, caps: &Caps) -> bool {
        self.largest_bytes <= caps.max_binding_bytes
            && self.total_bytes <= caps.max_job_bytes
            && self.groups <= caps.max_groups
    }
}

/// Bytes of the two buffers that dispatches write by turns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    pub(super) even: u64,
    pub(super) odd: u64,
}

impl Between {
    fn of(plan: &Plan) -> Self {
        let last = 2 * plan.steps().len() - usize::from(!plan.is_identity());
        let mut between = Self { even: 0, odd: 0 };
        for (at, (_, _, _, target)) in dispatches(plan).enumerate().take(last) {
            let slot = if at % 2 == 0 { &mut between.even } else { &mut between.odd };
            *slot = target.pixels().saturating_mul(HALF_BYTES).max(*slot);
        }
        between
    }
}

/// Each dispatch of a plan: stage, kernel, source size, target size.
fn dispatches(plan: &Plan) -> impl Iterator<Item = (Stage, &Kernel, Size, Size)> {
    let end = plan.steps().len();
    plan.steps().iter().zip(1..).flat_map(move |(step, at)| {
        let middle = Size::new(step.target().width, step.source().height);
        let first = if at == 1 { Stage::HorizontalFirst } else { Stage::HorizontalMiddle };
        let last = if at == end { Stage::VerticalLast } else { Stage::VerticalMiddle };
        [(first, &step.horizontal, step.source(), middle), (last, &step.vertical, middle, step.target())]
    })
}

/// One dispatch: what to run over how many workgroups, and where its constants lie.
#[derive(Clone, Debug)]
pub(super) struct Dispatch {
    pub(super) stage: Stage,
    pub(super) groups: [u32; 2],
    pub(super) params: Range<u64>,
    pub(super) rows: Range<u64>,
    pub(super) weights: Range<u64>,
}

/// A job, ready for a device. Owns a copy of the picture in four channels.
#[derive(Debug)]
pub struct Job {
    /// Four bytes a pixel: sRGB, straight alpha.
    pub(super) source: Vec<u8>,
    /// Parameters, rows and weights of every dispatch.
    pub(super) constants: Vec<u8>,
    pub(super) dispatches: Vec<Dispatch>,
    pub(super) between: Between,
    pub(super) output_bytes: u64,
    output: Size,
    layout: Layout,
}

impl Job {
    /// Packs a plan and its picture; done on the caller's thread. The plan must not be the identity.
    #[must_use]
    pub fn new(plan: &Plan, image: &Pixmap) -> Self {
        let mut constants = Vec::new();
        let dispatches = dispatches(plan)
            .map(|(stage, kernel, from, to)| {
                let blocks = Blocks::of(kernel);
                let taps = blocks.taps;
                let params = match stage {
                    Stage::HorizontalFirst | Stage::HorizontalMiddle => Params::Horizontal(Horizontal {
                        source_width: from.width,
                        target_width: to.width,
                        height: to.height,
                        taps,
                    }),
                    Stage::VerticalMiddle | Stage::VerticalLast => {
                        Params::Vertical(Vertical { width: to.width, target_height: to.height, taps, unused: 0 })
                    }
                };
                Dispatch {
                    stage,
                    groups: stage.groups(to.width, to.height),
                    params: append(&mut constants, params.bytes()),
                    rows: append(&mut constants, bytemuck::cast_slice(&blocks.rows)),
                    weights: append(&mut constants, bytemuck::cast_slice(&blocks.weights)),
                }
            })
            .collect();
        let output = plan.output();
        Self {
            source: rgba_from(image),
            constants,
            dispatches,
            between: Between::of(plan),
            output_bytes: output.pixels() * CODE_BYTES,
            output,
            layout: image.layout(),
        }
    }

    /// The size of the result and the layout it goes back to: what [`Answer::picture`] needs.
    #[must_use]
    pub const fn answer(&self) -> Answer {
        Answer { output: self.output, layout: self.layout }
    }

    /// Bytes of all buffers it will lease.
    pub(super) const fn buffer_bytes(&self) -> u64 {
        let moved = self.source.len() as u64 + self.constants.len() as u64 + self.output_bytes;
        2 * moved + self.between.even + self.between.odd
    }
}

/// What a job's bytes become.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    output: Size,
    layout: Layout,
}

impl Answer {
    /// The picture in its own layout, from the four channels a device made.
    ///
    /// # Errors
    /// [`PixmapError`] when the device gave the wrong number of bytes.
    pub fn picture(self, rgba: Vec<u8>) -> Result<Pixmap, PixmapError> {
        let (pixels, _) = rgba.as_chunks::<4>();
        let data: Vec<u8> = match self.layout {
            Layout::Rgba => rgba,
            Layout::Rgb => pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(),
            Layout::LumaAlpha => pixels.iter().flat_map(|&[grey, _, _, alpha]| [grey, alpha]).collect(),
            Layout::Luma => pixels.iter().map(|&[grey, ..]| grey).collect(),
        };
        Pixmap::new(self.output.width, self.output.height, self.layout, data)
    }
}

fn append(constants: &mut Vec<u8>, bytes: &[u8]) -> Range<u64> {
    constants.resize(constants.len().next_multiple_of(ALIGN), 0);
    let start = constants.len() as u64;
    constants.extend_from_slice(bytes);
    start..constants.len() as u64
}

fn rgba_from(image: &Pixmap) -> Vec<u8> {
    let data = image.data();
    let mut rgba = vec![255; data.len() / image.layout().channels() * 4];
    let (pixels, _) = rgba.as_chunks_mut::<4>();
    match image.layout() {
        Layout::Rgba => return data.to_vec(),
        Layout::Rgb => {
            for (pixel, &[r, g, b]) in pixels.iter_mut().zip(data.as_chunks::<3>().0) {
                *pixel = [r, g, b, 255];
            }
        }
        Layout::LumaAlpha => {
            for (pixel, &[grey, alpha]) in pixels.iter_mut().zip(data.as_chunks::<2>().0) {
                *pixel = [grey, grey, grey, alpha];
            }
        }
        Layout::Luma => {
            for (pixel, &grey) in pixels.iter_mut().zip(data) {
                *pixel = [grey, grey, grey, 255];
            }
        }
    }
    rgba
}
