//! Everything a use case can answer instead of what was asked for.

use crate::{
    codec::CodecError,
    domain::{Alias, AliasError, FilterError, LimitError, OutputFormat, TermsError, hint},
    pixels::{ExecError, PlanError},
    repo::RepoError,
    service::{fetch::FetchError, gates::Full, validation::ValidationError},
    store::{StagingError, StoreError},
};

/// Why a use case did not do what was asked. `http/error.rs` gives each its status and code.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ServiceError {
    /// Nobody has this alias.
    #[error("there is no image {0}")]
    NoSuchAlias(Alias),
    /// No stored file has this name.
    #[error("there is no file {0}")]
    NoSuchFile(String),
    /// The delete token is another one.
    #[error("the delete token is not the one of {0}")]
    WrongToken(Alias),
    /// The extension is not one we write.
    #[error("{got:?} is not a format that can be made, use one of {}{}", formats(), hint(.got, OutputFormat::ALL.map(OutputFormat::extension)))]
    UnknownFormat {
        /// What was asked for.
        got: String,
    },
    /// A filter cannot be read.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A limit of one upload is not kept.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The query of an upload cannot be read.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// Who is asked about every picture did not let it in.
    #[error(transparent)]
    Validation(#[from] ValidationError),
    /// An import brought a name that cannot be an alias.
    #[error(transparent)]
    Name(#[from] AliasError),
    /// The picture was refused.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The operations were refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// No engine could run the operations.
    #[error(transparent)]
    Exec(std::sync::Arc<ExecError>),
    /// A file that should be there is not, or other than recorded.
    #[error("the stored file {0} is missing")]
    FileMissing(String),
    /// The store failed.
    #[error(transparent)]
    Store(std::sync::Arc<StoreError>),
    /// A temporary file failed, or grew over its limit.
    #[error(transparent)]
    Staging(std::sync::Arc<StagingError>),
    /// The repo failed, or refused a name.
    #[error(transparent)]
    Repo(std::sync::Arc<RepoError>),
    /// A download failed or was refused.
    #[error(transparent)]
    Fetch(std::sync::Arc<FetchError>),
    /// A download says that it is larger than an upload may be.
    #[error("the file has {got} bytes, the limit is {max}")]
    TooLarge {
        /// Bytes that it has.
        got: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// A gate is full.
    #[error(transparent)]
    Busy(#[from] Full),
    /// A job took longer than it may.
    #[error("the image took over {limit_secs} s to process")]
    TimedOut {
        /// Seconds allowed.
        limit_secs: u64,
    },
    /// A job panicked; the panic is in the log.
    #[error("a job panicked")]
    Panicked,
}

fn formats() -> String {
    OutputFormat::ALL.map(OutputFormat::extension).join(", ")
}

impl From<ExecError> for ServiceError {
    fn from(error: ExecError) -> Self {
        Self::Exec(error.into())
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

impl From<StagingError> for ServiceError {
    fn from(error: StagingError) -> Self {
        Self::Staging(error.into())
    }
}

impl From<RepoError> for ServiceError {
    fn from(error: RepoError) -> Self {
        Self::Repo(error.into())
    }
}

impl From<FetchError> for ServiceError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error.into())
    }
}
