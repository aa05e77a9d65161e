//! What a client does not wait for, as pict-rs 0.4 and 0.5 have it: uploads whose outcome is claimed later, and variants that are made ahead.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    error::{ApiError, Problem, told_code},
    extract::Pairs,
    openapi::{LimitsQuery, SourceQuery, StepsQuery},
    process,
    source::Source,
    upload::{Incoming, Names, UploadForm, Uploaded, told},
};
use crate::{
    app::App,
    domain::{Asked, Terms, UploadId},
    service::{
        ServiceError,
        backgrounded::{Claimed, Failure, Outcome},
        gates::Pass,
        ingest::Named,
        originals::Original,
    },
    store::Staged,
};

/// How long a claim waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Uploads that will be taken in. The keys stand in alphabetical order, as everywhere.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    msg: &'static str,
    uploads: Vec<AcceptedUpload>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
struct AcceptedUpload {
    /// By which its outcome is claimed. A secret: with it goes the delete token.
    #[schema(example = "6d3b2f3f-7b29-4d9a-868e-b269423f4d6c")]
    upload_id: String,
}

/// The answer to a claim of an upload that was refused.
#[derive(Debug, Serialize, ToSchema)]
struct Refused {
    code: String,
    msg: String,
}

/// How an error is told later to whoever claims what it was about.
pub fn explain(error: ServiceError) -> Failure {
    ApiError::from(error).into_failure()
}

/// The query of an upload as it is kept.
fn kept(query: &Pairs<'_>, but: &[&str]) -> Vec<(String, String)> {
    let pairs = query.0.iter().filter(|(name, _)| !but.contains(&name.as_ref()));
    pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// `202` with the ids, once it is certain that the pictures will be taken in.
pub(super) async fn accept(
    app: &App,
    pictures: Vec<(Staged, Pass)>,
    query: &Pairs<'_>,
    but: &[&str],
) -> Result<Response, ApiError> {
    let ids = app.backgrounded.accept(pictures, &kept(query, but)).await?;
    let uploads = ids.into_iter().map(|id| AcceptedUpload { upload_id: id.to_string() }).collect();
    Ok((StatusCode::ACCEPTED, Json(Accepted { msg: "ok", uploads })).into_response())
}

/// Uploads 1 to 10 pictures and does not wait for them to be looked at. What comes of each is claimed by its id.
#[utoipa::path(
    post,
    path = "/image/backgrounded",
    tag = "pictures",
    params(LimitsQuery, StepsQuery),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 202, body = Accepted, description = "received, and taken in whatever happens; ids in the order of the parts"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn upload(
    State(app): State<Arc<App>>,
    query: Pairs<'static>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (mut incoming, terms) = Incoming::open(&app, &query, &headers, body, Names::Given)?;
    let received = receive(&app, &mut incoming, &terms).await;
    let (pictures, _pass) = incoming.end(received)?;
    accept(&app, pictures, &query, &[]).await
}

async fn receive(app: &App, incoming: &mut Incoming<'_>, terms: &Terms) -> Result<Vec<(Staged, Pass)>, ApiError> {
    let mut pictures = Vec::new();
    while let Some((staged, _alias)) = incoming.next().await? {
        pictures.push(held(app, staged, terms)?);
    }
    Ok(pictures)
}

/// A picture with its place among those that nobody waits for; what can be said of it now is.
pub(super) fn held(app: &App, staged: Staged, terms: &Terms) -> Result<(Staged, Pass), ApiError> {
    terms.limits.check_size(staged.size_bytes())?;
    Ok((staged, app.gates.backgrounded.enter()?))
}

/// Tells what came of an upload, once; waits for it up to 10 seconds.
#[utoipa::path(
    get,
    path = "/image/backgrounded/claim",
    tag = "pictures",
    params(("upload_id" = String, Query, description = "what the upload was answered", pattern = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", example = "6d3b2f3f-7b29-4d9a-868e-b269423f4d6c")),
    responses((status = 200, body = Uploaded, description = "it is stored"), (status = 204, description = "it is not done yet: ask again"), (status = 422, body = Refused, description = "it was refused"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn claim(State(app): State<Arc<App>>, query: Pairs<'static>) -> Result<Response, ApiError> {
    let text = query.last("upload_id").ok_or_else(|| ApiError::missing_parameter("upload_id"))?;
    let id: UploadId = text.parse().map_err(|_none| ApiError::bad_parameter("upload_id", text, "a UUID"))?;
    let deadline = std::time::Instant::now() + PATIENCE;
    let (alias, delete_token) = match app.backgrounded.claim(&id, deadline).await? {
        Claimed::NotYet => return Ok(StatusCode::NO_CONTENT.into_response()),
        Claimed::Gone => return Err(ApiError::already_claimed(&id)),
        Claimed::Outcome(Outcome::Refused { code, msg }) => {
            let code = told_code(&code, app.rules.compat).to_owned();
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(Refused { code, msg })).into_response());
        }
        Claimed::Outcome(Outcome::Stored { alias, token }) => (alias, token),
    };
    let Original { hash, record } = app.originals.by_alias(&alias).await?;
    let blurhash = app.repo.looks(&hash).await?.map(|looks| looks.blurhash);
    let named = Named { alias, delete_token, hash, record, blurhash };
    Ok((StatusCode::OK, Json(told(vec![named]))).into_response())
}

/// Accepts a variant that is to be made, and does not wait for it. Where it is there already nothing is done.
#[utoipa::path(
    get,
    path = "/image/process_backgrounded.{ext}",
    tag = "variants",
    params(("ext" = String, Path, description = "jpg, jpeg, png, webp, avif, gif or apng", example = "webp"), SourceQuery, StepsQuery),
    responses((status = 202, description = "it will be made"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn process(app: &App, uri: &Uri, extension: &str, query: &Pairs<'_>) -> Result<Response, ApiError> {
    process::permit(uri, query, extension, &app.rules)?;
    let source = Source::of_variant(query).ok_or_else(ApiError::missing_src)?;
    let variant = process::asked(extension, query, &app.rules)?;
    let alias = source.find(app).await?;
    let original = app.originals.by_alias(&alias).await.map_err(|error| ApiError::from(error).with_bad_alias())?;
    if !original.is_already(&variant) && !app.process.is_made(&original, &variant).await? {
        let allowed = |name: &str| app.rules.whitelist.as_ref().is_none_or(|list| list.contains(name));
        let mut query = kept(query, &["src", "alias", "proxy", "signature", "expires"]);
        query.retain(|(name, _)| Asked::knows(name) && allowed(name));
        app.backgrounded.accept_variant(alias, extension, query).await?;
    }
    Ok(StatusCode::ACCEPTED.into_response())
}
