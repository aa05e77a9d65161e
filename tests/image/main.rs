//! Pictures: decoding, metadata, malformed files, and the pixel engine against its references.

mod compare;
mod pipeline;
mod recovery;
mod reference;
mod shaders;
mod twin;
