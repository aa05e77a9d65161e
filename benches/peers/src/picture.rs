//! Pictures in memory, and the references: decoded whole, filtered in linear light, in floating point.

use anyhow::{Context as _, Result, bail};
use turbojpeg::{Image, PixelFormat};

/// 8-bit sRGB, three bytes a pixel, no padding.
#[derive(Clone)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Decodes a JPEG (libjpeg-turbo, at full size) or a WebP.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.starts_with(&[0xff, 0xd8]) {
            let image = turbojpeg::decompress(bytes, PixelFormat::RGB)?;
            if image.pitch != image.width * 3 {
                bail!("rows of {} bytes for {} pixels", image.pitch, image.width);
            }
            return Ok(Self { width: image.width, height: image.height, rgb: image.pixels });
        }
        let mut decoder =
            image_webp::WebPDecoder::new(std::io::Cursor::new(bytes)).context("neither a JPEG nor a WebP")?;
        let (width, height) = decoder.dimensions();
        let mut pixels = vec![0; decoder.output_buffer_size().context("too large")?];
        decoder.read_image(&mut pixels)?;
        if decoder.has_alpha() {
            pixels = pixels.chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        }
        Ok(Self { width: width as usize, height: height as usize, rgb: pixels })
    }

    /// As the encoder of the photos' sets wants it.
    pub fn as_image(&self) -> Image<&[u8]> {
        Image {
            pixels: &self.rgb,
            width: self.width,
            pitch: self.width * 3,
            height: self.height,
            format: PixelFormat::RGB,
        }
    }

    pub fn flipped(&self, flip: Flip) -> Self {
        let mut rgb = Vec::with_capacity(self.rgb.len());
        for y in 0..self.height {
            let y = if flip.vertical() { self.height - 1 - y } else { y };
            let row = &self.rgb[y * self.width * 3..][..self.width * 3];
            if flip.horizontal() {
                rgb.extend(row.chunks_exact(3).rev().flatten());
            } else {
                rgb.extend_from_slice(row);
            }
        }
        Self { rgb, ..*self }
    }

    /// Lanczos3 in linear light to exactly this size, which is not larger.
    pub fn reduced(&self, width: usize, height: usize) -> Self {
        self.filtered(&Kernel::lanczos3(self.width, width), &Kernel::lanczos3(self.height, height))
    }

    /// A Gaussian in linear light, to six standard deviations; edges are repeated.
    pub fn blurred(&self, sigma: f64) -> Self {
        self.filtered(&Kernel::gaussian(self.width, sigma), &Kernel::gaussian(self.height, sigma))
    }

    fn filtered(&self, across: &Kernel, down: &Kernel) -> Self {
        let linear: Vec<f32> = (0..=255).map(|code| linear_from_srgb(f64::from(code) / 255.0) as f32).collect();
        let (width, height) = (across.rows.len(), down.rows.len());
        // Each row of the source is filtered once, and kept until no row of the result needs it any more.
        let mut kept: std::collections::VecDeque<Vec<f32>> = std::collections::VecDeque::new();
        let (mut first_kept, mut next) = (0, 0);
        let mut rgb = Vec::with_capacity(width * height * 3);
        let mut line = vec![0.0_f32; self.width * 3];
        for (from, weights) in &down.rows {
            while next < from + weights.len() {
                let codes = &self.rgb[next * self.width * 3..][..self.width * 3];
                line.iter_mut().zip(codes).for_each(|(sample, code)| *sample = linear[usize::from(*code)]);
                let mut row = Vec::with_capacity(width * 3);
                for (from, weights) in &across.rows {
                    let mut sum = [0.0_f32; 3];
                    for (pixel, weight) in line[from * 3..].chunks_exact(3).zip(weights) {
                        (0..3).for_each(|channel| sum[channel] += pixel[channel] * weight);
                    }
                    row.extend(sum);
                }
                kept.push_back(row);
                next += 1;
            }
            while first_kept < *from {
                kept.pop_front();
                first_kept += 1;
            }
            let mut sum = vec![0.0_f32; width * 3];
            for (row, weight) in kept.iter().zip(weights) {
                sum.iter_mut().zip(row).for_each(|(sum, sample)| *sum += sample * weight);
            }
            rgb.extend(
                sum.iter().map(|sample| (srgb_from_linear(f64::from(sample.clamp(0.0, 1.0))) * 255.0).round() as u8),
            );
        }
        Self { width, height, rgb }
    }

    /// The means of 16 by 16 fields, in codes above or below that of the whole: what a picture is of, and which way up, however bright.
    pub fn grid(&self) -> Vec<f32> {
        let mut sums = vec![(0.0_f32, 0.0_f32); GRID * GRID * 3];
        for (at, pixel) in self.rgb.chunks_exact(3).enumerate() {
            let field = (at / self.width * GRID / self.height) * GRID + at % self.width * GRID / self.width;
            for (channel, code) in pixel.iter().enumerate() {
                let (sum, count) = &mut sums[field * 3 + channel];
                *sum += f32::from(*code);
                *count += 1.0;
            }
        }
        let means: Vec<f32> = sums.into_iter().map(|(sum, count)| sum / count.max(1.0)).collect();
        let whole = [0, 1, 2].map(|channel| means.iter().skip(channel).step_by(3).sum::<f32>() / (GRID * GRID) as f32);
        means.iter().enumerate().map(|(at, mean)| mean - whole[at % 3]).collect()
    }
}

const GRID: usize = 16;

/// The mean difference of two grids, in codes.
pub fn apart(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).sum::<f32>() / one.len() as f32
}

/// The same picture four times: the coefficients of a JPEG are only moved, so that the work is the same and the file another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flip {
    None,
    Horizontal,
    Vertical,
    Both,
}

impl Flip {
    pub const ALL: [Self; 4] = [Self::None, Self::Horizontal, Self::Vertical, Self::Both];

    fn horizontal(self) -> bool {
        matches!(self, Self::Horizontal | Self::Both)
    }

    fn vertical(self) -> bool {
        matches!(self, Self::Vertical | Self::Both)
    }
}

/// For each sample of the result the first of the source that it is made of, and the weights from there on.
struct Kernel {
    rows: Vec<(usize, Vec<f32>)>,
}

impl Kernel {
    fn lanczos3(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let wide = scale.max(1.0);
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
        let weight = |x: f64| if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 };
        Self::new(from, to, scale, 3.0 * wide, |x| weight(x / wide))
    }

    fn gaussian(side: usize, sigma: f64) -> Self {
        Self::new(side, side, 1.0, 6.0 * sigma, |x| (-0.5 * (x / sigma).powi(2)).exp())
    }

    /// `weight` of the distance in samples of the source. What lies outside counts for the sample at the edge.
    fn new(from: usize, to: usize, scale: f64, support: f64, weight: impl Fn(f64) -> f64) -> Self {
        let last = from as i64 - 1;
        let row = |at: usize| {
            let centre = (at as f64 + 0.5) * scale;
            let (begin, end) = ((centre - support).floor() as i64, (centre + support).ceil() as i64);
            let (first, past) = (begin.clamp(0, last), end.clamp(0, last) + 1);
            let mut weights = vec![0.0; (past - first) as usize];
            for sample in begin..=end {
                weights[(sample.clamp(first, past - 1) - first) as usize] += weight(sample as f64 + 0.5 - centre);
            }
            let sum: f64 = weights.iter().sum();
            (first as usize, weights.into_iter().map(|weight| (weight / sum) as f32).collect())
        };
        Self { rows: (0..to).map(row).collect() }
    }
}

fn linear_from_srgb(code: f64) -> f64 {
    if code <= 0.040_45 { code / 12.92 } else { ((code + 0.055) / 1.055).powf(2.4) }
}

fn srgb_from_linear(light: f64) -> f64 {
    if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, code: impl Fn(usize, usize, usize) -> u8) -> Picture {
        let at = |at: usize| code(at / 3 % width, at / 3 / width, at % 3);
        Picture { width, height, rgb: (0..width * height * 3).map(at).collect() }
    }

    #[test]
    fn filters_keep_what_is_even_and_average_in_linear_light() {
        let even = picture(90, 60, |_, _, channel| [200, 20, 120][channel]);
        for filtered in [even.reduced(30, 20), even.blurred(3.0)] {
            assert!(filtered.rgb.chunks_exact(3).all(|pixel| pixel == [200, 20, 120]));
        }
        // Black and white by turns are half the light, which is code 188; the mean of the codes would be 128.
        let turns = picture(96, 96, |x, _, _| if x % 2 == 0 { 0 } else { 255 });
        let grey = turns.reduced(12, 12).rgb[(6 * 12 + 6) * 3];
        assert!((186..=190).contains(&grey), "{grey}");
    }

    #[test]
    fn a_picture_that_keeps_its_size_stays_as_it_is() {
        let some = picture(40, 30, |x, y, channel| (x * 5 + y * 3 + channel * 40) as u8);
        assert!(some.reduced(40, 30).rgb == some.rgb);
        assert!(some.flipped(Flip::Both).flipped(Flip::Horizontal).rgb == some.flipped(Flip::Vertical).rgb);
    }
}
