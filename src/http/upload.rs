//! `POST /image`, and what the other ways in share with it: the receiving of a form and the answer.

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
    details::UploadedDetails,
    error::{ApiError, Problem},
    extract::Pairs,
    form::{self, Form},
    openapi::{LimitsQuery, StepsQuery},
};
use crate::{
    app::App,
    domain::{Alias, Terms},
    service::{
        gates::{Full, Pass},
        ingest::{Named, Prepared, Rules},
        pool::Class,
    },
};

/// Files in one form.
pub(super) const MAX_FILES: usize = 10;

/// The name of the parts that are files.
const FILES: &str = "images[]";

/// The form of an upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says what the form has; the parts are read as they stream")]
pub(super) struct UploadForm {
    /// 1 to 10 files.
    #[schema(rename = "images[]", value_type = Vec<String>, format = Binary, min_items = 1, max_items = 10)]
    images: Vec<Vec<u8>>,
}

/// A plain answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Message {
    pub(super) msg: &'static str,
}

/// The answer to an upload. The keys stand in alphabetical order, as everywhere.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Uploaded {
    files: Vec<UploadedFile>,
    msg: &'static str,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
struct UploadedFile {
    /// The secret that deletes the name: told once.
    #[schema(example = "JFvFhqJA98")]
    delete_token: String,
    details: UploadedDetails,
    /// The name of the picture.
    #[schema(value_type = String, example = "lkWZDRvugm.jpg")]
    file: Alias,
}

/// `201` with the names and tokens, in order.
pub(super) fn created(named: Vec<Named>) -> (StatusCode, Json<Uploaded>) {
    let files = named
        .into_iter()
        .map(|one| UploadedFile {
            delete_token: one.delete_token.reveal().to_owned(),
            details: UploadedDetails::of(&one.record, one.blurhash),
            file: one.alias,
        })
        .collect();
    (StatusCode::CREATED, Json(Uploaded { files, msg: "ok" }))
}

/// Uploads 1 to 10 pictures. Steps in the query are done to each before it is stored; the whitelist is for variants, and not heeded here.
#[utoipa::path(
    post,
    path = "/image",
    tag = "pictures",
    params(LimitsQuery, StepsQuery),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 201, body = Uploaded, description = "stored; names and tokens in the order of the parts"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn upload(
    State(app): State<Arc<App>>,
    query: Pairs<'static>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Uploaded>), ApiError> {
    let (prepared, _pass) = receive(&app, &query, &headers, body, (Rules::Validate, Names::Given)).await?;
    Ok(created(app.ingest.name(prepared).await?))
}

/// What a query asks of the pictures that come with it; its keys `but` these are what it may have.
///
/// # Errors
/// Of the query.
pub(super) fn terms(query: &Pairs<'_>, but: &[&str]) -> Result<Terms, ApiError> {
    let pairs = query.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
    Ok(Terms::read(pairs.filter(|(name, _)| !but.contains(name)))?)
}

/// The right to bring pictures in, to be held until they are stored.
///
/// # Errors
/// When as many do as may, or when their processing would have to wait too long.
pub(super) fn enter(app: &App) -> Result<Pass, Full> {
    let pass = app.gates.uploads.enter()?;
    app.pool.admit(Class::Upload, app.pool.deadline())?;
    Ok(pass)
}

/// Where the names of the pictures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// They are given out, at random.
    Given,
    /// Each part brings its own.
    Brought,
}

/// Receives a form and prepares each of its files as soon as it is complete. When one fails, all are dropped, and the
/// rest of the body is read and thrown away for a while so that the client gets to read the answer. The pass is to be held until they are named.
pub(super) async fn receive(
    app: &App,
    query: &Pairs<'_>,
    headers: &HeaderMap,
    body: Body,
    (rules, names): (Rules, Names),
) -> Result<(Vec<Prepared>, Pass), ApiError> {
    let entered = terms(query, &[]).and_then(|terms| Ok((terms, enter(app)?)));
    let (terms, pass) = match entered {
        Ok(entered) => entered,
        Err(refusal) => {
            form::turn_away(headers, body);
            return Err(refusal);
        }
    };
    let mut form = Form::new(headers, body, MAX_FILES as u64, app.rules.max_file_size_bytes, app.rules.body_patience)?;
    let received = receive_files(app, &mut form, (rules, &terms), names).await;
    if received.is_err() {
        form.linger();
    }
    Ok((received?, pass))
}

async fn receive_files(
    app: &App,
    form: &mut Form,
    (rules, terms): (Rules, &Terms),
    names: Names,
) -> Result<Vec<Prepared>, ApiError> {
    let mut prepared = Vec::new();
    while let Some(mut part) = form.next_part().await? {
        if part.name() != Some(FILES) {
            while form.chunk(&mut part).await?.is_some() {}
            continue;
        }
        if prepared.len() == MAX_FILES {
            return Err(ApiError::too_many_files(MAX_FILES));
        }
        let alias = match names {
            Names::Given => None,
            Names::Brought => Some(Alias::parse_import(part.file_name().unwrap_or_default())?),
        };
        let mut writer = app.ingest.begin().await?;
        while let Some(chunk) = form.chunk(&mut part).await? {
            writer.write(&chunk).await?;
        }
        drop(part);
        let staged = writer.finish().await?;
        prepared.push(app.ingest.prepare_under(staged, alias, rules, terms).await?);
    }
    if prepared.is_empty() { Err(ApiError::no_files(FILES)) } else { Ok(prepared) }
}
