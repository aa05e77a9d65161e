//! `DELETE` or `GET /image/delete/{token}/{alias}`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};

use super::{
    error::{ApiError, Problem},
    extract::Params,
};
use crate::{
    app::App,
    domain::{Alias, Compat, DeleteToken},
    service::ServiceError,
};

/// Deletes an alias, and its picture with the last one.
#[utoipa::path(
    delete,
    path = "/image/delete/{token}/{alias}",
    tag = "pictures",
    params(("token" = String, Path, description = "the secret that the upload has told"), ("alias" = String, Path, description = "the name of a picture", example = "lkWZDRvugm.jpg")),
    responses((status = 204, description = "gone"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Params((token, alias)): Params<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let deleted = app.originals.delete(&Alias::asked(&alias), &DeleteToken::presented(&token)).await;
    match deleted {
        // To 0.5 what is not there is deleted.
        Err(ServiceError::NoSuchAlias(_)) if app.rules.compat == Compat::V05 => {}
        other => other?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The same by `GET`, for clients that have no other method.
#[utoipa::path(
    get,
    path = "/image/delete/{token}/{alias}",
    tag = "pictures",
    params(("token" = String, Path, description = "the secret that the upload has told"), ("alias" = String, Path, description = "the name of a picture", example = "lkWZDRvugm.jpg")),
    responses((status = 204, description = "gone"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn delete_by_get(
    app: State<Arc<App>>,
    params: Params<(String, String)>,
) -> Result<StatusCode, ApiError> {
    delete(app, params).await
}
