//! What pictures look like: placeholders, colours and where the eye goes, kept beside their rows.
//!
//! They are found when a picture comes in, where its pixels are at hand: that is so of JPEGs. Of other pictures they are found when somebody
//! asks for the first time. They can be found again at any time, so nothing has to be durable here.

mod see;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;

pub(super) use self::see::see;
use super::{
    ServiceError,
    flight::Flight,
    originals::Original,
    pool::{Class, Pool},
};
use crate::{
    codec::{self, Budget, Scale},
    domain::{Details, Format, Hash, Looks},
    pixels::Engines,
    repo::Repo,
    sandbox::{self, Sandbox},
    store::{Staged, StagingError, Store},
    timing::Stage,
};

/// The most that decoding holds for a pixel, and the picture itself.
const BYTES_A_PIXEL: u64 = 16;

/// Finds what pictures look like.
pub struct Looking {
    budget: Budget,
    sandbox: Option<Arc<Sandbox>>,
    repo: Arc<dyn Repo>,
    store: Arc<dyn Store>,
    engines: Arc<Engines>,
    pool: Arc<Pool>,
    flight: Flight<Hash, Result<Looks, ServiceError>>,
}

impl Looking {
    /// Wires the parts.
    pub fn new(
        (budget, sandbox): (Budget, Option<Arc<Sandbox>>),
        repo: Arc<dyn Repo>,
        store: Arc<dyn Store>,
        engines: Arc<Engines>,
        pool: Arc<Pool>,
    ) -> Self {
        Self { budget, sandbox, repo, store, engines, pool, flight: Flight::default() }
    }

    /// What the original looks like: as it was found, or found now, by `deadline`.
    ///
    /// # Errors
    /// Refusals of the codec, a missing file, or the pool's [`ServiceError::Busy`] and the like.
    pub async fn of(self: &Arc<Self>, original: &Original, deadline: Instant) -> Result<Looks, ServiceError> {
        if let Some(looks) = self.repo.looks(&original.hash).await? {
            return Ok(looks);
        }
        let (this, theirs) = (Arc::clone(self), original.clone());
        let find = move || async move { this.find(&theirs, deadline).await };
        match tokio::time::timeout_at(deadline.into(), self.flight.run(original.hash, find)).await {
            Ok(found) => found.unwrap_or(Err(ServiceError::Panicked)),
            Err(_elapsed) => Err(self.pool.timed_out()),
        }
    }

    async fn find(&self, original: &Original, deadline: Instant) -> Result<Looks, ServiceError> {
        let key = original.key();
        let bytes = async {
            let bytes = self.store.read(&key).await?;
            bytes.ok_or_else(|| ServiceError::FileMissing(key.to_string()))
        };
        let (details, size_bytes) = (original.record.details, original.record.size_bytes);
        let looks = self.look((details, size_bytes), Class::Variant, bytes, deadline).await?;
        // Gone meanwhile, or not kept: whoever asked is answered all the same.
        self.repo.add_looks(&original.hash, looks.clone()).await?;
        Ok(looks)
    }

    /// What a picture looks like that has no row yet.
    pub(super) async fn of_staged(
        &self,
        details: &Details,
        staged: &Staged,
        deadline: Instant,
    ) -> Result<Looks, ServiceError> {
        let size_bytes = staged.size_bytes();
        let bytes = async {
            let bytes = staged.head(size_bytes).await;
            let path = staged.path().to_owned();
            Ok(bytes.map_err(|source| StagingError::Io { doing: "reading", path, source })?.into())
        };
        self.look((*details, size_bytes), Class::Upload, bytes, deadline).await
    }

    /// What the picture in these bytes looks like; they are asked for when there is room for them.
    async fn look(
        &self,
        (details, size_bytes): (Details, u64),
        class: Class,
        bytes: impl Future<Output = Result<Bytes, ServiceError>>,
        deadline: Instant,
    ) -> Result<Looks, ServiceError> {
        let pixels = u64::from(details.width) * u64::from(details.height);
        let sandbox = self.sandbox.clone().filter(|_| details.format == Format::Avif);
        let child_bytes = sandbox::child_bytes(sandbox.as_deref(), size_bytes);
        let peak_bytes = pixels * BYTES_A_PIXEL + size_bytes + child_bytes;
        let reservation = self.pool.reserve(class, peak_bytes, deadline).await?;
        let bytes = bytes.await?;
        let (engines, budget) = (Arc::clone(&self.engines), self.budget);
        let stages = Arc::clone(self.pool.stages());
        reservation
            .run(move |stop| {
                let decoder = sandbox::decoder(sandbox.as_deref(), stop);
                let apart = decoder.as_ref().map(|decoder| decoder as codec::Apart<'_>);
                let budget = Budget { deadline: stop.deadline(), ..budget };
                let scale = scale(&details).unwrap_or_default();
                let decode = || codec::decode_for_engine_by(&bytes, scale, apart, &budget);
                let decoded = stages.time(Stage::Decode, decode)?;
                drop(bytes);
                see(&decoded, &engines, stop)
            })
            .await
    }

    /// Keeps what was seen of a picture that has its row; a fault is logged, since it can be found again.
    pub(super) async fn keep(&self, hash: &Hash, looks: Looks) {
        if let Err(error) = self.repo.add_looks(hash, looks).await {
            tracing::warn!(%error, %hash, "what a picture looks like was not kept");
        }
    }
}

/// The scale at which a JPEG is decoded to be looked at: the smallest that leaves as much as is looked at. `None` for other formats.
pub(super) fn scale(details: &Details) -> Option<Scale> {
    let side = details.width.max(details.height);
    let fits = |scale: &Scale| scale.side(side) >= see::SIDE_PX;
    let scale = Scale::ALL.into_iter().rev().find(fits).unwrap_or_default();
    (details.format == Format::Jpg).then_some(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_is_looked_at_as_small_as_it_may_be() {
        let of = |width, height, format| scale(&Details { width, height, format, frames: 1 });
        assert_eq!(of(4000, 3000, Format::Jpg), Some(Scale::Eighth));
        assert_eq!(of(300, 400, Format::Jpg), Some(Scale::Quarter));
        assert_eq!(of(10, 8, Format::Jpg), Some(Scale::Whole));
        assert_eq!(of(4000, 3000, Format::Png), None);
    }
}
