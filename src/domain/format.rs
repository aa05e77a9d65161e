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
    /// AVIF, still.
    Avif,
}

impl Format {
    /// Every format we store.
    pub const ALL: [Self; 5] = [Self::Jpg, Self::Png, Self::Webp, Self::Gif, Self::Avif];

    /// The file extension, without a dot; also the name in the configuration.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Avif => "avif",
        }
    }

    /// The format with this file extension (exactly; no aliases).
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.extension() == extension)
    }

    /// The media type it is served under.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Avif => "image/avif",
        }
    }
}

/// A format we can write: the extensions of `process.{ext}`, and some of them the values of `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// JPEG, flattened on white.
    Jpg,
    /// PNG, 8 bits a channel: a still picture.
    Png,
    /// WebP, lossy: animated where the source is.
    Webp,
    /// GIF, 256 colours a frame: animated where the source is.
    Gif,
    /// PNG with all frames of an animation.
    Apng,
}

impl OutputFormat {
    /// Every format we write, in the order messages name them.
    pub const ALL: [Self; 5] = [Self::Jpg, Self::Png, Self::Webp, Self::Gif, Self::Apng];

    /// Those that an upload can be converted to.
    pub const STORED: [Self; 3] = [Self::Jpg, Self::Png, Self::Webp];

    /// The format `process.{ext}` asks for: its extension, and `jpeg` for `jpg`.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        let extension = if extension == "jpeg" { "jpg" } else { extension };
        Self::ALL.into_iter().find(|format| format.extension() == extension)
    }

    /// The file extension, without a dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Apng => "apng",
            Self::Jpg | Self::Png | Self::Webp | Self::Gif => self.format().extension(),
        }
    }

    /// The media type it is served under.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Apng => "image/apng",
            Self::Jpg | Self::Png | Self::Webp | Self::Gif => self.format().media_type(),
        }
    }

    /// Whether it shows all frames of an animation.
    #[must_use]
    pub const fn moves(self) -> bool {
        match self {
            Self::Webp | Self::Gif | Self::Apng => true,
            Self::Jpg | Self::Png => false,
        }
    }

    /// Whether it gives up what is hard to see for a smaller file, and so has a quality. A GIF loses colours, but always as many.
    #[must_use]
    pub const fn is_lossy(self) -> bool {
        match self {
            Self::Jpg | Self::Webp => true,
            Self::Png | Self::Gif | Self::Apng => false,
        }
    }

    /// The stored format that it is.
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::Jpg => Format::Jpg,
            Self::Png | Self::Apng => Format::Png,
            Self::Webp => Format::Webp,
            Self::Gif => Format::Gif,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_exact_but_for_jpeg() {
        assert_eq!(OutputFormat::from_extension("jpeg"), Some(OutputFormat::Jpg));
        assert_eq!(OutputFormat::from_extension("JPG"), None);
        assert_eq!(OutputFormat::from_extension("tiff"), None);
        assert_eq!(Format::from_extension("jpeg"), None);
        for output in OutputFormat::ALL {
            assert_eq!(OutputFormat::from_extension(output.extension()), Some(output));
            assert_eq!(Format::from_extension(output.format().extension()), Some(output.format()));
        }
    }
}
