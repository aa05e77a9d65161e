//! Device memory under a budget of our own: what is promised, what is lent, what lies idle for the next job of its size.
//!
//! A job *reserves* all it will need before it takes a buffer, so that no job ever waits for memory while it holds some. What
//! is lent is never more than what is reserved; idle buffers make room for it. Drivers cannot be asked: they promise more
//! than they have.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::DeviceError;
use crate::pixels::stop::{Stop, Stopped};

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Constants and pixels on their way up. Idle ones are mapped.
    Upload,
    /// On the device.
    Storage,
    /// Results on their way back. Idle ones are not mapped.
    ReadBack,
}

impl Use {
    const fn usages(self) -> wgpu::BufferUsages {
        match self {
            Self::Upload => wgpu::BufferUsages::MAP_WRITE.union(wgpu::BufferUsages::COPY_SRC),
            Self::Storage => wgpu::BufferUsages::STORAGE
                .union(wgpu::BufferUsages::UNIFORM)
                .union(wgpu::BufferUsages::COPY_SRC)
                .union(wgpu::BufferUsages::COPY_DST),
            Self::ReadBack => wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::COPY_DST),
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Storage => "storage",
            Self::ReadBack => "read back",
        }
    }
}

/// How much memory is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VramStats {
    /// Bytes promised to jobs.
    pub reserved_bytes: u64,
    /// Bytes of buffers that jobs hold.
    pub lent_bytes: u64,
    /// Bytes of buffers kept for the next job.
    pub idle_bytes: u64,
    /// Buffers made since the device was opened.
    pub created: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    idle: VecDeque<(Use, wgpu::Buffer)>,
    stats: VramStats,
    /// The device is gone: buffers that come back are let go.
    closed: bool,
}

/// The memory of one device. Callers and the device thread share it.
#[derive(Debug)]
pub(super) struct Vram {
    device: wgpu::Device,
    budget_bytes: u64,
    max_buffer_bytes: u64,
    state: Mutex<State>,
    freed: Condvar,
}

impl Vram {
    pub(super) fn new(device: wgpu::Device, budget_bytes: u64, max_buffer_bytes: u64) -> Self {
        Self { device, budget_bytes, max_buffer_bytes, state: Mutex::default(), freed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stats(&self) -> VramStats {
        self.state().stats
    }

    /// Bytes that a buffer for `bytes` takes.
    pub(super) fn class(&self, bytes: u64) -> u64 {
        class(bytes).min(self.max_buffer_bytes.max(bytes.next_multiple_of(4)))
    }

    /// Promises memory for one job; waits for it. At most the whole budget, which is then the job's alone.
    ///
    /// # Errors
    /// Why `stop` said to, or `Ok(None)` when the device went away.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64, stop: &Stop) -> Result<Option<Reservation>, Stopped> {
        /// How often a waiting caller looks whether it should still wait.
        const LOOK: Duration = Duration::from_millis(20);
        let bytes = bytes.min(self.budget_bytes);
        let mut state = self.state();
        loop {
            if state.closed {
                return Ok(None);
            }
            if state.stats.reserved_bytes + bytes <= self.budget_bytes {
                state.stats.reserved_bytes += bytes;
                return Ok(Some(Reservation { vram: Arc::clone(self), bytes }));
            }
            stop.check()?;
            (state, _) = self.freed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A buffer of at least `bytes`, its content whatever it was: an idle one of the class, else a new one, for which the oldest
    /// idle ones make room. Errors go to the device's handler. An upload buffer is mapped.
    pub(super) fn lend(self: &Arc<Self>, purpose: Use, bytes: u64) -> Lease {
        let size = self.class(bytes);
        let mut state = self.state();
        state.stats.lent_bytes += size;
        let found = state.idle.iter().position(|(its, buffer)| *its == purpose && buffer.size() == size);
        let buffer = if let Some((_, buffer)) = found.and_then(|at| state.idle.remove(at)) {
            state.stats.idle_bytes -= size;
            buffer
        } else {
            state.make_room(self.budget_bytes);
            state.stats.created += 1;
            drop(state);
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(purpose.label()),
                size,
                usage: purpose.usages(),
                mapped_at_creation: purpose == Use::Upload,
            })
        };
        Lease { vram: Arc::clone(self), purpose, buffer, mapped: purpose == Use::Upload }
    }

    /// Lets all idle buffers go.
    pub(super) fn clear(&self) {
        let mut state = self.state();
        state.stats.idle_bytes = 0;
        state.idle.clear();
    }

    /// The device is gone.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.clear();
        self.freed.notify_all();
    }

    fn give_back(&self, purpose: Use, buffer: &wgpu::Buffer, reusable: bool) {
        let mut state = self.state();
        let size = buffer.size();
        state.stats.lent_bytes -= size;
        if reusable && !state.closed {
            state.stats.idle_bytes += size;
            state.idle.push_back((purpose, buffer.clone()));
            state.make_room(self.budget_bytes);
        }
    }
}

impl State {
    /// Lets the oldest idle buffers go until all together are within the budget.
    fn make_room(&mut self, budget_bytes: u64) {
        while self.stats.lent_bytes + self.stats.idle_bytes > budget_bytes {
            let Some((_, oldest)) = self.idle.pop_front() else { break };
            self.stats.idle_bytes -= oldest.size();
        }
    }
}

/// Memory promised to a job. Given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    vram: Arc<Vram>,
    bytes: u64,
}

impl Reservation {
    pub(super) const fn vram(&self) -> &Arc<Vram> {
        &self.vram
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.vram.state().stats.reserved_bytes -= self.bytes;
        self.vram.freed.notify_all();
    }
}

/// A buffer on loan. Given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    vram: Arc<Vram>,
    purpose: Use,
    buffer: wgpu::Buffer,
    mapped: bool,
}

impl Lease {
    pub(super) const fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// Says that the buffer was mapped, so that it is unmapped before the next one gets it.
    pub(super) const fn mapped(&mut self) {
        self.mapped = true;
    }

    /// Fills an upload buffer; on the caller's thread.
    ///
    /// # Errors
    /// [`DeviceError::Invalid`] when it is not mapped, or too short.
    pub(super) fn fill(&mut self, fill: impl FnOnce(&mut dyn FnMut(u64, &[u8]))) -> Result<(), DeviceError> {
        let mut view = self.buffer.get_mapped_range_mut(..).map_err(invalid)?;
        let mut missed = None;
        let mut put = |offset: u64, bytes: &[u8]| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let end = start.saturating_add(bytes.len());
            if end <= view.len() {
                view.slice(start..end).copy_from_slice(bytes);
            } else {
                missed = Some(end);
            }
        };
        fill(&mut put);
        missed.map_or(Ok(()), |end| Err(DeviceError::Invalid { reason: format!("{end} bytes do not fit") }))
    }

    /// Sends an upload buffer on its way: the device may copy from it now, and `remap` must follow.
    pub(super) fn unmap(&mut self) {
        self.buffer.unmap();
        self.mapped = false;
    }

    /// Has an upload buffer mapped again once the device has copied from it, and given back then; the memory stays promised
    /// until that.
    pub(super) fn remap(self, promised: Arc<Reservation>) {
        let buffer = self.buffer.clone();
        let mut lease = self;
        buffer.map_async(wgpu::MapMode::Write, .., move |mapped| {
            lease.mapped = mapped.is_ok();
            drop(lease);
            drop(promised);
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.purpose == Use::ReadBack && self.mapped {
            self.buffer.unmap();
        }
        // An upload buffer that is not mapped cannot be filled.
        let reusable = self.purpose != Use::Upload || self.mapped;
        self.vram.give_back(self.purpose, &self.buffer, reusable);
    }
}

fn invalid(error: impl std::fmt::Display) -> DeviceError {
    DeviceError::Invalid { reason: error.to_string() }
}

/// The size class of a length: the next of four steps to each power of two, so at most a quarter is wasted. At least
/// 4 KiB.
fn class(bytes: u64) -> u64 {
    let bytes = bytes.max(4096);
    let step = (bytes.next_power_of_two() / 8).max(1024);
    bytes.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::class;

    #[test]
    fn classes_hold_their_bytes_and_waste_at_most_a_quarter() {
        for bytes in (1..200_000).step_by(37).chain([48_000_000, 134_217_728, 134_217_729]) {
            let size = class(bytes);
            assert!(size >= bytes && size.is_multiple_of(4), "{bytes} {size}");
            assert!(bytes <= 4096 || size - bytes <= bytes / 4 + 1024, "{bytes} {size}");
        }
        assert_eq!(class(1), class(4096));
        assert_eq!(class(134_217_728), 134_217_728);
    }
}
