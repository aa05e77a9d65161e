//! PNG and APNG: decoded by the `png` crate, row by row, so that 16 bits and interlacing cost no second picture.

use std::io::Cursor;

use png::{BitDepth, Decoder, DecodingError, InterlaceInfo, Limits, Reader, Transformations};

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

type Source<'a> = Reader<Cursor<&'a [u8]>>;

fn open<'a>(bytes: &'a [u8], budget: &Budget) -> Result<(Source<'a>, Option<Vec<u8>>), CodecError> {
    // The limit covers the unpacked profile and the decoder's own rows: the widest is 65,535 pixels of 8 bytes.
    let bytes_allowed = usize::try_from(budget.max_profile_bytes).unwrap_or(usize::MAX).saturating_add(8 << 20);
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: bytes_allowed });
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let reader = decoder.read_info().map_err(refusal)?;
    let profile = reader.info().icc_profile.as_ref().map(|profile| profile.to_vec());
    let profile = profile.filter(|profile| profile.len() as u64 <= budget.max_profile_bytes);
    Ok((reader, profile))
}

/// The default image: the first frame of an animation, or what stands in for it.
pub(crate) fn decode(bytes: &[u8], budget: &Budget) -> Result<Decoded, CodecError> {
    let (mut reader, profile) = open(bytes, budget)?;
    let (colour, depth) = reader.output_color_type();
    let channels = colour.samples();
    let (width, height) = reader.info().size();
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
    Ok(Decoded { raster, profile })
}

/// Decodes this many pictures a row at a time and holds none. Returns whether a profile came with them.
pub(crate) fn validate(bytes: &[u8], images: u32, budget: &Budget) -> Result<bool, CodecError> {
    let (mut reader, profile) = open(bytes, budget)?;
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
