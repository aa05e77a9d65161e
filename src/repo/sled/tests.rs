//! The sled repo: the suite, against a model, group commit, failure, and every kind of damage.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

use proptest::prelude::*;

use super::*;
use crate::domain::KeptToken;
use crate::repo::{
    MemoryRepo,
    change::Change,
    journal::{Condition, scan},
    suite,
};

mod damage;

/// A data directory; opening it blocks, which a test may.
pub(super) struct Home(tempfile::TempDir);

impl Home {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    pub(super) fn open(&self) -> SledRepo {
        SledRepo::open(&self.data()).unwrap()
    }

    /// Files and folders put aside so far.
    pub(super) fn aside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains(".damaged-")).collect()
    }
}

#[tokio::test]
async fn passes_the_suite() {
    let home = Home::new();
    suite::passes(&home.open()).await;
}

/// The small world of the model test, as both repos answer for it.
async fn dump(repo: &dyn Repo) -> String {
    let mut text = String::new();
    for n in 0..4 {
        let hash = suite::hash(n);
        text += &format!("{n}: {:?} {:?}", repo.original(&hash).await.unwrap(), repo.aliases_of(&hash).await.unwrap());
        text += &format!(" {:?}", repo.uploaded(&suite::upload(n)).await.unwrap());
        for side in 0..2 {
            text += &format!(" {:?}", repo.variant(&hash, &suite::variant_key(side + 1)).await.unwrap());
        }
    }
    for name in 0..6 {
        text += &format!("\n{name}: {:?}", repo.alias(&Alias::asked(&name.to_string())).await.unwrap().map(|a| a.hash));
    }
    for from in 0..2 {
        text += &format!("\nfrom {from}: {:?}", repo.remote(&suite::url(from)).await.unwrap());
    }
    text += &format!("\nin place: {:?}", repo.stand_in().await.unwrap());
    let garbage = repo.garbage(None, 10).await.unwrap();
    text + &format!("\n{:?}", garbage.iter().map(|piece| (piece.hash, piece.format)).collect::<Vec<_>>())
}

#[derive(Clone, Debug)]
enum Op {
    Add(Vec<(u32, u32)>),
    Remove(u32),
    Purge(u32),
    AddVariant(u32, u32),
    RemoveVariant(u32, u32),
    Forget(u32),
    StandIn(Option<u32>),
    Reopen,
    Rebuild,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => prop::collection::vec((0..6_u32, 0..4_u32), 1..4).prop_map(Op::Add),
        4 => (0..6_u32).prop_map(Op::Remove),
        1 => (0..4_u32).prop_map(Op::Purge),
        3 => (0..4_u32, 1..3_u32).prop_map(|(n, side)| Op::AddVariant(n, side)),
        1 => (0..4_u32, 1..3_u32).prop_map(|(n, side)| Op::RemoveVariant(n, side)),
        1 => (0..4_u32).prop_map(Op::Forget),
        1 => prop::option::of(0..6_u32).prop_map(Op::StandIn),
        1 => Just(Op::Reopen),
        1 => Just(Op::Rebuild),
    ];
    prop::collection::vec(op, 1..40)
}

/// Does `op` and says what it answered.
async fn act(repo: &dyn Repo, op: &Op) -> String {
    match op {
        Op::Add(batch) => {
            // Two of the names are of remote pictures.
            let new = |(name, n): &(u32, u32)| match *name {
                4 | 5 => suite::remote(&name.to_string(), *n, u8::from(*name == 5)),
                _ => suite::new(&name.to_string(), *n),
            };
            let batch = batch.iter().map(new).collect();
            format!("{:?}", repo.add_aliases(batch).await)
        }
        Op::Remove(name) => {
            let name = name.to_string();
            format!("{:?}", repo.remove_alias(&Alias::asked(&name), &suite::token(&name)).await)
        }
        Op::Purge(n) => format!("{:?}", repo.purge(&suite::hash(*n)).await),
        Op::AddVariant(n, side) => {
            let key = suite::variant_key(*side);
            format!("{:?}", repo.add_variant(&suite::hash(*n), &key, suite::variant(*side)).await)
        }
        Op::RemoveVariant(n, side) => {
            format!("{:?}", repo.remove_variants(vec![(suite::hash(*n), suite::variant_key(*side))]).await)
        }
        Op::Forget(n) => format!("{:?}", repo.forget_garbage(vec![suite::hash(*n)]).await),
        Op::StandIn(name) => {
            format!("{:?}", repo.set_stand_in(name.map(|name| Alias::asked(&name.to_string()))).await)
        }
        Op::Reopen | Op::Rebuild => String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_and_holds_what_the_memory_repo_does(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let home = Home::new();
            let model = MemoryRepo::new();
            let mut repo = Some(home.open());
            for op in &ops {
                if matches!(op, Op::Reopen | Op::Rebuild) {
                    repo = None;
                    if matches!(op, Op::Rebuild) {
                        fs::remove_dir_all(home.data().join("meta")).unwrap();
                        // The one thing a rebuild loses: variants, which are derived.
                        for (n, side) in (0..4).flat_map(|n| [(n, 1), (n, 2)]) {
                            model.remove_variants(vec![(suite::hash(n), suite::variant_key(side))]).await.unwrap();
                        }
                    }
                }
                let repo = repo.get_or_insert_with(|| home.open());
                assert_eq!(act(repo, op).await, act(&model, op).await, "{op:?}");
                assert_eq!(dump(repo).await, dump(&model).await, "after {op:?}");
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_share_their_syncs() {
    let home = Home::new();
    let repo = Arc::new(home.open());
    let (tasks, each) = (64_u32, 40_u32);
    let start = Instant::now();
    let handles: Vec<_> = (0..tasks)
        .map(|task| {
            let repo = Arc::clone(&repo);
            tokio::spawn(async move {
                for i in 0..each {
                    let n = task * each + i;
                    repo.add_aliases(vec![suite::new(&format!("{n}.png"), n)]).await.unwrap();
                }
            })
        })
        .collect();
    for handle in handles {
        handle.await.unwrap();
    }
    let (stats, seconds) = (repo.stats(), start.elapsed().as_secs_f64());
    println!("{stats:?}: {:.0} commits/s with {tasks} tasks", f64::from(tasks * each) / seconds);
    assert_eq!(stats.requests, u64::from(tasks * each));
    // 64 wait at a time, so a group may have 64; a quarter of that leaves room for a loaded machine.
    assert!(stats.journal_syncs * 16 <= stats.requests, "{stats:?}");
    assert!(stats.log_syncs * 16 <= stats.requests, "{stats:?}");
    drop(repo);
    // The control: one after the other, each has its own.
    let repo = home.open();
    for n in 0..5 {
        repo.add_aliases(vec![suite::new(&format!("alone {n}"), n)]).await.unwrap();
    }
    let expected = Stats { requests: 5, groups: 5, journal_syncs: 5, log_syncs: 5 };
    assert_eq!(repo.stats(), expected);
}

#[tokio::test]
async fn variants_are_added_without_a_sync_and_removed_with_one() {
    let home = Home::new();
    let repo = home.open();
    repo.add_aliases(vec![suite::new("a.png", 1)]).await.unwrap();
    let before = repo.stats().log_syncs;
    for side in 1..=5 {
        assert!(repo.add_variant(&suite::hash(1), &suite::variant_key(side), suite::variant(side)).await.unwrap());
        repo.use_variants(vec![(suite::hash(1), suite::variant_key(side), u64::MAX)]).await.unwrap();
    }
    assert_eq!(repo.stats().log_syncs, before);
    repo.remove_variants(vec![(suite::hash(1), suite::variant_key(1))]).await.unwrap();
    assert_eq!(repo.stats().log_syncs, before + 1, "its file goes next");
    for side in 0..200 {
        repo.add_variant(&suite::hash(1), &suite::variant_key(side), suite::variant(side)).await.unwrap();
    }
    assert_eq!(repo.stats().log_syncs, before + 4, "once in 64 groups");
    repo.close().await.unwrap();
    assert_eq!(repo.stats().log_syncs, before + 5, "the last eight");
    assert_eq!(repo.stats().journal_syncs, 1, "variants do not stand in it");
    drop(repo);
    assert_eq!(home.open().variants_of(&suite::hash(1)).await.unwrap().len(), 200);
}

#[tokio::test]
async fn one_group_sees_its_own_changes() {
    let home = Home::new();
    let repo = Arc::new(home.open());
    // All are sent before the first is waited for; whatever groups they fall into, one wins.
    let adds = (0..32).map(|n| {
        let repo = Arc::clone(&repo);
        async move { repo.add_aliases(vec![suite::new("same.png", n)]).await }
    });
    let results = futures_util::future::join_all(adds).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(repo.stats().groups < 32, "{:?}", repo.stats());
    let winner = u32::try_from(results.iter().position(Result::is_ok).unwrap()).unwrap();
    assert_eq!(repo.alias(&Alias::asked("same.png")).await.unwrap().unwrap().hash, suite::hash(winner));
    for n in (0..32).filter(|n| *n != winner) {
        assert_eq!(repo.original(&suite::hash(n)).await.unwrap(), None, "{n}");
    }
    let removals = (0..8).map(|_| {
        let repo = Arc::clone(&repo);
        async move { repo.remove_alias(&Alias::asked("same.png"), &suite::token("same.png")).await.unwrap() }
    });
    let removals = futures_util::future::join_all(removals).await;
    assert_eq!(removals.iter().filter(|r| **r == Removal::OriginalGone(suite::hash(winner))).count(), 1);
    assert_eq!(removals.iter().filter(|r| **r == Removal::NoSuchAlias).count(), 7);
}

#[tokio::test]
async fn a_second_process_is_told_why_it_may_not() {
    let home = Home::new();
    let repo = home.open();
    let error = SledRepo::open(&home.data()).unwrap_err();
    let said = format!("the metadata store failed: {} is in use by another process", home.data().display());
    assert_eq!(error.to_string(), said);
    drop(repo);
    drop(home.open());
    assert!(home.aside().is_empty());
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_acknowledged_any_more() {
    let home = Home::new();
    drop(home.open());
    // A repo whose journal is on a disk that takes no more.
    let open::Opened { lock, mut journal, index } = open::open(&home.data()).unwrap();
    let db = index.db().clone();
    let shared = Arc::new(Shared::default());
    let (sender, receiver) = mpsc::channel(QUEUE);
    journal.break_file();
    let writer = Writer::new(journal, index, receiver, Arc::clone(&shared));
    let thread = std::thread::Builder::new().spawn(move || writer.run()).unwrap();
    let repo = SledRepo { db, shared, sender: Some(sender), writer: Mutex::new(None), _lock: lock };
    assert!(repo.is_ready());
    let error = repo.add_aliases(vec![suite::new("lost.png", 1)]).await.unwrap_err();
    assert!(matches!(&error, RepoError::Engine(message) if message.starts_with("writing ")), "{error}");
    assert!(!repo.is_ready());
    thread.join().unwrap();
    assert!(matches!(repo.add_aliases(vec![suite::new("late.png", 1)]).await, Err(RepoError::Stopped)));
    assert!(matches!(repo.alias(&Alias::asked("lost.png")).await, Err(RepoError::Stopped)));
    assert!(matches!(repo.close().await, Err(RepoError::Stopped)));
    drop(repo);
    let repo = home.open();
    assert!(repo.alias(&Alias::asked("lost.png")).await.unwrap().is_none());
    repo.add_aliases(vec![suite::new("kept.png", 1)]).await.unwrap();
}

#[tokio::test]
async fn a_crash_between_journal_and_index_loses_nothing() {
    let home = Home::new();
    home.open().add_aliases(vec![suite::new("one.png", 1)]).await.unwrap();
    {
        let mut opened = open::open(&home.data()).unwrap();
        let token = KeptToken::DeleteToken(suite::token("two.png"));
        let record = AliasRecord { hash: suite::hash(2), token, sequence: 0, remote: None };
        let add = Change::Add { alias: Alias::asked("two.png"), record, original: Some(suite::original(2)) };
        opened.journal.append(vec![add]).unwrap();
        let gone = Garbage { hash: suite::hash(1), format: crate::domain::Format::Png, since_secs: 7 };
        opened.journal.append(vec![Change::Gone(gone)]).unwrap();
    }
    let repo = home.open();
    assert_eq!(repo.aliases_of(&suite::hash(2)).await.unwrap(), [Alias::asked("two.png")]);
    assert!(repo.alias(&Alias::asked("one.png")).await.unwrap().is_none());
    let record = repo.alias(&Alias::asked("two.png")).await.unwrap().unwrap();
    assert!(matches!(record.token, KeptToken::TokenSha256(_)), "a token that was kept as it is stays so: {record:?}");
    assert!(record.token.matches(&Alias::asked("two.png"), &suite::token("two.png")));
    assert_eq!(repo.garbage(None, 10).await.unwrap()[0].since_secs, 7);
    repo.add_aliases(vec![suite::new("three.png", 3)]).await.unwrap();
    drop(repo);
    assert_eq!(home.open().aliases_of(&suite::hash(3)).await.unwrap().len(), 1);
    assert!(home.aside().is_empty(), "a crash is no damage");
}

#[tokio::test]
async fn a_torn_end_of_the_journal_is_cut_off() {
    let home = Home::new();
    home.open().add_aliases(vec![suite::new("one.png", 1)]).await.unwrap();
    let path = home.data().join("journal");
    let whole = fs::read(&path).unwrap();
    let start = scan(&path).unwrap().unwrap();
    assert_eq!((start.condition, start.last), (Condition::Whole, 1));
    // Every way the next frame can be cut off: here that of the first change, copied.
    let empty = whole.windows(4).enumerate().filter(|(_, bytes)| *bytes == [0xff, b'g', b'l', b'j']).map(|(at, _)| at);
    let last_frame = whole[empty.max().unwrap()..].to_vec();
    for cut in [1, 3, 4, 12, 19, 20, 21, last_frame.len() / 2, last_frame.len() - 1] {
        fs::write(&path, [&whole, &last_frame[..cut]].concat()).unwrap();
        assert_eq!(scan(&path).unwrap().unwrap().condition, Condition::Torn, "{cut}");
        let repo = home.open();
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert!(repo.alias(&Alias::asked("one.png")).await.unwrap().is_some());
    }
    // Zeros, as some file systems leave them.
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&[0; 5000]).unwrap();
    home.open().add_aliases(vec![suite::new("two.png", 2)]).await.unwrap();
    assert_eq!(scan(&path).unwrap().unwrap().condition, Condition::Whole);
    assert_eq!(home.open().aliases_of(&suite::hash(2)).await.unwrap().len(), 1);
    assert!(home.aside().is_empty());
}

#[tokio::test]
async fn a_journal_of_things_gone_is_made_short() {
    let home = Home::new();
    let path = home.data().join("journal");
    {
        let repo = home.open();
        let stay: Vec<_> = (0..600).map(|n| suite::new(&format!("stay {n}"), n / 2)).collect();
        repo.add_aliases(stay).await.unwrap();
        repo.add_aliases(vec![suite::new("garbage", 999)]).await.unwrap();
        repo.purge(&suite::hash(999)).await.unwrap().unwrap();
        assert!(repo.add_variant(&suite::hash(1), &suite::variant_key(64), suite::variant(1)).await.unwrap());
        for round in 0..40 {
            let go = (0..100).map(|n| suite::new(&format!("{round} {n} {}", "go".repeat(100)), 1000)).collect();
            repo.add_aliases(go).await.unwrap();
            repo.purge(&suite::hash(1000)).await.unwrap().unwrap();
            repo.forget_garbage(vec![suite::hash(1000)]).await.unwrap();
        }
    }
    let long = fs::metadata(&path).unwrap().len();
    assert!(long > COMPACTED_BELOW, "{long}");
    for round in 0..3 {
        if round == 2 {
            // What the short journal holds is all of it.
            fs::remove_dir_all(home.data().join("meta")).unwrap();
        }
        let repo = home.open();
        let short = fs::metadata(&path).unwrap().len();
        assert!(short < COMPACTED_BELOW, "{short} of {long}");
        for n in 0..300 {
            let aliases = repo.aliases_of(&suite::hash(n)).await.unwrap();
            assert_eq!(aliases, [2 * n, 2 * n + 1].map(|n| Alias::asked(&format!("stay {n}"))));
            assert_eq!(repo.uploaded(&suite::upload(n)).await.unwrap(), Some(suite::hash(n)));
        }
        assert_eq!(repo.garbage(None, 10).await.unwrap().len(), 1);
        let variant = repo.variant(&suite::hash(1), &suite::variant_key(64)).await.unwrap();
        assert_eq!(variant.is_some(), round < 2);
        repo.add_aliases(vec![suite::new(&format!("round {round}"), 5000 + round)]).await.unwrap();
    }
}

/// Between the sizes of the test above before and after, in bytes.
const COMPACTED_BELOW: u64 = 600_000;
