//! `GET /image/download`: a picture fetched from elsewhere.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};

use super::{
    backgrounded::{self, Accepted},
    error::{ApiError, Problem},
    extract::Pairs,
    openapi::{LimitsQuery, StepsQuery},
    upload::{self, Uploaded, created},
};
use crate::{
    app::App,
    service::{download, ingest::Rules},
};

/// Downloads the picture at `url` and takes it in as if it had been uploaded, with the same query; with `backgrounded=true` it is only received,
/// and what came of it is claimed later.
#[utoipa::path(
    get,
    path = "/image/download",
    tag = "pictures",
    params(("url" = String, Query, pattern = "^https?://[^/?#]+", description = "http or https, of a public address", example = "https://example.org/a.jpg"), ("backgrounded" = Option<bool>, Query, description = "whether to answer when it is received"), LimitsQuery, StepsQuery),
    responses((status = 201, body = Uploaded, description = "stored"), (status = 202, body = Accepted, description = "received, and taken in whatever happens"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn download(State(app): State<Arc<App>>, query: Pairs<'static>) -> Result<Response, ApiError> {
    /// What is no term of the picture.
    const OURS: [&str; 2] = ["url", "backgrounded"];
    let url = query.last("url").ok_or_else(|| ApiError::missing_parameter("url"))?;
    let is_backgrounded = match query.last("backgrounded") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(ApiError::bad_parameter("backgrounded", other, "true or false")),
    };
    // A `&` of the address that is not encoded begins a parameter of the download, and is told as one.
    let terms = upload::terms(&query, &OURS)?;
    let _pass = upload::enter(&app)?;
    let staged = download::download(&app.fetcher, &app.ingest, url).await?;
    if is_backgrounded {
        let picture = backgrounded::held(&app, staged, &terms)?;
        return backgrounded::accept(&app, vec![picture], &query, &OURS).await;
    }
    let prepared = app.ingest.prepare_under(staged, None, Rules::Validate, &terms).await?;
    Ok(created(app.ingest.name(vec![prepared]).await?).into_response())
}
