//! The picture that is shown in the place of one that is not there, under `404`, where an operator has chosen one.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::State,
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{ACCEPT, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, ETAG, LAST_MODIFIED},
    },
    response::Response,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    Wired,
    error::{ApiError, Code, Problem},
    upload::Message,
};
use crate::{app::App, domain::Alias};

/// More than any choice has.
const MAX_BODY_BYTES: usize = 8192;

/// What is said of a picture and is not true of another in its place.
const ITS_OWN: [HeaderName; 5] = [ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, ETAG, LAST_MODIFIED];

/// The answer to a request for a picture: as it was, unless that is not there and another is to be shown. Then `serve` answers for the alias of
/// that one, and for headers without conditions and ranges. No cache keeps it: the picture may come.
///
/// # Errors
/// Those of the answer, also where nothing can be shown in its place.
pub(super) async fn instead(
    wired: &Wired,
    headers: &HeaderMap,
    answered: Result<Response, ApiError>,
    serve: impl AsyncFnOnce(Alias, HeaderMap) -> Result<Response, ApiError>,
) -> Result<Response, ApiError> {
    let error = match answered {
        Err(error) if error.is_unknown_alias() => error,
        other => return other,
    };
    let Some(alias) = wired.app.repo.stand_in().await? else { return Err(error) };
    let mut plain = HeaderMap::new();
    for accept in headers.get_all(ACCEPT) {
        plain.append(ACCEPT, accept.clone());
    }
    // It may have been deleted, or be none that this variant can be made of.
    let Ok(mut response) = serve(alias, plain).await else { return Err(error) };
    *response.status_mut() = StatusCode::NOT_FOUND;
    for name in ITS_OWN {
        response.headers_mut().remove(name);
    }
    response.extensions_mut().insert(Code(error.code()));
    Ok(response)
}

/// What stands in from now on.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Chosen {
    /// The alias of a picture; `null` for none.
    #[schema(example = "lkWZDRvugm.jpg")]
    alias: Option<String>,
    /// Not allowed here.
    #[schema(ignore)]
    proxy: Option<String>,
}

/// Chooses the picture that is shown, under `404`, in the place of originals and variants of pictures that are not there.
#[utoipa::path(
    post,
    path = "/internal/set_not_found",
    tag = "internal",
    request_body(content = Chosen, content_type = "application/json"),
    responses((status = 201, body = Message, description = "it is shown from now on"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn set(State(app): State<Arc<App>>, body: Body) -> Result<(StatusCode, Json<Message>), ApiError> {
    let bytes = to_bytes(body, MAX_BODY_BYTES).await;
    let bytes = bytes.map_err(|_broken| ApiError::unreadable_body("it did not come whole, or has over 8192 bytes"))?;
    // An object: what reads it would take an array for one.
    let chosen = serde_json::from_slice::<Map<String, Value>>(&bytes).map(Value::Object);
    let chosen = chosen.and_then(serde_json::from_value);
    let Chosen { alias, proxy } = chosen.map_err(|error| ApiError::unreadable_body(&error.to_string()))?;
    if proxy.is_some() {
        return Err(ApiError::remote_not_allowed());
    }
    let alias = alias.as_deref().map(Alias::asked);
    if let Some(alias) = &alias {
        app.originals.by_alias(alias).await?;
        if app.repo.alias(alias).await?.is_some_and(|record| record.remote.is_some()) {
            return Err(ApiError::remote_not_allowed());
        }
    }
    app.repo.set_stand_in(alias).await?;
    Ok((StatusCode::CREATED, Json(Message { msg: "ok" })))
}
