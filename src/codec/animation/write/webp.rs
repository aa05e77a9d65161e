//! WebP: each frame a still of its own, in the container of an animation (WebP Container Specification, RFC 9649 section 2.7).

use super::{Area, Picture, Plays, failure};
use crate::codec::encode;
use crate::codec::error::CodecError;
use crate::codec::metadata::{array, le32};
use crate::domain::{OutputFormat, Settings};
use crate::pixels::{Layout, Pixmap};

const NAME: &str = "WebP";

/// The longest side of a frame.
const MAX_SIDE: u32 = 16_383;

/// What a file has, in its first chunk.
const ANIMATION: u8 = 0x02;
const ALPHA: u8 = 0x10;

/// A frame takes the place of what is below it, instead of being laid over.
const DO_NOT_BLEND: u8 = 0x02;

/// Chunks of a still that make its picture.
const PICTURE: [&[u8; 4]; 3] = [b"ALPH", b"VP8 ", b"VP8L"];

pub(in crate::codec) struct Writer {
    width: u32,
    height: u32,
    settings: Settings,
    plays: Plays,
    has_alpha: bool,
    /// All frames, as chunks.
    frames: Vec<u8>,
    before: Option<Picture>,
}

impl Writer {
    pub(super) fn new(width: u32, height: u32, settings: Settings, plays: Plays) -> Result<Self, CodecError> {
        let side = width.max(height);
        if side > MAX_SIDE {
            return Err(CodecError::TooLargeForFormat { format: NAME, side, max: MAX_SIDE });
        }
        Ok(Self { width, height, settings, plays, has_alpha: false, frames: Vec::new(), before: None })
    }

    pub(super) fn add(&mut self, picture: Picture, delay_millis: u32) -> Result<(), CodecError> {
        let area = self.before.as_ref().map_or_else(|| picture.whole(), |before| picture.changed(before));
        let still = self.still(&picture, area)?;
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        let mut frame = Vec::with_capacity(16 + still.len());
        let numbers = [
            side(area.x / 2),
            side(area.y / 2),
            side(area.width) - 1,
            side(area.height) - 1,
            delay_millis.min(0xFF_FFFF),
        ];
        numbers.into_iter().for_each(|number| frame.extend_from_slice(&three(number)));
        frame.push(DO_NOT_BLEND);
        frame.extend_from_slice(&picture_chunks(&still));
        chunk(&mut self.frames, b"ANMF", &frame)?;
        self.before = Some(picture);
        Ok(())
    }

    /// A part of a picture as a file.
    fn still(&mut self, picture: &Picture, area: Area) -> Result<Vec<u8>, CodecError> {
        let pixels = picture.part(area);
        let opaque = pixels.as_chunks::<4>().0.iter().all(|pixel| pixel[3] == 255);
        self.has_alpha |= !opaque;
        let (layout, data) = if opaque {
            (Layout::Rgb, pixels.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect())
        } else {
            (Layout::Rgba, pixels)
        };
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        let pixmap =
            Pixmap::new(side(area.width), side(area.height), layout, data).map_err(|error| failure(NAME, error))?;
        encode::encode(&pixmap, OutputFormat::Webp, self.settings)
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, CodecError> {
        let mut body = Vec::with_capacity(self.frames.len() + 64);
        body.extend_from_slice(b"WEBP");
        let mut header = vec![ANIMATION | if self.has_alpha { ALPHA } else { 0 }, 0, 0, 0];
        header.extend_from_slice(&three(self.width - 1));
        header.extend_from_slice(&three(self.height - 1));
        chunk(&mut body, b"VP8X", &header)?;
        // Behind all frames: transparent. Then the number of plays, 0 of them without an end.
        let plays = self.plays.map_or(0, |plays| u16::try_from(plays.get()).unwrap_or(u16::MAX));
        let [low, high] = plays.to_le_bytes();
        chunk(&mut body, b"ANIM", &[0, 0, 0, 0, low, high])?;
        body.extend_from_slice(&self.frames);
        let mut file = Vec::with_capacity(body.len() + 8);
        chunk(&mut file, b"RIFF", &body)?;
        Ok(file)
    }
}

/// The lower 24 bits, little end first.
const fn three(number: u32) -> [u8; 3] {
    let [a, b, c, _] = number.to_le_bytes();
    [a, b, c]
}

/// Adds a chunk: name, length, bytes, and a zero where the length is odd.
fn chunk(file: &mut Vec<u8>, name: &[u8; 4], bytes: &[u8]) -> Result<(), CodecError> {
    let length = u32::try_from(bytes.len()).map_err(|error| failure(NAME, error))?;
    file.extend_from_slice(name);
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(bytes);
    if !bytes.len().is_multiple_of(2) {
        file.push(0);
    }
    Ok(())
}

/// The chunks of a still file that make its picture.
fn picture_chunks(still: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::with_capacity(still.len());
    let mut at = 12;
    while let (Some(name), Some(length)) = (array::<4>(still, at), le32(still, at + 4)) {
        let end = at + 8 + (length as usize).next_multiple_of(2);
        if PICTURE.contains(&&name) {
            chunks.extend_from_slice(still.get(at..end).unwrap_or_default());
        }
        at = end;
    }
    chunks
}
