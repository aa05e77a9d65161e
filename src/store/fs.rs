//! The store on a local file system.
//!
//! A put is: write beside, fsync, rename, fsync of the folder, and of every folder above it that may be new.
//! Without the last step a power cut loses whole files. All calls go through `tokio::fs`, whose pool is bounded.

use std::{
    collections::BTreeSet,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::{
    ByteStream, Class, Listed, Staged, Staging, Store, StoreError, StoreKey, StoredFile, Usage, VariantName, key,
    staging::StagingError,
};
use crate::domain::{Format, Hash};

/// Bytes in a piece of a stream; a range up to this long is sent as one.
const PIECE_BYTES: usize = 256 * 1024;

/// Files below a folder: `originals/`, `variants/`, and `staging/` for what is being written.
#[derive(Debug)]
pub struct FsStore {
    root: PathBuf,
    staging: Arc<Staging>,
    /// Folders whose own entry is known to be on the disk. Only the two fan-out levels are kept: at most
    /// 2 * (1 + 256 + 65,536). A folder found on the disk proves nothing: the run that made it may have been
    /// cut off before its fsync, or another put may be between its mkdir and its fsync right now.
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
            sync_folder(above).await.map_err(|source| StoreError {
                doing: "opening",
                key: above.display().to_string(),
                source,
            })?;
        }
        Ok(Self { root, staging: Arc::new(staging), durable: Mutex::default(), usage: Usage::default() })
    }

    /// The staging area on the store's own file system, from where a put is a rename.
    #[must_use]
    pub fn staging(&self) -> &Arc<Staging> {
        &self.staging
    }

    /// The path of `key`. It is made of fixed words and hexadecimal digits only, so it cannot leave the root.
    fn path(&self, key: &StoreKey) -> PathBuf {
        self.root.join(key.to_string())
    }

    /// Moves the file at `from`, of `size_bytes`, already written and synced, to `key`.
    async fn install(&self, from: &Path, size_bytes: u64, key: &StoreKey) -> io::Result<()> {
        let to = self.path(key);
        let folder = to.parent().ok_or(io::ErrorKind::InvalidInput)?;
        self.make_folder(folder, key).await?;
        let replaced = found(tokio::fs::metadata(&to).await)?.map(|metadata| metadata.len());
        tokio::fs::rename(from, &to).await?;
        self.usage.put(key.hash(), Class::of(key), size_bytes, replaced);
        sync_folder(folder).await
    }

    /// Makes `folder` and those above it up to the root, and makes their entries durable.
    async fn make_folder(&self, folder: &Path, key: &StoreKey) -> io::Result<()> {
        tokio::fs::create_dir_all(folder).await?;
        // The folder of one original's variants is not remembered: there may be millions of them.
        let remembered = match key {
            StoreKey::Original { .. } => folder,
            StoreKey::Variant { .. } => {
                let parent = folder.parent().ok_or(io::ErrorKind::InvalidInput)?;
                sync_folder(parent).await?;
                parent
            }
        };
        let mut missing: Vec<PathBuf> = remembered
            .ancestors()
            .take_while(|ancestor| *ancestor != self.root)
            .filter(|ancestor| !self.is_durable(ancestor))
            .map(Path::to_owned)
            .collect();
        // From the top: a folder is durable when its entry is, in a durable folder.
        while let Some(folder) = missing.pop() {
            sync_folder(folder.parent().ok_or(io::ErrorKind::InvalidInput)?).await?;
            self.durable.lock().unwrap_or_else(PoisonError::into_inner).insert(folder);
        }
        Ok(())
    }

    fn is_durable(&self, folder: &Path) -> bool {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).contains(folder)
    }
}

#[async_trait::async_trait]
impl Store for FsStore {
    async fn put_file(&self, key: &StoreKey, staged: Staged) -> Result<(), StoreError> {
        let put = async {
            // A write-back that failed before this open is not missed: Linux reports an error that nobody has
            // seen to the next handle, too.
            tokio::fs::OpenOptions::new().write(true).open(staged.path()).await?.sync_all().await?;
            self.install(staged.path(), staged.size_bytes(), key).await
        };
        put.await.map_err(failed("writing", key))?;
        staged.moved();
        Ok(())
    }

    async fn put_bytes(&self, key: &StoreKey, bytes: Bytes) -> Result<(), StoreError> {
        let put = async {
            let mut writer = self.staging.begin(u64::MAX).await.map_err(io::Error::other)?;
            writer.write(&bytes).await.map_err(io::Error::other)?;
            writer.finish().await.map_err(io::Error::other)
        };
        let staged = put.await.map_err(failed("writing", key))?;
        self.put_file(key, staged).await
    }

    async fn read(&self, key: &StoreKey) -> Result<Option<Bytes>, StoreError> {
        found(tokio::fs::read(self.path(key)).await).map(|bytes| bytes.map(Bytes::from)).map_err(failed("reading", key))
    }

    async fn stream(&self, key: &StoreKey, range: Range<u64>) -> Result<Option<ByteStream>, StoreError> {
        let open = async {
            let Some(mut file) = found(tokio::fs::File::open(self.path(key)).await)? else { return Ok(None) };
            let length = file.metadata().await?.len();
            if range.end > length || range.start > range.end {
                let message = format!("bytes {}..{} of a file of {length}", range.start, range.end);
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            if range.start > 0 {
                file.seek(io::SeekFrom::Start(range.start)).await?;
            }
            file.set_max_buf_size(PIECE_BYTES);
            Ok(Some(pieces(file, range.end - range.start)))
        };
        open.await.map_err(failed("reading", key))
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.remove(key.hash(), Class::of(key), &self.path(key)).await.map_err(failed("deleting", key))
    }

    async fn delete_variants(&self, hash: &Hash) -> Result<(), StoreError> {
        let folder = key::variants_folder(hash);
        let path = self.root.join(&folder);
        let delete = async {
            for (name, path) in names(&path).await? {
                if VariantName::read(&name).is_some() {
                    self.remove(hash, Class::Variant, &path).await?;
                }
            }
            found(tokio::fs::remove_dir_all(&path).await).map(drop)
        };
        delete.await.map_err(|source| StoreError { doing: "deleting", key: folder, source })
    }

    async fn size(&self, key: &StoreKey) -> Result<Option<u64>, StoreError> {
        let metadata = found(tokio::fs::metadata(self.path(key)).await).map_err(failed("reading", key))?;
        Ok(metadata.map(|metadata| metadata.len()))
    }

    async fn files(&self, first: u8) -> Result<Vec<StoredFile>, StoreError> {
        let root = self.root.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "one at a time, for the upkeep: some thousand calls by themselves"
        )]
        let listed = tokio::task::spawn_blocking(move || files_under(&root, first)).await;
        listed.map_err(io::Error::other).flatten().map_err(|source| StoreError {
            doing: "listing",
            key: format!("{}/{first:02x}", key::VARIANTS),
            source,
        })
    }

    async fn delete_file(&self, file: &StoredFile) -> Result<(), StoreError> {
        let key = key::path_of(file);
        let removed = self.remove(&file.hash, file.class, &self.root.join(&key)).await;
        removed.map_err(|source| StoreError { doing: "deleting", key, source })
    }

    fn usage(&self) -> &Usage {
        &self.usage
    }

    async fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut listed = Vec::new();
        for top in [key::ORIGINALS, key::VARIANTS] {
            self.list_below(top, &mut listed).await.map_err(|source| StoreError {
                doing: "listing",
                key: top.to_owned(),
                source,
            })?;
        }
        Ok(listed)
    }
}

impl FsStore {
    /// Deletes the file at `path`, if it is there, and counts that.
    async fn remove(&self, hash: &Hash, class: Class, path: &Path) -> io::Result<()> {
        let Some(metadata) = found(tokio::fs::symlink_metadata(path).await)? else { return Ok(()) };
        if found(tokio::fs::remove_file(path).await)?.is_some() {
            self.usage.deleted(hash, class, metadata.len());
        }
        if let (Class::Variant, Some(folder)) = (class, path.parent()) {
            // With the last variant of an original goes its folder. It refuses while there are others.
            let _kept = tokio::fs::remove_dir(folder).await;
        }
        Ok(())
    }

    /// Adds what lies in `top/ab/cd/`. Names that are not ours are left alone, with a warning.
    async fn list_below(&self, top: &str, listed: &mut Vec<Listed>) -> io::Result<()> {
        for (first, outer) in names(&self.root.join(top)).await? {
            if !is_hex_pair(&first) {
                tracing::warn!(path = %outer.display(), "left alone: not a folder of ours");
                continue;
            }
            for (second, inner) in names(&outer).await? {
                if !is_hex_pair(&second) {
                    tracing::warn!(path = %inner.display(), "left alone: not a folder of ours");
                    continue;
                }
                for (name, path) in names(&inner).await? {
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

/// The entry that a name below `top` stands for, with its hexadecimal digits.
fn read_name(top: &str, name: &str) -> Option<(String, Listed)> {
    if top == key::VARIANTS {
        return Some((name.to_owned(), Listed::VariantsOf(name.parse().ok()?)));
    }
    let (hex, extension) = name.split_once('.')?;
    Some((hex.to_owned(), Listed::Original(hex.parse().ok()?, Format::from_extension(extension)?)))
}

fn is_hex_pair(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Names (those that are not UTF-8 with replacement characters, which no key has) and paths in `folder`;
/// none when it is absent or is no folder.
async fn names(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut entries = match tokio::fs::read_dir(folder).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            tracing::warn!(path = %folder.display(), "left alone: not a folder");
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        names.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    Ok(names)
}

/// The next `left` bytes of `file` in pieces. Holding the open file keeps its bytes while it is deleted or
/// replaced. A file that became shorter is an error, so that the client sees a broken body, not a short one.
fn pieces(file: tokio::fs::File, left: u64) -> ByteStream {
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
    .boxed()
}

/// Our files below `originals/ab/` and `variants/ab/`, where `ab` is `first`. Blocks on file calls.
fn files_under(root: &Path, first: u8) -> io::Result<Vec<StoredFile>> {
    let mut files = Vec::new();
    for (top, class) in [(key::ORIGINALS, Class::Original), (key::VARIANTS, Class::Variant)] {
        for middle in entries(&root.join(format!("{top}/{first:02x}")))? {
            for entry in entries(&middle.path())? {
                let name = entry.file_name().to_string_lossy().into_owned();
                let Some((_, listed)) = read_name(top, &name) else { continue };
                match listed {
                    Listed::Original(hash, _) => add_file(&mut files, hash, class, &entry)?,
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

fn add_file(files: &mut Vec<StoredFile>, hash: Hash, class: Class, entry: &std::fs::DirEntry) -> io::Result<()> {
    // Deleted since the folder was read: it is not there.
    if let Some(metadata) = found(entry.metadata())? {
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push(StoredFile { hash, class, name, size_bytes: metadata.len() });
    }
    Ok(())
}

/// What is in `folder`; nothing when it is absent or is no folder.
fn entries(folder: &Path) -> io::Result<Vec<std::fs::DirEntry>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Makes the entries of `folder` durable.
async fn sync_folder(folder: &Path) -> io::Result<()> {
    tokio::fs::File::open(folder).await?.sync_all().await
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
        let home = store.path(&key).parent().unwrap().to_owned();
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
        let mut stream = store.stream(&key, 0..bytes.len() as u64).await.unwrap().unwrap();
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
        let stream = store.stream(&key, 0..2 * PIECE_BYTES as u64).await.unwrap().unwrap();
        std::fs::OpenOptions::new().write(true).open(store.path(&key)).unwrap().set_len(100).unwrap();
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
