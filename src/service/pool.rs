//! The processing pool: a fixed number of named threads for everything that decodes, processes or
//! encodes, behind one gate that bounds how many jobs wait and how much memory they take together.

mod crew;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Sender, bounded};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use self::crew::{Crew, Fate, Job};
use super::ServiceError;
use crate::{codec::CodecError, pixels::Stop};

/// Granularity of the memory gate.
const MEBIBYTE: u64 = 1024 * 1024;

/// How large the pool is.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// Threads.
    pub workers: usize,
    /// Jobs that may wait for a thread; one more is refused.
    pub queue: usize,
    /// Memory that all running jobs may say they need together.
    pub memory_limit_bytes: u64,
    /// Longest time from asking to answer.
    pub timeout: Duration,
    /// How long after that a job may go on before it is given up: time to see that it is to stop.
    pub grace: Duration,
}

/// Runs blocking jobs on its own threads. When it is dropped, its threads end after the jobs they run; nobody waits for
/// them, so that a job that overran its time cannot hold up a stop. A thread whose job does not end in its time is given
/// up, and another does its work (see [`crew`]).
#[derive(Debug)]
pub struct Pool {
    options: PoolOptions,
    /// A permit a job, running or waiting: what bounds the queue.
    places: Arc<Semaphore>,
    /// A permit a MiB.
    memory: Arc<Semaphore>,
    memory_mib: u32,
    jobs: Sender<Job>,
    crew: Arc<Crew>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(options: PoolOptions) -> std::io::Result<Self> {
        let places = options.workers + options.queue;
        let (jobs, waiting) = bounded::<Job>(places);
        let crew = Crew::start(options.workers, waiting)?;
        // Over 4 PiB the gate is no gate; a semaphore of tokio's holds at least 2^29 permits on every target.
        let memory_mib = u32::try_from(options.memory_limit_bytes / MEBIBYTE).unwrap_or(u32::MAX).clamp(1, 1 << 28);
        Ok(Self {
            options,
            places: Arc::new(Semaphore::new(places)),
            memory: Arc::new(Semaphore::new(memory_mib as usize)),
            memory_mib,
            jobs,
            crew,
        })
    }

    /// A place in the queue, and room for about `peak_bytes`, for one job. Waits for the memory.
    ///
    /// # Errors
    /// [`ServiceError::Busy`] at once when too many jobs wait, [`ServiceError::TimedOut`] when the memory did not come free.
    pub async fn reserve(&self, peak_bytes: u64) -> Result<Reservation<'_>, ServiceError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_full| self.busy())?;
        let deadline = Instant::now() + self.options.timeout;
        // A job that needs more than there is runs alone.
        let mib = u32::try_from(peak_bytes.div_ceil(MEBIBYTE)).unwrap_or(u32::MAX).clamp(1, self.memory_mib);
        let memory = tokio::time::timeout_at(deadline.into(), Arc::clone(&self.memory).acquire_many_owned(mib))
            .await
            .map_err(|_elapsed| self.timed_out())?
            .map_err(|_closed| self.busy())?;
        Ok(Reservation { pool: self, deadline, permits: (place, memory) })
    }

    /// Reserves and runs in one.
    ///
    /// # Errors
    /// As [`Self::reserve`] and [`Reservation::run`].
    pub async fn run<T, F>(&self, peak_bytes: u64, job: F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: FnOnce(&Stop) -> Result<T, ServiceError> + Send + 'static,
    {
        self.reserve(peak_bytes).await?.run(job).await
    }

    /// Threads.
    #[must_use]
    pub const fn workers(&self) -> usize {
        self.options.workers
    }

    /// Jobs that run or wait.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.options.workers + self.options.queue - self.places.available_permits()
    }

    /// Jobs that were given up since the start, because they went on after their time and the grace, and those of them that
    /// still do.
    #[must_use]
    pub fn given_up(&self) -> (u64, usize) {
        self.crew.given_up()
    }

    fn busy(&self) -> ServiceError {
        ServiceError::Busy { waiting: self.in_flight() }
    }

    fn timed_out(&self) -> ServiceError {
        ServiceError::TimedOut { limit_secs: self.options.timeout.as_secs() }
    }
}

/// The right to run one job. Given back when the job ends, or when dropped.
#[must_use]
#[derive(Debug)]
pub struct Reservation<'a> {
    pool: &'a Pool,
    deadline: Instant,
    permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Reservation<'_> {
    /// Runs `job` on a thread of the pool and returns its answer. The job is told when to stop: when its time is over, and
    /// when nobody waits any more, because this future was dropped. A job that is stopped before a thread is free never starts.
    ///
    /// # Errors
    /// [`ServiceError::TimedOut`] when it took too long (the job itself ends when it next looks whether to go on),
    /// [`ServiceError::Panicked`] when it panicked, and its own.
    pub async fn run<T, F>(self, job: F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: FnOnce(&Stop) -> Result<T, ServiceError> + Send + 'static,
    {
        let Self { pool, deadline, permits: (place, memory) } = self;
        let (tell, told) = oneshot::channel();
        let stop = Stop::at(deadline);
        let _guard = StopWhenDropped(stop.clone());
        let (end, ended) = oneshot::channel::<()>();
        let fate = Fate::new(place);
        let mine = Arc::clone(&fate);
        let work = Box::new(move || {
            let answer = (!tell.is_closed()).then(|| catch_unwind(AssertUnwindSafe(|| job(&stop))));
            drop(memory);
            mine.leave();
            if let Some(answer) = answer {
                // Nobody listens when the caller has gone; the answer goes with it.
                let _gone = tell.send(answer.unwrap_or(Err(ServiceError::Panicked)));
            }
            drop(end);
        });
        let job = Job { work, fate: Arc::clone(&fate) };
        // There is a place in the queue for every permit, so this neither blocks nor fails while the pool lives.
        pool.jobs.try_send(job).map_err(|_full| pool.busy())?;
        // A task of its own: whoever waits may leave, and the thread be stuck all the same.
        let (crew, latest) = (Arc::clone(&pool.crew), deadline + pool.options.grace);
        tokio::spawn(async move {
            if tokio::time::timeout_at(latest.into(), ended).await.is_err() {
                crew.give_up(&fate);
            }
        });
        match tokio::time::timeout_at(deadline.into(), told).await {
            // A decoder knows that it is late, and not how long it had.
            Ok(Ok(Err(ServiceError::Codec(CodecError::TimedOut)))) => Err(pool.timed_out()),
            Ok(told) => told.map_err(|_dropped| pool.busy())?,
            Err(_elapsed) => Err(pool.timed_out()),
        }
    }
}

/// Stops a job when the future that waits for it is dropped.
struct StopWhenDropped(Stop);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(workers: usize, queue: usize, timeout: Duration) -> Arc<Pool> {
        let grace = Duration::from_millis(20);
        Arc::new(Pool::start(PoolOptions { workers, queue, memory_limit_bytes: 8 * MEBIBYTE, timeout, grace }).unwrap())
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn answers_come_back_and_a_panic_costs_one_job() {
        let pool = pool(1, 4, LONG);
        assert_eq!(pool.run(0, |_| Ok(7)).await.unwrap(), 7);
        let panicked = pool.run::<(), _>(0, |_| panic!("injected")).await;
        assert!(matches!(panicked, Err(ServiceError::Panicked)));
        assert_eq!(
            pool.run(0, |_| Ok(std::thread::current().name().map(str::to_owned))).await.unwrap().unwrap(),
            "process-0"
        );
        assert_eq!(pool.in_flight(), 0);
    }

    /// A job that runs until the returned sender is dropped.
    fn blocked(pool: &Arc<Pool>, peak_bytes: u64) -> (Sender<()>, tokio::task::JoinHandle<Result<(), ServiceError>>) {
        let (release, wait) = bounded::<()>(0);
        let pool = Arc::clone(pool);
        let task = tokio::spawn(async move {
            pool.run(peak_bytes, move |_| {
                let _released = wait.recv();
                Ok(())
            })
            .await
        });
        (release, task)
    }

    #[tokio::test]
    async fn a_running_job_is_told_that_its_caller_left() {
        let pool = pool(1, 4, LONG);
        let (tell, told) = oneshot::channel();
        let (begun, begins) = oneshot::channel();
        let running = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(0, move |stop| {
                    let _listening = begun.send(());
                    while stop.check().is_ok() {
                        std::thread::yield_now();
                    }
                    let _listening = tell.send(stop.check() == Err(crate::pixels::Stopped::Dropped));
                    Ok(())
                })
                .await
            }
        });
        begins.await.unwrap();
        running.abort();
        assert!(told.await.unwrap());
    }

    #[tokio::test]
    async fn one_job_more_than_may_wait_is_refused_at_once() {
        let pool = pool(1, 1, LONG);
        let (first, running) = blocked(&pool, 0);
        let (second, waiting) = blocked(&pool, 0);
        while pool.in_flight() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(pool.run(0, |_| Ok(())).await, Err(ServiceError::Busy { waiting: 2 })));
        drop((first, second));
        running.await.unwrap().unwrap();
        waiting.await.unwrap().unwrap();
        pool.run(0, |_| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn memory_is_shared_and_a_job_larger_than_all_of_it_runs_alone() {
        let pool = pool(2, 4, LONG);
        let (release, running) = blocked(&pool, 5 * MEBIBYTE);
        while pool.memory.available_permits() != 3 {
            tokio::task::yield_now().await;
        }
        pool.run(3 * MEBIBYTE, |_| Ok(())).await.unwrap();
        let mut large = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(u64::MAX, |_| Ok(())).await }
        });
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut large).await.is_err());
        drop(release);
        running.await.unwrap().unwrap();
        large.await.unwrap().unwrap();
        assert_eq!(pool.memory.available_permits(), 8);
    }

    #[tokio::test]
    async fn one_whose_caller_left_never_starts() {
        // No thread is given up in this time.
        let timeout = Duration::from_millis(50);
        let options = PoolOptions { workers: 1, queue: 4, memory_limit_bytes: MEBIBYTE, timeout, grace: LONG };
        let pool = Arc::new(Pool::start(options).unwrap());
        let (release, running) = blocked(&pool, 0);
        assert!(matches!(running.await.unwrap(), Err(ServiceError::TimedOut { .. })));
        let started = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = Arc::clone(&started);
        let waiting = pool.run(0, move |_| {
            seen.store(true, std::sync::atomic::Ordering::SeqCst);
            Ok(())
        });
        assert!(matches!(waiting.await, Err(ServiceError::TimedOut { .. })));
        assert_eq!(pool.given_up(), (0, 0));
        drop(release);
        while pool.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(!started.load(std::sync::atomic::Ordering::SeqCst));
    }

    /// Waits until as many were given up, and as many of them go on.
    async fn until_given_up(pool: &Pool, expected: (u64, usize)) {
        let seen = async {
            while pool.given_up() != expected {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(LONG, seen).await.unwrap_or_else(|_late| panic!("{:?}", pool.given_up()));
    }

    #[tokio::test]
    async fn a_job_that_overruns_is_answered_counted_and_replaced_and_keeps_its_memory() {
        let pool = pool(1, 1, Duration::from_millis(500));
        let (release, running) = blocked(&pool, 5 * MEBIBYTE);
        assert!(matches!(running.await.unwrap(), Err(ServiceError::TimedOut { limit_secs: 0 })));
        until_given_up(&pool, (1, 1)).await;
        // Another thread does what comes, with the memory that is left and every place.
        assert_eq!((pool.in_flight(), pool.memory.available_permits()), (0, 3));
        pool.run(3 * MEBIBYTE, |_| Ok(())).await.unwrap();
        // There is no spare for a second one: it is counted, and keeps its place.
        let (second, running) = blocked(&pool, 0);
        assert!(matches!(running.await.unwrap(), Err(ServiceError::TimedOut { .. })));
        until_given_up(&pool, (2, 2)).await;
        assert_eq!(pool.in_flight(), 1);
        drop(second);
        until_given_up(&pool, (2, 1)).await;
        pool.run(0, |_| Ok(())).await.unwrap();
        drop(release);
        until_given_up(&pool, (2, 0)).await;
        assert_eq!((pool.in_flight(), pool.memory.available_permits()), (0, 8));
        // The spare is free again.
        let (third, running) = blocked(&pool, 0);
        assert!(running.await.unwrap().is_err());
        until_given_up(&pool, (3, 1)).await;
        pool.run(0, |_| Ok(())).await.unwrap();
        drop(third);
    }

    #[tokio::test]
    async fn a_job_whose_caller_left_is_given_up_too() {
        let pool = pool(1, 1, Duration::from_millis(500));
        let (release, wait) = bounded::<()>(0);
        let (begun, begins) = oneshot::channel();
        let running = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(0, move |_| {
                    let _listening = begun.send(());
                    let _released = wait.recv();
                    Ok(())
                })
                .await
            }
        });
        begins.await.unwrap();
        running.abort();
        until_given_up(&pool, (1, 1)).await;
        pool.run(0, |_| Ok(())).await.unwrap();
        drop(release);
    }

    #[tokio::test]
    async fn a_decoder_that_is_late_says_how_long_it_had() {
        let pool = pool(1, 1, LONG);
        let late = pool.run::<(), _>(0, |_| Err(CodecError::TimedOut.into())).await;
        assert!(matches!(late, Err(ServiceError::TimedOut { limit_secs: 20 })));
    }
}
