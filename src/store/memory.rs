//! The store in memory: for tests, and a second reading of the contract.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{ByteStream, Listed, Staged, Store, StoreError, StoreKey, key};
use crate::domain::Hash;

/// Files in a map. Nothing survives the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    files: Mutex<BTreeMap<String, (StoreKey, Bytes)>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, (StoreKey, Bytes)>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn put_file(&self, key: &StoreKey, staged: Staged) -> Result<(), StoreError> {
        let bytes = tokio::fs::read(staged.path()).await.map_err(|source| StoreError {
            doing: "writing",
            key: key.to_string(),
            source,
        })?;
        self.put_bytes(key, bytes.into()).await
    }

    async fn put_bytes(&self, key: &StoreKey, bytes: Bytes) -> Result<(), StoreError> {
        self.files().insert(key.to_string(), (key.clone(), bytes));
        Ok(())
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<Bytes>, StoreError> {
        Ok(self.files().get(&key.to_string()).map(|(_, bytes)| bytes.clone()))
    }

    async fn stream(&self, key: &StoreKey, range: Range<u64>) -> Result<Option<ByteStream>, StoreError> {
        let Some(bytes) = self.read(key).await? else { return Ok(None) };
        let slice = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok())
            .filter(|(start, end)| start <= end && *end <= bytes.len())
            .map(|(start, end)| bytes.slice(start..end));
        match slice {
            Some(slice) => Ok(Some(stream::iter((!slice.is_empty()).then_some(Ok(slice))).boxed())),
            None => Err(StoreError {
                doing: "reading",
                key: key.to_string(),
                source: io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("bytes {}..{} of a file of {}", range.start, range.end, bytes.len()),
                ),
            }),
        }
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.files().remove(&key.to_string());
        Ok(())
    }

    async fn delete_variants(&self, hash: &Hash) -> Result<(), StoreError> {
        let folder = format!("{}/", key::variants_folder(hash));
        self.files().retain(|name, _| !name.starts_with(&folder));
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut listed: Vec<Listed> = self
            .files()
            .values()
            .map(|(key, _)| match key {
                StoreKey::Original { hash, format } => Listed::Original(*hash, *format),
                StoreKey::Variant { hash, .. } => Listed::VariantsOf(*hash),
            })
            .collect();
        listed.sort();
        listed.dedup();
        Ok(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Staging, suite};

    #[tokio::test]
    async fn passes_the_suite() {
        let folder = tempfile::tempdir().unwrap();
        suite::passes(&MemoryStore::new(), &Staging::open(folder.path()).await.unwrap()).await;
    }
}
