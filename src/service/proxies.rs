//! Proxies: originals in small, which variants are made from that are small enough.
//!
//! A proxy is what a decoder has made of the original with its sides divided by a whole number: of a JPEG that our own decoder
//! takes exactly the pixels that it gives for such a variant, so that the variant is the same to the bit, with and without. It is made
//! of what validation decodes when a picture comes in, and else by the first variant that it would have served.
//!
//! It is stored beside the requests, at most [`HELD_MIB`] at a time: who finds no room goes without, and the next variant makes
//! one. Whatever is wrong with one, the variant is made of the original, and the proxy with it. So nothing has to be durable
//! here, and nothing is retried.

mod file;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(super) use self::file::Proxy;
use super::{ServiceError, locks::HashLocks, now_secs};
use crate::{
    codec::{Decoded, Scale},
    domain::{Details, Format, Hash},
    pixels::{Op, Size, plan},
    repo::{ProxyRecord, Repo},
    store::{Store, StoreKey},
};

/// MiB of proxies that are made and not stored yet, each counted as the next whole one.
const HELD_MIB: u32 = 32;

const MEBIBYTE: usize = 1024 * 1024;

/// A JPEG is divided by 4 or 8, or has none: of one that would be divided by 2 the proxy is larger than the file, and the decoder
/// nearly as quick.
const JPEG_DIVISORS: [u32; 2] = [8, 4];

/// Other pictures are decoded whole at great cost, and divided by any number from this one.
const LEAST_DIVISOR: u32 = 3;

/// How long the last of them may take to be stored when the server stops.
const LAST: Duration = Duration::from_secs(2);

/// What became of proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A variant was made from one.
    Used,
    /// One was made and stored.
    Made,
    /// One was made for another size: it was made anew.
    Unfit,
    /// The file of one was not there.
    Lost,
    /// The file of one was not what it was recorded to be.
    Damaged,
    /// One was not kept, because too many waited to be stored.
    Busy,
    /// One could not be stored.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Used, Self::Made, Self::Unfit, Self::Lost, Self::Damaged, Self::Busy, Self::Failed];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Made => "made",
            Self::Unfit => "unfit",
            Self::Lost => "lost",
            Self::Damaged => "damaged",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}

/// A proxy that is made and not stored yet, with the room it takes.
#[derive(Debug)]
pub(super) struct New {
    divisor: u32,
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// The proxies of all originals.
pub struct Proxies {
    size_px: u32,
    store: Arc<dyn Store>,
    repo: Arc<dyn Repo>,
    locks: Arc<HashLocks>,
    room: Arc<Semaphore>,
    /// Those that are being stored.
    under_way: Mutex<BTreeMap<Hash, (u32, Bytes)>>,
    outcomes: [AtomicU64; Outcome::ALL.len()],
}

impl Proxies {
    /// Wires the parts. Variants of up to half of `size_px` are made from proxies; 0: there are none.
    pub fn new(size_px: u32, store: Arc<dyn Store>, repo: Arc<dyn Repo>, locks: Arc<HashLocks>) -> Self {
        Self {
            size_px,
            store,
            repo,
            locks,
            room: Arc::new(Semaphore::new(HELD_MIB as usize)),
            under_way: Mutex::default(),
            outcomes: Default::default(),
        }
    }

    /// What the sides of the proxy of such a picture are divided by: as much as a variant of half the configured size bears. `None`:
    /// it has no proxy, because it is not large enough, or moves.
    pub(super) fn divisor(&self, details: &Details) -> Option<u32> {
        let Details { width, height, format, frames } = *details;
        if self.size_px < 2 || frames > 1 {
            return None;
        }
        let (whole, half) = (Size::new(width, height), [Op::fit(self.size_px / 2)]);
        let bears = |divisor: &u32| plan::bears(&half, whole, *divisor);
        if format == Format::Jpg {
            return JPEG_DIVISORS.into_iter().find(bears);
        }
        // Not below half the configured size, whatever `bears` has for a least ratio.
        (LEAST_DIVISOR..=width.max(height) / (self.size_px / 2)).rev().find(bears)
    }

    /// The scale at which a JPEG is decoded for its proxy.
    pub(super) fn scale(&self, details: &Details) -> Option<Scale> {
        let divisor = self.divisor(details).filter(|_| details.format == Format::Jpg)?;
        Some(Scale::of_divisor(divisor))
    }

    /// The proxy of this original, if it has one with this divisor that is whole.
    ///
    /// # Errors
    /// A fault of the repo. One of the store is logged, and there is none.
    pub(super) async fn find(&self, hash: &Hash, divisor: u32) -> Result<Option<Proxy>, ServiceError> {
        let under_way = self.under_way().get(hash).filter(|(its, _)| *its == divisor).map(|(_, bytes)| bytes.clone());
        if let Some(proxy) = under_way.and_then(|bytes| Proxy::from_bytes(&bytes)) {
            self.count(Outcome::Used);
            return Ok(Some(proxy));
        }
        let Some(record) = self.repo.proxy(hash).await? else { return Ok(None) };
        let found = if record.divisor == divisor { self.read(hash, &record).await } else { Err(Outcome::Unfit) };
        self.count(found.as_ref().map_or_else(|outcome| *outcome, |_proxy| Outcome::Used));
        Ok(found.ok())
    }

    /// The proxy in its file, or what is wrong with that.
    async fn read(&self, hash: &Hash, record: &ProxyRecord) -> Result<Proxy, Outcome> {
        let key = StoreKey::Proxy { hash: *hash };
        let bytes = match self.store.read(&key).await {
            Ok(bytes) => bytes.ok_or(Outcome::Lost)?,
            Err(error) => {
                tracing::warn!(%error, "a proxy cannot be read, and is made anew");
                return Err(Outcome::Lost);
            }
        };
        let is_whole = bytes.len() as u64 == record.size_bytes && crc32fast::hash(&bytes) == record.crc32;
        let proxy = if is_whole { Proxy::from_bytes(&bytes) } else { None };
        proxy.filter(|proxy| proxy.divisor == record.divisor).ok_or_else(|| {
            tracing::warn!(%key, "a proxy is damaged, and is made anew");
            Outcome::Damaged
        })
    }

    /// A proxy that is to be stored, where there is room for it.
    pub(super) fn hold(&self, proxy: &Proxy) -> Option<New> {
        let bytes = proxy.to_bytes();
        let mib = u32::try_from(bytes.len().div_ceil(MEBIBYTE)).ok()?;
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(mib) else {
            self.count(Outcome::Busy);
            return None;
        };
        Some(New { divisor: proxy.divisor, bytes: bytes.into(), _room: room })
    }

    /// Stores a proxy of an original that has its row, in a task of its own; nothing is kept if that row has gone by then.
    pub(super) fn keep(self: &Arc<Self>, hash: Hash, new: New) {
        if self.under_way().insert(hash, (new.divisor, new.bytes.clone())).is_some() {
            // Somebody else stores the same: it need not be there twice, and goes when that ends.
            return;
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = match this.put(hash, &new).await {
                Ok(true) => Some(Outcome::Made),
                Ok(false) => None,
                Err(error) => {
                    tracing::warn!(%error, %hash, "a proxy could not be stored");
                    Some(Outcome::Failed)
                }
            };
            this.under_way().remove(&hash);
            if let Some(outcome) = outcome {
                this.count(outcome);
            }
        });
    }

    /// `false`, and nothing is kept, when the original was deleted meanwhile.
    async fn put(&self, hash: Hash, new: &New) -> Result<bool, ServiceError> {
        let record = ProxyRecord {
            divisor: new.divisor,
            size_bytes: new.bytes.len() as u64,
            crc32: crc32fast::hash(&new.bytes),
            created_secs: now_secs(),
        };
        let key = StoreKey::Proxy { hash };
        let _held = self.locks.lock([hash]).await;
        self.store.put_bytes(&key, new.bytes.clone()).await?;
        let kept = self.repo.add_proxy(&hash, record).await?;
        if !kept {
            self.store.delete(&key).await?;
        }
        Ok(kept)
    }

    /// Waits a short while for those that are being stored, before the server stops.
    pub async fn settle(&self) {
        let all = self.room.acquire_many(HELD_MIB);
        if tokio::time::timeout(LAST, all).await.is_err() {
            tracing::warn!("not all proxies were stored");
        }
    }

    /// How often what became of them, in the order of [`Outcome::ALL`].
    #[must_use]
    pub fn outcomes(&self) -> [u64; Outcome::ALL.len()] {
        self.outcomes.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    fn count(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeMap<Hash, (u32, Bytes)>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Decoded> for Proxy {
    fn from(decoded: Decoded) -> Self {
        let (width, height) = decoded.whole;
        Self {
            picture: decoded.picture,
            orientation: decoded.orientation,
            divisor: decoded.scale.divisor(),
            whole: Size::new(width, height),
        }
    }
}

#[cfg(test)]
mod tests;
