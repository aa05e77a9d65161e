//! Blocks of the disk that are held back for the metadata, as a file.
//!
//! Pictures leave the metadata room, but another program may take the last block. Then the journal fails, only a restart helps, and sled
//! writes when it opens: without these blocks the server would not start, and nothing could be deleted to make room.

use std::path::Path;

/// Enough for sled to open its log, which it does in steps of half a mebibyte, and for deletes after that.
#[cfg(target_os = "linux")]
const RESERVE_BYTES: u64 = 1024 * 1024;

/// It is made when so many times as much is free.
#[cfg(target_os = "linux")]
const PLENTY: u64 = 4;

/// Gives the blocks away when the disk has fewer: before anything is opened, with the directory locked.
#[cfg(target_os = "linux")]
pub(super) fn release_if_needed(data_dir: &Path) {
    let path = data_dir.join("reserve");
    if !free_bytes(data_dir).is_ok_and(|free| free < RESERVE_BYTES) {
        return;
    }
    match std::fs::remove_file(&path) {
        Ok(()) => {
            // A file system with a journal may hand the blocks out only when it has noted that they are free.
            let _synced = crate::repo::journal::sync_folder(data_dir);
            tracing::warn!(
                bytes = RESERVE_BYTES,
                "the disk is full: what was held back for the metadata is given to them; delete pictures, or make room otherwise"
            );
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "what is held back for the metadata cannot be given to them");
        }
    }
}

/// Holds the blocks, if they are not held and there are plenty. Without them all goes on.
#[cfg(target_os = "linux")]
pub(super) fn hold(data_dir: &Path) {
    let path = data_dir.join("reserve");
    let is_held = std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() >= RESERVE_BYTES);
    if is_held || !free_bytes(data_dir).is_ok_and(|free| free >= PLENTY * RESERVE_BYTES) {
        return;
    }
    let held = std::fs::File::create(&path).and_then(|file| {
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE_BYTES)?;
        file.sync_all()
    });
    if let Err(error) = held {
        tracing::info!(%error, "nothing is held back for the metadata");
        let _gone = std::fs::remove_file(&path);
    }
}

#[cfg(target_os = "linux")]
fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Elsewhere nothing is held.
#[cfg(not(target_os = "linux"))]
pub(super) fn release_if_needed(_data_dir: &Path) {}

/// Elsewhere nothing is held.
#[cfg(not(target_os = "linux"))]
pub(super) fn hold(_data_dir: &Path) {}
