//! How long things take: histograms that threads add to and a scrape reads, and the stages that a picture goes through.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tracing::{Instrument as _, Span, info_span};

/// The target of spans that are for traces alone: no log line shows them.
pub const TRACES: &str = "glimt::traces";

/// Upper bounds of the times that are told apart, in microseconds; above the last is one more. A hit in memory takes tens of them, an
/// AVIF seconds.
pub const BOUNDS_MICROS: [u64; 15] = [
    100, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// How many times are told apart.
pub const BUCKETS: usize = BOUNDS_MICROS.len() + 1;

/// The bounds in seconds, as Prometheus has them.
#[must_use]
pub fn bounds_secs() -> [f64; BOUNDS_MICROS.len()] {
    BOUNDS_MICROS.map(|micros| Duration::from_micros(micros).as_secs_f64())
}

/// How long something took each time, as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How often, by the bound that it was under, and above the last bound behind it.
    pub counts: [u64; BUCKETS],
    /// All of the times together.
    pub sum: Duration,
}

impl Latency {
    /// How often in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        let counts = std::array::from_fn(|bucket| self.counts[bucket].saturating_add(other.counts[bucket]));
        Self { counts, sum: self.sum.saturating_add(other.sum) }
    }
}

/// The numbers that a [`Latency`] is read from. Nobody waits for anybody.
#[derive(Debug, Default)]
pub struct Times {
    counts: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

impl Times {
    /// Notes a time.
    pub fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was noted so far.
    #[must_use]
    pub fn read(&self) -> Latency {
        Latency {
            counts: self.counts.each_ref().map(|count| count.load(Ordering::Relaxed)),
            sum: Duration::from_micros(self.sum_micros.load(Ordering::Relaxed)),
        }
    }
}

/// What a picture goes through, one after the other; not every picture through all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for a thread of the pool, memory apart.
    Queue,
    /// Waiting for memory.
    Memory,
    /// From a file to pixels.
    Decode,
    /// To where the device takes the pixels from.
    Upload,
    /// From being handed to the device until it is done: with its queue and both ways over the bus.
    Gpu,
    /// From where the device has put the pixels.
    Readback,
    /// Pixels to pixels on the cpu engine.
    Cpu,
    /// From pixels to a file.
    Encode,
    /// To the disk, until the file is where it belongs.
    Store,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Queue,
        Self::Memory,
        Self::Decode,
        Self::Upload,
        Self::Gpu,
        Self::Readback,
        Self::Cpu,
        Self::Encode,
        Self::Store,
    ];

    /// Its name in metrics and traces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Memory => "memory",
            Self::Decode => "decode",
            Self::Upload => "upload",
            Self::Gpu => "gpu",
            Self::Readback => "readback",
            Self::Cpu => "cpu",
            Self::Encode => "encode",
            Self::Store => "store",
        }
    }

    /// Its span in the trace of the request that is under way. The name of a span has to be known to the compiler.
    #[must_use]
    pub fn span(self) -> Span {
        match self {
            Self::Queue => info_span!(target: TRACES, "queue"),
            Self::Memory => info_span!(target: TRACES, "memory"),
            Self::Decode => info_span!(target: TRACES, "decode"),
            Self::Upload => info_span!(target: TRACES, "upload"),
            Self::Gpu => info_span!(target: TRACES, "gpu"),
            Self::Readback => info_span!(target: TRACES, "readback"),
            Self::Cpu => info_span!(target: TRACES, "cpu"),
            Self::Encode => info_span!(target: TRACES, "encode"),
            Self::Store => info_span!(target: TRACES, "store"),
        }
    }
}

/// How long each stage took. Every part of the server has a set of its own, and a scrape adds them up.
#[derive(Debug, Default)]
pub struct Stages([Times; Stage::ALL.len()]);

impl Stages {
    /// Does the work of a stage on this thread: timed, and in a span of its own.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = stage.span().in_scope(work);
        self.add(stage, began.elapsed());
        done
    }

    /// The same of what is awaited.
    pub async fn time_async<T>(&self, stage: Stage, work: impl Future<Output = T> + Send) -> T {
        let began = Instant::now();
        let done = work.instrument(stage.span()).await;
        self.add(stage, began.elapsed());
        done
    }

    /// Notes a time that was taken elsewhere.
    pub fn add(&self, stage: Stage, time: Duration) {
        if let Some(times) = self.0.get(stage as usize) {
            times.add(time);
        }
    }

    /// What one stage took so far.
    #[must_use]
    pub fn of(&self, stage: Stage) -> Latency {
        self.0.get(stage as usize).map(Times::read).unwrap_or_default()
    }

    /// What each of them took so far, in the order of [`Stage::ALL`].
    #[must_use]
    pub fn read(&self) -> [Latency; Stage::ALL.len()] {
        self.0.each_ref().map(Times::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_under_the_bound_that_they_reach() {
        let times = Times::default();
        for micros in [0, 100, 101, 10_000_000, 10_000_001, u64::MAX] {
            times.add(Duration::from_micros(micros));
        }
        let read = times.read();
        assert_eq!((read.counts[0], read.counts[1], read.counts[14], read.counts[15]), (2, 1, 1, 2));
        assert_eq!(read.count(), 6);
        let times = Times::default();
        times.add(Duration::from_millis(7));
        let once = times.read();
        assert_eq!((once.counts[5], once.count(), once.sum), (1, 1, Duration::from_millis(7)));
        let both = once.with(&once);
        assert_eq!((both.counts[5], both.count(), both.sum), (2, 2, Duration::from_millis(14)));
    }

    #[test]
    fn each_stage_has_times_of_its_own() {
        let stages = Stages::default();
        for (index, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, index);
            (0..=index).for_each(|_| stages.add(stage, Duration::from_millis(1)));
        }
        assert_eq!(stages.time(Stage::Gpu, || 7), 7);
        let counts = stages.read().map(|latency| latency.count());
        assert_eq!(counts, [1, 2, 3, 4, 6, 6, 7, 8, 9]);
        assert_eq!(stages.of(Stage::Gpu).count(), 6);
    }
}
