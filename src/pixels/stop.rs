//! Telling a job that nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Why a job ended before its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// Its caller went away.
    #[error("nobody waits for the job any more")]
    Dropped,
    /// Its time is over.
    #[error("the job's time is over")]
    Overdue,
}

/// Whether to go on: shared by the caller, who may stop it, and by whoever works.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    dropped: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Stop {
    /// Never, unless [`Stop::stop`] is called.
    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }

    /// At this instant, or when [`Stop::stop`] is called.
    #[must_use]
    pub fn at(deadline: Instant) -> Self {
        Self { dropped: Arc::default(), deadline: Some(deadline) }
    }

    /// Tells every copy of this to stop.
    pub fn stop(&self) {
        self.dropped.store(true, Ordering::Relaxed);
    }

    /// The instant by which to be done.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether to go on. A few nanoseconds; with a deadline, what reading the clock costs.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), Stopped> {
        if self.dropped.load(Ordering::Relaxed) {
            return Err(Stopped::Dropped);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) { Err(Stopped::Overdue) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_copy_hears_it_and_time_passes() {
        let stop = Stop::never();
        let copy = stop.clone();
        assert_eq!(copy.check(), Ok(()));
        stop.stop();
        assert_eq!(copy.check(), Err(Stopped::Dropped));
        assert_eq!(Stop::at(Instant::now()).check(), Err(Stopped::Overdue));
    }
}
