//! AVIF: held against what libavif makes of the same files, stripped, and made hostile.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use glimt::codec::{self, Budget, CodecError, InputFormat, Quality, sniff};
use glimt::domain::{Format, OutputFormat};
use glimt::pixels::{Layout, Pixmap};
use image::metadata::Orientation;

use crate::corpus::{own, psnr};

fn decode(bytes: &[u8]) -> Pixmap {
    codec::decode(bytes, &Budget::default()).unwrap()
}

fn file(name: &str) -> Vec<u8> {
    own(&format!("avif/{name}.avif"))
}

fn reference(name: &str) -> Pixmap {
    decode(&own(&format!("avif/{name}.png")))
}

fn has(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// Least likeness to libavif's pixels in dB: our arithmetic rounds once and is in floats, its own is in integers of few bits.
/// Chroma that is spread over pixels leaves more room.
const LIKENESS: [(&str, Layout, f64); 18] = [
    ("y400_8", Layout::Luma, 50.0),
    ("y400_12", Layout::Luma, 50.0),
    ("y420_8", Layout::Rgb, 40.0),
    ("y420_10", Layout::Rgb, 40.0),
    ("y420_12", Layout::Rgb, 40.0),
    ("y422_8", Layout::Rgb, 40.0),
    ("y422_10", Layout::Rgb, 40.0),
    ("y422_12", Layout::Rgb, 40.0),
    ("y444_8", Layout::Rgb, 45.0),
    ("y444_10", Layout::Rgb, 45.0),
    ("y444_12", Layout::Rgb, 45.0),
    ("identity", Layout::Rgb, 90.0),
    ("limited", Layout::Rgb, 40.0),
    ("alpha", Layout::Rgba, 40.0),
    ("metadata", Layout::Rgb, 35.0),
    ("grid", Layout::Rgb, 45.0),
    ("cropped", Layout::Rgb, 45.0),
    ("secrets", Layout::Rgb, 45.0),
];

#[test]
fn every_kind_is_what_libavif_sees() {
    for (name, layout, least) in LIKENESS {
        let (got, want) = (decode(&file(name)), reference(name));
        assert_eq!((got.width(), got.height(), got.layout()), (want.width(), want.height(), layout), "{name}");
        // Grey references are stored as grey.
        assert_eq!(want.layout(), layout, "{name}");
        let likeness = psnr(got.data(), want.data());
        println!("{name}: {likeness:.1} dB");
        assert!(likeness >= least, "{name}: {likeness:.1} dB");
        // The control: a pixel further, it is another picture.
        let channels = layout.channels();
        let moved = psnr(&got.data()[channels..], &want.data()[..want.data().len() - channels]);
        assert!(moved < least, "{name}: {moved:.1} dB when moved");
    }
}

/// Where there is no alpha the colours are anybody's guess, so they are compared as they would be seen on grey.
#[test]
fn premultiplied_colours_are_divided() {
    let (got, want) = (decode(&file("premultiplied")), reference("premultiplied"));
    let on_grey = |picture: &Pixmap| -> Vec<u8> {
        let blend = |colour: u8, alpha: u8| {
            u8::try_from((u32::from(colour) * u32::from(alpha) + 128 * (255 - u32::from(alpha))) / 255).unwrap()
        };
        let pixels = picture.data().as_chunks::<4>().0.iter();
        pixels.flat_map(|&[r, g, b, a]| [blend(r, a), blend(g, a), blend(b, a)]).collect()
    };
    let likeness = psnr(&on_grey(&got), &on_grey(&want));
    assert!(likeness > 40.0, "{likeness:.1} dB");
    // The control: without the reference that says so they would stay dark.
    let mut plain = file("premultiplied");
    let at = plain.windows(4).position(|kind| kind == b"prem").unwrap();
    plain[at..at + 4].copy_from_slice(b"none");
    let dark = psnr(&on_grey(&decode(&plain)), &on_grey(&want));
    assert!(dark < 30.0, "{dark:.1} dB");
}

/// What `irot` and `imir` say is what the EXIF number says that the encoder made them of.
#[test]
fn all_turns_are_applied() {
    let plain = decode(&file("identity"));
    let turned = |orientation: u8| {
        let raw = image::RgbImage::from_raw(plain.width(), plain.height(), plain.data().to_vec()).unwrap();
        let mut picture = image::DynamicImage::from(raw);
        picture.apply_orientation(Orientation::from_exif(orientation).unwrap());
        picture.into_rgb8()
    };
    for orientation in 2..=8 {
        let bytes = file(&format!("turned_{orientation}"));
        let got = decode(&bytes);
        let details = codec::ingest(bytes, None, &Budget::default()).unwrap().details;
        assert_eq!((details.width, details.height), (got.width(), got.height()));
        for other in 1..=8 {
            let want = turned(other);
            let same_size = want.dimensions() == (got.width(), got.height());
            let likeness = if same_size { psnr(got.data(), &want) } else { 0.0 };
            assert_eq!(likeness > 25.0, other == orientation, "{orientation} as {other}: {likeness:.1} dB");
        }
    }
}

/// Primaries by number give what a profile of the same primaries gives.
#[test]
fn display_p3_by_number_is_display_p3_by_profile() {
    let (p3, srgb) = (moxcms::ColorProfile::new_display_p3(), moxcms::ColorProfile::new_srgb());
    let unconverted = reference("y444_10");
    let transform = p3
        .create_transform_8bit(moxcms::Layout::Rgb, &srgb, moxcms::Layout::Rgb, moxcms::TransformOptions::default())
        .unwrap();
    let mut want = unconverted.data().to_vec();
    transform.transform(unconverted.data(), &mut want).unwrap();
    let got = decode(&file("p3"));
    let (right, wrong) = (psnr(got.data(), &want), psnr(got.data(), unconverted.data()));
    assert!(right > 34.0 && right > wrong + 6.0, "{right:.1} dB right, {wrong:.1} dB wrong");
}

/// HDR becomes SDR: white is white, black is black, and the middle is neither the numbers as they stand nor one flat white.
#[test]
fn hdr_is_mapped() {
    let numbers = decode(&file("y444_10"));
    for name in ["pq", "hlg"] {
        let got = decode(&file(name));
        assert_eq!(got.layout(), Layout::Rgb);
        let full = got.data().iter().filter(|&&level| level == 255).count() * 100 / got.data().len();
        let likeness = psnr(got.data(), numbers.data());
        println!("{name}: {full} % at the top, {likeness:.1} dB from its numbers");
        assert!(full < 60 && likeness < 25.0, "{name}");
    }
}

#[test]
fn metadata_goes_and_pixels_stay() {
    for name in ["metadata", "secrets"] {
        let laden = file(name);
        assert!(has(&laden, b"SECRET"), "the control");
        let ingested = codec::ingest(laden.clone(), None, &Budget::default()).unwrap();
        assert_eq!(ingested.details.format, Format::Avif);
        let clean = ingested.stored;
        assert_eq!(sniff(&clean), Some(InputFormat::Avif));
        for trace in [&b"SECRET"[..], b"Exif", b"xmpmeta", b"mime", b"uuid", b"udes", b"thmb", b"cdsc"] {
            assert!(!has(&clean, trace), "{name}: {}", trace.escape_ascii());
        }
        assert!(decode(&clean) == decode(&laden), "{name}: the pixels changed");
        assert_eq!(has(&clean, b"prof"), has(&laden, b"prof"), "{name}: the profile stays");
        let again = codec::ingest(clean.clone(), None, &Budget::default()).unwrap().stored;
        assert!(again == clean, "{name}: a clean file is left alone");
    }
}

#[test]
fn a_clean_file_is_stored_bit_for_bit() {
    for (name, _, _) in LIKENESS.iter().filter(|(name, ..)| !["metadata", "secrets"].contains(name)) {
        let bytes = file(name);
        let ingested = codec::ingest(bytes.clone(), None, &Budget::default()).unwrap();
        assert!(ingested.stored == bytes, "{name}");
        assert_eq!(ingested.details.format, Format::Avif);
    }
}

/// A profile past the limit goes; its place stays, so that the others keep their numbers.
#[test]
fn a_huge_profile_goes() {
    let small = Budget { max_profile_bytes: 100, ..Budget::default() };
    let clean = codec::ingest(file("metadata"), None, &small).unwrap().stored;
    assert!(!has(&clean, b"prof") && has(&clean, b"free"));
    let unconverted = decode(&clean);
    assert!(psnr(unconverted.data(), reference("metadata").data()) < 35.0, "the control: nobody converts it");
}

/// An animation would have to be looked through frame by frame: it becomes a picture of its first.
#[test]
fn a_moving_one_is_converted() {
    let bytes = file("moving");
    let ingested = codec::ingest(bytes.clone(), None, &Budget::default()).unwrap();
    assert_eq!((ingested.details.format, ingested.details.frames), (Format::Png, 1));
    let first = reference("moving");
    let likeness = psnr(decode(&ingested.stored).data(), first.data());
    assert!(likeness > 40.0, "{likeness:.1} dB");
    assert!(codec::accept(bytes, &Budget::default()).unwrap().details.format == Format::Png);
}

#[test]
fn conversions_start_from_it() {
    let webp = codec::ingest(file("alpha"), Some(OutputFormat::Webp), &Budget::default()).unwrap();
    assert_eq!((webp.details.format, sniff(&webp.stored)), (Format::Webp, Some(InputFormat::Webp)));
    let jpeg = codec::encode(&decode(&file("y420_8")), OutputFormat::Jpg, Quality::default()).unwrap();
    assert!(psnr(decode(&jpeg).data(), reference("y420_8").data()) > 25.0);
}

fn patched(name: &str, kind: &[u8; 4], at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = file(name);
    let start = bytes.windows(4).position(|window| window == kind).unwrap() + at;
    bytes[start..start + with.len()].copy_from_slice(with);
    bytes
}

fn refusal(bytes: &[u8]) -> CodecError {
    let refusal = codec::decode(bytes, &Budget::default()).unwrap_err();
    assert_eq!(codec::ingest(bytes.to_vec(), None, &Budget::default()).unwrap_err(), refusal);
    assert_eq!(codec::accept(bytes.to_vec(), &Budget::default()).unwrap_err(), refusal);
    refusal
}

#[test]
fn hostile_headers_are_refused_with_their_numbers() {
    let side = 100_000_u32.to_be_bytes();
    let huge = refusal(&patched("y420_8", b"ispe", 8, &[side, side].concat()));
    let numbers = (10_000_000_000, 40_000_000, 100_000, 100_000);
    let (got, max, width, height) = numbers;
    assert_eq!(huge, CodecError::TooManyPixels { got, max, width, height });
    let long = refusal(&patched("y420_8", b"ispe", 8, &[70_000_u32.to_be_bytes(), 2_u32.to_be_bytes()].concat()));
    assert_eq!(long, CodecError::SideTooLong { got: 70_000, max: 65_535 });
    // A size within the limits that the data does not have.
    let other = refusal(&patched("y420_8", b"ispe", 8, &[61_u32.to_be_bytes(), 48_u32.to_be_bytes()].concat()));
    assert!(matches!(other, CodecError::Damaged { format: "AVIF", .. }), "{other}");
    // A grid of more than there is.
    let grid = refusal(&patched("grid", b"ispe", 8, &[640_u32.to_be_bytes(), 64_u32.to_be_bytes()].concat()));
    assert!(matches!(grid, CodecError::Damaged { format: "AVIF", .. }), "{grid}");
    // Too little memory, told before anything is allocated.
    let estimate = codec::peak_bytes(&file("y444_12")).unwrap();
    let tight = Budget { max_memory_bytes: estimate - 1, ..Budget::default() };
    let refused = codec::decode(&file("y444_12"), &tight).unwrap_err();
    assert_eq!(refused, CodecError::TooMuchMemory { got: estimate, max: estimate - 1 });
    let enough = Budget { max_memory_bytes: estimate, ..Budget::default() };
    assert!(codec::decode(&file("y444_12"), &enough).is_ok(), "the control");
}

/// Data in another file, in another item, or outside of this one.
#[test]
fn places_outside_of_the_file_are_refused() {
    let offset = refusal(&patched("y420_8", b"iloc", 4 + 4 + 2 + 2 + 2 + 2 + 2, &[0xFF; 4]));
    assert!(matches!(offset, CodecError::Damaged { format: "AVIF", .. }), "{offset}");
    let external = refusal(&patched("y420_8", b"iloc", 4 + 4 + 2 + 2 + 2, &[0, 1]));
    assert!(matches!(external, CodecError::Unsupported { .. }), "{external}");
}
