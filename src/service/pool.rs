//! The processing pool: a fixed number of named threads for everything that decodes, processes or
//! encodes, behind gates for how many jobs wait, how long they would, and how much memory they take together.
//!
//! A job comes in by one of two lanes, that of variants and that of pictures coming in. It has a place in its lane from the moment it is let in, takes
//! its turn there, then memory, and then stands in the line for a thread. A lane has so many turns at a time, so that half of the
//! threads and of the memory are left to the other however many wait in this one, and what only waits holds no memory.

mod crew;
mod estimate;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Sender, bounded};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout_at,
};
use tracing::{Instrument as _, Span};

use self::{
    crew::{Crew, Fate},
    estimate::expected_wait,
};
use super::{
    ServiceError,
    gates::{Full, Gate, GateStats, Mean, Pass, Turnstile},
};
use crate::{
    codec::CodecError,
    pixels::Stop,
    timing::{Stage, Stages},
};

/// Granularity of the memory gate.
const MEBIBYTE: u64 = 1024 * 1024;

/// How large the pool is.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// Threads.
    pub workers: usize,
    /// Jobs for variants that may wait for a thread; one more is refused.
    pub queue: usize,
    /// Jobs for pictures coming in that may be there at a time: as many as the gate in front of them lets in.
    pub uploads: usize,
    /// A job for a variant that would wait longer than this is refused.
    pub max_wait: Duration,
    /// Memory that all running jobs may say they need together.
    pub memory_limit_bytes: u64,
    /// Longest time from asking to answer.
    pub timeout: Duration,
    /// How long after that a job may go on before it is given up: time to see that it is to stop.
    pub grace: Duration,
    /// How far the threads stand back behind those that answer requests, 0 to 19 (`nice`); Linux only.
    pub nice: u8,
}

/// What a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A variant that somebody waits for.
    Variant,
    /// A variant that takes longer than anybody waits. It has the lane of the others, and says nothing of how long they take.
    Late,
    /// A picture coming in.
    Upload,
}

/// Where jobs of one kind wait.
#[derive(Debug)]
struct Lane {
    /// A place a job, running or waiting: what bounds the queue.
    places: Arc<Turnstile>,
    /// A permit a job that may ask for memory and a thread.
    turns: Arc<Semaphore>,
    /// How long its jobs have a thread.
    service: Mean,
}

/// What jobs have waited for a thread, and for memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// Jobs that have begun.
    pub begun: u64,
    /// From the place in the queue to the thread, all of them together, without the wait for memory.
    pub queue: Duration,
    /// For memory.
    pub memory: Duration,
}

/// What the pool is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// The gate of the queue.
    pub queue: GateStats,
    /// Jobs refused because they would have waited too long.
    pub refused_wait: u64,
    /// Jobs refused because memory did not come free in time.
    pub refused_memory: u64,
    /// What a job for a variant would wait now.
    pub expected_wait: Duration,
    /// What it may wait.
    pub max_wait: Duration,
    /// Memory promised to jobs.
    pub granted_bytes: u64,
    /// Memory there is for them.
    pub memory_limit_bytes: u64,
    /// What jobs have waited.
    pub waited: Waited,
}

/// Runs blocking jobs on its own threads. When it is dropped, its threads end after the jobs they run; nobody waits for
/// them, so that a job that overran its time cannot hold up a stop. A thread whose job does not end in its time is given
/// up, and another does its work (see [`crew`]).
#[derive(Debug)]
pub struct Pool {
    options: PoolOptions,
    variants: Arc<Lane>,
    uploads: Arc<Lane>,
    /// A permit a MiB.
    memory: Arc<Semaphore>,
    memory_mib: u32,
    refused_wait: AtomicU64,
    refused_memory: AtomicU64,
    /// Of the jobs: what they wait for, and what they note themselves.
    stages: Arc<Stages>,
    jobs: Sender<Arc<Fate>>,
    crew: Arc<Crew>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(options: PoolOptions) -> std::io::Result<Self> {
        // Each thread has its next job at hand while it has one.
        let turns = 2 * options.workers + 1;
        let lane = |places| {
            let places = Turnstile::new(Gate::Queue, places);
            Arc::new(Lane { places, turns: Arc::new(Semaphore::new(turns)), service: Mean::default() })
        };
        // Whatever stands in the line has a turn, so it is never full.
        let (jobs, waiting) = bounded::<Arc<Fate>>(2 * turns);
        let crew = Crew::start(options.workers, options.nice, waiting)?;
        // Over 4 PiB the gate is no gate; a semaphore of tokio's holds at least 2^29 permits on every target.
        let memory_mib = u32::try_from(options.memory_limit_bytes / MEBIBYTE).unwrap_or(u32::MAX).clamp(1, 1 << 28);
        Ok(Self {
            options,
            variants: lane(options.workers + options.queue),
            // Jobs of callers that have left may run for a moment, and hold their places.
            uploads: lane(options.workers + options.uploads),
            memory: Arc::new(Semaphore::new(memory_mib as usize)),
            memory_mib,
            refused_wait: AtomicU64::new(0),
            refused_memory: AtomicU64::new(0),
            stages: Arc::default(),
            jobs,
            crew,
        })
    }

    /// By when somebody who asks now is to be answered.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.options.timeout
    }

    /// A place in the queue, and room for about `peak_bytes`, for one job that is to be done by `deadline`. Waits for its turn and for the memory.
    ///
    /// # Errors
    /// [`ServiceError::Busy`]: at once when too many jobs wait, or when a job for a variant would wait too long; at the deadline when
    /// neither turn nor memory had come.
    pub async fn reserve(
        &self,
        class: Class,
        peak_bytes: u64,
        deadline: Instant,
    ) -> Result<Reservation<'_>, ServiceError> {
        let lane = self.lane(class);
        if class == Class::Variant {
            self.admit(class, deadline)?;
        }
        let (place, queued) = (lane.places.enter()?, Stage::Queue.span());
        let late = |_elapsed| self.too_long(place.held_for(), self.options.timeout);
        let turn = timeout_at(deadline.into(), Arc::clone(&lane.turns).acquire_owned()).await.map_err(late)?;
        let turn = turn.map_err(|_closed| lane.places.refuse())?;
        // A job that needs more than there is runs alone.
        let mib = u32::try_from(peak_bytes.div_ceil(MEBIBYTE)).unwrap_or(u32::MAX).clamp(1, self.memory_mib);
        let before = Instant::now();
        let given = Arc::clone(&self.memory).acquire_many_owned(mib).instrument(Stage::Memory.span());
        let memory = timeout_at(deadline.into(), given)
            .await
            .map_err(|_elapsed| self.no_memory(mib))?
            .map_err(|_closed| lane.places.refuse())?;
        let memory_wait = before.elapsed();
        Ok(Reservation { pool: self, class, deadline, memory_wait, permits: (place, turn, memory), queued })
    }

    /// Reserves and runs in one.
    ///
    /// # Errors
    /// As [`Self::reserve`] and [`Reservation::run`].
    pub async fn run<T, F>(&self, class: Class, peak_bytes: u64, deadline: Instant, job: F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: FnOnce(&Stop) -> Result<T, ServiceError> + Send + 'static,
    {
        self.reserve(class, peak_bytes, deadline).await?.run(job).await
    }

    /// What the stages of jobs took: a job notes here what it does on its thread, but for what the engines do.
    #[must_use]
    pub const fn stages(&self) -> &Arc<Stages> {
        &self.stages
    }

    /// Threads.
    #[must_use]
    pub const fn workers(&self) -> usize {
        self.options.workers
    }

    /// Jobs that run or wait.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.variants.places.held() + self.uploads.places.held()
    }

    /// Jobs that were given up since the start, because they went on after their time and the grace, and those of them that
    /// still do.
    #[must_use]
    pub fn given_up(&self) -> (u64, usize) {
        self.crew.given_up()
    }

    /// What it is busy with.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let queue = self.stages.of(Stage::Queue);
        let free_mib = self.memory.available_permits() as u64;
        PoolStats {
            queue: self.variants.places.stats(),
            refused_wait: self.refused_wait.load(Ordering::Relaxed),
            refused_memory: self.refused_memory.load(Ordering::Relaxed),
            expected_wait: self.expected_wait(Class::Variant),
            max_wait: self.options.max_wait,
            granted_bytes: u64::from(self.memory_mib).saturating_sub(free_mib) * MEBIBYTE,
            memory_limit_bytes: u64::from(self.memory_mib) * MEBIBYTE,
            waited: Waited { begun: queue.count(), queue: queue.sum, memory: self.stages.of(Stage::Memory).sum },
        }
    }

    /// How long a job of this class would wait for a thread, by how many are before it and how long they took lately.
    #[must_use]
    pub fn expected_wait(&self, class: Class) -> Duration {
        let (lane, other) = match class {
            Class::Variant | Class::Late => (&self.variants, &self.uploads),
            Class::Upload => (&self.uploads, &self.variants),
        };
        expected_wait(lane.places.held(), other.places.held(), self.options.workers, lane.service.get())
    }

    fn lane(&self, class: Class) -> &Arc<Lane> {
        match class {
            Class::Variant | Class::Late => &self.variants,
            Class::Upload => &self.uploads,
        }
    }

    /// Refuses a job that would wait longer than it may, or past its deadline. One for a picture coming in is asked for before the picture is
    /// received, and not again when it is here.
    ///
    /// # Errors
    /// [`Full`] with the wait that is expected.
    pub fn admit(&self, class: Class, deadline: Instant) -> Result<(), Full> {
        let wait = self.expected_wait(class);
        let limit = self.options.max_wait.min(deadline.saturating_duration_since(Instant::now()));
        // With a thread free there is no wait, whatever time is left.
        if wait.is_zero() || wait <= limit { Ok(()) } else { Err(self.too_long(wait, limit)) }
    }

    /// Whether a job would be let in now.
    ///
    /// # Errors
    /// [`Full`] as [`Self::reserve`] would say it.
    pub fn check(&self, class: Class, deadline: Instant) -> Result<(), Full> {
        self.admit(class, deadline)?;
        let places = &self.lane(class).places;
        if places.held() < places.limit() { Ok(()) } else { Err(places.refuse()) }
    }

    fn too_long(&self, wait: Duration, limit: Duration) -> Full {
        self.refused_wait.fetch_add(1, Ordering::Relaxed);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Full { gate: Gate::Wait, value: millis(wait), limit: millis(limit), retry: wait }
    }

    fn no_memory(&self, mib: u32) -> Full {
        self.refused_memory.fetch_add(1, Ordering::Relaxed);
        let retry = self.variants.service.get().max(self.uploads.service.get());
        Full { gate: Gate::Memory, value: mib.into(), limit: self.memory_mib.into(), retry }
    }

    /// What somebody is told whose time is over.
    #[must_use]
    pub fn timed_out(&self) -> ServiceError {
        ServiceError::TimedOut { limit_secs: self.options.timeout.as_secs() }
    }
}

/// The right to run one job. Given back when the job ends, or when dropped.
#[must_use]
#[derive(Debug)]
pub struct Reservation<'a> {
    pool: &'a Pool,
    class: Class,
    deadline: Instant,
    memory_wait: Duration,
    /// Place, turn, memory.
    permits: (Pass, OwnedSemaphorePermit, OwnedSemaphorePermit),
    /// The wait for a thread, in the trace of the request.
    queued: Span,
}

impl Reservation<'_> {
    /// Runs `job` on a thread of the pool and returns its answer. The job is told when to stop: when its time is over, and
    /// when nobody waits any more, because this future was dropped. A job that is stopped before a thread is free never starts: it is dropped at once, with all it holds.
    ///
    /// # Errors
    /// [`ServiceError::TimedOut`] when it took too long (the job itself ends when it next looks whether to go on),
    /// [`ServiceError::Busy`] when no thread was free in its time, [`ServiceError::Panicked`] when it panicked, and its own.
    pub async fn run<T, F>(self, job: F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: FnOnce(&Stop) -> Result<T, ServiceError> + Send + 'static,
    {
        let Self { pool, class, deadline, memory_wait, permits: (place, turn, memory), queued } = self;
        let (tell, told) = oneshot::channel();
        let stop = Stop::at(deadline);
        let (end, ended) = oneshot::channel::<()>();
        let (lane, stages, entered) = (Arc::clone(pool.lane(class)), Arc::clone(&pool.stages), Instant::now());
        let request = Span::current();
        let waited_before = place.held_for().saturating_sub(memory_wait);
        let told_to = stop.clone();
        let fate = Fate::new((place, turn), |mine| {
            Box::new(move || {
                let began = Instant::now();
                stages.add(Stage::Queue, waited_before + (began - entered));
                stages.add(Stage::Memory, memory_wait);
                drop(queued);
                let within = request.entered();
                let answer = match told_to.check() {
                    Ok(()) => catch_unwind(AssertUnwindSafe(|| job(&told_to))),
                    Err(_late) => Ok(Err(CodecError::TimedOut.into())),
                };
                drop(within);
                drop(memory);
                if class != Class::Late {
                    lane.service.add(began.elapsed());
                }
                mine.leave();
                // Nobody listens when the caller has gone; the answer goes with it.
                let _gone = tell.send(answer.unwrap_or(Err(ServiceError::Panicked)));
                drop(end);
            })
        });
        let guard = Leave { stop, fate: Arc::clone(&fate) };
        // Whatever has a turn has a place in the line, so this neither blocks nor fails while the pool lives.
        pool.jobs.try_send(Arc::clone(&fate)).map_err(|_full| pool.lane(class).places.refuse())?;
        // A task of its own: whoever waits may leave, and the thread be stuck all the same.
        let (crew, latest) = (Arc::clone(&pool.crew), deadline + pool.options.grace);
        let watched = Arc::clone(&fate);
        tokio::spawn(async move {
            if timeout_at(latest.into(), ended).await.is_err() {
                crew.give_up(&watched);
            }
        });
        let answer = match timeout_at(deadline.into(), told).await {
            // A decoder knows that it is late, and not how long it had.
            Ok(Ok(Err(ServiceError::Codec(CodecError::TimedOut)))) => Err(pool.timed_out()),
            Ok(told) => told.map_err(|_dropped| pool.lane(class).places.refuse())?,
            Err(_elapsed) if fate.waits() => Err(pool.too_long(entered.elapsed(), pool.options.timeout).into()),
            Err(_elapsed) => Err(pool.timed_out()),
        };
        drop(guard);
        answer
    }
}

/// Stops a job when the future that waits for it is dropped, and takes it out of the queue if it still waits there.
struct Leave {
    stop: Stop,
    fate: Arc<Fate>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.stop.stop();
        self.fate.abandon();
    }
}

#[cfg(test)]
mod tests;
