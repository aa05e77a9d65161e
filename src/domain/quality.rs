//! How well a lossy encoder is to do.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::filter::{FilterError, shown};

/// How well a lossy encoder is to do, 1 to 100. The scale is that of JPEG; those of WebP and AVIF are like it, so that a
/// number means about the same look in each. Lossless formats have no use for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Quality(u8);

impl Quality {
    /// Its name in a query and in the whitelist.
    pub const NAME: &'static str = "quality";

    /// For originals that had to be converted: what is lost here is lost for good.
    pub const ORIGINAL: Self = Self(90);

    /// This quality, moved into 1 to 100.
    #[must_use]
    pub const fn new(quality: u8) -> Self {
        Self(match quality {
            0 => 1,
            1..=100 => quality,
            101.. => 100,
        })
    }

    /// The number, 1 to 100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Reads the value of `quality=value`: digits and nothing else.
    ///
    /// # Errors
    /// [`FilterError::Unreadable`] for what is no whole number from 1 to 100.
    pub fn parse(value: &str) -> Result<Self, FilterError> {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { value.parse::<u8>().ok() } else { None };
        number.filter(|number| (1..=100).contains(number)).map(Self).ok_or_else(|| FilterError::Unreadable {
            filter: Self::NAME,
            value: shown(value),
            takes: "a whole number from 1 to 100",
        })
    }
}

impl Default for Quality {
    fn default() -> Self {
        Self(80)
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", Self::NAME, self.0)
    }
}

impl From<Quality> for u8 {
    fn from(quality: Quality) -> Self {
        quality.0
    }
}

impl TryFrom<u8> for Quality {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        if (1..=100).contains(&number) { Ok(Self(number)) } else { Err(format!("{number} is not between 1 and 100")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_stays_in_its_scale() {
        assert_eq!(Quality::new(0).get(), 1);
        assert_eq!(Quality::new(255).get(), 100);
        assert_eq!(Quality::default().get(), 80);
        assert!(Quality::try_from(0).is_err() && Quality::try_from(101).is_err());
    }

    #[test]
    fn only_whole_numbers_from_1_to_100_are_read() {
        assert_eq!(Quality::parse("1").map(Quality::get), Ok(1));
        assert_eq!(Quality::parse("100").map(Quality::get), Ok(100));
        assert_eq!(Quality::parse("080").map(Quality::get), Ok(80));
        for value in ["", "0", "101", "256", "1000000000000", "-1", "+5", "80.0", "80%", " 80", "high"] {
            let error = Quality::parse(value).unwrap_err().to_string();
            let told = format!("quality={value} cannot be read: quality takes a whole number from 1 to 100");
            assert!(error.starts_with(&told), "{error}");
        }
    }
}
