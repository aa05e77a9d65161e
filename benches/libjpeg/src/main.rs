//! Our JPEG decoder beside libjpeg-turbo's, with its SIMD code, at every scale: one thread, the same files, in turns, the best of
//! nine. Ours makes planes, theirs RGB and, in another turn, planes too.
//!
//! `cargo run --release -- FOLDER` in this folder; needs cmake and nasm. Prints megapixels of the whole picture a second, and in
//! brackets ours over theirs; then how far the two are apart, in codes of 255.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use glimt::codec::{self, Budget, Decoded, Scale};
use turbojpeg::{Decompressor, Image, PixelFormat, ScalingFactor, YuvImage};

type Error = Box<dyn std::error::Error>;

/// How long `work` takes, if that is less than `best`.
fn turn<T>(best: &mut Duration, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let start = Instant::now();
    let made = black_box(work()?);
    *best = (*best).min(start.elapsed());
    Ok(made)
}

fn main() -> Result<(), Error> {
    let folder = std::env::args().nth(1).ok_or("a folder of JPEGs is wanted")?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, Error>>()?;
    files.retain(|path| path.extension().is_some_and(|end| end == "jpg" || end == "jpeg"));
    files.sort();
    let budget = Budget { max_pixels: 1 << 30, ..Budget::default() };
    let (mut all, mut seconds) = (0.0, [[0.0_f64; 3]; 4]);
    for path in &files {
        let bytes = std::fs::read(path)?;
        let header = turbojpeg::read_header(&bytes)?;
        let megapixels = (header.width * header.height) as f64 / 1e6;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        print!("{name:36.36} {megapixels:5.1} {:6}", format!("{:?}", header.subsamp));
        for (scale, seconds) in Scale::ALL.into_iter().zip(&mut seconds) {
            let [width, height] = [header.width, header.height].map(|side| side.div_ceil(scale.divisor() as usize));
            let mut library = Decompressor::new()?;
            library.set_scaling_factor(ScalingFactor::new(1, scale.divisor() as usize))?;
            let mut best = [Duration::MAX; 3];
            let mut pictures = None;
            for _ in 0..9 {
                let ours = turn(&mut best[0], || Ok(codec::decode_for_engine(&bytes, scale, &budget)?))?;
                let theirs = turn(&mut best[1], || {
                    let pixels = vec![0; width * height * 3];
                    let mut image = Image { pixels, width, pitch: width * 3, height, format: PixelFormat::RGB };
                    library.decompress(&bytes, image.as_deref_mut())?;
                    Ok(image.pixels)
                })?;
                turn(&mut best[2], || {
                    let pixels = vec![0; turbojpeg::yuv_pixels_len(width, 1, height, header.subsamp)?];
                    let mut image = YuvImage { pixels, width, align: 1, height, subsamp: header.subsamp };
                    library.decompress_to_yuv(&bytes, image.as_deref_mut())?;
                    Ok(image.pixels)
                })?;
                pictures = Some((ours, theirs));
            }
            let [ours, rgb, planes] = best.map(|best| best.as_secs_f64());
            let apart = pictures.map_or(Ok(String::new()), |(ours, theirs)| apart(ours, &theirs, scale))?;
            print!(" | {:5.0} {:4.0} {:4.0} ({:.2} {:.2}) {apart}", megapixels / ours, megapixels / rgb, megapixels / planes, rgb / ours, planes / ours);
            seconds.iter_mut().zip([ours, rgb, planes]).for_each(|(sum, its)| *sum += its);
        }
        println!();
        all += megapixels;
    }
    for (scale, [ours, rgb, planes]) in Scale::ALL.into_iter().zip(seconds) {
        println!("{scale:?}: {:.0} MP/s, theirs {:.0} and {:.0}; {:.2} and {:.2} times as fast", all / ours, all / rgb, all / planes, rgb / ours, planes / ours);
    }
    Ok(())
}

/// The mean of differences of RGB, and the largest.
fn apart(ours: Decoded, theirs: &[u8], scale: Scale) -> Result<String, Error> {
    if ours.scale != scale {
        return Ok("by the library".to_owned());
    }
    let ours = ours.picture.into_pixmap()?;
    if ours.data().len() != theirs.len() {
        return Ok("grey".to_owned());
    }
    let differences = || ours.data().iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
    let mean = differences().map(f64::from).sum::<f64>() / theirs.len() as f64;
    Ok(format!("{mean:.2}/{}", differences().max().unwrap_or(0)))
}
