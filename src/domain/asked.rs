//! What a query asks for: filters in their order, and how the file is to come of them.

use super::{
    filter::{Filter, FilterError, Gravity, shown},
    format::OutputFormat,
    quality::Quality,
    variant::{Aim, Background, Finish, Variant},
};

/// The least and the most pixels of a screen for one of a page.
const DPR: std::ops::RangeInclusive<f32> = 0.25..=8.0;

/// What a query asks for, in any format.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    filters: Vec<Filter>,
    finish: Finish,
}

impl Asked {
    /// What stands in a query and is no filter, but changes what comes of them: the last of each counts, wherever it stands.
    pub const PARAMETERS: [&'static str; 5] = [Quality::NAME, "max_bytes", "background", Gravity::NAME, "dpr"];

    /// Whether it is the name of a filter, or of one of [`Self::PARAMETERS`]: what a whitelist may hold.
    #[must_use]
    pub fn knows(name: &str) -> bool {
        Filter::NAMES.contains(&name) || Self::PARAMETERS.contains(&name)
    }

    /// Reads pairs of a query. Those of other names are passed over, and those that are not `allowed`.
    ///
    /// # Errors
    /// [`FilterError`] for a value that cannot be read.
    pub fn read<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        allowed: impl Fn(&str) -> bool,
    ) -> Result<Self, FilterError> {
        let mut asked = Self::default();
        let [mut quality, mut size, mut behind, mut gravity, mut dpr] = [None; 5];
        for (name, value) in pairs {
            if !allowed(name) {
                continue;
            }
            match name {
                Quality::NAME => quality = Some(value),
                "max_bytes" => size = Some(value),
                "background" => behind = Some(value),
                Gravity::NAME => gravity = Some(value),
                "dpr" => dpr = Some(value),
                _ => asked.filters.extend(Filter::parse(name, value).transpose()?),
            }
        }
        // Of each the last alone is read.
        asked.finish = Finish {
            aim: quality.map(aim).transpose()?,
            max_bytes: size.map(max_bytes).transpose()?,
            background: behind.map(background).transpose()?,
        };
        let gravity = gravity.map(Gravity::parse).transpose()?.unwrap_or_default();
        let dpr = dpr.map(ratio).transpose()?.unwrap_or(1.0);
        for filter in &mut asked.filters {
            *filter = filter.with_gravity(gravity).scaled(dpr);
        }
        Ok(asked)
    }

    /// Whether it keeps the part of a picture where the eye goes.
    #[must_use]
    pub fn is_smart(&self) -> bool {
        self.filters.iter().any(|filter| filter.is_smart())
    }

    /// Whether nothing is asked for but what is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.makes_what(&Self::default())
    }

    /// How the file is to come of the filters.
    #[must_use]
    pub const fn finish(&self) -> Finish {
        self.finish
    }

    /// Whether the other makes the same of every picture.
    #[must_use]
    pub fn makes_what(&self, other: &Self) -> bool {
        let changes = |asked: &Self| -> Vec<Filter> {
            asked.filters.iter().copied().filter(|filter| !filter.is_identity()).collect()
        };
        self.finish == other.finish && changes(self) == changes(other)
    }

    /// The variant in a format.
    ///
    /// # Errors
    /// [`FilterError::TooMany`].
    pub fn variant(&self, format: OutputFormat) -> Result<Variant, FilterError> {
        Ok(Variant::new(&self.filters, format)?.with_finish(self.finish))
    }
}

fn unreadable(filter: &'static str, value: &str, takes: &'static str) -> FilterError {
    FilterError::Unreadable { filter, value: shown(value), takes }
}

fn aim(value: &str) -> Result<Aim, FilterError> {
    if value == "auto" { Ok(Aim::Likeness) } else { Quality::parse(value).map(Aim::Quality) }
}

fn max_bytes(value: &str) -> Result<u32, FilterError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { Some(value.parse().unwrap_or(u32::MAX)) } else { None };
    let takes = "a whole number of bytes, at least 1";
    number.filter(|bytes| *bytes > 0).ok_or_else(|| unreadable("max_bytes", value, takes))
}

/// `rrggbb` or `rgb`, with or without a number sign.
fn background(value: &str) -> Result<Background, FilterError> {
    let wrong = || unreadable("background", value, "a colour in hexadecimal: ffffff, or fff");
    let digits = value.strip_prefix('#').unwrap_or(value);
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or_else(wrong)?;
    match (digits.len(), number.to_be_bytes()) {
        (6, [_, red, green, blue]) => Ok(Background([red, green, blue])),
        (3, [.., red, rest]) => Ok(Background([red, rest >> 4, rest & 15].map(|digit| digit * 17))),
        _ => Err(wrong()),
    }
}

fn ratio(value: &str) -> Result<f32, FilterError> {
    let number = value.parse::<f32>().ok().filter(|number| DPR.contains(number));
    number.ok_or_else(|| unreadable("dpr", value, "a ratio from 0.25 to 8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Asked, FilterError> {
        Asked::read(pairs.iter().copied(), |_| true)
    }

    fn key(pairs: &[(&str, &str)], format: OutputFormat) -> String {
        read(pairs).unwrap().variant(format).unwrap().key().as_str().to_owned()
    }

    #[test]
    fn filters_keep_their_order_and_parameters_count_wherever_they_stand() {
        let jpg = OutputFormat::Jpg;
        assert_eq!(key(&[("blur", "3"), ("thumbnail", "64"), ("utm", "x")], jpg), "blur=3&thumbnail=64&jpg");
        assert_eq!(
            key(&[("gravity", "smart"), ("cover", "30x20"), ("dpr", "2"), ("thumbnail", "9")], jpg),
            "cover=60x40.smart&thumbnail=18&jpg"
        );
        // What says it itself is not asked again.
        let own = [("crop", "1x1.west"), ("cover", "9x9"), ("gravity", "east")];
        assert_eq!(key(&own, jpg), "crop=1x1.west&cover=9x9.east&jpg");
        // A gravity without anything to place makes no other variant.
        assert_eq!(key(&[("thumbnail", "9"), ("gravity", "north")], jpg), "thumbnail=9&jpg");
        assert_eq!(key(&[("quality", "?"), ("quality", "auto")], jpg), "quality=auto&jpg");
        assert_eq!(key(&[("max_bytes", "1000"), ("quality", "50")], jpg), "quality=50&max_bytes=1000&jpg");
        assert_eq!(
            key(&[("max_bytes", "1000"), ("quality", "50"), ("background", "#0fA")], OutputFormat::Png),
            "background=00ffaa&png"
        );
    }

    #[test]
    fn what_is_not_allowed_is_not_even_read() {
        let asked = Asked::read([("thumbnail", "9"), ("blur", "x"), ("dpr", "2")], |name| name == "thumbnail");
        assert_eq!(asked.unwrap().variant(OutputFormat::Jpg).unwrap().key().as_str(), "thumbnail=9&jpg");
    }

    #[test]
    fn parameters_that_cannot_be_read_are_named() {
        for (name, value, takes) in [
            ("quality", "best", "a whole number from 1 to 100"),
            ("max_bytes", "0", "a whole number of bytes"),
            ("max_bytes", "10k", "a whole number of bytes"),
            ("background", "white", "a colour in hexadecimal"),
            ("background", "12345", "a colour in hexadecimal"),
            ("background", "+fffff", "a colour in hexadecimal"),
            ("gravity", "up", "smart, center"),
            ("dpr", "0", "a ratio from 0.25 to 8"),
            ("dpr", "NaN", "a ratio from 0.25 to 8"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name}={value} cannot be read: ")) && error.contains(takes), "{error}");
        }
        assert_eq!(background("ff8000"), Ok(Background([255, 128, 0])));
        assert_eq!(max_bytes("99999999999"), Ok(u32::MAX));
    }

    #[test]
    fn names_are_known() {
        assert!(Asked::knows("blur") && Asked::knows("dpr") && !Asked::knows("src") && !Asked::knows("Blur"));
        for name in Asked::PARAMETERS {
            assert!(read(&[(name, "?")]).is_err(), "{name}");
        }
    }
}
