//! Animations: read frame by frame, each whole on its canvas, and written frame by frame. One frame is held on each side, and
//! what has been written of the result.

mod canvas;
mod read;
mod write;

use std::num::NonZeroU32;

pub(in crate::codec) use self::canvas::{Area, Canvas, Disposal, over};
pub(in crate::codec) use self::read::Bytes;
use self::read::Frames;
pub(in crate::codec) use self::write::Writer;

use super::budget::Budget;
use super::encode;
use super::error::CodecError;
use super::guard::guard;
use crate::domain::{OutputFormat, Settings};
use crate::pixels::Pixmap;

/// How often an animation is shown; `None` is for ever.
pub(in crate::codec) type Plays = Option<NonZeroU32>;

/// Puts every frame of an animation through `make` and writes the results as an animation of `format`, which must be one that
/// moves: delays, in milliseconds, and the number of plays stay. `make` gets frames upright, in sRGB, straight alpha, all of one size
/// and layout, and must return pictures of one size. A still picture is an animation of one frame.
///
/// # Errors
/// [`CodecError`]: not an image, damaged, past the budget, not encodable; and those of `make`.
pub fn animate<E: From<CodecError>>(
    bytes: &[u8],
    format: OutputFormat,
    settings: impl Into<Settings>,
    budget: &Budget,
    mut make: impl FnMut(Pixmap) -> Result<Pixmap, E>,
) -> Result<Vec<u8>, E> {
    let settings = settings.into();
    let (read, written) = (super::name_of(bytes), encode::name(format));
    let mut frames = guard(read, || Frames::open(bytes, budget))?;
    let mut writer: Option<Writer> = None;
    while let Some((frame, delay_millis)) = guard(read, || frames.next(budget))? {
        let made = make(frame)?;
        guard(written, || {
            let (plays, count) = (frames.plays(), frames.count());
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(Writer::new(format, settings, &made, plays, count)?),
            };
            writer.add(&made, delay_millis)
        })?;
    }
    let writer = writer.ok_or_else(|| CodecError::damaged(read, "it has no picture"))?;
    Ok(guard(written, || writer.finish())?)
}
