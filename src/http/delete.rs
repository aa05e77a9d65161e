//! `DELETE` or `GET /image/delete/{token}/{alias}`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};

use super::{error::ApiError, extract::Params};
use crate::{
    app::App,
    domain::{Alias, DeleteToken},
};

/// Deletes an alias, and its picture with the last one.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Params((token, alias)): Params<(String, String)>,
) -> Result<StatusCode, ApiError> {
    app.originals.delete(&Alias::asked(&alias), &DeleteToken::presented(&token)).await?;
    Ok(StatusCode::NO_CONTENT)
}
