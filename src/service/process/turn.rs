//! When a variant is to be made, and with what right to a thread.

use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;

/// When a variant is to be made.
pub(super) enum Turn {
    /// By this instant: somebody waits for it.
    By(Instant),
    /// With this right to a thread, for as long as a job may take.
    Late(OwnedSemaphorePermit),
}

impl Turn {
    /// What is held until the thread is free again.
    pub(super) fn thread(self) -> Option<OwnedSemaphorePermit> {
        match self {
            Self::By(_) => None,
            Self::Late(thread) => Some(thread),
        }
    }
}
