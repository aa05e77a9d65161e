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
    error::{ApiError, Problem},
    extract::Pairs,
    openapi::{LimitsQuery, StepsQuery},
    upload::{Message, Names, UploadForm, Uploaded, created, receive},
};
use crate::{
    app::App,
    domain::Alias,
    service::{ingest::Rules, originals::Named},
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
    params(("file" = Option<String>, Query, description = "the name of the stored file"), ("alias" = Option<String>, Query, description = "or a name of the picture")),
    responses((status = 200, body = Aliases, description = "gone, with these names"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn purge(State(app): State<Arc<App>>, query: Pairs<'static>) -> Result<Json<Aliases>, ApiError> {
    let aliases = app.originals.purge(&named(&query)?).await?;
    Ok(Json(Aliases { aliases, msg: "ok" }))
}

/// Lists the aliases of a picture.
#[utoipa::path(
    get,
    path = "/internal/aliases",
    tag = "internal",
    params(("file" = Option<String>, Query, description = "the name of the stored file"), ("alias" = Option<String>, Query, description = "or a name of the picture")),
    responses((status = 200, body = Aliases, description = "its names"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn aliases(State(app): State<Arc<App>>, query: Pairs<'static>) -> Result<Json<Aliases>, ApiError> {
    let aliases = app.originals.aliases(&named(&query)?).await?;
    Ok(Json(Aliases { aliases, msg: "ok" }))
}

/// Tells the name of the file behind an alias.
#[utoipa::path(
    get,
    path = "/internal/filename",
    tag = "internal",
    params(("alias" = String, Query, description = "the name of a picture", example = "lkWZDRvugm.jpg")),
    responses((status = 200, body = Filename, description = "the name of the stored file"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn filename(State(app): State<Arc<App>>, query: Pairs<'static>) -> Result<Json<Filename>, ApiError> {
    let alias = query.last("alias").ok_or_else(|| ApiError::missing_parameter("alias"))?;
    let original = app.originals.by_alias(&Alias::asked(alias)).await?;
    Ok(Json(Filename { filename: original.filename(), msg: "ok" }))
}

/// Removes one alias, without its delete token; and the picture with its last one. Lemmy 1.0 keeps no tokens.
#[utoipa::path(
    post,
    path = "/internal/delete",
    tag = "internal",
    params(("alias" = String, Query, description = "the name of a picture", example = "lkWZDRvugm.jpg")),
    responses((status = 200, body = Message, description = "gone"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn delete(State(app): State<Arc<App>>, query: Pairs<'static>) -> Result<Json<Message>, ApiError> {
    let alias = query.last("alias").ok_or_else(|| ApiError::missing_parameter("alias"))?;
    app.originals.drop_alias(&Alias::asked(alias)).await?;
    Ok(Json(Message { msg: "ok" }))
}

/// Tells where the file behind an alias lies, below the data directory.
#[utoipa::path(
    get,
    path = "/internal/identifier",
    tag = "internal",
    params(("alias" = String, Query, description = "the name of a picture", example = "lkWZDRvugm.jpg")),
    responses((status = 200, body = Identifier, description = "where its file lies"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn identifier(
    State(app): State<Arc<App>>,
    query: Pairs<'static>,
) -> Result<Json<Identifier>, ApiError> {
    let alias = query.last("alias").ok_or_else(|| ApiError::missing_parameter("alias"))?;
    let original = app.originals.by_alias(&Alias::asked(alias)).await?;
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

/// The picture that `file` names, or `alias` where there is no `file`.
fn named(query: &Pairs<'_>) -> Result<Named, ApiError> {
    match (query.last("file"), query.last("alias")) {
        (Some(file), _) => Ok(Named::File(file.to_owned())),
        (None, Some(alias)) => Ok(Named::Alias(Alias::asked(alias))),
        (None, None) => Err(ApiError::missing_parameter("file or alias")),
    }
}
