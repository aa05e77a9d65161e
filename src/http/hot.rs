//! Variants in memory, those asked for most: each with its head ready, so that a hit is one look-up and one write.
//!
//! The map is `quick_cache`: a hit takes a shard's lock for reading and adds to a counter, and what is asked for once does not
//! push out what is asked for often. ARCHITECTURE.md says what it was held against.
//!
//! A copy counts as long as its [`Ticket`] does; `service::tickets` says why that is enough, however late it is put here. Copies that do
//! not count any more leave their room when they are met, or within seconds of the next copy.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{HeaderMap, Method},
    response::Response,
};
use bytes::Bytes;
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};

use super::{
    caching::{Representation, answer, head, is_plain},
    error::ApiError,
};
use crate::{
    domain::{Alias, Hash, VariantKey},
    service::{
        cache::{self, Id},
        tickets::{Ticket, Tickets},
    },
};

/// What a copy takes beside its bytes: keys, head, the map's own.
const OVERHEAD_BYTES: u64 = 2048;

/// A copy larger than this part of the cache is not kept: it would push out too many others.
const LARGEST_PART: u64 = 16;

/// A use is told to the order on the disk this often. Between two it costs a look at the clock.
const TOLD_EVERY_MILLIS: u64 = 10_000;

/// Copies that do not count any more are looked for this often at most.
const SWEPT_EVERY: Duration = Duration::from_secs(5);

/// What is asked for: a name, and what is to be made of its picture.
pub(super) type Key = (Alias, VariantKey);

/// A variant in memory.
pub(super) struct Copy {
    hash: Hash,
    ticket: Ticket,
    id: Id,
    representation: Representation,
    /// The head of the answer to a request without conditions and ranges.
    head: HeaderMap,
    bytes: Bytes,
    /// When its use was last told, in milliseconds since the cache was made.
    told_millis: AtomicU64,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<Copy>> for ByBytes {
    fn weight(&self, _key: &Key, copy: &Arc<Copy>) -> u64 {
        copy.bytes.len() as u64 + OVERHEAD_BYTES
    }
}

/// What the cache in memory holds and has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HotStats {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) copies: u64,
    pub(super) bytes: u64,
    pub(super) limit_bytes: u64,
}

/// The variants in memory.
pub(super) struct Hot {
    /// `None` when there is no room for any.
    copies: Option<Cache<Key, Arc<Copy>, ByBytes>>,
    limit_bytes: u64,
    tickets: Arc<Tickets>,
    made: Instant,
    swept: Mutex<Instant>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Hot {
    /// A cache of `limit_bytes`, overhead included; 0 keeps nothing.
    pub(super) fn new(limit_bytes: u64, tickets: Arc<Tickets>) -> Self {
        // Small pictures are some kilobytes each. The map finds room for more of them, or fewer, as they come.
        let items = usize::try_from(limit_bytes / (4 * OVERHEAD_BYTES)).unwrap_or(usize::MAX).max(16);
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(items).weight_capacity(limit_bytes);
        // A shard has its part of the room, and the largest copy has to fit in one.
        options.shards(usize::try_from(LARGEST_PART / 2).unwrap_or(8));
        let options = options.build().ok().filter(|_| limit_bytes > 0);
        let copies = options.map(|options| {
            let hasher = quick_cache::DefaultHashBuilder::default();
            Cache::with_options(options, ByBytes, hasher, quick_cache::sync::DefaultLifecycle::default())
        });
        let (made, swept) = (Instant::now(), Mutex::new(Instant::now()));
        Self { copies, limit_bytes, tickets, made, swept, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// The largest body that is kept, in bytes.
    pub(super) fn largest(&self) -> u64 {
        (self.limit_bytes / LARGEST_PART).saturating_sub(OVERHEAD_BYTES)
    }

    /// The copy, if there is one that counts. `touch` is told its name where that is due.
    pub(super) fn get(&self, key: &Key, touch: impl FnOnce(&Id)) -> Option<Arc<Copy>> {
        let found = self.hit(key, touch);
        if found.is_none() && self.copies.is_some() {
            self.misses.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    /// As [`Self::get`], and it is no miss when there is none: whoever asks so asks again by that.
    pub(super) fn hit(&self, key: &Key, touch: impl FnOnce(&Id)) -> Option<Arc<Copy>> {
        let copies = self.copies.as_ref()?;
        let copy = copies.get(key)?;
        if !self.tickets.is_valid(&copy.hash, copy.ticket) {
            copies.remove_if(key, |other| Arc::ptr_eq(other, &copy));
            return None;
        }
        self.hits.fetch_add(1, Ordering::Relaxed);
        let now = self.millis();
        if now.saturating_sub(copy.told_millis.load(Ordering::Relaxed)) >= TOLD_EVERY_MILLIS {
            copy.told_millis.store(now, Ordering::Relaxed);
            touch(&copy.id);
        }
        Some(copy)
    }

    /// Keeps a copy, if there is room for one of its size. The ticket was taken before anything of the picture was looked at.
    pub(super) fn put(&self, key: Key, of: (Hash, Ticket), representation: Representation, bytes: &[u8]) {
        let Some(copies) = &self.copies else { return };
        let (hash, ticket) = of;
        if bytes.len() as u64 > self.largest() || bytes.len() as u64 != representation.size_bytes {
            return;
        }
        // What was made just now may be a part of something larger, or have room to spare: here it is counted to the byte.
        let bytes = Bytes::copy_from_slice(bytes);
        let id = cache::Cache::id(hash, &key.1);
        let head = head(&representation);
        let told_millis = AtomicU64::new(self.millis());
        copies.insert(key, Arc::new(Copy { hash, ticket, id, representation, head, bytes, told_millis }));
        self.sweep(copies);
    }

    /// Lets go of the copies that do not count any more.
    fn sweep(&self, copies: &Cache<Key, Arc<Copy>, ByBytes>) {
        {
            let Ok(mut swept) = self.swept.try_lock() else { return };
            if swept.elapsed() < SWEPT_EVERY {
                return;
            }
            *swept = Instant::now();
        }
        copies.retain(|_key, copy| self.tickets.is_valid(&copy.hash, copy.ticket));
    }

    /// Lets go of everything. Nothing of it counted any more: this makes room.
    pub(super) fn clear(&self) {
        if let Some(copies) = &self.copies {
            copies.clear();
        }
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn stats(&self) -> HotStats {
        HotStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            copies: self.copies.as_ref().map_or(0, Cache::len) as u64,
            bytes: self.copies.as_ref().map_or(0, Cache::weight),
            limit_bytes: self.limit_bytes,
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Copy {
    /// All of it.
    pub(super) fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// The head of the answer to a request without conditions and ranges.
    pub(super) fn head(&self) -> HeaderMap {
        self.head.clone()
    }

    /// The answer to a request for it.
    pub(super) async fn answer(&self, method: &Method, headers: &HeaderMap) -> Result<Response, ApiError> {
        if *method == Method::GET && is_plain(headers) {
            let mut response = Response::new(Body::from(self.bytes()));
            *response.headers_mut() = self.head();
            return Ok(response);
        }
        answer(method, headers, &self.representation, async |range| Ok(part(&self.bytes, &range))).await
    }
}

/// The bytes of a range as a body, without a copy.
pub(super) fn part(bytes: &Bytes, range: &std::ops::Range<u64>) -> Body {
    let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end)) else { return Body::empty() };
    if start > end || end > bytes.len() { Body::empty() } else { Body::from(bytes.slice(start..end)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Compat, Filter, OutputFormat, Variant};

    const MEBIBYTE: u64 = 1024 * 1024;

    fn key(name: &str, side: u32) -> Key {
        (Alias::asked(name), Variant::new(&[Filter::Thumbnail(side)], OutputFormat::Jpg).unwrap().key())
    }

    fn hash(n: u8) -> Hash {
        Hash::from_bytes([n; 32])
    }

    fn representation(size_bytes: u64) -> Representation {
        let (modified_secs, media_type, compat) = (1_000_000_000, "image/jpeg", Compat::V02);
        Representation { etag: hash(9), size_bytes, modified_secs, media_type, compat }
    }

    impl Hot {
        fn keep(&self, key: Key, n: u8, ticket: Ticket, size: usize) {
            self.put(key, (hash(n), ticket), representation(size as u64), &vec![n; size]);
        }

        fn has(&self, key: &Key) -> bool {
            self.get(key, |_| {}).is_some()
        }
    }

    fn hot(limit_bytes: u64) -> (Hot, Arc<Tickets>) {
        let tickets = Arc::new(Tickets::default());
        (Hot::new(limit_bytes, Arc::clone(&tickets)), tickets)
    }

    #[test]
    fn a_copy_that_comes_after_the_delete_it_raced_with_does_not_count() {
        let (hot, tickets) = hot(MEBIBYTE);
        let early = tickets.take(&hash(1)).unwrap();
        let neighbour = tickets.take(&hash(2)).unwrap();
        hot.keep(key("a.jpg", 1), 1, early, 100);
        hot.keep(key("b.jpg", 1), 2, neighbour, 100);
        assert!(hot.has(&key("a.jpg", 1)) && hot.has(&key("b.jpg", 1)) && !hot.has(&key("a.jpg", 2)));
        let closed = tickets.close(&hash(1));
        assert!(!hot.has(&key("a.jpg", 1)), "a delete is under way");
        drop(closed);
        hot.keep(key("a.jpg", 1), 1, early, 100);
        assert!(!hot.has(&key("a.jpg", 1)), "read before the delete, kept after it");
        assert!(hot.has(&key("b.jpg", 1)));
        hot.keep(key("a.jpg", 1), 1, tickets.take(&hash(1)).unwrap(), 100);
        assert!(hot.has(&key("a.jpg", 1)), "read after it: there again");
        let stats = hot.stats();
        assert_eq!((stats.hits, stats.misses, stats.copies), (4, 3, 2));
    }

    #[test]
    fn the_bytes_in_it_stay_under_the_limit_and_large_ones_stay_out() {
        let (hot, tickets) = hot(MEBIBYTE);
        let ticket = tickets.take(&hash(1)).unwrap();
        for side in 1..1000 {
            hot.keep(key("a.jpg", side), 1, ticket, 10_000);
            assert!(hot.stats().bytes <= MEBIBYTE);
        }
        let stats = hot.stats();
        assert!(stats.bytes > MEBIBYTE / 2 && stats.copies * (10_000 + OVERHEAD_BYTES) == stats.bytes, "{stats:?}");
        let largest = usize::try_from(hot.largest()).unwrap();
        hot.keep(key("large.jpg", 1), 1, ticket, largest);
        assert!(hot.has(&key("large.jpg", 1)));
        hot.keep(key("larger.jpg", 1), 1, ticket, largest + 1);
        assert!(!hot.has(&key("larger.jpg", 1)));
        hot.put(key("cut.jpg", 1), (hash(1), ticket), representation(11), &[1; 10]);
        assert!(!hot.has(&key("cut.jpg", 1)), "not what its row says");
        hot.clear();
        assert_eq!((hot.stats().copies, hot.stats().bytes), (0, 0));
    }

    #[test]
    fn without_room_nothing_is_kept_and_nothing_counted() {
        let (hot, tickets) = hot(0);
        hot.keep(key("a.jpg", 1), 1, tickets.take(&hash(1)).unwrap(), 1);
        assert!(!hot.has(&key("a.jpg", 1)));
        assert_eq!((hot.stats().misses, hot.largest()), (0, 0));
    }

    #[test]
    fn what_does_not_count_leaves_its_room() {
        let (hot, tickets) = hot(MEBIBYTE);
        for side in 1..20 {
            hot.keep(key("a.jpg", side), 1, tickets.take(&hash(1)).unwrap(), 1000);
        }
        drop(tickets.close(&hash(1)));
        *hot.swept.lock().unwrap() = Instant::now().checked_sub(2 * SWEPT_EVERY).unwrap();
        hot.keep(key("b.jpg", 1), 2, tickets.take(&hash(2)).unwrap(), 1000);
        assert_eq!(hot.stats().copies, 1);
    }
}
