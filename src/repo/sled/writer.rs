//! The thread that does all writing: group commit, and what happens after an error.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use tokio::sync::{mpsc, oneshot};

use super::{
    decide::{Answer, Request, decide},
    index::Index,
    rows::Pending,
};
use crate::repo::{RepoError, change::Change, journal::Journal};

/// The most requests in one commit group: bounds the journal's frame and the time readers wait for the batch.
const GROUP: usize = 256;

/// The log is synced at least every so many groups: what only sled's own flusher has written is lost to a power cut, and the more of that
/// there is, the likelier the index has to be rebuilt, without its variants.
const UNSYNCED_GROUPS: u32 = 64;

/// A request and where its answer goes.
pub(super) struct Order {
    pub(super) request: Request,
    pub(super) answer: oneshot::Sender<Result<Answer, RepoError>>,
}

const READY: u8 = 0;
const CLOSED: u8 = 1;
const FAILED: u8 = 2;

/// What the writer and its callers both know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: AtomicU8,
    requests: AtomicU64,
    groups: AtomicU64,
    journal_syncs: AtomicU64,
    log_syncs: AtomicU64,
}

/// What a repo's writer has done since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Requests answered, refusals included.
    pub requests: u64,
    /// Commit groups they came in.
    pub groups: u64,
    /// Times the journal was synced: once a group that changed anything in it.
    pub journal_syncs: u64,
    /// Times sled's log was synced: once a group that changed anything but variants, and once in a while for those.
    pub log_syncs: u64,
}

impl Shared {
    pub(super) fn is_ready(&self) -> bool {
        self.state.load(Ordering::Acquire) == READY
    }

    pub(super) fn has_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) == CLOSED
    }

    pub(super) fn has_failed(&self) -> bool {
        self.state.load(Ordering::Acquire) == FAILED
    }

    /// For good: an engine that failed is never ready again.
    pub(super) fn fail(&self) {
        self.state.store(FAILED, Ordering::Release);
    }

    fn close(&self) {
        // Not over a failure.
        let _was = self.state.compare_exchange(READY, CLOSED, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.load(Ordering::Relaxed),
            groups: self.groups.load(Ordering::Relaxed),
            journal_syncs: self.journal_syncs.load(Ordering::Relaxed),
            log_syncs: self.log_syncs.load(Ordering::Relaxed),
        }
    }
}

/// The writer's own: nobody else has the journal, or commits to the index.
pub(super) struct Writer {
    journal: Journal,
    index: Index,
    orders: mpsc::Receiver<Order>,
    shared: Arc<Shared>,
    /// Groups committed since the log was synced.
    unsynced: u32,
}

impl Writer {
    pub(super) fn new(journal: Journal, index: Index, orders: mpsc::Receiver<Order>, shared: Arc<Shared>) -> Self {
        Self { journal, index, orders, shared, unsynced: 0 }
    }

    /// Works until it is told to close, all senders are gone, or something fails.
    pub(super) fn run(mut self) {
        while self.shared.is_ready()
            && let Some(first) = self.orders.blocking_recv()
        {
            // A reader may have found the failure while this thread slept.
            if self.shared.has_failed() {
                break;
            }
            let mut group = vec![first];
            while group.len() < GROUP
                && !matches!(group.last(), Some(Order { request: Request::Close, .. }))
                && let Ok(order) = self.orders.try_recv()
            {
                group.push(order);
            }
            self.serve(group);
        }
        // What still waits is dropped with the channel, which answers `Stopped`.
        self.orders.close();
    }

    fn serve(&mut self, group: Vec<Order>) {
        self.shared.groups.fetch_add(1, Ordering::Relaxed);
        let (requests, replies): (Vec<_>, Vec<_>) =
            group.into_iter().map(|order| (order.request, order.answer)).unzip();
        let answers = catch_unwind(AssertUnwindSafe(|| self.commit(&requests)))
            .unwrap_or_else(|_panic| Err(RepoError::Engine("the writer panicked".to_owned())));
        match answers {
            Ok(answers) => {
                self.shared.requests.fetch_add(answers.len() as u64, Ordering::Relaxed);
                if matches!(requests.last(), Some(Request::Close)) {
                    self.shared.close();
                }
                // A caller that went away does not hear that its change was made.
                replies.into_iter().zip(answers).for_each(|(reply, answer)| drop(reply.send(answer)));
            }
            Err(error) => {
                // Before the answers: whoever hears of the failure finds the repo not ready.
                self.shared.fail();
                tracing::error!(%error, "the metadata store has failed and must be restarted");
                let message = match error {
                    RepoError::Engine(message) => message,
                    other @ (RepoError::AliasTaken(_) | RepoError::Record { .. } | RepoError::Stopped) => {
                        other.to_string()
                    }
                };
                for reply in replies {
                    drop(reply.send(Err(RepoError::Engine(message.clone()))));
                }
            }
        }
    }

    /// Decides every request and makes what they change durable. An error means that nothing may be acknowledged:
    /// some or all of the group may be found after a restart, or none of it.
    fn commit(&mut self, requests: &[Request]) -> Result<Vec<Result<Answer, RepoError>>, RepoError> {
        let mut pending = Pending::new(self.index.db());
        let mut changes: Vec<Change> = Vec::new();
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            let made = changes.len();
            let answer = decide(request, &mut pending, &mut changes);
            if answer.is_ok() {
                pending.keep();
            } else {
                pending.undo();
                changes.truncate(made);
            }
            match answer {
                Err(error @ (RepoError::Engine(_) | RepoError::Stopped)) => return Err(error),
                answer @ (Ok(_) | Err(RepoError::AliasTaken(_) | RepoError::Record { .. })) => answers.push(answer),
            }
        }
        let writes = pending.into_writes();
        let is_last = matches!(requests.last(), Some(Request::Close));
        if writes.is_empty() {
            if is_last && self.unsynced > 0 {
                self.sync()?;
            }
            return Ok(answers);
        }
        if !changes.is_empty() {
            // First the truth, then its index.
            self.journal.append(changes)?;
            self.shared.journal_syncs.fetch_add(1, Ordering::Relaxed);
        }
        self.index.commit(writes, Some(self.journal.last()))?;
        self.unsynced += 1;
        if is_last || self.unsynced >= UNSYNCED_GROUPS || requests.iter().any(Request::must_be_durable) {
            self.sync()?;
        }
        Ok(answers)
    }

    fn sync(&mut self) -> Result<(), RepoError> {
        self.index.sync()?;
        self.unsynced = 0;
        self.shared.log_syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
