//! What the `image` crate leaves undone of a TIFF: alpha that colours are already multiplied with (`ExtraSamples` 1).

use std::io::Cursor;

use tiff::decoder::Decoder;
use tiff::tags::Tag;

/// Whether the first picture of the file has such an alpha. Reads its directory, within the limits of the library.
pub(crate) fn premultiplied(bytes: &[u8]) -> bool {
    let extra =
        Decoder::new(Cursor::new(bytes)).ok().and_then(|mut file| file.find_tag(Tag::ExtraSamples).ok().flatten());
    extra.and_then(|extra| extra.into_u16_vec().ok()).is_some_and(|kinds| kinds.first() == Some(&1))
}

/// Divides colours by the alpha behind them, in place: pixels of `channels` samples (2 or 4, else nothing is done) of
/// `sample` bytes (1 or 2: integers, 4: floats, which may be over 1), native-endian. Under no alpha there is no colour.
pub(crate) fn straighten(data: &mut [u8], channels: usize, sample: usize) {
    if !matches!(channels, 2 | 4) {
        return;
    }
    for pixel in data.chunks_exact_mut(channels * sample) {
        let (colours, alpha) = pixel.split_at_mut((channels - 1) * sample);
        match sample {
            1 => {
                let alpha = alpha.first().map_or(0, |&alpha| u32::from(alpha));
                for colour in colours {
                    // At most 255: the cast loses nothing.
                    *colour = u8::try_from(divided(u32::from(*colour), alpha, 255)).unwrap_or(u8::MAX);
                }
            }
            2 => {
                let alpha = alpha.first_chunk().map_or(0, |alpha| u32::from(u16::from_ne_bytes(*alpha)));
                for colour in colours.as_chunks_mut::<2>().0 {
                    let straight = divided(u32::from(u16::from_ne_bytes(*colour)), alpha, 65_535);
                    *colour = u16::try_from(straight).unwrap_or(u16::MAX).to_ne_bytes();
                }
            }
            _ => {
                let alpha = alpha.first_chunk().map_or(0.0, |alpha| f32::from_ne_bytes(*alpha));
                for colour in colours.as_chunks_mut::<4>().0 {
                    let straight = if alpha > 0.0 { f32::from_ne_bytes(*colour) / alpha } else { 0.0 };
                    *colour = straight.to_ne_bytes();
                }
            }
        }
    }
}

/// `colour * full / alpha`, rounded, at most `full`; 0 without alpha. `colour` and `alpha` are at most `full`, so the product
/// stays below 2^32.
fn divided(colour: u32, alpha: u32, full: u32) -> u32 {
    (colour * full).saturating_add(alpha / 2).checked_div(alpha).unwrap_or(0).min(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_divided_at_every_depth_and_alpha_stays() {
        let mut bytes = [16, 8, 0, 16, 255, 3, 1, 0, 200, 100, 50, 255, 9, 20, 0, 10];
        straighten(&mut bytes, 4, 1);
        assert_eq!(bytes, [255, 128, 0, 16, 0, 0, 0, 0, 200, 100, 50, 255, 230, 255, 0, 10]);
        let mut words: Vec<u8> = [100_u16, 200, 65_535, 65_535].iter().flat_map(|v| v.to_ne_bytes()).collect();
        straighten(&mut words, 2, 2);
        let words: Vec<u16> = words.as_chunks::<2>().0.iter().map(|v| u16::from_ne_bytes(*v)).collect();
        assert_eq!(words, [32_768, 200, 65_535, 65_535]);
        let mut floats: Vec<u8> = [0.25_f32, 0.5, 1.0, 0.0].iter().flat_map(|v| v.to_ne_bytes()).collect();
        straighten(&mut floats, 2, 4);
        let floats: Vec<f32> = floats.as_chunks::<4>().0.iter().map(|v| f32::from_ne_bytes(*v)).collect();
        assert_eq!(floats, [0.5, 0.5, 0.0, 0.0]);
        let mut opaque = [1, 2, 3];
        straighten(&mut opaque, 3, 1);
        assert_eq!(opaque, [1, 2, 3]);
    }

    #[test]
    fn what_is_no_tiff_has_no_such_alpha() {
        assert!(!premultiplied(b"II*\0\xFF\xFF\xFF\xFF") && !premultiplied(b""));
    }
}
