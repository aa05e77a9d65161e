//! Remote pictures: those of other hosts, fetched when somebody asks for their address, and kept until nobody has for a while.
//!
//! One is an alias like any other, which nobody was told, with its address in the row. So it is stripped, deduplicated, processed and
//! cached as an upload is, and goes in one transaction with its address. Uses are noted in memory, and in the rows once in a while: what a crash
//! loses of that makes a picture go sooner, and it is fetched again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use url::Url;

use super::{
    ServiceError,
    download::download,
    fetch::{FetchError, Fetcher, MAX_URL_BYTES},
    flight::Flight,
    ingest::{Ingest, Rules},
    now_secs,
    originals::Originals,
};
use crate::{
    domain::{Alias, Remote, UrlKey},
    repo::{Repo, RepoError},
};

/// How often ages are looked at and uses noted, at most and at least: a sixteenth of the age lies between the two.
const EVERY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(600)];

/// Uses that wait to be noted. Of more than that some go unnoted, and their pictures may be fetched again sooner.
const MAX_UNNOTED: usize = 16_384;

/// How long noting may take when the server stops.
const LAST_NOTES: Duration = Duration::from_secs(2);

/// Rows in one transaction.
const ROWS: usize = 256;

/// An address that may be that of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    url: Url,
    key: UrlKey,
}

impl Address {
    /// The address that a client names. Spellings of one URL are one address, whatever fragment they end in.
    ///
    /// # Errors
    /// [`FetchError`], of the client's fault.
    pub fn read(text: &str) -> Result<Self, FetchError> {
        if text.len() > MAX_URL_BYTES {
            return Err(FetchError::TooLong { got: text.len(), max: MAX_URL_BYTES });
        }
        let mut url = Url::parse(text).map_err(FetchError::Unreadable)?;
        url.set_fragment(None);
        let key = UrlKey::of(url.as_str());
        Ok(Self { url, key })
    }
}

/// Finds, fetches and forgets remote pictures.
pub struct Remotes {
    /// How long one is kept that nobody asks for; `None` is for ever.
    max_age: Option<Duration>,
    repo: Arc<dyn Repo>,
    originals: Arc<Originals>,
    fetcher: Arc<Fetcher>,
    ingest: Arc<Ingest>,
    flight: Flight<UrlKey, Result<Alias, ServiceError>>,
    /// The last uses that no row has, in seconds since 1970.
    unnoted: Mutex<BTreeMap<UrlKey, u64>>,
}

impl Remotes {
    /// Wires the parts.
    pub fn new(
        max_age: Option<Duration>,
        repo: Arc<dyn Repo>,
        originals: Arc<Originals>,
        fetcher: Arc<Fetcher>,
        ingest: Arc<Ingest>,
    ) -> Self {
        Self { max_age, repo, originals, fetcher, ingest, flight: Flight::default(), unnoted: Mutex::default() }
    }

    /// The alias of the picture at this address, if it is here; it counts as used now.
    ///
    /// # Errors
    /// A fault of the repo.
    pub async fn find(&self, address: &Address) -> Result<Option<Alias>, ServiceError> {
        let Some(named) = self.repo.remote(&address.key).await? else { return Ok(None) };
        self.note(address.key);
        Ok(Some(named.alias))
    }

    /// The alias of the picture at this address, which is fetched unless it is here. Whoever asks meanwhile waits for the same answer, and
    /// when nobody does any more the download is stopped.
    ///
    /// # Errors
    /// What a download and the taking in of a picture may answer.
    pub async fn fetch(self: &Arc<Self>, address: &Address) -> Result<Alias, ServiceError> {
        let (this, wanted) = (Arc::clone(self), address.clone());
        let fetch = move || async move { this.fetch_now(&wanted).await };
        self.flight.run(address.key, fetch).await.unwrap_or(Err(ServiceError::Panicked))
    }

    async fn fetch_now(&self, address: &Address) -> Result<Alias, ServiceError> {
        // Whoever came just after the last one finished finds its row.
        if let Some(alias) = self.find(address).await? {
            return Ok(alias);
        }
        let staged = download(&self.fetcher, &self.ingest, address.url.as_str()).await?;
        let prepared = self.ingest.prepare(staged, None, Rules::Validate).await?;
        let remote = Remote { url: address.key, fetched_secs: now_secs() };
        match self.ingest.name(vec![prepared.of_remote(remote)]).await {
            Ok(mut named) => named.pop().map(|named| named.alias).ok_or(ServiceError::Panicked),
            // One whose callers had all left was naming it still.
            Err(ServiceError::Repo(error)) => match &*error {
                RepoError::AliasTaken(alias) => Ok(alias.clone()),
                RepoError::Record { .. } | RepoError::Engine(_) | RepoError::Stopped => Err(ServiceError::Repo(error)),
            },
            Err(error) => Err(error),
        }
    }

    fn note(&self, key: UrlKey) {
        let mut unnoted = self.unnoted();
        if unnoted.len() < MAX_UNNOTED || unnoted.contains_key(&key) {
            unnoted.insert(key, now_secs());
        }
    }

    /// Notes uses in the rows, and forgets what nobody has asked for, until it is dropped.
    pub async fn keep_up(self: Arc<Self>) {
        let [least, most] = EVERY;
        let every = self.max_age.map_or(most, |age| (age / 16).clamp(least, most));
        loop {
            tokio::time::sleep(every).await;
            let round = async {
                self.note_uses().await?;
                match self.max_age {
                    Some(age) => self.forget_unused_since(now_secs().saturating_sub(age.as_secs())).await,
                    None => Ok(0),
                }
            };
            match round.await {
                Ok(0) => {}
                Ok(forgotten) => tracing::info!(forgotten, "remote pictures went that nobody had asked for"),
                Err(error) => tracing::warn!(%error, "remote pictures are not kept up for now"),
            }
        }
    }

    /// Notes what uses it can in a short while, before the server stops.
    pub async fn note_last_uses(&self) {
        match tokio::time::timeout(LAST_NOTES, self.note_uses()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "not noted when remote pictures were last used"),
            Err(_elapsed) => tracing::warn!("not all noted when remote pictures were last used: it took too long"),
        }
    }

    /// Notes in the rows what is known in memory alone. What is not noted because of an error is, when it is used again.
    ///
    /// # Errors
    /// A fault of the repo.
    async fn note_uses(&self) -> Result<(), ServiceError> {
        let mut uses: Vec<(UrlKey, u64)> = std::mem::take(&mut *self.unnoted()).into_iter().collect();
        while !uses.is_empty() {
            let chunk = uses.split_off(uses.len().saturating_sub(ROWS));
            self.repo.use_remotes(chunk).await?;
        }
        Ok(())
    }

    /// Removes the remote pictures that were not used since `secs`, and tells how many those were.
    ///
    /// # Errors
    /// The first fault of the repo.
    async fn forget_unused_since(&self, secs: u64) -> Result<usize, ServiceError> {
        let mut forgotten = 0;
        for first in 0..=u8::MAX {
            for (key, named) in self.repo.remotes_under(first).await? {
                if named.used_secs >= secs || self.unnoted().contains_key(&key) {
                    continue;
                }
                match self.originals.drop_alias(&named.alias).await {
                    Ok(()) => forgotten += 1,
                    // Deleted by an operator since it was listed.
                    Err(ServiceError::NoSuchAlias(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(forgotten)
    }

    fn unnoted(&self) -> MutexGuard<'_, BTreeMap<UrlKey, u64>> {
        self.unnoted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_url_are_one_address() {
        let read = |text: &str| Address::read(text).unwrap();
        let one = read("https://example.org/a.png?b=c");
        for same in ["HTTPS://EXAMPLE.ORG:443/a.png?b=c", "https://example.org/./a.png?b=c#top"] {
            assert_eq!(read(same), one, "{same}");
        }
        for other in ["http://example.org/a.png?b=c", "https://example.org/a.png", "https://example.org/A.png?b=c"] {
            assert_ne!(read(other), one, "{other}");
        }
        for none in ["", "example.org/a.png", "https://", &format!("https://a/{}", "b".repeat(MAX_URL_BYTES))] {
            assert!(Address::read(none).is_err(), "{none}");
        }
    }
}
