//! The server: bind, accept within limits, stop gracefully.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulConnection, GracefulShutdown},
    },
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};
use tower::ServiceExt as _;

use self::parse_errors::WithBodies;
use crate::{
    app::{App, StartError},
    config::Config,
    http,
    pixels::Engines,
    repo::RepoError,
};

mod parse_errors;

/// How long a client may take to send the head of a request; also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest head of a request: enough for 100 headers, and for the longest URL a client sends.
const MAX_HEAD_BYTES: u32 = 64 * 1024;

/// Requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 64;

/// After a failed `accept` (no file descriptors left, say) the next one is tried after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A server that has its address and has not begun to serve.
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    app: Arc<App>,
    /// Tasks beside the requests: the clean-up, the upkeep of the cache.
    chores: [JoinHandle<()>; 2],
    connections: Arc<Semaphore>,
    max_connections: usize,
    stop_timeout: Duration,
}

impl Server {
    /// Opens everything and binds the address.
    ///
    /// # Errors
    /// [`StartError`] says what cannot be opened, started or bound.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        for name in config.unknown_filters() {
            tracing::warn!(name, "the whitelist names a filter that does not exist");
        }
        let listener =
            TcpListener::bind(config.addr).await.map_err(|source| StartError::Listen { addr: config.addr, source })?;
        let local_addr = listener.local_addr().map_err(|source| StartError::Listen { addr: config.addr, source })?;
        let (app, cleanup) = App::open(&config).await?;
        let upkeep = Arc::clone(&app.cache).keep_up();
        Ok(Self {
            listener,
            local_addr,
            app,
            chores: [tokio::spawn(cleanup.run()), tokio::spawn(upkeep)],
            connections: Arc::new(Semaphore::new(config.max_connections)),
            max_connections: config.max_connections,
            stop_timeout: config.stop_timeout,
        })
    }

    /// The address it is bound to, with the port that the system chose where 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The engines that process pictures; they count where each job went.
    #[must_use]
    pub fn engines(&self) -> Arc<Engines> {
        Arc::clone(&self.app.engines)
    }

    /// Serves until `stop` is ready, then lets the requests that run finish, for as long as the configuration says, and
    /// closes the metadata store.
    ///
    /// # Errors
    /// When the metadata store cannot be closed cleanly.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> Result<(), RepoError> {
        let Self { listener, local_addr, app, chores, connections, max_connections, stop_timeout } = self;
        tracing::info!(%local_addr, "listening");
        let router = http::router(Arc::clone(&app));
        let graceful = GracefulShutdown::new();
        let mut stop = pin!(stop);
        loop {
            let accepted = async {
                let permit = Arc::clone(&connections).acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                accepted = accepted => accepted,
                () = &mut stop => break,
            };
            match (permit, accepted) {
                (Ok(permit), Ok((stream, _peer))) => {
                    let connection = graceful.watcher().watch(connection(stream, router.clone()));
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(error, "a connection ended early");
                        }
                        drop(permit);
                    });
                }
                (Err(_closed), _) => break,
                (Ok(_), Err(error)) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        tracing::info!(open = max_connections - connections.available_permits(), "stopping");
        drop(listener);
        if tokio::time::timeout(stop_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!(secs = stop_timeout.as_secs(), "requests are cut off that did not finish in time");
        }
        for chore in chores {
            chore.abort();
            // Aborted or panicked: either way it no longer holds the store and the repo.
            let _ended = chore.await;
        }
        app.cache.note_last_uses().await;
        let closed = app.repo.close().await;
        tracing::info!("stopped");
        closed
    }
}

/// One connection, HTTP/1.1 or HTTP/2 as the client speaks, to be driven to its end.
fn connection(stream: TcpStream, router: Router) -> impl GracefulConnection<Error = BoxError> {
    // Responses are written whole, and small ones should not wait for a peer's delayed acknowledgement.
    let _slower = stream.set_nodelay(true);
    let service =
        router.map_request(|request: hyper::Request<Incoming>| http::one_leading_slash(request.map(Body::new)));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEAD_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEADER_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES);
    builder.serve_connection(TokioIo::new(WithBodies::new(stream)), TowerToHyperService::new(service)).into_owned()
}
