//! Real photos, as a phone uploads them: thumbnails and a blur on both engines that need no graphics card, held
//! against a slow reference and against each other.

use std::fs;

use glimt::pixels::Backend;
use image::{RgbImage, imageops};

use crate::{
    app::App,
    hostile::corpus,
    pictures::{decoded, psnr, seen},
};

/// A thumbnail of the same pixels by two engines, before any lossy encoding.
const SAME_DB: f64 = 48.0;

/// A photo blurred by two engines, after the same lossy encoding.
const SAME_BLUR_DB: f64 = 42.0;

/// A thumbnail by linear light against one of sRGB values by another crate: alike, not equal.
const ALIKE_DB: f64 = 26.0;

/// The largest buffer that lavapipe lets a shader see. A blurred photo is four half floats a pixel there.
const SOFTWARE_BINDING_BYTES: u64 = 128 << 20;

const SIDES: [u32; 3] = [64, 256, 1024];

/// Fits inside a square by floor, as the contract has it.
fn fitted((width, height): (u32, u32), side: u32) -> (u32, u32) {
    let longest = width.max(height);
    if longest <= side {
        return (width, height);
    }
    let scaled = |length: u32| u32::try_from(u64::from(length) * u64::from(side) / u64::from(longest)).unwrap().max(1);
    (scaled(width), scaled(height))
}

#[test]
fn the_sizes_of_the_contract_are_worked_out_right() {
    assert_eq!(fitted((4032, 3024), 256), (256, 192));
    assert_eq!(fitted((640, 427), 100), (100, 66));
    assert_eq!(fitted((3, 1000), 10), (1, 10));
    assert_eq!(fitted((30, 20), 64), (30, 20));
}

/// The thumbnail that another crate makes, in sRGB values.
fn reference(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    use fast_image_resize::{PixelType, Resizer, images::Image};
    let source = Image::from_vec_u8(picture.width(), picture.height(), picture.to_vec(), PixelType::U8x3).unwrap();
    let mut thumbnail = Image::new(width, height, PixelType::U8x3);
    Resizer::new().resize(&source, &mut thumbnail, None).unwrap();
    RgbImage::from_raw(width, height, thumbnail.into_vec()).unwrap()
}

/// A server on this engine.
async fn on(backend: Backend) -> App {
    App::with(|config| config.backend = backend).await
}

/// Whether the software Vulkan adapter is there; where it is required, it must be.
pub(crate) fn has_adapter() -> bool {
    let drivers =
        ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"].into_iter().filter_map(|folder| fs::read_dir(folder).ok());
    let found = drivers.flatten().flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("lvp_icd"));
    assert!(found || std::env::var("REQUIRE_GPU").is_err(), "REQUIRE_GPU is set and there is no lavapipe");
    if !found {
        println!("skipped: no adapter");
    }
    found
}

/// What one engine makes of one photo: the thumbnails as PNG, and the blurred photo as JPEG.
async fn made(app: &App, bytes: &[u8]) -> (Vec<RgbImage>, RgbImage) {
    let uploaded = app.upload(bytes).await;
    let mut thumbnails = Vec::new();
    for side in SIDES {
        let answer = app.process("png", &uploaded.file, &format!("thumbnail={side}")).await;
        answer.is_image("image/png");
        thumbnails.push(decoded(&answer.body).into_rgb8());
    }
    let answer = app.process("jpg", &uploaded.file, "blur=3.0").await;
    answer.is_image("image/jpeg");
    (thumbnails, decoded(&answer.body).into_rgb8())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_photo_goes_in_and_comes_out_small_and_soft_the_same_on_both_engines() {
    let Some(photos) = corpus("photos") else { return };
    let cpu = on(Backend::Cpu).await;
    let software = if has_adapter() { Some(on(Backend::Software).await) } else { None };
    let mut before: Option<RgbImage> = None;
    let (mut jobs, mut oversized) = (0, 0);
    for photo in &photos {
        let name = photo.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(photo).unwrap();
        let upright = seen(&bytes);
        let (thumbnails, blurred) = made(&cpu, &bytes).await;
        assert_eq!(blurred.dimensions(), upright.dimensions(), "{name}");
        // A photo that is small enough already is encoded and nothing else.
        // A look at it when it comes in, and the blur.
        jobs += 2 + thumbnails.iter().map(|it| u64::from(it.dimensions() != upright.dimensions())).sum::<u64>();
        oversized += u64::from(u64::from(upright.width()) * u64::from(upright.height()) * 8 > SOFTWARE_BINDING_BYTES);
        for (thumbnail, side) in thumbnails.iter().zip(SIDES) {
            let (width, height) = fitted(upright.dimensions(), side);
            assert_eq!(thumbnail.dimensions(), (width, height), "{name}: thumbnail={side}");
            let reference = reference(&upright, width, height);
            let got = psnr(thumbnail, &reference);
            let wrong = psnr(thumbnail, &imageops::rotate180(&reference));
            assert!(got > ALIKE_DB && got > wrong + 5.0, "{name} at {side}: {got:.1} dB, upside down {wrong:.1} dB");
        }
        let softer = psnr(&blurred, &upright);
        assert!((15.0..60.0).contains(&softer), "{name}: blurred is {softer:.1} dB like the photo");

        let Some(software) = &software else { continue };
        let (others, other_blurred) = made(software, &bytes).await;
        for ((thumbnail, other), side) in thumbnails.iter().zip(&others).zip(SIDES) {
            let got = psnr(thumbnail, other);
            assert!(got >= SAME_DB, "{name} at {side}: the engines differ, {got:.1} dB");
            // The bound is one that a shift by one pixel misses.
            let shifted = imageops::crop_imm(other, 1, 0, other.width() - 1, other.height()).to_image();
            let kept = imageops::crop_imm(thumbnail, 0, 0, other.width() - 1, other.height()).to_image();
            assert!(psnr(&kept, &shifted) < SAME_DB, "{name} at {side}: the bound tells nothing");
        }
        let got = psnr(&blurred, &other_blurred);
        assert!(got >= SAME_BLUR_DB, "{name}: blurred, the engines differ, {got:.1} dB");
        // And one that another photo misses.
        if let Some(before) =
            before.replace(thumbnails[0].clone()).filter(|it| it.dimensions() == thumbnails[0].dimensions())
        {
            assert!(psnr(&before, &thumbnails[0]) < ALIKE_DB, "{name}: the bound does not tell photos apart");
        }
    }
    let stats = cpu.engines.stats();
    assert_eq!((stats.device, stats.cpu), (0, jobs), "{stats:?}");
    if let Some(software) = &software {
        // What the device could not do is done by the cpu engine, and proves nothing: none but the oversized may be.
        let stats = software.engines.stats();
        assert_eq!((stats.device + stats.cpu, stats.cpu), (jobs, stats.too_large), "{stats:?}");
        assert!(stats.too_large <= oversized && stats.rebuilds == 0, "{stats:?}, {oversized} oversized");
    }
    for app in software.into_iter().chain([cpu]) {
        assert_eq!(app.stored().originals().len(), photos.len());
        app.stored().keeps(photos.len() * 4).await;
        app.stop().await;
    }
}
