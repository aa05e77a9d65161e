//! What parent and child say to each other: a length, that much JSON, and the bytes it speaks of.
//!
//! Down goes an [`Order`] and the file behind it, up comes a [`Reply`] and pixels behind it. Whoever reads a reply takes it for the words
//! of a stranger: its length is bounded, its sizes are held against the budget before anything is allocated.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::codec::{Budget, CodecError, InputFormat};
use crate::pixels::{Layout, Pixmap};

/// Bytes of the length in front.
pub(super) const LENGTH_BYTES: usize = 4;

/// The longest JSON.
pub(super) const MAX_JSON_BYTES: usize = 8192;

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// Bytes of the file, behind this.
    pub(super) file_bytes: u64,
    /// Whether each layer has to be in force, in the order of [`Layer::ALL`](super::Layer::ALL).
    pub(super) layers: [bool; 3],
    /// Time left.
    millis: Option<u64>,
    max_pixels: u64,
    max_side: u32,
    max_frames: u32,
    max_animation_pixels: u64,
    max_scans: u32,
    max_scan_pixels: u64,
    max_metadata_bytes: u64,
    max_profile_bytes: u64,
    max_memory_bytes: u64,
}

impl Order {
    pub(super) fn new(file_bytes: u64, layers: [bool; 3], budget: &Budget) -> Self {
        let left = budget.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        Self {
            file_bytes,
            layers,
            millis: left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            max_pixels: budget.max_pixels,
            max_side: budget.max_side,
            max_frames: budget.max_frames,
            max_animation_pixels: budget.max_animation_pixels,
            max_scans: budget.max_scans,
            max_scan_pixels: budget.max_scan_pixels,
            max_metadata_bytes: budget.max_metadata_bytes,
            max_profile_bytes: budget.max_profile_bytes,
            max_memory_bytes: budget.max_memory_bytes,
        }
    }

    /// The limits, with a deadline by this process' own clock.
    pub(super) fn budget(&self) -> Budget {
        Budget {
            max_pixels: self.max_pixels,
            max_side: self.max_side,
            max_frames: self.max_frames,
            max_animation_pixels: self.max_animation_pixels,
            max_scans: self.max_scans,
            max_scan_pixels: self.max_scan_pixels,
            max_metadata_bytes: self.max_metadata_bytes,
            max_profile_bytes: self.max_profile_bytes,
            max_memory_bytes: self.max_memory_bytes,
            deadline: self.millis.and_then(|millis| Instant::now().checked_add(Duration::from_millis(millis))),
        }
    }

    /// Memory that the child may take: what the picture may, and the file beside it.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.max_memory_bytes.saturating_add(self.file_bytes)
    }

    /// Processor time that it may take, whole seconds: the parent is first, if there still is one.
    pub(super) fn cpu_secs(&self) -> Option<u64> {
        self.millis.map(|millis| millis.div_ceil(1000).saturating_add(1))
    }
}

/// What came of it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// A picture of this size; its bytes are behind this.
    Picture { width: u32, height: u32, channels: u8 },
    /// None.
    Refused(Refusal),
}

/// A [`CodecError`] on its way between processes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Refusal {
    NotAnImage,
    Unsupported { what: String },
    Damaged { format: String, cause: String },
    TooManyPixels { got: u64, max: u64, width: u32, height: u32 },
    SideTooLong { got: u32, max: u32 },
    TooManyFrames { got: u32, max: u32 },
    TooManyAnimationPixels { got: u64, max: u64 },
    TooComplex { format: String, what: String, got: u64, max: u64 },
    TooMuchMetadata { got: u64, max: u64 },
    TooMuchMemory { got: u64, max: u64 },
    Panicked { format: String },
    TimedOut,
}

impl From<CodecError> for Refusal {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::NotAnImage => Self::NotAnImage,
            CodecError::Unsupported { what } => Self::Unsupported { what: cut(what) },
            CodecError::Damaged { format, cause } => Self::Damaged { format: format.to_owned(), cause: cut(cause) },
            CodecError::TooManyPixels { got, max, width, height } => Self::TooManyPixels { got, max, width, height },
            CodecError::SideTooLong { got, max } => Self::SideTooLong { got, max },
            CodecError::TooManyFrames { got, max } => Self::TooManyFrames { got, max },
            CodecError::TooManyAnimationPixels { got, max } => Self::TooManyAnimationPixels { got, max },
            CodecError::TooComplex { format, what, got, max } => {
                Self::TooComplex { format: format.to_owned(), what: what.into_owned(), got, max }
            }
            CodecError::TooMuchMetadata { got, max } => Self::TooMuchMetadata { got, max },
            CodecError::TooMuchMemory { got, max } => Self::TooMuchMemory { got, max },
            CodecError::Panicked { format } => Self::Panicked { format: format.to_owned() },
            CodecError::TimedOut => Self::TimedOut,
            // Of JPEGs, encoders and of this module itself: no decoder that is apart says so.
            other @ (CodecError::TooManyScans { .. }
            | CodecError::TooScattered { .. }
            | CodecError::TooLargeForFormat { .. }
            | CodecError::Crashed { .. }
            | CodecError::NoDecoder { .. }
            | CodecError::Encode { .. }) => Self::Unsupported { what: cut(format!("the picture ({other})")) },
        }
    }
}

impl Refusal {
    /// As the error it was, of a file that is in this format.
    pub(super) fn into_error(self, format: InputFormat) -> CodecError {
        let named =
            |name: &str| InputFormat::ALL.into_iter().find(|format| format.name() == name).unwrap_or(format).name();
        match self {
            Self::NotAnImage => CodecError::NotAnImage,
            Self::Unsupported { what } => CodecError::Unsupported { what: clean(&what) },
            Self::Damaged { format, cause } => CodecError::Damaged { format: named(&format), cause: clean(&cause) },
            Self::TooManyPixels { got, max, width, height } => CodecError::TooManyPixels { got, max, width, height },
            Self::SideTooLong { got, max } => CodecError::SideTooLong { got, max },
            Self::TooManyFrames { got, max } => CodecError::TooManyFrames { got, max },
            Self::TooManyAnimationPixels { got, max } => CodecError::TooManyAnimationPixels { got, max },
            Self::TooComplex { format, what, got, max } => {
                CodecError::TooComplex { format: named(&format), what: Cow::Owned(clean(&what)), got, max }
            }
            Self::TooMuchMetadata { got, max } => CodecError::TooMuchMetadata { got, max },
            Self::TooMuchMemory { got, max } => CodecError::TooMuchMemory { got, max },
            Self::Panicked { format } => CodecError::Panicked { format: named(&format) },
            Self::TimedOut => CodecError::TimedOut,
        }
    }
}

/// The longest text of a refusal: JSON makes at most six bytes of one.
const MAX_TEXT_CHARS: usize = 300;

fn cut(text: String) -> String {
    if text.chars().count() > MAX_TEXT_CHARS { text.chars().take(MAX_TEXT_CHARS).collect() } else { text }
}

/// The text as it may stand in an answer or a log, whoever wrote it.
fn clean(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The channels as a layout, if there is one of so many.
pub(super) fn layout(channels: u8) -> Option<Layout> {
    [Layout::Luma, Layout::LumaAlpha, Layout::Rgb, Layout::Rgba]
        .into_iter()
        .find(|layout| layout.channels() == usize::from(channels))
}

impl From<&Pixmap> for Reply {
    fn from(picture: &Pixmap) -> Self {
        let channels = u8::try_from(picture.layout().channels()).unwrap_or_default();
        Self::Picture { width: picture.width(), height: picture.height(), channels }
    }
}

/// The length, and the JSON behind it.
pub(super) fn framed<T: Serialize>(message: &T) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
    Ok(length.to_le_bytes().into_iter().chain(json).collect())
}

/// How long the JSON is that this length stands in front of; `None` when it is none that would be read.
pub(super) fn json_bytes(length: [u8; LENGTH_BYTES]) -> Option<usize> {
    let length = u32::from_le_bytes(length) as usize;
    (1..=MAX_JSON_BYTES).contains(&length).then_some(length)
}

/// What the JSON says.
pub(super) fn read<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_the_same_on_the_other_side() {
        for error in [
            CodecError::NotAnImage,
            CodecError::unsupported("AVIF in layers"),
            CodecError::damaged("HEIC", "a \"cause\" with ünicode"),
            CodecError::TooManyPixels { got: u64::MAX, max: 1, width: 2, height: 3 },
            CodecError::SideTooLong { got: 2, max: 1 },
            CodecError::TooManyFrames { got: 2, max: 1 },
            CodecError::TooManyAnimationPixels { got: 2, max: 1 },
            CodecError::TooComplex { format: "SVG", what: "elements".into(), got: 2, max: 1 },
            CodecError::TooMuchMetadata { got: 2, max: 1 },
            CodecError::TooMuchMemory { got: 2, max: 1 },
            CodecError::Panicked { format: "JPEG XL" },
            CodecError::TimedOut,
        ] {
            let framed = framed(&Reply::Refused(error.clone().into())).unwrap();
            let (length, json) = framed.split_at(LENGTH_BYTES);
            assert_eq!(json_bytes(length.try_into().unwrap()), Some(json.len()));
            let Some(Reply::Refused(refusal)) = read(json) else { panic!("{error}") };
            assert_eq!(refusal.into_error(InputFormat::Avif), error);
        }
    }

    #[test]
    fn what_a_stranger_says_is_cut_and_cleaned() {
        let told = |cause: &str| {
            let refusal = Refusal::Damaged { format: "EVIL".into(), cause: cause.into() };
            refusal.into_error(InputFormat::Avif).to_string()
        };
        assert_eq!(told("a\nb\u{1b}[0m"), "the AVIF file is damaged: a b [0m");
        assert!(told(&"x".repeat(5000)).len() < 400);
        // However it has to be escaped, what a child says fits.
        let longest = Refusal::from(CodecError::damaged("AVIF", "\u{1}".repeat(5000)));
        assert!(json_bytes(framed(&Reply::Refused(longest)).unwrap()[..4].try_into().unwrap()).is_some());
        assert_eq!(json_bytes([0; 4]), None);
        assert_eq!(json_bytes([255; 4]), None);
        assert!(read::<Reply>(b"{\"Picture\":{\"width\":-1}}").is_none());
        assert!(layout(0).is_none() && layout(5).is_none() && layout(3) == Some(Layout::Rgb));
    }

    #[test]
    fn an_order_keeps_the_budget() {
        // All of them different: one in the place of another is seen.
        let budget = Budget {
            max_pixels: 1,
            max_side: 2,
            max_frames: 3,
            max_animation_pixels: 4,
            max_scans: 5,
            max_scan_pixels: 6,
            max_metadata_bytes: 7,
            max_profile_bytes: 8,
            max_memory_bytes: 9,
            deadline: None,
        };
        let order: Order = read(&framed(&Order::new(5, [true, false, true], &budget)).unwrap()[4..]).unwrap();
        assert_eq!((order.budget(), order.memory_bytes(), order.cpu_secs()), (budget, 14, None));
        let deadline = Instant::now() + Duration::from_secs(60);
        let order = Order::new(5, [true; 3], &Budget { deadline: Some(deadline), ..budget });
        assert!(order.budget().deadline.unwrap() <= deadline + Duration::from_secs(1));
        assert_eq!(order.cpu_secs(), Some(61));
    }
}
