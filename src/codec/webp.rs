//! WebP: decoded by the `image-webp` crate.
//!
//! The walker has made sure that every bitstream is of the size the container says: the decoder allocates by the former.

use std::borrow::Cow;
use std::io::{BufRead, Cursor, Seek};
use std::num::NonZeroU32;

use image_webp::{DecodingError, LoopCount, WebPDecoder};

use super::animation::{Bytes, Plays};
use super::budget::Budget;
use super::error::CodecError;
use super::raster::Raster;

const NAME: &str = "WebP";

fn open<R: BufRead + Seek>(bytes: R, budget: &Budget) -> Result<(WebPDecoder<R>, Raster), CodecError> {
    budget.check_deadline()?;
    let mut decoder = WebPDecoder::new(bytes).map_err(refusal)?;
    decoder.set_memory_limit(usize::try_from(budget.max_memory_bytes).unwrap_or(usize::MAX));
    let (width, height) = decoder.dimensions();
    budget.check_size(width, height)?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let raster = Raster::zeroed(width, height, channels)?;
    Ok((decoder, raster))
}

/// The picture, or the first frame of an animation on its canvas: RGB, or RGBA when the file says it has alpha.
pub(crate) fn decode(bytes: &[u8], budget: &Budget) -> Result<Raster, CodecError> {
    let (mut decoder, mut raster) = open(Cursor::new(bytes), budget)?;
    decoder.read_image(&mut raster.data).map_err(refusal)?;
    budget.check_deadline()?;
    Ok(raster)
}

/// Decodes every frame, each into the same memory.
pub(crate) fn validate(bytes: &[u8], budget: &Budget) -> Result<(), CodecError> {
    let (mut decoder, mut raster) = open(Cursor::new(bytes), budget)?;
    if !decoder.is_animated() {
        decoder.read_image(&mut raster.data).map_err(refusal)?;
        return budget.check_deadline();
    }
    for _ in 0..decoder.num_frames() {
        budget.check_deadline()?;
        decoder.read_frame(&mut raster.data).map_err(refusal)?;
    }
    Ok(())
}

/// Plays an animation: each frame on its canvas, as the decoder composes them.
pub(crate) struct Player<'a> {
    decoder: WebPDecoder<Bytes<'a>>,
    raster: Raster,
    left: u32,
}

impl<'a> Player<'a> {
    /// Opens a file whose size is within the budget.
    pub(crate) fn open(bytes: Cow<'a, [u8]>, budget: &Budget) -> Result<Self, CodecError> {
        let (decoder, raster) = open(Cursor::new(bytes), budget)?;
        let left = decoder.num_frames();
        Ok(Self { decoder, raster, left })
    }

    /// The next frame and how long it is shown, in milliseconds.
    pub(crate) fn next(&mut self) -> Result<Option<(Raster, u32)>, CodecError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let delay_millis = self.decoder.read_frame(&mut self.raster.data).map_err(refusal)?;
        let (width, height) = (self.raster.width, self.raster.height);
        // Four channels always: the profile and the writers are the same for all frames.
        let data = if self.raster.channels == 4 {
            self.raster.data.clone()
        } else {
            self.raster.data.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect()
        };
        Ok(Some((Raster { width, height, channels: 4, data }, delay_millis)))
    }

    /// How often it is shown.
    pub(crate) fn plays(&self) -> Plays {
        match self.decoder.loop_count() {
            LoopCount::Forever => None,
            LoopCount::Times(times) => Some(NonZeroU32::from(times)),
        }
    }
}

/// The decoder's refusal as ours.
fn refusal(error: DecodingError) -> CodecError {
    if let DecodingError::UnsupportedFeature(what) = &error {
        return CodecError::unsupported(format!("WebP with {what}"));
    }
    CodecError::damaged(NAME, error)
}
