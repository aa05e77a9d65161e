//! An open device with its pipelines and memory: submits batches of jobs, and waits for them. Lives on the device thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::clock::{Clock, Clocks};
use super::device::{self, Open, Want};
use super::job::{Done, Job, Unmade};
use super::pipelines::Pipelines;
use super::program::{Dispatch, Place, Program};
use super::upload::Upload;
use super::vram::{Lease, Reservation, Use, Vram};
use super::{Caps, DeviceError};
use crate::pixels::cpu;
use crate::pixels::op::{Colour, Op, Size};
use crate::pixels::orientation::Orientation;
use crate::pixels::pixmap::{Layout, Picture, Pixmap, Source};
use crate::pixels::plan::{Form, Plan, PlanLimits};
use crate::pixels::stop::Stop;

/// The largest difference from the cpu engine, of 255, that a device may show when it is verified. Both compute the
/// same kernels; 16-bit floats and a rounding boundary make 1.
const MAX_DIFFERENCE: u8 = 2;

/// A job on the device.
struct Flying {
    program: Program,
    promised: Arc<Reservation>,
    read_back: Lease,
    /// Held until the device is done with them.
    buffers: Vec<Lease>,
    mapped: Arc<AtomicBool>,
}

/// A batch on the device.
pub(super) struct Flight {
    jobs: Vec<Flying>,
    submission: wgpu::SubmissionIndex,
    clock: Option<Clock>,
}

pub(super) struct Machine {
    open: Open,
    pipelines: Pipelines,
    vram: Arc<Vram>,
    clocks: Option<Clocks>,
}

impl Machine {
    /// Opens a device, compiles every stage, and verifies small jobs that run all of them (which also warms the pipelines).
    ///
    /// # Errors
    /// [`DeviceError`]; a device that computes something else than the cpu engine is refused.
    pub(super) fn start(want: Want, budget_bytes: u64, watchdog: Duration) -> Result<Self, DeviceError> {
        let open = device::open(want, budget_bytes)?;
        let pipelines = Pipelines::new(&open.device);
        open.fault.check()?;
        let vram = Arc::new(Vram::new(open.device.clone(), budget_bytes, open.caps.max_buffer_bytes));
        let clocks = Clocks::new(&open.device, &open.queue);
        let mut machine = Self { open, pipelines, vram, clocks };
        machine.verify(watchdog)?;
        Ok(machine)
    }

    pub(super) const fn caps(&self) -> Caps {
        self.open.caps
    }

    pub(super) fn description(&self) -> &str {
        &self.open.description
    }

    pub(super) const fn vram(&self) -> &Arc<Vram> {
        &self.vram
    }

    /// Sends the jobs to the device in one submission. On software adapters this waits for the submission before.
    ///
    /// # Errors
    /// The first [`DeviceError`]; the machine must then be dropped.
    pub(super) fn submit(&mut self, jobs: Vec<Job>) -> Result<Flight, DeviceError> {
        let label = Some("batch");
        let mut encoder = self.open.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label });
        let mut flying = Vec::with_capacity(jobs.len());
        let mut uploads = Vec::with_capacity(jobs.len());
        // Uploads of all, then dispatches of all in one pass, then what comes back: a device may overlap the jobs.
        for mut job in jobs {
            let input = self.vram.lend(Use::Storage, job.program.up_bytes());
            job.upload.unmap();
            encoder.copy_buffer_to_buffer(
                job.upload.buffer(),
                0,
                input.buffer(),
                0,
                job.program.up_bytes().next_multiple_of(4),
            );
            let slots = job.program.slots.iter().map(|bytes| self.vram.lend(Use::Storage, *bytes));
            let buffers = std::iter::once(input).chain(slots).collect();
            let read_back = self.vram.lend(Use::ReadBack, job.program.down_bytes());
            uploads.push((job.upload, Arc::clone(&job.promised)));
            flying.push(Flying {
                program: job.program,
                promised: job.promised,
                read_back,
                buffers,
                mapped: Arc::new(AtomicBool::new(false)),
            });
        }
        let clock = self.clocks.as_mut().map(Clocks::take);
        let timestamp_writes = clock.as_ref().map(Clock::writes);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes });
        for job in &flying {
            for dispatch in &job.program.dispatches {
                self.dispatch(&mut pass, dispatch, job)?;
            }
        }
        drop(pass);
        if let Some(clock) = &clock {
            clock.resolve(&mut encoder);
        }
        for job in &flying {
            for output in &job.program.outputs {
                let Some(slot) = job.buffer(Place::Slot(output.slot)) else { continue };
                encoder.copy_buffer_to_buffer(slot, 0, job.read_back.buffer(), output.offset, output.bytes);
            }
        }
        self.open.fault.check()?;
        let submission = self.open.queue.submit([encoder.finish()]);
        for (upload, promised) in uploads {
            upload.remap(promised);
        }
        if let Some(clock) = &clock {
            clock.map();
        }
        for job in &mut flying {
            let mapped = Arc::clone(&job.mapped);
            job.read_back.mapped();
            job.read_back.buffer().map_async(wgpu::MapMode::Read, 0..job.program.down_bytes(), move |result| {
                mapped.store(result.is_ok(), Ordering::Release);
            });
        }
        self.open.fault.check()?;
        Ok(Flight { jobs: flying, submission, clock })
    }

    /// Waits for a batch at most so long. `Ok(false)`: it is not done yet.
    ///
    /// # Errors
    /// [`DeviceError`]; the machine must then be dropped.
    pub(super) fn wait(&mut self, flight: &Flight, longest: Duration) -> Result<bool, DeviceError> {
        let submission_index = Some(flight.submission.clone());
        let polled = self.open.device.poll(wgpu::PollType::Wait { submission_index, timeout: Some(longest) });
        self.open.fault.check()?;
        match polled {
            Ok(_) => Ok(true),
            Err(wgpu::PollError::Timeout) => Ok(false),
            Err(error @ wgpu::PollError::WrongSubmissionIndex(..)) => {
                Err(DeviceError::Invalid { reason: error.to_string() })
            }
        }
    }

    /// The jobs of a batch that is done, in order, and how long the device computed, if it says so.
    ///
    /// # Errors
    /// [`DeviceError::Lost`] when a result could not be mapped.
    pub(super) fn land(&mut self, flight: Flight) -> Result<(Vec<Done>, Option<Duration>), DeviceError> {
        let done = |Flying { program, promised, read_back, mapped, .. }: Flying| {
            let reason = || "a result could not be mapped".to_owned();
            let is_mapped = mapped.load(Ordering::Acquire);
            is_mapped
                .then_some(Done { program, read_back, promised })
                .ok_or_else(|| DeviceError::Lost { reason: reason() })
        };
        let computed = flight.clock.zip(self.clocks.as_mut()).and_then(|(clock, clocks)| clocks.read(clock));
        Ok((flight.jobs.into_iter().map(done).collect::<Result<_, _>>()?, computed))
    }

    /// Lets idle buffers go and lets the device free what it holds: resources are freed on poll only.
    pub(super) fn idle(&mut self) -> Result<(), DeviceError> {
        self.vram.clear();
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

    /// Has the device refuse a command on purpose: a buffer larger than any.
    pub(super) fn misuse(&self) {
        let usage = wgpu::BufferUsages::STORAGE;
        let descriptor =
            wgpu::BufferDescriptor { label: Some("drill"), size: 1 << 60, usage, mapped_at_creation: false };
        drop(self.open.device.create_buffer(&descriptor));
    }

    /// Reports what a driver without memory reports.
    pub(super) fn exhaust(&self) {
        self.open.fault.record(DeviceError::OutOfMemory);
    }

    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, its: &Dispatch, job: &Flying) -> Result<(), DeviceError> {
        let missing = |what: &str| DeviceError::Invalid { reason: format!("a dispatch without its {what}") };
        let constants = job.buffers.first().ok_or_else(|| missing("constants"))?.buffer();
        let part = |range: &std::ops::Range<u64>| bound(constants, range.start, range.end - range.start);
        let place = |(place, bytes): (Place, u64)| {
            let start = if place == Place::Source { job.program.source_start() } else { 0 };
            job.buffer(place).map(|buffer| bound(buffer, start, bytes)).ok_or_else(|| missing("buffer"))
        };
        let blocks = its.original.map_or_else(|| Ok(part(&its.rows)), place)?;
        let entries = [place(its.from)?, place(its.to)?, blocks, part(&its.weights), part(&its.params)];
        let entries: Vec<wgpu::BindGroupEntry<'_>> = entries
            .into_iter()
            .zip(0..)
            .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        let (label, layout) = (Some(its.stage.name()), &self.pipelines.layout);
        let group = self.open.device.create_bind_group(&wgpu::BindGroupDescriptor { label, layout, entries: &entries });
        pass.set_pipeline(self.pipelines.get(its.stage).ok_or_else(|| missing("pipeline"))?);
        pass.set_bind_group(0, &group, &[]);
        let [x, y] = its.groups;
        pass.dispatch_workgroups(x, y, 1);
        Ok(())
    }

    /// Runs small pictures through every pipeline and compares with the cpu engine.
    fn verify(&mut self, watchdog: Duration) -> Result<(), DeviceError> {
        let invalid = |reason: String| DeviceError::Invalid { reason };
        let turn = Op::Orient(Orientation::ROTATE_90);
        let sharpen = Op::Sharpen { sigma: 1.0, amount: 0.5 };
        let lists: [&[Op]; 3] = [
            &[Op::fit(65), Op::Blur { sigma: 5.0 }, turn],
            &[Op::fit(30), sharpen, Op::Colour(Colour::Saturation(0.5))],
            &[Op::Colour(Colour::Contrast(1.2)), sharpen],
        ];
        let size = Size::new(131, 67);
        let plan = Plan::many(&lists, size, &PlanLimits::default()).map_err(|error| invalid(error.to_string()))?;
        let planes = cpu::chroma::run(&test_picture(size, Layout::Rgb)?).map_err(|error| invalid(error.to_string()))?;
        let packed = [Layout::Luma, Layout::Rgb, Layout::Rgba].map(|layout| test_picture(size, layout));
        for image in packed {
            let image = image?;
            self.verify_one(&plan, (&image).into(), watchdog)?;
        }
        self.verify_one(&plan.with_form(Form::Ycbcr420), (&planes).into(), watchdog)
    }

    fn verify_one(&mut self, plan: &Plan, source: Source<'_>, watchdog: Duration) -> Result<(), DeviceError> {
        let program = Program::new(plan, Upload::of(source, plan.region()));
        let job = Job::new(program, source, &self.vram, &Stop::never()).map_err(|unmade| match unmade {
            Unmade::Device(error) => error,
            Unmade::Stopped(_) => DeviceError::Unavailable,
        })?;
        let started = Instant::now();
        let flight = self.submit(vec![job])?;
        // On software adapters `submit` itself may have taken the time.
        if !self.wait(&flight, watchdog.saturating_sub(started.elapsed()))? {
            let max_millis = u64::try_from(watchdog.as_millis()).unwrap_or(u64::MAX);
            return Err(DeviceError::Timeout { max_millis });
        }
        let got = self.land(flight)?.0.pop().map(Done::pictures).unwrap_or(Err(DeviceError::Unavailable))?;
        let want = cpu::run_all(plan, source, &Stop::never())
            .map_err(|error| DeviceError::Invalid { reason: error.to_string() })?;
        let mut worst = if got.len() == want.len() { 0 } else { u8::MAX };
        for (got, want) in got.iter().zip(&want) {
            worst = worst.max(difference(got, want));
        }
        if worst > MAX_DIFFERENCE { Err(DeviceError::Wrong { got: worst, max: MAX_DIFFERENCE }) } else { Ok(()) }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.vram.close();
    }
}

impl Flying {
    /// The buffer of a place: the first holds constants and source.
    fn buffer(&self, place: Place) -> Option<&wgpu::Buffer> {
        let at = match place {
            Place::Source => 0,
            Place::Slot(slot) => slot + 1,
        };
        self.buffers.get(at).map(Lease::buffer)
    }
}

/// The largest difference of a sample; 255 where the pictures are not of one kind.
fn difference(got: &Picture, want: &Picture) -> u8 {
    let largest = |a: &[u8], b: &[u8]| {
        let off = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(u8::MAX);
        if a.len() == b.len() { off } else { u8::MAX }
    };
    match (got, want) {
        (Picture::Packed(got), Picture::Packed(want)) => largest(got.data(), want.data()),
        (Picture::Planar(got), Picture::Planar(want)) => {
            let chroma = got.chroma().iter().zip(want.chroma()).map(|(got, want)| largest(got, want));
            chroma.max().unwrap_or(u8::MAX).max(largest(got.luma(), want.luma()))
        }
        (Picture::Packed(_), Picture::Planar(_)) | (Picture::Planar(_), Picture::Packed(_)) => u8::MAX,
    }
}

/// Ramps, stripes and, where there is alpha, half-transparent pixels.
fn test_picture(size: Size, layout: Layout) -> Result<Pixmap, DeviceError> {
    let byte = |x: u32| u8::try_from(x % 256).unwrap_or(0);
    let pixel = |x: u32, y: u32| [byte(x * 2), byte(y * 3), byte((x / 8 + y / 8) % 2 * 255), byte(128 + (x + y) % 128)];
    let pixels = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
    let data = pixels.flat_map(|(x, y)| pixel(x, y).into_iter().take(layout.channels())).collect();
    Pixmap::new(size.width, size.height, layout, data)
        .map_err(|error| DeviceError::Invalid { reason: error.to_string() })
}

fn bound(buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> wgpu::BindingResource<'_> {
    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: std::num::NonZeroU64::new(bytes) })
}
