//! What can be done to a picture, and the sizes that come out.

pub use super::kernel::resample::ResizeFilter;
use super::orientation::Orientation;

/// One operation on a whole picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// Turn and mirror.
    Orient(Orientation),
    /// Keep a part of it, which must lie inside.
    Crop(Rect),
    /// Reduce; never enlarges.
    Resize {
        /// To which size.
        to: Target,
        /// With which filter.
        filter: ResizeFilter,
    },
    /// Gaussian blur; pixels beyond the edge repeat the edge.
    Blur {
        /// Standard deviation in pixels; 0 is no change.
        sigma: f32,
    },
    /// Unsharp mask, in linear light, premultiplied: `x + amount * (x - blur(x))`, alpha included.
    Sharpen {
        /// Standard deviation of the blur, in pixels, up to [`super::kernel::gaussian::DIRECT_MAX`]; 0 is no change.
        sigma: f32,
        /// How much of the difference is added: 0 is no change, 1 is usual, up to [`Op::MAX_AMOUNT`].
        amount: f32,
    },
    /// A change of colours.
    Colour(Colour),
}

/// Changes of colours, each pixel by itself; alpha stays. All but `Grayscale` are those of CSS (Filter Effects Module
/// Level 1, its shorthands): on sRGB-encoded values with straight alpha, clamped to 0 to 1 before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Colour {
    /// Luminance (IEC 61966-2-1: 0.2126, 0.7152, 0.0722 of *linear* light) in every channel.
    Grayscale,
    /// Encoded values times this, from 0 (black); 1 is no change.
    Brightness(f32),
    /// Encoded values moved away from 0.5, times this, from 0 (grey); 1 is no change.
    Contrast(f32),
    /// Encoded values moved away from their luma, times this, from 0 (grey); 1 is no change.
    Saturation(f32),
}

impl Op {
    /// The largest `amount` of [`Op::Sharpen`], and the largest factor of a [`Colour`].
    pub const MAX_AMOUNT: f32 = 100.0;

    /// Reduces to fit into a square of `side_px` by Lanczos3: a thumbnail.
    #[must_use]
    pub const fn fit(side_px: u32) -> Self {
        Self::Resize { to: Target::Fit(Size::new(side_px, side_px)), filter: ResizeFilter::Lanczos3 }
    }
}

/// The size to reduce to; each side at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The largest size of the picture's own aspect inside this box.
    Fit(Size),
    /// The smallest size of the picture's own aspect that covers this box, and then the middle of it.
    Cover(Size),
    /// This size, whatever becomes of the aspect.
    Fill(Size),
}

impl Target {
    /// The box.
    #[must_use]
    pub const fn frame(self) -> Size {
        match self {
            Self::Fit(frame) | Self::Cover(frame) | Self::Fill(frame) => frame,
        }
    }

    /// The size to resize a picture of `size` to, and the part of that to keep. No side grows.
    #[must_use]
    pub fn of(self, size: Size) -> (Size, Rect) {
        let resized = match self {
            Self::Fit(frame) => size.fit_inside(frame),
            Self::Cover(frame) => size.cover(frame),
            Self::Fill(frame) => Size::new(size.width.min(frame.width), size.height.min(frame.height)),
        };
        let kept = match self {
            Self::Cover(frame) => Size::new(resized.width.min(frame.width), resized.height.min(frame.height)),
            Self::Fit(_) | Self::Fill(_) => resized,
        };
        let (x, y) = ((resized.width - kept.width) / 2, (resized.height - kept.height) / 2);
        (resized, Rect { x, y, size: kept })
    }
}

/// Columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// A part of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// Its first column.
    pub x: u32,
    /// Its first row.
    pub y: u32,
    /// Its columns and rows.
    pub size: Size,
}

impl Rect {
    /// All of a picture.
    #[must_use]
    pub const fn whole(size: Size) -> Self {
        Self { x: 0, y: 0, size }
    }

    /// Whether it lies in a picture of this size and has a pixel.
    #[must_use]
    pub const fn is_inside(self, size: Size) -> bool {
        let (right, bottom) = (self.x as u64 + self.size.width as u64, self.y as u64 + self.size.height as u64);
        self.size.pixels() > 0 && right <= size.width as u64 && bottom <= size.height as u64
    }

    /// The smallest that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let right = (self.x + self.size.width).max(other.x + other.size.width);
        let bottom = (self.y + self.size.height).max(other.y + other.size.height);
        Self { x, y, size: Size::new(right - x, bottom - y) }
    }
}

impl Size {
    /// The size `width` by `height`.
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Columns times rows.
    #[must_use]
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// The sides divided and rounded up: what is there when one pixel stands for a square of so many.
    #[must_use]
    pub const fn divided(self, divisor: u32) -> Self {
        Self::new(self.width.div_ceil(divisor), self.height.div_ceil(divisor))
    }

    /// This size, reduced to fit inside a square of `side_px`: [`Size::fit_inside`].
    #[must_use]
    pub fn fit(self, side_px: u32) -> Self {
        self.fit_inside(Self::new(side_px, side_px))
    }

    /// This size, reduced to fit inside `frame`: one side becomes the frame's, the other the floor of its scaled length,
    /// at least 1. Unchanged where it fits already, or a side of the frame is 0. Integers only, so that every engine and
    /// every machine agrees.
    #[must_use]
    pub fn fit_inside(self, frame: Self) -> Self {
        let fits = self.width <= frame.width && self.height <= frame.height;
        if fits || frame.pixels() == 0 || self.pixels() == 0 {
            return self;
        }
        // The side that is further over its frame decides: width / frame.width against height / frame.height.
        if self.width as u64 * frame.height as u64 >= self.height as u64 * frame.width as u64 {
            Self::new(frame.width, scaled(self.height, frame.width, self.width).max(1))
        } else {
            Self::new(scaled(self.width, frame.height, self.height).max(1), frame.height)
        }
    }

    /// This size, reduced as far as it still covers `frame`: one side becomes the frame's, the other the floor of its
    /// scaled length, but no less than the frame's. Unchanged where a side does not reach the frame, or a side of the frame is 0.
    #[must_use]
    pub fn cover(self, frame: Self) -> Self {
        let reaches = self.width >= frame.width && self.height >= frame.height;
        if !reaches || frame.pixels() == 0 {
            return self;
        }
        if self.width as u64 * frame.height as u64 <= self.height as u64 * frame.width as u64 {
            Self::new(frame.width, scaled(self.height, frame.width, self.width).max(frame.height))
        } else {
            Self::new(scaled(self.width, frame.height, self.height).max(frame.width), frame.height)
        }
    }
}

/// The floor of `length * to / from`, for `to <= from`.
fn scaled(length: u32, to: u32, from: u32) -> u32 {
    // At most `length`: the conversion back cannot fail.
    u32::try_from(u64::from(length) * u64::from(to) / u64::from(from)).unwrap_or(length)
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fitting_floors_and_never_enlarges() {
        assert_eq!(Size::new(4000, 3000).fit(256), Size::new(256, 192));
        assert_eq!(Size::new(3000, 4000).fit(256), Size::new(192, 256));
        assert_eq!(Size::new(1000, 333).fit(100), Size::new(100, 33));
        assert_eq!(Size::new(10_000, 3).fit(100), Size::new(100, 1));
        assert_eq!(Size::new(100, 50).fit(100), Size::new(100, 50));
        assert_eq!(Size::new(7, 5).fit(u32::MAX), Size::new(7, 5));
        assert_eq!(Size::new(u32::MAX, u32::MAX).fit(u32::MAX - 1), Size::new(u32::MAX - 1, u32::MAX - 1));
        assert_eq!(Size::new(1, 1).fit(1), Size::new(1, 1));
        assert_eq!(Size::new(400, 300).fit_inside(Size::new(400, 100)), Size::new(133, 100));
        assert_eq!(Size::new(400, 300).fit_inside(Size::new(100, 500)), Size::new(100, 75));
    }

    #[test]
    fn covering_fills_the_frame_with_the_middle() {
        let (resized, kept) = Target::Cover(Size::new(100, 100)).of(Size::new(400, 300));
        assert_eq!((resized, kept), (Size::new(133, 100), Rect { x: 16, y: 0, size: Size::new(100, 100) }));
        let (resized, kept) = Target::Cover(Size::new(10, 200)).of(Size::new(400, 300));
        assert_eq!((resized, kept), (Size::new(266, 200), Rect { x: 128, y: 0, size: Size::new(10, 200) }));
        // A picture that does not reach is cropped where it is over, and not enlarged.
        let (resized, kept) = Target::Cover(Size::new(500, 100)).of(Size::new(400, 300));
        assert_eq!((resized, kept), (Size::new(400, 300), Rect { x: 0, y: 100, size: Size::new(400, 100) }));
        assert_eq!(Target::Fill(Size::new(100, 500)).of(Size::new(400, 300)).0, Size::new(100, 300));
    }

    #[test]
    fn rectangles_know_their_picture() {
        let rect = |x, y, width, height| Rect { x, y, size: Size::new(width, height) };
        assert!(rect(1, 1, 3, 2).is_inside(Size::new(4, 3)));
        assert!(!rect(1, 1, 4, 2).is_inside(Size::new(4, 3)) && !rect(0, 0, 0, 1).is_inside(Size::new(4, 3)));
        assert!(!rect(u32::MAX, 0, u32::MAX, 1).is_inside(Size::new(4, 3)));
        assert_eq!(rect(1, 5, 2, 2).union(rect(2, 1, 4, 1)), rect(1, 1, 5, 6));
    }
}
