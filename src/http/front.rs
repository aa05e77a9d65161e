//! What stands in front of the router: pictures in memory are answered here, before anything is boxed, routed or awaited.
//!
//! A hit goes by the router, so whatever the layers do for an answer is done here as well: the request id and the log line. Everything
//! that is no plain hit goes on to the router as if this were not there.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response},
    routing::future::RouteFuture,
};
use bytes::Bytes;
use futures_util::future::{Either, FutureExt as _, Map, Ready, ready};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tower::Service as _;

use super::{
    Wired, caching::is_plain, layers, one_leading_slash, operator_router, original, process, refusing_router,
    request_id::RequestId, router, watched::Route,
};
use crate::{app::App, telemetry::traces};

/// All that is answered.
pub struct Front {
    router: Router,
    wired: Wired,
    /// Whether pictures in memory are answered here.
    hits: bool,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Sent {
    /// Bytes in memory; none once they are taken.
    Whole(Bytes),
    /// What the router gave.
    Routed(Body),
}

type Answered = Result<Response<Sent>, Infallible>;

/// An answer of the router, to be waited for.
type Routed = Map<RouteFuture<Infallible>, fn(Result<Response<Body>, Infallible>) -> Answered>;

fn routed(answered: Result<Response<Body>, Infallible>) -> Answered {
    answered.map(|answer| answer.map(Sent::Routed))
}

impl Front {
    /// The router and what stands in front of it; and what connections over those that are served are answered by: how the server is, and
    /// a refusal of everything else.
    #[must_use]
    pub fn pair(app: Arc<App>) -> (Self, Self) {
        let wired = Wired::new(app);
        let refusing = Self { router: refusing_router(wired.clone()), wired: wired.clone(), hits: false };
        (Self { router: router(wired.clone()), wired, hits: true }, refusing)
    }

    /// What answers at the operator's own address.
    #[must_use]
    pub fn for_operator(&self) -> Self {
        Self { router: operator_router(self.wired.clone()), wired: self.wired.clone(), hits: false }
    }

    /// The answer to a request.
    pub fn answer<B>(&self, request: Request<B>) -> Either<Ready<Answered>, Routed>
    where
        B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        if let Some(answer) = self.hit(&request) {
            return Either::Left(ready(Ok(answer)));
        }
        let answering = self.router.clone().call(one_leading_slash(request.map(Body::new)));
        Either::Right(answering.map(routed as fn(_) -> _))
    }

    /// The answer, if it is in memory and asked for without conditions and ranges.
    fn hit<B>(&self, request: &Request<B>) -> Option<Response<Sent>> {
        if !self.hits || *request.method() != Method::GET || !is_plain(request.headers()) {
            return None;
        }
        let Wired { app, hot, watched, cors } = &self.wired;
        let began = Instant::now();
        let uri = request.uri();
        let variant = process::key(uri, &app.rules);
        let route = if variant.is_some() { Route::Process } else { Route::Original };
        let key = variant.or_else(|| original::key(uri))?;
        let copy = hot.hit(&key, |id| app.cache.touch(id))?;
        let mut answer = Response::new(Sent::Whole(copy.bytes()));
        *answer.headers_mut() = copy.head();
        if let Some(cors) = cors {
            cors.mark(request.headers(), answer.headers_mut());
        }
        let id = RequestId::new();
        let span = layers::span(&app.rules, &id, request);
        span.in_scope(|| layers::answered(&mut answer, &id, began));
        if app.rules.traces {
            traces::answered(&span, 200);
        }
        watched.took(route, began.elapsed());
        watched.ended(route, 200);
        Some(answer)
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Routed(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Routed(body) => body.size_hint(),
        }
    }
}
