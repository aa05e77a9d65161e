//! What a connection is doing, and when it has done nothing for too long.
//!
//! The library's own timer for heads is armed and disarmed with every request, and is the same for a client that sends a head slowly
//! and for one that sends none. Here the connection notes what happens in a few atomics, which costs a request nothing, and its task
//! looks at them now and then.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a connection may do nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To send the head of a request once it is begun, the first of a connection from when that is accepted.
    pub(super) head: Duration,
    /// To begin another request.
    pub(super) idle: Duration,
    /// To take some of an answer.
    pub(super) send: Duration,
}

impl Patience {
    /// How often a connection is to be looked at: a limit is passed by a quarter of the shortest, and by five seconds at most.
    pub(super) fn interval(&self) -> Duration {
        let shortest = self.head.min(self.idle).min(self.send);
        (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(5))
    }
}

/// What happens on a connection, noted by whoever has a part in it.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Requests begun, wrapping.
    begun: AtomicU32,
    /// Requests that are not answered in full.
    in_flight: AtomicU32,
    /// Whether anything came since the last request began or ended.
    heard: AtomicBool,
    /// Whether the client has to take something before more can be sent.
    blocked: AtomicBool,
    /// Times something was sent, wrapping.
    sent: AtomicU32,
}

/// A request under way, until this is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Pulse>);

impl Pulse {
    /// A request began: its head is complete.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.heard.store(false, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// What the connection is doing. In HTTP/2 all that comes is frames, most of which begin no request.
    fn doing(&self, is_http1: bool) -> Doing {
        let begun = self.begun.load(Ordering::Relaxed);
        if self.blocked.load(Ordering::Relaxed) {
            Doing::Sending(self.sent.load(Ordering::Relaxed))
        } else if self.in_flight.load(Ordering::Relaxed) > 0 {
            Doing::Working
        } else if begun == 0 || (is_http1 && self.heard.load(Ordering::Relaxed)) {
            Doing::Head(begun)
        } else {
            Doing::Idle(begun)
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.heard.store(false, Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connection is doing. Equal values are the same doing, gone on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// Waits for a head, after so many requests.
    Head(u32),
    /// Waits for nothing, after so many requests.
    Idle(u32),
    /// Has requests that are being answered.
    Working,
    /// Waits for the client to take what is sent, after so many times that it did.
    Sending(u32),
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Fine,
    /// It is to be told to end, after what is under way.
    Idle,
    /// It is to be cut off.
    Slow,
}

/// Watches one connection.
#[derive(Debug)]
pub(super) struct Watch {
    pulse: Arc<Pulse>,
    patience: Patience,
    is_http1: bool,
    doing: Doing,
    since: Instant,
}

impl Watch {
    pub(super) fn new(pulse: Arc<Pulse>, patience: Patience, is_http1: bool, now: Instant) -> Self {
        Self { pulse, patience, is_http1, doing: Doing::Head(0), since: now }
    }

    /// What the connection has deserved by now.
    pub(super) fn judge(&mut self, now: Instant) -> Verdict {
        let doing = self.pulse.doing(self.is_http1);
        if doing != self.doing {
            (self.doing, self.since) = (doing, now);
        }
        let elapsed = now.saturating_duration_since(self.since);
        match doing {
            Doing::Head(_) if elapsed >= self.patience.head => Verdict::Slow,
            Doing::Sending(_) if elapsed >= self.patience.send => Verdict::Slow,
            Doing::Idle(_) if elapsed >= self.patience.idle => Verdict::Idle,
            Doing::Head(_) | Doing::Sending(_) | Doing::Idle(_) | Doing::Working => Verdict::Fine,
        }
    }
}

/// A stream that notes what comes and goes.
#[derive(Debug)]
pub(super) struct Noted<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S> Noted<S> {
    pub(super) const fn new(stream: S, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse }
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self.pulse.blocked.store(true, Ordering::Relaxed),
            Poll::Ready(_) => {
                self.pulse.sent.fetch_add(1, Ordering::Relaxed);
                self.pulse.blocked.store(false, Ordering::Relaxed);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            this.pulse.heard.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.note(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.note(&written);
        written
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

/// The body of an answer, whose request is under way until it is sent or dropped.
#[derive(Debug)]
pub(super) struct Counted<B> {
    pub(super) body: B,
    pub(super) _request: InFlight,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const PATIENCE: Patience =
        Patience { head: Duration::from_secs(30), idle: Duration::from_secs(75), send: Duration::from_secs(60) };

    struct Time {
        now: Instant,
        watch: Watch,
    }

    impl Time {
        fn new(pulse: &Arc<Pulse>, is_http1: bool) -> Self {
            let now = Instant::now();
            Self { now, watch: Watch::new(Arc::clone(pulse), PATIENCE, is_http1, now) }
        }

        /// What is judged so many seconds later.
        fn after(&mut self, secs: u64) -> Verdict {
            self.now += Duration::from_secs(secs);
            self.watch.judge(self.now)
        }
    }

    #[test]
    fn a_client_that_sends_nothing_or_half_a_head_is_cut_off() {
        let pulse = Arc::new(Pulse::default());
        let mut time = Time::new(&pulse, true);
        assert_eq!((time.after(29), time.after(1)), (Verdict::Fine, Verdict::Slow), "not a byte");
        let mut time = Time::new(&pulse, true);
        drop(pulse.begin());
        assert_eq!((time.after(29), time.after(40)), (Verdict::Fine, Verdict::Fine));
        pulse.heard.store(true, Ordering::Relaxed);
        assert_eq!((time.after(5), time.after(29), time.after(1)), (Verdict::Fine, Verdict::Fine, Verdict::Slow));
    }

    #[test]
    fn one_that_is_done_is_kept_for_longer_and_then_told_to_end() {
        for is_http1 in [true, false] {
            let pulse = Arc::new(Pulse::default());
            let mut time = Time::new(&pulse, is_http1);
            drop(pulse.begin());
            assert_eq!((time.after(1), time.after(74)), (Verdict::Fine, Verdict::Fine));
            drop(pulse.begin());
            assert_eq!((time.after(70), time.after(74)), (Verdict::Fine, Verdict::Fine), "another request");
            assert_eq!(time.after(1), Verdict::Idle);
        }
        let pulse = Arc::new(Pulse::default());
        let mut time = Time::new(&pulse, false);
        drop(pulse.begin());
        assert_eq!(time.after(1), Verdict::Fine);
        pulse.heard.store(true, Ordering::Relaxed);
        assert_eq!((time.after(74), time.after(1)), (Verdict::Fine, Verdict::Idle), "frames are no request");
    }

    #[test]
    fn one_that_is_answered_has_all_the_time_but_for_one_that_takes_nothing() {
        let pulse = Arc::new(Pulse::default());
        let mut time = Time::new(&pulse, true);
        let request = pulse.begin();
        pulse.heard.store(true, Ordering::Relaxed);
        assert_eq!((time.after(1), time.after(1000)), (Verdict::Fine, Verdict::Fine));
        pulse.blocked.store(true, Ordering::Relaxed);
        assert_eq!((time.after(1), time.after(59)), (Verdict::Fine, Verdict::Fine));
        pulse.sent.fetch_add(1, Ordering::Relaxed);
        assert_eq!((time.after(59), time.after(59)), (Verdict::Fine, Verdict::Fine), "it took some");
        drop(request);
        assert_eq!(time.after(1), Verdict::Slow, "whether or not the answer is done here");
    }

    #[tokio::test]
    async fn what_comes_and_goes_is_noted() {
        let pulse = Arc::new(Pulse::default());
        let (ours, mut theirs) = tokio::io::duplex(4);
        let mut ours = Noted::new(ours, Arc::clone(&pulse));
        theirs.write_all(b"x").await.unwrap();
        ours.read_u8().await.unwrap();
        assert!(pulse.heard.load(Ordering::Relaxed));
        let writing = tokio::spawn(async move { ours.write_all(b"12345678").await });
        while !pulse.blocked.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        let mut taken = [0; 8];
        theirs.read_exact(&mut taken).await.unwrap();
        writing.await.unwrap().unwrap();
        assert_eq!((pulse.blocked.load(Ordering::Relaxed), pulse.sent.load(Ordering::Relaxed)), (false, 2));
    }
}
