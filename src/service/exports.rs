//! Copies of the metadata beside the pictures, made while the server runs: `/internal/export`. Each is an archive without files, which
//! `glimt import` takes in where the pictures lie.

use std::{io, path::PathBuf, sync::Arc};

use tokio::{
    runtime::Handle,
    sync::{Mutex, oneshot},
};

use super::{
    ServiceError,
    archive::{self, ArchiveError},
};
use crate::{
    repo::Repo,
    store::{Store, StoreError},
};

/// Makes them, one at a time.
pub struct Exports {
    folder: PathBuf,
    store: Arc<dyn Store>,
    repo: Arc<dyn Repo>,
    turn: Mutex<()>,
}

impl Exports {
    /// Copies go into folders of `folder`, each named for its second.
    pub fn new(folder: PathBuf, store: Arc<dyn Store>, repo: Arc<dyn Repo>) -> Self {
        Self { folder, store, repo, turn: Mutex::default() }
    }

    /// Writes a copy into a folder with this name, and returns when it is on the disk.
    ///
    /// # Errors
    /// The operating system's word, or a fault of the repo.
    pub async fn make(&self, name: &str) -> Result<(), ServiceError> {
        let _turn = self.turn.lock().await;
        let (folder, store, repo) = (self.folder.join(name), Arc::clone(&self.store), Arc::clone(&self.repo));
        let (tell, told) = oneshot::channel();
        let runtime = Handle::current();
        // A thread of its own: an archive is written without a look at who else needs this one.
        let thread = std::thread::Builder::new().name("export".to_owned()).spawn(move || {
            let exported = runtime.block_on(archive::export((&store, &repo), &folder, false, |_| {}));
            drop(tell.send(exported.map(drop)));
        });
        let failed = |doing: &'static str, source: io::Error| {
            ServiceError::from(StoreError { doing, key: format!("export {name}"), source })
        };
        drop(thread.map_err(|error| failed("starting", error))?);
        match told.await.map_err(|_panicked| ServiceError::Panicked)? {
            Ok(()) => Ok(()),
            Err(ArchiveError::Io { doing, source, .. }) => Err(failed(doing, source)),
            Err(ArchiveError::Service(error)) => Err(error),
            Err(error @ ArchiveError::Unreadable { .. }) => Err(failed("writing", io::Error::other(error))),
        }
    }
}
