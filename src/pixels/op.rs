//! What can be done to a picture, and the sizes that come out.

/// One operation on a whole picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// Reduce until both sides are at most this many pixels; aspect kept, never enlarges.
    Fit {
        /// The side of the square to fit in.
        side_px: u32,
    },
    /// Gaussian blur; pixels beyond the edge repeat the edge.
    Blur {
        /// Standard deviation in pixels; 0 is no change.
        sigma: f32,
    },
}

/// Columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
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

    /// This size, reduced to fit inside a square of `side_px`: the long side becomes `side_px`, the short one the floor
    /// of its scaled length, at least 1. Unchanged where it fits already. Integers only, so that every engine and
    /// every machine agrees.
    #[must_use]
    pub fn fit(self, side_px: u32) -> Self {
        let long = self.width.max(self.height);
        if long <= side_px || side_px == 0 {
            return self;
        }
        // At most side_px, since length <= long: the conversion back cannot fail.
        let scaled = |length: u32| {
            let floor = u64::from(length) * u64::from(side_px) / u64::from(long);
            u32::try_from(floor).unwrap_or(side_px).max(1)
        };
        Self { width: scaled(self.width), height: scaled(self.height) }
    }
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
    }
}
