//! What is on disk: the store's files while the server runs, and the rows once it has stopped.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use glimt::{
    domain::{Alias, DeleteToken, Hash},
    repo::{Repo, sled::SledRepo},
};
use sha2::{Digest, Sha256};

use crate::client::Uploaded;

/// How long a file may outlive its rows, and how long anything else that happens in the background may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A data directory.
#[derive(Clone)]
pub(crate) struct Stored {
    root: PathBuf,
}

impl Stored {
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The files of all originals, sorted.
    pub(crate) fn originals(&self) -> Vec<PathBuf> {
        files_below(&self.root.join("originals"))
    }

    /// The files of all variants, sorted.
    pub(crate) fn variants(&self) -> Vec<PathBuf> {
        files_below(&self.root.join("variants"))
    }

    /// The files of all proxies, sorted.
    pub(crate) fn proxies(&self) -> Vec<PathBuf> {
        files_below(&self.root.join("proxies"))
    }

    /// Files that are still being written.
    pub(crate) fn staging(&self) -> Vec<PathBuf> {
        files_below(&self.root.join("staging"))
    }

    /// The bytes of the only original there is.
    #[track_caller]
    pub(crate) fn only_original(&self) -> Vec<u8> {
        let files = self.originals();
        assert_eq!(files.len(), 1, "{files:?}");
        fs::read(&files[0]).unwrap()
    }

    /// The public filename of the only original there is.
    #[track_caller]
    pub(crate) fn only_filename(&self) -> String {
        let files = self.originals();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Fails unless nothing is stored and nothing was left behind on the way.
    #[track_caller]
    pub(crate) fn holds_nothing(&self) {
        assert_eq!(self.originals(), Vec::<PathBuf>::new());
        assert_eq!(self.variants(), Vec::<PathBuf>::new());
        assert_eq!(self.proxies(), Vec::<PathBuf>::new());
    }

    /// Waits until this many originals are there, and no variants beyond `variants`.
    pub(crate) async fn settles_at(&self, originals: usize, variants: usize) {
        eventually(&format!("{originals} originals and {variants} variants"), || {
            self.originals().len() == originals && self.variants().len() == variants
        })
        .await;
    }

    /// Waits until this many variants are there: an answer does not wait for that.
    pub(crate) async fn keeps(&self, variants: usize) {
        eventually(&format!("{variants} variants"), || self.variants().len() == variants).await;
    }

    /// Waits until no file is being written.
    pub(crate) async fn is_idle(&self) {
        eventually("staging to be empty", || self.staging().is_empty()).await;
    }

    /// Holds files against rows, after the server has stopped: staging is empty, every original is named for its bytes
    /// and has rows (or is in the garbage), every variant and every proxy has an original, every alias in `live` has its file and token.
    pub(crate) async fn is_consistent(&self, live: &[Uploaded]) {
        assert_eq!(self.staging(), Vec::<PathBuf>::new(), "left in staging");
        let repo = self.repo().await;
        let garbage: BTreeSet<_> =
            repo.garbage(None, usize::MAX).await.unwrap().iter().map(|piece| piece.hash).collect();
        let mut on_disk = BTreeSet::new();
        for file in self.originals() {
            let hash = self.named_for_its_bytes(&file);
            let Some(record) = repo.original(&hash).await.unwrap() else {
                assert!(garbage.contains(&hash), "{file:?} has no row");
                continue;
            };
            on_disk.insert(hash);
            assert_eq!(record.size_bytes, fs::metadata(&file).unwrap().len(), "{file:?}");
            assert_eq!(Some(record.details.format.extension()), file.extension().and_then(|ext| ext.to_str()));
            let aliases = repo.aliases_of(&hash).await.unwrap();
            assert!(!aliases.is_empty(), "{file:?} has a row and no alias");
            for alias in aliases {
                assert_eq!(repo.alias(&alias).await.unwrap().map(|row| row.hash), Some(hash), "{alias}");
            }
        }
        for file in self.variants() {
            let hash: Hash = file.parent().unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap();
            assert!(on_disk.contains(&hash) || garbage.contains(&hash), "{file:?} is a variant of nothing");
        }
        for file in self.proxies() {
            let hash: Hash = file.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            assert!(on_disk.contains(&hash) || garbage.contains(&hash), "{file:?} is a proxy of nothing");
        }
        for uploaded in live {
            let row = repo.alias(&Alias::asked(&uploaded.file)).await.unwrap();
            let row = row.unwrap_or_else(|| panic!("{} has no row", uploaded.file));
            assert!(on_disk.contains(&row.hash), "{} has a row and no file", uploaded.file);
            let token = DeleteToken::presented(&uploaded.delete_token);
            assert!(row.token.matches(&Alias::asked(&uploaded.file), &token));
        }
        repo.close().await.unwrap();
    }

    /// The rows, as soon as the server lets go of them: in this process the last tasks of its connections may still be
    /// on their way out when it has stopped.
    async fn repo(&self) -> SledRepo {
        let begun = Instant::now();
        loop {
            match SledRepo::open(&self.root) {
                Ok(repo) => return repo,
                Err(error) if begun.elapsed() > PATIENCE => panic!("{error}"),
                Err(_in_use) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    fn named_for_its_bytes(&self, file: &Path) -> Hash {
        let hash = Hash::from_bytes(Sha256::digest(fs::read(file).unwrap()).into());
        let (hex, ext) = (hash.to_string(), file.extension().unwrap().to_str().unwrap());
        let name = format!("originals/{}/{}/{hex}.{ext}", &hex[..2], &hex[2..4]);
        assert_eq!(file.strip_prefix(&self.root).unwrap(), Path::new(&name));
        hash
    }
}

/// Waits until `is_so`, or fails.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    eventually_async(what, async || is_so()).await;
}

/// As [`eventually`], where looking takes a while.
pub(crate) async fn eventually_async(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => files.append(&mut files_below(&path)),
            Ok(_file) => files.push(path),
            // Deleted between the two calls: it is not there.
            Err(_gone) => {}
        }
    }
    files.sort();
    files
}

#[tokio::test]
async fn what_is_left_over_is_noticed() {
    use crate::{app::App, pictures::png};
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 9, 9)).await;
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    let notices = async |live: Vec<Uploaded>| {
        let stored = Stored::at(data.path());
        tokio::spawn(async move { stored.is_consistent(&live).await }).await.is_err()
    };
    assert!(!notices(vec![uploaded.clone()]).await);
    let wrong_token = Uploaded { delete_token: "0000000000".to_owned(), ..uploaded.clone() };
    assert!(notices(vec![wrong_token]).await);
    assert!(notices(vec![Uploaded { file: "unknown.png".to_owned(), ..uploaded.clone() }]).await);

    let staged = data.path().join("staging/x.part");
    fs::write(&staged, b"x").unwrap();
    assert!(notices(Vec::new()).await);
    fs::remove_file(&staged).unwrap();

    let file = Stored::at(data.path()).originals().remove(0);
    let orphan = file.with_extension("jpg");
    fs::copy(&file, &orphan).unwrap();
    assert!(notices(Vec::new()).await, "a file under another extension has no row");
    fs::remove_file(&orphan).unwrap();

    let bytes = fs::read(&file).unwrap();
    fs::write(&file, b"other bytes").unwrap();
    assert!(notices(Vec::new()).await, "a file that is not named for its bytes");
    fs::remove_file(&file).unwrap();
    assert!(notices(vec![uploaded.clone()]).await, "a row without its file");
    fs::write(&file, bytes).unwrap();
    assert!(!notices(vec![uploaded]).await);
}
