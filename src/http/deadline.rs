//! `X-Request-Deadline`: when whoever asks will have stopped waiting, as pict-rs 0.5 has it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse as _, Response},
};

use super::error::ApiError;

const DEADLINE: HeaderName = HeaderName::from_static("x-request-deadline");

/// What is left of the time of a request, if it says how much it has.
///
/// # Errors
/// When it says so in a way that cannot be read, or is too late already.
pub(super) fn left(headers: &HeaderMap) -> Result<Option<Duration>, ApiError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    headers.get(DEADLINE).map(|value| until(value, now)).transpose()
}

/// The time from `now` to a deadline, both since 1970; the deadline in nanoseconds.
fn until(value: &HeaderValue, now: Duration) -> Result<Duration, ApiError> {
    let unreadable = || ApiError::unreadable_deadline(&String::from_utf8_lossy(value.as_bytes()));
    let nanos: i128 = value.to_str().ok().and_then(|text| text.trim().parse().ok()).ok_or_else(unreadable)?;
    // What does not fit is further away than any request may take, or was long ago.
    let deadline = Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX));
    deadline.checked_sub(now).filter(|left| !left.is_zero()).ok_or_else(ApiError::deadline)
}

/// The answer, if it begins within the time that is left; what is done for it stops when that is over.
pub(super) async fn within(
    left: Result<Option<Duration>, ApiError>,
    answer: impl Future<Output = Response>,
) -> Response {
    match left {
        Ok(None) => answer.await,
        Ok(Some(left)) => match tokio::time::timeout(left, answer).await {
            Ok(response) => response,
            Err(_elapsed) => ApiError::deadline().into_response(),
        },
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::error::Code, *};

    #[test]
    fn a_deadline_is_in_nanoseconds_and_may_have_passed() {
        let now = Duration::from_secs(1_795_894_200);
        let code = |error: ApiError| error.into_response().extensions().get::<Code>().unwrap().0;
        let until = |text: &'static str| until(&HeaderValue::from_static(text), now).map_err(code);
        assert_eq!(until("1795894200000000001"), Ok(Duration::from_nanos(1)));
        assert_eq!(until(" 1795894201500000000"), Ok(Duration::from_millis(1500)));
        for passed in ["1795894200000000000", "0", "-1", "-170141183460469231731687303715884105728"] {
            assert_eq!(until(passed), Err("request-timeout"), "{passed}");
        }
        assert!(until("170141183460469231731687303715884105727").unwrap() > Duration::from_secs(1 << 32));
        for none in ["", "soon", "1.5", "1e9", "99999999999999999999999999999999999999999999"] {
            assert_eq!(until(none), Err("parse-deadline"), "{none}");
        }
    }
}
