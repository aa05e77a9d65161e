//! GIF: decoded by the `gif` crate to palette indices, one frame at a time.

use std::borrow::Cow;
use std::io::{Cursor, Read};
use std::num::NonZeroU32;

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod, Frame, Repeat};

use super::animation::{Area, Bytes, Canvas, Disposal, Plays};
use super::budget::Budget;
use super::error::CodecError;
use super::raster::Raster;

const NAME: &str = "GIF";

fn open<R: Read>(bytes: R, budget: &Budget) -> Result<Decoder<R>, CodecError> {
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
    let colours = colours_of(frame, palette);
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

/// The colour of each index, RGBA: transparent for the one that the frame names, and past the palette.
fn colours_of(frame: &Frame<'_>, palette: &[u8]) -> [[u8; 4]; 256] {
    let mut colours = [[0_u8; 4]; 256];
    for (colour, [r, g, b]) in colours.iter_mut().zip(palette.as_chunks::<3>().0) {
        *colour = [*r, *g, *b, 255];
    }
    if let Some(clear) = frame.transparent.and_then(|index| colours.get_mut(usize::from(index))) {
        *clear = [0; 4];
    }
    colours
}

/// Plays an animation: each frame on its canvas.
pub(crate) struct Player<'a> {
    decoder: Decoder<Bytes<'a>>,
    canvas: Canvas,
    indices: Vec<u8>,
    /// The header of the frame that comes next.
    next: Option<Frame<'static>>,
}

impl<'a> Player<'a> {
    /// Opens a file whose size is within the budget.
    pub(crate) fn open(bytes: Cow<'a, [u8]>, budget: &Budget) -> Result<Self, CodecError> {
        let mut decoder = open(Cursor::new(bytes), budget)?;
        let canvas = Canvas::new(u32::from(decoder.width()), u32::from(decoder.height()))?;
        // What stands in front of the first frame says how often it is shown.
        let next = decoder.next_frame_info().map_err(refusal)?.cloned();
        Ok(Self { decoder, canvas, indices: Vec::new(), next })
    }

    /// The next frame and how long it is shown, in milliseconds.
    pub(crate) fn next(&mut self, budget: &Budget) -> Result<Option<(Raster, u32)>, CodecError> {
        let Some(frame) = self.next.take() else { return Ok(None) };
        budget.check_size(u32::from(frame.width), u32::from(frame.height))?;
        self.indices.resize(self.decoder.buffer_size(), 0);
        if !self.indices.is_empty() {
            self.decoder.read_into_buffer(&mut self.indices).map_err(refusal)?;
        }
        let colours = colours_of(&frame, self.decoder.palette().map_err(refusal)?);
        let [x, y, width, height] = [frame.left, frame.top, frame.width, frame.height].map(usize::from);
        let disposal = match frame.dispose {
            DisposalMethod::Any | DisposalMethod::Keep => Disposal::Keep,
            DisposalMethod::Background => Disposal::Clear,
            DisposalMethod::Previous => Disposal::Restore,
        };
        let indices = &self.indices;
        self.canvas.frame(Area { x, y, width, height }, disposal, |row, pixels| {
            let line = indices.get(row * width..).unwrap_or_default();
            for (pixel, &index) in pixels.iter_mut().zip(line) {
                if let Some(colour @ [_, _, _, 255]) = colours.get(usize::from(index)) {
                    *pixel = *colour;
                }
            }
        });
        self.next = self.decoder.next_frame_info().map_err(refusal)?.cloned();
        Ok(Some((self.canvas.seen(), u32::from(frame.delay) * 10)))
    }

    /// How often it is shown: the file counts repetitions (Netscape's extension), 0 of them without an end.
    pub(crate) fn plays(&self) -> Plays {
        match self.decoder.repeat() {
            Repeat::Infinite => None,
            Repeat::Finite(repetitions) => NonZeroU32::new(u32::from(repetitions) + 1),
        }
    }
}

/// The decoder's refusal as ours.
fn refusal(error: DecodingError) -> CodecError {
    if matches!(error, DecodingError::UnexpectedEof) {
        return CodecError::truncated(NAME);
    }
    CodecError::damaged(NAME, error)
}
