//! Image formats: those we store and those we write.

use serde::{Deserialize, Serialize};

/// A format a picture is stored and served in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JPEG.
    Jpg,
    /// PNG, and APNG with it.
    Png,
    /// WebP: lossy, lossless or animated.
    Webp,
    /// GIF, still or animated.
    Gif,
}

impl Format {
    /// The file extension, without a dot; also the name in the configuration.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
        }
    }

    /// The format with this file extension (exactly; no aliases).
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        [Self::Jpg, Self::Png, Self::Webp, Self::Gif].into_iter().find(|format| format.extension() == extension)
    }

    /// The media type it is served under.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
        }
    }
}

/// A format we can write: the extensions of `process.{ext}` and the values of `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// JPEG, 4:2:0, flattened on white.
    Jpg,
    /// PNG, 8 bits a channel.
    Png,
    /// WebP, lossy.
    Webp,
}

impl OutputFormat {
    /// Every format we write, in the order messages name them.
    pub const ALL: [Self; 3] = [Self::Jpg, Self::Png, Self::Webp];

    /// The format `process.{ext}` asks for: `jpg`, `png`, `webp`, and `jpeg` for `jpg`.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension {
            "jpg" | "jpeg" => Some(Self::Jpg),
            "png" => Some(Self::Png),
            "webp" => Some(Self::Webp),
            _ => None,
        }
    }

    /// The stored format that it is.
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::Jpg => Format::Jpg,
            Self::Png => Format::Png,
            Self::Webp => Format::Webp,
        }
    }
}

impl From<OutputFormat> for Format {
    fn from(output: OutputFormat) -> Self {
        output.format()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_exact_but_for_jpeg() {
        assert_eq!(OutputFormat::from_extension("jpeg"), Some(OutputFormat::Jpg));
        assert_eq!(OutputFormat::from_extension("JPG"), None);
        assert_eq!(OutputFormat::from_extension("gif"), None);
        assert_eq!(Format::from_extension("jpeg"), None);
        for output in OutputFormat::ALL {
            assert_eq!(OutputFormat::from_extension(output.format().extension()), Some(output));
            assert_eq!(Format::from_extension(output.format().extension()), Some(output.format()));
        }
    }
}
