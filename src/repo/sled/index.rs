//! The index: sled's folder, opened with suspicion, and written so that its state can be told.
//!
//! What sled 0.34.7 does that this is built around (its source, read for this file):
//!
//! * `flush` waits for `sync_file_range`, which is no fsync. [`Index::sync`] adds fdatasync of its log, `db`, through a
//!   handle of our own that is opened before the first write and kept: Linux reports a failed write-back once to each
//!   open handle, and sled's periodic flusher would take the report on its own handle and only log it.
//! * Recovery cuts the log at the first message that does not read and says nothing: damage in the log opens as an
//!   older or a smaller database. So every batch also writes a [`Mark`]: which change it is at, and a sum over all rows.
//! * Damage can also panic (asserts, unreachable states), so opening and checking run under `catch_unwind`.
//! * The flusher thread also collects garbage (nothing else does), so it stays on.

use std::{
    fs::{File, OpenOptions},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sled::{Batch, Db};

use super::{engine, rows::MARK};
use crate::repo::{
    RepoError,
    journal::{failed, sync_folder},
    record::{decode, encode},
};

/// Bytes of pages sled keeps in memory. Its own default is 1 GiB.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// How long an open waits for sled's own lock: this many times ...
const LOCK_TRIES: u32 = 300;

/// ... this long.
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// What sled says when its lock is held.
const LOCK_REFUSED: &str = "could not acquire lock";

/// What the index holds: written with every batch, checked at every start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The journal's last change that is in it.
    pub(super) applied: u64,
    /// Rows, without this one.
    rows: u64,
    /// The wrapping sum over all rows of half a SHA-256 of each: the same whatever the order they came in.
    sum: u128,
}

impl Mark {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(digest(key, value));
    }

    fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(digest(key, value));
    }
}

fn digest(key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = Sha256::new();
    hasher.update((key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    let digest: [u8; 32] = hasher.finalize().into();
    digest.first_chunk::<16>().map_or(0, |half| u128::from_le_bytes(*half))
}

/// The open index.
pub(super) struct Index {
    db: Db,
    log: File,
    mark: Mark,
    /// Bytes in the rows that a journal's state would hold.
    pub(super) live_bytes: u64,
}

/// What was found where the index should be.
pub(super) enum Found {
    /// No folder, or an empty one.
    Nothing,
    /// A folder that does not open, or does not hold what its mark says.
    Damaged(String),
    /// All of it.
    Good(Index),
}

/// Opens and checks the index in `folder`. Reads every row once.
pub(super) fn find(folder: &Path) -> Result<Found, RepoError> {
    match std::fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => return Ok(Found::Nothing),
        Ok(false) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(engine(failed("reading", folder)(error))),
    }
    let opened = catch_unwind(AssertUnwindSafe(|| Index::open(folder).and_then(Index::check)));
    Ok(match opened {
        Ok(Ok(index)) => Found::Good(index),
        // Nothing is wrong with the rows: putting the folder aside would not help.
        Ok(Err(error)) if is_circumstance(&error) => return Err(error),
        Ok(Err(error)) => Found::Damaged(error.to_string()),
        Err(_panic) => Found::Damaged("sled panicked over it".to_owned()),
    })
}

impl Index {
    /// An empty index in `folder`, which must be absent or empty. It has no mark until the first
    /// [`Self::commit`] with one, and without a mark it counts as damaged.
    pub(super) fn create(folder: &Path) -> Result<Self, RepoError> {
        Self::open(folder)
    }

    fn open(folder: &Path) -> Result<Self, RepoError> {
        let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES);
        let mut tries = 0;
        let db = loop {
            match config.open() {
                // The data directory is locked, so this is an earlier handle of our own process: sled's background
                // threads let go of its file a moment after the last handle is dropped.
                Err(sled::Error::Io(error)) if tries < LOCK_TRIES && error.to_string().contains(LOCK_REFUSED) => {
                    tries += 1;
                    std::thread::sleep(LOCK_WAIT);
                }
                opened => break opened.map_err(engine)?,
            }
        };
        let path = folder.join("db");
        let log =
            OpenOptions::new().read(true).write(true).open(&path).map_err(|e| engine(failed("opening", &path)(e)))?;
        Ok(Self { db, log, mark: Mark::default(), live_bytes: 0 })
    }

    fn check(mut self) -> Result<Self, RepoError> {
        let Some(stored) = self.db.get(MARK).map_err(engine)? else {
            return Err(RepoError::Engine("it has no mark: it was never complete, or lost its end".to_owned()));
        };
        let stored: Mark = decode("mark", &stored)?;
        let mut found = Mark { applied: stored.applied, ..Mark::default() };
        for row in self.db.iter() {
            let (key, value) = row.map_err(engine)?;
            if *key == *MARK {
                continue;
            }
            found.add(&key, &value);
            if matches!(key.first(), Some(b'a' | b'h' | b'g' | b's')) {
                self.live_bytes += (key.len() + value.len()) as u64;
            }
        }
        if found != stored {
            let message = format!("it has {} rows where its mark says {}, or other ones", found.rows, stored.rows);
            return Err(RepoError::Engine(message));
        }
        self.mark = stored;
        Ok(self)
    }

    /// The tree, for reading.
    pub(super) fn db(&self) -> &Db {
        &self.db
    }

    /// The journal's last change that is in it.
    pub(super) fn applied(&self) -> u64 {
        self.mark.applied
    }

    /// Writes what is pending in one atomic batch, with the mark if `applied` is given. Not durable before
    /// [`Self::sync`].
    pub(super) fn commit(&mut self, writes: Writes, applied: Option<u64>) -> Result<(), RepoError> {
        let mut batch = Batch::default();
        let mut mark = self.mark;
        for (key, value) in writes {
            let before = self.db.get(&key).map_err(engine)?;
            if before == value {
                continue;
            }
            if let Some(before) = before {
                mark.remove(&key, &before);
            }
            match value {
                Some(value) => {
                    mark.add(&key, &value);
                    batch.insert(key, value);
                }
                None => batch.remove(key),
            }
        }
        if let Some(applied) = applied {
            mark.applied = applied;
            batch.insert(MARK, encode("mark", &mark)?);
        }
        self.db.apply_batch(batch).map_err(engine)?;
        self.mark = mark;
        Ok(())
    }

    /// Makes everything committed durable. Never call it again after an error.
    pub(super) fn sync(&self) -> Result<(), RepoError> {
        self.db.flush().map_err(engine)?;
        self.log.sync_data().map_err(|error| RepoError::Engine(format!("syncing sled's log: {error}")))
    }

    /// Makes the files themselves durable, after [`Self::create`].
    pub(super) fn sync_folders(&self, folder: &Path) -> Result<(), RepoError> {
        sync_folder(folder).map_err(engine)?;
        sync_folder(folder.parent().unwrap_or(Path::new("."))).map_err(engine)
    }
}

/// Whether opening failed for a reason outside the folder's contents.
fn is_circumstance(error: &RepoError) -> bool {
    let RepoError::Engine(message) = error else { return false };
    [LOCK_REFUSED, "Permission denied", "Too many open files", "No space left", "Read-only file system"]
        .iter()
        .any(|cause| message.contains(cause))
}

/// What `Pending::into_writes` gives.
type Writes = std::collections::BTreeMap<Vec<u8>, Option<sled::IVec>>;

/// Moves what is in the way of a new index, or of a new journal, to a name of its own beside it; never deletes it.
pub(super) fn move_aside(path: &Path, now_secs: u64) -> Result<PathBuf, RepoError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut number = 0_u32;
    loop {
        let suffix = if number == 0 { String::new() } else { format!("-{number}") };
        let aside = path.with_file_name(format!("{name}.damaged-{now_secs}{suffix}"));
        if aside.try_exists().map_err(|error| engine(failed("reading", &aside)(error)))? {
            number += 1;
            continue;
        }
        std::fs::rename(path, &aside).map_err(|error| engine(failed("renaming", path)(error)))?;
        sync_folder(path.parent().unwrap_or(Path::new("."))).map_err(engine)?;
        return Ok(aside);
    }
}
