//! What a job costs on each engine, beside `fast_image_resize`. One thread; criterion reports wall time.
//!
//! `cargo bench --bench engine`, or, without a release build of every dependency (they are at `opt-level = 3` in the
//! dev profile too), `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench --profile dev --bench engine`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use fast_image_resize as fir;
use glimt::pixels::srgb::{CODE_FROM_LINEAR, LINEAR_FROM_CODE};
use glimt::pixels::{Backend, EngineOptions, Engines, Layout, Op, Pixmap, Plan, PlanLimits, Size, exec};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn picture(size: Size, layout: Layout) -> Outcome<Pixmap> {
    let mut state = 1_u32;
    let bytes = usize::try_from(size.pixels())? * layout.channels();
    let mut data = Vec::with_capacity(bytes);
    for _ in 0..bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        data.push(state.to_le_bytes()[3]);
    }
    Ok(Pixmap::new(size.width, size.height, layout, data)?)
}

/// Lanczos3 in linear light by `fast_image_resize`: to floats by table, resize, back by table, 256 pixels wide.
fn fir_linear(image: &Pixmap, side: Size) -> Outcome<Vec<u8>> {
    let mut source = fir::images::Image::new(image.width(), image.height(), fir::PixelType::F32x4);
    for (slot, &code) in source.buffer_mut().as_chunks_mut::<4>().0.iter_mut().zip(image.data()) {
        *slot = LINEAR_FROM_CODE[usize::from(code)].to_ne_bytes();
    }
    let mut target = fir::images::Image::new(side.width, side.height, fir::PixelType::F32x4);
    let lanczos = fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3);
    let options = fir::ResizeOptions::new().resize_alg(lanczos).use_alpha(false);
    fir::Resizer::new().resize(&source, &mut target, &options)?;
    let floats = target.buffer().as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes));
    Ok(floats.map(|value| CODE_FROM_LINEAR.encode(value)).collect())
}

/// Lanczos3 on the sRGB codes as they are: not what a picture should get, but the fastest there is.
fn fir_codes(image: &Pixmap, side: Size) -> Outcome<Vec<u8>> {
    let (width, height) = (image.width(), image.height());
    let source = fir::images::ImageRef::new(width, height, image.data(), fir::PixelType::U8x4)?;
    let mut target = fir::images::Image::new(side.width, side.height, fir::PixelType::U8x4);
    let lanczos = fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3);
    let options = fir::ResizeOptions::new().resize_alg(lanczos).use_alpha(false);
    fir::Resizer::new().resize(&source, &mut target, &options)?;
    Ok(target.into_vec())
}

fn engines(criterion: &mut Criterion) {
    if let Err(error) = measured(criterion) {
        eprintln!("the bench could not run: {error}");
    }
}

fn measured(criterion: &mut Criterion) -> Outcome<()> {
    let all: Vec<Engines> = [Backend::Cpu, Backend::Software, Backend::Gpu]
        .into_iter()
        .filter_map(|backend| {
            Engines::start(backend, &EngineOptions::default()).map_err(|error| eprintln!("skipped: {error}")).ok()
        })
        .collect();
    let (large, small) = (Size::new(4000, 3000), Size::new(1152, 864));
    let jobs: [(&str, Op, Size); 4] = [
        ("12 MP to 256", Op::fit(256), large),
        ("1 MP to 256", Op::fit(256), small),
        ("1 MP blur 3", Op::Blur { sigma: 3.0 }, small),
        ("1 MP blur 20", Op::Blur { sigma: 20.0 }, small),
    ];
    for (name, op, size) in jobs {
        let mut group = criterion.benchmark_group(name);
        for layout in [Layout::Rgb, Layout::Rgba] {
            let image = picture(size, layout)?;
            for engines in &all {
                let id = format!("{} {layout:?}", engines.chosen());
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        // A request plans too.
                        let plan = Plan::new(&[op], size, &PlanLimits::default());
                        plan.map(|plan| exec::run(&plan, black_box(&image), engines).is_ok())
                    });
                });
            }
        }
        if let Op::Resize { to, .. } = op {
            let image = picture(size, Layout::Rgba)?;
            let side = to.of(size).0;
            group.bench_function("fast_image_resize f32x4, linear light", |b| {
                b.iter(|| fir_linear(black_box(&image), side).map_err(|error| error.to_string()));
            });
            group.bench_function("fast_image_resize u8x4, sRGB codes", |b| {
                b.iter(|| fir_codes(black_box(&image), side).map_err(|error| error.to_string()));
            });
        }
        group.finish();
    }
    Ok(())
}

fn quick() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = quick(); targets = engines }
criterion_main!(benches);
