//! A disk as it may be after a cut: of what was synced by then everything, of what was written since then any part.
//!
//! Files and folders are known by their inode. For each entry of each folder, and for each page of each file, either what was synced is
//! taken or what is live. A page behind the synced end of a file that is not taken from what is live is zeros, as of a file that was made longer
//! before its bytes were written. A rename that was not synced may so leave both names, one, or none: harsher than a
//! file system with a journal is.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{DirEntryExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use crate::pictures::Random;

const PAGE_BYTES: usize = 4096;

/// One cut.
struct Cut<'a> {
    shadow: &'a Path,
    /// Where each inode is to be found now.
    live: BTreeMap<u64, PathBuf>,
    /// In so many cases of a hundred what is live is taken, though it was not synced.
    live_percent: u64,
    seed: u64,
    doubts: Cell<Doubts>,
}

/// What was not synced and so might have been one or the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Doubts {
    pub(crate) entries: usize,
    pub(crate) pages: usize,
}

/// Makes `out` what is left of `data` after a cut.
pub(crate) fn cut(data: &Path, shadow: &Path, out: &Path, live_percent: u64, seed: u64) -> Doubts {
    let mut live = BTreeMap::new();
    note(data, &mut live);
    let root = fs::metadata(data).unwrap().ino();
    let cut = Cut { shadow, live, live_percent, seed, doubts: Cell::default() };
    cut.folder(root, out);
    cut.doubts.get()
}

/// Notes where each file and folder from `path` on lies.
fn note(path: &Path, live: &mut BTreeMap<u64, PathBuf>) {
    live.insert(fs::metadata(path).unwrap().ino(), path.to_owned());
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            note(&entry.unwrap().path(), live);
        }
    }
}

/// Notes all of `data` as synced, as it is after a start on a disk that was cut off.
pub(crate) fn all_is_synced(data: &Path, shadow: &Path) {
    fs::create_dir_all(shadow).unwrap();
    let mut live = BTreeMap::new();
    note(data, &mut live);
    for (inode, path) in live {
        if path.is_dir() {
            let entries: String = entries(&path).iter().map(|(name, inode)| format!("{inode} {name}\n")).collect();
            fs::write(shadow.join(format!("{inode}.dir")), entries).unwrap();
        } else {
            fs::copy(&path, shadow.join(inode.to_string())).unwrap();
            fs::hard_link(&path, shadow.join(format!("pin-{inode}"))).unwrap();
        }
    }
}

/// Names and inodes in a folder.
fn entries(folder: &Path) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.ino())).collect()
}

impl Cut<'_> {
    fn doubt(&self, entries: usize, pages: usize) {
        let before = self.doubts.get();
        self.doubts.set(Doubts { entries: before.entries + entries, pages: before.pages + pages });
    }

    fn random(&self, inode: u64) -> Random {
        let mut random = Random::new(self.seed ^ inode << 20);
        random.next();
        random
    }

    /// The entries of a folder as of its last sync.
    fn synced_entries(&self, inode: u64) -> BTreeMap<String, u64> {
        let Ok(text) = fs::read_to_string(self.shadow.join(format!("{inode}.dir"))) else { return BTreeMap::new() };
        let entry = |line: &str| {
            let (inode, name) = line.split_once(' ')?;
            Some((name.to_owned(), inode.parse().ok()?))
        };
        text.lines().map(|line| entry(line).unwrap()).collect()
    }

    fn folder(&self, inode: u64, out: &Path) {
        fs::create_dir_all(out).unwrap();
        let synced = self.synced_entries(inode);
        // The inode of a folder that was deleted may be that of a file by now.
        let live = self.live.get(&inode).filter(|path| path.is_dir()).map(|path| entries(path)).unwrap_or_default();
        let names: BTreeSet<&String> = synced.keys().chain(live.keys()).collect();
        let mut random = self.random(inode);
        for name in names {
            self.doubt(usize::from(synced.get(name) != live.get(name)), 0);
            let takes_live = random.percent(self.live_percent);
            let Some(target) = (if takes_live { &live } else { &synced }).get(name) else { continue };
            let is_folder = match self.live.get(target) {
                Some(path) if takes_live || self.shadow.join(target.to_string()).is_file() => path.is_dir(),
                live => live.is_some_and(|path| path.is_dir()) || self.shadow.join(format!("{target}.dir")).is_file(),
            };
            if is_folder {
                self.folder(*target, &out.join(name));
            } else {
                fs::write(out.join(name), self.file(*target)).unwrap();
            }
        }
    }

    fn file(&self, inode: u64) -> Vec<u8> {
        let synced = fs::read(self.shadow.join(inode.to_string())).unwrap_or_default();
        let live = self.live.get(&inode).map(fs::read);
        // What was unlinked and not synced away is still under its pin; what never was synced and is gone has no bytes.
        let live = live.unwrap_or_else(|| fs::read(self.shadow.join(format!("pin-{inode}")))).unwrap_or_default();
        let pages = |bytes: &[u8]| bytes.len().div_ceil(PAGE_BYTES);
        let page = |bytes: &[u8], at: usize| {
            let from = (at * PAGE_BYTES).min(bytes.len());
            bytes[from..bytes.len().min(from + PAGE_BYTES)].to_vec()
        };
        let all = 0..pages(&synced).max(pages(&live));
        self.doubt(0, all.filter(|at| page(&synced, *at) != page(&live, *at)).count());
        mixed(&synced, &live, self.live_percent, &mut self.random(inode))
    }
}

/// Bytes of which some pages are those of `live`.
fn mixed(synced: &[u8], live: &[u8], live_percent: u64, random: &mut Random) -> Vec<u8> {
    let length = match (random.percent(live_percent), random.percent(50)) {
        (false, _) => synced.len(),
        (true, true) => live.len(),
        // Made longer, or shorter, in several steps.
        (true, false) => {
            let (least, most) = (synced.len().min(live.len()), synced.len().max(live.len()));
            least + usize::try_from(random.below((most - least + 1) as u64)).unwrap()
        }
    };
    let mut bytes = vec![0; length];
    for (at, page) in bytes.chunks_mut(PAGE_BYTES).enumerate() {
        let from = if random.percent(live_percent) { live } else { synced };
        let rest = from.get(at * PAGE_BYTES..).unwrap_or_default();
        let there = rest.len().min(page.len());
        page[..there].copy_from_slice(&rest[..there]);
    }
    bytes
}

#[test]
fn a_cut_takes_what_was_synced_and_any_part_of_the_rest() {
    type Files = [Option<Vec<u8>>; 6];
    let home = crate::server::home();
    let (data, shadow) = (home.path().join("data"), home.path().join("shadow"));
    fs::create_dir_all(data.join("inner")).unwrap();
    let old = vec![1; 3 * PAGE_BYTES];
    for name in ["kept", "renamed", "unlinked", "inner/changed"] {
        fs::write(data.join(name), &old).unwrap();
    }
    all_is_synced(&data, &shadow);
    // None of this was synced.
    fs::write(data.join("inner/changed"), vec![2; 4 * PAGE_BYTES]).unwrap();
    fs::rename(data.join("renamed"), data.join("inner/moved")).unwrap();
    fs::remove_file(data.join("unlinked")).unwrap();
    fs::write(data.join("new"), "new").unwrap();
    let after = |live_percent, seed| {
        let out = home.path().join(format!("out-{live_percent}-{seed}"));
        cut(&data, &shadow, &out, live_percent, seed);
        let read = |name: &str| fs::read(out.join(name)).ok();
        ["kept", "renamed", "inner/moved", "unlinked", "new", "inner/changed"].map(read)
    };
    let old = Some(old);
    let nothing_more = [old.clone(), old.clone(), None, old.clone(), None, old.clone()];
    assert_eq!(after(0, 1), nothing_more);
    let [kept, renamed, moved, unlinked, new, changed] = after(100, 1);
    assert_eq!((kept, renamed, moved, unlinked), (old.clone(), None, old.clone(), None));
    assert!(new.is_some() && changed.unwrap().starts_with(&[2; PAGE_BYTES]));
    let mixed: Vec<_> = (0..40).map(|seed| after(50, seed)).collect();
    assert!(mixed.iter().all(|[kept, ..]| *kept == old), "what was synced and not changed is always there");
    let seen = |is_so: fn(&Files) -> bool| mixed.iter().filter(|files| is_so(files)).count() > 2;
    assert!(seen(|files| files[1].is_some() && files[2].is_some()), "both names");
    assert!(seen(|files| files[1].is_none() && files[2].is_none()), "neither");
    assert!(seen(|files| files[3].is_some()) && seen(|files| files[3].is_none()));
    assert!(seen(|files| files[4].as_deref() == Some(b"")), "an entry without its bytes");
    let is_torn = |files: &Files| files[5].as_ref().is_some_and(|bytes| bytes.contains(&1) && bytes.contains(&2));
    assert!(seen(is_torn), "pages of both");
    assert!(seen(|files| files[5].as_ref().is_some_and(|bytes| bytes.len() % PAGE_BYTES > 0)), "a length between");
}
