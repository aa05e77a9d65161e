//! Plans on engines: what there is is found out at start, each job goes where it is done first, and every job ends with a
//! picture, from the cpu engine if all else fails.

mod backend;
mod bands;
mod calibrate;
mod counters;
mod device;
pub mod route;
mod simulated;

use std::time::{Duration, Instant};

pub use backend::{Backend, BackendError};
use counters::Counters;
pub use counters::Stats;
use device::Device;
use route::{Decision, Engine, Router, Work};
pub use simulated::SimulatedAdapter;

use super::cpu::{self, CpuError};
use super::gpu::queue::Failure;
use super::gpu::{Caps, DeviceError, Drill, Probe, Program, Upload, VramStats, Want};
use super::op::Size;
use super::pixmap::{Layout, Picture, Pixmap, PixmapError, Source};
use super::plan::Plan;
use super::stop::{Stop, Stopped};
use crate::timing::{Latency, Stage};

/// How engines are set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Jobs that may wait for the device; more are refused. With at least as many places as there are threads that
    /// call [`run`] none ever is.
    pub queue_depth: usize,
    /// The longest the device may take for one batch; then its jobs run on the cpu engine.
    pub watchdog: Duration,
    /// The most bytes of device memory: what jobs hold and what is kept for the next. A job that needs more runs in bands.
    pub max_device_bytes: u64,
    /// Lowers what the device is taken to be capable of: for a device that is shared, and for tests.
    pub caps_ceiling: Option<Caps>,
    /// What opens the device first, in a process of its own: a driver may end the one that opens it. `None` trusts the driver.
    pub probe: Option<Probe>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            queue_depth: 64,
            watchdog: Duration::from_secs(30),
            max_device_bytes: 1 << 30,
            caps_ceiling: None,
            probe: None,
        }
    }
}

/// Why engines did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine that was asked for by name cannot be had.
    #[error("the {backend} engine did not start")]
    Device {
        /// What was asked for.
        backend: Backend,
        /// Why not.
        source: DeviceError,
    },
}

/// Why a job gave no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// The picture is not of the size the plan is for.
    #[error("a plan for {want} was given a picture of {got}")]
    Mismatch {
        /// The plan's source.
        want: Size,
        /// The picture's size.
        got: Size,
    },
    /// The device's queue is full: come back later.
    #[error("the pixel engine is busy: {depth} jobs wait already")]
    Busy {
        /// Jobs the queue holds.
        depth: usize,
    },
    /// The job was stopped: its caller went away, or its time is over.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// An engine made something that is no picture: a fault of ours.
    #[error("an engine made a broken picture: {0}")]
    Broken(#[from] PixmapError),
}

/// The device found at start, if any, and the cpu engine behind it. Dropping it ends the device thread.
#[derive(Debug)]
pub struct Engines {
    backend: Backend,
    device: Option<Device>,
    /// What each engine takes for a job; with `auto` it is sent to the one that is done first.
    router: Option<Router>,
    /// Why the device is used or none is.
    reason: String,
    counters: Counters,
}

impl Engines {
    /// Starts the engine that `backend` names. Blocks until a device is open, warm and verified: about 0.1 s.
    ///
    /// # Errors
    /// [`EngineError`] when `gpu` or `software` was asked for and there is none that works. `auto` and `cpu` always start.
    pub fn start(backend: Backend, options: &EngineOptions) -> Result<Self, EngineError> {
        let named = |want| Device::start(want, options).map_err(|source| EngineError::Device { backend, source });
        let asked = "it was asked for by name".to_owned();
        let (device, reason) = match backend {
            Backend::Cpu => (None, asked),
            Backend::Gpu => (Some(named(Want::Hardware)?), asked),
            Backend::Software => (Some(named(Want::Software)?), asked),
            Backend::Auto => automatic(options),
        };
        let router = device.as_ref().filter(|_| backend == Backend::Auto).and_then(calibrate::router);
        let engines = Self { backend, device, router, reason, counters: Counters::default() };
        tracing::info!(engine = %engines.describe(), reason = %engines.reason, "pixel engine ready");
        Ok(engines)
    }

    /// Engines with a device of chosen speed that computes nothing: for benchmarks of where jobs are sent. With `auto` jobs go where
    /// they are done first, else all to the device.
    #[must_use]
    pub fn simulated(backend: Backend, adapter: SimulatedAdapter) -> Self {
        let device = Device::simulated(adapter);
        let router = (backend == Backend::Auto).then(|| calibrate::router(&device)).flatten();
        Self {
            backend,
            device: Some(device),
            router,
            reason: "it is simulated".to_owned(),
            counters: Counters::default(),
        }
    }

    /// The chosen engine, its adapter and driver: one log line.
    #[must_use]
    pub fn describe(&self) -> String {
        let chosen = match &self.device {
            Some(device) => format!("{}: {}", self.chosen(), device.description()),
            None => "cpu".to_owned(),
        };
        if self.backend == Backend::Auto { format!("{chosen} (chosen by auto)") } else { chosen }
    }

    /// Why this engine was chosen: a sentence without its subject, such as `it was asked for by name`.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// With `auto` and a device: what was decided for jobs so far, kind by kind. Empty where nothing is decided, because there is
    /// one engine.
    #[must_use]
    pub fn decisions(&self) -> Vec<Decision> {
        self.router.as_ref().map_or_else(Vec::new, Router::decisions)
    }

    /// Measures a device that was asked for by name against the cpu engine, so that [`Engines::expected_secs`] has an answer. Jobs
    /// go to it all the same.
    pub fn calibrate(&mut self) {
        self.router = self.router.take().or_else(|| self.device.as_ref().and_then(calibrate::router));
    }

    /// Seconds that the cpu engine and the device are expected to take for a picture of this layout; `None` where there is one
    /// engine, or it was asked for by name and nothing was measured.
    #[must_use]
    pub fn expected_secs(&self, plan: &Plan, layout: Layout) -> Option<[f64; 2]> {
        let work = Work::of(plan, &Upload::packed(layout, plan.region()));
        self.router.as_ref().map(|router| router.expected_secs(&work))
    }

    /// The engine that takes the jobs, or with `auto` those that it is faster at: never `auto`.
    #[must_use]
    pub const fn chosen(&self) -> Backend {
        match &self.device {
            Some(Device { want: Want::Hardware, .. }) => Backend::Gpu,
            Some(Device { want: Want::Software, .. }) => Backend::Software,
            None => Backend::Cpu,
        }
    }

    /// Whether the chosen engine works. While it does not, jobs run on the cpu engine all the same.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.device.as_ref().is_none_or(Device::is_healthy)
    }

    /// Where jobs went so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.stats(self.device.as_ref().map_or(0, Device::rebuilds))
    }

    /// What the stages of jobs took on the engines, in the order of [`Stage::ALL`]. On a device a job in bands is one for each band.
    #[must_use]
    pub fn stages(&self) -> [Latency; Stage::ALL.len()] {
        let device = self.device.as_ref().map(Device::stages).unwrap_or_default();
        let own = self.counters.stages.read();
        std::array::from_fn(|stage| own[stage].with(&device[stage]))
    }

    /// How much memory of the device is in use.
    #[must_use]
    pub fn vram(&self) -> VramStats {
        self.device.as_ref().map_or_else(VramStats::default, Device::vram)
    }

    /// Jobs that were sent to the device, and in how many submissions.
    #[must_use]
    pub fn batches(&self) -> (u64, u64) {
        self.device.as_ref().map_or((0, 0), Device::batches)
    }

    /// How long the device has computed so far, by its own timestamps: without queues, without the bus. Zero where it has none.
    #[must_use]
    pub fn computed(&self) -> Duration {
        self.device.as_ref().map_or(Duration::ZERO, Device::computed)
    }

    /// Bytes of host memory a job may take on the engine that would get it: for a permit. A software device's buffers
    /// are host memory; a hardware device takes a copy of the picture on the way up and down.
    #[must_use]
    pub fn peak_bytes(&self, plan: &Plan) -> u64 {
        let more = self.device.as_ref().filter(|_| !plan.only_moves()).map_or(0, |device| {
            let footprint = Program::new(plan, Upload::packed(Layout::Rgba, plan.region())).footprint();
            let all = match device.want {
                Want::Hardware => footprint.up_bytes + footprint.down_bytes,
                Want::Software => footprint.total_bytes,
            };
            all.min(device.caps.max_job_bytes)
        });
        plan.peak_bytes().saturating_add(more)
    }

    /// Arranges a fault of the device: for tests, and to try a recovery in the field. Does nothing on `cpu`.
    ///
    /// # Errors
    /// [`DeviceError::Unavailable`] when the device's queue is full.
    pub fn drill(&self, drill: Drill) -> Result<(), DeviceError> {
        self.device.as_ref().map_or(Ok(()), |device| device.drill(drill))
    }

    fn on_cpu(&self, plan: &Plan, source: Source<'_>, stop: &Stop) -> Result<Vec<Picture>, ExecError> {
        Counters::add(&self.counters.cpu);
        let run = || cpu::run_all(plan, source, stop);
        self.counters.stages.time(Stage::Cpu, run).map_err(|error| match error {
            CpuError::Broken(error) => ExecError::Broken(error),
            CpuError::Stopped(stopped) => ExecError::Stopped(stopped),
        })
    }
}

/// Runs a plan of one result on a picture, to the end: [`run_all`].
///
/// # Errors
/// As [`run_all`].
pub fn run<'a>(plan: &Plan, source: impl Into<Source<'a>>, engines: &Engines) -> Result<Pixmap, ExecError> {
    let pictures = run_all(plan, source.into(), engines, &Stop::never())?;
    let first = pictures.into_iter().next().ok_or(PixmapError::Empty { width: 0, height: 0 })?;
    Ok(first.into_pixmap()?)
}

/// Runs a plan on a picture: on the device when there is one, it is healthy, it takes jobs of this size and, with `auto`, it is
/// expected to be done first; else, and when the device fails with it, on the cpu engine. Blocks; one calling thread is one job. Never call it from async
/// code.
///
/// The results have the layout of `source`, or are planes where the plan's form says so. An identity plan returns an equal picture.
///
/// # Errors
/// [`ExecError::Mismatch`] when the picture is not of the plan's size, [`ExecError::Busy`] when the queue is full,
/// [`ExecError::Stopped`] when `stop` says so.
pub fn run_all(plan: &Plan, source: Source<'_>, engines: &Engines, stop: &Stop) -> Result<Vec<Picture>, ExecError> {
    let (width, height) = source.size();
    let got = Size::new(width, height);
    if got != plan.source() {
        return Err(ExecError::Mismatch { want: plan.source(), got });
    }
    let counters = &engines.counters;
    // Moving pixels is what a device would do to get them.
    let Some(device) = engines.device.as_ref().filter(|_| !plan.only_moves()) else {
        return engines.on_cpu(plan, source, stop);
    };
    if !device.is_healthy() {
        Counters::add(&counters.unavailable);
        return engines.on_cpu(plan, source, stop);
    }
    let router = engines.router.as_ref().filter(|_| engines.backend == Backend::Auto);
    let ticket = router.map(|router| router.choose(&Work::of(plan, &Upload::of(source, plan.region()))));
    let started = Instant::now();
    if let Some(ticket) = ticket.as_ref().filter(|ticket| ticket.choice().engine == Engine::Cpu) {
        Counters::add(&counters.sooner);
        let pictures = engines.on_cpu(plan, source, stop)?;
        ticket.done(started.elapsed());
        return Ok(pictures);
    }
    match device.run(plan, source, stop) {
        Ok(Some(pictures)) => {
            Counters::add(&counters.device);
            if let Some(ticket) = &ticket {
                ticket.done(started.elapsed());
            }
            with_moved(plan, pictures, source, stop)
        }
        Ok(None) => {
            Counters::add(&counters.too_large);
            engines.on_cpu(plan, source, stop)
        }
        Err(Failure::Stopped(stopped)) => Err(ExecError::Stopped(stopped)),
        Err(Failure::Device(DeviceError::Busy { depth })) => {
            Counters::add(&counters.busy);
            Err(ExecError::Busy { depth })
        }
        Err(Failure::Device(DeviceError::Unavailable)) => {
            Counters::add(&counters.unavailable);
            engines.on_cpu(plan, source, stop)
        }
        Err(Failure::Device(fault)) => {
            // The device thread has logged why the device is gone.
            tracing::debug!(%fault, "a job runs again on the cpu engine");
            Counters::add(&counters.recovered);
            engines.on_cpu(plan, source, stop)
        }
    }
}

/// Puts the results for which nothing is computed among those that a device made.
fn with_moved(plan: &Plan, made: Vec<Picture>, source: Source<'_>, stop: &Stop) -> Result<Vec<Picture>, ExecError> {
    if plan.chains().iter().all(|chain| !chain.steps.is_empty()) {
        return Ok(made);
    }
    let mut made = made.into_iter();
    let mut all = Vec::with_capacity(plan.chains().len());
    for (chain, at) in plan.chains().iter().zip(0..) {
        let moved = match plan.only(at).filter(|_| chain.steps.is_empty()) {
            Some(plan) => cpu::run_all(&plan, source, stop).map_err(|error| match error {
                CpuError::Broken(error) => ExecError::Broken(error),
                CpuError::Stopped(stopped) => ExecError::Stopped(stopped),
            })?,
            None => made.next().into_iter().collect(),
        };
        all.extend(moved);
    }
    Ok(all)
}

/// What `auto` takes, and why: hardware if there is any that works, else software where it is faster than the cpu engine.
fn automatic(options: &EngineOptions) -> (Option<Device>, String) {
    let without_hardware = match Device::start(Want::Hardware, options) {
        Ok(device) => return (Some(device), "there is hardware".to_owned()),
        Err(error) => {
            // None at all is normal on most hosts.
            if let DeviceError::NoAdapter { .. } = error {
                tracing::debug!(%error, "no hardware adapter");
            } else {
                tracing::warn!(%error, "the hardware adapter is not used");
            }
            error
        }
    };
    let device = match Device::start(Want::Software, options) {
        Ok(device) => device,
        Err(error) => {
            tracing::debug!(%error, "the software adapter is not used");
            return (None, format!("{without_hardware}; {error}"));
        }
    };
    let Some((software, processor)) = calibrate::race(&device) else {
        return (None, format!("{without_hardware}; the software adapter failed with a small job"));
    };
    let reason = format!("{without_hardware}; a small job took software {software:.2?} and cpu {processor:.2?}");
    ((software < processor).then_some(device), reason)
}
