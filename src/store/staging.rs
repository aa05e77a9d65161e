//! Files on their way in: written and hashed as they stream, named only when complete.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::room;
use crate::domain::Hash;

/// Bytes gathered before a write goes to the operating system.
const BUFFER_BYTES: usize = 256 * 1024;

/// A folder for files that are still being written, on the file system of the store.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    next: AtomicU64,
}

/// A staged file that is being written; deleted when dropped before [`StagingFile::finish`].
#[derive(Debug)]
pub struct StagingFile {
    file: tokio::io::BufWriter<tokio::fs::File>,
    temporary: Temporary,
    hasher: Sha256,
    size_bytes: u64,
    /// Bytes there were when room was last looked for.
    looked_bytes: u64,
    max_bytes: u64,
}

/// A complete staged file; deleted when dropped without being put. It is durable only once it is put.
#[derive(Debug)]
pub struct Staged {
    temporary: Temporary,
    hash: Hash,
    size_bytes: u64,
}

/// Why a file could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// More bytes than the file may have.
    #[error("the file has more than the {max} bytes allowed (it was cut off at {got})")]
    TooLarge {
        /// Bytes seen when it was refused.
        got: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// The operating system's word and what was being done.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done, as "creating" or "writing".
        doing: &'static str,
        /// The file or folder it was done to.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// A file's path that is unlinked on drop, unless it was moved away.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    moved: bool,
}

impl Temporary {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It was renamed: nothing is left to delete.
    pub(super) fn moved(mut self) {
        self.moved = true;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.moved {
            return;
        }
        // One unlink: short enough for any thread. What stays is cleared by the next start.
        match fs::remove_file(&self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %self.path.display(), %error, "a staged file could not be deleted"),
        }
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StagingError {
    move |source| StagingError::Io { doing, path: path.to_owned(), source }
}

impl Staging {
    /// The staging area in `folder`, which is made if it is not there; files an earlier run left in it are
    /// deleted. Only one process at a time may use a folder: take the repo's lock first.
    ///
    /// # Errors
    /// [`StagingError::Io`] when the folder can be neither made nor read, or a left-over not deleted.
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, StagingError> {
        let folder = folder.into();
        tokio::fs::create_dir_all(&folder).await.map_err(failed("creating", &folder))?;
        let mut entries = tokio::fs::read_dir(&folder).await.map_err(failed("reading", &folder))?;
        let mut left_over = 0_u64;
        while let Some(entry) = entries.next_entry().await.map_err(failed("reading", &folder))? {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                tokio::fs::remove_file(&path).await.map_err(failed("deleting", &path))?;
                left_over += 1;
            } else {
                tracing::warn!(path = %path.display(), "left alone: not a staged file of ours");
            }
        }
        if left_over > 0 {
            tracing::info!(left_over, "deleted staged files of an earlier run");
        }
        Ok(Self { folder, next: AtomicU64::new(0) })
    }

    /// A new empty staged file that takes at most `max_bytes`.
    ///
    /// # Errors
    /// [`StagingError::Io`] when it cannot be created.
    pub async fn begin(&self, max_bytes: u64) -> Result<StagingFile, StagingError> {
        let temporary = self.name();
        room::check(&self.folder, room::LOOK_BYTES).map_err(failed("creating", &temporary.path))?;
        let file = tokio::fs::File::create_new(&temporary.path).await.map_err(failed("creating", &temporary.path))?;
        Ok(StagingFile {
            file: tokio::io::BufWriter::with_capacity(BUFFER_BYTES, file),
            temporary,
            hasher: Sha256::new(),
            size_bytes: 0,
            looked_bytes: 0,
            max_bytes,
        })
    }

    /// Writes `pieces`, one after the other, to a staged file and hashes them on the way. For the processing
    /// pool: blocks on file calls.
    ///
    /// # Errors
    /// [`StagingError::Io`] when it cannot be created or written.
    pub fn write_pieces_blocking<'a>(
        &self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Staged, StagingError> {
        let temporary = self.name();
        let path = temporary.path.as_path();
        let file = fs::File::create_new(path).map_err(failed("creating", path))?;
        let mut file = io::BufWriter::with_capacity(BUFFER_BYTES, file);
        let mut hasher = Sha256::new();
        let mut size_bytes = 0;
        for piece in pieces {
            room::check(&self.folder, piece.len() as u64).map_err(failed("writing", path))?;
            hasher.update(piece);
            size_bytes += piece.len() as u64;
            file.write_all(piece).map_err(failed("writing", path))?;
        }
        file.flush().map_err(failed("writing", path))?;
        Ok(Staged { hash: Hash::from_bytes(hasher.finalize().into()), size_bytes, temporary })
    }

    /// Writes `bytes` to a file whose hash nobody asks for. Blocks on file calls.
    pub(super) fn write_blocking(&self, bytes: &[u8]) -> io::Result<Temporary> {
        room::check(&self.folder, bytes.len() as u64)?;
        let temporary = self.name();
        fs::File::create_new(&temporary.path)?.write_all(bytes)?;
        Ok(temporary)
    }

    /// A second name here for a file on the same file system, or a copy where there is no such thing; hashed on the way. The other name stays.
    pub(super) async fn second_name(&self, path: &Path) -> io::Result<Staged> {
        let temporary = self.name();
        if let Err(error) = tokio::fs::hard_link(path, &temporary.path).await {
            if error.kind() == io::ErrorKind::NotFound {
                return Err(error);
            }
            tokio::fs::copy(path, &temporary.path).await?;
        }
        let (mut hasher, mut size_bytes) = (Sha256::new(), 0);
        let mut file = tokio::fs::File::open(&temporary.path).await?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = file.read(&mut buffer).await?;
            let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
            hasher.update(piece);
            size_bytes += piece.len() as u64;
        }
        Ok(Staged { hash: Hash::from_bytes(hasher.finalize().into()), size_bytes, temporary })
    }

    /// A path nobody has: the folder was empty when this process took it, and numbers are given once.
    fn name(&self) -> Temporary {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Temporary { path: self.folder.join(format!("{number}.part")), moved: false }
    }
}

impl StagingFile {
    /// Appends `piece`.
    ///
    /// # Errors
    /// [`StagingError::TooLarge`] when the file would be over its limit, [`StagingError::Io`] when the write fails.
    pub async fn write(&mut self, piece: &Bytes) -> Result<(), StagingError> {
        let got = self.size_bytes + piece.len() as u64;
        if got > self.max_bytes {
            return Err(StagingError::TooLarge { got, max: self.max_bytes });
        }
        if got - self.looked_bytes >= room::LOOK_BYTES {
            let folder = self.temporary.path.parent().unwrap_or(Path::new("."));
            room::check(folder, room::LOOK_BYTES).map_err(failed("writing", &self.temporary.path))?;
            self.looked_bytes = got;
        }
        self.hasher.update(piece);
        self.size_bytes = got;
        self.file.write_all(piece).await.map_err(failed("writing", &self.temporary.path))
    }

    /// Bytes written so far.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The complete file. Its bytes are with the operating system, not yet on the disk.
    ///
    /// # Errors
    /// [`StagingError::Io`] when what was buffered cannot be written.
    pub async fn finish(mut self) -> Result<Staged, StagingError> {
        self.file.flush().await.map_err(failed("writing", &self.temporary.path))?;
        let hash = Hash::from_bytes(self.hasher.finalize().into());
        Ok(Staged { hash, size_bytes: self.size_bytes, temporary: self.temporary })
    }
}

impl Staged {
    /// The SHA-256 of its bytes.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Bytes in it.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Where it lies until it is put.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.temporary.path
    }

    /// Its bytes, in one allocation of exactly their number. For the processing pool: blocks on file calls.
    ///
    /// # Errors
    /// The operating system's word; [`io::ErrorKind::UnexpectedEof`] when the file is shorter than what was written.
    pub fn read_blocking(&self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.size_bytes).map_err(|_too_large| io::ErrorKind::OutOfMemory)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_refused| io::ErrorKind::OutOfMemory)?;
        fs::File::open(self.path())?.take(self.size_bytes).read_to_end(&mut bytes)?;
        if bytes.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
    }

    /// Its first bytes, at most `limit` of them.
    ///
    /// # Errors
    /// The operating system's word.
    pub async fn head(&self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        tokio::fs::File::open(self.path()).await?.take(limit).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    /// It was renamed: nothing is left to delete.
    pub(super) fn moved(self) {
        self.temporary.moved();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `sha256sum` prints for "hello, world".
    const HELLO: &str = "09ca7e4eaa6e8ae9c7d261167129184883644d07dfba7cbfbc4c8a2e08360d5b";

    async fn area() -> (tempfile::TempDir, Staging) {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().join("staging")).await.unwrap();
        (folder, staging)
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder.join("staging")).unwrap().count()
    }

    #[tokio::test]
    async fn streamed_and_blocking_writes_hash_alike_and_read_back() {
        let (folder, staging) = area().await;
        let mut file = staging.begin(100).await.unwrap();
        file.write(&Bytes::from_static(b"hello, ")).await.unwrap();
        file.write(&Bytes::from_static(b"world")).await.unwrap();
        let streamed = file.finish().await.unwrap();
        let blocking = staging.write_pieces_blocking([b"hello".as_slice(), b", world"]).unwrap();
        for staged in [&streamed, &blocking] {
            assert_eq!(staged.hash().to_string(), HELLO);
            assert_eq!(staged.size_bytes(), 12);
            let bytes = staged.read_blocking().unwrap();
            assert_eq!((bytes.as_slice(), bytes.capacity()), (b"hello, world".as_slice(), 12));
        }
        assert_ne!(streamed.path(), blocking.path());
        assert_eq!(files(folder.path()), 2);
        drop((streamed, blocking));
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn the_limit_counts_across_pieces_and_leaves_no_file() {
        let (folder, staging) = area().await;
        let mut file = staging.begin(10).await.unwrap();
        file.write(&Bytes::from_static(b"0123456789")).await.unwrap();
        let error = file.write(&Bytes::from_static(b"a")).await.unwrap_err();
        assert!(matches!(error, StagingError::TooLarge { got: 11, max: 10 }), "{error}");
        assert_eq!(files(folder.path()), 1);
        drop(file);
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn a_new_start_clears_left_overs_and_nothing_else() {
        let (folder, staging) = area().await;
        let staged = staging.write_pieces_blocking([b"x".as_slice()]).unwrap();
        let path = staged.path().to_owned();
        staged.moved();
        fs::write(folder.path().join("staging/note.txt"), "mine").unwrap();
        assert!(path.try_exists().unwrap());
        Staging::open(folder.path().join("staging")).await.unwrap();
        assert!(!path.try_exists().unwrap());
        assert_eq!(files(folder.path()), 1);
    }

    #[tokio::test]
    async fn a_staged_file_that_was_cut_is_noticed() {
        let (_folder, staging) = area().await;
        let staged = staging.write_pieces_blocking([b"hello".as_slice()]).unwrap();
        fs::OpenOptions::new().write(true).open(staged.path()).unwrap().set_len(3).unwrap();
        assert_eq!(staged.read_blocking().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
