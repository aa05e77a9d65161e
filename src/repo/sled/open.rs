//! Opening: the lock, and what to do with what is found. Journal and index are two copies of one truth; either one
//! restores the other, and nothing is started over while anything is left that might hold a row.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use super::{
    engine,
    index::{Found, Index, find, move_aside},
    now_secs, reserve,
    rows::{self, Pending},
};
use crate::{
    domain::{Alias, Hash},
    repo::{
        RepoError,
        change::Change,
        journal::{Condition, Entries, Entry, Journal, Scan, failed, scan},
        record::{AliasRecord, Garbage, OriginalRecord, decode},
    },
};

/// A journal is rewritten when it is this much longer than what is live in it, in bytes ...
const COMPACT_SLACK_BYTES: u64 = 1024 * 1024;

/// ... and this many times as long. A live row is about one and a half times as long in the journal as in the index.
const COMPACT_FACTOR: u64 = 4;

/// Changes in one frame of a journal's state, and rows in one batch of a rebuild.
const CHUNK: usize = 256;

/// A repo's files, open and agreeing.
pub(super) struct Opened {
    /// Held for as long as the repo is open.
    pub(super) lock: File,
    /// The truth.
    pub(super) journal: Journal,
    /// The index, at the journal's last change.
    pub(super) index: Index,
}

/// What is done with what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The index is at this change; the journal's later ones are done to it.
    Replay { after: u64 },
    /// The index is made anew from the journal.
    Rebuild { why: String },
    /// The journal is made anew from the index.
    Rewrite { why: String },
    /// Both are new.
    Begin,
    /// Neither can be trusted: a person has to look.
    Refuse(String),
}

/// Opens the repo below `data_dir`: `lock`, `journal`, and the index in `meta/`.
pub(super) fn open(data_dir: &Path) -> Result<Opened, RepoError> {
    std::fs::create_dir_all(data_dir).map_err(|error| engine(failed("creating", data_dir)(error)))?;
    let lock = lock(data_dir)?;
    reserve::release_if_needed(data_dir);
    let (journal_path, folder) = (data_dir.join("journal"), data_dir.join("meta"));
    let scan = scan(&journal_path).map_err(engine)?;
    let found = find(&folder)?;
    let step = decide(scan.as_ref(), &found);
    match &step {
        Step::Replay { .. } | Step::Begin => {}
        Step::Rebuild { why } => tracing::warn!(why, "the index is rebuilt from the journal"),
        Step::Rewrite { why } => tracing::warn!(why, "the journal is rewritten from the index"),
        Step::Refuse(why) => return Err(RepoError::Engine(why.clone())),
    }
    let (journal, index) = match (step, scan, found) {
        (Step::Replay { after }, Some(scan), Found::Good(index)) => {
            match replay(index, &journal_path, &scan, after) {
                Ok(index) => resume(&journal_path, &scan, index)?,
                // A row that the index gives and cannot be read, found only now.
                Err(error @ RepoError::Record { .. }) => {
                    tracing::warn!(%error, "the index is rebuilt from the journal");
                    (Journal::open(&journal_path, &scan).map_err(engine)?, rebuild(&folder, &journal_path, &scan)?)
                }
                Err(error) => return Err(error),
            }
        }
        (Step::Rebuild { .. }, Some(scan), found) => {
            // Before its folder moves: sled writes by path.
            drop(found);
            let index = rebuild(&folder, &journal_path, &scan)?;
            (Journal::open(&journal_path, &scan).map_err(engine)?, index)
        }
        (Step::Rewrite { .. }, scan, Found::Good(index)) => {
            if scan.is_some() {
                let aside = move_aside(&journal_path, now_secs())?;
                tracing::warn!(aside = %aside.display(), "the old journal is kept");
            }
            (rewrite(&journal_path, &index)?, index)
        }
        (Step::Begin, _, _) => {
            // The journal first: a folder without a journal is then never a crash of ours.
            let journal = Journal::create(&journal_path, 0, std::iter::empty::<Result<_, RepoError>>())?;
            let scan = scan_again(&journal_path)?;
            (journal, rebuild(&folder, &journal_path, &scan)?)
        }
        (Step::Replay { .. } | Step::Rebuild { .. } | Step::Rewrite { .. } | Step::Refuse(_), _, _) => {
            return Err(RepoError::Engine("the step does not fit what was found".to_owned()));
        }
    };
    reserve::hold(data_dir);
    Ok(Opened { lock, journal, index })
}

fn scan_again(path: &Path) -> Result<Scan, RepoError> {
    scan(path).map_err(engine)?.ok_or_else(|| RepoError::Engine("the journal has just vanished".to_owned()))
}

/// The one lock of a data directory. The kernel lets go of it when the process ends, however it ends.
fn lock(data_dir: &Path) -> Result<File, RepoError> {
    let path = data_dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| engine(failed("opening", &path)(error)))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(RepoError::Engine(format!("{} is in use by another process", data_dir.display())))
        }
        Err(TryLockError::Error(error)) => Err(engine(failed("locking", &path)(error))),
    }
}

fn decide(scan: Option<&Scan>, found: &Found) -> Step {
    let applied = match found {
        Found::Good(index) => Ok(index.applied()),
        Found::Nothing => Err(None),
        Found::Damaged(why) => Err(Some(why.as_str())),
    };
    decide_by_numbers(scan, applied)
}

/// `index`: the last change in a good index; else what is wrong with it, `None` when there is no index.
fn decide_by_numbers(scan: Option<&Scan>, index: Result<u64, Option<&str>>) -> Step {
    let Some(scan) = scan else {
        return match index {
            Ok(_) => Step::Rewrite { why: "there is no journal".to_owned() },
            Err(None) => Step::Begin,
            Err(Some(why)) => Step::Refuse(format!("the index is damaged ({why}) and there is no journal")),
        };
    };
    match (&scan.condition, index) {
        (Condition::Whole | Condition::Torn, Ok(applied)) if applied > scan.last => {
            Step::Rewrite { why: format!("the journal ends at change {}, the index is at {applied}", scan.last) }
        }
        (Condition::Whole | Condition::Torn, Ok(applied)) if applied < scan.base => {
            Step::Rebuild { why: format!("the journal begins at change {}, the index is at {applied}", scan.base) }
        }
        (Condition::Whole | Condition::Torn, Ok(after)) => Step::Replay { after },
        (Condition::Whole | Condition::Torn, Err(why)) => {
            Step::Rebuild { why: why.unwrap_or("there is no index").to_owned() }
        }
        (Condition::Damaged { offset, why, highest }, index) => match index {
            Ok(applied) if applied >= *highest => {
                Step::Rewrite { why: format!("the journal is damaged at byte {offset}: {why}") }
            }
            Ok(applied) => Step::Refuse(format!(
                "the journal is damaged at byte {offset}: {why}; and the index is at change {applied} of {highest}"
            )),
            Err(index) => Step::Refuse(format!(
                "the journal is damaged at byte {offset}: {why}; and the index is {}",
                index.map_or_else(|| "not there".to_owned(), |why| format!("damaged, too: {why}"))
            )),
        },
    }
}

/// Does the journal's changes after `after` to `index`, durably.
fn replay(mut index: Index, path: &Path, scan: &Scan, after: u64) -> Result<Index, RepoError> {
    if after == scan.last {
        return Ok(index);
    }
    tracing::info!(from = after + 1, to = scan.last, "the index catches up with the journal");
    for entry in Entries::open(path, scan).map_err(engine)? {
        if let (sequence, Entry::Changes(changes)) = entry.map_err(engine)?
            && sequence > after
        {
            apply(&mut index, &changes, Some(sequence))?;
        }
    }
    index.sync()?;
    Ok(index)
}

fn apply(index: &mut Index, changes: &[Change], applied: Option<u64>) -> Result<(), RepoError> {
    let mut pending = Pending::new(index.db());
    for change in changes {
        pending.apply(change)?;
    }
    let writes = pending.into_writes();
    index.commit(writes, applied)
}

/// A new index from the whole journal. What was there is moved aside. Without its mark, which comes last, an
/// index that was not finished counts as damaged.
fn rebuild(folder: &Path, path: &Path, scan: &Scan) -> Result<Index, RepoError> {
    if folder.try_exists().map_err(|error| engine(failed("reading", folder)(error)))? {
        let aside = move_aside(folder, now_secs())?;
        tracing::warn!(aside = %aside.display(), "the old index is kept");
    }
    let mut index = Index::create(folder)?;
    let mut waiting = Vec::new();
    for entry in Entries::open(path, scan).map_err(engine)? {
        if let (_, Entry::State(changes) | Entry::Changes(changes)) = entry.map_err(engine)? {
            waiting.extend(changes);
        }
        if waiting.len() >= CHUNK {
            apply(&mut index, &waiting, None)?;
            waiting.clear();
        }
    }
    apply(&mut index, &waiting, None)?;
    // All of it first, then the mark that says so.
    index.sync()?;
    apply(&mut index, &[], Some(scan.last))?;
    index.sync()?;
    index.sync_folders(folder)?;
    Ok(index)
}

/// The journal for appending, made shorter first if most of it is about what is gone.
fn resume(path: &Path, scan: &Scan, index: Index) -> Result<(Journal, Index), RepoError> {
    if scan.valid_bytes < COMPACT_SLACK_BYTES + COMPACT_FACTOR * index.live_bytes {
        return Ok((Journal::open(path, scan).map_err(engine)?, index));
    }
    let journal = rewrite(path, &index)?;
    tracing::info!(from_bytes = scan.valid_bytes, "the journal was rewritten without what is gone");
    Ok((journal, index))
}

/// A new journal, in place of the one there, that starts with what the index holds.
fn rewrite(path: &Path, index: &Index) -> Result<Journal, RepoError> {
    let tree = index.db();
    let originals = tree.scan_prefix(rows::ORIGINALS).flat_map(|row| {
        let aliases = row.map_err(engine).and_then(|(key, value)| {
            let hash = rows::read_hash(key.get(1..).unwrap_or_default())?;
            Ok(alias_changes(tree, hash, decode("originals", &value)?))
        });
        let (aliases, error) = match aliases {
            Ok(aliases) => (Some(aliases), None),
            Err(error) => (None, Some(Err(error))),
        };
        aliases.into_iter().flatten().chain(error)
    });
    let garbage = tree.scan_prefix(rows::GARBAGE).map(|row| {
        let (_, value) = row.map_err(engine)?;
        Ok(Change::Gone(decode::<Garbage>("garbage", &value)?))
    });
    let stand_in = tree.get(rows::STAND_IN).map_err(engine)?;
    let stand_in = stand_in.map(|alias| Ok(Change::StandIn { alias: Some(rows::read_alias(&alias)?) }));
    let mut changes = originals.chain(garbage).chain(stand_in).peekable();
    let chunks = std::iter::from_fn(|| {
        changes.peek()?;
        Some(changes.by_ref().take(CHUNK).collect::<Result<Vec<Change>, RepoError>>())
    });
    Journal::create(path, index.applied(), chunks)
}

/// The changes that make an original and its aliases, in the order these were added.
fn alias_changes(
    tree: &sled::Tree,
    hash: Hash,
    original: OriginalRecord,
) -> impl Iterator<Item = Result<Change, RepoError>> + use<'_> {
    let mut original = Some(original);
    tree.scan_prefix(rows::order_prefix(&hash)).map(move |row| {
        let (_, value) = row.map_err(engine)?;
        let alias: Alias = rows::read_alias(&value)?;
        let record = tree.get(rows::alias_key(&alias)).map_err(engine)?;
        let record: AliasRecord = decode("aliases", &record.unwrap_or_default())?;
        Ok(Change::Add { record: record.hashed(&alias), alias, original: original.take() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal with changes 5 to 9 behind its state.
    fn scanned(condition: Condition) -> Scan {
        Scan { base: 4, last: 9, valid_bytes: 100, file_bytes: 100, condition }
    }

    fn step(condition: Condition, index: Result<u64, Option<&str>>) -> &'static str {
        named(&decide_by_numbers(Some(&scanned(condition)), index))
    }

    fn named(step: &Step) -> &'static str {
        match step {
            Step::Replay { .. } => "replay",
            Step::Rebuild { .. } => "rebuild",
            Step::Rewrite { .. } => "rewrite",
            Step::Begin => "begin",
            Step::Refuse(_) => "refuse",
        }
    }

    #[test]
    fn every_pair_of_findings_has_its_step() {
        for condition in [Condition::Whole, Condition::Torn] {
            for (index, expected) in [
                (Ok(9), "replay"),
                (Ok(4), "replay"),
                (Ok(3), "rebuild"),
                (Ok(10), "rewrite"),
                (Err(None), "rebuild"),
                (Err(Some("noise")), "rebuild"),
            ] {
                assert_eq!(step(condition.clone(), index), expected, "{condition:?} {index:?}");
            }
        }
        // Whole frames up to 12 were seen, some of them behind the damage.
        for (index, expected) in [
            (Ok(12), "rewrite"),
            (Ok(13), "rewrite"),
            (Ok(11), "refuse"),
            (Err(None), "refuse"),
            (Err(Some("noise")), "refuse"),
        ] {
            let damaged = Condition::Damaged { offset: 100, why: "noise", highest: 12 };
            assert_eq!(step(damaged, index), expected, "{index:?}");
        }
        for (index, expected) in [(Ok(0), "rewrite"), (Err(None), "begin"), (Err(Some("noise")), "refuse")] {
            assert_eq!(named(&decide_by_numbers(None, index)), expected, "{index:?}");
        }
    }
}
