//! Whether an answer is what was asked for: its size, what it shows, and how alike it is to the reference.

use anyhow::{Result, anyhow, ensure};
use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

use crate::picture::{Flip, Picture, apart};

/// The largest mean difference of two grids of the same picture, in codes. Filtering in linear light or not makes up to 3; another
/// photo, or the same one upside down, makes 6 and more, and a run ends where two of the photos do not.
const MOST_APART: f32 = 4.5;

/// SSIMULACRA2: 100 is the same, 90 cannot be told apart, 70 is high quality, 50 medium.
pub fn ssimulacra2(reference: &Picture, picture: &Picture) -> Result<f64> {
    let frame = |picture: &Picture| {
        let pixels =
            picture.rgb.chunks_exact(3).map(|pixel| [0, 1, 2].map(|at| f32::from(pixel[at]) / 255.0)).collect();
        Rgb::new(pixels, picture.width, picture.height, TransferCharacteristic::SRGB, ColorPrimaries::BT709)
            .map_err(|error| anyhow!("{error}"))
    };
    compute_frame_ssimulacra2(frame(reference)?, frame(picture)?).map_err(|error| anyhow!("{error}"))
}

/// The grids of one photo, however it lies.
pub struct Grids {
    grids: Vec<Vec<f32>>,
}

impl Grids {
    pub fn of(picture: &Picture) -> Self {
        Self { grids: Flip::ALL.into_iter().map(|flip| picture.flipped(flip).grid()).collect() }
    }

    fn lying(&self, flip: Flip) -> &[f32] {
        let at = Flip::ALL.into_iter().position(|other| other == flip).unwrap_or_default();
        &self.grids[at]
    }

    /// # Errors
    /// When the picture is of something else, or lies another way.
    pub fn check(&self, flip: Flip, picture: &Picture) -> Result<()> {
        let apart = apart(self.lying(flip), &picture.grid());
        ensure!(apart <= MOST_APART, "the picture is not what was asked for: {apart:.1} codes apart from it");
        Ok(())
    }

    /// That the check can fail: no two photos, and no two ways of a photo, would pass for each other.
    pub fn control(all: &[Self]) -> Result<()> {
        let every: Vec<&[f32]> = all.iter().flat_map(|grids| grids.grids.iter().map(Vec::as_slice)).collect();
        for (at, one) in every.iter().enumerate() {
            for (number, other) in every[..at].iter().enumerate() {
                let apart = apart(one, other);
                ensure!(apart > MOST_APART, "pictures {at} and {number} are too alike to tell apart: {apart:.1} codes");
            }
        }
        Ok(())
    }
}

/// The sides that a picture has when it is fitted into a square. Servers round or cut, so one pixel more or less is right.
pub fn check_size(picture: &Picture, source: (usize, usize), side: Option<u32>) -> Result<()> {
    let longest = source.0.max(source.1) as f64;
    let scale = side.map_or(1.0, |side| (f64::from(side) / longest).min(1.0));
    let wanted = (source.0 as f64 * scale, source.1 as f64 * scale);
    let is_near = |got: usize, wanted: f64| (got as f64 - wanted).abs() <= 1.0;
    ensure!(
        is_near(picture.width, wanted.0) && is_near(picture.height, wanted.1),
        "{} by {} instead of {:.1} by {:.1}",
        picture.width,
        picture.height,
        wanted.0,
        wanted.1
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Picture {
        let rgb = (0..64 * 48).flat_map(|at| [(at % 64 * 4) as u8, (at / 64 * 5) as u8, 90]).collect();
        Picture { width: 64, height: 48, rgb }
    }

    #[test]
    fn what_is_wrong_is_found() {
        let (ramp, grids) = (ramp(), Grids::of(&ramp()));
        assert!(grids.check(Flip::None, &ramp).is_ok());
        assert!(grids.check(Flip::Vertical, &ramp.flipped(Flip::Vertical)).is_ok());
        assert!(grids.check(Flip::None, &ramp.flipped(Flip::Vertical)).is_err());
        assert!(Grids::control(&[Grids::of(&ramp), Grids::of(&ramp)]).is_err());
        assert!(check_size(&ramp, (4000, 3000), Some(64)).is_ok());
        assert!(check_size(&ramp, (4000, 3000), Some(62)).is_err());
        assert!(check_size(&ramp, (3000, 4000), Some(64)).is_err());
    }

    #[test]
    fn a_worse_picture_scores_less() {
        let ramp = ramp();
        let noisy = Picture {
            rgb: ramp.rgb.iter().enumerate().map(|(at, code)| code ^ (at % 7) as u8).collect(),
            ..ramp.clone()
        };
        let (same, worse) = (ssimulacra2(&ramp, &ramp), ssimulacra2(&ramp, &noisy));
        assert!(matches!((same, worse), (Ok(same), Ok(worse)) if same > 99.0 && worse < 90.0));
    }
}
