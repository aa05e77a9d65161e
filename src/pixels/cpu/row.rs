//! Rows of linear light: from 8-bit pixels and back.

use crate::pixels::kernel::LANES;
use crate::pixels::pixmap::Layout;
use crate::pixels::srgb::{CODE_FROM_LINEAR, LINEAR_FROM_CODE};

/// How a planar row lies in memory: `planes` runs of `pitch` floats; the first `width` of each are pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Pixels.
    pub width: usize,
    /// Floats from one plane to the next: a multiple of [`LANES`], at least [`LANES`] more than `width`, so that a
    /// padded row of weights that starts inside the picture ends inside the plane.
    pub pitch: usize,
    /// Channels.
    pub planes: usize,
}

impl Shape {
    /// The shape of a row of `width` pixels in `planes` channels.
    #[must_use]
    pub const fn new(width: u32, planes: usize) -> Self {
        let width = width as usize;
        Self { width, pitch: (width + LANES).next_multiple_of(LANES), planes }
    }

    /// Floats in the whole row.
    #[must_use]
    pub const fn len(self) -> usize {
        self.pitch * self.planes
    }

    /// Whether there is no float in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// A row of zeros.
    #[must_use]
    pub fn zeros(self) -> Vec<f32> {
        vec![0.0; self.len()]
    }
}

/// Fills `planar` (of `shape`) from a row of 8-bit pixels: sRGB to linear light, straight to premultiplied alpha.
pub fn linearise(pixels: &[u8], layout: Layout, planar: &mut [f32], shape: Shape) {
    let (first, rest) = planar.split_at_mut(shape.pitch.min(planar.len()));
    let (second, rest) = rest.split_at_mut(shape.pitch.min(rest.len()));
    let (third, fourth) = rest.split_at_mut(shape.pitch.min(rest.len()));
    let table: &[f32; 256] = &LINEAR_FROM_CODE;
    let light = |code: u8| table.get(usize::from(code)).copied().unwrap_or(0.0);
    let coverage = |code: u8| f32::from(code) / 255.0;
    match layout {
        Layout::Luma => {
            for (grey, &code) in first.iter_mut().zip(pixels) {
                *grey = light(code);
            }
        }
        Layout::LumaAlpha => {
            let (pixels, _) = pixels.as_chunks::<2>();
            for ((grey, alpha), &[code, opacity]) in first.iter_mut().zip(second).zip(pixels) {
                *alpha = coverage(opacity);
                *grey = light(code) * *alpha;
            }
        }
        Layout::Rgb => {
            let (pixels, _) = pixels.as_chunks::<3>();
            for (((red, green), blue), &[r, g, b]) in first.iter_mut().zip(second).zip(third).zip(pixels) {
                *red = light(r);
                *green = light(g);
                *blue = light(b);
            }
        }
        Layout::Rgba => {
            let (pixels, _) = pixels.as_chunks::<4>();
            let planes = first.iter_mut().zip(second).zip(third).zip(fourth);
            for ((((red, green), blue), alpha), &[r, g, b, opacity]) in planes.zip(pixels) {
                *alpha = coverage(opacity);
                *red = light(r) * *alpha;
                *green = light(g) * *alpha;
                *blue = light(b) * *alpha;
            }
        }
    }
}

/// Fills a row of 8-bit pixels from `planar` (of `shape`): premultiplied to straight alpha, linear light to sRGB,
/// rounded once. The colours of `planar` are left un-premultiplied.
pub fn encode(planar: &mut [f32], shape: Shape, layout: Layout, pixels: &mut [u8]) {
    if layout.has_alpha() {
        let colours = shape.pitch * (shape.planes - 1);
        let (colours, alpha) = planar.split_at_mut(colours.min(planar.len()));
        for plane in colours.chunks_exact_mut(shape.pitch) {
            straighten(plane, alpha);
        }
    }
    let (first, rest) = planar.split_at(shape.pitch.min(planar.len()));
    let (second, rest) = rest.split_at(shape.pitch.min(rest.len()));
    let (third, fourth) = rest.split_at(shape.pitch.min(rest.len()));
    let table = &*CODE_FROM_LINEAR;
    match layout {
        Layout::Luma => {
            for (pixel, &grey) in pixels.iter_mut().zip(first) {
                *pixel = table.encode(grey);
            }
        }
        Layout::LumaAlpha => {
            for ((pixel, &grey), &alpha) in pixels.as_chunks_mut::<2>().0.iter_mut().zip(first).zip(second) {
                let opacity = opacity(alpha);
                *pixel = seen([table.encode(grey), opacity], opacity);
            }
        }
        Layout::Rgb => {
            let pixels = pixels.as_chunks_mut::<3>().0.iter_mut();
            for (((pixel, &red), &green), &blue) in pixels.zip(first).zip(second).zip(third) {
                *pixel = [table.encode(red), table.encode(green), table.encode(blue)];
            }
        }
        Layout::Rgba => {
            let pixels = pixels.as_chunks_mut::<4>().0.iter_mut();
            for ((((pixel, &red), &green), &blue), &alpha) in pixels.zip(first).zip(second).zip(third).zip(fourth) {
                let opacity = opacity(alpha);
                *pixel = seen([table.encode(red), table.encode(green), table.encode(blue), opacity], opacity);
            }
        }
    }
}

/// Divides a plane of premultiplied colour by alpha; 0 where alpha is not positive.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn straighten(plane: &mut [f32], alpha: &[f32]) {
    for (colour, &alpha) in plane.iter_mut().zip(alpha) {
        *colour = if alpha > 0.0 { *colour / alpha } else { 0.0 };
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255.5 by the clamp; NaN is 0")]
fn opacity(alpha: f32) -> u8 {
    (alpha.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

/// A pixel whose alpha rounds to 0 is all zeros.
fn seen<const N: usize>(pixel: [u8; N], opacity: u8) -> [u8; N] {
    if opacity == 0 { [0; N] } else { pixel }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_every_layout_survives_the_round_trip() {
        for layout in [Layout::Luma, Layout::LumaAlpha, Layout::Rgb, Layout::Rgba] {
            let channels = layout.channels();
            // Every colour code under every alpha that keeps it: alpha last, 255 for the exact round trip.
            let row: Vec<u8> = (0..=255_u8)
                .flat_map(|code| {
                    let mut pixel = vec![code; channels];
                    if layout.has_alpha() {
                        pixel[channels - 1] = if code % 5 == 0 { 255 } else { 128 };
                    }
                    pixel
                })
                .collect();
            let shape = Shape::new(256, channels);
            let mut planar = shape.zeros();
            linearise(&row, layout, &mut planar, shape);
            let mut back = vec![0; row.len()];
            encode(&mut planar, shape, layout, &mut back);
            assert_eq!(back, row, "{layout:?}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_zero() {
        let shape = Shape::new(2, 4);
        let mut planar = shape.zeros();
        linearise(&[200, 100, 50, 0, 200, 100, 50, 1], Layout::Rgba, &mut planar, shape);
        let mut back = vec![9; 8];
        encode(&mut planar, shape, Layout::Rgba, &mut back);
        assert_eq!(back, [0, 0, 0, 0, 200, 100, 50, 1]);
    }
}
