//! Why a download is refused or failed, in sentences that never name an address a host resolved to.

use std::time::Duration;

/// Who could have done better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client: it asked for what may not be fetched. A 400.
    Client,
    /// The other server: it did not answer, or not with a picture. A 502.
    Remote,
    /// This server. A 500.
    Ours,
}

/// What a timeout cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Name look-up, connection, TLS.
    Connect,
    /// The head of the answer.
    Answer,
    /// The next bytes of the body.
    Bytes,
    /// All of it.
    Whole,
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "to be connected to",
            Self::Answer => "to answer",
            Self::Bytes => "to send the next bytes",
            Self::Whole => "to send all of the file",
        })
    }
}

/// Why nothing was downloaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Turned off by the operator.
    #[error("downloads are turned off on this server")]
    Disabled,
    /// The URL is longer than any that is needed.
    #[error("the URL has {got} bytes, the limit is {max}")]
    TooLong {
        /// Bytes in the URL.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The text is no URL.
    #[error("the URL cannot be read: {0}")]
    Unreadable(url::ParseError),
    /// Neither http nor https.
    #[error("the URL begins with {got}:, only http: and https: are fetched")]
    Scheme {
        /// What it begins with; at most 20 characters of it.
        got: String,
    },
    /// The URL names nobody to ask.
    #[error("the URL has no host")]
    NoHost,
    /// The URL has a user name or a password.
    #[error("the URL has a user name or a password in it, which is not allowed")]
    Credentials,
    /// The host is, or resolves to, an address that is not public.
    #[error("fetching from {host} is not allowed")]
    Refused {
        /// The host as the URL has it.
        host: String,
    },
    /// The host has no address, or the look-up failed.
    #[error("the host {host} cannot be found")]
    Lookup {
        /// The host as the URL has it.
        host: String,
    },
    /// No connection, or no TLS on it.
    #[error("cannot connect to {host}")]
    Connect {
        /// The host as the URL has it.
        host: String,
    },
    /// The answer's head is no HTTP, or too large.
    #[error("the answer of {host} cannot be read")]
    Answer {
        /// The host as the URL has it.
        host: String,
    },
    /// Something other than 2xx.
    #[error("{host} answered with status {status}")]
    Status {
        /// The host as the URL has it.
        host: String,
        /// The status.
        status: u16,
    },
    /// A redirect to nowhere, or to what no client may ask for.
    #[error("{host} redirects to what cannot be fetched: {cause}")]
    Redirect {
        /// The host that redirects.
        host: String,
        /// What is wrong with the place.
        cause: String,
    },
    /// One redirect too many.
    #[error("{host} redirects once more after {max} redirects")]
    TooManyRedirects {
        /// The host that redirects.
        host: String,
        /// Redirects followed.
        max: u32,
    },
    /// A wait was over before it ended.
    #[error("{host} took over {limit:?} {wait}")]
    TimedOut {
        /// The host as the URL has it.
        host: String,
        /// For what.
        wait: Wait,
        /// How long it may take.
        limit: Duration,
    },
    /// The body ended before its end.
    #[error("the connection to {host} broke before all of the file was there")]
    Cut {
        /// The host as the URL has it.
        host: String,
    },
    /// This machine has no certificate authorities to check a server's certificate against.
    #[error("https cannot be fetched: this server has no certificate authorities")]
    NoAuthorities,
    /// The client could not be made; only at start.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}

impl FetchError {
    /// Who could have done better: what a status is chosen by.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Disabled
            | Self::TooLong { .. }
            | Self::Unreadable(_)
            | Self::Scheme { .. }
            | Self::NoHost
            | Self::Credentials
            | Self::Refused { .. } => Fault::Client,
            Self::Lookup { .. }
            | Self::Connect { .. }
            | Self::Answer { .. }
            | Self::Status { .. }
            | Self::Redirect { .. }
            | Self::TooManyRedirects { .. }
            | Self::TimedOut { .. }
            | Self::Cut { .. } => Fault::Remote,
            Self::NoAuthorities | Self::Client(_) => Fault::Ours,
        }
    }
}
