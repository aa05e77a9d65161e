//! Whether a picture bears one sample of colour for four pixels.

/// How far, of 255, a pixel's chroma may be from the mean of its block of two by two.
const TORN: i32 = 24;

/// How far, of 255, the pixels of a block may be apart that nothing happens in.
const FLAT: u8 = 16;

/// One block in so many may be torn, of those in which something happens.
const SHARE: usize = 16;

/// Whether 4:2:0 would be seen to take colour away. It is where, of the blocks of two by two that are not flat, over one in
/// [`SHARE`] has a pixel whose chroma is over [`TORN`] from the mean that all four would get. `data` is RGB, 3 bytes a pixel, rows of
/// `width`.
///
/// Of 12 photos at 256 and at 1024 px none has over 5.3 % of them, and nine have under 1 %; red, blue and green letters on white
/// have 81 %, however little of the picture they cover. Letters in soft colours are below it, and lose what few will see.
pub(super) fn is_needed(data: &[u8], width: usize) -> bool {
    let rows = data.chunks_exact(width * 3);
    let (mut busy, mut torn) = (0, 0);
    for (upper, lower) in rows.clone().step_by(2).zip(rows.skip(1).step_by(2)) {
        for (upper, lower) in upper.as_chunks::<6>().0.iter().zip(lower.as_chunks::<6>().0) {
            let [a, b, c, d, e, f] = *upper;
            let [g, h, i, j, k, l] = *lower;
            let pixels = [[a, b, c], [d, e, f], [g, h, i], [j, k, l]];
            if is_flat(pixels) {
                continue;
            }
            busy += 1;
            torn += usize::from(is_torn(pixels));
        }
    }
    torn * SHARE > busy
}

fn is_flat(pixels: [[u8; 3]; 4]) -> bool {
    [0, 1, 2].into_iter().all(|channel: usize| {
        let samples = pixels.map(|pixel| pixel[channel]);
        let range = |(low, high): (u8, u8), sample: u8| (sample.min(low), sample.max(high));
        let (low, high) = samples.into_iter().fold((255, 0), range);
        high - low <= FLAT
    })
}

fn is_torn(pixels: [[u8; 3]; 4]) -> bool {
    let pixels = pixels.map(differences);
    [0, 1].into_iter().any(|plane: usize| {
        let samples = pixels.map(|pixel| pixel[plane]);
        let sum: i32 = samples.iter().sum();
        samples.iter().any(|sample| (4 * sample - sum).abs() > 4 * TORN)
    })
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
    fn a_word_on_a_large_page_needs_it() {
        let page = picture(512, 512, |x, y| if x < 20 && y < 8 && x % 3 == 1 { [0, 0, 230] } else { [255; 3] });
        assert!(is_needed(&page, 512));
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
