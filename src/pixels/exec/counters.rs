//! Where jobs went, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::timing::Stages;

/// Jobs since the start, by where they were done and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Done by the device.
    pub device: u64,
    /// Done by the cpu engine, for whatever reason; the next four are part of it.
    pub cpu: u64,
    /// On cpu because it was expected to be done there first.
    pub sooner: u64,
    /// On cpu because the device does not take jobs of their size.
    pub too_large: u64,
    /// On cpu because the device was being rebuilt.
    pub unavailable: u64,
    /// On cpu after the device failed with them.
    pub recovered: u64,
    /// Refused because the device's queue was full.
    pub busy: u64,
    /// Times the device was thrown away and built again.
    pub rebuilds: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) device: AtomicU64,
    pub(super) cpu: AtomicU64,
    pub(super) sooner: AtomicU64,
    pub(super) too_large: AtomicU64,
    pub(super) unavailable: AtomicU64,
    pub(super) recovered: AtomicU64,
    pub(super) busy: AtomicU64,
    /// What the cpu engine takes.
    pub(super) stages: Stages,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self, rebuilds: u64) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            device: read(&self.device),
            cpu: read(&self.cpu),
            sooner: read(&self.sooner),
            too_large: read(&self.too_large),
            unavailable: read(&self.unavailable),
            recovered: read(&self.recovered),
            busy: read(&self.busy),
            rebuilds,
        }
    }
}
