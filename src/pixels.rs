//! Pixels to pixels. Knows no codec, no HTTP, no storage, and never awaits.
//!
//! # From operations to bytes
//!
//! ```text
//! [Op] + Size -> Plan (pure; refuses here) -> exec::run -> Pixmap
//!                 |                             |
//!                 Step, Step, ..                cpu: rows stream through the steps
//!                 each = two banded kernels     gpu: one dispatch a kernel (a hardware or a software adapter)
//! ```
//!
//! Everything is a **separable step**: a [`Kernel`] along the rows, then one along the columns. A kernel is *banded*:
//! output sample `i` is a weighted sum of the source samples `first(i)..first(i) + taps`. Reducing (Lanczos3), a
//! direct Gaussian blur, and the decimate, blur, interpolate of a large Gaussian blur are all such kernels, so each
//! engine has one piece of arithmetic to get right. Weights are computed in `f64`, normalised, rounded to `f32` once.
//!
//! # Colour
//!
//! Pictures come and go as 8-bit sRGB with straight alpha. In between every value is linear light with premultiplied
//! alpha, in floating point, unclamped; rounding to 8 bits happens once, at the very end. Premultiplying makes a
//! filter's weights follow coverage (transparent pixels bring no colour), linear light makes averages those of light.
//! A pixel whose alpha rounds to 0 comes out as all zeros.
//!
//! # Engines
//!
//! [`exec`] chooses one at start and falls back to `cpu` for each job a device cannot take or does not finish. `gpu`
//! and `software` are the same shaders (`shaders/`) on a hardware or on a software adapter. A stage is one shader file,
//! one file of [`cpu`] and one parameter struct in [`gpu::params`], all of one name.

pub mod colour;
pub mod cpu;
pub mod exec;
pub mod gpu;
pub mod kernel;
pub mod op;
pub mod orientation;
pub mod pixmap;
pub mod plan;
pub mod srgb;
pub mod stop;

pub use exec::{Backend, EngineError, EngineOptions, Engines, ExecError};
pub use kernel::Kernel;
pub use op::{Anchor, Colour, Op, Rect, ResizeFilter, Size, Target};
pub use orientation::Orientation;
pub use pixmap::{Layout, Picture, Pixmap, PixmapError, Source};
pub use plan::{Cost, Form, Plan, PlanError, PlanLimits};
pub use stop::{Stop, Stopped};
