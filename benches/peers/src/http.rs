//! A client of HTTP/1.1 that costs little: one connection, one request at a time, kept alive.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// No answer may take longer, whatever is asked.
const PATIENCE: Duration = Duration::from_secs(60);
const MOST_HEAD_BYTES: usize = 64 * 1024;
const MOST_BODY_BYTES: usize = 64 << 20;

pub struct Answer {
    pub status: u16,
    /// Whether the answer says when to come again.
    pub retry_after: bool,
    pub body: Vec<u8>,
}

pub struct Connection {
    stream: TcpStream,
    addr: SocketAddr,
    buffer: Vec<u8>,
    is_open: bool,
}

impl Connection {
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(addr)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, addr, buffer: Vec::new(), is_open: true })
    }

    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: bench\r\naccept: */*\r\n\r\n").as_bytes(), &[]).await
    }

    /// Sends `head`, which ends with an empty line, and `body`, and reads the answer. A connection that the server has closed is opened anew.
    pub async fn send(&mut self, head: &[u8], body: &[u8]) -> Result<Answer> {
        if !self.is_open {
            *self = Self::open(self.addr).await?;
        }
        // Whatever happens on the way, a cut-off answer too: what comes next on this connection belongs to nobody.
        self.is_open = false;
        timeout(PATIENCE, self.exchange(head, body)).await.context("no answer in time")?
    }

    async fn exchange(&mut self, head: &[u8], body: &[u8]) -> Result<Answer> {
        self.stream.write_all(head).await?;
        self.stream.write_all(body).await?;
        self.buffer.clear();
        let end = loop {
            ensure!(self.fill().await? > 0, "the connection was closed");
            if let Some(end) = self.buffer.windows(4).position(|end| end == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(self.buffer.len() < MOST_HEAD_BYTES, "a head without an end");
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let mut rest = self.buffer.split_off(end);
        let status = head.get(9..12).and_then(|code| code.parse().ok()).context("no status")?;
        let field =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
        let body = if status == 204 || status == 304 {
            Vec::new()
        } else if let Some(length) = field("content-length") {
            let length: usize = length.parse()?;
            ensure!(length <= MOST_BODY_BYTES, "a body of {length} bytes");
            let have = rest.len();
            ensure!(have <= length, "more than the body");
            rest.resize(length, 0);
            self.stream.read_exact(&mut rest[have..]).await?;
            rest
        } else if field("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            self.buffer = rest;
            self.chunks().await?
        } else {
            bail!("a body without a length");
        };
        self.is_open = field("connection") != Some("close");
        Ok(Answer { status, retry_after: field("retry-after").is_some(), body })
    }

    async fn fill(&mut self) -> Result<usize> {
        Ok(self.stream.read_buf(&mut self.buffer).await?)
    }

    async fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = self.buffer.windows(2).position(|end| end == b"\r\n") {
                    break at;
                }
                ensure!(self.fill().await? > 0, "the connection was closed");
            };
            let length = std::str::from_utf8(&self.buffer[..line])?;
            let length = usize::from_str_radix(length.split(';').next().unwrap_or_default().trim(), 16)?;
            ensure!(body.len() + length <= MOST_BODY_BYTES, "a body that is too long");
            while self.buffer.len() < line + 2 + length + 2 {
                ensure!(self.fill().await? > 0, "the connection was closed");
            }
            body.extend_from_slice(&self.buffer[line + 2..][..length]);
            self.buffer.drain(..line + 2 + length + 2);
            if length == 0 {
                return Ok(body);
            }
        }
    }
}
