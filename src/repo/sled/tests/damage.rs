//! Damage to either of the two copies: the other one restores it. Damage to both: nothing is touched.

use super::*;

/// `ROUNDS` from the environment, for a long run.
fn rounds(default: u64) -> u64 {
    std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

/// A small generator (SplitMix64): every round is told by its number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % below as u64).unwrap()
    }
}

const ORIGINALS: u32 = 200;

/// Whether the first alias of `n` is that of a remote picture.
const fn is_remote(n: u32) -> bool {
    n.is_multiple_of(5)
}

/// Several sessions' work: the aliases of `n` are `n a` and, unless `n` is a multiple of 3, `n b`; multiples of 7 are
/// purged.
async fn fill(home: &Home) {
    for session in 0..3 {
        let repo = home.open();
        let adds = (0..ORIGINALS).filter(|n| n % 3 == session).map(|n| {
            let first = format!("{n} a");
            let first =
                if is_remote(n) { suite::remote(&first, n, u8::try_from(n).unwrap()) } else { suite::new(&first, n) };
            let batch = vec![first, suite::new(&format!("{n} b"), n)];
            repo.add_aliases(batch)
        });
        repo.set_stand_in(Some(Alias::asked(&format!("{session} a")))).await.unwrap();
        for result in futures_util::future::join_all(adds).await {
            result.unwrap();
        }
        for n in (0..ORIGINALS).filter(|n| n % 3 == session) {
            if n % 3 == 0 {
                let alias = format!("{n} b");
                repo.remove_alias(&Alias::asked(&alias), &suite::token(&alias)).await.unwrap();
            }
            if n % 7 == 0 {
                repo.purge(&suite::hash(n)).await.unwrap().unwrap();
            }
        }
    }
}

/// What is missing or too much, in words; empty when all is there.
async fn missing(repo: &SledRepo) -> Vec<String> {
    let mut missing = Vec::new();
    for n in 0..ORIGINALS {
        let mut expected = vec![Alias::asked(&format!("{n} a")), Alias::asked(&format!("{n} b"))];
        expected.truncate(match n {
            n if n % 7 == 0 => 0,
            n if n % 3 == 0 => 1,
            _ => 2,
        });
        let got = repo.aliases_of(&suite::hash(n)).await.unwrap();
        if got != expected {
            missing.push(format!("{n}: {got:?}"));
        }
        for alias in [format!("{n} a"), format!("{n} b")].map(|alias| Alias::asked(&alias)) {
            let record = repo.alias(&alias).await.unwrap();
            let there = record.is_some_and(|record| record.token.matches(&alias, &suite::token(alias.as_str())));
            if there != expected.contains(&alias) {
                missing.push(format!("{alias}"));
            }
        }
        let remote = repo.remote(&suite::url(u8::try_from(n).unwrap())).await.unwrap();
        if remote.map(|named| named.alias) != expected.first().filter(|_| is_remote(n)).cloned() {
            missing.push(format!("remote {n}"));
        }
        if repo.original(&suite::hash(n)).await.unwrap().is_some() == expected.is_empty() {
            missing.push(format!("original {n}"));
        }
    }
    let stand_in = repo.stand_in().await.unwrap();
    if stand_in != Some(Alias::asked("2 a")) {
        missing.push(format!("in place {stand_in:?}"));
    }
    let garbage = repo.garbage(None, 1000).await.unwrap().len();
    if garbage != (0..ORIGINALS).filter(|n| n % 7 == 0).count() {
        missing.push(format!("{garbage} pieces of garbage"));
    }
    missing
}

const NOTHING: [String; 0] = [];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut files: Vec<_> =
        entries.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

/// Bytes in front of the unwritten end of a file: damage there is damage to something.
fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1)
}

/// Does one of the things that happen to files; says which.
fn damage(folder: &Path, dice: &mut Dice) -> String {
    let files = files(folder);
    // Mostly the log itself: the others are small and few.
    let path = if dice.roll(4) > 0 { folder.join("db") } else { files[dice.roll(files.len())].clone() };
    let mut bytes = fs::read(&path).unwrap();
    let used = used(&bytes).min(bytes.len());
    let kind = dice.roll(7);
    if kind == 0 || used == 0 {
        fs::remove_file(&path).unwrap();
        return format!("{} deleted", path.display());
    }
    let at = dice.roll(used);
    let what = match kind {
        1 => {
            bytes.truncate(at);
            format!("cut to {at}")
        }
        2 => {
            let end = (at + 4096).min(bytes.len());
            bytes[at..end].fill(0);
            format!("a page of zeros at {at}")
        }
        3 => {
            let end = (at + 1000).min(bytes.len());
            bytes[at..end].iter_mut().for_each(|byte| *byte = u8::try_from(dice.roll(256)).unwrap());
            format!("noise at {at}")
        }
        _ => {
            let bits: Vec<usize> = (0..=dice.roll(3)).map(|_| dice.roll(used * 8)).collect();
            bits.iter().for_each(|bit| bytes[bit / 8] ^= 1 << (bit % 8));
            format!("bits {bits:?} flipped")
        }
    };
    fs::write(&path, bytes).unwrap();
    format!("{}: {what}", path.display())
}

#[tokio::test]
async fn a_damaged_index_loses_nothing() {
    let template = Home::new();
    fill(&template).await;
    assert_eq!(missing(&template.open()).await, NOTHING);
    let (mut rebuilt, rounds) = (0, rounds(40));
    for round in 0..rounds {
        let home = Home::new();
        copy(&template.data(), &home.data());
        let what = damage(&home.data().join("meta"), &mut Dice(round));
        let repo = home.open();
        assert_eq!(missing(&repo).await, NOTHING, "round {round}: {what}");
        // It works, and what it writes now is there the next time.
        repo.add_aliases(vec![suite::new("after", 9000)]).await.unwrap();
        drop(repo);
        let repo = home.open();
        assert_eq!(repo.aliases_of(&suite::hash(9000)).await.unwrap().len(), 1, "round {round}: {what}");
        rebuilt += u64::from(!home.aside().is_empty());
    }
    println!("{rounds} damaged folders, {rebuilt} rebuilt, nothing lost");
    assert!(rebuilt * 4 > rounds, "the damage does damage: {rebuilt}");
}

#[tokio::test]
async fn an_index_that_is_gone_is_made_again() {
    let home = Home::new();
    fill(&home).await;
    fs::remove_dir_all(home.data().join("meta")).unwrap();
    assert_eq!(missing(&home.open()).await, NOTHING);
    fs::remove_dir_all(home.data().join("meta")).unwrap();
    fs::create_dir(home.data().join("meta")).unwrap();
    fs::write(home.data().join("meta/db"), b"not a database").unwrap();
    assert_eq!(missing(&home.open()).await, NOTHING);
    assert_eq!(home.aside().len(), 1, "{:?}", home.aside());
}

#[tokio::test]
async fn a_rebuild_that_was_cut_off_begins_again() {
    let home = Home::new();
    fill(&home).await;
    fs::remove_dir_all(home.data().join("meta")).unwrap();
    {
        // Rows, but not all of them, and no mark.
        let db = ::sled::open(home.data().join("meta")).unwrap();
        db.insert(rows::alias_key(&Alias::asked("0 a")), b"half a row").unwrap();
    }
    assert_eq!(missing(&home.open()).await, NOTHING);
}

#[tokio::test]
async fn a_row_that_changed_silently_is_noticed() {
    let home = Home::new();
    fill(&home).await;
    {
        // A whole, valid sled without one of its rows.
        let db = ::sled::open(home.data().join("meta")).unwrap();
        db.remove(rows::alias_key(&Alias::asked("1 a"))).unwrap().unwrap();
    }
    assert_eq!(missing(&home.open()).await, NOTHING);
    assert_eq!(home.aside().len(), 1);
}

#[tokio::test]
async fn an_older_index_catches_up() {
    let home = Home::new();
    home.open().add_aliases(vec![suite::new("old", 9001)]).await.unwrap();
    let older = Home::new();
    copy(&home.data().join("meta"), &older.data());
    fill(&home).await;
    fs::remove_dir_all(home.data().join("meta")).unwrap();
    copy(&older.data(), &home.data().join("meta"));
    let repo = home.open();
    assert_eq!(missing(&repo).await, NOTHING);
    assert_eq!(repo.aliases_of(&suite::hash(9001)).await.unwrap().len(), 1);
    assert!(home.aside().is_empty());
}

#[tokio::test]
async fn a_damaged_journal_is_written_anew_from_the_index() {
    let template = Home::new();
    fill(&template).await;
    let whole = fs::read(template.data().join("journal")).unwrap();
    for round in 0..rounds(12) {
        let home = Home::new();
        copy(&template.data(), &home.data());
        let path = home.data().join("journal");
        let mut dice = Dice(round);
        match round {
            0 => fs::remove_file(&path).unwrap(),
            1 => fs::write(&path, b"").unwrap(),
            2 => fs::write(&path, &whole[..whole.len() - 1]).unwrap(),
            3 => fs::write(&path, &whole[..whole.len() / 2]).unwrap(),
            _ => {
                let mut bytes = whole.clone();
                bytes[dice.roll(whole.len())] ^= 1 << dice.roll(8);
                fs::write(&path, bytes).unwrap();
            }
        }
        assert_eq!(missing(&home.open()).await, NOTHING, "round {round}");
        // The new journal is all of it.
        assert_eq!(scan(&path).unwrap().unwrap().condition, Condition::Whole);
        fs::remove_dir_all(home.data().join("meta")).unwrap();
        assert_eq!(missing(&home.open()).await, NOTHING, "round {round}, rebuilt");
        assert_eq!(home.aside().len(), usize::from(round > 0), "{:?}", home.aside());
    }
}

#[tokio::test]
async fn damage_to_both_is_told_and_left_alone() {
    let home = Home::new();
    fill(&home).await;
    let path = home.data().join("journal");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&path, &bytes).unwrap();
    let offset = match scan(&path).unwrap().unwrap().condition {
        Condition::Damaged { offset, .. } => offset,
        other @ (Condition::Whole | Condition::Torn) => panic!("{other:?}"),
    };
    assert!(offset <= middle as u64, "{offset}, {middle}");
    let meta = home.data().join("meta");
    fs::remove_dir_all(&meta).unwrap();
    for index in ["not there", "damaged"] {
        let error = SledRepo::open(&home.data()).unwrap_err().to_string();
        assert!(error.contains(&format!("the journal is damaged at byte {offset}: ")), "{error}");
        assert!(error.contains(&format!("the index is {index}")), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "as it was");
        assert!(home.aside().is_empty());
        fs::create_dir_all(&meta).unwrap();
        fs::write(meta.join("db"), b"not a database").unwrap();
    }
    // And an index without a journal that is not good is not taken for a new start.
    fs::remove_file(&path).unwrap();
    let error = SledRepo::open(&home.data()).unwrap_err().to_string();
    assert!(error.contains("and there is no journal"), "{error}");
}
