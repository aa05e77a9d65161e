//! The cpu engine: the stages of the shaders as plain loops that the compiler turns into SIMD.
//!
//! Rows stream through the steps, so a job holds a few rows instead of a picture of floats (a 40 megapixel picture
//! would be 640 MB). A step filters along the axis first that leaves less to do along the other:
//!
//! * Along y first ([`sums`]), for a picture that gets smaller or stays as large. A batch of source rows is cut into tiles
//!   that fit the nearest caches; each is linearised and added to the sums of all output rows it belongs to, in whole
//!   numbers ([`pairs`]). The pass over all source pixels has no sums across lanes, and few rows are left for the pass along x.
//! * Along x first, for one that grows: into a ring of rows, and whenever the ring holds what the next output row needs,
//!   along y.
//!
//! A row that was made goes to the next step, or is encoded.
//!
//! A row is **planar**: one run of `f32` a channel, [`row::Shape::pitch`] apart, zeros behind the last pixel. So loops run
//! over plain contiguous floats, a grey picture costs a quarter of an RGBA one, and an opaque one has no alpha at all.
//!
//! What a blur leaves is so smooth that its last step, to twice the rows and columns, is done in codes where planes are wanted ([`smooth`]).
//!
//! One job is one thread. Loops are compiled for AVX2 and AVX-512 too and chosen at run time (`multiversion`). Where the
//! compiler does not find the instructions that the processor has for it they are written out: in [`lookup`] and
//! [`transpose`], which move numbers and compute nothing, and in [`pairs`], whose sums are exact. No fused multiply-adds:
//! every processor gives the same bytes, and where adds and multiplies have ports of their own it costs nothing.

pub mod chroma;
pub mod colour;
pub mod horizontal;
pub mod lookup;
pub mod orient;
pub mod pairs;
pub mod row;
pub mod sharpen;
pub mod smooth;
pub mod sums;
pub mod transpose;
pub mod vertical;

mod stream;

pub use stream::run_all;

use super::pixmap::{Pixmap, PixmapError, Source};
use super::plan::Plan;
use super::stop::{Stop, Stopped};

/// Why there is no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// The source is not of the size the plan is for.
    #[error(transparent)]
    Broken(#[from] PixmapError),
    /// The job was stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The first result of a plan, to its end.
///
/// # Errors
/// [`PixmapError`] when `source` is not of the size the plan is for.
pub fn run<'a>(plan: &Plan, source: impl Into<Source<'a>>) -> Result<Pixmap, PixmapError> {
    const NOTHING: PixmapError = PixmapError::Empty { width: 0, height: 0 };
    match run_all(plan, source.into(), &Stop::never()) {
        Ok(pictures) => pictures.into_iter().next().ok_or(NOTHING)?.into_pixmap(),
        Err(CpuError::Broken(error)) => Err(error),
        Err(CpuError::Stopped(_)) => Err(NOTHING),
    }
}
