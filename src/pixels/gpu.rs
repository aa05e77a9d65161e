//! The gpu engine: WGSL compute over storage buffers, on a hardware adapter or on a software one.
//!
//! ```text
//! caller's thread              device thread (one, named; the only one that submits and polls)
//! Program::new: dispatches
//! Job::new: reserve memory,
//!   copy into mapped memory -> bounded channel -> batch: one encoder, one pass, one submission
//! Done: copy out of mapped  <- answer          <- wait for the oldest batch, with a watchdog
//! ```
//!
//! wgpu is used in this module only. No wgpu error ends the process: what a device reports, a timeout and a panic in a
//! driver all become a [`DeviceError`] for the jobs in flight (which then run on the cpu engine), the device is thrown
//! away, and the thread builds a new one with growing pauses.

pub mod params;
pub mod probe;
pub mod program;
pub mod queue;
pub mod stages;
pub mod upload;

mod blocks;
mod clock;
mod compile;
mod device;
mod fault;
mod job;
mod machine;
mod pipelines;
mod vram;

pub use device::{Adapter, Want, adapters};
pub use probe::Probe;
pub use program::{Footprint, Program};
pub use queue::{DeviceOptions, Drill, Handle};
pub use upload::Upload;
pub use vram::VramStats;

/// What a device can take, known before a job is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// The most bytes of one binding.
    pub max_binding_bytes: u64,
    /// The most bytes of one buffer.
    pub max_buffer_bytes: u64,
    /// The most workgroups in one dimension of a dispatch.
    pub max_groups: u32,
    /// The most bytes of buffers for one job: a budget of ours, because drivers promise more than they have.
    pub max_job_bytes: u64,
}

impl Caps {
    /// The smaller of each.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            max_binding_bytes: self.max_binding_bytes.min(other.max_binding_bytes),
            max_buffer_bytes: self.max_buffer_bytes.min(other.max_buffer_bytes),
            max_groups: self.max_groups.min(other.max_groups),
            max_job_bytes: self.max_job_bytes.min(other.max_job_bytes),
        }
    }
}

/// Why a device did not do a job, or is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// No adapter of the kind that was asked for.
    #[error("no {wanted} adapter; found: {found}")]
    NoAdapter {
        /// The kind.
        wanted: Want,
        /// The adapters there are, or `none`.
        found: String,
    },
    /// The adapter gave no device.
    #[error("the adapter {adapter} gave no device: {reason}")]
    Refused {
        /// Its name.
        adapter: String,
        /// What it said.
        reason: String,
    },
    /// A process that only opened the device did not get through it.
    #[error("the driver cannot be opened: {reason}")]
    Unsafe {
        /// How it ended.
        reason: String,
    },
    /// The device went away.
    #[error("the device was lost: {reason}")]
    Lost {
        /// What the driver said.
        reason: String,
    },
    /// The device has no memory left.
    #[error("the device is out of memory")]
    OutOfMemory,
    /// The device refused a command: a fault of ours or of the driver.
    #[error("the device refused a command: {reason}")]
    Invalid {
        /// What it said.
        reason: String,
    },
    /// The job took too long.
    #[error("the device did not answer within {max_millis} ms")]
    Timeout {
        /// The time it had.
        max_millis: u64,
    },
    /// The driver, or wgpu, panicked.
    #[error("the device thread panicked in a job")]
    Panicked,
    /// The device computes something else than the cpu engine.
    #[error("the device computes wrong: a channel is off by {got}, the most allowed is {max}")]
    Wrong {
        /// The largest difference seen, of 255.
        got: u8,
        /// The largest allowed.
        max: u8,
    },
    /// The queue is full.
    #[error("{depth} jobs wait for the device already")]
    Busy {
        /// Jobs the queue holds.
        depth: usize,
    },
    /// The device is being rebuilt, or its thread is gone.
    #[error("the device is not available")]
    Unavailable,
}
