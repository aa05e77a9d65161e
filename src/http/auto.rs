//! `process.auto`: the format that the client takes and that is the smallest.

use std::time::Instant;

use axum::http::{HeaderMap, header::ACCEPT};

use super::error::ApiError;
use crate::{
    app::App,
    domain::{Asked, Format, OutputFormat, Variant},
    service::{originals::Original, process::Answer},
};

/// The extension that asks for it.
pub(super) const EXTENSION: &str = "auto";

/// A variant in a format that was chosen, and what the service said to it, if it was asked.
pub(super) struct Chosen {
    pub(super) variant: Variant,
    pub(super) answer: Option<Answer>,
}

/// What a client says that it takes by name. Programs that show pictures and take AVIF or WebP say so; `image/*` and `*/*` are said by all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Accepted {
    avif: bool,
    webp: bool,
}

impl Accepted {
    /// By the header `Accept` (RFC 9110, section 12.5.1): the media types by name whose weight is not 0.
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<&str> = values.flat_map(|value| value.split(',')).collect();
        let takes = |name: &str| {
            ranges.iter().any(|range| {
                let mut parts = range.split(';').map(str::trim);
                let is_named = parts.next().is_some_and(|media| media.eq_ignore_ascii_case(name));
                let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
                is_named && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
            })
        };
        Self { avif: takes("image/avif"), webp: takes("image/webp") }
    }
}

/// The formats for a picture, the best first: the last one is for everybody.
fn formats(accepted: Accepted, moves: bool, is_opaque: bool) -> Vec<OutputFormat> {
    let everybody = match (moves, is_opaque) {
        (true, _) => OutputFormat::Gif,
        (false, true) => OutputFormat::Jpg,
        (false, false) => OutputFormat::Png,
    };
    // An AVIF stands still here.
    let avif = (accepted.avif && !moves).then_some(OutputFormat::Avif);
    let webp = accepted.webp.then_some(OutputFormat::Webp);
    avif.into_iter().chain(webp).chain([everybody]).collect()
}

/// The variant to answer with: of the two best formats that the client takes the one whose file is smaller.
///
/// # Errors
/// Whatever is wrong with the filters, and refusals of the service.
pub(super) async fn choose(
    app: &App,
    headers: &HeaderMap,
    original: &Original,
    asked: &Asked,
    deadline: Instant,
) -> Result<Chosen, ApiError> {
    let accepted = Accepted::of(headers);
    let details = original.record.details;
    // Whoever takes both gets one of them: nothing has to be known of the picture.
    let is_opaque = details.format == Format::Jpg
        || (accepted.avif && accepted.webp)
        || details.frames > 1
        || asked.finish().background.is_some()
        || app.looking.of(original, deadline).await?.opaque;
    let mut formats = formats(accepted, details.frames > 1, is_opaque).into_iter();
    let variant = |format: OutputFormat| asked.variant(format).map_err(crate::service::ServiceError::from);
    let Some(best) = formats.next() else { return Err(ApiError::internal("no format is left".to_owned())) };
    let best = variant(best)?;
    let Some(next) = formats.next() else { return Ok(Chosen { variant: best, answer: None }) };
    let next = variant(next)?;
    let next_bytes = if original.is_already(&next) {
        original.record.size_bytes
    } else {
        app.process.variant(original, next.clone(), deadline).await?.record.size_bytes
    };
    if original.is_already(&best) {
        let is_smaller = original.record.size_bytes <= next_bytes;
        return Ok(Chosen { variant: if is_smaller { best } else { next }, answer: None });
    }
    match app.process.answer(original, best.clone(), deadline).await? {
        Answer::Made(made) if made.record.size_bytes > next_bytes => Ok(Chosen { variant: next, answer: None }),
        answer @ (Answer::Made(_) | Answer::Instead(..)) => Ok(Chosen { variant: best, answer: Some(answer) }),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_taken_is_said_by_name() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(value));
            let Accepted { avif, webp } = Accepted::of(&headers);
            (avif, webp)
        };
        assert_eq!(of("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"), (true, true));
        assert_eq!(of("image/webp, image/*"), (false, true));
        assert_eq!(of("IMAGE/AVIF ; q=0.5"), (true, false));
        assert_eq!(of("image/avif;q=0, image/webp;q=0.0"), (false, false));
        assert_eq!(of("image/avif;q=none"), (false, false));
        assert_eq!(of("image/*,*/*"), (false, false));
        assert_eq!(of("image/avif-sequence"), (false, false));
        let mut twice = HeaderMap::new();
        twice.append(ACCEPT, HeaderValue::from_static("image/webp"));
        twice.append(ACCEPT, HeaderValue::from_static("image/avif"));
        assert_eq!(Accepted::of(&twice), Accepted { avif: true, webp: true });
    }

    #[test]
    fn the_last_format_is_for_everybody() {
        use OutputFormat::{Avif, Gif, Jpg, Png, Webp};
        let both = Accepted { avif: true, webp: true };
        let none = Accepted { avif: false, webp: false };
        assert_eq!(formats(both, false, true), [Avif, Webp, Jpg]);
        assert_eq!(formats(both, false, false), [Avif, Webp, Png]);
        assert_eq!(formats(both, true, true), [Webp, Gif]);
        assert_eq!(formats(none, false, true), [Jpg]);
        assert_eq!(formats(none, true, false), [Gif]);
    }
}
