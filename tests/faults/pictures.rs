//! Pictures to upload: small, each with pixels of its own, and stored to the byte as they are sent, since they hold no metadata.

use std::io::Cursor;

use sha2::{Digest as _, Sha256};

/// Numbers that look random, the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Whether something happens that does so many times in a hundred.
    pub(crate) const fn percent(&mut self, times: u64) -> bool {
        self.below(100) < times
    }
}

/// A PNG of noise, about 7 KB: two pages of a disk, so that half of it can be lost.
pub(crate) fn png(seed: u64) -> Vec<u8> {
    png_of(seed, 48, 48)
}

/// A PNG of noise with these sides.
pub(crate) fn png_of(seed: u64, width: u32, height: u32) -> Vec<u8> {
    let mut random = Random::new(seed);
    let pixels = image::RgbImage::from_fn(width, height, |_, _| {
        let [a, b, c, ..] = random.next().to_le_bytes();
        image::Rgb([a, b, c])
    });
    let mut png = Cursor::new(Vec::new());
    pixels.write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

/// The name under which these bytes are stored, if they are a PNG.
pub(crate) fn stored_name(png: &[u8]) -> String {
    let digest = Sha256::digest(png);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}.png")
}

/// Whether this is a whole JPEG whose sides are at most so long.
pub(crate) fn is_thumbnail(bytes: &[u8], side: u32) -> bool {
    image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg)
        .is_ok_and(|picture| picture.width() <= side && picture.height() <= side && picture.width() > 0)
}
