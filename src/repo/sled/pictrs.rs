//! The metadata of pict-rs 0.2 and 0.3, read: sled 0.34 below `sled/db-0.34` of its data directory, trees of plain keys and values.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `alias` | alias | hash |
//! | | alias, `/delete` | delete token |
//! | `main` | hash | file name |
//! | | hash, a zero byte, a number | alias |
//! | `path` (0.3) | file name | where its file is, below the data directory |
//!
//! In 0.2 a file lies in `files/` under its name. Hashes are those of pict-rs and say nothing here.

use std::path::{Path, PathBuf};

use super::engine;
use crate::repo::RepoError;

/// Bytes of a hash: SHA-256.
const HASH_BYTES: usize = 32;

/// A picture of pict-rs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictrsPicture {
    /// Its file.
    pub file: PathBuf,
    /// What it is known as, with the delete token of each where it has one, in the order they were added.
    pub aliases: Vec<(String, Option<String>)>,
}

/// Where the metadata of a pict-rs in `data_dir` would be.
#[must_use]
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("sled").join("db-0.34")
}

/// All pictures of the pict-rs whose data directory this is. Its metadata are copied to `scratch` first: sled writes when it opens.
///
/// # Errors
/// [`RepoError::Engine`] when the metadata cannot be copied or read.
pub fn read(data_dir: &Path, scratch: &Path) -> Result<Vec<PictrsPicture>, RepoError> {
    let copy = scratch.join("db");
    copy_folder(&folder(data_dir), &copy)
        .map_err(|error| RepoError::Engine(format!("copying its metadata: {error}")))?;
    let db = ::sled::Config::new().path(&copy).open().map_err(engine)?;
    let tree = |name: &str| db.open_tree(name).map_err(engine);
    let (aliases, main, paths) = (tree("alias")?, tree("main")?, tree("path")?);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut pictures = Vec::new();
    for row in &main {
        let (hash, name) = row.map_err(engine)?;
        if hash.len() != HASH_BYTES {
            continue;
        }
        let file = match paths.get(&name).map_err(engine)? {
            Some(path) => data_dir.join(text(&path)),
            None => data_dir.join("files").join(text(&name)),
        };
        let mut known = Vec::new();
        for row in main.scan_prefix([&hash[..], &[0]].concat()) {
            let alias = text(&row.map_err(engine)?.1);
            let token = aliases.get(format!("{alias}/delete")).map_err(engine)?;
            known.push((alias, token.map(|token| text(&token))));
        }
        pictures.push(PictrsPicture { file, aliases: known });
    }
    Ok(pictures)
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
