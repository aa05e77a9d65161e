//! Archives: a folder with all metadata as lines of JSON and, by choice, the pictures, which any tool can read and any later version of this program.
//!
//! ```text
//! metadata.jsonl            {"glimt_archive":1,"originals":2}
//!                           {"hash":"..","original":{..},"aliases":[{"alias":"a.png","token":{"token_sha256":".."}}]}
//!                           ..
//! originals/ab/cd/<hash>.<extension>
//! ```
//!
//! Both ways can be broken off and begun again: a file that is there is not written twice, and an alias that is there neither. Variants and
//! proxies are not in it: they are made again.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ServiceError;
use crate::{
    domain::{Alias, Hash, KeptToken, Remote},
    repo::{NewAlias, OriginalRecord, Repo, RepoError},
    store::{Store, StoreKey},
};

/// The file with the metadata.
pub const METADATA: &str = "metadata.jsonl";

const VERSION: u32 = 1;

/// Pictures that are taken in at a time: their rows are committed in groups.
const AT_A_TIME: usize = 16;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    glimt_archive: u32,
    originals: u64,
}

/// One picture.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    hash: Hash,
    original: OriginalRecord,
    /// In the order they were added.
    aliases: Vec<Named>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    alias: Alias,
    token: KeptToken,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remote: Option<Remote>,
}

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The operating system's word.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder it was done to.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It is none, or of another version.
    #[error("{} is no archive that this program reads: line {line}: {cause}", path.display())]
    Unreadable {
        /// The file with the metadata.
        path: PathBuf,
        /// Which of its lines.
        line: u64,
        /// What is wrong with it.
        cause: String,
    },
    /// A fault of store or repo.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<RepoError> for ArchiveError {
    fn from(error: RepoError) -> Self {
        Self::Service(error.into())
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.to_owned();
    move |source| ArchiveError::Io { doing, path, source }
}

/// What went into an archive or came out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Pictures there are.
    pub originals: u64,
    /// Pictures that were looked at.
    pub done: u64,
    /// Aliases that were written or added.
    pub aliases: u64,
    /// Bytes that were copied.
    pub bytes: u64,
    /// Pictures and aliases that were there already.
    pub known: u64,
    /// What was passed over, and why.
    pub passed: Vec<String>,
}

impl Moved {
    /// Counts one more picture, with what came of it.
    pub(super) fn add(&mut self, one: Self) {
        self.done += 1;
        self.aliases += one.aliases;
        self.bytes += one.bytes;
        self.known += one.known;
        self.passed.extend(one.passed);
    }
}

/// Writes all metadata into `folder`, and with `files` all pictures; `progress` is called after each.
///
/// # Errors
/// [`ArchiveError`]; what is written by then stays, and the next run goes on from there.
pub async fn export(
    (store, repo): (&Arc<dyn Store>, &Arc<dyn Repo>),
    folder: &Path,
    files: bool,
    mut progress: impl FnMut(&Moved),
) -> Result<Moved, ArchiveError> {
    let mut moved = Moved::default();
    for first in 0..=u8::MAX {
        moved.originals += repo.originals_under(first).await?.len() as u64;
    }
    std::fs::create_dir_all(folder).map_err(failed("creating", folder))?;
    let path = folder.join(METADATA);
    let beside = folder.join(format!("{METADATA}.new"));
    let mut lines = BufWriter::new(File::create(&beside).map_err(failed("creating", &beside))?);
    let mut write = |line: serde_json::Result<Vec<u8>>| {
        let line = line.map_err(io::Error::other);
        line.and_then(|line| lines.write_all(&line).and_then(|()| lines.write_all(b"\n")))
            .map_err(failed("writing", &beside))
    };
    write(serde_json::to_vec(&Head { glimt_archive: VERSION, originals: moved.originals }))?;
    for first in 0..=u8::MAX {
        for (hash, original) in repo.originals_under(first).await? {
            let mut aliases = Vec::new();
            for alias in repo.aliases_of(&hash).await? {
                if let Some(record) = repo.alias(&alias).await? {
                    aliases.push(Named { token: record.token.hashed(&alias), remote: record.remote, alias });
                }
            }
            moved.aliases += aliases.len() as u64;
            if files {
                copy_out(store, folder, hash, original, &mut moved).await?;
            }
            write(serde_json::to_vec(&Entry { hash, original, aliases }))?;
            moved.done += 1;
            progress(&moved);
        }
    }
    let file = lines.into_inner().map_err(|error| failed("writing", &beside)(error.into_error()))?;
    file.sync_all().map_err(failed("syncing", &beside))?;
    std::fs::rename(&beside, &path).map_err(failed("renaming", &beside))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("syncing", folder))?;
    Ok(moved)
}

/// Copies one picture, unless a file of its size is there: what is there was renamed when it was whole.
async fn copy_out(
    store: &Arc<dyn Store>,
    folder: &Path,
    hash: Hash,
    original: OriginalRecord,
    moved: &mut Moved,
) -> Result<(), ArchiveError> {
    let key = StoreKey::Original { hash, format: original.details.format };
    let path = folder.join(key.to_string());
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == original.size_bytes) {
        moved.known += 1;
        return Ok(());
    }
    let Some(bytes) = store.read(&key).await.map_err(ServiceError::from)? else {
        moved.passed.push(format!("{key}: its bytes are not there"));
        return Ok(());
    };
    if hash_of(&bytes) != hash {
        moved.passed.push(format!("{key}: its bytes are not what was stored"));
        return Ok(());
    }
    let beside = path.with_extension("part");
    let within = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(within).map_err(failed("creating", within))?;
    let mut file = File::create(&beside).map_err(failed("creating", &beside))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed("writing", &beside))?;
    std::fs::rename(&beside, &path).map_err(failed("renaming", &beside))?;
    moved.bytes += bytes.len() as u64;
    Ok(())
}

/// Takes in what [`export`] wrote into `folder`; `progress` is called after each picture. A picture whose bytes are neither in the archive nor in the
/// store is passed over, and so is an alias that names another picture here.
///
/// # Errors
/// [`ArchiveError`]; what was taken in by then stays, and the next run goes on from there.
pub async fn import(
    (store, repo): (&Arc<dyn Store>, &Arc<dyn Repo>),
    folder: &Path,
    mut progress: impl FnMut(&Moved),
) -> Result<Moved, ArchiveError> {
    let path = folder.join(METADATA);
    let mut lines = BufReader::new(File::open(&path).map_err(failed("opening", &path))?).lines().zip(1_u64..);
    let unreadable = |line: u64, cause: String| ArchiveError::Unreadable { path: path.clone(), line, cause };
    let (head, _) = lines.next().ok_or_else(|| unreadable(1, "it is empty".to_owned()))?;
    let head = head.map_err(failed("reading", &path))?;
    let head: Head = serde_json::from_str(&head).map_err(|error| unreadable(1, error.to_string()))?;
    if head.glimt_archive != VERSION {
        return Err(unreadable(1, format!("it is of version {}, this program reads {VERSION}", head.glimt_archive)));
    }
    let mut moved = Moved { originals: head.originals, ..Moved::default() };
    let entries = lines.map(|(line, number)| {
        let line = line.map_err(failed("reading", &path))?;
        serde_json::from_str::<Entry>(&line).map_err(|error| unreadable(number, error.to_string()))
    });
    let mut taken =
        stream::iter(entries).map(|entry| async { take_in((store, repo), folder, entry?).await }).buffered(AT_A_TIME);
    while let Some(one) = taken.next().await {
        moved.add(one?);
        progress(&moved);
    }
    if moved.done < moved.originals {
        let cause = format!("it ends after {} of {} pictures", moved.done, moved.originals);
        return Err(unreadable(moved.done + 2, cause));
    }
    Ok(moved)
}

/// Takes in one picture: its file first, and then its aliases in one transaction.
async fn take_in(
    (store, repo): (&Arc<dyn Store>, &Arc<dyn Repo>),
    folder: &Path,
    entry: Entry,
) -> Result<Moved, ArchiveError> {
    let Entry { hash, original, aliases } = entry;
    let key = StoreKey::Original { hash, format: original.details.format };
    let mut moved = Moved::default();
    let mut batch = Vec::new();
    for Named { alias, token, remote } in aliases {
        if let Some(remote) = remote
            && repo.remote(&remote.url).await?.is_some()
        {
            // Fetched here as well: one of the two is enough.
            moved.known += 1;
            continue;
        }
        match repo.alias(&alias).await? {
            Some(there) if there.hash == hash => moved.known += 1,
            Some(_) => moved.passed.push(format!("{}: the name is taken by another picture", alias.as_str())),
            None => match Alias::parse_import(alias.as_str()) {
                Ok(_) => batch.push(NewAlias { alias, token, hash, original, remote }),
                Err(error) => moved.passed.push(format!("{:?}: {error}", alias.as_str())),
            },
        }
    }
    if batch.is_empty() {
        return Ok(moved);
    }
    let there = store.read(&key).await.map_err(ServiceError::from)?;
    if there.is_none_or(|bytes| hash_of(&bytes) != hash) {
        let path = folder.join(key.to_string());
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                moved.passed.push(format!("{key}: its bytes are neither in the archive nor in the store"));
                return Ok(moved);
            }
            Err(error) => return Err(failed("reading", &path)(error)),
        };
        if hash_of(&bytes) != hash {
            moved.passed.push(format!("{key}: the bytes in the archive are not what was stored"));
            return Ok(moved);
        }
        moved.bytes += bytes.len() as u64;
        store.put_bytes(&key, bytes).await.map_err(ServiceError::from)?;
    }
    moved.aliases += batch.len() as u64;
    repo.add_aliases(batch).await?;
    Ok(moved)
}

fn hash_of(bytes: &[u8]) -> Hash {
    Hash::from_bytes(Sha256::digest(bytes).into())
}
