//! APNG: lossless, each frame overwrites what changed, alpha too.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use png::{BitDepth, BlendOp, ColorType, DisposeOp, Encoder};

use super::{Picture, Plays, failure};
use crate::codec::encode::png::compression;
use crate::codec::error::CodecError;
use crate::domain::Effort;

const NAME: &str = "APNG";

pub(in crate::codec) struct Writer {
    writer: png::Writer<Shared>,
    file: Shared,
    before: Option<Picture>,
}

/// Bytes that the encoder writes and this writer takes in the end.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Writer {
    pub(super) fn new(width: u32, height: u32, effort: Effort, plays: Plays, frames: u32) -> Result<Self, CodecError> {
        let file = Shared::default();
        let mut encoder = Encoder::new(file.clone(), width, height);
        encoder.set_color(ColorType::Rgba);
        encoder.set_depth(BitDepth::Eight);
        let (compression, filter) = compression(effort);
        encoder.set_compression(compression);
        encoder.set_filter(filter);
        let animated = encoder.set_animated(frames, plays.map_or(0, std::num::NonZeroU32::get));
        let writer = animated.and_then(|()| encoder.write_header()).map_err(|error| failure(NAME, error))?;
        Ok(Self { writer, file, before: None })
    }

    pub(super) fn add(&mut self, picture: Picture, delay_millis: u32) -> Result<(), CodecError> {
        let area = self.before.as_ref().map_or_else(|| picture.whole(), |before| picture.changed(before));
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        let writer = &mut self.writer;
        let mut write = || {
            // Both at once may not pass the edge in between.
            writer.reset_frame_position()?;
            writer.set_frame_dimension(side(area.width), side(area.height))?;
            writer.set_frame_position(side(area.x), side(area.y))?;
            writer.set_frame_delay(u16::try_from(delay_millis).unwrap_or(u16::MAX), 1000)?;
            writer.set_blend_op(BlendOp::Source)?;
            writer.set_dispose_op(DisposeOp::None)?;
            writer.write_image_data(&picture.part(area))
        };
        write().map_err(|error: png::EncodingError| failure(NAME, error))?;
        self.before = Some(picture);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, CodecError> {
        self.writer.finish().map_err(|error| failure(NAME, error))?;
        Ok(std::mem::take(&mut *self.file.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
