//! What decoding in a process of its own costs: the same files in this process and in the sandbox, in turns, by the clock, since half of it
//! is done by somebody else. Linux only.
//!
//! `cargo bench --bench sandbox [-- FILE..]`; without files, AVIFs of several sizes are made of one photo (`GLIMT_PHOTO`, a JPEG; else of a
//! drawn picture).

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::path::Path;
use std::time::{Duration, Instant};

use glimt::codec::{self, Budget, Effort, Quality, Settings};
use glimt::domain::OutputFormat;
use glimt::pixels::{Layout, Pixmap, Stop};
use glimt::sandbox::{Mode, Program, Sandbox};
use image::{DynamicImage, RgbImage, imageops::FilterType};

/// Longer sides of the pictures that are made; 0 is all of the photo.
const SIDES_PX: [u32; 5] = [64, 256, 1024, 2048, 0];

fn photo() -> RgbImage {
    if let Some(path) = std::env::var_os("GLIMT_PHOTO") {
        let photo = codec::decode(&std::fs::read(path).unwrap(), &Budget::default()).unwrap();
        return RgbImage::from_raw(photo.width(), photo.height(), photo.into_data()).unwrap();
    }
    RgbImage::from_fn(2000, 1500, |x, y| image::Rgb([x / 9, y / 7, (x ^ y) / 13].map(|level| level.to_le_bytes()[0])))
}

fn files() -> Vec<(String, Vec<u8>)> {
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if !given.is_empty() {
        let name = |path: &str| Path::new(path).file_name().unwrap().to_string_lossy().into_owned();
        return given.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect();
    }
    let photo = DynamicImage::from(photo());
    let made = SIDES_PX.map(|side| {
        let picture = if side == 0 { photo.clone() } else { photo.resize(side, side, FilterType::Triangle) };
        let (width, height) = (picture.width(), picture.height());
        let pixmap = Pixmap::new(width, height, Layout::Rgb, picture.into_rgb8().into_raw()).unwrap();
        let settings = Settings { effort: Effort::Fast, ..Quality::default().into() };
        (format!("AVIF {width} x {height}"), codec::encode(&pixmap, OutputFormat::Avif, settings).unwrap())
    });
    made.into()
}

fn timed(decode: impl FnOnce() -> Pixmap) -> (Duration, Pixmap) {
    let start = Instant::now();
    let picture = decode();
    (start.elapsed(), picture)
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--test");
    let program = Program { program: env!("CARGO_BIN_EXE_glimt").into(), arguments: vec!["decode".into()] };
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(Mode::On, Some(&program), folder.path()).unwrap().unwrap();
    let budget = Budget::default();
    if quick {
        return;
    }
    println!(
        "{:24}{:>12}{:>12}{:>12}{:>8}   ms, the median and (the best) of turns",
        "", "here", "sandbox", "more", "ratio"
    );
    for (name, bytes) in files() {
        let (mut here, mut apart) = (Vec::new(), Vec::new());
        let start = Instant::now();
        while here.len() < 9 || start.elapsed() < Duration::from_secs(6) && here.len() < 200 {
            let (took, own) = timed(|| codec::decode(&bytes, &budget).unwrap());
            here.push(took);
            let (took, other) = timed(|| sandbox.decode(&bytes, &budget, &Stop::never()).unwrap());
            apart.push(took);
            assert!(own == other, "{name}: another picture");
        }
        here.sort();
        apart.sort();
        let millis = |times: &[Duration], at: usize| times[at].as_secs_f64() * 1e3;
        let middle = here.len() / 2;
        let (own, other) = (millis(&here, middle), millis(&apart, middle));
        println!(
            "{name:24}{own:12.2}{other:12.2}{:12.2}{:8.2}   ({:.2}, {:.2})",
            other - own,
            other / own,
            millis(&here, 0),
            millis(&apart, 0)
        );
    }
}
