//! A remote picture: one of another host, which is kept here under its address for as long as somebody asks for it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Hash;

/// The address of a remote picture, as the SHA-256 of its text: of one length however long that is, and nobody reads from the metadata
/// what was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UrlKey(Hash);

impl UrlKey {
    /// That of a normalised URL.
    #[must_use]
    pub fn of(url: &str) -> Self {
        Self(Hash::from_bytes(Sha256::digest(url).into()))
    }

    /// The one with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Hash::from_bytes(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// Where the picture of an alias came from that nobody has uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Its address.
    pub url: UrlKey,
    /// When it was fetched, in seconds since 1970.
    pub fetched_secs: u64,
}
