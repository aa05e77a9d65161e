//! Buffers of a device, kept for the next job of their size class.

use std::collections::VecDeque;

/// What a buffer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Pixels and constants on the device.
    Storage,
    /// Results on their way back.
    ReadBack,
}

impl Use {
    const fn usages(self) -> wgpu::BufferUsages {
        match self {
            Self::Storage => wgpu::BufferUsages::STORAGE
                .union(wgpu::BufferUsages::UNIFORM)
                .union(wgpu::BufferUsages::COPY_SRC)
                .union(wgpu::BufferUsages::COPY_DST),
            Self::ReadBack => wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::COPY_DST),
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::ReadBack => "read back",
        }
    }
}

/// Idle buffers, oldest first, under a budget of bytes.
#[derive(Debug)]
pub(super) struct Pools {
    idle: VecDeque<(Use, wgpu::Buffer)>,
    idle_bytes: u64,
    max_idle_bytes: u64,
}

impl Pools {
    pub(super) const fn new(max_idle_bytes: u64) -> Self {
        Self { idle: VecDeque::new(), idle_bytes: 0, max_idle_bytes }
    }

    /// A buffer of at least `bytes`, its content whatever it was: an idle one of the class, else a new one.
    /// Errors go to the device's handler.
    pub(super) fn lease(&mut self, device: &wgpu::Device, purpose: Use, bytes: u64, max_bytes: u64) -> wgpu::Buffer {
        let size = class(bytes).min(max_bytes.max(bytes) & !3);
        let found = self.idle.iter().position(|(its, buffer)| *its == purpose && buffer.size() == size);
        if let Some((_, buffer)) = found.and_then(|at| self.idle.remove(at)) {
            self.idle_bytes -= buffer.size();
            return buffer;
        }
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(purpose.label()),
            size,
            usage: purpose.usages(),
            mapped_at_creation: false,
        })
    }

    /// Takes a buffer back; the oldest idle ones go when the budget is full.
    pub(super) fn give_back(&mut self, purpose: Use, buffer: wgpu::Buffer) {
        self.idle_bytes += buffer.size();
        self.idle.push_back((purpose, buffer));
        while self.idle_bytes > self.max_idle_bytes {
            let Some((_, oldest)) = self.idle.pop_front() else { break };
            self.idle_bytes -= oldest.size();
        }
    }

    /// Lets all idle buffers go.
    pub(super) fn clear(&mut self) {
        self.idle.clear();
        self.idle_bytes = 0;
    }
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
