//! Pictures: decoding, metadata, malformed files, and the pixel engine against its references.

mod corpus;
mod decode;
mod encode;
mod malformed;
mod metadata;
