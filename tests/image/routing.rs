//! Jobs of `auto` go where they are done first, through the whole engine: with simulated adapters, whatever the host has.

#![expect(clippy::unwrap_used, reason = "clippy takes only test functions for tests; this is what they call")]

use std::time::Duration;

use glimt::pixels::exec::route::{Decision, EXPLORE_LEAST};
use glimt::pixels::exec::{SimulatedAdapter, Stats};
use glimt::pixels::{Backend, Engines, Layout, Op, Plan, PlanLimits, Size, exec};

use crate::compare::hard_picture;

/// So far from a core's speed that no noise matters.
const FAR: SimulatedAdapter =
    SimulatedAdapter { latency: Duration::from_millis(60), bytes_a_sec: 1e12, multiply_adds_a_sec: 1e15 };
const NEAR: SimulatedAdapter = SimulatedAdapter { latency: Duration::ZERO, ..FAR };

const JOBS: u64 = 40;

/// Runs jobs of one kind; a core takes milliseconds for each.
fn run(backend: Backend, adapter: SimulatedAdapter, side: u32) -> (Stats, Vec<Decision>) {
    let engines = Engines::simulated(backend, adapter);
    let size = Size::new(side, side);
    let plan = Plan::new(&[Op::Blur { sigma: 2.0 }], size, &PlanLimits::default()).unwrap();
    let image = hard_picture(side, side, Layout::Rgb, 1);
    for _ in 0..JOBS {
        let made = exec::run(&plan, &image, &engines).unwrap();
        assert_eq!((made.width(), made.height()), (side, side));
    }
    (engines.stats(), engines.decisions())
}

#[test]
fn a_device_far_away_gets_no_small_jobs_and_a_near_one_all() {
    let (far, decisions) = run(Backend::Auto, FAR, 90);
    // Now and then one may go there to be measured: but not at sixty times the cost.
    assert_eq!((far.device, far.sooner, far.cpu), (0, JOBS, JOBS));
    assert_eq!(decisions.len(), 1);
    assert_eq!((decisions[0].jobs, decisions[0].explored), ([JOBS, 0], [0, 0]));
    let (near, decisions) = run(Backend::Auto, NEAR, 500);
    assert!(near.device >= JOBS - JOBS / EXPLORE_LEAST, "{near:?}");
    assert_eq!(near.sooner + near.device, JOBS);
    assert!(decisions[0].corrections[1].is_some() && decisions[0].last_secs[1].is_some());
}

#[test]
fn an_engine_asked_for_by_name_gets_everything() {
    let (stats, decisions) = run(Backend::Gpu, FAR, 90);
    assert_eq!((stats.device, stats.cpu, decisions.len()), (JOBS, 0, 0));
}
