//! Bytes by key: originals, their proxies and variants. Every backend passes `suite`.

use std::{io, ops::Range};

use bytes::Bytes;
use futures_util::stream::BoxStream;

pub mod fs;
pub mod key;
pub mod memory;
mod room;
pub mod spool;
pub mod staging;
#[cfg(test)]
pub(crate) mod suite;
pub mod usage;

pub use fs::FsStore;
pub use key::{StoreKey, VariantName};
pub use memory::MemoryStore;
pub use spool::Spool;
pub use staging::{Staged, Staging, StagingError, StagingFile};
pub use usage::{Class, Held, Usage};

/// What can go wrong in a store: the operating system's word and what was being done.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {key}")]
pub struct StoreError {
    /// What was being done, as "reading" or "writing".
    pub doing: &'static str,
    /// The key it was done to.
    pub key: String,
    /// The cause.
    #[source]
    pub source: io::Error,
}

/// The bytes of a file in pieces, as a response body wants them.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// A place for whole files. What is put is whole or absent, and durable once acknowledged, but for what
/// [can be made again](StoreKey::can_be_made_again): after a power cut that may be absent, or not what was put.
#[async_trait::async_trait]
pub trait Store: Send + Sync + 'static {
    /// Moves a staged file to `key`, over whatever is there.
    async fn put_file(&self, key: &StoreKey, staged: Staged) -> Result<(), StoreError>;

    /// Writes `bytes` to `key`, over whatever is there.
    async fn put_bytes(&self, key: &StoreKey, bytes: Bytes) -> Result<(), StoreError>;

    /// The whole file; `None` when there is none.
    async fn read(&self, key: &StoreKey) -> Result<Option<Bytes>, StoreError>;

    /// The bytes in `range` (which must lie inside the file) as a stream; `None` when there is no file of `size_bytes`.
    async fn stream(
        &self,
        key: &StoreKey,
        range: Range<u64>,
        size_bytes: u64,
    ) -> Result<Option<ByteStream>, StoreError>;

    /// Deletes the file; fine when there is none.
    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError>;

    /// Deletes every variant of the original `hash`; fine when there is none.
    async fn delete_variants(&self, hash: &crate::domain::Hash) -> Result<(), StoreError>;

    /// The size of the file in bytes; `None` when there is none.
    async fn size(&self, key: &StoreKey) -> Result<Option<u64>, StoreError>;

    /// Every original, proxy and variant whose hash begins with the byte `first`, in no order.
    async fn files(&self, first: u8) -> Result<Vec<StoredFile>, StoreError>;

    /// Deletes a file that [`Self::files`] listed; fine when there is none any more.
    async fn delete_file(&self, file: &StoredFile) -> Result<(), StoreError>;

    /// Fails when the files cannot be looked at.
    async fn check(&self) -> Result<(), StoreError>;

    /// What there is, by class.
    fn usage(&self) -> &Usage;

    /// The keys of all originals, then the hashes that have variants or proxies, in no order: what the sweep compares with the repo.
    async fn list(&self) -> Result<Vec<Listed>, StoreError>;
}

/// One entry of [`Store::files`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredFile {
    /// The original that it is, or was made of.
    pub hash: crate::domain::Hash,
    /// What it is.
    pub class: Class,
    /// The last part of its key as text.
    pub name: String,
    /// Bytes in it.
    pub size_bytes: u64,
}

/// One entry of [`Store::list`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listed {
    /// An original.
    Original(crate::domain::Hash, crate::domain::Format),
    /// An original that has variants, whether or not its own file is there.
    VariantsOf(crate::domain::Hash),
    /// An original that has a proxy, whether or not its own file is there.
    ProxyOf(crate::domain::Hash),
}
