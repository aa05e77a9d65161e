//! Variants on their way to the disk: answered already, since nobody has to wait for what can be made again.
//!
//! Until its row is there a variant is found here, so that it is not made twice. What is here is bounded by bytes; past that a new variant
//! waits for room, and its answer with it, as all answers would without this.
//!
//! `DELETE /internal/variants` must not be outrun: a variant that was answered before it must not get a row after it. A variant
//! is kept only while the ticket counts that was taken before it was made, which is looked at after it has its
//! room; and the drop, which makes tickets worthless first, then waits until all that have room are done ([`Keeping::settle`]). So whoever looked
//! before that has a row by then, which goes with the others, and whoever looks later keeps nothing.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use super::{Cache, Found};
use crate::{
    domain::{Hash, VariantKey},
    repo::VariantRecord,
    service::tickets::Ticket,
    store::StoreKey,
};

/// Granularity of the room.
const KIBIBYTE: usize = 1024;

/// All the room there is, in KiB. A variant that is larger goes alone.
const ROOM_KIB: u32 = 32 * 1024;

/// The least that one takes: no more than 2048 are on their way.
const LEAST_KIB: u32 = 16;

type Key = (Hash, VariantKey);

/// A variant on its way.
#[derive(Debug)]
struct OnItsWay {
    found: Found,
    ticket: Ticket,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Keeping {
    room: Arc<Semaphore>,
    on_their_way: Mutex<HashMap<Key, Arc<OnItsWay>>>,
    failed: AtomicU64,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(ROOM_KIB as usize)),
            on_their_way: Mutex::default(),
            failed: AtomicU64::new(0),
        }
    }
}

impl Keeping {
    /// The variant, if it is on its way, and the ticket that it is good for.
    pub(super) fn get(&self, hash: &Hash, key: &VariantKey) -> Option<(Found, Ticket)> {
        let on_their_way = self.on_their_way();
        if on_their_way.is_empty() {
            return None;
        }
        let one = on_their_way.get(&(*hash, key.clone()))?;
        Some((one.found.clone(), one.ticket))
    }

    /// Variants on their way.
    pub(super) fn len(&self) -> usize {
        self.on_their_way().len()
    }

    /// Variants that could not be kept.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Waits until all that have room now are done.
    pub(super) async fn settle(&self) {
        // The semaphore is never closed.
        drop(self.room.acquire_many(ROOM_KIB).await);
    }

    async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(KIBIBYTE)).unwrap_or(u32::MAX).clamp(LEAST_KIB, ROOM_KIB);
        Arc::clone(&self.room).acquire_many_owned(kib).await.ok()
    }

    fn on_their_way(&self) -> MutexGuard<'_, HashMap<Key, Arc<OnItsWay>>> {
        self.on_their_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one off the map when it is done, however that ends.
struct Done {
    cache: Arc<Cache>,
    key: Key,
    one: Arc<OnItsWay>,
}

impl Drop for Done {
    fn drop(&mut self) {
        let mut on_their_way = self.cache.keeping.on_their_way();
        // Another may have come in its place, after all variants were dropped.
        if on_their_way.get(&self.key).is_some_and(|other| Arc::ptr_eq(other, &self.one)) {
            on_their_way.remove(&self.key);
        }
    }
}

impl Cache {
    /// Keeps a variant in the background. Waits for room and for nothing else; when this returns [`Self::find`] finds the variant. What goes
    /// wrong later is logged and counted: the variant is made again when it is asked for. Nothing is kept if a delete ran since `ticket` was
    /// to be taken.
    pub(in crate::service) async fn keep_later(
        self: &Arc<Self>,
        stored: StoreKey,
        key: VariantKey,
        record: VariantRecord,
        bytes: Bytes,
        ticket: Option<Ticket>,
    ) {
        let Some(ticket) = ticket else { return };
        let room = self.keeping.room(bytes.len()).await;
        let one = Arc::new(OnItsWay { found: Found { record, bytes: Some(bytes.clone()) }, ticket });
        let done = Done { cache: Arc::clone(self), key: (*stored.hash(), key), one };
        self.keeping.on_their_way().insert(done.key.clone(), Arc::clone(&done.one));
        // In a task of its own: callers that go away must not stop this between a file and its row.
        let keeping = async move {
            let this = &done.cache;
            if let Err(error) = this.keep(&stored, &done.key.1, record, bytes, ticket).await {
                this.keeping.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, variant = done.key.1.as_str(), "a variant was answered and could not be kept");
            }
            drop(done);
            drop(room);
        };
        tokio::spawn(keeping.in_current_span());
    }

    /// Waits until every variant that is on its way is kept: before the metadata are closed.
    pub async fn settle(&self) {
        self.keeping.settle().await;
    }
}
