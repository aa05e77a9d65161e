//! What a job costs on the cpu engine, beside the best crates for it. One thread, wall time. Runs are taken in turns and
//! the lower quartile of each counts, so that a busy machine slows both sides and what it interrupts is left out.
//!
//! `cargo bench --bench crates`, or, without a release build of every dependency,
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench --profile dev --bench crates`, which slows the crates on bytes: that profile
//! checks integers for overflow. A word after `--` picks the jobs whose name
//! holds it.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::hint::black_box;
use std::time::Instant;

use fast_image_resize as fir;
use glimt::pixels::srgb::{CODE_FROM_LINEAR, LINEAR_FROM_CODE};
use glimt::pixels::{Layout, Op, Pixmap, Plan, PlanLimits, Size, cpu};
use libblur::{
    BlurImage, BlurImageMut, BufferStore, ConvolutionMode, EdgeMode, EdgeMode2D, FastBlurChannels, GaussianBlurParams,
    ThreadingPolicy,
};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// One way to do a job, by name.
type Way<'a> = (&'a str, Box<dyn Fn() -> Outcome<Vec<u8>> + 'a>);

fn picture(size: Size, layout: Layout) -> Outcome<Pixmap> {
    let mut state = 1_u32;
    let bytes = usize::try_from(size.pixels())? * layout.channels();
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_le_bytes()[3]
    });
    Ok(Pixmap::new(size.width, size.height, layout, noise.take(bytes).collect())?)
}

fn ours(image: &Pixmap, op: Op) -> Outcome<Vec<u8>> {
    // A request plans too.
    let limits = PlanLimits { max_side_px: 20_000, ..PlanLimits::default() };
    let plan = Plan::new(&[op], Size::new(image.width(), image.height()), &limits)?;
    Ok(cpu::run(&plan, image)?.into_data())
}

/// Lanczos3 on the sRGB codes as they are: not what a picture should get, but the fastest there is.
fn fir_codes(image: &Pixmap, to: Size, alpha: bool) -> Outcome<Vec<u8>> {
    let kind = if image.layout() == Layout::Rgb { fir::PixelType::U8x3 } else { fir::PixelType::U8x4 };
    let source = fir::images::ImageRef::new(image.width(), image.height(), image.data(), kind)?;
    fir_resize(&source, to, alpha)
}

/// The same in linear light, as it is done with the crate alone: to floats by table, resized, back by table.
fn fir_linear(image: &Pixmap, to: Size, alpha: bool) -> Outcome<Vec<u8>> {
    let channels = image.layout().channels();
    let kind = if image.layout() == Layout::Rgb { fir::PixelType::F32x3 } else { fir::PixelType::F32x4 };
    let mut source = fir::images::Image::new(image.width(), image.height(), kind);
    let floats = source.buffer_mut().as_chunks_mut::<4>().0;
    for (slots, codes) in floats.chunks_exact_mut(channels).zip(image.data().chunks_exact(channels)) {
        for ((slot, &code), at) in slots.iter_mut().zip(codes).zip(0..) {
            let light = if at == 3 { f32::from(code) / 255.0 } else { LINEAR_FROM_CODE[usize::from(code)] };
            *slot = light.to_ne_bytes();
        }
    }
    let floats = fir_resize(&source, to, alpha)?;
    let floats = floats.as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes));
    Ok(floats.map(|value| CODE_FROM_LINEAR.encode(value)).collect())
}

fn fir_resize(source: &impl fir::IntoImageView, to: Size, alpha: bool) -> Outcome<Vec<u8>> {
    let kind = source.pixel_type().ok_or("a pixel type")?;
    let mut target = fir::images::Image::new(to.width, to.height, kind);
    let lanczos = fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3);
    let options = fir::ResizeOptions::new().resize_alg(lanczos).use_alpha(alpha);
    fir::Resizer::new().resize(source, &mut target, &options)?;
    Ok(target.into_vec())
}

/// Their kernel, as long as ours. Left to itself the crate cuts a Gaussian of 1 to 5 taps: off by 2 to 6 codes of 255.
fn as_exact((sigma, reach): (f64, u32)) -> GaussianBlurParams {
    GaussianBlurParams::new(2 * reach + 1, sigma)
}

/// Gaussian blur on the sRGB codes as they are.
fn blur_codes(image: &Pixmap, wide: (f64, u32), mode: ConvolutionMode) -> Outcome<Vec<u8>> {
    let channels = channels(image);
    let source = BlurImage::borrow(image.data(), image.width(), image.height(), channels);
    let mut target = BlurImageMut::alloc(image.width(), image.height(), channels);
    let edges = EdgeMode2D::new(EdgeMode::Clamp);
    libblur::gaussian_blur(&source, &mut target, as_exact(wide), edges, ThreadingPolicy::Single, mode)?;
    Ok(owned(target.data))
}

/// The same in linear light by floats.
fn blur_linear(image: &Pixmap, wide: (f64, u32)) -> Outcome<Vec<u8>> {
    let channels = channels(image);
    let light: Vec<f32> = image.data().iter().map(|&code| LINEAR_FROM_CODE[usize::from(code)]).collect();
    let source = BlurImage::borrow(&light, image.width(), image.height(), channels);
    let mut target = BlurImageMut::alloc(image.width(), image.height(), channels);
    let mode = libblur::IeeeBinaryConvolutionMode::Normal;
    let edges = EdgeMode2D::new(EdgeMode::Clamp);
    libblur::gaussian_blur_f32(&source, &mut target, as_exact(wide), edges, ThreadingPolicy::Single, mode)?;
    Ok(owned(target.data).into_iter().map(|value| CODE_FROM_LINEAR.encode(value)).collect())
}

fn channels(image: &Pixmap) -> FastBlurChannels {
    if image.layout() == Layout::Rgb { FastBlurChannels::Channels3 } else { FastBlurChannels::Channels4 }
}

fn owned<T: Copy + std::fmt::Debug>(store: BufferStore<'_, T>) -> Vec<T> {
    match store {
        BufferStore::Owned(data) => data,
        BufferStore::Borrowed(data) => data.to_vec(),
    }
}

fn compare(name: &str, ways: &[Way<'_>]) -> Outcome<()> {
    let start = Instant::now();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); ways.len()];
    let mut rounds = 0;
    while rounds < 7 || (rounds < 60 && start.elapsed().as_secs_f64() < 3.0) {
        for ((_, way), times) in ways.iter().zip(&mut times) {
            let before = Instant::now();
            black_box(way()?);
            times.push(before.elapsed().as_secs_f64() * 1e3);
        }
        rounds += 1;
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    let typical: Vec<f64> = times.iter().filter_map(|times| times.get(times.len() / 4).copied()).collect();
    print!("{name:20}");
    for ((way, _), time) in ways.iter().zip(&typical) {
        print!(" {way} {time:.2} ms ({:.2})", typical[0] / time);
    }
    println!();
    Ok(())
}

fn main() -> Outcome<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wants = |name: &str| wanted.iter().all(|word| name.contains(word.as_str()));
    println!("in brackets ours divided by theirs");
    let sizes = [
        ("1MP", Size::new(1152, 864)),
        ("2MP", Size::new(1632, 1224)),
        ("12MP", Size::new(4000, 3000)),
        ("50MP", Size::new(8160, 6120)),
    ];
    for layout in [Layout::Rgb, Layout::Rgba] {
        for (megapixels, size) in sizes {
            for side in [256, 1024] {
                let name = format!("{layout:?} {megapixels} to {side}");
                if !wants(&name) || megapixels == "1MP" {
                    continue;
                }
                let image = picture(size, layout)?;
                let to = glimt::pixels::Target::Fit(Size::new(side, side)).of(size).0;
                let mut ways: Vec<Way<'_>> = vec![
                    ("glimt", Box::new(|| ours(&image, Op::fit(side)))),
                    ("fir u8", Box::new(|| fir_codes(&image, to, true))),
                    ("fir f32", Box::new(|| fir_linear(&image, to, true))),
                ];
                if layout == Layout::Rgba {
                    ways.push(("fir u8, no alpha", Box::new(|| fir_codes(&image, to, false))));
                }
                compare(&name, &ways)?;
            }
            for (sigma, reach) in [(1.0_f32, 4), (3.0, 12), (20.0, 80)] {
                let name = format!("{layout:?} {megapixels} blur {sigma}");
                if !wants(&name) || !matches!(megapixels, "1MP" | "12MP") {
                    continue;
                }
                let image = picture(size, layout)?;
                let wide = (f64::from(sigma), reach);
                let ways: Vec<Way<'_>> = vec![
                    ("glimt", Box::new(|| ours(&image, Op::Blur { sigma }))),
                    ("libblur u8 fixed", Box::new(|| blur_codes(&image, wide, ConvolutionMode::FixedPoint))),
                    ("libblur u8 exact", Box::new(|| blur_codes(&image, wide, ConvolutionMode::Exact))),
                    ("libblur f32", Box::new(|| blur_linear(&image, wide))),
                ];
                compare(&name, &ways)?;
            }
        }
    }
    Ok(())
}
