//! Rows of linear light: from 8-bit pixels and back.

use crate::pixels::kernel::LANES;
use crate::pixels::pixmap::Layout;
use crate::pixels::srgb::{LINEAR_FROM_CODE, clamped, codes_from_linear, rounded};

/// How a planar row lies in memory: `planes` runs of `pitch` floats; the first `width` of each are pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Pixels.
    pub width: usize,
    /// Floats from one plane to the next: a multiple of 16, so that loops have no remainder, and at least [`LANES`] more
    /// than `width`, so that a padded row of weights that starts inside the picture ends inside the plane.
    pub pitch: usize,
    /// Channels.
    pub planes: usize,
}

impl Shape {
    /// The shape of a row of `width` pixels in `planes` channels.
    #[must_use]
    pub const fn new(width: u32, planes: usize) -> Self {
        let width = width as usize;
        Self { width, pitch: (width + LANES).next_multiple_of(16), planes }
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

/// What a row is made of: linear light, or what is easily turned into it.
pub trait Light: Copy + Default {
    /// As linear light.
    fn light(self) -> f32;
}

impl Light for f32 {
    #[inline(always)]
    fn light(self) -> f32 {
        self
    }
}

/// Fills `planar` (of `shape`) from a row of 8-bit pixels: sRGB to linear light, straight to premultiplied alpha.
pub fn linearise(pixels: &[u8], layout: Layout, planar: &mut [f32], shape: Shape) {
    let channels = layout.channels();
    let colours = if layout.has_alpha() { channels - 1 } else { channels };
    let light = &*LINEAR_FROM_CODE;
    for (plane, channel) in planar.chunks_exact_mut(shape.pitch).zip(0..channels) {
        let codes = pixels.iter().skip(channel).step_by(channels);
        for (sample, &code) in plane.iter_mut().zip(codes) {
            *sample = if channel < colours { light[usize::from(code)] } else { f32::from(code) / 255.0 };
        }
    }
    if layout.has_alpha() {
        let (planes, alpha) = planar.split_at_mut(shape.pitch * colours);
        planes.chunks_exact_mut(shape.pitch).for_each(|plane| premultiply(plane, alpha, shape.width));
    }
}

/// Multiplies a plane of colour by alpha.
#[multiversion::multiversion(targets("x86_64+avx2"))]
fn premultiply(plane: &mut [f32], alpha: &[f32], width: usize) {
    for (colour, &alpha) in plane.iter_mut().zip(alpha).take(width) {
        *colour *= alpha;
    }
}

/// Pixels encoded together.
const BLOCK: usize = 16;

/// Fills a row of 8-bit pixels from `planar` (of `shape`): premultiplied to straight alpha, linear light to sRGB,
/// rounded once.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub fn encode(planar: &[f32], shape: Shape, layout: Layout, pixels: &mut [u8]) {
    let (first, rest) = planar.split_at(shape.pitch.min(planar.len()));
    let (second, rest) = rest.split_at(shape.pitch.min(rest.len()));
    let (third, fourth) = rest.split_at(shape.pitch.min(rest.len()));
    let [first, second, third, fourth] = [first, second, third, fourth].map(|plane| plane.as_chunks::<BLOCK>().0);
    match layout {
        Layout::Luma => {
            for (pixels, grey) in pixels.chunks_mut(BLOCK).zip(first) {
                pixels.iter_mut().zip(codes_from_linear(grey)).for_each(|(pixel, code)| *pixel = code);
            }
        }
        Layout::LumaAlpha => {
            let pixels = pixels.as_chunks_mut::<2>().0.chunks_mut(BLOCK);
            for ((pixels, grey), alpha) in pixels.zip(first).zip(second) {
                let grey = codes_from_linear(&straightened(grey, &inverse(alpha)));
                let codes = grey.into_iter().zip(opacities(alpha));
                pixels.iter_mut().zip(codes).for_each(|(pixel, (grey, opacity))| *pixel = seen([grey, opacity]));
            }
        }
        Layout::Rgb => {
            let pixels = pixels.as_chunks_mut::<3>().0.chunks_mut(BLOCK);
            for (((pixels, red), green), blue) in pixels.zip(first).zip(second).zip(third) {
                let (red, green, blue) = (codes_from_linear(red), codes_from_linear(green), codes_from_linear(blue));
                let codes = red.into_iter().zip(green).zip(blue);
                pixels.iter_mut().zip(codes).for_each(|(pixel, ((r, g), b))| *pixel = [r, g, b]);
            }
        }
        Layout::Rgba => {
            let pixels = pixels.as_chunks_mut::<4>().0.chunks_mut(BLOCK);
            for ((((pixels, red), green), blue), alpha) in pixels.zip(first).zip(second).zip(third).zip(fourth) {
                let inverse = inverse(alpha);
                let red = codes_from_linear(&straightened(red, &inverse));
                let green = codes_from_linear(&straightened(green, &inverse));
                let blue = codes_from_linear(&straightened(blue, &inverse));
                let codes = red.into_iter().zip(green).zip(blue).zip(opacities(alpha));
                pixels.iter_mut().zip(codes).for_each(|(pixel, (((r, g), b), a))| *pixel = seen([r, g, b, a]));
            }
        }
    }
}

/// Fills a row of 8-bit codes a plane, each `shape.width` long, from `planar` (of `shape`) without alpha: linear light to sRGB,
/// rounded once.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub fn encode_planes(planar: &[f32], shape: Shape, rows: &mut [u8]) {
    for (row, plane) in rows.chunks_exact_mut(shape.width).zip(planar.chunks_exact(shape.pitch)) {
        for (codes, light) in row.chunks_mut(BLOCK).zip(plane.as_chunks::<BLOCK>().0) {
            codes.iter_mut().zip(codes_from_linear(light)).for_each(|(code, its)| *code = its);
        }
    }
}

/// What premultiplied colour is multiplied by: 0 where alpha is not positive.
#[inline(always)]
fn inverse(alpha: &[f32; BLOCK]) -> [f32; BLOCK] {
    let mut inverse = [0.0; BLOCK];
    for (inverse, &alpha) in inverse.iter_mut().zip(alpha) {
        *inverse = if alpha > 0.0 { 1.0 / alpha } else { 0.0 };
    }
    inverse
}

/// Straight colour. One division for all channels of a pixel, and then products.
#[inline(always)]
fn straightened(colour: &[f32; BLOCK], inverse: &[f32; BLOCK]) -> [f32; BLOCK] {
    let mut straight = [0.0; BLOCK];
    for ((straight, colour), inverse) in straight.iter_mut().zip(colour).zip(inverse) {
        *straight = colour * inverse;
    }
    straight
}

#[inline(always)]
fn opacities(alpha: &[f32; BLOCK]) -> [u8; BLOCK] {
    let mut codes = [0; BLOCK];
    for (code, alpha) in codes.iter_mut().zip(alpha) {
        *code = rounded(clamped(*alpha) * 255.0);
    }
    codes
}

/// A pixel whose alpha, its last, rounds to 0 is all zeros.
#[inline(always)]
fn seen<const N: usize>(pixel: [u8; N]) -> [u8; N] {
    if pixel.last() == Some(&0) { [0; N] } else { pixel }
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
            encode(&planar, shape, layout, &mut back);
            assert_eq!(back, row, "{layout:?}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_zero() {
        let shape = Shape::new(2, 4);
        let mut planar = shape.zeros();
        linearise(&[200, 100, 50, 0, 200, 100, 50, 1], Layout::Rgba, &mut planar, shape);
        let mut back = vec![9; 8];
        encode(&planar, shape, Layout::Rgba, &mut back);
        assert_eq!(back, [0, 0, 0, 0, 200, 100, 50, 1]);
    }
}
