//! Pictures for the bench: like photos in what they cost, and as many different ones as are wanted.

use crate::{
    codec::{self, CodecError},
    domain::{OutputFormat, Quality, Settings},
    pixels::{Layout, Pixmap},
};

/// A number of `x` and `y` that looks like none, 0 to 255.
fn noise(x: u32, y: u32, seed: u32) -> u32 {
    let mut state = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ seed.wrapping_mul(0xC2B2_AE3D);
    state = (state ^ (state >> 15)).wrapping_mul(0x2C1B_3C6D);
    state = (state ^ (state >> 12)).wrapping_mul(0x297A_2D39);
    (state ^ (state >> 15)) & 255
}

/// The same, but smooth over 2 to the power of `bits` pixels: between four numbers by how near each is.
fn smooth(x: u32, y: u32, bits: u32, seed: u32) -> u32 {
    let (cell_x, cell_y, mask) = (x >> bits, y >> bits, (1 << bits) - 1);
    let (right, down) = (x & mask, y & mask);
    let (left, up) = (mask + 1 - right, mask + 1 - down);
    let above = noise(cell_x, cell_y, seed) * left + noise(cell_x + 1, cell_y, seed) * right;
    let below = noise(cell_x, cell_y + 1, seed) * left + noise(cell_x + 1, cell_y + 1, seed) * right;
    ((above >> bits) * up + (below >> bits) * down) >> bits
}

/// A JPEG of about so many megapixels, 4 to 3: large shapes, smaller ones in them, texture and a little grain.
pub(super) fn photo(megapixels: u32) -> Result<Vec<u8>, CodecError> {
    let rows = (f64::from(megapixels) * 1e6 * 0.75).sqrt();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 8661: the option ends at 100 MP"
    )]
    let rows = rows as u32 / 3 * 3;
    let columns = rows / 3 * 4;
    let mut data = Vec::with_capacity(columns as usize * rows as usize * 3);
    for y in 0..rows {
        for x in 0..columns {
            let shapes = smooth(x, y, 9, 1) / 2 + smooth(x, y, 6, 2) / 4;
            let detail = smooth(x, y, 3, 3) / 10 + smooth(x, y, 1, 9) / 14 + noise(x, y, 4) / 24;
            for channel in 5..8 {
                let value = shapes + detail + smooth(x, y, 8, channel) / 8;
                data.push(u8::try_from(value).unwrap_or(u8::MAX));
            }
        }
    }
    let pixmap = Pixmap::new(columns, rows, Layout::Rgb, data);
    let pixmap = pixmap.map_err(|error| CodecError::unsupported(error.to_string()))?;
    codec::encode(&pixmap, OutputFormat::Jpg, Settings::from(Quality::new(90)))
}

/// Where the tables stand by which a JPEG's numbers are multiplied: their values, those of the largest steps last.
fn tables(jpeg: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 2;
    while let Some([0xFF, marker, high, low]) = jpeg.get(at..at + 4) {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        match marker {
            // A byte that says which table it is stands in front of each 64.
            0xDB => found.extend((0..(length - 2) / 65).flat_map(|table| {
                let begin = at + 4 + table * 65 + 1;
                begin..begin + 64
            })),
            0xDA => break,
            _ => {}
        }
        at += 2 + length;
    }
    found
}

/// The same picture with other colours, by a little: another file, of the same length, that costs the same. Each number is another.
pub(super) fn another(jpeg: &[u8], number: usize) -> Vec<u8> {
    let mut other = jpeg.to_vec();
    let places = tables(jpeg);
    let (mut rest, mut place) = (number, 0);
    // The number in digits of 8, each added to a value of a table.
    while rest > 0 && place < places.len() {
        if let Some(value) = places.get(place).and_then(|at| other.get_mut(*at)) {
            *value = value.saturating_add(u8::try_from(rest % 8).unwrap_or(0)).max(1);
        }
        rest /= 8;
        place += 1;
    }
    other
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::codec::Budget;

    #[test]
    fn pictures_are_photos_in_length_and_each_number_is_another_that_is_sound() {
        let photo = photo(1).unwrap();
        assert!((150_000..600_000).contains(&photo.len()), "{} bytes for a megapixel", photo.len());
        assert!(tables(&photo).len() >= 64);
        let others: BTreeSet<Vec<u8>> = (0..40).map(|number| another(&photo, number)).collect();
        assert_eq!(others.len(), 40);
        for other in others.iter().take(3) {
            let ingested = codec::ingest(other.clone(), None, &Budget::default()).unwrap();
            assert_eq!((ingested.details.width, ingested.details.height), (1152, 864));
        }
    }
}
