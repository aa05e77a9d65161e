//! Devices that are too small, go away, or get stuck: every job still ends with the right picture.

#![expect(clippy::unwrap_used, reason = "clippy takes only test functions for tests; this is what they call")]

use std::time::{Duration, Instant};

use glimt::pixels::gpu::{Caps, DeviceError, Drill};
use glimt::pixels::{
    Backend, Colour, EngineError, EngineOptions, Engines, Form, Layout, Op, Orientation, Pixmap, Plan, PlanLimits,
    Rect, Size, Source, Stop, cpu, exec,
};

use crate::compare::hard_picture;
use crate::corpus::test_picture;
use crate::twin::{device, required};

fn own(options: &EngineOptions) -> Option<Engines> {
    // Says `skipped` once where there is no adapter.
    device(Backend::Software)?;
    // A watchdog of half a second watches the first job too, which a busy machine may not do in that.
    let busy = |started: &Result<Engines, EngineError>| {
        matches!(started, Err(EngineError::Device { source: DeviceError::Timeout { .. }, .. }))
    };
    let mut starts = (0..20).map(|_| Engines::start(Backend::Software, options));
    Some(starts.find(|started| !busy(started)).unwrap().unwrap())
}

fn small_job() -> (Plan, Pixmap) {
    let size = Size::new(90, 60);
    let ops = [Op::fit(50), Op::Blur { sigma: 1.5 }];
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
fn jobs_larger_than_the_device_run_in_bands_to_the_same_bytes() {
    let lists: [&[Op]; 5] = [
        &[Op::fit(150), Op::Blur { sigma: 1.5 }],
        &[Op::Blur { sigma: 3.0 }, Op::Orient(Orientation::ROTATE_90)],
        &[Op::Blur { sigma: 9.0 }, Op::fit(170)],
        &[Op::Sharpen { sigma: 2.0, amount: 1.5 }, Op::Colour(Colour::Contrast(1.3))],
        &[
            Op::Crop(Rect { x: 7, y: 5, size: Size::new(180, 190) }),
            Op::Orient(Orientation::FLIP_VERTICAL),
            Op::fit(99),
        ],
    ];
    let size = Size::new(201, 203);
    let Some(whole) = own(&EngineOptions::default()) else { return };
    let rgb = hard_picture(201, 203, Layout::Rgb, 5);
    let planes = cpu::chroma::run(&rgb).unwrap();
    let grey = hard_picture(201, 203, Layout::LumaAlpha, 6);
    let sources: [Source<'_>; 3] = [(&rgb).into(), (&planes).into(), (&grey).into()];
    let jobs = || lists.iter().flat_map(|ops| sources.map(|source| (*ops, source)));
    let never = Stop::never();
    let all = |engines: &Engines| -> Vec<_> {
        let run = |(ops, source)| {
            let plan = Plan::new(ops, size, &PlanLimits::default()).unwrap().with_form(Form::Ycbcr420);
            exec::run_all(&plan, source, engines, &never).unwrap()
        };
        jobs().map(run).collect()
    };
    let want = all(&whole);
    let large =
        Caps { max_binding_bytes: 1 << 30, max_buffer_bytes: 1 << 30, max_groups: 65_535, max_job_bytes: 1 << 30 };
    let lower = [
        Caps { max_binding_bytes: 150_000, ..large },
        Caps { max_groups: 80, ..large },
        Caps { max_job_bytes: 700_000, ..large },
        Caps { max_buffer_bytes: 140_000, ..large },
    ];
    for ceiling in lower {
        let engines = own(&EngineOptions { caps_ceiling: Some(ceiling), ..EngineOptions::default() }).unwrap();
        let got = all(&engines);
        assert_eq!(engines.stats().too_large, 0, "{ceiling:?}: none on cpu");
        for ((got, want), (ops, source)) in got.iter().zip(&want).zip(jobs()) {
            assert!(
                got == want,
                "{ceiling:?}: {ops:?} on {:?}: the very bytes of the device without limits",
                source.layout()
            );
        }
        let (stats, (sent, _)) = (engines.stats(), engines.batches());
        assert_eq!((stats.too_large, stats.cpu), (0, 0), "{ceiling:?}");
        assert!(sent > stats.device, "{ceiling:?}: in bands: {sent} jobs sent for {} plans", stats.device);
    }
    let (stats, (sent, _)) = (whole.stats(), whole.batches());
    assert_eq!(sent, stats.device, "the control: none in bands");
}

#[test]
fn what_cannot_be_cut_small_enough_runs_on_cpu() {
    let (plan, image) = small_job();
    let want = cpu::run(&plan, &image).unwrap();
    let caps = Caps { max_binding_bytes: 100, max_buffer_bytes: 100, max_groups: 1, max_job_bytes: 1000 };
    let Some(engines) = own(&EngineOptions { caps_ceiling: Some(caps), ..EngineOptions::default() }) else { return };
    assert!(exec::run(&plan, &image, &engines).unwrap() == want, "the very bytes of the cpu engine");
    let stats = engines.stats();
    assert_eq!((stats.too_large, stats.cpu, stats.device), (1, 1, 0));
    assert!(engines.is_healthy());
}

#[test]
fn a_lost_device_a_stuck_job_and_a_panic_cost_nothing_but_time() {
    for drill in [Drill::Lose, Drill::Stall, Drill::Panic, Drill::Misuse, Drill::Exhaust] {
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
fn a_shader_that_takes_seconds_is_given_up_and_its_job_done_on_cpu() {
    // No drill: the device truly computes for longer than it may.
    let watchdog = Duration::from_millis(500);
    let Some(engines) = own(&EngineOptions { watchdog, ..EngineOptions::default() }) else { return };
    let (size, ops) = (Size::new(4000, 3000), [Op::Blur { sigma: 3.9 }]);
    let plan = Plan::new(&ops, size, &PlanLimits::default()).unwrap();
    let data = (0..size.pixels()).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let image = Pixmap::new(size.width, size.height, Layout::Luma, data).unwrap();
    let got = exec::run(&plan, &image, &engines).unwrap();
    let stats = engines.stats();
    assert_eq!((stats.recovered, stats.cpu, stats.device, stats.rebuilds), (1, 1, 0, 1));
    assert!(got == cpu::run(&plan, &image).unwrap(), "the very bytes of the cpu engine");
    eventually("the device's return", || engines.is_healthy());
    let (plan, image) = small_job();
    exec::run(&plan, &image, &engines).unwrap();
    assert_eq!(engines.stats().device, 1, "and works");
}

#[test]
fn a_full_queue_is_busy_not_a_fault() {
    let options = EngineOptions { queue_depth: 1, watchdog: Duration::from_millis(700), ..EngineOptions::default() };
    let Some(engines) = own(&options) else { return };
    let (plan, image) = small_job();
    let sent = engines.batches().0;
    engines.drill(Drill::Stall).unwrap();
    let busy = std::thread::scope(|scope| {
        let named = |name: String| std::thread::Builder::new().name(name);
        let first = || loop {
            // The drill itself is in the queue until it is taken out.
            match exec::run(&plan, &image, &engines) {
                Err(exec::ExecError::Busy { depth: 1 }) => std::thread::yield_now(),
                outcome => break outcome,
            }
        };
        let stuck = named("stuck".into()).spawn_scoped(scope, first).unwrap();
        while engines.batches().0 == sent {
            std::thread::yield_now();
        }
        let before = engines.stats().busy;
        let call = || exec::run(&plan, &image, &engines);
        let threads: Vec<_> = (0..5).map(|n| named(format!("caller-{n}")).spawn_scoped(scope, call).unwrap()).collect();
        let outcomes: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(stuck.join().unwrap().is_ok(), "on cpu");
        let busy = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        assert_eq!(u64::try_from(busy).unwrap(), engines.stats().busy - before);
        for outcome in outcomes {
            assert!(matches!(outcome, Ok(_) | Err(exec::ExecError::Busy { depth: 1 })));
        }
        busy
    });
    assert!(busy >= 1, "five at once into one place: {:?}", engines.stats());
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

/// `LOSSES=1450 cargo test --test image again_and_again -- --nocapture` loses more, and prints what memory the process holds meanwhile.
#[test]
fn losing_a_device_again_and_again_leaves_nothing_behind() {
    let losses: usize = std::env::var("LOSSES").map_or(10, |losses| losses.parse().unwrap());
    let Some(engines) = own(&EngineOptions::default()) else { return };
    let held_mib = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
    };
    let picture = test_picture(300, 200, Layout::Rgb);
    let plan = Plan::new(&[Op::fit(64)], Size::new(300, 200), &PlanLimits::default()).unwrap();
    let wanted = exec::run(&plan, &picture, &engines).unwrap();
    for loss in 1..=losses {
        engines.drill(Drill::Lose).unwrap();
        let mut is_back = false;
        for job in 0..5 {
            let made = exec::run(&plan, &picture, &engines).unwrap();
            assert!(made.data().iter().zip(wanted.data()).all(|(a, b)| a.abs_diff(*b) <= 2), "loss {loss}, job {job}");
            // The last ones are the device's again: after a good one the next pause is a short one.
            let lost = Instant::now();
            while !is_back && !engines.is_healthy() {
                assert!(lost.elapsed() < Duration::from_secs(60), "loss {loss}: it does not come back");
                std::thread::sleep(Duration::from_millis(5));
            }
            is_back = true;
        }
        if loss.is_multiple_of((losses / 20).max(1)) {
            eprintln!("{loss} losses: {:.0} MiB", held_mib());
        }
    }
    assert_eq!(engines.stats().rebuilds, losses as u64);
}
