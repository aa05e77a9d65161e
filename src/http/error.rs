//! Every error as the client sees it: the only map from what went wrong to status, code and message.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    domain::{UploadId, hint},
    service::{backgrounded::Failure, signing::SignatureError},
};

mod causes;
mod codes;

pub(super) use codes::{rename, told_code};

/// When a client may ask again that came at a bad time, and nothing is known of how long that lasts.
const RETRY_SECS: u64 = 1;

/// What paths begin with, as far as a word in them may be meant.
const PATHS: [&str; 23] = [
    "/image",
    "/image/backgrounded",
    "/image/blurhash",
    "/image/delete",
    "/image/details",
    "/image/download",
    "/image/original",
    "/image/preset",
    "/healthz",
    "/internal/aliases",
    "/internal/delete",
    "/internal/export",
    "/internal/filename",
    "/internal/hashes",
    "/internal/identifier",
    "/internal/import",
    "/internal/limits",
    "/internal/prune_missing",
    "/internal/purge",
    "/internal/set_not_found",
    "/metrics",
    "/openapi.json",
    "/readyz",
];

/// An error as it goes out: `{"code":..,"msg":..}` under its status.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    msg: String,
    cause: Option<String>,
    /// Set when a gate refused: seconds until it is worth while to ask again.
    retry_secs: Option<u64>,
}

/// Stands beside the answer when a gate refused: there may be thousands of them in a second, and each is counted where it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused;

/// What the body calls it, carried beside the answer for whoever watches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code(pub(super) &'static str);

/// The cause of a fault of ours, carried beside the answer for the log and never in it.
#[derive(Clone, Debug)]
pub(super) struct Cause(pub(super) Arc<str>);

/// An error, as clients read it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says what `Body` writes")]
pub(super) struct Problem {
    /// What it is, for programs.
    #[schema(example = "unreadable-filter")]
    code: String,
    /// What it is, for people: with the limit and the value.
    #[schema(example = "rotate=45 cannot be read: rotate takes degrees clockwise: 90, 180 or 270; the nearest is 90")]
    msg: String,
}

/// The keys stand in alphabetical order, as everywhere.
#[derive(Serialize)]
struct Body<'a> {
    code: &'static str,
    msg: &'a str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(Body { code: self.code, msg: &self.msg })).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE || self.retry_secs.is_some() {
            let secs = self.retry_secs.unwrap_or(RETRY_SECS);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        response.extensions_mut().insert(Code(self.code));
        if self.retry_secs.is_some() {
            response.extensions_mut().insert(Refused);
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause.into()));
        }
        response
    }
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, msg: impl Into<String>) -> Self {
        Self { status, code, msg: msg.into(), cause: None, retry_secs: None }
    }

    fn bad(code: &'static str, msg: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, msg)
    }

    fn not_found(code: &'static str, msg: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, msg)
    }

    fn too_large(code: &'static str, msg: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, msg)
    }

    /// A fault of ours: the cause is for the log alone.
    pub(super) fn internal(cause: String) -> Self {
        let msg = "something went wrong here; the log has it under this answer's x-request-id";
        Self { cause: Some(cause), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-error", msg) }
    }

    /// What the store's disk refused, with everything it came from. That there is no room is said: the client may come again.
    fn disk(error: &dyn std::error::Error, refused: &io::Error) -> Self {
        let fault = Self::fault(error);
        if !matches!(refused.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return fault;
        }
        let msg = "there is no room for more pictures here at the moment";
        Self { cause: fault.cause, ..Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage-full", msg) }
    }

    /// A fault of ours, with everything it came from.
    fn fault(error: &dyn std::error::Error) -> Self {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(deeper) = source {
            cause.push_str(": ");
            cause.push_str(&deeper.to_string());
            source = deeper.source();
        }
        Self::internal(cause)
    }

    pub(super) fn invalid_api_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid-api-key", "Invalid API Key")
    }

    pub(super) fn unknown_path(path: &str) -> Self {
        let begins = path.match_indices('/').nth(2).map_or(path, |(at, _)| &path[..at]);
        let shown: String = path.chars().take(200).collect();
        Self::not_found("unknown-path", format!("there is nothing at {shown}{}", hint(begins, PATHS)))
    }

    pub(super) fn unreadable_path() -> Self {
        Self::bad("unreadable-path", "the path is not UTF-8")
    }

    pub(super) fn method_not_allowed(method: &Method, allow: &str) -> Self {
        let msg = format!("{method} is not allowed here, only {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", msg)
    }

    pub(super) fn missing_src() -> Self {
        Self::not_found("missing-src", "the query names no image: src=<file> is missing")
    }

    pub(super) fn unknown_remote(url: &str) -> Self {
        let url: String = url.chars().take(200).collect();
        Self::not_found("proxy-not-found", format!("the image at {url} is not here"))
    }

    pub(super) fn unreadable_body(cause: &str) -> Self {
        Self::bad("unreadable-body", format!("the body cannot be read: {cause}"))
    }

    pub(super) fn already_claimed(id: &UploadId) -> Self {
        let msg = format!("there is no upload {id}, or what came of it has been claimed");
        Self::bad("already-claimed", msg)
    }

    pub(super) fn remote_not_allowed() -> Self {
        let msg = "a remote picture goes when nobody asks for it: take one that was uploaded";
        Self::bad("proxy-not-allowed", msg)
    }

    /// The same, but for `400` where it is that no picture has the name that was asked for.
    pub(super) fn with_bad_alias(self) -> Self {
        if self.is_unknown_alias() { Self { status: StatusCode::BAD_REQUEST, ..self } } else { self }
    }

    /// The same for whoever asks later what came of it. What is the client's fault is so the next time too, but for its coming too often.
    pub(super) fn into_failure(self) -> Failure {
        if let Some(cause) = &self.cause {
            tracing::error!(cause, "a job in the background failed");
        }
        let is_for_good = self.status.is_client_error() && self.status != StatusCode::TOO_MANY_REQUESTS;
        Failure { code: self.code, msg: self.msg, is_for_good }
    }

    /// Whether it is that no picture has the name that was asked for.
    pub(super) fn is_unknown_alias(&self) -> bool {
        self.code == "unknown-alias"
    }

    /// What it is, for programs.
    pub(super) const fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn only_presets<'n>(names: impl Iterator<Item = &'n String>) -> Self {
        let names = names.map(String::as_str).collect::<Vec<&str>>().join(", ");
        let msg = format!(
            "this server makes the variants of its presets only: /image/preset/<name>/<file> with one of {names}"
        );
        Self::new(StatusCode::FORBIDDEN, "only-presets", msg)
    }

    pub(super) fn unknown_preset<'n>(name: &str, names: impl Iterator<Item = &'n String>) -> Self {
        let all: Vec<&str> = names.map(String::as_str).collect();
        let (names, nearest) = (all.join(", "), hint(name, all.iter().copied()));
        let known = if names.is_empty() { "there are none".to_owned() } else { format!("use one of {names}") };
        let name: String = name.chars().take(64).collect();
        Self::not_found("unknown-preset", format!("there is no preset {name:?}: {known}{nearest}"))
    }

    pub(super) fn bad_signature(error: &SignatureError) -> Self {
        let code = match error {
            SignatureError::Missing => "missing-signature",
            SignatureError::Wrong => "wrong-signature",
            SignatureError::Expired { .. } => "expired-signature",
        };
        Self::new(StatusCode::FORBIDDEN, code, error.to_string())
    }

    pub(super) fn no_such_variant() -> Self {
        Self::not_found("no-such-variant", "this variant was not made yet, or has gone: ask for the picture first")
    }

    pub(super) fn missing_parameter(name: &str) -> Self {
        Self::bad("missing-parameter", format!("the query parameter {name} is missing"))
    }

    pub(super) fn bad_parameter(name: &str, got: &str, takes: &str) -> Self {
        let got: String = got.chars().take(80).collect();
        Self::bad("invalid-query", format!("{name}={got} cannot be read: {name} takes {takes}"))
    }

    pub(super) fn no_files(name: &str) -> Self {
        Self::bad("no-files", format!("the form has no part named {name}"))
    }

    pub(super) fn too_many_files(max: usize) -> Self {
        Self::bad("too-many-files", format!("the form has more than {max} files, at most {max} are allowed"))
    }

    pub(super) fn broken_form(cause: &str) -> Self {
        Self::bad("broken-form", format!("the form cannot be read: {cause}"))
    }

    pub(super) fn form_too_large(got: u64, max: u64) -> Self {
        let msg = if got > max {
            format!("the request has {got} bytes, the limit is {max}")
        } else {
            format!("the request has over {max} bytes, which is the limit")
        };
        Self::too_large("request-too-large", msg)
    }

    pub(super) fn client_too_slow(limit: Duration) -> Self {
        let msg = format!("nothing came for {} s", limit.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", msg)
    }

    pub(super) fn client_drips(bytes: u64, waited: Duration, min_bytes_per_sec: u32) -> Self {
        let secs = waited.as_secs();
        let msg = format!("{bytes} bytes came in {secs} s, at least {min_bytes_per_sec} have to in a second");
        Self::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", msg)
    }

    pub(super) fn deadline() -> Self {
        let msg = "the time that X-Request-Deadline gives is over";
        Self::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", msg)
    }

    pub(super) fn unreadable_deadline(got: &str) -> Self {
        let got: String = got.chars().take(64).collect();
        let msg = format!("X-Request-Deadline is {got:?}, it has to be a whole number: nanoseconds since 1970");
        Self::bad("parse-deadline", msg)
    }

    pub(super) fn read_only() -> Self {
        Self::bad("read-only", "this server takes no pictures and deletes none at the moment: it is read-only")
    }

    pub(super) fn precondition_failed() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", "the image is not the one the request is for")
    }

    pub(super) fn unsatisfiable_range(size_bytes: u64) -> Self {
        let msg = format!("the image has {size_bytes} bytes, none of them in the range");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range-not-satisfiable", msg)
    }

    pub(super) fn not_ready() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "the metadata store has failed, a restart is needed")
    }
}
