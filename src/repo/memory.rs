//! The repo in memory: for tests, and a second reading of the contract, written without a look at the other.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    AliasRecord, Garbage, NewAlias, OriginalRecord, ProxyRecord, RemoteRecord, Removal, Repo, RepoError, UploadKey,
    VariantRecord, VariantRow, record::KeptVariant,
};
use crate::domain::{Alias, DeleteToken, Hash, Looks, UrlKey, VariantKey};

/// Metadata in maps. Nothing survives the process.
#[derive(Debug, Default)]
pub struct MemoryRepo {
    tables: Mutex<Tables>,
}

#[derive(Clone, Debug, Default)]
struct Tables {
    closed: bool,
    aliases: BTreeMap<Alias, AliasRecord>,
    originals: BTreeMap<Hash, Original>,
    uploads: BTreeMap<UploadKey, Hash>,
    garbage: BTreeMap<Hash, Garbage>,
    remotes: BTreeMap<UrlKey, RemoteRecord>,
    stand_in: Option<Alias>,
}

#[derive(Clone, Debug)]
struct Original {
    record: OriginalRecord,
    /// In the order they were added.
    aliases: Vec<Alias>,
    /// The next alias' number.
    next: u64,
    variants: BTreeMap<VariantKey, KeptVariant>,
    proxy: Option<ProxyRecord>,
    looks: Option<Looks>,
}

impl MemoryRepo {
    /// An empty repo.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> Result<MutexGuard<'_, Tables>, RepoError> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if tables.closed { Err(RepoError::Stopped) } else { Ok(tables) }
    }
}

impl Original {
    fn rows(&self, hash: Hash) -> Vec<VariantRow> {
        self.variants.iter().map(|(key, kept)| VariantRow::new(hash, key.clone(), *kept)).collect()
    }
}

impl Tables {
    fn add(&mut self, new: NewAlias) -> Result<(), RepoError> {
        if self.aliases.contains_key(&new.alias) {
            return Err(RepoError::AliasTaken(new.alias));
        }
        if let Some(remote) = &new.remote {
            if let Some(named) = self.remotes.get(&remote.url) {
                return Err(RepoError::AliasTaken(named.alias.clone()));
            }
            let named = RemoteRecord { alias: new.alias.clone(), used_secs: remote.fetched_secs };
            self.remotes.insert(remote.url, named);
        }
        let hash = new.hash;
        let original = self.originals.entry(hash).or_insert_with(|| {
            self.uploads.insert(new.original.upload, hash);
            Original {
                record: new.original,
                aliases: Vec::new(),
                next: 0,
                variants: BTreeMap::new(),
                proxy: None,
                looks: None,
            }
        });
        let sequence = original.next;
        original.next += 1;
        original.aliases.push(new.alias.clone());
        let record = AliasRecord { hash, token: new.token, sequence, remote: new.remote }.hashed(&new.alias);
        self.aliases.insert(new.alias, record);
        self.garbage.remove(&hash);
        Ok(())
    }

    fn remove(&mut self, alias: &Alias) -> Removal {
        let Some(record) = self.aliases.remove(alias) else { return Removal::NoSuchAlias };
        self.remotes.retain(|_, named| named.alias != *alias);
        let mut left = 0;
        if let Some(original) = self.originals.get_mut(&record.hash) {
            original.aliases.retain(|other| other != alias);
            left = original.aliases.len();
        }
        if left > 0 {
            return Removal::AliasGone;
        }
        self.purge(record.hash);
        Removal::OriginalGone(record.hash)
    }

    fn purge(&mut self, hash: Hash) -> Option<Vec<Alias>> {
        let original = self.originals.remove(&hash)?;
        for alias in &original.aliases {
            self.aliases.remove(alias);
            self.remotes.retain(|_, named| named.alias != *alias);
        }
        if self.uploads.get(&original.record.upload) == Some(&hash) {
            self.uploads.remove(&original.record.upload);
        }
        let since_secs = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.garbage.insert(hash, Garbage { hash, format: original.record.details.format, since_secs });
        Some(original.aliases)
    }
}

#[async_trait::async_trait]
impl Repo for MemoryRepo {
    async fn add_aliases(&self, batch: Vec<NewAlias>) -> Result<(), RepoError> {
        let mut tables = self.tables()?;
        let mut after = tables.clone();
        batch.into_iter().try_for_each(|new| after.add(new))?;
        *tables = after;
        Ok(())
    }

    async fn alias(&self, alias: &Alias) -> Result<Option<AliasRecord>, RepoError> {
        Ok(self.tables()?.aliases.get(alias).cloned())
    }

    async fn original(&self, hash: &Hash) -> Result<Option<OriginalRecord>, RepoError> {
        Ok(self.tables()?.originals.get(hash).map(|original| original.record))
    }

    async fn originals_under(&self, first: u8) -> Result<Vec<(Hash, OriginalRecord)>, RepoError> {
        let tables = self.tables()?;
        let under = tables.originals.iter().filter(|(hash, _)| hash.as_bytes()[0] == first);
        Ok(under.map(|(hash, original)| (*hash, original.record)).collect())
    }

    async fn strays(&self) -> Result<Vec<Alias>, RepoError> {
        let tables = self.tables()?;
        let is_listed = |alias: &Alias, record: &AliasRecord| {
            tables.originals.get(&record.hash).is_some_and(|original| original.aliases.contains(alias))
        };
        let strays = tables.aliases.iter().filter(|(alias, record)| !is_listed(alias, record));
        Ok(strays.map(|(alias, _)| alias.clone()).collect())
    }

    async fn uploaded(&self, upload: &UploadKey) -> Result<Option<Hash>, RepoError> {
        Ok(self.tables()?.uploads.get(upload).copied())
    }

    async fn aliases_of(&self, hash: &Hash) -> Result<Vec<Alias>, RepoError> {
        Ok(self.tables()?.originals.get(hash).map(|original| original.aliases.clone()).unwrap_or_default())
    }

    async fn remove_alias(&self, alias: &Alias, token: &DeleteToken) -> Result<Removal, RepoError> {
        let mut tables = self.tables()?;
        match tables.aliases.get(alias) {
            Some(record) if !record.token.matches(alias, token) => Ok(Removal::WrongToken),
            Some(_) | None => Ok(tables.remove(alias)),
        }
    }

    async fn drop_alias(&self, alias: &Alias) -> Result<Removal, RepoError> {
        Ok(self.tables()?.remove(alias))
    }

    async fn purge(&self, hash: &Hash) -> Result<Option<Vec<Alias>>, RepoError> {
        Ok(self.tables()?.purge(*hash))
    }

    async fn add_variant(&self, hash: &Hash, key: &VariantKey, record: VariantRecord) -> Result<bool, RepoError> {
        let mut tables = self.tables()?;
        let Some(original) = tables.originals.get_mut(hash) else { return Ok(false) };
        original.variants.insert(key.clone(), KeptVariant { record, used_secs: 0 });
        Ok(true)
    }

    async fn variant(&self, hash: &Hash, key: &VariantKey) -> Result<Option<VariantRecord>, RepoError> {
        Ok(self.tables()?.originals.get(hash).and_then(|original| original.variants.get(key)).map(|kept| kept.record))
    }

    async fn remove_variants(&self, variants: Vec<(Hash, VariantKey)>) -> Result<(), RepoError> {
        let mut tables = self.tables()?;
        for (hash, key) in variants {
            if let Some(original) = tables.originals.get_mut(&hash) {
                original.variants.remove(&key);
            }
        }
        Ok(())
    }

    async fn variants_of(&self, hash: &Hash) -> Result<Vec<VariantRow>, RepoError> {
        Ok(self.tables()?.originals.get(hash).map(|original| original.rows(*hash)).unwrap_or_default())
    }

    async fn variants_under(&self, first: u8) -> Result<Vec<VariantRow>, RepoError> {
        let tables = self.tables()?;
        let under = tables.originals.iter().filter(|(hash, _)| hash.as_bytes()[0] == first);
        Ok(under.flat_map(|(hash, original)| original.rows(*hash)).collect())
    }

    async fn use_variants(&self, uses: Vec<(Hash, VariantKey, u64)>) -> Result<(), RepoError> {
        let mut tables = self.tables()?;
        for (hash, key, used_secs) in uses {
            if let Some(kept) = tables.originals.get_mut(&hash).and_then(|original| original.variants.get_mut(&key)) {
                kept.used_secs = used_secs;
            }
        }
        Ok(())
    }

    async fn add_proxy(&self, hash: &Hash, record: ProxyRecord) -> Result<bool, RepoError> {
        let mut tables = self.tables()?;
        let Some(original) = tables.originals.get_mut(hash) else { return Ok(false) };
        original.proxy = Some(record);
        Ok(true)
    }

    async fn proxy(&self, hash: &Hash) -> Result<Option<ProxyRecord>, RepoError> {
        Ok(self.tables()?.originals.get(hash).and_then(|original| original.proxy))
    }

    async fn remove_proxies(&self, hashes: Vec<Hash>) -> Result<(), RepoError> {
        let mut tables = self.tables()?;
        for hash in hashes {
            if let Some(original) = tables.originals.get_mut(&hash) {
                original.proxy = None;
            }
        }
        Ok(())
    }

    async fn proxies_under(&self, first: u8) -> Result<Vec<Hash>, RepoError> {
        let tables = self.tables()?;
        let with_one = tables.originals.iter().filter(|(_, original)| original.proxy.is_some());
        Ok(with_one.map(|(hash, _)| *hash).filter(|hash| hash.as_bytes()[0] == first).collect())
    }

    async fn add_looks(&self, hash: &Hash, looks: Looks) -> Result<bool, RepoError> {
        let mut tables = self.tables()?;
        let Some(original) = tables.originals.get_mut(hash) else { return Ok(false) };
        original.looks = Some(looks);
        Ok(true)
    }

    async fn looks(&self, hash: &Hash) -> Result<Option<Looks>, RepoError> {
        Ok(self.tables()?.originals.get(hash).and_then(|original| original.looks.clone()))
    }

    async fn remote(&self, url: &UrlKey) -> Result<Option<RemoteRecord>, RepoError> {
        Ok(self.tables()?.remotes.get(url).cloned())
    }

    async fn remotes_under(&self, first: u8) -> Result<Vec<(UrlKey, RemoteRecord)>, RepoError> {
        let tables = self.tables()?;
        let under = tables.remotes.iter().filter(|(url, _)| url.as_bytes()[0] == first);
        Ok(under.map(|(url, named)| (*url, named.clone())).collect())
    }

    async fn use_remotes(&self, uses: Vec<(UrlKey, u64)>) -> Result<(), RepoError> {
        let mut tables = self.tables()?;
        for (url, used_secs) in uses {
            if let Some(named) = tables.remotes.get_mut(&url) {
                named.used_secs = named.used_secs.max(used_secs);
            }
        }
        Ok(())
    }

    async fn stand_in(&self) -> Result<Option<Alias>, RepoError> {
        Ok(self.tables()?.stand_in.clone())
    }

    async fn set_stand_in(&self, alias: Option<Alias>) -> Result<(), RepoError> {
        self.tables()?.stand_in = alias;
        Ok(())
    }

    async fn garbage(&self, after: Option<Hash>, limit: usize) -> Result<Vec<Garbage>, RepoError> {
        let tables = self.tables()?;
        let later = tables.garbage.values().filter(|piece| after.is_none_or(|after| piece.hash > after));
        Ok(later.take(limit).copied().collect())
    }

    async fn forget_garbage(&self, hashes: Vec<Hash>) -> Result<(), RepoError> {
        let mut tables = self.tables()?;
        for hash in hashes {
            tables.garbage.remove(&hash);
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.tables().is_ok()
    }

    async fn close(&self) -> Result<(), RepoError> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::suite;

    #[tokio::test]
    async fn passes_the_suite() {
        suite::passes(&MemoryRepo::new()).await;
    }
}
