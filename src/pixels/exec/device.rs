//! The device of the engines: one behind a driver, or a simulated one.

use super::EngineOptions;
use std::time::Duration;

use super::bands;
use super::simulated::{Simulated, SimulatedAdapter};
use crate::pixels::gpu::queue::Failure;
use crate::pixels::gpu::{Caps, DeviceError, DeviceOptions, Drill, Handle, Program, Upload, VramStats, Want};
use crate::pixels::pixmap::{Picture, Source};
use crate::pixels::plan::Plan;
use crate::pixels::stop::Stop;
use crate::timing::{Latency, Stage};

/// A device, and what it takes.
#[derive(Debug)]
pub(super) struct Device {
    runner: Runner,
    pub(super) caps: Caps,
    pub(super) want: Want,
}

#[derive(Debug)]
enum Runner {
    Driver(Handle),
    Simulated(Simulated),
}

impl Device {
    /// Opens, warms and verifies one.
    pub(super) fn start(want: Want, options: &EngineOptions) -> Result<Self, DeviceError> {
        let (batch, flights) = match want {
            // While one is computed the next is copied up and the last one back.
            Want::Hardware => (8, 3),
            // Its submissions run one after the other on the same cores.
            Want::Software => (1, 1),
        };
        let handle = Handle::start(DeviceOptions {
            want,
            queue_depth: options.queue_depth,
            watchdog: options.watchdog,
            batch,
            flights,
            budget_bytes: options.max_device_bytes,
            probe: options.probe.clone(),
        })?;
        let caps = options.caps_ceiling.map_or(handle.caps(), |ceiling| handle.caps().min(ceiling));
        Ok(Self { runner: Runner::Driver(handle), caps, want })
    }

    pub(super) fn simulated(adapter: SimulatedAdapter) -> Self {
        const ALL: Caps = Caps {
            max_binding_bytes: u64::MAX,
            max_buffer_bytes: u64::MAX,
            max_groups: u32::MAX,
            max_job_bytes: u64::MAX,
        };
        Self { runner: Runner::Simulated(Simulated::new(adapter)), caps: ALL, want: Want::Hardware }
    }

    /// All pictures of a plan that computes something, in bands where it has to be. `Ok(None)`: not even so.
    pub(super) fn run(&self, plan: &Plan, source: Source<'_>, stop: &Stop) -> Result<Option<Vec<Picture>>, Failure> {
        match &self.runner {
            Runner::Driver(handle) => {
                let program = Program::new(plan, Upload::of(source, plan.region()));
                if program.footprint().fits(&self.caps) {
                    return handle.run(program, source, stop).map(Some);
                }
                bands::run(handle, &self.caps, plan, source, stop)
            }
            Runner::Simulated(simulated) => simulated.run(plan, source, stop).map(Some),
        }
    }

    const fn handle(&self) -> Option<&Handle> {
        match &self.runner {
            Runner::Driver(handle) => Some(handle),
            Runner::Simulated(_) => None,
        }
    }

    /// Adapter, driver and interface.
    pub(super) fn description(&self) -> &str {
        self.handle().map_or("simulated", Handle::description)
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.handle().is_none_or(Handle::is_healthy)
    }

    pub(super) fn rebuilds(&self) -> u64 {
        self.handle().map_or(0, Handle::rebuilds)
    }

    pub(super) fn vram(&self) -> VramStats {
        self.handle().map_or_else(VramStats::default, Handle::vram)
    }

    pub(super) fn batches(&self) -> (u64, u64) {
        self.handle().map_or((0, 0), Handle::batches)
    }

    pub(super) fn computed(&self) -> Duration {
        self.handle().map_or(Duration::ZERO, Handle::computed)
    }

    pub(super) fn stages(&self) -> [Latency; Stage::ALL.len()] {
        self.handle().map(Handle::stages).unwrap_or_default()
    }

    pub(super) fn drill(&self, drill: Drill) -> Result<(), DeviceError> {
        self.handle().map_or(Ok(()), |handle| handle.drill(drill))
    }
}
