//! Plans on engines: one is chosen at start, and every job ends with a picture from it or from the cpu engine.

mod backend;
mod counters;

use std::time::{Duration, Instant};

pub use backend::{Backend, BackendError};
use counters::Counters;
pub use counters::Stats;

use super::cpu;
use super::gpu::{Caps, DeviceError, DeviceOptions, Drill, Footprint, Handle, Job, Want};
use super::op::{Op, Size};
use super::pixmap::{Layout, Pixmap, PixmapError};
use super::plan::{Plan, PlanLimits};

/// How engines are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Jobs that may wait for the device; more are refused. With at least as many places as there are threads that
    /// call [`run`] none ever is.
    pub queue_depth: usize,
    /// The longest the device may take for one batch; then its jobs run on the cpu engine.
    pub watchdog: Duration,
    /// The most bytes of device buffers for the jobs of one batch; larger jobs run on the cpu engine.
    pub max_device_bytes: u64,
    /// Lowers what the device is taken to be capable of: for a device that is shared, and for tests.
    pub caps_ceiling: Option<Caps>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { queue_depth: 64, watchdog: Duration::from_secs(30), max_device_bytes: 1 << 30, caps_ceiling: None }
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
    /// An engine made something that is no picture: a fault of ours.
    #[error("an engine made a broken picture: {0}")]
    Broken(#[from] PixmapError),
}

/// The engine chosen at start, and the cpu engine behind it. Dropping it ends the device thread.
#[derive(Debug)]
pub struct Engines {
    backend: Backend,
    device: Option<Device>,
    counters: Counters,
}

#[derive(Debug)]
struct Device {
    handle: Handle,
    caps: Caps,
    want: Want,
}

impl Engines {
    /// Starts the engine that `backend` names. Blocks until a device is open, warm and verified: about 0.1 s.
    ///
    /// # Errors
    /// [`EngineError`] when `gpu` or `software` was asked for and there is none that works. `auto` and `cpu` always start.
    pub fn start(backend: Backend, options: &EngineOptions) -> Result<Self, EngineError> {
        let named = |want| Device::start(want, options).map_err(|source| EngineError::Device { backend, source });
        let device = match backend {
            Backend::Cpu => None,
            Backend::Gpu => Some(named(Want::Hardware)?),
            Backend::Software => Some(named(Want::Software)?),
            Backend::Auto => automatic(options),
        };
        let engines = Self { backend, device, counters: Counters::default() };
        tracing::info!(engine = %engines.describe(), "pixel engine ready");
        Ok(engines)
    }

    /// The chosen engine, its adapter and driver: one log line.
    #[must_use]
    pub fn describe(&self) -> String {
        let chosen = match &self.device {
            Some(Device { handle, want: Want::Hardware, .. }) => format!("gpu: {}", handle.description()),
            Some(Device { handle, want: Want::Software, .. }) => format!("software: {}", handle.description()),
            None => "cpu".to_owned(),
        };
        if self.backend == Backend::Auto { format!("{chosen} (chosen by auto)") } else { chosen }
    }

    /// The engine that takes the jobs: never `auto`.
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
        self.device.as_ref().is_none_or(|device| device.handle.is_healthy())
    }

    /// Where jobs went so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.stats(self.device.as_ref().map_or(0, |device| device.handle.rebuilds()))
    }

    /// Bytes of host memory a job may take on the engine that would get it: for a permit. A software device's buffers
    /// are host memory; a hardware device takes a copy of the picture in four channels on the way up and down.
    #[must_use]
    pub fn peak_bytes(&self, plan: &Plan) -> u64 {
        let more = self.device.as_ref().filter(|device| device.takes(plan)).map_or(0, |device| match device.want {
            Want::Hardware => (plan.source().pixels() + plan.output().pixels()).saturating_mul(8),
            Want::Software => Footprint::of(plan).total_bytes.saturating_add(plan.source().pixels().saturating_mul(4)),
        });
        plan.peak_bytes().saturating_add(more)
    }

    /// Arranges a fault of the device: for tests, and to try a recovery in the field. Does nothing on `cpu`.
    ///
    /// # Errors
    /// [`DeviceError::Unavailable`] when the device's queue is full.
    pub fn drill(&self, drill: Drill) -> Result<(), DeviceError> {
        self.device.as_ref().map_or(Ok(()), |device| device.handle.drill(drill))
    }

    fn on_cpu(&self, plan: &Plan, image: &Pixmap) -> Result<Pixmap, ExecError> {
        Counters::add(&self.counters.cpu);
        Ok(cpu::run(plan, image)?)
    }
}

impl Device {
    fn start(want: Want, options: &EngineOptions) -> Result<Self, DeviceError> {
        let batch = match want {
            Want::Hardware => 4,
            // Its submissions run one after the other on the same cores.
            Want::Software => 1,
        };
        let handle = Handle::start(DeviceOptions {
            want,
            queue_depth: options.queue_depth,
            watchdog: options.watchdog,
            batch,
            max_job_bytes: options.max_device_bytes,
        })?;
        let caps = options.caps_ceiling.map_or(handle.caps(), |ceiling| handle.caps().min(ceiling));
        Ok(Self { handle, caps, want })
    }

    fn takes(&self, plan: &Plan) -> bool {
        Footprint::of(plan).fits(&self.caps)
    }
}

/// Runs a plan on a picture: on the device when there is one, it is healthy and it takes jobs of this size; else, and
/// when the device fails with it, on the cpu engine. Blocks; one calling thread is one job. Never call it from async
/// code.
///
/// The result has the layout of `image`. An identity plan returns an equal picture.
///
/// # Errors
/// [`ExecError::Mismatch`] when the picture is not of the plan's size, [`ExecError::Busy`] when the queue is full.
pub fn run(plan: &Plan, image: &Pixmap, engines: &Engines) -> Result<Pixmap, ExecError> {
    let got = Size::new(image.width(), image.height());
    if got != plan.source() {
        return Err(ExecError::Mismatch { want: plan.source(), got });
    }
    if plan.is_identity() {
        return Ok(image.clone());
    }
    let counters = &engines.counters;
    let Some(device) = &engines.device else { return engines.on_cpu(plan, image) };
    if !device.takes(plan) {
        Counters::add(&counters.too_large);
        return engines.on_cpu(plan, image);
    }
    if !device.handle.is_healthy() {
        Counters::add(&counters.unavailable);
        return engines.on_cpu(plan, image);
    }
    let job = Job::new(plan, image);
    let answer = job.answer();
    match device.handle.run(job) {
        Ok(bytes) => {
            Counters::add(&counters.device);
            Ok(answer.picture(bytes)?)
        }
        Err(DeviceError::Busy { depth }) => {
            Counters::add(&counters.busy);
            Err(ExecError::Busy { depth })
        }
        Err(DeviceError::Unavailable) => {
            Counters::add(&counters.unavailable);
            engines.on_cpu(plan, image)
        }
        Err(fault) => {
            // The device thread has logged why the device is gone.
            tracing::debug!(%fault, "a job runs again on the cpu engine");
            Counters::add(&counters.recovered);
            engines.on_cpu(plan, image)
        }
    }
}

/// What `auto` takes: hardware if there is any that works, else software where it is faster than the cpu engine.
fn automatic(options: &EngineOptions) -> Option<Device> {
    match Device::start(Want::Hardware, options) {
        Ok(device) => return Some(device),
        // Normal on most hosts.
        Err(DeviceError::NoAdapter { found, .. }) => tracing::debug!(%found, "no hardware adapter"),
        Err(error) => tracing::warn!(%error, "the hardware adapter is not used"),
    }
    let device = Device::start(Want::Software, options)
        .inspect_err(|error| tracing::debug!(%error, "the software adapter is not used"))
        .ok()?;
    let (software, processor) = trial(&device)?;
    tracing::info!(?software, cpu = ?processor, "measured one small job on each");
    (software < processor).then_some(device)
}

/// Times one small job on the device and on the cpu engine, each after a first one that warms it.
fn trial(device: &Device) -> Option<(Duration, Duration)> {
    let size = Size::new(512, 384);
    let ops = [Op::Fit { side_px: 200 }, Op::Blur { sigma: 2.0 }];
    let plan = Plan::new(&ops, size, &PlanLimits::default()).ok()?;
    let data = (0..size.pixels() * 3).map(|at| u8::try_from(at * 7 % 251).unwrap_or(0)).collect();
    let image = Pixmap::new(size.width, size.height, Layout::Rgb, data).ok()?;
    let on_device = || {
        let job = Job::new(&plan, &image);
        let answer = job.answer();
        device.handle.run(job).ok().and_then(|bytes| answer.picture(bytes).ok())
    };
    let on_cpu = || cpu::run(&plan, &image).ok();
    Some((timed(on_device)?, timed(on_cpu)?))
}

fn timed(job: impl Fn() -> Option<Pixmap>) -> Option<Duration> {
    job()?;
    let started = Instant::now();
    job()?;
    Some(started.elapsed())
}
