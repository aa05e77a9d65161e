//! A picture in memory: 8 bits a channel, sRGB-encoded, straight alpha; or planes as a JPEG has them.

mod planes;
mod rgb_row;
mod ycbcr;

pub(in crate::pixels) use self::planes::Planes;
pub use self::ycbcr::{Sampling, Siting, Ycbcr};

/// The channels of a pixel, in order; one byte each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Grey.
    Luma,
    /// Grey and alpha.
    LumaAlpha,
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, alpha.
    Rgba,
}

impl Layout {
    /// Bytes a pixel.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::Luma => 1,
            Self::LumaAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }

    /// Whether a pixel has alpha.
    #[must_use]
    pub const fn has_alpha(self) -> bool {
        matches!(self, Self::LumaAlpha | Self::Rgba)
    }
}

/// Rows from the top, pixels from the left, no padding: `height * width * layout.channels()` bytes.
/// sRGB-encoded, straight alpha. Both sides are at least 1.
#[derive(Clone, PartialEq, Eq)]
pub struct Pixmap {
    width: u32,
    height: u32,
    layout: Layout,
    data: Vec<u8>,
}

/// Why bytes are not a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PixmapError {
    /// A side of zero.
    #[error("a picture of {width} by {height} pixels has no pixels")]
    Empty {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// More or fewer bytes than the size and layout need.
    #[error("{got} bytes of pixels where {want} are needed")]
    Length {
        /// Bytes given.
        got: usize,
        /// Bytes needed; `usize::MAX` when the number is larger than this machine can count.
        want: usize,
    },
}

impl Pixmap {
    /// A picture of these bytes.
    ///
    /// # Errors
    /// [`PixmapError`] when a side is zero or the length is not the one that size and layout need.
    pub fn new(width: u32, height: u32, layout: Layout, data: Vec<u8>) -> Result<Self, PixmapError> {
        if width == 0 || height == 0 {
            return Err(PixmapError::Empty { width, height });
        }
        let want = (width as usize)
            .checked_mul(height as usize)
            .and_then(|pixels| pixels.checked_mul(layout.channels()))
            .unwrap_or(usize::MAX);
        if data.len() != want {
            return Err(PixmapError::Length { got: data.len(), want });
        }
        Ok(Self { width, height, layout, data })
    }

    /// Columns.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The channels of its pixels.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// All bytes, in rows from the top.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, for whoever goes on to own them.
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The bytes of each row, from the top.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.data.chunks_exact(self.width as usize * self.layout.channels())
    }
}

/// A picture to read, in either form.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Pixel after pixel.
    Packed(&'a Pixmap),
    /// Plane after plane.
    Planar(&'a Ycbcr),
}

impl Source<'_> {
    /// Columns and rows.
    #[must_use]
    pub const fn size(&self) -> (u32, u32) {
        match self {
            Self::Packed(image) => (image.width, image.height),
            Self::Planar(image) => (image.width(), image.height()),
        }
    }

    /// The layout that results have.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        match self {
            Self::Packed(image) => image.layout,
            Self::Planar(_) => Layout::Rgb,
        }
    }
}

impl<'a> From<&'a Pixmap> for Source<'a> {
    fn from(image: &'a Pixmap) -> Self {
        Self::Packed(image)
    }
}

impl<'a> From<&'a Ycbcr> for Source<'a> {
    fn from(image: &'a Ycbcr) -> Self {
        Self::Planar(image)
    }
}

impl<'a> From<&'a Picture> for Source<'a> {
    fn from(picture: &'a Picture) -> Self {
        match picture {
            Picture::Packed(image) => Self::Packed(image),
            Picture::Planar(image) => Self::Planar(image),
        }
    }
}

/// A picture that was made or decoded, in either form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Pixel after pixel.
    Packed(Pixmap),
    /// Plane after plane.
    Planar(Ycbcr),
}

impl Picture {
    /// Pixel after pixel, converted from planes if need be.
    ///
    /// # Errors
    /// [`PixmapError`] never in practice.
    pub fn into_pixmap(self) -> Result<Pixmap, PixmapError> {
        match self {
            Self::Packed(image) => Ok(image),
            Self::Planar(image) => image.to_rgb(),
        }
    }
}

impl std::fmt::Debug for Pixmap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pixmap({}x{} {:?})", self.width, self.height, self.layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_bytes_must_agree() {
        assert!(Pixmap::new(2, 3, Layout::Rgb, vec![0; 18]).is_ok());
        assert_eq!(Pixmap::new(2, 3, Layout::Rgb, vec![0; 17]), Err(PixmapError::Length { got: 17, want: 18 }));
        assert_eq!(Pixmap::new(0, 3, Layout::Rgb, vec![]), Err(PixmapError::Empty { width: 0, height: 3 }));
        assert!(Pixmap::new(u32::MAX, u32::MAX, Layout::Rgba, vec![0; 4]).is_err());
    }
}
