//! What an engine is given: the same picture as by the plain decoder, as planes where there are some.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use glimt::codec::{self, Budget, CodecError, Scale};
use glimt::pixels::pixmap::Picture;
use glimt::pixels::{Backend, EngineOptions, Engines, Layout, Op, Orientation, Pixmap, Plan, PlanLimits, Size, exec};
use jpeg_encoder::{ColorType, SamplingFactor};

use crate::corpus::{self, psnr, test_picture};

/// The picture upright and packed, by way of the cpu engine where it is turned.
fn upright(decoded: codec::Decoded, engines: &Engines) -> Pixmap {
    let stored = decoded.picture.into_pixmap().unwrap();
    let size = Size::new(stored.width(), stored.height());
    let plan = Plan::new(&[Op::Orient(decoded.orientation)], size, &PlanLimits::default()).unwrap();
    exec::run(&plan, &stored, engines).unwrap()
}

fn cpu() -> Engines {
    Engines::start(Backend::Cpu, &EngineOptions::default()).unwrap()
}

/// A JPEG of a test picture, with this APP1 or APP2 segment.
fn jpeg(segment: Option<(u8, &[u8])>) -> Vec<u8> {
    let picture = test_picture(61, 47, Layout::Rgb);
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 90);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    if let Some((number, body)) = segment {
        encoder.add_app_segment(number, body.to_vec()).unwrap();
    }
    encoder.encode(picture.data(), 61, 47, ColorType::Rgb).unwrap();
    file
}

#[test]
fn the_corpus_is_one_picture_by_both_ways() {
    let engines = cpu();
    let mut planar = 0;
    for (name, path) in corpus::files("formats").into_iter().chain(corpus::files("hostile")) {
        let bytes = std::fs::read(path).unwrap();
        let budget = Budget { max_pixels: 4_000_000, ..Budget::default() };
        let plain = codec::decode(&bytes, &budget);
        let decoded = match (codec::decode_for_engine(&bytes, Scale::Whole, &budget), &plain) {
            (Ok(decoded), _) => decoded,
            (Err(error), plain) => {
                assert_eq!(Some(&error), plain.as_ref().err(), "{name}");
                continue;
            }
        };
        let plain = plain.unwrap_or_else(|error| panic!("{name}: only the plain decoder says {error}"));
        let is_planar = matches!(decoded.picture, Picture::Planar(_));
        let got = upright(decoded, &engines);
        assert_eq!(
            (got.width(), got.height(), got.layout()),
            (plain.width(), plain.height(), plain.layout()),
            "{name}"
        );
        assert!(psnr(got.data(), plain.data()) > 40.0, "{name}: {} dB", psnr(got.data(), plain.data()));
        if is_planar {
            planar += 1;
        } else {
            let grey = name.ends_with(".jpg") && got.layout() == Layout::Luma;
            assert!(got == plain || grey, "{name} is another picture");
        }
    }
    assert!(planar > 15 || corpus::files("formats").is_empty(), "{planar} files gave planes");
}

#[test]
fn planes_lie_as_stored_and_say_how_to_turn_them() {
    let engines = cpu();
    let mut seen = Vec::new();
    for number in 1..=8_u8 {
        let exif =
            [&b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..], &[number, 0, 0, 0, 0, 0, 0]].concat();
        let file = jpeg(Some((1, &exif)));
        let decoded = codec::decode_for_engine(&file, Scale::Whole, &Budget::default()).unwrap();
        let Picture::Planar(planes) = &decoded.picture else { panic!("no planes") };
        assert_eq!((planes.width(), planes.height()), (61, 47));
        assert_eq!(decoded.orientation, Orientation::from_exif(number).unwrap());
        let (got, plain) = (upright(decoded, &engines), codec::decode(&file, &Budget::default()).unwrap());
        assert_eq!((got.width(), got.height()), (plain.width(), plain.height()));
        assert!(psnr(got.data(), plain.data()) > 35.0, "{number}: {} dB", psnr(got.data(), plain.data()));
        // The control: turned another way it is another picture.
        if let Some(other) = seen.iter().find(|other: &&Pixmap| other.width() == plain.width()) {
            assert!(psnr(other.data(), plain.data()) < 30.0, "{number}");
        }
        seen.push(plain);
    }
}

#[test]
fn a_profile_that_moves_colours_is_applied_before() {
    let profile = |profile: moxcms::ColorProfile| {
        jpeg(Some((2, &[&b"ICC_PROFILE\0\x01\x01"[..], &profile.encode().unwrap()].concat())))
    };
    let file = profile(moxcms::ColorProfile::new_display_p3());
    let decoded = codec::decode_for_engine(&file, Scale::Whole, &Budget::default()).unwrap();
    assert_eq!(decoded.picture, Picture::Packed(codec::decode(&file, &Budget::default()).unwrap()));
    let file = profile(moxcms::ColorProfile::new_srgb());
    let decoded = codec::decode_for_engine(&file, Scale::Whole, &Budget::default()).unwrap();
    assert!(matches!(decoded.picture, Picture::Planar(_)), "sRGB moves nothing");
}

#[test]
fn damage_is_for_the_library_to_judge() {
    let file = jpeg(None);
    for cut in [file.len() / 2, file.len() - 2] {
        let cut = file.get(..cut).unwrap();
        let plain = codec::decode(cut, &Budget::default());
        let decoded = codec::decode_for_engine(cut, Scale::Whole, &Budget::default());
        assert_eq!(decoded.map(|decoded| decoded.picture), plain.map(Picture::Packed));
    }
    let late = Budget { deadline: Some(std::time::Instant::now()), ..Budget::default() };
    assert_eq!(codec::decode_for_engine(&file, Scale::Whole, &late), Err(CodecError::TimedOut));
}

/// Luma and blue in one scan, red in another: the library decoder takes it for another picture and says nothing.
#[test]
fn scans_of_some_components_are_the_picture_that_scans_of_one_are() {
    let picture = |wanted: &str| {
        let (_, path) = corpus::files("formats").into_iter().find(|(name, _)| name == wanted)?;
        Some(codec::decode(&std::fs::read(path).unwrap(), &Budget::default()).unwrap())
    };
    let some = picture("jt_flower_small.q85_420_partially_interleaved.jpg");
    let one = picture("jt_flower_small.q85_444_non_interleaved.jpg");
    let (Some(some), Some(one)) = (some, one) else { return };
    assert!(psnr(some.data(), one.data()) > 30.0, "{} dB", psnr(some.data(), one.data()));
}
