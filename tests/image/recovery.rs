//! Devices that are too small, go away, or get stuck: every job still ends with the right picture.

#![expect(clippy::unwrap_used, reason = "clippy takes only test functions for tests; this is what they call")]

use std::time::{Duration, Instant};

use glimt::pixels::gpu::{Caps, DeviceError, Drill};
use glimt::pixels::{Backend, EngineError, EngineOptions, Engines, Layout, Op, Plan, PlanLimits, Size, cpu, exec};

use crate::compare::hard_picture;
use crate::twin::{device, required};

fn own(options: &EngineOptions) -> Option<Engines> {
    // Says `skipped` once where there is no adapter.
    device(Backend::Software)?;
    Some(Engines::start(Backend::Software, options).unwrap())
}

fn small_job() -> (Plan, glimt::pixels::Pixmap) {
    let size = Size::new(90, 60);
    let ops = [Op::Fit { side_px: 50 }, Op::Blur { sigma: 1.5 }];
    (Plan::new(&ops, size, &PlanLimits::default()).unwrap(), hard_picture(90, 60, Layout::Rgb, 5))
}

/// Waits for a condition that a background thread brings about.
fn eventually(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn jobs_larger_than_the_device_run_on_cpu() {
    // The largest buffer holds 50 columns of 60 rows between the first two dispatches, 8 bytes a pixel.
    let caps = Caps { max_binding_bytes: 50 * 60 * 8, max_groups: 60, max_job_bytes: 1 << 20 };
    let lower = [
        Caps { max_binding_bytes: 50 * 60 * 8 - 1, ..caps },
        Caps { max_groups: 3, ..caps },
        Caps { max_job_bytes: 1000, ..caps },
    ];
    let (plan, image) = small_job();
    let want = cpu::run(&plan, &image).unwrap();
    for ceiling in lower {
        let options = EngineOptions { caps_ceiling: Some(ceiling), ..EngineOptions::default() };
        let Some(engines) = own(&options) else { return };
        assert!(exec::run(&plan, &image, &engines).unwrap() == want, "the very bytes of the cpu engine");
        let stats = engines.stats();
        assert_eq!((stats.too_large, stats.cpu, stats.device), (1, 1, 0), "{ceiling:?}");
        assert!(engines.is_healthy());
    }
    let Some(engines) = own(&EngineOptions { caps_ceiling: Some(caps), ..EngineOptions::default() }) else { return };
    exec::run(&plan, &image, &engines).unwrap();
    assert_eq!(engines.stats().device, 1, "the control: these caps are enough");
}

#[test]
fn a_lost_device_a_stuck_job_and_a_panic_cost_nothing_but_time() {
    for drill in [Drill::Lose, Drill::Stall, Drill::Panic] {
        let watchdog = Duration::from_millis(if drill == Drill::Stall { 400 } else { 10_000 });
        let Some(engines) = own(&EngineOptions { watchdog, ..EngineOptions::default() }) else { return };
        let (plan, image) = small_job();
        let want = cpu::run(&plan, &image).unwrap();
        engines.drill(drill).unwrap();
        assert!(exec::run(&plan, &image, &engines).unwrap() == want, "{drill:?}: done again on cpu");
        let stats = engines.stats();
        assert_eq!((stats.recovered, stats.cpu, stats.device), (1, 1, 0), "{drill:?}");
        assert!(!engines.is_healthy(), "{drill:?}: and it says so");
        assert!(exec::run(&plan, &image, &engines).unwrap() == want, "{drill:?}: while it is away");
        eventually("the device's return", || engines.is_healthy());
        let away = engines.stats();
        assert_eq!(away.rebuilds, 1, "{drill:?}");
        exec::run(&plan, &image, &engines).unwrap();
        assert_eq!(engines.stats().device, away.device + 1, "{drill:?}: the new device works");
    }
}

#[test]
fn a_full_queue_is_busy_not_a_fault() {
    let options = EngineOptions { queue_depth: 1, watchdog: Duration::from_millis(700), ..EngineOptions::default() };
    let Some(engines) = own(&options) else { return };
    let (plan, image) = small_job();
    engines.drill(Drill::Stall).unwrap();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let call = || exec::run(&plan, &image, &engines);
        let threads: Vec<_> = (0..6)
            .map(|n| std::thread::Builder::new().name(format!("caller-{n}")).spawn_scoped(scope, call).unwrap())
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let busy = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    assert!(outcomes.iter().flatten().count() >= 1);
    assert_eq!(u64::try_from(busy).unwrap(), engines.stats().busy);
    assert!(busy >= 1, "six at once into one place: {:?}", engines.stats());
    for outcome in outcomes {
        assert!(matches!(outcome, Ok(_) | Err(exec::ExecError::Busy { depth: 1 })));
    }
}

#[test]
fn a_hardware_engine_without_hardware_is_a_clean_error_and_auto_starts_anyway() {
    match Engines::start(Backend::Gpu, &EngineOptions::default()) {
        Ok(engines) => assert_eq!(engines.chosen(), Backend::Gpu),
        Err(EngineError::Device { backend: Backend::Gpu, source: source @ DeviceError::NoAdapter { .. } }) => {
            let said = source.to_string();
            assert!(said.starts_with("no hardware adapter; found: "), "{said}");
            assert!(!required() || said.contains("Cpu"), "it names what there is: {said}");
        }
        Err(other) => panic!("{other}"),
    }
    let engines = Engines::start(Backend::Auto, &EngineOptions::default()).unwrap();
    println!("auto chose {}", engines.describe());
    assert!(engines.is_healthy());
    let (plan, image) = small_job();
    assert_eq!(exec::run(&plan, &image, &engines).unwrap().width(), 50);
}

#[test]
fn dropping_the_engines_ends_their_thread() {
    let Some(engines) = own(&EngineOptions::default()) else { return };
    let (plan, image) = small_job();
    exec::run(&plan, &image, &engines).unwrap();
    let started = Instant::now();
    drop(engines);
    assert!(started.elapsed() < Duration::from_secs(15), "not the deadline for stuck drivers");
}
