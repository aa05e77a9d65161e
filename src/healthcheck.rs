//! `glimt healthcheck`: asks a running server whether it is well, with nothing but a socket, and TLS on it where the server has that.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::cli::Options;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks `/healthz` of `addr`, or of the address in the environment, or of port 8080 here; over TLS if it is told so, or if the
/// environment names a certificate. Says on stderr what is wrong.
pub fn run(addr: Option<SocketAddr>, tls: bool, env: &dyn Fn(&str) -> Option<OsString>) -> ExitCode {
    let configured = Options::from_env(env).unwrap_or_default();
    let tls = tls || configured.tls_cert.is_some();
    let addr = addr.or(configured.addr).unwrap_or(SocketAddr::from(([0, 0, 0, 0], 8080)));
    let addr = reachable(addr);
    let (well, said) = match ask(addr, tls) {
        Ok(status) if status.split(' ').nth(1) == Some("200") => (true, String::new()),
        Ok(status) => (false, format!("{addr} answers {status:?}\n")),
        Err(error) => (false, format!("{addr}: {error}\n")),
    };
    // With stderr closed the exit code still tells.
    let _unheard = io::stderr().write_all(said.as_bytes());
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The address to connect to for a server that is bound to `addr`: loopback where it is bound to all.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    addr
}

/// The status line of the answer.
fn ask(addr: SocketAddr, tls: bool) -> io::Result<String> {
    let stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    if !tls {
        return exchange(stream, addr);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let name = ServerName::IpAddress(addr.ip().into());
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    exchange(StreamOwned::new(connection, stream), addr)
}

fn exchange(mut stream: impl io::Read + io::Write, addr: SocketAddr) -> io::Result<String> {
    write!(stream, "GET /healthz HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n")?;
    stream.flush()?;
    let mut head = Vec::new();
    let read = stream.take(1024).read_to_end(&mut head);
    if head.is_empty() {
        // Otherwise it is only how the answer ends that is wrong.
        read?;
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// Takes any certificate: the server is asked by its address, for which it has none, nothing secret is said to it, and all that
/// is believed is that somebody answers there.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _behind_it: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_bound_to_all_addresses_is_asked_on_loopback() {
        for (bound, asked) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")] {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), asked);
        }
    }
}
