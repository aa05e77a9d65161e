//! An open device with its pipelines and buffers: runs batches of jobs. Lives on the device thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::device::{self, Open, Want};
use super::job::{Dispatch, Job};
use super::pools::{Pools, Use};
use super::stages::Pipelines;
use super::{Caps, DeviceError};
use crate::pixels::cpu;
use crate::pixels::op::{Op, Size};
use crate::pixels::pixmap::{Layout, Pixmap};
use crate::pixels::plan::{Plan, PlanLimits};

/// The largest difference from the cpu engine, of 255, that a device may show when it is verified. Both compute the
/// same kernels; 16-bit floats and a rounding boundary make 1.
const MAX_DIFFERENCE: u8 = 2;

/// Bytes of idle buffers kept, as a part of the job budget.
const IDLE_SHARE: u64 = 2;

/// Buffers on lease to one job of a batch.
struct Lease {
    source: wgpu::Buffer,
    constants: wgpu::Buffer,
    even: wgpu::Buffer,
    odd: wgpu::Buffer,
    output: wgpu::Buffer,
    read_back: wgpu::Buffer,
    mapped: Arc<AtomicBool>,
}

pub(super) struct Machine {
    open: Open,
    pipelines: Pipelines,
    pools: Pools,
}

impl Machine {
    /// Opens a device, compiles every stage, and verifies one small job (which also warms the pipelines).
    ///
    /// # Errors
    /// [`DeviceError`]; a device that computes something else than the cpu engine is refused.
    pub(super) fn start(want: Want, max_job_bytes: u64, watchdog: Duration) -> Result<Self, DeviceError> {
        let open = device::open(want, max_job_bytes)?;
        let pipelines = Pipelines::new(&open.device);
        open.fault.check()?;
        let pools = Pools::new(max_job_bytes / IDLE_SHARE);
        let mut machine = Self { open, pipelines, pools };
        machine.verify(watchdog)?;
        Ok(machine)
    }

    pub(super) const fn caps(&self) -> Caps {
        self.open.caps
    }

    pub(super) fn description(&self) -> &str {
        &self.open.description
    }

    /// Runs the jobs in one submission and returns their bytes, in order.
    ///
    /// # Errors
    /// The first [`DeviceError`]; the machine must then be dropped.
    pub(super) fn run(&mut self, jobs: &[Job], watchdog: Duration) -> Result<Vec<Vec<u8>>, DeviceError> {
        let started = Instant::now();
        let mut encoder =
            self.open.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("batch") });
        let leases: Vec<Lease> = jobs.iter().map(|job| self.encode(job, &mut encoder)).collect();
        self.open.fault.check()?;
        let submission = self.open.queue.submit([encoder.finish()]);
        for (job, lease) in jobs.iter().zip(&leases) {
            let mapped = Arc::clone(&lease.mapped);
            lease.read_back.map_async(wgpu::MapMode::Read, 0..job.output_bytes, move |result| {
                mapped.store(result.is_ok(), Ordering::Release);
            });
        }
        self.open.fault.check()?;
        let max_millis = u64::try_from(watchdog.as_millis()).unwrap_or(u64::MAX);
        // On software adapters `submit` itself may have taken the time.
        let timeout = Some(watchdog.saturating_sub(started.elapsed()));
        let polled = self.open.device.poll(wgpu::PollType::Wait { submission_index: Some(submission), timeout });
        self.open.fault.check()?;
        match polled {
            Ok(_) => {}
            Err(wgpu::PollError::Timeout) => return Err(DeviceError::Timeout { max_millis }),
            Err(error @ wgpu::PollError::WrongSubmissionIndex(..)) => {
                return Err(DeviceError::Invalid { reason: error.to_string() });
            }
        }
        let mut results = Vec::with_capacity(jobs.len());
        for (job, lease) in jobs.iter().zip(leases) {
            results.push(self.read(job, lease)?);
        }
        Ok(results)
    }

    /// Lets idle buffers go and lets the device free what it holds: resources are freed on poll only.
    pub(super) fn idle(&mut self) -> Result<(), DeviceError> {
        self.pools.clear();
        let _ = self
            .open
            .device
            .poll(wgpu::PollType::Poll)
            .map_err(|error| DeviceError::Invalid { reason: error.to_string() })?;
        self.open.fault.check()
    }

    /// Loses the device on purpose.
    pub(super) fn lose(&self) {
        self.open.device.destroy();
    }

    fn encode(&mut self, job: &Job, encoder: &mut wgpu::CommandEncoder) -> Lease {
        let max = self.open.caps.max_binding_bytes;
        let device = &self.open.device;
        let mut storage = |bytes| self.pools.lease(device, Use::Storage, bytes, max);
        let source = storage(job.source.len() as u64);
        let constants = storage(job.constants.len() as u64);
        let even = storage(job.between.even.max(4));
        let odd = storage(job.between.odd.max(4));
        let output = storage(job.output_bytes);
        let read_back = self.pools.lease(device, Use::ReadBack, job.output_bytes, max);
        self.open.queue.write_buffer(&source, 0, &job.source);
        self.open.queue.write_buffer(&constants, 0, &job.constants);
        let mut from = (&source, job.source.len() as u64);
        let last = job.dispatches.len().saturating_sub(1);
        for (at, dispatch) in job.dispatches.iter().enumerate() {
            let to = match at {
                _ if at == last => (&output, job.output_bytes),
                _ if at % 2 == 0 => (&even, job.between.even),
                _ => (&odd, job.between.odd),
            };
            self.dispatch(encoder, dispatch, from, to, &constants);
            from = to;
        }
        encoder.copy_buffer_to_buffer(&output, 0, &read_back, 0, job.output_bytes);
        Lease { source, constants, even, odd, output, read_back, mapped: Arc::new(AtomicBool::new(false)) }
    }

    fn dispatch(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        dispatch: &Dispatch,
        from: (&wgpu::Buffer, u64),
        to: (&wgpu::Buffer, u64),
        constants: &wgpu::Buffer,
    ) {
        let part = |buffer, range: &std::ops::Range<u64>| bound(buffer, range.start, range.end - range.start);
        let entries = [
            bound(from.0, 0, from.1),
            bound(to.0, 0, to.1),
            part(constants, &dispatch.rows),
            part(constants, &dispatch.weights),
            part(constants, &dispatch.params),
        ];
        let entries: Vec<wgpu::BindGroupEntry<'_>> = entries
            .into_iter()
            .zip(0..)
            .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        let label = Some(dispatch.stage.label());
        let layout = &self.pipelines.layout;
        let group = self.open.device.create_bind_group(&wgpu::BindGroupDescriptor { label, layout, entries: &entries });
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes: None });
        pass.set_pipeline(self.pipelines.get(dispatch.stage));
        pass.set_bind_group(0, &group, &[]);
        let [x, y] = dispatch.groups;
        pass.dispatch_workgroups(x, y, 1);
    }

    fn read(&mut self, job: &Job, lease: Lease) -> Result<Vec<u8>, DeviceError> {
        if !lease.mapped.load(Ordering::Acquire) {
            return Err(DeviceError::Lost { reason: "the result could not be mapped".to_owned() });
        }
        let view = lease
            .read_back
            .get_mapped_range(0..job.output_bytes)
            .map_err(|error| DeviceError::Invalid { reason: error.to_string() })?;
        let bytes = view.to_vec();
        drop(view);
        lease.read_back.unmap();
        for buffer in [lease.source, lease.constants, lease.even, lease.odd, lease.output] {
            self.pools.give_back(Use::Storage, buffer);
        }
        self.pools.give_back(Use::ReadBack, lease.read_back);
        Ok(bytes)
    }

    /// Runs a small picture through every stage and compares with the cpu engine.
    fn verify(&mut self, watchdog: Duration) -> Result<(), DeviceError> {
        let ops = [Op::Fit { side_px: 65 }, Op::Blur { sigma: 5.0 }];
        let invalid = |reason: String| DeviceError::Invalid { reason };
        let plan = Plan::new(&ops, Size::new(131, 67), &PlanLimits::default()).map_err(|e| invalid(e.to_string()))?;
        let image = test_picture(plan.source()).map_err(|e| invalid(e.to_string()))?;
        let job = Job::new(&plan, &image);
        let bytes = self.run(std::slice::from_ref(&job), watchdog)?.pop().unwrap_or_default();
        let want = cpu::run(&plan, &image).map_err(|e| invalid(e.to_string()))?;
        let off = |(a, b): (&u8, &u8)| a.abs_diff(*b);
        let got = bytes.iter().zip(want.data()).map(off).max().unwrap_or(u8::MAX);
        if got > MAX_DIFFERENCE || bytes.len() != want.data().len() {
            return Err(DeviceError::Wrong { got, max: MAX_DIFFERENCE });
        }
        Ok(())
    }
}

/// Ramps, stripes and half-transparent pixels.
fn test_picture(size: Size) -> Result<Pixmap, crate::pixels::PixmapError> {
    let byte = |x: u32| u8::try_from(x % 256).unwrap_or(0);
    let pixel = |x: u32, y: u32| [byte(x * 2), byte(y * 3), byte((x / 8 + y / 8) % 2 * 255), byte(128 + (x + y) % 128)];
    let data = (0..size.height).flat_map(|y| (0..size.width).flat_map(move |x| pixel(x, y))).collect();
    Pixmap::new(size.width, size.height, Layout::Rgba, data)
}

fn bound(buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> wgpu::BindingResource<'_> {
    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: std::num::NonZeroU64::new(bytes) })
}
