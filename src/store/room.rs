//! Room on the disk that pictures leave alone, so that metadata can be written when there is none for more pictures.
//!
//! Without it whatever is written last takes the last block. Where that is the journal or the index the metadata have failed and only a
//! restart helps; and what would make room, a delete, needs a few bytes of the journal.

use std::{io, path::Path};

/// What is left for metadata ...
#[cfg(target_os = "linux")]
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// ... or this part of the disk, where that is less.
#[cfg(target_os = "linux")]
const RESERVE_PART: u64 = 64;

/// Bytes of one file that are written between two looks.
pub(super) const LOOK_BYTES: u64 = 1024 * 1024;

/// Fails when the disk of `folder` has no room for `bytes` more. One call that looks at what the kernel has in memory: short enough for
/// any thread.
#[cfg(target_os = "linux")]
pub(super) fn check(folder: &Path, bytes: u64) -> io::Result<()> {
    let disk = rustix::fs::statvfs(folder)?;
    let (free, all) = (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
    if is_room(free, all, bytes) { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
}

/// Elsewhere nobody looks.
#[cfg(not(target_os = "linux"))]
pub(super) fn check(_folder: &Path, _bytes: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn is_room(free: u64, all: u64, bytes: u64) -> bool {
    free >= bytes.saturating_add(RESERVE_BYTES.min(all / RESERVE_PART))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn pictures_leave_the_reserve() {
        const GIB: u64 = 1 << 30;
        assert!(is_room(GIB, 100 * GIB, GIB - RESERVE_BYTES));
        assert!(!is_room(GIB, 100 * GIB, GIB - RESERVE_BYTES + 1));
        assert!(!is_room(RESERVE_BYTES - 1, 100 * GIB, 0));
        // A small disk keeps less.
        assert!(is_room(GIB / 64, GIB, 0) && !is_room(GIB / 64, GIB, 1));
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), 0).unwrap();
        assert_eq!(check(folder.path(), u64::MAX).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
