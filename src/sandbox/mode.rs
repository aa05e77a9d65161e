//! Whether to decode in a sandbox, as it is asked for.

use std::{fmt, str::FromStr};

use crate::domain::hint;

/// What was asked for on the command line or in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// With as much of it as the system has; what is missing is said at start.
    #[default]
    Auto,
    /// All of it; starting fails where something is missing.
    On,
    /// Not at all: everything is decoded in the server's own process.
    Off,
}

/// A name that is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is none of auto, on, off{}", hint(.got, Mode::ALL.map(Mode::name)))]
pub struct ModeError {
    /// What was given.
    pub got: String,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::On, Self::Off];

    /// Its name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|mode| mode.name() == text);
        named.ok_or_else(|| ModeError { got: text.chars().take(40).collect() })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
