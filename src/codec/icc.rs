//! Colour profiles: from what a file's profile means to sRGB.

use std::sync::Arc;

use moxcms::{ColorProfile, DataColorSpace, Layout, Transform8BitExecutor, TransformOptions};

use super::error::CodecError;
use super::raster::Raster;

/// What has to happen to pixels for them to be sRGB.
pub(crate) enum Conversion {
    /// Nothing: they are, to within a level, or nobody can say otherwise.
    Keep,
    /// Every grey level becomes another.
    Grey(Box<[u8; 256]>),
    /// Rows go through a transform that leaves the channels as they are (alpha passes).
    Colour(Arc<Transform8BitExecutor>),
    /// Rows of ink coverage (255 is full) become RGB.
    Inks(Arc<Transform8BitExecutor>),
}

/// What a profile asks of pixels of so many channels: 1 and 2 are grey, 3 and 4 RGB. A profile that cannot be read, or
/// that is for other channels, asks for nothing: every viewer ignores such a one.
pub(crate) fn conversion(profile: Option<&[u8]>, channels: usize) -> Conversion {
    let Some(profile) = profile.and_then(|bytes| ColorProfile::new_from_slice(bytes).ok()) else {
        return Conversion::Keep;
    };
    match channels {
        1 | 2 => grey(&profile),
        3 => colour(&profile, Layout::Rgb),
        _ => colour(&profile, Layout::Rgba),
    }
    .unwrap_or(Conversion::Keep)
}

/// What a profile asks of ink coverages; `None` when it is no profile for four inks.
pub(crate) fn inks(profile: Option<&[u8]>) -> Option<Conversion> {
    let profile = ColorProfile::new_from_slice(profile?).ok()?;
    if profile.color_space != DataColorSpace::Cmyk {
        return None;
    }
    // The crate's four inks travel under the layout of four 8-bit channels.
    let transform = profile.create_transform_8bit(
        Layout::Rgba,
        &ColorProfile::new_srgb(),
        Layout::Rgb,
        TransformOptions::default(),
    );
    Some(Conversion::Inks(transform.ok()?))
}

/// A table of all grey levels: through a grey profile, or through an RGB profile along its neutral axis.
fn grey(profile: &ColorProfile) -> Option<Conversion> {
    let levels: Vec<u8> = (0..=255).collect();
    let (source, layout) = if profile.color_space == DataColorSpace::Gray {
        (levels, Layout::Gray)
    } else if profile.color_space == DataColorSpace::Rgb {
        (levels.iter().flat_map(|&level| [level; 3]).collect(), Layout::Rgb)
    } else {
        return None;
    };
    let transform = profile
        .create_transform_8bit(layout, &ColorProfile::new_srgb(), Layout::Rgb, TransformOptions::default())
        .ok()?;
    let mut rgb = [0_u8; 256 * 3];
    transform.transform(&source, &mut rgb).ok()?;
    let mut table = Box::new([0_u8; 256]);
    for (to, [_, green, _]) in table.iter_mut().zip(rgb.as_chunks::<3>().0) {
        *to = *green;
    }
    let unchanged = table.iter().enumerate().all(|(at, &level)| at.abs_diff(usize::from(level)) <= 1);
    Some(if unchanged { Conversion::Keep } else { Conversion::Grey(table) })
}

/// A transform of RGB pixels, unless it moves no colour of a 9 by 9 by 9 grid by more than a level: most profiles in
/// the wild are sRGB under one name or another, and those pictures are spared the pass and its rounding.
fn colour(profile: &ColorProfile, layout: Layout) -> Option<Conversion> {
    if profile.color_space != DataColorSpace::Rgb {
        return None;
    }
    let srgb = ColorProfile::new_srgb();
    let probe = profile.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, TransformOptions::default()).ok()?;
    let levels = [0_u8, 32, 64, 96, 128, 160, 192, 224, 255];
    let grid: Vec<u8> = (0..729)
        .flat_map(|at: usize| [at / 81, at / 9 % 9, at % 9])
        .map(|level| levels.get(level).copied().unwrap_or(255))
        .collect();
    let mut moved = vec![0; grid.len()];
    probe.transform(&grid, &mut moved).ok()?;
    if grid.iter().zip(&moved).all(|(&from, &to)| from.abs_diff(to) <= 1) {
        return Some(Conversion::Keep);
    }
    let transform = profile.create_transform_8bit(layout, &srgb, layout, TransformOptions::default()).ok()?;
    Some(Conversion::Colour(transform))
}

impl Conversion {
    /// Converts in place, a row at a time; inks give a picture of three channels, the others keep theirs. Allocates
    /// one row.
    ///
    /// # Errors
    /// [`CodecError::Damaged`] when the transform refuses a row.
    pub(crate) fn apply(&self, mut raster: Raster, format: &'static str) -> Result<Raster, CodecError> {
        match self {
            Self::Keep => {}
            Self::Grey(table) => {
                for pixel in raster.data.chunks_exact_mut(raster.channels) {
                    if let Some(level) = pixel.first_mut() {
                        *level = table.get(usize::from(*level)).copied().unwrap_or(*level);
                    }
                }
            }
            Self::Colour(transform) => {
                let row = raster.row_bytes();
                let mut converted = vec![0; row];
                for pixels in raster.data.chunks_exact_mut(row) {
                    transform.transform(pixels, &mut converted).map_err(|e| CodecError::damaged(format, e))?;
                    pixels.copy_from_slice(&converted);
                }
            }
            Self::Inks(transform) => {
                let (from, to) = (raster.row_bytes(), raster.width as usize * 3);
                let mut converted = vec![0; to];
                for y in 0..raster.height as usize {
                    // Row y is written at or before where it was read, so rows not yet read stay whole.
                    let Some(source) = raster.data.get(y * from..(y + 1) * from) else { break };
                    transform.transform(source, &mut converted).map_err(|e| CodecError::damaged(format, e))?;
                    if let Some(target) = raster.data.get_mut(y * to..(y + 1) * to) {
                        target.copy_from_slice(&converted);
                    }
                }
                raster.data.truncate(to * raster.height as usize);
                raster.data.shrink_to_fit();
                raster.channels = 3;
            }
        }
        Ok(raster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raster(channels: usize, data: &[u8]) -> Raster {
        Raster { width: u32::try_from(data.len() / channels).unwrap(), height: 1, channels, data: data.to_vec() }
    }

    #[test]
    fn srgb_and_nonsense_ask_for_nothing() {
        let srgb = ColorProfile::new_srgb().encode().unwrap();
        assert!(matches!(conversion(Some(&srgb), 3), Conversion::Keep));
        assert!(matches!(conversion(Some(&srgb), 1), Conversion::Keep));
        assert!(matches!(conversion(Some(b"no profile"), 4), Conversion::Keep));
        assert!(matches!(conversion(None, 3), Conversion::Keep));
    }

    /// Display P3's pure red lies outside sRGB (clips to 255, 0, 0), its white is white, and (200, 100, 50) in P3 is
    /// (214.9, 92.6, 31.0) in sRGB by the primaries.
    #[test]
    fn display_p3_moves_and_keeps_alpha() {
        let p3 = ColorProfile::new_display_p3().encode().unwrap();
        let got = conversion(Some(&p3), 4)
            .apply(raster(4, &[255, 255, 255, 7, 200, 100, 50, 128, 255, 0, 0, 255]), "test")
            .unwrap();
        let want = [255, 255, 255, 7, 215, 93, 31, 128, 255, 0, 0, 255];
        for (at, (&got, want)) in got.data.iter().zip(want).enumerate() {
            assert!(got.abs_diff(want) <= 2, "at {at}: {got} for {want}");
        }
        // The control: unconverted pixels would fail the same comparison.
        assert!(200_u8.abs_diff(215) > 2);
    }

    #[test]
    fn a_linear_grey_profile_lifts_the_middle() {
        let linear = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
        let got = conversion(Some(&linear), 2).apply(raster(2, &[0, 9, 55, 8, 255, 7]), "test").unwrap();
        // 55/255 linear is 0.5016 encoded: 128.
        assert_eq!(got.data[0], 0);
        assert!(got.data[2].abs_diff(128) <= 2, "{:?}", got.data);
        assert_eq!([got.data[1], got.data[3], got.data[4], got.data[5]], [9, 8, 255, 7]);
    }
}
