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

/// What a thread takes from the queue.
pub(super) struct Job {
    /// Does it, and gives its memory and its place back before it tells of it.
    pub(super) work: Box<dyn FnOnce() + Send>,
    /// Where it stands.
    pub(super) fate: Arc<Fate>,
}

/// Where a job stands, and its place in the queue until it ends or is given up.
#[derive(Debug)]
pub(super) struct Fate(Mutex<(Stage, Option<OwnedSemaphorePermit>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// In the queue.
    Waits,
    /// On a thread.
    Runs,
    /// On a thread that was given up; `true` when there is another in its place.
    GivenUp(bool),
    /// Over.
    Ended,
}

impl Fate {
    /// Of a job that waits, with its place.
    pub(super) fn new(place: OwnedSemaphorePermit) -> Arc<Self> {
        Arc::new(Self(Mutex::new((Stage::Waits, Some(place)))))
    }

    /// Gives the place in the queue back, if it was not yet.
    pub(super) fn leave(&self) {
        drop(self.change(|(_, place)| place.take()));
    }

    fn change<T>(&self, change: impl FnOnce(&mut (Stage, Option<OwnedSemaphorePermit>)) -> T) -> T {
        // Nothing in here panics half way.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The threads.
#[derive(Debug)]
pub(super) struct Crew {
    waiting: Receiver<Job>,
    /// Threads that may be given up and replaced at a time.
    spares: usize,
    replaced: AtomicUsize,
    abandoned: AtomicU64,
    /// Jobs that were given up and have not ended.
    lost: AtomicUsize,
}

impl Crew {
    /// Starts `workers` threads that do what comes through `waiting`, and end when nothing can come any more.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(workers: usize, waiting: Receiver<Job>) -> std::io::Result<Arc<Self>> {
        let crew = Arc::new(Self {
            waiting,
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
        std::thread::Builder::new().name(name).spawn(move || crew.work())?;
        Ok(())
    }

    fn work(&self) {
        for Job { work, fate } in &self.waiting {
            fate.change(|(stage, _)| *stage = Stage::Runs);
            work();
            let stage = fate.change(|(stage, _)| std::mem::replace(stage, Stage::Ended));
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
        fate.change(|(stage, place)| {
            if *stage != Stage::Runs {
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
                *place = None;
            }
            *stage = Stage::GivenUp(replaced);
            tracing::warn!(replaced, "a job does not end in its time and was given up");
        });
    }

    /// Jobs that were given up since the start, and those of them that have not ended.
    pub(super) fn given_up(&self) -> (u64, usize) {
        (self.abandoned.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }
}
