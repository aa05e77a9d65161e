//! JPEG: decoded to planes here where it is one of the usual kind, else by `zune-jpeg` in its strict mode.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::budget::{Budget, area};
use super::error::CodecError;
use super::icc::{self, Conversion};
use super::metadata::jpeg::Jpeg;
use super::raster::Raster;
use crate::pixels::pixmap::Picture;

mod planes;

pub use self::planes::Scale;
pub(crate) use self::planes::{decode as decode_planes, peak_bytes as divided_peak_bytes};

const NAME: &str = "JPEG";

/// What the four channels that came out of the decoder hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Four {
    /// Light, not ink: 255 is no ink, as Adobe stores it and as every viewer takes it, marked or not.
    Cmyk,
    /// The same, with the first three as luma and chroma of their complement.
    Ycck,
}

/// Whether the scans are few enough for the size. Each costs a pass over all blocks however few bytes it has.
pub(crate) fn check_scans(jpeg: &Jpeg, budget: &Budget) -> Result<(), CodecError> {
    let pixels = area(jpeg.walked.width, jpeg.walked.height).max(1);
    let max = u32::try_from(budget.max_scan_pixels / pixels).unwrap_or(u32::MAX).max(1).min(budget.max_scans);
    if jpeg.scans > max { Err(CodecError::TooManyScans { got: jpeg.scans, max }) } else { Ok(()) }
}

/// The pixels as stored, grey or RGB, not yet turned; inks are converted, through the profile when it is one for inks.
/// What else the profile asks for is in the second part.
pub(crate) fn decode(
    bytes: &[u8],
    profile: Option<&[u8]>,
    budget: &Budget,
) -> Result<(Raster, Conversion), CodecError> {
    let (raster, four) = decode_raw(bytes, budget)?;
    let Some(four) = four else {
        let conversion = icc::conversion(profile, raster.channels);
        return Ok((raster, conversion));
    };
    let mut raster = raster;
    if four == Four::Ycck {
        complement_of_ycc(&mut raster.data);
    }
    if let Some(conversion) = icc::inks(profile) {
        // Profiles count ink, the file counts light.
        raster.data.iter_mut().for_each(|sample| *sample = 255 - *sample);
        return Ok((raster, conversion));
    }
    multiply_black(&mut raster);
    Ok((raster, Conversion::Keep))
}

/// Says whether the file is whole. `bytes` are what the walk `jpeg` keeps of a file without a fault; they are the same again
/// afterwards.
///
/// Our own decoder is asked first, if it is one of its kind: at the smallest scale at which it reads every word of every scan, which
/// is a fifth of the work. What it takes at one scale it takes at all, and what it does not, the library judges: that decodes it
/// and drops the pixels.
///
/// Returns the picture divided by `wanted` where our own decoder has taken the file. One that is larger than what is read
/// anyway costs the difference; one that is smaller (a progressive file is read at a quarter at least) another look at the file.
///
/// At the end marker the decoder goes on with zeros as long as it takes, and says nothing. So where one scan holds
/// everything, the marker is taken off: a decoder that is done by then has read a few bytes ahead, at most eight, and gets
/// zeros for them; one that needs more than that runs dry and says so.
pub(crate) fn validate(
    bytes: &mut Vec<u8>,
    jpeg: &Jpeg,
    wanted: Option<Scale>,
    budget: &Budget,
) -> Result<Option<Picture>, CodecError> {
    const AHEAD: [u8; 16] = [0; 16];
    // Of progressive frames an eighth needs no scan of AC.
    let smallest = if jpeg.one_scan { Scale::Eighth } else { Scale::Quarter };
    let scale = wanted.map_or(smallest, |wanted| wanted.min(smallest));
    if matches!(jpeg.components, 1 | 3)
        && let Some(picture) = decode_planes(bytes, scale, budget)?
    {
        return match wanted {
            Some(wanted) if wanted == scale => Ok(Some(picture)),
            Some(wanted) => {
                drop(picture);
                decode_planes(bytes, wanted, budget)
            }
            None => Ok(None),
        };
    }
    if !jpeg.one_scan {
        return decode_raw(bytes, budget).map(|_pixels| None);
    }
    let end = bytes.len().saturating_sub(2);
    let marker = bytes.split_off(end);
    bytes.extend_from_slice(&AHEAD);
    let whole = decode_raw(bytes, budget).map(drop);
    bytes.truncate(end);
    bytes.extend_from_slice(&marker);
    whole.map(|()| None)
}

fn decode_raw(bytes: &[u8], budget: &Budget) -> Result<(Raster, Option<Four>), CodecError> {
    budget.check_deadline()?;
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_max_scans(budget.max_scans as usize + 1);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| refusal(&error))?;
    let (Some(info), Some(space)) = (decoder.info(), decoder.input_colorspace()) else {
        return Err(CodecError::damaged(NAME, "it has no header"));
    };
    let (out, four) = match (info.components, space) {
        (1, _) => (ColorSpace::Luma, None),
        (3, _) => (ColorSpace::RGB, None),
        (4, ColorSpace::YCCK) => (ColorSpace::YCCK, Some(Four::Ycck)),
        (4, ColorSpace::CMYK) => (ColorSpace::CMYK, Some(Four::Cmyk)),
        (components, _) => return Err(CodecError::unsupported(format!("JPEG with {components} components"))),
    };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(out));
    let mut raster = Raster::zeroed(u32::from(info.width), u32::from(info.height), out.num_components())?;
    decoder.decode_into(&mut raster.data).map_err(|error| refusal(&error))?;
    budget.check_deadline()?;
    Ok((raster, four))
}

/// The decoder's refusal as ours.
fn refusal(error: &DecodeErrors) -> CodecError {
    if let DecodeErrors::Unsupported(what) = error {
        return CodecError::unsupported(format!("this kind of JPEG ({what:?})"));
    }
    // Some of its texts come quoted.
    CodecError::damaged(NAME, error.to_string().trim_matches('"'))
}

/// Luma and chroma to the complement of RGB, the fourth channel untouched: `C = 255 - R` and so on, with the matrix of
/// JFIF (ITU-R BT.601, full range) in 16-bit fixed point.
fn complement_of_ycc(data: &mut [u8]) {
    for [y, cb, cr, _] in data.as_chunks_mut::<4>().0 {
        let luma = i32::from(*y) << 16;
        let (blue, red) = (i32::from(*cb) - 128, i32::from(*cr) - 128);
        let light = |value: i32| u8::try_from(((value + 0x8000) >> 16).clamp(0, 255)).unwrap_or(255);
        let (r, g, b) =
            (light(luma + 91_881 * red), light(luma - 22_554 * blue - 46_802 * red), light(luma + 116_130 * blue));
        (*y, *cb, *cr) = (255 - r, 255 - g, 255 - b);
    }
}

/// Four channels of light to three: each colour times black, `round(c * k / 255)`, in place from the front.
fn multiply_black(raster: &mut Raster) {
    let pixels = raster.data.len() / 4;
    for at in 0..pixels {
        let Some(&[c, m, y, k]) = raster.data.get(4 * at..4 * at + 4) else { break };
        if let Some(rgb) = raster.data.get_mut(3 * at..3 * at + 3) {
            rgb.copy_from_slice(&[times(c, k), times(m, k), times(y, k)]);
        }
    }
    raster.data.truncate(3 * pixels);
    raster.data.shrink_to_fit();
    raster.channels = 3;
}

/// `round(a * b / 255)`, exact.
fn times(a: u8, b: u8) -> u8 {
    let product = u16::from(a) * u16::from(b) + 128;
    // At most 65,153 before, and the sum below 65,536: the upper byte is the quotient.
    (product + (product >> 8)).to_be_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_rounded_right() {
        for a in 0..=255_u8 {
            for b in 0..=255_u8 {
                assert_eq!(f64::from(times(a, b)), (f64::from(a) * f64::from(b) / 255.0).round());
            }
        }
    }

    #[test]
    fn no_ink_is_white_and_full_black_is_black() {
        let mut raster =
            Raster { width: 3, height: 1, channels: 4, data: vec![255, 255, 255, 255, 9, 9, 9, 0, 0, 255, 255, 255] };
        multiply_black(&mut raster);
        assert_eq!(raster.data, [255, 255, 255, 0, 0, 0, 0, 255, 255]);
        assert_eq!(raster.channels, 3);
        // A neutral luma of 255 is white light, so its complement is 0: full coverage of colour in this convention.
        let mut ycck = [255, 128, 128, 7, 76, 85, 255, 9];
        complement_of_ycc(&mut ycck);
        assert_eq!(ycck, [0, 0, 0, 7, 1, 255, 255, 9]);
    }
}
