//! One step of a plan: what each engine has an implementation for.

use std::ops::Range;

use super::{Matrix, Rect, Size};
use crate::pixels::cpu::{horizontal, sums};
use crate::pixels::kernel::Kernel;

/// A filter along every row, then one along every column.
#[derive(Clone, Debug, PartialEq)]
pub struct Separable {
    /// Along the rows.
    pub horizontal: Kernel,
    /// Along the columns.
    pub vertical: Kernel,
}

/// One step. Takes and gives linear light, premultiplied.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A separable filter.
    Filter(Separable),
    /// `x + amount * (x - blur(x))`.
    Sharpen {
        /// The blur; each side as long as the result's.
        blur: Separable,
        /// How much of the difference is added.
        amount: f32,
        /// The source pixel that the first pixel of the result is made of: column, row.
        centre: (u32, u32),
    },
    /// Each pixel by itself.
    Colour {
        /// What it does.
        matrix: Matrix,
        /// The size of source and result.
        size: Size,
    },
}

impl Separable {
    /// The size it takes.
    #[must_use]
    pub const fn source(&self) -> Size {
        Size::new(self.horizontal.source_len(), self.vertical.source_len())
    }

    /// The size it makes.
    #[must_use]
    pub fn target(&self) -> Size {
        Size::new(self.horizontal.target_len(), self.vertical.target_len())
    }

    /// The size between its two passes.
    #[must_use]
    pub fn between(&self) -> Size {
        Size::new(self.horizontal.target_len(), self.vertical.source_len())
    }

    /// Pixels times taps: every source row is filtered along x, then every target row is made.
    fn multiply_adds(&self) -> u64 {
        let across = self.between().pixels().saturating_mul(u64::from(self.horizontal.taps()));
        across.saturating_add(self.target().pixels().saturating_mul(u64::from(self.vertical.taps())))
    }

    /// Whether the cpu engine filters along y first: where that is less work, as it is unless the picture grows. The
    /// result is the same but for rounding.
    #[must_use]
    pub fn is_y_first(&self) -> bool {
        // An output sample along x takes its own additions of lanes: about two along y.
        let (across, down) = (u64::from(self.horizontal.taps()) * 2, u64::from(self.vertical.taps()));
        let (source, target) = (self.source(), self.target());
        let work = |between: u64, first: u64, then: u64| {
            between.saturating_mul(first).saturating_add(target.pixels().saturating_mul(then))
        };
        let y_first = work(Size::new(source.width, target.height).pixels(), down, across);
        // What grows by some pixels at its edges does not grow: by whole numbers (`cpu::pairs`) y first is cheaper still.
        y_first - y_first / 8 <= work(Size::new(target.width, source.height).pixels(), across, down)
    }

    /// Bytes the cpu engine holds for it with four planes: rows between the passes, one row out, and both kernels.
    fn working_bytes(&self) -> u64 {
        let row = |width: u32| (u64::from(width) + 24) * 16;
        let between = if self.is_y_first() {
            let begun = self.vertical.most_begun(sums::BATCH) as u64;
            let (waiting, block) = if horizontal::in_blocks(&self.horizontal) {
                let (from, to) = (self.source().width, self.target().width);
                (horizontal::ROWS as u64, horizontal::Block::bytes(from, to) + horizontal::ROWS as u64 * row(to))
            } else {
                (0, 0)
            };
            (begun + waiting).saturating_mul(row(self.source().width)).saturating_add(sums::TILE_BYTES + block)
        } else {
            self.ring_bytes()
        };
        between.saturating_add(row(self.target().width) + self.horizontal.bytes() + self.vertical.bytes())
    }

    /// Bytes of `taps` rows after the horizontal pass, with four planes.
    fn ring_bytes(&self) -> u64 {
        u64::from(self.vertical.taps()) * (u64::from(self.target().width) + 24) * 16
    }

    fn narrowed(self, columns: &Range<u32>, rows: &Range<u32>) -> Self {
        Self { horizontal: self.horizontal.narrowed(columns), vertical: self.vertical.narrowed(rows) }
    }

    fn without(self, rect: Rect) -> Option<Self> {
        let horizontal = self.horizontal.without(&(rect.x..rect.x + rect.size.width))?;
        let vertical = self.vertical.without(&(rect.y..rect.y + rect.size.height))?;
        Some(Self { horizontal, vertical })
    }

    fn embedded(self, at: (u32, u32), source: Size) -> Option<Self> {
        let horizontal = self.horizontal.embedded(at.0, source.width)?;
        let vertical = self.vertical.embedded(at.1, source.height)?;
        Some(Self { horizontal, vertical })
    }

    fn reads(&self) -> Rect {
        let (columns, rows) = (self.horizontal.reads(), self.vertical.reads());
        let size = Size::new(columns.end - columns.start, rows.end - rows.start);
        Rect { x: columns.start, y: rows.start, size }
    }
}

impl Step {
    /// The step of these two kernels.
    #[must_use]
    pub const fn filter(horizontal: Kernel, vertical: Kernel) -> Self {
        Self::Filter(Separable { horizontal, vertical })
    }

    /// The step that changes nothing: it takes 8-bit pixels to linear light for one that is no filter.
    #[must_use]
    pub fn identity(size: Size) -> Self {
        Self::filter(Kernel::identity(size.width), Kernel::identity(size.height))
    }

    /// The size it takes.
    #[must_use]
    pub const fn source(&self) -> Size {
        match self {
            Self::Filter(filter) | Self::Sharpen { blur: filter, .. } => filter.source(),
            Self::Colour { size, .. } => *size,
        }
    }

    /// The size it makes.
    #[must_use]
    pub fn target(&self) -> Size {
        match self {
            Self::Filter(filter) | Self::Sharpen { blur: filter, .. } => filter.target(),
            Self::Colour { size, .. } => *size,
        }
    }

    /// Pixels times taps.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        match self {
            Self::Filter(filter) => filter.multiply_adds(),
            Self::Sharpen { blur, .. } => blur.multiply_adds().saturating_add(blur.target().pixels()),
            // Three rows of three, and the two curves, which take about as long as five more.
            Self::Colour { size, .. } => size.pixels().saturating_mul(8),
        }
    }

    /// Bytes the cpu engine holds for it with four planes.
    pub(super) fn working_bytes(&self) -> u64 {
        match self {
            Self::Filter(filter) => filter.working_bytes(),
            // A ring whatever is cheaper, and another for the rows as they are.
            Self::Sharpen { blur, .. } => blur.working_bytes().saturating_add(blur.ring_bytes().saturating_mul(2)),
            Self::Colour { .. } => 0,
        }
    }

    /// Whether the parts fit together.
    pub(super) fn is_whole(&self) -> bool {
        let size = self.target();
        match self {
            Self::Filter(_) | Self::Colour { .. } => size.pixels() > 0,
            Self::Sharpen { centre, .. } => {
                Rect { x: centre.0, y: centre.1, size }.is_inside(self.source()) && size.pixels() > 0
            }
        }
    }

    /// The same, making only `rect` of its result. Each pixel of that is what it was, to the bit.
    #[must_use]
    pub fn narrowed(self, rect: Rect) -> Self {
        let columns = rect.x..rect.x + rect.size.width;
        let rows = rect.y..rect.y + rect.size.height;
        match self {
            Self::Filter(filter) => Self::Filter(filter.narrowed(&columns, &rows)),
            Self::Sharpen { blur, amount, centre } => Self::Sharpen {
                blur: blur.narrowed(&columns, &rows),
                amount,
                centre: (centre.0 + rect.x, centre.1 + rect.y),
            },
            // It takes what it makes: where it makes less, it is given less.
            Self::Colour { matrix, .. } => Self::Colour { matrix, size: rect.size },
        }
    }

    /// The part of its source that it reads; for a `Colour` that was narrowed, `kept` is where that was.
    #[must_use]
    pub(super) fn reads(&self, kept: Rect) -> Rect {
        match self {
            Self::Filter(filter) => filter.reads(),
            Self::Sharpen { blur, centre, .. } => {
                blur.reads().union(Rect { x: centre.0, y: centre.1, size: blur.target() })
            }
            Self::Colour { .. } => kept,
        }
    }

    /// The same for a source of which only `rect` is there, all that it reads. `None` where it reads more.
    #[must_use]
    pub(super) fn without(self, rect: Rect) -> Option<Self> {
        match self {
            Self::Filter(filter) => filter.without(rect).map(Self::Filter),
            Self::Sharpen { blur, amount, centre: (x, y) } => {
                let centre = (x.checked_sub(rect.x)?, y.checked_sub(rect.y)?);
                Some(Self::Sharpen { blur: blur.without(rect)?, amount, centre })
            }
            colour @ Self::Colour { .. } => Some(colour),
        }
    }

    /// The same on a larger source, of which its own is the part at `at`. `None` where that does not fit, and for a `Colour`, which
    /// must take what it makes.
    #[must_use]
    pub fn embedded(self, at: (u32, u32), source: Size) -> Option<Self> {
        match self {
            Self::Filter(filter) => filter.embedded(at, source).map(Self::Filter),
            Self::Sharpen { blur, amount, centre } => {
                let centre = (centre.0 + at.0, centre.1 + at.1);
                Some(Self::Sharpen { blur: blur.embedded(at, source)?, amount, centre })
            }
            Self::Colour { matrix, size } => (at == (0, 0) && size == source).then_some(Self::Colour { matrix, size }),
        }
    }
}

/// The steps that make only `wanted` of what `steps` make, and the part of the source that they read. Walks back from the
/// end: each step makes what the next one reads. What is made is what it was, to the bit. `None` only for steps that do not fit together.
pub(super) fn trimmed(steps: &[Step], wanted: Rect) -> Option<(Vec<Step>, Rect)> {
    let mut wanted = wanted;
    let mut kept: Vec<Step> = Vec::with_capacity(steps.len());
    for step in steps.iter().rev() {
        let step = step.clone().narrowed(wanted);
        let reads = step.reads(wanted);
        kept.push(step.without(reads)?);
        wanted = reads;
    }
    kept.reverse();
    Some((kept, wanted))
}
