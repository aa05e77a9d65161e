//! `POST /internal/prune_missing`: rows of pictures whose files are gone, as pict-rs 0.5 has it.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    error::{ApiError, Problem},
    extract::Pairs,
};
use crate::{app::App, service::prune};

/// How far it has come. The keys stand in alphabetical order, as everywhere.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Progress {
    /// Whether all were looked at, and those without a file are gone.
    complete: bool,
    /// Pictures that were looked at.
    progress: u64,
    /// Pictures there are.
    total: u64,
}

/// Removes, in the background, pictures whose files are not there. Asked again it tells how far that is; with `force=true` it begins anew.
#[utoipa::path(
    post,
    path = "/internal/prune_missing",
    tag = "internal",
    params(("force" = Option<bool>, Query, description = "whether to begin anew")),
    responses((status = 200, body = Progress, description = "how far it is"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn prune_missing(
    State(app): State<Arc<App>>,
    query: Pairs<'static>,
) -> Result<Json<Progress>, ApiError> {
    let force = match query.last("force") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(ApiError::bad_parameter("force", other, "true or false")),
    };
    let prune::Progress { complete, progress, total } = app.prune.begin(force).await?;
    Ok(Json(Progress { complete, progress, total }))
}
