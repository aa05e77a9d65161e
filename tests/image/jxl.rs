//! JPEG XL: held against what libjxl makes of the same files, converted, and made hostile.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "levels, rounded, from 0 to 255")]

use std::time::{Duration, Instant};

use glimt::codec::{self, Budget, CodecError, InputFormat, sniff};
use glimt::domain::{Format, OutputFormat};
use glimt::pixels::{Layout, Pixmap};
use image::metadata::Orientation;

use crate::corpus::{own, psnr};

fn decode(bytes: &[u8]) -> Pixmap {
    codec::decode(bytes, &Budget::default()).unwrap()
}

fn file(name: &str) -> Vec<u8> {
    own(&format!("jxl/{name}.jxl"))
}

fn reference(name: &str) -> Pixmap {
    decode(&own(&format!("jxl/{name}.png")))
}

/// Least likeness in dB to what libjxl makes of it; what is lossless is equal. Of `profile` and `p3_lossy`, to what Little CMS makes of
/// the picture that went in.
const LIKENESS: [(&str, Layout, f64); 12] = [
    ("lossy_8", Layout::Rgb, 45.0),
    ("lossy_16", Layout::Rgb, 45.0),
    ("alpha_lossy", Layout::Rgba, 45.0),
    ("turned_1", Layout::Rgb, 45.0),
    ("profile", Layout::Rgb, 48.0),
    ("p3_lossy", Layout::Rgb, 32.0),
    ("lossless_8", Layout::Rgb, f64::INFINITY),
    ("lossless_16", Layout::Rgb, f64::INFINITY),
    ("alpha", Layout::Rgba, f64::INFINITY),
    ("grey", Layout::Luma, f64::INFINITY),
    ("grey_alpha", Layout::LumaAlpha, f64::INFINITY),
    ("moving", Layout::Rgba, f64::INFINITY),
];

#[test]
fn every_kind_is_what_libjxl_sees() {
    for (name, layout, least) in LIKENESS {
        let (got, want) = (decode(&file(name)), reference(name));
        assert_eq!((got.width(), got.height(), got.layout()), (want.width(), want.height(), layout), "{name}");
        let likeness = psnr(got.data(), want.data());
        println!("{name}: {likeness:.1} dB");
        assert!(likeness >= least, "{name}: {likeness:.1} dB");
        // The control: a pixel further, it is another picture.
        let channels = layout.channels();
        let moved = psnr(&got.data()[channels..], &want.data()[..want.data().len() - channels]);
        assert!(moved < least, "{name}: {moved:.1} dB when moved");
    }
}

#[test]
fn a_container_holds_the_same_picture() {
    let boxed = file("boxed");
    assert_eq!((sniff(&boxed), sniff(&file("lossless_8"))), (Some(InputFormat::Jxl), Some(InputFormat::Jxl)));
    assert!(decode(&boxed) == decode(&file("lossless_8")));
}

/// A frame that no one is shown can be kept to make others of, four of them; nothing says how many there are.
#[test]
fn frames_that_are_not_shown_are_counted() {
    let (plain, built) = (file("lossless_8"), file("patches"));
    let enough = |bytes: &[u8]| Budget { max_memory_bytes: codec::peak_bytes(bytes).unwrap(), ..Budget::default() };
    assert!(codec::decode(&plain, &enough(&plain)).is_ok());
    let header = enough(&built).max_memory_bytes;
    let Err(CodecError::TooMuchMemory { got, max }) = codec::decode(&built, &enough(&built)) else {
        panic!("decoded in what its header says")
    };
    assert_eq!((max, got - header), (header, 4 * 4 * 3 * 200 * 150));
    assert!(codec::decode(&built, &Budget { max_memory_bytes: got, ..Budget::default() }).is_ok());
}

/// Browsers do not show it: one without loss becomes a PNG, one with loss a JPEG or a WebP, or what is asked for.
#[test]
fn it_is_converted_to_the_nearest() {
    let nearest = [
        ("lossless_8", Format::Png),
        ("alpha", Format::Png),
        ("moving", Format::Png),
        ("lossy_8", Format::Jpg),
        ("turned_6", Format::Jpg),
        ("alpha_lossy", Format::Webp),
    ];
    for (name, format) in nearest {
        let ingested = codec::ingest(file(name), None, &Budget::default()).unwrap();
        assert_eq!((ingested.details.format, ingested.details.frames), (format, 1), "{name}");
        let (stored, direct) = (decode(&ingested.stored), decode(&file(name)));
        assert_eq!((stored.width(), stored.height()), (direct.width(), direct.height()), "{name}");
        let likeness = psnr(stored.data(), direct.data());
        assert!(
            if format == Format::Png { likeness.is_infinite() } else { likeness > 28.0 },
            "{name}: {likeness:.1} dB"
        );
        assert_eq!(codec::accept(file(name), &Budget::default()).unwrap().details, ingested.details, "{name}");
    }
    let webp = codec::ingest(file("lossless_8"), Some(OutputFormat::Webp), &Budget::default()).unwrap();
    assert_eq!(sniff(&webp.stored), Some(InputFormat::Webp));
}

/// Each was made of a JPEG whose EXIF says so.
#[test]
fn all_turns_are_applied() {
    let plain = decode(&file("turned_1"));
    let raw = image::RgbImage::from_raw(plain.width(), plain.height(), plain.data().to_vec()).unwrap();
    for orientation in 1..=8 {
        let got = decode(&file(&format!("turned_{orientation}")));
        let mut want = image::DynamicImage::from(raw.clone());
        want.apply_orientation(Orientation::from_exif(orientation).unwrap());
        assert_eq!((got.width(), got.height()), (want.width(), want.height()), "{orientation}");
        let likeness = psnr(got.data(), want.as_bytes());
        assert!(likeness > 45.0, "{orientation}: {likeness:.1} dB");
    }
}

/// HDR is mapped as that of AVIF is, whose file of the same numbers says how.
#[test]
fn hdr_and_linear_light_are_mapped() {
    for name in ["pq", "hlg"] {
        let (got, want) = (decode(&file(name)), decode(&own(&format!("avif/{name}.avif"))));
        let likeness = psnr(got.data(), want.data());
        println!("{name}: {likeness:.1} dB");
        assert!(likeness > 30.0, "{name}: {likeness:.1} dB");
        let unmapped = psnr(got.data(), reference("lossless_8").data());
        assert!(unmapped < 25.0, "{name}: the control: {unmapped:.1} dB");
    }
    let want: Vec<u8> = reference("lossless_8")
        .data()
        .iter()
        .map(|&level| {
            let light = f64::from(level) / 255.0;
            let signal = if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
            (signal * 255.0).round() as u8
        })
        .collect();
    let likeness = psnr(decode(&file("linear")).data(), &want);
    assert!(likeness > 55.0, "{likeness:.1} dB");
}

/// Fields, bottom bits first, behind the magic.
fn header(fields: &[(u32, u32)]) -> Vec<u8> {
    let bits: Vec<u8> =
        fields.iter().flat_map(|&(value, count)| (0..count).map(move |at| u8::from(value >> at & 1 == 1))).collect();
    let packed = bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, &bit| byte << 1 | bit));
    [0xFF, 0x0A].into_iter().chain(packed).chain([0; 64]).collect()
}

fn refusal(bytes: &[u8], budget: &Budget) -> CodecError {
    let refusal = codec::decode(bytes, budget).unwrap_err();
    assert_eq!(codec::ingest(bytes.to_vec(), None, budget).unwrap_err(), refusal);
    refusal
}

#[test]
fn hostile_headers_are_refused_with_their_numbers() {
    let budget = Budget::default();
    let huge = header(&[(0, 1), (3, 2), (99_999, 30), (1, 3)]);
    let want = CodecError::TooManyPixels { got: 10_000_000_000, max: 40_000_000, width: 100_000, height: 100_000 };
    assert_eq!(refusal(&huge, &budget), want);
    let long = header(&[(0, 1), (0, 2), (0, 9), (0, 3), (3, 2), (69_999, 30)]);
    assert_eq!(refusal(&long, &budget), CodecError::SideTooLong { got: 70_000, max: 65_535 });
    // Within the limits, and nothing of use behind it.
    let empty = refusal(&header(&[(1, 1), (4, 5), (1, 3), (1, 1)]), &budget);
    assert!(matches!(empty, CodecError::Damaged { format: "JPEG XL", .. }), "{empty}");
    for name in ["alpha", "lossless_16", "lossy_8", "turned_3"] {
        let estimate = codec::peak_bytes(&file(name)).unwrap();
        let tight = Budget { max_memory_bytes: estimate - 1, ..budget };
        assert_eq!(refusal(&file(name), &tight), CodecError::TooMuchMemory { got: estimate, max: estimate - 1 });
        let enough = Budget { max_memory_bytes: estimate, ..budget };
        assert!(codec::decode(&file(name), &enough).is_ok(), "{name}");
    }
}

#[test]
fn cut_and_damaged_files_are_refused_or_decoded() {
    for name in ["lossy_8", "lossless_16", "boxed", "alpha_lossy", "moving", "pq"] {
        let whole = file(name);
        for cut in (0..whole.len()).step_by(7) {
            if let Ok(picture) = codec::decode(&whole[..cut], &Budget::default()) {
                assert_eq!((picture.width(), picture.height()), (61, 47), "{name} cut at {cut}");
                assert!(name == "moving", "{name} decodes when cut at {cut}");
            }
        }
        for at in (0..whole.len()).step_by(5) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            let decoded = codec::decode(&damaged, &Budget { max_pixels: 100_000, ..Budget::default() });
            assert!(!matches!(decoded, Err(CodecError::Panicked { .. })), "{name} damaged at {at}");
        }
    }
}

/// A picture of several groups, stopped between them.
#[test]
fn time_is_kept() {
    let start = Instant::now();
    let whole = Budget { deadline: Some(start), ..Budget::default() };
    assert_eq!(refusal(&file("lossy_8"), &whole), CodecError::TimedOut);
    let some = Budget { deadline: Some(start + Duration::from_secs(600)), ..Budget::default() };
    assert!(codec::decode(&file("lossy_8"), &some).is_ok(), "the control");
}
