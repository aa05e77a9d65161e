//! Remote download: fetches what a client names, and nothing a client should not reach.
//!
//! **Invariants:** no connection is made to an address that was not checked ([`address`], [`resolve`]); every
//! redirect is a new request through the same checks; there is no proxy, no cookie, no credential, no referer, no
//! connection kept for the next download, no decompression. What is absent on purpose: limits on ports (a public
//! address answers for its ports) and a refusal of redirects from https to http (what is fetched is public and
//! carries no secret; a picture's bytes are checked, not believed, and pict-rs 0.2 followed them too).

use std::{error::Error as _, sync::Arc, time::Duration};

use bytes::Bytes;
use ipnet::IpNet;
use reqwest::{Client, Response, header, redirect};
use tokio::time::{Instant, timeout_at};

pub mod address;
pub mod error;
pub mod resolve;
mod target;
#[cfg(test)]
mod tests;

pub use error::{Fault, FetchError, Wait};
pub use resolve::{Lookup, SystemLookup};
pub use target::MAX_URL_BYTES;

use resolve::{Guarded, RefusedByAddress};
use target::Target;

/// Most header lines an answer may have.
const MAX_HEADERS: usize = 100;

/// Sees to it that clients find what encrypts for them.
pub(super) fn tls_is_ready() {
    // Ours is the only TLS in the process; a provider that is installed already is as good.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}

/// The rules of remote downloads.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Address ranges that are not public and may be fetched from all the same.
    pub allow: Vec<IpNet>,
    /// Whether anything is fetched at all.
    pub enabled: bool,
    /// Longest time for look-up, connection and TLS of one hop.
    pub connect_timeout: Duration,
    /// Longest wait for the head of an answer once connected, and between two pieces of the body.
    pub idle_timeout: Duration,
    /// Longest time for everything, redirects included, however steadily the bytes drip.
    pub total_timeout: Duration,
    /// Most redirects followed.
    pub max_redirects: u32,
}

impl Default for FetchOptions {
    /// Public addresses only, 3 redirects, 10 s to connect, 10 s of silence, 60 s in all.
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            enabled: true,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(10),
            total_timeout: Duration::from_secs(60),
            max_redirects: 3,
        }
    }
}

/// Opens downloads. One for the process; cheap to share by reference.
pub struct Fetcher {
    client: Client,
    options: FetchOptions,
    allow: Arc<[IpNet]>,
    /// Whether there are certificate authorities to check https against.
    https: bool,
}

impl Fetcher {
    /// A fetcher with the system's resolver and certificate authorities. Reads the authorities from disk.
    ///
    /// # Errors
    /// [`FetchError::Client`] when the TLS library cannot be set up. A machine without certificate authorities is
    /// no error: a warning is logged, http works, https answers [`FetchError::NoAuthorities`].
    pub fn new(options: FetchOptions) -> Result<Self, FetchError> {
        Self::with_lookup(options, Arc::new(SystemLookup))
    }

    /// As [`Fetcher::new`], with another way to look up names.
    ///
    /// # Errors
    /// As [`Fetcher::new`].
    pub fn with_lookup(options: FetchOptions, lookup: Arc<dyn Lookup>) -> Result<Self, FetchError> {
        tls_is_ready();
        let allow: Arc<[IpNet]> = options.allow.clone().into();
        let guarded = Arc::new(Guarded { lookup, allow: Arc::clone(&allow) });
        let builder = || {
            Client::builder()
                .dns_resolver(Arc::clone(&guarded))
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .referer(false)
                .connect_timeout(options.connect_timeout)
                // One request a connection: nothing to gain from HTTP/2, and the next download is checked anew.
                .http1_only()
                .http1_max_headers(MAX_HEADERS)
                .pool_max_idle_per_host(0)
                .user_agent(concat!("glimt/", env!("CARGO_PKG_VERSION")))
        };
        let (client, https) = match builder().build() {
            Ok(client) => (client, true),
            Err(error) => {
                tracing::warn!(cause = %chain(&error), "https downloads will fail: no certificate authorities");
                (builder().tls_certs_only([]).build().map_err(|error| FetchError::Client(chain(&error)))?, false)
            }
        };
        Ok(Self { client, options, allow, https })
    }

    /// Asks for `url`, follows redirects, and returns once a 2xx head is there. The body is still to be read.
    ///
    /// # Errors
    /// [`FetchError`]; its `fault` says whose it is.
    pub async fn open(&self, url: &str) -> Result<Download, FetchError> {
        if !self.options.enabled {
            return Err(FetchError::Disabled);
        }
        let deadline = Instant::now() + self.options.total_timeout;
        let mut target = Target::parse(url, &self.allow)?;
        let mut redirects = 0;
        loop {
            let response = self.ask(&target, deadline).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(Download { response, host: target.host, deadline, options: self.options.clone() });
            }
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Err(FetchError::Status { host: target.host, status: status.as_u16() });
            }
            if redirects == self.options.max_redirects {
                return Err(FetchError::TooManyRedirects { host: target.host, max: redirects });
            }
            redirects += 1;
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            target = target.redirect(location, &self.allow)?;
        }
    }

    /// One request; the head of its answer.
    async fn ask(&self, target: &Target, deadline: Instant) -> Result<Response, FetchError> {
        if target.url.scheme() == "https" && !self.https {
            return Err(FetchError::NoAuthorities);
        }
        let request = self.client.get(target.url.clone()).header(header::ACCEPT_ENCODING, "identity").send();
        let limit = self.options.connect_timeout + self.options.idle_timeout;
        let wait = Patience { host: &target.host, deadline, options: &self.options };
        match wait.at_most(limit, Wait::Answer, request).await? {
            Ok(response) => Ok(response),
            Err(error) => Err(self.explain(&error, target)),
        }
    }

    /// What an error of the client means, without what it knows of addresses.
    fn explain(&self, error: &reqwest::Error, target: &Target) -> FetchError {
        let host = target.host.clone();
        tracing::debug!(host, cause = %chain(error), "download failed");
        if causes(error).any(|cause| cause.is::<RefusedByAddress>()) {
            FetchError::Refused { host }
        } else if error.is_timeout() {
            FetchError::TimedOut { host, wait: Wait::Connect, limit: self.options.connect_timeout }
        } else if error.is_dns() {
            FetchError::Lookup { host }
        } else if error.is_connect() {
            FetchError::Connect { host }
        } else {
            FetchError::Answer { host }
        }
    }
}

/// A body on its way. Dropping it closes the connection.
#[derive(Debug)]
pub struct Download {
    response: Response,
    host: String,
    deadline: Instant,
    options: FetchOptions,
}

impl Download {
    /// The next bytes, as they come; `None` after the last. Counting them against a size limit is the caller's.
    ///
    /// A body whose length was announced, or that is chunked, is known to be whole when `None` comes; one that ends
    /// with its connection cannot be told from a cut one, and decoding it has the last word.
    ///
    /// # Errors
    /// [`FetchError::TimedOut`] and [`FetchError::Cut`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        let wait = Patience { host: &self.host, deadline: self.deadline, options: &self.options };
        match wait.at_most(self.options.idle_timeout, Wait::Bytes, self.response.chunk()).await? {
            Ok(chunk) => Ok(chunk),
            Err(error) => {
                tracing::debug!(host = self.host, cause = %chain(&error), "download broke");
                Err(FetchError::Cut { host: self.host.clone() })
            }
        }
    }

    /// The length of the body in bytes, if it was announced. A claim, not a fact.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.response.content_length()
    }
}

/// How long a hop may still take.
struct Patience<'a> {
    host: &'a str,
    deadline: Instant,
    options: &'a FetchOptions,
}

impl Patience<'_> {
    /// What `future` gives, if it does within `limit` and before the deadline of the whole download.
    async fn at_most<F: Future>(&self, limit: Duration, wait: Wait, future: F) -> Result<F::Output, FetchError> {
        let until = Instant::now() + limit;
        let (until, wait, limit) = if self.deadline < until {
            (self.deadline, Wait::Whole, self.options.total_timeout)
        } else {
            (until, wait, limit)
        };
        timeout_at(until, future).await.map_err(|_elapsed| FetchError::TimedOut {
            host: self.host.to_owned(),
            wait,
            limit,
        })
    }
}

/// An error and what caused it, outermost first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// The whole chain of an error on one line, for the log; never for an answer.
fn chain(error: &reqwest::Error) -> String {
    causes(error).fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
