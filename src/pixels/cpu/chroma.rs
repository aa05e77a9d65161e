//! Twin of `shaders/chroma.wgsl`: a finished picture as planes of 4:2:0.

use crate::pixels::pixmap::{Pixmap, PixmapError, Ycbcr};

/// The 4:2:0 planes of an RGB picture. A chroma sample is that of the mean colour of the four pixels around it; at odd
/// right and bottom edges the last pixels count twice. Rounded once.
///
/// # Errors
/// [`PixmapError`] for a picture that is not RGB.
pub fn run(rgb: &Pixmap) -> Result<Ycbcr, PixmapError> {
    Ycbcr::from_rgb(rgb, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::pixmap::Layout;

    #[test]
    fn odd_edges_repeat() {
        let data = [[255, 0, 0], [255, 0, 0], [0, 0, 255]].as_flattened().to_vec();
        let planes = run(&Pixmap::new(3, 1, Layout::Rgb, data).unwrap()).unwrap();
        assert_eq!(planes.luma(), [76, 76, 29]);
        assert_eq!(planes.chroma(), &[vec![85, 255], vec![255, 107]]);
    }
}
