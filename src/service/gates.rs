//! The gates: what is bounded, how full it is, and what whoever is not let in is told.
//!
//! A gate refuses at once instead of letting wait what would wait too long, and says how long those who are inside stay: that is when it
//! is worth while to ask again.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Connections that are served.
    Connections,
    /// Requests whose answer has not begun.
    Requests,
    /// Pictures coming in: forms that are received and files that are downloaded, until they are stored.
    Uploads,
    /// Uploads and variants that nobody waits for: uploads until they are claimed.
    Backgrounded,
    /// Jobs for variants that run or wait.
    Queue,
    /// The time such a job would wait, in milliseconds.
    Wait,
    /// Memory for pictures that are being worked on, in MiB.
    Memory,
    /// New variants of one picture in an hour.
    Picture,
    /// New variants of all pictures in ten seconds.
    Rate,
}

impl Gate {
    /// All of them, from the outermost to the innermost.
    pub const ALL: [Self; 9] = [
        Self::Connections,
        Self::Requests,
        Self::Uploads,
        Self::Backgrounded,
        Self::Queue,
        Self::Wait,
        Self::Memory,
        Self::Picture,
        Self::Rate,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Requests => "requests",
            Self::Uploads => "uploads",
            Self::Backgrounded => "backgrounded",
            Self::Queue => "queue",
            Self::Wait => "wait",
            Self::Memory => "memory",
            Self::Picture => "picture",
            Self::Rate => "rate",
        }
    }
}

/// Somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Full {
    /// By which gate.
    pub gate: Gate,
    /// How full it was, or what was asked for, in the gate's unit.
    pub value: u64,
    /// How full it may be, in the same.
    pub limit: u64,
    /// After which time there is likely to be room.
    pub retry: Duration,
}

impl Full {
    /// Whole seconds until it is worth while to ask again: at least one, and no more than a minute, by when what is known now says nothing; of
    /// one picture an hour.
    #[must_use]
    pub fn retry_secs(&self) -> u64 {
        self.retry
            .as_secs()
            .saturating_add(u64::from(self.retry.subsec_nanos() > 0))
            .clamp(1, if self.gate == Gate::Picture { 3600 } else { 60 })
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gate, value, limit, retry: _ } = self;
        if !matches!(gate, Gate::Picture | Gate::Rate) {
            f.write_str("the server is busy: ")?;
        }
        match gate {
            Gate::Connections => write!(f, "{value} connections are open, the limit is {limit}"),
            Gate::Requests => write!(f, "{value} requests are under way, the limit is {limit}"),
            Gate::Uploads => write!(f, "{value} uploads are under way, the limit is {limit}"),
            Gate::Backgrounded => {
                write!(f, "{value} uploads and variants are in the background or not claimed, the limit is {limit}")
            }
            Gate::Queue => write!(f, "{value} jobs run or wait in the queue, the limit is {limit}"),
            Gate::Wait => write!(f, "the wait would be over {value} ms, the limit is {limit} ms"),
            Gate::Memory => write!(f, "{value} MiB of memory did not come free in time, the limit is {limit} MiB"),
            Gate::Picture => {
                write!(f, "{value} new variants of this picture were made within an hour, the limit is {limit}")
            }
            Gate::Rate => write!(f, "{value} new variants were made within 10 s, the limit is {limit}"),
        }?;
        write!(f, "; ask again in {} s", self.retry_secs())
    }
}

/// What a gate holds and has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateStats {
    /// Which one.
    pub gate: Gate,
    /// How many are inside.
    pub held: u64,
    /// How many may be.
    pub limit: u64,
    /// How many were refused since the start.
    pub refused: u64,
}

/// A gate for a number of things at a time. Nobody waits at it.
#[derive(Debug)]
pub struct Turnstile {
    gate: Gate,
    limit: usize,
    places: Arc<Semaphore>,
    refused: AtomicU64,
    /// How long those who leave have stayed.
    stay: Mean,
}

impl Turnstile {
    /// One that lets `limit` in at a time.
    #[must_use]
    pub fn new(gate: Gate, limit: usize) -> Arc<Self> {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(limit));
        Arc::new(Self { gate, limit, places, refused: AtomicU64::new(0), stay: Mean::default() })
    }

    /// A place inside, until the pass is dropped.
    ///
    /// # Errors
    /// [`Full`] at once, when there is none.
    pub fn enter(self: &Arc<Self>) -> Result<Pass, Full> {
        self.try_enter().ok_or_else(|| self.refuse())
    }

    /// The same for one who is not told: nothing is counted.
    pub fn try_enter(self: &Arc<Self>) -> Option<Pass> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Pass { gate: Arc::clone(self), since: Instant::now(), _permit: permit })
    }

    /// Counts a refusal, and says why.
    pub fn refuse(&self) -> Full {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let limit = self.limit as u64;
        Full { gate: self.gate, value: limit, limit, retry: self.stay.get() }
    }

    /// Waits until nobody is inside.
    pub async fn emptied(&self) {
        let all = u32::try_from(self.limit).unwrap_or(u32::MAX);
        let _all = self.places.acquire_many(all).await;
    }

    /// How many are inside.
    #[must_use]
    pub fn held(&self) -> usize {
        self.limit - self.places.available_permits()
    }

    /// How many may be.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// What it holds and has done.
    #[must_use]
    pub fn stats(&self) -> GateStats {
        let refused = self.refused.load(Ordering::Relaxed);
        GateStats { gate: self.gate, held: self.held() as u64, limit: self.limit as u64, refused }
    }
}

/// A place inside a gate.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Turnstile>,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Pass {
    /// How long it has been held.
    #[must_use]
    pub fn held_for(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.stay.add(self.since.elapsed());
    }
}

/// The gates that a request meets before it comes to the processing pool, which has its own.
#[derive(Clone, Debug)]
pub struct Gates {
    /// For connections.
    pub connections: Arc<Turnstile>,
    /// For requests of every kind but those that ask how the server is.
    pub requests: Arc<Turnstile>,
    /// For pictures coming in.
    pub uploads: Arc<Turnstile>,
    /// For what nobody waits for.
    pub backgrounded: Arc<Turnstile>,
}

impl Gates {
    /// Gates for so many of each.
    #[must_use]
    pub fn new(connections: usize, requests: usize, uploads: usize, backgrounded: usize) -> Self {
        Self {
            connections: Turnstile::new(Gate::Connections, connections),
            requests: Turnstile::new(Gate::Requests, requests),
            uploads: Turnstile::new(Gate::Uploads, uploads),
            backgrounded: Turnstile::new(Gate::Backgrounded, backgrounded),
        }
    }
}

/// A mean of times in which each new one weighs an eighth. Of two that come at once one may be lost: it is an estimate.
#[derive(Debug, Default)]
pub(super) struct Mean(AtomicU64);

impl Mean {
    /// Takes one more into the mean.
    pub(super) fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 8);
        let mean = self.0.load(Ordering::Relaxed);
        let next = if mean == 0 { nanos } else { mean - mean / 8 + nanos / 8 };
        self.0.store(next, Ordering::Relaxed);
    }

    /// The mean, 0 before the first.
    pub(super) fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_may_are_let_in_and_the_others_are_told_why() {
        let gate = Turnstile::new(Gate::Uploads, 2);
        let (first, second) = (gate.enter().unwrap(), gate.enter().unwrap());
        let full = gate.enter().unwrap_err();
        assert_eq!((full.gate, full.value, full.limit, full.retry_secs()), (Gate::Uploads, 2, 2, 1));
        assert_eq!(full.to_string(), "the server is busy: 2 uploads are under way, the limit is 2; ask again in 1 s");
        drop(first);
        let _third = gate.enter().unwrap();
        drop(second);
        assert_eq!(gate.stats(), GateStats { gate: Gate::Uploads, held: 1, limit: 2, refused: 1 });
        assert!(Turnstile::new(Gate::Requests, 0).enter().is_err());
    }

    #[test]
    fn each_gate_names_what_was_asked_for_its_limit_and_when_to_ask_again() {
        for (index, gate) in Gate::ALL.into_iter().enumerate() {
            let told = Full { gate, value: 1001, limit: 1002, retry: Duration::from_millis(7001) }.to_string();
            for part in ["1001", "1002", "8 s"] {
                assert!(told.contains(part), "{told}");
            }
            assert!(Gate::ALL.iter().skip(index + 1).all(|other| other.name() != gate.name()));
        }
    }

    #[test]
    fn it_is_worth_while_to_ask_again_when_those_inside_have_left() {
        let retry = |millis| Full { gate: Gate::Queue, value: 1, limit: 1, retry: Duration::from_millis(millis) };
        assert_eq!([0, 1, 1000, 1001, 3_600_000].map(|millis| retry(millis).retry_secs()), [1, 1, 1, 2, 60]);
        let mean = Mean::default();
        assert_eq!(mean.get(), Duration::ZERO);
        mean.add(Duration::from_secs(8));
        assert_eq!(mean.get(), Duration::from_secs(8));
        mean.add(Duration::ZERO);
        assert_eq!(mean.get(), Duration::from_secs(7));
        for _ in 0..100 {
            mean.add(Duration::from_secs(3));
        }
        assert!((mean.get().as_secs_f64() - 3.0).abs() < 0.01, "{:?}", mean.get());
    }
}
