//! `GET /image/original/{alias}`: the stored picture.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, Method},
    response::Response,
};

use super::{
    caching::{Representation, answer},
    error::ApiError,
    extract::Params,
};
use crate::{app::App, domain::Alias, service::originals::Original};

/// Serves the stored bytes.
pub(super) async fn original(
    State(app): State<Arc<App>>,
    method: Method,
    Params(alias): Params<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let original = app.originals.by_alias(&Alias::asked(&alias)).await?;
    serve(&app, &method, &headers, &original).await
}

/// The stored bytes of `original` as this request wants them.
pub(super) async fn serve(
    app: &App,
    method: &Method,
    headers: &HeaderMap,
    original: &Original,
) -> Result<Response, ApiError> {
    let representation = Representation {
        etag: original.hash,
        size_bytes: original.record.size_bytes,
        modified_secs: original.record.created_secs,
        media_type: original.record.details.format.media_type(),
    };
    let key = original.key();
    answer(method, headers, &representation, async |range| match app.store.stream(&key, range).await? {
        Some(bytes) => Ok(axum::body::Body::from_stream(bytes)),
        None => Err(ApiError::internal(format!("the stored file {key} is missing"))),
    })
    .await
}
