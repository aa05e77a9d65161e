//! How long a job takes: criterion where it is short, the clock by hand where ten samples would take minutes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;

use crate::Outcome;
use crate::table::Figure;

/// Criterion's least number of samples.
const SAMPLES: usize = 10;

/// A job that takes longer is timed by hand, [`BY_HAND`] times.
const LONG: Duration = Duration::from_millis(400);

/// Of three the middle one counts: the first, which touches its memory for the first time, hardly ever is.
const BY_HAND: u32 = 3;

/// The wall and processor time of one job, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    /// The median over all samples.
    pub(crate) wall_ms: f64,
    /// The mean over all runs, all threads together; only where the system tells (Linux).
    pub(crate) processor_ms: Option<f64>,
}

/// Times jobs, one after the other.
pub(crate) struct Clock {
    criterion: Criterion,
    quick: bool,
    filter: Option<String>,
    /// Seconds a unit of work, by what does it: tells from the last size how long the next takes.
    known: BTreeMap<String, f64>,
}

impl Clock {
    /// A clock for the whole run, or for the short one.
    pub(crate) fn new(quick: bool) -> Self {
        let seconds = |whole: f64, short: f64| Duration::from_secs_f64(if quick { short } else { whole });
        let criterion = Criterion::default()
            .sample_size(SAMPLES)
            .nresamples(2000)
            .warm_up_time(seconds(0.1, 0.05))
            .measurement_time(seconds(0.6, 0.15))
            .without_plots()
            .configure_from_args();
        let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
        Self { criterion, quick, filter, known: BTreeMap::new() }
    }

    /// Whether this is the short run.
    pub(crate) const fn is_quick(&self) -> bool {
        self.quick
    }

    /// Whether a row of this name is asked for: by part of its name, as an argument.
    pub(crate) fn asked(&self, row: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| row.contains(filter))
    }

    /// The longest that one run of a job may take.
    const fn limit(&self) -> Duration {
        Duration::from_secs(if self.quick { 2 } else { 10 })
    }

    fn too_long(&self) -> Figure {
        Figure::LeftOut(format!("over {} s, left out", self.limit().as_secs()))
    }

    /// The time of `job` for the row `row`, done by `who`; its first run warms it. `kin` are jobs whose time grows with
    /// `units`: where the last of them says that this one is too long, it is not even tried.
    pub(crate) fn time(
        &mut self,
        row: &str,
        who: &str,
        (kin, units): (&str, f64),
        job: &dyn Fn() -> Outcome<()>,
    ) -> Outcome<Figure> {
        let kin = format!("{kin}, {who}");
        if self.known.get(&kin).is_some_and(|each| each * units > self.limit().as_secs_f64()) {
            return Ok(self.too_long());
        }
        let before = processor();
        let first = once(job)?;
        self.known.insert(kin, first.as_secs_f64() / units);
        if first > self.limit() {
            return Ok(self.too_long());
        }
        let time = if first > LONG { by_hand(job, first, before)? } else { self.by_criterion(row, who, job) };
        Ok(Figure::Timed(time))
    }

    fn by_criterion(&mut self, row: &str, who: &str, job: &dyn Fn() -> Outcome<()>) -> Time {
        let (samples, runs) = (RefCell::new(Vec::new()), Cell::new(0_u64));
        let before = processor();
        // Rows are told apart by their names alone, in criterion's folders too.
        let mut group = self.criterion.benchmark_group(row);
        group.bench_function(who, |bencher| {
            bencher.iter_custom(|times| {
                let began = Instant::now();
                for _ in 0..times {
                    // It worked the first time.
                    black_box(job().is_ok());
                }
                let took = began.elapsed();
                samples
                    .borrow_mut()
                    .push(took.as_secs_f64() * 1e3 / f64::from(u32::try_from(times).unwrap_or(u32::MAX)));
                runs.set(runs.get() + times);
                took
            });
        });
        group.finish();
        let after = processor();
        let samples = samples.into_inner();
        // Those before were to warm up.
        let measured = samples.get(samples.len().saturating_sub(SAMPLES)..).unwrap_or(&[]);
        let runs = u32::try_from(runs.get()).unwrap_or(u32::MAX);
        Time { wall_ms: median(measured), processor_ms: each(before, after, runs) }
    }
}

fn once(job: &dyn Fn() -> Outcome<()>) -> Outcome<Duration> {
    let began = Instant::now();
    job()?;
    Ok(began.elapsed())
}

/// The rest of the samples after a `first` run, before which the process had used `before`.
fn by_hand(job: &dyn Fn() -> Outcome<()>, first: Duration, before: Option<Duration>) -> Outcome<Time> {
    let mut samples = vec![first.as_secs_f64() * 1e3];
    for _ in 1..BY_HAND {
        samples.push(once(job)?.as_secs_f64() * 1e3);
    }
    Ok(Time { wall_ms: median(&samples), processor_ms: each(before, processor(), BY_HAND) })
}

/// Milliseconds from `before` to `after`, by `runs`.
fn each(before: Option<Duration>, after: Option<Duration>, runs: u32) -> Option<f64> {
    Some(after?.saturating_sub(before?).as_secs_f64() * 1e3 / f64::from(runs))
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    sorted.get(low).zip(sorted.get(high)).map_or(f64::NAN, |(low, high)| f64::midpoint(*low, *high))
}

/// Processor time of this process so far, all threads, in the hundredths of a second that Linux tells it in.
fn processor() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 10))
}
