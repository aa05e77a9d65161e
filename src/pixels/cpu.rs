//! The cpu engine: the stages of the shaders as plain loops that the compiler turns into SIMD.
//!
//! Rows stream through the steps, so a job holds a few rows instead of a picture of floats (a 40 megapixel picture
//! would be 640 MB): linearise a source row, filter it along x into a ring of rows, and whenever the ring holds what
//! the next output row needs, filter along y and hand that row to the next step, or encode it.
//!
//! A row is **planar**: one run of `f32` a channel, [`row::Shape::pitch`] apart, zeros behind the last pixel. So loops run
//! over plain contiguous floats, a grey picture costs a quarter of an RGBA one, and an opaque one has no alpha at all.
//!
//! One job is one thread. Loops are compiled for AVX2 too and chosen at run time (`multiversion`). No fused
//! multiply-adds: every processor gives the same bytes, and where adds and multiplies have ports of their own it
//! costs nothing.

pub mod horizontal;
pub mod row;
pub mod vertical;

mod stream;

pub use stream::run;
