//! Requests that arrive by the clock, whether or not those before are answered, and now and then as fast as they are answered: that is what
//! the server takes.

use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// Who is later than this is not sent any more.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long what was sent before may still be answered before something is measured.
const SETTLE: Duration = Duration::from_millis(300);

/// How requests arrive at the moment.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// Not at all.
    Paused,
    /// As soon as a client has its answer.
    Unpaced,
    /// One each so often; the next one then.
    Open { each: Duration, due: Instant },
}

/// Between two calibrations.
#[derive(Clone, Copy, Debug)]
struct Segment {
    secs: f64,
    /// Requests a second that the server took before and after.
    before: f64,
    after: f64,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    is_over: bool,
    /// What has arrived since the last calibration and is not sent.
    late: Duration,
    begun: Instant,
    segments: Vec<Segment>,
    rate: f64,
    /// Of those that arrive by the clock.
    offered: u64,
    dropped: u64,
    answered: u64,
    /// Of the others.
    unpaced: u64,
}

/// What arrives, shared by all clients.
#[derive(Debug)]
pub(crate) struct Arrivals(Mutex<State>);

/// One request that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    ByClock,
    Unpaced,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            pace: Pace::Paused,
            is_over: false,
            late: Duration::ZERO,
            begun: Instant::now(),
            segments: Vec::new(),
            rate: 0.0,
            offered: 0,
            dropped: 0,
            answered: 0,
            unpaced: 0,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Waits for the next request; `None` when the run is over.
    pub(crate) fn next(&self) -> Option<Arrival> {
        loop {
            let wait = {
                let mut state = self.state();
                if state.is_over {
                    return None;
                }
                match state.arrived(Instant::now()) {
                    Ok(arrival) => return Some(arrival),
                    Err(wait) => wait,
                }
            };
            std::thread::sleep(wait.min(Duration::from_millis(20)));
        }
    }

    /// A request was answered, or will not be.
    pub(crate) fn answered(&self, arrival: Arrival) {
        let mut state = self.state();
        match arrival {
            Arrival::ByClock => state.answered += 1,
            Arrival::Unpaced => state.unpaced += 1,
        }
    }

    /// Requests a second that are answered when all clients ask all the time.
    pub(crate) fn calibrate(&self, turn: Duration) -> f64 {
        std::thread::sleep(SETTLE);
        self.state().pace = Pace::Unpaced;
        // Not before all of them do.
        std::thread::sleep(SETTLE);
        let (before, begun) = (self.state().unpaced, Instant::now());
        std::thread::sleep(turn);
        let mut state = self.state();
        let answered = u32::try_from(state.unpaced - before).unwrap();
        state.pace = Pace::Paused;
        f64::from(answered) / begun.elapsed().as_secs_f64()
    }

    /// From now on `load` of so many requests a second arrive, after those that were late.
    pub(crate) fn begin(&self, rate: f64, load: f64) {
        let mut state = self.state();
        (state.rate, state.begun) = (rate, Instant::now());
        let due = state.begun.checked_sub(state.late).unwrap_or(state.begun);
        state.pace = Pace::Open { each: Duration::from_secs_f64(1.0 / (rate * load)), due };
    }

    /// Nothing arrives for a while.
    pub(crate) fn pause(&self) {
        let mut state = self.state();
        let now = Instant::now();
        if let Pace::Open { due, .. } = state.pace {
            state.late = now.saturating_duration_since(due);
        }
        let secs = now.duration_since(state.begun).as_secs_f64();
        let before = state.rate;
        state.segments.push(Segment { secs, before, after: before });
        state.pace = Pace::Paused;
    }

    /// What the server takes after the pause.
    pub(crate) fn end(&self, rate: f64) {
        if let Some(last) = self.state().segments.last_mut() {
            last.after = rate;
        }
    }

    pub(crate) fn stop(&self) {
        self.state().is_over = true;
    }

    /// Prints what was measured, offered and answered. The part of what was to be borne that was.
    pub(crate) fn report(&self, load: f64) -> f64 {
        let state = self.state();
        let secs: f64 = state.segments.iter().map(|segment| segment.secs).sum();
        let taken: f64 =
            state.segments.iter().map(|segment| segment.secs * (segment.before + segment.after) / 2.0).sum();
        let rates =
            state.segments.iter().map(|segment| segment.after).chain(state.segments.first().map(|first| first.before));
        let (least, most) = rates.fold((f64::MAX, 0.0_f64), |(least, most), rate| (least.min(rate), most.max(rate)));
        let number = |count: u64| f64::from(u32::try_from(count).unwrap());
        let (offered, answered) = (number(state.offered), number(state.answered));
        println!(
            "soak: {} calibrations, {:.0} requests/s on average, {least:.0} to {most:.0}; in the {secs:.0} s between {offered} \
             were sent by the clock ({:.0} a second), {} came too late to be sent, {answered} were answered ({:.0} a second): {:.1} % of what \
             it takes, {:.3} of {load} of it",
            state.segments.len() + 1,
            taken / secs,
            offered / secs,
            state.dropped,
            answered / secs,
            100.0 * answered / taken,
            answered / (load * taken),
        );
        answered / (load * taken)
    }
}

impl State {
    /// The request that has arrived by now; how long to wait where there is none.
    fn arrived(&mut self, now: Instant) -> Result<Arrival, Duration> {
        let (each, mut due) = match self.pace {
            Pace::Paused => return Err(SETTLE),
            Pace::Unpaced => return Ok(Arrival::Unpaced),
            Pace::Open { each, due } => (each, due),
        };
        while now.saturating_duration_since(due) > PATIENCE {
            due += each;
            self.dropped += 1;
        }
        let wait = due.saturating_duration_since(now);
        let is_here = wait.is_zero();
        self.pace = Pace::Open { each, due: if is_here { due + each } else { due } };
        if !is_here {
            return Err(wait);
        }
        self.offered += 1;
        Ok(Arrival::ByClock)
    }
}

#[test]
fn what_is_late_is_caught_up_within_bounds() {
    let arrivals = Arrivals::new();
    arrivals.begin(100.0, 0.5);
    let mut state = arrivals.state();
    let begun = state.begun;
    let mut sent = |millis: u64| {
        let before = state.offered;
        while state.arrived(begun + Duration::from_millis(millis)).is_ok() {}
        (state.offered - before, state.dropped)
    };
    assert_eq!(sent(0), (1, 0), "one each 20 ms, the first at once");
    assert_eq!((sent(19), sent(20), sent(21)), ((0, 0), (1, 0), (0, 0)));
    assert_eq!(sent(10_020), (500, 0), "after ten seconds of waiting all of them");
    assert_eq!(sent(30_020), (751, 249), "after twenty those of the last fifteen");
}
