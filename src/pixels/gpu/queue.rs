//! The device thread and the handle that callers hold.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::device::Want;
use super::job::Job;
use super::machine::Machine;
use super::{Caps, DeviceError};

/// After this long without a job idle buffers go.
const IDLE: Duration = Duration::from_secs(5);

/// The pause before the first rebuild of a device; doubled with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause between rebuilds.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How a device is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// The kind of adapter.
    pub want: Want,
    /// Jobs that may wait; one more is refused.
    pub queue_depth: usize,
    /// The longest one batch may take.
    pub watchdog: Duration,
    /// The most jobs in one submission.
    pub batch: usize,
    /// The most bytes of buffers a batch may use.
    pub max_job_bytes: u64,
}

/// Faults on purpose: for tests, and to try a recovery in the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drill {
    /// The device goes away before the next job.
    Lose,
    /// The next batch takes longer than the watchdog allows.
    Stall,
    /// The device thread panics in the next batch.
    Panic,
}

/// A job's bytes, or why there are none.
type Outcome = Result<Vec<u8>, DeviceError>;

enum Message {
    Run(Box<Job>, SyncSender<Outcome>),
    Drill(Drill),
}

/// What the thread shows to the outside.
#[derive(Debug)]
struct Shared {
    healthy: AtomicBool,
    rebuilds: AtomicU64,
    epoch: Instant,
    /// Milliseconds from `epoch` to the start of the batch that runs, plus 1; 0 when none does.
    batch_started: AtomicU64,
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// The callers' side of a device thread. Dropping it ends the thread.
#[derive(Debug)]
pub struct Handle {
    sender: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    options: DeviceOptions,
    caps: Caps,
    description: String,
}

impl Handle {
    /// Starts the thread, which opens, warms and verifies a device before this returns.
    ///
    /// # Errors
    /// [`DeviceError`] of the device's start.
    pub fn start(options: DeviceOptions) -> Result<Self, DeviceError> {
        let shared = Arc::new(Shared {
            healthy: AtomicBool::new(false),
            rebuilds: AtomicU64::new(0),
            epoch: Instant::now(),
            batch_started: AtomicU64::new(0),
        });
        let (sender, receiver) = sync_channel(options.queue_depth);
        let (report, started) = sync_channel(1);
        let theirs = Arc::clone(&shared);
        let body = move || {
            let machine = start(&options);
            let said = machine.as_ref().map(|machine| (machine.caps(), machine.description().to_owned()));
            // Nobody is waiting any more only where the starter is gone, and then so is the sender of jobs.
            let _ = report.send(said.map_err(DeviceError::clone));
            if let Ok(machine) = machine {
                theirs.healthy.store(true, Ordering::Release);
                Thread { options, shared: theirs, machine: Some(machine), failures: 0, drill: None }.serve(&receiver);
            }
        };
        let thread = std::thread::Builder::new()
            .name(format!("glimt-{}", options.want))
            .spawn(body)
            .map_err(|error| DeviceError::Invalid { reason: error.to_string() })?;
        let (caps, description) = started.recv().map_err(|_gone| DeviceError::Panicked)??;
        shared.healthy.store(true, Ordering::Release);
        Ok(Self { sender: Some(sender), thread: Some(thread), shared, options, caps, description })
    }

    /// What the device takes.
    #[must_use]
    pub const fn caps(&self) -> Caps {
        self.caps
    }

    /// Adapter, driver and interface.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Times the device was thrown away.
    #[must_use]
    pub fn rebuilds(&self) -> u64 {
        self.shared.rebuilds.load(Ordering::Relaxed)
    }

    /// Whether the device works, as far as is known: it is there, and no batch runs past its watchdog.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let started = self.shared.batch_started.load(Ordering::Acquire);
        let limit = u64::try_from(self.options.watchdog.as_millis()).unwrap_or(u64::MAX);
        let stuck = started != 0 && self.shared.now().saturating_sub(started) > limit;
        self.shared.healthy.load(Ordering::Acquire) && !stuck
    }

    /// Sends a job and waits for its bytes: four a pixel. Never waits longer than twice the watchdog.
    ///
    /// # Errors
    /// [`DeviceError`]: busy, unavailable, or what went wrong with the device while the job was in it.
    pub fn run(&self, job: Job) -> Outcome {
        if !self.is_healthy() {
            return Err(DeviceError::Unavailable);
        }
        let (answer, outcome) = sync_channel(1);
        let sender = self.sender.as_ref().ok_or(DeviceError::Unavailable)?;
        sender.try_send(Message::Run(Box::new(job), answer)).map_err(|refused| match refused {
            TrySendError::Full(_) => DeviceError::Busy { depth: self.options.queue_depth },
            TrySendError::Disconnected(_) => DeviceError::Unavailable,
        })?;
        let patience = self.options.watchdog.saturating_mul(2);
        outcome.recv_timeout(patience).unwrap_or_else(|missing| {
            Err(match missing {
                RecvTimeoutError::Timeout => {
                    DeviceError::Timeout { max_millis: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX) }
                }
                RecvTimeoutError::Disconnected => DeviceError::Unavailable,
            })
        })
    }

    /// Arranges a fault.
    ///
    /// # Errors
    /// [`DeviceError::Unavailable`] when the queue is full or the thread gone.
    pub fn drill(&self, drill: Drill) -> Result<(), DeviceError> {
        let sender = self.sender.as_ref().ok_or(DeviceError::Unavailable)?;
        sender.try_send(Message::Drill(drill)).map_err(|_refused| DeviceError::Unavailable)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.sender = None;
        let Some(thread) = self.thread.take() else { return };
        // A thread that is stuck in a driver must not keep the process from ending.
        let deadline = Instant::now() + self.options.watchdog.saturating_mul(2) + Duration::from_secs(5);
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !thread.is_finished() {
            tracing::error!("the device thread is stuck in the driver and is left behind");
        } else if thread.join().is_err() {
            tracing::error!("the device thread panicked");
        }
    }
}

fn start(options: &DeviceOptions) -> Result<Machine, DeviceError> {
    let start = || Machine::start(options.want, options.max_job_bytes, options.watchdog);
    catch_unwind(AssertUnwindSafe(start)).unwrap_or(Err(DeviceError::Panicked))
}

/// The thread's own state.
struct Thread {
    options: DeviceOptions,
    shared: Arc<Shared>,
    /// `None` while the device is to be rebuilt.
    machine: Option<Machine>,
    /// Faults since the last good batch.
    failures: u32,
    drill: Option<Drill>,
}

impl Thread {
    fn serve(mut self, receiver: &Receiver<Message>) {
        let mut rebuild_at = Instant::now();
        loop {
            let wait = match self.machine {
                Some(_) => IDLE,
                None => rebuild_at.saturating_duration_since(Instant::now()),
            };
            let fault = match receiver.recv_timeout(wait) {
                Ok(Message::Drill(drill)) => {
                    self.drill = Some(drill);
                    None
                }
                Ok(Message::Run(job, answer)) => self.batch(*job, answer, receiver).err(),
                Err(RecvTimeoutError::Timeout) => match self.machine.as_mut() {
                    Some(machine) => machine.idle().err(),
                    None => self.rebuild().err(),
                },
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Some(fault) = fault {
                self.failures += 1;
                let pause = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(10)).min(LONGEST_PAUSE);
                rebuild_at = Instant::now() + pause;
                tracing::warn!(%fault, failures = self.failures, ?pause, "the device failed; jobs run on the cpu engine");
            }
        }
    }

    fn rebuild(&mut self) -> Result<(), DeviceError> {
        let machine = start(&self.options)?;
        tracing::info!(device = machine.description(), "the device is back");
        self.machine = Some(machine);
        self.shared.healthy.store(true, Ordering::Release);
        Ok(())
    }

    /// Runs this job and what else waits, up to the batch's size and bytes; answers each. On a fault the device is gone.
    fn batch(
        &mut self,
        job: Job,
        answer: SyncSender<Outcome>,
        receiver: &Receiver<Message>,
    ) -> Result<(), DeviceError> {
        let Some(mut machine) = self.machine.take() else {
            // A caller that went away needs no answer.
            let _ = answer.send(Err(DeviceError::Unavailable));
            return Ok(());
        };
        let mut bytes = job.buffer_bytes();
        let (mut jobs, mut answers) = (vec![job], vec![answer]);
        while jobs.len() < self.options.batch && bytes < self.options.max_job_bytes / 2 {
            match receiver.try_recv() {
                Ok(Message::Run(job, answer)) => {
                    bytes += job.buffer_bytes();
                    jobs.push(*job);
                    answers.push(answer);
                }
                Ok(Message::Drill(drill)) => self.drill = Some(drill),
                Err(_) => break,
            }
        }
        self.shared.batch_started.store(self.shared.now(), Ordering::Release);
        let outcome = self.guarded(&mut machine, &jobs);
        match &outcome {
            Ok(_) => {
                self.machine = Some(machine);
                self.failures = 0;
            }
            Err(_) => {
                self.shared.healthy.store(false, Ordering::Release);
                self.shared.rebuilds.fetch_add(1, Ordering::Relaxed);
                // Dropping a lost device may panic in a driver too.
                if catch_unwind(AssertUnwindSafe(|| drop(machine))).is_err() {
                    tracing::warn!("the lost device panicked while it was dropped");
                }
            }
        }
        self.shared.batch_started.store(0, Ordering::Release);
        let (results, outcome): (Vec<Outcome>, _) = match outcome {
            Ok(bytes) => (bytes.into_iter().map(Ok).collect(), Ok(())),
            Err(fault) => (vec![Err(fault.clone()); answers.len()], Err(fault)),
        };
        for (answer, result) in answers.into_iter().zip(results) {
            let _ = answer.send(result);
        }
        outcome
    }

    /// Runs the jobs; a panic in a driver, or in wgpu, is a fault like any other.
    fn guarded(&mut self, machine: &mut Machine, jobs: &[Job]) -> Result<Vec<Vec<u8>>, DeviceError> {
        let drill = self.drill.take();
        let watchdog = self.options.watchdog;
        let work = || {
            let watchdog = match drill {
                Some(Drill::Lose) => {
                    machine.lose();
                    watchdog
                }
                Some(Drill::Stall) => {
                    std::thread::sleep(watchdog.saturating_mul(3));
                    Duration::ZERO
                }
                Some(Drill::Panic) => std::panic::resume_unwind(Box::new("drill")),
                None => watchdog,
            };
            machine.run(jobs, watchdog)
        };
        catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DeviceError::Panicked))
    }
}
