//! Reading a journal: is it whole, and what does it say.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    Entry, JournalError, VERSION, failed,
    frame::{HEADER_BYTES, Header, MAGIC},
};

/// What a look at every frame's checksum and number found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::repo) struct Scan {
    /// The change that the state it starts with was made after.
    pub(in crate::repo) base: u64,
    /// The last change in the good part.
    pub(in crate::repo) last: u64,
    /// Bytes in the good part.
    pub(in crate::repo) valid_bytes: u64,
    /// Bytes in the file.
    pub(in crate::repo) file_bytes: u64,
    /// What follows the good part.
    pub(in crate::repo) condition: Condition,
}

/// Whether a journal can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::repo) enum Condition {
    /// To the last byte.
    Whole,
    /// The last append was cut off; it was never acknowledged.
    Torn,
    /// Something that was once whole is not any more.
    Damaged {
        /// The first byte of the frame that does not read.
        offset: u64,
        /// What is wrong there.
        why: &'static str,
        /// The highest number of any whole frame, behind the damage too.
        highest: u64,
    },
}

/// Looks at the whole journal; `None` when there is none.
///
/// Reads the file once, and what is behind a fault once more.
pub(in crate::repo) fn scan(path: &Path) -> Result<Option<Scan>, JournalError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("opening", path)(error)),
    };
    scan_file(file).map(Some).map_err(failed("reading", path))
}

fn scan_file(file: File) -> io::Result<Scan> {
    let file_bytes = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut payload = Vec::new();
    let mut progress = Progress::Nothing;
    let mut valid_bytes = 0;
    let mut why = None;
    // The number of a frame that is whole but out of place: no crash writes that.
    let mut misplaced = None;
    while valid_bytes < file_bytes {
        let Some(sequence) = next_frame(&mut reader, &mut payload)? else {
            why = Some("the frame does not match its checksum");
            break;
        };
        if matches!(progress, Progress::Nothing)
            && let Ok(Entry::Start { version }) = serde_json::from_slice(&payload)
            && version != VERSION
        {
            // Not damage: another program's journal, which nothing here may replace.
            let message = format!("it is of version {version}, this program reads {VERSION}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        progress = match progress.after(sequence, &payload) {
            Ok(next) => next,
            Err(fault) => {
                why = Some(fault);
                misplaced = Some(sequence);
                break;
            }
        };
        valid_bytes += (HEADER_BYTES + payload.len()) as u64;
    }
    let (base, last) = progress.reached();
    let condition = match (why, &progress) {
        (None, Progress::Changes { .. }) => Condition::Whole,
        // A new journal is renamed into place when it is whole, so a crash cannot explain this.
        (None, Progress::Nothing | Progress::State { .. }) => Condition::Damaged {
            offset: valid_bytes,
            why: "the file ends inside the state it starts with",
            highest: last,
        },
        (Some(why), _) => {
            let later = highest_after(&mut reader, valid_bytes + 1)?.max(misplaced);
            match (later, &progress) {
                (None, Progress::Changes { .. }) => Condition::Torn,
                _ => Condition::Damaged { offset: valid_bytes, why, highest: later.unwrap_or(0).max(last) },
            }
        }
    };
    Ok(Scan { base, last, valid_bytes, file_bytes, condition })
}

/// Where in the file's grammar a reader is.
enum Progress {
    Nothing,
    State { base: u64, frames: u64 },
    Changes { base: u64, last: u64 },
}

impl Progress {
    /// The place after a whole frame with this number.
    fn after(&self, sequence: u64, payload: &[u8]) -> Result<Self, &'static str> {
        match *self {
            Self::Nothing => match serde_json::from_slice(payload) {
                Ok(Entry::Start { .. }) => Ok(Self::State { base: sequence, frames: 0 }),
                Ok(_) | Err(_) => Err("the journal's first frame is missing"),
            },
            Self::State { base, .. } if sequence != base => Err("a frame is missing in the state"),
            // The first words tell: the changes inside are read when they are applied.
            Self::State { base, frames } if payload.starts_with(br#"{"state":"#) => {
                Ok(Self::State { base, frames: frames + 1 })
            }
            Self::State { base, frames } => match serde_json::from_slice(payload) {
                Ok(Entry::StateEnd { frames: written }) if written == frames => Ok(Self::Changes { base, last: base }),
                Ok(_) | Err(_) => Err("the state is not complete"),
            },
            Self::Changes { base, last } if sequence == last + 1 => Ok(Self::Changes { base, last: sequence }),
            Self::Changes { .. } => Err("a frame is missing"),
        }
    }

    fn reached(&self) -> (u64, u64) {
        match *self {
            Self::Nothing => (0, 0),
            Self::State { base, .. } => (base, base),
            Self::Changes { base, last } => (base, last),
        }
    }
}

/// Reads the frame at the reader's place into `payload`: its number, or `None` where there is no whole frame.
fn next_frame(reader: &mut impl Read, payload: &mut Vec<u8>) -> io::Result<Option<u64>> {
    let mut header = [0; HEADER_BYTES];
    match reader.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let Some(header) = Header::read(&header) else { return Ok(None) };
    payload.clear();
    reader.take(u64::from(header.length)).read_to_end(payload)?;
    let whole = payload.len() as u64 == u64::from(header.length) && header.matches(payload);
    Ok(whole.then_some(header.sequence))
}

/// The highest number of any whole frame that starts at `from` or later.
fn highest_after(reader: &mut BufReader<File>, from: u64) -> io::Result<Option<u64>> {
    let mut highest = None;
    let mut payload = Vec::new();
    let mut window = Vec::new();
    let mut start = from;
    loop {
        reader.seek(SeekFrom::Start(start))?;
        window.clear();
        (&mut *reader).take(1 << 20).read_to_end(&mut window)?;
        let Some(found) = window.windows(MAGIC.len()).position(|bytes| bytes == MAGIC) else {
            if window.len() < 1 << 20 {
                return Ok(highest);
            }
            // The magic may lie across the edge.
            start += (window.len() + 1 - MAGIC.len()) as u64;
            continue;
        };
        start += found as u64;
        reader.seek(SeekFrom::Start(start))?;
        match next_frame(reader, &mut payload)? {
            Some(sequence) => {
                highest = highest.max(Some(sequence));
                start += (HEADER_BYTES + payload.len()) as u64;
            }
            None => start += 1,
        }
    }
}

/// The entries of the good part of a journal, with their numbers.
pub(in crate::repo) struct Entries {
    path: PathBuf,
    reader: io::Take<BufReader<File>>,
    payload: Vec<u8>,
}

impl Entries {
    /// The entries of the journal that `scan` looked at.
    pub(in crate::repo) fn open(path: &Path, scan: &Scan) -> Result<Self, JournalError> {
        let file = File::open(path).map_err(failed("opening", path))?;
        let reader = BufReader::with_capacity(1 << 20, file).take(scan.valid_bytes);
        Ok(Self { path: path.to_owned(), reader, payload: Vec::new() })
    }
}

impl Iterator for Entries {
    type Item = Result<(u64, Entry), JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.limit() == 0 {
            return None;
        }
        Some(match next_frame(&mut self.reader, &mut self.payload) {
            Ok(Some(sequence)) => serde_json::from_slice(&self.payload)
                .map(|entry| (sequence, entry))
                .map_err(|error| JournalError::Entry { sequence, cause: error.to_string() }),
            // It read a moment ago.
            Ok(None) => Err(failed("reading", &self.path)(io::ErrorKind::InvalidData.into())),
            Err(error) => Err(failed("reading", &self.path)(error)),
        })
    }
}
