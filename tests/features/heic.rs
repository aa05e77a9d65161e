//! HEIC: held against what libheif makes of the same files, converted, and made hostile.

use glimt::{
    codec::{self, Budget, CodecError, InputFormat, sniff},
    domain::{Format, OutputFormat},
    pixels::{Layout, Pixmap},
};
use tempfile::TempDir;

use crate::{
    answered,
    binary::Running,
    client::is_alias,
    heic_files::{self as files, Tiles, file},
};

fn decode(bytes: &[u8]) -> Pixmap {
    codec::decode(bytes, &Budget::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn reference(name: &str) -> Pixmap {
    decode(&file(&format!("{name}.png")))
}

fn refused(bytes: &[u8]) -> String {
    codec::decode(bytes, &Budget::default()).map(|picture| (picture.width(), picture.height())).unwrap_err().to_string()
}

/// Likeness of levels in dB.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let error: u64 = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    let mean = error as f64 / a.len().min(b.len()) as f64;
    10.0 * (255.0 * 255.0 / mean.max(1e-9)).log10()
}

/// Levels that the spreading of chroma over pixels does not reach: luma where there is one, alpha, and means of four pixels.
fn levels(picture: &Pixmap) -> Vec<u8> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let channels = picture.layout().channels();
    let at = |x: usize, y: usize, channel: usize| u32::from(picture.data()[(y * width + x) * channels + channel]);
    let mut levels = Vec::new();
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        let luma = if channels < 3 {
            at(x, y, 0)
        } else {
            (299 * at(x, y, 0) + 587 * at(x, y, 1) + 114 * at(x, y, 2) + 500) / 1000
        };
        levels.push(luma);
        levels.extend((channels.is_multiple_of(2)).then(|| at(x, y, channels - 1)));
        for channel in (0..channels.min(3)).filter(|_| x % 2 == 1 && y % 2 == 1) {
            levels.push(
                (at(x - 1, y - 1, channel) + at(x, y - 1, channel) + at(x - 1, y, channel) + at(x, y, channel) + 2) / 4,
            );
        }
    }
    levels.into_iter().map(|level| u8::try_from(level).unwrap()).collect()
}

/// libheif gives two pixels beside each other one chroma, here it goes over from one to the next: alike but where colours meet. Grey is the
/// same to the last level.
#[test]
fn every_kind_is_what_libheif_sees() {
    let mut faults = Vec::new();
    for (name, layout, least) in [
        ("y420", Layout::Rgb, 37.0),
        ("y422", Layout::Rgb, 39.0),
        ("y444", Layout::Rgb, 45.0),
        ("deep", Layout::Rgb, 37.0),
        ("grey", Layout::Luma, 90.0),
        ("alpha", Layout::Rgba, 39.0),
        ("profile", Layout::Rgb, 35.0),
    ] {
        let (got, want) = (decode(&file(&format!("{name}.heic"))), reference(name));
        assert_eq!((got.width(), got.height(), got.layout()), (want.width(), want.height(), layout), "{name}");
        assert_eq!(want.layout(), layout, "{name}");
        let likeness = psnr(&levels(&got), &levels(&want));
        println!("{name}: {likeness:.1} dB");
        // The control: a pixel further, it is another picture.
        let (ours, theirs) = (levels(&got), levels(&want));
        let moved = psnr(&ours[layout.channels()..], &theirs[..theirs.len() - layout.channels()]);
        if likeness < least || moved >= least {
            faults.push(format!("{name}: {likeness:.1} dB, {moved:.1} dB when moved"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Their boxes turn what is coded turned; their EXIF says so too, and is not asked.
#[test]
fn every_orientation_stands_upright() {
    let want = levels(&reference("y420"));
    for orientation in 2..=8 {
        let bytes = file(&format!("turned_{orientation}.heic"));
        assert!(bytes.windows(4).any(|window| window == b"Exif"), "turned_{orientation}");
        let got = decode(&bytes);
        assert_eq!((got.width(), got.height()), (61, 47), "turned_{orientation}");
        let likeness = psnr(&levels(&got), &want);
        println!("turned_{orientation}: {likeness:.1} dB");
        assert!(likeness > 33.0, "turned_{orientation}: {likeness:.1} dB");
    }
}

#[tokio::test]
async fn a_heic_is_stored_as_a_jpeg_or_a_webp() {
    let data = TempDir::new().unwrap();
    let server = Running::on(data.path(), |_defaults| {}).await;
    for (name, extension, media_type) in
        [("y420", "jpg", "image/jpeg"), ("turned_6", "jpg", "image/jpeg"), ("alpha", "webp", "image/webp")]
    {
        let uploaded = server.upload(&file(&format!("{name}.heic"))).await;
        assert!(is_alias(&uploaded.file, extension), "{name}: {}", uploaded.file);
        let answer = server.original(&uploaded.file).await;
        answer.is_image(media_type);
        let got = image::load_from_memory(&answer.body).unwrap().into_rgba8();
        assert_eq!(got.dimensions(), (61, 47), "{name}");
        let thumbnail = server.process("png", &uploaded.file, "thumbnail=30").await;
        assert_eq!(image::load_from_memory(&thumbnail.body).unwrap().into_rgb8().dimensions(), (30, 23), "{name}");
    }
    server.stop().await;
}

#[test]
fn ingest_makes_what_is_asked_for() {
    let bytes = file("y420.heic");
    assert_eq!(sniff(&bytes), Some(InputFormat::Heic));
    let budget = Budget::default();
    for (convert, format) in
        [(None, Format::Jpg), (Some(OutputFormat::Png), Format::Png), (Some(OutputFormat::Webp), Format::Webp)]
    {
        let ingested = codec::ingest(bytes.clone(), convert, &budget).unwrap();
        assert_eq!((ingested.details.format, ingested.details.width, ingested.details.height), (format, 61, 47));
    }
    assert_eq!(codec::accept(bytes.clone(), &budget).unwrap().details.format, Format::Jpg);
    let late = Budget { deadline: Some(std::time::Instant::now()), ..budget };
    assert_eq!(codec::decode(&bytes, &late), Err(CodecError::TimedOut));
    let peak = codec::peak_bytes(&bytes).unwrap();
    let small = Budget { max_memory_bytes: peak - 1, ..budget };
    assert_eq!(codec::decode(&bytes, &small), Err(CodecError::TooMuchMemory { got: peak, max: peak - 1 }));
    // By another name it is no AVIF, and is converted all the same.
    let disguised = [
        b"\0\0\0\x18ftypavif\0\0\0\0avifmif1",
        &bytes[bytes.windows(4).position(|window| window == b"meta").unwrap() - 4..],
    ]
    .concat();
    assert_eq!(sniff(&disguised), Some(InputFormat::Avif));
    let ingested = codec::ingest(disguised, None, &budget);
    assert!(
        ingested.is_err() || ingested.is_ok_and(|ingested| ingested.details.format == Format::Png),
        "an AVIF with HEVC inside is stored"
    );
}

/// Two tiles beside each other and two below, each the same 64 by 64 of which 61 by 47 are the picture, cut at the edge.
#[test]
fn tiles_of_a_grid_are_put_together() {
    let tile = Tiles::of(&file("y420.heic"));
    let (got, want) = (decode(&tile.grid(2, 2, (64, 64), (120, 100))), decode(&tile.single((64, 64))));
    assert_eq!((got.width(), got.height(), want.width(), want.height()), (120, 100, 64, 64));
    for (left, top) in [(0, 0), (64, 0), (0, 64), (64, 64)] {
        for y in 0..(100 - top).min(64) {
            let columns = (120 - left).min(64);
            let ours = &got.data()[((y + top) * 120 + left) * 3..][..columns * 3];
            assert_eq!(ours, &want.data()[y * 64 * 3..][..columns * 3], "tile at {left}, {top}, row {y}");
        }
    }
}

/// What the boxes say and what the data says are two things: both are held to the limits, before the decoder sees a byte.
#[test]
fn sizes_are_asked_of_the_data_too() {
    let tile = Tiles::of(&file("y420.heic"));
    // A small picture in the boxes, cut by its own parameters from one of 65535 by 65535.
    let bomb = tile.with_set(&files::set(65_535, 65_535, (64, 64)));
    assert!(
        refused(&bomb.single((64, 64))).contains("65535 by 65535, 4294836225 pixels: at most 40000000"),
        "{}",
        refused(&bomb.single((64, 64)))
    );
    let large = tile.with_set(&files::set(6000, 6000, (64, 64))).grid(2, 1, (64, 64), (120, 64));
    let peak = codec::peak_bytes(&large).unwrap();
    assert!(peak > 36_000_000 * 7, "{peak}");
    let small = Budget { max_memory_bytes: 200 << 20, ..Budget::default() };
    assert_eq!(codec::decode(&large, &small), Err(CodecError::TooMuchMemory { got: peak, max: 200 << 20 }));
    // One that is larger than the boxes say.
    let larger = tile.with_set(&files::set(640, 480, (640, 480)));
    assert!(
        refused(&larger.single((64, 64))).contains("not the size the header says"),
        "{}",
        refused(&larger.single((64, 64)))
    );
    // The boxes alone are enough to be refused.
    assert!(
        refused(&tile.single((60_000, 60_000))).contains("60000 by 60000"),
        "{}",
        refused(&tile.single((60_000, 60_000)))
    );
    assert!(refused(&tile.grid(2, 2, (8000, 8000), (12_800, 9600))).contains("12800 by 9600"));
}

#[test]
fn work_that_the_size_does_not_explain_is_refused() {
    let tile = Tiles::of(&file("y420.heic"));
    let message = refused(&tile.with_slices(201).single((64, 64)));
    assert_eq!(message, "the HEIC file has 201 slices: at most 200 are allowed");
    let message = refused(&tile.with_sets(17).single((64, 64)));
    assert!(
        message.contains("17 parameter sets, or more: at most 16") || message.contains("several sequences"),
        "{message}"
    );
    let message = refused(&tile.with_two_sequences().single((64, 64)));
    assert_eq!(message, "HEIC of several sequences is not supported");
    // A unit inside of a unit is what nobody has looked at.
    let message = refused(&tile.with_a_unit_inside().single((64, 64)));
    assert_eq!(message, "the HEIC file is damaged: a unit of its data is not one");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_files_do_not_hold_the_program_up() {
    let tile = Tiles::of(&file("y420.heic"));
    answered(&[
        (
            "a size of 4 gigapixels",
            tile.with_set(&files::set(65_535, 65_535, (64, 64))).single((64, 64)),
            Err("65535 by 65535"),
        ),
        // As large as may be: the decoder makes room for all of it, and finds that there is no data.
        ("30 MP of nothing", tile.with_set(&files::set(6000, 5000, (6000, 5000))).single((6000, 5000)), Err("HEIC")),
        ("200 slices", tile.with_slices(200).single((64, 64)), Ok(())),
        ("4 tiles", tile.grid(2, 2, (64, 64), (128, 128)), Ok(())),
        ("tiles that share", tile.grid(10, 10, (64, 64), (640, 640)), Err("the tiles of a grid share too much")),
    ])
    .await;
}

/// Every cut, and a few thousand files with a few bytes of them changed: refused or decoded, and never by a panic.
#[test]
fn damaged_files_are_refused_by_name() {
    let mut panics = Vec::new();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let budget = Budget { max_pixels: 1_000_000, max_memory_bytes: 64 << 20, ..Budget::default() };
    for name in ["y420", "y422", "y444", "deep", "grey", "alpha", "turned_6"] {
        let whole = file(&format!("{name}.heic"));
        for cut in (0..whole.len()).step_by(7) {
            assert!(
                !matches!(codec::decode(&whole[..cut], &budget), Err(CodecError::Panicked { .. })),
                "{name} cut at {cut}"
            );
        }
        for _ in 0..500 {
            let mut bytes = whole.clone();
            let changes: Vec<_> =
                (0..1 + random(4)).map(|_| (random(bytes.len()), u8::try_from(random(256)).unwrap())).collect();
            for &(at, byte) in &changes {
                bytes[at] = byte;
            }
            if matches!(codec::decode(&bytes, &budget), Err(CodecError::Panicked { .. })) {
                panics.push((name, changes));
            }
        }
    }
    assert!(panics.is_empty(), "{panics:?}");
}
