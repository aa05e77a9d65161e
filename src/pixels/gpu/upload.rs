//! What goes up to a device: the part of a picture that a plan reads, in the form that its bytes have.

use std::ops::Range;

use super::params::Horizontal;
use super::stages::From;
use crate::pixels::kernel::Kernel;
use crate::pixels::op::{Rect, Size};
use crate::pixels::pixmap::{Layout, Sampling, Siting, Source};

/// What a source is uploaded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The form.
    pub form: From,
    /// The layout that results go back to.
    pub layout: Layout,
    /// The part of the picture that goes up: for planes always whole rows.
    pub rect: Rect,
    /// The size of the whole picture, and for planes their sampling.
    pub planes: Option<(Size, Sampling)>,
    /// The rows of chroma that go up.
    pub chroma_rows: (u32, u32),
    /// Bytes, padded to whole words; luma and chroma each.
    pub bytes: u64,
}

impl Upload {
    /// What `region` of `source` is uploaded as.
    #[must_use]
    pub fn of(source: Source<'_>, region: Rect) -> Self {
        let layout = source.layout();
        match source {
            Source::Planar(image) => {
                let (width, height, sampling) = (image.width(), image.height(), image.sampling());
                let rect = Rect { x: 0, y: region.y, size: Size::new(width, region.size.height) };
                let rows = sampling.chroma_rows(rect.y, rect.y + rect.size.height, height);
                let chroma = words(u64::from(image.chroma_width()) * u64::from(rows.end - rows.start));
                Self {
                    form: From::Planes,
                    layout,
                    rect,
                    planes: Some((Size::new(width, height), sampling)),
                    chroma_rows: (rows.start, rows.end),
                    bytes: words(rect.size.pixels()) + 2 * chroma,
                }
            }
            Source::Packed(_) => Self::packed(layout, region),
        }
    }

    /// What `region` of a picture of this layout is uploaded as.
    #[must_use]
    pub fn packed(layout: Layout, region: Rect) -> Self {
        let (form, channels) = match layout {
            Layout::Luma => (From::Grey, 1),
            Layout::Rgb => (From::Rgb, 3),
            // Rare enough to go up as four.
            Layout::LumaAlpha | Layout::Rgba => (From::Rgba, 4),
        };
        let bytes = words(region.size.pixels().saturating_mul(channels));
        Self { form, layout, rect: region, planes: None, chroma_rows: (0, 0), bytes }
    }

    /// Bytes of luma before the chroma planes, and of each of those.
    fn plane_bytes(&self) -> (u64, u64) {
        let (first, end) = self.chroma_rows;
        let width = self.planes.map_or(0, |(size, sampling)| sampling.chroma_size(size.width, size.height).0);
        (words(self.rect.size.pixels()), words(u64::from(width) * u64::from(end - first)))
    }

    /// Writes the bytes, a piece and its offset at a time. Rows that are in order go in one piece.
    pub(super) fn write(&self, source: Source<'_>, mut put: impl FnMut(u64, &[u8])) {
        let Rect { x, y, size } = self.rect;
        match source {
            Source::Planar(image) => {
                let width = u64::from(image.width());
                let luma = range(u64::from(y) * width, u64::from(size.height) * width);
                put(0, image.luma().get(luma).unwrap_or(&[]));
                let (luma_bytes, chroma_bytes) = self.plane_bytes();
                let (first, end) = self.chroma_rows;
                let row = u64::from(image.chroma_width());
                for (plane, at) in image.chroma().iter().zip(0..) {
                    let rows = range(u64::from(first) * row, u64::from(end - first) * row);
                    put(luma_bytes + at * chroma_bytes, plane.get(rows).unwrap_or(&[]));
                }
            }
            Source::Packed(image) => {
                let channels = image.layout().channels() as u64;
                let (whole, row) = (u64::from(image.width()) * channels, u64::from(size.width) * channels);
                let mut wide = Vec::new();
                if row == whole && image.layout() != Layout::LumaAlpha {
                    let rows = range(u64::from(y) * whole, u64::from(size.height) * whole);
                    return put(0, image.data().get(rows).unwrap_or(&[]));
                }
                for at in 0..u64::from(size.height) {
                    let start = (u64::from(y) + at) * whole + u64::from(x) * channels;
                    let pixels = image.data().get(range(start, row)).unwrap_or(&[]);
                    if image.layout() == Layout::LumaAlpha {
                        wide.clear();
                        wide.extend(
                            pixels.as_chunks::<2>().0.iter().flat_map(|&[grey, alpha]| [grey, grey, grey, alpha]),
                        );
                        put(at * row * 2, &wide);
                    } else {
                        put(at * row, pixels);
                    }
                }
            }
        }
    }

    /// The parameters of the first stage.
    pub(super) fn params(&self, kernel: &Kernel, target: Size, taps: u32) -> Horizontal {
        let mut params = Horizontal {
            source_width: kernel.source_len(),
            target_width: target.width,
            height: target.height,
            taps,
            ..Horizontal::default()
        };
        if let Some((size, sampling)) = self.planes {
            let (chroma_width, chroma_height) = sampling.chroma_size(size.width, size.height);
            let (luma, chroma) = self.plane_bytes();
            params.first_row = self.rect.y;
            params.first_chroma_row = self.chroma_rows.0;
            (params.chroma_width, params.chroma_height) = (chroma_width, chroma_height);
            // A binding is far smaller than 4 GiB: what does not fit was refused by its bytes.
            params.blue_start = u32::try_from(luma).unwrap_or(u32::MAX);
            params.red_start = u32::try_from(luma + chroma).unwrap_or(u32::MAX);
            let left = sampling.half_width && sampling.siting == Siting::Left;
            params.sampling =
                u32::from(sampling.half_width) | u32::from(sampling.half_height) << 1 | u32::from(left) << 2;
        }
        params
    }
}

/// Bytes of whole words that hold so many bytes.
pub(super) const fn words(bytes: u64) -> u64 {
    bytes.next_multiple_of(4)
}

/// `len` bytes from `start`, as indices. What a machine cannot count is out of every range.
pub(super) fn range(start: u64, len: u64) -> Range<usize> {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    index(start)..index(start.saturating_add(len))
}
