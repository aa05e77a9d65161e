//! One computation a key, however many ask for it at the same time.
//!
//! A computation is a task of its own: callers come and go without touching it, and when the last one goes it is stopped, and with it
//! the job it waits for. Nothing is remembered after the answer. A panic is an answer too, the same for all who wait. The states and the races
//! stand in [`board`], which `model` tries in the orders that threads may come in.

use std::{hash::Hash, panic::AssertUnwindSafe};

use futures_util::FutureExt as _;
use tokio::{sync::watch, task::AbortHandle};
use tracing::Instrument as _;

use self::board::{Board, Seat};

mod board;
#[cfg(test)]
mod model;

mod sync {
    pub(super) use std::sync::{Arc, Mutex, MutexGuard};
}

use sync::Arc;

/// The computation panicked, or the server stopped before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a computation that several may have waited for ended without an answer")]
pub struct Unanswered;

/// Computations under way.
pub struct Flight<K: Hash + Eq, V> {
    board: Arc<Board<K, Computation<V>>>,
}

/// What the callers of a computation share.
struct Computation<V> {
    answer: watch::Receiver<Option<Result<V, Unanswered>>>,
    task: AbortHandle,
}

impl<V> Clone for Computation<V> {
    fn clone(&self) -> Self {
        Self { answer: self.answer.clone(), task: self.task.clone() }
    }
}

impl<K: Hash + Eq, V> Default for Flight<K, V> {
    fn default() -> Self {
        Self { board: Arc::default() }
    }
}

impl<K, V> Flight<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answer of the computation for `key` that is under way, or of `compute()`, which then is.
    ///
    /// # Errors
    /// [`Unanswered`] when the computation panics.
    pub async fn run<F>(&self, key: K, compute: impl FnOnce() -> F + Send + 'static) -> Result<V, Unanswered>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (seat, computation) = self.join(key, compute);
        let mut answer = computation.answer;
        let answered = match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or(Err(Unanswered)),
            Err(_stopped) => Err(Unanswered),
        };
        drop(seat);
        answered
    }

    fn join<F>(&self, key: K, compute: impl FnOnce() -> F + Send + 'static) -> (Seat<K, Computation<V>>, Computation<V>)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (board, its_key) = (Arc::clone(&self.board), key.clone());
        let begin = move |number| {
            let (tell, answer) = watch::channel(None);
            let computing = async move {
                let computed = AssertUnwindSafe(async move { compute().await }).catch_unwind().await;
                board.end(&its_key, number);
                // The panic itself has been logged by the hook.
                tell.send_replace(Some(computed.map_err(|_panic| Unanswered)));
            };
            Computation { answer, task: tokio::spawn(computing.in_current_span()).abort_handle() }
        };
        self.board.join(key, begin, |computation| computation.task.abort())
    }

    /// Whether one for `key` is under way, which a moment later it may not be.
    #[must_use]
    pub fn has(&self, key: &K) -> bool {
        self.board.waiting(key) > 0
    }

    /// Computations under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.board.len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

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
            assert_eq!(caller.await.unwrap(), Ok(0));
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert!(flight.is_empty());
    }

    #[tokio::test]
    async fn nothing_is_remembered_and_keys_are_apart() {
        let flight = Flight::default();
        assert_eq!(flight.run(1, || async { Err::<(), _>("no") }).await, Ok(Err("no")));
        assert_eq!(flight.run(1, || async { Ok(()) }).await, Ok(Ok(())));
        assert!(flight.is_empty());
    }

    struct Told(Arc<AtomicUsize>);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    async fn eventually(what: &str, is_so: impl Fn() -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while !is_so() {
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "waited for {what}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn when_the_last_caller_leaves_the_computation_is_dropped() {
        let (flight, dropped) = (Arc::new(Flight::default()), Arc::new(AtomicUsize::new(0)));
        let begun = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let (flight, told, begun) = (Arc::clone(&flight), Told(Arc::clone(&dropped)), Arc::clone(&begun));
                tokio::spawn(async move {
                    let compute = move || async move {
                        begun.fetch_add(1, Ordering::SeqCst);
                        std::future::pending::<()>().await;
                        drop(told);
                    };
                    flight.run(1, compute).await
                })
            })
            .collect();
        // The one who did not begin it has dropped what it would have begun.
        eventually("both", || begun.load(Ordering::SeqCst) == 1 && dropped.load(Ordering::SeqCst) == 1).await;
        let [first, second] = callers.try_into().unwrap();
        first.abort();
        let _ = first.await;
        assert_eq!(flight.len(), 1);
        second.abort();
        let _ = second.await;
        assert!(flight.is_empty());
        eventually("the end", || dropped.load(Ordering::SeqCst) == 2).await;
        assert_eq!(flight.run(1, || async {}).await, Ok(()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_panic_is_told_to_all_who_wait_and_the_next_begins_anew() {
        let flight = Arc::new(Flight::<_, ()>::default());
        let gate = Arc::new(Semaphore::new(0));
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let (flight, gate) = (Arc::clone(&flight), Arc::clone(&gate));
                tokio::spawn(async move {
                    let compute = || async move {
                        let _open = gate.acquire().await;
                        panic!("injected");
                    };
                    flight.run("key", compute).await
                })
            })
            .collect();
        eventually("all to wait", || flight.board.waiting(&"key") == 100).await;
        gate.add_permits(100);
        for caller in callers {
            assert_eq!(tokio::time::timeout(Duration::from_secs(20), caller).await.unwrap().unwrap(), Err(Unanswered));
        }
        assert_eq!(flight.run("key", || async {}).await, Ok(()));
        assert!(flight.is_empty());
    }

    /// Callers that leave while the computation makes a step: another must not wait for a wake-up that went to one that left.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn whoever_leaves_takes_nobody_s_wake_up_along() {
        for _ in 0..200 {
            let flight = Arc::new(Flight::default());
            let compute = || async {
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                7
            };
            let callers: Vec<_> = (0..8)
                .map(|index| {
                    let flight = Arc::clone(&flight);
                    tokio::spawn(async move {
                        let asking = flight.run("key", compute);
                        if index % 2 == 0 {
                            let left = tokio::time::timeout(Duration::from_micros(index * 10), asking).await;
                            return left.unwrap_or(Ok(7));
                        }
                        asking.await
                    })
                })
                .collect();
            for caller in callers {
                let answer = tokio::time::timeout(Duration::from_secs(20), caller).await;
                assert_eq!(answer.unwrap().unwrap(), Ok(7));
            }
            assert!(flight.is_empty());
        }
    }
}
