//! What clients asked for and what they were told, and whether the server still knows it.
//!
//! A picture is known by the seed of its pixels. What was asked for and not answered may have happened or not: it is looked up after
//! the next start, and from then on it is as certain as what was acknowledged.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    client::{Answer, Client, Uploaded},
    pictures::{Random, is_thumbnail, png, stored_name},
    server::{eventually, files_below},
};

/// How long files may outlive their rows, and what else happens in the background may take.
const PATIENCE_SECS: u64 = 60;

/// The same after a long run, when a start has tens of thousands of folders to look through.
const SETTLED_SECS: u64 = 600;

/// One name of a picture.
#[derive(Clone, Debug)]
struct Entry {
    file: String,
    /// Not known of one whose upload was not answered.
    token: Option<String>,
    /// Whether its import or its deletion was asked for and not answered.
    is_open: bool,
}

/// One picture.
#[derive(Clone, Debug, Default)]
struct Picture {
    entries: Vec<Entry>,
    /// Names that were deleted.
    gone: Vec<String>,
    /// Uploads that were not answered: each may have made a name that nobody knows.
    unanswered: usize,
}

/// What is not as clients were told, in words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Acknowledged and gone.
    pub(crate) lost: Vec<String>,
    /// Deleted and back.
    pub(crate) resurrected: Vec<String>,
    /// Anything else that must not be.
    pub(crate) wrong: Vec<String>,
}

impl Faults {
    pub(crate) fn all(&self) -> Vec<&String> {
        self.lost.iter().chain(&self.resurrected).chain(&self.wrong).collect()
    }

    fn append(&mut self, mut other: Self) {
        self.lost.append(&mut other.lost);
        self.resurrected.append(&mut other.resurrected);
        self.wrong.append(&mut other.wrong);
    }
}

/// What clients know, and how many requests of theirs were acknowledged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pictures: BTreeMap<u64, Picture>,
    /// Those that have names: after a long run they are few among all.
    named: BTreeSet<u64>,
    /// Forms of two new pictures that were not answered: both are there, or neither.
    pairs: Vec<(u64, u64)>,
    /// Pictures that something was asked about since the last look.
    touched: BTreeSet<u64>,
    pub(crate) uploads: usize,
    pub(crate) deletes: usize,
    /// Answers that were clear errors of the server's.
    pub(crate) errors: Vec<String>,
    pub(crate) faults: Faults,
}

impl Ledger {
    /// Parts of it for so many clients: each has pictures of its own, and of the shared ones its own names.
    pub(crate) fn split(self, clients: usize, shared: u64) -> Vec<Self> {
        let mut parts = vec![Self::default(); clients];
        for (at, (seed, picture)) in self.pictures.into_iter().enumerate() {
            if seed >= shared {
                parts[at % clients].pictures.insert(seed, picture);
                continue;
            }
            for (at, entry) in picture.entries.into_iter().enumerate() {
                parts[at % clients].picture(seed).entries.push(entry);
            }
            parts[0].picture(seed).gone.extend(picture.gone);
            parts[0].picture(seed).unanswered += picture.unanswered;
        }
        let first = &mut parts[0];
        (first.pairs, first.touched, first.uploads) = (self.pairs, self.touched, self.uploads);
        (first.deletes, first.errors, first.faults) = (self.deletes, self.errors, self.faults);
        parts.iter_mut().for_each(Self::note_all);
        parts
    }

    /// The parts together again.
    pub(crate) fn merge(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self::default();
        for part in parts {
            for (seed, picture) in part.pictures {
                let merged = whole.pictures.entry(seed).or_default();
                merged.entries.extend(picture.entries);
                merged.gone.extend(picture.gone);
                merged.unanswered += picture.unanswered;
            }
            whole.pairs.extend(part.pairs);
            whole.touched.extend(part.touched);
            whole.uploads += part.uploads;
            whole.deletes += part.deletes;
            whole.errors.extend(part.errors);
            whole.faults.append(part.faults);
        }
        whole.note_all();
        whole
    }

    /// Notes whether a picture has names.
    fn note(&mut self, seed: u64) {
        if self.pictures.get(&seed).is_some_and(|picture| !picture.entries.is_empty()) {
            self.named.insert(seed);
        } else {
            self.named.remove(&seed);
        }
    }

    fn note_all(&mut self) {
        let named = self.pictures.iter().filter(|(_, picture)| !picture.entries.is_empty());
        self.named = named.map(|(seed, _)| *seed).collect();
    }

    fn picture(&mut self, seed: u64) -> &mut Picture {
        self.touched.insert(seed);
        self.pictures.entry(seed).or_default()
    }

    /// A picture with a name for certain, at random.
    fn any(&self, random: &mut Random, is_wanted: impl Fn(u64, &Entry) -> bool) -> Option<(u64, usize)> {
        let found = |seed: &u64| {
            let mut entries = self.pictures[seed].entries.iter();
            entries.position(|entry| !entry.is_open && is_wanted(*seed, entry)).map(|at| (*seed, at))
        };
        // Around from a place at random: any will do, and there may be thousands.
        let (first, last) = (self.named.first()?, self.named.last()?);
        let from = first + random.below(last - first + 1);
        let mut around = self.named.range(from..).chain(self.named.range(..from));
        around.find_map(found)
    }

    /// A name for certain, at random.
    pub(crate) fn any_file(&self, random: &mut Random) -> Option<(u64, String)> {
        let (seed, at) = self.any(random, |_, _| true)?;
        Some((seed, self.pictures[&seed].entries[at].file.clone()))
    }

    /// Uploads one or two pictures in one form; two must be new. Whether it was acknowledged.
    pub(crate) fn upload(&mut self, client: &mut Client, seeds: &[u64]) -> io::Result<bool> {
        for seed in seeds {
            self.picture(*seed).unanswered += 1;
        }
        if let [first, second] = *seeds {
            self.pairs.push((first, second));
        }
        let pictures: Vec<_> = seeds.iter().map(|seed| png(*seed)).collect();
        let pictures: Vec<_> = pictures.iter().map(Vec::as_slice).collect();
        let answer = client.upload(&pictures)?;
        let files = answer.uploaded();
        let is_done = answer.status == 201 && files.len() == seeds.len();
        if !is_done && !self.is_certain_refusal("upload", &answer) {
            return Ok(false);
        }
        if seeds.len() == 2 {
            self.pairs.pop();
        }
        for seed in seeds {
            self.picture(*seed).unanswered -= 1;
        }
        for (seed, Uploaded { file, token }) in seeds.iter().zip(files) {
            self.picture(*seed).entries.push(Entry { file, token: Some(token), is_open: false });
            self.note(*seed);
            self.uploads += 1;
        }
        Ok(is_done)
    }

    /// Imports a picture under a name that is not taken.
    pub(crate) fn import(&mut self, client: &mut Client, seed: u64, name: &str) -> io::Result<bool> {
        self.picture(seed).entries.push(Entry { file: name.to_owned(), token: None, is_open: true });
        self.note(seed);
        let answer = client.import(name, &png(seed))?;
        let files = answer.uploaded();
        if answer.status == 201 && files.len() == 1 {
            let entry = Entry { file: name.to_owned(), token: Some(files[0].token.clone()), is_open: false };
            let entries = &mut self.picture(seed).entries;
            entries.pop();
            entries.push(entry);
            self.uploads += 1;
            return Ok(true);
        }
        if self.is_certain_refusal("import", &answer) {
            self.picture(seed).entries.pop();
            self.note(seed);
        }
        Ok(false)
    }

    /// Deletes a name, if there is one whose token is known.
    pub(crate) fn delete_any(&mut self, client: &mut Client, random: &mut Random) -> io::Result<bool> {
        match self.any(random, |_, entry| entry.token.is_some()) {
            Some((seed, at)) => self.delete(client, seed, at),
            None => Ok(false),
        }
    }

    fn delete(&mut self, client: &mut Client, seed: u64, at: usize) -> io::Result<bool> {
        let entry = &mut self.picture(seed).entries[at];
        entry.is_open = true;
        let uploaded =
            Uploaded { file: entry.file.clone(), token: entry.token.clone().expect("one whose token is known") };
        let answer = client.delete(&uploaded)?;
        if answer.status == 204 || answer.status == 404 {
            if answer.status == 404 {
                self.faults.lost.push(format!("{} of {seed} was not there to be deleted", uploaded.file));
            }
            let picture = self.picture(seed);
            picture.entries.remove(at);
            picture.gone.push(uploaded.file);
            self.note(seed);
            self.deletes += 1;
            return Ok(true);
        }
        if self.is_certain_refusal("delete", &answer) {
            self.picture(seed).entries[at].is_open = false;
        }
        Ok(false)
    }

    /// Purges a picture that no other client has names of, if there is one.
    pub(crate) fn purge_any(&mut self, client: &mut Client, random: &mut Random, shared: u64) -> io::Result<bool> {
        let Some((seed, at)) = self.any(random, |seed, _| seed >= shared) else { return Ok(false) };
        let before = self.picture(seed).clone();
        self.picture(seed).entries.iter_mut().for_each(|entry| entry.is_open = true);
        let answer = client.purge(&before.entries[at].file)?;
        if answer.status == 200 || answer.status == 404 {
            let purged = answer.aliases();
            for entry in before.entries.iter().filter(|entry| !entry.is_open && !purged.contains(&entry.file)) {
                self.faults.lost.push(format!("{} of {seed} was not there to be purged", entry.file));
            }
            let picture = self.picture(seed);
            let names: BTreeSet<String> = picture.entries.drain(..).map(|entry| entry.file).chain(purged).collect();
            picture.gone.extend(names);
            picture.unanswered = 0;
            self.note(seed);
            self.deletes += 1;
            return Ok(true);
        }
        if self.is_certain_refusal("purge", &answer) {
            *self.picture(seed) = before;
            self.note(seed);
        }
        Ok(false)
    }

    /// Asks for a thumbnail of `side` of a picture, which must be one if it comes.
    pub(crate) fn process(&mut self, client: &mut Client, seed: u64, file: &str, side: u32) -> io::Result<bool> {
        let answer = client.get(&format!("/image/process.jpg?src={file}&thumbnail={side}"))?;
        if answer.status != 200 {
            self.no_reading(&format!("thumbnail of {file} of {seed}"), &answer);
        } else if !is_thumbnail(&answer.body, side) {
            self.faults.wrong.push(format!("the thumbnail of {file} of {seed} is none"));
        }
        Ok(answer.status == 200)
    }

    /// Asks for a picture, which must be the right one if it comes.
    pub(crate) fn original(&mut self, client: &mut Client, seed: u64, file: &str) -> io::Result<bool> {
        let answer = client.original(file)?;
        if answer.status != 200 {
            self.no_reading(&format!("original of {file} of {seed}"), &answer);
        } else if answer.body != png(seed) {
            self.faults.wrong.push(format!("{file} is not the picture {seed}"));
        }
        Ok(answer.status == 200)
    }

    fn no_reading(&mut self, what: &str, answer: &Answer) {
        if answer.status == 404 {
            self.faults.lost.push(format!("the {what} is gone: {}", answer.shown()));
        } else {
            self.is_certain_refusal(what, answer);
        }
    }

    /// Notes an answer that is no success. Whether nothing can have happened: the server was only busy.
    fn is_certain_refusal(&mut self, what: &str, answer: &Answer) -> bool {
        let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        if !answer.is_clear_error() || answer.status < 500 {
            self.faults.wrong.push(format!("the answer to {what} was {}", answer.shown()));
        }
        let is_busy = answer.status == 503 && code.starts_with("busy-");
        if !is_busy {
            self.errors.push(format!("{what}: {}", answer.shown()));
        }
        is_busy
    }

    /// Holds the server against what is known of the pictures that were touched since the last look, and of some others. What was open is
    /// settled: nothing may be under way.
    pub(crate) fn check(&mut self, client: &mut Client, random: &mut Random, others: usize) {
        let mut seeds = std::mem::take(&mut self.touched);
        let all: Vec<u64> = self.pictures.keys().copied().collect();
        if others >= all.len() {
            seeds.extend(&all);
        } else {
            seeds.extend((0..others).map(|_| all[usize::try_from(random.below(all.len() as u64)).unwrap()]));
        }
        for seed in seeds {
            if let Err(error) = self.check_one(client, seed) {
                self.faults.wrong.push(format!("no answer about {seed}: {error}"));
            }
            self.note(seed);
        }
        for (first, second) in std::mem::take(&mut self.pairs) {
            let is_there = |seed| self.pictures.get(&seed).is_some_and(|picture| !picture.entries.is_empty());
            if is_there(first) != is_there(second) {
                self.faults.wrong.push(format!("of one form, {first} is there and {second} is not, or the other way"));
            }
        }
    }

    fn check_one(&mut self, client: &mut Client, seed: u64) -> io::Result<()> {
        let bytes = png(seed);
        let stored = stored_name(&bytes);
        let listing = client.aliases_of(&stored)?;
        let listed: Vec<String> = match listing.status {
            200 => listing.aliases(),
            404 => Vec::new(),
            _ => {
                self.faults.wrong.push(format!("the listing of {seed} was {}", listing.shown()));
                return Ok(());
            }
        };
        let picture = self.pictures.entry(seed).or_default();
        let faults = &mut self.faults;
        let mut settled = Vec::new();
        for mut entry in std::mem::take(&mut picture.entries) {
            if listed.contains(&entry.file) {
                entry.is_open = false;
                settled.push(entry);
            } else if entry.is_open {
                picture.gone.push(entry.file);
            } else {
                faults.lost.push(format!("{} of {seed} was acknowledged and is gone", entry.file));
            }
        }
        for file in listed.iter().filter(|file| picture.gone.contains(file)) {
            faults.resurrected.push(format!("{file} of {seed} was deleted and is back"));
        }
        let is_known = |file: &String| settled.iter().any(|entry| entry.file == *file);
        let new: Vec<_> = listed.iter().filter(|file| !is_known(file) && !picture.gone.contains(file)).collect();
        if new.len() > picture.unanswered {
            faults.wrong.push(format!("{seed} has {new:?}, and {} uploads were not answered", picture.unanswered));
        }
        let new = new.into_iter().map(|file| Entry { file: file.clone(), token: None, is_open: false });
        settled.extend(new.collect::<Vec<_>>());
        picture.unanswered = 0;
        picture.entries = settled;
        for file in &listed {
            let answer = client.original(file)?;
            if answer.status != 200 {
                faults.lost.push(format!("{file} of {seed} has a name and no bytes: {}", answer.shown()));
            } else if answer.body != bytes {
                faults.lost.push(format!("{file} of {seed} has other bytes"));
            }
        }
        // The last few: a deleted name never comes back, and the list of them grows.
        for file in picture.gone.iter().rev().take(4).filter(|file| !listed.contains(file)) {
            let answer = client.original(file)?;
            if answer.status != 404 {
                faults.resurrected.push(format!("{file} of {seed} was deleted and answers {}", answer.shown()));
            }
        }
        Ok(())
    }

    /// Waits until the stored files are those of the pictures that have a name: the clean-up has run. Nothing may be open.
    pub(crate) fn settles_on_disk(&self, data: &Path) {
        let has_names = |picture: &&Picture| !picture.entries.is_empty();
        let named = self.pictures.iter().filter(|(_, picture)| has_names(picture)).map(|(seed, _)| *seed);
        let expected: BTreeSet<String> = named.map(|seed| stored_name(&png(seed))).collect();
        let begun = Instant::now();
        loop {
            let files = files_below(&data.join("originals"));
            let found: BTreeSet<_> =
                files.iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect();
            if found == expected {
                break;
            }
            let (more, less) = (found.difference(&expected).count(), expected.difference(&found).count());
            let waited = begun.elapsed();
            let is_over = waited > Duration::from_secs(SETTLED_SECS);
            assert!(
                !is_over,
                "after {waited:?} {more} files have no name, and {less} of {} have no file",
                expected.len()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        let left: Vec<_> = files_below(&data.join("staging"));
        assert!(left.is_empty(), "left in staging: {left:?}");
    }

    /// A picture whose names all have known tokens loses them one by one: its file stays until the last is gone.
    pub(crate) fn last_name_takes_the_file(&mut self, client: &mut Client, data: &Path) {
        let has_tokens = |picture: &Picture| picture.entries.iter().all(|entry| entry.token.is_some());
        let found = self.pictures.iter().find(|(_, picture)| picture.entries.len() > 1 && has_tokens(picture));
        let (&seed, picture) = found.expect("a picture with two names");
        let stored = stored_name(&png(seed));
        let is_there = || files_below(&data.join("originals")).iter().any(|file| file.ends_with(&stored));
        for left in (0..picture.entries.len()).rev() {
            assert!(is_there(), "the file of {seed} went before its last name");
            assert!(self.delete(client, seed, left).unwrap());
            self.check_one(client, seed).unwrap();
            self.note(seed);
        }
        eventually("the file to go with its last name", PATIENCE_SECS, || !is_there());
    }

    /// Fails if anything is not as clients were told.
    #[track_caller]
    pub(crate) fn is_clean(&self, when: &str) {
        let faults = self.faults.all();
        assert!(faults.is_empty(), "{when}: {} faults: {:#?}", faults.len(), &faults[..faults.len().min(20)]);
    }

    /// The line of a report.
    pub(crate) fn shown(&self) -> String {
        format!(
            "{} uploads and {} deletes acknowledged, {} lost, {} resurrected, {} wrong, {} answers were errors",
            self.uploads,
            self.deletes,
            self.faults.lost.len(),
            self.faults.resurrected.len(),
            self.faults.wrong.len(),
            self.errors.len(),
        )
    }
}
