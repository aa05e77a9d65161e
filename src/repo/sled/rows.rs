//! The rows of the index: their keys, and what each change does to them.
//!
//! All rows are in one tree. A `Batch` on one tree is atomic in sled 0.34 and takes one lock once; transactions over
//! several trees hang it under concurrency. Keys are a letter and then:
//!
//! | letter | rest of the key | value |
//! |---|---|---|
//! | `a` | alias | [`AliasRecord`] |
//! | `h` | hash | [`OriginalRecord`] |
//! | `o` | hash, sequence (big-endian) | the alias: aliases of an original in the order they were added |
//! | `v` | hash, key of the variant | [`VariantRecord`], with its last use once that is noted |
//! | `p` | hash | [`ProxyRecord`] |
//! | `l` | hash | [`Looks`] |
//! | `u` | upload key | the 32 bytes of the hash it became |
//! | `r` | key of a URL | [`RemoteRecord`] |
//! | `s` | | the alias of what stands in for what is not there |
//! | `g` | hash | [`Garbage`] |
//! | `m` | | [`Mark`](super::index::Mark): what the index holds |
//!
//! A hash has 32 bytes, so no key is a prefix of another hash's keys.

use std::{collections::BTreeMap, ops::Bound};

use sled::{IVec, Tree};

use super::engine;
use crate::{
    domain::{Alias, Hash, Looks, UrlKey, VariantKey},
    repo::{
        RepoError,
        change::Change,
        record::{
            AliasRecord, Garbage, KeptVariant, OriginalRecord, ProxyRecord, RemoteRecord, UploadKey, VariantRecord,
            decode, encode,
        },
    },
};

/// The key of the row about the index itself.
pub(super) const MARK: &[u8] = b"m";

/// The key of the row with the alias of what stands in.
pub(super) const STAND_IN: &[u8] = b"s";

/// The first letter of every garbage row's key.
pub(super) const GARBAGE: &[u8] = b"g";

/// The first letter of every original's key.
pub(super) const ORIGINALS: &[u8] = b"h";

/// The first letter of every alias' key.
pub(super) const ALIASES: &[u8] = b"a";

fn key(letter: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + rest.len());
    key.push(letter);
    key.extend_from_slice(rest);
    key
}

/// The key of an alias.
pub(super) fn alias_key(alias: &Alias) -> Vec<u8> {
    key(b'a', alias.as_str().as_bytes())
}

/// The key of an original.
pub(super) fn original_key(hash: &Hash) -> Vec<u8> {
    key(b'h', hash.as_bytes())
}

/// What the keys of the originals begin with whose hashes begin with `first`.
pub(super) fn originals_under(first: u8) -> Vec<u8> {
    key(b'h', &[first])
}

/// What the keys of an original's ordered aliases begin with.
pub(super) fn order_prefix(hash: &Hash) -> Vec<u8> {
    key(b'o', hash.as_bytes())
}

/// The key of one of an original's ordered aliases.
pub(super) fn order_key(hash: &Hash, sequence: u64) -> Vec<u8> {
    let mut key = order_prefix(hash);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// What the keys of an original's variants begin with.
pub(super) fn variants_prefix(hash: &Hash) -> Vec<u8> {
    key(b'v', hash.as_bytes())
}

/// What the keys of the variants begin with whose hashes begin with `first`.
pub(super) fn variants_under(first: u8) -> Vec<u8> {
    key(b'v', &[first])
}

/// The hash and the key of a variant whose row has this key.
pub(super) fn read_variant_key(key: &[u8]) -> Result<(Hash, VariantKey), RepoError> {
    let read = key.get(1..).and_then(<[u8]>::split_first_chunk::<32>);
    match read.map(|(hash, text)| (Hash::from_bytes(*hash), std::str::from_utf8(text))) {
        Some((hash, Ok(text))) => Ok((hash, VariantKey::stored(text))),
        Some((_, Err(error))) => Err(RepoError::Record { tree: "variants", cause: error.to_string() }),
        None => Err(RepoError::Record { tree: "variants", cause: format!("its key has {} bytes", key.len()) }),
    }
}

/// The key of a variant.
pub(super) fn variant_key(hash: &Hash, variant: &VariantKey) -> Vec<u8> {
    let mut key = variants_prefix(hash);
    key.extend_from_slice(variant.as_str().as_bytes());
    key
}

/// The key of a proxy.
pub(super) fn proxy_key(hash: &Hash) -> Vec<u8> {
    key(b'p', hash.as_bytes())
}

/// What the keys of the proxies begin with whose hashes begin with `first`.
pub(super) fn proxies_under(first: u8) -> Vec<u8> {
    key(b'p', &[first])
}

/// The hash in the key of a proxy.
pub(super) fn read_proxy_key(key: &[u8]) -> Result<Hash, RepoError> {
    match key.get(1..).map(TryInto::try_into) {
        Some(Ok(bytes)) => Ok(Hash::from_bytes(bytes)),
        _ => Err(RepoError::Record { tree: "proxies", cause: format!("its key has {} bytes", key.len()) }),
    }
}

/// The key of what an original looks like.
pub(super) fn looks_key(hash: &Hash) -> Vec<u8> {
    key(b'l', hash.as_bytes())
}

/// The key of an upload.
pub(super) fn upload_key(upload: &UploadKey) -> Vec<u8> {
    key(b'u', upload.0.as_bytes())
}

/// The key of a remote picture.
pub(super) fn remote_key(url: &UrlKey) -> Vec<u8> {
    key(b'r', url.as_bytes())
}

/// What the keys of the remote pictures begin with whose URLs' keys begin with `first`.
pub(super) fn remotes_under(first: u8) -> Vec<u8> {
    key(b'r', &[first])
}

/// The key of a URL in that of a remote picture.
pub(super) fn read_remote_key(key: &[u8]) -> Result<UrlKey, RepoError> {
    match key.get(1..).map(TryInto::try_into) {
        Some(Ok(bytes)) => Ok(UrlKey::from_bytes(bytes)),
        _ => Err(RepoError::Record { tree: "remotes", cause: format!("its key has {} bytes", key.len()) }),
    }
}

/// The key of a piece of garbage.
pub(super) fn garbage_key(hash: &Hash) -> Vec<u8> {
    key(b'g', hash.as_bytes())
}

/// Where the keys of the garbage are, or of that behind `after`.
pub(super) fn garbage_after(after: Option<Hash>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let start = match after {
        Some(hash) => Bound::Excluded(garbage_key(&hash)),
        None => Bound::Included(GARBAGE.to_vec()),
    };
    (start, successor(GARBAGE).map_or(Bound::Unbounded, Bound::Excluded))
}

/// The alias of an order row.
pub(super) fn read_alias(value: &[u8]) -> Result<Alias, RepoError> {
    match std::str::from_utf8(value) {
        Ok(text) => Ok(Alias::asked(text)),
        Err(error) => Err(RepoError::Record { tree: "order", cause: error.to_string() }),
    }
}

/// The hash of an upload row.
pub(super) fn read_hash(value: &[u8]) -> Result<Hash, RepoError> {
    match value.try_into() {
        Ok(bytes) => Ok(Hash::from_bytes(bytes)),
        Err(_) => {
            Err(RepoError::Record { tree: "uploads", cause: format!("it has {} bytes instead of 32", value.len()) })
        }
    }
}

/// The tree as it will be: its rows with those on top that a commit group is about to write.
pub(super) struct Pending<'a> {
    tree: &'a Tree,
    writes: BTreeMap<Vec<u8>, Option<IVec>>,
    /// What `writes` held where the current request wrote, latest last.
    undo: Vec<(Vec<u8>, Option<Option<IVec>>)>,
}

impl<'a> Pending<'a> {
    /// `tree` with nothing on top.
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, writes: BTreeMap::new(), undo: Vec::new() }
    }

    /// Makes what was written so far stay.
    pub(super) fn keep(&mut self) {
        self.undo.clear();
    }

    /// Takes back everything since the last [`Self::keep`].
    pub(super) fn undo(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(write) => self.writes.insert(key, write),
                None => self.writes.remove(&key),
            };
        }
    }

    /// The writes, for a batch.
    pub(super) fn into_writes(self) -> BTreeMap<Vec<u8>, Option<IVec>> {
        self.writes
    }

    fn get(&self, key: &[u8]) -> Result<Option<IVec>, RepoError> {
        match self.writes.get(key) {
            Some(write) => Ok(write.clone()),
            None => self.tree.get(key).map_err(engine),
        }
    }

    fn write(&mut self, key: Vec<u8>, value: Option<IVec>) {
        let before = self.writes.insert(key.clone(), value);
        self.undo.push((key, before));
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: impl Into<IVec>) {
        self.write(key, Some(value.into()));
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.write(key, None);
    }

    /// The rows whose keys begin with `prefix`, in the order of their keys.
    fn rows(&self, prefix: &[u8]) -> Result<BTreeMap<Vec<u8>, IVec>, RepoError> {
        let mut rows = BTreeMap::new();
        for row in self.tree.scan_prefix(prefix) {
            let (key, value) = row.map_err(engine)?;
            rows.insert(key.to_vec(), value);
        }
        for (key, write) in self.written(prefix) {
            match write {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(rows)
    }

    fn written(&self, prefix: &[u8]) -> impl DoubleEndedIterator<Item = (&Vec<u8>, &Option<IVec>)> {
        let start: Bound<&[u8]> = Bound::Included(prefix);
        let prefix = prefix.to_vec();
        // Keys with one prefix stand together; the last of them is found from the end by its successor.
        let end = successor(&prefix);
        let end: Bound<&[u8]> = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.writes.range::<[u8], _>((start, end))
    }

    /// Rows with `prefix` from the last to the first, as far as anyone looks: an original may have many aliases.
    fn last_rows(&self, prefix: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, RepoError> {
        let mut keys: Vec<Vec<u8>> = self
            .written(prefix)
            .rev()
            .filter(|(_, write)| write.is_some())
            .take(limit)
            .map(|(key, _)| key.clone())
            .collect();
        let mut stored = 0;
        for row in self.tree.scan_prefix(prefix).rev() {
            let (key, _) = row.map_err(engine)?;
            if !self.writes.contains_key(&*key) {
                keys.push(key.to_vec());
                stored += 1;
            }
            if stored == limit {
                break;
            }
        }
        keys.sort_unstable_by(|one, other| other.cmp(one));
        keys.truncate(limit);
        Ok(keys)
    }

    /// What `alias` names.
    pub(super) fn alias(&self, alias: &Alias) -> Result<Option<AliasRecord>, RepoError> {
        self.get(&alias_key(alias))?.map(|value| decode("aliases", &value)).transpose()
    }

    /// The original `hash`.
    pub(super) fn original(&self, hash: &Hash) -> Result<Option<OriginalRecord>, RepoError> {
        self.get(&original_key(hash))?.map(|value| decode("originals", &value)).transpose()
    }

    /// What the address of a remote picture names.
    pub(super) fn remote(&self, url: &UrlKey) -> Result<Option<RemoteRecord>, RepoError> {
        self.get(&remote_key(url))?.map(|value| decode("remotes", &value)).transpose()
    }

    /// The sequence number that a new alias of `hash` gets: one above its last.
    pub(super) fn next_sequence(&self, hash: &Hash) -> Result<u64, RepoError> {
        let last = self.last_rows(&order_prefix(hash), 1)?;
        let Some(key) = last.first() else { return Ok(0) };
        match key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes).checked_add(1)) {
            Some(Some(next)) => Ok(next),
            _ => Err(RepoError::Record { tree: "order", cause: "its key has no usable number".to_owned() }),
        }
    }

    /// Whether `hash` has one alias only.
    pub(super) fn has_one_alias(&self, hash: &Hash) -> Result<bool, RepoError> {
        Ok(self.last_rows(&order_prefix(hash), 2)?.len() < 2)
    }

    /// The aliases of `hash` in the order they were added.
    pub(super) fn aliases_of(&self, hash: &Hash) -> Result<Vec<Alias>, RepoError> {
        self.rows(&order_prefix(hash))?.values().map(|value| read_alias(value)).collect()
    }

    /// Does `change`. Doing it to the same rows gives the same rows.
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), RepoError> {
        match change {
            Change::Add { alias, record, original } => {
                if let Some(original) = original {
                    self.put(original_key(&record.hash), encode("originals", original)?);
                    self.put(upload_key(&original.upload), record.hash.as_bytes().as_slice());
                }
                self.delete(garbage_key(&record.hash));
                self.put(order_key(&record.hash, record.sequence), alias.as_str().as_bytes());
                if let Some(remote) = &record.remote {
                    let named = RemoteRecord { alias: alias.clone(), used_secs: remote.fetched_secs };
                    self.put(remote_key(&remote.url), encode("remotes", &named)?);
                }
                self.put(alias_key(alias), encode("aliases", &record.clone().hashed(alias))?);
            }
            Change::Remove { alias } => {
                if let Some(record) = self.alias(alias)? {
                    self.delete(order_key(&record.hash, record.sequence));
                    self.unname(alias, &record);
                }
            }
            Change::StandIn { alias: Some(alias) } => self.put(STAND_IN.to_vec(), alias.as_str().as_bytes()),
            Change::StandIn { alias: None } => self.delete(STAND_IN.to_vec()),
            Change::Gone(garbage) => self.gone(garbage)?,
            Change::Forget { hash } => self.delete(garbage_key(hash)),
        }
        Ok(())
    }

    /// Takes an alias away, and the address that names it.
    fn unname(&mut self, alias: &Alias, record: &AliasRecord) {
        self.delete(alias_key(alias));
        if let Some(remote) = &record.remote {
            self.delete(remote_key(&remote.url));
        }
    }

    fn gone(&mut self, garbage: &Garbage) -> Result<(), RepoError> {
        let hash = &garbage.hash;
        if let Some(original) = self.original(hash)? {
            let upload = upload_key(&original.upload);
            // The same upload may have become another original since, under a later version of the program.
            if self.get(&upload)?.is_some_and(|value| *value == *hash.as_bytes()) {
                self.delete(upload);
            }
            self.delete(original_key(hash));
        }
        for (order, alias) in self.rows(&order_prefix(hash))? {
            let alias = read_alias(&alias)?;
            match self.alias(&alias)? {
                Some(record) => self.unname(&alias, &record),
                None => self.delete(alias_key(&alias)),
            }
            self.delete(order);
        }
        for variant in self.rows(&variants_prefix(hash))?.into_keys() {
            self.delete(variant);
        }
        self.delete(proxy_key(hash));
        self.delete(looks_key(hash));
        self.put(garbage_key(hash), encode("garbage", garbage)?);
        Ok(())
    }

    /// Records a variant, unless its original is gone.
    pub(super) fn add_variant(
        &mut self,
        hash: &Hash,
        key: &VariantKey,
        record: &VariantRecord,
    ) -> Result<bool, RepoError> {
        let there = self.get(&original_key(hash))?.is_some();
        if there {
            self.put(variant_key(hash, key), encode("variants", record)?);
        }
        Ok(there)
    }

    /// Records a proxy, unless its original is gone.
    pub(super) fn add_proxy(&mut self, hash: &Hash, record: &ProxyRecord) -> Result<bool, RepoError> {
        let there = self.get(&original_key(hash))?.is_some();
        if there {
            self.put(proxy_key(hash), encode("proxies", record)?);
        }
        Ok(there)
    }

    /// Records what an original looks like, unless it is gone.
    pub(super) fn add_looks(&mut self, hash: &Hash, looks: &Looks) -> Result<bool, RepoError> {
        let there = self.get(&original_key(hash))?.is_some();
        if there {
            self.put(looks_key(hash), encode("looks", looks)?);
        }
        Ok(there)
    }

    /// Notes when a remote picture was last asked for, if it is there.
    pub(super) fn use_remote(&mut self, url: &UrlKey, used_secs: u64) -> Result<(), RepoError> {
        if let Some(named) = self.remote(url)? {
            let named = RemoteRecord { used_secs: named.used_secs.max(used_secs), ..named };
            self.put(remote_key(url), encode("remotes", &named)?);
        }
        Ok(())
    }

    /// Notes when a variant was last asked for, if it is there.
    pub(super) fn use_variant(&mut self, hash: &Hash, key: &VariantKey, used_secs: u64) -> Result<(), RepoError> {
        let row = variant_key(hash, key);
        if let Some(value) = self.get(&row)? {
            let kept = decode::<KeptVariant>("variants", &value)?;
            self.put(row, encode("variants", &KeptVariant { used_secs, ..kept })?);
        }
        Ok(())
    }
}

/// The smallest key above every key with this prefix; `None` when there is no such key.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut above = prefix.to_vec();
    while let Some(last) = above.pop() {
        if let Some(next) = last.checked_add(1) {
            above.push(next);
            return Some(above);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary() -> sled::Db {
        sled::Config::new().temporary(true).open().unwrap()
    }

    #[test]
    fn what_is_pending_hides_and_adds_to_what_is_stored() {
        let db = temporary();
        for key in ["oa1", "oa2", "oa3", "ob1"] {
            db.insert(key, key).unwrap();
        }
        let mut pending = Pending::new(&db);
        pending.delete(b"oa3".to_vec());
        pending.put(b"oa0".to_vec(), b"new");
        pending.keep();
        let keys = |pending: &Pending<'_>, prefix: &str| {
            let keys = pending.rows(prefix.as_bytes()).unwrap().into_keys();
            keys.map(|key| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(keys(&pending, "oa"), ["oa0", "oa1", "oa2"]);
        assert_eq!(pending.last_rows(b"oa", 2).unwrap(), [b"oa2".to_vec(), b"oa1".to_vec()]);
        pending.put(b"oa9".to_vec(), b"new");
        pending.delete(b"oa0".to_vec());
        pending.put(b"oa0".to_vec(), b"newer");
        assert_eq!(pending.last_rows(b"oa", 2).unwrap(), [b"oa9".to_vec(), b"oa2".to_vec()]);
        pending.undo();
        assert_eq!(keys(&pending, "oa"), ["oa0", "oa1", "oa2"]);
        assert_eq!(pending.get(b"oa0").unwrap().unwrap(), b"new");
        assert_eq!(pending.into_writes().len(), 2);
    }

    #[test]
    fn successors() {
        assert_eq!(successor(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(successor(&[b'o', 0xff, 0xff]), Some(vec![b'p']));
        assert_eq!(successor(&[0xff]), None);
    }
}
