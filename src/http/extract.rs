//! What handlers read from a request: paths and queries, with our answers for those that cannot be read.

use std::borrow::Cow;

use axum::{
    extract::{FromRequestParts, Path, rejection::PathRejection},
    http::{Uri, request::Parts},
};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// The parameters of the path, percent-decoded.
pub(super) struct Params<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Params<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        // The only way to fail is text that is not UTF-8 once decoded: the routes fix the number of parameters.
        params.map(|Path(params)| Self(params)).map_err(|_not_utf8| ApiError::unreadable_path())
    }
}

/// The query as pairs in their order, percent-decoded, `+` as a space; bytes that are not UTF-8 become U+FFFD.
pub(super) struct Pairs<'a>(pub(super) Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Pairs<'a> {
    /// Those of the query of `uri`, without a copy where nothing is encoded.
    pub(super) fn of(uri: &'a Uri) -> Self {
        Self(url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect())
    }

    /// The value of the last pair with this key.
    pub(super) fn last(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Pairs<'static> {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let pairs = Pairs::of(&parts.uri).0.into_iter();
        Ok(Self(pairs.map(|(name, value)| (owned(name), owned(value))).collect()))
    }
}
