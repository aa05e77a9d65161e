//! An alias: the public name of a stored picture.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{compat::Compat, format::Format};

/// Letters and digits: what aliases and delete tokens are made of.
pub(super) const ALPHABET: [char; 62] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M',
    'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j',
    'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
];

/// Length of a generated alias (before its dot) and of a delete token.
pub(super) const LENGTH: usize = 10;

/// The longest name an import may bring, in bytes: what common file systems hold.
pub const MAX_BYTES: usize = 255;

/// The public name of a stored picture: `lkWZDRvugm.jpg`, or whatever name an import brought.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Alias(String);

/// A new random UUID of version 4.
pub(super) fn uuid() -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digits = nanoid::nanoid!(30, &DIGITS);
    let variant = nanoid::nanoid!(1, &['8', '9', 'a', 'b']);
    let [a, b, c, d, e] = [&digits[..8], &digits[8..12], &digits[12..15], &digits[15..18], &digits[18..]];
    format!("{a}-{b}-4{c}-{variant}{d}-{e}")
}

/// Why a name cannot be an alias.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    /// No name at all.
    #[error("the file name is empty")]
    Empty,
    /// Longer than [`MAX_BYTES`].
    #[error("the file name has {got} bytes, the limit is {max}")]
    TooLong {
        /// Bytes in the name.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A path separator or a control character.
    #[error("the file name contains the character {0:?}, which is not allowed")]
    Character(char),
    /// Names with a leading dot are hidden files, `.` and `..`.
    #[error("the file name begins with a dot")]
    LeadingDot,
}

impl Alias {
    /// A new random alias with the extension of the stored `format`: 62^10 names, so a clash is
    /// refused by the repo rather than looked for.
    #[must_use]
    pub fn generate(format: Format) -> Self {
        Self::of_stem(&Self::stem(Compat::V02), format)
    }

    /// A new random alias as pict-rs 0.5 gives them: a UUID of version 4, and the extension of the stored `format`.
    #[must_use]
    pub fn generate_uuid(format: Format) -> Self {
        Self::of_stem(&Self::stem(Compat::V05), format)
    }

    /// What stands in front of the extension of a new random alias, as this version gives them.
    #[must_use]
    pub fn stem(compat: Compat) -> String {
        match compat {
            Compat::V02 => nanoid::nanoid!(LENGTH, &ALPHABET),
            Compat::V05 => uuid(),
        }
    }

    /// The alias of a picture that is stored in this format.
    #[must_use]
    pub fn of_stem(stem: &str, format: Format) -> Self {
        Self(format!("{stem}.{}", format.extension()))
    }

    /// The name an import brought, checked: a base name without separators, control characters or a
    /// leading dot, of 1 to 255 bytes.
    ///
    /// # Errors
    /// [`AliasError`] says what is wrong with the name.
    pub fn parse_import(name: &str) -> Result<Self, AliasError> {
        if name.is_empty() {
            return Err(AliasError::Empty);
        }
        if name.len() > MAX_BYTES {
            return Err(AliasError::TooLong { got: name.len(), max: MAX_BYTES });
        }
        if let Some(bad) = name.chars().find(|c| c.is_control() || matches!(c, '/' | '\\')) {
            return Err(AliasError::Character(bad));
        }
        if name.starts_with('.') {
            return Err(AliasError::LeadingDot);
        }
        Ok(Self(name.to_owned()))
    }

    /// A name a client asks for. Any text may be asked for; one that was never given out is not found.
    #[must_use]
    pub fn asked(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_aliases_have_ten_characters_a_dot_and_the_extension() {
        let alias = Alias::generate(Format::Webp);
        let (stem, extension) = alias.as_str().split_once('.').unwrap();
        assert_eq!(stem.len(), LENGTH);
        assert!(stem.chars().all(|c| c.is_ascii_alphanumeric()));
        assert_eq!(extension, "webp");
        assert_ne!(alias, Alias::generate(Format::Webp));
    }

    #[test]
    fn generated_uuids_are_of_version_four() {
        let alias = Alias::generate_uuid(Format::Jpg);
        let shape: String = alias.as_str().chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
        assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx.jpg");
        assert_eq!(&alias.as_str()[14..15], "4");
        assert!("89ab".contains(&alias.as_str()[19..20]), "{alias}");
        assert_ne!(alias, Alias::generate_uuid(Format::Jpg));
    }

    #[test]
    fn imports_refuse_every_unusable_name() {
        assert_eq!(Alias::parse_import("asdf.png").unwrap().as_str(), "asdf.png");
        assert_eq!(Alias::parse_import("ünï çødé.png").unwrap().as_str(), "ünï çødé.png");
        assert!(Alias::parse_import(&"a".repeat(255)).is_ok());
        assert_eq!(Alias::parse_import(&"a".repeat(256)), Err(AliasError::TooLong { got: 256, max: 255 }));
        assert_eq!(Alias::parse_import(""), Err(AliasError::Empty));
        for (name, bad) in [("a/b", '/'), ("a\\b", '\\'), ("a\0b", '\0'), ("a\nb", '\n'), ("a\u{7f}", '\u{7f}')] {
            assert_eq!(Alias::parse_import(name), Err(AliasError::Character(bad)), "{name:?}");
        }
        for name in [".", "..", ".hidden"] {
            assert_eq!(Alias::parse_import(name), Err(AliasError::LeadingDot), "{name}");
        }
    }
}
