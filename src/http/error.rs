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
    codec::CodecError,
    domain::{AliasError, FilterError, LimitError, TermsError, hint},
    pixels::{ExecError, PlanError},
    repo::RepoError,
    service::{
        ServiceError,
        fetch::{Fault, FetchError},
        gates::{Full, Gate},
        signing::SignatureError,
    },
    store::{StagingError, StoreError},
};

mod codes;

pub(super) use codes::rename;

/// When a client may ask again that came at a bad time, and nothing is known of how long that lasts.
const RETRY_SECS: u64 = 1;

/// What paths begin with, as far as a word in them may be meant.
const PATHS: [&str; 18] = [
    "/image",
    "/image/blurhash",
    "/image/delete",
    "/image/details",
    "/image/download",
    "/image/original",
    "/image/preset",
    "/healthz",
    "/internal/aliases",
    "/internal/delete",
    "/internal/filename",
    "/internal/hashes",
    "/internal/identifier",
    "/internal/import",
    "/internal/purge",
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

    pub(super) fn file_too_large(got: u64, max: u64) -> Self {
        Self::too_large("file-too-large", format!("the file has {got} bytes, the limit is {max}"))
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

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let msg = error.to_string();
        match error {
            ServiceError::NoSuchAlias(_) => Self::not_found("unknown-alias", msg),
            ServiceError::NoSuchFile(_) => Self::not_found("unknown-file", msg),
            ServiceError::WrongToken(_) => Self::new(StatusCode::FORBIDDEN, "wrong-delete-token", msg),
            ServiceError::UnknownFormat { .. } => Self::bad("unknown-format", msg),
            ServiceError::Busy(full) => full.into(),
            ServiceError::TimedOut { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "timed-out", msg),
            ServiceError::FileMissing(_) | ServiceError::Panicked => Self::internal(msg),
            ServiceError::Filter(error) => error.into(),
            ServiceError::Limit(error) => error.into(),
            ServiceError::Name(error) => error.into(),
            ServiceError::Codec(error) => error.into(),
            ServiceError::Plan(error) => error.into(),
            ServiceError::Exec(error) => Self::from(&*error),
            ServiceError::Store(error) => Self::disk(&*error, &error.source),
            ServiceError::Staging(error) => Self::from(&*error),
            ServiceError::Repo(error) => Self::from(&*error),
            ServiceError::Fetch(error) => Self::from(&*error),
        }
    }
}

impl From<Full> for ApiError {
    fn from(full: Full) -> Self {
        let code = match full.gate {
            Gate::Connections => "busy-connections",
            Gate::Requests => "busy-requests",
            Gate::Uploads => "busy-uploads",
            Gate::Queue => "busy-queue",
            Gate::Wait => "busy-wait",
            Gate::Memory => "busy-memory",
            Gate::Picture => "too-many-variants",
            Gate::Rate => "too-many-new-variants",
        };
        // That a client asks for too much is no fault of the server's, and it may go on with what is there.
        let status = match full.gate {
            Gate::Picture | Gate::Rate => StatusCode::TOO_MANY_REQUESTS,
            Gate::Connections | Gate::Requests | Gate::Uploads | Gate::Queue | Gate::Wait | Gate::Memory => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        let retry_secs = Some(full.retry_secs());
        Self { retry_secs, ..Self::new(status, code, full.to_string()) }
    }
}

impl From<AliasError> for ApiError {
    fn from(error: AliasError) -> Self {
        let msg = error.to_string();
        match error {
            AliasError::Empty | AliasError::TooLong { .. } | AliasError::Character(_) | AliasError::LeadingDot => {
                Self::bad("unusable-name", msg)
            }
        }
    }
}

impl From<FilterError> for ApiError {
    fn from(error: FilterError) -> Self {
        let msg = error.to_string();
        match error {
            FilterError::Unreadable { .. } => Self::bad("unreadable-filter", msg),
            FilterError::TooLarge { .. } => Self::bad("filter-too-large", msg),
            FilterError::TooMany { .. } => Self::bad("too-many-filters", msg),
        }
    }
}

impl From<LimitError> for ApiError {
    fn from(error: LimitError) -> Self {
        let msg = error.to_string();
        match error {
            LimitError::Width { .. } => Self::bad("validate-width", msg),
            LimitError::Height { .. } => Self::bad("validate-height", msg),
            LimitError::Area { .. } => Self::bad("validate-area", msg),
            LimitError::Frames { .. } => Self::bad("validate-frames", msg),
            LimitError::FileSize { .. } => Self::too_large("validate-file-size", msg),
            LimitError::Image | LimitError::Animation { .. } => Self::bad("media-disallowed", msg),
        }
    }
}

impl From<TermsError> for ApiError {
    fn from(error: TermsError) -> Self {
        let msg = error.to_string();
        match error {
            TermsError::Unreadable { .. } | TermsError::Unknown { .. } => Self::bad("invalid-query", msg),
            TermsError::Step(error) => error.into(),
        }
    }
}

impl From<CodecError> for ApiError {
    fn from(error: CodecError) -> Self {
        let msg = error.to_string();
        match error {
            CodecError::NotAnImage => Self::bad("not-an-image", msg),
            CodecError::Unsupported { .. } => Self::bad("unsupported-format", msg),
            CodecError::Damaged { .. } => Self::bad("damaged-image", msg),
            CodecError::TooManyPixels { .. } => Self::too_large("too-many-pixels", msg),
            CodecError::SideTooLong { .. } => Self::too_large("side-too-long", msg),
            CodecError::TooManyFrames { .. } => Self::too_large("too-many-frames", msg),
            CodecError::TooManyAnimationPixels { .. } => Self::too_large("too-many-animation-pixels", msg),
            CodecError::TooManyScans { .. } => Self::too_large("too-many-scans", msg),
            CodecError::TooComplex { .. } => Self::too_large("too-complex", msg),
            CodecError::TooMuchMetadata { .. } | CodecError::TooScattered { .. } => {
                Self::too_large("too-much-metadata", msg)
            }
            CodecError::TooMuchMemory { .. } => Self::too_large("too-much-memory", msg),
            CodecError::TooLargeForFormat { .. } => Self::bad("too-large-for-format", msg),
            CodecError::TimedOut => Self::new(StatusCode::SERVICE_UNAVAILABLE, "timed-out", msg),
            // Caused by the picture, and contained: the client's file is at fault as far as the client can tell.
            CodecError::Panicked { .. } => Self { cause: Some(msg.clone()), ..Self::bad("damaged-image", msg) },
            CodecError::Crashed { how, .. } => {
                Self { cause: Some(format!("{msg}: {how}")), ..Self::bad("damaged-image", msg) }
            }
            CodecError::NoDecoder { .. } | CodecError::Encode { .. } => Self::internal(msg),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::disk(&error, &error.source)
    }
}

impl From<StagingError> for ApiError {
    fn from(error: StagingError) -> Self {
        Self::from(&error)
    }
}

impl From<FetchError> for ApiError {
    fn from(error: FetchError) -> Self {
        Self::from(&error)
    }
}

impl From<&StagingError> for ApiError {
    fn from(error: &StagingError) -> Self {
        match error {
            StagingError::TooLarge { .. } => Self::too_large("file-too-large", error.to_string()),
            StagingError::Io { source, .. } => Self::disk(error, source),
        }
    }
}

impl From<&RepoError> for ApiError {
    fn from(error: &RepoError) -> Self {
        match error {
            RepoError::AliasTaken(_) => Self::bad("alias-taken", error.to_string()),
            RepoError::Record { .. } | RepoError::Engine(_) => Self::fault(error),
            RepoError::Stopped => Self { cause: Some(error.to_string()), ..Self::not_ready() },
        }
    }
}

impl From<&FetchError> for ApiError {
    fn from(error: &FetchError) -> Self {
        let code = match error {
            FetchError::Disabled => "download-disabled",
            FetchError::TooLong { .. }
            | FetchError::Unreadable(_)
            | FetchError::Scheme { .. }
            | FetchError::NoHost
            | FetchError::Credentials => "unusable-url",
            FetchError::Refused { .. } => "download-refused",
            FetchError::Lookup { .. }
            | FetchError::Connect { .. }
            | FetchError::Answer { .. }
            | FetchError::Status { .. }
            | FetchError::Redirect { .. }
            | FetchError::TooManyRedirects { .. }
            | FetchError::TimedOut { .. }
            | FetchError::Cut { .. } => "download-failed",
            FetchError::NoAuthorities | FetchError::Client(_) => return Self::fault(error),
        };
        let status = match error.fault() {
            Fault::Client => StatusCode::BAD_REQUEST,
            Fault::Remote => StatusCode::BAD_GATEWAY,
            Fault::Ours => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<&ExecError> for ApiError {
    fn from(error: &ExecError) -> Self {
        match error {
            ExecError::Busy { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy-engine", error.to_string()),
            // Whoever waited has been told so already, or is gone.
            ExecError::Stopped(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "timed-out", error.to_string()),
            ExecError::Mismatch { .. } | ExecError::Broken(_) => Self::fault(error),
        }
    }
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        let msg = error.to_string();
        match error {
            PlanError::ZeroSide { .. }
            | PlanError::BadSigma { .. }
            | PlanError::BadAmount { .. }
            | PlanError::CropOutside { .. } => Self::bad("unreadable-filter", msg),
            PlanError::SigmaTooLarge { .. } => Self::bad("filter-too-large", msg),
            PlanError::SideTooLong { .. } => Self::too_large("side-too-long", msg),
            PlanError::TooMuchWork { .. } => Self::too_large("too-much-work", msg),
            PlanError::TooMuchMemory { .. } => Self::too_large("too-much-memory", msg),
            PlanError::EmptySource { .. } | PlanError::Misfit { .. } | PlanError::BadOutputs { .. } => {
                Self::internal(msg)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_told_from_a_broken_one() {
        let said = |kind: io::ErrorKind| {
            let stored = StoreError { doing: "writing", key: "originals/x".to_owned(), source: kind.into() };
            let staged =
                StagingError::Io { doing: "writing", path: "/data/staging/1.part".into(), source: kind.into() };
            let errors: [ApiError; 2] = [stored.into(), staged.into()];
            for error in &errors {
                assert!(
                    error.cause.as_ref().is_some_and(|cause| cause.contains("writing")),
                    "the log has it: {error:?}"
                );
                assert!(
                    !error.msg.contains("originals") && !error.msg.contains("/data"),
                    "the answer has not: {error:?}"
                );
            }
            errors.map(|error| (error.status.as_u16(), error.code))
        };
        assert_eq!(said(io::ErrorKind::StorageFull), [(507, "storage-full"); 2]);
        assert_eq!(said(io::ErrorKind::QuotaExceeded), [(507, "storage-full"); 2]);
        assert_eq!(said(io::ErrorKind::PermissionDenied), [(500, "internal-error"); 2]);
    }
}
