//! What is behind the API key: import, purge, aliases, file names.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Wired,
    details::rfc3339,
    error::{ApiError, Problem},
    extract::Pairs,
    openapi::{LimitsQuery, OneQuery, StepsQuery},
    source::Source,
    upload::{Message, Names, UploadForm, Uploaded, created, receive},
};
use crate::{
    app::App,
    domain::Alias,
    service::{ingest::Rules, now_secs, originals::Named},
};

/// Aliases of a picture. The keys stand in alphabetical order, as everywhere.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Aliases {
    /// In the order that they were made.
    #[schema(value_type = Vec<String>)]
    aliases: Vec<Alias>,
    msg: &'static str,
}

/// The name of a stored file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Filename {
    filename: String,
    msg: &'static str,
}

/// Where a stored file lies.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Identifier {
    identifier: String,
    msg: &'static str,
}

/// Where a copy of the metadata lies.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Exported {
    /// A folder, below the data directory.
    #[schema(example = "exports/2026-11-29T14-05-09Z")]
    export: String,
    msg: &'static str,
}

/// Writes a copy of the metadata into a new folder of the data directory, which `glimt import` reads.
#[utoipa::path(
    post,
    path = "/internal/export",
    tag = "internal",
    responses((status = 201, body = Exported, description = "it is on the disk"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn export(State(app): State<Arc<App>>) -> Result<(StatusCode, Json<Exported>), ApiError> {
    // Colons cannot stand in a name everywhere.
    let name = rfc3339(now_secs()).replace(':', "-");
    app.exports.make(&name).await?;
    Ok((StatusCode::CREATED, Json(Exported { export: format!("exports/{name}"), msg: "ok" })))
}

/// Takes pictures in under the names that they bring.
#[utoipa::path(
    post,
    path = "/internal/import",
    tag = "internal",
    params(LimitsQuery, StepsQuery),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 201, body = Uploaded, description = "stored under the names that they bring"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn import(
    State(app): State<Arc<App>>,
    query: Pairs<'static>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Uploaded>), ApiError> {
    let rules = if app.rules.trust_imports { Rules::Trust } else { Rules::Validate };
    let (prepared, _pass) = receive(&app, &query, &headers, body, (rules, Names::Brought)).await?;
    Ok(created(app.ingest.name(prepared).await?))
}

/// Removes a picture with all its aliases.
#[utoipa::path(
    post,
    path = "/internal/purge",
    tag = "internal",
    params(("file" = Option<String>, Query, description = "the name of the stored file"), ("alias" = Option<String>, Query, description = "or a name of the picture"), ("proxy" = Option<String>, Query, description = "or the address of a remote picture")),
    responses((status = 200, body = Aliases, description = "gone, with these names"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn purge(State(app): State<Arc<App>>, query: Pairs<'static>) -> Result<Json<Aliases>, ApiError> {
    let aliases = app.originals.purge(&named(&app, &query).await?).await?;
    Ok(Json(Aliases { aliases, msg: "ok" }))
}

/// Lists the aliases of a picture.
#[utoipa::path(
    get,
    path = "/internal/aliases",
    tag = "internal",
    params(("file" = Option<String>, Query, description = "the name of the stored file"), ("alias" = Option<String>, Query, description = "or a name of the picture"), ("proxy" = Option<String>, Query, description = "or the address of a remote picture")),
    responses((status = 200, body = Aliases, description = "its names"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn aliases(State(app): State<Arc<App>>, query: Pairs<'static>) -> Result<Json<Aliases>, ApiError> {
    let aliases = app.originals.aliases(&named(&app, &query).await?).await?;
    Ok(Json(Aliases { aliases, msg: "ok" }))
}

/// Tells the name of the file behind an alias.
#[utoipa::path(
    get,
    path = "/internal/filename",
    tag = "internal",
    params(OneQuery),
    responses((status = 200, body = Filename, description = "the name of the stored file"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn filename(State(app): State<Arc<App>>, query: Pairs<'static>) -> Result<Json<Filename>, ApiError> {
    let alias = source(&query)?.find(&app).await?;
    let original = app.originals.by_alias(&alias).await?;
    Ok(Json(Filename { filename: original.filename(), msg: "ok" }))
}

/// Removes one alias, without its delete token; and the picture with its last one. Lemmy 1.0 keeps no tokens.
#[utoipa::path(
    post,
    path = "/internal/delete",
    tag = "internal",
    params(OneQuery),
    responses((status = 200, body = Message, description = "gone"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn delete(State(app): State<Arc<App>>, query: Pairs<'static>) -> Result<Json<Message>, ApiError> {
    let alias = source(&query)?.find(&app).await?;
    app.originals.drop_alias(&alias).await?;
    Ok(Json(Message { msg: "ok" }))
}

/// Tells where the file behind an alias lies, below the data directory.
#[utoipa::path(
    get,
    path = "/internal/identifier",
    tag = "internal",
    params(OneQuery),
    responses((status = 200, body = Identifier, description = "where its file lies"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn identifier(
    State(app): State<Arc<App>>,
    query: Pairs<'static>,
) -> Result<Json<Identifier>, ApiError> {
    let alias = source(&query)?.find(&app).await?;
    let original = app.originals.by_alias(&alias).await?;
    Ok(Json(Identifier { identifier: original.key().to_string(), msg: "ok" }))
}

/// Drops every variant. When this is answered none of those that were there is served any more; their files go in the background.
#[utoipa::path(
    delete,
    path = "/internal/variants",
    tag = "internal",
    responses((status = 204, description = "none is served any more"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn drop_variants(State(wired): State<Wired>) -> Result<StatusCode, ApiError> {
    wired.app.process.drop_all().await?;
    wired.hot.clear();
    Ok(StatusCode::NO_CONTENT)
}

/// The picture that `file` names, or `alias` or `proxy` where there is no `file`.
async fn named(app: &App, query: &Pairs<'_>) -> Result<Named, ApiError> {
    if let Some(file) = query.last("file") {
        return Ok(Named::File(file.to_owned()));
    }
    let source = Source::of(query).ok_or_else(|| ApiError::missing_parameter("file or alias"))?;
    Ok(Named::Alias(source.find(app).await?))
}

fn source<'q>(query: &'q Pairs<'_>) -> Result<Source<'q>, ApiError> {
    Source::of(query).ok_or_else(|| ApiError::missing_parameter("alias"))
}
