//! PNG and APNG: decoded by the `png` crate, row by row, so that 16 bits and interlacing cost no second picture.

use std::borrow::Cow;
use std::io::{BufRead, Cursor, Seek};
use std::num::NonZeroU32;

use png::{BitDepth, BlendOp, Decoder, DecodingError, DisposeOp, InterlaceInfo, Limits, Reader, Transformations};

use super::animation::{Area, Bytes, Canvas, Disposal, Plays, over};
use super::budget::Budget;
use super::error::CodecError;
use super::raster::{Raster, narrow};

const NAME: &str = "PNG";

/// Rows between two looks at the clock.
const ROWS_A_LOOK: u32 = 64;

/// A picture and the profile it came with.
pub(crate) struct Decoded {
    pub(crate) raster: Raster,
    /// The colour profile, unpacked; `None` as well when it cannot be unpacked or is too large.
    pub(crate) profile: Option<Vec<u8>>,
}

fn open<R: BufRead + Seek>(bytes: R, budget: &Budget) -> Result<(Reader<R>, Option<Vec<u8>>), CodecError> {
    // The limit covers the unpacked profile and the decoder's own rows: the widest is 65,535 pixels of 8 bytes.
    let bytes_allowed = usize::try_from(budget.max_profile_bytes).unwrap_or(usize::MAX).saturating_add(8 << 20);
    let mut decoder = Decoder::new_with_limits(bytes, Limits { bytes: bytes_allowed });
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let reader = decoder.read_info().map_err(refusal)?;
    let profile = reader.info().icc_profile.as_ref().map(|profile| profile.to_vec());
    let profile = profile.filter(|profile| profile.len() as u64 <= budget.max_profile_bytes);
    Ok((reader, profile))
}

/// The default image: the first frame of an animation, or what stands in for it.
pub(crate) fn decode(bytes: &[u8], budget: &Budget) -> Result<Decoded, CodecError> {
    let (mut reader, profile) = open(Cursor::new(bytes), budget)?;
    let (width, height) = reader.info().size();
    let raster = rows(&mut reader, width, height, budget)?;
    Ok(Decoded { raster, profile })
}

/// The pixels of the picture that stands next, which is of this size.
fn rows<R: BufRead + Seek>(
    reader: &mut Reader<R>,
    width: u32,
    height: u32,
    budget: &Budget,
) -> Result<Raster, CodecError> {
    let (colour, depth) = reader.output_color_type();
    let channels = colour.samples();
    let mut raster = Raster::zeroed(width, height, channels)?;
    let stride = raster.row_bytes();
    let mut narrowed = vec![0; stride];
    let mut rows = 0;
    let mut line = 0;
    loop {
        look(&mut rows, budget)?;
        let Some(row) = reader.next_interlaced_row().map_err(refusal)? else { break };
        let interlace = *row.interlace();
        let samples = if depth == BitDepth::Sixteen {
            for (to, from) in narrowed.iter_mut().zip(row.data().as_chunks::<2>().0) {
                *to = narrow(u16::from_be_bytes(*from));
            }
            narrowed.get(..row.data().len() / 2).unwrap_or_default()
        } else {
            row.data()
        };
        match interlace {
            InterlaceInfo::Null(_) => {
                let start = line * stride;
                line += 1;
                if let Some(target) = raster.data.get_mut(start..start + stride) {
                    target.copy_from_slice(samples);
                }
            }
            InterlaceInfo::Adam7(pass) => {
                let bits = u8::try_from(channels * 8).unwrap_or(32);
                png::expand_interlaced_row(&mut raster.data, stride, samples, &pass, bits);
            }
        }
    }
    Ok(raster)
}

/// Plays an animation: each frame on its canvas.
pub(crate) struct Player<'a> {
    reader: Reader<Bytes<'a>>,
    canvas: Canvas,
    /// Frames that are still to come.
    left: u32,
    /// The next picture is the default image.
    at_start: bool,
    plays: Plays,
}

impl<'a> Player<'a> {
    /// Opens an animation whose size is within the budget; its profile too, as that of [`Decoded`].
    pub(crate) fn open(bytes: Cow<'a, [u8]>, budget: &Budget) -> Result<(Self, Option<Vec<u8>>), CodecError> {
        let (reader, profile) = open(Cursor::new(bytes), budget)?;
        let info = reader.info();
        let canvas = Canvas::new(info.width, info.height)?;
        let control = info.animation_control.ok_or_else(|| CodecError::damaged(NAME, "it is no animation"))?;
        let (left, plays) = (control.num_frames, NonZeroU32::new(control.num_plays));
        Ok((Self { reader, canvas, left, at_start: true, plays }, profile))
    }

    /// The next frame and how long it is shown, in milliseconds. A default image that is no frame is passed over.
    pub(crate) fn next(&mut self, budget: &Budget) -> Result<Option<(Raster, u32)>, CodecError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let first = std::mem::take(&mut self.at_start).then(|| self.reader.info().frame_control).flatten();
        let frame = match first {
            Some(frame) => frame,
            None => *self.reader.next_frame_info().map_err(refusal)?,
        };
        budget.check_size(frame.width, frame.height)?;
        let part = rows(&mut self.reader, frame.width, frame.height, budget)?;
        let [x, y, width, height] =
            [frame.x_offset, frame.y_offset, frame.width, frame.height].map(|side| side as usize);
        let disposal = match frame.dispose_op {
            DisposeOp::None => Disposal::Keep,
            DisposeOp::Background => Disposal::Clear,
            DisposeOp::Previous => Disposal::Restore,
        };
        self.canvas.frame(Area { x, y, width, height }, disposal, |row, pixels| {
            let line = part.data.chunks_exact(part.row_bytes()).nth(row).unwrap_or_default();
            for (pixel, samples) in pixels.iter_mut().zip(line.chunks_exact(part.channels)) {
                let colour = match *samples {
                    [grey] => [grey, grey, grey, 255],
                    [grey, alpha] => [grey, grey, grey, alpha],
                    [r, g, b] => [r, g, b, 255],
                    [r, g, b, alpha] => [r, g, b, alpha],
                    _ => continue,
                };
                *pixel = if frame.blend_op == BlendOp::Over { over(colour, *pixel) } else { colour };
            }
        });
        // A delay of so many parts of a second; 0 parts are hundredths (APNG specification, fcTL).
        let parts = if frame.delay_den == 0 { 100 } else { u32::from(frame.delay_den) };
        let delay_millis = (u32::from(frame.delay_num) * 1000 + parts / 2) / parts;
        Ok(Some((self.canvas.seen(), delay_millis)))
    }

    /// How often it is shown.
    pub(crate) const fn plays(&self) -> Plays {
        self.plays
    }
}

/// Decodes this many pictures a row at a time and holds none. Returns whether a profile came with them.
pub(crate) fn validate(bytes: &[u8], images: u32, budget: &Budget) -> Result<bool, CodecError> {
    let (mut reader, profile) = open(Cursor::new(bytes), budget)?;
    let mut rows = 0;
    for image in 0..images {
        if image > 0 {
            reader.next_frame_info().map_err(refusal)?;
        }
        while reader.next_row().map_err(refusal)?.is_some() {
            look(&mut rows, budget)?;
        }
    }
    Ok(profile.is_some())
}

fn look(rows: &mut u32, budget: &Budget) -> Result<(), CodecError> {
    *rows = rows.wrapping_add(1);
    if *rows % ROWS_A_LOOK == 1 { budget.check_deadline() } else { Ok(()) }
}

/// The decoder's refusal as ours.
fn refusal(error: DecodingError) -> CodecError {
    if let DecodingError::IoError(error) = &error
        && error.kind() == std::io::ErrorKind::UnexpectedEof
    {
        return CodecError::truncated(NAME);
    }
    if matches!(error, DecodingError::LimitsExceeded) {
        return CodecError::damaged(NAME, "it needs more memory than its size explains");
    }
    CodecError::damaged(NAME, error)
}
