//! `GET /image/process.{ext}`: a variant.

use std::{ops::Range, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};

use super::{
    caching::{Representation, answer, passing},
    error::ApiError,
    extract::{Pairs, Params},
    layers::not_allowed,
    original,
};
use crate::{
    app::{App, Rules},
    domain::{Alias, Filter, OutputFormat, Quality, Variant},
    service::{
        ServiceError,
        originals::Original,
        process::{Answer, Made},
    },
};

/// The filters of the query in their order: those that are none of ours, or not in the whitelist, are passed over.
fn filters(query: &Pairs, rules: &Rules) -> Result<Vec<Filter>, ServiceError> {
    let allowed = |name: &str| rules.whitelist.as_ref().is_none_or(|list| list.contains(name));
    query
        .0
        .iter()
        .filter(|(name, _)| allowed(name))
        .filter_map(|(name, value)| Filter::parse(name, value))
        .map(|filter| filter.map_err(ServiceError::from))
        .collect()
}

/// The quality that the query asks for, the last one. It comes under the whitelist as a filter does: it makes variants as well.
fn quality(query: &Pairs, rules: &Rules) -> Result<Option<Quality>, ServiceError> {
    let allowed = rules.whitelist.as_ref().is_none_or(|list| list.contains(Quality::NAME));
    let asked = query.last(Quality::NAME).filter(|_| allowed);
    Ok(asked.map(Quality::parse).transpose()?)
}

/// Serves the variant that the query describes, made now if need be. The alias is looked up first: an unknown one is
/// answered before whatever else is wrong.
pub(super) async fn process(
    State(app): State<Arc<App>>,
    method: Method,
    name: Result<Params<String>, ApiError>,
    query: Pairs,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Params(name) = name?;
    let Some(extension) = name.strip_prefix("process.") else {
        return Err(ApiError::unknown_path(&format!("/image/{name}")));
    };
    if !matches!(method, Method::GET | Method::HEAD) {
        return Ok(not_allowed(&method, "GET, HEAD"));
    }
    let src = query.last("src").ok_or_else(ApiError::missing_src)?;
    let original = app.originals.by_alias(&Alias::asked(src)).await?;
    let format = OutputFormat::from_extension(extension)
        .ok_or_else(|| ServiceError::UnknownFormat { got: extension.chars().take(40).collect() })?;
    let variant = Variant::new(&filters(&query, &app.rules)?, format).map_err(ServiceError::from)?;
    let variant = variant.with_quality(quality(&query, &app.rules)?);
    if original.is_already(&variant) {
        return original::serve(&app, &method, &headers, &original).await;
    }
    // A variant whose file was lost is made again, once.
    for _ in 0..2 {
        if let Some(response) = served(&app, &method, &headers, &original, &variant).await? {
            return Ok(response);
        }
    }
    Err(ApiError::internal("a variant that was just made is missing".to_owned()))
}

/// The answer to a request for this variant; `None` when a file was lost, which is forgotten then.
async fn served(
    app: &App,
    method: &Method,
    headers: &HeaderMap,
    original: &Original,
    variant: &Variant,
) -> Result<Option<Response>, ApiError> {
    let (lost, response) = match app.process.answer(original, variant.clone()).await? {
        Answer::Made(made) => {
            let representation = representation(variant, &made);
            let mut missing = false;
            let body = async |range| body(app, &made, range, &mut missing).await;
            let response = answer(method, headers, &representation, body).await?;
            ((missing).then(|| variant.clone()), response)
        }
        Answer::Instead(instead, reason) => {
            let (instead, made) = *instead;
            let representation = representation(&instead, &made);
            let mut missing = false;
            let body = async |range| body(app, &made, range, &mut missing).await;
            let response = passing(method, &representation, variant.format(), reason, body).await?;
            ((missing).then_some(instead), response)
        }
    };
    if let Some(lost) = &lost {
        app.process.forget(original, lost).await?;
        return Ok(None);
    }
    Ok(Some(response))
}

fn representation(variant: &Variant, made: &Made) -> Representation {
    Representation {
        etag: made.record.etag,
        size_bytes: made.record.size_bytes,
        modified_secs: made.record.created_secs,
        media_type: variant.format().media_type(),
    }
}

/// The bytes of a range of the variant; `missing` is set when its file is not there.
async fn body(app: &App, made: &Made, range: Range<u64>, missing: &mut bool) -> Result<Body, ApiError> {
    if let Some(bytes) = &made.bytes {
        let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
        let (Ok(start), Ok(end)) = (start, end) else { return Ok(Body::empty()) };
        return Ok(Body::from(bytes.slice(start..end)));
    }
    let stream = app.store.stream(&made.key, range).await?;
    *missing = stream.is_none();
    Ok(stream.map_or_else(Body::empty, Body::from_stream))
}
