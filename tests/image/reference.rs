//! The slow reference: `f64`, two-dimensional order of operations as the definitions say, no kernel of the engines'.

#![expect(clippy::unwrap_used, reason = "clippy takes only test functions for tests; this is what they call")]

use std::f64::consts::PI;

use glimt::pixels::{Colour, Op, Orientation, Pixmap, Rect, ResizeFilter, Size, Target};

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
            Op::Orient(orientation) => orient(&light, orientation),
            Op::Crop(rect) => crop(&light, rect),
            Op::CropAspect { aspect, at } => crop(&light, at.part(light.size, light.size.aspect(aspect))),
            Op::Resize { to, filter } => resize(&light, to, filter),
            Op::Blur { sigma: 0.0 } => light,
            Op::Blur { sigma } => blur(&light, f64::from(sigma)),
            Op::Sharpen { sigma, amount } => sharpen(&light, f64::from(sigma), f64::from(amount)),
            Op::Colour(colour) => changed(&light, colour, image.layout().has_alpha()),
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

/// The pixels of `size`, each read where `from` says.
fn moved(light: &Light, size: Size, from: impl Fn(u32, u32) -> (u32, u32)) -> Light {
    let planes = light.planes.iter().map(|plane| {
        let places = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
        places
            .map(|(x, y)| {
                let (x, y) = from(x, y);
                plane[(y * light.size.width + x) as usize]
            })
            .collect()
    });
    Light { size, planes: planes.collect() }
}

/// One mirror or transposition after the other, as the words of EXIF say.
fn orient(light: &Light, orientation: Orientation) -> Light {
    let exif = Orientation::ALL.iter().position(|its| *its == orientation).unwrap() + 1;
    let Size { width, height } = light.size;
    let transposed = Size::new(height, width);
    match exif {
        1 => moved(light, light.size, |x, y| (x, y)),
        2 => moved(light, light.size, |x, y| (width - 1 - x, y)),
        3 => moved(light, light.size, |x, y| (width - 1 - x, height - 1 - y)),
        4 => moved(light, light.size, |x, y| (x, height - 1 - y)),
        5 => moved(light, transposed, |x, y| (y, x)),
        6 => moved(light, transposed, |x, y| (y, height - 1 - x)),
        7 => moved(light, transposed, |x, y| (width - 1 - y, height - 1 - x)),
        _ => moved(light, transposed, |x, y| (width - 1 - y, x)),
    }
}

fn crop(light: &Light, rect: Rect) -> Light {
    moved(light, rect.size, |x, y| (x + rect.x, y + rect.y))
}

fn resize(light: &Light, to: Target, filter: ResizeFilter) -> Light {
    let (target, kept) = to.of(light.size);
    let Size { width, height } = light.size;
    let row = |source: u32, target: u32, at: u32| {
        let ratio = f64::from(source) / f64::from(target);
        let centre = (f64::from(at) + 0.5) * ratio;
        let weight = |s: u32| match filter {
            // The length that pixel s shares with the box, by adding up thin slices.
            ResizeFilter::Box => {
                let (low, high) = (centre - ratio / 2.0, centre + ratio / 2.0);
                (0..10_000)
                    .filter(|slice| (low..high).contains(&(f64::from(s) + (f64::from(*slice) + 0.5) / 10_000.0)))
                    .count() as f64
            }
            ResizeFilter::Lanczos3 | ResizeFilter::CatmullRom | ResizeFilter::Mitchell | ResizeFilter::Bilinear => {
                value(filter, (f64::from(s) + 0.5 - centre) / ratio)
            }
        };
        normalised((0..source).map(weight).collect())
    };
    let light = if target.width == width {
        clone(light)
    } else {
        along(light, true, target.width, |at| row(width, target.width, at))
    };
    let light = if target.height == height {
        light
    } else {
        along(&light, false, target.height, |at| row(height, target.height, at))
    };
    crop(&light, kept)
}

fn clone(light: &Light) -> Light {
    moved(light, light.size, |x, y| (x, y))
}

/// The filters as their papers write them, for `ratio >= 1`.
fn value(filter: ResizeFilter, x: f64) -> f64 {
    let sinc = |x: f64| if x.abs() < 1e-12 { 1.0 } else { (PI * x).sin() / (PI * x) };
    let x = x.abs();
    match filter {
        ResizeFilter::Lanczos3 if x < 3.0 => sinc(x) * sinc(x / 3.0),
        // Keys, equation 4, a = -1/2.
        ResizeFilter::CatmullRom if x < 1.0 => 1.5 * x.powi(3) - 2.5 * x.powi(2) + 1.0,
        ResizeFilter::CatmullRom if x < 2.0 => -0.5 * x.powi(3) + 2.5 * x.powi(2) - 4.0 * x + 2.0,
        // Mitchell and Netravali, equation 8 with B = C = 1/3, times 18.
        ResizeFilter::Mitchell if x < 1.0 => (21.0 * x.powi(3) - 36.0 * x.powi(2) + 16.0) / 18.0,
        ResizeFilter::Mitchell if x < 2.0 => (-7.0 * x.powi(3) + 36.0 * x.powi(2) - 60.0 * x + 32.0) / 18.0,
        ResizeFilter::Bilinear if x < 1.0 => 1.0 - x,
        ResizeFilter::Lanczos3
        | ResizeFilter::CatmullRom
        | ResizeFilter::Mitchell
        | ResizeFilter::Bilinear
        | ResizeFilter::Box => 0.0,
    }
}

fn sharpen(light: &Light, sigma: f64, amount: f64) -> Light {
    let blurred = blur(light, sigma);
    let planes = light.planes.iter().zip(&blurred.planes);
    let planes = planes.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + amount * (a - b)).collect());
    Light { size: light.size, planes: planes.collect() }
}

fn encoded(v: f64) -> f64 {
    if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
}

fn decoded(v: f64) -> f64 {
    if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// The CSS functions, a pixel at a time, on RGB; a grey picture is one whose channels are equal.
fn changed(light: &Light, colour: Colour, has_alpha: bool) -> Light {
    let mut out = clone(light);
    let colours = light.planes.len() - usize::from(has_alpha);
    for at in 0..light.planes[0].len() {
        let alpha = if has_alpha { light.planes[colours][at] } else { 1.0 };
        let straight: Vec<f64> = (0..3)
            .map(|channel| if alpha > 0.0 { light.planes[channel.min(colours - 1)][at] / alpha } else { 0.0 })
            .collect();
        let luma = |rgb: &[f64]| 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
        let made: Vec<f64> = if colour == Colour::Grayscale {
            vec![luma(&straight); 3]
        } else {
            let codes: Vec<f64> = straight.iter().map(|v| encoded(v.clamp(0.0, 1.0))).collect();
            let grey = luma(&codes);
            codes
                .iter()
                .map(|v| match colour {
                    Colour::Brightness(by) => v * f64::from(by),
                    Colour::Contrast(by) => (v - 0.5) * f64::from(by) + 0.5,
                    Colour::Saturation(by) => grey + (v - grey) * f64::from(by),
                    Colour::Grayscale => unreachable!(),
                })
                .map(|v| decoded(v.clamp(0.0, 1.0)))
                .collect()
        };
        for (plane, value) in out.planes.iter_mut().take(colours).zip(made) {
            plane[at] = value * alpha;
        }
    }
    out
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
