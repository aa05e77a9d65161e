//! Walks an AVIF file from box to box (AV1 Image File Format 1.1).
//!
//! Kept of a still: the primary picture with its tiles, its alpha and its gain map, and their properties: colour, orientation,
//! crop. EXIF, XMP, thumbnails, depth maps, names and what no item needs go, and the tables are written anew. A sequence has
//! more places for metadata than are looked through here: it is converted, never stored.
//!
//! HEIC is the same file with other data in it, and is read here as far as a picture goes, behind the feature `heic`.

mod boxes;
#[cfg(feature = "heic")]
mod hevc;
mod items;
mod picture;
mod rewrite;
mod sequence;

#[cfg(feature = "heic")]
use self::sequence::Sequence;
use super::super::budget::area;
use super::super::error::CodecError;
use super::super::orientation::swaps_sides;
use super::Walked;

#[cfg(feature = "heic")]
pub(crate) use self::hevc::Hevc;
pub(crate) use self::picture::{Coded, Coding, Picture, Tile};
pub(crate) use self::sequence::Cicp;

const NAME: &str = "AVIF";

/// Boxes of data that a file may have.
const MAX_DATA: usize = 64;

/// What a walk found.
#[derive(Debug)]
pub(crate) struct Avif {
    pub(crate) walked: Walked,
    pub(crate) picture: Picture,
    /// It is an animation too.
    pub(crate) moves: bool,
}

/// Walks the file. Without `keep_profile` the colour profile goes too.
///
/// # Errors
/// [`CodecError`] when the picture cannot be found or is of a kind that is not read here; what is wrong behind it is the `fault`
/// of the result.
pub(crate) fn walk(bytes: &[u8], keep_profile: bool) -> Result<Avif, CodecError> {
    let mut top = rewrite::Top::default();
    let (mut meta, mut moves) = (None, false);
    for found in boxes::boxes(bytes, 0..bytes.len()) {
        let found = match found {
            Ok(found) => found,
            // What follows the tables need not be whole, or be boxes: whether the picture's own bytes are there is seen below.
            Err(_) if meta.is_some() => {
                top.extra = true;
                break;
            }
            Err(error) => return Err(error),
        };
        match &found.kind {
            b"ftyp" if top.brands.is_empty() => top.brands = found.whole,
            b"meta" if meta.is_none() => meta = Some(items::Meta::read(bytes, &found)?),
            b"mdat" if top.data.len() < MAX_DATA => top.data.push(found.body),
            b"moov" => moves = true,
            _ => top.extra = true,
        }
    }
    let Some(meta) = meta else {
        return Err(if moves {
            CodecError::unsupported("AVIF of moving pictures without a still")
        } else {
            CodecError::damaged(NAME, "it has no picture")
        });
    };
    let picture = Picture::read(bytes, &meta)?;
    let pieces = if moves { Ok(Vec::new()) } else { rewrite::pieces(bytes, &top, &meta, keep_profile) };
    let (pieces, fault) = pieces.map_or_else(|error| (Vec::new(), Some(error)), |pieces| (pieces, None));
    let (width, height) = picture.crop.map_or((picture.colour.width, picture.colour.height), |[_, _, w, h]| (w, h));
    let walked = Walked {
        width,
        height,
        frames: 1,
        frame_pixels: 0,
        orientation: picture.orientation,
        profile: picture.profile.clone().into_iter().collect(),
        peak_bytes: peak_bytes(&picture, bytes.len()),
        pieces,
        irregular: false,
        fault,
    };
    Ok(Avif { walked, picture, moves })
}

/// The result, and beside it a tile in the decoder; or the result and the turned one.
fn peak_bytes(picture: &Picture, length: usize) -> u64 {
    let pixels = area(picture.colour.width, picture.colour.height);
    let result = pixels.saturating_mul(picture.channels() as u64);
    let alpha = picture.alpha.iter().flat_map(|alpha| alpha.tiles.iter());
    let decoder = picture.colour.tiles.iter().chain(alpha).map(decoder_bytes).max().unwrap_or(0);
    // The decoder takes its data by value.
    let decoding = decoder.saturating_add(length as u64);
    let turning = if swaps_sides(picture.orientation) { result } else { 0 };
    result.saturating_add(decoding.max(turning)).saturating_add(TABLES_BYTES)
}

/// Tables for colour, rows, and what a decoder holds for any picture.
const TABLES_BYTES: u64 = 8 * 1024 * 1024;

/// What decoding one AV1 picture holds: a frame for each that is coded and one that film grain is put on, in blocks of 128, and
/// a byte a pixel for what the decoder notes down about each block of 4 by 4 or 8 by 8: an estimate, not measured.
fn decoder_bytes(tile: &Tile) -> u64 {
    let sequence = &tile.sequence;
    #[cfg(feature = "heic")]
    if let Coding::Hevc(hevc) = &tile.coding {
        return hevc_bytes(hevc, sequence, tile.extents.iter().map(|extent| extent.len() as u64).sum());
    }
    let [width, height] = [sequence.width, sequence.height].map(|side| u64::from(side.next_multiple_of(128)));
    let pixels = width.saturating_mul(height);
    let luma = if sequence.depth > 8 { 2 } else { 1 };
    // Quarters of a luma plane.
    let planes = match sequence.halved {
        _ if sequence.grey => 4,
        (true, true) => 6,
        (true, false) => 8,
        (false, _) => 12,
    };
    let frame = (pixels / 4).saturating_mul(planes * luma);
    frame.saturating_mul(u64::from(sequence.frames) + 1).saturating_add(pixels)
}

/// What decoding one HEVC picture holds: its planes of two bytes a sample and, at the end, those that are shown; a byte and a half a pixel for
/// what is noted down of each block; the data behind marks, and without the bytes that keep others apart.
#[cfg(feature = "heic")]
fn hevc_bytes(hevc: &Hevc, sequence: &Sequence, length: u64) -> u64 {
    let pixels = area(hevc.coded_width, hevc.coded_height);
    let samples = match sequence.halved {
        _ if sequence.grey => 2,
        (true, true) => 3,
        (true, false) => 4,
        (false, _) => 6,
    };
    // Halves of a byte.
    pixels.saturating_mul(4 * samples + 3).saturating_div(2).saturating_add(length.saturating_mul(3))
}

impl Picture {
    /// Whether it is without colour.
    pub(crate) fn grey(&self) -> bool {
        self.colour.tiles.iter().all(|tile| tile.sequence.grey)
    }

    /// Whether all of it is what an AVIF has.
    pub(crate) fn is_av1(&self) -> bool {
        let alpha = self.alpha.iter().flat_map(|alpha| &alpha.tiles);
        self.colour.tiles.iter().chain(alpha).all(|tile| matches!(tile.coding, Coding::Av1 { .. }))
    }

    /// Channels of the result.
    pub(crate) fn channels(&self) -> usize {
        (if self.grey() { 1 } else { 3 }) + usize::from(self.alpha.is_some())
    }
}
