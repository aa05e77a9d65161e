//! How long batches take on the device itself, by its own timestamps: without waiting in queues and without the bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Two timestamps, at the start and at the end of a pass.
const STAMPS: u32 = 2;
const STAMP_BYTES: u64 = 16;

/// Makes clocks for passes, and keeps those that are done with for the next ones.
#[derive(Debug)]
pub(super) struct Clocks {
    device: wgpu::Device,
    /// Nanoseconds a tick.
    period: f64,
    idle: Vec<Clock>,
}

/// The timestamps of one pass.
#[derive(Debug)]
pub(super) struct Clock {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    read_back: wgpu::Buffer,
    mapped: Arc<AtomicBool>,
}

impl Clocks {
    /// `None` for a device without timestamps.
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Option<Self> {
        let has_timestamps = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let period = f64::from(queue.get_timestamp_period());
        has_timestamps.then(|| Self { device: device.clone(), period, idle: Vec::new() })
    }

    /// A clock for the next pass.
    pub(super) fn take(&mut self) -> Clock {
        self.idle.pop().unwrap_or_else(|| {
            let label = Some("clock");
            let buffer = |usage| {
                let size = STAMP_BYTES;
                self.device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
            };
            Clock {
                set: self.device.create_query_set(&wgpu::QuerySetDescriptor {
                    label,
                    ty: wgpu::QueryType::Timestamp,
                    count: STAMPS,
                }),
                resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
                read_back: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
                mapped: Arc::default(),
            }
        })
    }

    /// How long the pass of a clock took, once its submission is done. `None` where the device did not say.
    pub(super) fn read(&mut self, clock: Clock) -> Option<Duration> {
        // One that was not mapped is let go.
        if !clock.mapped.swap(false, Ordering::AcqRel) {
            return None;
        }
        let stamps = clock.read_back.get_mapped_range(..).ok().map(|view| {
            let stamp =
                |at: usize| view.get(at..).and_then(<[u8]>::first_chunk::<8>).map(|bytes| u64::from_le_bytes(*bytes));
            (stamp(0), stamp(8))
        });
        clock.read_back.unmap();
        self.idle.push(clock);
        let (Some(start), Some(end)) = stamps? else { return None };
        #[expect(clippy::cast_precision_loss, reason = "ticks of one pass")]
        let nanos = end.checked_sub(start)? as f64 * self.period;
        Duration::try_from_secs_f64(nanos / 1e9).ok()
    }
}

impl Clock {
    /// What to begin the pass with.
    pub(super) const fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        }
    }

    /// Has the timestamps brought back, behind the pass.
    pub(super) fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.resolve_query_set(&self.set, 0..STAMPS, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.read_back, 0, STAMP_BYTES);
    }

    /// Has them mapped once the submission is done.
    pub(super) fn map(&self) {
        let mapped = Arc::clone(&self.mapped);
        self.read_back.map_async(wgpu::MapMode::Read, .., move |result| {
            mapped.store(result.is_ok(), Ordering::Release);
        });
    }
}
