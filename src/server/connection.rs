//! One connection, from accepting to closing: TLS where it is on, HTTP/1.1 or HTTP/2 as the client speaks.

use std::{
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use super::{
    parse_errors::WithBodies,
    pulse::{Counted, Noted, Patience, Pulse, Verdict, Watch},
    tls::Tls,
};
use crate::http::Front;

/// The largest head of a request: enough for 100 headers, and for the longest URL a client sends.
const MAX_HEAD_BYTES: u32 = 64 * 1024;

/// Requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 64;

/// Requests of one HTTP/2 connection that the client may have taken back before they were looked at; one more ends the connection.
/// A flood of them is how CVE-2023-44487 ("rapid reset") keeps a server busy past [`MAX_STREAMS`].
const MAX_TAKEN_BACK: usize = 20;

/// Requests of one HTTP/2 connection that this side may have to reset because they are wrong; one more ends the connection.
const MAX_WRONG: usize = 64;

/// What an HTTP/2 client may send before it is read, in each request and in all together: an upload from 100 ms away comes at 80 Mbit/s.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// After this long without a frame an HTTP/2 client is asked whether it is there, and has as long to answer.
const PING_EVERY: Duration = Duration::from_secs(20);

/// What every HTTP/2 client says first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How often a client is looked at that has sent a part of the preface: it comes whole but from one who means harm.
const PREFACE_PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

/// What connections have in common.
pub(super) struct Common {
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) patience: Patience,
    /// Cancelled when the server stops.
    pub(super) stop: CancellationToken,
}

impl Common {
    /// Serves a connection to its end, with what `front` answers.
    pub(super) async fn serve(&self, stream: TcpStream, front: Arc<Front>) {
        // Responses are written whole, and small ones should not wait for a peer's delayed acknowledgement.
        let _slower = stream.set_nodelay(true);
        let pulse = Arc::new(Pulse::default());
        let Some(tls) = &self.tls else {
            if let Some(Ok(version)) = self.in_time(version(&stream)).await {
                self.drive(Noted::new(stream, Arc::clone(&pulse)), version, pulse, front).await;
            }
            return;
        };
        // Noted below TLS, where what the client takes is seen as it goes.
        match self.in_time(tls.accept(Noted::new(stream, Arc::clone(&pulse)))).await {
            Some(Ok(stream)) => {
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.drive(stream, if is_http2 { Version::Http2 } else { Version::Http1 }, pulse, front).await;
            }
            Some(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            None => {}
        }
    }

    /// What comes before the first request, unless it takes too long or the server stops.
    async fn in_time<T>(&self, beginning: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            begun = tokio::time::timeout(self.patience.head, beginning) => begun.ok(),
            () = self.stop.cancelled() => None,
        }
    }

    async fn drive<S>(&self, stream: S, version: Version, pulse: Arc<Pulse>, front: Arc<Front>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let is_http1 = version == Version::Http1;
        let mut watch = Watch::new(Arc::clone(&pulse), self.patience, is_http1, Instant::now());
        let stream = WithBodies::new(stream);
        let service = hyper::service::service_fn(move |request| {
            let in_flight = pulse.begin();
            let answering = front.answer(request);
            async move { answering.await.map(|answer| answer.map(|body| Counted { body, _request: in_flight })) }
        });
        let builder = builder(version);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut looks = tokio::time::interval(self.patience.interval());
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = pin!(self.stop.cancelled());
        let mut is_ending = false;
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error, "a connection ended early");
                    }
                    return;
                }
                () = stop.as_mut(), if !is_ending => {
                    is_ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ = looks.tick() => match watch.judge(Instant::now()) {
                    Verdict::Fine => {}
                    Verdict::Idle if is_ending => return,
                    Verdict::Idle => {
                        is_ending = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    Verdict::Slow => {
                        tracing::debug!("a client was too slow");
                        return;
                    }
                },
            }
        }
    }
}

fn builder(version: Version) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Heads have their time from the watch.
    builder.http1().header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_TAKEN_BACK)
        .max_local_error_reset_streams(MAX_WRONG)
        .max_header_list_size(MAX_HEAD_BYTES);
    match version {
        Version::Http1 => builder.http1_only(),
        Version::Http2 => builder.http2_only(),
    }
}

/// What a client speaks that says it in clear text, from its first bytes, which stay where they are.
async fn version(stream: &TcpStream) -> io::Result<Version> {
    let mut first = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut first).await?;
        if length == PREFACE.len() && first == PREFACE {
            return Ok(Version::Http2);
        }
        if length == 0 || !PREFACE.starts_with(&first[..length]) {
            return Ok(Version::Http1);
        }
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
}
