//! The variants on the disk: looked up, kept, and held under their limits.
//!
//! The rows say what is there, the store counts what lies there, and [`Order`] knows which was used last. All three change under
//! the lock of the hash, so they agree whenever nobody holds it. The order is in memory alone. A use changes it there and
//! costs no write: uses are noted in the rows once a minute, at most [`upkeep::NOTED_A_ROUND`] of them, and all that is left when the server stops;
//! the order after a restart is that of these notes.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::{
    ServiceError,
    locks::HashLocks,
    tickets::{Ticket, Tickets},
};
use crate::{
    domain::{Hash, VariantKey},
    repo::{Repo, VariantRecord},
    store::{Class, Store, StoreKey, VariantName},
};

mod keeping;
mod order;
mod upkeep;

use keeping::Keeping;

pub use order::Id;
use order::Order;

/// The limits of the cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheOptions {
    /// Bytes of variants on the disk.
    pub size_bytes: u64,
    /// How long a variant is kept that nobody asks for; `None` is as long as there is room.
    pub max_age: Option<Duration>,
    /// Whether proxies are used. Where they are not, those of earlier runs go when the cache is counted.
    pub keeps_proxies: bool,
}

/// Why a variant was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// There were too many bytes.
    Size,
    /// Nobody had asked for it for too long.
    Age,
}

impl Eviction {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Size, Self::Age];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Age => "age",
        }
    }
}

/// What the cache has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Variants that were found.
    pub hits: u64,
    /// Variants that were not.
    pub misses: u64,
    /// Variants evicted, in the order of [`Eviction::ALL`].
    pub evicted: [u64; 2],
    /// Variants that were answered and are not stored yet.
    pub on_their_way: usize,
    /// Variants that were answered and could not be stored.
    pub not_kept: u64,
    /// Whether all that an earlier run left has been counted.
    pub is_counted: bool,
}

/// A variant that is there.
#[derive(Clone, Debug)]
pub struct Found {
    /// What is known of it.
    pub record: VariantRecord,
    /// Its bytes, while they are on their way to the disk.
    pub bytes: Option<Bytes>,
}

/// The variants on the disk.
pub struct Cache {
    options: CacheOptions,
    store: Arc<dyn Store>,
    repo: Arc<dyn Repo>,
    locks: Arc<HashLocks>,
    tickets: Arc<Tickets>,
    order: Mutex<Order>,
    keeping: Keeping,
    /// Told when there is something for the upkeep to do.
    wake: Notify,
    /// Rows were removed whose files are still there.
    is_dropped: AtomicBool,
    is_counted: AtomicBool,
    hits: AtomicU64,
    misses: AtomicU64,
    evicted: [AtomicU64; 2],
}

impl Cache {
    /// Wires the parts. What an earlier run left is counted by [`Self::keep_up`].
    pub fn new(
        options: CacheOptions,
        store: Arc<dyn Store>,
        repo: Arc<dyn Repo>,
        locks: Arc<HashLocks>,
        tickets: Arc<Tickets>,
    ) -> Self {
        Self {
            options,
            store,
            repo,
            locks,
            tickets,
            order: Mutex::default(),
            keeping: Keeping::default(),
            wake: Notify::new(),
            is_dropped: AtomicBool::new(false),
            is_counted: AtomicBool::new(false),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evicted: Default::default(),
        }
    }

    /// What the variant is named here.
    #[must_use]
    pub fn id(hash: Hash, key: &VariantKey) -> Id {
        (hash, VariantName::of(key))
    }

    /// The variant, if it is there; it counts as used now.
    ///
    /// # Errors
    /// When the repo fails.
    pub async fn find(&self, hash: &Hash, key: &VariantKey) -> Result<Option<Found>, ServiceError> {
        let found = self.look(hash, key).await?;
        if found.is_some() {
            self.hits.fetch_add(1, Ordering::Relaxed);
            self.touch(&Self::id(*hash, key));
        } else {
            self.misses.fetch_add(1, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// The variant, if it is there. No use of it: a second look by whoever has asked already.
    ///
    /// # Errors
    /// When the repo fails.
    pub(super) async fn look(&self, hash: &Hash, key: &VariantKey) -> Result<Option<Found>, ServiceError> {
        // In this order: it is taken off the way when its row is there.
        if let Some((found, ticket)) = self.keeping.get(hash, key)
            && self.tickets.is_valid(hash, ticket)
        {
            return Ok(Some(found));
        }
        let record = self.repo.variant(hash, key).await?;
        Ok(record.map(|record| Found { record, bytes: None }))
    }

    /// What [`Self::keep_later`] wants of who is about to make a variant; `None` while something of the picture is deleted.
    pub(super) fn ticket(&self, hash: &Hash) -> Option<Ticket> {
        self.tickets.take(hash)
    }

    /// Notes in memory that the variant was used now.
    pub fn touch(&self, id: &Id) {
        self.order().touch(id, now_micros());
    }

    /// Stores a variant and records it. `false`, and nothing is kept, when its original was deleted meanwhile, or the ticket
    /// does not count any more.
    ///
    /// # Errors
    /// A fault of store or repo.
    async fn keep(
        &self,
        stored: &StoreKey,
        key: &VariantKey,
        record: VariantRecord,
        bytes: Bytes,
        ticket: Ticket,
    ) -> Result<bool, ServiceError> {
        let hash = *stored.hash();
        let held = self.locks.lock([hash]).await;
        if !self.tickets.is_valid(&hash, ticket) {
            return Ok(false);
        }
        self.store.put_bytes(stored, bytes).await?;
        let kept = self.repo.add_variant(&hash, key, record).await?;
        if kept {
            self.order().insert(Self::id(hash, key), record.size_bytes, now_micros(), record.created_secs);
        } else {
            self.store.delete(stored).await?;
        }
        drop(held);
        if self.is_over() {
            self.wake.notify_one();
        }
        Ok(kept)
    }

    /// Forgets a variant whose file was not found, or not found whole, unless it is there by now.
    ///
    /// # Errors
    /// A fault of store or repo.
    pub(super) async fn forget_lost(&self, stored: &StoreKey, key: &VariantKey) -> Result<(), ServiceError> {
        let hash = *stored.hash();
        let _held = self.locks.lock([hash]).await;
        let record = self.repo.variant(&hash, key).await?;
        let bytes = self.store.read(stored).await?;
        // Evicted and made again between two looks of the caller: nothing is lost.
        if let (Some(record), Some(bytes)) = (&record, &bytes)
            && is_whole(record, bytes)
        {
            return Ok(());
        }
        self.repo.remove_variants(vec![(hash, key.clone())]).await?;
        self.order().remove(&Self::id(hash, key));
        if bytes.is_some() {
            tracing::warn!(file = %stored, "a variant was damaged, and is made again");
            self.store.delete(stored).await?;
        }
        Ok(())
    }

    /// Deletes the files of all variants of an original whose rows are gone. The caller holds the lock of its hash.
    pub(super) async fn delete_files_of(&self, hash: Hash) -> Result<(), ServiceError> {
        self.order().remove_of(hash);
        Ok(self.store.delete_variants(&hash).await?)
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            evicted: self.evicted.each_ref().map(|count| count.load(Ordering::Relaxed)),
            on_their_way: self.keeping.len(),
            not_kept: self.keeping.failed(),
            is_counted: self.is_counted.load(Ordering::Relaxed),
        }
    }

    /// Bytes that variants may have on the disk.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        self.options.size_bytes
    }

    fn is_over(&self) -> bool {
        self.store.usage().of(Class::Variant).bytes > self.options.size_bytes
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether these are the bytes of the variant. Its file is not synced, so a power cut may leave another.
#[must_use]
pub fn is_whole(record: &VariantRecord, bytes: &[u8]) -> bool {
    bytes.len() as u64 == record.size_bytes && *record.etag.as_bytes() == <[u8; 32]>::from(Sha256::digest(bytes))
}

/// Microseconds since 1970, now.
fn now_micros() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
