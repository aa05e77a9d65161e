//! Rows of pictures whose files are not there any more, removed while the server runs: `/internal/prune_missing`. `glimt check` does the same, and
//! more, while none does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use super::{
    ServiceError,
    originals::{Named, Original, Originals},
};
use crate::{repo::Repo, store::Store};

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whether all were looked at, and those without a file are gone.
    pub complete: bool,
    /// Pictures that were looked at.
    pub progress: u64,
    /// Pictures there are.
    pub total: u64,
}

#[derive(Debug, Default)]
struct State {
    progress: Progress,
    task: Option<AbortHandle>,
}

/// Prunes, one run at a time.
pub struct Prune {
    repo: Arc<dyn Repo>,
    store: Arc<dyn Store>,
    originals: Arc<Originals>,
    state: Mutex<State>,
}

impl Prune {
    /// Wires the parts.
    pub fn new(repo: Arc<dyn Repo>, store: Arc<dyn Store>, originals: Arc<Originals>) -> Self {
        Self { repo, store, originals, state: Mutex::default() }
    }

    /// How far the run has come that this begins, unless one was begun since the start of the server; with `force` a new one is begun whatever
    /// became of that.
    ///
    /// # Errors
    /// A fault of the repo.
    pub async fn begin(self: &Arc<Self>, force: bool) -> Result<Progress, ServiceError> {
        let mut total = 0;
        for first in 0..=u8::MAX {
            total += self.repo.originals_under(first).await?.len() as u64;
        }
        let mut state = self.state();
        if state.task.is_some() && !force {
            return Ok(state.progress);
        }
        if let Some(task) = state.task.take() {
            task.abort();
        }
        state.progress = Progress { total, ..Progress::default() };
        let this = Arc::clone(self);
        let run = tokio::spawn(async move {
            match this.run().await {
                Ok(0) => {}
                Ok(pruned) => tracing::warn!(pruned, "pictures were removed whose files are missing"),
                Err(error) => tracing::error!(%error, "not all pictures were looked at for missing files"),
            }
        });
        state.task = Some(run.abort_handle());
        Ok(state.progress)
    }

    /// Looks at all pictures, then removes those without a file, and tells how many. Where no picture at all has one it removes none: then it is the
    /// disk that is not there.
    async fn run(&self) -> Result<usize, ServiceError> {
        let (mut missing, mut there) = (Vec::new(), 0_u64);
        for first in 0..=u8::MAX {
            for (hash, record) in self.repo.originals_under(first).await? {
                let original = Original { hash, record };
                match self.store.size(&original.key()).await? {
                    Some(_) => there += 1,
                    None => missing.push(original),
                }
                self.state().progress.progress += 1;
            }
            tokio::task::yield_now().await;
        }
        let mut pruned = 0;
        if there == 0 && !missing.is_empty() {
            tracing::error!(pictures = missing.len(), "no picture has its file: is the disk there? None is removed");
            missing.clear();
        }
        for original in missing {
            // It may be there by now.
            if self.store.size(&original.key()).await?.is_none() {
                match self.originals.purge(&Named::File(original.filename())).await {
                    Ok(_) => pruned += 1,
                    Err(ServiceError::NoSuchFile(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.state().progress.complete = true;
        Ok(pruned)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
