//! What stands around every route: request ids, the access log, panics, the API key, unknown paths and methods.

use std::{any::Any, fmt, sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderName, HeaderValue, Method, Request, Response as HttpResponse, Version,
        header::{ALLOW, CONNECTION},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tracing::Instrument as _;

use super::{
    Wired, deadline,
    error::{ApiError, Code, Refused},
    form,
    request_id::RequestId,
    watched::{Failure, Route, Watched},
};
use crate::{
    app::{App, Rules},
    telemetry::traces,
};

/// The longest path in the log.
const MAX_SHOWN_BYTES: usize = 512;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_TOKEN: HeaderName = HeaderName::from_static("x-api-token");

/// What answers while everything else is refused.
const ALWAYS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Gives each request an id, which stands in its log lines and in the answer, lets in as many at a time as may be under way, and logs how
/// it ended. What a gate refused is not logged: the more there is of that the less it is worth, and `/metrics` counts it.
pub(super) async fn request(State(wired): State<Wired>, request: Request<Body>, next: Next) -> Response {
    let id = RequestId::new();
    let (span, is_traced) = (span(&wired.app.rules, &id, &request), wired.app.rules.traces);
    async move {
        let began = Instant::now();
        let gate = &wired.app.gates.requests;
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let pass = if ALWAYS.contains(&request.uri().path()) { Ok(None) } else { gate.enter().map(Some) };
        let mut response = match pass {
            Ok(_pass) => deadline::within(deadline::left(request.headers()), next.run(request)).await,
            Err(full) => ApiError::from(full).into_response(),
        };
        if let Some(cause) = response.extensions().get::<super::error::Cause>() {
            tracing::error!(cause = %cause.0, "the request failed");
        }
        answered(&mut response, &id, began);
        if is_traced {
            traces::answered(&tracing::Span::current(), response.status().as_u16());
        }
        note(&wired.watched, &response, (&method, uri.path()), &id, began);
        response
    }
    .instrument(span)
    .await
}

/// What the log lines of a request have in common.
pub(super) fn span<B>(rules: &Rules, id: &RequestId, request: &Request<B>) -> tracing::Span {
    let (method, path) = (request.method(), request.uri().path());
    if rules.traces {
        let route = Route::of(path).name();
        return traces::request(request.headers(), method.as_str(), route, Shown(path), id.as_str());
    }
    tracing::info_span!("request", id = id.as_str(), %method, path = %Shown(path))
}

/// A path as it is logged: without the secrets in it, and not for ever. A delete token stands behind `delete`, also where that is written
/// in capitals, which no route takes.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, rest) = self.0.split_at(self.0.floor_char_boundary(MAX_SHOWN_BYTES));
        let mut is_secret = false;
        for (index, word) in shown.split('/').enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            // Empty words are of doubled slashes.
            let hides = is_secret && !word.is_empty();
            f.write_str(if hides { "***" } else { word })?;
            is_secret = word.eq_ignore_ascii_case("delete") || is_secret && !hides;
        }
        f.write_str(if rest.is_empty() { "" } else { "..." })
    }
}

/// Logs an answer, and puts the id on it.
pub(super) fn answered<B>(response: &mut HttpResponse<B>, id: &RequestId, began: Instant) {
    let (status, millis) = (response.status().as_u16(), began.elapsed().as_millis());
    if response.extensions().get::<Refused>().is_some() {
        tracing::debug!(status, millis, "refused");
    } else {
        tracing::info!(status, millis, "answered");
    }
    if let Some(id) = id.header() {
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

/// Notes an answer for the operator.
fn note(watched: &Watched, response: &Response, (method, path): (&Method, &str), id: &RequestId, began: Instant) {
    let (status, took) = (response.status().as_u16(), began.elapsed());
    watched.took(Route::of(path), took);
    watched.ended(Route::of(path), status);
    let is_refusal = response.extensions().get::<Refused>().is_some();
    let code = response.extensions().get::<Code>().map(|code| code.0);
    watched.failed(is_refusal, status, || {
        Failure::new(code, id.as_str(), method.as_str(), Shown(path).to_string(), status, took)
    });
}

/// Refuses a request on a connection over those that are served.
pub(super) async fn no_connection(State(app): State<Arc<App>>) -> ApiError {
    app.gates.connections.refuse().into()
}

/// Makes the answer the last one of its connection, where there is only one at a time.
pub(super) async fn closing(request: Request<Body>, next: Next) -> Response {
    let may_say = request.version() < Version::HTTP_2;
    let mut response = next.run(request).await;
    if may_say {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Answers everything under `/internal` that does not bring the API key.
pub(super) async fn api_key(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    let path = request.uri().path();
    if path != "/internal" && !path.starts_with("/internal/") {
        return next.run(request).await;
    }
    let presented = request.headers().get(API_TOKEN).map(HeaderValue::as_bytes);
    match (&app.rules.api_key, presented) {
        (Some(key), Some(presented)) if key.matches(presented) => next.run(request).await,
        (Some(_), _) | (None, _) => ApiError::invalid_api_key().into_response(),
    }
}

/// Refuses what would bring a picture or take one away, where none is to come or go. Methods that a path does not take are left to the router.
pub(super) async fn read_only(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    if app.rules.read_only && changes(request.method(), request.uri().path()) {
        let (parts, body) = request.into_parts();
        form::turn_away(&parts.headers, body);
        return ApiError::read_only().into_response();
    }
    next.run(request).await
}

/// Whether a request is for what changes which pictures there are. Variants are none: they can be made again.
fn changes(method: &Method, path: &str) -> bool {
    match path {
        "/image"
        | "/image/backgrounded"
        | "/internal/import"
        | "/internal/purge"
        | "/internal/delete"
        | "/internal/prune_missing"
        | "/internal/set_not_found" => *method == Method::POST,
        "/image/download" => *method == Method::GET,
        path if path.starts_with("/image/delete/") => matches!(*method, Method::GET | Method::DELETE),
        _ => false,
    }
}

/// The answer when a handler panicked: the message goes to the log, not to the client.
#[expect(clippy::needless_pass_by_value, reason = "the shape that the panic layer calls")]
pub(super) fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    ApiError::internal(format!("panic: {text}")).into_response()
}

/// The answer for a path that is none.
pub(super) async fn unknown_path(request: Request<Body>) -> ApiError {
    ApiError::unknown_path(request.uri().path())
}

/// The answer for a method that the path does not take; `Allow` names those it does.
pub(super) async fn method_not_allowed(request: Request<Body>) -> Response {
    let allow = match request.uri().path() {
        "/image"
        | "/image/backgrounded"
        | "/internal/import"
        | "/internal/purge"
        | "/internal/delete"
        | "/internal/export"
        | "/internal/prune_missing"
        | "/internal/set_not_found" => "POST",
        "/image/download" | "/image/backgrounded/claim" => "GET",
        "/internal/variants" => "DELETE",
        path if path.starts_with("/image/delete/") => "DELETE, GET",
        _ => "GET, HEAD",
    };
    not_allowed(request.method(), allow)
}

/// `405` for `method`, where only those in `allow` are taken.
pub(super) fn not_allowed(method: &Method, allow: &'static str) -> Response {
    let mut response = ApiError::method_not_allowed(method, allow).into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_pictures_is_told_from_what_does_not() {
        for (method, path) in [
            ("POST", "/image"),
            ("GET", "/image/download"),
            ("GET", "/image/delete/token/a.png"),
            ("DELETE", "/image/delete/token/a.png"),
            ("POST", "/internal/import"),
            ("POST", "/internal/purge"),
            ("POST", "/internal/delete"),
            ("POST", "/image/backgrounded"),
            ("POST", "/internal/prune_missing"),
            ("POST", "/internal/set_not_found"),
        ] {
            assert!(changes(&method.parse().unwrap(), path), "{method} {path}");
            assert!(!changes(&Method::HEAD, path), "{path}");
        }
        for (method, path) in
            [("GET", "/image"), ("GET", "/image/original/a.png"), ("DELETE", "/internal/variants"), ("GET", "/")]
        {
            assert!(!changes(&method.parse().unwrap(), path), "{method} {path}");
        }
    }

    #[test]
    fn no_delete_token_is_logged_however_it_is_spelt() {
        for (path, expected) in [
            ("/image/delete/secret/a.png", "/image/delete/***/a.png"),
            ("//image/delete//secret/a.png", "//image/delete//***/a.png"),
            ("/image/DELETE/secret", "/image/DELETE/***"),
            ("/image/delete/delete/a.png", "/image/delete/***/***"),
            ("/image/delete/", "/image/delete/"),
            ("/image/original/a.png", "/image/original/a.png"),
        ] {
            assert_eq!(Shown(path).to_string(), expected);
        }
        let long = format!("/{}", "\u{e9}".repeat(10_000));
        assert!(Shown(&long).to_string().len() <= MAX_SHOWN_BYTES + 3);
    }
}
