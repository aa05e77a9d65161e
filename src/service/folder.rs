//! A folder of pictures, taken in as uploads are: validated, stripped, converted where that is asked for. A list says under which alias
//! each is found then, and is what a second run goes on from.
//!
//! A line is on the disk before the alias in it is given: whatever stops a run, no picture gets two. So of the last lines, and of no
//! other, the aliases may not be there yet.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

use super::{
    ServiceError,
    ingest::{Ingest, Prepared, Rules},
    validation::ValidationError,
};
use crate::{
    codec::{self, CodecError},
    domain::{Alias, DeleteToken, Hash},
    repo::Repo,
    store::StagingError,
};

/// Pictures that are named at a time, in one transaction, after their lines.
const BATCH: usize = 16;

/// The reason that is no picture's.
const UNREADABLE: &str = "not readable";

/// The first line of a list.
const HEAD: &str = "path\talias\tdelete token\tsha256\n";

/// Why it could not go on.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder failed.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Store or repo failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { doing, path, source }
}

/// What came of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Files there are.
    pub files: u64,
    /// Files that were looked at.
    pub done: u64,
    /// Pictures that were taken in.
    pub taken: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Pictures that stand in the list already.
    pub known: u64,
    /// Files that are no pictures.
    pub others: u64,
    /// Pictures that were refused and files that could not be read: how many, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Each of them, and why.
    pub passed: Vec<String>,
}

impl Taken {
    fn refuse(&mut self, reason: &'static str, told: String) {
        *self.refused.entry(reason).or_default() += 1;
        self.passed.push(told);
    }
}

/// Where pictures are, and where it is written what became of them.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The folder; it is only read.
    pub from: &'a Path,
    /// The list; it is made, or gone on with.
    pub list: &'a Path,
    /// A folder that is left out: the data directory, if that is below.
    pub but: &'a Path,
    /// Pictures that are worked on at a time.
    pub at_a_time: usize,
}

/// What a list says of a file.
struct Line {
    alias: Alias,
    token: DeleteToken,
    sha256: String,
    /// Whether its alias was given for certain.
    given: bool,
}

/// What is known of one file before any of its batch is named.
enum One {
    /// A picture, and the line that it is to have.
    Picture(Box<Prepared>, String),
    /// It stands in the list.
    Known,
    /// It is none.
    Other,
    /// It is refused, for a reason of this kind.
    Refused(&'static str, String),
}

/// Takes in every picture below the folder, in the order of their paths; `progress` is called after each.
///
/// # Errors
/// [`FolderError`]; what was taken in by then stays, and the next run goes on from there.
pub async fn import(
    (ingest, repo): (&Arc<Ingest>, &Arc<dyn Repo>),
    job: Job<'_>,
    mut progress: impl FnMut(&Taken),
) -> Result<Taken, FolderError> {
    let (mut files, mut taken) = (Vec::new(), Taken::default());
    let from = fs::canonicalize(job.from).map_err(failed("opening", job.from))?;
    walk(&from, fs::canonicalize(job.but).ok().as_deref(), &mut files, &mut taken);
    taken.files = files.len() as u64;
    let (mut list, lines) = open(job.list)?;
    let own = fs::canonicalize(job.list).ok();
    let looked =
        stream::iter(files.into_iter().map(|file| {
            let (lines, own) = (&lines, &own);
            async move {
                if own.as_ref() == Some(&file) { Ok(One::Other) } else { look((ingest, repo), &file, lines).await }
            }
        }));
    let mut batches = looked.buffered(job.at_a_time.max(1)).ready_chunks(BATCH);
    while let Some(batch) = batches.next().await {
        let (mut pictures, mut new) = (Vec::with_capacity(batch.len()), String::new());
        for one in batch {
            match one? {
                One::Picture(picture, line) => {
                    // Also of one whose line is there: it has to be among the last when its alias is given.
                    new.push_str(&line);
                    taken.bytes += picture.original().1.size_bytes;
                    pictures.push(*picture);
                }
                One::Known => taken.known += 1,
                One::Other => taken.others += 1,
                One::Refused(reason, told) => taken.refuse(reason, told),
            }
            taken.done += 1;
        }
        if !new.is_empty() {
            list.write_all(new.as_bytes()).and_then(|()| list.sync_data()).map_err(failed("writing", job.list))?;
        }
        taken.taken += pictures.len() as u64;
        if !pictures.is_empty() {
            ingest.name(pictures).await?;
        }
        progress(&taken);
    }
    Ok(taken)
}

/// Every file below `folder`, in the order of their paths. Links are not followed.
fn walk(folder: &Path, but: Option<&Path>, files: &mut Vec<PathBuf>, taken: &mut Taken) {
    if Some(folder) == but {
        return;
    }
    let mut entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) => return taken.refuse(UNREADABLE, format!("{}: {error}", folder.display())),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), but, files, taken),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            Ok(_neither) => {}
            Err(error) => taken.refuse(UNREADABLE, format!("{}: {error}", entry.path().display())),
        }
    }
}

/// What is to become of a file.
async fn look(
    (ingest, repo): (&Arc<Ingest>, &Arc<dyn Repo>),
    file: &Path,
    lines: &HashMap<String, Line>,
) -> Result<One, FolderError> {
    let bytes = match read(file, ingest.max_file_size_bytes()).await {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) => return Ok(One::Refused(UNREADABLE, format!("{}: {error}", file.display()))),
    };
    let (path, sha256) = (cell(file), Hash::from_bytes(Sha256::digest(&bytes).into()).to_string());
    let earlier = lines.get(&path).filter(|line| line.sha256 == sha256);
    if let Some(line) = earlier
        && (line.given || repo.alias(&line.alias).await.map_err(ServiceError::from)?.is_some())
    {
        return Ok(One::Known);
    }
    if bytes.len() as u64 > ingest.max_file_size_bytes() && codec::peak_bytes(&bytes) == Err(CodecError::NotAnImage) {
        return Ok(One::Other);
    }
    let prepared = async {
        let mut staged = ingest.begin().await?;
        staged.write(&bytes).await?;
        ingest.prepare(staged.finish().await?, None, Rules::Validate).await
    };
    let prepared = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => {
            return match reason(&error) {
                Some("not a picture") => Ok(One::Other),
                Some(reason) => Ok(One::Refused(reason, format!("{}: {error}", file.display()))),
                None => Err(error.into()),
            };
        }
    };
    let (alias, token) = earlier.map_or_else(
        || (Alias::generate(prepared.original().1.details.format), DeleteToken::generate()),
        |line| (line.alias.clone(), line.token.clone()),
    );
    let line = format!("{path}\t{alias}\t{}\t{sha256}\n", token.reveal());
    Ok(One::Picture(Box::new(prepared.under(alias).with_token(token)), line))
}

/// The bytes of a file; of one that is too large only so many that its beginning says what it is, and its length that it is refused.
async fn read(file: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let opened = tokio::fs::File::open(file).await?;
    let mut bytes = Vec::new();
    opened.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// The kind of reason for which one file is refused; `None` where it is the fault of none.
fn reason(error: &ServiceError) -> Option<&'static str> {
    use CodecError as Codec;
    match error {
        ServiceError::Codec(error) => match error {
            Codec::NotAnImage => Some("not a picture"),
            Codec::Unsupported { .. } => Some("not supported"),
            Codec::Damaged { .. } | Codec::Panicked { .. } | Codec::Crashed { .. } => Some("damaged"),
            Codec::TooManyPixels { .. }
            | Codec::SideTooLong { .. }
            | Codec::TooManyFrames { .. }
            | Codec::TooManyAnimationPixels { .. }
            | Codec::TooManyScans { .. }
            | Codec::TooComplex { .. }
            | Codec::TooMuchMetadata { .. }
            | Codec::TooScattered { .. }
            | Codec::TooMuchMemory { .. }
            | Codec::TooLargeForFormat { .. } => Some("over a limit"),
            Codec::TimedOut => Some("took too long"),
            Codec::Encode { .. } | Codec::NoDecoder { .. } => Some("not converted"),
        },
        ServiceError::Staging(error) if matches!(**error, StagingError::TooLarge { .. }) => Some("over a limit"),
        ServiceError::Limit(_) | ServiceError::TooLarge { .. } => Some("over a limit"),
        ServiceError::Validation(ValidationError::Refused { .. }) => Some("not validated"),
        ServiceError::TimedOut { .. } | ServiceError::Busy(_) => Some("took too long"),
        ServiceError::Panicked => Some("damaged"),
        ServiceError::NoSuchAlias(_)
        | ServiceError::NoSuchFile(_)
        | ServiceError::WrongToken(_)
        | ServiceError::UnknownFormat { .. }
        | ServiceError::Filter(_)
        | ServiceError::Name(_)
        | ServiceError::Terms(_)
        | ServiceError::Validation(ValidationError::Unanswered { .. })
        | ServiceError::Plan(_)
        | ServiceError::Exec(_)
        | ServiceError::FileMissing(_)
        | ServiceError::Store(_)
        | ServiceError::Staging(_)
        | ServiceError::Repo(_)
        | ServiceError::Fetch(_) => None,
    }
}

/// A path as the list has it: in one cell, and another for another path.
fn cell(path: &Path) -> String {
    let mut cell = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => cell.push_str("\\\\"),
                '\t' => cell.push_str("\\t"),
                '\n' => cell.push_str("\\n"),
                '\r' => cell.push_str("\\r"),
                c => cell.push(c),
            }
        }
        for byte in chunk.invalid() {
            cell.push_str(&format!("\\x{byte:02x}"));
        }
    }
    cell
}

/// The list, to be gone on with, and what stands in it. Who may read it may delete: it is its owner's alone.
fn open(path: &Path) -> Result<(File, HashMap<String, Line>), FolderError> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed("opening", path))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed("reading", path))?;
    let text = String::from_utf8_lossy(&bytes);
    let begin = match &*text {
        "" => HEAD,
        // A line that a power cut has cut: its alias was never given.
        text if !text.ends_with('\n') => "\n",
        _ => "",
    };
    file.write_all(begin.as_bytes()).map_err(failed("writing", path))?;
    let rows: Vec<&str> = text.lines().skip(1).collect();
    let mut lines = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        let mut cells = row.split('\t');
        let (Some(path), Some(alias), Some(token), Some(sha256), None) =
            (cells.next(), cells.next(), cells.next(), cells.next(), cells.next())
        else {
            continue;
        };
        let (alias, token) = (Alias::asked(alias), DeleteToken::presented(token));
        let line = Line { alias, token, sha256: sha256.to_owned(), given: at + BATCH < rows.len() };
        lines.insert(path.to_owned(), line);
    }
    Ok((file, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_a_cell_of_its_own() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
        let cell = |bytes: &[u8]| cell(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(cell(b"/a b/\xc3\xa9.jpg"), "/a b/é.jpg");
        assert_eq!(cell(b"/a\tb\nc\\t"), "/a\\tb\\nc\\\\t");
        assert_eq!(cell(b"/\xff\xfe.jpg"), "/\\xff\\xfe.jpg");
    }

    #[test]
    fn a_list_is_gone_on_with_and_what_is_cut_in_it_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.tsv");
        let (_file, lines) = open(&path).unwrap();
        assert!(lines.is_empty());
        let rows: String = (0..20).map(|row| format!("/{row}\ta{row}.jpg\tt\tffff\n")).collect();
        fs::write(&path, format!("{HEAD}{rows}/20\ta20.j")).unwrap();
        let (mut file, lines) = open(&path).unwrap();
        file.write_all(b"/21\ta21.jpg\tt\tffff\n").unwrap();
        assert_eq!(lines.len(), 20);
        assert!(lines["/0"].given && lines["/4"].given && !lines["/5"].given && !lines["/19"].given);
        let (_file, lines) = open(&path).unwrap();
        assert_eq!((lines.len(), lines["/21"].alias.as_str()), (21, "a21.jpg"));
    }
}
