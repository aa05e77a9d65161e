//! This decoder against the library's, and against damage.
