//! What a group of processes costs, read from `/proc`.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result};

/// A group of processes, by its leader.
#[derive(Clone, Copy)]
pub struct Group(pub u32);

/// What the kernel counts processor time in, everywhere but on alpha and ia64.
const TICKS_A_SECOND: f64 = 100.0;
/// Looking at a process of 300 MiB takes the kernel 5 ms.
const BETWEEN_SAMPLES: Duration = Duration::from_millis(200);

impl Group {
    fn processes(self) -> Vec<(u32, Vec<u64>)> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // It may have ended meanwhile.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            // The name stands in brackets, and may hold any. Behind it come state, parent, group.
            let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
            let fields: Vec<u64> = rest.split(' ').map(|field| field.parse().unwrap_or_default()).collect();
            if fields.get(2) == Some(&u64::from(self.0)) {
                found.push((pid, fields));
            }
        }
        found
    }

    /// Milliseconds of processor time, user and system, of all its processes, their ended threads, and their ended children.
    pub fn cpu_ms(self) -> f64 {
        let ticks: u64 = self.processes().iter().flat_map(|(_, fields)| fields.get(11..15).into_iter().flatten()).sum();
        ticks as f64 * 1e3 / TICKS_A_SECOND
    }

    /// Memory of all its processes in MiB, with what they share counted once (PSS).
    pub fn memory_mib(self) -> f64 {
        let pss = |pid: u32| {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default()
        };
        self.processes().iter().map(|(pid, _)| pss(*pid)).sum::<f64>() / 1024.0
    }

    pub fn count(self) -> usize {
        self.processes().len()
    }

    /// Waits until it is at rest: what goes on behind an answer belongs to the request.
    pub async fn settle(self) {
        let (mut before, mut quiet) = (self.cpu_ms(), 0);
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = self.cpu_ms();
            quiet = if now - before <= 10.0 { quiet + 1 } else { 0 };
            before = now;
            if quiet == 2 {
                return;
            }
        }
    }
}

/// The most memory that a group had, looked at every 200 ms.
pub struct Peak {
    stop: Arc<AtomicBool>,
    kib: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Peak {
    pub fn watch(group: Group) -> Result<Self> {
        let (stop, kib) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let seen = (Arc::clone(&stop), Arc::clone(&kib));
        let work = move || {
            while !seen.0.load(Ordering::Relaxed) {
                seen.1.fetch_max((group.memory_mib() * 1024.0) as u64, Ordering::Relaxed);
                std::thread::sleep(BETWEEN_SAMPLES);
            }
        };
        let thread = std::thread::Builder::new().name("peak".into()).spawn(work).context("no thread")?;
        Ok(Self { stop, kib, thread: Some(thread) })
    }

    pub fn mib(mut self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
        self.kib.load(Ordering::Relaxed) as f64 / 1024.0
    }
}
