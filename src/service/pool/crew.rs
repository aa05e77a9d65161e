//! The threads of the pool, and what becomes of one whose job does not end in its time.
//!
//! A thread cannot be stopped from outside. So one that goes on after its deadline is given up: it is counted, and another
//! one does the work in its place, up to as many as there were at first. It keeps the memory that its job was granted until
//! that job ends, and then ends itself. With no replacement left the thread stays one of the pool, and is only counted.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use crossbeam_channel::Receiver;
use tokio::sync::OwnedSemaphorePermit;

use crate::service::gates::Pass;

/// What a thread does for a job: it gives its memory and its place back before it tells of it.
type Work = Box<dyn FnOnce() + Send>;

/// A job, and where it stands. Its place and its turn are held until it ends or is given up.
pub(super) struct Fate(Mutex<State>);

struct State {
    stage: Stage,
    /// Until a thread takes it.
    work: Option<Work>,
    place: Option<Pass>,
    turn: Option<OwnedSemaphorePermit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// In the line.
    Waits,
    /// On a thread.
    Runs,
    /// On a thread that was given up; `true` when there is another in its place.
    GivenUp(bool),
    /// Over, or left before it began.
    Ended,
}

impl Fate {
    /// Of a job that waits, with its place and its turn. The work is told its fate.
    pub(super) fn new((place, turn): (Pass, OwnedSemaphorePermit), work: impl FnOnce(Arc<Self>) -> Work) -> Arc<Self> {
        let state = State { stage: Stage::Waits, work: None, place: Some(place), turn: Some(turn) };
        let fate = Arc::new(Self(Mutex::new(state)));
        let work = work(Arc::clone(&fate));
        fate.change(|state| state.work = Some(work));
        fate
    }

    /// Gives place and turn back, if they were not yet.
    pub(super) fn leave(&self) {
        drop(self.change(|state| (state.place.take(), state.turn.take())));
    }

    /// Whether no thread has taken it yet.
    pub(super) fn waits(&self) -> bool {
        self.change(|state| state.stage == Stage::Waits)
    }

    /// Nobody waits for it any more: if it has not begun it never does, and gives back all it holds at once but its turn. That goes when a
    /// thread comes upon what is left of it in the line: so the line is never longer than there are turns.
    pub(super) fn abandon(&self) {
        drop(self.change(|state| {
            let waits = state.stage == Stage::Waits;
            waits.then(|| {
                state.stage = Stage::Ended;
                (state.work.take(), state.place.take())
            })
        }));
    }

    /// Takes the work, for a thread that does it now. `None` when it was abandoned.
    fn begin(&self) -> Option<Work> {
        self.change(|state| {
            if state.stage == Stage::Waits {
                state.stage = Stage::Runs;
            } else {
                state.turn = None;
            }
            state.work.take()
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // Nothing in here panics half way.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Fate").field(&self.change(|state| state.stage)).finish()
    }
}

/// The threads.
#[derive(Debug)]
pub(super) struct Crew {
    waiting: Receiver<Arc<Fate>>,
    nice: u8,
    /// Threads that may be given up and replaced at a time.
    spares: usize,
    replaced: AtomicUsize,
    abandoned: AtomicU64,
    /// Jobs that were given up and have not ended.
    lost: AtomicUsize,
}

impl Crew {
    /// Starts `workers` threads, `nice` to the others, that do what comes through `waiting`, and end when nothing can come any more.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(workers: usize, nice: u8, waiting: Receiver<Arc<Fate>>) -> std::io::Result<Arc<Self>> {
        let crew = Arc::new(Self {
            waiting,
            nice,
            spares: workers,
            replaced: AtomicUsize::new(0),
            abandoned: AtomicU64::new(0),
            lost: AtomicUsize::new(0),
        });
        for index in 0..workers {
            crew.hire(format!("process-{index}"))?;
        }
        Ok(crew)
    }

    fn hire(self: &Arc<Self>, name: String) -> std::io::Result<()> {
        let crew = Arc::clone(self);
        std::thread::Builder::new().name(name).spawn(move || {
            stand_back(crew.nice);
            crew.work();
        })?;
        Ok(())
    }

    fn work(&self) {
        for fate in &self.waiting {
            let Some(work) = fate.begin() else { continue };
            work();
            let stage = fate.change(|state| std::mem::replace(&mut state.stage, Stage::Ended));
            if let Stage::GivenUp(replaced) = stage {
                self.lost.fetch_sub(1, Ordering::Relaxed);
                tracing::info!("a job that was given up has ended");
                if replaced {
                    self.replaced.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    /// Gives a job up if it still runs: counts it, and puts another thread in the place of its own.
    pub(super) fn give_up(self: &Arc<Self>, fate: &Fate) {
        fate.change(|state| {
            if state.stage != Stage::Runs {
                return;
            }
            let number = self.abandoned.fetch_add(1, Ordering::Relaxed) + 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
            let spare = |replaced: usize| (replaced < self.spares).then_some(replaced + 1);
            let may = self.replaced.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spare).is_ok();
            let replaced = may && self.hire(format!("process-r{number}")).is_ok();
            if may && !replaced {
                self.replaced.fetch_sub(1, Ordering::Relaxed);
            }
            if replaced {
                // A place more for those that wait: the new thread takes one from the queue.
                (state.place, state.turn) = (None, None);
            }
            state.stage = Stage::GivenUp(replaced);
            tracing::warn!(replaced, "a job does not end in its time and was given up");
        });
    }

    /// Jobs that were given up since the start, and those of them that have not ended.
    pub(super) fn given_up(&self) -> (u64, usize) {
        (self.abandoned.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }
}

/// Lowers the priority of this thread: those that answer requests are to find a core at once while every one of them is at work on
/// pictures, so that hits, refusals and health come in time. They need little; what they leave is all for the pictures.
#[cfg(target_os = "linux")]
fn stand_back(nice: u8) {
    // On Linux a thread has a priority of its own, and `None` is the one that asks.
    if nice > 0
        && let Err(error) = rustix::process::setpriority_process(None, nice.into())
    {
        tracing::warn!(%error, nice, "the priority of a processing thread stays as it is");
    }
}

/// Elsewhere a thread has no priority of its own that could be lowered safely.
#[cfg(not(target_os = "linux"))]
fn stand_back(_nice: u8) {}
