//! Bytes to pixels and pixels to bytes. Knows no HTTP, no storage, and never awaits.
