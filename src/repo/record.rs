//! The records as they are kept. Each carries its version from the first one on, and stays under 1 KB.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::{DeleteToken, Details, Format, Hash};

/// What an alias names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AliasRecord {
    /// The original.
    pub hash: Hash,
    /// The secret that deletes the alias.
    pub delete_token: DeleteToken,
    /// Its place among the aliases of the original: they are listed in this order.
    pub sequence: u64,
}

/// A stored original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRecord {
    /// What was measured of it.
    pub details: Details,
    /// Bytes stored.
    pub size_bytes: u64,
    /// When it was first stored, in seconds since 1970: its `Last-Modified`.
    pub created_secs: u64,
    /// The upload that made it: the same upload again need not be decoded again.
    pub upload: UploadKey,
}

/// The SHA-256 of what was uploaded and of the rules it was ingested under (conversion, validation).
/// Equal keys become equal stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadKey(pub Hash);

impl fmt::Display for UploadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A variant whose file is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantRecord {
    /// The SHA-256 of its bytes: its strong `ETag`.
    pub etag: Hash,
    /// Bytes stored.
    pub size_bytes: u64,
    /// When it was made, in seconds since 1970: its `Last-Modified`.
    pub created_secs: u64,
}

/// An original whose rows are gone and whose files are to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garbage {
    /// The original that was.
    pub hash: Hash,
    /// Its format: with the hash, the name of its file.
    pub format: Format,
    /// When its rows went, in seconds since 1970.
    pub since_secs: u64,
}
