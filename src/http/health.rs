//! Whether the server lives, and whether it can work. Both answer while every queue is full.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    error::{ApiError, Problem},
    upload::Message,
};
use crate::{
    app::App,
    pixels::{Backend, Engines},
};

/// The keys stand in alphabetical order, as everywhere.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    device: Device,
    engine: String,
    msg: &'static str,
}

/// How the chosen engine's device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Device {
    /// The cpu engine was chosen: there is no device.
    None,
    /// It works.
    Ok,
    /// It failed and will be built again; until then the cpu engine does its jobs.
    Rebuilding,
}

impl Device {
    pub(super) fn of(engines: &Engines) -> Self {
        if engines.chosen() == Backend::Cpu {
            Self::None
        } else if engines.is_healthy() {
            Self::Ok
        } else {
            Self::Rebuilding
        }
    }
}

/// The process runs and answers, and its metadata and its files can be read.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    responses((status = 200, body = Message, description = "it lives"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn healthz(State(app): State<Arc<App>>) -> Result<Json<Message>, ApiError> {
    if !app.repo.is_ready() {
        return Err(ApiError::not_ready());
    }
    // Any row and any file would do.
    app.repo.stand_in().await?;
    app.store.check().await?;
    Ok(Json(Message { msg: "ok" }))
}

/// The metadata store accepts changes. The engine is named as it was chosen, and whether its device is there; when it is
/// not, the cpu engine goes on, so the server is ready all the same.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    responses((status = 200, body = Health, description = "it works"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Health>, ApiError> {
    if !app.repo.is_ready() {
        return Err(ApiError::not_ready());
    }
    Ok(Json(Health { device: Device::of(&app.engines), engine: app.engines.describe(), msg: "ok" }))
}
