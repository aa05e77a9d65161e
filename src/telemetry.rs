//! Logs: to stderr, filtered by `RUST_LOG`.

use std::{fmt, io::IsTerminal as _, str::FromStr};

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::domain::hint;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line each, with the request it belongs to.
    #[default]
    Full,
    /// A shorter line each.
    Compact,
    /// Several lines each, for a person at a terminal.
    Pretty,
    /// An object each, for a program.
    Json,
}

/// A name that is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is none of full, compact, pretty, json{}", hint(.got, LogFormat::ALL.map(LogFormat::name)))]
pub struct LogFormatError {
    /// What was given.
    pub got: String,
}

impl LogFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Full, Self::Compact, Self::Pretty, Self::Json];

    /// Its name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Compact => "compact",
            Self::Pretty => "pretty",
            Self::Json => "json",
        }
    }
}

impl FromStr for LogFormat {
    type Err = LogFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|format| format.name() == text);
        named.ok_or_else(|| LogFormatError { got: text.chars().take(40).collect() })
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Starts logging, at `info` where `RUST_LOG` says nothing else. Colours only on a terminal.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset_or_unreadable| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Full => lines.init(),
        LogFormat::Compact => lines.compact().init(),
        LogFormat::Pretty => lines.pretty().init(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).init(),
    }
}
