//! What was measured of a picture when it came in.

use serde::{Deserialize, Serialize};

use super::format::Format;

/// The facts of a stored picture. `width` and `height` are those of the upright picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// Columns of the upright picture.
    pub width: u32,
    /// Rows of the upright picture.
    pub height: u32,
    /// The format of the stored bytes.
    pub format: Format,
    /// Pictures in it: 1 for a still.
    pub frames: u32,
}
