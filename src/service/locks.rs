//! One writer an original: whoever puts or deletes the files of a hash holds its lock.

use tokio::sync::{Mutex, MutexGuard};

use crate::domain::Hash;

/// Stripes: two hashes share a lock one time in 256, which costs a wait, never a deadlock.
const STRIPES: usize = 256;

/// Locks by hash. An upload holds the lock from before its file appears until its rows are there;
/// the clean-up holds it while it looks for rows and deletes. So neither can undo the other.
#[derive(Debug)]
pub struct HashLocks {
    stripes: [Mutex<()>; STRIPES],
}

/// Locks held; released when dropped.
#[must_use]
#[derive(Debug)]
pub struct Held<'a> {
    _guards: Vec<MutexGuard<'a, ()>>,
}

impl Default for HashLocks {
    fn default() -> Self {
        Self { stripes: std::array::from_fn(|_| Mutex::new(())) }
    }
}

impl HashLocks {
    /// Waits for the locks of all `hashes`. Stripes are taken in ascending order and once each, so
    /// that two callers never wait for each other.
    pub async fn lock(&self, hashes: impl IntoIterator<Item = Hash>) -> Held<'_> {
        let mut wanted: Vec<u8> = hashes.into_iter().map(|hash| hash.as_bytes()[0]).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut guards = Vec::with_capacity(wanted.len());
        for stripe in wanted {
            guards.push(self.stripes[usize::from(stripe)].lock().await);
        }
        Held { _guards: guards }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn hash(first: u8) -> Hash {
        let mut bytes = [0; 32];
        bytes[0] = first;
        Hash::from_bytes(bytes)
    }

    #[tokio::test]
    async fn the_same_hash_waits_and_others_do_not() {
        let locks = HashLocks::default();
        let held = locks.lock([hash(1), hash(2), hash(1)]).await;
        assert!(futures_util::FutureExt::now_or_never(locks.lock([hash(2)])).is_none());
        assert!(futures_util::FutureExt::now_or_never(locks.lock([hash(3)])).is_some());
        drop(held);
        assert!(futures_util::FutureExt::now_or_never(locks.lock([hash(2)])).is_some());
    }

    #[tokio::test]
    async fn opposite_orders_do_not_deadlock() {
        let locks = Arc::new(HashLocks::default());
        let tasks = (0..50_u8).map(|i| {
            let locks = Arc::clone(&locks);
            tokio::spawn(async move {
                let pair = if i % 2 == 0 { [hash(7), hash(9)] } else { [hash(9), hash(7)] };
                let _held = locks.lock(pair).await;
                tokio::task::yield_now().await;
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            tokio::time::timeout(std::time::Duration::from_secs(10), task).await.unwrap().unwrap();
        }
    }
}
