//! The eight ways a picture can be turned and mirrored, and how they compose.

use super::op::{Rect, Size};

/// How an upright picture is read from a stored one: sides swapped or not, then mirrored or not along each side of the
/// *stored* picture. The eight are the symmetries of a square; EXIF numbers them 1 to 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Orientation {
    /// Upright columns are stored rows.
    pub swap: bool,
    /// Read from the stored picture's right edge.
    pub mirror_x: bool,
    /// Read from the stored picture's bottom edge.
    pub mirror_y: bool,
}

const fn of(swap: bool, mirror_x: bool, mirror_y: bool) -> Orientation {
    Orientation { swap, mirror_x, mirror_y }
}

impl Orientation {
    /// As stored.
    pub const UPRIGHT: Self = of(false, false, false);
    /// A quarter clockwise.
    pub const ROTATE_90: Self = of(true, false, true);
    /// A half turn.
    pub const ROTATE_180: Self = of(false, true, true);
    /// A quarter counter-clockwise.
    pub const ROTATE_270: Self = of(true, true, false);
    /// Left and right change places.
    pub const FLIP_HORIZONTAL: Self = of(false, true, false);
    /// Top and bottom change places.
    pub const FLIP_VERTICAL: Self = of(false, false, true);

    /// All eight, in EXIF's order: the first is 1.
    pub const ALL: [Self; 8] = [
        Self::UPRIGHT,
        Self::FLIP_HORIZONTAL,
        Self::ROTATE_180,
        Self::FLIP_VERTICAL,
        of(true, false, false),
        Self::ROTATE_90,
        of(true, true, true),
        Self::ROTATE_270,
    ];

    /// What EXIF's `Orientation` tag says (TIFF 6.0 and EXIF 2.3: 1 to 8); `None` for other numbers.
    #[must_use]
    pub fn from_exif(number: u8) -> Option<Self> {
        number.checked_sub(1).and_then(|at| Self::ALL.get(usize::from(at)).copied())
    }

    /// This, and then `next` of what comes out.
    #[must_use]
    pub const fn then(self, next: Self) -> Self {
        // An upright pixel goes through `next` to one of the picture in the middle, and from there through `self`; where
        // `self` swaps, mirroring the middle along x is mirroring the stored along y.
        let (x, y) = if self.swap { (next.mirror_y, next.mirror_x) } else { (next.mirror_x, next.mirror_y) };
        of(self.swap ^ next.swap, self.mirror_x ^ x, self.mirror_y ^ y)
    }

    /// The upright size of a picture stored in this size; and the other way round.
    #[must_use]
    pub const fn size(self, stored: Size) -> Size {
        if self.swap { Size::new(stored.height, stored.width) } else { stored }
    }

    /// The stored pixel that upright pixel (`x`, `y`) is, in a picture stored in size `stored`.
    #[must_use]
    pub const fn source(self, x: u32, y: u32, stored: Size) -> (u32, u32) {
        let (x, y) = if self.swap { (y, x) } else { (x, y) };
        (if self.mirror_x { stored.width - 1 - x } else { x }, if self.mirror_y { stored.height - 1 - y } else { y })
    }

    /// The stored rectangle that an upright one is.
    #[must_use]
    pub const fn source_rect(self, upright: Rect, stored: Size) -> Rect {
        let Rect { x, y, size } = upright;
        let (near_x, near_y) = self.source(x, y, stored);
        let (far_x, far_y) = self.source(x + size.width - 1, y + size.height - 1, stored);
        let x = if near_x < far_x { near_x } else { far_x };
        let y = if near_y < far_y { near_y } else { far_y };
        Rect { x, y, size: self.size(size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_different_symmetries_compose_as_reading_twice() {
        let stored = Size::new(5, 3);
        for first in Orientation::ALL {
            for second in Orientation::ALL {
                let (middle, both) = (first.size(stored), first.then(second));
                let upright = second.size(middle);
                assert_eq!(both.size(stored), upright);
                for y in 0..upright.height {
                    for x in 0..upright.width {
                        let (u, v) = second.source(x, y, middle);
                        assert_eq!(both.source(x, y, stored), first.source(u, v, stored));
                    }
                }
            }
        }
        let mut seen: Vec<_> = Orientation::ALL.iter().map(|its| its.source(0, 1, Size::new(9, 9))).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 8);
    }

    #[test]
    fn numbers_are_exifs() {
        // The upright top left pixel of each, as the standard words it: "0th row, 0th column" are the visual sides.
        let stored = Size::new(4, 3);
        let corners = [(0, 0), (3, 0), (3, 2), (0, 2), (0, 0), (0, 2), (3, 2), (3, 0)];
        for (number, corner) in (1_u8..).zip(corners) {
            let orientation = Orientation::from_exif(number).unwrap();
            assert_eq!(orientation.source(0, 0, stored), corner, "{number}");
            assert_eq!(orientation.swap, number > 4);
        }
        assert_eq!((Orientation::from_exif(0), Orientation::from_exif(9)), (None, None));
    }

    #[test]
    fn rectangles_hold_the_pixels_they_should() {
        let stored = Size::new(6, 4);
        for orientation in Orientation::ALL {
            let rect = Rect { x: 1, y: 2, size: Size::new(2, 1) };
            let source = orientation.source_rect(rect, stored);
            for x in 1..3 {
                let (u, v) = orientation.source(x, 2, stored);
                assert!(source.x <= u && u < source.x + source.size.width);
                assert!(source.y <= v && v < source.y + source.size.height);
            }
            assert_eq!(source.size.pixels(), 2);
        }
    }
}
