//! Twin of `shaders/chroma.wgsl`: a finished picture as planes of 4:2:0.

use crate::pixels::pixmap::{Pixmap, PixmapError, Sampling, Ycbcr, ycbcr_from_rgb};

/// The 4:2:0 planes of an RGB picture. A chroma sample is that of the mean colour of the four pixels around it; at odd
/// right and bottom edges the last pixels count twice. Rounded once.
///
/// # Errors
/// [`PixmapError`] never in practice: only for a picture that is not RGB.
pub fn run(rgb: &Pixmap) -> Result<Ycbcr, PixmapError> {
    let (width, height) = (rgb.width(), rgb.height());
    let sampling = Sampling::JPEG_420;
    let (chroma_width, chroma_height) = sampling.chroma_size(width, height);
    let mut luma = Vec::with_capacity(rgb.data().len() / 3);
    let wide = |pixel: &[u8; 3]| pixel.map(i32::from);
    luma.extend(rgb.data().as_chunks::<3>().0.iter().map(|pixel| ycbcr_from_rgb(wide(pixel), 0)[0]));
    let samples = (chroma_width * chroma_height) as usize;
    let mut chroma = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    for pair in rgb.data().chunks(width as usize * 6) {
        let (upper, lower) = pair.split_at((width as usize * 3).min(pair.len()));
        let lower = if lower.is_empty() { upper } else { lower };
        let pairs = |row: &'_ [u8]| row.as_chunks::<3>().0.chunks(2).map(pair_sum).collect::<Vec<_>>();
        for (upper, lower) in pairs(upper).into_iter().zip(pairs(lower)) {
            let [a, b, c] = upper;
            let [x, y, z] = lower;
            let [_, blue, red] = ycbcr_from_rgb([a + x, b + y, c + z], 2);
            chroma[0].push(blue);
            chroma[1].push(red);
        }
    }
    Ycbcr::new(width, height, sampling, luma, chroma)
}

fn pair_sum(pair: &[[u8; 3]]) -> [i32; 3] {
    let first = pair.first().copied().unwrap_or_default().map(i32::from);
    let [r, g, b] = pair.get(1).map_or(first, |second| second.map(i32::from));
    [first[0] + r, first[1] + g, first[2] + b]
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
