//! Who waits for what: the state of the flights, and every change of it. Nothing here waits or computes.
//!
//! A key is on the board or it is not:
//!
//! ```text
//!            join: begins n, waiting = 1            join: waiting + 1
//!   absent ─────────────────────────────▶ running n ◀────────────┐
//!      ▲                                    │   │   └────────────┘ leave, of several: waiting - 1
//!      ├────────────────────────────────────┘   │
//!      │     end n: answered to all who wait    │
//!      └────────────────────────────────────────┘
//!            leave, of the last: n is stopped
//! ```
//!
//! Each change is made under one lock, so these are all the orders there are. What races is a computation that ends with the last of
//! its callers leaving, and both with the next caller:
//!
//! * The last one leaves, and then `n` ends all the same, because it is not stopped at once: it is not on the board, nobody hears of it.
//! * Meanwhile the next caller has begun `n + 1`. The end of `n`, and everyone who leaves `n` late, must not take that off the board:
//!   hence the numbers.
//! * `n` ends, and then the last one leaves: there is nothing to stop.
//! * Someone joins while the last one leaves: before it, and then that was not the last; or after it, and then the key is absent. Counting down
//!   and taking off are one change, or someone could join what is about to be stopped, and wait for ever.
//! * The key is taken off before the answer is given: who comes after the answer begins anew, so an error is given to those who
//!   waited for it and to nobody else.
//!
//! The lock comes from `super::sync`, so that the model in the tests can put its own in the place of the standard library's.

use std::{collections::HashMap, hash::Hash};

use super::sync::{Arc, Mutex};

/// Computations under way.
pub(super) struct Board<K: Hash + Eq, T> {
    state: Mutex<State<K, T>>,
}

struct State<K, T> {
    running: HashMap<K, Running<T>>,
    begun: u64,
}

struct Running<T> {
    number: u64,
    waiting: usize,
    handle: T,
}

/// A caller's part in a computation, until it is dropped. When the last one is, `stop` is called with the handle.
pub(super) struct Seat<K: Hash + Eq, T> {
    board: Arc<Board<K, T>>,
    key: K,
    number: u64,
    stop: fn(T),
}

impl<K: Hash + Eq, T> Default for Board<K, T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { running: HashMap::new(), begun: 0 }) }
    }
}

impl<K: Hash + Eq + Clone, T: Clone> Board<K, T> {
    /// Joins the computation for `key`, or the one that `begin` begins, given its number. It is called under the lock: it must
    /// neither wait nor end the computation before it returns.
    pub(super) fn join(self: &Arc<Self>, key: K, begin: impl FnOnce(u64) -> T, stop: fn(T)) -> (Seat<K, T>, T) {
        let mut state = lock(&self.state);
        let State { running, begun } = &mut *state;
        let (number, handle) = if let Some(known) = running.get_mut(&key) {
            known.waiting += 1;
            (known.number, known.handle.clone())
        } else {
            *begun += 1;
            let (number, handle) = (*begun, begin(*begun));
            running.insert(key.clone(), Running { number, waiting: 1, handle: handle.clone() });
            (number, handle)
        };
        drop(state);
        (Seat { board: Arc::clone(self), key, number, stop }, handle)
    }

    /// Takes the computation off the board because it has ended. Its answer is to be given after that.
    pub(super) fn end(&self, key: &K, number: u64) {
        let mut state = lock(&self.state);
        let ended = if state.running.get(key).is_some_and(|known| known.number == number) {
            state.running.remove(key)
        } else {
            None
        };
        drop(state);
        // The handle is dropped without the lock: who knows what it does.
        drop(ended);
    }

    /// Callers of the computation for `key`.
    pub(super) fn waiting(&self, key: &K) -> usize {
        lock(&self.state).running.get(key).map_or(0, |known| known.waiting)
    }

    /// Computations on the board.
    pub(super) fn len(&self) -> usize {
        lock(&self.state).running.len()
    }
}

impl<K: Hash + Eq, T> Drop for Seat<K, T> {
    fn drop(&mut self) {
        let mut state = lock(&self.board.state);
        let Some(known) = state.running.get_mut(&self.key).filter(|known| known.number == self.number) else { return };
        known.waiting -= 1;
        let left = if known.waiting == 0 { state.running.remove(&self.key) } else { None };
        drop(state);
        if let Some(left) = left {
            (self.stop)(left.handle);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> super::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
