//! Files that wait for something to be done with them, and notes about them: each whole or absent, durable once acknowledged, and there
//! after a restart.
//!
//! A name is the caller's: letters, digits, `-` and a dot. Writing is: beside, synced, renamed, and the folder synced.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;

use super::{Staged, StoreError, room};

/// What is being written has this extension, and is deleted by the next start.
const UNFINISHED: &str = "new";

/// A folder of such files, on the file system of the store. Only one process at a time may use it: take the repo's lock first.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
}

/// Makes the folder's own entries durable.
async fn sync(folder: &Path) -> io::Result<()> {
    tokio::fs::File::open(folder).await?.sync_all().await
}

/// `None` where there is no such file.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Spool {
    /// The one in `folder`, which is made if it is not there; what an earlier run did not finish writing is deleted.
    ///
    /// # Errors
    /// [`StoreError`] when the folder can be neither made nor read.
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let spool = Self { folder: folder.into() };
        let opened = async {
            if !tokio::fs::try_exists(&spool.folder).await? {
                tokio::fs::create_dir_all(&spool.folder).await?;
                sync(spool.folder.parent().unwrap_or(Path::new("."))).await?;
            }
            for name in spool.list().await? {
                if Path::new(&name).extension().is_some_and(|extension| extension == UNFINISHED) {
                    tokio::fs::remove_file(spool.folder.join(name)).await?;
                }
            }
            Ok(())
        };
        let opened: io::Result<()> = opened.await;
        opened.map_err(|source| spool.failed("opening", "", source))?;
        Ok(spool)
    }

    fn failed(&self, doing: &'static str, name: &str, source: io::Error) -> StoreError {
        StoreError { doing, key: self.folder.join(name).display().to_string(), source }
    }

    /// Moves a staged file here, over whatever has that name.
    ///
    /// # Errors
    /// The operating system's word.
    pub async fn put_file(&self, name: &str, staged: Staged) -> Result<(), StoreError> {
        let put = async {
            tokio::fs::OpenOptions::new().write(true).open(staged.path()).await?.sync_all().await?;
            tokio::fs::rename(staged.path(), self.folder.join(name)).await?;
            sync(&self.folder).await
        };
        put.await.map_err(|source| self.failed("writing", name, source))?;
        staged.moved();
        Ok(())
    }

    /// Writes a note, over whatever has that name. Others cannot read it: a note may have a secret.
    ///
    /// # Errors
    /// The operating system's word.
    pub async fn put_note(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let beside = self.folder.join(format!("{name}.{UNFINISHED}"));
        let put = async {
            room::check(&self.folder, bytes.len() as u64)?;
            let mut options = tokio::fs::OpenOptions::new();
            options.create(true).truncate(true).write(true);
            #[cfg(unix)]
            options.mode(0o600);
            let mut file = options.open(&beside).await?;
            file.write_all(bytes).await?;
            file.sync_all().await?;
            tokio::fs::rename(&beside, self.folder.join(name)).await?;
            sync(&self.folder).await
        };
        put.await.map_err(|source| self.failed("writing", name, source))
    }

    /// All of a file; `None` when there is none.
    ///
    /// # Errors
    /// The operating system's word.
    pub async fn read(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let read = tokio::fs::read(self.folder.join(name)).await;
        found(read).map(|bytes| bytes.map(Bytes::from)).map_err(|source| self.failed("reading", name, source))
    }

    /// Deletes a file and tells whether it was there: of several who take the same one it is to one of them.
    ///
    /// # Errors
    /// The operating system's word.
    pub async fn take(&self, name: &str) -> Result<bool, StoreError> {
        let removed = tokio::fs::remove_file(self.folder.join(name)).await;
        found(removed).map(|gone| gone.is_some()).map_err(|source| self.failed("deleting", name, source))
    }

    /// A second name in the staging area for the file, which stays here: what is staged goes when it is dropped, this does not. `None`
    /// when there is no file.
    ///
    /// # Errors
    /// The operating system's word.
    pub async fn stage(&self, name: &str, staging: &super::Staging) -> Result<Option<Staged>, StoreError> {
        let staged = staging.second_name(&self.folder.join(name)).await;
        found(staged).map_err(|source| self.failed("reading", name, source))
    }

    /// The names of all files.
    ///
    /// # Errors
    /// The operating system's word.
    pub async fn names(&self) -> Result<Vec<String>, StoreError> {
        self.list().await.map_err(|source| self.failed("listing", "", source))
    }

    async fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let mut entries = tokio::fs::read_dir(&self.folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            match entry.file_name().into_string() {
                Ok(name) => names.push(name),
                Err(name) => tracing::warn!(path = %self.folder.join(name).display(), "left alone: not a file of ours"),
            }
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Staging;

    #[tokio::test]
    async fn what_is_put_is_there_after_a_restart_and_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().join("staging")).await.unwrap();
        let spool = Spool::open(folder.path().join("spool")).await.unwrap();
        let picture = staging.write_pieces_blocking([b"picture".as_slice()]).unwrap();
        let hash = picture.hash();
        spool.put_file("a.picture", picture).await.unwrap();
        spool.put_note("a.job", b"one").await.unwrap();
        spool.put_note("a.job", b"other").await.unwrap();
        std::fs::write(folder.path().join("spool/b.job.new"), "cut").unwrap();
        drop(spool);
        let spool = Spool::open(folder.path().join("spool")).await.unwrap();
        let mut names = spool.names().await.unwrap();
        names.sort();
        assert_eq!(names, ["a.job", "a.picture"]);
        assert_eq!(spool.read("a.job").await.unwrap().unwrap(), "other");
        let staged = spool.stage("a.picture", &staging).await.unwrap().unwrap();
        assert_eq!((staged.hash(), staged.size_bytes()), (hash, 7));
        assert_eq!(staged.read_blocking().unwrap(), b"picture");
        drop(staged);
        assert!(spool.read("a.picture").await.unwrap().is_some(), "the second name is gone, and no more");
        assert!(spool.take("a.job").await.unwrap());
        assert!(!spool.take("a.job").await.unwrap());
        assert!(spool.read("a.job").await.unwrap().is_none());
        assert!(spool.stage("b.picture", &staging).await.unwrap().is_none());
    }
}
