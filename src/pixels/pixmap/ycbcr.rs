//! A picture as a JPEG holds it: a plane of luma and two of chroma, which may have half the columns, the rows, or both.

use super::rgb_row::{self, Lines};
use super::{Layout, Pixmap, PixmapError};

/// Where the samples of a chroma plane with half the columns lie. Those with half the rows always lie between two rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Siting {
    /// Between two columns of luma: JPEG (JFIF 1.02).
    #[default]
    Centre,
    /// On the left one of two: MPEG-2 and what came after it, HEIC and AVIF among them.
    Left,
}

/// How chroma lies under luma.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sampling {
    /// Half the columns, rounded up.
    pub half_width: bool,
    /// Half the rows, rounded up.
    pub half_height: bool,
    /// Where its samples lie.
    pub siting: Siting,
}

impl Sampling {
    /// 4:2:0 as JPEG has it.
    pub const JPEG_420: Self = Self { half_width: true, half_height: true, siting: Siting::Centre };

    /// The size of a chroma plane.
    #[must_use]
    pub const fn chroma_size(self, width: u32, height: u32) -> (u32, u32) {
        (
            if self.half_width { width.div_ceil(2) } else { width },
            if self.half_height { height.div_ceil(2) } else { height },
        )
    }

    /// The chroma rows that luma rows `start..end` are made of, in a picture of `height` rows.
    #[must_use]
    pub fn chroma_rows(self, start: u32, end: u32, height: u32) -> std::ops::Range<u32> {
        if !self.half_height {
            return start..end;
        }
        let (_, last) = near_far(end.max(1) - 1, true, Siting::Centre, height.div_ceil(2));
        let (near, far) = near_far(start, true, Siting::Centre, height.div_ceil(2));
        near.0.min(far.0)..last.0.max((end.max(1) - 1) / 2) + 1
    }
}

/// Planes of 8 bits a sample, rows from the top, no padding: luma, then both chroma. Full range, the matrix of ITU-R BT.601
/// with its sRGB-encoded RGB (JFIF 1.02). No alpha.
#[derive(Clone, PartialEq, Eq)]
pub struct Ycbcr {
    width: u32,
    height: u32,
    sampling: Sampling,
    luma: Vec<u8>,
    chroma: [Vec<u8>; 2],
}

impl Ycbcr {
    /// A picture of these planes: luma, blue-difference, red-difference.
    ///
    /// # Errors
    /// [`PixmapError`] when a side is zero or a plane has not the length that size and sampling need.
    pub fn new(
        width: u32,
        height: u32,
        sampling: Sampling,
        luma: Vec<u8>,
        chroma: [Vec<u8>; 2],
    ) -> Result<Self, PixmapError> {
        if width == 0 || height == 0 {
            return Err(PixmapError::Empty { width, height });
        }
        let area = |(width, height): (u32, u32)| (width as usize).saturating_mul(height as usize);
        let wanted = area(sampling.chroma_size(width, height));
        for (got, want) in [(luma.len(), area((width, height))), (chroma[0].len(), wanted), (chroma[1].len(), wanted)] {
            if got != want {
                return Err(PixmapError::Length { got, want });
            }
        }
        Ok(Self { width, height, sampling, luma, chroma })
    }

    /// Columns of luma.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows of luma.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// How chroma lies under luma.
    #[must_use]
    pub const fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// The luma plane.
    #[must_use]
    pub fn luma(&self) -> &[u8] {
        &self.luma
    }

    /// The chroma planes: blue-difference, red-difference.
    #[must_use]
    pub const fn chroma(&self) -> &[Vec<u8>; 2] {
        &self.chroma
    }

    /// Columns of a chroma plane.
    #[must_use]
    pub const fn chroma_width(&self) -> u32 {
        self.sampling.chroma_size(self.width, self.height).0
    }

    /// Fills `rgb` with the colours of row `y`, from column `x` on: 3 bytes a pixel. Chroma in between is interpolated
    /// linearly; the arithmetic is that of the shaders, to the bit.
    pub fn rgb_row(&self, y: u32, x: u32, rgb: &mut [u8]) {
        let (chroma_width, chroma_height) = self.sampling.chroma_size(self.width, self.height);
        let Sampling { half_width, half_height, siting } = self.sampling;
        let (near, far) = near_far(y, half_height, Siting::Centre, chroma_height);
        let row = |plane: &'_ [u8], width: u32, at: u32| {
            let start = at as usize * width as usize;
            start.min(plane.len())..(start + width as usize).min(plane.len())
        };
        let lines = Lines {
            luma: self.luma.get(row(&self.luma, self.width, y)).unwrap_or(&[]),
            chroma: self
                .chroma
                .each_ref()
                .map(|plane| [near.0, far.0].map(|at| plane.get(row(plane, chroma_width, at)).unwrap_or(&[]))),
            weights: [near.1, far.1],
            half_width: half_width.then_some(siting),
        };
        rgb_row::fill(&lines, x as usize, rgb);
    }

    /// The same picture as RGB.
    ///
    /// # Errors
    /// [`PixmapError`] never in practice: only were a plane not of its length.
    pub fn to_rgb(&self) -> Result<Pixmap, PixmapError> {
        let row = self.width as usize * 3;
        let mut data = vec![0; row * self.height as usize];
        for (rgb, y) in data.chunks_exact_mut(row).zip(0..) {
            self.rgb_row(y, 0, rgb);
        }
        Pixmap::new(self.width, self.height, Layout::Rgb, data)
    }
}

impl std::fmt::Debug for Ycbcr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ycbcr({}x{} {:?})", self.width, self.height, self.sampling)
    }
}

/// The two chroma samples under luma position `at` and their weights of 4, inside a line of `len` samples whose ends repeat.
fn near_far(at: u32, half: bool, siting: Siting, len: u32) -> ((u32, u8), (u32, u8)) {
    let (near, after) = (at / 2, !at.is_multiple_of(2));
    let last = len.saturating_sub(1);
    match (half, siting) {
        (false, _) => ((at.min(last), 4), (at.min(last), 0)),
        (true, Siting::Left) if !after => ((near.min(last), 4), (near.min(last), 0)),
        (true, Siting::Left) => ((near.min(last), 2), ((near + 1).min(last), 2)),
        (true, Siting::Centre) => {
            let far = if after { near + 1 } else { near.saturating_sub(1) };
            ((near.min(last), 3), (far.min(last), 1))
        }
    }
}

/// BT.601 in 16 fractional bits, rounded once, clamped: RGB of luma and chroma in 0 to 255.
#[inline(always)]
pub(super) fn rgb_from_ycbcr(y: i32, cb: i32, cr: i32) -> [u8; 3] {
    let (cb, cr) = (cb - 128, cr - 128);
    let y = (y << 16) + 32_768;
    // 1.402, 0.344136, 0.714136 and 1.772, times 65536.
    [y + 91_881 * cr, y - 22_554 * cb - 46_802 * cr, y + 116_130 * cb].map(|sum| clamped(sum >> 16))
}

/// BT.601 in 16 fractional bits, rounded once: luma and chroma of RGB sums of `1 << shift` pixels.
#[inline(always)]
pub(super) fn ycbcr_from_rgb([r, g, b]: [i32; 3], shift: u32) -> [u8; 3] {
    let half = 32_768 << shift;
    let centre = (128 << 16 << shift) + half;
    // 0.299, 0.587, 0.114; and the differences over 1.772 and 1.402; each row's sum is 65536 or 0.
    [
        (19_595 * r + 38_470 * g + 7471 * b + half) >> (16 + shift),
        (-11_059 * r - 21_709 * g + 32_768 * b + centre) >> (16 + shift),
        (32_768 * r - 27_439 * g - 5329 * b + centre) >> (16 + shift),
    ]
    .map(clamped)
}

#[inline(always)]
fn clamped(value: i32) -> u8 {
    u8::try_from(value.clamp(0, 255)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(rgb: [u8; 3], sampling: Sampling) -> Ycbcr {
        let [y, cb, cr] = ycbcr_from_rgb(rgb.map(i32::from), 0);
        let (w, h) = sampling.chroma_size(7, 5);
        let chroma = (w * h) as usize;
        Ycbcr::new(7, 5, sampling, vec![y; 35], [vec![cb; chroma], vec![cr; chroma]]).unwrap()
    }

    const ALL: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

    #[test]
    fn flat_colours_come_back_within_the_rounding_of_three_bytes() {
        for (half_width, half_height) in ALL {
            for siting in [Siting::Centre, Siting::Left] {
                for rgb in [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [13, 200, 90]] {
                    let sampling = Sampling { half_width, half_height, siting };
                    let back = flat(rgb, sampling).to_rgb().unwrap();
                    for pixel in back.data().chunks_exact(3) {
                        for (a, b) in pixel.iter().zip(rgb) {
                            assert!(a.abs_diff(b) <= 1, "{pixel:?} {rgb:?} {sampling:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn chroma_lies_where_its_siting_says() {
        // A ramp of chroma under grey luma: red is luma + 1.402 * (cr - 128).
        let ramp = |siting| {
            let sampling = Sampling { half_width: true, half_height: false, siting };
            let image = Ycbcr::new(8, 1, sampling, vec![100; 8], [vec![128; 4], vec![128, 136, 144, 152]]).unwrap();
            image.to_rgb().unwrap().data().chunks_exact(3).map(|pixel| pixel[0]).collect::<Vec<_>>()
        };
        // Centre: columns lie a quarter before and after a sample. 128, 130, 134, 138, ..
        assert_eq!(ramp(Siting::Centre), [100, 103, 108, 114, 120, 125, 131, 134]);
        // Left: every second column is a sample, those in between are means.
        assert_eq!(ramp(Siting::Left), [100, 106, 111, 117, 122, 128, 134, 134]);
    }

    /// A pixel by its definition: up to four samples of chroma, weighted, rounded once.
    fn defined(image: &Ycbcr, x: u32, y: u32) -> [u8; 3] {
        let Sampling { half_width, half_height, siting } = image.sampling;
        let (width, height) = image.sampling.chroma_size(image.width, image.height);
        let (upper, lower) = near_far(y, half_height, Siting::Centre, height);
        let (left, right) = near_far(x, half_width, siting, width);
        let chroma = [0, 1].map(|plane: usize| {
            let mut sum = 8;
            for (row, down) in [upper, lower] {
                for (column, across) in [left, right] {
                    let sample = image.chroma[plane][(row * width + column) as usize];
                    sum += i32::from(down) * i32::from(across) * i32::from(sample);
                }
            }
            sum >> 4
        });
        rgb_from_ycbcr(i32::from(image.luma[(y * image.width + x) as usize]), chroma[0], chroma[1])
    }

    #[test]
    fn rows_are_the_definition_to_the_bit() {
        let mut state = 1_u32;
        let mut noise = |count: u32| -> Vec<u8> {
            let next = |_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            };
            (0..count).map(next).collect()
        };
        for (half_width, half_height) in ALL {
            for siting in [Siting::Centre, Siting::Left] {
                let sampling = Sampling { half_width, half_height, siting };
                for (width, height) in
                    [(1, 1), (2, 1), (3, 4), (5, 2), (255, 1), (256, 2), (257, 3), (515, 2), (1030, 1)]
                {
                    let (w, h) = sampling.chroma_size(width, height);
                    let image =
                        Ycbcr::new(width, height, sampling, noise(width * height), [noise(w * h), noise(w * h)])
                            .unwrap();
                    for y in 0..height {
                        for x in [0, 1, 2, 3, 254, 255, 256, 258].into_iter().filter(|x| *x < width) {
                            let mut rgb = vec![0; (width - x) as usize * 3];
                            image.rgb_row(y, x, &mut rgb);
                            let want: Vec<u8> = (x..width).flat_map(|x| defined(&image, x, y)).collect();
                            assert_eq!(rgb, want, "{image:?} from {x}, {y}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn chroma_rows_are_those_that_are_read() {
        let sampling = Sampling::JPEG_420;
        for height in 1..12_u32 {
            for start in 0..height {
                for end in start + 1..=height {
                    let range = sampling.chroma_rows(start, end, height);
                    let read = (start..end).flat_map(|y| {
                        let (a, b) = near_far(y, true, Siting::Centre, height.div_ceil(2));
                        [a.0, b.0]
                    });
                    let (low, high) = (read.clone().min().unwrap(), read.max().unwrap());
                    assert_eq!((range.start, range.end), (low, high + 1), "{start}..{end} of {height}");
                }
            }
        }
    }

    #[test]
    fn planes_must_have_their_lengths() {
        let new = |luma, chroma| Ycbcr::new(3, 3, Sampling::JPEG_420, vec![0; luma], [vec![0; chroma], vec![0; 4]]);
        assert!(new(9, 4).is_ok());
        assert_eq!(new(9, 5).unwrap_err(), PixmapError::Length { got: 5, want: 4 });
        assert_eq!(new(8, 4).unwrap_err(), PixmapError::Length { got: 8, want: 9 });
        assert!(Ycbcr::new(0, 3, Sampling::JPEG_420, vec![], [vec![], vec![]]).is_err());
    }

    #[test]
    fn the_matrix_is_bt_601() {
        for (rgb, want) in [([255, 0, 0], [76, 85, 255]), ([0, 255, 0], [150, 44, 21]), ([0, 0, 255], [29, 255, 107])] {
            assert_eq!(ycbcr_from_rgb(rgb, 0), want);
            assert_eq!(ycbcr_from_rgb(rgb.map(|its| 4 * its), 2), want, "the mean of four");
        }
        for grey in 0..=255 {
            let [y, cb, cr] = ycbcr_from_rgb([grey; 3], 0).map(i32::from);
            assert_eq!((y, cb, cr), (grey, 128, 128));
            assert_eq!(rgb_from_ycbcr(y, cb, cr).map(i32::from), [grey; 3]);
        }
    }
}
