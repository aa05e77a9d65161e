//! Which engine to use, as it is asked for.

use std::fmt;
use std::str::FromStr;

use crate::domain::hint;

/// What was asked for on the command line or in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A hardware adapter if there is one, else the faster of `software` and `cpu`, measured at start.
    #[default]
    Auto,
    /// A hardware adapter; starting fails without one.
    Gpu,
    /// The shaders on a software adapter; starting fails without one.
    Software,
    /// The cpu engine.
    Cpu,
}

/// A name that is no backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is none of auto, gpu, software, cpu{}", hint(.got, Backend::ALL.map(Backend::name)))]
pub struct BackendError {
    /// What was given.
    pub got: String,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Gpu, Self::Software, Self::Cpu];

    /// Its name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Gpu => "gpu",
            Self::Software => "software",
            Self::Cpu => "cpu",
        }
    }
}

impl FromStr for Backend {
    type Err = BackendError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|backend| backend.name() == text);
        named.ok_or_else(|| BackendError { got: text.to_owned() })
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_everywhere() {
        for backend in Backend::ALL {
            assert_eq!(backend.to_string().parse(), Ok(backend));
            assert_eq!(serde_json::to_string(&backend).unwrap(), format!("\"{backend}\""));
        }
        assert!("GPU".parse::<Backend>().is_err());
    }
}
