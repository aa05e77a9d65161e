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
    /// No origin of a page.
    #[error("cors-origin has {got:?}, it must be * or an origin as {right}")]
    Origin {
        /// What was given.
        got: String,
        /// What would be right.
        right: String,
    },
    /// No address of a collector.
    #[error("opentelemetry-url has {got:?}, it must be an address as http://localhost:4318: {cause}")]
    Collector {
        /// What was given.
        got: String,
        /// What is wrong with it.
        cause: String,
    },
    /// No address of who is asked about pictures.
    #[error("external-validation cannot be used, it must be an address as http://localhost:8076: {cause}")]
    Validator {
        /// What was given, which may have a password in it.
        got: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A name or a password in the address of a collector.
    #[error("opentelemetry-url has a name or a password: give OTEL_EXPORTER_OTLP_HEADERS in the environment instead")]
    CollectorSecret,
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
    #[error("the file {path} with a key cannot be read: {source}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file with the key has none.
    #[error("the file {path} is to have a key, and is empty")]
    EmptyKey {
        /// The file.
        path: PathBuf,
    },
    /// A preset that is none.
    #[error("the preset {name:?} is not right: {cause}")]
    Preset {
        /// Its name.
        name: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Nothing could be made.
    #[error("only-presets is given without a preset: no variant could be made")]
    NoPresets,
    /// The keys stand in two places.
    #[error("both signing-key and signing-key-file are given: give one of them")]
    TwoSigningKeys,
    /// Nothing could be signed.
    #[error("require-signature is given without signing-key or signing-key-file: no address could be signed")]
    NoSigningKey,
    /// A key that can be guessed.
    #[error("a signing key has {got} bytes, it must have {min} at least")]
    ShortSigningKey {
        /// Its length in bytes.
        got: usize,
        /// The least.
        min: usize,
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
