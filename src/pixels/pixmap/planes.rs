//! Rows of RGB to planes, row by row.

use super::ycbcr::ycbcr_from_rgb;
use super::{Layout, Pixmap, PixmapError, Sampling, Ycbcr};

/// Columns at a time.
const SPAN: usize = 256;

/// Planes of a picture whose rows come one by one, each as a row of red, one of green and one of blue.
///
/// A chroma sample is that of the mean colour of the pixels it stands for, rounded once; at odd right and bottom edges the last
/// pixels count twice.
pub(in crate::pixels) struct Planes {
    width: usize,
    rows: u32,
    halved: bool,
    luma: Vec<u8>,
    chroma: [Vec<u8>; 2],
    /// The last row of even number, the three colours one after the other, where the next is added to it.
    upper: Vec<u8>,
}

impl Planes {
    /// Planes with room for a picture of this size; with one sample of chroma for four where `halved`, else with one for each.
    pub(in crate::pixels) fn new(width: u32, height: u32, halved: bool) -> Self {
        let area = |(width, height): (u32, u32)| Vec::with_capacity(width as usize * height as usize);
        let size = if halved { Sampling::JPEG_420.chroma_size(width, height) } else { (width, height) };
        let upper = if halved { vec![0; width as usize * 3] } else { Vec::new() };
        Self {
            width: width as usize,
            rows: 0,
            halved,
            luma: area((width, height)),
            chroma: [area(size), area(size)],
            upper,
        }
    }

    /// Adds a row.
    pub(in crate::pixels) fn push(&mut self, colours: [&[u8]; 3]) {
        luma(colours, &mut self.luma);
        let odd = self.rows % 2 == 1;
        self.rows += 1;
        if !self.halved {
            chroma(colours, &mut self.chroma);
        } else if odd {
            let [red, green, blue] = thirds(&self.upper, self.width);
            let [r, g, b] = colours;
            halved([[red, r], [green, g], [blue, b]], &mut self.chroma);
        } else {
            for (upper, colour) in self.upper.chunks_exact_mut(self.width).zip(colours) {
                upper.iter_mut().zip(colour).for_each(|(upper, colour)| *upper = *colour);
            }
        }
    }

    /// The picture, if all its rows were added.
    pub(in crate::pixels) fn finish(mut self) -> Result<Ycbcr, PixmapError> {
        if self.halved && self.rows % 2 == 1 {
            let colours = thirds(&self.upper, self.width);
            halved(colours.map(|row| [row, row]), &mut self.chroma);
        }
        let sampling = if self.halved { Sampling::JPEG_420 } else { Sampling::default() };
        Ycbcr::new(u32::try_from(self.width).unwrap_or(0), self.rows, sampling, self.luma, self.chroma)
    }
}

fn thirds(rows: &[u8], width: usize) -> [&[u8]; 3] {
    let (red, others) = rows.split_at(width.min(rows.len()));
    let (green, blue) = others.split_at(width.min(others.len()));
    [red, green, blue]
}

impl Ycbcr {
    /// The planes of an RGB picture: 4:2:0 where `halved`, else 4:4:4.
    ///
    /// # Errors
    /// [`PixmapError::Length`] for a picture that is not RGB.
    pub fn from_rgb(rgb: &Pixmap, halved: bool) -> Result<Self, PixmapError> {
        let want = rgb.width() as usize * rgb.height() as usize * 3;
        if rgb.layout() != Layout::Rgb {
            return Err(PixmapError::Length { got: rgb.data().len(), want });
        }
        let width = rgb.width() as usize;
        let mut planes = Planes::new(rgb.width(), rgb.height(), halved);
        let mut colours = vec![0; width * 3];
        for row in rgb.rows() {
            separate(row, &mut colours);
            planes.push(thirds(&colours, width));
        }
        planes.finish()
    }
}

/// A row of pixels as a row of each colour.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn separate(row: &[u8], colours: &mut [u8]) {
    let (red, others) = colours.split_at_mut(row.len() / 3);
    let (green, blue) = others.split_at_mut(row.len() / 3);
    for (((pixel, red), green), blue) in row.as_chunks::<3>().0.iter().zip(red).zip(green).zip(blue) {
        [*red, *green, *blue] = *pixel;
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn luma([red, green, blue]: [&[u8]; 3], target: &mut Vec<u8>) {
    for ((red, green), blue) in red.chunks(SPAN).zip(green.chunks(SPAN)).zip(blue.chunks(SPAN)) {
        let mut samples = [0; SPAN];
        for (((sample, r), g), b) in samples.iter_mut().zip(red).zip(green).zip(blue) {
            *sample = ycbcr_from_rgb([i32::from(*r), i32::from(*g), i32::from(*b)], 0)[0];
        }
        target.extend_from_slice(samples.get(..red.len()).unwrap_or(&[]));
    }
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn chroma([red, green, blue]: [&[u8]; 3], targets: &mut [Vec<u8>; 2]) {
    for ((red, green), blue) in red.chunks(SPAN).zip(green.chunks(SPAN)).zip(blue.chunks(SPAN)) {
        let (mut blues, mut reds) = ([0; SPAN], [0; SPAN]);
        for ((((cb, cr), r), g), b) in blues.iter_mut().zip(&mut reds).zip(red).zip(green).zip(blue) {
            [_, *cb, *cr] = ycbcr_from_rgb([i32::from(*r), i32::from(*g), i32::from(*b)], 0);
        }
        for (target, samples) in targets.iter_mut().zip([blues, reds]) {
            target.extend_from_slice(samples.get(..red.len()).unwrap_or(&[]));
        }
    }
}

/// A row of chroma of two rows.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn halved(colours: [[&[u8]; 2]; 3], targets: &mut [Vec<u8>; 2]) {
    let width = colours[0][0].len();
    for at in (0..width).step_by(SPAN) {
        let here = at..width.min(at + SPAN);
        let columns = here.len().div_ceil(2);
        let sums = colours.map(|[upper, lower]| {
            let (upper, lower) = (upper.get(here.clone()).unwrap_or(&[]), lower.get(here.clone()).unwrap_or(&[]));
            summed(upper, lower)
        });
        let [red, green, blue] = &sums;
        let (mut blues, mut reds) = ([0; SPAN / 2], [0; SPAN / 2]);
        for i in 0..SPAN / 2 {
            [_, blues[i], reds[i]] = ycbcr_from_rgb([i32::from(red[i]), i32::from(green[i]), i32::from(blue[i])], 2);
        }
        for (target, samples) in targets.iter_mut().zip([blues, reds]) {
            target.extend_from_slice(samples.get(..columns).unwrap_or(&[]));
        }
    }
}

/// Sums of two columns and two rows; a last column without another counts twice.
#[inline(always)]
fn summed(upper: &[u8], lower: &[u8]) -> [u16; SPAN / 2] {
    let mut sums = [0; SPAN / 2];
    let ((uppers, upper_last), (lowers, lower_last)) = (upper.as_chunks::<2>(), lower.as_chunks::<2>());
    for ((sum, [a, b]), [c, d]) in sums.iter_mut().zip(uppers).zip(lowers) {
        *sum = u16::from(*a) + u16::from(*b) + u16::from(*c) + u16::from(*d);
    }
    if let (Some(sum), [a], [c]) = (sums.get_mut(uppers.len()), upper_last, lower_last) {
        *sum = 2 * (u16::from(*a) + u16::from(*c));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: pixel by pixel.
    fn defined(rgb: &Pixmap, halved: bool) -> [Vec<u8>; 3] {
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        let pixel = |x: usize, y: usize| {
            let at = (y.min(height - 1) * width + x.min(width - 1)) * 3;
            [0, 1, 2].map(|channel| i32::from(rgb.data()[at + channel]))
        };
        let luma = (0..width * height).map(|at| ycbcr_from_rgb(pixel(at % width, at / width), 0)[0]).collect();
        let (side, shift) = if halved { (2, 2) } else { (1, 0) };
        let places = (0..height).step_by(side).flat_map(|y| (0..width).step_by(side).map(move |x| (x, y)));
        let differences: Vec<[u8; 3]> = places
            .map(|(x, y)| {
                let all = (0..side * side).map(|at| pixel(x + at % side, y + at / side));
                ycbcr_from_rgb(all.fold([0; 3], |[r, g, b], [x, y, z]| [r + x, g + y, b + z]), shift)
            })
            .collect();
        [luma, differences.iter().map(|its| its[1]).collect(), differences.iter().map(|its| its[2]).collect()]
    }

    #[test]
    fn planes_are_the_definition_to_the_bit() {
        let mut state = 1_u32;
        for (width, height) in [(1, 1), (2, 1), (1, 2), (3, 3), (255, 2), (256, 3), (257, 2), (515, 5)] {
            let noise = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            });
            let data: Vec<u8> = noise.take((width * height * 3) as usize).collect();
            let rgb = Pixmap::new(width, height, Layout::Rgb, data).unwrap();
            for halved in [false, true] {
                let got = Ycbcr::from_rgb(&rgb, halved).unwrap();
                let [luma, blue, red] = defined(&rgb, halved);
                assert_eq!(got.luma(), luma, "{width}x{height}");
                assert_eq!(got.chroma(), &[blue, red], "{width}x{height} {halved}");
                let other = defined(&rgb, !halved);
                assert!(width * height < 4 || got.chroma()[0] != other[1], "the control");
            }
        }
    }

    #[test]
    fn other_pictures_are_refused() {
        let grey = Pixmap::new(3, 1, Layout::Luma, vec![7; 3]).unwrap();
        assert_eq!(Ycbcr::from_rgb(&grey, true).unwrap_err(), PixmapError::Length { got: 3, want: 9 });
    }
}
