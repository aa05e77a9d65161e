//! Why there is no configuration.

use std::{io, path::PathBuf};

use crate::cli::EnvError;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nobody said where the data is.
    #[error("the data directory is missing: give --path <PATH>, or set GLIMT_PATH or PICTRS_PATH")]
    NoPath,
    /// A variable cannot be read.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The file cannot be opened.
    #[error("the configuration file {path} cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("the configuration file {path} is not right: {cause}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        cause: String,
    },
    /// What is in effect cannot be said in TOML.
    #[error("the configuration cannot be written as TOML: {cause}")]
    Unwritable {
        /// Why not.
        cause: String,
    },
    /// A certificate without a key, or a key without a certificate.
    #[error("{given} is given without {missing}")]
    HalfTls {
        /// The long name of the option that is there.
        given: &'static str,
        /// That of the other.
        missing: &'static str,
    },
    /// The key stands in two places.
    #[error("both api-key and api-key-file are given: give one of them")]
    TwoKeys,
    /// The file with the key cannot be read.
    #[error("the file {path} of api-key-file cannot be read: {source}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file with the key has none.
    #[error("the file {path} of api-key-file is empty: no key would open /internal")]
    EmptyKey {
        /// The file.
        path: PathBuf,
    },
    /// A number outside its range.
    #[error("{option} is {got}, it must be between {min} and {max}")]
    Range {
        /// The option's long name.
        option: &'static str,
        /// What was given.
        got: i64,
        /// The smallest value allowed.
        min: i64,
        /// The largest value allowed.
        max: i64,
    },
}
