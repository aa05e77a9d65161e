//! The stages as shaders: their sources, and which pipelines are made of them.

use crate::pixels::colour::Space;
use crate::pixels::op::Size;

macro_rules! joined {
    ($($name:literal),+) => {
        concat!($(include_str!(concat!("../../../shaders/", $name, ".wgsl"))),+)
    };
}

/// The form of what a stage reads; the numbers are those of `SOURCE` in the shaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Two words of 16-bit floats a pixel: linear light, premultiplied.
    Half,
    /// 4 bytes a pixel: sRGB-encoded, straight alpha.
    Rgba,
    /// 3 bytes a pixel.
    Rgb,
    /// A byte a pixel.
    Grey,
    /// Luma, then both chroma planes, each from a whole word on.
    Planes,
}

impl From {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Half, Self::Rgba, Self::Rgb, Self::Grey, Self::Planes];

    const fn number(self) -> f64 {
        match self {
            Self::Half => 0.0,
            Self::Rgba => 1.0,
            Self::Rgb => 2.0,
            Self::Grey => 3.0,
            Self::Planes => 4.0,
        }
    }
}

/// The form of what a stage writes; the numbers are those of `RESULT` in the shaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Two words of 16-bit floats a pixel.
    Half,
    /// 4 bytes a pixel: sRGB-encoded, straight alpha.
    Rgba,
}

impl To {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Half, Self::Rgba];

    const fn number(self) -> f64 {
        match self {
            Self::Half => 0.0,
            Self::Rgba => 1.0,
        }
    }
}

/// A shader in the form it is run in: one pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Along the rows, to 16-bit floats.
    Horizontal(From),
    /// Along the columns, from 16-bit floats.
    Vertical(To),
    /// Two pictures of 16-bit floats to one.
    Sharpen(To),
    /// From 16-bit floats, on values of this space.
    Colour(To, Space),
    /// From RGBA to RGBA.
    Orient,
    /// From RGBA to planes.
    Chroma,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Horizontal(From::Half),
        Self::Horizontal(From::Rgba),
        Self::Horizontal(From::Rgb),
        Self::Horizontal(From::Grey),
        Self::Horizontal(From::Planes),
        Self::Vertical(To::Half),
        Self::Vertical(To::Rgba),
        Self::Sharpen(To::Half),
        Self::Sharpen(To::Rgba),
        Self::Colour(To::Half, Space::Linear),
        Self::Colour(To::Half, Space::Encoded),
        Self::Colour(To::Rgba, Space::Linear),
        Self::Colour(To::Rgba, Space::Encoded),
        Self::Orient,
        Self::Chroma,
    ];

    /// Its shader, its entry point, and the label that profilers and validation show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Horizontal(_) => "horizontal",
            Self::Vertical(_) => "vertical",
            Self::Sharpen(_) => "sharpen",
            Self::Colour(..) => "colour",
            Self::Orient => "orient",
            Self::Chroma => "chroma",
        }
    }

    /// The joined source: its own file and what it calls.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::Horizontal(_) => joined!("common/four", "common/half", "common/srgb", "common/ycbcr", "horizontal"),
            Self::Vertical(_) => joined!("common/four", "common/half", "common/srgb", "vertical"),
            Self::Sharpen(_) => joined!("common/half", "common/srgb", "sharpen"),
            Self::Colour(..) => joined!("common/half", "common/srgb", "colour"),
            Self::Orient => joined!("orient"),
            Self::Chroma => joined!("common/ycbcr", "chroma"),
        }
    }

    /// The constants of the pipeline.
    #[must_use]
    pub fn constants(self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Horizontal(from) => vec![("SOURCE", from.number())],
            Self::Vertical(to) | Self::Sharpen(to) => vec![("RESULT", to.number())],
            Self::Colour(to, space) => {
                vec![("RESULT", to.number()), ("ENCODED", f64::from(u8::from(space == Space::Encoded)))]
            }
            Self::Orient | Self::Chroma => Vec::new(),
        }
    }

    /// Workgroups for a result of this size, in x and y, 64 invocations each, in x. An invocation makes 4 columns of 2
    /// rows, 4 rows of 1 column, a pixel, or, where the size is that of words, a word.
    #[must_use]
    pub const fn groups(self, Size { width, height }: Size) -> [u32; 2] {
        match self {
            Self::Horizontal(_) => [width.div_ceil(4).div_ceil(64), height.div_ceil(2)],
            Self::Vertical(_) => [width.div_ceil(64), height.div_ceil(4)],
            Self::Sharpen(_) | Self::Colour(..) | Self::Orient | Self::Chroma => [width.div_ceil(64), height],
        }
    }
}
