//! What each error of the layers below is to the client: its status, its code and its message.

use axum::http::StatusCode;

use super::ApiError;
use crate::{
    codec::CodecError,
    domain::{AliasError, FilterError, LimitError, TermsError},
    pixels::{ExecError, PlanError},
    repo::RepoError,
    service::{
        ServiceError,
        fetch::{Fault, FetchError},
        gates::{Full, Gate},
        validation::ValidationError,
    },
    store::{StagingError, StoreError},
};

/// What the codecs call what is no picture but moves.
const VIDEO: &str = "video";

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let msg = error.to_string();
        match error {
            ServiceError::NoSuchAlias(_) => Self::not_found("unknown-alias", msg),
            ServiceError::NoSuchFile(_) => Self::not_found("unknown-file", msg),
            ServiceError::WrongToken(_) => Self::new(StatusCode::FORBIDDEN, "wrong-delete-token", msg),
            ServiceError::UnknownFormat { .. } => Self::bad("unknown-format", msg),
            ServiceError::TooLarge { .. } => Self::too_large("file-too-large", msg),
            ServiceError::Busy(full) => full.into(),
            ServiceError::TimedOut { .. } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "timed-out", msg),
            ServiceError::FileMissing(_) | ServiceError::Panicked => Self::internal(msg),
            ServiceError::Filter(error) => error.into(),
            ServiceError::Limit(error) => error.into(),
            ServiceError::Terms(error) => error.into(),
            ServiceError::Validation(ValidationError::Refused { .. }) => Self::bad("failed-external-validation", msg),
            ServiceError::Validation(ValidationError::Unanswered { cause }) => {
                Self { cause: Some(cause), ..Self::new(StatusCode::BAD_GATEWAY, "external-validation-unanswered", msg) }
            }
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
            Gate::Backgrounded => "busy-backgrounded",
            Gate::Queue => "busy-queue",
            Gate::Wait => "busy-wait",
            Gate::Memory => "busy-memory",
            Gate::Picture => "too-many-variants",
            Gate::Rate => "too-many-new-variants",
        };
        // That a client asks for too much is no fault of the server's, and it may go on with what is there.
        let status = match full.gate {
            Gate::Picture | Gate::Rate => StatusCode::TOO_MANY_REQUESTS,
            Gate::Connections
            | Gate::Requests
            | Gate::Uploads
            | Gate::Backgrounded
            | Gate::Queue
            | Gate::Wait
            | Gate::Memory => StatusCode::SERVICE_UNAVAILABLE,
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
            CodecError::Unsupported { what } if what == VIDEO => Self::bad("video-disabled", msg),
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

impl From<RepoError> for ApiError {
    fn from(error: RepoError) -> Self {
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
    use std::io;

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
