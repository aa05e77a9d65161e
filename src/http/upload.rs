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
    store::Staged,
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
    (StatusCode::CREATED, Json(told(named)))
}

/// What is told of pictures that are stored.
pub(super) fn told(named: Vec<Named>) -> Uploaded {
    let files = named
        .into_iter()
        .map(|one| UploadedFile {
            delete_token: one.delete_token.reveal().to_owned(),
            details: UploadedDetails::of(&one.record, one.blurhash),
            file: one.alias,
        })
        .collect();
    Uploaded { files, msg: "ok" }
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

/// A form that comes in. When something about it fails, the rest of the body is read and thrown away for a while so that the client gets to
/// read the answer.
pub(super) struct Incoming<'a> {
    app: &'a App,
    form: Form,
    names: Names,
    /// Files that came so far.
    files: usize,
    pass: Pass,
}

impl<'a> Incoming<'a> {
    /// Begins to receive one, and reads from the query what is asked of its pictures.
    ///
    /// # Errors
    /// Of the query, the head and the gates; the body is thrown away then.
    pub(super) fn open(
        app: &'a App,
        query: &Pairs<'_>,
        headers: &HeaderMap,
        body: Body,
        names: Names,
    ) -> Result<(Self, Terms), ApiError> {
        let entered = terms(query, &[]).and_then(|terms| Ok((terms, enter(app)?)));
        let (terms, pass) = match entered {
            Ok(entered) => entered,
            Err(refusal) => {
                form::turn_away(headers, body);
                return Err(refusal);
            }
        };
        let form = Form::new(headers, body, MAX_FILES as u64, app.rules.max_file_size_bytes, app.rules.body_patience)?;
        Ok((Self { app, form, names, files: 0, pass }, terms))
    }

    /// The next file, staged, and the name that it brings.
    ///
    /// # Errors
    /// Of the form; when it has too many files, or none.
    pub(super) async fn next(&mut self) -> Result<Option<(Staged, Option<Alias>)>, ApiError> {
        while let Some(mut part) = self.form.next_part().await? {
            if part.name() != Some(FILES) {
                while self.form.chunk(&mut part).await?.is_some() {}
                continue;
            }
            if self.files == MAX_FILES {
                return Err(ApiError::too_many_files(MAX_FILES));
            }
            self.files += 1;
            let alias = match self.names {
                Names::Given => None,
                Names::Brought => Some(Alias::parse_import(part.file_name().unwrap_or_default())?),
            };
            let mut writer = self.app.ingest.begin().await?;
            while let Some(chunk) = self.form.chunk(&mut part).await? {
                writer.write(&chunk).await?;
            }
            drop(part);
            return Ok(Some((writer.finish().await?, alias)));
        }
        if self.files == 0 { Err(ApiError::no_files(FILES)) } else { Ok(None) }
    }

    /// Ends with what came of it, and the pass, to be held until all is stored.
    ///
    /// # Errors
    /// The same as came of it.
    pub(super) fn end<T>(self, received: Result<T, ApiError>) -> Result<(T, Pass), ApiError> {
        if received.is_err() {
            self.form.linger();
        }
        Ok((received?, self.pass))
    }
}

/// Receives a form and prepares each of its files as soon as it is complete. When one fails, all are dropped. The pass is to be held until they are
/// named.
pub(super) async fn receive(
    app: &App,
    query: &Pairs<'_>,
    headers: &HeaderMap,
    body: Body,
    (rules, names): (Rules, Names),
) -> Result<(Vec<Prepared>, Pass), ApiError> {
    let (mut incoming, terms) = Incoming::open(app, query, headers, body, names)?;
    let received = prepare(&mut incoming, rules, &terms).await;
    incoming.end(received)
}

async fn prepare(incoming: &mut Incoming<'_>, rules: Rules, terms: &Terms) -> Result<Vec<Prepared>, ApiError> {
    let mut prepared = Vec::new();
    while let Some((staged, alias)) = incoming.next().await? {
        prepared.push(incoming.app.ingest.prepare_under(staged, alias, rules, terms).await?);
    }
    Ok(prepared)
}
