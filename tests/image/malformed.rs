//! Hostile and broken files: refused or decoded, in bounded time and memory, and never a panic.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use glimt::codec::{self, Budget, CodecError, Quality};
use glimt::domain::OutputFormat;
use glimt::pixels::Layout;

use crate::corpus::{self, test_picture};

/// A watchdog, not a measure of speed: a file that is at it for longer is a way to stop the service.
const WATCHDOG: Duration = Duration::from_secs(10);
const MEMORY_BYTES: u64 = 600 * 1024 * 1024;
/// Set in the child process, where nothing else adds to the peak of memory.
const CHILD: &str = "GLIMT_MALFORMED_CHILD";

/// Runs a test of this file in a process of its own; true in that process.
fn in_a_process_of_its_own(test: &str) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("malformed::{test}"), "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}", output.status);
    false
}

fn assert_memory() {
    let Some(peak) = corpus::peak_resident_bytes() else { return };
    println!("peak resident memory: {} MiB", peak >> 20);
    assert!(peak < MEMORY_BYTES, "{peak} bytes");
}

/// Takes the file in, and decodes it when it was taken; returns the refusal. Fails when that panics or outlasts the
/// watchdog.
fn survive(name: &str, bytes: Vec<u8>) -> Option<CodecError> {
    let (done, wait) = sync_channel(1);
    let worker = std::thread::Builder::new().name(name.to_owned());
    worker
        .spawn(move || {
            let budget = Budget::default();
            let ingested = codec::ingest(bytes.to_vec(), None, &budget);
            let converted = codec::ingest(bytes.to_vec(), Some(OutputFormat::Webp), &budget);
            let accepted = codec::accept(bytes.to_vec(), &budget);
            let decoded = codec::decode(&bytes, &budget);
            let peak = codec::peak_bytes(&bytes);
            done.send((ingested, converted, accepted, decoded, peak)).unwrap();
        })
        .unwrap();
    let (ingested, converted, accepted, decoded, peak) =
        wait.recv_timeout(WATCHDOG).unwrap_or_else(|error| panic!("{name}: {error}"));
    for error in [
        ingested.as_ref().err(),
        converted.as_ref().err(),
        accepted.as_ref().err(),
        decoded.as_ref().err(),
        peak.as_ref().err(),
    ]
    .into_iter()
    .flatten()
    {
        assert!(!matches!(error, CodecError::Panicked { .. }), "{name}: {error}");
        assert!(!error.to_string().is_empty());
    }
    if let Ok(ingested) = &ingested {
        let pixmap = decoded.unwrap_or_else(|error| panic!("{name} was taken in and does not decode: {error}"));
        assert_eq!((ingested.details.width, ingested.details.height), (pixmap.width(), pixmap.height()), "{name}");
        assert!(accepted.is_ok() && peak.is_ok(), "{name}");
    }
    ingested.err()
}

#[test]
fn the_hostile_corpus_is_survived() {
    if !in_a_process_of_its_own("the_hostile_corpus_is_survived") {
        return;
    }
    let (mut refused, mut slowest) = (0, Vec::new());
    let files = corpus::files("hostile");
    for (name, path) in &files {
        let started = Instant::now();
        let refusal = survive(name, std::fs::read(path).unwrap());
        slowest.push((started.elapsed(), name));
        refused += usize::from(refusal.is_some());
        // With the feature some are whole as far as the picture goes: tests/features is about them.
        let expected = match name.ends_with(".heic") {
            true => cfg!(not(feature = "heic")),
            false => name.starts_with("trunc_") || name.starts_with("svg_") || name.ends_with(".jxl"),
        };
        assert!(refusal.is_some() || !expected, "{name} was taken in");
    }
    slowest.sort();
    println!(
        "{} files, {refused} refused; the slowest: {:?}",
        files.len(),
        slowest.iter().rev().take(3).collect::<Vec<_>>()
    );
    assert_memory();
}

#[test]
fn pictures_at_the_limit_fit_into_memory() {
    if !in_a_process_of_its_own("pictures_at_the_limit_fit_into_memory") {
        return;
    }
    let (width, height) = (8_000, 5_000);
    let data = vec![90; 40_000_000 * 4];
    let mut file = Vec::new();
    let mut progressive = jpeg_encoder::Encoder::new(&mut file, 50);
    progressive.set_progressive(true);
    progressive.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
    progressive.encode(&data, 8_000, 5_000, jpeg_encoder::ColorType::Rgba).unwrap();
    let mut deep = Vec::new();
    let mut encoder = png::Encoder::new(&mut deep, width / 2, height / 2);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.set_compression(png::Compression::Fastest);
    encoder.write_header().unwrap().write_image_data(&data[..10_000_000 * 8]).unwrap();
    let mut lossless = Vec::new();
    image_webp::WebPEncoder::new(&mut lossless).encode(&data, width, height, image_webp::ColorType::Rgba8).unwrap();
    drop(data);
    for (name, bytes) in [("progressive JPEG", file), ("16-bit PNG", deep), ("lossless WebP", lossless)] {
        let estimate = codec::peak_bytes(&bytes).unwrap();
        // Linux: the peak starts anew at what is held now. Elsewhere making the files counts too.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let pixmap = codec::decode(&bytes, &Budget::default()).unwrap();
        println!("{name}: {pixmap:?}, estimated at {} MiB", estimate >> 20);
        drop(pixmap);
        assert_memory();
        if name == "progressive JPEG" {
            let converted = codec::ingest(bytes.to_vec(), Some(OutputFormat::Webp), &Budget::default()).unwrap();
            println!("{name}: converted to {:?}", converted.details);
            assert_memory();
        }
    }
}

/// Every file cut at many places, for every format: refused each time, by its own name.
#[test]
fn every_cut_is_noticed() {
    for (name, file) in samples() {
        let whole = codec::ingest(file.to_vec(), None, &Budget::default());
        assert!(whole.is_ok(), "the control: {name} uncut: {whole:?}");
        let step = (file.len() / 60).max(1);
        for cut in (0..file.len()).step_by(step).chain([file.len() - 1]) {
            let refusal = codec::ingest(file[..cut].to_vec(), None, &Budget::default()).unwrap_err();
            assert!(
                matches!(refusal, CodecError::Damaged { .. } | CodecError::NotAnImage),
                "{name} cut at {cut}: {refusal}"
            );
        }
    }
}

/// A file that was cut and then given an end: the data is short, and only a strict decoder says so.
#[test]
fn a_cut_behind_an_end_marker_is_noticed() {
    let picture = test_picture(200, 400, Layout::Rgb);
    let file = codec::encode(&picture, OutputFormat::Jpg, Quality::default()).unwrap();
    let scan = file.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap() + 14;
    for part in 1..5 {
        let cut = scan + (file.len() - scan) * part / 5;
        let mended = [&file[..cut], &[0, 0xFF, 0xD9]].concat();
        let refusal = codec::ingest(mended.to_vec(), None, &Budget::default()).unwrap_err();
        assert!(matches!(refusal, CodecError::Damaged { format: "JPEG", .. }), "{part} fifths: {refusal}");
    }
}

/// Random damage everywhere in small files: no panic, whatever comes out.
#[test]
fn flipped_bits_are_survived() {
    // A multiplicative generator (Lehmer, 48271 modulo 2^31 - 1): the same damage every time.
    let mut state: u64 = 1;
    let mut next = move |below: usize| {
        state = state * 48_271 % 0x7FFF_FFFF;
        usize::try_from(state).unwrap() % below
    };
    for (name, file) in samples() {
        for round in 0..150 {
            let mut damaged = file.clone();
            for _ in 0..1 + round % 4 {
                let at = next(damaged.len());
                damaged[at] ^= 1 << next(8);
            }
            for result in [
                codec::ingest(damaged.to_vec(), None, &Budget::default()).err(),
                codec::decode(&damaged, &Budget::default()).err(),
            ] {
                assert!(!matches!(result, Some(CodecError::Panicked { .. })), "{name} in round {round}");
            }
        }
    }
}

#[test]
fn a_deadline_that_has_passed_stops_the_work() {
    let late = Budget { deadline: Some(Instant::now()), ..Budget::default() };
    for (name, file) in samples() {
        assert_eq!(codec::ingest(file.to_vec(), None, &late), Err(CodecError::TimedOut), "{name}");
        assert_eq!(codec::decode(&file, &late), Err(CodecError::TimedOut), "{name}");
    }
}

/// A header that claims 60,000 by 60,000 with a kilobyte behind it is refused by its numbers.
#[test]
fn a_claimed_size_is_refused_by_the_header() {
    let side = 60_000_u32;
    let refusal = CodecError::TooManyPixels { got: 3_600_000_000, max: 40_000_000, width: side, height: side };
    for (name, mut file) in samples() {
        let half = u16::try_from(side).unwrap();
        match name {
            "JPEG" => {
                let at = file.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
                file[at + 5..at + 9].copy_from_slice(&[half.to_be_bytes(), half.to_be_bytes()].concat());
            }
            "PNG" | "APNG" => file[16..24].copy_from_slice(&[side.to_be_bytes(), side.to_be_bytes()].concat()),
            "GIF" => file[6..10].copy_from_slice(&[half.to_le_bytes(), half.to_le_bytes()].concat()),
            "BMP" => file[18..26].copy_from_slice(&[side.to_le_bytes(), side.to_le_bytes()].concat()),
            "QOI" => file[4..12].copy_from_slice(&[side.to_be_bytes(), side.to_be_bytes()].concat()),
            "AVIF" => {
                let at = file.windows(4).position(|kind| kind == b"ispe").unwrap();
                file[at + 8..at + 16].copy_from_slice(&[side.to_be_bytes(), side.to_be_bytes()].concat());
            }
            "animated WebP" => {
                file[24..30]
                    .copy_from_slice(&[&(side - 1).to_le_bytes()[..3], &(side - 1).to_le_bytes()[..3]].concat());
            }
            // Fourteen bits a side: cannot claim as much.
            _ => continue,
        }
        assert_eq!(codec::ingest(file.to_vec(), None, &Budget::default()).unwrap_err(), refusal, "{name}");
        assert_eq!(codec::decode(&file, &Budget::default()).unwrap_err(), refusal, "{name}");
        assert_eq!(codec::accept(file.to_vec(), &Budget::default()).unwrap_err(), refusal, "{name}");
    }
}

/// A WebP bitstream larger than its container says is what the decoder would allocate by.
#[test]
fn a_webp_bitstream_must_be_the_size_of_its_container() {
    let (_, file) = samples().into_iter().find(|(name, _)| *name == "WebP").unwrap();
    let picture = &file[12..];
    let header = |width: u32| {
        [b"VP8X\x0a\0\0\0\0\0\0\0", &(width - 1).to_le_bytes()[..3], &(47_u32 - 1).to_le_bytes()[..3]].concat()
    };
    let wrap = |header: Vec<u8>| {
        let size = u32::try_from(4 + header.len() + picture.len()).unwrap();
        [b"RIFF", &size.to_le_bytes()[..], b"WEBP", &header, picture].concat()
    };
    assert!(codec::ingest(wrap(header(61)), None, &Budget::default()).is_ok(), "the control");
    // The decoder would notice too, but only after it has allocated: the sentence shows who did.
    let cause = "the picture is not the size the header says".to_owned();
    let refusal = codec::ingest(wrap(header(60)), None, &Budget::default()).unwrap_err();
    assert_eq!(refusal, CodecError::Damaged { format: "WebP", cause });
}

/// A small file of each format.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let picture = test_picture(61, 47, Layout::Rgb);
    let own = |format| codec::encode(&picture, format, Quality::default()).unwrap();
    let through_image = |format: image::ImageFormat| {
        let mut file = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_raw(61, 47, picture.data().to_vec()).unwrap().write_to(&mut file, format).unwrap();
        file.into_inner()
    };
    vec![
        ("JPEG", own(OutputFormat::Jpg)),
        ("progressive JPEG", progressive_jpeg()),
        ("PNG", own(OutputFormat::Png)),
        ("APNG", animated_png()),
        ("WebP", own(OutputFormat::Webp)),
        ("animated WebP", animated_webp()),
        ("GIF", animated_gif()),
        ("BMP", through_image(image::ImageFormat::Bmp)),
        ("TIFF", through_image(image::ImageFormat::Tiff)),
        ("QOI", through_image(image::ImageFormat::Qoi)),
        ("AVIF", corpus::own("avif/alpha.avif")),
        ("PNM", through_image(image::ImageFormat::Pnm)),
    ]
}

fn progressive_jpeg() -> Vec<u8> {
    let picture = test_picture(61, 47, Layout::Rgb);
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 80);
    encoder.set_progressive(true);
    encoder.encode(picture.data(), 61, 47, jpeg_encoder::ColorType::Rgb).unwrap();
    file
}

/// Two frames, the second a smaller one.
pub(crate) fn animated_png() -> Vec<u8> {
    let picture = test_picture(61, 47, Layout::Rgb);
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 61, 47);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(picture.data()).unwrap();
    writer.set_frame_dimension(10, 5).unwrap();
    writer.set_frame_position(3, 4).unwrap();
    writer.write_image_data(&[200; 10 * 5 * 3]).unwrap();
    writer.finish().unwrap();
    file
}

/// Two frames of 20 by 20 on a canvas of 61 by 47, the first at (4, 6).
pub(crate) fn animated_webp() -> Vec<u8> {
    let still = codec::encode(&test_picture(20, 20, Layout::Rgb), OutputFormat::Webp, Quality::default()).unwrap();
    let picture = &still[12..];
    let frame = |x: u32, y: u32| {
        let three = |value: u32| value.to_le_bytes()[..3].to_vec();
        let body = [three(x / 2), three(y / 2), three(19), three(19), three(100), vec![0], picture.to_vec()].concat();
        [b"ANMF", &u32::try_from(body.len()).unwrap().to_le_bytes()[..], &body].concat()
    };
    let chunks =
        [&b"VP8X\x0a\0\0\0\x12\0\0\0\x3c\0\0\x2e\0\0"[..], b"ANIM\x06\0\0\0\0\0\0\0\0\0", &frame(4, 6), &frame(10, 10)]
            .concat();
    [b"RIFF", &u32::try_from(4 + chunks.len()).unwrap().to_le_bytes()[..], b"WEBP", &chunks].concat()
}

/// Two frames on a canvas of 61 by 47, the first 20 by 10 at (5, 7) with index 2 transparent, looping three times.
pub(crate) fn animated_gif() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, 61, 47, &[0, 0, 0, 250, 120, 30, 9, 9, 9, 1, 2, 3]).unwrap();
    encoder.set_repeat(gif::Repeat::Finite(3)).unwrap();
    for (left, top) in [(5, 7), (0, 0)] {
        let indices: Vec<u8> = (0..200).map(|at| 1 + u8::from(at % 20 >= 10)).collect();
        let frame = gif::Frame {
            left,
            top,
            width: 20,
            height: 10,
            transparent: Some(2),
            delay: 5,
            buffer: indices.into(),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    file
}
