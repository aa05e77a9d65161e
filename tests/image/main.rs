//! Pictures: decoding, metadata, malformed files, and the pixel engine against its references.
