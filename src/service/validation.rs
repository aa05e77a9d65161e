//! Whoever an operator has chosen to look at every picture before it is stored: it is sent there as it would be stored, and is refused unless the
//! answer is 2xx. As pict-rs 0.5 asks, so that what answers it answers this server.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use reqwest::{
    Body, Client, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    redirect,
};
use tokio_util::io::ReaderStream;
use url::Url;

use super::{
    ServiceError,
    fetch::{FetchError, tls_is_ready},
};
use crate::{
    domain::Format,
    store::{ByteStream, Staged, Store, StoreKey},
};

/// Why a picture was not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// It was looked at, and refused.
    #[error("the image was refused by the validation that this server asks")]
    Refused {
        /// The status of the answer.
        status: u16,
    },
    /// It could not be looked at: then it is not let in.
    #[error("the validation that this server asks does not answer")]
    Unanswered {
        /// Why not, for the log.
        cause: String,
    },
}

/// Asks.
pub struct Validation {
    client: Client,
    url: Url,
}

impl Validation {
    /// One that asks `url`, and waits for each answer as long as `timeout`.
    ///
    /// # Errors
    /// [`FetchError::Client`] when the TLS library cannot be set up.
    pub fn new(url: Url, timeout: Duration) -> Result<Self, FetchError> {
        tls_is_ready();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(timeout)
            .user_agent(concat!("glimt/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { client: client.map_err(|error| FetchError::Client(error.to_string()))?, url })
    }

    /// Shows a picture that is staged.
    ///
    /// # Errors
    /// [`ServiceError::Validation`] when it is not let in.
    pub async fn of_staged(&self, staged: &Staged, format: Format) -> Result<(), ServiceError> {
        let file = tokio::fs::File::open(staged.path()).await;
        let file = file.map_err(|error| unanswered(error.to_string()))?;
        self.ask(ReaderStream::new(file).boxed(), staged.size_bytes(), format).await
    }

    /// Shows a picture that is stored already, to whoever may think otherwise of it today.
    ///
    /// # Errors
    /// As [`Self::of_staged`], and a fault of the store.
    pub async fn of_stored(
        &self,
        store: &Arc<dyn Store>,
        key: &StoreKey,
        size_bytes: u64,
        format: Format,
    ) -> Result<(), ServiceError> {
        let bytes = store.stream(key, 0..size_bytes, size_bytes).await?;
        let bytes = bytes.ok_or_else(|| ServiceError::FileMissing(key.to_string()))?;
        self.ask(bytes, size_bytes, format).await
    }

    async fn ask(&self, bytes: ByteStream, size_bytes: u64, format: Format) -> Result<(), ServiceError> {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, format.media_type());
        let request = request.header(CONTENT_LENGTH, size_bytes).body(Body::wrap_stream(bytes));
        let status = request.send().await.map(|response: Response| response.status());
        match status {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(ValidationError::Refused { status: status.as_u16() }.into()),
            // Without the address, which may say more than the log of others should.
            Err(error) => Err(unanswered(error.without_url().to_string())),
        }
    }
}

fn unanswered(cause: String) -> ServiceError {
    ValidationError::Unanswered { cause }.into()
}
