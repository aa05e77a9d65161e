//! Steps that are done to a picture before it is stored: a variant of it, in its own format, in its place.

use std::{iter::once, sync::Arc, time::Instant};

use super::{Process, Source, Work, finish::encoding_bytes, made_of, ops::ops};
use crate::{
    codec::{self, Budget, Quality},
    domain::{Asked, Details, Finish, Format, Looks, OutputFormat},
    pixels::{Op, Size, Target},
    service::{ServiceError, originals::Original, pool::Class},
    store::{Staged, Staging, StagingError},
};

/// Steps that change something of a picture, and all that was decided about them.
pub struct Change(Work);

impl Change {
    /// Whether all of the picture is still there to see, only smaller.
    #[must_use]
    pub fn only_reduces(&self) -> bool {
        self.0.ops.iter().all(|op| matches!(op, Op::Resize { to: Target::Fit(_), .. }))
    }
}

/// The format that a changed picture is written in so that it is stored in the format that it has.
fn own_format(details: &Details) -> OutputFormat {
    match details.format {
        Format::Png if details.frames > 1 => OutputFormat::Apng,
        Format::Png => OutputFormat::Png,
        Format::Jpg => OutputFormat::Jpg,
        Format::Webp => OutputFormat::Webp,
        Format::Gif => OutputFormat::Gif,
        Format::Avif => OutputFormat::Avif,
    }
}

impl Process {
    /// What these steps are to a picture that looks like this, in its own format; `None` where they leave it as it is. Without looks, what is
    /// to be kept by them is the middle.
    ///
    /// # Errors
    /// A refusal of the plan.
    pub fn change(
        &self,
        original: Original,
        steps: &Asked,
        looks: Option<&Looks>,
        deadline: Instant,
    ) -> Result<Option<Change>, ServiceError> {
        let details = original.record.details;
        let variant = steps.variant(own_format(&details))?;
        let whole = Size::new(details.width, details.height);
        let ops = ops(variant.filters(), whole, looks.map(|looks| &looks.saliency));
        let plan = self.plan(&original, &ops)?;
        if plan.is_identity() && variant.finish() == Finish::default() {
            return Ok(None);
        }
        // As a conversion at upload: nothing better is kept of it.
        let quality = variant.quality().or(Some(Quality::ORIGINAL)).filter(|_| variant.finish().aim.is_none());
        let variant = if quality.is_some() { variant.with_quality(quality) } else { variant };
        let (moves, class, wanted, share) = (details.frames > 1, Class::Upload, None, None);
        Ok(Some(Change(Work { original, variant, ops, plan, moves, class, deadline, wanted, share })))
    }

    /// What comes of a staged picture by the change, staged, and what it is then.
    ///
    /// # Errors
    /// Refusals of the codec, or the pool's [`ServiceError::Busy`] and the like.
    pub async fn changed(
        &self,
        Change(work): Change,
        staged: Staged,
        staging: Arc<Staging>,
    ) -> Result<(Staged, Details), ServiceError> {
        let peak_bytes = self.whole_peak_bytes(&work.original, &work.plan, work.moves);
        let at_least = encoding_bytes(&work.plan, &work.variant);
        let reservation = self.pool.reserve(work.class, peak_bytes.max(at_least), work.deadline).await?;
        let (engines, options) = (Arc::clone(&self.engines), self.options.clone());
        let stages = Arc::clone(self.pool.stages());
        reservation
            .run(move |stop| {
                let path = staged.path().to_owned();
                let unreadable = |source| StagingError::Io { doing: "reading", path, source };
                let bytes = staged.read_blocking().map_err(unreadable)?.into();
                let made = made_of(bytes, &work, Source::Any, &options, (&engines, &stages), stop)?;
                let (encoded, _proxy) = made.ok_or(ServiceError::Panicked)?;
                // What it is now, by its own header.
                let budget = Budget { deadline: stop.deadline(), ..options.budget };
                let accepted = codec::accept(encoded.bytes.into(), &budget)?;
                let staged = staging.write_pieces_blocking(once(accepted.stored.as_slice()))?;
                Ok((staged, accepted.details))
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_format() {
        for (format, frames, written) in [
            (Format::Png, 1, OutputFormat::Png),
            (Format::Png, 2, OutputFormat::Apng),
            (Format::Gif, 1, OutputFormat::Gif),
            (Format::Avif, 1, OutputFormat::Avif),
        ] {
            let own = own_format(&Details { width: 9, height: 9, format, frames });
            assert_eq!((own, own.format()), (written, format));
        }
    }
}
