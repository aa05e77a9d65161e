//! Every setting of the encoders, read by decoders that are not their own.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{Cursor, Write as _};
use std::process::{Command, Stdio};

use glimt::codec::{self, Budget, Chroma, Effort, Encoders, Quality, Settings};
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
                _ => picture.data().to_vec(),
            };
            for effort in EFFORTS {
                for chroma in CHROMAS {
                    let told = format!("{layout:?} {width}x{height} {effort:?} {chroma:?}");
                    let file = jpeg(&picture, settings(effort, chroma));
                    let by_library = read_back(&file);
                    assert!(psnr(&wanted, &by_library) > 27.0, "{told}: {} dB", psnr(&wanted, &by_library));
                    // Ours to planes, which takes it or says nothing; a file of our own it has to take.
                    let decoded = codec::decode_for_engine(&file, &Budget::default()).unwrap().picture;
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
fn effort_makes_a_jpeg_smaller_and_no_worse() {
    let picture = test_picture(512, 384, Layout::Rgb);
    for chroma in [Chroma::Quarter, Chroma::Full] {
        let files = EFFORTS.map(|effort| jpeg(&picture, settings(effort, chroma)));
        assert!(files[0].len() > files[1].len(), "the picture's own tables save nothing");
        let [fast, balanced, small] = files.each_ref().map(|file| read_back(file));
        assert_eq!(fast, balanced, "{chroma:?}");
        assert_eq!(fast, small, "{chroma:?}");
        let starts = |file: &[u8], marker| file.windows(2).any(|pair| pair == [0xFF, marker]);
        assert!(starts(&files[1], 0xC0) && starts(&files[2], 0xC2), "baseline, and progressive");
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
    let picture = codec::decode_for_engine(&source, &Budget::default()).unwrap().picture;
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
                _ => back.to_rgba8().into_raw(),
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
