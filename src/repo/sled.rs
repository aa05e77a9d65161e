//! The repo on sled 0.34, used the way that holds: see DESIGN section 4.
//!
//! One named thread does all writing. It takes the requests that wait (a commit group), decides each on the rows as
//! the ones before it leave them, appends the group to the journal and syncs that, writes one sled batch, flushes,
//! syncs sled's log, and only then answers. So whatever a reader sees of aliases and originals is durable already.
//!
//! Reads go to sled from the caller's thread. They take microseconds: a few tree nodes, nearly always in sled's cache,
//! else one `pread` of some kilobytes each, as short as the hand-over to another thread would be. They wait for the
//! writer only while it puts a batch into memory, never for an fsync.
//!
//! Layout below the data directory: `lock`, `journal`, `meta/` (sled), `reserve` (blocks held back), and `meta.damaged-<secs>` or
//! `journal.damaged-<secs>`, put aside and never deleted.

use std::{
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    AliasRecord, Garbage, NewAlias, OriginalRecord, ProxyRecord, RemoteRecord, Removal, Repo, RepoError, UploadKey,
    VariantRecord, VariantRow,
    journal::JournalError,
    record::{KeptVariant, decode},
};
use crate::domain::{Alias, DeleteToken, Hash, Looks, UrlKey, VariantKey};

mod decide;
mod index;
mod open;
pub mod pictrs;
mod reserve;
mod rows;
#[cfg(test)]
mod tests;
mod writer;

use decide::{Answer, Request};
pub use writer::Stats;
use writer::{Order, Shared, Writer};

/// Requests that wait for the writer before senders wait, too.
const QUEUE: usize = 1024;

/// After this long without an answer the engine counts as failed. When a background write of sled's fails, its
/// `flush` can miss the wake-up and wait for ever.
const STALLED: Duration = Duration::from_secs(60);

/// Metadata in sled, with a journal beside it.
pub struct SledRepo {
    db: ::sled::Db,
    shared: Arc<Shared>,
    sender: Option<mpsc::Sender<Order>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Unlocked when dropped, which is last.
    _lock: std::fs::File,
}

impl fmt::Debug for SledRepo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // sled's own Debug prints every row.
        f.debug_struct("SledRepo").field("shared", &self.shared).finish_non_exhaustive()
    }
}

fn engine(error: impl fmt::Display) -> RepoError {
    RepoError::Engine(error.to_string())
}

impl From<JournalError> for RepoError {
    fn from(error: JournalError) -> Self {
        engine(error)
    }
}

fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl SledRepo {
    /// The repo below `data_dir`, which is made if it is not there. A damaged or missing index is rebuilt from the
    /// journal, a damaged or missing journal from the index.
    ///
    /// Blocks: reads every row and every frame of the journal once, and writes what is rebuilt.
    ///
    /// # Errors
    /// [`RepoError::Engine`] when another process has the directory, when a file operation fails, or when journal and
    /// index are both damaged; nothing is changed then.
    pub fn open(data_dir: &Path) -> Result<Self, RepoError> {
        let open::Opened { lock, journal, index } = open::open(data_dir)?;
        let db = index.db().clone();
        let shared = Arc::new(Shared::default());
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = Writer::new(journal, index, receiver, Arc::clone(&shared));
        let writer = std::thread::Builder::new()
            .name("repo-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error: io::Error| RepoError::Engine(format!("starting the writer thread: {error}")))?;
        Ok(Self { db, shared, sender: Some(sender), writer: Mutex::new(Some(writer)), _lock: lock })
    }

    /// What the writer has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    async fn submit(&self, request: Request) -> Result<Answer, RepoError> {
        self.readable()?;
        let sender = self.sender.as_ref().ok_or(RepoError::Stopped)?;
        let (answer, answered) = oneshot::channel();
        let exchange = async {
            sender.send(Order { request, answer }).await.map_err(|_closed| RepoError::Stopped)?;
            // The writer drops what it will not do any more.
            answered.await.unwrap_or(Err(RepoError::Stopped))
        };
        match tokio::time::timeout(STALLED, exchange).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                self.shared.fail();
                tracing::error!("the metadata store has not answered for {} s", STALLED.as_secs());
                Err(RepoError::Engine(format!("no answer for {} s", STALLED.as_secs())))
            }
        }
    }

    async fn remove(&self, alias: &Alias, token: Option<&DeleteToken>) -> Result<Removal, RepoError> {
        let request = Request::Remove { alias: alias.clone(), token: token.cloned() };
        let Answer::Removal(removal) = self.submit(request).await? else { return Err(Answer::unexpected()) };
        Ok(removal)
    }

    /// Refuses once the engine has failed or closed: rows in memory may then not be on the disk.
    fn readable(&self) -> Result<(), RepoError> {
        if self.shared.is_ready() { Ok(()) } else { Err(RepoError::Stopped) }
    }

    /// The value of one row.
    fn row(&self, key: &[u8]) -> Result<Option<::sled::IVec>, RepoError> {
        self.readable()?;
        self.db.get(key).map_err(|error| self.failed(&error))
    }

    /// The rows of variants whose keys begin with `prefix`.
    fn variants(&self, prefix: &[u8]) -> Result<Vec<VariantRow>, RepoError> {
        self.readable()?;
        let rows = self.db.scan_prefix(prefix);
        rows.map(|row| {
            let (key, value) = row.map_err(|error| self.failed(&error))?;
            let (hash, key) = rows::read_variant_key(&key)?;
            Ok(VariantRow::new(hash, key, decode::<KeptVariant>("variants", &value)?))
        })
        .collect()
    }

    /// A read that fails stops the engine: what sled gives after an I/O error is not to be built on.
    fn failed(&self, error: &::sled::Error) -> RepoError {
        self.shared.fail();
        tracing::error!(%error, "reading metadata failed");
        engine(error)
    }
}

impl Drop for SledRepo {
    /// Waits for the writer to finish what it was asked, so that the directory can be opened again at once.
    fn drop(&mut self) {
        self.sender = None;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // One that failed may be stuck in sled.
        if let Some(writer) = writer
            && !self.shared.has_failed()
            && writer.join().is_err()
        {
            tracing::error!("the metadata writer panicked while it closed");
        }
    }
}

#[async_trait::async_trait]
impl Repo for SledRepo {
    async fn add_aliases(&self, batch: Vec<NewAlias>) -> Result<(), RepoError> {
        self.submit(Request::Add(batch)).await.map(drop)
    }

    async fn alias(&self, alias: &Alias) -> Result<Option<AliasRecord>, RepoError> {
        self.row(&rows::alias_key(alias))?.map(|value| decode("aliases", &value)).transpose()
    }

    async fn original(&self, hash: &Hash) -> Result<Option<OriginalRecord>, RepoError> {
        self.row(&rows::original_key(hash))?.map(|value| decode("originals", &value)).transpose()
    }

    async fn originals_under(&self, first: u8) -> Result<Vec<(Hash, OriginalRecord)>, RepoError> {
        self.readable()?;
        let rows = self.db.scan_prefix(rows::originals_under(first));
        rows.map(|row| {
            let (key, value) = row.map_err(|error| self.failed(&error))?;
            Ok((rows::read_hash(key.get(1..).unwrap_or_default())?, decode("originals", &value)?))
        })
        .collect()
    }

    async fn strays(&self) -> Result<Vec<Alias>, RepoError> {
        self.readable()?;
        let mut strays = Vec::new();
        for row in self.db.scan_prefix(rows::ALIASES) {
            let (key, value) = row.map_err(|error| self.failed(&error))?;
            let alias = rows::read_alias(key.get(1..).unwrap_or_default())?;
            let record: AliasRecord = decode("aliases", &value)?;
            let listed = self.row(&rows::order_key(&record.hash, record.sequence))?;
            let is_listed = listed.is_some_and(|listed| *listed == *alias.as_str().as_bytes());
            if !is_listed || self.row(&rows::original_key(&record.hash))?.is_none() {
                strays.push(alias);
            }
        }
        Ok(strays)
    }

    async fn uploaded(&self, upload: &UploadKey) -> Result<Option<Hash>, RepoError> {
        self.row(&rows::upload_key(upload))?.map(|value| rows::read_hash(&value)).transpose()
    }

    async fn aliases_of(&self, hash: &Hash) -> Result<Vec<Alias>, RepoError> {
        self.readable()?;
        let rows = self.db.scan_prefix(rows::order_prefix(hash));
        rows.map(|row| rows::read_alias(&row.map_err(|error| self.failed(&error))?.1)).collect()
    }

    async fn remove_alias(&self, alias: &Alias, token: &DeleteToken) -> Result<Removal, RepoError> {
        self.remove(alias, Some(token)).await
    }

    async fn drop_alias(&self, alias: &Alias) -> Result<Removal, RepoError> {
        self.remove(alias, None).await
    }

    async fn purge(&self, hash: &Hash) -> Result<Option<Vec<Alias>>, RepoError> {
        let Answer::Purged(aliases) = self.submit(Request::Purge(*hash)).await? else {
            return Err(Answer::unexpected());
        };
        Ok(aliases)
    }

    async fn add_variant(&self, hash: &Hash, key: &VariantKey, record: VariantRecord) -> Result<bool, RepoError> {
        let Answer::Recorded(recorded) =
            self.submit(Request::AddVariant { hash: *hash, key: key.clone(), record }).await?
        else {
            return Err(Answer::unexpected());
        };
        Ok(recorded)
    }

    async fn variant(&self, hash: &Hash, key: &VariantKey) -> Result<Option<VariantRecord>, RepoError> {
        self.row(&rows::variant_key(hash, key))?.map(|value| decode("variants", &value)).transpose()
    }

    async fn remove_variants(&self, variants: Vec<(Hash, VariantKey)>) -> Result<(), RepoError> {
        self.submit(Request::RemoveVariants(variants)).await.map(drop)
    }

    async fn variants_of(&self, hash: &Hash) -> Result<Vec<VariantRow>, RepoError> {
        self.variants(&rows::variants_prefix(hash))
    }

    async fn variants_under(&self, first: u8) -> Result<Vec<VariantRow>, RepoError> {
        self.variants(&rows::variants_under(first))
    }

    async fn use_variants(&self, uses: Vec<(Hash, VariantKey, u64)>) -> Result<(), RepoError> {
        self.submit(Request::UseVariants(uses)).await.map(drop)
    }

    async fn add_proxy(&self, hash: &Hash, record: ProxyRecord) -> Result<bool, RepoError> {
        let Answer::Recorded(recorded) = self.submit(Request::AddProxy { hash: *hash, record }).await? else {
            return Err(Answer::unexpected());
        };
        Ok(recorded)
    }

    async fn proxy(&self, hash: &Hash) -> Result<Option<ProxyRecord>, RepoError> {
        self.row(&rows::proxy_key(hash))?.map(|value| decode("proxies", &value)).transpose()
    }

    async fn add_looks(&self, hash: &Hash, looks: Looks) -> Result<bool, RepoError> {
        let Answer::Recorded(recorded) = self.submit(Request::AddLooks { hash: *hash, looks }).await? else {
            return Err(Answer::unexpected());
        };
        Ok(recorded)
    }

    async fn looks(&self, hash: &Hash) -> Result<Option<Looks>, RepoError> {
        self.row(&rows::looks_key(hash))?.map(|value| decode("looks", &value)).transpose()
    }

    async fn remove_proxies(&self, hashes: Vec<Hash>) -> Result<(), RepoError> {
        self.submit(Request::RemoveProxies(hashes)).await.map(drop)
    }

    async fn proxies_under(&self, first: u8) -> Result<Vec<Hash>, RepoError> {
        self.readable()?;
        let rows = self.db.scan_prefix(rows::proxies_under(first));
        rows.map(|row| rows::read_proxy_key(&row.map_err(|error| self.failed(&error))?.0)).collect()
    }

    async fn remote(&self, url: &UrlKey) -> Result<Option<RemoteRecord>, RepoError> {
        self.row(&rows::remote_key(url))?.map(|value| decode("remotes", &value)).transpose()
    }

    async fn remotes_under(&self, first: u8) -> Result<Vec<(UrlKey, RemoteRecord)>, RepoError> {
        self.readable()?;
        let rows = self.db.scan_prefix(rows::remotes_under(first));
        rows.map(|row| {
            let (key, value) = row.map_err(|error| self.failed(&error))?;
            Ok((rows::read_remote_key(&key)?, decode("remotes", &value)?))
        })
        .collect()
    }

    async fn use_remotes(&self, uses: Vec<(UrlKey, u64)>) -> Result<(), RepoError> {
        self.submit(Request::UseRemotes(uses)).await.map(drop)
    }

    async fn stand_in(&self) -> Result<Option<Alias>, RepoError> {
        self.row(rows::STAND_IN)?.map(|value| rows::read_alias(&value)).transpose()
    }

    async fn set_stand_in(&self, alias: Option<Alias>) -> Result<(), RepoError> {
        self.submit(Request::StandIn(alias)).await.map(drop)
    }

    async fn garbage(&self, after: Option<Hash>, limit: usize) -> Result<Vec<Garbage>, RepoError> {
        self.readable()?;
        let rows = self.db.range(rows::garbage_after(after)).take(limit);
        rows.map(|row| decode("garbage", &row.map_err(|error| self.failed(&error))?.1)).collect()
    }

    async fn forget_garbage(&self, hashes: Vec<Hash>) -> Result<(), RepoError> {
        self.submit(Request::Forget(hashes)).await.map(drop)
    }

    fn is_ready(&self) -> bool {
        self.shared.is_ready()
    }

    async fn close(&self) -> Result<(), RepoError> {
        if self.shared.has_closed() {
            return Ok(());
        }
        self.submit(Request::Close).await.map(drop)
    }
}
