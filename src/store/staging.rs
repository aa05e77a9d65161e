//! Files on their way in: written and hashed as they stream, named only when complete.

/// A folder for files that are still being written, on the file system of the store.
#[derive(Debug)]
pub struct Staging {}

/// A complete staged file; deleted when dropped without being put.
#[derive(Debug)]
pub struct Staged {}

/// Why a file could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {}
