//! Whether a picture bears one sample of colour for four pixels.

/// How far, of 255, a pixel's chroma may be from the mean of its block of two by two.
const TORN: i32 = 24;

/// One block in so many may be torn.
const SHARE: usize = 50;

/// Whether 4:2:0 would be seen to take colour away: whether in over one of [`SHARE`] blocks of two by two a pixel's chroma is
/// over [`TORN`] from the mean that all four would get. So it is with coloured letters, lines and flat drawings; in photos edges
/// of colour are soft, and few. `data` is RGB, 3 bytes a pixel, rows of `width`.
pub(super) fn is_needed(data: &[u8], width: usize) -> bool {
    let rows = data.chunks_exact(width * 3);
    let (mut blocks, mut torn) = (0, 0);
    for (upper, lower) in rows.clone().step_by(2).zip(rows.skip(1).step_by(2)) {
        for (upper, lower) in upper.as_chunks::<6>().0.iter().zip(lower.as_chunks::<6>().0) {
            let [a, b, c, d, e, f] = *upper;
            let [g, h, i, j, k, l] = *lower;
            let pixels = [[a, b, c], [d, e, f], [g, h, i], [j, k, l]].map(differences);
            let is_torn = [0, 1].into_iter().any(|plane: usize| {
                let samples = pixels.map(|pixel| pixel[plane]);
                let sum: i32 = samples.iter().sum();
                samples.iter().any(|sample| (4 * sample - sum).abs() > 4 * TORN)
            });
            blocks += 1;
            torn += usize::from(is_torn);
        }
    }
    torn * SHARE > blocks
}

/// Blue and red difference of a pixel, BT.601 in 8 fractional bits, around zero.
fn differences([r, g, b]: [u8; 3]) -> [i32; 2] {
    let [r, g, b] = [r, g, b].map(i32::from);
    [(-43 * r - 85 * g + 128 * b) >> 8, (128 * r - 107 * g - 21 * b) >> 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
        (0..width * height).flat_map(|at| pixel(at % width, at / width)).collect()
    }

    #[test]
    fn coloured_lines_need_it_and_grey_ones_and_soft_edges_do_not() {
        let red_lines = picture(64, 64, |x, _| if x % 9 == 4 { [220, 0, 0] } else { [255; 3] });
        assert!(is_needed(&red_lines, 64));
        let grey_lines = picture(64, 64, |x, _| if x % 9 == 4 { [20; 3] } else { [255; 3] });
        assert!(!is_needed(&grey_lines, 64));
        let soft = picture(64, 64, |x, _| [u8::try_from(x * 4).unwrap(), 0, 255 - u8::try_from(x * 4).unwrap()]);
        assert!(!is_needed(&soft, 64));
    }

    #[test]
    fn an_edge_on_the_grid_loses_nothing_and_one_off_it_does() {
        let edge = |at: usize| picture(8, 8, move |x, _| if x < at { [255, 0, 0] } else { [0, 0, 255] });
        assert!(!is_needed(&edge(4), 8));
        assert!(is_needed(&edge(3), 8));
    }

    #[test]
    fn pictures_without_a_block_need_nothing() {
        assert!(!is_needed(&[255, 0, 0], 1));
        assert!(!is_needed(&[255, 0, 0, 0, 255, 0], 2));
    }
}
