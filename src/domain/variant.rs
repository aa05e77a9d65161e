//! A variant: a picture derived from an original by filters, in an output format.

use std::fmt::{self, Write as _};

use super::{format::OutputFormat, quality::Quality};

/// The largest standard deviation a blur may ask for, in pixels.
pub const MAX_SIGMA: f32 = 10_000.0;

/// The most filters one request may name.
pub const MAX_FILTERS: usize = 16;

/// One step of a variant, as the query names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    /// No change.
    Identity,
    /// Fit inside a square of this side, in pixels (at least 1); never enlarges.
    Thumbnail(u32),
    /// Gaussian blur with this standard deviation in pixels; 0 is no change.
    Blur(f32),
}

/// Why a filter's value was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// Not a number of the kind the filter takes.
    #[error("{filter}={value} cannot be read: {filter} takes {takes}")]
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
    /// More filters than [`MAX_FILTERS`].
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
    pub const NAMES: [&'static str; 3] = ["identity", "thumbnail", "blur"];

    /// Reads one `name=value` of a query. `None` when `name` (case-sensitive) is no filter.
    pub fn parse(name: &str, value: &str) -> Option<Result<Self, FilterError>> {
        match name {
            "identity" => Some(Ok(Self::Identity)),
            "thumbnail" => Some(parse_thumbnail(value)),
            "blur" => Some(parse_blur(value)),
            _ => None,
        }
    }

    /// The name it has in a query and in the whitelist.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Thumbnail(_) => "thumbnail",
            Self::Blur(_) => "blur",
        }
    }

    /// Whether it leaves every picture as it is.
    #[must_use]
    pub fn is_identity(self) -> bool {
        match self {
            Self::Identity => true,
            Self::Thumbnail(_) => false,
            Self::Blur(sigma) => sigma <= 0.0,
        }
    }
}

fn parse_thumbnail(value: &str) -> Result<Filter, FilterError> {
    let unreadable = || FilterError::Unreadable {
        filter: "thumbnail",
        value: shown(value),
        takes: "a whole number of pixels, at least 1",
    };
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unreadable());
    }
    // All digits: what does not fit is larger than any picture, and a thumbnail never enlarges.
    match value.parse::<u32>().unwrap_or(u32::MAX) {
        0 => Err(unreadable()),
        side => Ok(Filter::Thumbnail(side)),
    }
}

fn parse_blur(value: &str) -> Result<Filter, FilterError> {
    match value.parse::<f64>() {
        Ok(sigma) if sigma > f64::from(MAX_SIGMA) && sigma.is_finite() => {
            Err(FilterError::TooLarge { filter: "blur", got: shown(value), max: MAX_SIGMA })
        }
        #[expect(clippy::cast_possible_truncation, reason = "finite and at most 10,000: f32 holds it to 1e-7")]
        Ok(sigma) if sigma.is_finite() => Ok(Filter::Blur((sigma as f32).max(0.0))),
        Ok(_) | Err(_) => Err(FilterError::Unreadable {
            filter: "blur",
            value: shown(value),
            takes: "a standard deviation in pixels, a finite number",
        }),
    }
}

/// A value as a message shows it: at most 40 characters, none of them a control character.
pub(super) fn shown(value: &str) -> String {
    value.chars().take(40).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => f.write_str("identity=true"),
            Self::Thumbnail(side) => write!(f, "thumbnail={side}"),
            Self::Blur(sigma) => write!(f, "blur={sigma}"),
        }
    }
}

/// The filters of a request in their order, without those that change nothing, and the file that is to come of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    filters: Vec<Filter>,
    format: OutputFormat,
    quality: Option<Quality>,
    still: bool,
}

impl Variant {
    /// The variant that `filters`, applied in order, and `format` make.
    ///
    /// # Errors
    /// [`FilterError::TooMany`] past [`MAX_FILTERS`] filters.
    pub fn new(filters: &[Filter], format: OutputFormat) -> Result<Self, FilterError> {
        if filters.len() > MAX_FILTERS {
            return Err(FilterError::TooMany { got: filters.len(), max: MAX_FILTERS });
        }
        let filters = filters.iter().copied().filter(|filter| !filter.is_identity()).collect();
        Ok(Self { filters, format, quality: None, still: false })
    }

    /// The same, encoded at this quality instead of the server's; in a lossless format nothing is changed by it.
    #[must_use]
    pub fn with_quality(mut self, quality: Option<Quality>) -> Self {
        self.quality = quality.filter(|_| self.format.is_lossy());
        self
    }

    /// The same in another format, of the same quality as far as it has one; `still` keeps one that moves to the first frame.
    #[must_use]
    pub fn instead(&self, format: OutputFormat, still: bool) -> Self {
        Self { format, still: still && format.moves(), ..self.clone() }.with_quality(self.quality)
    }

    /// Whether it shows the first frame only, of an animation in a format that moves.
    #[must_use]
    pub const fn is_still(&self) -> bool {
        self.still || !self.format.moves()
    }

    /// The filters that change something, in order.
    #[must_use]
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The format it is encoded in.
    #[must_use]
    pub const fn format(&self) -> OutputFormat {
        self.format
    }

    /// The quality that was asked for; `None` is the server's own.
    #[must_use]
    pub const fn quality(&self) -> Option<Quality> {
        self.quality
    }

    /// The name of this variant among those of its original.
    #[must_use]
    pub fn key(&self) -> VariantKey {
        // One allocation: a hit in memory is looked for by this.
        let mut text = String::with_capacity(48);
        // Nothing fails that is written to memory.
        for filter in &self.filters {
            let _written = write!(text, "{filter}&");
        }
        if let Some(quality) = self.quality {
            let _written = write!(text, "{quality}&");
        }
        if self.still {
            text.push_str("still&");
        }
        text.push_str(self.format.extension());
        VariantKey(text)
    }
}

/// The canonical text of a variant: `thumbnail=256&blur=3&quality=60&jpg`. Equal texts are equal pictures.
///
/// A quality that was asked for is in it even where it is the server's own: that one may be another after a restart, and
/// a client that names a number is to get that number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariantKey(String);

impl VariantKey {
    /// A key read back from where it was stored.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The format of the variant: the last part of the text.
    #[must_use]
    pub fn format(&self) -> Option<OutputFormat> {
        OutputFormat::from_extension(self.0.rsplit('&').next()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, value: &str) -> Option<Filter> {
        Filter::parse(name, value).map(Result::unwrap)
    }

    #[test]
    fn values_are_read_as_the_contract_says() {
        assert_eq!(parse("thumbnail", "256"), Some(Filter::Thumbnail(256)));
        assert_eq!(parse("thumbnail", "99999999999999999999"), Some(Filter::Thumbnail(u32::MAX)));
        assert_eq!(parse("blur", "3.0"), Some(Filter::Blur(3.0)));
        assert_eq!(parse("blur", "-1"), Some(Filter::Blur(0.0)));
        assert_eq!(parse("blur", "1e4"), Some(Filter::Blur(10_000.0)));
        assert_eq!(parse("identity", "true"), Some(Filter::Identity));
        assert_eq!(parse("Thumbnail", "256"), None);
        assert_eq!(parse("utm_source", "x"), None);
    }

    #[test]
    fn unreadable_values_are_named() {
        for value in ["", "abc", "0", "-1", "1e9", "1.5", "+5", " 5", "0x10"] {
            let error = Filter::parse("thumbnail", value).unwrap().unwrap_err();
            assert!(error.to_string().starts_with(&format!("thumbnail={value} cannot be read")), "{error}");
        }
        for value in ["", "abc", "NaN", "inf", "-inf", "1e999"] {
            let error = Filter::parse("blur", value).unwrap().unwrap_err();
            assert!(error.to_string().starts_with(&format!("blur={value} cannot be read")), "{error}");
        }
        let error = Filter::parse("blur", "1e9").unwrap().unwrap_err();
        assert_eq!(error.to_string(), "blur=1e9 is over the limit of 10000");
    }

    #[test]
    fn order_counts_and_what_changes_nothing_does_not() {
        let key = |filters: &[Filter]| Variant::new(filters, OutputFormat::Jpg).unwrap().key();
        let (small, soft) = (Filter::Thumbnail(256), Filter::Blur(3.0));
        assert_eq!(key(&[small, soft]).as_str(), "thumbnail=256&blur=3&jpg");
        assert_ne!(key(&[small, soft]), key(&[soft, small]));
        assert_eq!(key(&[Filter::Identity, small, Filter::Blur(0.0)]), key(&[small]));
        assert_ne!(key(&[small]), Variant::new(&[small], OutputFormat::Png).unwrap().key());
        assert_eq!(Variant::new(&[small; 17], OutputFormat::Jpg), Err(FilterError::TooMany { got: 17, max: 16 }));
    }

    #[test]
    fn quality_is_part_of_the_key_where_it_changes_the_file() {
        let key = |format, quality: u8| {
            let variant = Variant::new(&[Filter::Thumbnail(256)], format).unwrap();
            variant.with_quality(Some(Quality::new(quality))).key()
        };
        assert_eq!(key(OutputFormat::Jpg, 60).as_str(), "thumbnail=256&quality=60&jpg");
        assert_ne!(key(OutputFormat::Webp, 60), key(OutputFormat::Webp, 61));
        for lossless in OutputFormat::ALL.into_iter().filter(|format| !format.is_lossy()) {
            assert_eq!(key(lossless, 60).as_str(), format!("thumbnail=256&{}", lossless.extension()));
        }
        let avif = Variant::new(&[Filter::Thumbnail(9)], OutputFormat::Avif).unwrap();
        let avif = avif.with_quality(Some(Quality::new(60)));
        assert_eq!(avif.instead(OutputFormat::Webp, true).key().as_str(), "thumbnail=9&quality=60&still&webp");
        assert_eq!(avif.instead(OutputFormat::Webp, false).key().as_str(), "thumbnail=9&quality=60&webp");
        assert_eq!(avif.instead(OutputFormat::Jpg, true).key().as_str(), "thumbnail=9&quality=60&jpg");
        assert!(avif.is_still() && avif.instead(OutputFormat::Webp, true).is_still());
        assert!(!avif.instead(OutputFormat::Webp, false).is_still());
        let bare = Variant::new(&[], OutputFormat::Jpg).unwrap();
        assert_eq!(bare.clone().with_quality(None).key().as_str(), "jpg");
        assert_eq!(bare.with_quality(Some(Quality::new(9))).key().as_str(), "quality=9&jpg");
    }
}
