//! `GET /image/process.{ext}`: a variant.

use std::{ops::Range, time::Instant};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Uri, header::VARY, uri::PathAndQuery},
    response::Response,
};

use super::{
    Wired, auto, backgrounded,
    caching::{Representation, answer, passing},
    error::{ApiError, Problem},
    extract::{Pairs, Params},
    hot::{Key, part},
    layers::not_allowed,
    openapi::{SourceQuery, StepsQuery},
    original,
    source::Source,
    stand_in,
};
use crate::{
    app::Rules,
    domain::{Alias, Asked, Compat, OutputFormat, Variant},
    service::{
        ServiceError,
        cache::is_whole,
        now_secs,
        originals::Original,
        process::{Answer, Made},
        signing::SignatureError,
        tickets::Ticket,
    },
};

/// What the query asks for: what is none of ours, or not in the whitelist, is passed over.
fn wishes(query: &Pairs<'_>, rules: &Rules) -> Result<Asked, ServiceError> {
    let allowed = |name: &str| rules.whitelist.as_ref().is_none_or(|list| list.contains(name));
    let pairs = query.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
    Ok(Asked::read(pairs, allowed)?)
}

/// The variant that is asked for.
pub(super) fn asked(extension: &str, query: &Pairs<'_>, rules: &Rules) -> Result<Variant, ServiceError> {
    let format = format(extension)?;
    Ok(wishes(query, rules)?.variant(format)?)
}

fn format(extension: &str) -> Result<OutputFormat, ServiceError> {
    OutputFormat::from_extension(extension)
        .ok_or_else(|| ServiceError::UnknownFormat { got: extension.chars().take(40).collect() })
}

/// Whether this may be made at all: where that is restricted, what a preset makes, and what is signed.
pub(super) fn permit(uri: &Uri, query: &Pairs<'_>, extension: &str, rules: &Rules) -> Result<(), ApiError> {
    if !rules.only_presets && !rules.require_signature {
        return Ok(());
    }
    // What cannot be read is no preset, and is told why if it is signed.
    let format = OutputFormat::from_extension(extension);
    let is_known = extension == auto::EXTENSION || format.is_some();
    let asked = wishes(query, rules).ok().filter(|_| is_known);
    if asked.is_some_and(|asked| rules.presets.values().any(|preset| preset.is(&asked, format))) {
        return Ok(());
    }
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
    match rules.signing.verify(target, now_secs()) {
        Ok(()) => Ok(()),
        Err(SignatureError::Missing) if rules.only_presets => Err(ApiError::only_presets(rules.presets.keys())),
        Err(error) => Err(ApiError::bad_signature(&error)),
    }
}

/// The name of the picture that a variant is asked for of: `src`, or what pict-rs 0.5 has for it.
fn source<'q>(query: &'q Pairs<'_>) -> Option<&'q str> {
    query.last("src").or_else(|| query.last("alias"))
}

/// What a copy of the variant that `uri` asks for is named by in memory; `None` where it asks for none, or for one that cannot be.
pub(super) fn key(uri: &Uri, rules: &Rules) -> Option<Key> {
    let extension = uri.path().strip_prefix("/image/process.")?;
    let query = Pairs::of(uri);
    permit(uri, &query, extension, rules).ok()?;
    let variant = asked(extension, &query, rules).ok()?;
    Some((Alias::asked(source(&query)?), variant.key()))
}

/// Who asks for what, and whether a copy of it may be kept in memory.
struct Wanted<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    original: &'a Original,
    variant: &'a Variant,
    /// The name in memory, and the ticket.
    copy: Option<(&'a Key, Ticket)>,
    /// By when it is to be answered, whatever has to be done for it.
    deadline: Instant,
}

/// Serves the variant that the query describes: from memory, from the disk, or made now. The alias is looked up before anything is refused: an
/// unknown one is answered before whatever else is wrong.
#[utoipa::path(
    get,
    path = "/image/process.{ext}",
    tag = "variants",
    params(("ext" = String, Path, description = "jpg, jpeg, png, webp, avif, gif, apng or auto", example = "webp"), SourceQuery, StepsQuery),
    responses((status = 200, content_type = "image/*", body = Vec<u8>, description = "the variant"), (status = 206, content_type = "image/*", body = Vec<u8>, description = "a range of it"), (status = 304, description = "as the client has it"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn process(
    State(wired): State<Wired>,
    (method, uri): (Method, Uri),
    name: Result<Params<String>, ApiError>,
    query: Pairs<'static>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Params(name) = name?;
    if let Some(extension) = name.strip_prefix("process_backgrounded.") {
        if method != Method::GET {
            return Ok(not_allowed(&method, "GET"));
        }
        return backgrounded::process(&wired.app, &uri, extension, &query).await;
    }
    let Some(extension) = name.strip_prefix("process.") else {
        return Err(ApiError::unknown_path(&format!("/image/{name}")));
    };
    if !matches!(method, Method::GET | Method::HEAD) {
        return Ok(not_allowed(&method, "GET, HEAD"));
    }
    let source = Source::of_variant(&query).ok_or_else(ApiError::missing_src)?;
    let rules = &wired.app.rules;
    permit(&uri, &query, extension, rules)?;
    let wanted = if extension == auto::EXTENSION {
        wishes(&query, rules).map(|asked| (asked, None))
    } else {
        format(extension).and_then(|format| Ok((wishes(&query, rules)?, Some(format))))
    };
    match wanted {
        Ok((asked, format)) => {
            // Whatever can be said before is: nothing is fetched for what cannot be made.
            if let (Source::Remote(_), Some(format)) = (source, format) {
                asked.variant(format).map_err(ServiceError::from)?;
            }
            let app = &wired.app;
            let alias = if method == Method::HEAD { source.find(app).await? } else { source.fetch(app).await? };
            variant_or_instead(&wired, &method, &headers, alias, (&asked, format)).await
        }
        Err(error) => {
            if let Source::Alias(alias) = source {
                wired.app.originals.by_alias(&Alias::asked(alias)).await?;
            }
            Err(error.into())
        }
    }
}

/// Serves what a preset makes of the picture.
#[utoipa::path(
    get,
    path = "/image/preset/{name}/{alias}",
    tag = "variants",
    params(("name" = String, Path, description = "of the preset", example = "avatar"), ("alias" = String, Path, description = "the name of a picture", example = "lkWZDRvugm.jpg")),
    responses((status = 200, content_type = "image/*", body = Vec<u8>, description = "the variant"), (status = 206, content_type = "image/*", body = Vec<u8>, description = "a range of it"), (status = 304, description = "as the client has it"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn preset(
    State(wired): State<Wired>,
    method: Method,
    Params((name, file)): Params<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let presets = &wired.app.rules.presets;
    let preset = presets.get(&name).ok_or_else(|| ApiError::unknown_preset(&name, presets.keys()))?;
    variant_or_instead(&wired, &method, &headers, Alias::asked(&file), (preset.asked(), preset.format())).await
}

/// Serves a variant of the picture, or of the one that is shown in its place.
async fn variant_or_instead(
    wired: &Wired,
    method: &Method,
    headers: &HeaderMap,
    alias: Alias,
    (asked, format): (&Asked, Option<OutputFormat>),
) -> Result<Response, ApiError> {
    let answered = variant(wired, method, headers, alias, (asked, format)).await;
    let serve = async |alias, plain: HeaderMap| variant(wired, method, &plain, alias, (asked, format)).await;
    stand_in::instead(wired, headers, answered, serve).await
}

/// Serves a variant in a format, or in the one that is chosen for this client.
async fn variant(
    wired: &Wired,
    method: &Method,
    headers: &HeaderMap,
    alias: Alias,
    (asked, format): (&Asked, Option<OutputFormat>),
) -> Result<Response, ApiError> {
    let Some(format) = format else {
        let mut response = negotiated(wired, method, headers, alias, asked).await?;
        response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
        return Ok(response);
    };
    let Wired { app, hot, .. } = wired;
    let variant = match asked.variant(format) {
        Ok(variant) => variant,
        Err(error) => {
            app.originals.by_alias(&alias).await?;
            return Err(ServiceError::from(error).into());
        }
    };
    let key = (alias, variant.key());
    if let Some(copy) = hot.get(&key, |id| app.cache.touch(id)) {
        return copy.answer(method, headers).await;
    }
    let deadline = app.pool.deadline();
    let (original, ticket) = app.originals.with_ticket(&key.0).await?;
    let copy = ticket.map(|ticket| (&key, ticket));
    let wanted = Wanted { method, headers, original: &original, variant: &variant, copy, deadline };
    serve(wired, &wanted, None).await
}

/// The variant in the format that is chosen for this client.
async fn negotiated(
    wired: &Wired,
    method: &Method,
    headers: &HeaderMap,
    alias: Alias,
    asked: &Asked,
) -> Result<Response, ApiError> {
    let Wired { app, hot, .. } = wired;
    let deadline = app.pool.deadline();
    let (original, ticket) = app.originals.with_ticket(&alias).await?;
    let auto::Chosen { variant, answer } = auto::choose(app, headers, &original, asked, deadline).await?;
    let key = (alias, variant.key());
    if let Some(copy) = hot.get(&key, |id| app.cache.touch(id)) {
        return copy.answer(method, headers).await;
    }
    let copy = ticket.map(|ticket| (&key, ticket));
    let wanted = Wanted { method, headers, original: &original, variant: &variant, copy, deadline };
    serve(wired, &wanted, answer).await
}

/// The answer to a request for this variant; `answered` is what the service has said to it already.
async fn serve(wired: &Wired, wanted: &Wanted<'_>, mut answered: Option<Answer>) -> Result<Response, ApiError> {
    let Wanted { method, headers, original, variant, copy, .. } = *wanted;
    if original.is_already(variant) {
        return original::serve(wired, method, headers, original, copy).await;
    }
    // A variant whose file was lost is made again. Twice: one that was made may be evicted before it is read.
    for _ in 0..3 {
        if let Some(response) = served(wired, wanted, answered.take()).await? {
            return Ok(response);
        }
    }
    Err(ApiError::internal("a variant that was just made is missing".to_owned()))
}

/// The answer to a request for this variant; `None` when a file was lost, which is forgotten then.
async fn served(wired: &Wired, wanted: &Wanted<'_>, answered: Option<Answer>) -> Result<Option<Response>, ApiError> {
    let Wanted { method, headers, original, variant, copy, deadline } = *wanted;
    let app = &wired.app;
    let answered = match answered {
        Some(answer) => answer,
        None => app.process.answer(original, variant.clone(), deadline).await?,
    };
    let (lost, response) = match answered {
        Answer::Made(made) => {
            let representation = representation(variant, &made, app.rules.compat);
            let mut missing = false;
            let copy = copy.map(|(key, ticket)| (key, ticket, &representation));
            let body = async |range| body(wired, &made, range, copy, &mut missing).await;
            let response = answer(method, headers, &representation, body).await?;
            ((missing).then(|| variant.clone()), response)
        }
        Answer::Instead(instead, reason) => {
            let (instead, made) = *instead;
            let representation = representation(&instead, &made, app.rules.compat);
            let mut missing = false;
            let body = async |range| body(wired, &made, range, None, &mut missing).await;
            let response = passing(method, &representation, variant.format(), reason, body).await?;
            ((missing).then_some(instead), response)
        }
    };
    if let Some(lost) = &lost {
        app.process.forget(original, lost).await?;
        return Ok(None);
    }
    Ok(Some(response))
}

fn representation(variant: &Variant, made: &Made, compat: Compat) -> Representation {
    Representation {
        etag: made.record.etag,
        size_bytes: made.record.size_bytes,
        modified_secs: made.record.created_secs,
        media_type: variant.format().media_type(),
        compat,
    }
}

/// The bytes of a range of the variant, of which a copy is kept if it may be; `missing` is set when its file is not there, or not
/// what was put there: it is not synced, so a power cut may have cut it. What is read whole is held against its hash, the rest
/// against its size.
async fn body(
    wired: &Wired,
    made: &Made,
    range: Range<u64>,
    copy: Option<(&Key, Ticket, &Representation)>,
    missing: &mut bool,
) -> Result<Body, ApiError> {
    let Wired { app, hot, .. } = wired;
    // A copy is kept of what is small enough, and read for it whole. Of a range only those bytes are read.
    let copy = copy.filter(|(.., of)| of.size_bytes <= hot.largest() && range == (0..of.size_bytes));
    let bytes = match &made.bytes {
        Some(bytes) => Some(bytes.clone()),
        None if copy.is_some() => {
            let bytes = app.store.read(&made.key).await?.filter(|bytes| is_whole(&made.record, bytes));
            *missing = bytes.is_none();
            Some(bytes.unwrap_or_default())
        }
        None => None,
    };
    if let Some(bytes) = bytes {
        if let Some((key, ticket, representation)) = copy
            && !*missing
        {
            hot.put(key.clone(), (*made.key.hash(), ticket), *representation, &bytes);
        }
        return Ok(part(&bytes, &range));
    }
    let stream = app.store.stream(&made.key, range, made.record.size_bytes).await?;
    *missing = stream.is_none();
    Ok(stream.map_or_else(Body::empty, Body::from_stream))
}
