//! The wire: routes, layers and what every answer has in common. The only module that says `StatusCode`.

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRef, Request},
    http::{Uri, uri::PathAndQuery},
    middleware,
    routing::{any, delete, get, post},
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{app::App, domain::Compat};

mod auto;
mod backgrounded;
mod caching;
mod cors;
mod deadline;
mod delete;
mod details;
mod download;
mod error;
mod extract;
mod form;
mod front;
mod hashes;
mod health;
mod hot;
mod internal;
mod layers;
mod limits;
mod metrics;
mod openapi;
mod original;
mod overview;
mod page;
mod process;
mod prune;
mod request_id;
mod source;
mod stand_in;
mod upload;
mod watched;

pub use backgrounded::explain;
pub use front::{Front, Sent};
pub use request_id::RequestId;

/// The parser of forms, for the fuzzer and nobody else.
#[cfg(fuzzing)]
pub use self::form::{WholePart, parts_of};

/// What the handlers are given: the parts, and what the wire keeps for itself.
#[derive(Clone)]
struct Wired {
    app: Arc<App>,
    hot: Arc<hot::Hot>,
    watched: Arc<watched::Watched>,
    cors: Option<Arc<cors::Cors>>,
}

impl Wired {
    fn new(app: Arc<App>) -> Self {
        let hot = Arc::new(hot::Hot::new(app.rules.hot_cache_bytes, Arc::clone(&app.tickets)));
        let cors = cors::Cors::new(&app.rules.cors_origins).map(Arc::new);
        Self { app, hot, watched: Arc::default(), cors }
    }
}

impl FromRef<Wired> for Arc<App> {
    fn from_ref(wired: &Wired) -> Self {
        Self::clone(&wired.app)
    }
}

/// For a connection over those that are served: how the server is, and a refusal of everything else, after which it is closed.
fn refusing_router(wired: Wired) -> Router {
    public_health(&wired)
        .fallback(layers::no_connection)
        .layer(middleware::from_fn(layers::closing))
        .layer(middleware::from_fn_with_state(wired.clone(), layers::request))
        .with_state(wired)
}

/// What answers while everything else is refused.
fn health_routes() -> Router<Wired> {
    Router::new().route("/healthz", get(health::healthz)).route("/readyz", get(health::readyz))
}

/// The same at the address that is everybody's: with metrics, if these have none of their own.
fn public_health(wired: &Wired) -> Router<Wired> {
    let health = health_routes();
    if wired.app.rules.metrics_apart { health } else { health.route("/metrics", get(metrics::metrics)) }
}

/// The address that is the operator's.
fn operator_router(wired: Wired) -> Router {
    health_routes()
        .route("/metrics", get(metrics::metrics))
        .method_not_allowed_fallback(layers::method_not_allowed)
        .fallback(layers::unknown_path)
        .layer(middleware::from_fn_with_state(wired.clone(), layers::request))
        .with_state(wired)
}

/// Every route, behind the layers: request id and log, panics, the API key.
fn router(wired: Wired) -> Router {
    let page = if wired.app.rules.ui { page::routes() } else { Router::new() };
    let cors = wired.cors.as_ref().map(|cors| cors.layer());
    let compat = wired.app.rules.compat;
    let router = public_health(&wired)
        .merge(page)
        .route("/openapi.json", get(openapi::openapi))
        .route("/image", post(upload::upload))
        .route("/image/backgrounded", post(backgrounded::upload))
        .route("/image/backgrounded/claim", get(backgrounded::claim).head(layers::method_not_allowed))
        .route("/image/download", get(download::download).head(layers::method_not_allowed))
        .route("/image/original", any(original::by_query))
        .route("/image/original/{alias}", get(original::original))
        .route("/image/{process}", any(process::process))
        .route("/image/preset/{name}/{file}", get(process::preset))
        .route("/image/details/original", get(details::by_query))
        .route("/image/details/original/{alias}", get(details::original))
        .route("/image/details/{process}", get(details::variant))
        .route(
            "/image/delete/{token}/{alias}",
            delete(delete::delete).get(delete::delete_by_get).head(layers::method_not_allowed),
        )
        .route("/image/blurhash", get(details::blurhash))
        .route("/internal/import", post(internal::import))
        .route("/internal/delete", post(internal::delete))
        .route("/internal/export", post(internal::export))
        .route("/internal/hashes", get(hashes::hashes))
        .route("/internal/identifier", get(internal::identifier))
        .route("/internal/limits", get(limits::limits))
        .route("/internal/prune_missing", post(prune::prune_missing))
        .route("/internal/purge", post(internal::purge))
        .route("/internal/aliases", get(internal::aliases))
        .route("/internal/filename", get(internal::filename))
        .route("/internal/overview", get(overview::overview))
        .route("/internal/set_not_found", post(stand_in::set))
        .route("/internal/variants", delete(internal::drop_variants))
        .method_not_allowed_fallback(layers::method_not_allowed)
        .fallback(layers::unknown_path)
        .layer(middleware::from_fn_with_state(Arc::clone(&wired.app), layers::read_only))
        .layer(middleware::from_fn_with_state(Arc::clone(&wired.app), layers::api_key))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(middleware::from_fn_with_state(wired.clone(), layers::request))
        .with_state(wired);
    let router = match compat {
        Compat::V02 => router,
        Compat::V05 => router.layer(middleware::from_fn(error::rename)),
    };
    // Outside of all: a refusal too is to be read by the page that gets it.
    match cors {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

/// The request with several slashes in front of its path made one: Lemmy sends `//internal/purge`. Stands in front of
/// the router, because layers of the router run when the route is already chosen.
fn one_leading_slash(mut request: Request) -> Request {
    let uri = request.uri();
    if uri.path().starts_with("//") {
        let rest = uri.path_and_query().map_or("", PathAndQuery::as_str).trim_start_matches('/');
        // What follows the slashes was part of a valid target, so this is one too.
        if let Ok(uri) = format!("/{rest}").parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn leading_slashes_become_one_and_others_stay() {
        for (before, after) in [
            ("//internal/purge?alias=a//b", "/internal/purge?alias=a//b"),
            ("///image//x", "/image//x"),
            ("/image", "/image"),
            ("//", "/"),
        ] {
            let request = Request::builder().uri(PathAndQuery::try_from(before).unwrap().as_str());
            let request = request.body(Body::empty());
            // `//host/path` parses as a path when it comes as a request target.
            let Ok(mut request) = request else { continue };
            let parts = axum::http::uri::Parts::from(Uri::default());
            let mut parts = parts;
            parts.path_and_query = Some(PathAndQuery::try_from(before).unwrap());
            parts.scheme = None;
            parts.authority = None;
            *request.uri_mut() = Uri::from_parts(parts).unwrap();
            assert_eq!(one_leading_slash(request).uri().to_string(), after);
        }
    }
}
