//! The journal file: what is written reads back, and every flipped bit is seen and placed.

use super::*;
use crate::{
    domain::Hash,
    repo::{RepoError, suite},
};

fn forget(n: u32) -> Change {
    Change::Forget { hash: suite::hash(n) }
}

fn hashes(path: &Path, scan: &Scan) -> Vec<(u64, Vec<Hash>)> {
    let mut found = Vec::new();
    for entry in Entries::open(path, scan).unwrap() {
        if let (sequence, Entry::State(changes) | Entry::Changes(changes)) = entry.unwrap() {
            let hashes = changes.into_iter().map(|change| match change {
                Change::Forget { hash } => hash,
                other @ (Change::Add { .. } | Change::Remove { .. } | Change::Gone(_) | Change::StandIn { .. }) => {
                    panic!("{other:?}")
                }
            });
            found.push((sequence, hashes.collect()));
        }
    }
    found
}

/// A journal with a state of two frames as of change 10, and then changes 11 to 13.
fn written(folder: &Path) -> PathBuf {
    let path = folder.join("journal");
    let state = [Ok::<_, RepoError>(vec![forget(1), forget(2)]), Ok(vec![forget(3)])];
    let mut journal = Journal::create(&path, 10, state).unwrap();
    assert_eq!(journal.append(vec![forget(4)]).unwrap(), 11);
    drop(journal);
    let mut journal = Journal::open(&path, &scan(&path).unwrap().unwrap()).unwrap();
    assert_eq!(journal.append(vec![forget(5), forget(6)]).unwrap(), 12);
    assert_eq!(journal.append(vec![forget(7)]).unwrap(), 13);
    assert_eq!(journal.last(), 13);
    path
}

#[test]
fn what_is_written_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let scan = scan(&path).unwrap().unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    let whole = Scan { base: 10, last: 13, valid_bytes: bytes, file_bytes: bytes, condition: Condition::Whole };
    assert_eq!(scan, whole);
    let expected: Vec<(u64, Vec<Hash>)> =
        [(10, vec![1, 2]), (10, vec![3]), (11, vec![4]), (12, vec![5, 6]), (13, vec![7])]
            .into_iter()
            .map(|(sequence, numbers)| (sequence, numbers.into_iter().map(suite::hash).collect()))
            .collect();
    assert_eq!(hashes(&path, &scan), expected);
    assert!(super::scan(&folder.path().join("absent")).unwrap().is_none());
}

#[test]
fn every_flipped_byte_is_seen_and_placed() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let whole = std::fs::read(&path).unwrap();
    let starts: Vec<usize> =
        whole.windows(4).enumerate().filter(|(_, bytes)| *bytes == frame::MAGIC).map(|(at, _)| at).collect();
    assert_eq!(starts.len(), 7);
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x04;
        std::fs::write(&path, bytes).unwrap();
        let frame_start = starts.iter().rev().find(|start| **start <= at).copied().unwrap() as u64;
        let found = scan(&path).unwrap().unwrap();
        assert_eq!(found.valid_bytes, frame_start, "byte {at}");
        match found.condition {
            Condition::Torn => assert_eq!(frame_start, *starts.last().unwrap() as u64, "byte {at}"),
            Condition::Damaged { offset, highest, .. } => assert_eq!((offset, highest), (frame_start, 13), "byte {at}"),
            Condition::Whole => panic!("byte {at} was not missed"),
        }
    }
}

#[test]
fn every_cut_is_torn_or_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let whole = std::fs::read(&path).unwrap();
    let state_end = hashes(&path, &scan(&path).unwrap().unwrap()).len();
    assert_eq!(state_end, 5);
    let starts: Vec<usize> =
        whole.windows(4).enumerate().filter(|(_, bytes)| *bytes == frame::MAGIC).map(|(at, _)| at).collect();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let found = scan(&path).unwrap().unwrap();
        let expected = if cut < starts[4] {
            "damaged"
        } else if starts.contains(&cut) {
            "whole"
        } else {
            "torn"
        };
        let got = match found.condition {
            Condition::Whole => "whole",
            Condition::Torn => "torn",
            Condition::Damaged { .. } => "damaged",
        };
        assert_eq!(got, expected, "cut at {cut}");
    }
}

#[test]
fn a_missing_or_repeated_frame_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let whole = std::fs::read(&path).unwrap();
    let starts: Vec<usize> =
        whole.windows(4).enumerate().filter(|(_, bytes)| *bytes == frame::MAGIC).map(|(at, _)| at).collect();
    let (eleven, twelve, thirteen) = (starts[4], starts[5], starts[6]);
    for broken in [
        [&whole[..twelve], &whole[thirteen..]].concat(),
        [&whole[..thirteen], &whole[twelve..]].concat(),
        [&whole[..starts[1]], &whole[starts[2]..]].concat(),
        whole[eleven..].to_vec(),
    ] {
        std::fs::write(&path, broken).unwrap();
        let condition = scan(&path).unwrap().unwrap().condition;
        assert!(matches!(condition, Condition::Damaged { highest: 13, .. }), "{condition:?}");
    }
}

#[test]
fn another_versions_journal_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    std::fs::write(&path, frame::encode(0, &Entry::Start { version: 2 }).unwrap()).unwrap();
    let error = scan(&path).unwrap_err().to_string();
    assert!(error.ends_with("it is of version 2, this program reads 1"), "{error}");
}

#[test]
fn a_state_that_fails_half_way_leaves_the_old_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let before = std::fs::read(&path).unwrap();
    let state = [Ok(vec![forget(1)]), Err(RepoError::Stopped)];
    assert!(Journal::create(&path, 20, state).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
