//! `GET /image/details/..`: what is known of a picture, and of a variant that was made.

use axum::{Json, extract::State, response::IntoResponse as _, response::Response};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;

use super::{
    Wired,
    error::{ApiError, Problem},
    extract::{Pairs, Params},
    openapi::{OneQuery, SourceQuery, StepsQuery},
    process,
    source::Source,
};
use crate::{
    domain::{Alias, Compat, Details as Facts, Looks},
    repo::OriginalRecord,
    service::originals::Original,
};

/// What is known of a file. The keys stand in alphabetical order, as everywhere.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Details {
    blurhash: String,
    bytes: u64,
    content_type: &'static str,
    created_at: String,
    dominant_color: String,
    /// The extension; to a server that answers like pict-rs 0.5 `Image` or `Animation`.
    format: &'static str,
    /// To a server that answers like pict-rs 0.5 `null` of a still picture.
    #[schema(required)]
    frames: Option<u32>,
    height: u32,
    opaque: bool,
    palette: Vec<String>,
    thumbhash: String,
    width: u32,
}

/// What the answer to an upload says of a picture, as clients of pict-rs 0.4 and 0.5 read it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UploadedDetails {
    /// Of a JPEG; of others where it is known already.
    #[serde(skip_serializing_if = "Option::is_none")]
    blurhash: Option<String>,
    #[schema(example = "image/jpeg")]
    content_type: &'static str,
    /// When these bytes were first stored: RFC 3339, in UTC.
    #[schema(example = "2026-11-28T19:30:00Z")]
    created_at: String,
    #[schema(pattern = "^(Image|Animation)$")]
    format: &'static str,
    /// Of an animation; `null` of a still picture.
    #[schema(required)]
    frames: Option<u32>,
    /// Upright, in pixels.
    #[schema(minimum = 1, maximum = 65_535)]
    height: u32,
    /// Upright, in pixels.
    #[schema(minimum = 1, maximum = 65_535)]
    width: u32,
}

impl UploadedDetails {
    /// Those of a picture that is stored as it is recorded here.
    pub(super) fn of(record: &OriginalRecord, blurhash: Option<String>) -> Self {
        let Facts { width, height, format, frames } = record.details;
        let (kind, frames) = moving(frames);
        Self {
            blurhash,
            content_type: format.media_type(),
            created_at: rfc3339(record.created_secs),
            format: kind,
            frames,
            height,
            width,
        }
    }
}

/// What pict-rs 0.5 calls a picture of so many frames, and how many it says that there are: of a still picture it says nothing.
const fn moving(frames: u32) -> (&'static str, Option<u32>) {
    if frames > 1 { ("Animation", Some(frames)) } else { ("Image", None) }
}

/// What is said of format and frames where the versions of pict-rs differ.
fn told(extension: &'static str, frames: u32, compat: Compat) -> (&'static str, Option<u32>) {
    match compat {
        Compat::V02 => (extension, Some(frames)),
        Compat::V05 => moving(frames),
    }
}

/// What is known of the original with this alias.
#[utoipa::path(
    get,
    path = "/image/details/original/{alias}",
    tag = "details",
    params(("alias" = String, Path, description = "the name of a picture", example = "lkWZDRvugm.jpg")),
    responses((status = 200, body = Details, description = "what is known"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn original(State(wired): State<Wired>, Params(alias): Params<String>) -> Result<Response, ApiError> {
    of_original(&wired, &Alias::asked(&alias)).await
}

/// The same where the alias stands in the query, as later clients of pict-rs have it.
#[utoipa::path(
    get,
    path = "/image/details/original",
    tag = "details",
    params(OneQuery),
    responses((status = 200, body = Details, description = "what is known"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn by_query(State(wired): State<Wired>, query: Pairs<'static>) -> Result<Response, ApiError> {
    let source = Source::of(&query).ok_or_else(|| ApiError::missing_parameter("alias or proxy"))?;
    of_original(&wired, &source.find(&wired.app).await?).await
}

async fn of_original(wired: &Wired, alias: &Alias) -> Result<Response, ApiError> {
    let app = &wired.app;
    let deadline = app.pool.deadline();
    let original = app.originals.by_alias(alias).await?;
    let looks = app.looking.of(&original, deadline).await?;
    let record = original.record;
    let (format, frames) = told(record.details.format.extension(), record.details.frames, app.rules.compat);
    let details = Details {
        bytes: record.size_bytes,
        content_type: record.details.format.media_type(),
        created_at: rfc3339(record.created_secs),
        format,
        frames,
        height: record.details.height,
        width: record.details.width,
        ..Details::of(looks)
    };
    Ok(Json(details).into_response())
}

/// What is known of a variant that was made; it looks like its original.
#[utoipa::path(
    get,
    path = "/image/details/process.{ext}",
    tag = "details",
    params(("ext" = String, Path, description = "jpg, jpeg, png, webp, avif, gif or apng", example = "webp"), SourceQuery, StepsQuery),
    responses((status = 200, body = Details, description = "what is known"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn variant(
    State(wired): State<Wired>,
    Params(name): Params<String>,
    query: Pairs<'static>,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::unknown_path(&format!("/image/details/{name}"));
    let extension = name.strip_prefix("process.").ok_or_else(unknown)?;
    let app = &wired.app;
    let source = Source::of_variant(&query).ok_or_else(ApiError::missing_src)?;
    let original: Original = app.originals.by_alias(&source.find(app).await?).await?;
    let variant = process::asked(extension, &query, &app.rules)?;
    let deadline = app.pool.deadline();
    let Some(found) = app.process.described(&original, &variant, deadline).await? else {
        return Err(ApiError::no_such_variant());
    };
    let looks = app.looking.of(&original, deadline).await?;
    let frames = if variant.is_still() { 1 } else { original.record.details.frames };
    let (format, frames) = told(variant.format().extension(), frames, app.rules.compat);
    let details = Details {
        bytes: found.record.size_bytes,
        content_type: variant.format().media_type(),
        created_at: rfc3339(found.record.created_secs),
        format,
        frames,
        height: found.height,
        width: found.width,
        ..Details::of(looks)
    };
    Ok(Json(details).into_response())
}

/// A blurhash.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Blurhash {
    #[schema(example = "LGF5]+Yk^6#M@-5c,1J5@[or[Q6.")]
    blurhash: String,
    msg: &'static str,
}

/// The blurhash of an original, found now if it was not before.
#[utoipa::path(
    get,
    path = "/image/blurhash",
    tag = "details",
    params(OneQuery),
    responses((status = 200, body = Blurhash, description = "what it looks like"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn blurhash(State(wired): State<Wired>, query: Pairs<'static>) -> Result<Json<Blurhash>, ApiError> {
    let app = &wired.app;
    let source = Source::of(&query).ok_or_else(|| ApiError::missing_parameter("alias or proxy"))?;
    let alias = source.fetch(app).await?;
    let deadline = app.pool.deadline();
    let original = app.originals.by_alias(&alias).await?;
    let Looks { blurhash, .. } = app.looking.of(&original, deadline).await?;
    Ok(Json(Blurhash { blurhash, msg: "ok" }))
}

impl Details {
    /// What the picture looks like, and nothing else yet.
    fn of(looks: Looks) -> Self {
        Self {
            blurhash: looks.blurhash,
            bytes: 0,
            content_type: "",
            created_at: String::new(),
            dominant_color: hex(looks.dominant),
            format: "",
            frames: None,
            height: 0,
            opaque: looks.opaque,
            palette: looks.palette.into_iter().map(hex).collect(),
            thumbhash: looks.thumbhash,
            width: 0,
        }
    }
}

fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Seconds since 1970 as `2026-11-28T19:30:00Z`.
pub(super) fn rfc3339(secs: u64) -> String {
    let time = i64::try_from(secs).ok().and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_colours_are_written_as_others_read_them() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_795_894_200), "2026-11-28T19:30:00Z");
        assert_eq!(hex([0, 10, 255]), "#000aff");
    }

    #[test]
    fn what_stands_still_has_no_frames_to_pict_rs() {
        assert_eq!(moving(1), ("Image", None));
        assert_eq!(moving(2), ("Animation", Some(2)));
        assert_eq!(told("gif", 1, Compat::V02), ("gif", Some(1)));
        assert_eq!(told("gif", 1, Compat::V05), ("Image", None));
    }
}
