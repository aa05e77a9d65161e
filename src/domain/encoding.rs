//! How files are encoded: what an operator chooses, and what one request changes of it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{format::OutputFormat, nearest::hint, quality::Quality};

/// How much time an encoder takes for a smaller file. The picture looks the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// The least time.
    Fast,
    /// What is worth its time.
    #[default]
    Balanced,
    /// The smallest file.
    Small,
}

/// How many samples of colour a JPEG or an AVIF has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Chroma {
    /// As the picture needs: one a pixel where coloured edges would be seen to suffer.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// One for four pixels.
    #[serde(rename = "420")]
    Quarter,
    /// One a pixel.
    #[serde(rename = "444")]
    Full,
}

/// A name that is none of a setting's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is none of {names}{}", hint(.got, .names.split(", ")))]
pub struct NameError {
    /// What was given.
    pub got: String,
    /// What may be given.
    pub names: &'static str,
}

fn named<T: Copy>(got: &str, all: &[(&str, T)], names: &'static str) -> Result<T, NameError> {
    let found = all.iter().find(|(name, _)| *name == got).map(|(_, value)| *value);
    found.ok_or_else(|| NameError { got: got.chars().take(40).collect(), names })
}

impl Effort {
    const NAMES: [(&'static str, Self); 3] =
        [("fast", Self::Fast), ("balanced", Self::Balanced), ("small", Self::Small)];
}

impl FromStr for Effort {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        named(text, &Self::NAMES, "fast, balanced, small")
    }
}

impl Chroma {
    const NAMES: [(&'static str, Self); 3] = [("auto", Self::Auto), ("420", Self::Quarter), ("444", Self::Full)];
}

impl FromStr for Chroma {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        named(text, &Self::NAMES, "auto, 420, 444")
    }
}

/// How one file is encoded. Each format heeds what it has a use for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// For lossy formats.
    pub quality: Quality,
    /// For all but GIF.
    pub effort: Effort,
    /// For JPEG and AVIF.
    pub chroma: Chroma,
}

impl From<Quality> for Settings {
    fn from(quality: Quality) -> Self {
        Self { quality, ..Self::default() }
    }
}

/// The settings of every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoders {
    /// Of JPEG.
    pub jpeg: Settings,
    /// Of PNG and APNG.
    pub png: Settings,
    /// Of WebP.
    pub webp: Settings,
    /// Of AVIF.
    pub avif: Settings,
}

impl Default for Encoders {
    /// Quality 80. PNGs are made fast: a smaller one takes fifteen times as long.
    fn default() -> Self {
        let settings = Settings::default();
        Self { jpeg: settings, png: Settings { effort: Effort::Fast, ..settings }, webp: settings, avif: settings }
    }
}

impl Encoders {
    /// Those for a file of `format`, for a request that asks for `quality`, or not.
    #[must_use]
    pub fn of(&self, format: OutputFormat, quality: Option<Quality>) -> Settings {
        let settings = match format {
            OutputFormat::Jpg => self.jpeg,
            OutputFormat::Png | OutputFormat::Apng => self.png,
            OutputFormat::Webp => self.webp,
            OutputFormat::Avif => self.avif,
            OutputFormat::Gif => Settings::default(),
        };
        Settings { quality: quality.unwrap_or(settings.quality), ..settings }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fast => "fast",
            Self::Balanced => "balanced",
            Self::Small => "small",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        for (name, effort) in Effort::NAMES {
            assert_eq!(name.parse(), Ok(effort));
            assert_eq!(effort.to_string(), name);
            assert_eq!(serde_json::to_string(&effort).unwrap(), format!("\"{name}\""));
        }
        for (name, chroma) in Chroma::NAMES {
            assert_eq!(name.parse(), Ok(chroma));
            assert_eq!(serde_json::to_string(&chroma).unwrap(), format!("\"{name}\""));
        }
        assert_eq!("best".parse::<Effort>().unwrap_err().to_string(), "\"best\" is none of fast, balanced, small");
        assert_eq!(
            "422".parse::<Chroma>().unwrap_err().to_string(),
            "\"422\" is none of auto, 420, 444; the nearest is 420"
        );
    }

    #[test]
    fn a_request_changes_quality_and_nothing_else() {
        let encoders = Encoders {
            jpeg: Settings { quality: Quality::new(70), effort: Effort::Small, chroma: Chroma::Full },
            ..Encoders::default()
        };
        assert_eq!(encoders.of(OutputFormat::Jpg, None), encoders.jpeg);
        let asked = encoders.of(OutputFormat::Jpg, Some(Quality::new(30)));
        assert_eq!(asked, Settings { quality: Quality::new(30), ..encoders.jpeg });
        assert_eq!(encoders.of(OutputFormat::Apng, None), encoders.png);
    }
}
