//! `GET /internal/limits`: what an upload may have, and how much is taken at a time.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::upload::MAX_FILES;
use crate::{
    app::App,
    domain::{Asked, Filter},
};

/// The limits in effect. The keys stand in alphabetical order, as everywhere; limits that an upload may have in its query have the names that they have there.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Limits {
    allow_animation: bool,
    allow_image: bool,
    /// No video is taken.
    allow_video: bool,
    /// Filters and parameters that a variant may have.
    filters: Vec<&'static str>,
    /// Pixels of all frames of an animation.
    max_animation_area: u64,
    /// Pixels of a still picture.
    max_area: u64,
    /// Uploads and variants that may be in the background, or wait to be claimed.
    max_backgrounded: usize,
    /// Files in one form.
    max_file_count: usize,
    /// In megabytes of 1024 * 1024 bytes.
    max_file_size: u64,
    max_frame_count: u32,
    max_height: u32,
    /// Uploads under way at a time.
    max_uploads: usize,
    max_width: u32,
    msg: &'static str,
    read_only: bool,
}

/// Tells the limits of this server.
#[utoipa::path(
    get,
    path = "/internal/limits",
    tag = "internal",
    responses((status = 200, body = Limits, description = "the limits in effect"), (status = "default", body = super::error::Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn limits(State(app): State<Arc<App>>) -> Json<Limits> {
    let (rules, budget) = (&app.rules, &app.rules.budget);
    let allowed = |name: &&str| rules.whitelist.as_ref().is_none_or(|list| list.contains(*name));
    Json(Limits {
        allow_animation: true,
        allow_image: true,
        allow_video: false,
        filters: Filter::NAMES.into_iter().chain(Asked::PARAMETERS).filter(allowed).collect(),
        max_animation_area: budget.max_animation_pixels,
        max_area: budget.max_pixels,
        max_backgrounded: app.gates.backgrounded.limit(),
        max_file_count: MAX_FILES,
        max_file_size: rules.max_file_size_bytes / (1024 * 1024),
        max_frame_count: budget.max_frames,
        max_height: budget.max_side,
        max_uploads: app.gates.uploads.limit(),
        max_width: budget.max_side,
        msg: "ok",
        read_only: rules.read_only,
    })
}
