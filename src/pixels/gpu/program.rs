//! A plan as a device runs it: dispatches, the buffers between them, and one block of constants. Pure.

use std::ops::Range;

use super::Caps;
use super::compile::{ALIGN, Builder};
use super::stages::Stage;
use super::upload::{Upload, range, words};
use crate::pixels::op::Size;
use crate::pixels::pixmap::{Layout, Picture, Pixmap, PixmapError, Sampling, Ycbcr};
use crate::pixels::plan::{Form, Plan};

/// A buffer of a program: what was uploaded, or one that its dispatches write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Source,
    Slot(usize),
}

/// One dispatch: what to run over how many workgroups, on what, and where its constants lie.
#[derive(Clone, Debug)]
pub(super) struct Dispatch {
    pub(super) stage: Stage,
    pub(super) groups: [u32; 2],
    pub(super) from: (Place, u64),
    /// A second source, for `Sharpen`.
    pub(super) original: Option<(Place, u64)>,
    pub(super) to: (Place, u64),
    pub(super) params: Range<u64>,
    pub(super) rows: Range<u64>,
    pub(super) weights: Range<u64>,
}

/// A result: where it lies on the device, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) slot: usize,
    pub(super) bytes: u64,
    /// Where its bytes come to lie among those read back.
    pub(super) offset: u64,
    size: Size,
    layout: Layout,
    planar: bool,
}

/// A plan as a device runs it.
#[derive(Clone, Debug)]
pub struct Program {
    pub(super) upload: Upload,
    /// Parameters, rows and weights of every dispatch.
    pub(super) constants: Vec<u8>,
    pub(super) dispatches: Vec<Dispatch>,
    /// Bytes of each buffer in between, results among them.
    pub(super) slots: Vec<u64>,
    pub(super) outputs: Vec<Output>,
}

/// What a program needs of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of the largest buffer that is bound.
    pub largest_bytes: u64,
    /// Bytes that go up: pixels and constants.
    pub up_bytes: u64,
    /// Bytes that come back.
    pub down_bytes: u64,
    /// Bytes of all its buffers, those for upload and read-back too, before size classes.
    pub total_bytes: u64,
    /// The most workgroups in one dimension of a dispatch.
    pub groups: u32,
    /// Dispatches.
    pub dispatches: u32,
}

impl Footprint {
    /// Whether a device of these caps takes it. The total is doubled by size classes at most a quarter.
    #[must_use]
    pub const fn fits(&self, caps: &Caps) -> bool {
        self.largest_bytes <= caps.max_binding_bytes
            && self.up_bytes <= caps.max_buffer_bytes
            && self.down_bytes <= caps.max_buffer_bytes
            && self.total_bytes.saturating_add(self.total_bytes / 4) <= caps.max_job_bytes
            && self.groups <= caps.max_groups
    }
}

impl Program {
    /// What `plan` is on a device, for pictures that go up as `upload`. Chains without steps are not part of it: nothing is
    /// computed for them. Costs one pass over the kernels.
    #[must_use]
    pub fn new(plan: &Plan, upload: Upload) -> Self {
        let mut builder = Builder::default();
        let mut outputs: Vec<Output> = Vec::new();
        for chain in plan.chains().iter().filter(|chain| !chain.steps.is_empty()) {
            let planar = plan.form() == Form::Ycbcr420 && upload.layout == Layout::Rgb;
            let (slot, bytes) = builder.chain(chain, &upload, plan.region(), planar);
            let offset = outputs.last().map_or(0, |last| last.offset + last.bytes.next_multiple_of(ALIGN as u64));
            outputs.push(Output { slot, bytes, offset, size: chain.output, layout: upload.layout, planar });
        }
        let Builder { constants, dispatches, slots } = builder;
        Self { upload, constants, dispatches, slots: slots.bytes, outputs }
    }

    /// Where the source begins in what is uploaded: constants come first.
    pub(super) fn source_start(&self) -> u64 {
        self.constants.len().next_multiple_of(ALIGN) as u64
    }

    /// Bytes that go up, whole words. A word more than there is: the shader may read a pixel's bytes from two words.
    pub(super) fn up_bytes(&self) -> u64 {
        self.source_start() + self.upload.bytes + 4
    }

    /// Bytes that come back.
    pub(super) fn down_bytes(&self) -> u64 {
        self.outputs.last().map_or(4, |last| last.offset + last.bytes)
    }

    /// Bytes of all its buffers, each as large as `class` makes it.
    pub(super) fn classed_bytes(&self, class: impl Fn(u64) -> u64) -> u64 {
        let slots: u64 = self.slots.iter().map(|bytes| class(*bytes)).sum();
        2 * class(self.up_bytes()) + class(self.down_bytes()) + slots
    }

    /// What it needs.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        let (up_bytes, down_bytes) = (self.up_bytes(), self.down_bytes());
        let slots = self.slots.iter().copied();
        let parts = self.dispatches.iter().flat_map(|its| [&its.rows, &its.weights]);
        let parts = parts.map(|range| range.end - range.start);
        let largest = slots.clone().chain(parts).chain([self.upload.bytes + 4]).max();
        let groups = self.dispatches.iter().flat_map(|dispatch| dispatch.groups).max();
        Footprint {
            largest_bytes: largest.unwrap_or(0),
            up_bytes,
            down_bytes,
            total_bytes: 2 * up_bytes + down_bytes + slots.sum::<u64>(),
            groups: groups.unwrap_or(0),
            dispatches: u32::try_from(self.dispatches.len()).unwrap_or(u32::MAX),
        }
    }

    /// The pictures in the bytes that came back.
    ///
    /// # Errors
    /// [`PixmapError`] when the device gave the wrong number of bytes.
    pub(super) fn pictures(&self, bytes: &[u8]) -> Result<Vec<Picture>, PixmapError> {
        let picture = |output: &Output| {
            let bytes = bytes.get(range(output.offset, output.bytes)).unwrap_or(&[]);
            if output.planar {
                output.planes(bytes).map(Picture::Planar)
            } else {
                output.pixels(bytes).map(Picture::Packed)
            }
        };
        self.outputs.iter().map(picture).collect()
    }
}

impl Output {
    /// In its own layout, from the four channels a device made.
    fn pixels(&self, rgba: &[u8]) -> Result<Pixmap, PixmapError> {
        let (pixels, _) = rgba.as_chunks::<4>();
        let data: Vec<u8> = match self.layout {
            Layout::Rgba => rgba.to_vec(),
            Layout::Rgb => pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(),
            Layout::LumaAlpha => pixels.iter().flat_map(|&[grey, _, _, alpha]| [grey, alpha]).collect(),
            Layout::Luma => pixels.iter().map(|&[grey, ..]| grey).collect(),
        };
        Pixmap::new(self.size.width, self.size.height, self.layout, data)
    }

    fn planes(&self, bytes: &[u8]) -> Result<Ycbcr, PixmapError> {
        let Size { width, height } = self.size;
        let (columns, rows) = Sampling::JPEG_420.chroma_size(width, height);
        let samples = u64::from(columns) * u64::from(rows);
        let (luma, chroma) = (words(self.size.pixels()), words(samples));
        let plane = |start, len| bytes.get(range(start, len)).unwrap_or(&[]).to_vec();
        let chroma = [plane(luma, samples), plane(luma + chroma, samples)];
        Ycbcr::new(width, height, Sampling::JPEG_420, plane(0, self.size.pixels()), chroma)
    }
}
