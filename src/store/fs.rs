//! The store on a local file system.
