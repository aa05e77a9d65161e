//! One small job on a device and on the cpu engine, timed.

use std::time::{Duration, Instant};

use super::Device;
use crate::pixels::cpu;
use crate::pixels::op::{Op, Size};
use crate::pixels::pixmap::{Layout, Pixmap};
use crate::pixels::plan::{Plan, PlanLimits};
use crate::pixels::stop::Stop;

/// The times of the device and of the cpu engine, each after a first job that warms it.
pub(super) fn race(device: &Device) -> Option<(Duration, Duration)> {
    let size = Size::new(512, 384);
    let ops = [Op::fit(200), Op::Blur { sigma: 2.0 }];
    let plan = Plan::new(&ops, size, &PlanLimits::default()).ok()?;
    let data = (0..size.pixels() * 3).map(|at| u8::try_from(at * 7 % 251).unwrap_or(0)).collect();
    let image = Pixmap::new(size.width, size.height, Layout::Rgb, data).ok()?;
    let on_device = || device.run(&plan, (&image).into(), &Stop::never()).ok().flatten().map(drop);
    let on_cpu = || cpu::run(&plan, &image).ok().map(drop);
    Some((timed(on_device)?, timed(on_cpu)?))
}

fn timed(job: impl Fn() -> Option<()>) -> Option<Duration> {
    job()?;
    let started = Instant::now();
    job()?;
    Some(started.elapsed())
}
