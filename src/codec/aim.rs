//! Files that aim at a size or a likeness: encoded again until they have it.

use std::ops::RangeInclusive;

use fast_ssim2::{PixelDescriptor, PixelSlice, Ssimulacra2Reference};

use super::{Budget, CodecError, decode, encode_picture, lay_on};
use crate::{
    domain::{OutputFormat, Quality, Settings},
    pixels::{Layout, Pixmap, pixmap::Picture},
};

/// The SSIMULACRA2 that a likeness aims at. 70 is "high quality", 90 cannot be told from the picture (libjxl's own scale); JPEGs of photos
/// at quality 80 have 77 or 78.
pub const LIKENESS: f64 = 75.0;

/// The qualities that are tried for a likeness.
const FOR_LIKENESS: RangeInclusive<u8> = 25..=95;

/// The least quality that is tried for a size.
const LEAST: u8 = 10;

/// The longest side of what is held against each other, in pixels: of a larger picture it is the middle. The planes of it are in floating
/// point, some 60 of them.
const SIDE_PX: u32 = 512;

/// What holding pictures of this size against each other takes, about.
#[must_use]
pub fn likeness_bytes(width: u32, height: u32) -> u64 {
    let side = |side: u32| u64::from(side.min(SIDE_PX));
    240 * side(width) * side(height) + 8 * u64::from(width) * u64::from(height)
}

/// The picture as a file of a lossy format: of the least quality that has [`LIKENESS`] if that is asked for, else as `settings` say; and of
/// less quality if it takes that to have no more than `max_bytes`, down to 10: then it may still be larger.
///
/// # Errors
/// As [`encode_picture`]; [`CodecError::TimedOut`] past the deadline of the budget.
pub fn encode_aiming(
    picture: &Picture,
    format: OutputFormat,
    settings: Settings,
    (likeness, max_bytes): (bool, Option<u32>),
    budget: &Budget,
) -> Result<Vec<u8>, CodecError> {
    let of = |quality: u8| {
        budget.check_deadline()?;
        encode_picture(picture, format, Settings { quality: Quality::new(quality), ..settings })
    };
    let (mut quality, mut file) = (settings.quality.get(), None);
    if likeness && let Some(reference) = Reference::of(picture)? {
        // The least of which the file is like the picture; the most if none is.
        let (mut low, mut high) = (*FOR_LIKENESS.start(), *FOR_LIKENESS.end());
        while low < high {
            let middle = low.midpoint(high);
            let tried = of(middle)?;
            if reference.likeness(&tried)? >= LIKENESS {
                (high, file) = (middle, Some(tried));
            } else {
                low = middle + 1;
            }
        }
        quality = high;
        if high == *FOR_LIKENESS.end() {
            file = None;
        }
    }
    let file = file.map_or_else(|| of(quality), Ok)?;
    let fits = |file: &[u8]| max_bytes.is_none_or(|max| file.len() as u64 <= u64::from(max));
    if fits(&file) || quality <= LEAST {
        return Ok(file);
    }
    // The highest that fits, of those below; the least if none does.
    let (mut low, mut high, mut best) = (LEAST, quality - 1, None);
    while low <= high {
        let middle = low.midpoint(high);
        let tried = of(middle)?;
        if fits(&tried) {
            best = Some(tried);
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    best.map_or_else(|| of(LEAST), Ok)
}

/// What files are held against.
struct Reference {
    reference: Ssimulacra2Reference,
}

impl Reference {
    /// The middle of a picture, laid on white; `None` where it cannot be reckoned with.
    fn of(picture: &Picture) -> Result<Option<Self>, CodecError> {
        let pixmap = picture.clone().into_pixmap().map_err(|error| failure(&error))?;
        let (data, width, height) = middle(pixmap)?;
        Ok(slice(&data, width, height)
            .and_then(|slice| Ssimulacra2Reference::new(&slice).ok())
            .map(|reference| Self { reference }))
    }

    /// The SSIMULACRA2 of a file; up to 100, which is the same.
    fn likeness(&self, file: &[u8]) -> Result<f64, CodecError> {
        // It was written here: no other limit than what was decoded before.
        let (data, width, height) = middle(decode(file, &Budget { max_pixels: u64::MAX, ..Budget::default() })?)?;
        let slice = slice(&data, width, height).ok_or_else(|| failure(&"its size is none"))?;
        self.reference.compare(&slice).map_err(|error| failure(&error))
    }
}

fn slice(data: &[u8], width: u32, height: u32) -> Option<PixelSlice<'_>> {
    let stride = usize::try_from(width).ok()?.checked_mul(3)?;
    PixelSlice::new(data, width, height, stride, PixelDescriptor::RGB8_SRGB).ok()
}

/// RGB of the middle of a picture.
fn middle(pixmap: Pixmap) -> Result<(Vec<u8>, u32, u32), CodecError> {
    let pixmap = lay_on(pixmap, [255; 3]).map_err(|error| failure(&error))?;
    let (width, height) = (pixmap.width().min(SIDE_PX), pixmap.height().min(SIDE_PX));
    let [x, y, width_px, rows] =
        [(pixmap.width() - width) / 2, (pixmap.height() - height) / 2, width, height].map(|side| side as usize);
    let bytes = if pixmap.layout() == Layout::Rgb { 3 } else { 1 };
    let mut data = Vec::with_capacity(3 * width_px * rows);
    for row in pixmap.rows().skip(y).take(rows) {
        let part = row.get(bytes * x..bytes * (x + width_px)).unwrap_or_default();
        if bytes == 3 {
            data.extend_from_slice(part);
        } else {
            data.extend(part.iter().flat_map(|level| [*level; 3]));
        }
    }
    Ok((data, width, height))
}

fn failure(error: &impl std::fmt::Display) -> CodecError {
    CodecError::Encode { format: "picture of a likeness", cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Smooth shades, or noise on them.
    fn picture(width: u32, height: u32, noise: u32) -> Picture {
        let mut seed = 1_u32;
        let mut sample = |x: u32, y: u32, channel: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let shade = 40 + 150 * (x + y * channel / 2) / (width + height);
            u8::try_from((shade + (seed >> 24) * noise / 256).min(255)).unwrap()
        };
        let mut data = Vec::new();
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            data.extend([0, 1, 2].map(|channel| sample(x, y, channel)));
        }
        Picture::Packed(Pixmap::new(width, height, Layout::Rgb, data).unwrap())
    }

    fn encode(picture: &Picture, format: OutputFormat, aim: (bool, Option<u32>)) -> Vec<u8> {
        encode_aiming(picture, format, Settings::default(), aim, &Budget::default()).unwrap()
    }

    #[test]
    fn a_likeness_is_met_by_no_more_than_it_takes() {
        for (format, noise) in [(OutputFormat::Jpg, 60), (OutputFormat::Webp, 30)] {
            let picture = picture(160, 120, noise);
            let reference = Reference::of(&picture).unwrap().unwrap();
            let file = encode(&picture, format, (true, None));
            let got = reference.likeness(&file).unwrap();
            assert!(got >= LIKENESS, "{format:?} {got}");
            // A tenth less of quality is not enough, so it was not simply the best.
            let best = encode_picture(&picture, format, Quality::new(95).into()).unwrap();
            assert!(file.len() < best.len() * 9 / 10, "{} {}", file.len(), best.len());
        }
    }

    #[test]
    fn a_size_is_kept_where_quality_can_do_that() {
        let picture = picture(200, 150, 90);
        let whole = encode(&picture, OutputFormat::Jpg, (false, None)).len();
        for part in [2, 3] {
            let max = u32::try_from(whole / part).unwrap();
            let file = encode(&picture, OutputFormat::Jpg, (false, Some(max)));
            assert!(file.len() <= max as usize && file.len() > max as usize * 8 / 10, "{} of {max}", file.len());
        }
        let least = encode(&picture, OutputFormat::Jpg, (false, Some(1)));
        assert_eq!(least, encode_picture(&picture, OutputFormat::Jpg, Quality::new(LEAST).into()).unwrap());
        assert_eq!(encode(&picture, OutputFormat::Jpg, (false, Some(u32::MAX))).len(), whole);
        // Both: the size has the last word.
        let both = encode(&picture, OutputFormat::Jpg, (true, Some(u32::try_from(whole / 3).unwrap())));
        assert!(both.len() <= whole / 3);
    }

    #[test]
    fn pictures_of_all_shapes_are_held_against_each_other() {
        for (width, height) in [(1, 1), (3, 700), (700, 3), (600, 600)] {
            let picture = picture(width, height, 20);
            assert!(!encode(&picture, OutputFormat::Webp, (true, None)).is_empty());
        }
        let grey = Pixmap::new(30, 20, Layout::LumaAlpha, vec![77; 1200]).unwrap();
        assert!(!encode(&Picture::Packed(grey), OutputFormat::Webp, (true, None)).is_empty());
    }
}
