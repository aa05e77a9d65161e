//! Which pict-rs a server answers like, where its versions do not agree and a request does not say which it means.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::encoding::NameError;

/// A version of pict-rs. Nearly everything of the later one is told apart by the request itself and served beside the earlier; this decides the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Compat {
    /// 0.2, and 0.3 with it.
    #[default]
    #[serde(rename = "0.2")]
    V02,
    /// 0.5, and 0.4 with it.
    #[serde(rename = "0.5")]
    V05,
}

impl Compat {
    const NAMES: [(&'static str, Self); 2] = [("0.2", Self::V02), ("0.5", Self::V05)];

    /// The name that it has in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V02 => "0.2",
            Self::V05 => "0.5",
        }
    }
}

impl FromStr for Compat {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = "0.2, 0.5";
        let found = Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, compat)| *compat);
        found.ok_or_else(|| NameError { got: text.chars().take(40).collect(), names })
    }
}

impl fmt::Display for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        for (name, compat) in Compat::NAMES {
            assert_eq!((name.parse(), compat.name(), compat.to_string()), (Ok(compat), name, name.to_owned()));
            assert_eq!(serde_json::to_string(&compat).unwrap(), format!("\"{name}\""));
        }
        assert_eq!("0.3".parse::<Compat>().unwrap_err().to_string(), "\"0.3\" is none of 0.2, 0.5; the nearest is 0.2");
    }
}
