//! The shaders against their twins, on the software adapter (and on a hardware one where there is one).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "clippy takes only test functions for tests; this is what they call"
)]

use std::sync::OnceLock;

use glimt::pixels::kernel::Band;
use glimt::pixels::kernel::resample::{ResizeFilter, resample};
use glimt::pixels::plan::Step;
use glimt::pixels::{Backend, EngineOptions, Engines, Kernel, Layout, Op, Pixmap, Plan, PlanLimits, Size, cpu, exec};

use crate::compare::{Codes, DEVICE_AGAINST_CPU, Seen, assert_close, differ, hard_picture, shifted, swapped};

pub(crate) const LAYOUTS: [Layout; 4] = [Layout::Luma, Layout::LumaAlpha, Layout::Rgb, Layout::Rgba];

/// The engine of a device, started once; `None`, said aloud, where there is no adapter and none is required.
pub(crate) fn device(backend: Backend) -> Option<&'static Engines> {
    static SOFTWARE: OnceLock<Option<Engines>> = OnceLock::new();
    static HARDWARE: OnceLock<Option<Engines>> = OnceLock::new();
    let (cell, required) = match backend {
        Backend::Gpu => (&HARDWARE, false),
        Backend::Auto | Backend::Software | Backend::Cpu => (&SOFTWARE, required()),
    };
    let engines = cell.get_or_init(|| match Engines::start(backend, &EngineOptions::default()) {
        Ok(engines) => Some(engines),
        Err(error) if required => panic!("REQUIRE_GPU=1, and {error}"),
        Err(error) => {
            println!("skipped: no adapter: {error}");
            None
        }
    });
    engines.as_ref()
}

pub(crate) fn required() -> bool {
    std::env::var("REQUIRE_GPU").is_ok_and(|value| value == "1")
}

fn devices() -> impl Iterator<Item = &'static Engines> {
    [Backend::Software, Backend::Gpu].into_iter().filter_map(device)
}

/// Runs a plan on a device, proves that the device did it, and compares with the cpu engine.
fn assert_twin(engines: &Engines, plan: &Plan, image: &Pixmap, what: &str) -> Seen {
    let got = exec::run(plan, image, engines).unwrap();
    let want = cpu::run(plan, image).unwrap();
    assert_close(&Codes::from(&got), &Codes::from(&want), DEVICE_AGAINST_CPU, what)
}

fn lanczos(source: u32, target: u32) -> Option<Kernel> {
    resample(ResizeFilter::Lanczos3, source, target)
}

fn plan(ops: &[Op], size: Size) -> Plan {
    Plan::new(ops, size, &PlanLimits::default()).unwrap()
}

fn of_steps(steps: Vec<Step>) -> Plan {
    Plan::from_steps(steps[0].source(), steps, &PlanLimits::default()).unwrap()
}

/// A kernel with different weights in every row, some negative, as wide as `taps`.
fn odd_kernel(source: u32, target: u32, taps: u32) -> Kernel {
    let taps = taps.min(source);
    let bands: Vec<Band> = (0..target)
        .map(|at| {
            let first = u32::try_from(u64::from(at) * u64::from(source - taps) / u64::from(target.max(2) - 1)).unwrap();
            let weights =
                (0..taps).map(|tap| 1.0 + f64::from((at * 7 + tap * 3) % 5) - 0.9 * f64::from(tap % 2)).collect();
            Band { first: first.min(source - taps), weights }
        })
        .collect();
    Kernel::from_bands(source, &bands).unwrap()
}

#[test]
fn each_stage_alone_equals_its_twin() {
    for engines in devices() {
        let (w, h) = (301, 77);
        let still = || (Kernel::identity(w), Kernel::identity(h));
        let across = |taps, target| Step::filter(odd_kernel(w, target, taps), Kernel::identity(h));
        let down = |taps, target| Step::filter(Kernel::identity(w), odd_kernel(h, target, taps));
        let nothing = || Step::filter(still().0, still().1);
        let cases = [
            ("horizontal.first", vec![across(9, 131)]),
            ("horizontal.first, one tap", vec![across(1, 301)]),
            ("horizontal.middle", vec![nothing(), across(8, 257)]),
            ("vertical.last", vec![down(9, 31)]),
            ("vertical.middle", vec![down(7, 77), nothing()]),
            ("enlarging", vec![Step::filter(odd_kernel(w, 700, 4), odd_kernel(h, 200, 3))]),
        ];
        for layout in LAYOUTS {
            let image = hard_picture(w, h, layout, 3);
            for (what, steps) in &cases {
                assert_twin(engines, &of_steps(steps.clone()), &image, &format!("{what} {layout:?}"));
            }
        }
    }
}

#[test]
fn whole_plans_equal_their_twins_at_odd_sizes() {
    let ops: [&[Op]; 6] = [
        &[Op::fit(100)],
        &[Op::Blur { sigma: 0.8 }],
        &[Op::Blur { sigma: 3.0 }],
        &[Op::Blur { sigma: 25.0 }],
        &[Op::fit(90), Op::Blur { sigma: 2.0 }],
        &[Op::Blur { sigma: 6.0 }, Op::fit(33)],
    ];
    let sizes =
        [(1, 1), (1, 40), (40, 1), (2, 3), (255, 63), (256, 64), (257, 65), (64, 257), (1100, 9), (5, 1300), (4097, 3)];
    for engines in devices() {
        let before = engines.stats().device;
        let mut jobs = 0;
        for (width, height) in sizes {
            for layout in LAYOUTS {
                let image = hard_picture(width, height, layout, width + height);
                for ops in ops {
                    let plan = plan(ops, Size::new(width, height));
                    assert_twin(engines, &plan, &image, &format!("{ops:?} on {width}x{height} {layout:?}"));
                    jobs += u64::from(!plan.is_identity());
                }
            }
        }
        assert!(engines.stats().device - before >= jobs, "the device did them: {:?}", engines.stats());
    }
}

#[test]
fn a_nudged_weight_a_shifted_pixel_and_swapped_channels_are_seen() {
    let (w, h) = (120, 90);
    let image = hard_picture(w, h, Layout::Rgba, 9);
    let right = Step::filter(lanczos(w, 60).unwrap(), lanczos(h, 45).unwrap());
    let want = cpu::run(&of_steps(vec![right]), &image).unwrap();
    let bands: Vec<Band> = (0..60_u32)
        .map(|at| {
            let kernel = lanczos(w, 60).unwrap();
            let row = kernel.rows()[at as usize];
            let mut weights: Vec<f64> =
                kernel.row_weights(row)[..kernel.taps() as usize].iter().map(|&weight| f64::from(weight)).collect();
            weights[4] += 0.02;
            Band { first: row.first, weights }
        })
        .collect();
    let nudged = Step::filter(Kernel::from_bands(w, &bands).unwrap(), lanczos(h, 45).unwrap());
    let nudged = cpu::run(&of_steps(vec![nudged]), &image).unwrap();
    for (what, wrong) in [("weight", nudged), ("pixel", shifted(&want)), ("channels", swapped(&want))] {
        let seen = differ(&Codes::from(&wrong), &Codes::from(&want));
        assert!(!seen.within(DEVICE_AGAINST_CPU), "{what}: {seen:?}");
    }
}

#[test]
fn a_constant_picture_stays_constant_on_every_engine() {
    let cpu = Engines::start(Backend::Cpu, &EngineOptions::default()).unwrap();
    let devices: Vec<&Engines> = devices().collect();
    for engines in devices.into_iter().chain([&cpu]) {
        for layout in LAYOUTS {
            for code in [0, 1, 2, 11, 128, 254, 255] {
                let mut pixel = vec![code; layout.channels()];
                if layout.has_alpha() {
                    *pixel.last_mut().unwrap() = 200;
                }
                let image = Pixmap::new(97, 41, layout, pixel.repeat(97 * 41)).unwrap();
                for ops in [&[Op::fit(30)][..], &[Op::Blur { sigma: 2.0 }], &[Op::Blur { sigma: 50.0 }]] {
                    let plan = plan(ops, Size::new(97, 41));
                    let got = exec::run(&plan, &image, engines).unwrap();
                    assert!(
                        got.data().chunks_exact(pixel.len()).all(|its| its == pixel),
                        "{ops:?} {pixel:?} {}",
                        engines.describe()
                    );
                }
            }
        }
    }
}

#[test]
fn two_hundred_random_jobs_from_four_threads_all_come_back_right() {
    let Some(engines) = device(Backend::Software) else { return };
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let body = move || {
                let mut state = thread + 1;
                let mut random = move |below: u32| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 8) % below
                };
                for job in 0..50 {
                    let size = Size::new(1 + random(400), 1 + random(120));
                    let layout = LAYOUTS[random(4) as usize];
                    let image = hard_picture(size.width, size.height, layout, thread * 100 + job);
                    let ops: Vec<Op> = (0..=random(2))
                        .map(|_| match random(2) {
                            0 => Op::fit(1 + random(200)),
                            _ => Op::Blur { sigma: f32::from(u8::try_from(random(250)).unwrap()) / 8.0 },
                        })
                        .collect();
                    let what = format!("{ops:?} {size} {layout:?}");
                    assert_twin(engines, &plan(&ops, size), &image, &what);
                }
            };
            std::thread::Builder::new().name(format!("caller-{thread}")).spawn_scoped(scope, body).unwrap();
        }
    });
    assert_eq!(engines.stats().busy, 0);
}
