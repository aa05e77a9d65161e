//! What each decoder does in a second, beside its rivals: one thread, the same files, in turns. Seconds are those of a processor where
//! the system counts them for a thread (Linux), so that a busy machine does not show; those of the clock elsewhere.
//!
//! Files are made of one photo (`GLIMT_PHOTO`, a JPEG; else of a drawn picture) by the encoders that are at hand; those that cargo
//! has no encoder for are read from the folder in `GLIMT_FILES`, where there is one: `*.avif` and `*.jxl`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::hint::black_box;
use std::io::Cursor;
use std::time::{Duration, Instant};

use glimt::codec::{self, Budget, Quality, Scale};
use glimt::domain::OutputFormat;
use glimt::pixels::{Layout, Pixmap};
use image::{DynamicImage, ImageFormat};

/// One decoder: its name, and what it does with a file.
type Decoder = (&'static str, fn(&[u8]));

fn ours(bytes: &[u8]) {
    black_box(codec::decode(bytes, &Budget::default()).unwrap());
}

/// JPEG as it is read for an engine: to planes.
fn planes(bytes: &[u8]) {
    black_box(codec::decode_for_engine(bytes, Scale::Whole, &Budget::default()).unwrap());
}

fn zune_jpeg(bytes: &[u8]) {
    black_box(zune_jpeg::JpegDecoder::new(zune_core::bytestream::ZCursor::new(bytes)).decode().unwrap());
}

fn jpeg_decoder(bytes: &[u8]) {
    black_box(jpeg_decoder::Decoder::new(bytes).decode().unwrap());
}

fn zune_png(bytes: &[u8]) {
    black_box(zune_png::PngDecoder::new(zune_core::bytestream::ZCursor::new(bytes)).decode_raw().unwrap());
}

fn libwebp(bytes: &[u8]) {
    black_box(webp::Decoder::new(bytes).decode().unwrap());
}

fn jxl_oxide(bytes: &[u8]) {
    let threads = jxl_oxide::JxlThreadPool::none();
    let picture = jxl_oxide::JxlImage::builder().pool(threads).read(Cursor::new(bytes)).unwrap();
    let frame = picture.render_frame(0).unwrap();
    let mut stream = frame.stream();
    let mut pixels = vec![0_u8; (stream.width() * stream.height() * stream.channels()) as usize];
    stream.write_to_buffer(&mut pixels);
    black_box(pixels);
}

/// What this thread has had of a processor; of the clock where nobody counts them.
fn spent(start: Instant) -> Duration {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let counted = counted.and_then(|line| line.split_whitespace().next()?.parse().ok());
    counted.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The best of turns over a second or three turns, whichever is longer; MP/s of each decoder.
fn measure(decoders: &[Decoder], bytes: &[u8], megapixels: f64) -> Vec<f64> {
    let mut best = vec![Duration::MAX; decoders.len()];
    let start = Instant::now();
    let mut turns = 0;
    while turns < 3 || start.elapsed() < Duration::from_secs(2) {
        for ((_, decode), best) in decoders.iter().zip(&mut best) {
            let turn = spent(start);
            decode(bytes);
            *best = (*best).min(spent(start).saturating_sub(turn));
        }
        turns += 1;
    }
    best.into_iter().map(|best| megapixels / best.as_secs_f64()).collect()
}

fn photo() -> Pixmap {
    if let Some(path) = std::env::var_os("GLIMT_PHOTO") {
        return codec::decode(&std::fs::read(path).unwrap(), &Budget::default()).unwrap();
    }
    let (width, height) = (2000_u32, 1500_u32);
    let mut state = 1_u32;
    let mut data = Vec::new();
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [_, _, _, noise] = (state >> 4).to_le_bytes().map(|byte| byte / 16);
            let slope =
                [x / 9, y / 7, (x + y) / 13].map(|step| if step % 512 < 256 { step % 256 } else { 255 - step % 256 });
            data.extend(slope.map(|level| u8::try_from(level).unwrap_or(255) / 2 + noise));
        }
    }
    Pixmap::new(width, height, Layout::Rgb, data).unwrap()
}

fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn main() {
    let photo = photo();
    let quick = std::env::args().any(|argument| argument == "--test");
    let raw = image::RgbImage::from_raw(photo.width(), photo.height(), photo.data().to_vec()).unwrap();
    let picture = DynamicImage::from(raw);
    let encoded = |format| codec::encode(&photo, format, Quality::default()).unwrap();
    let mut files: Vec<(String, Vec<u8>, Vec<Decoder>)> = vec![
        (
            "JPEG".to_owned(),
            encoded(OutputFormat::Jpg),
            vec![("glimt", ours), ("glimt, planes", planes), ("zune-jpeg", zune_jpeg), ("jpeg-decoder", jpeg_decoder)],
        ),
        ("PNG".to_owned(), encoded(OutputFormat::Png), vec![("glimt", ours), ("zune-png", zune_png)]),
        ("WebP, lossy".to_owned(), encoded(OutputFormat::Webp), vec![("glimt", ours), ("libwebp", libwebp)]),
        (
            "WebP, lossless".to_owned(),
            written(&picture, ImageFormat::WebP),
            vec![("glimt", ours), ("libwebp", libwebp)],
        ),
        ("GIF".to_owned(), encoded(OutputFormat::Gif), vec![("glimt", ours)]),
        ("TIFF".to_owned(), written(&picture, ImageFormat::Tiff), vec![("glimt", ours)]),
        ("BMP".to_owned(), written(&picture, ImageFormat::Bmp), vec![("glimt", ours)]),
        ("QOI".to_owned(), written(&picture, ImageFormat::Qoi), vec![("glimt", ours)]),
        ("PNM".to_owned(), written(&picture, ImageFormat::Pnm), vec![("glimt", ours)]),
    ];
    if let Some(folder) = std::env::var_os("GLIMT_FILES") {
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let mut decoders: Vec<Decoder> = vec![("glimt", ours)];
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("avif") => {}
                Some("jxl") => decoders.push(("jxl-oxide", jxl_oxide)),
                Some(_) | None => continue,
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            files.push((name, std::fs::read(path).unwrap(), decoders));
        }
    }
    for (name, bytes, decoders) in files {
        let pixmap = codec::decode(&bytes, &Budget::default()).unwrap();
        let megapixels = f64::from(pixmap.width()) * f64::from(pixmap.height()) / 1e6;
        if quick {
            continue;
        }
        let speeds = measure(&decoders, &bytes, megapixels);
        let speeds: Vec<_> =
            decoders.iter().zip(speeds).map(|((decoder, _), speed)| format!("{decoder} {speed:.0}")).collect();
        println!("{name:16} {megapixels:5.1} MP  {}  MP/s", speeds.join("  "));
    }
}
