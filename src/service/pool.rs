//! The processing pool: a fixed number of named threads for everything that decodes, processes or
//! encodes, behind one gate that bounds how many jobs wait and how much memory they take together.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::ServiceError;
use crate::pixels::Stop;

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
}

type Job = Box<dyn FnOnce() + Send>;

/// Runs blocking jobs on its own threads. When it is dropped, its threads end after the jobs they run; nobody waits for
/// them, so that a job that overran its time cannot hold up a stop.
#[derive(Debug)]
pub struct Pool {
    options: PoolOptions,
    /// A permit a job, running or waiting: what bounds the queue.
    places: Arc<Semaphore>,
    /// A permit a MiB.
    memory: Arc<Semaphore>,
    memory_mib: u32,
    jobs: Sender<Job>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(options: PoolOptions) -> std::io::Result<Self> {
        let places = options.workers + options.queue;
        let (jobs, waiting) = bounded::<Job>(places);
        for index in 0..options.workers {
            let waiting: Receiver<Job> = waiting.clone();
            std::thread::Builder::new().name(format!("process-{index}")).spawn(move || {
                for job in waiting {
                    job();
                }
            })?;
        }
        // Over 4 PiB the gate is no gate; a semaphore of tokio's holds at least 2^29 permits on every target.
        let memory_mib = u32::try_from(options.memory_limit_bytes / MEBIBYTE).unwrap_or(u32::MAX).clamp(1, 1 << 28);
        Ok(Self {
            options,
            places: Arc::new(Semaphore::new(places)),
            memory: Arc::new(Semaphore::new(memory_mib as usize)),
            memory_mib,
            jobs,
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
        let Self { pool, deadline, permits } = self;
        let (tell, told) = oneshot::channel();
        let stop = Stop::at(deadline);
        let _guard = StopWhenDropped(stop.clone());
        let run = Box::new(move || {
            let answer = (!tell.is_closed()).then(|| catch_unwind(AssertUnwindSafe(|| job(&stop))));
            drop(permits);
            if let Some(answer) = answer {
                // Nobody listens when the caller has gone; the answer goes with it.
                let _gone = tell.send(answer.unwrap_or(Err(ServiceError::Panicked)));
            }
        });
        // There is a place in the queue for every permit, so this neither blocks nor fails while the pool lives.
        pool.jobs.try_send(run).map_err(|_full| pool.busy())?;
        match tokio::time::timeout_at(deadline.into(), told).await {
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
        Arc::new(Pool::start(PoolOptions { workers, queue, memory_limit_bytes: 8 * MEBIBYTE, timeout }).unwrap())
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
    async fn a_job_that_overruns_is_answered_and_one_whose_caller_left_never_starts() {
        let pool = pool(1, 4, Duration::from_millis(50));
        let (release, running) = blocked(&pool, 0);
        assert!(matches!(running.await.unwrap(), Err(ServiceError::TimedOut { .. })));
        let started = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = Arc::clone(&started);
        let waiting = pool.run(0, move |_| {
            seen.store(true, std::sync::atomic::Ordering::SeqCst);
            Ok(())
        });
        assert!(matches!(waiting.await, Err(ServiceError::TimedOut { .. })));
        drop(release);
        while pool.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(!started.load(std::sync::atomic::Ordering::SeqCst));
    }
}
