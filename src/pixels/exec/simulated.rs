//! A device of chosen speed that computes nothing: to see where jobs are sent on hosts without a GPU.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::route::Work;
use crate::pixels::gpu::queue::Failure;
use crate::pixels::gpu::{DeviceError, Upload};
use crate::pixels::pixmap::{Picture, Pixmap, Source};
use crate::pixels::plan::Plan;
use crate::pixels::stop::Stop;

/// How fast a simulated adapter is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulatedAdapter {
    /// The time of an empty job, there and back.
    pub latency: Duration,
    /// Bytes a second over the bus, in each direction.
    pub bytes_a_sec: f64,
    /// Multiply-adds of pixels a second.
    pub multiply_adds_a_sec: f64,
}

/// One adapter and when it has done what it was sent.
#[derive(Debug)]
pub(super) struct Simulated {
    adapter: SimulatedAdapter,
    free_at: Mutex<Instant>,
}

impl Simulated {
    pub(super) fn new(adapter: SimulatedAdapter) -> Self {
        Self { adapter, free_at: Mutex::new(Instant::now()) }
    }

    /// Sleeps as long as the job would take behind those before it. Gives black pictures of the right sizes, in the layout of
    /// the source.
    pub(super) fn run(&self, plan: &Plan, source: Source<'_>, stop: &Stop) -> Result<Vec<Picture>, Failure> {
        let done_at = {
            let busy = self.adapter.busy(&Work::of(plan, &Upload::of(source, plan.region())));
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = (*free_at).max(Instant::now()) + busy;
            *free_at + self.adapter.latency
        };
        std::thread::sleep(done_at.saturating_duration_since(Instant::now()));
        stop.check()?;
        let layout = source.layout();
        let picture = |width: u32, height: u32| {
            let data = vec![0; width as usize * height as usize * layout.channels()];
            let made = Pixmap::new(width, height, layout, data);
            made.map(Picture::Packed)
                .map_err(|error| Failure::Device(DeviceError::Invalid { reason: error.to_string() }))
        };
        let computed = plan.chains().iter().filter(|chain| !chain.steps.is_empty());
        computed.map(|chain| picture(chain.output.width, chain.output.height)).collect()
    }
}

impl SimulatedAdapter {
    /// How long the adapter itself is busy with a job.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn busy(&self, work: &Work) -> Duration {
        let moved = (work.up_bytes + work.down_bytes) as f64 / self.bytes_a_sec;
        Duration::try_from_secs_f64(moved + work.multiply_adds as f64 / self.multiply_adds_a_sec)
            .unwrap_or(Duration::MAX)
    }
}
