//! A user asks for AVIF, which takes its time: in time, too late, and never.

use std::time::{Duration, Instant};

use glimt::{codec::Effort, config::Config};
use image::{ImageFormat, RgbImage};

use crate::{
    app::App,
    client::{Answer, sniffed},
    pictures::{self, decoded, encoded, half_invisible, jpeg, looks_like, photo, png, seen},
};

/// Waits for every AVIF, however long it takes.
fn patient(config: &mut Config) {
    config.avif_budget = Duration::from_secs(300);
    config.encoders.avif.effort = Effort::Fast;
}

/// Waits for none.
fn hasty(config: &mut Config) {
    config.avif_budget = Duration::ZERO;
}

/// A WebP in the place of an AVIF, for this reason.
#[track_caller]
fn is_instead(answer: &Answer, reason: &str) {
    answer.is(200);
    assert_eq!(answer.header("content-type"), "image/webp");
    assert_eq!(answer.header("x-glimt-fallback"), format!("avif; reason={reason}"));
    let storing = if reason == "size" { "public, max-age=3600" } else { "no-store" };
    assert_eq!(answer.header("cache-control"), storing);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    for validator in ["etag", "last-modified", "accept-ranges"] {
        assert!(!answer.has(validator), "{validator} is for the AVIF");
    }
}

/// The picture of a stored AVIF, by way of a PNG that the server makes of it.
async fn by_way_of_png(app: &App, avif: &[u8]) -> Vec<u8> {
    let uploaded = app.upload(avif).await;
    app.process("png", &uploaded.file, "").await.body.to_vec()
}

/// Asks until it is there.
async fn in_the_end(app: &App, file: &str, filters: &str) -> Answer {
    let until = Instant::now() + Duration::from_secs(300);
    loop {
        let answer = app.process("avif", file, filters).await;
        if answer.header("content-type") == "image/avif" {
            return answer;
        }
        assert!(Instant::now() < until, "it is never made");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_avif_in_time_is_a_variant_like_any_other() {
    let app = App::with(patient).await;
    let picture = photo(1, 300, 200);
    for source in [encoded(&picture.clone().into(), ImageFormat::Png), jpeg(1, 300, 200)] {
        let uploaded = app.upload(&source).await;
        let first = app.process("avif", &uploaded.file, "").await;
        first.is_image("image/avif");
        assert!(!first.has("x-glimt-fallback"));
        looks_like(&by_way_of_png(&app, &first.body).await, &picture, 28.0);
        let again = app.process("avif", &uploaded.file, "").await;
        assert_eq!((again.header("etag"), &again.body), (first.header("etag"), &first.body));
        let path = format!("/image/process.avif?src={}", uploaded.file);
        app.get_with(&path, &[("if-none-match", first.header("etag"))]).await.is(304);
        let low = app.process("avif", &uploaded.file, "quality=20").await;
        low.is_image("image/avif");
        assert!(low.body.len() < first.body.len());
    }
    app.stop().await;
}

#[tokio::test]
async fn alpha_is_kept_and_an_animation_stands_still() {
    let app = App::with(patient).await;
    let uploaded = app.upload(&encoded(&half_invisible(64), ImageFormat::Png)).await;
    let avif = app.process("avif", &uploaded.file, "thumbnail=32").await;
    avif.is_image("image/avif");
    let picture = decoded(&by_way_of_png(&app, &avif.body).await).into_rgba8();
    assert_eq!(picture.dimensions(), (32, 32));
    let (left, right) = (picture.get_pixel(3, 16).0, picture.get_pixel(28, 16).0);
    assert!(left[3] > 250 && left[2] > 170 && right[3] < 5, "{left:?} {right:?}");
    let animation = pictures::animated_gif(&[[250, 10, 10], [10, 250, 10]], 40, 20);
    let uploaded = app.upload(&animation).await;
    let avif = app.process("avif", &uploaded.file, "").await;
    let [r, g, _] = seen(&by_way_of_png(&app, &avif.body).await).get_pixel(10, 5).0;
    assert!(r > 220 && g < 40, "not the first frame");
    app.stop().await;
}

#[tokio::test]
async fn one_that_is_late_is_a_webp_now_and_an_avif_in_the_end() {
    let app = App::with(hasty).await;
    let uploaded = app.upload(&jpeg(1, 320, 240)).await;
    let now = app.process("avif", &uploaded.file, "thumbnail=200&quality=60").await;
    is_instead(&now, "time");
    assert_eq!(sniffed(&now.body), Some("image/webp"));
    // The WebP is the one that anybody gets who asks for it.
    let webp = app.process("webp", &uploaded.file, "thumbnail=200&quality=60").await;
    assert_eq!(webp.body, now.body);
    let path = format!("/image/process.avif?src={}&thumbnail=200&quality=60", uploaded.file);
    let head = app.send("HEAD", &path).await;
    head.is(200);
    assert!(head.body.is_empty());
    let then = in_the_end(&app, &uploaded.file, "thumbnail=200&quality=60").await;
    then.is_image("image/avif");
    assert!(!then.has("x-glimt-fallback"));
    // One AVIF and one WebP, however often it was asked for.
    app.stored().keeps(2).await;
    // Its row is there a moment before the job has ended.
    let until = Instant::now() + Duration::from_secs(10);
    let metrics = loop {
        let metrics = String::from_utf8(app.get("/metrics").await.body.to_vec()).unwrap();
        if metrics.contains("glimt_avif_jobs 0") {
            break metrics;
        }
        assert!(Instant::now() < until, "{metrics}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(!metrics.contains("glimt_avif_fallbacks_total{reason=\"time\"} 0"), "{metrics}");
    app.stop().await;
}

#[tokio::test]
async fn the_webp_in_place_of_a_still_avif_stands_still() {
    let app = App::with(hasty).await;
    let uploaded = app.upload(&pictures::animated_gif(&[[250, 10, 10], [10, 250, 10]], 40, 20)).await;
    let now = app.process("avif", &uploaded.file, "").await;
    is_instead(&now, "time");
    let moves = |body: &[u8]| body.windows(4).any(|name| name == b"ANMF");
    assert!(!moves(&now.body));
    assert!(moves(&app.process("webp", &uploaded.file, "").await.body), "the control");
    in_the_end(&app, &uploaded.file, "").await;
    app.stop().await;
}

#[tokio::test]
async fn one_that_would_be_too_large_is_never_begun() {
    let app = App::with(hasty).await;
    let large = RgbImage::from_pixel(3840, 2161, image::Rgb([10, 120, 240]));
    let uploaded = app.upload(&encoded(&large.into(), ImageFormat::Png)).await;
    let answer = app.process("avif", &uploaded.file, "").await;
    is_instead(&answer, "size");
    let metrics = String::from_utf8(app.get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("glimt_avif_jobs 0"), "{metrics}");
    in_the_end(&app, &uploaded.file, "thumbnail=64").await;
    app.stop().await;
}

#[tokio::test]
async fn one_that_no_webp_could_stand_in_for_is_waited_for() {
    let app = App::with(hasty).await;
    let long = RgbImage::from_pixel(16_384, 2, image::Rgb([10, 120, 240]));
    let uploaded = app.upload(&encoded(&long.into(), ImageFormat::Png)).await;
    app.process("avif", &uploaded.file, "").await.is_image("image/avif");
    app.get(&format!("/image/process.webp?src={}", uploaded.file)).await.error(400);
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_the_picture_or_the_request_is_told_as_for_any_format() {
    let app = App::with(patient).await;
    let uploaded = app.upload(&png(1, 40, 30)).await;
    for query in ["thumbnail=abc", "quality=0"] {
        app.get(&format!("/image/process.avif?src={}&{query}", uploaded.file)).await.error(400);
    }
    app.get("/image/process.avif?src=aaaaaaaaaa.png").await.error(404);
    app.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_what_nobody_waits_for() {
    let app = App::with(hasty).await;
    let uploaded = app.upload(&jpeg(1, 1200, 900)).await;
    is_instead(&app.process("avif", &uploaded.file, "").await, "time");
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    let app = App::on(data, patient).await;
    app.process("avif", &uploaded.file, "").await.is_image("image/avif");
    app.stop_with(&[uploaded]).await;
}
