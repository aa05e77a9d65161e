//! What one picture may cost, decided before anything is allocated.

use std::time::Instant;

use super::error::CodecError;

/// Limits on one job. Sizes are checked in the header, before a pixel is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Pixels of a still, or of the canvas of an animation.
    pub max_pixels: u64,
    /// Columns, and rows.
    pub max_side: u32,
    /// Pictures of an animation.
    pub max_frames: u32,
    /// Pixels of all pictures of an animation together: canvas times frames, or the frames' own areas, whichever
    /// is more.
    pub max_animation_pixels: u64,
    /// Scans of a JPEG: each costs a pass over every block, and a few bytes of file are enough for one.
    pub max_scans: u32,
    /// Pixels times scans of a JPEG.
    pub max_scan_pixels: u64,
    /// Bytes of metadata of a file that is stored as it is: its colour profile, and what is removed from it.
    pub max_metadata_bytes: u64,
    /// Bytes of a colour profile, unpacked. A larger one is treated as none.
    pub max_profile_bytes: u64,
    /// Bytes that decoding may hold at its peak, as [`peak_bytes`](super::peak_bytes) estimates them.
    pub max_memory_bytes: u64,
    /// When to give up. Looked at between rows and frames, where the decoder lets us, and between steps.
    pub deadline: Option<Instant>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            max_pixels: 40_000_000,
            max_side: 65_535,
            max_frames: 100,
            max_animation_pixels: 50_000_000,
            max_scans: 100,
            max_scan_pixels: 1_000_000_000,
            // The film in the trailer of a phone's picture counts too.
            max_metadata_bytes: 32 * 1024 * 1024,
            max_profile_bytes: 4 * 1024 * 1024,
            max_memory_bytes: 480 * 1024 * 1024,
            deadline: None,
        }
    }
}

impl Budget {
    /// Whether a picture of this size may be decoded at all.
    ///
    /// # Errors
    /// [`CodecError::SideTooLong`] or [`CodecError::TooManyPixels`].
    pub fn check_size(&self, width: u32, height: u32) -> Result<(), CodecError> {
        let side = width.max(height);
        let pixels = area(width, height);
        if pixels > self.max_pixels {
            return Err(CodecError::TooManyPixels { got: pixels, max: self.max_pixels, width, height });
        }
        if side > self.max_side {
            return Err(CodecError::SideTooLong { got: side, max: self.max_side });
        }
        Ok(())
    }

    /// Whether an animation of so many frames, of so many pixels in all, may be decoded.
    ///
    /// # Errors
    /// [`CodecError::TooManyFrames`] or [`CodecError::TooManyAnimationPixels`].
    pub fn check_animation(&self, frames: u32, pixels: u64) -> Result<(), CodecError> {
        if frames > self.max_frames {
            return Err(CodecError::TooManyFrames { got: frames, max: self.max_frames });
        }
        if frames > 1 && pixels > self.max_animation_pixels {
            return Err(CodecError::TooManyAnimationPixels { got: pixels, max: self.max_animation_pixels });
        }
        Ok(())
    }

    /// Whether a file may bring so many bytes of metadata.
    ///
    /// # Errors
    /// [`CodecError::TooMuchMetadata`].
    pub fn check_metadata(&self, bytes: u64) -> Result<(), CodecError> {
        if bytes > self.max_metadata_bytes {
            return Err(CodecError::TooMuchMetadata { got: bytes, max: self.max_metadata_bytes });
        }
        Ok(())
    }

    /// Whether so many bytes may be held.
    ///
    /// # Errors
    /// [`CodecError::TooMuchMemory`].
    pub fn check_memory(&self, bytes: u64) -> Result<(), CodecError> {
        if bytes > self.max_memory_bytes {
            return Err(CodecError::TooMuchMemory { got: bytes, max: self.max_memory_bytes });
        }
        Ok(())
    }

    /// Whether there is time left.
    ///
    /// # Errors
    /// [`CodecError::TimedOut`].
    pub fn check_deadline(&self) -> Result<(), CodecError> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(CodecError::TimedOut),
            Some(_) | None => Ok(()),
        }
    }
}

/// Pixels of a rectangle.
pub(crate) fn area(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_inclusive() {
        let budget =
            Budget { max_pixels: 100, max_side: 50, max_frames: 3, max_animation_pixels: 90, ..Budget::default() };
        assert_eq!(budget.check_size(10, 10), Ok(()));
        assert_eq!(
            budget.check_size(10, 11),
            Err(CodecError::TooManyPixels { got: 110, max: 100, width: 10, height: 11 })
        );
        assert_eq!(budget.check_size(50, 2), Ok(()));
        assert_eq!(budget.check_size(1, 51), Err(CodecError::SideTooLong { got: 51, max: 50 }));
        assert!(budget.check_size(u32::MAX, u32::MAX).is_err());
        assert_eq!(budget.check_animation(3, 90), Ok(()));
        assert_eq!(budget.check_animation(4, 90), Err(CodecError::TooManyFrames { got: 4, max: 3 }));
        assert_eq!(budget.check_animation(2, 91), Err(CodecError::TooManyAnimationPixels { got: 91, max: 90 }));
        let budget = Budget { max_metadata_bytes: 7, max_memory_bytes: 8, ..budget };
        assert_eq!((budget.check_metadata(7), budget.check_memory(8)), (Ok(()), Ok(())));
        assert_eq!(budget.check_metadata(8), Err(CodecError::TooMuchMetadata { got: 8, max: 7 }));
        assert_eq!(budget.check_memory(9), Err(CodecError::TooMuchMemory { got: 9, max: 8 }));
        // A still is bounded by `max_pixels` alone.
        assert_eq!(budget.check_animation(1, 91), Ok(()));
    }

    #[test]
    fn a_deadline_in_the_past_has_passed() {
        let now = Instant::now();
        assert_eq!(Budget { deadline: Some(now), ..Budget::default() }.check_deadline(), Err(CodecError::TimedOut));
        assert_eq!(Budget::default().check_deadline(), Ok(()));
    }
}
