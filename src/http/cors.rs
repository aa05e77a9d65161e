//! Pages of other origins: what a browser is told that asks whether they may use this server.

use std::time::Duration;

use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
        IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, ORIGIN, RANGE, RETRY_AFTER, VARY,
    },
};
use tower_http::cors::{AllowOrigin, CorsLayer, Vary};

/// How long a browser may remember what it was told; none does longer.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// What scripts may read of an answer besides what they always may.
const EXPOSED: &str = "content-length, content-range, etag, retry-after, x-request-id, x-glimt-fallback";

/// The origins that may.
#[derive(Clone, Debug)]
pub(super) struct Cors {
    /// `None`: all.
    origins: Option<Vec<HeaderValue>>,
}

impl Cors {
    /// `None` where no origin may.
    pub(super) fn new(origins: &[String]) -> Option<Self> {
        if origins.is_empty() {
            return None;
        }
        let some = || origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
        let is_any = origins.iter().any(|origin| origin == "*");
        Some(Self { origins: if is_any { None } else { Some(some()) } })
    }

    /// What stands around the router, and answers what browsers ask beforehand.
    pub(super) fn layer(&self) -> CorsLayer {
        let names = ["x-request-id", "x-glimt-fallback"].map(HeaderName::from_static);
        let layer = CorsLayer::new()
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
            .allow_headers([
                CONTENT_TYPE,
                RANGE,
                IF_MATCH,
                IF_NONE_MATCH,
                IF_MODIFIED_SINCE,
                IF_UNMODIFIED_SINCE,
                IF_RANGE,
                HeaderName::from_static("x-api-token"),
            ])
            .expose_headers(
                [CONTENT_LENGTH, CONTENT_RANGE, ETAG, RETRY_AFTER].into_iter().chain(names).collect::<Vec<_>>(),
            )
            .max_age(MAX_AGE);
        match &self.origins {
            None => layer.allow_origin(tower_http::cors::Any).vary(Vary::list([])),
            Some(origins) => layer.allow_origin(AllowOrigin::list(origins.clone())).vary(Vary::list([ORIGIN])),
        }
    }

    /// The same for an answer that goes by the router.
    pub(super) fn mark(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        let allowed = match &self.origins {
            None => Some(HeaderValue::from_static("*")),
            Some(origins) => {
                answer.append(VARY, HeaderValue::from_static("origin"));
                request.get(ORIGIN).filter(|origin| origins.contains(origin)).cloned()
            }
        };
        if let Some(allowed) = allowed {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}
