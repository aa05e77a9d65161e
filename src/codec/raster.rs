//! Pixels on their way to a [`Pixmap`]: the same shape, still open to change.

use crate::pixels::{Layout, Pixmap};

use super::budget::area;
use super::error::CodecError;

/// Rows from the top without padding, `channels` bytes a pixel (1 to 4). What the channels mean, the caller knows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Raster {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: usize,
    pub(crate) data: Vec<u8>,
}

impl Raster {
    /// Zeros of this size. The caller has checked the size against the budget.
    ///
    /// # Errors
    /// [`CodecError::TooMuchMemory`] when the machine cannot count the bytes.
    pub(crate) fn zeroed(width: u32, height: u32, channels: usize) -> Result<Self, CodecError> {
        Ok(Self { width, height, channels, data: vec![0; byte_count(width, height, channels)?] })
    }

    /// Bytes of a row; at least 1 when the picture has pixels.
    pub(crate) const fn row_bytes(&self) -> usize {
        self.width as usize * self.channels
    }

    /// As a picture: 1 channel is grey, 2 grey and alpha, 3 RGB, 4 RGBA.
    ///
    /// # Errors
    /// [`CodecError::Damaged`] when the bytes are not the size's, or there is no pixel.
    pub(crate) fn into_pixmap(self, format: &'static str) -> Result<Pixmap, CodecError> {
        let layout = match self.channels {
            1 => Layout::Luma,
            2 => Layout::LumaAlpha,
            3 => Layout::Rgb,
            _ => Layout::Rgba,
        };
        Pixmap::new(self.width, self.height, layout, self.data).map_err(|error| CodecError::damaged(format, error))
    }
}

impl From<Pixmap> for Raster {
    fn from(pixmap: Pixmap) -> Self {
        let (width, height, channels) = (pixmap.width(), pixmap.height(), pixmap.layout().channels());
        Self { width, height, channels, data: pixmap.into_data() }
    }
}

/// Bytes of a picture of this size.
///
/// # Errors
/// [`CodecError::TooMuchMemory`] when the machine cannot count them.
pub(crate) fn byte_count(width: u32, height: u32, channels: usize) -> Result<usize, CodecError> {
    let bytes = area(width, height).saturating_mul(channels as u64);
    isize::try_from(bytes)
        .map(isize::unsigned_abs)
        .map_err(|_overflow| CodecError::TooMuchMemory { got: bytes, max: isize::MAX.unsigned_abs() as u64 })
}

/// 16 bits to 8: `round(value * 255 / 65535)`, exact (65535 is 257 times 255).
pub(crate) const fn narrow(value: u16) -> u8 {
    // (v * 255 + 32895) >> 16 equals the rounded quotient for every v: checked by the test below over all of them.
    // The sum stays below 2^24, so the second byte from the top is the quotient.
    (value as u32 * 255 + 32_895).to_be_bytes()[1]
}

/// Native-endian 16-bit samples to 8-bit ones, in place: the first half of the buffer is the result.
pub(crate) fn narrow_in_place(data: &mut Vec<u8>) {
    let half = data.len() / 2;
    for at in 0..half {
        let (Some(&low), Some(&high)) = (data.get(2 * at), data.get(2 * at + 1)) else { break };
        if let Some(sample) = data.get_mut(at) {
            *sample = narrow(u16::from_ne_bytes([low, high]));
        }
    }
    data.truncate(half);
    data.shrink_to_fit();
}

/// Native-endian floats in 0 to 1 to 8-bit samples, in place. What is outside is clamped, NaN is 0.
pub(crate) fn narrow_floats_in_place(data: &mut Vec<u8>) {
    let quarter = data.len() / 4;
    for at in 0..quarter {
        let Some(&[a, b, c, d]) = data.get(4 * at..4 * at + 4) else { break };
        if let Some(sample) = data.get_mut(at) {
            *sample = byte_from_unit(f32::from_ne_bytes([a, b, c, d]));
        }
    }
    data.truncate(quarter);
    data.shrink_to_fit();
}

/// `round(255 * value)` of a value clamped to 0 to 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float to integer saturates, NaN is 0")]
fn byte_from_unit(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrowing_rounds_every_value_right() {
        for value in 0..=u16::MAX {
            assert_eq!(f64::from(narrow(value)), (f64::from(value) / 257.0).round(), "{value}");
        }
    }

    #[test]
    fn in_place_halves_and_quarters() {
        let mut samples: Vec<u8> = [0_u16, 65_535, 32_768, 128].iter().flat_map(|v| v.to_ne_bytes()).collect();
        narrow_in_place(&mut samples);
        assert_eq!(samples, [0, 255, 128, 0]);
        let mut floats: Vec<u8> = [0.5_f32, -1.0, 2.0, f32::NAN].iter().flat_map(|v| v.to_ne_bytes()).collect();
        narrow_floats_in_place(&mut floats);
        assert_eq!(floats, [128, 0, 255, 0]);
    }

    #[test]
    fn sizes_past_the_machine_are_refused() {
        assert!(byte_count(u32::MAX, u32::MAX, 4).is_err());
        assert_eq!(byte_count(3, 2, 4), Ok(24));
    }
}
