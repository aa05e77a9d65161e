//! The picture that a query names: by an alias, or by the address of a remote picture.

use super::{error::ApiError, extract::Pairs, upload};
use crate::{
    app::App,
    domain::Alias,
    service::{ServiceError, remotes::Address},
};

/// What names a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source<'q> {
    /// One that was given out.
    Alias(&'q str),
    /// The address of one on another host.
    Remote(&'q str),
}

impl<'q> Source<'q> {
    /// That of a query: `alias`, or `proxy` where there is none.
    pub(super) fn of(query: &'q Pairs<'_>) -> Option<Self> {
        query.last("alias").map(Self::Alias).or_else(|| query.last("proxy").map(Self::Remote))
    }

    /// The same where a query may have `src` too, which comes first.
    pub(super) fn of_variant(query: &'q Pairs<'_>) -> Option<Self> {
        query.last("src").map(Self::Alias).or_else(|| Self::of(query))
    }

    /// The alias. A remote picture has to be here.
    ///
    /// # Errors
    /// `proxy-not-found`, or a fault.
    pub(super) async fn find(self, app: &App) -> Result<Alias, ApiError> {
        let url = match self {
            Self::Alias(alias) => return Ok(Alias::asked(alias)),
            Self::Remote(url) => url,
        };
        let address = Address::read(url).map_err(ServiceError::from)?;
        app.remotes.find(&address).await?.ok_or_else(|| ApiError::unknown_remote(url))
    }

    /// The alias. A remote picture that is not here is fetched.
    ///
    /// # Errors
    /// What a download may answer.
    pub(super) async fn fetch(self, app: &App) -> Result<Alias, ApiError> {
        let url = match self {
            Self::Alias(alias) => return Ok(Alias::asked(alias)),
            Self::Remote(url) => url,
        };
        let address = Address::read(url).map_err(ServiceError::from)?;
        if let Some(alias) = app.remotes.find(&address).await? {
            return Ok(alias);
        }
        if app.rules.read_only {
            return Err(ApiError::read_only());
        }
        let _pass = upload::enter(app)?;
        Ok(app.remotes.fetch(&address).await?)
    }
}
