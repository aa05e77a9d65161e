//! `GET /internal/hashes`: all originals in pages, as pict-rs 0.5 has it.

use axum::{Json, extract::State};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;

use super::{
    Wired,
    details::UploadedDetails,
    error::{ApiError, Problem},
    extract::Pairs,
};
use crate::{
    domain::Alias,
    service::listing::{self, Place},
};

/// How many a page has where nothing is said.
const LIMIT: usize = 20;

/// The most that a page may have.
const MAX_LIMIT: usize = 1000;

/// A page of originals.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Hashes {
    msg: &'static str,
    page: Page,
}

/// What is in it, and the slugs of pages.
#[derive(Debug, Serialize, ToSchema)]
struct Page {
    /// Of this page.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    /// The newest first.
    hashes: Vec<Listed>,
    limit: usize,
    /// Of the page with older ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Of the page with newer ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<String>,
}

/// An original.
#[derive(Debug, Serialize, ToSchema)]
struct Listed {
    /// In the order that they were made.
    #[schema(value_type = Vec<String>)]
    aliases: Vec<Alias>,
    details: UploadedDetails,
    /// The SHA-256 of its stored bytes.
    hex: String,
}

/// Lists originals, the newest first, a page at a time.
#[utoipa::path(
    get,
    path = "/internal/hashes",
    tag = "internal",
    params(("slug" = Option<String>, Query, description = "of a page: its `current`, `next` or `prev`; the first page where there is none", pattern = "^[0-9a-f]{1,16}-[0-9a-f]{64}$"), ("timestamp" = Option<String>, Query, description = "in its place: those that are older than this time, RFC 3339", format = "date-time"), ("limit" = Option<u64>, Query, description = "how many, 20 where it is not said", minimum = 1, maximum = 1000)),
    responses((status = 200, body = Hashes, description = "some of them"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn hashes(State(wired): State<Wired>, query: Pairs<'static>) -> Result<Json<Hashes>, ApiError> {
    let (start, limit) = (start(&query)?, limit(&query)?);
    let page = listing::page(&*wired.app.repo, start, limit).await?;
    let listed = |one: listing::Listed| Listed {
        aliases: one.aliases,
        details: UploadedDetails::of(&one.record, one.blurhash),
        hex: one.hash.to_string(),
    };
    let hashes = page.originals.into_iter().map(listed).collect();
    let slug = |place: Option<Place>| place.map(|place| place.to_string());
    let (current, next, prev) = (slug(page.current), slug(page.next), slug(page.prev));
    Ok(Json(Hashes { msg: "ok", page: Page { current, hashes, limit, next, prev } }))
}

/// Where the page begins. A time comes before a slug, as there.
fn start(query: &Pairs<'_>) -> Result<Option<Place>, ApiError> {
    if let Some(text) = query.last("timestamp") {
        let time = OffsetDateTime::parse(text, &Rfc3339);
        let time =
            time.map_err(|_unreadable| ApiError::bad_parameter("timestamp", text, "a time as RFC 3339 has it"))?;
        return Ok(Some(Place::before(u64::try_from(time.unix_timestamp()).unwrap_or(0))));
    }
    let Some(slug) = query.last("slug") else { return Ok(None) };
    slug.parse().map(Some).map_err(|_none| ApiError::bad_parameter("slug", slug, "what a page has given"))
}

fn limit(query: &Pairs<'_>) -> Result<usize, ApiError> {
    let Some(text) = query.last("limit") else { return Ok(LIMIT) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| ApiError::bad_parameter("limit", text, "a number from 1 to 1000"))
}
