//! What a plan refuses, and that what it takes cannot fail for a reason that was to be known.

#![expect(clippy::unwrap_used, reason = "clippy takes only test functions for tests; this is what they call")]

use glimt::pixels::plan::MAX_OUTPUTS;
use glimt::pixels::{
    Anchor, Backend, Colour, EngineOptions, Engines, Form, Kernel, Layout, Op, Orientation, Pixmap, PixmapError, Plan,
    PlanError, PlanLimits, Rect, ResizeFilter, Size, Stop, Target, exec,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::compare::hard_picture;
use crate::twin::{LAYOUTS, device};

#[test]
fn plans_refuse_before_a_pixel_is_touched_and_say_why() {
    let limits = PlanLimits { max_side_px: 5000, max_sigma: 100.0, max_multiply_adds: 1_000_000, max_bytes: 100_000 };
    let refused = |ops: &[Op], width, height| Plan::new(ops, Size::new(width, height), &limits).unwrap_err();
    assert_eq!(refused(&[], 0, 5), PlanError::EmptySource { width: 0, height: 5 });
    assert_eq!(refused(&[], 5001, 1), PlanError::SideTooLong { got: 5001, max: 5000 });
    assert_eq!(refused(&[Op::fit(0)], 5, 5), PlanError::ZeroSide { got: 0 });
    assert_eq!(refused(&[Op::Blur { sigma: 101.0 }], 5, 5), PlanError::SigmaTooLarge { got: 101.0, max: 100.0 });
    assert_eq!(refused(&[Op::Blur { sigma: -1.0 }], 5, 5), PlanError::BadSigma { got: -1.0 });
    assert!(matches!(refused(&[Op::Blur { sigma: f32::NAN }], 5, 5), PlanError::BadSigma { .. }));
    assert!(matches!(refused(&[Op::Blur { sigma: f32::INFINITY }], 5, 5), PlanError::BadSigma { .. }));
    assert!(matches!(refused(&[Op::Blur { sigma: 2.8 }], 150, 150), PlanError::TooMuchWork { max: 1_000_000, .. }));
    assert_eq!(refused(&[], 200, 200), PlanError::TooMuchMemory { got: 160_000, max: 100_000 });
    let said = refused(&[], 200, 200).to_string();
    assert_eq!(said, "160000 bytes of pixels are over the limit of 100000");
    let step = glimt::pixels::plan::Step::filter(Kernel::identity(5), Kernel::identity(4));
    let misfit = Plan::from_steps(Size::new(5, 5), vec![step], &limits).unwrap_err();
    assert_eq!(misfit, PlanError::Misfit { step: 0, width: 5, height: 5 });
}

#[test]
fn results_are_one_at_least_and_not_too_many() {
    let size = Size::new(5, 5);
    let of = |count: usize| Plan::many(&vec![&[][..]; count], size, &PlanLimits::default());
    assert!(of(1).is_ok() && of(MAX_OUTPUTS).is_ok());
    assert_eq!(of(0).unwrap_err().to_string(), "a plan has 1 to 16 results, not 0");
    assert_eq!(of(17).unwrap_err(), PlanError::BadOutputs { got: 17, max: 16 });
}

/// Numbers as people and attackers send them.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => 0.0_f32..12.0,
        2 => 0.0_f32..20_000.0,
        1 => any::<f32>(),
        1 => select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, -1.0, f32::MIN_POSITIVE, f32::MAX, 1e-30]),
    ]
}

fn side() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 1_u32..80, 2 => 0_u32..300, 1 => any::<u32>(), 1 => select(vec![0, 1, u32::MAX, u32::MAX - 1, 1 << 31])]
}

fn operation() -> impl Strategy<Value = Op> {
    let frame = || (side(), side()).prop_map(|(width, height)| Size::new(width, height));
    prop_oneof![
        select(Orientation::ALL.to_vec()).prop_map(Op::Orient),
        (side(), side(), frame()).prop_map(|(x, y, size)| Op::Crop(Rect { x: x / 2, y: y / 2, size })),
        (frame(), side(), side()).prop_map(|(aspect, x, y)| Op::CropAspect { aspect, at: Anchor { x, y } }),
        (frame(), 0_u8..3, select(ResizeFilter::ALL.to_vec())).prop_map(|(frame, kind, filter)| {
            let to = match kind {
                0 => Target::Fit(frame),
                1 => Target::Cover(frame, Anchor { x: frame.width, y: frame.height / 2 }),
                _ => Target::Fill(frame),
            };
            Op::Resize { to, filter }
        }),
        number().prop_map(|sigma| Op::Blur { sigma }),
        (number(), number()).prop_map(|(sigma, amount)| Op::Sharpen { sigma, amount }),
        (number(), 0_u8..4).prop_map(|(factor, kind)| {
            Op::Colour(match kind {
                0 => Colour::Grayscale,
                1 => Colour::Brightness(factor),
                2 => Colour::Contrast(factor),
                _ => Colour::Saturation(factor),
            })
        }),
    ]
}

/// Whether a refusal names what was asked for, and the limit where there is one.
fn names_its_numbers(error: PlanError) -> bool {
    let said = error.to_string();
    let names = |numbers: &[String]| numbers.iter().all(|number| said.contains(number));
    match error {
        PlanError::EmptySource { width, height } => names(&[width.to_string(), height.to_string()]),
        PlanError::SideTooLong { got, max } => names(&[got.to_string(), max.to_string()]),
        PlanError::ZeroSide { got } => names(&[got.to_string(), "least is 1".to_owned()]),
        PlanError::CropOutside { rect, size } => names(&[rect.size.to_string(), rect.x.to_string(), size.to_string()]),
        PlanError::BadAmount { got, max } | PlanError::SigmaTooLarge { got, max } => {
            names(&[got.to_string(), max.to_string()])
        }
        PlanError::BadOutputs { got, max } => names(&[got.to_string(), max.to_string()]),
        PlanError::BadSigma { got } => names(&[got.to_string(), "0 or more".to_owned()]),
        PlanError::TooMuchWork { got, max } | PlanError::TooMuchMemory { got, max } => {
            names(&[got.to_string(), max.to_string()])
        }
        // Operations fit their pictures: only steps that were made by hand do not.
        PlanError::Misfit { .. } => false,
    }
}

fn cpu() -> &'static Engines {
    static CPU: std::sync::OnceLock<Engines> = std::sync::OnceLock::new();
    CPU.get_or_init(|| Engines::start(Backend::Cpu, &EngineOptions::default()).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_operations_are_refused_with_their_numbers_or_done(
        ops in prop::collection::vec(operation(), 0..5),
        width in 1_u32..90,
        height in 1_u32..90,
        layout in select(LAYOUTS.to_vec()),
        planar: bool,
    ) {
        let limits = PlanLimits { max_multiply_adds: 60_000_000, max_bytes: 3_000_000, ..PlanLimits::default() };
        let size = Size::new(width, height);
        let plan = match Plan::new(&ops, size, &limits) {
            Ok(plan) => plan,
            Err(error) => {
                prop_assert!(names_its_numbers(error), "{error:?}: {error}");
                return Ok(());
            }
        };
        prop_assert!(plan.peak_bytes() <= limits.max_bytes && plan.cost().multiply_adds <= limits.max_multiply_adds);
        prop_assert!(plan.output().pixels() > 0 && plan.region().is_inside(size));
        let plan = plan.with_form(if planar { Form::Ycbcr420 } else { Form::Pixels });
        let image = hard_picture(width, height, layout, width);
        for engines in [Some(cpu()), device(Backend::Software)].into_iter().flatten() {
            let made = exec::run_all(&plan, (&image).into(), engines, &Stop::never());
            let made = made.map_err(|error| TestCaseError::fail(format!("{ops:?} {size}: {error}")))?;
            let made = made.into_iter().next().unwrap().into_pixmap().unwrap();
            prop_assert_eq!(Size::new(made.width(), made.height()), plan.output());
        }
    }

    #[test]
    fn a_source_of_any_size_is_refused_with_its_numbers_or_planned_within_the_limits(
        ops in prop::collection::vec(operation(), 0..3),
        width in side(),
        height in side(),
    ) {
        let limits = PlanLimits::default();
        match Plan::new(&ops, Size::new(width, height), &limits) {
            Ok(plan) => prop_assert!(plan.peak_bytes() <= limits.max_bytes),
            Err(error) => prop_assert!(names_its_numbers(error), "{error:?}: {error}"),
        }
    }

    #[test]
    fn bytes_that_are_not_width_times_height_are_no_picture(width in side(), height in side(), len in 0_usize..400, layout in select(LAYOUTS.to_vec())) {
        let want = (width as usize).checked_mul(height as usize).and_then(|pixels| pixels.checked_mul(layout.channels()));
        match Pixmap::new(width, height, layout, vec![7; len]) {
            Ok(image) => prop_assert_eq!(Some(image.data().len()), want),
            Err(PixmapError::Empty { .. }) => prop_assert!(width == 0 || height == 0),
            Err(PixmapError::Length { got, want: named }) => {
                prop_assert_eq!(got, len);
                prop_assert_eq!(named, want.unwrap_or(usize::MAX));
            }
        }
    }
}

#[test]
fn the_check_of_messages_sees_one_without_its_limit() {
    assert!(!names_its_numbers(PlanError::Misfit { step: 0, width: 1, height: 1 }));
    let layout = Layout::Rgb;
    assert_eq!(
        Pixmap::new(2, 2, layout, vec![0; 11]).unwrap_err().to_string(),
        "11 bytes of pixels where 12 are needed"
    );
}
