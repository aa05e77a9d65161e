//! Files whose rows are gone, deleted after a delay; at start, files that never had a row.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::{ServiceError, locks::HashLocks, now_secs};
use crate::{
    domain::Hash,
    repo::Repo,
    store::{Listed, Store, StoreKey},
};

/// How long files outlive their rows, so that a response that has just looked up a row finds its file.
const DELAY: Duration = Duration::from_secs(2);

/// When nothing was notified, garbage is looked for this often: what an error left lying is tried again.
const EVERY: Duration = Duration::from_secs(60);

/// Pieces of garbage looked at in one go.
const BATCH: usize = 256;

/// Deletes files that nothing names any more.
pub struct Cleanup {
    store: Arc<dyn Store>,
    repo: Arc<dyn Repo>,
    locks: Arc<HashLocks>,
    garbage: Arc<Notify>,
}

impl Cleanup {
    /// Wires the parts; `garbage` is notified by whoever removes rows.
    pub fn new(store: Arc<dyn Store>, repo: Arc<dyn Repo>, locks: Arc<HashLocks>, garbage: Arc<Notify>) -> Self {
        Self { store, repo, locks, garbage }
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
        loop {
            let due: Vec<_> =
                self.repo.garbage(BATCH).await?.into_iter().filter(|piece| piece.since_secs <= until_secs).collect();
            for piece in &due {
                let held = self.locks.lock([piece.hash]).await;
                // Uploaded again since: the row is back, and its upload took it out of the garbage.
                if self.repo.original(&piece.hash).await?.is_none() {
                    self.delete_files(piece.hash, piece.format).await?;
                    self.repo.forget_garbage(&piece.hash).await?;
                }
                drop(held);
            }
            if due.len() < BATCH {
                if !due.is_empty() {
                    tracing::debug!(originals = due.len(), "deleted files");
                }
                return Ok(());
            }
        }
    }

    /// Deletes every file in the store that has no row: what a crash left between a file and its row. Returns how many
    /// originals or folders of variants it deleted.
    ///
    /// # Errors
    /// The first fault of store or repo.
    pub async fn sweep(&self) -> Result<usize, ServiceError> {
        let mut deleted = 0;
        for listed in self.store.list().await? {
            let hash = match &listed {
                Listed::Original(hash, _) | Listed::VariantsOf(hash) => *hash,
            };
            // Looked at without the lock first: nearly every file has its row.
            if self.is_named(&listed).await? {
                continue;
            }
            let held = self.locks.lock([hash]).await;
            if !self.is_named(&listed).await? {
                match listed {
                    Listed::Original(hash, format) => {
                        self.store.delete(&StoreKey::Original { hash, format }).await?;
                    }
                    Listed::VariantsOf(hash) => self.store.delete_variants(&hash).await?,
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
            Listed::VariantsOf(hash) => self.repo.original(hash).await?.is_some(),
        })
    }

    async fn delete_files(&self, hash: Hash, format: crate::domain::Format) -> Result<(), ServiceError> {
        self.store.delete_variants(&hash).await?;
        Ok(self.store.delete(&StoreKey::Original { hash, format }).await?)
    }
}
