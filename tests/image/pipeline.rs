//! Whole plans against the slow reference on every engine, and the properties of plans and kernels.

#![expect(clippy::unwrap_used, reason = "clippy takes only test functions for tests; this is what they call")]

use glimt::pixels::kernel::gaussian;
use glimt::pixels::kernel::resample::resample;
use glimt::pixels::{
    Anchor, Backend, Colour, EngineOptions, Engines, ExecError, Kernel, Layout, Op, Orientation, Pixmap, Plan,
    PlanLimits, Rect, ResizeFilter, Size, Target, cpu, exec,
};
use proptest::prelude::*;

use crate::compare::{
    Codes, DECIMATED, DECIMATED_ON_DEVICE, DIRECT, DIRECT_ON_DEVICE, SHARPENED_ON_DEVICE, assert_close, differ,
    hard_picture, shifted, swapped,
};
use crate::reference::reference;
use crate::twin::{LAYOUTS, device};

fn plan(ops: &[Op], size: Size) -> Plan {
    Plan::new(ops, size, &PlanLimits::default()).unwrap()
}

/// Off the middle both ways, once turned.
const ASPECT: Op = Op::CropAspect { aspect: Size::new(5, 3), at: Anchor { x: 9000, y: 50_000 } };
const CROP: Op = Op::Crop(Rect { x: 11, y: 5, size: Size::new(40, 37) });

/// One of each operation, in each of its forms.
fn every_operation() -> impl Iterator<Item = Op> {
    let frame = Size::new(60, 70);
    let resizes = ResizeFilter::ALL.into_iter().flat_map(move |filter| {
        [Target::Fit(frame), Target::Cover(frame, Anchor::CENTRE), Target::Fill(frame)]
            .map(|to| Op::Resize { to, filter })
    });
    let colours = [
        Colour::Grayscale,
        Colour::Brightness(0.6),
        Colour::Brightness(1.7),
        Colour::Contrast(0.5),
        Colour::Contrast(1.6),
        Colour::Saturation(0.3),
        Colour::Saturation(2.0),
    ];
    let sharpen = [(0.6, 1.0), (2.5, 0.7), (4.0, 2.0)].map(|(sigma, amount)| Op::Sharpen { sigma, amount });
    Orientation::ALL
        .map(Op::Orient)
        .into_iter()
        .chain([CROP])
        .chain(resizes)
        .chain(sharpen)
        .chain(colours.map(Op::Colour))
}

fn is_large(op: &Op) -> bool {
    matches!(op, Op::Blur { sigma } if f64::from(*sigma) >= gaussian::HALVED_MIN)
}

#[test]
fn every_engine_is_close_to_the_reference() {
    let mut cases: Vec<(Vec<Op>, u32, u32)> = every_operation().map(|op| (vec![op], 150, 101)).collect();
    let more: [(&[Op], u32, u32); 22] = [
        (&[Op::fit(64)], 200, 150),
        (&[Op::fit(256)], 300, 257),
        (&[Op::fit(10)], 333, 100),
        (&[Op::fit(99)], 100, 1),
        (&[Op::Blur { sigma: 0.3 }], 60, 60),
        (&[Op::Blur { sigma: 1.0 }], 120, 90),
        (&[Op::Blur { sigma: 2.85 }], 120, 90),
        (&[Op::Blur { sigma: 2.875 }], 121, 90),
        (&[Op::Blur { sigma: 3.0 }], 120, 91),
        (&[Op::Blur { sigma: 4.0 }], 120, 90),
        (&[Op::Blur { sigma: 5.75 }], 120, 90),
        (&[Op::Blur { sigma: 6.5 }], 150, 101),
        (&[Op::Blur { sigma: 20.0 }], 200, 120),
        (&[Op::Blur { sigma: 61.0 }], 90, 33),
        (&[Op::Blur { sigma: 3000.0 }], 19, 7),
        (&[Op::fit(80), Op::Blur { sigma: 3.0 }], 200, 120),
        (&[Op::Blur { sigma: 9.0 }, Op::fit(40)], 160, 90),
        (&[Op::Orient(Orientation::ROTATE_90), CROP, Op::fit(50), Op::Orient(Orientation::FLIP_HORIZONTAL)], 160, 190),
        (&[Op::fit(90), CROP, Op::Blur { sigma: 2.0 }, Op::Colour(Colour::Contrast(1.4))], 160, 190),
        (&[CROP, Op::Sharpen { sigma: 1.5, amount: 0.8 }, Op::Orient(Orientation::ROTATE_270)], 160, 190),
        (&[Op::Orient(Orientation::ROTATE_90), ASPECT, Op::fit(30)], 160, 190),
        (&[Op::Colour(Colour::Grayscale), Op::fit(70), Op::Colour(Colour::Brightness(1.2)), CROP], 160, 190),
    ];
    cases.extend(more.map(|(ops, width, height)| (ops.to_vec(), width, height)));
    let processor = Engines::start(Backend::Cpu, &EngineOptions::default()).unwrap();
    let engines = [Some(&processor), device(Backend::Software), device(Backend::Gpu)];
    let mut worst = [(0.0_f64, f64::INFINITY); 3];
    for (ops, width, height) in cases {
        for layout in LAYOUTS {
            let image = hard_picture(width, height, layout, width * 7 + height);
            let want = reference(&ops, &image);
            for (engines, worst) in engines.iter().zip(&mut worst) {
                let Some(engines) = engines else { continue };
                let sharpens = ops.iter().any(|op| matches!(op, Op::Sharpen { .. }));
                let tolerance = match (ops.iter().any(is_large), engines.chosen()) {
                    (false, Backend::Cpu) => DIRECT,
                    (true, Backend::Cpu) => DECIMATED,
                    (_, Backend::Auto | Backend::Gpu | Backend::Software) if sharpens => SHARPENED_ON_DEVICE,
                    (false, Backend::Auto | Backend::Gpu | Backend::Software) => DIRECT_ON_DEVICE,
                    (true, Backend::Auto | Backend::Gpu | Backend::Software) => DECIMATED_ON_DEVICE,
                };
                let got = exec::run(&plan(&ops, Size::new(width, height)), &image, engines).unwrap();
                let what = format!("{} {ops:?} {width}x{height} {layout:?}", engines.describe());
                let seen = assert_close(&Codes::from(&got), &want, tolerance, &what);
                println!("{what}: {:.1} dB, at most {:.2}", seen.psnr, seen.max);
                *worst = (worst.0.max(seen.max), worst.1.min(seen.psnr));
            }
        }
    }
    for engines in engines.iter().flatten().filter(|engines| engines.chosen() != Backend::Cpu) {
        let stats = engines.stats();
        // Cropping and turning alone is no device's work.
        assert!(stats.device > stats.cpu && stats.too_large + stats.recovered == 0, "the device did them: {stats:?}");
    }
    println!("worst (largest, dB) of cpu, software, gpu: {worst:.2?}");
}

#[test]
fn the_reference_comparison_sees_a_wrong_picture() {
    let ops = [Op::fit(50)];
    let image = hard_picture(120, 80, Layout::Rgb, 2);
    let right = cpu::run(&plan(&ops, Size::new(120, 80)), &image).unwrap();
    let want = reference(&ops, &image);
    assert!(differ(&Codes::from(&right), &want).within(DIRECT));
    for wrong in [shifted(&right), swapped(&right)] {
        assert!(!differ(&Codes::from(&wrong), &want).within(DECIMATED_ON_DEVICE));
    }
    let softer = cpu::run(&plan(&[Op::fit(50), Op::Blur { sigma: 0.4 }], Size::new(120, 80)), &image).unwrap();
    assert!(!differ(&Codes::from(&softer), &want).within(DECIMATED_ON_DEVICE), "a filter that is a little wrong");
    let wide = cpu::run(&plan(&[Op::Blur { sigma: 8.2 }], Size::new(120, 80)), &image).unwrap();
    let blurred = reference(&[Op::Blur { sigma: 8.0 }], &image);
    assert!(!differ(&Codes::from(&wide), &blurred).within(DECIMATED_ON_DEVICE), "a sigma that is a little wrong");
}

/// A white edge in black: the hardest case for what is cut off, and for the picture's edges.
#[test]
fn hard_edges_at_the_border_stay_within_the_decimated_tolerance() {
    for sigma in [2.875, 3.0, 5.75, 8.0, 12.0, 40.0] {
        for lit in [1, 7, 149] {
            let data = (0..150 * 20).map(|at| if at % 150 < lit { 255 } else { 0 }).collect();
            let image = Pixmap::new(150, 20, Layout::Luma, data).unwrap();
            let ops = [Op::Blur { sigma }];
            let got = cpu::run(&plan(&ops, Size::new(150, 20)), &image).unwrap();
            let what = format!("sigma {sigma}, {lit} columns lit");
            let seen = assert_close(&Codes::from(&got), &reference(&ops, &image), DECIMATED, &what);
            println!("{what}: {seen:?}");
        }
    }
}

#[test]
fn a_picture_of_another_size_is_refused() {
    let engines = Engines::start(Backend::Cpu, &EngineOptions::default()).unwrap();
    let image = hard_picture(10, 9, Layout::Luma, 1);
    let outcome = exec::run(&plan(&[], Size::new(9, 10)), &image, &engines);
    assert_eq!(outcome, Err(ExecError::Mismatch { want: Size::new(9, 10), got: Size::new(10, 9) }));
}

#[test]
fn memory_and_work_do_not_grow_with_sigma() {
    let size = Size::new(4000, 3000);
    let at = |sigma| plan(&[Op::Blur { sigma }], size);
    let small = at(5.0);
    for sigma in [50.0, 500.0, 10_000.0] {
        assert!(at(sigma).cost().multiply_adds <= small.cost().multiply_adds);
        assert!(
            at(sigma).peak_bytes() <= small.peak_bytes() * 11 / 10,
            "{} {}",
            at(sigma).peak_bytes(),
            small.peak_bytes()
        );
    }
    let thumbnail = plan(&[Op::fit(256)], size);
    assert!(thumbnail.peak_bytes() < 48_000_000 + 3_000_000, "the source and a few rows: {}", thumbnail.peak_bytes());
}

fn sums(kernel: &Kernel) -> impl Iterator<Item = f64> {
    kernel.rows().iter().map(|&row| kernel.row_weights(row).iter().map(|&weight| f64::from(weight)).sum())
}

fn quick() -> ProptestConfig {
    ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(quick())]

    #[test]
    fn kernels_stay_inside_their_line_and_sum_to_one(len in 1_u32..600, target in 1_u32..600, sigma in 0.01_f64..10_000.0) {
        let kernels = gaussian::blur(len, sigma).into_iter().chain(ResizeFilter::ALL.into_iter().filter_map(|filter| resample(filter, len, target.min(len))));
        for kernel in kernels {
            for sum in sums(&kernel) {
                prop_assert!((sum - 1.0).abs() < 1e-7, "{sum}");
            }
            let mut before = 0;
            for row in kernel.rows() {
                prop_assert!(row.first >= before && row.first + kernel.taps() <= kernel.source_len());
                before = row.first;
            }
        }
    }

    #[test]
    fn a_blur_mirrors_with_its_picture(width in 1_u32..200, height in 1_u32..6, sigma in 0.2_f32..60.0) {
        // The decimated grid starts at the left edge: that it shows must stay below the tolerance.
        let image = hard_picture(width, height, Layout::Luma, width);
        let flip = |image: &Pixmap| {
            let data = image.rows().flat_map(|row| row.iter().rev().copied().collect::<Vec<_>>()).collect();
            Pixmap::new(image.width(), image.height(), image.layout(), data).unwrap()
        };
        let plan = plan(&[Op::Blur { sigma }], Size::new(width, height));
        let there = flip(&cpu::run(&plan, &image).unwrap());
        let back = cpu::run(&plan, &flip(&image)).unwrap();
        prop_assert!(differ(&Codes::from(&there), &Codes::from(&back)).max <= DECIMATED.max);
    }

    #[test]
    fn plans_that_change_nothing_return_equal_pixels(width in 1_u32..50, height in 1_u32..50, layout in 0_usize..4) {
        let engines = Engines::start(Backend::Cpu, &EngineOptions::default()).unwrap();
        let image = hard_picture(width, height, LAYOUTS[layout], 1);
        let plan = plan(&[Op::fit(50), Op::Blur { sigma: 0.0 }], Size::new(width, height));
        prop_assert!(plan.is_identity());
        prop_assert!(exec::run(&plan, &image, &engines).unwrap() == image);
    }

    #[test]
    fn fitted_pictures_are_flat_where_they_were_flat(width in 1_u32..300, height in 1_u32..300, side in 1_u32..120, code: u8) {
        let plan = plan(&[Op::fit(side)], Size::new(width, height));
        let image = Pixmap::new(width, height, Layout::Luma, vec![code; (width * height) as usize]).unwrap();
        let got = cpu::run(&plan, &image).unwrap();
        prop_assert_eq!((got.width(), got.height()), (plan.output().width, plan.output().height));
        prop_assert!(got.width() <= side.max(1) && got.height() <= side.max(1));
        prop_assert!(got.data().iter().all(|&its| its == code));
    }
}
