//! A variant: a picture derived from an original by filters, in an output format.

use std::fmt::Write as _;

use super::{
    filter::{Filter, FilterError},
    format::OutputFormat,
    quality::Quality,
};

/// The most filters one request may name.
pub const MAX_FILTERS: usize = 16;

/// How a file is to come of the filters, beyond its format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finish {
    /// How well it is to be encoded; `None` is as the server does.
    pub aim: Option<Aim>,
    /// The most bytes that it is to have, as far as quality can do that.
    pub max_bytes: Option<u32>,
    /// What is seen through it; `None` keeps what can be seen through.
    pub background: Option<Background>,
}

/// How well a file of a lossy format is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// By this number.
    Quality(Quality),
    /// As well as it takes to look like the picture.
    Likeness,
}

/// A colour behind a picture: red, green and blue, sRGB-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Background(pub [u8; 3]);

/// The filters of a request in their order, without those that change nothing, and the file that is to come of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    filters: Vec<Filter>,
    format: OutputFormat,
    /// As it was asked for.
    finish: Finish,
    still: bool,
}

impl Variant {
    /// The variant that `filters`, applied in order, and `format` make.
    ///
    /// # Errors
    /// [`FilterError::TooMany`] past [`MAX_FILTERS`] filters.
    pub fn new(filters: &[Filter], format: OutputFormat) -> Result<Self, FilterError> {
        if filters.len() > MAX_FILTERS {
            return Err(FilterError::TooMany { got: filters.len(), max: MAX_FILTERS });
        }
        let filters = filters.iter().copied().filter(|filter| !filter.is_identity()).collect();
        Ok(Self { filters, format, finish: Finish::default(), still: false })
    }

    /// The same, finished like this. A lossless format heeds the background alone.
    #[must_use]
    pub const fn with_finish(mut self, finish: Finish) -> Self {
        self.finish = finish;
        self
    }

    /// The same, encoded at this quality instead of the server's; in a lossless format nothing is changed by it.
    #[must_use]
    pub fn with_quality(self, quality: Option<Quality>) -> Self {
        let finish = Finish { aim: quality.map(Aim::Quality), ..self.finish };
        self.with_finish(finish)
    }

    /// The same in another format, of the same quality as far as it has one; `still` keeps one that moves to the first frame.
    #[must_use]
    pub fn instead(&self, format: OutputFormat, still: bool) -> Self {
        Self { format, still: still && format.moves(), ..self.clone() }
    }

    /// Whether it shows the first frame only, of an animation in a format that moves.
    #[must_use]
    pub const fn is_still(&self) -> bool {
        self.still || !self.format.moves()
    }

    /// The filters that change something, in order.
    #[must_use]
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The format it is encoded in.
    #[must_use]
    pub const fn format(&self) -> OutputFormat {
        self.format
    }

    /// The quality that was asked for; `None` is the server's own.
    #[must_use]
    pub const fn quality(&self) -> Option<Quality> {
        match self.finish().aim {
            Some(Aim::Quality(quality)) => Some(quality),
            Some(Aim::Likeness) | None => None,
        }
    }

    /// How the file is to come, as far as its format has a use for it.
    #[must_use]
    pub const fn finish(&self) -> Finish {
        if self.format.is_lossy() {
            self.finish
        } else {
            Finish { background: self.finish.background, aim: None, max_bytes: None }
        }
    }

    /// The name of this variant among those of its original.
    #[must_use]
    pub fn key(&self) -> VariantKey {
        // One allocation: a hit in memory is looked for by this.
        let mut text = String::with_capacity(48);
        // Nothing fails that is written to memory.
        for filter in &self.filters {
            let _written = write!(text, "{filter}&");
        }
        let Finish { aim, max_bytes, background } = self.finish();
        if let Some(Background([red, green, blue])) = background {
            let _written = write!(text, "background={red:02x}{green:02x}{blue:02x}&");
        }
        match aim {
            Some(Aim::Quality(quality)) => {
                let _written = write!(text, "{quality}&");
            }
            Some(Aim::Likeness) => text.push_str("quality=auto&"),
            None => {}
        }
        if let Some(max_bytes) = max_bytes {
            let _written = write!(text, "max_bytes={max_bytes}&");
        }
        if self.still {
            text.push_str("still&");
        }
        text.push_str(self.format.extension());
        VariantKey(text)
    }
}

/// The canonical text of a variant: `thumbnail=256&blur=3&quality=60&jpg`. Equal texts are equal pictures.
///
/// A quality that was asked for is in it even where it is the server's own: that one may be another after a restart, and
/// a client that names a number is to get that number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariantKey(String);

impl VariantKey {
    /// A key read back from where it was stored.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The format of the variant: the last part of the text.
    #[must_use]
    pub fn format(&self) -> Option<OutputFormat> {
        OutputFormat::from_extension(self.0.rsplit('&').next()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_counts_and_what_changes_nothing_does_not() {
        let key = |filters: &[Filter]| Variant::new(filters, OutputFormat::Jpg).unwrap().key();
        let (small, soft) = (Filter::Thumbnail(256), Filter::Blur(3.0));
        assert_eq!(key(&[small, soft]).as_str(), "thumbnail=256&blur=3&jpg");
        assert_ne!(key(&[small, soft]), key(&[soft, small]));
        assert_eq!(key(&[Filter::Identity, small, Filter::Blur(0.0)]), key(&[small]));
        assert_ne!(key(&[small]), Variant::new(&[small], OutputFormat::Png).unwrap().key());
        assert_eq!(Variant::new(&[small; 17], OutputFormat::Jpg), Err(FilterError::TooMany { got: 17, max: 16 }));
    }

    #[test]
    fn quality_is_part_of_the_key_where_it_changes_the_file() {
        let key = |format, quality: u8| {
            let variant = Variant::new(&[Filter::Thumbnail(256)], format).unwrap();
            variant.with_quality(Some(Quality::new(quality))).key()
        };
        assert_eq!(key(OutputFormat::Jpg, 60).as_str(), "thumbnail=256&quality=60&jpg");
        assert_ne!(key(OutputFormat::Webp, 60), key(OutputFormat::Webp, 61));
        for lossless in OutputFormat::ALL.into_iter().filter(|format| !format.is_lossy()) {
            assert_eq!(key(lossless, 60).as_str(), format!("thumbnail=256&{}", lossless.extension()));
        }
        let avif = Variant::new(&[Filter::Thumbnail(9)], OutputFormat::Avif).unwrap();
        let avif = avif.with_quality(Some(Quality::new(60)));
        assert_eq!(avif.instead(OutputFormat::Webp, true).key().as_str(), "thumbnail=9&quality=60&still&webp");
        assert_eq!(avif.instead(OutputFormat::Webp, false).key().as_str(), "thumbnail=9&quality=60&webp");
        assert_eq!(avif.instead(OutputFormat::Jpg, true).key().as_str(), "thumbnail=9&quality=60&jpg");
        assert!(avif.is_still() && avif.instead(OutputFormat::Webp, true).is_still());
        assert!(!avif.instead(OutputFormat::Webp, false).is_still());
        let bare = Variant::new(&[], OutputFormat::Jpg).unwrap();
        assert_eq!(bare.clone().with_quality(None).key().as_str(), "jpg");
        assert_eq!(bare.with_quality(Some(Quality::new(9))).key().as_str(), "quality=9&jpg");
    }
}
