//! AVIF: decoded by `re_rav1d`, a port of dav1d, on the calling thread; from its planes to sRGB here.
//!
//! The walker has read the sequence header of every tile: no frame is larger, deeper or more often coded than it says. HEIC is the
//! same with HEVC inside, behind the feature `heic`.

mod colour;
mod frame;
#[cfg(feature = "heic")]
mod hevc;

use super::budget::Budget;
use super::error::CodecError;
use super::light::Mapping;
use super::metadata::avif::{Avif, Cicp, Coded, Coding};
use super::raster::Raster;

use self::colour::Weights;
use self::frame::Frame;

const NAME: &str = "AVIF";

/// Whether the picture may be decoded at all; before anything is allocated.
pub(crate) fn check(avif: &Avif, budget: &Budget) -> Result<(), CodecError> {
    // A crop can make a picture small that is not.
    budget.check_size(avif.picture.colour.width, avif.picture.colour.height)?;
    #[cfg(feature = "heic")]
    for tile in avif.picture.colour.tiles.iter().chain(avif.picture.alpha.iter().flat_map(|alpha| &alpha.tiles)) {
        // Neither does what is cut away without being asked for.
        if let Coding::Hevc(hevc) = &tile.coding {
            budget.check_size(hevc.coded_width, hevc.coded_height)?;
        }
    }
    if !avif.picture.colour.agrees() || !avif.picture.alpha.iter().all(Coded::agrees) {
        return Err(CodecError::damaged(NAME, "the picture is not the size the header says"));
    }
    budget.check_memory(avif.walked.peak_bytes)
}

/// The picture as stored but for its crop: grey or RGB, with alpha where it has some. In sRGB, but where it has a colour profile:
/// then as that one means it.
pub(crate) fn decode(bytes: &[u8], avif: &Avif, budget: &Budget) -> Result<Raster, CodecError> {
    check(avif, budget)?;
    let picture = &avif.picture;
    let coded = &picture.colour;
    let mut raster = Raster::zeroed(coded.width, coded.height, picture.channels())?;
    if let Some(alpha) = &picture.alpha {
        tiles(bytes, alpha, budget, |frame, x, y, full_range| frame.paint_alpha(&mut raster, x, y, full_range))?;
    }
    let has_profile = avif.walked.profile_bytes() > 0;
    let mapping = if has_profile { Mapping::Keep } else { Mapping::new(picture.cicp.primaries, picture.cicp.transfer) };
    let weights = if picture.grey() { Weights::Identity } else { Weights::new(picture.cicp)? };
    let Cicp { full_range, .. } = picture.cicp;
    let premultiplied = picture.premultiplied && picture.alpha.is_some();
    tiles(bytes, coded, budget, |frame, x, y, _| {
        frame.paint(&mut raster, (x, y), &frame::Meaning { weights, full_range, premultiplied, mapping: &mapping });
    })?;
    Ok(match picture.crop {
        Some(part) => cut(raster, part),
        None => raster,
    })
}

/// Decodes tile after tile and shows each to `paint`, with its left and upper edge and whether its own header says that it uses
/// all levels.
fn tiles(
    bytes: &[u8],
    coded: &Coded,
    budget: &Budget,
    mut paint: impl FnMut(&Frame, u32, u32, bool),
) -> Result<(), CodecError> {
    for (tile, at) in coded.tiles.iter().zip(0_u32..) {
        budget.check_deadline()?;
        let frame = Frame::decode(bytes, tile, (coded.tile_width, coded.tile_height))?;
        let (x, y) = (at % coded.columns * coded.tile_width, at / coded.columns * coded.tile_height);
        let full_range = match tile.coding {
            Coding::Av1 { .. } => tile.sequence.colour.full_range,
            // Levels of alpha are levels.
            #[cfg(feature = "heic")]
            Coding::Hevc(_) => true,
        };
        paint(&frame, x, y, full_range);
    }
    budget.check_deadline()
}

/// A part of the picture, which the walker has found to lie inside. Works in place.
fn cut(mut raster: Raster, [left, top, width, height]: [u32; 4]) -> Raster {
    let stride = raster.row_bytes();
    let (from, length) = (left as usize * raster.channels, width as usize * raster.channels);
    for row in 0..height as usize {
        let start = (top as usize + row) * stride + from;
        // A row is written at or before where it was read.
        raster.data.copy_within(start..start + length, row * length);
    }
    raster.data.truncate(length * height as usize);
    raster.data.shrink_to_fit();
    Raster { width, height, ..raster }
}
