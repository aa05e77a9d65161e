//! `GET /image/download`: a picture fetched from elsewhere.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};

use super::{
    error::{ApiError, Problem},
    extract::Pairs,
    openapi::{LimitsQuery, StepsQuery},
    upload::{self, Uploaded, created},
};
use crate::{app::App, service::ingest::Rules};

/// Downloads the picture at `url` and takes it in as if it had been uploaded, with the same query.
#[utoipa::path(
    get,
    path = "/image/download",
    tag = "pictures",
    params(("url" = String, Query, pattern = "^https?://[^/?#]+", description = "http or https, of a public address", example = "https://example.org/a.jpg"), LimitsQuery, StepsQuery),
    responses((status = 201, body = Uploaded, description = "stored"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn download(
    State(app): State<Arc<App>>,
    query: Pairs<'static>,
) -> Result<(StatusCode, Json<Uploaded>), ApiError> {
    let url = query.last("url").ok_or_else(|| ApiError::missing_parameter("url"))?;
    // A `&` of the address that is not encoded begins a parameter of the download, and is told as one.
    let terms = upload::terms(&query, &["url"])?;
    let _pass = upload::enter(&app)?;
    let mut download = app.fetcher.open(url).await?;
    let limit = app.rules.max_file_size_bytes;
    if let Some(got) = download.content_length().filter(|length| *length > limit) {
        return Err(ApiError::file_too_large(got, limit));
    }
    let mut writer = app.ingest.begin().await?;
    while let Some(chunk) = download.chunk().await? {
        writer.write(&chunk).await?;
    }
    let staged = writer.finish().await?;
    let prepared = app.ingest.prepare_under(staged, None, Rules::Validate, &terms).await?;
    Ok(created(app.ingest.name(vec![prepared]).await?))
}
