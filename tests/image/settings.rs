//! Every setting of the encoders, read by decoders that are not their own.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{Cursor, Write as _};
use std::process::{Command, Stdio};

use glimt::codec::{self, Budget, Chroma, Effort, Encoders, Quality, Scale, Settings};
use glimt::domain::OutputFormat;
use glimt::pixels::{Layout, Picture, Pixmap};
use image::ImageReader;

use crate::corpus::{psnr, test_picture};

const EFFORTS: [Effort; 3] = [Effort::Fast, Effort::Balanced, Effort::Small];
const CHROMAS: [Chroma; 3] = [Chroma::Auto, Chroma::Quarter, Chroma::Full];

fn jpeg(picture: &Pixmap, settings: Settings) -> Vec<u8> {
    codec::encode(picture, OutputFormat::Jpg, settings).unwrap()
}

fn settings(effort: Effort, chroma: Chroma) -> Settings {
    Settings { quality: Quality::new(90), effort, chroma }
}

/// By zune-jpeg.
fn read_back(file: &[u8]) -> Vec<u8> {
    ImageReader::new(Cursor::new(file)).with_guessed_format().unwrap().decode().unwrap().to_rgb8().into_raw()
}

/// By ImageMagick, which has libjpeg; `None` where it is not installed, or is of another name.
fn by_libjpeg(file: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new("convert");
    command.args(["jpg:-", "-depth", "8", "rgb:-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    child.stdin.take().unwrap().write_all(file).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "ImageMagick does not read it");
    Some(output.stdout)
}

/// The sampling factors of the three components, from the frame header.
fn factors(file: &[u8]) -> [u8; 3] {
    let frame = file.windows(2).position(|pair| matches!(pair, [0xFF, 0xC0 | 0xC2])).unwrap();
    // Length, precision, height, width, count, then id, factors and table of each component.
    [file[frame + 11], file[frame + 14], file[frame + 17]]
}

#[test]
fn every_jpeg_is_read_alike_by_every_decoder() {
    let mut seen_by_libjpeg = 0;
    for layout in [Layout::Rgb, Layout::Luma] {
        for (width, height) in [(203, 149), (1, 1), (7, 64), (17, 1), (16, 16), (15, 33)] {
            let picture = test_picture(width, height, layout);
            let wanted = match layout {
                Layout::Luma => picture.data().iter().flat_map(|&grey| [grey; 3]).collect(),
                Layout::LumaAlpha | Layout::Rgb | Layout::Rgba => picture.data().to_vec(),
            };
            for effort in EFFORTS {
                for chroma in CHROMAS {
                    let told = format!("{layout:?} {width}x{height} {effort:?} {chroma:?}");
                    let file = jpeg(&picture, settings(effort, chroma));
                    let by_library = read_back(&file);
                    assert!(psnr(&wanted, &by_library) > 27.0, "{told}: {} dB", psnr(&wanted, &by_library));
                    // Ours to planes, which takes it or says nothing; a file of our own it has to take.
                    let decoded = codec::decode_for_engine(&file, Scale::Whole, &Budget::default()).unwrap().picture;
                    if layout == Layout::Rgb {
                        let Picture::Planar(planes) = decoded else { panic!("{told}: not taken") };
                        let full = !planes.sampling().half_width;
                        assert!(chroma == Chroma::Auto || full == (chroma == Chroma::Full), "{told}");
                        let ours = planes.to_rgb().unwrap();
                        assert!(psnr(ours.data(), &by_library) > 40.0, "{told}: the two differ");
                    }
                    if let Some(by_libjpeg) = by_libjpeg(&file) {
                        let by_libjpeg: Vec<u8> = if by_libjpeg.len() * 3 == wanted.len() {
                            by_libjpeg.iter().flat_map(|&grey| [grey; 3]).collect()
                        } else {
                            by_libjpeg
                        };
                        assert!(psnr(&by_libjpeg, &by_library) > 40.0, "{told}: libjpeg reads another picture");
                        seen_by_libjpeg += 1;
                    }
                }
            }
        }
    }
    assert!(seen_by_libjpeg == 0 || seen_by_libjpeg == 2 * 6 * 9, "{seen_by_libjpeg}");
    if seen_by_libjpeg == 0 {
        eprintln!("skipped: no ImageMagick, zune-jpeg and our own decoder alone have judged");
    }
}

#[test]
fn effort_changes_how_a_jpeg_is_coded_and_not_how_it_looks() {
    let picture = test_picture(512, 384, Layout::Rgb);
    for chroma in [Chroma::Quarter, Chroma::Full] {
        let files = EFFORTS.map(|effort| jpeg(&picture, settings(effort, chroma)));
        assert_eq!(files[0], files[1], "the picture's own tables take no time worth saving");
        // Another transform, so some coefficients are rounded to the other side. What progressive coding saves of a photo it does not of
        // a drawn picture.
        let [balanced, small] = [&files[1], &files[2]].map(|file| psnr(picture.data(), &read_back(file)));
        assert!(balanced > small - 0.2 && small > balanced - 1.0, "{chroma:?}: {balanced} and {small} dB");
        let starts = |file: &[u8], marker| file.windows(2).any(|pair| pair == [0xFF, marker]);
        assert!(starts(&files[1], 0xC0) && starts(&files[2], 0xC2), "baseline, and progressive");
    }
}

/// The same by mozjpeg's encoder in Rust, without its trellis, with the tables of annex K and Huffman codes of its own.
fn by_mozjpeg(picture: &Pixmap, quality: u8, chroma: Chroma) -> Vec<u8> {
    use mozjpeg_rs::{Encoder, QuantTableIdx, Subsampling};
    let grey = picture.layout() == Layout::Luma;
    let sampling = match chroma {
        _ if grey => Subsampling::Gray,
        Chroma::Full => Subsampling::S444,
        Chroma::Auto | Chroma::Quarter => Subsampling::S420,
    };
    let encoder = Encoder::fastest()
        .quality(quality)
        .quant_tables(QuantTableIdx::JpegAnnexK)
        .subsampling(sampling)
        .optimize_huffman(true)
        .progressive(false);
    let (width, height) = (picture.width(), picture.height());
    if grey {
        encoder.encode_gray(picture.data(), width, height).unwrap()
    } else {
        encoder.encode_rgb(picture.data(), width, height).unwrap()
    }
}

/// Drawn pictures and, where they are, photos.
fn judged() -> Vec<Pixmap> {
    let mut pictures = vec![test_picture(512, 384, Layout::Rgb), test_picture(301, 203, Layout::Luma)];
    for (_, path) in crate::corpus::files("photos").into_iter().take(5) {
        let photo = codec::decode(&std::fs::read(path).unwrap(), &Budget::default()).unwrap();
        let size = glimt::pixels::Size::new(photo.width(), photo.height());
        let plan =
            glimt::pixels::Plan::new(&[glimt::pixels::Op::fit(400)], size, &glimt::pixels::PlanLimits::default());
        pictures.push(glimt::pixels::cpu::run(&plan.unwrap(), &photo).unwrap());
    }
    pictures
}

#[test]
fn a_jpeg_is_as_long_and_as_good_as_mozjpegs_at_every_quality() {
    let as_rgb = |picture: &Pixmap| match picture.layout() {
        Layout::Luma => picture.data().iter().flat_map(|&grey| [grey; 3]).collect(),
        Layout::LumaAlpha | Layout::Rgb | Layout::Rgba => picture.data().to_vec(),
    };
    let (mut most, mut worst) = (0.0_f64, 0.0_f64);
    for (picture, at) in judged().iter().zip(0..) {
        let wanted = as_rgb(picture);
        for quality in [1, 20, 50, 75, 80, 90, 95, 100] {
            for chroma in [Chroma::Quarter, Chroma::Full] {
                let settings = Settings { quality: Quality::new(quality), effort: Effort::Balanced, chroma };
                let (ours, theirs) = (jpeg(picture, settings), by_mozjpeg(picture, quality, chroma));
                let told = format!("picture {at}, quality {quality}, {chroma:?}");
                let tables = |file: &[u8]| {
                    let found = file.windows(2).enumerate().filter(|(_, pair)| *pair == [0xFF, 0xDB]);
                    found.map(|(at, _)| file[at + 4..at + 69].to_vec()).next().unwrap()
                };
                assert_eq!(tables(&ours), tables(&theirs), "{told}: the luma table");
                #[expect(clippy::cast_precision_loss, reason = "files are short")]
                let longer = ours.len() as f64 / theirs.len() as f64 - 1.0;
                // At quality 1 a file is mostly head: a few bytes of another table are a percent of it.
                let is_as_long = longer < 0.01 || ours.len() < theirs.len() + 20;
                assert!(is_as_long, "{told}: {} bytes against {}", ours.len(), theirs.len());
                // Over 55 dB a few samples are off by one, in a drawn picture that the other may have to the bit.
                let [ours, theirs] = [ours, theirs].map(|file| psnr(&wanted, &read_back(&file)).min(55.0));
                assert!(ours > theirs - 0.1, "{told}: {ours} dB against {theirs}");
                (most, worst) = (most.max(longer), worst.max(theirs - ours));
            }
        }
    }
    println!("longer by {most:.4} at most, worse by {worst:.3} dB at most");
    // The control: one step of quality is seen by both.
    let picture = test_picture(512, 384, Layout::Rgb);
    let (lower, higher) = (by_mozjpeg(&picture, 80, Chroma::Quarter), by_mozjpeg(&picture, 82, Chroma::Quarter));
    assert!(higher.len() * 100 > lower.len() * 101);
}

/// Noise at the best quality: every coefficient there is, more tokens than wait, bytes of 255.
#[test]
fn a_jpeg_of_noise_is_read_alike_by_every_decoder() {
    let mut state = 9_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    let (width, height) = (1604, 1411);
    let data: Vec<u8> = noise.take(width as usize * height as usize * 3).collect();
    let picture = Pixmap::new(width, height, Layout::Rgb, data).unwrap();
    let settings = Settings { quality: Quality::new(100), effort: Effort::Balanced, chroma: Chroma::Full };
    let file = jpeg(&picture, settings);
    let back = read_back(&file);
    assert!(psnr(picture.data(), &back) > 45.0, "{} dB", psnr(picture.data(), &back));
    let decoded = codec::decode_for_engine(&file, Scale::Whole, &Budget::default()).unwrap().picture;
    let Picture::Planar(planes) = decoded else { panic!("not taken") };
    assert!(psnr(planes.to_rgb().unwrap().data(), &back) > 50.0);
    if let Some(by_libjpeg) = by_libjpeg(&file) {
        assert!(psnr(&by_libjpeg, &back) > 50.0, "libjpeg reads another picture");
    }
}

#[test]
fn chroma_is_what_is_chosen_and_auto_looks_at_the_picture() {
    // Red letters, so to speak, and a sky.
    let lines: Vec<u8> = (0..64 * 64).flat_map(|at| if at % 64 % 9 == 4 { [220, 0, 0] } else { [255; 3] }).collect();
    let lines = Pixmap::new(64, 64, Layout::Rgb, lines).unwrap();
    let sky: Vec<u8> = (0..64 * 64).flat_map(|at: u32| [90, 140, u8::try_from(150 + at / 64).unwrap()]).collect();
    let sky = Pixmap::new(64, 64, Layout::Rgb, sky).unwrap();
    let (quarter, full) = ([0x22, 0x11, 0x11], [0x11, 0x11, 0x11]);
    for (picture, chroma, wanted) in [
        (&lines, Chroma::Auto, full),
        (&sky, Chroma::Auto, quarter),
        (&lines, Chroma::Quarter, quarter),
        (&sky, Chroma::Full, full),
    ] {
        assert_eq!(factors(&jpeg(picture, settings(Effort::Balanced, chroma))), wanted, "{chroma:?}");
    }
    let likeness = |chroma| psnr(lines.data(), &read_back(&jpeg(&lines, settings(Effort::Balanced, chroma))));
    assert!(likeness(Chroma::Full) > likeness(Chroma::Quarter) + 6.0, "it was needed");
}

#[test]
fn planes_become_the_jpeg_that_is_asked_for() {
    let source = jpeg(&test_picture(203, 149, Layout::Rgb), settings(Effort::Balanced, Chroma::Quarter));
    let picture = codec::decode_for_engine(&source, Scale::Whole, &Budget::default()).unwrap().picture;
    for (chroma, wanted) in [(Chroma::Quarter, 0x22), (Chroma::Auto, 0x22), (Chroma::Full, 0x11)] {
        let file = codec::encode_picture(&picture, OutputFormat::Jpg, settings(Effort::Balanced, chroma)).unwrap();
        assert_eq!(factors(&file)[0], wanted, "{chroma:?}");
        assert!(psnr(&read_back(&source), &read_back(&file)) > 34.0, "{chroma:?}");
    }
}

#[test]
fn lossless_formats_lose_nothing_at_any_effort() {
    for layout in [Layout::Rgba, Layout::Luma] {
        let picture = test_picture(203, 149, layout);
        let files = EFFORTS.map(|effort| {
            let file = codec::encode(&picture, OutputFormat::Png, settings(effort, Chroma::Auto)).unwrap();
            assert_eq!(codec::decode(&file, &Budget::default()).unwrap(), picture, "{layout:?} {effort:?}");
            file.len()
        });
        assert!(files[0] > files[1] && files[1] >= files[2], "{layout:?}: {files:?}");
        for effort in EFFORTS {
            let file = codec::encode(&picture, OutputFormat::Apng, settings(effort, Chroma::Auto)).unwrap();
            let back = ImageReader::new(Cursor::new(&file)).with_guessed_format().unwrap().decode().unwrap();
            let seen = match layout {
                Layout::Luma => back.to_luma8().into_raw(),
                Layout::LumaAlpha | Layout::Rgb | Layout::Rgba => back.to_rgba8().into_raw(),
            };
            assert_eq!(seen, picture.data(), "{layout:?} {effort:?}");
        }
    }
}

#[test]
fn webp_takes_its_effort() {
    let picture = test_picture(256, 192, Layout::Rgb);
    let files = EFFORTS.map(|effort| {
        let file = codec::encode(&picture, OutputFormat::Webp, settings(effort, Chroma::Auto)).unwrap();
        assert!(psnr(picture.data(), &read_back(&file)) > 27.0, "{effort:?}");
        file
    });
    assert!(files[0].len() > files[1].len() && files[1] != files[2]);
}

#[test]
fn what_nobody_chose_is_as_it_was() {
    let encoders = Encoders::default();
    for format in OutputFormat::ALL.into_iter().filter(|format| format.is_lossy()) {
        assert_eq!(encoders.of(format, None).quality, Quality::new(80), "{format:?}");
    }
    assert_eq!(encoders.of(OutputFormat::Png, None).effort, Effort::Fast);
}

/// By re_rav1d and our own arithmetic, which have nothing of rav1e.
fn avif_back(file: &[u8]) -> Pixmap {
    codec::decode(file, &Budget::default()).unwrap()
}

#[test]
fn every_avif_is_the_picture_at_every_setting() {
    for layout in [Layout::Rgb, Layout::Rgba, Layout::Luma, Layout::LumaAlpha] {
        for (width, height) in [(203, 149), (1, 1), (7, 64), (17, 1), (16, 16), (15, 33)] {
            let picture = test_picture(width, height, layout);
            for (effort, chroma) in
                [(Effort::Fast, Chroma::Auto), (Effort::Balanced, Chroma::Quarter), (Effort::Small, Chroma::Full)]
            {
                let told = format!("{layout:?} {width}x{height} {effort:?} {chroma:?}");
                let file = codec::encode(&picture, OutputFormat::Avif, settings(effort, chroma)).unwrap();
                let back = avif_back(&file);
                assert_eq!((back.width(), back.height()), (width, height), "{told}");
                let clear = layout.has_alpha() && rgba(&picture).iter().skip(3).step_by(4).any(|&alpha| alpha < 255);
                assert_eq!(back.layout().has_alpha(), clear, "{told}: alpha that says nothing is left out");
                let likeness = psnr(&rgba(&picture), &rgba(&back));
                assert!(likeness > 27.0, "{told}: {likeness} dB");
            }
        }
    }
}

/// Any layout as RGBA.
fn rgba(pixmap: &Pixmap) -> Vec<u8> {
    let pixels = pixmap.data().chunks_exact(pixmap.layout().channels());
    let pixels = pixels.flat_map(|pixel| match *pixel {
        [grey] => [grey, grey, grey, 255],
        [grey, alpha] => [grey, grey, grey, alpha],
        [r, g, b] => [r, g, b, 255],
        [r, g, b, alpha] => [r, g, b, alpha],
        _ => unreachable!("no layout"),
    });
    pixels.collect()
}

#[test]
fn avif_has_a_quality_an_effort_and_the_chroma_that_is_chosen() {
    let picture = test_picture(203, 149, Layout::Rgb);
    let made = |settings: Settings| codec::encode(&picture, OutputFormat::Avif, settings).unwrap();
    let at = |quality| made(Settings { quality: Quality::new(quality), ..Settings::default() }).len();
    assert!(at(30) < at(60) && at(60) < at(80) && at(80) < at(95));
    let [fast, balanced, small] = EFFORTS.map(|effort| made(settings(effort, Chroma::Quarter)).len());
    assert!(fast > balanced && fast > small, "{fast} {balanced} {small}");
    let lines: Vec<u8> = (0..64 * 64).flat_map(|at| if at % 64 % 9 == 4 { [220, 0, 0] } else { [255; 3] }).collect();
    let lines = Pixmap::new(64, 64, Layout::Rgb, lines).unwrap();
    let likeness = |chroma| {
        let file = codec::encode(&lines, OutputFormat::Avif, settings(Effort::Balanced, chroma)).unwrap();
        psnr(lines.data(), avif_back(&file).data())
    };
    assert!(likeness(Chroma::Full) > likeness(Chroma::Quarter) + 6.0, "it was needed");
    assert!((likeness(Chroma::Auto) - likeness(Chroma::Full)).abs() < 0.01, "and seen");
}

#[test]
fn planes_become_an_avif_as_they_are() {
    let source = jpeg(&test_picture(203, 149, Layout::Rgb), settings(Effort::Balanced, Chroma::Quarter));
    let picture = codec::decode_for_engine(&source, Scale::Whole, &Budget::default()).unwrap().picture;
    for chroma in CHROMAS {
        let file = codec::encode_picture(&picture, OutputFormat::Avif, settings(Effort::Fast, chroma)).unwrap();
        let likeness = psnr(&read_back(&source), avif_back(&file).data());
        assert!(likeness > 32.0, "{chroma:?}: {likeness} dB");
    }
}

/// ImageMagick's own decoders: libde265's and aom's relatives behind libheif.
#[test]
fn libheif_reads_the_same_picture() {
    for (layout, chroma) in [(Layout::Rgb, Chroma::Quarter), (Layout::Rgb, Chroma::Full), (Layout::Luma, Chroma::Auto)]
    {
        let file = codec::encode(&test_picture(203, 149, layout), OutputFormat::Avif, settings(Effort::Fast, chroma));
        let file = file.unwrap();
        let mut command = Command::new("convert");
        command.args(["avif:-", "-depth", "8", "-type", "TrueColor", "rgb:-"]);
        let Ok(mut child) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() else {
            eprintln!("skipped: no ImageMagick");
            return;
        };
        child.stdin.take().unwrap().write_all(&file).unwrap();
        let output = child.wait_with_output().unwrap();
        if String::from_utf8_lossy(&output.stderr).contains("no decode delegate") {
            eprintln!("skipped: an ImageMagick without AVIF");
            return;
        }
        let ours: Vec<u8> = rgba(&avif_back(&file)).chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        assert_eq!(output.stdout.len(), ours.len(), "{layout:?} {chroma:?}");
        assert!(psnr(&ours, &output.stdout) > 33.0, "{layout:?} {chroma:?}: {} dB", psnr(&ours, &output.stdout));
    }
}
