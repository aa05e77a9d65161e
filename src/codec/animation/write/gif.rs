//! GIF: a palette of its own for each frame (NeuQuant, where there are more than 256 colours), alpha rounded to there or not.
//!
//! A pixel cannot be made transparent again but by disposing of a frame. So a frame is held until the next one is known: if that
//! has an opaque pixel wherever it differs, the one held stays, and the next adds what is different; else it is
//! cleared, all of it, and the next comes whole.

use gif::{DisposalMethod, Encoder, Frame, Repeat};

use super::{Area, Picture, Plays, failure};
use crate::codec::error::CodecError;

const NAME: &str = "GIF";

/// The longest side: it has 16 bits.
const MAX_SIDE: u32 = 65_535;

/// Of NeuQuant, from 1 (best) to 30: every tenth pixel is learnt from, as its author recommends.
const SPEED: i32 = 10;

/// From this alpha on a pixel is there.
const THERE: u8 = 128;

pub(in crate::codec) struct Writer {
    encoder: Encoder<Vec<u8>>,
    held: Option<Held>,
}

/// A frame that waits for the next one.
struct Held {
    picture: Picture,
    /// What of it is different from what is shown before.
    area: Area,
    delay_millis: u32,
}

impl Writer {
    pub(super) fn new(width: u32, height: u32, plays: Plays) -> Result<Self, CodecError> {
        let side = width.max(height);
        let (Ok(width), Ok(height)) = (u16::try_from(width), u16::try_from(height)) else {
            return Err(CodecError::TooLargeForFormat { format: NAME, side, max: MAX_SIDE });
        };
        let mut encoder = Encoder::new(Vec::new(), width, height, &[]).map_err(|error| failure(NAME, error))?;
        // Shown once: there is no repetition to name.
        let repeat = match plays.map(|plays| u16::try_from(plays.get() - 1).unwrap_or(u16::MAX)) {
            None => Some(Repeat::Infinite),
            Some(0) => None,
            Some(repetitions) => Some(Repeat::Finite(repetitions)),
        };
        if let Some(repeat) = repeat {
            encoder.set_repeat(repeat).map_err(|error| failure(NAME, error))?;
        }
        Ok(Self { encoder, held: None })
    }

    pub(super) fn add(&mut self, mut picture: Picture, delay_millis: u32) -> Result<(), CodecError> {
        for pixel in picture.data.as_chunks_mut::<4>().0 {
            *pixel = if pixel[3] < THERE { [0; 4] } else { [pixel[0], pixel[1], pixel[2], 255] };
        }
        let mut area = picture.whole();
        if let Some(held) = self.held.take() {
            let changed = picture.changed(&held.picture);
            let opaque = picture.rows(changed).flat_map(|row| row.as_chunks::<4>().0).all(|pixel| pixel[3] == 255);
            if opaque {
                area = changed;
                self.write(&held, held.area, DisposalMethod::Keep)?;
            } else {
                self.write(&held, held.picture.whole(), DisposalMethod::Background)?;
            }
        }
        self.held = Some(Held { picture, area, delay_millis });
        Ok(())
    }

    fn write(&mut self, held: &Held, area: Area, dispose: DisposalMethod) -> Result<(), CodecError> {
        let side = |pixels: usize| u16::try_from(pixels).unwrap_or(u16::MAX);
        let mut pixels = held.picture.part(area);
        let mut frame = Frame::from_rgba_speed(side(area.width), side(area.height), &mut pixels, SPEED);
        (frame.left, frame.top) = (side(area.x), side(area.y));
        // Hundredths of a second.
        frame.delay = u16::try_from(held.delay_millis.saturating_add(5) / 10).unwrap_or(u16::MAX);
        frame.dispose = dispose;
        self.encoder.write_frame(&frame).map_err(|error| failure(NAME, error))
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, CodecError> {
        if let Some(held) = self.held.take() {
            self.write(&held, held.area, DisposalMethod::Keep)?;
        }
        self.encoder.into_inner().map_err(|error| failure(NAME, error))
    }
}
