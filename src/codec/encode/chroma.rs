//! Whether a picture bears one sample of colour for four pixels.

/// How far, of 255, a pixel's chroma may be from the mean of its block of two by two.
const TORN: i16 = 24;

/// How far, of 255, the pixels of a block may be apart that nothing happens in.
const FLAT: i16 = 16;

/// One block in so many may be torn, of those in which something happens.
const SHARE: usize = 16;

/// Whether 4:2:0 would be seen to take colour away. It is where, of the blocks of two by two that are not flat, over one in
/// [`SHARE`] has a pixel whose chroma is over [`TORN`] from the mean that all four would get. `data` is RGB, 3 bytes a pixel, rows of
/// `width`.
///
/// Of 12 photos at 256 and at 1024 px none has over 5.3 % of them, and nine have under 1 %; red, blue and green letters on white
/// have 81 %, however little of the picture they cover. Letters in soft colours are below it, and lose what few will see.
pub(super) fn is_needed(data: &[u8], width: usize) -> bool {
    let mut colours = [vec![0; 3 * width], vec![0; 3 * width]];
    let (mut busy, mut torn) = (0, 0);
    let rows = data.chunks_exact(width * 3);
    for (upper, lower) in rows.clone().step_by(2).zip(rows.skip(1).step_by(2)) {
        for (colours, row) in colours.iter_mut().zip([upper, lower]) {
            separate(row, colours);
        }
        let [upper, lower] = &colours;
        let seen = count(upper, lower, width);
        (busy, torn) = (busy + seen.0, torn + seen.1);
    }
    torn * SHARE > busy
}

/// A row of pixels as a row of each colour, one after the other.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn separate(row: &[u8], colours: &mut [u8]) {
    let (red, others) = colours.split_at_mut(row.len() / 3);
    let (green, blue) = others.split_at_mut(row.len() / 3);
    for (((pixel, red), green), blue) in row.as_chunks::<3>().0.iter().zip(red).zip(green).zip(blue) {
        [*red, *green, *blue] = *pixel;
    }
}

/// Blocks of a span.
const SPAN: usize = 32;

/// How many blocks of two rows are not flat, and how many of those are torn.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn count(upper: &[u8], lower: &[u8], width: usize) -> (usize, usize) {
    let (mut busy, mut torn) = (0, 0);
    for at in (0..width / 2).step_by(SPAN) {
        // Of colour `c` and pixel `p` of each block: places without a block are all black, and flat.
        let mut pixels = [[[0_i16; SPAN]; 4]; 3];
        for (colour, pixels) in (0..3).zip(&mut pixels) {
            let pairs = |row: &'_ [u8]| -> [[u8; 2]; SPAN] {
                let row = row.get(colour * width + 2 * at..colour * width + width / 2 * 2).unwrap_or(&[]);
                let mut pairs = [[0; 2]; SPAN];
                pairs.iter_mut().zip(row.as_chunks::<2>().0).for_each(|(to, from)| *to = *from);
                pairs
            };
            let (upper, lower) = (pairs(upper), pairs(lower));
            for i in 0..SPAN {
                pixels[0][i] = i16::from(upper[i][0]);
                pixels[1][i] = i16::from(upper[i][1]);
                pixels[2][i] = i16::from(lower[i][0]);
                pixels[3][i] = i16::from(lower[i][1]);
            }
        }
        let [red, green, blue] = &pixels;
        let mut is_busy = [0_i16; SPAN];
        for colour in [red, green, blue] {
            for i in 0..SPAN {
                let [a, b, c, d] = [colour[0][i], colour[1][i], colour[2][i], colour[3][i]];
                let range = a.max(b).max(c.max(d)) - a.min(b).min(c.min(d));
                is_busy[i] |= i16::from(range > FLAT);
            }
        }
        let mut is_torn = [0_i16; SPAN];
        // Blue and red difference, BT.601 in 8 fractional bits, around zero: never over 128 * 255, so 16 bits are enough.
        for [r, g, b] in [[-43, -85, 128], [128, -107, -21]] {
            let mut differences = [[0_i16; SPAN]; 4];
            for (pixel, differences) in (0..4).zip(&mut differences) {
                for i in 0..SPAN {
                    differences[i] = (r * red[pixel][i] + g * green[pixel][i] + b * blue[pixel][i]) >> 8;
                }
            }
            let [a, b, c, d] = &differences;
            for i in 0..SPAN {
                let sum = a[i] + b[i] + c[i] + d[i];
                for sample in [a[i], b[i], c[i], d[i]] {
                    is_torn[i] |= i16::from((4 * sample - sum).abs() > 4 * TORN);
                }
            }
        }
        for i in 0..SPAN {
            busy += usize::from(is_busy[i] != 0);
            torn += usize::from(is_busy[i] & is_torn[i] != 0);
        }
    }
    (busy, torn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
        (0..width * height).flat_map(|at| pixel(at % width, at / width)).collect()
    }

    /// Blocks one by one, in wide numbers.
    fn counted(data: &[u8], width: usize) -> (usize, usize) {
        let (mut busy, mut torn) = (0, 0);
        let height = data.len() / 3 / width;
        for (x, y) in (0..height / 2).flat_map(|y| (0..width / 2).map(move |x| (2 * x, 2 * y))) {
            let pixels = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(right, down)| {
                let at = 3 * ((y + down) * width + x + right);
                [0, 1, 2].map(|colour| i32::from(data[at + colour]))
            });
            let range = |colour: usize| {
                let of = |pixel: [i32; 3]| pixel[colour];
                pixels.map(of).into_iter().max().unwrap() - pixels.map(of).into_iter().min().unwrap()
            };
            if (0..3).all(|colour| range(colour) <= 16) {
                continue;
            }
            busy += 1;
            let is_torn = [[-43, -85, 128], [128, -107, -21]].into_iter().any(|[r, g, b]| {
                let differences = pixels.map(|pixel| (r * pixel[0] + g * pixel[1] + b * pixel[2]) >> 8);
                let sum: i32 = differences.iter().sum();
                differences.iter().any(|difference| (4 * difference - sum).abs() > 4 * 24)
            });
            torn += usize::from(is_torn);
        }
        (busy, torn)
    }

    #[test]
    fn blocks_are_counted_as_one_by_one() {
        let mut state = 3_u32;
        for (width, height) in [(2, 2), (3, 5), (64, 6), (65, 4), (131, 7), (200, 2)] {
            for shift in [0, 1, 3] {
                let mut noise = |_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    state.to_le_bytes()[3] >> shift
                };
                let data: Vec<u8> = (0..width * height * 3).map(&mut noise).collect();
                let mut got = (0, 0);
                for rows in data.chunks_exact(6 * width) {
                    let mut colours = [vec![0; 3 * width], vec![0; 3 * width]];
                    let [upper, lower] = &mut colours;
                    separate(&rows[..3 * width], upper);
                    separate(&rows[3 * width..], lower);
                    let seen = count(upper, lower, width);
                    got = (got.0 + seen.0, got.1 + seen.1);
                }
                assert_eq!(got, counted(&data, width), "{width}x{height} >> {shift}");
            }
        }
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
