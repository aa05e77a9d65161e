//! The parameter struct of each stage, laid out as its shader's struct of the same name.

use bytemuck::{Pod, Zeroable};

/// `Horizontal` in `shaders/horizontal.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Horizontal {
    /// Pixels of a source row.
    pub source_width: u32,
    /// Pixels of a result row.
    pub target_width: u32,
    /// Rows of both.
    pub height: u32,
    /// Source pixels a block of 4 results reads.
    pub taps: u32,
}

/// `Vertical` in `shaders/vertical.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Vertical {
    /// Pixels of a row of both.
    pub width: u32,
    /// Rows of the result.
    pub target_height: u32,
    /// Source rows a block of 4 results reads.
    pub taps: u32,
    /// Keeps the size a multiple of 16 bytes.
    pub unused: u32,
}
