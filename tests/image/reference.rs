//! The slow reference: `f64`, two-dimensional order of operations as the definitions say, no kernel of the engines'.

#![expect(clippy::unwrap_used, reason = "clippy takes only test functions for tests; this is what they call")]

use std::f64::consts::PI;

use glimt::pixels::{Op, Pixmap, Size};

use crate::compare::Codes;

/// Premultiplied linear light: one plane a channel, rows from the top.
struct Light {
    size: Size,
    planes: Vec<Vec<f64>>,
}

/// What `ops` make of `image`, in codes that are not rounded.
pub(crate) fn reference(ops: &[Op], image: &Pixmap) -> Codes {
    let mut light = light_of(image);
    for op in ops {
        light = match *op {
            Op::Fit { side_px } => fit(&light, side_px),
            Op::Blur { sigma: 0.0 } => light,
            Op::Blur { sigma } => blur(&light, f64::from(sigma)),
        };
    }
    codes_of(&light, image)
}

fn light_of(image: &Pixmap) -> Light {
    let channels = image.layout().channels();
    let mut planes = vec![Vec::new(); channels];
    for pixel in image.data().chunks_exact(channels) {
        let alpha = if image.layout().has_alpha() { f64::from(pixel[channels - 1]) / 255.0 } else { 1.0 };
        for (channel, &code) in pixel.iter().enumerate() {
            let is_alpha = image.layout().has_alpha() && channel == channels - 1;
            let v = f64::from(code) / 255.0;
            let linear = if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) };
            planes[channel].push(if is_alpha { v } else { linear * alpha });
        }
    }
    Light { size: Size::new(image.width(), image.height()), planes }
}

fn codes_of(light: &Light, image: &Pixmap) -> Codes {
    let layout = image.layout();
    let mut values = Vec::new();
    for at in 0..light.planes[0].len() {
        let alpha = if layout.has_alpha() { light.planes[layout.channels() - 1][at] } else { 1.0 };
        for channel in 0..layout.channels() {
            let v = light.planes[channel][at];
            let code = if layout.has_alpha() && channel == layout.channels() - 1 {
                v.clamp(0.0, 1.0)
            } else if alpha < 0.5 / 255.0 {
                0.0
            } else {
                let v = (v / alpha).clamp(0.0, 1.0);
                if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
            };
            values.push(code * 255.0);
        }
    }
    Codes { width: light.size.width, height: light.size.height, layout, values }
}

/// Applies a weight for each (output, input) pair along one axis: the matrix itself, zeros and all.
fn along(light: &Light, across: bool, target: u32, weight: impl Fn(u32) -> Vec<f64>) -> Light {
    let size = light.size;
    let out = if across { Size::new(target, size.height) } else { Size::new(size.width, target) };
    let rows: Vec<Vec<f64>> = (0..target).map(weight).collect();
    let (width, out_width) = (size.width as usize, out.width as usize);
    let planes = light.planes.iter().map(|plane| {
        let mut made = vec![0.0; out_width * out.height as usize];
        for (at, slot) in made.iter_mut().enumerate() {
            let (x, y) = (at % out_width, at / out_width);
            let row = if across { &rows[x] } else { &rows[y] };
            let sample = |s: usize| if across { plane[y * width + s] } else { plane[s * width + x] };
            *slot = row.iter().enumerate().filter(|(_, w)| **w != 0.0).map(|(s, w)| w * sample(s)).sum();
        }
        made
    });
    Light { size: out, planes: planes.collect() }
}

fn normalised(mut weights: Vec<f64>) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

fn fit(light: &Light, side: u32) -> Light {
    let (width, height) = (light.size.width, light.size.height);
    let long = width.max(height);
    if long <= side {
        return Light { size: light.size, planes: light.planes.clone() };
    }
    let scaled = |length: u32| (length * side / long).max(1);
    let sinc = |x: f64| if x.abs() < 1e-12 { 1.0 } else { (PI * x).sin() / (PI * x) };
    let lanczos = |x: f64| if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 };
    let row = |source: u32, target: u32, at: u32| {
        let ratio = f64::from(source) / f64::from(target);
        let centre = (f64::from(at) + 0.5) * ratio;
        normalised((0..source).map(|s| lanczos((f64::from(s) + 0.5 - centre) / ratio)).collect())
    };
    let light = along(light, true, scaled(width), |at| row(width, scaled(width), at));
    along(&light, false, scaled(height), |at| row(height, scaled(height), at))
}

/// The whole Gaussian, out to eight standard deviations, each tap on the sample it lands on.
fn blur(light: &Light, sigma: f64) -> Light {
    let row = |len: u32, at: u32| {
        let reach = (0_i64..).find(|&n| n as f64 >= 8.0 * sigma).unwrap();
        let mut weights = vec![0.0; len as usize];
        for n in -reach..=reach {
            let place = (i64::from(at) + n).clamp(0, i64::from(len) - 1);
            weights[usize::try_from(place).unwrap()] += (-((n * n) as f64) / (2.0 * sigma * sigma)).exp();
        }
        normalised(weights)
    };
    let (width, height) = (light.size.width, light.size.height);
    let light = along(light, true, width, |at| row(width, at));
    along(&light, false, height, |at| row(height, at))
}
