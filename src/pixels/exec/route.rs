//! Which of two engines finishes a job first: predicted from what jobs are made of, corrected by what jobs took.
//!
//! Each engine has a [`Line`]: its time is a sum of a fixed cost and of rates for what it has to do, fitted to a few jobs
//! measured at start. What a line cannot know (caches, a busy bus, how taps of this kind run) goes into a *correction*: a
//! factor for each engine and kind of job, the mean of measured over predicted with recent jobs weighing most. A device does
//! one job after the other, so a job waits for those that were sent before it; a job on the cpu engine has its caller's
//! thread and starts at once.
//!
//! An engine that is never chosen would never be measured again. So now and then a job goes to the other one: when what that
//! costs is no more than [`EXPLORE_SHARE`] of what the jobs since the last time took. One that never ran is only as
//! good as its line and may cost [`FIRST_SHARE`] once.

mod fit;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::fit::{Line, PARTS, Sample};

use crate::pixels::gpu::Upload;
use crate::pixels::pixmap::Layout;
use crate::pixels::plan::{Form, Plan};

/// The part of the time of a kind of jobs that may be spent on having the slower engine measured.
pub const EXPLORE_SHARE: f64 = 0.02;

/// The same for an engine that never did a job of this kind.
pub const FIRST_SHARE: f64 = 0.1;

/// The fewest jobs of a kind between two such.
pub const EXPLORE_LEAST: u64 = 8;

/// The weight of the newest job in a correction, once there were enough of them.
const NEWEST: f64 = 0.2;

/// How far from 1 a correction may go: what is measured may be a machine that slept.
const LARGEST_CORRECTION: f64 = 1000.0;

/// Where a job may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The cpu engine, on the caller's thread.
    Cpu,
    /// The device.
    Device,
}

impl Engine {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Device];

    const fn other(self) -> Self {
        match self {
            Self::Cpu => Self::Device,
            Self::Device => Self::Cpu,
        }
    }
}

/// What a job has to do, known before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Pixels of the source that are read.
    pub source_pixels: u64,
    /// Channels of a pixel: what the cpu engine computes with. A device always computes four.
    pub channels: u64,
    /// Pixels times taps.
    pub multiply_adds: u64,
    /// Pixels of all results.
    pub output_pixels: u64,
    /// Bytes to a device.
    pub up_bytes: u64,
    /// Bytes back from it.
    pub down_bytes: u64,
}

impl Work {
    /// What `plan` has to do with a picture that goes up to a device as `upload`.
    #[must_use]
    pub fn of(plan: &Plan, upload: &Upload) -> Self {
        let (cost, layout) = (plan.cost(), upload.layout);
        let planar = plan.form() == Form::Ycbcr420 && layout == Layout::Rgb;
        Self {
            source_pixels: cost.source_pixels,
            channels: layout.channels() as u64,
            multiply_adds: cost.multiply_adds,
            output_pixels: cost.output_pixels,
            up_bytes: upload.bytes,
            down_bytes: if planar { cost.output_pixels * 3 / 2 } else { cost.output_pixels * 4 },
        }
    }

    /// What an engine's time is a sum of, in this order: a fixed cost, reading, arithmetic, results.
    fn parts(&self, engine: Engine) -> [f64; PARTS] {
        match engine {
            Engine::Cpu => {
                let channels = number(self.channels);
                [
                    1.0,
                    number(self.source_pixels) * channels,
                    number(self.multiply_adds) * channels,
                    number(self.output_pixels) * channels,
                ]
            }
            Engine::Device => [1.0, number(self.up_bytes), number(self.multiply_adds), number(self.down_bytes)],
        }
    }
}

/// The kind of a job: jobs of one kind have one correction for each engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    size: usize,
    taps: usize,
}

/// Upper ends of the kinds by source pixels, in thousands.
const SIZES: [u64; 6] = [60, 250, 1000, 4000, 16_000, u64::MAX];

/// Upper ends of the kinds by multiply-adds a source pixel.
const TAPS: [u64; 3] = [12, 40, u64::MAX];

impl Kind {
    /// The kind of a job.
    #[must_use]
    pub fn of(work: &Work) -> Self {
        let thousands = work.source_pixels.div_ceil(1000);
        let taps = work.multiply_adds / work.source_pixels.max(1);
        let place = |ends: &[u64], value| ends.iter().position(|end| value <= *end).unwrap_or(0);
        Self { size: place(&SIZES, thousands), taps: place(&TAPS, taps) }
    }

    const fn index(self) -> usize {
        self.size * TAPS.len() + self.taps
    }

    /// What jobs of this kind have in common, for people: `up to 1 MP, up to 12 taps a pixel`.
    #[must_use]
    pub fn name(self) -> String {
        let size = match SIZES.get(self.size) {
            Some(&u64::MAX) | None => "over 16 MP".to_owned(),
            Some(thousands @ ..1000) => format!("up to 0.{:02} MP", thousands / 10),
            Some(thousands) => format!("up to {} MP", thousands / 1000),
        };
        let taps = match TAPS.get(self.taps) {
            Some(&u64::MAX) | None => "over 40 taps a pixel".to_owned(),
            Some(taps) => format!("up to {taps} taps a pixel"),
        };
        format!("{size}, {taps}")
    }
}

/// Where a job is to run, and what was expected of it there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The engine.
    pub engine: Engine,
    /// Seconds until it is done there: waiting and working.
    pub expected_secs: f64,
    /// Whether it goes there to have that engine measured, not because that is sooner.
    pub explores: bool,
    kind: Kind,
    /// Seconds of work expected, before any correction.
    bare_secs: f64,
    /// Seconds it waits for other jobs.
    wait_secs: f64,
    /// Seconds of work it adds to the engine's queue.
    work_secs: f64,
}

/// A job's place in the queue of the engine it was sent to. Left when dropped.
#[must_use]
#[derive(Debug)]
pub struct Ticket<'r> {
    router: &'r Router,
    choice: Choice,
}

impl Ticket<'_> {
    /// What was decided.
    #[must_use]
    pub const fn choice(&self) -> &Choice {
        &self.choice
    }

    /// The job ran where it was sent, to its end, and its caller waited so long: learns from that. A job that ran elsewhere or
    /// was stopped only drops its ticket.
    pub fn done(&self, took: Duration) {
        self.router.learn(&self.choice, took);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.choice.engine == Engine::Device {
            let mut state = self.router.state();
            // Sums of floats drift: never less than an empty queue.
            state.backlog_secs = (state.backlog_secs - self.choice.work_secs).max(0.0);
        }
    }
}

/// What was decided for the jobs of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The kind's name.
    pub kind: String,
    /// Jobs sent to the cpu engine and to the device.
    pub jobs: [u64; 2],
    /// How many of them only to measure the engine.
    pub explored: [u64; 2],
    /// The mean of measured over predicted on each, recent jobs weighing most; `None` where none ran yet.
    pub corrections: [Option<f64>; 2],
    /// Seconds on each of the last job measured; `None` where none ran yet.
    pub last_secs: [Option<f64>; 2],
}

/// A mean of ratios.
#[derive(Clone, Copy, Debug, Default)]
struct Correction {
    /// Its logarithm: twice too slow and twice too fast are equally wrong.
    log: f64,
    count: u64,
}

impl Correction {
    fn factor(self) -> f64 {
        self.log.exp()
    }

    fn learn(&mut self, ratio: f64) {
        self.count += 1;
        let weight = (1.0 / number(self.count)).max(NEWEST);
        let limit = LARGEST_CORRECTION.ln();
        self.log += weight * (ratio.ln().clamp(-limit, limit) - self.log);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Class {
    corrections: [Correction; 2],
    jobs: [u64; 2],
    explored: [u64; 2],
    last_secs: [Option<f64>; 2],
    /// Jobs since each engine was last chosen.
    since: [u64; 2],
}

#[derive(Debug, Default)]
struct State {
    classes: [Class; SIZES.len() * TAPS.len()],
    /// Over all kinds: for those of which none ran yet.
    overall: [Correction; 2],
    /// Seconds of work that the device was sent and has not done.
    backlog_secs: f64,
}

/// Sends jobs to one of two engines.
#[derive(Debug)]
pub struct Router {
    lines: [Line; 2],
    state: Mutex<State>,
}

impl Router {
    /// A router of engines with these lines: cpu, device.
    #[must_use]
    pub fn new(lines: [Line; 2]) -> Self {
        Self { lines, state: Mutex::default() }
    }

    /// A router of engines that took so long for these jobs: cpu, device.
    #[must_use]
    pub fn fitted(measured: &[(Work, [Duration; 2])]) -> Self {
        Self::new(Engine::ALL.map(|engine| {
            let sample =
                |(work, took): &(Work, [Duration; 2])| Sample { parts: work.parts(engine), took: *of(took, engine) };
            Line::fit(&measured.iter().map(sample).collect::<Vec<_>>())
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds that each engine would take for a job if nothing waited: cpu, device.
    #[must_use]
    pub fn expected_secs(&self, work: &Work) -> [f64; 2] {
        let state = self.state();
        Engine::ALL.map(|engine| self.bare_secs(engine, work) * state.correction(engine, Kind::of(work)))
    }

    fn bare_secs(&self, engine: Engine, work: &Work) -> f64 {
        of(&self.lines, engine).secs(&work.parts(engine))
    }

    /// The engine for a job, and the job's place in that engine's queue.
    pub fn choose(&self, work: &Work) -> Ticket<'_> {
        let kind = Kind::of(work);
        let mut state = self.state();
        let [cpu, device] = Engine::ALL.map(|engine| {
            let bare_secs = self.bare_secs(engine, work);
            let work_secs = bare_secs * state.correction(engine, kind);
            let wait_secs = if engine == Engine::Device { state.backlog_secs } else { 0.0 };
            let expected_secs = wait_secs + work_secs;
            Choice { engine, expected_secs, explores: false, kind, bare_secs, wait_secs, work_secs }
        });
        let (sooner, later) = if device.expected_secs < cpu.expected_secs { (device, cpu) } else { (cpu, device) };
        let mut choice = sooner;
        if let Some(class) = state.classes.get_mut(kind.index()) {
            let waited = *of(&class.since, later.engine);
            let never = of(&class.corrections, later.engine).count == 0;
            let share = if never { FIRST_SHARE } else { EXPLORE_SHARE };
            let extra_secs = later.expected_secs - sooner.expected_secs;
            if waited >= EXPLORE_LEAST && extra_secs <= share * number(waited) * sooner.expected_secs {
                choice = Choice { explores: true, ..later };
            }
            *at(&mut class.jobs, choice.engine) += 1;
            *at(&mut class.explored, choice.engine) += u64::from(choice.explores);
            *at(&mut class.since, choice.engine) = 0;
            *at(&mut class.since, choice.engine.other()) += 1;
        }
        if choice.engine == Engine::Device {
            state.backlog_secs += choice.work_secs;
        }
        Ticket { router: self, choice }
    }

    fn learn(&self, choice: &Choice, took: Duration) {
        let secs = took.as_secs_f64();
        let mut state = self.state();
        // What it waited for is not its own; but it has taken something, however wrong the wait was.
        let own_secs = (secs - choice.wait_secs).max(secs / 4.0);
        if own_secs > 0.0 && choice.bare_secs > 0.0 {
            let ratio = own_secs / choice.bare_secs;
            at(&mut state.overall, choice.engine).learn(ratio);
            if let Some(class) = state.classes.get_mut(choice.kind.index()) {
                at(&mut class.corrections, choice.engine).learn(ratio);
                *at(&mut class.last_secs, choice.engine) = Some(secs);
            }
        }
    }

    /// What was decided so far, for each kind of which there was a job.
    #[must_use]
    pub fn decisions(&self) -> Vec<Decision> {
        let state = self.state();
        let kinds = (0..SIZES.len()).flat_map(|size| (0..TAPS.len()).map(move |taps| Kind { size, taps }));
        let seen = kinds.zip(&state.classes).filter(|(_, class)| class.jobs != [0; 2]);
        seen.map(|(kind, class)| Decision {
            kind: kind.name(),
            jobs: class.jobs,
            explored: class.explored,
            corrections: class.corrections.map(|its| (its.count > 0).then(|| its.factor())),
            last_secs: class.last_secs,
        })
        .collect()
    }
}

impl State {
    fn correction(&self, engine: Engine, kind: Kind) -> f64 {
        let own = self.classes.get(kind.index()).map(|class| *of(&class.corrections, engine));
        own.filter(|its| its.count > 0).unwrap_or(*of(&self.overall, engine)).factor()
    }
}

/// The one of a pair that is this engine's.
const fn of<T>(pair: &[T; 2], engine: Engine) -> &T {
    let [cpu, device] = pair;
    match engine {
        Engine::Cpu => cpu,
        Engine::Device => device,
    }
}

const fn at<T>(pair: &mut [T; 2], engine: Engine) -> &mut T {
    let [cpu, device] = pair;
    match engine {
        Engine::Cpu => cpu,
        Engine::Device => device,
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
const fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
