//! The store in memory: for tests, and a second reading of the contract.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{ByteStream, Class, Listed, Staged, Store, StoreError, StoreKey, StoredFile, Usage, key};
use crate::domain::Hash;

/// Files in a map. Nothing survives the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    files: Mutex<BTreeMap<String, (StoreKey, Bytes)>>,
    usage: Usage,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn remove(&self, name: &str) {
        let removed = self.files().remove(name);
        if let Some((key, bytes)) = removed {
            self.usage.deleted(key.hash(), Class::of(&key), bytes.len() as u64);
        }
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
        let size_bytes = bytes.len() as u64;
        let replaced = self.files().insert(key.to_string(), (key.clone(), bytes));
        self.usage.put(key.hash(), Class::of(key), size_bytes, replaced.map(|(_, bytes)| bytes.len() as u64));
        Ok(())
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<Bytes>, StoreError> {
        Ok(self.files().get(&key.to_string()).map(|(_, bytes)| bytes.clone()))
    }

    async fn stream(
        &self,
        key: &StoreKey,
        range: Range<u64>,
        size_bytes: u64,
    ) -> Result<Option<ByteStream>, StoreError> {
        let Some(bytes) = self.read(key).await?.filter(|bytes| bytes.len() as u64 == size_bytes) else {
            return Ok(None);
        };
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
        self.remove(&key.to_string());
        Ok(())
    }

    async fn delete_variants(&self, hash: &Hash) -> Result<(), StoreError> {
        let folder = format!("{}/", key::variants_folder(hash));
        let names: Vec<String> = self.files().keys().filter(|name| name.starts_with(&folder)).cloned().collect();
        names.iter().for_each(|name| self.remove(name));
        Ok(())
    }

    async fn size(&self, key: &StoreKey) -> Result<Option<u64>, StoreError> {
        Ok(self.files().get(&key.to_string()).map(|(_, bytes)| bytes.len() as u64))
    }

    async fn files(&self, first: u8) -> Result<Vec<StoredFile>, StoreError> {
        let files = self.files();
        let under = files.iter().filter(|(_, (key, _))| key.hash().as_bytes()[0] == first);
        let file = |(name, (key, bytes)): (&String, &(StoreKey, Bytes))| StoredFile {
            hash: *key.hash(),
            class: Class::of(key),
            name: name.rsplit('/').next().unwrap_or_default().to_owned(),
            size_bytes: bytes.len() as u64,
        };
        Ok(under.map(file).collect())
    }

    async fn delete_file(&self, file: &StoredFile) -> Result<(), StoreError> {
        self.remove(&key::path_of(file));
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn usage(&self) -> &Usage {
        &self.usage
    }

    async fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut listed: Vec<Listed> = self
            .files()
            .values()
            .map(|(key, _)| match key {
                StoreKey::Original { hash, format } => Listed::Original(*hash, *format),
                StoreKey::Variant { hash, .. } => Listed::VariantsOf(*hash),
                StoreKey::Proxy { hash } => Listed::ProxyOf(*hash),
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
