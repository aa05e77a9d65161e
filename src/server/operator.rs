//! The operator's own address: metrics and health, in clear text, away from the one that is everybody's.

use std::{net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, sync::Semaphore};

use super::{ACCEPT_PAUSE, SPARE_TIME, connection::Common};
use crate::{app::StartError, http::Front};

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: u32 = 32;

/// The address, bound.
pub(super) struct Operator {
    listener: TcpListener,
    pub(super) local_addr: SocketAddr,
}

impl Operator {
    pub(super) async fn bind(addr: SocketAddr) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, local_addr })
    }

    /// Serves until the server stops, and a little longer for those who are just being answered.
    pub(super) async fn serve(self, common: Arc<Common>, front: Front) {
        let (front, places) = (Arc::new(front), Arc::new(Semaphore::new(CONNECTIONS as usize)));
        loop {
            let accepted = async { (Arc::clone(&places).acquire_owned().await, self.listener.accept().await) };
            let (place, accepted) = tokio::select! {
                accepted = accepted => accepted,
                () = common.stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _peer)) => {
                    let (common, front) = (Arc::clone(&common), Arc::clone(&front));
                    tokio::spawn(async move {
                        common.serve(stream, front).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of the operator");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        let _over = tokio::time::timeout(SPARE_TIME, places.acquire_many(CONNECTIONS)).await;
    }
}
