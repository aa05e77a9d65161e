//! One computation a key, however many ask for it at the same time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};

type Computation<V> = Shared<BoxFuture<'static, V>>;

/// What is under way, each with a number of its own: a computation that ends late must not take its
/// successor off the map.
type UnderWay<K, V> = Mutex<HashMap<K, (u64, WeakShared<BoxFuture<'static, V>>)>>;

/// Computations under way. The callers hold a computation, the map only knows of it: when the last
/// caller goes away it is dropped, and with it the job it waits for. Nothing is remembered after the
/// answer, so an error is given to those who waited for it and to nobody else.
#[derive(Debug)]
pub struct Flight<K, V> {
    under_way: Arc<UnderWay<K, V>>,
    next: AtomicU64,
}

impl<K, V> Default for Flight<K, V> {
    fn default() -> Self {
        Self { under_way: Arc::default(), next: AtomicU64::new(0) }
    }
}

impl<K, V> Flight<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answer of the computation for `key` that is under way, or of `compute()`, which then is.
    ///
    /// A caller that arrives between the answer and its removal from the map gets that answer too: it is
    /// the newest there is. One that arrives after the last caller has left, while the map still knows
    /// the dead computation, starts its own: a `WeakShared` of a dropped future does not upgrade.
    pub async fn run<F>(&self, key: K, compute: impl FnOnce() -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        let computation = self.join(key, compute);
        computation.await
    }

    fn join<F>(&self, key: K, compute: impl FnOnce() -> F) -> Computation<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = under_way.get(&key).and_then(|(_, known)| known.upgrade()) {
            return running;
        }
        let future = compute();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let leave = Leave { under_way: Arc::clone(&self.under_way), key: key.clone(), number };
        let computation = async move {
            let _leave = leave;
            future.await
        }
        .boxed()
        .shared();
        if let Some(known) = computation.downgrade() {
            under_way.insert(key, (number, known));
        }
        computation
    }

    /// Computations under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Takes the key off the map when its computation ends or is dropped.
struct Leave<K: Hash + Eq, V> {
    under_way: Arc<UnderWay<K, V>>,
    key: K,
    number: u64,
}

impl<K: Hash + Eq, V> Drop for Leave<K, V> {
    fn drop(&mut self) {
        // Nothing is upgraded here: dropping the last handle of another computation under this lock would
        // run this very code again.
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_thousand_callers_share_one_computation() {
        let (flight, gate) = (Arc::new(Flight::default()), Arc::new(Semaphore::new(0)));
        let (arrived, runs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..1000)
            .map(|_| {
                let (flight, gate) = (Arc::clone(&flight), Arc::clone(&gate));
                let (arrived, runs) = (Arc::clone(&arrived), Arc::clone(&runs));
                tokio::spawn(async move {
                    // Nothing is awaited between this and the joining of the flight.
                    arrived.fetch_add(1, Ordering::SeqCst);
                    let compute = || async move {
                        let run = runs.fetch_add(1, Ordering::SeqCst);
                        let _open = gate.acquire().await;
                        run
                    };
                    flight.run("key", compute).await
                })
            })
            .collect();
        while arrived.load(Ordering::SeqCst) < callers.len() {
            tokio::task::yield_now().await;
        }
        gate.add_permits(1);
        for caller in callers {
            assert_eq!(caller.await.unwrap(), 0);
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert!(flight.is_empty());
    }

    #[tokio::test]
    async fn nothing_is_remembered_and_keys_are_apart() {
        let flight = Flight::default();
        assert_eq!(flight.run(1, || async { Err::<(), _>("no") }).await, Err("no"));
        assert_eq!(flight.run(1, || async { Ok(()) }).await, Ok(()));
        assert!(flight.is_empty());
    }

    #[tokio::test]
    async fn when_the_last_caller_leaves_the_computation_is_dropped() {
        struct Told(Arc<AtomicUsize>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (flight, dropped) = (Arc::new(Flight::default()), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let (flight, told) = (Arc::clone(&flight), Told(Arc::clone(&dropped)));
                tokio::spawn(async move {
                    flight
                        .run(1, || async move {
                            std::future::pending::<()>().await;
                            drop(told);
                        })
                        .await;
                })
            })
            .collect();
        while flight.is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        let [first, second] = callers.try_into().unwrap();
        first.abort();
        let _ = first.await;
        assert_eq!(flight.len(), 1);
        second.abort();
        let _ = second.await;
        assert!(flight.is_empty());
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
        assert_eq!(flight.run(1, || async {}).await, ());
    }
}
