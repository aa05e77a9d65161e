//! A server of this test's own: started in this process on a free port with an empty data directory, and held to
//! account when it stops.

use std::{ops::Deref, path::Path, sync::Arc};

use glimt::{
    config::Config,
    pixels::{Backend, Engines},
    server::Server,
    service::pool::Pool,
};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    client::{Client, Uploaded},
    stored::Stored,
};

/// The API key of servers that have one.
pub(crate) const KEY: &str = "an api key";

/// A running server, and a client of it.
pub(crate) struct App {
    client: Client,
    pub(crate) base: String,
    pub(crate) port: u16,
    pub(crate) engines: Arc<Engines>,
    pub(crate) pool: Arc<Pool>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    data: TempDir,
}

impl App {
    /// A server with the defaults, on the `cpu` engine.
    pub(crate) async fn start() -> Self {
        Self::with(|_defaults| {}).await
    }

    /// A server with the defaults and the API key [`KEY`].
    pub(crate) async fn with_key() -> Self {
        Self::with(|config| config.api_key = Some(KEY.into())).await
    }

    /// A server with the defaults as `tune` changes them.
    pub(crate) async fn with(tune: impl FnOnce(&mut Config)) -> Self {
        Self::on(TempDir::new().unwrap(), tune).await
    }

    /// A server on a data directory that may hold something.
    pub(crate) async fn on(data: TempDir, tune: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(data.path().to_owned());
        config.addr = ([127, 0, 0, 1], 0).into();
        config.backend = Backend::Cpu;
        tune(&mut config);
        let server = Server::bind(config).await.unwrap();
        let (addr, engines, pool) = (server.local_addr(), server.engines(), server.pool());
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            let stop = async {
                let _sender_gone = stopped.await;
            };
            server.serve(stop).await.unwrap();
        });
        let base = format!("http://{addr}");
        Self { client: Client::new(&base), base, port: addr.port(), engines, pool, stop, served, data }
    }

    /// What is on its disk.
    pub(crate) fn stored(&self) -> Stored {
        Stored::at(self.data.path())
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Stops gracefully and holds files against rows; nothing may be left over.
    pub(crate) async fn stop(self) {
        self.stop_with(&[]).await;
    }

    /// As [`App::stop`]; these aliases must be there.
    pub(crate) async fn stop_with(self, live: &[Uploaded]) {
        self.stop_keeping(live).await.close().unwrap();
    }

    /// As [`App::stop_with`]; the data directory is kept for another server.
    pub(crate) async fn stop_keeping(self, live: &[Uploaded]) -> TempDir {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
        Stored::at(self.data.path()).is_consistent(live).await;
        self.data
    }
}

impl Deref for App {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
