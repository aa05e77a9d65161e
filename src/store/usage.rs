//! What lies in a store, by class: exact, because the store itself counts.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::{StoreKey, StoredFile};
use crate::{domain::Hash, timing::Stages};

/// What a file is to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A stored picture.
    Original,
    /// Something made of one.
    Variant,
    /// What variants are made from.
    Proxy,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Original, Self::Variant, Self::Proxy];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Original => "originals",
            Self::Variant => "variants",
            Self::Proxy => "proxies",
        }
    }

    /// The class of what has this key.
    #[must_use]
    pub const fn of(key: &StoreKey) -> Self {
        match key {
            StoreKey::Original { .. } => Self::Original,
            StoreKey::Variant { .. } => Self::Variant,
            StoreKey::Proxy { .. } => Self::Proxy,
        }
    }
}

/// Files of one class, and bytes in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many.
    pub files: u64,
    /// Bytes in all of them.
    pub bytes: u64,
}

/// The counts of a store.
///
/// Files that an earlier run left are not known before somebody has listed them, and that takes long where there are many. So
/// counting begins for one first byte of the hashes after the other: [`Usage::begin`] is given what lies under
/// a byte, and until then what happens there is not counted. Whoever calls it keeps others from putting and deleting files under
/// that byte meanwhile, and no two callers put or delete files of one hash at a time (`service::locks` sees to both); then the counts are
/// exact at every moment.
#[derive(Debug)]
pub struct Usage {
    begun: [AtomicBool; 256],
    held: Mutex<[Held; Class::ALL.len()]>,
    stages: Stages,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            begun: std::array::from_fn(|_| AtomicBool::new(false)),
            held: Mutex::default(),
            stages: Stages::default(),
        }
    }
}

impl Usage {
    /// What there is of `class`, as far as counting has begun.
    #[must_use]
    pub fn of(&self, class: Class) -> Held {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)[class as usize]
    }

    /// What putting files took.
    #[must_use]
    pub const fn stages(&self) -> &Stages {
        &self.stages
    }

    /// Whether what lies under this first byte is counted.
    #[must_use]
    pub fn has_begun(&self, first: u8) -> bool {
        self.begun[usize::from(first)].load(Ordering::Acquire)
    }

    /// Begins to count under the byte `first`, where `files` lie. A second call does nothing.
    pub fn begin(&self, first: u8, files: &[StoredFile]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if self.begun[usize::from(first)].swap(true, Ordering::AcqRel) {
            return;
        }
        for file in files {
            let held = &mut held[file.class as usize];
            held.files += 1;
            held.bytes += file.size_bytes;
        }
    }

    /// A file of `size_bytes` came, in the place of one of `replaced` bytes.
    pub(super) fn put(&self, hash: &Hash, class: Class, size_bytes: u64, replaced: Option<u64>) {
        self.change(hash, class, |held| {
            held.bytes = held.bytes.saturating_add(size_bytes).saturating_sub(replaced.unwrap_or(0));
            held.files += u64::from(replaced.is_none());
        });
    }

    /// A file of `size_bytes` went.
    pub(super) fn deleted(&self, hash: &Hash, class: Class, size_bytes: u64) {
        self.change(hash, class, |held| {
            held.bytes = held.bytes.saturating_sub(size_bytes);
            held.files = held.files.saturating_sub(1);
        });
    }

    fn change(&self, hash: &Hash, class: Class, change: impl FnOnce(&mut Held)) {
        if self.has_begun(hash.as_bytes()[0]) {
            change(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner)[class as usize]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_before_counting_begins_is_in_what_is_counted_then() {
        let usage = Usage::default();
        let (one, other) = (Hash::from_bytes([1; 32]), Hash::from_bytes([2; 32]));
        usage.put(&one, Class::Variant, 10, None);
        usage.deleted(&one, Class::Original, 7);
        assert_eq!(usage.of(Class::Variant), Held::default());
        let file = |hash, class, size_bytes| StoredFile { hash, class, name: String::new(), size_bytes };
        let files = [file(one, Class::Variant, 10), file(one, Class::Original, 5), file(one, Class::Variant, 1)];
        usage.begin(1, &files);
        usage.begin(1, &files);
        assert_eq!(usage.of(Class::Variant), Held { files: 2, bytes: 11 });
        usage.put(&one, Class::Variant, 20, Some(10));
        usage.put(&other, Class::Variant, 99, None);
        assert_eq!(usage.of(Class::Variant), Held { files: 2, bytes: 21 });
        usage.deleted(&one, Class::Variant, 20);
        usage.deleted(&one, Class::Original, 5);
        assert_eq!(usage.of(Class::Variant), Held { files: 1, bytes: 1 });
        assert_eq!(usage.of(Class::Original), Held::default());
    }
}
