//! `GET /image/original/{alias}`: the stored picture.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::Response,
};

use super::{
    Wired,
    caching::{Representation, answer},
    error::{ApiError, Problem},
    extract::{Pairs, Params},
    hot::{Key, part},
    layers::not_allowed,
    openapi::OneQuery,
    source::Source,
    stand_in,
};
use crate::{
    domain::{Alias, Compat, VariantKey},
    service::{originals::Original, tickets::Ticket},
};

/// The largest picture of which a copy is kept in memory, as of variants: what is shown on a page as it is. Photos would push out
/// hundreds of thumbnails each.
const LARGEST_COPY_BYTES: u64 = 256 * 1024;

/// Stands where copies of variants have their text. None of those is this one: they end in an extension.
const UNCHANGED: &str = "original";

/// What a copy of the picture that `uri` asks for is named by in memory. A name that is encoded is left to the router.
pub(super) fn key(uri: &Uri) -> Option<Key> {
    let alias = uri.path().strip_prefix("/image/original/")?;
    let is_plain = !alias.is_empty() && !alias.contains(['%', '/']);
    is_plain.then(|| key_of(Alias::asked(alias)))
}

fn key_of(alias: Alias) -> Key {
    (alias, VariantKey::stored(UNCHANGED))
}

/// Serves the stored bytes.
#[utoipa::path(
    get,
    path = "/image/original/{alias}",
    tag = "pictures",
    params(("alias" = String, Path, description = "the name of a picture", example = "lkWZDRvugm.jpg")),
    responses((status = 200, content_type = "image/*", body = Vec<u8>, description = "the stored picture"), (status = 206, content_type = "image/*", body = Vec<u8>, description = "a range of it"), (status = 304, description = "as the client has it"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn original(
    State(wired): State<Wired>,
    method: Method,
    Params(alias): Params<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    named_or_instead(&wired, &method, &headers, Alias::asked(&alias)).await
}

/// The same where the alias stands in the query, as in pict-rs 0.5; or the address of a picture of another host, which `GET` fetches if it
/// is not here yet.
#[utoipa::path(
    get,
    path = "/image/original",
    tag = "pictures",
    params(OneQuery),
    responses((status = 200, content_type = "image/*", body = Vec<u8>, description = "the stored picture"), (status = 206, content_type = "image/*", body = Vec<u8>, description = "a range of it"), (status = 304, description = "as the client has it"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn by_query(
    State(wired): State<Wired>,
    method: Method,
    query: Pairs<'static>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let source = Source::of(&query);
    if source.is_none() && wired.app.rules.compat == Compat::V02 {
        // To 0.2 this path is none, by whatever method.
        return Err(ApiError::unknown_path("/image/original"));
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return Ok(not_allowed(&method, "GET, HEAD"));
    }
    let source = source.ok_or_else(|| ApiError::missing_parameter("alias or proxy"))?;
    let alias = if method == Method::HEAD { source.find(&wired.app).await? } else { source.fetch(&wired.app).await? };
    named_or_instead(&wired, &method, &headers, alias).await
}

/// The picture of this name, or what is shown in its place.
async fn named_or_instead(
    wired: &Wired,
    method: &Method,
    headers: &HeaderMap,
    alias: Alias,
) -> Result<Response, ApiError> {
    let answered = named(wired, method, headers, alias).await;
    stand_in::instead(wired, headers, answered, async |alias, plain| named(wired, method, &plain, alias).await).await
}

/// The picture of this name.
async fn named(wired: &Wired, method: &Method, headers: &HeaderMap, alias: Alias) -> Result<Response, ApiError> {
    let key = key_of(alias);
    if let Some(copy) = wired.hot.get(&key, |_| {}) {
        return copy.answer(method, headers).await;
    }
    let (original, ticket) = wired.app.originals.with_ticket(&key.0).await?;
    serve(wired, method, headers, &original, ticket.map(|ticket| (&key, ticket))).await
}

/// The stored bytes of `original` as this request wants them, of which a copy is kept under the name that comes with a ticket.
pub(super) async fn serve(
    wired: &Wired,
    method: &Method,
    headers: &HeaderMap,
    original: &Original,
    copy: Option<(&Key, Ticket)>,
) -> Result<Response, ApiError> {
    let Wired { app, hot, .. } = wired;
    let size_bytes = original.record.size_bytes;
    let representation = Representation {
        etag: original.hash,
        size_bytes,
        modified_secs: original.record.created_secs,
        media_type: original.record.details.format.media_type(),
        compat: app.rules.compat,
    };
    let key = original.key();
    let missing = || ApiError::internal(format!("the stored file {key} is missing, or has another size"));
    answer(method, headers, &representation, async |range| {
        let is_small = size_bytes <= LARGEST_COPY_BYTES.min(hot.largest());
        if let Some((name, ticket)) = copy.filter(|_| is_small && range == (0..size_bytes)) {
            let bytes = app.store.read(&key).await?.filter(|bytes| bytes.len() as u64 == size_bytes);
            let bytes = bytes.ok_or_else(missing)?;
            hot.put(name.clone(), (original.hash, ticket), representation, &bytes);
            return Ok(part(&bytes, &range));
        }
        let stream = app.store.stream(&key, range, size_bytes).await?;
        Ok(Body::from_stream(stream.ok_or_else(missing)?))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_looked_for_before_the_router() {
        let named = |uri: &'static str| key(&Uri::from_static(uri)).map(|(alias, _)| alias.to_string());
        assert_eq!(named("/image/original/a.jpg?x=y").unwrap(), "a.jpg");
        for other in ["/image/original/", "/image/original/a%20b.jpg", "/image/original/a/b", "/image/a.jpg", "/"] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
