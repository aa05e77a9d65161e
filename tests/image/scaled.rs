//! Thumbnails of JPEGs that are divided while they are decoded, against those of the whole picture, and against what comes of the
//! way that libjpeg-turbo divides.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::process::Command;

use glimt::codec::{self, Budget, Scale};
use glimt::pixels::{
    Anchor, Backend, Colour, EngineOptions, Engines, Form, Layout, Op, Orientation, Pixmap, Plan, PlanLimits, Rect,
    Size, Source, Stop, exec, plan,
};
use jpeg_encoder::{ColorType, SamplingFactor};

use crate::corpus::{self, psnr, test_picture};

fn cpu() -> Engines {
    Engines::start(Backend::Cpu, &EngineOptions::default()).unwrap()
}

/// A JPEG of the test picture.
fn jpeg(width: u16, height: u16, sampling: SamplingFactor) -> Vec<u8> {
    let picture = test_picture(width.into(), height.into(), Layout::Rgb);
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 90);
    encoder.set_sampling_factor(sampling);
    encoder.encode(picture.data(), width, height, ColorType::Rgb).unwrap();
    file
}

/// The thumbnail by way of a picture so divided, of which the size is what the whole one's would be.
fn thumbnail(file: &[u8], scale: Scale, side: u32, engines: &Engines) -> Pixmap {
    let decoded = codec::decode_for_engine(file, scale, &Budget::default()).unwrap();
    assert_eq!(decoded.scale, scale);
    let whole = Size::new(decoded.whole.0, decoded.whole.1);
    let plan = Plan::divided(&[Op::fit(side)], whole, scale.divisor(), &PlanLimits::default()).unwrap();
    assert_eq!(plan.output(), whole.fit(side));
    exec::run_all(&plan, Source::from(&decoded.picture), engines, &Stop::default())
        .unwrap()
        .pop()
        .unwrap()
        .into_pixmap()
        .unwrap()
}

/// libjpeg-turbo's divided picture.
fn djpeg(file: &[u8], scale: Scale) -> Pixmap {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.jpg");
    std::fs::write(&path, file).unwrap();
    let scale_option = format!("1/{}", scale.divisor());
    let output = Command::new("djpeg").args(["-ppm", "-scale", &scale_option]).arg(path).output().unwrap();
    codec::decode(&output.stdout, &Budget::default()).unwrap()
}

/// The thumbnail by way of libjpeg-turbo's divided picture.
fn by_libjpeg(file: &[u8], scale: Scale, side: u32, whole: Size, engines: &Engines) -> Pixmap {
    let picture = djpeg(file, scale);
    let plan = Plan::divided(&[Op::fit(side)], whole, scale.divisor(), &PlanLimits::default()).unwrap();
    exec::run(&plan, &picture, engines).unwrap()
}

fn has_djpeg() -> bool {
    let found = Command::new("djpeg").arg("-version").output().is_ok();
    assert!(found || std::env::var_os("REQUIRE_TOOLS").is_none(), "djpeg is required and not there");
    if !found {
        eprintln!("skipped: no djpeg");
    }
    found
}

/// Averaging squares of sRGB-encoded values is not averaging light, whoever does it; ours keeps what a square has of the lower
/// frequencies, and so comes nearer than libjpeg-turbo's, which takes means.
#[test]
fn divided_pictures_make_the_same_thumbnails_and_better_ones_than_libjpegs() {
    let engines = cpu();
    let has_djpeg = has_djpeg();
    let mut files = vec![("drawn".to_owned(), jpeg(1201, 903, SamplingFactor::F_2_2))];
    for (name, path) in corpus::files("photos") {
        let bytes = std::fs::read(path).unwrap();
        if bytes.len() < 2_700_000 {
            files.push((name, bytes));
        }
    }
    let (mut worst, mut won, mut sums) = ([f64::MAX; 3], 0, [[0.0; 2]; 3]);
    for (name, file) in &files {
        let (width, height) = codec::decode_for_engine(file, Scale::Whole, &Budget::default()).unwrap().whole;
        let whole = Size::new(width, height);
        for (scale, at) in [Scale::Half, Scale::Quarter, Scale::Eighth].into_iter().zip(0..) {
            // As large as may be made from it.
            let least = if scale == Scale::Half { 24 } else { 30 };
            let side = whole.width.max(whole.height) * 16 / least / scale.divisor();
            assert!(plan::divisor(&[Op::fit(side)], whole) >= scale.divisor(), "{name} {scale:?}");
            let wanted = thumbnail(file, Scale::Whole, side, &engines);
            let got = thumbnail(file, scale, side, &engines);
            let ours = psnr(got.data(), wanted.data());
            worst[at] = worst[at].min(ours);
            assert!(ours > [37.0, 36.0, 32.0][at], "{name} {scale:?}: {ours} dB");
            if has_djpeg {
                let theirs = by_libjpeg(file, scale, side, whole, &engines);
                let theirs = psnr(theirs.data(), wanted.data());
                won += usize::from(ours >= theirs - 0.05);
                sums[at] = [sums[at][0] + ours, sums[at][1] + theirs];
                // Chroma that is halved one way stays so; at an eighth libjpeg-turbo repeats it, which is luckier in one photo.
                assert!(ours > theirs - 1.5, "{name} {scale:?}: {ours} dB against {theirs}");
            }
        }
    }
    let mean = sums.map(|sums| sums.map(|sum: f64| sum / files.len() as f64));
    eprintln!(
        "{} files, at least {worst:.1?} dB; mean, ours and libjpeg's: {mean:.1?} dB; as good in {won}",
        files.len()
    );
}

/// Colours are converted at the size that the thumbnail is made from, turned or not.
#[test]
fn a_profile_is_applied_to_the_divided_picture() {
    let engines = cpu();
    let picture = test_picture(641, 483, Layout::Rgb);
    let file = |profile: Option<moxcms::ColorProfile>| {
        let mut file = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut file, 90);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        let exif = b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        encoder.add_app_segment(1, exif.to_vec()).unwrap();
        if let Some(profile) = profile {
            let body = [&b"ICC_PROFILE\0\x01\x01"[..], &profile.encode().unwrap()].concat();
            encoder.add_app_segment(2, body).unwrap();
        }
        encoder.encode(picture.data(), 641, 483, ColorType::Rgb).unwrap();
        file
    };
    let (wide, plain) = (file(Some(moxcms::ColorProfile::new_display_p3())), file(None));
    for scale in [Scale::Half, Scale::Quarter, Scale::Eighth] {
        let decoded = codec::decode_for_engine(&wide, scale, &Budget::default()).unwrap();
        assert_eq!((decoded.scale, decoded.whole), (scale, (641, 483)));
        assert_eq!(decoded.orientation, Orientation::from_exif(6).unwrap());
        let (width, height) = Source::from(&decoded.picture).size();
        assert_eq!(Size::new(width, height), Size::new(641, 483).divided(scale.divisor()));
        let (wanted, got) = (thumbnail(&wide, Scale::Whole, 40, &engines), thumbnail(&wide, scale, 40, &engines));
        let ours = psnr(got.data(), wanted.data());
        assert!(ours > 32.0, "{scale:?}: {ours} dB");
        // The control: unconverted.
        let other = psnr(thumbnail(&plain, scale, 40, &engines).data(), wanted.data());
        assert!(other < ours - 3.0, "{scale:?}: {other} dB without");
    }
    // By the definition: the whole conversion turned upright is what the plain decoder gives.
    let decoded = codec::decode_for_engine(&wide, Scale::Whole, &Budget::default()).unwrap();
    let ops = [Op::Orient(decoded.orientation)];
    let plan = Plan::new(&ops, Size::new(641, 483), &PlanLimits::default()).unwrap();
    let upright = exec::run(&plan, &decoded.picture.into_pixmap().unwrap(), &engines).unwrap();
    assert_eq!(upright, codec::decode(&wide, &Budget::default()).unwrap());
}

/// Chroma that lies under two or four samples of luma any way, against libjpeg-turbo's picture. It repeats chroma where ours is interpolated.
#[test]
fn samplings_that_are_rare_look_as_by_libjpeg() {
    use SamplingFactor::{F_1_2, F_1_4, F_2_1, F_2_4, F_4_1, F_4_2};
    if !has_djpeg() {
        return;
    }
    let engines = cpu();
    let whole = Size::new(643, 481);
    let mean = |a: &Pixmap, b: &Pixmap| {
        assert_eq!(a.data().len(), b.data().len());
        a.data().iter().zip(b.data()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.data().len() as f64
    };
    for sampling in [F_2_1, F_1_2, F_4_1, F_1_4, F_4_2, F_2_4] {
        let file = jpeg(643, 481, sampling);
        for scale in Scale::ALL {
            let decoded = codec::decode_for_engine(&file, scale, &Budget::default()).unwrap();
            assert_eq!(decoded.scale, scale, "{sampling:?}");
            let (ours, theirs) = (decoded.picture.into_pixmap().unwrap(), djpeg(&file, scale));
            let off = mean(&ours, &theirs);
            // At an eighth it repeats a mean of 32 columns or rows four times.
            let most = if scale == Scale::Eighth && matches!(sampling, F_4_1 | F_1_4) { 10.0 } else { 4.0 };
            assert!(off < most, "{sampling:?} {scale:?}: {off} in the mean");
            if scale != Scale::Whole {
                let side = 40;
                let wanted = thumbnail(&file, Scale::Whole, side, &engines);
                let ours = psnr(thumbnail(&file, scale, side, &engines).data(), wanted.data());
                let theirs = psnr(by_libjpeg(&file, scale, side, whole, &engines).data(), wanted.data());
                assert!(ours > 28.0 && ours > theirs - 1.5, "{sampling:?} {scale:?}: {ours} dB against {theirs}");
            }
            // The control: moved by a pixel.
            let mut moved = ours.data().to_vec();
            moved.rotate_right(3);
            let moved = Pixmap::new(ours.width(), ours.height(), Layout::Rgb, moved).unwrap();
            assert!(
                mean(&moved, &theirs) > off + 0.5,
                "{sampling:?} {scale:?}: {off}, moved {}",
                mean(&moved, &theirs)
            );
        }
    }
}

/// A blur of a picture so divided, as a JPEG is made of it.
fn blurred(file: &[u8], scale: Scale, sigma: f32, engines: &Engines) -> Pixmap {
    let decoded = codec::decode_for_engine(file, scale, &Budget::default()).unwrap();
    let whole = Size::new(decoded.whole.0, decoded.whole.1);
    let plan = Plan::divided(&[Op::Blur { sigma }], whole, decoded.scale.divisor(), &PlanLimits::default()).unwrap();
    assert_eq!(plan.output(), whole);
    let plan = plan.with_form(Form::Ycbcr420);
    let made = exec::run_all(&plan, Source::from(&decoded.picture), engines, &Stop::default()).unwrap();
    made.into_iter().next().unwrap().into_pixmap().unwrap()
}

/// What a blur needs is what is kept of a picture that is divided for it. Squares of texture are averaged in sRGB-encoded values, as
/// for thumbnails; the rest is the same.
#[test]
fn blurs_of_divided_pictures_are_those_of_the_whole() {
    let engines = cpu();
    let mut files = vec![
        ("drawn".to_owned(), jpeg(601, 403, SamplingFactor::F_2_2)),
        ("drawn, not halved".to_owned(), jpeg(600, 401, SamplingFactor::F_1_1)),
    ];
    for (name, path) in corpus::files("photos") {
        let bytes = std::fs::read(path).unwrap();
        if bytes.len() < 2_700_000 {
            files.push((name, bytes));
        }
    }
    for (sigma, scale) in [(3.0, Scale::Half), (5.0, Scale::Half), (20.0, Scale::Half)] {
        let (mut least, mut sum) = (f64::MAX, 0.0);
        for (name, file) in &files {
            let whole = codec::decode_for_engine(file, Scale::Whole, &Budget::default()).unwrap().whole;
            assert_eq!(plan::divisor(&[Op::Blur { sigma }], Size::new(whole.0, whole.1)), scale.divisor());
            let wanted = blurred(file, Scale::Whole, sigma, &engines);
            let got = blurred(file, scale, sigma, &engines);
            let likeness = psnr(got.data(), wanted.data());
            assert!(likeness > 40.0, "{name}, sigma {sigma}: {likeness} dB");
            if name == "drawn" {
                let other = psnr(blurred(file, scale, sigma * 1.15, &engines).data(), wanted.data());
                assert!(other < likeness - 2.0, "the control, another sigma than {sigma}: {other} dB, not {likeness}");
            }
            (least, sum) = (least.min(likeness), sum + likeness);
        }
        eprintln!("sigma {sigma}: {least:.1} dB at least, {:.1} in the mean", sum / files.len() as f64);
    }
}

/// A picture that ends within a square, at every size of the rest: the thumbnail is not moved.
#[test]
fn what_ends_within_a_square_ends_there() {
    let engines = cpu();
    for rest in 0..8 {
        let file = jpeg(640 + rest, 480 + (rest + 3) % 8, SamplingFactor::F_1_1);
        let wanted = thumbnail(&file, Scale::Whole, 40, &engines);
        let got = thumbnail(&file, Scale::Eighth, 40, &engines);
        let ours = psnr(got.data(), wanted.data());
        assert!(ours > 30.0, "{rest}: {ours} dB");
        // The control: as if it ended where its last sample does.
        let decoded = codec::decode_for_engine(&file, Scale::Eighth, &Budget::default()).unwrap();
        let divided = decoded.picture.into_pixmap().unwrap();
        let size = Size::new(divided.width(), divided.height());
        let plan = Plan::new(&[Op::fit(40)], size, &PlanLimits::default()).unwrap();
        let moved = exec::run(&plan, &divided, &engines).unwrap();
        if rest == 1 && (moved.width(), moved.height()) == (wanted.width(), wanted.height()) {
            assert!(psnr(moved.data(), wanted.data()) < ours - 1.0, "{}", psnr(moved.data(), wanted.data()));
        }
    }
}

/// A part of a picture that comes divided, which begins and ends between its samples, is where it is in the whole picture.
#[test]
fn a_part_is_cropped_where_it_is() {
    let engines = cpu();
    let limits = PlanLimits::default();
    let file = jpeg(1283, 967, SamplingFactor::F_1_1);
    let of = |scale: Scale, ops: &[Op]| {
        let decoded = codec::decode_for_engine(&file, scale, &Budget::default()).unwrap();
        let plan = Plan::divided(ops, Size::new(1283, 967), scale.divisor(), &limits).unwrap();
        let made = exec::run_all(&plan, Source::from(&decoded.picture), &engines, &Stop::default()).unwrap();
        made.into_iter().next().unwrap().into_pixmap().unwrap()
    };
    for exif in [1, 6, 7] {
        let turn = Op::Orient(Orientation::from_exif(exif).unwrap());
        for (x, y, width, height) in [(101, 53, 700, 701), (0, 0, 901, 601), (240, 13, 643, 699)] {
            let crop = |x, y| Op::Crop(Rect { x, y, size: Size::new(width, height) });
            let ops = [turn, crop(x, y), Op::fit(40)];
            assert_eq!(plan::divisor(&ops, Size::new(1283, 967)), 8);
            let (wanted, got) = (of(Scale::Whole, &ops), of(Scale::Eighth, &ops));
            assert_eq!((got.width(), got.height()), (wanted.width(), wanted.height()));
            let ours = psnr(got.data(), wanted.data());
            // The control: half of a sample further.
            let moved = psnr(of(Scale::Eighth, &[turn, crop(x + 4, y + 4), Op::fit(40)]).data(), wanted.data());
            eprintln!("{exif} {x} {y}: {ours:.1} dB, moved {moved:.1} dB");
            assert!(ours > 30.0 && moved < ours - 1.0, "{exif} {x} {y}: {ours} dB, moved {moved} dB");
        }
    }
}

#[test]
fn sizes_and_turns_are_those_of_the_whole_picture() {
    let limits = PlanLimits::default();
    for (width, height) in [(4001, 3003), (3000, 4000), (1999, 31), (641, 8)] {
        let whole = Size::new(width, height);
        for side in [16, 100, 255] {
            for exif in 1..=8 {
                let turn = Op::Orient(Orientation::from_exif(exif).unwrap());
                let crop = Op::CropAspect { aspect: Size::new(5, 3), at: Anchor { x: 9000, y: 50_000 } };
                for ops in [&[turn, Op::fit(side), Op::Blur { sigma: 2.0 }][..], &[turn, crop, Op::fit(side), crop][..]]
                {
                    let divisor = plan::divisor(ops, whole);
                    let plan = Plan::divided(ops, whole, divisor, &limits).unwrap();
                    assert_eq!(plan.source(), whole.divided(divisor));
                    let output = Plan::new(ops, whole, &limits).unwrap().output();
                    assert_eq!(plan.output(), output, "{whole} {side} {exif}");
                }
            }
        }
    }
}

#[test]
fn only_what_is_reduced_first_and_by_enough_is_divided() {
    let whole = Size::new(4032, 3024);
    let of = |side| plan::divisor(&[Op::fit(side)], whole);
    assert_eq!([64, 256, 268, 269, 512, 537, 538, 1344, 1345, 4032, 9999].map(of), [8, 8, 8, 4, 4, 4, 2, 2, 1, 1, 1]);
    // Two megapixels.
    assert_eq!(plan::divisor(&[Op::fit(512)], Size::new(1728, 1296)), 2);
    let saturation = Op::Colour(Colour::Saturation(2.0));
    for first in [saturation, Op::Sharpen { sigma: 1.0, amount: 1.0 }, Op::Blur { sigma: 1.0 }] {
        assert_eq!(plan::divisor(&[first, Op::fit(64)], whole), 1);
        assert!(Plan::divided(&[first, Op::fit(64)], whole, 8, &PlanLimits::default()).is_err());
    }
    // What is left of it counts, and a blur does not know where a part of it ends.
    let crop = Op::CropAspect { aspect: Size::new(1, 4), at: Anchor::CENTRE };
    let cropped = |side| plan::divisor(&[crop, Op::fit(side)], whole);
    assert_eq!([200, 201, 400, 500, 1000, 1008, 1009].map(cropped), [8, 8, 4, 2, 2, 2, 1]);
    assert_eq!(plan::divisor(&[crop, Op::Blur { sigma: 100.0 }], whole), 1);
    assert!(Plan::divided(&[crop, Op::Blur { sigma: 100.0 }], whole, 2, &PlanLimits::default()).is_err());
    let blurred = |sigma| plan::divisor(&[Op::Orient(Orientation::ROTATE_90), Op::Blur { sigma }, Op::fit(64)], whole);
    assert_eq!([0.0, 2.8, 3.0, 100.0].map(blurred), [1, 1, 2, 2]);
    assert_eq!(plan::divisor(&[], whole), 1);
    assert!(Plan::divided(&[], whole, 2, &PlanLimits::default()).is_err());
    assert!(Plan::divided(&[Op::fit(5000)], whole, 2, &PlanLimits::default()).is_err(), "nothing reduces it");
}
