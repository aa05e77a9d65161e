//! JPEG XL: decoded by `jxl`, the decoder of the format's own authors, on the calling thread; to sRGB here.
//!
//! The header is read here first. The decoder is stopped between groups of pixels once time is up, and takes no frame larger than
//! the header says.

mod header;

use jxl::api::{
    AlphaMode, Endianness, Event, ExtraChannel, JxlColorEncoding, JxlColorProfile, JxlColorType, JxlDataFormat,
    JxlDecoder, JxlDecoderOptions, JxlOutputBuffer, JxlParallelRunner, JxlParallelRunnerFun, JxlPixelFormat,
    JxlPrimaries, JxlTransferFunction, JxlWhitePoint, ProfileLevel,
};
use jxl::error::Error;

use crate::domain::OutputFormat;

use super::budget::Budget;
use super::error::CodecError;
use super::icc;
use super::light::Mapping;
use super::raster::{Raster, byte_count, narrow};

use self::header::Header;

const NAME: &str = "JPEG XL";

/// Frames that a later one can be made of, each of four bytes a sample.
const REFERENCES: u64 = 4;

/// An upper estimate of the bytes that decoding holds, from the header alone.
pub(crate) fn header_peak_bytes(bytes: &[u8]) -> Result<u64, CodecError> {
    Ok(Header::read(bytes)?.peak_bytes(bytes.len()))
}

/// The nearest of the formats that are served. One that lost nothing stays without loss; one that did would be ten times its size
/// then, and becomes a JPEG, or a WebP where it may be seen through and fits in one.
pub(crate) fn nearest(bytes: &[u8]) -> Result<OutputFormat, CodecError> {
    const WEBP_SIDE: u32 = 16_383;
    let header = Header::read(bytes)?;
    Ok(match (header.lossy, header.alpha) {
        (true, false) => OutputFormat::Jpg,
        (true, true) if header.width.max(header.height) <= WEBP_SIDE => OutputFormat::Webp,
        (true, true) | (false, _) => OutputFormat::Png,
    })
}

/// What is done with the colours that the decoder gives.
enum Colours {
    /// They are those of this profile; of sRGB where there is none.
    Profile(Option<Vec<u8>>),
    /// They are bright, or linear: through tables.
    Mapping(Box<Mapping>),
    /// They are inks.
    Inks(Box<icc::Conversion>),
}

/// The picture, or the first frame of an animation: upright, grey or RGB with straight alpha. In sRGB, but where a profile comes with
/// it: then as that one means it.
pub(crate) fn decode(bytes: &[u8], budget: &Budget) -> Result<(Raster, Option<Vec<u8>>), CodecError> {
    let header = Header::read(bytes)?;
    budget.check_size(header.width, header.height)?;
    let peak_bytes = header.peak_bytes(bytes.len());
    budget.check_memory(peak_bytes)?;
    let frames = Frames::scan(bytes, &header, budget)?;
    budget.check_memory(peak_bytes.saturating_add(frames.bytes(&header)))?;
    let mut rest = bytes;
    let mut decoder = JxlDecoder::new(options(&header, frames.large));
    while !matches!(step(&mut decoder, &mut rest, None, budget)?, Event::BasicInfo) {}
    let (Some(info), Some(profile)) = (decoder.basic_info().cloned(), decoder.embedded_color_profile()) else {
        return Err(CodecError::truncated(NAME));
    };
    let (width, height) =
        (u32::try_from(info.size.0).unwrap_or(u32::MAX), u32::try_from(info.size.1).unwrap_or(u32::MAX));
    let size = (width, height);
    let told = (header.width, header.height);
    if size != told && size != (told.1, told.0) || info.extra_channels.len() as u64 != u64::from(header.extra) {
        return Err(CodecError::damaged(NAME, "its header is not what it seems"));
    }
    let has = |kind| info.extra_channels.iter().any(|channel| channel.ec_type == kind);
    let inks = profile.is_cmyk();
    if inks && !has(ExtraChannel::Black) {
        return Err(CodecError::unsupported("JPEG XL of inks without black"));
    }
    let color_type = match (inks, profile.channels() == 1, has(ExtraChannel::Alpha)) {
        (true, ..) => JxlColorType::Cmyk,
        (_, true, false) => JxlColorType::Grayscale,
        (_, true, true) => JxlColorType::GrayscaleAlpha,
        (_, false, false) => JxlColorType::Rgb,
        (_, false, true) => JxlColorType::Rgba,
    };
    // Levels are as fine as stored where they are still to be spread by a curve.
    let wide = info.bit_depth.bits_per_sample() > 8 && numbers(profile).is_some();
    let samples = match wide {
        true => JxlDataFormat::U16 { endianness: Endianness::native(), bit_depth: 16 },
        false => JxlDataFormat::U8 { bit_depth: 8 },
    };
    // Beside inks there is no place for alpha: it comes by itself.
    let beside = info.extra_channels.iter().position(|channel| inks && channel.ec_type == ExtraChannel::Alpha);
    let extra = (0..info.extra_channels.len()).map(|at| (Some(at) == beside).then_some(samples)).collect();
    decoder
        .set_pixel_format(JxlPixelFormat { color_type, color_data_format: Some(samples), extra_channel_format: extra })
        .map_err(|error| refusal(&error, budget))?;
    let profile = decoder.output_color_profile().ok_or_else(|| CodecError::truncated(NAME))?;
    let colours = colours(profile, budget)?;
    let channels = color_type.samples_per_pixel();
    let pixel_bytes = channels * samples.bytes_per_sample();
    let mut data = vec![0; byte_count(width, height, pixel_bytes)?];
    let mut alpha = vec![0; if beside.is_some() { byte_count(width, height, 1)? } else { 0 }];
    let mut pixels = vec![JxlOutputBuffer::new(&mut data, height as usize, width as usize * pixel_bytes)];
    if beside.is_some() {
        pixels.push(JxlOutputBuffer::new(&mut alpha, height as usize, width as usize));
    }
    while !matches!(step(&mut decoder, &mut rest, Some(&mut pixels), budget)?, Event::FrameComplete { .. }) {}
    drop(decoder);
    budget.check_deadline()?;
    match colours {
        Colours::Profile(profile) => Ok((Raster { width, height, channels, data }, profile)),
        Colours::Mapping(mapping) => {
            map(&mut data, channels, wide, &mapping);
            Ok((Raster { width, height, channels, data }, None))
        }
        Colours::Inks(conversion) => {
            // Here no ink is full light.
            data.iter_mut().for_each(|level| *level = 255 - *level);
            let raster = conversion.apply(Raster { width, height, channels, data }, NAME)?;
            Ok((if beside.is_some() { with_alpha(&raster, &alpha) } else { raster }, None))
        }
    }
}

/// Three channels and a fourth.
fn with_alpha(colours: &Raster, alpha: &[u8]) -> Raster {
    let pixels = colours.data.as_chunks::<3>().0.iter().zip(alpha);
    let data = pixels.flat_map(|(&[r, g, b], &a)| [r, g, b, a]).collect();
    Raster { width: colours.width, height: colours.height, channels: 4, data }
}

/// A frame may lie over the edges of the picture; so much larger than the picture it may be.
const LARGE: u64 = 2;

fn options(header: &Header, large: bool) -> JxlDecoderOptions {
    let mut options = JxlDecoderOptions::default();
    options.alpha_mode = AlphaMode::Unpremultiplied;
    options.max_profile_level = ProfileLevel::Main10;
    // A frame of fewer pixels than the picture can be a little larger once it is brought to its size.
    let [width, height] = [header.width, header.height].map(|side| side.saturating_add(8));
    let samples = Header { width, height, ..header.clone() }.samples();
    let limit = samples.saturating_mul(if large { LARGE } else { 1 });
    options.sample_limit = Some(usize::try_from(limit).unwrap_or(usize::MAX));
    options
}

/// What the headers of the frames say, up to the first that is shown.
#[derive(Clone, Copy, Debug, Default)]
struct Frames {
    /// One is larger than the picture.
    large: bool,
    /// The one that is shown needs others that are not. Nothing says how many before they are decoded.
    built: bool,
}

impl Frames {
    fn scan(bytes: &[u8], header: &Header, budget: &Budget) -> Result<Self, CodecError> {
        let large = match Self::built(bytes, header, false, budget) {
            Ok(built) => return Ok(Self { large: false, built }),
            Err(Stop::Frame) => true,
            Err(Stop::Refused(error)) => return Err(error),
        };
        match Self::built(bytes, header, large, budget) {
            Ok(built) => Ok(Self { large, built }),
            Err(Stop::Frame) => Err(CodecError::damaged(
                NAME,
                format_args!("a frame is more than {LARGE} times as large as the picture"),
            )),
            Err(Stop::Refused(error)) => Err(error),
        }
    }

    fn built(bytes: &[u8], header: &Header, large: bool, budget: &Budget) -> Result<bool, Stop> {
        let mut options = options(header, large);
        options.scan_frames_only = true;
        let mut decoder = JxlDecoder::new(options);
        let mut rest = bytes;
        while decoder.scanned_frames().is_empty() {
            if matches!(advance(&mut decoder, &mut rest, None, budget)?, Event::Complete) {
                break;
            }
        }
        let Some(first) = decoder.scanned_frames().first() else {
            return Err(Stop::Refused(CodecError::damaged(NAME, "it has no picture")));
        };
        let (own, target) = (first.file_offset, first.seek_target);
        let start = decoder.start_new_frame(target).map_err(|error| Stop::Refused(refusal(&error, budget)))?;
        Ok(start != own)
    }

    /// What they take beyond a frame of the picture's size.
    fn bytes(self, header: &Header) -> u64 {
        let frame = header.samples().saturating_mul(4);
        let size = if self.large { LARGE } else { 1 };
        let kept = if self.built { REFERENCES * size } else { 0 };
        frame.saturating_mul(kept + size - 1)
    }
}

/// Why the decoder stopped.
enum Stop {
    /// A frame is larger than it was allowed.
    Frame,
    Refused(CodecError),
}

/// Runs the decoder to whatever it reports next.
fn step(
    decoder: &mut JxlDecoder,
    rest: &mut &[u8],
    pixels: Option<&mut [JxlOutputBuffer<'_>]>,
    budget: &Budget,
) -> Result<Event, CodecError> {
    advance(decoder, rest, pixels, budget).map_err(|stop| match stop {
        Stop::Frame => CodecError::damaged(NAME, "a frame is larger than the picture"),
        Stop::Refused(error) => error,
    })
}

fn advance(
    decoder: &mut JxlDecoder,
    rest: &mut &[u8],
    pixels: Option<&mut [JxlOutputBuffer<'_>]>,
    budget: &Budget,
) -> Result<Event, Stop> {
    budget.check_deadline().map_err(Stop::Refused)?;
    match decoder.process(rest, pixels, Some(&mut Watch { budget })) {
        Ok(Event::NeedMoreInput { .. }) => Err(Stop::Refused(CodecError::truncated(NAME))),
        Ok(event) => Ok(event),
        Err(Error::ImageSizeTooLarge(..)) => Err(Stop::Frame),
        Err(error) => Err(Stop::Refused(refusal(&error, budget))),
    }
}

/// Does the decoder's work one piece after another, and looks at the clock between them.
struct Watch<'a> {
    budget: &'a Budget,
}

impl JxlParallelRunner for Watch<'_> {
    fn run(&mut self, num: usize, fun: &JxlParallelRunnerFun<'_>) -> Result<(), Error> {
        for at in 0..num {
            self.budget.check_deadline().map_err(|_late| std::io::Error::from(std::io::ErrorKind::TimedOut))?;
            fun(at)?;
        }
        Ok(())
    }

    fn num_threads(&self) -> usize {
        1
    }

    fn run_ordered(&mut self, num: usize, _most: Option<usize>, fun: &JxlParallelRunnerFun<'_>) -> Result<(), Error> {
        self.run(num, fun)
    }
}

/// The numbers of ITU-T H.273 for primaries and curve, where 8 bits of the signal are too few or too bright: linear light and HDR.
fn numbers(profile: &JxlColorProfile) -> Option<(Option<u16>, u16)> {
    let transfer = match profile.transfer_function()? {
        JxlTransferFunction::Linear => 8,
        JxlTransferFunction::PQ => 16,
        JxlTransferFunction::HLG => 18,
        JxlTransferFunction::BT709
        | JxlTransferFunction::SRGB
        | JxlTransferFunction::DCI
        | JxlTransferFunction::Gamma(_) => {
            return None;
        }
    };
    let JxlColorProfile::Simple(encoding) = profile else { return None };
    let primaries = match encoding {
        JxlColorEncoding::GrayscaleColorSpace { .. } => Some(1),
        JxlColorEncoding::RgbColorSpace { white_point: JxlWhitePoint::D65, primaries, .. } => match primaries {
            JxlPrimaries::SRGB => Some(1),
            JxlPrimaries::BT2100 => Some(9),
            JxlPrimaries::P3 => Some(12),
            JxlPrimaries::Chromaticities { .. } => None,
        },
        JxlColorEncoding::RgbColorSpace { .. } | JxlColorEncoding::XYB { .. } => None,
    };
    Some((primaries, transfer))
}

fn colours(profile: &JxlColorProfile, budget: &Budget) -> Result<Colours, CodecError> {
    if profile.is_cmyk() {
        let conversion = profile.try_as_icc().and_then(|profile| icc::inks(Some(&profile)));
        let conversion = conversion.ok_or_else(|| CodecError::unsupported("JPEG XL of inks without a profile"))?;
        return Ok(Colours::Inks(Box::new(conversion)));
    }
    match numbers(profile) {
        Some((Some(primaries), transfer)) => return Ok(Colours::Mapping(Box::new(Mapping::new(primaries, transfer)))),
        Some((None, 16 | 18)) => return Err(CodecError::unsupported("JPEG XL of HDR in primaries of its own")),
        Some(_) | None => {}
    }
    let profile = profile.try_as_icc().map(std::borrow::Cow::into_owned);
    Ok(Colours::Profile(profile.filter(|profile| profile.len() as u64 <= budget.max_profile_bytes)))
}

/// Levels, of two bytes where they are `wide`, to sRGB of one, in place: the result lies at the front.
fn map(data: &mut Vec<u8>, channels: usize, wide: bool, mapping: &Mapping) {
    let bytes = channels * if wide { 2 } else { 1 };
    let colours = channels - usize::from(channels.is_multiple_of(2));
    for pixel in 0..data.len() / bytes {
        let mut levels = [0_u16; 4];
        for (at, level) in levels.iter_mut().enumerate().take(channels) {
            let from = pixel * bytes + at * bytes / channels;
            *level = match (data.get(from), data.get(from + 1)) {
                (Some(&low), Some(&high)) if wide => u16::from_ne_bytes([low, high]),
                (Some(&level), _) => u16::from(level) * 257,
                (None, _) => 0,
            };
        }
        let signal = |at: usize| f32::from(levels.get(at).copied().unwrap_or(0)) / 65_535.0;
        let rgb = if colours == 1 { [signal(0); 3] } else { [signal(0), signal(1), signal(2)] };
        let srgb = mapping.srgb(rgb);
        // Written at or before where it was read.
        if let Some(target) = data.get_mut(pixel * channels..(pixel + 1) * channels) {
            for (at, target) in target.iter_mut().enumerate() {
                *target = match srgb.get(at) {
                    Some(&colour) if at < colours => colour,
                    Some(_) | None => narrow(levels.get(at).copied().unwrap_or(u16::MAX)),
                };
            }
        }
    }
    data.truncate(data.len() / bytes * channels);
    data.shrink_to_fit();
}

/// The decoder's refusal as ours.
fn refusal(error: &Error, budget: &Budget) -> CodecError {
    if let Err(timed_out) = budget.check_deadline() {
        return timed_out;
    }
    CodecError::damaged(NAME, error)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;

    /// How many pieces of work are done before the clock stops it.
    fn done(deadline: Option<Instant>) -> (usize, bool) {
        let (count, budget) = (AtomicUsize::new(0), Budget { deadline, ..Budget::default() });
        let piece = |_at: usize| {
            count.fetch_add(1, Ordering::Relaxed);
            while deadline.is_some_and(|deadline| Instant::now() < deadline) {}
            Ok(())
        };
        let outcome = Watch { budget: &budget }.run_ordered(5, None, &piece);
        (count.into_inner(), outcome.is_ok())
    }

    #[test]
    fn work_stops_between_its_pieces_once_time_is_up() {
        assert_eq!(done(None), (5, true));
        assert_eq!(done(Some(Instant::now())), (0, false));
        assert_eq!(done(Some(Instant::now() + std::time::Duration::from_millis(50))), (1, false));
    }
}
