//! Pictures that look like something, made on the spot: a screenshot with them may be published.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};

/// Hills behind hills under an evening sky. Different seeds are different pictures.
pub(crate) fn landscape(seed: u32, width: u32, height: u32) -> RgbImage {
    let shift = f64::from(seed) * 1.7;
    let hue = shift.sin() * 0.5 + 0.5;
    let mix = |a: [f64; 3], b: [f64; 3], part: f64| [0, 1, 2].map(|at| a[at] + (b[at] - a[at]) * part.clamp(0.0, 1.0));
    let (top, low) =
        (mix([52.0, 74.0, 140.0], [98.0, 58.0, 120.0], hue), mix([255.0, 214.0, 150.0], [255.0, 170.0, 130.0], hue));
    let (far, near) =
        (mix([140.0, 130.0, 170.0], [150.0, 150.0, 160.0], hue), mix([18.0, 42.0, 52.0], [30.0, 30.0, 46.0], hue));
    let sun = (0.25 + 0.5 * hue, 0.42);
    let ratio = f64::from(width) / f64::from(height);
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
        let mut colour = mix(top, low, v * 1.5);
        let from_sun = ((u - sun.0) * ratio).hypot(v - sun.1);
        colour = mix(colour, [255.0, 246.0, 214.0], if from_sun < 0.07 { 1.0 } else { 0.5 * (-from_sun * 5.0).exp() });
        for hill in 0..5 {
            let depth = f64::from(hill) / 4.0;
            let wave = (u * (3.0 + 2.0 * depth) + shift + depth * 4.0).sin() * 0.07
                + (u * (11.0 + 5.0 * depth) + shift * 2.0 + depth).sin() * 0.022
                + (u * 41.0 + depth * 9.0).sin() * 0.004;
            let line = 0.5 + depth * 0.38 + wave;
            if v > line {
                colour = mix(mix(far, near, depth), low, 0.25 * (1.0 - (v - line) * 6.0).max(0.0) * (1.0 - depth));
            }
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
        Rgb(colour.map(|value| value.clamp(0.0, 255.0) as u8))
    })
}

/// The same as a file.
pub(crate) fn picture(seed: u32, width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    landscape(seed, width, height).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn seeds_are_different_pictures() {
    assert_ne!(landscape(1, 40, 30), landscape(2, 40, 30));
    assert_eq!(landscape(1, 40, 30), landscape(1, 40, 30));
}
