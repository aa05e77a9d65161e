//! Bytes to pixels and pixels to bytes. Knows no HTTP, no storage, and never awaits.
//!
//! Every function takes a [`Budget`] and looks at the header before it allocates; a codec that panics is an error of one
//! call.

mod aim;
mod animation;
mod avif;
pub mod budget;
mod convertible;
mod encode;
pub mod error;
mod gif;
mod guard;
mod icc;
mod jpeg;
mod jxl;
mod light;
mod metadata;
mod orientation;
mod png;
mod raster;
pub mod sniff;
#[cfg(feature = "svg")]
mod svg;
mod tiff;
mod webp;

use crate::domain::{Details, Format, OutputFormat};
use crate::pixels::pixmap::{Picture, Source};
use crate::pixels::{Orientation, Pixmap};

pub use self::aim::{LIKENESS, encode_aiming, likeness_bytes};
pub use self::animation::animate;
pub use self::budget::Budget;
pub use self::encode::{WEBP_MAX_SIDE, lay_on};
pub use self::error::CodecError;
pub use self::jpeg::Scale;
pub use self::sniff::{InputFormat, sniff};
pub use crate::domain::{Chroma, Effort, Encoders, Quality, Settings};

use self::guard::guard;
use self::metadata::Walked;
use self::raster::Raster;

/// Who decodes, as [`decode`] does, the files of formats that are [`InputFormat::is_apart`]. This module starts no process: its caller may.
pub type Apart<'a> = &'a dyn Fn(&[u8], &Budget) -> Result<Pixmap, CodecError>;

/// A picture that may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingested {
    /// What it is, once stored.
    pub details: Details,
    /// The bytes to store.
    pub stored: Vec<u8>,
}

/// A file whose format is known and whose container has been read.
enum Opened {
    /// One of the formats that are stored as they are.
    Served(Format, Served),
    /// One that has to be converted.
    Convertible(InputFormat),
}

/// What the walker of each stored format found.
enum Served {
    Jpeg(metadata::jpeg::Jpeg),
    Png(metadata::png::Png),
    Webp(Walked),
    Gif(Walked),
    Avif(Box<metadata::avif::Avif>),
}

impl Served {
    const fn walked(&self) -> &Walked {
        match self {
            Self::Jpeg(jpeg) => &jpeg.walked,
            Self::Png(png) => &png.walked,
            Self::Webp(walked) | Self::Gif(walked) => walked,
            Self::Avif(avif) => &avif.walked,
        }
    }
}

/// Finds out what the bytes are and reads the container.
fn open(bytes: &[u8], keep_profile: bool) -> Result<Opened, CodecError> {
    let Some(format) = sniff(bytes) else {
        return Err(sniff::refused(bytes).map_or(CodecError::NotAnImage, CodecError::unsupported));
    };
    Ok(match format {
        InputFormat::Jpeg => Opened::Served(Format::Jpg, Served::Jpeg(metadata::jpeg::walk(bytes, keep_profile)?)),
        InputFormat::Png => Opened::Served(Format::Png, Served::Png(metadata::png::walk(bytes, keep_profile)?)),
        InputFormat::Webp => Opened::Served(Format::Webp, Served::Webp(metadata::webp::walk(bytes, keep_profile)?)),
        InputFormat::Gif => Opened::Served(Format::Gif, Served::Gif(metadata::gif::walk(bytes, keep_profile)?)),
        InputFormat::Avif => {
            let found = metadata::avif::walk(bytes, keep_profile)?;
            if found.moves || !found.picture.is_av1() {
                Opened::Convertible(format)
            } else {
                Opened::Served(Format::Avif, Served::Avif(Box::new(found)))
            }
        }
        InputFormat::Heic
        | InputFormat::Jxl
        | InputFormat::Bmp
        | InputFormat::Tiff
        | InputFormat::Ico
        | InputFormat::Qoi
        | InputFormat::Pnm
        | InputFormat::Svg => Opened::Convertible(format),
    })
}

/// The name for people of what the bytes seem to be.
fn name_of(bytes: &[u8]) -> &'static str {
    sniff(bytes).map_or("image", InputFormat::name)
}

/// Everything the header must satisfy before a pixel is allocated.
fn check(served: &Served, budget: &Budget) -> Result<(), CodecError> {
    let walked = served.walked();
    budget.check_size(walked.width, walked.height)?;
    let canvases = budget::area(walked.width, walked.height).saturating_mul(u64::from(walked.frames));
    budget.check_animation(walked.frames, canvases.max(walked.frame_pixels))?;
    if let Served::Jpeg(jpeg) = served {
        jpeg::check_scans(jpeg, budget)?;
    }
    if let Served::Avif(found) = served {
        avif::check(found, budget)?;
    }
    budget.check_memory(walked.peak_bytes)
}

/// What a file in a format that is stored as it is, is.
fn details(format: Format, walked: &Walked) -> Details {
    let (width, height) = walked.upright_size();
    Details { width, height, format, frames: walked.frames }
}

/// Takes a picture in: removes what identifies people and places without touching its pixels, and decodes all of it
/// (every frame, one at a time) to see that it is whole. Works in the memory of `bytes`: the file is never held twice.
/// Converts instead when `convert` names another format than the picture's own, or when its own cannot be served (BMP,
/// TIFF, ICO, QOI, PNM, SVG, moving AVIF: to PNG, which loses nothing; JPEG XL: to PNG, JPEG or WebP). A conversion applies
/// orientation and colour profile, takes the first frame, and encodes at [`Quality::ORIGINAL`].
///
/// # Errors
/// [`CodecError`]: not an image, damaged, past the budget, not encodable.
pub fn ingest(bytes: Vec<u8>, convert: Option<OutputFormat>, budget: &Budget) -> Result<Ingested, CodecError> {
    ingest_seeing(bytes, convert, |_details| None, None, budget).map(|(ingested, _)| ingested)
}

/// The same, and the picture as [`decode_for_engine`] gives it at the scale that `wanted` names for what is stored: where that was
/// decoded on the way, or is had for little more. That is where a JPEG is stored as it is and our own decoder takes it. Whoever is
/// `apart` decodes the formats that are for it.
///
/// # Errors
/// As [`ingest`].
pub fn ingest_seeing(
    mut bytes: Vec<u8>,
    convert: Option<OutputFormat>,
    wanted: impl FnOnce(&Details) -> Option<Scale>,
    apart: Option<Apart<'_>>,
    budget: &Budget,
) -> Result<(Ingested, Option<Decoded>), CodecError> {
    let unseen = |ingested| (ingested, None);
    guard(name_of(&bytes), || {
        budget.check_deadline()?;
        let (format, served) = match open(&bytes, true)? {
            Opened::Served(format, served) => (format, served),
            Opened::Convertible(format) => {
                let convert = convert.map_or_else(|| convertible::nearest(&bytes, format), Ok)?;
                return converted(&bytes, convert, apart, budget).map(unseen);
            }
        };
        check(&served, budget)?;
        let walked = served.walked();
        if let Some(fault) = &walked.fault {
            return Err(fault.clone());
        }
        budget.check_metadata(walked.metadata_bytes(bytes.len()))?;
        let details = details(format, walked);
        let convert = convert.filter(|convert| convert.format() != format);
        let wanted = if convert.is_none() { wanted(&details) } else { None };
        // Of the bytes that came in, where the profile's places are theirs.
        let profile = wanted.and_then(|_| walked.profile(&bytes, budget.max_profile_bytes));
        metadata::keep(&mut bytes, &walked.pieces);
        if let Some(convert) = convert {
            return converted(&bytes, convert, apart, budget).map(unseen);
        }
        let mut seen = None;
        let usable_profile = match &served {
            Served::Jpeg(jpeg) => jpeg::validate(&mut bytes, jpeg, wanted, budget).map(|picture| {
                seen = picture;
                true
            }),
            Served::Png(png) => png::validate(&bytes, png.images, budget),
            Served::Webp(_) => webp::validate(&bytes, budget).map(|()| true),
            Served::Gif(_) => gif::validate(&bytes, budget).map(|()| true),
            // Its places are those of the bytes that came in.
            Served::Avif(_) => match (open(&bytes, true)?, apart) {
                (opened @ Opened::Served(_, Served::Avif(_)), Some(apart)) => {
                    decode_apart(opened, &bytes, apart, budget).map(|_pixmap| true)
                }
                (Opened::Served(_, Served::Avif(stored)), None) => {
                    avif::decode(&bytes, &stored, budget).map(|_raster| true)
                }
                (Opened::Served(..) | Opened::Convertible(_), _) => {
                    Err(CodecError::damaged("AVIF", "its tables do not hold"))
                }
            },
        }?;
        // A profile that cannot be unpacked, or is past all reason, is of no use to a viewer either: it goes.
        let usable_profile = usable_profile && walked.profile_bytes() <= budget.max_profile_bytes;
        if !usable_profile && let Opened::Served(_, without_profile) = open(&bytes, false)? {
            metadata::keep(&mut bytes, &without_profile.walked().pieces);
        }
        let seen = match (&served, seen, wanted) {
            (Served::Jpeg(jpeg), Some(picture), Some(scale)) => {
                let conversion = icc::conversion(profile.as_deref(), usize::from(jpeg.components));
                Some(of_planes(picture, scale, &conversion, walked, budget)?)
            }
            _ => None,
        };
        Ok((Ingested { details, stored: bytes }, seen))
    })
}

/// Takes a picture in unseen: reads the header and keeps the bytes as they are, metadata, damage and all. What cannot be
/// served is converted all the same, and so has to decode.
///
/// # Errors
/// [`CodecError`]: not an image, no usable header, past the budget.
pub fn accept(bytes: Vec<u8>, budget: &Budget) -> Result<Ingested, CodecError> {
    accept_by(bytes, None, budget)
}

/// The same; whoever is `apart` decodes the formats that are for it.
///
/// # Errors
/// As [`accept`].
pub fn accept_by(bytes: Vec<u8>, apart: Option<Apart<'_>>, budget: &Budget) -> Result<Ingested, CodecError> {
    guard(name_of(&bytes), || {
        budget.check_deadline()?;
        match open(&bytes, true)? {
            Opened::Served(format, served) => {
                check(&served, budget)?;
                let walked = served.walked();
                if walked.fault.is_none() {
                    budget.check_metadata(walked.metadata_bytes(bytes.len()))?;
                }
                Ok(Ingested { details: details(format, walked), stored: bytes })
            }
            Opened::Convertible(format) => converted(&bytes, convertible::nearest(&bytes, format)?, apart, budget),
        }
    })
}

fn converted(
    bytes: &[u8],
    format: OutputFormat,
    apart: Option<Apart<'_>>,
    budget: &Budget,
) -> Result<Ingested, CodecError> {
    let pixmap = decode_unguarded(bytes, apart, budget)?;
    let encoded = encode::encode(&pixmap, format, Quality::ORIGINAL.into())?;
    let details = Details { width: pixmap.width(), height: pixmap.height(), format: format.format(), frames: 1 };
    Ok(Ingested { details, stored: encoded })
}

/// The picture, or the first frame of an animation on its canvas: upright, in sRGB, straight alpha, with no more channels
/// than it has. Holds at most what [`peak_bytes`] says.
///
/// # Errors
/// [`CodecError`]: not an image, damaged where it shows, past the budget.
pub fn decode(bytes: &[u8], budget: &Budget) -> Result<Pixmap, CodecError> {
    guard(name_of(bytes), || decode_unguarded(bytes, None, budget))
}

/// The same; whoever is `apart` decodes the formats that are for it.
///
/// # Errors
/// As [`decode`], and whatever `apart` says.
pub fn decode_by(bytes: &[u8], apart: Option<Apart<'_>>, budget: &Budget) -> Result<Pixmap, CodecError> {
    guard(name_of(bytes), || decode_unguarded(bytes, apart, budget))
}

/// The picture by way of `apart`, once its header was held against the budget here; it must be of the size that the header says.
fn decode_apart(opened: Opened, bytes: &[u8], apart: Apart<'_>, budget: &Budget) -> Result<Pixmap, CodecError> {
    let told = match &opened {
        Opened::Served(_, served) => {
            check(served, budget)?;
            Some(served.walked().upright_size())
        }
        // Not all of these say it where it is easily read.
        Opened::Convertible(_) => None,
    };
    // What the walker has found is not needed meanwhile.
    drop(opened);
    let pixmap = apart(bytes, budget)?;
    if told.is_some_and(|told| told != (pixmap.width(), pixmap.height())) {
        return Err(CodecError::damaged(name_of(bytes), "the picture is not the size the header says"));
    }
    Ok(pixmap)
}

/// A picture for an engine that takes planes and turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The picture, in sRGB with straight alpha; planes as stored, packed pixels as stored too where they are grey or were converted.
    pub picture: Picture,
    /// How it is to be turned.
    pub orientation: Orientation,
    /// By how much it is smaller than what is stored.
    pub scale: Scale,
    /// Columns and rows of what is stored, not turned.
    pub whole: (u32, u32),
}

/// The same picture as [`decode`] gives, with less done to it where it is a JPEG that our own decoder takes (8 bits, Huffman
/// codes, grey or YCbCr, whole): its planes as stored, not turned, and divided by what `scale` says. They are half or more of the
/// bytes that RGB has, and no time goes into upsampling and colour; but where its colour profile asks for a conversion it is packed,
/// as large as the planes. Else what [`decode`] gives, upright and whole. Holds at most what [`peak_bytes`] says.
///
/// # Errors
/// As [`decode`]: what our own decoder does not take is never an error before the library decoder has seen it. What is left out
/// by the scale is looked at no closer than is needed to pass over it.
pub fn decode_for_engine(bytes: &[u8], scale: Scale, budget: &Budget) -> Result<Decoded, CodecError> {
    decode_for_engine_by(bytes, scale, None, budget)
}

/// The same; whoever is `apart` decodes the formats that are for it.
///
/// # Errors
/// As [`decode_for_engine`].
pub fn decode_for_engine_by(
    bytes: &[u8],
    scale: Scale,
    apart: Option<Apart<'_>>,
    budget: &Budget,
) -> Result<Decoded, CodecError> {
    guard(name_of(bytes), || {
        budget.check_deadline()?;
        let opened = open(bytes, true)?;
        if let Some(apart) = apart.filter(|_| is_apart(bytes)) {
            let picture = Picture::Packed(decode_apart(opened, bytes, apart, budget)?);
            let whole = Source::from(&picture).size();
            return Ok(Decoded { picture, orientation: Orientation::UPRIGHT, scale: Scale::Whole, whole });
        }
        if let Some(decoded) = own_decoded(&opened, bytes, scale, budget)? {
            return Ok(decoded);
        }
        let picture = Picture::Packed(decode_opened(opened, bytes, JpegBy::Library, budget)?);
        let whole = Source::from(&picture).size();
        Ok(Decoded { picture, orientation: Orientation::UPRIGHT, scale: Scale::Whole, whole })
    })
}

/// What [`decode_for_engine`] gives where our own decoder takes the file; `None` where it does not. Holds at most what
/// [`divided_peak_bytes`] says.
///
/// # Errors
/// As [`decode_for_engine`].
pub fn decode_divided(bytes: &[u8], scale: Scale, budget: &Budget) -> Result<Option<Decoded>, CodecError> {
    guard(name_of(bytes), || {
        budget.check_deadline()?;
        own_decoded(&open(bytes, true)?, bytes, scale, budget)
    })
}

/// The most that [`decode_divided`] holds for any file of so many bytes that is a JPEG of this size; the bytes themselves not counted.
#[must_use]
pub fn divided_peak_bytes(width: u32, height: u32, scale: Scale, file_bytes: u64) -> u64 {
    /// Tables of codes and colours.
    const TABLES_BYTES: u64 = 2 << 20;
    // The profile, and the file once more where something has to be left out of it first.
    jpeg::divided_peak_bytes(width, height, scale).saturating_add(2 * file_bytes + TABLES_BYTES)
}

/// What our own decoder makes of a JPEG for an engine.
fn own_decoded(opened: &Opened, bytes: &[u8], scale: Scale, budget: &Budget) -> Result<Option<Decoded>, CodecError> {
    let Opened::Served(_, served @ Served::Jpeg(jpeg)) = opened else { return Ok(None) };
    check(served, budget)?;
    let walked = &jpeg.walked;
    let Some(picture) = own_planes(jpeg, &walked.regular(bytes), scale, budget)? else { return Ok(None) };
    let profile = walked.profile(bytes, budget.max_profile_bytes);
    let conversion = icc::conversion(profile.as_deref(), usize::from(jpeg.components));
    of_planes(picture, scale, &conversion, walked, budget).map(Some)
}

/// What our own decoder gave, as an engine takes it: as it is, or, where the profile asks for something, packed and converted.
fn of_planes(
    mut picture: Picture,
    scale: Scale,
    conversion: &icc::Conversion,
    walked: &Walked,
    budget: &Budget,
) -> Result<Decoded, CodecError> {
    if !matches!(conversion, icc::Conversion::Keep) {
        let name = InputFormat::Jpeg.name();
        let pixmap = picture.into_pixmap().map_err(|error| CodecError::damaged(name, error))?;
        budget.check_deadline()?;
        picture = Picture::Packed(conversion.apply(Raster::from(pixmap), name)?.into_pixmap(name)?);
        budget.check_deadline()?;
    }
    let orientation = Orientation::from_exif(walked.orientation.to_exif()).unwrap_or_default();
    Ok(Decoded { picture, orientation, scale, whole: (walked.width, walked.height) })
}

fn decode_unguarded(bytes: &[u8], apart: Option<Apart<'_>>, budget: &Budget) -> Result<Pixmap, CodecError> {
    budget.check_deadline()?;
    let opened = open(bytes, true)?;
    match apart {
        Some(apart) if is_apart(bytes) => decode_apart(opened, bytes, apart, budget),
        Some(_) | None => decode_opened(opened, bytes, JpegBy::Either, budget),
    }
}

/// Whether the bytes are in a format that is decoded in a process of its own, where there is a sandbox.
#[must_use]
pub fn is_apart(bytes: &[u8]) -> bool {
    sniff(bytes).is_some_and(InputFormat::is_apart)
}

/// Who decodes a JPEG.
#[derive(Clone, Copy, PartialEq, Eq)]
enum JpegBy {
    /// Our own decoder if it takes the file, else the library.
    Either,
    /// The library: our own has declined.
    Library,
}

/// What our own decoder makes of a JPEG that has been checked against the budget: planes as stored, or grey, divided by the
/// scale. `None`: the
/// file is for the library decoder, which also judges what is damaged. `bytes` are regular: both decoders are to see one file.
fn own_planes(
    jpeg: &metadata::jpeg::Jpeg,
    bytes: &[u8],
    scale: Scale,
    budget: &Budget,
) -> Result<Option<Picture>, CodecError> {
    if jpeg.walked.fault.is_some() || !matches!(jpeg.components, 1 | 3) {
        return Ok(None);
    }
    jpeg::decode_planes(bytes, scale, budget)
}

fn decode_opened(opened: Opened, bytes: &[u8], by: JpegBy, budget: &Budget) -> Result<Pixmap, CodecError> {
    let name = name_of(bytes);
    let served = match opened {
        Opened::Served(_, served) => served,
        Opened::Convertible(format) => {
            let decoded = convertible::decode(bytes, format, budget)?;
            let conversion = icc::conversion(decoded.profile.as_deref(), decoded.raster.channels);
            let raster = conversion.apply(decoded.raster, name)?;
            return orientation::upright(raster, decoded.orientation)?.into_pixmap(name);
        }
    };
    check(&served, budget)?;
    let walked = served.walked();
    let profile = walked.profile(bytes, budget.max_profile_bytes);
    let regular = walked.regular(bytes);
    if by == JpegBy::Either
        && let Served::Jpeg(jpeg) = &served
        && let Some(picture) = own_planes(jpeg, &regular, Scale::Whole, budget)?
    {
        drop(regular);
        let pixmap = picture.into_pixmap().map_err(|error| CodecError::damaged(name, error))?;
        let raster = Raster::from(pixmap);
        let raster = icc::conversion(profile.as_deref(), raster.channels).apply(raster, name)?;
        budget.check_deadline()?;
        return orientation::upright(raster, walked.orientation)?.into_pixmap(name);
    }
    let (raster, conversion) = match &served {
        Served::Jpeg(_) => jpeg::decode(&regular, profile.as_deref(), budget)?,
        Served::Png(_) => {
            let decoded = png::decode(&regular, budget)?;
            let conversion = icc::conversion(decoded.profile.as_deref(), decoded.raster.channels);
            (decoded.raster, conversion)
        }
        Served::Webp(_) => {
            let raster = webp::decode(&regular, budget)?;
            let conversion = icc::conversion(profile.as_deref(), raster.channels);
            (raster, conversion)
        }
        Served::Gif(_) => {
            let raster = gif::decode(&regular, budget)?;
            let conversion = icc::conversion(profile.as_deref(), raster.channels);
            (raster, conversion)
        }
        Served::Avif(found) => {
            let raster = avif::decode(bytes, found, budget)?;
            let conversion = icc::conversion(profile.as_deref(), raster.channels);
            (raster, conversion)
        }
    };
    drop(regular);
    let raster = conversion.apply(raster, name)?;
    budget.check_deadline()?;
    orientation::upright(raster, walked.orientation)?.into_pixmap(name)
}

/// The picture as a file: JPEG flattened on white, grey as grey; PNG with the channels it has; WebP lossy with alpha, AVIF too. No
/// metadata and no profile: pixels are sRGB. A [`Quality`] alone will do for settings.
///
/// # Errors
/// [`CodecError::TooLargeForFormat`], [`CodecError::Encode`].
pub fn encode(pixmap: &Pixmap, format: OutputFormat, settings: impl Into<Settings>) -> Result<Vec<u8>, CodecError> {
    let settings = settings.into();
    guard(encode::name(format), || encode::encode(pixmap, format, settings))
}

/// The same of a picture in either form; planes go into a JPEG or an AVIF as they are where it is to have them so.
///
/// # Errors
/// As [`encode`].
pub fn encode_picture(picture: &Picture, format: OutputFormat, settings: Settings) -> Result<Vec<u8>, CodecError> {
    match picture {
        Picture::Packed(pixmap) => encode(pixmap, format, settings),
        Picture::Planar(planes) => guard(encode::name(format), || encode::encode_planes(planes, format, settings)),
    }
}

/// An upper estimate, from the header, of the bytes that [`decode`] will hold at its peak; `bytes` itself not counted.
/// For a semaphore over memory: a file past every limit has an estimate too.
///
/// # Errors
/// [`CodecError`]: not an image, no usable header.
pub fn peak_bytes(bytes: &[u8]) -> Result<u64, CodecError> {
    guard(name_of(bytes), || match open(bytes, true)? {
        Opened::Served(_, served) => Ok(served.walked().peak_bytes),
        Opened::Convertible(format) => convertible::header_peak_bytes(bytes, format, &Budget::default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::Layout;

    #[test]
    fn every_entry_point_survives_a_panic() {
        let pixmap = Pixmap::new(1, 1, Layout::Luma, vec![0]).unwrap();
        let budget = Budget::default();
        let file = encode(&pixmap, OutputFormat::Png, Quality::default()).unwrap();
        let panicked = CodecError::Panicked { format: "PNG" };
        guard::tests::arm();
        assert_eq!(ingest(file.clone(), None, &budget), Err(panicked.clone()));
        assert!(ingest(file.clone(), None, &budget).is_ok(), "the panic costs one call");
        guard::tests::arm();
        assert_eq!(accept(file.clone(), &budget), Err(panicked.clone()));
        guard::tests::arm();
        assert_eq!(decode(&file, &budget), Err(panicked.clone()));
        guard::tests::arm();
        assert_eq!(decode_for_engine(&file, Scale::Whole, &budget), Err(panicked.clone()));
        guard::tests::arm();
        assert_eq!(encode(&pixmap, OutputFormat::Png, Quality::default()), Err(panicked.clone()));
        guard::tests::arm();
        assert_eq!(peak_bytes(&file), Err(panicked));
    }
}
