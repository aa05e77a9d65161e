//! The journal: every acknowledged change, in order, in one append-only file. It is the truth; the index (sled)
//! is rebuilt from it when it is damaged or gone.
//!
//! The file is a sequence of frames (see [`frame`]), each with a sequence number and a checksum:
//!
//! ```text
//! Start { version }          sequence b    b is the number of the last change the state holds
//! State [changes]  * n       sequence b    what was live when the file was made
//! StateEnd { frames: n }     sequence b
//! Changes [changes] * m      sequences b + 1 ..= b + m, one frame a commit group
//! ```
//!
//! Everything up to `StateEnd` is written to a side file, synced and renamed: a crash cannot leave less of it.
//! After that one frame at a time is appended and synced, so a crash can tear the last frame and no other; it was
//! never acknowledged and is cut off. A frame that does not read with a good one behind it is damage.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::change::Change;

mod frame;
mod read;

pub(super) use read::{Condition, Entries, Scan, scan};

/// The format of the file.
const VERSION: u8 = 1;

/// What a frame holds, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Entry {
    /// The first frame.
    Start {
        /// The format of the file.
        version: u8,
    },
    /// A part of the state the file starts with.
    State(Vec<Change>),
    /// The state is complete.
    StateEnd {
        /// How many `State` frames there are.
        frames: u64,
    },
    /// A commit group.
    Changes(Vec<Change>),
}

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system's word and what was being done.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done, as "reading" or "syncing".
        doing: &'static str,
        /// The file or folder it was done to.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A frame whose checksum is right does not say what this program understands.
    #[error("the journal's frame {sequence} cannot be read: {cause}")]
    Entry {
        /// The frame's sequence number.
        sequence: u64,
        /// What the reader said.
        cause: String,
    },
    /// More in one commit group than a frame holds.
    #[error("a change of {got} bytes is over the journal's limit of {max}")]
    TooLarge {
        /// Bytes in the frame.
        got: usize,
        /// Bytes allowed.
        max: u32,
    },
}

pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    move |source| JournalError::Io { doing, path: path.to_owned(), source }
}

/// The journal, open for appending.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    last: u64,
}

impl Journal {
    /// Opens the journal that `scan` found whole or torn; a torn frame is cut off, durably.
    pub(super) fn open(path: &Path, scan: &Scan) -> Result<Self, JournalError> {
        let file = OpenOptions::new().append(true).open(path).map_err(failed("opening", path))?;
        if scan.file_bytes > scan.valid_bytes {
            file.set_len(scan.valid_bytes).map_err(failed("truncating", path))?;
            file.sync_all().map_err(failed("syncing", path))?;
        }
        Ok(Self { path: path.to_owned(), file, last: scan.last })
    }

    /// A new journal at `path`, over what is there, that starts with `state` as of change `base`. It is complete
    /// and durable, or the old one still stands.
    pub(super) fn create<E: From<JournalError>>(
        path: &Path,
        base: u64,
        state: impl IntoIterator<Item = Result<Vec<Change>, E>>,
    ) -> Result<Self, E> {
        let beside = path.with_extension("new");
        let mut file = BufWriter::new(File::create(&beside).map_err(failed("creating", &beside))?);
        let mut put = |entry: &Entry| -> Result<(), JournalError> {
            file.write_all(&frame::encode(base, entry)?).map_err(failed("writing", &beside))
        };
        put(&Entry::Start { version: VERSION })?;
        let mut frames = 0;
        for changes in state {
            put(&Entry::State(changes?))?;
            frames += 1;
        }
        put(&Entry::StateEnd { frames })?;
        let file = file.into_inner().map_err(|error| failed("writing", &beside)(error.into_error()))?;
        file.sync_all().map_err(failed("syncing", &beside))?;
        drop(file);
        std::fs::rename(&beside, path).map_err(failed("renaming", &beside))?;
        sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed("opening", path))?;
        Ok(Self { path: path.to_owned(), file, last: base })
    }

    /// The sequence number of the last change in it.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Appends one commit group; durable on return. After an error the file must not be written again: the
    /// frame may be torn, and what a failed fsync left is unknown.
    pub(super) fn append(&mut self, changes: Vec<Change>) -> Result<u64, JournalError> {
        let sequence = self.last + 1;
        let bytes = frame::encode(sequence, &Entry::Changes(changes))?;
        self.file.write_all(&bytes).map_err(failed("writing", &self.path))?;
        self.file.sync_data().map_err(failed("syncing", &self.path))?;
        self.last = sequence;
        Ok(sequence)
    }

    /// A journal whose every append fails as on a broken disk.
    #[cfg(test)]
    pub(super) fn break_file(&mut self) {
        self.file = File::open(&self.path).unwrap();
    }
}

/// Makes the entries of `folder` durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), JournalError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("syncing", folder))
}

#[cfg(test)]
mod tests;
