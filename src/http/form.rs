//! A multipart form as it streams in: bounded in size, in what the parser may hold, and in how long it may pause.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap,
        header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT},
    },
};
use futures_util::Stream;
use http_body::Body as _;
use multer::{Field, Multipart};

use super::error::ApiError;

/// What a client has to send in a second, on average and beyond the time it may pause: who drips holds the place of another.
const MIN_BYTES_PER_SEC: u32 = 4096;

/// What a form may hold besides its files: headers of parts, text fields, boundaries.
const OVERHEAD_BYTES: u64 = 1024 * 1024;

/// What may arrive without a part beginning or going on: the headers of one part, or text before the first.
const MAX_UNPARSED_BYTES: u64 = 256 * 1024;

/// After an error, this much of what still comes is read and thrown away, for at most this long: a client that is
/// still sending when the connection closes does not get to see the answer.
const LINGER_BYTES: u64 = 256 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(10);

/// What is read and thrown away of a form that is not taken in at all: a photo or two. There may be many of them.
const TURNED_AWAY_BYTES: u64 = 8 * 1024 * 1024;
const TURNED_AWAY: Duration = Duration::from_secs(2);

/// A form that is being received.
pub(super) struct Form {
    multipart: Multipart<'static>,
    intake: Arc<Mutex<Intake>>,
    expects_continue: bool,
    /// How long the client may pause.
    patience: Duration,
}

/// The body, with what came of it. Shared between the parser, which pulls, and the form, which tells progress
/// and may go on reading when the parser has given up.
struct Intake {
    body: Body,
    total_bytes: u64,
    max_total_bytes: u64,
    unparsed_bytes: u64,
    paused: bool,
    /// What the client let this side wait, all in all.
    waited: Duration,
}

/// Why a form is read no further.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormError {
    /// More than all files together may have.
    #[error("the request is larger than {max} bytes")]
    TooLarge {
        /// Bytes allowed.
        max: u64,
    },
    /// A part whose headers do not end.
    #[error("over {max} bytes came without a part beginning")]
    Unparsed {
        /// Bytes allowed.
        max: u64,
    },
    /// The connection broke, or the body ended before its end.
    #[error("the request ended before its end: {0}")]
    Broken(String),
}

impl Form {
    /// Begins to receive. Refuses before the first byte is read what says to be larger than `max_files` of
    /// `max_file_bytes`. The client may pause for `patience`.
    pub(super) fn new(
        headers: &HeaderMap,
        body: Body,
        max_files: u64,
        max_file_bytes: u64,
        patience: Duration,
    ) -> Result<Self, ApiError> {
        let max_total_bytes = max_files.saturating_mul(max_file_bytes).saturating_add(OVERHEAD_BYTES);
        let expects_continue = headers.contains_key(EXPECT);
        let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
        let announced = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let waited = Duration::ZERO;
        let intake = Intake { body, total_bytes: 0, max_total_bytes, unparsed_bytes: 0, paused: false, waited };
        let intake = Arc::new(Mutex::new(intake));
        let refused = |error| {
            if !expects_continue {
                spawn_linger(&intake, LINGER, LINGER_BYTES);
            }
            Err(error)
        };
        if let Some(got) = announced.filter(|length| *length > max_total_bytes) {
            return refused(ApiError::form_too_large(got, max_total_bytes));
        }
        let content_type = text(CONTENT_TYPE).unwrap_or_default();
        let boundary = match multer::parse_boundary(content_type) {
            Ok(boundary) => boundary,
            Err(error) => return refused(ApiError::broken_form(&format!("{error} in {content_type:?}"))),
        };
        let multipart = Multipart::new(Paced(Arc::clone(&intake)), boundary);
        Ok(Self { multipart, intake, expects_continue, patience })
    }

    /// The next part, of whatever name.
    pub(super) async fn next_part(&mut self) -> Result<Option<Part>, ApiError> {
        let part = in_time(&self.intake, self.patience, self.multipart.next_field()).await?;
        self.progress();
        Ok(part.map(Part))
    }

    /// The next bytes of a part.
    pub(super) async fn chunk(&self, part: &mut Part) -> Result<Option<Bytes>, ApiError> {
        let chunk = in_time(&self.intake, self.patience, part.0.chunk()).await?;
        self.progress();
        Ok(chunk)
    }

    /// Goes on reading for a while, in the background, and throws away what comes.
    pub(super) fn linger(self) {
        if !self.expects_continue {
            spawn_linger(&self.intake, LINGER, LINGER_BYTES);
        }
    }

    fn progress(&self) {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner).unparsed_bytes = 0;
    }
}

/// A part that is being received.
pub(super) struct Part(Field<'static>);

impl Part {
    /// The name of the field.
    pub(super) fn name(&self) -> Option<&str> {
        self.0.name()
    }

    /// The name of the file that the client says it is.
    pub(super) fn file_name(&self) -> Option<&str> {
        self.0.file_name()
    }
}

/// Waits for the parser, but not longer than a client may pause, nor than what it has sent so far entitles it to.
async fn in_time<T>(
    intake: &Mutex<Intake>,
    patience: Duration,
    parsed: impl Future<Output = multer::Result<T>>,
) -> Result<T, ApiError> {
    let began = Instant::now();
    let left = intake.lock().unwrap_or_else(PoisonError::into_inner).left(patience);
    let parsed = tokio::time::timeout(patience.min(left), parsed).await;
    let mut intake = intake.lock().unwrap_or_else(PoisonError::into_inner);
    intake.waited += began.elapsed();
    match parsed {
        Ok(parsed) => parsed.map_err(|error| parse_error(&error)),
        Err(_elapsed) if left < patience => {
            Err(ApiError::client_drips(intake.total_bytes, intake.waited, MIN_BYTES_PER_SEC))
        }
        Err(_elapsed) => Err(ApiError::client_too_slow(patience)),
    }
}

impl Intake {
    /// How long the client may still be waited for, by what it has sent.
    fn left(&self, patience: Duration) -> Duration {
        let entitled = Duration::from_secs(self.total_bytes) / MIN_BYTES_PER_SEC;
        (patience + entitled).saturating_sub(self.waited)
    }
}

fn parse_error(error: &multer::Error) -> ApiError {
    if let multer::Error::StreamReadFailed(cause) = error {
        return match cause.downcast_ref::<FormError>() {
            Some(FormError::TooLarge { max }) => ApiError::form_too_large(*max, *max),
            Some(other) => ApiError::broken_form(&other.to_string()),
            None => ApiError::broken_form(&cause.to_string()),
        };
    }
    ApiError::broken_form(&error.to_string())
}

/// The body as the parser pulls it. The parser pulls until it is told to wait, and holds all it got, so it is told
/// to wait after every frame; and it looks for the end of a part's headers without a limit of its own, so there is one
/// here.
struct Paced(Arc<Mutex<Intake>>);

impl Stream for Paced {
    type Item = Result<Bytes, FormError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut intake = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut intake.paused) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let data = match ready!(intake.poll_data(context)) {
            Some(Ok(data)) => data,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        intake.paused = true;
        intake.unparsed_bytes += data.len() as u64;
        if intake.total_bytes > intake.max_total_bytes {
            return Poll::Ready(Some(Err(FormError::TooLarge { max: intake.max_total_bytes })));
        }
        // A frame may hold the end of one part and the beginning of the next: two frames' worth is never too much.
        if intake.unparsed_bytes > MAX_UNPARSED_BYTES + 2 * data.len() as u64 {
            return Poll::Ready(Some(Err(FormError::Unparsed { max: MAX_UNPARSED_BYTES })));
        }
        Poll::Ready(Some(Ok(data)))
    }
}

impl Intake {
    /// The next data frame; trailers are passed over.
    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, FormError>>> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => None,
                Some(Err(error)) => Some(Err(FormError::Broken(error.to_string()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.total_bytes += data.len() as u64;
                        Some(Ok(data))
                    }
                    Err(_trailers) => continue,
                },
            });
        }
    }
}

/// Takes nothing of a form, but reads on for a moment, so that a client that is sending gets to see why.
pub(super) fn turn_away(headers: &HeaderMap, body: Body) {
    if headers.contains_key(EXPECT) {
        return;
    }
    let waited = Duration::ZERO;
    let intake = Intake { body, total_bytes: 0, max_total_bytes: u64::MAX, unparsed_bytes: 0, paused: false, waited };
    spawn_linger(&Arc::new(Mutex::new(intake)), TURNED_AWAY, TURNED_AWAY_BYTES);
}

fn spawn_linger(intake: &Arc<Mutex<Intake>>, time: Duration, max_bytes: u64) {
    let intake = Arc::clone(intake);
    tokio::spawn(tokio::time::timeout(time, async move {
        let until = intake.lock().unwrap_or_else(PoisonError::into_inner).total_bytes.saturating_add(max_bytes);
        let next = || {
            std::future::poll_fn(|context| {
                let mut intake = intake.lock().unwrap_or_else(PoisonError::into_inner);
                let data = ready!(intake.poll_data(context));
                Poll::Ready(matches!(data, Some(Ok(_))) && intake.total_bytes < until)
            })
        };
        while next().await {}
    }));
}

/// A part of a form that was received to its end.
#[cfg(fuzzing)]
#[derive(Debug, PartialEq, Eq)]
pub struct WholePart {
    /// The name of the field.
    pub name: Option<String>,
    /// The name of the file that the client says it is.
    pub file_name: Option<String>,
    /// All its bytes.
    pub body: Vec<u8>,
}

/// All parts of a form that arrives in these frames: what an upload does with one, without a server around it.
///
/// # Errors
/// What the client would be told.
#[cfg(fuzzing)]
pub async fn parts_of(content_type: &str, frames: Vec<Bytes>) -> Result<Vec<WholePart>, String> {
    let said = |error: ApiError| format!("{error:?}");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, content_type.parse().map_err(|error| format!("{error}"))?);
    let frames = frames.into_iter().map(Ok::<_, std::convert::Infallible>);
    let body = Body::from_stream(futures_util::stream::iter(frames));
    let mut form = Form::new(&headers, body, 10, 1024 * 1024, Duration::from_secs(30)).map_err(said)?;
    let mut parts = Vec::new();
    while let Some(mut part) = form.next_part().await.map_err(said)? {
        let (name, file_name) = (part.name().map(str::to_owned), part.file_name().map(str::to_owned));
        let mut body = Vec::new();
        while let Some(chunk) = form.chunk(&mut part).await.map_err(said)? {
            body.extend_from_slice(&chunk);
        }
        parts.push(WholePart { name, file_name, body });
    }
    Ok(parts)
}
