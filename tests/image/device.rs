//! What a device job moves and keeps: planes up and down, one upload for many results, memory that is used again.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "clippy takes only test functions for tests; this is what they call"
)]

use std::time::{Duration, Instant};

use glimt::pixels::gpu::{Drill, Program, Upload};
use glimt::pixels::pixmap::{Sampling, Siting, Ycbcr};
use glimt::pixels::{
    Anchor, Backend, Colour, EngineOptions, Engines, ExecError, Form, Layout, Op, Orientation, Picture, Pixmap, Plan,
    PlanLimits, Rect, ResizeFilter, Size, Source, Stop, Stopped, Target, cpu, exec,
};

use crate::compare::{Codes, DEVICE_AGAINST_CPU, SHARPENED_ON_DEVICE, assert_close, differ, hard_picture};
use crate::twin::{LAYOUTS, device};

fn plan(ops: &[Op], size: Size) -> Plan {
    Plan::new(ops, size, &PlanLimits::default()).unwrap()
}

/// Every engine there is.
fn engines() -> Vec<&'static Engines> {
    static CPU: std::sync::OnceLock<Engines> = std::sync::OnceLock::new();
    let cpu = CPU.get_or_init(|| Engines::start(Backend::Cpu, &EngineOptions::default()).unwrap());
    [device(Backend::Software), device(Backend::Gpu)].into_iter().flatten().chain([cpu]).collect()
}

/// Smooth planes with every chroma there is, of any sampling.
fn planes(width: u32, height: u32, sampling: Sampling) -> Ycbcr {
    let (chroma_width, chroma_height) = sampling.chroma_size(width, height);
    let plane = |w: u32, h: u32, a: u32, b: u32| {
        (0..h).flat_map(|y| (0..w).map(move |x| u8::try_from((x * a + y * b + x * y / 9) % 256).unwrap())).collect()
    };
    let chroma = [plane(chroma_width, chroma_height, 11, 3), plane(chroma_width, chroma_height, 2, 13)];
    Ycbcr::new(width, height, sampling, plane(width, height, 5, 7), chroma).unwrap()
}

#[test]
fn planes_give_what_their_rgb_gives() {
    let samplings = [(false, false), (true, false), (false, true), (true, true)].into_iter().flat_map(|(w, h)| {
        [Siting::Centre, Siting::Left].map(|siting| Sampling { half_width: w, half_height: h, siting })
    });
    let lists: [&[Op]; 3] = [
        &[Op::fit(40)],
        &[Op::Crop(Rect { x: 13, y: 21, size: Size::new(50, 31) }), Op::Blur { sigma: 1.0 }],
        &[Op::Orient(Orientation::ROTATE_90), Op::Blur { sigma: 5.0 }],
    ];
    for sampling in samplings {
        let image = planes(97, 75, sampling);
        let rgb = image.to_rgb().unwrap();
        for ops in lists {
            let plan = plan(ops, Size::new(97, 75));
            for engines in engines() {
                let (got, want) =
                    (exec::run(&plan, &image, engines).unwrap(), exec::run(&plan, &rgb, engines).unwrap());
                assert!(got == want, "{ops:?} {sampling:?} {}", engines.describe());
            }
        }
    }
    let other = planes(97, 75, Sampling { siting: Siting::Left, ..Sampling::JPEG_420 }).to_rgb().unwrap();
    assert!(planes(97, 75, Sampling::JPEG_420).to_rgb().unwrap() != other, "the control: siting shows");
}

#[test]
fn a_result_in_planes_is_the_result_in_pixels_converted() {
    for (width, height) in [(97, 75), (64, 2), (1, 1), (2, 301)] {
        let image = hard_picture(width, height, Layout::Rgb, 4);
        let plan = plan(&[Op::Blur { sigma: 1.0 }], Size::new(width, height));
        for engines in engines() {
            let pixels = exec::run(&plan, &image, engines).unwrap();
            let made = exec::run_all(&plan.clone().with_form(Form::Ycbcr420), (&image).into(), engines, &Stop::never());
            let want = cpu::chroma::run(&pixels).unwrap();
            assert!(made.unwrap() == [Picture::Planar(want)], "{width}x{height} {}", engines.describe());
        }
    }
    // Alpha and grey stay what they are.
    for layout in [Layout::Rgba, Layout::Luma, Layout::LumaAlpha] {
        let image = hard_picture(20, 20, layout, 4);
        let plan = plan(&[Op::fit(9)], Size::new(20, 20)).with_form(Form::Ycbcr420);
        for engines in engines() {
            let made = exec::run_all(&plan, (&image).into(), engines, &Stop::never()).unwrap();
            assert!(matches!(&made[..], [Picture::Packed(pixels)] if pixels.layout() == layout));
        }
    }
}

#[test]
fn one_upload_gives_many_results_each_as_if_alone() {
    let lists: [&[Op]; 6] = [
        &[Op::fit(64)],
        &[Op::Crop(Rect { x: 30, y: 20, size: Size::new(31, 17) })],
        &[Op::fit(20), Op::Blur { sigma: 2.0 }],
        &[Op::Orient(Orientation::ROTATE_270), Op::Colour(Colour::Saturation(0.2))],
        &[Op::Resize { to: Target::Cover(Size::new(32, 32), Anchor::CENTRE), filter: ResizeFilter::Mitchell }],
        &[],
    ];
    let size = Size::new(160, 110);
    let many = Plan::many(&lists, size, &PlanLimits::default()).unwrap();
    for layout in LAYOUTS {
        let image = hard_picture(size.width, size.height, layout, 8);
        let source = Source::from(&image);
        for engines in engines() {
            let sent = engines.batches().0;
            let made = exec::run_all(&many, source, engines, &Stop::never()).unwrap();
            if engines.chosen() != Backend::Cpu && engines.chosen() != Backend::Software {
                assert_eq!(engines.batches().0, sent + 1);
            }
            assert_eq!(made.len(), lists.len());
            for (made, ops) in made.into_iter().zip(lists) {
                let alone = exec::run(&plan(ops, size), &image, engines).unwrap();
                assert!(made == Picture::Packed(alone), "{ops:?} {layout:?} {}", engines.describe());
            }
        }
        // Three that read all of it: together they send its pixels once, and each its own kernels.
        let three = [lists[0], lists[2], lists[3]];
        let up = |plan: &Plan| Program::new(plan, Upload::of(source, plan.region())).footprint().up_bytes;
        let apart: u64 = three.iter().map(|ops| up(&plan(ops, size))).sum();
        let together = up(&Plan::many(&three, size, &PlanLimits::default()).unwrap());
        let pixels = size.pixels() * if layout == Layout::LumaAlpha { 4 } else { layout.channels() as u64 };
        assert!(apart - together >= 2 * pixels - 1024, "{apart} {together}, {pixels} of pixels");
    }
}

#[test]
fn a_crop_moves_only_what_it_reads() {
    let image = hard_picture(400, 300, Layout::Rgba, 1);
    let part = Rect { x: 100, y: 50, size: Size::new(60, 40) };
    let footprint = |ops: &[Op]| {
        let plan = plan(ops, Size::new(400, 300));
        Program::new(&plan, Upload::of((&image).into(), plan.region())).footprint()
    };
    let (all, cropped) = (footprint(&[Op::fit(30)]), footprint(&[Op::Crop(part), Op::fit(30)]));
    assert!(all.up_bytes > 400 * 300 * 4 && cropped.up_bytes < 60 * 40 * 4 + 16_000, "{all:?} {cropped:?}");
    // A crop at the end reads what its pixels are made of: 11 more on each side for a blur of 2.8.
    let late = plan(&[Op::Blur { sigma: 2.8 }, Op::Crop(part)], Size::new(400, 300));
    assert_eq!(late.region(), Rect { x: 89, y: 39, size: Size::new(82, 62) });
    let (blurred, cut) = (plan(&[Op::Blur { sigma: 2.8 }], Size::new(400, 300)), cpu::run(&late, &image).unwrap());
    let whole = cpu::run(&blurred, &image).unwrap();
    for (row, y) in cut.rows().zip(50..) {
        let from = (y * 400 + 100) * 4;
        assert_eq!(row, &whole.data()[from..from + 240]);
    }
    // Planes go up at one and a half bytes a pixel.
    let (jpeg, all) = (planes(400, 300, Sampling::JPEG_420), plan(&[Op::fit(30)], Size::new(400, 300)));
    assert_eq!(Upload::of((&jpeg).into(), all.region()).bytes, 180_000);
}

/// Own engines, so that nobody else's jobs count.
fn own(options: &EngineOptions) -> Option<Engines> {
    device(Backend::Software)?;
    Some(Engines::start(Backend::Software, options).unwrap())
}

#[test]
fn a_warm_device_makes_no_buffers_and_stays_under_its_budget() {
    let budget = 6 << 20;
    let Some(engines) = own(&EngineOptions { max_device_bytes: budget, ..EngineOptions::default() }) else { return };
    let jobs: Vec<(Plan, Pixmap)> = [(300, 200, 64), (200, 300, 50), (120, 90, 33)]
        .into_iter()
        .map(|(w, h, side)| (plan(&[Op::fit(side)], Size::new(w, h)), hard_picture(w, h, Layout::Rgb, w)))
        .collect();
    let round = || {
        for (plan, image) in &jobs {
            let got = exec::run(plan, image, &engines).unwrap();
            assert_close(&Codes::from(&got), &Codes::from(&cpu::run(plan, image).unwrap()), DEVICE_AGAINST_CPU, "warm");
        }
    };
    round();
    round();
    let warm = engines.vram();
    let (computed, started) = (engines.computed(), Instant::now());
    for _ in 0..20 {
        round();
    }
    let (computed, took) = (engines.computed() - computed, started.elapsed());
    // By the adapter's own clock, which lavapipe has.
    assert!(computed > Duration::ZERO && computed < took, "{computed:?} of {took:?}");
    let vram = engines.vram();
    assert_eq!(vram.created, warm.created, "no allocation once warm");
    assert_eq!((vram.reserved_bytes, vram.lent_bytes), (0, 0), "all is given back");
    assert!(vram.idle_bytes > 0 && vram.idle_bytes <= budget, "{vram:?}");
    // Jobs of ever new sizes never take more than the budget, from several threads that must wait for each other.
    std::thread::scope(|scope| {
        for thread in 0..3_u32 {
            let engines = &engines;
            let body = move || {
                for at in 0..25 {
                    let (w, h) = (400 + at * 37 + thread * 5, 300 + at * 13);
                    let image = hard_picture(w, h, Layout::Rgba, at);
                    exec::run(&plan(&[Op::fit(100)], Size::new(w, h)), &image, engines).unwrap();
                    let vram = engines.vram();
                    assert!(vram.lent_bytes + vram.idle_bytes <= budget && vram.reserved_bytes <= budget, "{vram:?}");
                }
            };
            std::thread::Builder::new().name(format!("caller-{thread}")).spawn_scoped(scope, body).unwrap();
        }
    });
    assert_eq!(engines.stats().device, 66 + 75, "the device did them all, in bands where they were too large");
}

#[test]
fn a_job_that_is_dropped_while_it_waits_never_runs() {
    let Some(engines) = own(&EngineOptions { watchdog: Duration::from_millis(300), ..EngineOptions::default() }) else {
        return;
    };
    let (plan, image) = (plan(&[Op::fit(40)], Size::new(90, 60)), hard_picture(90, 60, Layout::Rgb, 5));
    let before = engines.batches().0;
    // The first job is in the device for longer than the others wait.
    engines.drill(Drill::Stall).unwrap();
    std::thread::scope(|scope| {
        let first = || exec::run(&plan, &image, &engines);
        let stalled = std::thread::Builder::new().name("stalled".into()).spawn_scoped(scope, first).unwrap();
        while engines.batches().0 == before {
            std::thread::yield_now();
        }
        let stop = Stop::never();
        let waiting = {
            let (stop, plan, image, engines) = (stop.clone(), &plan, &image, &engines);
            let run = move || exec::run_all(plan, image.into(), engines, &stop);
            std::thread::Builder::new().name("dropped".into()).spawn_scoped(scope, run).unwrap()
        };
        stop.stop();
        assert_eq!(waiting.join().unwrap(), Err(ExecError::Stopped(Stopped::Dropped)));
        assert!(stalled.join().unwrap().is_ok(), "on cpu");
    });
    assert_eq!(engines.batches().0, before + 1, "it was never sent");
}

#[test]
fn a_stopped_job_ends_on_cpu_too() {
    let cpu = Engines::start(Backend::Cpu, &EngineOptions::default()).unwrap();
    let (plan, image) = (plan(&[Op::fit(40)], Size::new(90, 60)), hard_picture(90, 60, Layout::Rgb, 5));
    let stop = Stop::at(Instant::now());
    let outcome = exec::run_all(&plan, (&image).into(), &cpu, &stop);
    assert_eq!(outcome, Err(ExecError::Stopped(Stopped::Overdue)));
}

/// Resident memory and open files of this process; `None` where the system does not say.
fn resident() -> Option<(u64, usize)> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some((pages * 4096, std::fs::read_dir("/proc/self/fd").ok()?.count()))
}

/// 10,000 jobs with `JOBS=10000`; a tenth of that in every run. In a process of its own, so that what is seen to grow is theirs.
#[test]
fn jobs_of_random_size_and_plan_leave_nothing_behind() {
    const ALONE: &str = "GLIMT_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return run_random_jobs();
    }
    // Says `skipped` where there is no adapter.
    device(Backend::Software);
    let name = "device::jobs_of_random_size_and_plan_leave_nothing_behind";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.lines().filter(|line| line.contains(" jobs, ")).for_each(|line| println!("{line}"));
}

fn run_random_jobs() {
    let jobs: u32 = std::env::var("JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(1000);
    let options = EngineOptions { max_device_bytes: 64 << 20, ..EngineOptions::default() };
    let mut all = vec![Engines::start(Backend::Cpu, &options).unwrap()];
    all.extend(own(&options));
    for engines in &all {
        let mut warm = None;
        let mut state = 7_u32;
        let mut random = move |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        for at in 0..jobs {
            let (w, h) = (1 + random(300), 1 + random(200));
            let layout = LAYOUTS[random(4) as usize];
            let image = hard_picture(w, h, layout, at);
            let mut sharpened = false;
            let ops: Vec<Op> = (0..=random(3))
                .map(|_| match random(7) {
                    0 => Op::Blur { sigma: f32::from(u8::try_from(random(250)).unwrap()) / 8.0 },
                    1 => Op::Orient(Orientation::ALL[random(8) as usize]),
                    2 => Op::Resize {
                        to: Target::Cover(Size::new(1 + random(100), 1 + random(100)), Anchor::CENTRE),
                        filter: ResizeFilter::ALL[random(5) as usize],
                    },
                    3 => {
                        sharpened = true;
                        Op::Sharpen { sigma: 1.0, amount: 0.5 }
                    }
                    4 => Op::Colour(Colour::Saturation(0.5)),
                    5 => Op::Crop(Rect { x: 0, y: 0, size: Size::new(1, 1) }),
                    _ => Op::fit(1 + random(200)),
                })
                .collect();
            let size = Size::new(w, h);
            let plan = Plan::new(&ops, size, &PlanLimits::default()).unwrap();
            let got = exec::run(&plan, &image, engines).unwrap();
            let chain = &plan.chains()[0];
            assert_eq!(Size::new(got.width(), got.height()), chain.output);
            if at % 10 == 0 {
                let want = cpu::run(&plan, &image).unwrap();
                let seen = differ(&Codes::from(&got), &Codes::from(&want));
                // Saturating after sharpening clamps at other places: only a coarse look there.
                let max = if sharpened { 4.0 } else { 1.01 };
                assert!(seen.max <= max || seen.within(SHARPENED_ON_DEVICE), "{ops:?} {size} {layout:?}: {seen:?}");
            }
            if at == jobs / 2 {
                warm = resident();
            }
        }
        let vram = engines.vram();
        assert_eq!((vram.reserved_bytes, vram.lent_bytes), (0, 0));
        if let (Some((before, files_before)), Some((after, files))) = (warm, resident()) {
            println!("{}: {jobs} jobs, {before} bytes half way, {after} at the end, {files} files", engines.describe());
            // A kilobyte a job would show.
            assert!(after < before + (4 << 20) + u64::from(jobs) * 512, "{before} {after}");
            assert_eq!(files, files_before);
        }
    }
}
