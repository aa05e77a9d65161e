//! The same scene in the colour spaces that cameras and printers use gives the same thumbnail.

#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "levels, rounded, within their range")]

use std::io::Cursor;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use moxcms::{ColorProfile, Layout, TransformOptions};

use crate::{
    app::App,
    pictures::{decoded, photo, psnr},
};

const WIDTH: u32 = 96;
const HEIGHT: u32 = 64;

/// A PNG with a profile.
fn png(pixels: &[u8], profile: &ColorProfile, colour: ExtendedColorType) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = PngEncoder::new(&mut file);
    encoder.set_icc_profile(profile.encode().unwrap()).unwrap();
    encoder.write_image(pixels, WIDTH, HEIGHT, colour).unwrap();
    file.into_inner()
}

/// The scene's numbers in this space.
fn seen_in(profile: &ColorProfile, scene: &[u8]) -> Vec<u8> {
    let mut pixels = vec![0; scene.len()];
    let srgb = ColorProfile::new_srgb();
    srgb.create_transform_8bit(Layout::Rgb, profile, Layout::Rgb, TransformOptions::default())
        .unwrap()
        .transform(scene, &mut pixels)
        .unwrap();
    pixels
}

fn light(signal: f64) -> f64 {
    if signal <= 0.040_45 { signal / 12.92 } else { ((signal + 0.055) / 1.055).powf(2.4) }
}

/// CIE Lab of an sRGB colour under D50 (ICC.1:2022, annexes A and E; matrix of IEC 61966-2-1 brought to D50 by Bradford).
fn lab([r, g, b]: [f64; 3]) -> [f64; 3] {
    let [r, g, b] = [r, g, b].map(light);
    let x = 0.436_074_7 * r + 0.385_064_9 * g + 0.143_080_4 * b;
    let y = 0.222_504_5 * r + 0.716_878_6 * g + 0.060_616_9 * b;
    let z = 0.013_932_2 * r + 0.097_104_5 * g + 0.714_173_3 * b;
    let f = |part: f64| if part > 0.008_856 { part.cbrt() } else { 7.787 * part + 16.0 / 116.0 };
    let (x, y, z) = (f(x / 0.9642), f(y), f(z / 0.8249));
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// A press whose inks are ideal, but that its black is no more than a third of the light: its profile (ICC.1:2022 section 10.10,
/// lut16Type) has 17 points an ink.
fn ink_profile() -> Vec<u8> {
    const POINTS: u16 = 17;
    let word = |value: f64| (value.round() as u16).to_be_bytes();
    let mut table = Vec::new();
    for mixture in 0..u32::from(POINTS).pow(4) {
        let ink = |power: u32| f64::from(mixture / u32::from(POINTS).pow(power) % u32::from(POINTS)) / 16.0;
        let [l, a, b] = lab([ink(3), ink(2), ink(1)].map(|colour| (1.0 - colour) * (1.0 - ink(0) / 3.0)));
        // Version 2 of the format: 0xFF00 is 100, and 0x8000 is 0.
        table.extend([word(l * 652.8), word((a + 128.0) * 256.0), word((b + 128.0) * 256.0)].concat());
    }
    let ramp = [0_u16, u16::MAX].map(u16::to_be_bytes).concat();
    let identity = [1_i32 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 16].map(i32::to_be_bytes).concat();
    let head = [&b"mft2\0\0\0\0\x04\x03\x11\0"[..], &identity, &[0, 2, 0, 2]].concat();
    let lut = [head, ramp.repeat(4), table, ramp.repeat(3)].concat();
    let white = [0xF6D6_u32, 0x1_0000, 0xD32D].map(u32::to_be_bytes).concat();
    let tags = 128 + 4 + 2 * 12;
    let directory = [
        &2_u32.to_be_bytes()[..],
        b"wtpt",
        &u32::to_be_bytes(tags),
        &u32::to_be_bytes(20),
        b"A2B0",
        &u32::to_be_bytes(tags + 20),
        &u32::try_from(lut.len()).unwrap().to_be_bytes(),
    ]
    .concat();
    let mut header = vec![0; 128];
    let size = u32::try_from(128 + directory.len() + 20 + lut.len()).unwrap();
    header[0..4].copy_from_slice(&size.to_be_bytes());
    header[8..12].copy_from_slice(&0x0220_0000_u32.to_be_bytes());
    header[12..24].copy_from_slice(b"prtrCMYKLab ");
    header[36..40].copy_from_slice(b"acsp");
    header[68..80].copy_from_slice(&white);
    [header, directory, b"XYZ \0\0\0\0".to_vec(), white, lut].concat()
}

/// The scene in inks: half of what all three share is black, as far as that goes.
fn in_inks(scene: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 100);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
    encoder.add_icc_profile(&ink_profile()).unwrap();
    let inks: Vec<u8> = scene
        .chunks_exact(3)
        .flat_map(|pixel| {
            let colours = [pixel[0], pixel[1], pixel[2]].map(|level| f64::from(level) / 255.0);
            let brightest = colours.into_iter().fold(0.0, f64::max);
            let black = ((1.0 - brightest) * 1.5).min(1.0);
            let rest = 1.0 - black / 3.0;
            let [c, m, y] = colours.map(|colour| 1.0 - colour / rest);
            [c, m, y, black].map(|ink| (ink * 255.0).round() as u8)
        })
        .collect();
    encoder.encode(&inks, WIDTH as u16, HEIGHT as u16, jpeg_encoder::ColorType::Cmyk).unwrap();
    file
}

/// The mean difference of two pictures, in levels of 255.
fn mean(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len() as f64
}

#[tokio::test]
async fn the_same_picture_in_six_spaces_gives_the_same_thumbnail() {
    let app = App::start().await;
    // Inside of every gamut, or it could not come back.
    let scene: Vec<u8> = photo(1, WIDTH, HEIGHT).iter().map(|level| 40 + level / 2).collect();
    let grey: Vec<u8> = scene.chunks_exact(3).map(|pixel| pixel[1]).collect();
    let spaces = [
        ("AdobeRGB", ColorProfile::new_adobe_rgb()),
        ("Display P3", ColorProfile::new_display_p3()),
        ("ProPhoto", ColorProfile::new_pro_photo_rgb()),
    ];
    let mut files = vec![("inks", in_inks(&scene), None)];
    for (name, profile) in &spaces {
        let pixels = seen_in(profile, &scene);
        files.push((*name, png(&pixels, profile, ExtendedColorType::Rgb8), Some(pixels)));
    }
    let thumbnail = async |bytes: &[u8]| {
        let uploaded = app.upload(bytes).await;
        let answer = app.process("png", &uploaded.file, "thumbnail=48").await;
        decoded(&answer.body).into_rgb8()
    };
    let srgb = ColorProfile::new_srgb();
    let want = thumbnail(&png(&scene, &srgb, ExtendedColorType::Rgb8)).await;
    for (name, file, numbers) in files {
        let got = thumbnail(&file).await;
        let off = mean(&got, &want);
        println!("{name}: {off:.2} of 255, {:.1} dB", psnr(&got, &want));
        assert!(off <= 2.0, "{name}: {off:.2}");
        // The control: the same numbers without their profile.
        if let Some(numbers) = numbers {
            let unconverted = mean(&thumbnail(&png(&numbers, &srgb, ExtendedColorType::Rgb8)).await, &want);
            assert!(unconverted > 2.0, "{name}: {unconverted:.2} without its profile");
        }
    }
    // Grey, against the grey picture: with the curve of a gamma of 1.0 and of 2.2, of which the one looks quite another.
    let want = thumbnail(&png(&grey, &srgb, ExtendedColorType::L8)).await;
    for gamma in [1.0_f32, 1.8, 2.2] {
        let numbers: Vec<u8> = grey
            .iter()
            .map(|&level| (light(f64::from(level) / 255.0).powf(1.0 / f64::from(gamma)) * 255.0).round() as u8)
            .collect();
        let profile = ColorProfile::new_gray_with_gamma(gamma);
        let off = mean(&thumbnail(&png(&numbers, &profile, ExtendedColorType::L8)).await, &want);
        println!("grey with gamma {gamma}: {off:.2} of 255");
        assert!(off <= 2.0, "{gamma}: {off:.2}");
        let unconverted = mean(&thumbnail(&png(&numbers, &srgb, ExtendedColorType::L8)).await, &want);
        assert!(unconverted > 2.0 || gamma > 2.0, "{gamma}: the control: {unconverted:.2}");
    }
    app.stop().await;
}
