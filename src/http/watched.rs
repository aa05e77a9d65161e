//! What is noted of every answer: how long it took, by route, and which went wrong lately.
//!
//! A hit in memory is noted by two additions to numbers of its route; nobody waits for anybody. What goes wrong takes a lock, for as long as
//! a line takes to be put into a ring, and a refusal that finds it taken is not noted: of those there may be thousands in a second, and
//! `/metrics` counts each.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use serde::Serialize;

use crate::timing::{Latency, Times};

/// How many answers that went wrong are remembered: of faults, and of the others.
const REMEMBERED: usize = 100;

/// The longest method that is remembered: a client may send any word.
const MAX_METHOD_BYTES: usize = 16;

/// Classes of status: there are no others in an answer of ours.
pub(super) const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// What a request is for, as far as times are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Upload,
    Download,
    Original,
    Process,
    Delete,
    Internal,
    Other,
}

impl Route {
    /// All of them.
    pub(super) const ALL: [Self; 7] =
        [Self::Upload, Self::Download, Self::Original, Self::Process, Self::Delete, Self::Internal, Self::Other];

    /// Its name in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Original => "original",
            Self::Process => "process",
            Self::Delete => "delete",
            Self::Internal => "internal",
            Self::Other => "other",
        }
    }

    /// That of a path.
    pub(super) fn of(path: &str) -> Self {
        let path = path.trim_start_matches('/');
        if path.starts_with("internal/") {
            return Self::Internal;
        }
        match path.strip_prefix("image") {
            Some("") => Self::Upload,
            Some("/backgrounded") => Self::Upload,
            Some("/download") => Self::Download,
            Some(rest) if rest.starts_with("/process.") || rest.starts_with("/process_backgrounded.") => Self::Process,
            Some(rest) if rest == "/original" || rest.starts_with("/original/") => Self::Original,
            Some(rest) if rest.starts_with("/delete/") => Self::Delete,
            Some(_) | None => Self::Other,
        }
    }
}

/// An answer that went wrong. The keys stand in alphabetical order, as everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    /// What the answer's body calls it; empty for an answer without one.
    pub(super) code: &'static str,
    /// The id that the answer and its log lines have.
    pub(super) id: String,
    pub(super) method: String,
    pub(super) millis: u64,
    /// Without the secrets in it, and without the query.
    pub(super) path: String,
    pub(super) status: u16,
    /// In milliseconds since 1970.
    pub(super) time_millis: u64,
}

/// All that is noted.
#[derive(Debug)]
pub(super) struct Watched {
    began: Instant,
    times: [Times; Route::ALL.len()],
    statuses: [[AtomicU64; CLASSES.len()]; Route::ALL.len()],
    /// Faults of ours, and what clients did wrong or were refused: so that many of these do not push out those.
    failures: [Mutex<VecDeque<Failure>>; 2],
}

impl Default for Watched {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            times: Default::default(),
            statuses: Default::default(),
            failures: Default::default(),
        }
    }
}

impl Watched {
    /// Notes how long an answer took.
    pub(super) fn took(&self, route: Route, time: Duration) {
        if let Some(times) = self.times.get(route as usize) {
            times.add(time);
        }
    }

    /// Notes how an answer ended.
    pub(super) fn ended(&self, route: Route, status: u16) {
        let class = usize::from(status / 100).wrapping_sub(2);
        if let Some(count) = self.statuses.get(route as usize).and_then(|counts| counts.get(class)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many answers of each class of status, in the order of [`Route::ALL`] and [`CLASSES`].
    pub(super) fn statuses(&self) -> [[u64; CLASSES.len()]; Route::ALL.len()] {
        self.statuses.each_ref().map(|counts| counts.each_ref().map(|count| count.load(Ordering::Relaxed)))
    }

    /// Notes an answer that went wrong. `line` is asked for what is remembered of it, if it is.
    pub(super) fn failed(&self, is_refusal: bool, status: u16, line: impl FnOnce() -> Failure) {
        // Links that lead nowhere and conditions that are not met are everyday.
        let is_worth = status >= 500 || matches!(status, 400 | 408 | 413 | 429);
        if !is_worth {
            return;
        }
        let [faults, others] = &self.failures;
        let ring = if status >= 500 && !is_refusal { faults } else { others };
        let mut ring = match ring.try_lock() {
            Ok(ring) => ring,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if is_refusal => return,
            Err(TryLockError::WouldBlock) => ring.lock().unwrap_or_else(PoisonError::into_inner),
        };
        if ring.len() == REMEMBERED {
            ring.pop_front();
        }
        ring.push_back(line());
    }

    /// What went wrong lately, the last first.
    pub(super) fn failures(&self) -> Vec<Failure> {
        let read = |ring: &Mutex<VecDeque<Failure>>| ring.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all: Vec<Failure> = self.failures.iter().flat_map(read).collect();
        all.sort_by_key(|failure| std::cmp::Reverse(failure.time_millis));
        all
    }

    /// How long answers took, in the order of [`Route::ALL`].
    pub(super) fn latencies(&self) -> [Latency; Route::ALL.len()] {
        self.times.each_ref().map(Times::read)
    }

    /// How long this has been watched: since the start.
    pub(super) fn uptime(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Failure {
    /// What is remembered of an answer that was given just now. `path` is as it is logged.
    pub(super) fn new(
        code: Option<&'static str>,
        id: &str,
        method: &str,
        path: String,
        status: u16,
        took: Duration,
    ) -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            code: code.unwrap_or_default(),
            id: id.to_owned(),
            method: method.get(..MAX_METHOD_BYTES).unwrap_or(method).to_owned(),
            millis: millis(took),
            path,
            status,
            time_millis: millis(since_1970),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(number: usize, status: u16) -> Failure {
        let path = format!("/{number}");
        let failure = Failure::new(Some("x"), "id", "GET", path, status, Duration::from_millis(3));
        Failure { time_millis: number as u64, ..failure }
    }

    #[test]
    fn each_route_has_times_of_its_own() {
        let watched = Watched::default();
        watched.took(Route::Upload, Duration::from_millis(7));
        let [upload, download, ..] = watched.latencies();
        assert_eq!((upload.count(), upload.sum), (1, Duration::from_millis(7)));
        assert_eq!(download, Latency::default());
        for (index, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, index);
        }
    }

    #[test]
    fn answers_are_counted_by_route_and_class() {
        let watched = Watched::default();
        for status in [200, 201, 206, 304, 404, 503, 507, 100, 999] {
            watched.ended(Route::Upload, status);
        }
        assert_eq!(watched.statuses()[0], [3, 1, 1, 2]);
        assert_eq!(watched.statuses()[1..], [[0; 4]; Route::ALL.len() - 1]);
    }

    #[test]
    fn routes_are_told_by_their_paths() {
        for (path, route) in [
            ("/image", Route::Upload),
            ("/image/download", Route::Download),
            ("/image/original/a.png", Route::Original),
            ("/image/original", Route::Original),
            ("/image/originals", Route::Other),
            ("/image/process.webp", Route::Process),
            ("/image/delete/x/a.png", Route::Delete),
            ("//internal/purge", Route::Internal),
            ("/", Route::Other),
            ("/images", Route::Other),
            ("/image/unknown", Route::Other),
            ("/internalx", Route::Other),
            ("/metrics", Route::Other),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn the_last_failures_are_remembered_and_clients_do_not_push_out_faults() {
        let watched = Watched::default();
        watched.failed(false, 500, || failure(0, 500));
        for number in 1..1000 {
            watched.failed(number % 2 == 0, if number % 2 == 0 { 503 } else { 400 }, || failure(number, 400));
        }
        for status in [200, 304, 401, 403, 404, 405, 412, 416] {
            watched.failed(false, status, || failure(5000, status));
        }
        let all = watched.failures();
        assert_eq!(all.len(), REMEMBERED + 1);
        assert_eq!((all[0].time_millis, all[REMEMBERED].status), (999, 500), "the last first");
        let long = Failure::new(None, "id", &"M".repeat(1000), String::new(), 400, Duration::ZERO);
        assert_eq!((long.method.len(), long.code), (MAX_METHOD_BYTES, ""));
    }

    #[test]
    fn nobody_waits_to_note_a_refusal() {
        let watched = Watched::default();
        let held = watched.failures[1].lock().unwrap();
        watched.failed(true, 503, || failure(1, 503));
        drop(held);
        assert_eq!(watched.failures(), []);
        watched.failed(true, 503, || failure(1, 503));
        assert_eq!(watched.failures().len(), 1);
    }
}
