//! How pictures are compared, and the one table of tolerances.

#![expect(clippy::unwrap_used, reason = "clippy takes only test functions for tests; this is what they call")]

use glimt::pixels::{Layout, Pixmap};

/// What two pictures may differ by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    /// The largest difference of a channel, in codes of 255. Colour counts by how much it shows: times alpha.
    pub(crate) max: f64,
    /// The least peak signal-to-noise ratio over all channels, in dB.
    pub(crate) psnr: f64,
}

/// The table. Change it here or nowhere.
///
/// | what | largest | PSNR | why |
/// |---|---|---|---|
/// | device against cpu | 1.01 | 56 | same kernels; 16-bit floats between passes and `pow` move values over a rounding boundary |
/// | direct filters against f64 | 0.75 | 57 | rounding is 0.5 and 58.9 dB; a Gaussian cut at 4 sigma adds 0.2 |
/// | the same on a device | 1.0 | 56 | plus 16-bit floats |
/// | decimated blur against f64 | 1.0 | 57 | three Gaussians cut at 4 sigma and sampling; 0.75 is the most that was seen |
/// | the same on a device | 1.3 | 55 | plus six passes of 16-bit floats |
/// | sharpening on a device | 2.0 | 56 | an amount of `a` multiplies the rounding of 16-bit floats by `1 + 2 a`, in the dark where codes are closest |
pub(crate) const DEVICE_AGAINST_CPU: Tolerance = Tolerance { max: 1.01, psnr: 56.0 };
pub(crate) const DIRECT: Tolerance = Tolerance { max: 0.75, psnr: 57.0 };
pub(crate) const DIRECT_ON_DEVICE: Tolerance = Tolerance { max: 1.0, psnr: 56.0 };
pub(crate) const SHARPENED_ON_DEVICE: Tolerance = Tolerance { max: 2.0, psnr: 56.0 };
pub(crate) const DECIMATED: Tolerance = Tolerance { max: 1.0, psnr: 57.0 };
pub(crate) const DECIMATED_ON_DEVICE: Tolerance = Tolerance { max: 1.3, psnr: 55.0 };

/// What was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) max: f64,
    pub(crate) psnr: f64,
}

impl Seen {
    pub(crate) fn within(self, tolerance: Tolerance) -> bool {
        self.max <= tolerance.max && self.psnr >= tolerance.psnr
    }
}

/// sRGB codes, 0 to 255 and not rounded, straight alpha: channel after channel of each pixel.
#[derive(Clone, Debug)]
pub(crate) struct Codes {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) layout: Layout,
    pub(crate) values: Vec<f64>,
}

impl From<&Pixmap> for Codes {
    fn from(image: &Pixmap) -> Self {
        let values = image.data().iter().map(|&code| f64::from(code)).collect();
        Self { width: image.width(), height: image.height(), layout: image.layout(), values }
    }
}

/// Compares two pictures of one size and layout. Panics when they are not.
pub(crate) fn differ(got: &Codes, want: &Codes) -> Seen {
    assert_eq!((got.width, got.height, got.layout), (want.width, want.height, want.layout));
    assert_eq!(got.values.len(), want.values.len());
    assert!(!want.values.is_empty());
    let channels = want.layout.channels();
    let (mut max, mut squares) = (0.0_f64, 0.0);
    for (a, b) in got.values.chunks_exact(channels).zip(want.values.chunks_exact(channels)) {
        let shows = |pixel: &[f64]| if want.layout.has_alpha() { pixel[channels - 1] / 255.0 } else { 1.0 };
        let colours = if want.layout.has_alpha() { channels - 1 } else { channels };
        for channel in 0..channels {
            let weight = if channel < colours { shows(a).min(shows(b)) } else { 1.0 };
            let off = (a[channel] - b[channel]).abs() * weight;
            max = max.max(off);
            squares += off * off;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 samples")]
    let mean = squares / want.values.len() as f64;
    let psnr = if mean == 0.0 { f64::INFINITY } else { 10.0 * (255.0 * 255.0 / mean).log10() };
    Seen { max, psnr }
}

/// Asserts that two pictures are within a tolerance, and says by how much they differ.
#[track_caller]
pub(crate) fn assert_close(got: &Codes, want: &Codes, tolerance: Tolerance, what: &str) -> Seen {
    let seen = differ(got, want);
    assert!(seen.within(tolerance), "{what}: {seen:?} is not within {tolerance:?}");
    seen
}

/// A picture that is hard to filter: noise, hard edges, ramps, and every alpha there is.
pub(crate) fn hard_picture(width: u32, height: u32, layout: Layout, seed: u32) -> Pixmap {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut data = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let kind = (x / 24 + y / 16 + seed) % 4;
            for channel in 0..layout.channels() {
                let is_alpha = layout.has_alpha() && channel == layout.channels() - 1;
                let noise = random();
                let code = match (kind, is_alpha) {
                    (0, true) => [0, 255][(noise >> 9) as usize % 2],
                    (1, true) => 255,
                    (0, false) => noise >> 11,
                    (1, false) => ((x / 3 + y / 5) % 2) * 255,
                    (2, _) => x * 5 + y * 3,
                    (_, _) => (noise >> 13) % 40,
                };
                data.push(u8::try_from(code % 256).unwrap());
            }
        }
    }
    Pixmap::new(width, height, layout, data).unwrap()
}

/// Rotates a picture one pixel to the left: a negative control.
pub(crate) fn shifted(image: &Pixmap) -> Pixmap {
    let channels = image.layout().channels();
    let rows = image.rows().flat_map(|row| row[channels..].iter().chain(&row[..channels]).copied());
    Pixmap::new(image.width(), image.height(), image.layout(), rows.collect()).unwrap()
}

/// Swaps the first two channels: a negative control.
pub(crate) fn swapped(image: &Pixmap) -> Pixmap {
    let mut data = image.data().to_vec();
    for pixel in data.chunks_exact_mut(image.layout().channels()) {
        pixel.swap(0, 1);
    }
    Pixmap::new(image.width(), image.height(), image.layout(), data).unwrap()
}

#[test]
fn the_comparator_sees_what_it_must_see() {
    let image = hard_picture(60, 40, Layout::Rgba, 1);
    let codes = Codes::from(&image);
    assert!(differ(&codes, &codes).within(DIRECT));
    for wrong in [shifted(&image), swapped(&image)] {
        assert!(!differ(&Codes::from(&wrong), &codes).within(DECIMATED_ON_DEVICE));
    }
    let opaque = hard_picture(60, 40, Layout::Rgb, 1);
    let mut one = opaque.data().to_vec();
    one[77] ^= 4;
    let one = Pixmap::new(60, 40, Layout::Rgb, one).unwrap();
    assert!(!differ(&Codes::from(&one), &Codes::from(&opaque)).within(DECIMATED_ON_DEVICE), "one channel off by 4");
    // One code everywhere is within the largest difference, so the ratio must tell.
    let all: Vec<u8> = opaque.data().iter().map(|&code| code ^ 1).collect();
    let all = Pixmap::new(60, 40, Layout::Rgb, all).unwrap();
    assert!(!differ(&Codes::from(&all), &Codes::from(&opaque)).within(DECIMATED_ON_DEVICE), "all off by one");
}
