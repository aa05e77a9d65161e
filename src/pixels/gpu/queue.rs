//! The device thread and the handle that callers hold.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::device::Want;
use super::job::{Done, Job, Unmade};
use super::machine::{Flight, Machine};
use super::probe::Probe;
use super::program::Program;
use super::vram::{Vram, VramStats};
use super::{Caps, DeviceError};
use crate::pixels::pixmap::{Picture, Source};
use crate::pixels::stop::{Stop, Stopped};
use crate::timing::{Latency, Stage, Stages};

/// After this long without a job idle buffers go.
const IDLE: Duration = Duration::from_secs(5);

/// The pause before the first rebuild of a device; doubled with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause between rebuilds.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How a device is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// The kind of adapter.
    pub want: Want,
    /// Jobs that may wait; one more is refused.
    pub queue_depth: usize,
    /// The longest one batch may take.
    pub watchdog: Duration,
    /// The most jobs in one submission.
    pub batch: usize,
    /// The most submissions on the device at a time.
    pub flights: usize,
    /// The most bytes of buffers, those that jobs hold and those kept for the next.
    pub budget_bytes: u64,
    /// What opens the device first, each time it is opened.
    pub probe: Option<Probe>,
}

/// How long the thread waits for a batch before it looks for jobs to send behind it.
const GLANCE: Duration = Duration::from_micros(500);

/// How often a waiting caller looks whether it should still wait.
const LOOK: Duration = Duration::from_millis(10);

/// Faults on purpose: for tests, and to try a recovery in the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drill {
    /// The device goes away before the next job.
    Lose,
    /// The next batch takes longer than the watchdog allows.
    Stall,
    /// The device thread panics in the next batch.
    Panic,
    /// The device refuses a command of the next batch.
    Misuse,
    /// The driver reports in the next batch that it has no memory.
    Exhaust,
}

/// Why a job gave no pictures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Its caller no longer wants them.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The device did not make them.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// A job's bytes, or why there are none.
type Outcome = Result<Done, DeviceError>;

enum Message {
    Run(Box<Job>, SyncSender<Outcome>),
    Drill(Drill),
}

/// What the thread shows to the outside.
#[derive(Debug)]
struct Shared {
    healthy: AtomicBool,
    rebuilds: AtomicU64,
    /// The memory of the device there is now.
    vram: Mutex<Option<Arc<Vram>>>,
    epoch: Instant,
    /// Milliseconds from `epoch` to the start of the oldest batch on the device, plus 1; 0 when there is none.
    batch_started: AtomicU64,
    /// Jobs that went into submissions, and submissions.
    jobs: AtomicU64,
    submissions: AtomicU64,
    /// Nanoseconds that the device computed, by its own clock.
    computed_nanos: AtomicU64,
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn vram(&self) -> Option<Arc<Vram>> {
        self.vram.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_vram(&self, vram: Option<Arc<Vram>>) {
        *self.vram.lock().unwrap_or_else(PoisonError::into_inner) = vram;
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
    stages: Box<Stages>,
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
            vram: Mutex::default(),
            epoch: Instant::now(),
            batch_started: AtomicU64::new(0),
            jobs: AtomicU64::new(0),
            submissions: AtomicU64::new(0),
            computed_nanos: AtomicU64::new(0),
        });
        let (sender, receiver) = sync_channel(options.queue_depth);
        let (report, started) = sync_channel(1);
        let (theirs, own) = (Arc::clone(&shared), options.clone());
        let body = move || {
            let machine = start(&own);
            let said = machine.as_ref().map(|machine| (machine.caps(), machine.description().to_owned()));
            // Nobody is waiting any more only where the starter is gone, and then so is the sender of jobs.
            let said = said.map_err(DeviceError::clone);
            if let Ok(machine) = machine {
                theirs.set_vram(Some(Arc::clone(machine.vram())));
                theirs.healthy.store(true, Ordering::Release);
                let _ = report.send(said);
                let (machine, flights) = (Some(machine), VecDeque::new());
                Thread { options: own, shared: theirs, machine, flights, failures: 0, drill: None }.serve(&receiver);
            } else {
                let _ = report.send(said);
            }
        };
        let thread = std::thread::Builder::new()
            .name(format!("glimt-{}", options.want))
            .spawn(body)
            .map_err(|error| DeviceError::Invalid { reason: error.to_string() })?;
        let (caps, description) = started.recv().map_err(|_gone| DeviceError::Panicked)??;
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread),
            shared,
            options,
            caps,
            description,
            stages: Box::default(),
        })
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
        let limit = millis(self.options.watchdog);
        let stuck = started != 0 && self.shared.now().saturating_sub(started) > limit;
        self.shared.healthy.load(Ordering::Acquire) && !stuck
    }

    /// How much memory of the device is in use.
    #[must_use]
    pub fn vram(&self) -> VramStats {
        self.shared.vram().map_or_else(VramStats::default, |vram| vram.stats())
    }

    /// Jobs that were sent to the device, and in how many submissions.
    #[must_use]
    pub fn batches(&self) -> (u64, u64) {
        (self.shared.jobs.load(Ordering::Relaxed), self.shared.submissions.load(Ordering::Relaxed))
    }

    /// How long the device has computed so far, by its own timestamps: 0 where it has none.
    #[must_use]
    pub fn computed(&self) -> Duration {
        Duration::from_nanos(self.shared.computed_nanos.load(Ordering::Relaxed))
    }

    /// What the ways there and back and the time between took, in the order of [`Stage::ALL`].
    #[must_use]
    pub fn stages(&self) -> [Latency; Stage::ALL.len()] {
        self.stages.read()
    }

    /// Sends a job and waits for its pictures, one for each chain with steps. Never waits longer than twice the watchdog once the job is
    /// sent; before that, for memory, as long as `stop` lets it.
    ///
    /// # Errors
    /// [`Failure`]: stopped, busy, unavailable, or what went wrong with the device while the job was in it.
    pub fn run(&self, program: Program, source: Source<'_>, stop: &Stop) -> Result<Vec<Picture>, Failure> {
        if !self.is_healthy() {
            return Err(DeviceError::Unavailable.into());
        }
        let vram = self.shared.vram().ok_or(DeviceError::Unavailable)?;
        let upload = || Job::new(program, source, &vram, stop);
        let job = self.stages.time(Stage::Upload, upload).map_err(|unmade| match unmade {
            Unmade::Stopped(stopped) => Failure::Stopped(stopped),
            Unmade::Device(error) => Failure::Device(error),
        })?;
        let done = self.stages.time(Stage::Gpu, || self.done(job, stop))?;
        Ok(self.stages.time(Stage::Readback, || done.pictures())?)
    }

    /// Has the job done by the thread.
    fn done(&self, job: Job, stop: &Stop) -> Result<Done, Failure> {
        let (answer, outcome) = sync_channel(1);
        let sender = self.sender.as_ref().ok_or(DeviceError::Unavailable)?;
        sender.try_send(Message::Run(Box::new(job), answer)).map_err(|refused| match refused {
            TrySendError::Full(_) => DeviceError::Busy { depth: self.options.queue_depth },
            TrySendError::Disconnected(_) => DeviceError::Unavailable,
        })?;
        let patience = self.options.watchdog.saturating_mul(2);
        let sent = Instant::now();
        loop {
            match outcome.recv_timeout(LOOK) {
                Ok(done) => return Ok(done?),
                Err(RecvTimeoutError::Disconnected) => return Err(DeviceError::Unavailable.into()),
                Err(RecvTimeoutError::Timeout) => stop.check()?,
            }
            if sent.elapsed() > patience {
                return Err(DeviceError::Timeout { max_millis: millis(patience) }.into());
            }
        }
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
    if let Some(probe) = &options.probe {
        probe.run(options.want)?;
    }
    let start = || Machine::start(options.want, options.budget_bytes, options.watchdog);
    catch_unwind(AssertUnwindSafe(start)).unwrap_or(Err(DeviceError::Panicked))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A batch on the device, who waits for it, and when it began: when it was sent, or when the one before it ended.
struct Sent {
    flight: Flight,
    answers: Vec<SyncSender<Outcome>>,
    began: Instant,
}

/// The thread's own state.
struct Thread {
    options: DeviceOptions,
    shared: Arc<Shared>,
    /// `None` while the device is to be rebuilt.
    machine: Option<Machine>,
    /// Oldest first.
    flights: VecDeque<Sent>,
    /// Faults since the last good batch.
    failures: u32,
    drill: Option<Drill>,
}

impl Thread {
    fn serve(mut self, receiver: &Receiver<Message>) {
        let mut rebuild_at = Instant::now();
        loop {
            let fault = if self.flights.len() >= self.options.flights {
                self.land(self.options.watchdog).err()
            } else {
                match self.next(receiver, rebuild_at) {
                    Ok(Message::Drill(drill)) => {
                        self.drill = Some(drill);
                        None
                    }
                    Ok(Message::Run(job, answer)) => self.batch(*job, answer, receiver).err(),
                    Err(RecvTimeoutError::Timeout) if !self.flights.is_empty() => self.land(GLANCE).err(),
                    Err(RecvTimeoutError::Timeout) => match self.machine.as_mut() {
                        Some(machine) => machine.idle().err(),
                        None => self.rebuild().err(),
                    },
                    Err(RecvTimeoutError::Disconnected) if self.flights.is_empty() => return,
                    Err(RecvTimeoutError::Disconnected) => self.land(self.options.watchdog).err(),
                }
            };
            if let Some(fault) = fault {
                self.lose(&fault);
                self.failures += 1;
                let pause = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(10)).min(LONGEST_PAUSE);
                rebuild_at = Instant::now() + pause;
                tracing::warn!(%fault, failures = self.failures, ?pause, "the device failed; jobs run on the cpu engine");
            }
        }
    }

    /// The next message: waits for it only while nothing is on the device.
    fn next(&self, receiver: &Receiver<Message>, rebuild_at: Instant) -> Result<Message, RecvTimeoutError> {
        if self.flights.is_empty() {
            let rebuild_in = rebuild_at.saturating_duration_since(Instant::now());
            return receiver.recv_timeout(self.machine.as_ref().map_or(rebuild_in, |_| IDLE));
        }
        receiver.try_recv().map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    fn rebuild(&mut self) -> Result<(), DeviceError> {
        let machine = start(&self.options)?;
        tracing::info!(device = machine.description(), "the device is back");
        self.shared.set_vram(Some(Arc::clone(machine.vram())));
        self.machine = Some(machine);
        self.shared.healthy.store(true, Ordering::Release);
        Ok(())
    }

    /// Sends this job and what else waits, up to the batch's size. Jobs that nobody waits for any more are left out.
    fn batch(
        &mut self,
        job: Job,
        answer: SyncSender<Outcome>,
        receiver: &Receiver<Message>,
    ) -> Result<(), DeviceError> {
        let (mut jobs, mut answers) = (Vec::new(), Vec::new());
        self.add(job, answer, &mut jobs, &mut answers);
        while jobs.len() < self.options.batch {
            match receiver.try_recv() {
                Ok(Message::Run(job, answer)) => self.add(*job, answer, &mut jobs, &mut answers),
                Ok(Message::Drill(drill)) => self.drill = Some(drill),
                Err(_) => break,
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let Some(mut machine) = self.machine.take() else { return Ok(()) };
        let began = Instant::now();
        self.shared.jobs.fetch_add(jobs.len() as u64, Ordering::Relaxed);
        self.shared.submissions.fetch_add(1, Ordering::Relaxed);
        if self.flights.is_empty() {
            self.shared.batch_started.store(self.shared.now(), Ordering::Release);
        }
        let drill = self.drill.take();
        let watchdog = self.options.watchdog;
        let work = || {
            match drill {
                Some(Drill::Lose) => machine.lose(),
                Some(Drill::Stall) => {
                    std::thread::sleep(watchdog.saturating_mul(3));
                    return Err(DeviceError::Timeout { max_millis: millis(watchdog) });
                }
                Some(Drill::Panic) => std::panic::resume_unwind(Box::new("drill")),
                Some(Drill::Misuse) => machine.misuse(),
                Some(Drill::Exhaust) => machine.exhaust(),
                None => {}
            }
            machine.submit(jobs)
        };
        let sent = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DeviceError::Panicked));
        self.machine = Some(machine);
        match sent {
            Ok(flight) => self.flights.push_back(Sent { flight, answers, began }),
            Err(fault) => {
                self.mark_lost();
                tell(answers, &fault);
                return Err(fault);
            }
        }
        Ok(())
    }

    fn add(&self, job: Job, answer: SyncSender<Outcome>, jobs: &mut Vec<Job>, answers: &mut Vec<SyncSender<Outcome>>) {
        let current = self.machine.as_ref().is_some_and(|machine| Arc::ptr_eq(machine.vram(), job.promised.vram()));
        if !current {
            // Made for a device that is gone. A caller that went away needs no answer.
            let _ = answer.send(Err(DeviceError::Unavailable));
        } else if job.stop.check().is_ok() {
            jobs.push(job);
            answers.push(answer);
        }
    }

    /// Waits for the oldest batch, so long or until its time is over, and answers its jobs.
    fn land(&mut self, longest: Duration) -> Result<(), DeviceError> {
        let (Some(oldest), Some(machine)) = (self.flights.front(), self.machine.as_mut()) else { return Ok(()) };
        let left = self.options.watchdog.saturating_sub(oldest.began.elapsed());
        let wait = || machine.wait(&oldest.flight, longest.min(left));
        let landed = catch_unwind(AssertUnwindSafe(wait)).unwrap_or(Err(DeviceError::Panicked))?;
        if !landed {
            let overdue = left <= longest;
            return if overdue {
                Err(DeviceError::Timeout { max_millis: millis(self.options.watchdog) })
            } else {
                Ok(())
            };
        }
        let Some(Sent { flight, answers, .. }) = self.flights.pop_front() else { return Ok(()) };
        let started = if let Some(next) = self.flights.front_mut() {
            next.began = Instant::now();
            self.shared.now()
        } else {
            0
        };
        self.shared.batch_started.store(started, Ordering::Release);
        match machine.land(flight) {
            Ok((done, computed)) => {
                let nanos = computed.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
                self.shared.computed_nanos.fetch_add(nanos, Ordering::Relaxed);
                self.failures = 0;
                for (answer, done) in answers.into_iter().zip(done) {
                    // A caller that went away gives the memory back right here.
                    let _ = answer.send(Ok(done));
                }
                Ok(())
            }
            Err(fault) => {
                self.mark_lost();
                tell(answers, &fault);
                Err(fault)
            }
        }
    }

    /// Says to the outside that the device is gone, before anybody is told why.
    fn mark_lost(&self) {
        self.shared.set_vram(None);
        if self.shared.healthy.swap(false, Ordering::AcqRel) {
            self.shared.rebuilds.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Throws the device away; whoever waits is told why.
    fn lose(&mut self, fault: &DeviceError) {
        let Some(machine) = self.machine.take() else { return };
        self.mark_lost();
        let flights = std::mem::take(&mut self.flights);
        let answers: Vec<_> = flights.into_iter().map(|Sent { flight, answers, .. }| (flight, answers)).collect();
        // Dropping what is left of a lost device may panic in a driver too.
        let drop_all = || {
            for (flight, answers) in answers {
                tell(answers, fault);
                drop(flight);
            }
            drop(machine);
        };
        if catch_unwind(AssertUnwindSafe(drop_all)).is_err() {
            tracing::warn!("the lost device panicked while it was dropped");
        }
        self.shared.batch_started.store(0, Ordering::Release);
    }
}

fn tell(answers: Vec<SyncSender<Outcome>>, fault: &DeviceError) {
    for answer in answers {
        // A caller that went away needs no answer.
        let _ = answer.send(Err(fault.clone()));
    }
}
