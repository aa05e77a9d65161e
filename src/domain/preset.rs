//! Presets: variants that an operator has named.

use super::{
    asked::Asked,
    filter::{Filter, FilterError, shown},
    format::OutputFormat,
    nearest::hint,
};

/// A variant with a name, in a format or in the one that suits the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    asked: Asked,
    /// `None`: the client's headers decide.
    format: Option<OutputFormat>,
}

/// Why a text is no preset.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PresetError {
    /// A name that is neither a filter's nor a parameter's.
    #[error(
        "{got:?} is no filter, use {}, {}, format{}",
        Filter::NAMES.join(", "),
        Asked::PARAMETERS.join(", "),
        hint(.got, Filter::NAMES.into_iter().chain(Asked::PARAMETERS))
    )]
    UnknownName {
        /// What was given, shortened.
        got: String,
    },
    /// A format that is not written.
    #[error("format={got} is none of auto, {}", OutputFormat::ALL.map(OutputFormat::extension).join(", "))]
    UnknownFormat {
        /// What was given, shortened.
        got: String,
    },
    /// A value that cannot be read, or too many.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl Preset {
    /// Reads one as a query has it: `cover=128x128.smart&quality=auto&format=webp`; without a format it is `auto`.
    ///
    /// # Errors
    /// [`PresetError`] for whatever would be passed over in a query, too.
    pub fn parse(text: &str) -> Result<Self, PresetError> {
        let pairs: Vec<(&str, &str)> = text
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        let mut format = None;
        for (name, value) in &pairs {
            match *name {
                "format" if *value == "auto" => format = None,
                "format" => {
                    let known = OutputFormat::from_extension(value);
                    format = Some(known.ok_or_else(|| PresetError::UnknownFormat { got: shown(value) })?);
                }
                name if Asked::knows(name) => {}
                name => return Err(PresetError::UnknownName { got: shown(name) }),
            }
        }
        let asked = Asked::read(pairs, |_| true)?;
        // Too many filters are told now, and not to each client.
        asked.variant(OutputFormat::Jpg)?;
        Ok(Self { asked, format })
    }

    /// What it asks for.
    #[must_use]
    pub const fn asked(&self) -> &Asked {
        &self.asked
    }

    /// The format; `None`: the client's headers decide.
    #[must_use]
    pub const fn format(&self) -> Option<OutputFormat> {
        self.format
    }

    /// Whether a request for this in that format is one for the preset; in any format, where the preset has none of its own.
    #[must_use]
    pub fn is(&self, asked: &Asked, format: Option<OutputFormat>) -> bool {
        self.asked.makes_what(asked) && (self.format.is_none() || self.format == format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_is_a_query_that_must_be_right() {
        let preset = Preset::parse("cover=128x128.smart&quality=auto&format=webp").unwrap();
        assert_eq!(preset.format(), Some(OutputFormat::Webp));
        let key = preset.asked().variant(OutputFormat::Webp).unwrap().key();
        assert_eq!(key.as_str(), "cover=128x128.smart&quality=auto&webp");
        assert_eq!(Preset::parse("thumbnail=9&format=auto").unwrap().format(), None);
        assert!(Preset::parse("").unwrap().asked().variant(OutputFormat::Jpg).unwrap().filters().is_empty());
        for (text, said) in [
            ("thumnail=9", "\"thumnail\" is no filter, use identity, thumbnail, "),
            ("thumbnail=9&format=tiff", "format=tiff is none of auto, jpg, png, webp"),
            ("thumbnail=big", "thumbnail=big cannot be read"),
            (&"blur=1&".repeat(17), "17 filters were given, the limit is 16"),
        ] {
            let error = Preset::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn a_request_is_one_for_a_preset_by_what_it_makes() {
        let asked = |text: &str| Preset::parse(text).unwrap().asked().clone();
        let (any, webp) = (Preset::parse("thumbnail=9").unwrap(), Preset::parse("thumbnail=9&format=webp").unwrap());
        let same = asked("identity=true&blur=0&thumbnail=9");
        assert!(any.is(&same, Some(OutputFormat::Png)) && any.is(&same, None));
        assert!(webp.is(&same, Some(OutputFormat::Webp)) && !webp.is(&same, Some(OutputFormat::Png)));
        assert!(!any.is(&asked("thumbnail=10"), None) && !any.is(&asked("thumbnail=9&quality=5"), None));
    }
}
