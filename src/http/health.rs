//! Whether the server lives, and whether it can work. Both answer while every queue is full.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;

use super::error::ApiError;
use crate::app::App;

/// The keys stand in alphabetical order, as everywhere.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    engine: String,
    msg: &'static str,
}

/// The process runs and answers.
pub(super) async fn healthz() -> Json<super::upload::Message> {
    Json(super::upload::Message { msg: "ok" })
}

/// The metadata store accepts changes. The engine is named as it is: with a lost GPU the CPU goes on.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Health>, ApiError> {
    if !app.repo.is_ready() {
        return Err(ApiError::not_ready());
    }
    Ok(Json(Health { engine: app.engines.describe(), msg: "ok" }))
}
