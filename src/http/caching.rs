//! How an image is served: validators, preconditions (RFC 9110, section 13.2.2) and ranges (section 14).

use std::{
    ops::Range,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH,
            IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse as _, Response},
};
use headers::{HeaderMapExt as _, IfMatch, IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince, LastModified};

use super::error::ApiError;
use crate::{
    domain::{Compat, Hash, OutputFormat},
    service::late::Reason,
};

/// What every image is served with: its name never names other bytes. A day of 0.2, a week of 0.5.
const fn forever(compat: Compat) -> HeaderValue {
    match compat {
        Compat::V02 => HeaderValue::from_static("public, max-age=86400, immutable"),
        Compat::V05 => HeaderValue::from_static("public, max-age=604800, immutable"),
    }
}

/// What is known of the bytes before they are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Representation {
    /// The SHA-256 of the bytes: a strong validator.
    pub(super) etag: Hash,
    /// How many there are.
    pub(super) size_bytes: u64,
    /// Since when, in seconds since 1970.
    pub(super) modified_secs: u64,
    /// What they are.
    pub(super) media_type: &'static str,
    /// Whose rule for caches they are served under.
    pub(super) compat: Compat,
}

/// What the request's conditions and range come to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Whole,
    Part(Range<u64>),
    NotModified,
    PreconditionFailed,
    Unsatisfiable,
}

/// The answer to a request for `representation`; `body` is asked for the bytes of a range, unless none are to be sent.
pub(super) async fn answer(
    method: &Method,
    headers: &HeaderMap,
    representation: &Representation,
    body: impl AsyncFnOnce(Range<u64>) -> Result<Body, ApiError>,
) -> Result<Response, ApiError> {
    let size_bytes = representation.size_bytes;
    let (status, range) = match outcome(method, headers, representation) {
        Outcome::PreconditionFailed => return Err(ApiError::precondition_failed()),
        Outcome::Unsatisfiable => {
            let mut response = ApiError::unsatisfiable_range(size_bytes).into_response();
            insert(&mut response, CONTENT_RANGE, &format!("bytes */{size_bytes}"));
            return Ok(response);
        }
        Outcome::NotModified => {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            validators(&mut response, representation);
            return Ok(response);
        }
        Outcome::Whole => (StatusCode::OK, 0..size_bytes),
        Outcome::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
    };
    let bytes = if *method == Method::HEAD { Body::empty() } else { body(range.clone()).await? };
    let mut response = (status, bytes).into_response();
    *response.headers_mut() = head(representation);
    if status == StatusCode::PARTIAL_CONTENT {
        insert(&mut response, CONTENT_LENGTH, &(range.end - range.start).to_string());
        insert(&mut response, CONTENT_RANGE, &format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1));
    }
    Ok(response)
}

/// The headers of the whole of `representation`, as a `200` has them.
pub(super) fn head(representation: &Representation) -> HeaderMap {
    let mut response = Response::new(());
    validators(&mut response, representation);
    insert(&mut response, CONTENT_LENGTH, &representation.size_bytes.to_string());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(representation.media_type));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response.into_parts().0.headers
}

/// Whether a request asks for the whole, whatever it knows already.
pub(super) fn is_plain(headers: &HeaderMap) -> bool {
    let any = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];
    any.iter().all(|name| !headers.contains_key(name))
}

/// Says that the body is in another format than was asked for: `avif; reason=time`.
const FALLBACK: HeaderName = HeaderName::from_static("x-glimt-fallback");

/// The answer where `representation` stands in for a picture in the format `wanted`. It has no validator and no parts: those
/// are for the picture that the next request may get. It is not to be stored, unless that picture is never made.
pub(super) async fn passing(
    method: &Method,
    representation: &Representation,
    wanted: OutputFormat,
    reason: Reason,
    body: impl AsyncFnOnce(Range<u64>) -> Result<Body, ApiError>,
) -> Result<Response, ApiError> {
    let size_bytes = representation.size_bytes;
    let bytes = if *method == Method::HEAD { Body::empty() } else { body(0..size_bytes).await? };
    let mut response = bytes.into_response();
    insert(&mut response, CONTENT_LENGTH, &size_bytes.to_string());
    insert(&mut response, FALLBACK, &format!("{}; reason={}", wanted.extension(), reason.name()));
    let storing = match reason {
        Reason::Time | Reason::Busy => HeaderValue::from_static("no-store"),
        Reason::Size => HeaderValue::from_static("public, max-age=3600"),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, storing);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(representation.media_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// The headers that a `304` has in common with a `200`.
fn validators<B>(response: &mut Response<B>, representation: &Representation) {
    insert(response, ETAG, &quoted(&representation.etag));
    insert(response, LAST_MODIFIED, &httpdate::fmt_http_date(modified(representation)));
    response.headers_mut().insert(CACHE_CONTROL, forever(representation.compat));
}

fn insert<B>(response: &mut Response<B>, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().insert(name, value);
    }
}

fn quoted(etag: &Hash) -> String {
    format!("\"{etag}\"")
}

fn modified(representation: &Representation) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(representation.modified_secs)
}

/// The steps of RFC 9110, 13.2.2, in their order. A header that cannot be read counts as not sent.
fn outcome(method: &Method, headers: &HeaderMap, representation: &Representation) -> Outcome {
    let modified = modified(representation);
    let Ok(etag) = quoted(&representation.etag).parse::<headers::ETag>() else { return Outcome::Whole };
    if let Some(wanted) = headers.typed_get::<IfMatch>() {
        if !wanted.precondition_passes(&etag) {
            return Outcome::PreconditionFailed;
        }
    } else if let Some(since) = headers.typed_get::<IfUnmodifiedSince>()
        && !since.precondition_passes(modified)
    {
        return Outcome::PreconditionFailed;
    }
    if let Some(known) = headers.typed_get::<IfNoneMatch>() {
        if !known.precondition_passes(&etag) {
            return Outcome::NotModified;
        }
    } else if let Some(since) = headers.typed_get::<IfModifiedSince>()
        && !since.is_modified(modified)
    {
        return Outcome::NotModified;
    }
    let Some(range) = headers.get(RANGE).filter(|_| *method == Method::GET) else { return Outcome::Whole };
    if headers.contains_key(IF_RANGE) {
        // A condition that cannot be read is not met.
        let met = headers
            .typed_get::<IfRange>()
            .is_some_and(|condition| !condition.is_modified(Some(&etag), Some(&LastModified::from(modified))));
        if !met {
            return Outcome::Whole;
        }
    }
    match range.to_str().ok().and_then(|text| parse_range(text, representation.size_bytes)) {
        Some(Some(range)) => Outcome::Part(range),
        Some(None) => Outcome::Unsatisfiable,
        None => Outcome::Whole,
    }
}

/// The one range of a `Range` header within `size_bytes`. `None` when the header is not to be heeded: it cannot be
/// read, or asks for several ranges (a server may send the whole). `Some(None)` when no byte of it is there.
fn parse_range(text: &str, size_bytes: u64) -> Option<Option<Range<u64>>> {
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let number = |digits: &str| {
        let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // Past u64 is past any file.
        all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => size_bytes.saturating_sub(number(suffix)?)..size_bytes,
        (first, "") => number(first)?..size_bytes,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size_bytes)
        }
    };
    Some((range.start < range.end).then_some(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-0", Some(Some(0..1))),
            ("bytes=2-5", Some(Some(2..6))),
            ("Bytes = 2 - 5", Some(Some(2..6))),
            ("bytes=5-", Some(Some(5..10))),
            ("bytes=-3", Some(Some(7..10))),
            ("bytes=-99", Some(Some(0..10))),
            ("bytes=0-99999999999999999999999", Some(Some(0..10))),
            ("bytes=10-", Some(None)),
            ("bytes=10-20", Some(None)),
            ("bytes=-0", Some(None)),
            ("bytes=5-2", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
            ("0-1", None),
        ] {
            assert_eq!(parse_range(text, 10), expected, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Some(None));
    }

    fn outcome_of(headers: &[(&str, &str)]) -> Outcome {
        let representation = Representation {
            etag: Hash::from_bytes([7; 32]),
            size_bytes: 10,
            modified_secs: 1_000_000_000,
            media_type: "image/png",
            compat: Compat::V02,
        };
        let own = quoted(&representation.etag);
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(&value.replace("OWN", &own)).unwrap()));
        outcome(&Method::GET, &headers.collect(), &representation)
    }

    #[test]
    fn caches_keep_pictures_for_a_day_or_a_week() {
        assert_eq!(forever(Compat::V02), "public, max-age=86400, immutable");
        assert_eq!(forever(Compat::V05), "public, max-age=604800, immutable");
    }

    #[test]
    fn what_has_no_condition_and_no_range_is_plain() {
        let headers =
            |name: &'static str| HeaderMap::from_iter([(HeaderName::from_static(name), forever(Compat::V02))]);
        assert!(is_plain(&HeaderMap::new()) && is_plain(&headers("accept")));
        for name in ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"] {
            assert!(!is_plain(&headers(name)), "{name}");
        }
    }

    #[test]
    fn preconditions_in_their_order() {
        const BEFORE: &str = "Sun, 09 Sep 2001 01:46:39 GMT";
        const AT: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
        use Outcome::{NotModified, Part, PreconditionFailed, Unsatisfiable, Whole};
        for (headers, expected) in [
            (&[][..], Whole),
            (&[("if-none-match", "OWN")], NotModified),
            (&[("if-none-match", "\"a\", OWN")], NotModified),
            (&[("if-none-match", "W/OWN")], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"a\"")], Whole),
            (&[("if-match", "OWN")], Whole),
            (&[("if-match", "*")], Whole),
            (&[("if-match", "W/OWN")], PreconditionFailed),
            (&[("if-match", "\"a\"")], PreconditionFailed),
            (&[("if-modified-since", AT)], NotModified),
            (&[("if-modified-since", BEFORE)], Whole),
            (&[("if-modified-since", "yesterday")], Whole),
            (&[("if-unmodified-since", AT)], Whole),
            (&[("if-unmodified-since", BEFORE)], PreconditionFailed),
            // The tag counts, the date does not, where both stand.
            (&[("if-none-match", "\"a\""), ("if-modified-since", AT)], Whole),
            (&[("if-match", "OWN"), ("if-unmodified-since", BEFORE)], Whole),
            (&[("range", "bytes=1-2")], Part(1..3)),
            (&[("range", "bytes=99-")], Unsatisfiable),
            (&[("range", "bytes=1-2"), ("if-range", "OWN")], Part(1..3)),
            (&[("range", "bytes=1-2"), ("if-range", "\"a\"")], Whole),
            (&[("range", "bytes=1-2"), ("if-range", "W/OWN")], Whole),
            (&[("range", "bytes=1-2"), ("if-range", "garbage")], Whole),
            (&[("range", "bytes=1-2"), ("if-range", AT)], Part(1..3)),
            (&[("range", "bytes=1-2"), ("if-range", BEFORE)], Whole),
            (&[("range", "bytes=99-"), ("if-none-match", "OWN")], NotModified),
        ] {
            assert_eq!(outcome_of(headers), expected, "{headers:?}");
        }
    }
}
