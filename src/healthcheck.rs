//! `glimt healthcheck`: asks a running server whether it is well, with nothing but a socket.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use crate::cli::Options;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks `/healthz` of `addr`, or of the address in the environment, or of port 8080 here. Says on stderr what is wrong.
pub fn run(addr: Option<SocketAddr>, env: &dyn Fn(&str) -> Option<OsString>) -> ExitCode {
    let configured = || Options::from_env(env).ok().and_then(|options| options.addr);
    let addr = addr.or_else(configured).unwrap_or(SocketAddr::from(([0, 0, 0, 0], 8080)));
    let addr = reachable(addr);
    let (well, said) = match ask(addr) {
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
fn ask(addr: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    stream.take(1024).read_to_end(&mut head)?;
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
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
