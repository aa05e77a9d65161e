//! From the steps of a plan to dispatches, and to the buffers between them.

use std::ops::Range;

use super::blocks::Blocks;
use super::params::{Chroma, Colour, Horizontal, Orient, Sharpen, Vertical};
use super::program::{Dispatch, Place};
use super::stages::{From, Stage, To};
use super::upload::{Upload, words};
use crate::pixels::kernel::Kernel;
use crate::pixels::op::{Rect, Size};
use crate::pixels::orientation::Orientation;
use crate::pixels::pixmap::Sampling;
use crate::pixels::plan::{Chain, Step};

/// Offsets in the block of constants are multiples of this: the largest alignment WebGPU lets a device ask for.
pub(super) const ALIGN: usize = 256;

/// Bytes of a pixel between dispatches: four 16-bit floats.
const HALF_BYTES: u64 = 8;

/// Bytes of a pixel of a result.
const CODE_BYTES: u64 = 4;

/// Buffers that dispatches write, used again once nobody reads them any more.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) bytes: Vec<u64>,
    busy: Vec<bool>,
}

impl Slots {
    /// A slot that is free, the one that has to grow least; else a new one.
    fn take(&mut self, bytes: u64) -> usize {
        let free = self.bytes.iter().zip(&self.busy).enumerate().filter(|(_, (_, busy))| !**busy);
        let best = free.map(|(at, (its, _))| (bytes.saturating_sub(*its), its.saturating_sub(bytes), at)).min();
        let at = best.map_or_else(
            || {
                self.bytes.push(0);
                self.busy.push(false);
                self.bytes.len() - 1
            },
            |(_, _, at)| at,
        );
        if let (Some(its), Some(busy)) = (self.bytes.get_mut(at), self.busy.get_mut(at)) {
            *its = bytes.max(*its);
            *busy = true;
        }
        at
    }

    fn free(&mut self, place: Place) {
        if let Place::Slot(at) = place
            && let Some(busy) = self.busy.get_mut(at)
        {
            *busy = false;
        }
    }
}

/// A program while it is put together.
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// Parameters, rows and weights of every dispatch.
    pub(super) constants: Vec<u8>,
    pub(super) dispatches: Vec<Dispatch>,
    pub(super) slots: Slots,
}

impl Builder {
    /// Adds the dispatches of a chain; returns where its result is and how long.
    pub(super) fn chain(&mut self, chain: &Chain, upload: &Upload, region: Rect, planar: bool) -> (usize, u64) {
        let mut at = (Place::Source, upload.bytes + 4);
        let mut form = upload.form;
        let last = chain.steps.len().saturating_sub(1);
        for (index, step) in chain.steps.iter().enumerate() {
            let to = if index == last { To::Rgba } else { To::Half };
            let made = match step {
                Step::Filter(filter) => {
                    let between = self.horizontal(&filter.horizontal, filter.between(), at, form, upload, region);
                    self.slots.free(at.0);
                    let made = self.vertical(&filter.vertical, filter.target(), between, to);
                    self.slots.free(between.0);
                    made
                }
                Step::Sharpen { blur, amount, centre: (x, y) } => {
                    let between = self.horizontal(&blur.horizontal, blur.between(), at, form, upload, region);
                    let blurred = self.vertical(&blur.vertical, blur.target(), between, To::Half);
                    self.slots.free(between.0);
                    let (size, original_width) = (blur.target(), blur.source().width);
                    let params = Sharpen {
                        width: size.width,
                        height: size.height,
                        original_width,
                        original_start: y * original_width + x,
                        amount: *amount,
                        ..Sharpen::default()
                    };
                    let made = self.push(Stage::Sharpen(to), size, blurred, Some(at), bytemuck::bytes_of(&params));
                    self.slots.free(at.0);
                    self.slots.free(blurred.0);
                    made
                }
                Step::Colour { matrix, size } => {
                    let [red, green, blue] = matrix.rows;
                    let Size { width, height } = *size;
                    let params = Colour { red, green, blue, width, height, unused_a: 0, unused_b: 0 };
                    let made = self.push(Stage::Colour(to, matrix.space), *size, at, None, bytemuck::bytes_of(&params));
                    self.slots.free(at.0);
                    made
                }
            };
            (at, form) = (made, From::Half);
        }
        at = self.turned(chain, at);
        if planar {
            at = self.planes(chain.output, at);
        }
        // The result stays where it is until it is read back.
        match at {
            (Place::Slot(slot), bytes) => (slot, bytes),
            (Place::Source, bytes) => (0, bytes),
        }
    }

    fn horizontal(
        &mut self,
        kernel: &Kernel,
        target: Size,
        from: (Place, u64),
        form: From,
        upload: &Upload,
        region: Rect,
    ) -> (Place, u64) {
        // Whole rows of planes go up, whatever the plan reads of them.
        let wide = (form == From::Planes).then(|| kernel.clone().embedded(region.x, upload.rect.size.width)).flatten();
        let kernel = wide.as_ref().unwrap_or(kernel);
        let blocks = Blocks::of(kernel);
        let params = if form == From::Half {
            Horizontal {
                source_width: kernel.source_len(),
                target_width: target.width,
                height: target.height,
                taps: blocks.taps,
                ..Horizontal::default()
            }
        } else {
            upload.params(kernel, target, blocks.taps)
        };
        self.filter(Stage::Horizontal(form), target, from, bytemuck::bytes_of(&params), &blocks)
    }

    fn vertical(&mut self, kernel: &Kernel, target: Size, from: (Place, u64), to: To) -> (Place, u64) {
        let blocks = Blocks::of(kernel);
        let params = Vertical { width: target.width, target_height: target.height, taps: blocks.taps, unused: 0 };
        self.filter(Stage::Vertical(to), target, from, bytemuck::bytes_of(&params), &blocks)
    }

    fn filter(
        &mut self,
        stage: Stage,
        target: Size,
        from: (Place, u64),
        params: &[u8],
        blocks: &Blocks,
    ) -> (Place, u64) {
        let rows = append(&mut self.constants, bytemuck::cast_slice(&blocks.rows));
        let weights = append(&mut self.constants, bytemuck::cast_slice(&blocks.weights));
        let made = self.push(stage, target, from, None, params);
        if let Some(dispatch) = self.dispatches.last_mut() {
            (dispatch.rows, dispatch.weights) = (rows, weights);
        }
        made
    }

    fn turned(&mut self, chain: &Chain, from: (Place, u64)) -> (Place, u64) {
        let Orientation { swap, mirror_x, mirror_y } = chain.orientation;
        if chain.orientation == Orientation::UPRIGHT {
            return from;
        }
        let stored = chain.stored();
        let params = Orient {
            width: stored.width,
            height: stored.height,
            target_width: chain.output.width,
            turn: u32::from(swap) | u32::from(mirror_x) << 1 | u32::from(mirror_y) << 2,
        };
        let made = self.push(Stage::Orient, chain.output, from, None, bytemuck::bytes_of(&params));
        self.slots.free(from.0);
        made
    }

    fn planes(&mut self, size: Size, from: (Place, u64)) -> (Place, u64) {
        let (columns, rows) = Sampling::JPEG_420.chroma_size(size.width, size.height);
        let count = |bytes: u64| u32::try_from(words(bytes) / 4).unwrap_or(u32::MAX);
        let (luma_words, chroma_words) = (count(size.pixels()), count(u64::from(columns) * u64::from(rows)));
        let all = luma_words.saturating_add(2 * chroma_words);
        // As many rows of invocations as the picture has rows of pixels, or fewer.
        let row_words = all.div_ceil(size.height).next_multiple_of(64);
        let params =
            Chroma { width: size.width, height: size.height, luma_words, chroma_words, row_words, ..Chroma::default() };
        let grid = Size::new(row_words, all.div_ceil(row_words));
        let made = self.push(Stage::Chroma, grid, from, None, bytemuck::bytes_of(&params));
        let made = (made.0, u64::from(all) * 4);
        self.slots.free(from.0);
        made
    }

    /// Adds a dispatch that makes `size` of what `stage` makes, in a slot of its own.
    fn push(
        &mut self,
        stage: Stage,
        size: Size,
        from: (Place, u64),
        original: Option<(Place, u64)>,
        params: &[u8],
    ) -> (Place, u64) {
        let a_pixel = match stage {
            Stage::Horizontal(_)
            | Stage::Vertical(To::Half)
            | Stage::Sharpen(To::Half)
            | Stage::Colour(To::Half, _) => HALF_BYTES,
            Stage::Vertical(To::Rgba)
            | Stage::Sharpen(To::Rgba)
            | Stage::Colour(To::Rgba, _)
            | Stage::Orient
            | Stage::Chroma => CODE_BYTES,
        };
        let bytes = size.pixels() * a_pixel;
        let to = (Place::Slot(self.slots.take(bytes)), bytes);
        let params = append(&mut self.constants, params);
        // Bindings that a stage does not use must be bound all the same.
        let (rows, weights) = (params.clone(), params.clone());
        self.dispatches.push(Dispatch { stage, groups: stage.groups(size), from, original, to, params, rows, weights });
        to
    }
}

fn append(constants: &mut Vec<u8>, bytes: &[u8]) -> Range<u64> {
    constants.resize(constants.len().next_multiple_of(ALIGN), 0);
    let start = constants.len() as u64;
    constants.extend_from_slice(bytes);
    start..constants.len() as u64
}
