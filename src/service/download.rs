//! A picture that is fetched from elsewhere, as an upload is received: staged, and not yet looked at.

use super::{ServiceError, fetch::Fetcher, ingest::Ingest};
use crate::store::Staged;

/// The file at `url`.
///
/// # Errors
/// Of the download; [`ServiceError::TooLarge`] when it says that it is larger than an upload may be, before a byte of it is read.
pub async fn download(fetcher: &Fetcher, ingest: &Ingest, url: &str) -> Result<Staged, ServiceError> {
    let mut download = fetcher.open(url).await?;
    let max = ingest.max_file_size_bytes();
    if let Some(got) = download.content_length().filter(|length| *length > max) {
        return Err(ServiceError::TooLarge { got, max });
    }
    let mut writer = ingest.begin().await?;
    while let Some(chunk) = download.chunk().await? {
        writer.write(&chunk).await?;
    }
    Ok(writer.finish().await?)
}
