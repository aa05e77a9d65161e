//! Use cases: what the server does for a client, in terms of codec, pixels, store and repo. Knows no HTTP.

pub mod archive;
pub mod backgrounded;
pub mod cache;
pub mod check;
pub mod cleanup;
pub mod download;
pub mod error;
pub mod exports;
pub mod fetch;
pub mod flight;
pub mod folder;
pub mod gates;
pub mod ingest;
pub mod late;
pub mod listing;
pub mod locks;
pub mod looks;
pub mod originals;
pub mod pictrs;
pub mod pool;
pub mod process;
pub mod proxies;
pub mod prune;
pub mod quota;
pub mod remotes;
pub mod signing;
pub mod tickets;
pub mod validation;

pub use error::ServiceError;

/// Seconds since 1970, now.
pub(crate) fn now_secs() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
