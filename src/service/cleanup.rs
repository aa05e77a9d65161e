//! Files whose rows are gone, deleted after a delay; at start, files that never had a row.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::{ServiceError, cache::Cache, locks::HashLocks, now_secs};
use crate::{
    domain::Hash,
    repo::Repo,
    store::{Listed, Store, StoreKey},
};

/// How long files outlive their rows, so that a response that has just looked up a row finds its file.
const DELAY: Duration = Duration::from_secs(2);

/// When nothing was notified, garbage is looked for this often: what an error left lying is tried again.
const EVERY: Duration = Duration::from_secs(60);

/// Pieces of garbage whose files are deleted at a time, with their locks held, and forgotten in one transaction: one that is synced takes longer
/// than deleting the files of one, and uploads wait for the locks.
const BATCH: usize = 32;

/// Deletes files that nothing names any more.
pub struct Cleanup {
    store: Arc<dyn Store>,
    repo: Arc<dyn Repo>,
    cache: Arc<Cache>,
    locks: Arc<HashLocks>,
    garbage: Arc<Notify>,
}

impl Cleanup {
    /// Wires the parts; `garbage` is notified by whoever removes rows.
    pub fn new(
        store: Arc<dyn Store>,
        repo: Arc<dyn Repo>,
        cache: Arc<Cache>,
        locks: Arc<HashLocks>,
        garbage: Arc<Notify>,
    ) -> Self {
        Self { store, repo, cache, locks, garbage }
    }

    /// Sweeps once, then deletes garbage as it comes, until it is dropped.
    pub async fn run(self) {
        match self.sweep().await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "deleted files that had no row"),
            Err(error) => tracing::warn!(%error, "the sweep at start did not finish"),
        }
        loop {
            let _woken = tokio::time::timeout(EVERY, self.garbage.notified()).await;
            tokio::time::sleep(DELAY).await;
            if let Err(error) = self.collect(now_secs().saturating_sub(DELAY.as_secs())).await {
                tracing::warn!(%error, "files stay for now that nothing names any more");
            }
        }
    }

    /// Deletes the files of every original whose rows went before `until_secs`.
    ///
    /// # Errors
    /// The first fault of store or repo; what is left stays garbage.
    pub async fn collect(&self, until_secs: u64) -> Result<(), ServiceError> {
        let (mut after, mut deleted) = (None, 0);
        loop {
            let batch = self.repo.garbage(after, BATCH).await?;
            let due: Vec<_> = batch.iter().filter(|piece| piece.since_secs <= until_secs).collect();
            let held = self.locks.lock(due.iter().map(|piece| piece.hash)).await;
            let mut forgotten = Vec::with_capacity(due.len());
            for piece in due {
                // Uploaded again since: the row is back, and its upload took it out of the garbage.
                if self.repo.original(&piece.hash).await?.is_none() {
                    self.delete_files(piece.hash, piece.format).await?;
                    forgotten.push(piece.hash);
                }
            }
            deleted += forgotten.len();
            if !forgotten.is_empty() {
                self.repo.forget_garbage(forgotten).await?;
            }
            drop(held);
            if batch.len() < BATCH {
                if deleted > 0 {
                    tracing::debug!(originals = deleted, "deleted files");
                }
                return Ok(());
            }
            after = batch.last().map(|piece| piece.hash);
        }
    }

    /// Deletes every file in the store that has no row: what a crash left between a file and its row. Returns how many
    /// originals, proxies or folders of variants it deleted. When no file at all has a row it deletes nothing: then it is the
    /// rows that are lost, and the files are what is left.
    ///
    /// # Errors
    /// The first fault of store or repo.
    pub async fn sweep(&self) -> Result<usize, ServiceError> {
        let (mut unnamed, mut named) = (Vec::new(), 0_usize);
        for listed in self.store.list().await? {
            // Looked at without the lock first: nearly every file has its row.
            if self.is_named(&listed).await? {
                named += 1;
            } else {
                unnamed.push(listed);
            }
        }
        if named == 0 && !unnamed.is_empty() {
            tracing::warn!(
                files = unnamed.len(),
                "no stored file has a row: were the metadata lost? Nothing is deleted"
            );
            return Ok(0);
        }
        let mut deleted = 0;
        for listed in unnamed {
            let hash = match &listed {
                Listed::Original(hash, _) | Listed::VariantsOf(hash) | Listed::ProxyOf(hash) => *hash,
            };
            let held = self.locks.lock([hash]).await;
            if !self.is_named(&listed).await? {
                match listed {
                    Listed::Original(hash, format) => self.store.delete(&StoreKey::Original { hash, format }).await?,
                    Listed::VariantsOf(hash) => self.cache.delete_files_of(hash).await?,
                    Listed::ProxyOf(hash) => self.store.delete(&StoreKey::Proxy { hash }).await?,
                }
                deleted += 1;
            }
            drop(held);
        }
        Ok(deleted)
    }

    async fn is_named(&self, listed: &Listed) -> Result<bool, ServiceError> {
        Ok(match listed {
            Listed::Original(hash, format) => {
                self.repo.original(hash).await?.is_some_and(|record| record.details.format == *format)
            }
            Listed::VariantsOf(hash) | Listed::ProxyOf(hash) => self.repo.original(hash).await?.is_some(),
        })
    }

    async fn delete_files(&self, hash: Hash, format: crate::domain::Format) -> Result<(), ServiceError> {
        self.cache.delete_files_of(hash).await?;
        self.store.delete(&StoreKey::Proxy { hash }).await?;
        Ok(self.store.delete(&StoreKey::Original { hash, format }).await?)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        domain::{Alias, DeleteToken, Details, Format, OutputFormat, Variant},
        repo::{MemoryRepo, NewAlias, OriginalRecord, UploadKey},
        service::cache::CacheOptions,
        store::MemoryStore,
    };

    struct House {
        store: Arc<MemoryStore>,
        repo: Arc<MemoryRepo>,
        cleanup: Cleanup,
    }

    fn house() -> House {
        let (store, repo) = (Arc::new(MemoryStore::new()), Arc::new(MemoryRepo::new()));
        let options = CacheOptions { size_bytes: u64::MAX, max_age: None, keeps_proxies: true };
        let locks = Arc::<HashLocks>::default();
        let (files, rows) = (Arc::<MemoryStore>::clone(&store), Arc::<MemoryRepo>::clone(&repo));
        let cache = Arc::new(Cache::new(options, files.clone(), rows.clone(), Arc::clone(&locks), Arc::default()));
        let cleanup = Cleanup::new(files, rows, cache, locks, Arc::default());
        House { store, repo, cleanup }
    }

    fn hash(first: u8) -> Hash {
        Hash::from_bytes([first; 32])
    }

    fn original(first: u8) -> StoreKey {
        StoreKey::Original { hash: hash(first), format: Format::Png }
    }

    impl House {
        async fn file(&self, first: u8) {
            self.store.put_bytes(&original(first), Bytes::from_static(b"png")).await.unwrap();
            let key = Variant::new(&[], OutputFormat::Jpg).unwrap().key();
            let variant = StoreKey::Variant { hash: hash(first), key, format: OutputFormat::Jpg };
            self.store.put_bytes(&variant, Bytes::from_static(b"jpg")).await.unwrap();
            let proxy = StoreKey::Proxy { hash: hash(first) };
            self.store.put_bytes(&proxy, Bytes::from_static(b"proxy")).await.unwrap();
        }

        async fn row(&self, first: u8) {
            let details = Details { width: 1, height: 1, format: Format::Png, frames: 1 };
            let upload = UploadKey(hash(first));
            let original = OriginalRecord { details, size_bytes: 3, created_secs: 0, upload };
            let alias = Alias::generate(Format::Png);
            let token = DeleteToken::generate().kept(&alias);
            let new = NewAlias { alias, token, hash: hash(first), original, remote: None };
            self.repo.add_aliases(vec![new]).await.unwrap();
        }

        /// What is listed while all files of this original are there.
        fn all_of(first: u8) -> [Listed; 3] {
            let hash = hash(first);
            [Listed::Original(hash, Format::Png), Listed::VariantsOf(hash), Listed::ProxyOf(hash)]
        }

        async fn listed(&self) -> Vec<Listed> {
            let mut listed = self.store.list().await.unwrap();
            listed.sort();
            listed
        }
    }

    #[tokio::test]
    async fn the_sweep_deletes_what_has_no_row_and_nothing_else() {
        let house = house();
        house.file(1).await;
        house.file(2).await;
        house.row(1).await;
        assert_eq!(house.cleanup.sweep().await.unwrap(), 3);
        assert_eq!(house.listed().await, House::all_of(1));
        assert_eq!(house.cleanup.sweep().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn when_no_file_has_a_row_nothing_is_deleted() {
        let house = house();
        house.file(1).await;
        assert_eq!(house.cleanup.sweep().await.unwrap(), 0);
        assert_eq!(house.listed().await.len(), 3);
    }

    #[tokio::test]
    async fn all_that_is_due_goes_however_much_is_not() {
        let house = house();
        for first in 1..=200 {
            house.file(first).await;
            house.row(first).await;
        }
        house.row(201).await;
        let purge = async |range: std::ops::RangeInclusive<u8>| {
            for first in range {
                house.repo.purge(&hash(first)).await.unwrap();
            }
        };
        // What is due comes behind more than a batch of what is not.
        purge(101..=200).await;
        let until_secs = now_secs();
        while now_secs() == until_secs {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        purge(1..=100).await;
        house.cleanup.collect(0).await.unwrap();
        assert_eq!(house.repo.garbage(None, 999).await.unwrap().len(), 200);
        house.cleanup.collect(until_secs).await.unwrap();
        let left = house.repo.garbage(None, 999).await.unwrap();
        assert_eq!(left.iter().map(|piece| piece.hash).collect::<Vec<_>>(), (1..=100).map(hash).collect::<Vec<_>>());
        assert_eq!(house.listed().await.len(), 100 * House::all_of(1).len());
        house.cleanup.collect(u64::MAX).await.unwrap();
        assert!(house.repo.garbage(None, 9).await.unwrap().is_empty() && house.listed().await.is_empty());
    }

    #[tokio::test]
    async fn garbage_goes_when_it_is_due_unless_it_was_uploaded_again() {
        let house = house();
        for first in [1, 2] {
            house.file(first).await;
            house.row(first).await;
            house.repo.purge(&hash(first)).await.unwrap();
        }
        house.cleanup.collect(0).await.unwrap();
        assert_eq!(house.listed().await.len(), 6, "not due yet");
        house.row(2).await;
        house.cleanup.collect(u64::MAX).await.unwrap();
        assert_eq!(house.listed().await, House::all_of(2));
        assert!(house.repo.garbage(None, 9).await.unwrap().is_empty());
    }
}
