//! What keeps the cache in order, in a task beside the requests: counting at start, eviction, notes of uses, and files whose rows
//! were dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Cache, Eviction, Id, now_micros, order::Victim};
use crate::{
    domain::{Hash, VariantKey},
    repo::VariantRow,
    service::ServiceError,
    store::{Class, StoreKey, VariantName},
};

/// Most variants that are evicted under one set of locks and in one transaction.
const BATCH: usize = 32;

/// Eviction goes on until the cache is this part of its limit below it: then not every new variant costs a transaction for an old one.
const SLACK: u64 = 64;

/// How often ages are looked at and uses noted.
const EVERY: Duration = Duration::from_secs(60);

/// After an error of store or repo nothing is tried again before this.
const PAUSE: Duration = Duration::from_secs(10);

/// Most uses that are noted in one round: a minute of a cache that is used all over costs this many rows.
pub(super) const NOTED_A_ROUND: usize = 1024;

/// Most rows in one transaction.
const ROWS: usize = 256;

/// How long noting may take when the server stops.
const LAST_NOTES: Duration = Duration::from_secs(2);

impl Cache {
    /// Counts what an earlier run left, then keeps the cache under its limits, until it is dropped.
    pub async fn keep_up(self: Arc<Self>) {
        let begun = Instant::now();
        self.count_all().await;
        let held = self.store.usage().of(Class::Variant);
        tracing::info!(
            variants = held.files,
            bytes = held.bytes,
            millis = begun.elapsed().as_millis(),
            "counted the cache"
        );
        self.is_counted.store(true, Ordering::Relaxed);
        let mut noted = Instant::now();
        loop {
            let round = async {
                if self.is_dropped.swap(false, Ordering::AcqRel) {
                    self.count_all().await;
                }
                self.evict().await?;
                if noted.elapsed() >= EVERY {
                    noted = Instant::now();
                    self.note_uses(NOTED_A_ROUND).await?;
                }
                Ok::<(), ServiceError>(())
            };
            if let Err(error) = round.await {
                tracing::warn!(%error, "the cache is not kept up for now");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let _woken = tokio::time::timeout(EVERY, self.wake.notified()).await;
        }
    }

    /// Counts and reconciles under every first byte. What fails is left for the next start.
    async fn count_all(&self) {
        for first in 0..=u8::MAX {
            if let Err(error) = self.count(first).await {
                tracing::warn!(%error, first, "a part of the cache could not be counted");
            }
            tokio::task::yield_now().await;
        }
    }

    /// Makes files, rows and order agree under the byte `first`: a file without a row goes, unless its original has none
    /// either (then it is garbage, or the rows are what is lost); a row without a file goes; both go where they do not agree in size.
    /// A row of a proxy without a file goes too, and a file without a row.
    ///
    /// # Errors
    /// A fault of store or repo.
    pub(super) async fn count(&self, first: u8) -> Result<(), ServiceError> {
        if !self.store.usage().has_begun(first) {
            // Once without the lock, so that what is under it finds the folders in the system's memory.
            let _warm = self.store.files(first).await?;
        }
        let held = self.locks.lock([under(first)]).await;
        let files = self.store.files(first).await?;
        let rows = self.repo.variants_under(first).await?;
        let mut rows: BTreeMap<Id, VariantRow> =
            rows.into_iter().map(|row| (Self::id(row.hash, &row.key), row)).collect();
        let mut proxies: BTreeSet<Hash> = self.repo.proxies_under(first).await?.into_iter().collect();
        let (mut here, mut found) = (Vec::with_capacity(files.len()), BTreeMap::new());
        for file in files {
            let has_row = match file.class {
                Class::Original => true,
                // Its row is one without a file where proxies are not used.
                Class::Proxy => self.options.keeps_proxies && proxies.remove(&file.hash),
                Class::Variant => {
                    let id = VariantName::read(&file.name).map(|name| (file.hash, name));
                    // A file is not synced: after a power cut it may be shorter than it was. Then both go.
                    let is_whole = |row: &&VariantRow| row.record.size_bytes == file.size_bytes;
                    let id = id.filter(|id| rows.get(id).filter(is_whole).is_some());
                    let row = id.and_then(|id| Some((id, rows.remove(&id)?)));
                    found.extend(row.as_ref().map(|(id, row)| (*id, (file.size_bytes, row.used_secs))));
                    row.is_some()
                }
            };
            if has_row {
                here.push(file);
            } else if self.repo.original(&file.hash).await?.is_some() {
                self.store.delete_file(&file).await?;
            } else {
                here.push(file);
            }
        }
        let lost: Vec<(Hash, VariantKey)> = rows.into_values().map(|row| (row.hash, row.key)).collect();
        self.remove_rows(lost).await?;
        self.remove_proxy_rows(proxies.into_iter().collect()).await?;
        self.order().replace(first, &found);
        self.store.usage().begin(first, &here);
        drop(held);
        Ok(())
    }

    async fn remove_rows(&self, mut rows: Vec<(Hash, VariantKey)>) -> Result<(), ServiceError> {
        while !rows.is_empty() {
            let chunk = rows.split_off(rows.len().saturating_sub(ROWS));
            self.repo.remove_variants(chunk).await?;
        }
        Ok(())
    }

    async fn remove_proxy_rows(&self, mut hashes: Vec<Hash>) -> Result<(), ServiceError> {
        while !hashes.is_empty() {
            let chunk = hashes.split_off(hashes.len().saturating_sub(ROWS));
            self.repo.remove_proxies(chunk).await?;
        }
        Ok(())
    }

    /// Evicts what is too old, and what there is too much of.
    ///
    /// # Errors
    /// A fault of store or repo. What was evicted until then stays so.
    pub(super) async fn evict(&self) -> Result<(), ServiceError> {
        if let Some(age) = self.options.max_age {
            let age_micros = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
            loop {
                let since = now_micros().saturating_sub(age_micros);
                let victims = self.order().unused_since(since, BATCH);
                if victims.is_empty() {
                    break;
                }
                self.evict_batch(victims, Eviction::Age).await?;
            }
        }
        if !self.is_over() {
            return Ok(());
        }
        let low = self.options.size_bytes - self.options.size_bytes / SLACK;
        loop {
            let over = self.store.usage().of(Class::Variant).bytes.saturating_sub(low);
            let victims = self.order().oldest(BATCH, over);
            if victims.is_empty() {
                return Ok(());
            }
            self.evict_batch(victims, Eviction::Size).await?;
        }
    }

    /// Evicts those of `victims` that nobody used meanwhile: first their rows, durably, then their files. Whoever has a file
    /// open reads it to its end.
    async fn evict_batch(&self, victims: Vec<Victim>, why: Eviction) -> Result<(), ServiceError> {
        let held = self.locks.lock(victims.iter().map(|victim| victim.id.0)).await;
        let mut keys = Vec::with_capacity(victims.len());
        for victim in victims {
            if !self.order().is_still_due(&victim) {
                continue;
            }
            match self.key(&victim.id).await? {
                Some(key) => keys.push((victim.id, key)),
                // Its row is gone already, and its file goes with whoever removed it.
                None => self.order().remove(&victim.id),
            }
        }
        let rows = keys.iter().map(|((hash, _), key)| (*hash, key.clone())).collect();
        self.repo.remove_variants(rows).await?;
        for (id, key) in keys {
            self.order().remove(&id);
            if let Some(format) = key.format() {
                self.store.delete(&StoreKey::Variant { hash: id.0, key, format }).await?;
            }
            self.evicted[why as usize].fetch_add(1, Ordering::Relaxed);
        }
        drop(held);
        Ok(())
    }

    /// The key of the variant, from its row.
    async fn key(&self, id: &Id) -> Result<Option<VariantKey>, ServiceError> {
        let rows = self.repo.variants_of(&id.0).await?;
        Ok(rows.into_iter().map(|row| row.key).find(|key| VariantName::of(key) == id.1))
    }

    /// Notes in the rows at most `limit` uses that are known in memory alone. Returns how many there were.
    ///
    /// # Errors
    /// A fault of the repo. Then those uses are not noted before the next ones.
    pub(super) async fn note_uses(&self, limit: usize) -> Result<usize, ServiceError> {
        let mut done = 0;
        while done < limit {
            let unnoted = self.order().note(ROWS.min(limit - done));
            if unnoted.is_empty() {
                break;
            }
            let mut uses = Vec::with_capacity(unnoted.len());
            for (id, used_secs) in &unnoted {
                if let Some(key) = self.key(id).await? {
                    uses.push((id.0, key, *used_secs));
                }
            }
            self.repo.use_variants(uses).await?;
            done += unnoted.len();
        }
        Ok(done)
    }

    /// Notes what uses it can in a short while, before the server stops.
    pub async fn note_last_uses(&self) {
        let noting = tokio::time::timeout(LAST_NOTES, self.note_uses(usize::MAX));
        match noting.await {
            Ok(Ok(uses)) => tracing::debug!(uses, "noted when variants were last used"),
            Ok(Err(error)) => tracing::warn!(%error, "not noted when variants were last used"),
            Err(_elapsed) => tracing::warn!("not all noted when variants were last used: it took too long"),
        }
    }

    /// Drops every variant there is. When this returns their rows are gone, durably, and no copy of one counts any more; the files
    /// follow. What is made meanwhile or later stays. `before_opening` runs when the rows are gone and copies do not count yet.
    ///
    /// # Errors
    /// A fault of the repo.
    pub(in crate::service) async fn drop_all(&self, before_opening: impl FnOnce()) -> Result<(), ServiceError> {
        let closed = self.tickets.close_all();
        self.keeping.settle().await;
        let mut doomed = Vec::new();
        for first in 0..=u8::MAX {
            let rows = self.repo.variants_under(first).await?;
            doomed.extend(rows.into_iter().map(|row| (row.hash, row.key)));
            if doomed.len() >= ROWS {
                self.is_dropped.store(true, Ordering::Release);
                self.remove_rows(std::mem::take(&mut doomed)).await?;
            }
        }
        self.is_dropped.store(true, Ordering::Release);
        self.remove_rows(doomed).await?;
        before_opening();
        drop(closed);
        self.is_dropped.store(true, Ordering::Release);
        self.wake.notify_one();
        Ok(())
    }
}

/// A hash that begins with `first`: all of them have the same lock.
fn under(first: u8) -> Hash {
    let mut bytes = [0; 32];
    bytes[0] = first;
    Hash::from_bytes(bytes)
}
