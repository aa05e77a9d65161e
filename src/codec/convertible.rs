//! What is never stored as it is: BMP, TIFF, ICO, QOI and PNM, read through the `image` crate; JPEG XL; SVG; HEIC; AVIF that moves.

use std::io::{BufRead, Cursor, Read, Seek, SeekFrom};
use std::time::Instant;

use image::codecs::{bmp::BmpDecoder, ico::IcoDecoder, pnm::PnmDecoder, qoi::QoiDecoder, tiff::TiffDecoder};
use image::error::{ImageError, LimitErrorKind};
use image::{ImageDecoder, Limits};

use crate::domain::OutputFormat;

use super::budget::{Budget, area};
use super::error::CodecError;
use super::metadata::{self, array, be32, le16, le32};
use super::orientation::{Orientation, swaps_sides};
use super::raster::{Raster, byte_count, narrow_floats_in_place, narrow_in_place};
use super::sniff::InputFormat;
use super::{avif, jxl, tiff};

/// A picture with what is still to be done to it.
pub(crate) struct Decoded {
    pub(crate) raster: Raster,
    pub(crate) orientation: Orientation,
    pub(crate) profile: Option<Vec<u8>>,
}

/// The nearest of the formats that are served: PNG, which loses nothing, but for what JPEG XL and HEIC have lost already.
pub(crate) fn nearest(bytes: &[u8], format: InputFormat) -> Result<OutputFormat, CodecError> {
    const WEBP_SIDE: u32 = 16_383;
    match format {
        InputFormat::Jxl => jxl::nearest(bytes),
        InputFormat::Heic => {
            let picture = walk(bytes, format)?.picture;
            Ok(match &picture.alpha {
                None => OutputFormat::Jpg,
                Some(alpha) if alpha.width.max(alpha.height) <= WEBP_SIDE => OutputFormat::Webp,
                Some(_) => OutputFormat::Png,
            })
        }
        InputFormat::Jpeg
        | InputFormat::Png
        | InputFormat::Webp
        | InputFormat::Gif
        | InputFormat::Avif
        | InputFormat::Bmp
        | InputFormat::Tiff
        | InputFormat::Ico
        | InputFormat::Qoi
        | InputFormat::Pnm
        | InputFormat::Svg => Ok(OutputFormat::Png),
    }
}

/// What is in a file of boxes. The walker speaks of AVIF; what it says of a HEIC is said of that.
fn walk(bytes: &[u8], format: InputFormat) -> Result<metadata::avif::Avif, CodecError> {
    metadata::avif::walk(bytes, true).map_err(|error| named(error, format))
}

fn named(error: CodecError, format: InputFormat) -> CodecError {
    if let CodecError::Damaged { format: "AVIF", cause } = error {
        return CodecError::Damaged { format: format.name(), cause };
    }
    if let CodecError::Unsupported { what } = &error
        && let Some(rest) = what.strip_prefix("AVIF")
    {
        return CodecError::unsupported(format!("{}{rest}", format.name()));
    }
    error
}

/// An upper estimate of the bytes that decoding holds, from the header alone.
pub(crate) fn header_peak_bytes(bytes: &[u8], format: InputFormat, budget: &Budget) -> Result<u64, CodecError> {
    if matches!(format, InputFormat::Avif | InputFormat::Heic) {
        return Ok(walk(bytes, format)?.walked.peak_bytes);
    }
    if format == InputFormat::Jxl {
        return jxl::header_peak_bytes(bytes);
    }
    if format == InputFormat::Svg {
        return svg_peak_bytes();
    }
    let mut decoder = open(bytes, format, budget)?;
    let orientation = orientation(&mut decoder);
    Ok(peak_bytes(&decoder, format, orientation))
}

/// The picture as stored, at 8 bits, with its orientation and profile.
pub(crate) fn decode(bytes: &[u8], format: InputFormat, budget: &Budget) -> Result<Decoded, CodecError> {
    if matches!(format, InputFormat::Avif | InputFormat::Heic) {
        let found = walk(bytes, format)?;
        let raster = avif::decode(bytes, &found, budget).map_err(|error| named(error, format))?;
        let profile = found.walked.profile(bytes, budget.max_profile_bytes);
        return Ok(Decoded { raster, orientation: found.walked.orientation, profile });
    }
    if format == InputFormat::Jxl {
        let (raster, profile) = jxl::decode(bytes, budget)?;
        return Ok(Decoded { raster, orientation: Orientation::NoTransforms, profile });
    }
    if format == InputFormat::Svg {
        return Ok(Decoded { raster: svg(bytes, budget)?, orientation: Orientation::NoTransforms, profile: None });
    }
    let mut decoder = open(bytes, format, budget)?;
    let (width, height) = decoder.dimensions();
    budget.check_size(width, height)?;
    let orientation = orientation(&mut decoder);
    budget.check_memory(peak_bytes(&decoder, format, orientation))?;
    let limits = limits(budget);
    decoder.set_limits(limits).map_err(|error| refusal(error, format, budget))?;
    // A profile that cannot be read asks for nothing, like one that makes no sense.
    let profile = decoder.icc_profile().ok().flatten();
    let profile = profile.filter(|profile| profile.len() as u64 <= budget.max_profile_bytes);
    let colour = decoder.color_type();
    let mut data = vec![0; byte_count(width, height, usize::from(colour.bytes_per_pixel()))?];
    decoder.read_image(&mut data).map_err(|error| refusal(error, format, budget))?;
    let (channels, sample) = (colour.channel_count(), colour.bytes_per_pixel() / colour.channel_count());
    if format == InputFormat::Tiff && colour.has_alpha() && tiff::premultiplied(bytes) {
        tiff::straighten(&mut data, usize::from(channels), usize::from(sample));
    }
    match sample {
        1 => {}
        2 => narrow_in_place(&mut data),
        _ => narrow_floats_in_place(&mut data),
    }
    let raster = Raster { width, height, channels: usize::from(channels), data };
    Ok(Decoded { raster, orientation, profile })
}

#[cfg(feature = "svg")]
fn svg_peak_bytes() -> Result<u64, CodecError> {
    Ok(super::svg::PEAK_BYTES)
}

#[cfg(feature = "svg")]
fn svg(bytes: &[u8], budget: &Budget) -> Result<Raster, CodecError> {
    super::svg::decode(bytes, budget)
}

#[cfg(not(feature = "svg"))]
fn svg_peak_bytes() -> Result<u64, CodecError> {
    Err(CodecError::unsupported("SVG"))
}

#[cfg(not(feature = "svg"))]
fn svg(_bytes: &[u8], _budget: &Budget) -> Result<Raster, CodecError> {
    Err(CodecError::unsupported("SVG"))
}

fn open<'a>(bytes: &'a [u8], format: InputFormat, budget: &Budget) -> Result<Box<dyn ImageDecoder + 'a>, CodecError> {
    let source = Timed { inner: Cursor::new(bytes), deadline: budget.deadline, reads: 0 };
    let name = format.name();
    if let Some((width, height)) = claimed_size(bytes, format) {
        // These decoders have limits of their own that they do not name.
        budget.check_size(width, height)?;
    }
    let opened: Result<Box<dyn ImageDecoder + 'a>, ImageError> = match format {
        InputFormat::Bmp => BmpDecoder::new(source).map(|decoder| Box::new(decoder) as _),
        InputFormat::Tiff => TiffDecoder::new(source).map(|decoder| Box::new(decoder) as _),
        InputFormat::Ico => IcoDecoder::new(source).map(|decoder| Box::new(decoder) as _),
        InputFormat::Qoi => QoiDecoder::new(source).map(|decoder| Box::new(decoder) as _),
        InputFormat::Pnm => PnmDecoder::new(source).map(|decoder| Box::new(decoder) as _),
        InputFormat::Jpeg
        | InputFormat::Png
        | InputFormat::Webp
        | InputFormat::Gif
        | InputFormat::Avif
        | InputFormat::Heic
        | InputFormat::Jxl
        | InputFormat::Svg => {
            return Err(CodecError::unsupported(format!("{name} by this decoder")));
        }
    };
    let decoder = opened.map_err(|error| refusal(error, format, budget))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(CodecError::damaged(name, format_args!("it is {width} by {height} pixels")));
    }
    Ok(decoder)
}

/// The size that the header of a BMP or QOI claims, before anything is believed of it.
fn claimed_size(bytes: &[u8], format: InputFormat) -> Option<(u32, u32)> {
    if format == InputFormat::Qoi {
        return Some((be32(bytes, 4)?, be32(bytes, 8)?));
    }
    if format != InputFormat::Bmp {
        return None;
    }
    if le32(bytes, 14)? == 12 {
        return Some((u32::from(le16(bytes, 18)?), u32::from(le16(bytes, 20)?)));
    }
    // Signed: a negative height means rows from the top.
    let side = |at| array(bytes, at).map(|bytes| i32::from_le_bytes(bytes).unsigned_abs());
    Some((side(18)?, side(22)?))
}

fn orientation(decoder: &mut Box<dyn ImageDecoder + '_>) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

fn limits(budget: &Budget) -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(budget.max_memory_bytes);
    limits.max_image_width = Some(budget.max_side);
    limits.max_image_height = Some(budget.max_side);
    limits
}

/// The picture at its stored depth, and the second copy that some decoders or a quarter turn need.
fn peak_bytes(decoder: &dyn ImageDecoder, format: InputFormat, orientation: Orientation) -> u64 {
    let stored = decoder.total_bytes();
    let (width, height) = decoder.dimensions();
    // The TIFF decoder fills a buffer of its own first; inks have a fourth channel there.
    let second = if format == InputFormat::Tiff { stored.saturating_add(stored / 3) } else { 0 };
    let turned = if swaps_sides(orientation) { area(width, height).saturating_mul(4) } else { 0 };
    stored.saturating_add(second.max(turned)).saturating_add(1024 * 1024)
}

/// The decoder's refusal as ours.
fn refusal(error: ImageError, format: InputFormat, budget: &Budget) -> CodecError {
    if let Err(timed_out) = budget.check_deadline() {
        return timed_out;
    }
    let name = format.name();
    if let ImageError::Unsupported(error) = &error {
        return CodecError::unsupported(format!("this kind of {name} ({error})"));
    }
    if let ImageError::Limits(limit) = &error
        && limit.kind() == LimitErrorKind::InsufficientMemory
    {
        return CodecError::damaged(name, "it needs more memory than its size explains");
    }
    CodecError::damaged(name, error)
}

/// A reader that fails once the deadline has passed.
struct Timed<R> {
    inner: R,
    deadline: Option<Instant>,
    reads: u32,
}

impl<R> Timed<R> {
    fn look(&mut self) -> std::io::Result<()> {
        self.reads = self.reads.wrapping_add(1);
        match self.deadline {
            // The clock costs more than a small read.
            Some(deadline) if self.reads.is_multiple_of(1024) && Instant::now() >= deadline => {
                Err(std::io::ErrorKind::TimedOut.into())
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl<R: Read> Read for Timed<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.look()?;
        self.inner.read(buf)
    }
}

impl<R: BufRead> BufRead for Timed<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.look()?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
    }
}

impl<R: Seek> Seek for Timed<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.look()?;
        self.inner.seek(to)
    }
}
