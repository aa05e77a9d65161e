//! The parameter struct of each stage, laid out as its shader's struct of the same name.

use bytemuck::{Pod, Zeroable};

/// `Horizontal` in `shaders/horizontal.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Horizontal {
    /// Pixels of a source row.
    pub source_width: u32,
    /// Pixels of a result row.
    pub target_width: u32,
    /// Rows of both.
    pub height: u32,
    /// Source pixels a block of 4 results reads.
    pub taps: u32,
    /// The row of the whole picture that row 0 is. This and all below: planes only.
    pub first_row: u32,
    /// The row of the whole chroma planes that their row 0 is.
    pub first_chroma_row: u32,
    /// Samples of a row of a whole chroma plane.
    pub chroma_width: u32,
    /// Rows of a whole chroma plane.
    pub chroma_height: u32,
    /// The byte where the blue-difference plane begins.
    pub blue_start: u32,
    /// The byte where the red-difference plane begins.
    pub red_start: u32,
    /// 1: half the columns, 2: half the rows, 4: samples on the left one of two columns.
    pub sampling: u32,
    /// Keeps the size a multiple of 16 bytes.
    pub unused: u32,
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

/// `Sharpen` in `shaders/sharpen.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Sharpen {
    /// Pixels of a row of the result, and of the blurred picture.
    pub width: u32,
    /// Rows of both.
    pub height: u32,
    /// Pixels of a row of the original.
    pub original_width: u32,
    /// The pixel of the original that the first of the result is made of.
    pub original_start: u32,
    /// How much of the difference is added.
    pub amount: f32,
    /// Keeps the size a multiple of 16 bytes.
    pub unused_a: u32,
    /// As `unused_a`.
    pub unused_b: u32,
    /// As `unused_a`.
    pub unused_c: u32,
}

/// `Colour` in `shaders/colour.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Colour {
    /// Factors of red, green and blue, and what is added: for red.
    pub red: [f32; 4],
    /// The same for green.
    pub green: [f32; 4],
    /// The same for blue.
    pub blue: [f32; 4],
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Keeps the size a multiple of 16 bytes.
    pub unused_a: u32,
    /// As `unused_a`.
    pub unused_b: u32,
}

/// `Orient` in `shaders/orient.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Orient {
    /// Pixels of a row as stored.
    pub width: u32,
    /// Rows as stored.
    pub height: u32,
    /// Pixels of a row of the result.
    pub target_width: u32,
    /// 1: sides swapped, 2: read from the stored picture's right edge, 4: from its bottom edge.
    pub turn: u32,
}

/// `Chroma` in `shaders/chroma.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Chroma {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Words of the luma plane.
    pub luma_words: u32,
    /// Words of a chroma plane.
    pub chroma_words: u32,
    /// Words a row of invocations makes.
    pub row_words: u32,
    /// Keeps the size a multiple of 16 bytes.
    pub unused_a: u32,
    /// As `unused_a`.
    pub unused_b: u32,
    /// As `unused_a`.
    pub unused_c: u32,
}
