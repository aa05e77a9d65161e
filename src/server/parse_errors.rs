//! A body for the answers that the HTTP library gives by itself.
//!
//! A request that cannot be parsed never reaches a handler: the library answers it with a status and no body. Clients
//! are promised JSON for every error, so those answers are completed on their way out. Nothing of ours looks like
//! them: every error of ours has a body.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::RequestId;

/// Longer than any answer that has no body.
const LONGEST: usize = 512;

/// A connection whose bodiless `4xx` answers get one.
#[derive(Debug)]
pub(super) struct WithBodies<S> {
    stream: S,
    /// What is written in place of an answer, and how much of it has been.
    instead: Option<(Vec<u8>, usize)>,
}

impl<S> WithBodies<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, instead: None }
    }
}

/// The completed answer, if `written` is one of the library's own: a head of HTTP/1.1, with a status of 4xx and no body.
fn completed(written: &[u8]) -> Option<Vec<u8>> {
    if written.len() > LONGEST || !written.starts_with(b"HTTP/1.1 4") {
        return None;
    }
    let text = std::str::from_utf8(written).ok()?;
    let head = text.strip_suffix("\r\n\r\n").filter(|head| !head.contains("\r\n\r\n"))?;
    let (before, after) = head.split_once("\r\ncontent-length: 0")?;
    let (code, msg) = match before.split(' ').nth(1)? {
        "400" => ("malformed-request", "the request is not HTTP that can be read"),
        "414" => ("uri-too-long", "the URL is too long"),
        "431" => ("headers-too-large", "the headers of the request are too large or too many"),
        _ => return None,
    };
    let body = format!("{{\"code\":\"{code}\",\"msg\":\"{msg}\"}}");
    let id = RequestId::new();
    let id = id.as_str();
    tracing::debug!(id, code, "answered a request that cannot be parsed");
    let length = body.len();
    let headers = format!("content-type: application/json\r\nx-request-id: {id}\r\ncontent-length: {length}");
    Some(format!("{before}\r\n{headers}{after}\r\n\r\n{body}").into_bytes())
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithBodies<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.instead.is_none() {
            match completed(bytes) {
                None => return Pin::new(&mut this.stream).poll_write(context, bytes),
                Some(answer) => this.instead = Some((answer, 0)),
            }
        }
        // The caller hears that its bytes are written when all that stands for them is; until then it comes back
        // with the same bytes.
        while let Some((answer, done)) = &mut this.instead {
            let rest = answer.get(*done..).unwrap_or_default();
            if rest.is_empty() {
                this.instead = None;
            } else {
                match ready!(Pin::new(&mut this.stream).poll_write(context, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => *done += written,
                }
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // An answer without a body is one slice.
        match slices {
            [only] => self.poll_write(context, only),
            _ => Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WithBodies<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const BARE: &[u8] =
        b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";

    #[tokio::test]
    async fn a_bare_answer_gets_its_body_however_slowly_it_is_written() {
        for room in [1, 7, 4096] {
            let (ours, mut theirs) = tokio::io::duplex(room);
            let writing = tokio::spawn(async move {
                let mut stream = WithBodies::new(ours);
                stream.write_all(BARE).await.unwrap();
                stream.write_all(b"more").await.unwrap();
            });
            let mut read = String::new();
            theirs.read_to_string(&mut read).await.unwrap();
            writing.await.unwrap();
            let (head, body) = read.split_once("\r\n\r\n").unwrap();
            let body = body.strip_suffix("more").unwrap();
            let json: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(json["code"], "headers-too-large");
            assert!(head.starts_with("HTTP/1.1 431 ") && head.ends_with("\r\ndate: x"), "{head}");
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        }
    }

    #[test]
    fn other_answers_go_as_they_are() {
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 412 Precondition Failed\r\ncontent-length: 0\r\n\r\n",
            b"PNG",
            b"",
        ] {
            assert_eq!(completed(other), None);
        }
        assert!(completed(BARE).is_some());
    }
}
