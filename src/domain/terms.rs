//! What one upload asks for beyond the rules of the server: limits that its pictures have to keep, and steps that are done to them before
//! they are stored. The names are those of pict-rs 0.5.

use std::fmt::Write as _;

use super::{Asked, Details, FilterError, OutputFormat, filter::shown, nearest::hint};

const MEBIBYTE: u64 = 1024 * 1024;

/// Limits for the pictures of one upload; `None` is as the server has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most columns of the upright picture.
    pub max_width: Option<u32>,
    /// Most rows of the upright picture.
    pub max_height: Option<u32>,
    /// Most pixels of one frame.
    pub max_area: Option<u64>,
    /// Most frames.
    pub max_frame_count: Option<u32>,
    /// Most bytes of the file.
    pub max_file_size_bytes: Option<u64>,
    /// Whether it may stand still.
    pub allow_image: bool,
    /// Whether it may move.
    pub allow_animation: bool,
    /// Whether it may be a video. None is ever taken, so this is read and no more.
    pub allow_video: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_width: None,
            max_height: None,
            max_area: None,
            max_frame_count: None,
            max_file_size_bytes: None,
            allow_image: true,
            allow_animation: true,
            allow_video: true,
        }
    }
}

/// What a picture has too much of, or is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Too wide.
    #[error("the image is {got} pixels wide, max_width of this upload is {max}")]
    Width {
        /// Columns.
        got: u32,
        /// Columns allowed.
        max: u32,
    },
    /// Too high.
    #[error("the image is {got} pixels high, max_height of this upload is {max}")]
    Height {
        /// Rows.
        got: u32,
        /// Rows allowed.
        max: u32,
    },
    /// Too many pixels.
    #[error("the image has {got} pixels, max_area of this upload is {max}")]
    Area {
        /// Pixels.
        got: u64,
        /// Pixels allowed.
        max: u64,
    },
    /// Too many frames.
    #[error("the image has {got} frames, max_frame_count of this upload is {max}")]
    Frames {
        /// Frames.
        got: u32,
        /// Frames allowed.
        max: u32,
    },
    /// Too many bytes.
    #[error("the file has {got} bytes, max_file_size of this upload is {max}")]
    FileSize {
        /// Bytes.
        got: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// It stands still.
    #[error("the image stands still, and allow_image of this upload is false")]
    Image,
    /// It moves.
    #[error("the image has {frames} frames, and allow_animation of this upload is false")]
    Animation {
        /// Frames.
        frames: u32,
    },
}

impl Limits {
    /// The names that they have in a query.
    pub const NAMES: [&'static str; 8] = [
        "max_width",
        "max_height",
        "max_area",
        "max_frame_count",
        "max_file_size",
        "allow_image",
        "allow_animation",
        "allow_video",
    ];

    /// Holds the size of a file against them, of which nothing else is known yet.
    ///
    /// # Errors
    /// [`LimitError::FileSize`].
    pub fn check_size(&self, got: u64) -> Result<(), LimitError> {
        match self.max_file_size_bytes {
            Some(max) if got > max => Err(LimitError::FileSize { got, max }),
            Some(_) | None => Ok(()),
        }
    }

    /// Holds a picture against them: as it was taken in, before any step was done to it.
    ///
    /// # Errors
    /// [`LimitError`] for the first that it does not keep.
    pub fn check(&self, details: &Details) -> Result<(), LimitError> {
        let Details { width, height, frames, .. } = *details;
        let area = u64::from(width) * u64::from(height);
        let over = |max: Option<u32>, got: u32| max.filter(|max| got > *max);
        if let Some(max) = over(self.max_width, width) {
            return Err(LimitError::Width { got: width, max });
        }
        if let Some(max) = over(self.max_height, height) {
            return Err(LimitError::Height { got: height, max });
        }
        if let Some(max) = over(self.max_frame_count, frames) {
            return Err(LimitError::Frames { got: frames, max });
        }
        if let Some(max) = self.max_area.filter(|max| area > *max) {
            return Err(LimitError::Area { got: area, max });
        }
        match frames {
            0..=1 if !self.allow_image => Err(LimitError::Image),
            2.. if !self.allow_animation => Err(LimitError::Animation { frames }),
            _ => Ok(()),
        }
    }

    fn read(&mut self, name: &str, value: &str) -> Result<(), TermsError> {
        match name {
            "max_width" => self.max_width = Some(number("max_width", value)?),
            "max_height" => self.max_height = Some(number("max_height", value)?),
            "max_area" => self.max_area = Some(whole("max_area", value)?),
            "max_frame_count" => self.max_frame_count = Some(number("max_frame_count", value)?),
            "max_file_size" => {
                self.max_file_size_bytes = Some(whole("max_file_size", value)?.saturating_mul(MEBIBYTE));
            }
            "allow_image" => self.allow_image = flag("allow_image", value)?,
            "allow_animation" => self.allow_animation = flag("allow_animation", value)?,
            "allow_video" => self.allow_video = flag("allow_video", value)?,
            _ => {}
        }
        Ok(())
    }
}

/// What is wrong with the query of an upload.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TermsError {
    /// A limit that cannot be read.
    #[error("{name}={value} cannot be read: {name} takes {takes}")]
    Unreadable {
        /// The limit.
        name: &'static str,
        /// What was given, cut to a length fit for a message.
        value: String,
        /// What would have been right.
        takes: &'static str,
    },
    /// A key that an upload does not have. A limit that is passed over because of its spelling would be none.
    #[error("an upload has no parameter {name:?}{}", hint(.name, keys()))]
    Unknown {
        /// The key, cut to a length fit for a message.
        name: String,
    },
    /// A step that cannot be read.
    #[error(transparent)]
    Step(#[from] FilterError),
}

fn keys() -> impl Iterator<Item = &'static str> {
    Limits::NAMES.into_iter().chain(super::Filter::NAMES).chain(Asked::PARAMETERS)
}

fn whole(name: &'static str, value: &str) -> Result<u64, TermsError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    // What does not fit is more than any picture has.
    let read = digits.then(|| value.parse().unwrap_or(u64::MAX));
    read.ok_or_else(|| TermsError::Unreadable { name, value: shown(value), takes: "a whole number" })
}

fn number(name: &'static str, value: &str) -> Result<u32, TermsError> {
    Ok(u32::try_from(whole(name, value)?).unwrap_or(u32::MAX))
}

fn flag(name: &'static str, value: &str) -> Result<bool, TermsError> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(TermsError::Unreadable { name, value: shown(value), takes: "true or false" }),
    }
}

/// What one upload asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Terms {
    /// What its pictures have to keep.
    pub limits: Limits,
    /// What is done to them before they are stored.
    pub steps: Asked,
}

impl Terms {
    /// Reads pairs of a query; the last of a limit counts, steps are done in their order.
    ///
    /// # Errors
    /// [`TermsError`] for a key that is none, or a value that cannot be read.
    pub fn read<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, TermsError> {
        let mut limits = Limits::default();
        let mut steps = Vec::new();
        for (name, value) in pairs {
            if Limits::NAMES.contains(&name) {
                limits.read(name, value)?;
            } else if Asked::knows(name) {
                steps.push((name, value));
            } else {
                return Err(TermsError::Unknown { name: shown(name) });
            }
        }
        let steps = Asked::read(steps, |_| true)?;
        // That there are too many is told before a byte of the upload is read.
        steps.variant(OutputFormat::Webp)?;
        Ok(Self { limits, steps })
    }

    /// Whether it asks for anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A text that is equal where the same bytes become the same picture, or are refused.
    #[must_use]
    pub fn key(&self) -> String {
        let Limits { max_width, max_height, max_area, max_frame_count, max_file_size_bytes, .. } = self.limits;
        let Limits { allow_image, allow_animation, .. } = self.limits;
        // The lossy format, which heeds all there is.
        let steps = self.steps.variant(OutputFormat::Webp);
        let mut text = steps.map(|steps| steps.key().as_str().to_owned()).unwrap_or_default();
        let (sides, counts) = ((max_width, max_height), (max_area, max_frame_count, max_file_size_bytes));
        // Nothing fails that is written to memory.
        let _written = write!(text, "; {sides:?} {counts:?} {allow_image} {allow_animation}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Format;

    fn read(query: &str) -> Result<Terms, TermsError> {
        Terms::read(query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap()))
    }

    fn details(width: u32, height: u32, frames: u32) -> Details {
        Details { width, height, format: Format::Gif, frames }
    }

    #[test]
    fn each_limit_is_kept_at_its_edge_and_not_past_it() {
        for (query, kept, over) in [
            ("max_width=30", (30, 99, 1), (31, 1, 1)),
            ("max_height=30", (99, 30, 1), (1, 31, 1)),
            ("max_area=600", (20, 30, 1), (601, 1, 1)),
            ("max_frame_count=3", (9, 9, 3), (9, 9, 4)),
            ("allow_image=false", (9, 9, 2), (9, 9, 1)),
            ("allow_animation=false", (9, 9, 1), (9, 9, 2)),
            // The last one counts.
            ("max_width=1&max_width=30", (30, 99, 1), (31, 1, 1)),
        ] {
            let check = |(width, height, frames)| read(query).unwrap().limits.check(&details(width, height, frames));
            assert_eq!(check(kept), Ok(()), "{query}");
            assert!(check(over).is_err(), "{query}");
        }
        let limits = read("max_file_size=2").unwrap().limits;
        assert_eq!(limits.check_size(2 << 20), Ok(()));
        assert_eq!(limits.check_size((2 << 20) + 1), Err(LimitError::FileSize { got: 2_097_153, max: 2_097_152 }));
        assert_eq!(Limits::default().check(&details(u32::MAX, u32::MAX, u32::MAX)), Ok(()));
    }

    #[test]
    fn what_cannot_be_read_or_is_not_known_is_named() {
        for (query, said) in [
            ("max_width=", "max_width= cannot be read: max_width takes a whole number"),
            ("max_area=-1", "max_area=-1 cannot be read: max_area takes a whole number"),
            ("allow_video=1", "allow_video=1 cannot be read: allow_video takes true or false"),
            ("max_widht=3", "an upload has no parameter \"max_widht\"; the nearest is max_width"),
            ("src=a", "an upload has no parameter \"src\""),
            ("resize=x", "resize=x cannot be read: "),
        ] {
            let told = read(query).unwrap_err().to_string();
            assert!(told.starts_with(said), "{told}");
        }
        assert!(matches!(read(&"blur=1&".repeat(17)), Err(TermsError::Step(FilterError::TooMany { .. }))));
        assert_eq!(read("max_width=99999999999999999999").unwrap().limits.max_width, Some(u32::MAX));
        for name in Limits::NAMES {
            assert!(read(&format!("{name}=?")).is_err(), "{name}");
        }
    }

    #[test]
    fn whatever_makes_another_picture_or_a_refusal_is_in_the_key() {
        let keys = [
            "",
            "resize=30",
            "resize=31",
            "quality=30&resize=30",
            "max_width=30",
            "max_height=30",
            "max_area=30",
            "max_frame_count=30",
            "max_file_size=30",
            "allow_image=false",
            "allow_animation=false",
        ]
        .map(|query| read(query).unwrap().key());
        let different: std::collections::BTreeSet<&String> = keys.iter().collect();
        assert_eq!(different.len(), keys.len(), "{keys:?}");
        assert_eq!(read("resize=30&allow_video=true").unwrap().key(), read("resize=Lanczos3.30").unwrap().key());
        assert!(read("").unwrap().is_empty() && read("allow_image=true").unwrap().is_empty());
        assert!(!read("allow_video=false").unwrap().is_empty() && !read("blur=1").unwrap().is_empty());
    }
}
