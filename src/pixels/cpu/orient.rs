//! Twin of `shaders/orient.wgsl`: a row of pixels put where it lies in the picture once that is turned.

use crate::pixels::op::Size;
use crate::pixels::orientation::Orientation;

/// Puts `pixels`, row `y` of a picture of size `stored`, into `target`, the turned picture of
/// `orientation.size(stored)`. Both have `channels` bytes a pixel, 1 to 4, and no padding.
pub fn place(orientation: Orientation, stored: Size, y: u32, pixels: &[u8], channels: usize, target: &mut [u8]) {
    match channels {
        1 => place_pixels::<1>(orientation, stored, y, pixels, target),
        2 => place_pixels::<2>(orientation, stored, y, pixels, target),
        3 => place_pixels::<3>(orientation, stored, y, pixels, target),
        _ => place_pixels::<4>(orientation, stored, y, pixels, target),
    }
}

fn place_pixels<const N: usize>(orientation: Orientation, stored: Size, y: u32, pixels: &[u8], target: &mut [u8]) {
    let (pixels, target) = (pixels.as_chunks::<N>().0, target.as_chunks_mut::<N>().0);
    let (width, line) = (stored.width as usize, if orientation.mirror_y { stored.height - 1 - y } else { y } as usize);
    // The stored row is a row of the turned picture, or a column of it.
    let (start, step) = if orientation.swap { (line, stored.height as usize) } else { (line * width, 1) };
    let Some(places) = target.get_mut(start..) else { return };
    let places = places.iter_mut().step_by(step).take(width);
    if orientation.mirror_x {
        // Mirrored, the first pixel comes last.
        let last_first = pixels.iter().take(width).rev();
        for (place, pixel) in places.zip(last_first) {
            *place = *pixel;
        }
    } else {
        for (place, pixel) in places.zip(pixels) {
            *place = *pixel;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_lands_where_the_orientation_reads_it() {
        let stored = Size::new(5, 3);
        for channels in 1..=4_usize {
            let data: Vec<u8> = (0..15 * channels).map(|at| u8::try_from(at).unwrap()).collect();
            for orientation in Orientation::ALL {
                let mut turned = vec![255; data.len()];
                for (pixels, y) in data.chunks_exact(5 * channels).zip(0..) {
                    place(orientation, stored, y, pixels, channels, &mut turned);
                }
                let upright = orientation.size(stored);
                for (at, pixel) in turned.chunks_exact(channels).enumerate() {
                    let at = u32::try_from(at).unwrap();
                    let (x, y) = orientation.source(at % upright.width, at / upright.width, stored);
                    let from = (y * 5 + x) as usize * channels;
                    assert_eq!(pixel, &data[from..from + channels], "{orientation:?}");
                }
            }
        }
    }
}
