//! Kills a writing process with SIGKILL, again and again, and looks for what it had been told is safe.
//!
//! `ROUNDS=200 cargo test --test durability -- --nocapture` runs longer and prints the counts.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{BuildHasher as _, RandomState},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use glimt::{
    domain::{Alias, DeleteToken, Details, Filter, Format, Hash, OutputFormat, Variant},
    repo::{NewAlias, OriginalRecord, Removal, Repo as _, SledRepo, UploadKey, VariantRecord},
};

/// Where the child finds its data directory, and the name of its round.
const FOLDER: &str = "GLIMT_TEST_KILLED_FOLDER";
const ROUND: &str = "GLIMT_TEST_KILLED_ROUND";

const WRITERS: u32 = 8;

fn hash(text: &str) -> Hash {
    // Any spread will do, as long as both processes agree: FNV-1a, four times over.
    let mut bytes = [0; 32];
    for (i, part) in bytes.chunks_exact_mut(8).enumerate() {
        let seed = 0xcbf2_9ce4_8422_2325_u64.wrapping_add(i as u64);
        let sum = text.bytes().fold(seed, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        part.copy_from_slice(&sum.to_be_bytes());
    }
    Hash::from_bytes(bytes)
}

fn token(alias: &str) -> DeleteToken {
    DeleteToken::presented(&format!("t{alias}"))
}

/// Two aliases of one writer share an original: `r-w-6` and `r-w-7` name `r-w-3`'s.
fn original_of(alias: &str) -> String {
    let (front, number) = alias.rsplit_once('-').unwrap();
    format!("{front}-{}", number.parse::<u32>().unwrap() / 2)
}

fn new(alias: &str) -> NewAlias {
    let name = original_of(alias);
    let details = Details { width: 1, height: 1, format: Format::Jpg, frames: 1 };
    let upload = UploadKey(hash(&format!("upload {name}")));
    let original = OriginalRecord { details, size_bytes: 1, created_secs: 1, upload };
    let token = token(alias).kept(&Alias::asked(alias));
    NewAlias { alias: Alias::asked(alias), token, hash: hash(&name), original, remote: None }
}

/// One line in one write: lines of several threads do not mix, and a kill cuts none.
fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The child: writes until it is killed. It says `try` before and `did` after each change.
#[test]
#[ignore = "the child process of the test below, which runs it"]
fn child() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let round = std::env::var(ROUND).unwrap();
    let repo = Arc::new(SledRepo::open(&folder).unwrap());
    say("open");
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (repo, name) = (Arc::clone(&repo), format!("{round}-{writer}"));
            std::thread::Builder::new().spawn(move || write_for_ever(&repo, &name)).unwrap()
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
}

fn write_for_ever(repo: &SledRepo, name: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let variant = Variant::new(&[Filter::Thumbnail(64)], OutputFormat::Webp).unwrap().key();
    runtime.block_on(async {
        for number in 0_u32.. {
            let alias = format!("{name}-{number}");
            say(&format!("try add {alias}"));
            repo.add_aliases(vec![new(&alias)]).await.unwrap();
            say(&format!("did add {alias}"));
            if number % 5 == 1 {
                let record = VariantRecord { etag: hash(&alias), size_bytes: 1, created_secs: 1 };
                let _there = repo.add_variant(&hash(&original_of(&alias)), &variant, record).await.unwrap();
            }
            if number % 3 == 2 {
                let old = format!("{name}-{}", number - 2);
                say(&format!("try remove {old}"));
                let removal = repo.remove_alias(&Alias::asked(&old), &token(&old)).await.unwrap();
                assert!(matches!(removal, Removal::AliasGone | Removal::OriginalGone(_)), "{old}: {removal:?}");
                say(&format!("did remove {old}"));
            }
        }
    });
}

/// What the parent knows of one alias.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    added: bool,
    remove_tried: bool,
    removed: bool,
}

#[derive(Debug, Default)]
struct Counts {
    acknowledged: usize,
    lost: Vec<String>,
}

/// Runs one child for a while, kills it, and adds what it said to `known`.
fn run_and_kill(folder: &Path, round: u64, known: &mut BTreeMap<String, Known>) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = lines.next().expect("the child opens the repo").unwrap();
        if line == "open" {
            break;
        }
    }
    let reader = std::thread::Builder::new().spawn(move || lines.map(Result::unwrap).collect::<Vec<_>>()).unwrap();
    let random = RandomState::new().hash_one(round);
    std::thread::sleep(Duration::from_millis(20 + random % 300));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut acknowledged = 0;
    for line in reader.join().unwrap() {
        let words: Vec<&str> = line.split(' ').collect();
        let [stage, verb, alias] = words[..] else { panic!("the child failed: {line}") };
        let entry = known.entry(alias.to_owned()).or_default();
        match (stage, verb) {
            ("try", "add") => {}
            ("did", "add") => entry.added = true,
            ("try", "remove") => entry.remove_tried = true,
            ("did", "remove") => entry.removed = true,
            _ => panic!("the child failed: {line}"),
        }
        acknowledged += usize::from(stage == "did");
    }
    acknowledged
}

/// What is not as the child was told, in words.
async fn lost(repo: &SledRepo, known: &BTreeMap<String, Known>) -> Vec<String> {
    let mut lost = Vec::new();
    let mut originals = BTreeSet::new();
    for (alias, known) in known {
        let there = repo.alias(&Alias::asked(alias)).await.unwrap();
        if known.added && !known.remove_tried && there.is_none() {
            lost.push(format!("{alias} was added and is gone"));
        }
        if known.removed && there.is_some() {
            lost.push(format!("{alias} was removed and is back"));
        }
        if let Some(record) = there {
            if !record.token.matches(&Alias::asked(alias), &token(alias)) || record.hash != hash(&original_of(alias)) {
                lost.push(format!("{alias} is another"));
            }
            if !repo.aliases_of(&record.hash).await.unwrap().contains(&Alias::asked(alias)) {
                lost.push(format!("{alias} is not among its original's"));
            }
        }
        originals.insert(original_of(alias));
    }
    // No half transaction: an original is there exactly when it has aliases, its upload row with it.
    for name in originals {
        let hash = hash(&name);
        let aliases = repo.aliases_of(&hash).await.unwrap();
        let original = repo.original(&hash).await.unwrap();
        if original.is_some() == aliases.is_empty() {
            lost.push(format!("original {name} is {original:?} with {aliases:?}"));
        }
        let upload = UploadKey(self::hash(&format!("upload {name}")));
        if repo.uploaded(&upload).await.unwrap().is_some() == aliases.is_empty() {
            lost.push(format!("the upload of {name} does not fit {aliases:?}"));
        }
        for alias in &aliases {
            if repo.alias(alias).await.unwrap().is_none() {
                lost.push(format!("{alias} is listed and is no alias"));
            }
        }
    }
    lost
}

#[tokio::test]
async fn kill_9_loses_nothing_that_was_acknowledged() {
    let rounds: u64 = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(6);
    // On the disk of the build, not in memory as /tmp may be.
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let folder = home.path().join("data");
    let (mut known, mut counts) = (BTreeMap::new(), Counts::default());
    for round in 0..rounds {
        counts.acknowledged += run_and_kill(&folder, round, &mut known);
        // Every third time the index goes, too, and comes back from the journal alone.
        if round % 3 == 2 {
            fs::remove_dir_all(folder.join("meta")).unwrap();
        }
        let repo = SledRepo::open(&folder).unwrap();
        counts.lost.extend(lost(&repo, &known).await);
        repo.close().await.unwrap();
        assert!(counts.lost.is_empty(), "round {round}: {:#?}", counts.lost);
    }
    println!("{rounds} kills: {} changes acknowledged, {} lost", counts.acknowledged, counts.lost.len());
    assert!(counts.acknowledged > 100, "{counts:?}: too few to show anything");
    // The control: the check does see a lost and a returned alias.
    let repo = SledRepo::open(&folder).unwrap();
    let (kept, _) = known.iter().find(|(_, known)| known.added && !known.remove_tried).unwrap();
    repo.remove_alias(&Alias::asked(kept), &token(kept)).await.unwrap();
    assert_eq!(lost(&repo, &known).await.len(), 1);
    let (removed, _) = known.iter().find(|(_, known)| known.removed).unwrap();
    repo.add_aliases(vec![new(removed)]).await.unwrap();
    assert_eq!(lost(&repo, &known).await.len(), 2);
}
