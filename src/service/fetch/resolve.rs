//! The resolver of the client: what it hands out is checked, and only that is connected to.
//!
//! **Invariant:** a name is looked up once for a connection, and the addresses that were checked are the addresses
//! the connector gets. There is no second look-up in between that could answer something else.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_allowed;

/// Names to addresses: the system's resolver, or a test's.
pub trait Lookup: Send + Sync + 'static {
    /// Every address of `host`.
    ///
    /// # Errors
    /// When there are none, or nobody answers.
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// One of a name's addresses may not be connected to. Says nothing else: it ends up in the client's error chain.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the name resolves to an address that is not allowed")]
pub(super) struct RefusedByAddress;

/// Looks up and checks. One bad address fails the name: a name with a public and a private address is an attack,
/// or a mistake that would make every other download fail.
pub(super) struct Guarded {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) allow: Arc<[IpNet]>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, allow) = (Arc::clone(&self.lookup), Arc::clone(&self.allow));
        Box::pin(async move {
            let addresses = lookup.lookup(name.as_str().to_owned()).await?;
            if let Some(address) = addresses.iter().find(|address| !is_allowed(**address, &allow)) {
                tracing::debug!(host = name.as_str(), %address, "download refused: not a public address");
                return Err(RefusedByAddress.into());
            }
            if addresses.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            // Port 0 stands for the port of the URL.
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
