//! Traces for an OpenTelemetry collector, over OTLP: HTTP with protobuf.
//!
//! A trace has a span for the request, with the id that its answer and its log lines have, and one for each [stage](crate::timing::Stage) of
//! what is made for it. It has no query, no address of a client and no header; delete tokens in paths are hidden as they are in the log.
//! Spans wait in a bounded queue and are sent by a thread of their own: a collector that is away costs traces, never requests.

use std::{fmt, time::Duration};

use hyper::HeaderMap;
use opentelemetry::{
    propagation::TextMapPropagator as _,
    trace::{Status, TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use url::Url;

/// Target of the spans of requests: all others stand below one.
pub(super) const REQUESTS: &str = "glimt::request";

/// Where OTLP takes traces, below the address of a collector.
const PATH: &str = "v1/traces";

/// How long the last spans may take to be sent when the server stops.
const LAST: Duration = Duration::from_secs(3);

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent to {collector}")]
pub struct TracesError {
    collector: Url,
    source: ExporterBuildError,
}

/// Sends traces while it lives; when it is dropped, what is left of them.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// To the collector at this address. What `OTEL_*` say in the environment holds for the rest: the sampler, headers, the name of the
    /// service. Starts threads, and must not be called from async code.
    ///
    /// # Errors
    /// [`TracesError`] when there is no client to be had. Whether the collector is there is not asked.
    pub(super) fn to(collector: &Url) -> Result<Self, TracesError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Another may have been first.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint(collector))
            .build()
            .map_err(|source| TracesError { collector: collector.clone(), source })?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
        }
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build()))
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.0.tracer(env!("CARGO_PKG_NAME"))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Where the collector takes traces: below a path that it is given, or there if that is the place itself.
fn endpoint(collector: &Url) -> String {
    let given = collector.as_str().trim_end_matches('/');
    if given.ends_with(PATH) { given.to_owned() } else { format!("{given}/{PATH}") }
}

/// The span of a request, for its log lines too. It is part of the trace that `traceparent` in `headers` names, if there is one.
///
/// `path` is without secrets.
#[must_use]
pub fn request(headers: &HeaderMap, method: &str, route: &str, path: impl fmt::Display, id: &str) -> Span {
    let span = info_span!(
        target: REQUESTS,
        "request",
        id,
        method,
        %path,
        otel.kind = "server",
        otel.name = format_args!("{method} {route}"),
    );
    if headers.contains_key("traceparent") {
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        // Not traced, by what the sampler says.
        let _untraced = span.set_parent(parent);
    }
    // By the names of the semantic conventions for HTTP; no line of the log has these again.
    span.set_attribute("http.request.method", method.to_owned());
    span.set_attribute("http.route", route.to_owned());
    span.set_attribute("url.path", path.to_string());
    span
}

/// Ends the span of a request in its trace, with how it was answered.
pub fn answered(span: &Span, status: u16) {
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
    // What is stored behind the answer stands below it, and is no part of the time that it took.
    span.context().span().end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_below_the_address_that_is_given() {
        for (given, expected) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("https://example.org/otlp", "https://example.org/otlp/v1/traces"),
            ("https://example.org/otlp/v1/traces", "https://example.org/otlp/v1/traces"),
        ] {
            assert_eq!(endpoint(&given.parse().unwrap()), expected);
        }
    }
}
