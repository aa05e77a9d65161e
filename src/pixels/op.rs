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
    /// Keep the largest part with the aspect of this size, which has no side of 0.
    CropAspect {
        /// Width to height.
        aspect: Size,
        /// Where that part lies.
        at: Anchor,
    },
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
    /// The smallest size of the picture's own aspect that covers this box, and then the part of it that lies there.
    Cover(Size, Anchor),
    /// This size, whatever becomes of the aspect.
    Fill(Size),
}

impl Target {
    /// The box.
    #[must_use]
    pub const fn frame(self) -> Size {
        match self {
            Self::Fit(frame) | Self::Cover(frame, _) | Self::Fill(frame) => frame,
        }
    }

    /// The size to resize a picture of `size` to, and the part of that to keep. No side grows.
    #[must_use]
    pub fn of(self, size: Size) -> (Size, Rect) {
        match self {
            Self::Fit(frame) => {
                let resized = size.fit_inside(frame);
                (resized, Rect::whole(resized))
            }
            Self::Cover(frame, at) => {
                let resized = size.cover(frame);
                let kept = Size::new(resized.width.min(frame.width), resized.height.min(frame.height));
                (resized, at.part(resized, kept))
            }
            Self::Fill(frame) => {
                let resized = Size::new(size.width.min(frame.width), size.height.min(frame.height));
                (resized, Rect::whole(resized))
            }
        }
    }
}

/// Where the part of a picture lies that is kept, along each side: 0 is its beginning, [`Anchor::END`] its end. Whole numbers, so that
/// every machine keeps the same part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Anchor {
    /// Along a row.
    pub x: u32,
    /// Along a column.
    pub y: u32,
}

impl Anchor {
    /// The end of a side.
    pub const END: u32 = 1 << 16;

    /// The middle.
    pub const CENTRE: Self = Self { x: Self::END / 2, y: Self::END / 2 };

    /// The part of this size of a picture of size `whole`, which is no smaller: what is left over stands on both sides of it by where the
    /// anchor is, the floor in front.
    #[must_use]
    pub fn part(self, whole: Size, kept: Size) -> Rect {
        let along = |whole: u32, kept: u32, at: u32| {
            let over = u64::from(whole.saturating_sub(kept));
            u32::try_from(over * u64::from(at.min(Self::END)) / u64::from(Self::END)).unwrap_or(0)
        };
        Rect { x: along(whole.width, kept.width, self.x), y: along(whole.height, kept.height, self.y), size: kept }
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

    /// A frame that this size fits inside with no more than so many pixels; itself where it has no more.
    #[must_use]
    pub fn within(self, area_px: u32) -> Self {
        let (pixels, area) = (self.pixels(), u64::from(area_px));
        if pixels <= area {
            return self;
        }
        // Each side by the root of what is too much, floored: `width' * height'` is no more than the area.
        let side = |side: u32| {
            let squared = u128::from(side) * u128::from(side) * u128::from(area) / u128::from(pixels.max(1));
            u32::try_from(squared.isqrt()).unwrap_or(side).max(1)
        };
        Self::new(side(self.width), side(self.height))
    }

    /// The largest size of this aspect in a picture of this size: a side is whole, the other the floor of what it comes to, at least 1.
    /// All of it for an aspect with a side of 0.
    #[must_use]
    pub fn aspect(self, aspect: Self) -> Self {
        let [width, height, across, down] = [self.width, self.height, aspect.width, aspect.height].map(u64::from);
        if aspect.pixels() == 0 {
            return self;
        }
        // No side grows, so neither is too long for a side.
        let side = |long: u64, whole: u32| u32::try_from(long).unwrap_or(whole).clamp(1, whole.max(1));
        if width * down >= height * across {
            Self::new(side(height * across / down, self.width), self.height)
        } else {
            Self::new(self.width, side(width * down / across, self.height))
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
        let cover = |width, height| Target::Cover(Size::new(width, height), Anchor::CENTRE);
        let (resized, kept) = cover(100, 100).of(Size::new(400, 300));
        assert_eq!((resized, kept), (Size::new(133, 100), Rect { x: 16, y: 0, size: Size::new(100, 100) }));
        let (resized, kept) = cover(10, 200).of(Size::new(400, 300));
        assert_eq!((resized, kept), (Size::new(266, 200), Rect { x: 128, y: 0, size: Size::new(10, 200) }));
        // A picture that does not reach is cropped where it is over, and not enlarged.
        let (resized, kept) = cover(500, 100).of(Size::new(400, 300));
        assert_eq!((resized, kept), (Size::new(400, 300), Rect { x: 0, y: 100, size: Size::new(400, 100) }));
        assert_eq!(Target::Fill(Size::new(100, 500)).of(Size::new(400, 300)).0, Size::new(100, 300));
    }

    #[test]
    fn what_is_kept_lies_where_the_anchor_is() {
        let (whole, kept) = (Size::new(400, 300), Size::new(101, 100));
        let at = |x, y| {
            let part = Anchor { x, y }.part(whole, kept);
            assert!(part.is_inside(whole));
            (part.x, part.y)
        };
        assert_eq!(at(0, 0), (0, 0));
        assert_eq!(at(Anchor::END, Anchor::END), (299, 200));
        assert_eq!(at(u32::MAX, Anchor::END / 4), (299, 50));
        assert_eq!(Anchor::CENTRE.part(whole, kept), Rect { x: 149, y: 100, size: kept });
        assert_eq!(Anchor::CENTRE.part(kept, kept), Rect::whole(kept));
    }

    #[test]
    fn an_aspect_takes_as_much_as_there_is() {
        let aspect = |width, height, across, down| {
            let kept = Size::new(width, height).aspect(Size::new(across, down));
            (kept.width, kept.height)
        };
        assert_eq!(aspect(400, 300, 1, 1), (300, 300));
        assert_eq!(aspect(400, 300, 16, 9), (400, 225));
        assert_eq!(aspect(400, 300, 1600, 900), (400, 225));
        assert_eq!(aspect(400, 300, 4, 3), (400, 300));
        assert_eq!(aspect(3, 1000, 65_535, 1), (3, 1));
        assert_eq!(aspect(1000, 3, 1, 65_535), (1, 3));
        assert_eq!(aspect(u32::MAX, u32::MAX, 65_535, 65_534), (u32::MAX, 4_294_901_758));
        assert_eq!(aspect(7, 5, 0, 1), (7, 5));
    }

    #[test]
    fn an_area_is_a_frame() {
        assert_eq!(Size::new(400, 300).within(30_000), Size::new(200, 150));
        assert_eq!(Size::new(400, 300).within(120_000), Size::new(400, 300));
        for area in [1, 2, 7, 100, 119_999] {
            let fitted = Size::new(400, 300).fit_inside(Size::new(400, 300).within(area));
            assert!(fitted.pixels() <= u64::from(area).max(1), "{area}: {fitted}");
        }
        assert_eq!(Size::new(u32::MAX, 1).within(100).height, 1);
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
