//! Choosing an adapter and opening a device on it.

use std::sync::Arc;

use super::fault::Fault;
use super::{Caps, DeviceError};

/// The kind of adapter to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A graphics processor.
    Hardware,
    /// A driver that computes on the processor.
    Software,
}

impl std::fmt::Display for Want {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hardware => "hardware",
            Self::Software => "software",
        })
    }
}

/// An adapter that there is, whether it would be used or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Its name, as the driver has it.
    pub name: String,
    /// The kind of adapter, `None` for one that is never used.
    pub want: Option<Want>,
    /// Interface, driver and its version.
    pub driver: String,
    /// What it takes.
    pub caps: Caps,
}

/// All adapters there are. Opens their drivers: see [`super::probe`].
#[must_use]
pub fn adapters() -> Vec<Adapter> {
    let described = |adapter: &wgpu::Adapter| {
        let info = adapter.get_info();
        let of = |want: &Want| rank(*want, info.device_type).is_some();
        Adapter {
            want: [Want::Hardware, Want::Software].into_iter().find(of),
            driver: format!("{:?}, {} {}", info.backend, info.driver, info.driver_info),
            name: info.name,
            caps: caps(&adapter.limits(), u64::MAX),
        }
    };
    enumerate().iter().map(described).collect()
}

fn enumerate() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        // No debug layers in debug builds: they are not part of what is tested.
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
}

fn caps(limits: &wgpu::Limits, max_job_bytes: u64) -> Caps {
    Caps {
        max_binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        max_buffer_bytes: limits.max_buffer_size,
        max_groups: limits.max_compute_workgroups_per_dimension,
        max_job_bytes,
    }
}

/// An open device, and where its errors arrive.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) fault: Fault,
    pub(super) caps: Caps,
    /// Adapter, driver and interface, for one log line.
    pub(super) description: String,
}

/// Opens the best adapter of the kind. `request_adapter` is not used: it hands out a software adapter without a word.
///
/// # Errors
/// [`DeviceError::NoAdapter`] names what there is (without a loader or a driver that takes a few milliseconds);
/// [`DeviceError::Refused`] when the adapter gives no device.
pub(super) fn open(want: Want, max_job_bytes: u64) -> Result<Open, DeviceError> {
    let adapters = enumerate();
    let found = named(&adapters);
    let adapter = adapters
        .into_iter()
        .filter_map(|adapter| rank(want, adapter.get_info().device_type).map(|rank| (rank, adapter)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, adapter)| adapter)
        .ok_or(DeviceError::NoAdapter { wanted: want, found })?;
    let info = adapter.get_info();
    let limits = adapter.limits();
    let caps = caps(&limits, max_job_bytes);
    let request = adapter.request_device(&wgpu::DeviceDescriptor {
        label: Some("glimt"),
        // To say how long batches take; nothing is done without them.
        required_features: adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
        required_limits: limits,
        ..wgpu::DeviceDescriptor::default()
    });
    let (device, queue) = pollster::block_on(request)
        .map_err(|error| DeviceError::Refused { adapter: info.name.clone(), reason: error.to_string() })?;
    let fault = Fault::default();
    let (errors, losses) = (fault.clone(), fault.clone());
    device.on_uncaptured_error(Arc::new(move |error| errors.record(fault_of(&error))));
    device.set_device_lost_callback(move |_, reason| losses.record(DeviceError::Lost { reason }));
    let description = format!("{} ({:?}, {} {})", info.name, info.backend, info.driver, info.driver_info);
    Ok(Open { device, queue, fault, caps, description })
}

fn named(adapters: &[wgpu::Adapter]) -> String {
    let names: Vec<String> = adapters
        .iter()
        .map(|adapter| {
            let info = adapter.get_info();
            format!("{} ({:?})", info.name, info.device_type)
        })
        .collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Smaller is better; `None` is not of the kind.
const fn rank(want: Want, kind: wgpu::DeviceType) -> Option<u8> {
    match (want, kind) {
        (Want::Software, wgpu::DeviceType::Cpu) | (Want::Hardware, wgpu::DeviceType::DiscreteGpu) => Some(0),
        (Want::Hardware, wgpu::DeviceType::IntegratedGpu) => Some(1),
        (Want::Hardware, wgpu::DeviceType::VirtualGpu) => Some(2),
        (Want::Hardware, wgpu::DeviceType::Other) => Some(3),
        (Want::Hardware, wgpu::DeviceType::Cpu)
        | (
            Want::Software,
            wgpu::DeviceType::DiscreteGpu
            | wgpu::DeviceType::IntegratedGpu
            | wgpu::DeviceType::VirtualGpu
            | wgpu::DeviceType::Other,
        ) => None,
    }
}

fn fault_of(error: &wgpu::Error) -> DeviceError {
    match error {
        wgpu::Error::OutOfMemory { .. } => DeviceError::OutOfMemory,
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            DeviceError::Invalid { reason: description.clone() }
        }
    }
}
