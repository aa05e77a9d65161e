//! Why bytes did not become a picture, or a picture bytes; in sentences for the person who sent them.

use std::borrow::Cow;

/// Everything that can go wrong between bytes and pixels. `format` is a name for people: "JPEG", "PNG", ...
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// No format we know.
    #[error("the file is not an image in a format known here")]
    NotAnImage,
    /// A format, or a kind of a format, that is known and not read here.
    #[error("{what} is not supported")]
    Unsupported {
        /// What it is.
        what: String,
    },
    /// The file breaks the rules of its format, or stops early.
    #[error("the {format} file is damaged: {cause}")]
    Damaged {
        /// Its format.
        format: &'static str,
        /// What was found.
        cause: String,
    },
    /// More pixels than are decoded here.
    #[error("the image is {width} by {height}, {got} pixels: at most {max} are allowed")]
    TooManyPixels {
        /// Pixels of the picture.
        got: u64,
        /// Pixels allowed.
        max: u64,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A side longer than is decoded here.
    #[error("a side of the image is {got} pixels long: at most {max} are allowed")]
    SideTooLong {
        /// Pixels of the longer side.
        got: u32,
        /// Pixels allowed.
        max: u32,
    },
    /// An animation of too many pictures.
    #[error("the animation has {got} frames: at most {max} are allowed")]
    TooManyFrames {
        /// Frames it has.
        got: u32,
        /// Frames allowed.
        max: u32,
    },
    /// An animation of too many pixels in all.
    #[error("the animation has {got} pixels in all its frames: at most {max} are allowed")]
    TooManyAnimationPixels {
        /// Pixels of all frames.
        got: u64,
        /// Pixels allowed.
        max: u64,
    },
    /// A JPEG of too many scans, alone or for its size.
    #[error("the JPEG file has {got} scans: at most {max} are allowed for its size")]
    TooManyScans {
        /// Scans it has.
        got: u32,
        /// Scans allowed.
        max: u32,
    },
    /// A drawing of more parts than are drawn here.
    #[error("the {format} file has {got} {what}: at most {max} are allowed")]
    TooComplex {
        /// Its format.
        format: &'static str,
        /// Parts of which kind, many of them.
        what: Cow<'static, str>,
        /// How many there are; at least so many where counting stopped there.
        got: u64,
        /// How many are allowed.
        max: u64,
    },
    /// More bytes of metadata than are read here.
    #[error("the file holds {got} bytes of metadata: at most {max} are allowed")]
    TooMuchMetadata {
        /// Bytes of it.
        got: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// A file cut into too many pieces by what would have to be removed from it.
    #[error("the file holds metadata in {got} places or more: at most {max} are allowed")]
    TooScattered {
        /// Pieces found; counting may have stopped there.
        got: usize,
        /// Pieces allowed.
        max: usize,
    },
    /// Decoding would take too much memory.
    #[error("decoding the image would take {got} bytes of memory: at most {max} are allowed")]
    TooMuchMemory {
        /// Bytes it would take.
        got: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// A picture with a side that the output format has no number for.
    #[error("a side of {side} pixels does not fit in {format}: at most {max} do")]
    TooLargeForFormat {
        /// The output format.
        format: &'static str,
        /// Pixels of the longer side.
        side: u32,
        /// Pixels that fit.
        max: u32,
    },
    /// The codec panicked. A fault of ours or of a library, with this file as its cause.
    #[error("the {format} codec failed on this image")]
    Panicked {
        /// Whose codec.
        format: &'static str,
    },
    /// The decoder ended its process, or gave back what is no picture; with this file as its cause, in a process of its own.
    #[error("the {format} decoder crashed on this image")]
    Crashed {
        /// Whose decoder.
        format: &'static str,
        /// How it ended.
        how: String,
    },
    /// There is no process to decode in: no fault of the file.
    #[error("a decoder could not be started: {cause}")]
    NoDecoder {
        /// Why not.
        cause: String,
    },
    /// The deadline passed.
    #[error("the image took too long to process")]
    TimedOut,
    /// The encoder refused.
    #[error("the image could not be encoded as {format}: {cause}")]
    Encode {
        /// The output format.
        format: &'static str,
        /// What the encoder said.
        cause: String,
    },
}

impl CodecError {
    /// A damaged file of this format.
    pub(crate) fn damaged(format: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::Damaged { format, cause: cause.to_string() }
    }

    /// A file that stops before it should.
    pub(crate) fn truncated(format: &'static str) -> Self {
        Self::damaged(format, "it ends before its data does")
    }

    /// Something recognised and not read.
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }
}
