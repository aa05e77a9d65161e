//! Requests that no decent client would send, byte by byte.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::client::Answer;

/// No answer takes longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to the server.
pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    pub(crate) async fn connect(port: u16) -> Self {
        Self { stream: TcpStream::connect(("127.0.0.1", port)).await.unwrap() }
    }

    /// Sends a request head (lines without their ends, the request line first) that closes the connection afterwards.
    pub(crate) async fn head(port: u16, lines: &[&[u8]]) -> Self {
        let mut raw = Self::connect(port).await;
        let mut head = lines.join(&b"\r\n"[..]);
        head.extend_from_slice(b"\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        raw.write(&head).await.unwrap();
        raw
    }

    /// Sends bytes; an error when the server has closed.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        tokio::time::timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("the server does not read")
    }

    /// Sends bytes as one chunk of a chunked body.
    pub(crate) async fn chunk(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        self.write(&chunk).await
    }

    /// Whether the server has something to say already.
    pub(crate) async fn is_answered(&self) -> bool {
        tokio::time::timeout(Duration::from_millis(1), self.stream.readable()).await.is_ok()
    }

    /// Everything until the server closes.
    pub(crate) async fn all(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await.expect("no end").unwrap();
        bytes
    }

    /// Everything until the server closes, or breaks off because it does not want what was sent.
    pub(crate) async fn until_closed(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _reset = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await.expect("no end");
        bytes
    }

    /// Says that nothing more will come.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The answer, when there is a whole one before the server closes.
    pub(crate) async fn answer(mut self) -> Option<Answer> {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, async {
            let mut piece = vec![0; 16 * 1024];
            // A reset after the answer, as when the server did not read the whole request, ends it too.
            while let Ok(count @ 1..) = self.stream.read(&mut piece).await {
                bytes.extend_from_slice(&piece[..count]);
                if let Some(answer) = parsed(&bytes) {
                    return Some(answer);
                }
            }
            None
        });
        read.await.expect("no answer")
    }
}

/// The answer to a whole raw request without a body; fails when there is none.
pub(crate) async fn ask(port: u16, request_line: &[u8]) -> Answer {
    Raw::head(port, &[request_line]).await.answer().await.unwrap()
}

/// A whole answer with a `Content-Length`, past any `100 Continue`.
fn parsed(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&bytes[..end]).unwrap(), &bytes[end + 4..]);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    if status == 100 {
        return parsed(body);
    }
    let headers: HeaderMap = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value.trim()).unwrap()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    (body.len() >= length).then(|| Answer { status, headers, body: Bytes::copy_from_slice(&body[..length]) })
}
