//! A few jobs on a device and on the cpu engine, timed at start.

use std::time::{Duration, Instant};

use super::device::Device;
use super::route::{Engine, Router, Work};
use crate::pixels::cpu;
use crate::pixels::gpu::Upload;
use crate::pixels::op::{Op, Size};
use crate::pixels::pixmap::{Layout, Pixmap};
use crate::pixels::plan::{Plan, PlanLimits};
use crate::pixels::stop::Stop;

/// The best of so many runs counts: what takes longer was disturbed. The first warms caches and memory.
const RUNS: usize = 3;

/// The jobs: different in what they read, compute and write. All together a few dozen milliseconds on one core.
const JOBS: [(Size, &[Op]); 5] = [
    (Size::new(96, 64), &[Op::fit(48)]),
    (Size::new(640, 480), &[Op::fit(160)]),
    (Size::new(640, 480), &[Op::Blur { sigma: 2.0 }]),
    (Size::new(1280, 960), &[Op::fit(256)]),
    (Size::new(512, 384), &[Op::Blur { sigma: 3.9 }]),
];

/// The times of the device and of the cpu engine for one job of resize and blur. `None` when one of them fails.
pub(super) fn race(device: &Device) -> Option<(Duration, Duration)> {
    let [cpu, device] = times(device, Size::new(512, 384), &[Op::fit(200), Op::Blur { sigma: 2.0 }])?.1;
    Some((device, cpu))
}

/// A router that knows how long the jobs took on each. `None` when a job failed.
pub(super) fn router(device: &Device) -> Option<Router> {
    let measured = JOBS.into_iter().map(|(size, ops)| times(device, size, ops)).collect::<Option<Vec<_>>>()?;
    Some(Router::fitted(&measured))
}

/// A job, and how long the cpu engine and the device take for it.
fn times(device: &Device, size: Size, ops: &[Op]) -> Option<(Work, [Duration; 2])> {
    let plan = Plan::new(ops, size, &PlanLimits::default()).ok()?;
    let data = (0..size.pixels() * 3).map(|at| u8::try_from(at * 7 % 251).unwrap_or(0)).collect();
    let image = Pixmap::new(size.width, size.height, Layout::Rgb, data).ok()?;
    let work = Work::of(&plan, &Upload::packed(Layout::Rgb, plan.region()));
    let run = |engine| match engine {
        Engine::Cpu => cpu::run(&plan, &image).ok().map(drop),
        Engine::Device => device.run(&plan, (&image).into(), &Stop::never()).ok().flatten().map(drop),
    };
    let [cpu, device] = Engine::ALL.map(|engine| best(|| run(engine)));
    Some((work, [cpu?, device?]))
}

fn best(job: impl Fn() -> Option<()>) -> Option<Duration> {
    let timed = || {
        let started = Instant::now();
        job()?;
        Some(started.elapsed())
    };
    let runs: Option<Vec<Duration>> = (0..RUNS).map(|_| timed()).collect();
    runs?.into_iter().min()
}
