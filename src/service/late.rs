//! Variants that may take longer than anybody waits: made in the background, each once, a bounded number at a time.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{ServiceError, process::Made};
use crate::domain::{Hash, VariantKey};

/// Most variants that are made or wait for their turn. What waits is a key and a few handles.
const MAX_UNDER_WAY: usize = 32;

/// Of how many variants it is remembered that they take too long.
const MAX_GIVEN_UP: usize = 256;

type Key = (Hash, VariantKey);

/// The answer of a job, once there is one.
type Outcome = watch::Receiver<Option<Result<Made, ServiceError>>>;

/// Why something else is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not done yet, or took longer than any job may.
    Time,
    /// Too many others are being made.
    Busy,
    /// It would be too large to be made at all.
    Size,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Time, Self::Busy, Self::Size];

    /// Its name in headers and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Busy => "busy",
            Self::Size => "size",
        }
    }
}

/// The jobs.
#[derive(Debug)]
pub(super) struct Late {
    /// A permit a thread that they may take of the pool: half of them, and one at least.
    threads: Arc<Semaphore>,
    under_way: Mutex<HashMap<Key, (Instant, Outcome)>>,
    given_up: Mutex<VecDeque<Key>>,
    answered: [AtomicU64; 3],
}

/// What came of waiting.
pub(super) enum Waited {
    Done(Result<Made, ServiceError>),
    Not(Reason),
}

impl Late {
    /// For a pool of `workers` threads.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            threads: Arc::new(Semaphore::new((workers / 2).max(1))),
            under_way: Mutex::default(),
            given_up: Mutex::default(),
            answered: Default::default(),
        }
    }

    /// Waits for the job of this key, which is begun when it is not under way, until `budget` after it was; with none at all not even for what is done by
    /// then. It goes on whoever leaves. `make` is given the right to a thread, to be held as long as it has one.
    pub(super) async fn wait<F>(
        self: &Arc<Self>,
        key: Key,
        budget: Duration,
        make: impl FnOnce(OwnedSemaphorePermit) -> F + Send + 'static,
    ) -> Waited
    where
        F: Future<Output = Result<Made, ServiceError>> + Send,
    {
        if lock(&self.given_up).contains(&key) {
            return Waited::Not(Reason::Time);
        }
        let Some((begun, mut outcome)) = self.join(key, make) else { return Waited::Not(Reason::Busy) };
        if budget.is_zero() {
            return Waited::Not(Reason::Time);
        }
        let done = outcome.wait_for(Option::is_some);
        match tokio::time::timeout_at((begun + budget).into(), done).await {
            Ok(Ok(outcome)) => outcome.clone().map_or(Waited::Not(Reason::Time), Waited::Done),
            // Nobody is left to say: the job was dropped with the server's runtime, or panicked.
            Ok(Err(_gone)) => Waited::Done(Err(ServiceError::Panicked)),
            Err(_elapsed) => Waited::Not(Reason::Time),
        }
    }

    fn join<F>(
        self: &Arc<Self>,
        key: Key,
        make: impl FnOnce(OwnedSemaphorePermit) -> F + Send + 'static,
    ) -> Option<(Instant, Outcome)>
    where
        F: Future<Output = Result<Made, ServiceError>> + Send,
    {
        let mut under_way = lock(&self.under_way);
        if let Some(known) = under_way.get(&key) {
            return Some(known.clone());
        }
        if under_way.len() >= MAX_UNDER_WAY {
            return None;
        }
        let (tell, told) = watch::channel(None);
        let known = (Instant::now(), told);
        under_way.insert(key.clone(), known.clone());
        let leave = Leave { late: Arc::clone(self), key };
        tokio::spawn(async move {
            // The semaphore is never closed.
            let Ok(thread) = Arc::clone(&leave.late.threads).acquire_owned().await else { return };
            let outcome = make(thread).await;
            if let Err(error @ ServiceError::Busy(_)) = &outcome {
                // There may be many of them, and the gate has counted it.
                tracing::debug!(%error, variant = leave.key.1.as_str(), "an AVIF was not begun");
            } else if let Err(error) = &outcome {
                tracing::warn!(%error, variant = leave.key.1.as_str(), "an AVIF was not made");
                leave.late.give_up_if_hopeless(&leave.key, error);
            }
            drop(leave);
            tell.send_replace(Some(outcome));
        });
        Some(known)
    }

    /// Remembers what ran out of time: it would again, with a thread for all of it.
    fn give_up_if_hopeless(&self, key: &Key, error: &ServiceError) {
        let hopeless =
            matches!(error, ServiceError::TimedOut { .. } | ServiceError::Codec(crate::codec::CodecError::TimedOut));
        if hopeless {
            let mut given_up = lock(&self.given_up);
            if given_up.len() >= MAX_GIVEN_UP {
                given_up.pop_front();
            }
            given_up.push_back(key.clone());
        }
    }

    /// Notes that something else was answered.
    pub(super) fn count(&self, reason: Reason) {
        if let Some(count) = self.answered.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often something else was answered, in the order of [`Reason::ALL`].
    pub(super) fn answered(&self) -> [u64; 3] {
        self.answered.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Jobs that run or wait.
    pub(super) fn len(&self) -> usize {
        lock(&self.under_way).len()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a job off the map when it ends, however it does.
struct Leave {
    late: Arc<Late>,
    key: Key,
}

impl Drop for Leave {
    fn drop(&mut self) {
        lock(&self.late.under_way).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::OutputFormat,
        repo::VariantRecord,
        service::gates::{Full, Gate},
        store::StoreKey,
    };

    fn key(name: &str) -> Key {
        (Hash::from_bytes([7; 32]), VariantKey::stored(name))
    }

    fn made() -> Made {
        let key = VariantKey::stored("avif");
        let hash = Hash::from_bytes([7; 32]);
        let record = VariantRecord { etag: hash, size_bytes: 1, created_secs: 1 };
        Made { key: StoreKey::Variant { hash, key, format: OutputFormat::Avif }, record, bytes: None }
    }

    fn reason(waited: &Waited) -> Option<Reason> {
        match waited {
            Waited::Done(_) => None,
            Waited::Not(reason) => Some(*reason),
        }
    }

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn what_is_done_in_time_is_answered_and_what_is_not_goes_on_alone() {
        let late = Arc::new(Late::new(2));
        let waited = late.wait(key("a"), SHORT, |_thread| async { Ok(made()) }).await;
        assert!(matches!(waited, Waited::Done(Ok(_))));
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let waited = late.wait(key("a"), SHORT, move |_thread| async {
            let _released = released.await;
            Ok(made())
        });
        assert_eq!(reason(&waited.await), Some(Reason::Time));
        assert_eq!(late.len(), 1, "it goes on");
        // Whoever comes later waits no longer than the first, and begins nothing.
        let before = Instant::now();
        let again = late.wait(key("a"), SHORT, |_thread| async { panic!("begun twice") }).await;
        assert_eq!(reason(&again), Some(Reason::Time));
        assert!(before.elapsed() < Duration::from_millis(40), "{:?}", before.elapsed());
        release.send(()).unwrap();
        while late.len() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_share_of_the_threads_and_of_the_memory_is_all_they_get() {
        let late = Arc::new(Late::new(5));
        let running = Arc::new(AtomicU64::new(0));
        for index in 0..MAX_UNDER_WAY {
            let running = Arc::clone(&running);
            let waited = late.wait(key(&index.to_string()), Duration::ZERO, move |thread| async move {
                running.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
                drop(thread);
                Ok(made())
            });
            assert_eq!(reason(&waited.await), Some(Reason::Time));
        }
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(running.load(Ordering::SeqCst), 2, "half of five threads");
        let one_more = late.wait(key("one more"), Duration::ZERO, |_thread| async { panic!("begun") }).await;
        assert_eq!(reason(&one_more), Some(Reason::Busy));
        assert_eq!(late.len(), MAX_UNDER_WAY);
    }

    #[tokio::test]
    async fn what_takes_longer_than_a_job_may_is_not_begun_again_and_other_errors_are() {
        let late = Arc::new(Late::new(1));
        let timed_out =
            late.wait(key("slow"), LONG, |_thread| async { Err(ServiceError::TimedOut { limit_secs: 1 }) }).await;
        assert!(matches!(timed_out, Waited::Done(Err(ServiceError::TimedOut { .. }))));
        let again = late.wait(key("slow"), LONG, |_thread| async { panic!("begun again") }).await;
        assert_eq!(reason(&again), Some(Reason::Time));
        let full = Full { gate: Gate::Queue, value: 9, limit: 9, retry: LONG };
        let busy = late.wait(key("busy"), LONG, move |_thread| async move { Err(full.into()) }).await;
        assert!(matches!(busy, Waited::Done(Err(ServiceError::Busy(_)))));
        assert!(matches!(late.wait(key("busy"), LONG, |_thread| async { Ok(made()) }).await, Waited::Done(Ok(_))));
        let panicked = late.wait(key("panic"), LONG, |_thread| async { panic!("injected") }).await;
        assert!(matches!(panicked, Waited::Done(Err(ServiceError::Panicked))));
        assert_eq!(late.len(), 0);
        for index in 0..=MAX_GIVEN_UP {
            late.give_up_if_hopeless(&key(&index.to_string()), &ServiceError::TimedOut { limit_secs: 1 });
        }
        assert_eq!(lock(&late.given_up).len(), MAX_GIVEN_UP);
    }
}
