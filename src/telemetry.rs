//! Logs: to stderr, filtered by `RUST_LOG`; and traces, to an OpenTelemetry collector.

use std::{fmt::Display, io::IsTerminal as _, str::FromStr};

use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt as _, dynamic_filter_fn, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};
use url::Url;

pub use self::traces::{Traces, TracesError};
use crate::{domain::hint, timing::TRACES};

pub mod traces;

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

impl Display for LogFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Starts logging, at `info` where `RUST_LOG` says nothing else, with colours only on a terminal; and sends traces to the collector, if
/// there is one, until what is returned is dropped. Must not be called from async code.
///
/// # Errors
/// [`TracesError`] when traces cannot be sent.
pub fn init(format: LogFormat, collector: Option<&Url>) -> Result<Option<Traces>, TracesError> {
    let Some(collector) = collector else {
        tracing_subscriber::registry().with(lines(format)).init();
        return Ok(None);
    };
    let traces = Traces::to(collector)?;
    let spans = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer())
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false);
    // What is done for no request is no trace of its own.
    let is_traced = dynamic_filter_fn(|metadata, context| {
        let is_below = || context.lookup_current().is_some();
        metadata.is_span() && (metadata.target() == traces::REQUESTS || metadata.target() == TRACES && is_below())
    });
    tracing_subscriber::registry().with(spans.with_filter(is_traced)).with(lines(format)).init();
    Ok(Some(traces))
}

/// What writes the lines of the log.
fn lines<S>(format: LogFormat) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset_or_unreadable| EnvFilter::new("info"));
    let only_logs = filter_fn(|metadata| metadata.target() != TRACES);
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines: Box<dyn Layer<S> + Send + Sync> = match format {
        LogFormat::Full => lines.boxed(),
        LogFormat::Compact => lines.compact().boxed(),
        LogFormat::Pretty => lines.pretty().boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    lines.with_filter(filter.and(only_logs))
}
