//! The server: bind, accept within limits, stop gracefully.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use self::{connection::Common, operator::Operator, pulse::Patience, tls::Tls};
use crate::{
    app::{App, StartError},
    config::Config,
    http,
    pixels::Engines,
    repo::RepoError,
    service::pool::Pool,
};

mod connection;
mod operator;
mod parse_errors;
mod pulse;
mod tls;

pub use tls::TlsError;

/// Connections over those that are served, on which requests are refused and health is told; more wait to be accepted.
const SPARE_CONNECTIONS: u32 = 64;

/// How long such a connection may last.
const SPARE_TIME: Duration = Duration::from_secs(2);

/// After a failed `accept` (no file descriptors left, say) the next one is tried after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long variants that were answered may take to be stored when the server stops.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// A server that has its address and has not begun to serve.
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    app: Arc<App>,
    /// Tasks beside the requests: the clean-up, the upkeep of the cache and of the certificate.
    chores: Vec<JoinHandle<()>>,
    tls: Option<Arc<Tls>>,
    operator: Option<Operator>,
    patience: Patience,
    stop_timeout: Duration,
}

impl Server {
    /// Opens everything and binds the address.
    ///
    /// # Errors
    /// [`StartError`] says what cannot be opened, started or bound.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        for (name, nearest) in config.unknown_filters() {
            tracing::warn!(name, nearest, "the whitelist names a filter that does not exist");
        }
        // Before anything is opened: what is wrong with a file of the configuration is told at once.
        let tls = config.tls.clone().map(Tls::open).transpose().map_err(|error| StartError::Tls(error.into()))?;
        let tls = tls.map(Arc::new);
        let listener =
            TcpListener::bind(config.addr).await.map_err(|source| StartError::Listen { addr: config.addr, source })?;
        let local_addr = listener.local_addr().map_err(|source| StartError::Listen { addr: config.addr, source })?;
        let operator = match config.metrics_addr {
            Some(addr) => Some(Operator::bind(addr).await?),
            None => None,
        };
        let (app, cleanup) = App::open(&config).await?;
        let upkeep = Arc::clone(&app.cache).keep_up();
        let remotes = Arc::clone(&app.remotes).keep_up();
        let backgrounded = Arc::clone(&app.backgrounded).run(http::explain);
        let mut chores = vec![tokio::spawn(cleanup.run()), tokio::spawn(upkeep), tokio::spawn(remotes)];
        chores.push(tokio::spawn(backgrounded));
        chores.extend(tls.iter().map(|tls| tokio::spawn(Arc::clone(tls).keep_up())));
        let patience =
            Patience { head: config.head_timeout, idle: config.keep_alive_timeout, send: config.send_timeout };
        Ok(Self { listener, local_addr, app, chores, tls, operator, patience, stop_timeout: config.stop_timeout })
    }

    /// The address it is bound to, with the port that the system chose where 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address of metrics and health, if they have one of their own.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.operator.as_ref().map(|operator| operator.local_addr)
    }

    /// The engines that process pictures; they count where each job went.
    #[must_use]
    pub fn engines(&self) -> Arc<Engines> {
        Arc::clone(&self.app.engines)
    }

    /// The threads that work on pictures, and the gates in front of them.
    #[must_use]
    pub fn pool(&self) -> Arc<Pool> {
        Arc::clone(&self.app.pool)
    }

    /// Serves until `stop` is ready, then lets the requests that run finish, for as long as the configuration says, and
    /// closes the metadata store.
    ///
    /// # Errors
    /// When the metadata store cannot be closed cleanly.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> Result<(), RepoError> {
        let Self { listener, local_addr, app, chores, tls, operator, patience, stop_timeout } = self;
        tracing::info!(tls = tls.is_some(), %local_addr, "listening");
        let stopping = CancellationToken::new();
        let (front, refusing) = http::Front::pair(Arc::clone(&app));
        let operator = operator.map(|operator| {
            tracing::info!(local_addr = %operator.local_addr, "metrics have an address of their own");
            let common = Arc::new(Common { tls: None, patience, stop: stopping.clone() });
            tokio::spawn(operator.serve(common, front.for_operator()))
        });
        let (front, refusing) = (Arc::new(front), Arc::new(refusing));
        let (gate, spares) = (&app.gates.connections, Arc::new(Semaphore::new(SPARE_CONNECTIONS as usize)));
        let common = Arc::new(Common { tls, patience, stop: stopping.clone() });
        let mut stop = pin!(stop);
        loop {
            // Whoever is accepted is answered: there is room to tell one more that there is none.
            let accepted = async {
                let spare = Arc::clone(&spares).acquire_owned().await;
                (spare, listener.accept().await)
            };
            let (spare, accepted) = tokio::select! {
                accepted = accepted => accepted,
                () = &mut stop => break,
            };
            match (spare, accepted) {
                (Ok(spare), Ok((stream, _peer))) => {
                    let (common, pass) = (Arc::clone(&common), gate.try_enter());
                    let front = Arc::clone(if pass.is_some() { &front } else { &refusing });
                    tokio::spawn(async move {
                        if let Some(pass) = pass {
                            drop(spare);
                            common.serve(stream, front).await;
                            drop(common);
                            drop(pass);
                        } else {
                            let _over = tokio::time::timeout(SPARE_TIME, common.serve(stream, front)).await;
                            drop(common);
                            drop(spare);
                        }
                    });
                }
                (Err(_closed), _) => break,
                (Ok(_), Err(error)) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        tracing::info!(open = gate.held(), "stopping");
        drop(listener);
        stopping.cancel();
        let ended = async {
            let _none_left = (gate.emptied().await, spares.acquire_many(SPARE_CONNECTIONS).await);
        };
        if tokio::time::timeout(stop_timeout, ended).await.is_err() {
            tracing::warn!(secs = stop_timeout.as_secs(), "requests are cut off that did not finish in time");
        }
        if let Some(operator) = operator {
            // It ends by itself, in its time.
            let _ended = operator.await;
        }
        // The last of the connections may hold the store and the repo for a moment longer.
        drop((common, front, refusing));
        for chore in chores {
            chore.abort();
            // Aborted or panicked: either way it no longer holds the store and the repo.
            let _ended = chore.await;
        }
        if tokio::time::timeout(LAST_WRITES, app.cache.settle()).await.is_err() {
            tracing::warn!("variants that were just made are not stored: it took too long");
        }
        app.proxies.settle().await;
        app.cache.note_last_uses().await;
        app.remotes.note_last_uses().await;
        let closed = app.repo.close().await;
        tracing::info!("stopped");
        closed
    }
}
