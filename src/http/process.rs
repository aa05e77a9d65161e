//! `GET /image/process.{ext}`: a variant.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};

use super::{
    caching::{Representation, answer},
    error::ApiError,
    extract::{Pairs, Params},
    layers::not_allowed,
    original,
};
use crate::{
    app::{App, Rules},
    domain::{Alias, Filter, OutputFormat, Quality, Variant},
    service::{ServiceError, process::Made},
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
    let made = app.process.variant(&original, variant.clone()).await?;
    if let Some(response) = serve(&app, &method, &headers, &variant, made).await? {
        return Ok(response);
    }
    app.process.forget(&original, &variant).await?;
    let made = app.process.variant(&original, variant.clone()).await?;
    let missing = || ApiError::internal("a variant that was just made is missing".to_owned());
    serve(&app, &method, &headers, &variant, made).await?.ok_or_else(missing)
}

/// The variant as this request wants it; `None` when its file is not there.
async fn serve(
    app: &App,
    method: &Method,
    headers: &HeaderMap,
    variant: &Variant,
    made: Made,
) -> Result<Option<Response>, ApiError> {
    let representation = Representation {
        etag: made.record.etag,
        size_bytes: made.record.size_bytes,
        modified_secs: made.record.created_secs,
        media_type: variant.format().media_type(),
    };
    let mut missing = false;
    let response = answer(method, headers, &representation, async |range: std::ops::Range<u64>| {
        if let Some(bytes) = &made.bytes {
            let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
            let (Ok(start), Ok(end)) = (start, end) else { return Ok(Body::empty()) };
            return Ok(Body::from(bytes.slice(start..end)));
        }
        let stream = app.store.stream(&made.key, range).await?;
        missing = stream.is_none();
        Ok(stream.map_or_else(Body::empty, Body::from_stream))
    })
    .await?;
    Ok((!missing).then_some(response))
}
