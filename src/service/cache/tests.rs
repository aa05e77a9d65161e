//! The cache on stores and repos in memory: what is evicted, what is counted, what a restart finds.

use super::*;
use crate::{
    domain::{Alias, DeleteToken, Details, Filter, Format, OutputFormat, Variant},
    repo::{MemoryRepo, NewAlias, OriginalRecord, UploadKey},
    store::{Held, MemoryStore},
};

struct House {
    store: Arc<MemoryStore>,
    repo: Arc<MemoryRepo>,
    cache: Arc<Cache>,
}

fn hash(n: u8) -> Hash {
    Hash::from_bytes([n; 32])
}

fn key(side: u32) -> VariantKey {
    Variant::new(&[Filter::Thumbnail(side)], OutputFormat::Jpg).unwrap().key()
}

fn stored(n: u8, side: u32) -> StoreKey {
    StoreKey::Variant { hash: hash(n), key: key(side), format: OutputFormat::Jpg }
}

fn record(size_bytes: u64, created_secs: u64) -> VariantRecord {
    let etag = Hash::from_bytes(Sha256::digest(bytes(usize::try_from(size_bytes).unwrap())).into());
    VariantRecord { etag, size_bytes, created_secs }
}

fn bytes(size: usize) -> Bytes {
    vec![7; size].into()
}

fn house(size_bytes: u64, max_age: Option<Duration>) -> House {
    with(Arc::default(), Arc::default(), CacheOptions { size_bytes, max_age, keeps_proxies: true })
}

fn with(store: Arc<MemoryStore>, repo: Arc<MemoryRepo>, options: CacheOptions) -> House {
    let cache = Arc::new(Cache::new(options, store.clone(), repo.clone(), Arc::default(), Arc::default()));
    House { store, repo, cache }
}

impl House {
    /// The same files and rows, as the next start finds them.
    fn restarted(&self) -> Self {
        with(self.store.clone(), self.repo.clone(), self.cache.options)
    }

    async fn original(&self, n: u8) {
        let details = Details { width: 1, height: 1, format: Format::Png, frames: 1 };
        let original = OriginalRecord { details, size_bytes: 3, created_secs: 0, upload: UploadKey(hash(n)) };
        let alias = Alias::generate(Format::Png);
        let token = DeleteToken::generate().kept(&alias);
        self.repo.add_aliases(vec![NewAlias { alias, token, hash: hash(n), original, remote: None }]).await.unwrap();
    }

    async fn keep(&self, n: u8, side: u32, size: usize) -> bool {
        let record = record(size as u64, now_micros() / 1_000_000);
        let ticket = self.cache.ticket(&hash(n)).unwrap();
        self.cache.keep(&stored(n, side), &key(side), record, bytes(size), ticket).await.unwrap()
    }

    async fn keep_later(&self, n: u8, side: u32, size: usize, ticket: Option<Ticket>) {
        let record = record(size as u64, now_micros() / 1_000_000);
        self.cache.keep_later(stored(n, side), key(side), record, bytes(size), ticket).await;
    }

    async fn count(&self) {
        for first in 0..=u8::MAX {
            self.cache.count(first).await.unwrap();
        }
    }

    /// Sides of the variants whose files are there; each of them, and none else, has its row.
    async fn there(&self, n: u8) -> Vec<u32> {
        let mut there = Vec::new();
        for side in 1..40 {
            let file = self.store.size(&stored(n, side)).await.unwrap().is_some();
            assert_eq!(self.repo.variant(&hash(n), &key(side)).await.unwrap().is_some(), file, "{n} {side}");
            there.extend(file.then_some(side));
        }
        there
    }

    fn held(&self) -> Held {
        self.store.usage().of(Class::Variant)
    }
}

#[tokio::test]
async fn past_the_limit_those_not_used_for_longest_go() {
    let house = house(6400, None);
    house.count().await;
    house.original(1).await;
    for side in 1..=7 {
        assert!(house.keep(1, side, 900).await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    house.cache.evict().await.unwrap();
    assert_eq!(house.there(1).await.len(), 7, "6300 bytes are within the limit");
    assert!(house.cache.find(&hash(1), &key(1)).await.unwrap().is_some());
    assert!(house.keep(1, 8, 900).await);
    house.cache.evict().await.unwrap();
    assert_eq!(house.there(1).await, [1, 3, 4, 5, 6, 7, 8]);
    assert_eq!(house.held(), Held { files: 7, bytes: 6300 }, "the limit less its slack of 100");
    assert_eq!(house.cache.stats().evicted, [1, 0]);
    assert!(house.cache.find(&hash(1), &key(2)).await.unwrap().is_none());
    let stats = house.cache.stats();
    assert_eq!((stats.hits, stats.misses), (1, 1));
    // One that is larger than all of the cache is not kept for long, and nothing is stuck.
    assert!(house.keep(1, 9, 10_000).await);
    house.cache.evict().await.unwrap();
    assert_eq!(house.there(1).await, Vec::<u32>::new());
    assert_eq!(house.held(), Held::default());
}

#[tokio::test]
async fn many_are_evicted_in_batches_over_many_originals() {
    let house = house(100, None);
    house.count().await;
    for n in 0..20 {
        house.original(n).await;
        for side in 1..=10 {
            house.keep(n, side, 10).await;
        }
    }
    house.cache.evict().await.unwrap();
    assert_eq!(house.held(), Held { files: 9, bytes: 90 });
    assert_eq!(house.cache.stats().evicted, [191, 0]);
    let mut left = 0;
    for n in 0..20 {
        left += house.there(n).await.len();
    }
    assert_eq!((left, house.cache.order().len()), (9, 9));
}

#[tokio::test]
async fn what_nobody_asked_for_in_time_goes() {
    let house = house(u64::MAX, Some(Duration::from_millis(300)));
    house.count().await;
    house.original(1).await;
    house.keep(1, 1, 10).await;
    house.keep(1, 2, 10).await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    house.cache.touch(&Cache::id(hash(1), &key(2)));
    house.keep(1, 3, 10).await;
    house.cache.evict().await.unwrap();
    assert_eq!(house.there(1).await, [2, 3]);
    assert_eq!(house.cache.stats().evicted, [0, 1]);
}

#[tokio::test]
async fn a_file_does_not_go_before_its_row() {
    let house = house(10, None);
    house.count().await;
    house.original(1).await;
    house.keep(1, 1, 30).await;
    house.repo.close().await.unwrap();
    assert!(house.cache.evict().await.is_err(), "no row can be removed any more");
    assert!(house.store.size(&stored(1, 1)).await.unwrap().is_some());
}

#[tokio::test]
async fn the_next_start_finds_the_order_that_was_noted_and_catches_up() {
    let before = house(u64::MAX, None);
    before.count().await;
    before.original(1).await;
    let long_ago = now_micros() / 1_000_000 - 1000;
    for side in 1..=4 {
        let record = record(10, long_ago + u64::from(side));
        let ticket = before.cache.ticket(&hash(1)).unwrap();
        before.cache.keep(&stored(1, side), &key(side), record, bytes(10), ticket).await.unwrap();
    }
    before.cache.find(&hash(1), &key(1)).await.unwrap();
    assert_eq!(before.cache.note_uses(9).await.unwrap(), 1);
    assert_eq!(before.cache.note_uses(9).await.unwrap(), 0);
    // Notes of what is gone do no harm.
    before.cache.touch(&Cache::id(hash(1), &key(2)));
    before.repo.remove_variants(vec![(hash(1), key(2))]).await.unwrap();
    assert_eq!(before.cache.note_uses(9).await.unwrap(), 1);
    assert!(before.repo.add_variant(&hash(1), &key(2), record(10, long_ago + 2)).await.unwrap());

    let options = CacheOptions { size_bytes: 20, max_age: None, keeps_proxies: true };
    let after = with(before.store.clone(), before.repo.clone(), options);
    assert!(after.cache.order().oldest(9, u64::MAX).is_empty());
    after.count().await;
    after.cache.evict().await.unwrap();
    assert_eq!(after.there(1).await, [1, 4], "1 was used, 4 was the youngest of the others");
    assert_eq!(after.held(), Held { files: 2, bytes: 20 });
}

#[tokio::test]
async fn files_and_rows_that_a_crash_left_alone_go_and_what_may_be_needed_stays() {
    let before = house(u64::MAX, None);
    before.original(1).await;
    for side in 1..=3 {
        before.keep(1, side, 10).await;
    }
    before.repo.remove_variants(vec![(hash(1), key(1))]).await.unwrap();
    before.store.delete(&stored(1, 2)).await.unwrap();
    before.store.put_bytes(&stored(2, 1), "of nobody".into()).await.unwrap();
    let after = before.restarted();
    for _ in 0..2 {
        after.count().await;
        assert_eq!(after.there(1).await, [3]);
        assert!(after.store.size(&stored(2, 1)).await.unwrap().is_some(), "perhaps the rows are what was lost");
        assert_eq!(after.held(), Held { files: 2, bytes: 19 });
        assert_eq!(after.cache.order().len(), 1);
    }
    assert_eq!(after.store.usage().of(Class::Original), Held::default());
}

#[tokio::test]
async fn files_that_a_crash_cut_go_with_their_rows() {
    let before = house(u64::MAX, None);
    before.original(1).await;
    for side in 1..=3 {
        before.keep(1, side, 10).await;
    }
    before.store.put_bytes(&stored(1, 1), bytes(9)).await.unwrap();
    before.store.put_bytes(&stored(1, 3), Bytes::new()).await.unwrap();
    let after = before.restarted();
    after.count().await;
    assert_eq!(after.there(1).await, [2]);
    assert_eq!(after.held(), Held { files: 1, bytes: 10 });
    assert_eq!(after.cache.order().len(), 1);
}

#[tokio::test]
async fn a_variant_that_holds_other_bytes_is_forgotten() {
    let house = house(u64::MAX, None);
    house.original(1).await;
    house.keep(1, 1, 10).await;
    house.count().await;
    house.store.put_bytes(&stored(1, 1), vec![0; 10].into()).await.unwrap();
    house.cache.forget_lost(&stored(1, 1), &key(1)).await.unwrap();
    assert_eq!((house.there(1).await, house.held(), house.cache.order().len()), (vec![], Held::default(), 0));
}

#[tokio::test]
async fn a_variant_is_found_while_it_is_on_its_way_and_from_the_disk_after_it() {
    let house = house(u64::MAX, None);
    house.original(1).await;
    let busy = house.cache.locks.lock([hash(1)]).await;
    house.keep_later(1, 1, 10, house.cache.ticket(&hash(1))).await;
    tokio::task::yield_now().await;
    assert_eq!(house.store.size(&stored(1, 1)).await.unwrap(), None, "the lock is held");
    let found = house.cache.find(&hash(1), &key(1)).await.unwrap().unwrap();
    assert_eq!((found.record.size_bytes, found.bytes.unwrap()), (10, bytes(10)));
    assert_eq!((house.cache.stats().on_their_way, house.cache.stats().hits), (1, 1));
    drop(busy);
    house.cache.settle().await;
    let found = house.cache.find(&hash(1), &key(1)).await.unwrap().unwrap();
    assert!(found.bytes.is_none());
    assert_eq!((house.there(1).await, house.cache.stats().on_their_way), (vec![1], 0));
}

#[tokio::test]
async fn room_is_bounded_and_a_failure_is_counted() {
    let house = house(u64::MAX, None);
    house.original(1).await;
    let busy = house.cache.locks.lock([hash(1)]).await;
    let ticket = house.cache.ticket(&hash(1));
    // Larger than all of the room: it goes alone.
    house.keep_later(1, 1, 33 * 1024 * 1024, ticket).await;
    let mut second = Box::pin(house.keep_later(1, 2, 10, ticket));
    assert!(futures_util::FutureExt::now_or_never(&mut second).is_none());
    drop(busy);
    second.await;
    house.cache.settle().await;
    assert_eq!((house.there(1).await, house.cache.stats().not_kept), (vec![1, 2], 0));
    house.repo.close().await.unwrap();
    house.keep_later(1, 3, 10, ticket).await;
    house.cache.settle().await;
    assert_eq!((house.cache.stats().not_kept, house.cache.stats().on_their_way), (1, 0));
}

/// What was answered before all variants were dropped gets no row after that.
#[tokio::test]
async fn no_variant_outruns_the_drop_of_all() {
    let house = house(u64::MAX, None);
    house.original(1).await;
    let ticket = house.cache.ticket(&hash(1));
    let busy = house.cache.locks.lock([hash(1)]).await;
    house.keep_later(1, 1, 10, ticket).await;
    let mut dropping = Box::pin(house.cache.drop_all(|| {}));
    for _ in 0..10 {
        tokio::task::yield_now().await;
        assert!(futures_util::FutureExt::now_or_never(&mut dropping).is_none(), "one is on its way");
    }
    assert!(house.cache.ticket(&hash(1)).is_none());
    assert!(house.cache.look(&hash(1), &key(1)).await.unwrap().is_none(), "not from the way either");
    drop(busy);
    dropping.await.unwrap();
    house.cache.settle().await;
    house.keep_later(1, 2, 10, ticket).await;
    house.keep_later(1, 3, 10, None).await;
    house.cache.settle().await;
    assert_eq!((house.there(1).await, house.cache.stats().not_kept), (vec![], 0));
    house.keep_later(1, 4, 10, house.cache.ticket(&hash(1))).await;
    house.cache.settle().await;
    assert_eq!(house.there(1).await, [4]);
}

#[tokio::test]
async fn a_variant_is_forgotten_only_if_its_file_is_really_gone() {
    let house = house(u64::MAX, None);
    house.original(1).await;
    house.keep(1, 1, 10).await;
    house.cache.forget_lost(&stored(1, 1), &key(1)).await.unwrap();
    assert_eq!(house.there(1).await, [1]);
    house.store.delete(&stored(1, 1)).await.unwrap();
    house.cache.forget_lost(&stored(1, 1), &key(1)).await.unwrap();
    assert_eq!((house.there(1).await.len(), house.cache.order().len()), (0, 0));
}

#[tokio::test]
async fn nothing_is_kept_of_an_original_that_is_gone() {
    let house = house(u64::MAX, None);
    house.count().await;
    assert!(!house.keep(1, 1, 10).await);
    house.original(1).await;
    assert!(house.keep(1, 1, 10).await);
    house.repo.purge(&hash(1)).await.unwrap();
    house.cache.delete_files_of(hash(1)).await.unwrap();
    assert_eq!((house.held(), house.cache.order().len()), (Held::default(), 0));
}

#[tokio::test]
async fn dropping_all_takes_the_rows_at_once_and_the_files_later() {
    let house = house(u64::MAX, None);
    house.count().await;
    for n in 1..=3 {
        house.original(n).await;
        for side in 1..=200 {
            house.keep(n, side, 1).await;
        }
    }
    let ticket = house.cache.tickets.take(&hash(1)).unwrap();
    house.cache.drop_all(|| assert!(house.cache.tickets.take(&hash(1)).is_none(), "not open yet")).await.unwrap();
    assert!(!house.cache.tickets.is_valid(&hash(1), ticket));
    for n in 1..=3 {
        assert!(house.repo.variants_of(&hash(n)).await.unwrap().is_empty());
    }
    house.keep(2, 1, 5).await;
    house.count().await;
    assert_eq!(house.held(), Held { files: 1, bytes: 5 });
    assert_eq!(house.there(2).await, [1]);
    assert_eq!(house.cache.order().len(), 1);
}
