//! Pixels to pixels. Knows no codec, no HTTP, no storage, and never awaits.

pub mod pixmap;

pub use pixmap::{Layout, Pixmap, PixmapError};
