//! WebP: decoded by the `image-webp` crate.
//!
//! The walker has made sure that every bitstream is of the size the container says: the decoder allocates by the former.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::budget::Budget;
use super::error::CodecError;
use super::raster::Raster;

const NAME: &str = "WebP";

type Source<'a> = WebPDecoder<Cursor<&'a [u8]>>;

fn open<'a>(bytes: &'a [u8], budget: &Budget) -> Result<(Source<'a>, Raster), CodecError> {
    budget.check_deadline()?;
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(refusal)?;
    decoder.set_memory_limit(usize::try_from(budget.max_memory_bytes).unwrap_or(usize::MAX));
    let (width, height) = decoder.dimensions();
    budget.check_size(width, height)?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let raster = Raster::zeroed(width, height, channels)?;
    Ok((decoder, raster))
}

/// The picture, or the first frame of an animation on its canvas: RGB, or RGBA when the file says it has alpha.
pub(crate) fn decode(bytes: &[u8], budget: &Budget) -> Result<Raster, CodecError> {
    let (mut decoder, mut raster) = open(bytes, budget)?;
    decoder.read_image(&mut raster.data).map_err(refusal)?;
    budget.check_deadline()?;
    Ok(raster)
}

/// Decodes every frame, each into the same memory.
pub(crate) fn validate(bytes: &[u8], budget: &Budget) -> Result<(), CodecError> {
    let (mut decoder, mut raster) = open(bytes, budget)?;
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

/// The decoder's refusal as ours.
fn refusal(error: DecodingError) -> CodecError {
    if let DecodingError::UnsupportedFeature(what) = &error {
        return CodecError::unsupported(format!("WebP with {what}"));
    }
    CodecError::damaged(NAME, error)
}
