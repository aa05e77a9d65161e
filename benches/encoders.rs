//! What each encoder costs at each effort, in bytes, time and likeness, beside the crates that wrote JPEGs before. One thread;
//! the best of three passes over all pictures.
//!
//! `cargo bench --bench encoders`, or, without a release build of everything, `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench
//! --profile dev --bench encoders`. Arguments after `--` are longest sides in pixels (256 and 1024 when there are none) and
//! names of formats. The pictures are the photos of `../shared/corpus`, or one that is made up.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::path::Path;
use std::time::Instant;

use glimt::codec::{self, Budget, Chroma, Effort, Settings};
use glimt::domain::OutputFormat;
use glimt::pixels::{Layout, Op, Pixmap, Plan, PlanLimits, Size, cpu};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Makes a file of a picture.
type Make<'a> = &'a dyn Fn(&Pixmap) -> Outcome<Vec<u8>>;

fn photos(side: u32) -> Outcome<Vec<Pixmap>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/photos");
    let Ok(entries) = std::fs::read_dir(folder) else {
        let data = (0..side * side).flat_map(|at| [at % side, at / side, (at % 97) * (at / side % 3)]);
        let data = data.map(|value| u8::try_from(value % 256)).collect::<Result<_, _>>()?;
        return Ok(vec![Pixmap::new(side, side, Layout::Rgb, data)?]);
    };
    let mut photos = Vec::new();
    for entry in entries {
        let Ok(photo) = codec::decode(&std::fs::read(entry?.path())?, &Budget::default()) else { continue };
        let size = Size::new(photo.width(), photo.height());
        photos.push(cpu::run(&Plan::new(&[Op::fit(side)], size, &PlanLimits::default())?, &photo)?);
    }
    Ok(photos)
}

/// PSNR over all samples in dB.
fn likeness(pictures: &[Pixmap], files: &[Vec<u8>]) -> Outcome<f64> {
    let (mut sum, mut samples) = (0.0, 0.0);
    for (picture, file) in pictures.iter().zip(files) {
        let back = codec::decode(file, &Budget::default())?;
        for (a, b) in picture.data().iter().zip(back.data()) {
            sum += (f64::from(*a) - f64::from(*b)).powi(2);
            samples += 1.0;
        }
    }
    Ok(10.0 * (255.0_f64.powi(2) * samples / sum).log10())
}

fn report(name: &str, pictures: &[Pixmap], make: Make<'_>) -> Outcome<()> {
    let (mut best, mut files) = (f64::MAX, Vec::new());
    for _pass in 0..3 {
        let begun = Instant::now();
        files = pictures.iter().map(make).collect::<Outcome<Vec<_>>>()?;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    let count = pictures.len();
    let pixels: u64 = pictures.iter().map(|picture| u64::from(picture.width()) * u64::from(picture.height())).sum();
    let bytes: usize = files.iter().map(Vec::len).sum();
    #[expect(clippy::cast_precision_loss, reason = "a rate of a few digits")]
    let (millis, rate) = (best * 1e3 / count as f64, pixels as f64 / best / 1e6);
    let likeness = likeness(pictures, &files)?;
    println!("{name:<34} {millis:>9.2} ms {rate:>8.2} MP/s {:>8} bytes {likeness:>7.2} dB", bytes / count);
    Ok(())
}

fn before(picture: &Pixmap) -> Outcome<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 80);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    let (width, height) = (u16::try_from(picture.width())?, u16::try_from(picture.height())?);
    encoder.encode(picture.data(), width, height, ColorType::Rgb)?;
    Ok(file)
}

/// The baseline encoder of `mozjpeg-rs`, with tables of its own.
fn by_mozjpeg(picture: &Pixmap) -> Outcome<Vec<u8>> {
    let encoder = mozjpeg_rs::Encoder::fastest()
        .quality(80)
        .quant_tables(mozjpeg_rs::QuantTableIdx::JpegAnnexK)
        .subsampling(mozjpeg_rs::Subsampling::S420)
        .optimize_huffman(true)
        .progressive(false);
    let file = encoder.encode_rgb(picture.data(), picture.width(), picture.height());
    Ok(file.map_err(|error| error.to_string())?)
}

fn main() -> Outcome<()> {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let sides: Vec<u32> = asked.iter().filter_map(|argument| argument.parse().ok()).collect();
    let wanted = |format: OutputFormat| {
        let mut names = asked.iter().filter(|argument| argument.parse::<u32>().is_err()).peekable();
        names.peek().is_none() || names.any(|name| name == format.extension())
    };
    for side in if sides.is_empty() { vec![256, 1024] } else { sides } {
        let pictures = photos(side)?;
        println!("{} pictures of {side} px", pictures.len());
        for format in OutputFormat::ALL.into_iter().filter(|format| *format != OutputFormat::Apng && wanted(*format)) {
            if format == OutputFormat::Jpg {
                report("jpg 4:2:0 by jpeg-encoder", &pictures, &before)?;
                report("jpg 4:2:0 by mozjpeg-rs", &pictures, &by_mozjpeg)?;
            }
            for effort in [Effort::Fast, Effort::Balanced, Effort::Small] {
                let chromas: &[(Chroma, &str)] = match format {
                    OutputFormat::Jpg => &[(Chroma::Quarter, "4:2:0"), (Chroma::Full, "4:4:4"), (Chroma::Auto, "auto")],
                    OutputFormat::Avif => &[(Chroma::Quarter, "4:2:0"), (Chroma::Full, "4:4:4")],
                    OutputFormat::Png | OutputFormat::Webp | OutputFormat::Gif | OutputFormat::Apng => {
                        &[(Chroma::Auto, "")]
                    }
                };
                for (chroma, name) in chromas {
                    let settings = Settings { effort, chroma: *chroma, ..Settings::default() };
                    let make = |picture: &Pixmap| Ok(codec::encode(picture, format, settings)?);
                    report(&format!("{} {name} {effort}", format.extension()), &pictures, &make)?;
                }
            }
        }
    }
    Ok(())
}
