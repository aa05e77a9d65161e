//! GIF: decoded by the `gif` crate to palette indices, one frame at a time.

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, Frame};

use super::budget::Budget;
use super::error::CodecError;
use super::raster::Raster;

const NAME: &str = "GIF";

fn open<'a>(bytes: &'a [u8], budget: &Budget) -> Result<Decoder<&'a [u8]>, CodecError> {
    let mut options = DecodeOptions::new();
    // The walker has been through all of them.
    options.allow_unknown_blocks(true);
    options.set_color_output(ColorOutput::Indexed);
    if let Some(limit) = std::num::NonZeroU64::new(budget.max_memory_bytes) {
        options.set_memory_limit(gif::MemoryLimit::Bytes(limit));
    }
    options.read_info(bytes).map_err(refusal)
}

/// The first frame on its canvas: RGB when it covers the canvas and has no transparent pixel, else RGBA. What lies outside
/// of the canvas is cut off; what the frame leaves free is transparent, as browsers have it, whatever the background says.
pub(crate) fn decode(bytes: &[u8], budget: &Budget) -> Result<Raster, CodecError> {
    budget.check_deadline()?;
    let mut decoder = open(bytes, budget)?;
    let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
    budget.check_size(width, height)?;
    let frame = decoder.next_frame_info().map_err(refusal)?.cloned();
    let Some(frame) = frame else { return Err(CodecError::damaged(NAME, "it has no picture")) };
    budget.check_size(u32::from(frame.width), u32::from(frame.height))?;
    let mut indices = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut indices).map_err(refusal)?;
    let palette = decoder.palette().map_err(refusal)?;
    budget.check_deadline()?;
    paint(width, height, &frame, palette, &indices)
}

/// Decodes every frame, each into the same memory.
pub(crate) fn validate(bytes: &[u8], budget: &Budget) -> Result<(), CodecError> {
    let mut decoder = open(bytes, budget)?;
    let mut indices = Vec::new();
    while let Some(frame) = decoder.next_frame_info().map_err(refusal)? {
        budget.check_deadline()?;
        budget.check_size(u32::from(frame.width), u32::from(frame.height))?;
        indices.resize(decoder.buffer_size(), 0);
        // A frame without pixels has no data to read into.
        if !indices.is_empty() {
            decoder.read_into_buffer(&mut indices).map_err(refusal)?;
        }
    }
    Ok(())
}

/// Looks the indices up and lays the frame on the canvas. An index past the palette is transparent.
fn paint(width: u32, height: u32, frame: &Frame<'_>, palette: &[u8], indices: &[u8]) -> Result<Raster, CodecError> {
    let mut colours = [[0_u8; 4]; 256];
    for (colour, [r, g, b]) in colours.iter_mut().zip(palette.as_chunks::<3>().0) {
        *colour = [*r, *g, *b, 255];
    }
    if let Some(clear) = frame.transparent.and_then(|index| colours.get_mut(usize::from(index))) {
        *clear = [0; 4];
    }
    let colour = |index: u8| colours.get(usize::from(index)).copied().unwrap_or_default();
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (columns, lines) = (usize::from(frame.width), usize::from(frame.height));
    let covers = left == 0 && top == 0 && columns >= width as usize && lines >= height as usize;
    let mut used = [false; 256];
    indices.iter().for_each(|&index| {
        if let Some(used) = used.get_mut(usize::from(index)) {
            *used = true;
        }
    });
    let opaque = covers && used.iter().zip(&colours).all(|(&used, colour)| !used || colour[3] == 255);
    let channels = if opaque { 3 } else { 4 };
    let mut raster = Raster::zeroed(width, height, channels)?;
    let stride = raster.row_bytes();
    if columns == 0 {
        return Ok(raster);
    }
    for (row, line) in raster.data.chunks_exact_mut(stride).skip(top).zip(indices.chunks_exact(columns)) {
        for (pixel, &index) in row.chunks_exact_mut(channels).skip(left).zip(line) {
            pixel.copy_from_slice(colour(index).get(..channels).unwrap_or_default());
        }
    }
    Ok(raster)
}

/// The decoder's refusal as ours.
fn refusal(error: DecodingError) -> CodecError {
    if matches!(error, DecodingError::UnexpectedEof) {
        return CodecError::truncated(NAME);
    }
    CodecError::damaged(NAME, error)
}
