//! The store on a local file system.
//!
//! A put is: write beside, and rename. For what cannot be made again there is an fsync before, and after it one of the folder and of
//! every folder above it that may be new: without the last step a power cut loses whole files. What can be made again is not synced:
//! after a power cut such a file may be gone, or shorter than it was, and whoever reads it holds it against what is known of it.
//!
//! A call is one hand-over to the threads that tokio keeps for file calls, whose number is bounded, and back.

use std::{
    collections::BTreeSet,
    fs, io,
    io::{Read as _, Seek as _},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use tokio::io::AsyncReadExt as _;

use super::{
    ByteStream, Class, Listed, Staged, Staging, Store, StoreError, StoreKey, StoredFile, Usage, VariantName, key,
    staging::StagingError,
};
use crate::{
    domain::{Format, Hash},
    timing::Stage,
};

/// Bytes in a piece of a stream; a range up to this long is sent as one.
const PIECE_BYTES: usize = 256 * 1024;

/// Files below a folder: `originals/`, `variants/`, `proxies/`, and `staging/` for what is being written.
#[derive(Debug)]
pub struct FsStore {
    root: Arc<Root>,
    staging: Arc<Staging>,
}

/// The folder, and what is known of it. All of it blocks on file calls.
#[derive(Debug)]
struct Root {
    path: PathBuf,
    /// Folders whose own entry is known to be on the disk, at most 1 + 256 + 65,536. A folder found on the disk proves nothing: the
    /// run that made it may have been cut off before its fsync, or another put may be between its mkdir and its fsync right now.
    durable: Mutex<BTreeSet<PathBuf>>,
    usage: Usage,
}

impl FsStore {
    /// The store in `root`, which is made if it is not there. Left-over staged files are deleted.
    ///
    /// # Errors
    /// [`StoreError`] when the folder can be neither made nor used.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        let made = !tokio::fs::try_exists(&root).await.unwrap_or(true);
        let staging = Staging::open(root.join("staging")).await.map_err(|error| match error {
            StagingError::Io { doing, path, source } => StoreError { doing, key: path.display().to_string(), source },
            StagingError::TooLarge { .. } => StoreError {
                doing: "opening",
                key: root.display().to_string(),
                source: io::Error::other("a size limit was met without a file"),
            },
        })?;
        if made {
            let above = root.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            sync_folder(above).map_err(|source| StoreError {
                doing: "opening",
                key: above.display().to_string(),
                source,
            })?;
        }
        let root = Arc::new(Root { path: root, durable: Mutex::default(), usage: Usage::default() });
        Ok(Self { root, staging: Arc::new(staging) })
    }

    /// The staging area on the store's own file system, from where a put is a rename.
    #[must_use]
    pub fn staging(&self) -> &Arc<Staging> {
        &self.staging
    }

    /// What `work` makes of the root, on a thread for file calls. It goes on to its end when nobody waits for it any more.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Root) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let root = Arc::clone(&self.root);
        #[expect(
            clippy::disallowed_methods,
            reason = "file calls, as through tokio::fs and on its threads, but one hand-over for all of them instead of one each"
        )]
        let worked = tokio::task::spawn_blocking(move || work(&root)).await;
        worked.map_err(io::Error::other).flatten()
    }
}

impl Root {
    /// The path of `key`. It is made of fixed words and hexadecimal digits only, so it cannot leave the root.
    fn path(&self, key: &StoreKey) -> PathBuf {
        self.path.join(key.to_string())
    }

    /// Moves the file at `from`, of `size_bytes` and all written, to `key`.
    fn install(&self, from: &Path, size_bytes: u64, key: &StoreKey) -> io::Result<()> {
        let to = self.path(key);
        let folder = to.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let is_durable = !key.can_be_made_again();
        if is_durable {
            // A write-back that failed before this open is not missed: Linux reports an error that nobody has
            // seen to the next handle, too.
            fs::OpenOptions::new().write(true).open(from)?.sync_all()?;
        }
        fs::create_dir_all(folder)?;
        if is_durable {
            self.make_durable(folder)?;
        }
        let replaced = found(fs::metadata(&to))?.map(|metadata| metadata.len());
        fs::rename(from, &to)?;
        self.usage.put(key.hash(), Class::of(key), size_bytes, replaced);
        if is_durable { sync_folder(folder) } else { Ok(()) }
    }

    /// Makes the entry of `folder`, and of those above it up to the root, durable.
    fn make_durable(&self, folder: &Path) -> io::Result<()> {
        let mut missing: Vec<PathBuf> = folder
            .ancestors()
            .take_while(|ancestor| *ancestor != self.path)
            .filter(|ancestor| !self.is_durable(ancestor))
            .map(Path::to_owned)
            .collect();
        // From the top: a folder is durable when its entry is, in a durable folder.
        while let Some(folder) = missing.pop() {
            sync_folder(folder.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
            self.durable.lock().unwrap_or_else(PoisonError::into_inner).insert(folder);
        }
        Ok(())
    }

    fn is_durable(&self, folder: &Path) -> bool {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).contains(folder)
    }

    /// Deletes the file at `path`, if it is there, and counts that.
    fn remove(&self, hash: &Hash, class: Class, path: &Path) -> io::Result<()> {
        let Some(metadata) = found(fs::symlink_metadata(path))? else { return Ok(()) };
        if found(fs::remove_file(path))?.is_some() {
            self.usage.deleted(hash, class, metadata.len());
        }
        if let (Class::Variant, Some(folder)) = (class, path.parent()) {
            // With the last variant of an original goes its folder. It refuses while there are others.
            let _kept = fs::remove_dir(folder);
        }
        Ok(())
    }

    fn remove_variants(&self, hash: &Hash, folder: &Path) -> io::Result<()> {
        for entry in entries(folder)? {
            if VariantName::read(&entry.file_name().to_string_lossy()).is_some() {
                self.remove(hash, Class::Variant, &entry.path())?;
            }
        }
        found(fs::remove_dir_all(folder)).map(drop)
    }

    /// What lies in `top/ab/cd/`. Names that are not ours are left alone, with a warning.
    fn list_below(&self, top: &str, listed: &mut Vec<Listed>) -> io::Result<()> {
        for (first, outer) in names(&self.path.join(top))? {
            if !is_hex_pair(&first) {
                tracing::warn!(path = %outer.display(), "left alone: not a folder of ours");
                continue;
            }
            for (second, inner) in names(&outer)? {
                if !is_hex_pair(&second) {
                    tracing::warn!(path = %inner.display(), "left alone: not a folder of ours");
                    continue;
                }
                for (name, path) in names(&inner)? {
                    match read_name(top, &name).filter(|(hex, _)| hex.starts_with(&format!("{first}{second}"))) {
                        Some((_, entry)) => listed.push(entry),
                        None => tracing::warn!(path = %path.display(), "left alone: not a file of ours"),
                    }
                }
            }
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Store for FsStore {
    async fn put_file(&self, key: &StoreKey, staged: Staged) -> Result<(), StoreError> {
        let to = key.clone();
        let put = self.blocking(move |root| {
            root.install(staged.path(), staged.size_bytes(), &to)?;
            staged.moved();
            Ok(())
        });
        self.usage().stages().time_async(Stage::Store, put).await.map_err(failed("writing", key))
    }

    async fn put_bytes(&self, key: &StoreKey, bytes: Bytes) -> Result<(), StoreError> {
        let (to, staging) = (key.clone(), Arc::clone(&self.staging));
        let put = self.blocking(move |root| {
            let staged = staging.write_blocking(&bytes)?;
            root.install(staged.path(), bytes.len() as u64, &to)?;
            staged.moved();
            Ok(())
        });
        self.usage().stages().time_async(Stage::Store, put).await.map_err(failed("writing", key))
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<Bytes>, StoreError> {
        let path = self.root.path(key);
        let read = self.blocking(move |_| found(fs::read(path)));
        read.await.map(|bytes| bytes.map(Bytes::from)).map_err(failed("reading", key))
    }

    async fn stream(
        &self,
        key: &StoreKey,
        range: Range<u64>,
        size_bytes: u64,
    ) -> Result<Option<ByteStream>, StoreError> {
        let path = self.root.path(key);
        let opened = self.blocking(move |_| open(&path, &range, size_bytes));
        let opened = opened.await.map_err(failed("reading", key))?;
        Ok(opened.map(|(first, rest)| match rest {
            None => stream::iter((!first.is_empty()).then_some(Ok(first))).boxed(),
            Some((file, left)) => {
                let mut file = tokio::fs::File::from_std(file);
                file.set_max_buf_size(PIECE_BYTES);
                stream::iter([Ok(first)]).chain(pieces(file, left)).boxed()
            }
        }))
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        let gone = key.clone();
        let deleted = self.blocking(move |root| root.remove(gone.hash(), Class::of(&gone), &root.path(&gone)));
        deleted.await.map_err(failed("deleting", key))
    }

    async fn delete_variants(&self, hash: &Hash) -> Result<(), StoreError> {
        let (hash, folder) = (*hash, key::variants_folder(hash));
        let path = self.root.path.join(&folder);
        let deleted = self.blocking(move |root| root.remove_variants(&hash, &path));
        deleted.await.map_err(|source| StoreError { doing: "deleting", key: folder, source })
    }

    async fn size(&self, key: &StoreKey) -> Result<Option<u64>, StoreError> {
        let path = self.root.path(key);
        let metadata = self.blocking(move |_| found(fs::metadata(path)));
        Ok(metadata.await.map_err(failed("reading", key))?.map(|metadata| metadata.len()))
    }

    async fn files(&self, first: u8) -> Result<Vec<StoredFile>, StoreError> {
        self.blocking(move |root| files_under(&root.path, first)).await.map_err(|source| StoreError {
            doing: "listing",
            key: format!("{}/{first:02x}", key::VARIANTS),
            source,
        })
    }

    async fn delete_file(&self, file: &StoredFile) -> Result<(), StoreError> {
        let key = key::path_of(file);
        let (hash, class, path) = (file.hash, file.class, self.root.path.join(&key));
        let removed = self.blocking(move |root| root.remove(&hash, class, &path)).await;
        removed.map_err(|source| StoreError { doing: "deleting", key, source })
    }

    async fn check(&self) -> Result<(), StoreError> {
        // Opened and read: that is refused where its disk is gone, which a look at the folder alone may not be.
        let looked = self.blocking(|root| fs::read_dir(&root.path).and_then(|mut entries| entries.next().transpose()));
        looked.await.map(drop).map_err(|source| StoreError { doing: "reading", key: String::new(), source })
    }

    fn usage(&self) -> &Usage {
        &self.root.usage
    }

    async fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut listed = Vec::new();
        for top in [key::ORIGINALS, key::VARIANTS, key::PROXIES] {
            let below = self.blocking(move |root| {
                let mut below = Vec::new();
                root.list_below(top, &mut below)?;
                Ok(below)
            });
            listed.append(&mut below.await.map_err(|source| StoreError {
                doing: "listing",
                key: top.to_owned(),
                source,
            })?);
        }
        Ok(listed)
    }
}

/// The first piece of `range` of the file at `path`, and what of it is left to be read; `None` when there is no file of
/// `size_bytes`.
type Opened = Option<(Bytes, Option<(fs::File, u64)>)>;

fn open(path: &Path, range: &Range<u64>, size_bytes: u64) -> io::Result<Opened> {
    let Some(mut file) = found(fs::File::open(path))? else { return Ok(None) };
    let length = file.metadata()?.len();
    if length != size_bytes {
        return Ok(None);
    }
    if range.end > length || range.start > range.end {
        let message = format!("bytes {}..{} of a file of {length}", range.start, range.end);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    if range.start > 0 {
        file.seek(io::SeekFrom::Start(range.start))?;
    }
    let left = range.end - range.start;
    let want = left.min(PIECE_BYTES as u64);
    let mut first = Vec::with_capacity(usize::try_from(want).unwrap_or(PIECE_BYTES));
    if (&mut file).take(want).read_to_end(&mut first)? as u64 != want {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((Bytes::from(first), (left > want).then_some((file, left - want)))))
}

/// The entry that a name below `top` stands for, with its hexadecimal digits.
fn read_name(top: &str, name: &str) -> Option<(String, Listed)> {
    if top == key::VARIANTS {
        return Some((name.to_owned(), Listed::VariantsOf(name.parse().ok()?)));
    }
    let (hex, extension) = name.split_once('.')?;
    if top == key::PROXIES {
        return (extension == key::PROXY).then_some((hex.to_owned(), Listed::ProxyOf(hex.parse().ok()?)));
    }
    Some((hex.to_owned(), Listed::Original(hex.parse().ok()?, Format::from_extension(extension)?)))
}

fn is_hex_pair(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Names (those that are not UTF-8 with replacement characters, which no key has) and paths in `folder`;
/// none when it is absent or is no folder.
fn names(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            tracing::warn!(path = %folder.display(), "left alone: not a folder");
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let named = |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), entry.path());
    entries.map(|entry| entry.map(named)).collect()
}

/// The next `left` bytes of `file` in pieces. Holding the open file keeps its bytes while it is deleted or
/// replaced. A file that became shorter is an error, so that the client sees a broken body, not a short one.
fn pieces(file: tokio::fs::File, left: u64) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold((file, left), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let want = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let mut piece = BytesMut::with_capacity(want);
        while piece.len() < want {
            let room = (want - piece.len()) as u64;
            if (&mut file).take(room).read_buf(&mut piece).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Some((piece.freeze(), (file, left - want as u64))))
    })
}

/// Our files below `originals/ab/`, `variants/ab/` and `proxies/ab/`, where `ab` is `first`. Blocks on file calls.
fn files_under(root: &Path, first: u8) -> io::Result<Vec<StoredFile>> {
    let mut files = Vec::new();
    for (top, class) in
        [(key::ORIGINALS, Class::Original), (key::VARIANTS, Class::Variant), (key::PROXIES, Class::Proxy)]
    {
        for middle in entries(&root.join(format!("{top}/{first:02x}")))? {
            for entry in entries(&middle.path())? {
                let name = entry.file_name().to_string_lossy().into_owned();
                let Some((_, listed)) = read_name(top, &name) else { continue };
                match listed {
                    Listed::Original(hash, _) | Listed::ProxyOf(hash) => add_file(&mut files, hash, class, &entry)?,
                    Listed::VariantsOf(hash) => {
                        for entry in entries(&entry.path())? {
                            if VariantName::read(&entry.file_name().to_string_lossy()).is_some() {
                                add_file(&mut files, hash, class, &entry)?;
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(files)
}

fn add_file(files: &mut Vec<StoredFile>, hash: Hash, class: Class, entry: &fs::DirEntry) -> io::Result<()> {
    // Deleted since the folder was read: it is not there.
    if let Some(metadata) = found(entry.metadata())? {
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push(StoredFile { hash, class, name, size_bytes: metadata.len() });
    }
    Ok(())
}

/// What is in `folder`; nothing when it is absent or is no folder.
fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Makes the entries of `folder` durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// `None` for "not found".
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn failed(doing: &'static str, key: &StoreKey) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError { doing, key: key.to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite;

    async fn store() -> (tempfile::TempDir, FsStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = FsStore::open(folder.path().join("data")).await.unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn passes_the_suite() {
        let (_folder, store) = store().await;
        suite::passes(&store, store.staging()).await;
    }

    #[tokio::test]
    async fn foreign_names_are_skipped_and_kept() {
        let (folder, store) = store().await;
        let key = suite::original(1);
        store.put_bytes(&key, Bytes::from_static(b"one")).await.unwrap();
        let root = folder.path().join("data");
        let home = store.root.path(&key).parent().unwrap().to_owned();
        let moved = format!("{}.jpg", "ff".repeat(32));
        let foreign = [
            root.join("originals/README"),
            root.join("originals/zz"),
            home.parent().unwrap().join("x"),
            home.join("notes.txt"),
            home.join(format!("{}.exe", "01".repeat(32))),
            // A file of ours in another's folder is not where its key says.
            home.join(moved),
            root.join("variants/01"),
        ];
        tokio::fs::create_dir_all(root.join("variants")).await.unwrap();
        for path in &foreign {
            tokio::fs::write(path, b"foreign").await.unwrap();
        }
        assert_eq!(store.list().await.unwrap(), [Listed::Original(suite::hash(1), Format::Jpg)]);
        for path in &foreign {
            assert!(path.try_exists().unwrap(), "{}", path.display());
        }
    }

    #[tokio::test]
    async fn a_file_served_while_it_is_deleted_stays_whole() {
        let (_folder, store) = store().await;
        let key = suite::original(1);
        let bytes = Bytes::from(suite::pattern(3 * PIECE_BYTES + 5));
        store.put_bytes(&key, bytes.clone()).await.unwrap();
        let mut stream = store.stream(&key, 0..bytes.len() as u64, bytes.len() as u64).await.unwrap().unwrap();
        let mut got = stream.next().await.unwrap().unwrap().to_vec();
        assert_eq!(got.len(), PIECE_BYTES);
        store.delete(&key).await.unwrap();
        store.put_bytes(&key, Bytes::from_static(b"another")).await.unwrap();
        while let Some(piece) = stream.next().await {
            got.extend_from_slice(&piece.unwrap());
        }
        assert!(got == bytes);
    }

    #[tokio::test]
    async fn a_file_that_shrinks_breaks_its_stream() {
        let (_folder, store) = store().await;
        let key = suite::original(1);
        store.put_bytes(&key, Bytes::from(suite::pattern(2 * PIECE_BYTES))).await.unwrap();
        let stream = store.stream(&key, 0..2 * PIECE_BYTES as u64, 2 * PIECE_BYTES as u64).await.unwrap().unwrap();
        fs::OpenOptions::new().write(true).open(store.root.path(&key)).unwrap().set_len(100).unwrap();
        let pieces: Vec<_> = stream.collect().await;
        assert_eq!(pieces.last().unwrap().as_ref().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_staged_file_goes_when_its_put_fails() {
        let (folder, store) = store().await;
        tokio::fs::write(folder.path().join("data/originals"), b"in the way").await.unwrap();
        let staged = store.staging().write_pieces_blocking([b"x".as_slice()]).unwrap();
        let path = staged.path().to_owned();
        let error = store.put_file(&suite::original(1), staged).await.unwrap_err();
        assert!(error.to_string().starts_with("writing originals/"), "{error}");
        assert!(!path.try_exists().unwrap());
    }
}
