//! Filters: the steps of a variant, as a query names them.

use std::fmt;

use meant::meant;

mod meant;

/// The largest standard deviation a blur may ask for, in pixels.
pub const MAX_SIGMA: f32 = 10_000.0;

/// The largest standard deviation of a sharpening, in pixels.
pub const MAX_SHARPEN_SIGMA: f32 = 4.0;

/// The most that a sharpening adds of the difference from the blurred picture.
pub const MAX_SHARPEN_AMOUNT: f32 = 10.0;

/// The largest number of an aspect or a frame.
pub const MAX_SIDE: u32 = 65_535;

/// One step of a variant, as the query names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    /// No change.
    Identity,
    /// Fit inside a square of this side, in pixels (at least 1); never enlarges.
    Thumbnail(u32),
    /// Reduce to a size; never enlarges.
    Resize(Bound, Resampling),
    /// Fit inside a frame; never enlarges.
    Fit(Frame),
    /// Cover a frame and keep as much as that shows; never enlarges.
    Cover(Frame, Gravity),
    /// Keep the largest part with this aspect.
    Crop(Frame, Gravity),
    /// Gaussian blur with this standard deviation in pixels; 0 is no change.
    Blur(f32),
    /// Add this much of the difference from a blurred picture; a standard deviation in pixels and an amount, 0 is no change.
    Sharpen(f32, f32),
    /// No colours.
    Grayscale,
    /// Brighter, or darker, by so many percent: -100 to 100.
    Brightness(f32),
    /// More contrast, or less, by so many percent: -100 to 100.
    Contrast(f32),
    /// More colour, or less, by so many percent: -100 to 100.
    Saturation(f32),
    /// Turn clockwise.
    Rotate(Turn),
    /// Mirror.
    Flip(Mirror),
}

/// What a resize stays within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A square of this side, in pixels, at least 1.
    Side(u32),
    /// So many pixels in all, at least 1.
    Area(u32),
}

/// A width and a height, each from 1 to [`MAX_SIDE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// The filter to reduce with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resampling {
    /// The sharpest.
    #[default]
    Lanczos3,
    /// Sharp, with less ringing.
    CatmullRom,
    /// Soft, with next to no ringing.
    Mitchell,
    /// A triangle.
    Bilinear,
    /// The mean of what is under a pixel.
    Box,
}

/// A turn clockwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// None.
    None,
    /// A quarter.
    Quarter,
    /// A half.
    Half,
    /// Three quarters.
    ThreeQuarters,
}

/// What changes places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// Left and right.
    Horizontal,
    /// Top and bottom.
    Vertical,
    /// Both.
    Both,
}

/// Which part of a picture is kept where some has to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gravity {
    /// The middle.
    #[default]
    Center,
    /// The middle of the top.
    North,
    /// The top right corner.
    NorthEast,
    /// The middle of the right side.
    East,
    /// The bottom right corner.
    SouthEast,
    /// The middle of the bottom.
    South,
    /// The bottom left corner.
    SouthWest,
    /// The middle of the left side.
    West,
    /// The top left corner.
    NorthWest,
    /// Where the eye goes.
    Smart,
}

/// Why a filter's value was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// Not a number of the kind the filter takes.
    #[error("{filter}={value} cannot be read: {filter} takes {takes}{}", meant(.filter, .value))]
    Unreadable {
        /// The filter's name.
        filter: &'static str,
        /// What was given, cut to a length fit for a message.
        value: String,
        /// What would have been right.
        takes: &'static str,
    },
    /// A number above the limit.
    #[error("{filter}={got} is over the limit of {max}")]
    TooLarge {
        /// The filter's name.
        filter: &'static str,
        /// What was given, shortened.
        got: String,
        /// The largest value allowed.
        max: f32,
    },
    /// More filters than [`MAX_FILTERS`](super::variant::MAX_FILTERS).
    #[error("{got} filters were given, the limit is {max}")]
    TooMany {
        /// Filters in the request.
        got: usize,
        /// Filters allowed.
        max: usize,
    },
}

impl Filter {
    /// The names of all filters: what a whitelist may hold.
    pub const NAMES: [&'static str; 14] = [
        "identity",
        "thumbnail",
        "resize",
        "fit",
        "cover",
        "crop",
        "blur",
        "sharpen",
        "grayscale",
        "brightness",
        "contrast",
        "saturation",
        "rotate",
        "flip",
    ];

    /// Reads one `name=value` of a query. `None` when `name` (case-sensitive) is no filter.
    pub fn parse(name: &str, value: &str) -> Option<Result<Self, FilterError>> {
        Some(match name {
            "identity" => Ok(Self::Identity),
            "thumbnail" => side("thumbnail", value).map(Self::Thumbnail),
            "resize" => resize(value),
            "fit" => frame("fit", value).map(Self::Fit),
            "cover" => placed("cover", value).map(|(frame, gravity)| Self::Cover(frame, gravity)),
            "crop" => placed("crop", value).map(|(aspect, gravity)| Self::Crop(aspect, gravity)),
            "blur" => sigma("blur", value, MAX_SIGMA).map(Self::Blur),
            "sharpen" => sharpen(value),
            "grayscale" => grayscale(value),
            "brightness" => percent("brightness", value).map(Self::Brightness),
            "contrast" => percent("contrast", value).map(Self::Contrast),
            "saturation" => percent("saturation", value).map(Self::Saturation),
            "rotate" => rotate(value),
            "flip" => flip(value),
            _ => return None,
        })
    }

    /// The name it has in a query and in the whitelist.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Thumbnail(_) => "thumbnail",
            Self::Resize(..) => "resize",
            Self::Fit(_) => "fit",
            Self::Cover(..) => "cover",
            Self::Crop(..) => "crop",
            Self::Blur(_) => "blur",
            Self::Sharpen(..) => "sharpen",
            Self::Grayscale => "grayscale",
            Self::Brightness(_) => "brightness",
            Self::Contrast(_) => "contrast",
            Self::Saturation(_) => "saturation",
            Self::Rotate(_) => "rotate",
            Self::Flip(_) => "flip",
        }
    }

    /// Whether it leaves every picture as it is.
    #[must_use]
    pub fn is_identity(self) -> bool {
        match self {
            Self::Identity | Self::Rotate(Turn::None) => true,
            Self::Blur(sigma) => sigma <= 0.0,
            Self::Sharpen(sigma, amount) => sigma <= 0.0 || amount <= 0.0,
            Self::Brightness(by) | Self::Contrast(by) | Self::Saturation(by) => by == 0.0,
            Self::Thumbnail(_)
            | Self::Resize(..)
            | Self::Fit(_)
            | Self::Cover(..)
            | Self::Crop(..)
            | Self::Grayscale
            | Self::Rotate(_)
            | Self::Flip(_) => false,
        }
    }

    /// The same with this gravity, where it takes one and has none of its own.
    #[must_use]
    pub const fn with_gravity(self, gravity: Gravity) -> Self {
        if let Self::Cover(frame, Gravity::Center) = self {
            return Self::Cover(frame, gravity);
        }
        if let Self::Crop(aspect, Gravity::Center) = self {
            return Self::Crop(aspect, gravity);
        }
        self
    }

    /// Whether it keeps the part of a picture where the eye goes.
    #[must_use]
    pub const fn is_smart(self) -> bool {
        matches!(self, Self::Cover(_, Gravity::Smart) | Self::Crop(_, Gravity::Smart))
    }

    /// The same for a screen with so many pixels for one of the page: all that is said in pixels is as many times as large, within
    /// the limits. An aspect is none of that.
    #[must_use]
    pub fn scaled(self, by: f32) -> Self {
        let frame = |Frame { width, height }| Frame { width: times(width, by), height: times(height, by) };
        match self {
            Self::Thumbnail(side) => Self::Thumbnail(times(side, by)),
            Self::Resize(Bound::Side(side), with) => Self::Resize(Bound::Side(times(side, by)), with),
            Self::Resize(Bound::Area(area), with) => Self::Resize(Bound::Area(times(times(area, by), by)), with),
            Self::Fit(inside) => Self::Fit(frame(inside)),
            Self::Cover(over, gravity) => Self::Cover(frame(over), gravity),
            Self::Blur(sigma) => Self::Blur((sigma * by).min(MAX_SIGMA)),
            Self::Sharpen(sigma, amount) => Self::Sharpen(rounded((sigma * by).min(MAX_SHARPEN_SIGMA), 1000.0), amount),
            Self::Identity
            | Self::Crop(..)
            | Self::Grayscale
            | Self::Brightness(_)
            | Self::Contrast(_)
            | Self::Saturation(_)
            | Self::Rotate(_)
            | Self::Flip(_) => self,
        }
    }
}

/// A length times a factor, rounded, at least 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, and a cast to u32 saturates")]
fn times(length: u32, by: f32) -> u32 {
    ((f64::from(length) * f64::from(by)).round() as u32).max(1)
}

fn unreadable(filter: &'static str, value: &str, takes: &'static str) -> FilterError {
    FilterError::Unreadable { filter, value: shown(value), takes }
}

/// Digits and nothing else; what does not fit is larger than any picture, and nothing here enlarges. `None` for none, and for 0.
fn number(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u32::MAX)).filter(|number| *number > 0)
}

fn side(filter: &'static str, value: &str) -> Result<u32, FilterError> {
    number(value).ok_or_else(|| unreadable(filter, value, "a whole number of pixels, at least 1"))
}

fn resize(value: &str) -> Result<Filter, FilterError> {
    let takes = "a whole number of pixels, at least 1, or a filter with one behind it: lanczos3.256; an area as lanczos3.a65536";
    let read = || {
        let (with, bound) = match value.split_once('.') {
            Some((name, bound)) => (Resampling::parse(name)?, bound),
            None => (Resampling::default(), value),
        };
        let bound = match bound.strip_prefix('a') {
            Some(area) => Bound::Area(number(area)?),
            None => Bound::Side(number(bound)?),
        };
        Some(Filter::Resize(bound, with))
    };
    read().ok_or_else(|| unreadable("resize", value, takes))
}

fn frame(filter: &'static str, value: &str) -> Result<Frame, FilterError> {
    let takes = "a width and a height, as 300x200";
    let numbers = value.split_once('x').and_then(|(width, height)| Some((number(width)?, number(height)?)));
    let (width, height) = numbers.ok_or_else(|| unreadable(filter, value, takes))?;
    if width.max(height) > MAX_SIDE {
        return Err(FilterError::TooLarge { filter, got: shown(value), max: 65_535.0 });
    }
    Ok(Frame { width, height })
}

/// A frame and, behind a dot, which part is kept; the middle where that is not said.
fn placed(filter: &'static str, value: &str) -> Result<(Frame, Gravity), FilterError> {
    let takes = "a width and a height, as 300x200, and a gravity behind a dot if it is to have its own: 300x200.smart";
    match value.split_once('.') {
        Some((size, gravity)) => {
            let gravity = Gravity::parse(gravity).map_err(|_unknown| unreadable(filter, value, takes))?;
            Ok((frame(filter, size)?, gravity))
        }
        None => Ok((frame(filter, value)?, Gravity::default())),
    }
}

/// The nearest number with so many parts of 1: nobody sees more, and each is a variant of its own.
fn rounded(number: f32, parts: f32) -> f32 {
    // No two zeros.
    (number * parts).round() / parts + 0.0
}

/// A finite number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded once to what is reckoned with; what is too large is refused"
)]
fn finite(value: &str) -> Option<f32> {
    value.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number as f32)
}

/// A standard deviation, 0 where it is less.
fn sigma(filter: &'static str, value: &str, max: f32) -> Result<f32, FilterError> {
    match finite(value) {
        Some(sigma) if sigma > max => Err(FilterError::TooLarge { filter, got: shown(value), max }),
        Some(sigma) => Ok(sigma.max(0.0)),
        None => Err(unreadable(filter, value, "a standard deviation in pixels, a finite number")),
    }
}

fn sharpen(value: &str) -> Result<Filter, FilterError> {
    let takes = "a standard deviation in pixels, up to 4, and an amount behind it if it is not 1: 1.5 or 1.5x0.8";
    let (radius, amount) = value.split_once('x').unwrap_or((value, "1"));
    let numbers = finite(radius).zip(finite(amount));
    let (radius, amount) = numbers.ok_or_else(|| unreadable("sharpen", value, takes))?;
    for (got, max) in [(radius, MAX_SHARPEN_SIGMA), (amount, MAX_SHARPEN_AMOUNT)] {
        if got > max {
            return Err(FilterError::TooLarge { filter: "sharpen", got: got.to_string(), max });
        }
    }
    Ok(Filter::Sharpen(rounded(radius.max(0.0), 1000.0), rounded(amount.max(0.0), 1000.0)))
}

fn grayscale(value: &str) -> Result<Filter, FilterError> {
    match value {
        "" | "true" | "1" => Ok(Filter::Grayscale),
        "false" | "0" => Ok(Filter::Identity),
        _ => Err(unreadable("grayscale", value, "true or false")),
    }
}

fn percent(filter: &'static str, value: &str) -> Result<f32, FilterError> {
    let number = finite(value).filter(|by| (-100.0..=100.0).contains(by));
    number
        .map(|by| rounded(by, 100.0))
        .ok_or_else(|| unreadable(filter, value, "a change in percent, from -100 to 100"))
}

fn rotate(value: &str) -> Result<Filter, FilterError> {
    let degrees = value.parse::<i32>().ok().map(|degrees| degrees.rem_euclid(360));
    Ok(Filter::Rotate(match degrees {
        Some(0) => Turn::None,
        Some(90) => Turn::Quarter,
        Some(180) => Turn::Half,
        Some(270) => Turn::ThreeQuarters,
        _ => return Err(unreadable("rotate", value, "degrees clockwise: 90, 180 or 270")),
    }))
}

fn flip(value: &str) -> Result<Filter, FilterError> {
    Ok(Filter::Flip(match value {
        "horizontal" | "h" => Mirror::Horizontal,
        "vertical" | "v" => Mirror::Vertical,
        "both" => Mirror::Both,
        _ => return Err(unreadable("flip", value, "horizontal, vertical or both")),
    }))
}

impl Resampling {
    const ALL: [Self; 5] = [Self::Lanczos3, Self::CatmullRom, Self::Mitchell, Self::Bilinear, Self::Box];

    /// The filter of this name, in letters of any case; those that pict-rs knows and that are not here stand for what is nearest, none for ours.
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "" | "lanczos3" | "lanczos" | "lanczos2" | "lanczossharp" | "lanczos2sharp" => Self::Lanczos3,
            "catmullrom" | "catrom" => Self::CatmullRom,
            "mitchell" | "robidoux" | "robidouxsharp" | "gaussian" => Self::Mitchell,
            "bilinear" | "triangle" => Self::Bilinear,
            "box" => Self::Box,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Lanczos3 => "lanczos3",
            Self::CatmullRom => "catmullrom",
            Self::Mitchell => "mitchell",
            Self::Bilinear => "bilinear",
            Self::Box => "box",
        }
    }
}

impl Gravity {
    /// Its name in a query and in the whitelist.
    pub const NAME: &'static str = "gravity";

    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Center,
        Self::North,
        Self::NorthEast,
        Self::East,
        Self::SouthEast,
        Self::South,
        Self::SouthWest,
        Self::West,
        Self::NorthWest,
        Self::Smart,
    ];

    /// The name of its value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Center => "center",
            Self::North => "north",
            Self::NorthEast => "northeast",
            Self::East => "east",
            Self::SouthEast => "southeast",
            Self::South => "south",
            Self::SouthWest => "southwest",
            Self::West => "west",
            Self::NorthWest => "northwest",
            Self::Smart => "smart",
        }
    }

    /// Reads the value of `gravity=value`.
    ///
    /// # Errors
    /// [`FilterError::Unreadable`] for what is none of them.
    pub fn parse(value: &str) -> Result<Self, FilterError> {
        let takes = "smart, center, north, northeast, east, southeast, south, southwest, west or northwest";
        let named = if value == "centre" { "center" } else { value };
        let found = Self::ALL.into_iter().find(|gravity| gravity.name() == named);
        found.ok_or_else(|| unreadable(Self::NAME, value, takes))
    }
}

/// A value as a message shows it: at most 40 characters, none of them a control character.
pub(super) fn shown(value: &str) -> String {
    value.chars().take(40).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl fmt::Display for Filter {
    /// As it stands in the key of a variant; a gravity that is not the middle behind what it is for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let placed = |f: &mut fmt::Formatter<'_>, frame: &Frame, gravity: Gravity| {
            let dot = if gravity == Gravity::Center { "" } else { "." };
            let place = if gravity == Gravity::Center { "" } else { gravity.name() };
            write!(f, "{}={frame}{dot}{place}", self.name())
        };
        match self {
            Self::Identity => f.write_str("identity=true"),
            Self::Grayscale => f.write_str("grayscale=true"),
            Self::Thumbnail(side) => write!(f, "thumbnail={side}"),
            Self::Resize(Bound::Side(side), with) => write!(f, "resize={}.{side}", with.name()),
            Self::Resize(Bound::Area(area), with) => write!(f, "resize={}.a{area}", with.name()),
            Self::Fit(frame) => write!(f, "fit={frame}"),
            Self::Cover(frame, gravity) | Self::Crop(frame, gravity) => placed(f, frame, *gravity),
            Self::Sharpen(sigma, amount) => write!(f, "sharpen={sigma}x{amount}"),
            Self::Blur(by) | Self::Brightness(by) | Self::Contrast(by) | Self::Saturation(by) => {
                write!(f, "{}={by}", self.name())
            }
            Self::Rotate(turn) => write!(
                f,
                "rotate={}",
                match turn {
                    Turn::None => 0,
                    Turn::Quarter => 90,
                    Turn::Half => 180,
                    Turn::ThreeQuarters => 270,
                }
            ),
            Self::Flip(mirror) => write!(
                f,
                "flip={}",
                match mirror {
                    Mirror::Horizontal => "horizontal",
                    Mirror::Vertical => "vertical",
                    Mirror::Both => "both",
                }
            ),
        }
    }
}

#[cfg(test)]
mod tests;
