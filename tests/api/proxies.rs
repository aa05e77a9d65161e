//! Proxies: small variants are made from them and are what they would have been, and nothing that happens to one is ever seen.

use std::{fs, path::PathBuf};

use image::{DynamicImage, ImageFormat, RgbImage};

use crate::{
    app::{App, KEY},
    cache::counts_are_those_of_the_disk,
    client::{Answer, Uploaded},
    form::Form,
    metrics::scraped,
    pictures::{
        animated_gif, decoded, encoded, jpeg, jpeg_of,
        metadata::{display_p3, turned_jpeg},
        photo, png, psnr, seen, webp_lossy,
    },
    stored::{eventually, eventually_async},
};

async fn without() -> App {
    App::with(|config| config.proxy_size_px = 0).await
}

/// How often this became of a proxy.
async fn outcome(app: &App, name: &str) -> f64 {
    scraped(app).await[&format!("glimt_proxies_total{{outcome=\"{name}\"}}")]
}

/// Waits until there are so many proxies.
async fn until_there_are(app: &App, count: usize) -> Vec<PathBuf> {
    eventually(&format!("{count} proxies"), || app.stored().proxies().len() == count).await;
    // The row comes a moment after the file.
    eventually_async("their rows", async || outcome(app, "made").await >= count as f64).await;
    app.stored().proxies()
}

/// A server with one picture and its proxy.
async fn with_one(picture: &[u8]) -> (App, Uploaded, PathBuf) {
    let app = App::with_key().await;
    let uploaded = app.upload(picture).await;
    let proxy = until_there_are(&app, 1).await.remove(0);
    // What counts what an earlier run left would take a file that is deleted here for one of those that are lost.
    eventually_async("the count", async || scraped(&app).await["glimt_cache_counted"] == 1.0).await;
    (app, uploaded, proxy)
}

async fn thumbnail(app: &App, uploaded: &Uploaded, side: u32) -> Answer {
    app.process("jpg", &uploaded.file, &format!("thumbnail={side}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_from_a_proxy_is_the_same_to_the_bit_and_does_not_read_the_original() {
    let plain = without().await;
    for (at, orientation) in [(0_u32, 1), (1, 6), (2, 3)] {
        let picture = turned_jpeg(&photo(at, 2000, 1504), orientation);
        let (app, uploaded, _) = with_one(&picture).await;
        let other = plain.upload(&picture).await;
        let (original, away) = (app.stored().originals().remove(0), app.data().join("away"));
        fs::rename(&original, &away).unwrap();
        for (used, (ext, filters)) in
            [("jpg", "thumbnail=256"), ("webp", "thumbnail=256&blur=3.0"), ("png", "thumbnail=200")].iter().enumerate()
        {
            assert_eq!(outcome(&app, "used").await, used as f64);
            let proxied = app.process(ext, &uploaded.file, filters).await;
            let wanted = plain.process(ext, &other.file, filters).await;
            assert!(proxied.body == wanted.body, "{ext} {filters} of one turned by {orientation}");
        }
        // What is larger than half of it, or is not reduced first, needs the original.
        for filters in ["thumbnail=300", "blur=2.0&thumbnail=100", "blur=2.0", "identity=true"] {
            let answer = app.get(&format!("/image/process.webp?src={}&{filters}", uploaded.file)).await;
            assert_eq!(answer.status, 500, "{filters}");
        }
        fs::rename(&away, &original).unwrap();
        let proxied = thumbnail(&app, &uploaded, 300).await;
        assert!(proxied.body == thumbnail(&plain, &other, 300).await.body);
        assert_eq!(outcome(&app, "used").await, 3.0);
        app.stop_with(&[uploaded]).await;
    }
    assert!(plain.stored().proxies().is_empty());
    plain.stop().await;
}

/// What a proxy may change: less than a person sees, and at most half of what it would be to move the picture by one pixel, which is the
/// control. Drawn photos have come to 58 dB as PNG, and moved ones to 40, or 51 where they are grey and smooth.
fn is_as_good(got: &Answer, wanted: &Answer) {
    let (got, wanted) = (seen(&got.body), seen(&wanted.body));
    assert_eq!(got.dimensions(), wanted.dimensions());
    let (width, height) = wanted.dimensions();
    let moved = RgbImage::from_fn(width, height, |x, y| *wanted.get_pixel((x + 1).min(width - 1), y));
    let (likeness, control) = (psnr(&got, &wanted), psnr(&moved, &wanted));
    assert!(likeness > 50.0 && likeness > control + 6.0, "{likeness} dB, the control {control} dB");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_formats_get_theirs_with_the_first_variant_and_look_the_same() {
    let (app, plain) = (App::start().await, without().await);
    let picture = photo(3, 1600, 1203);
    let mut alpha = DynamicImage::from(picture.clone()).to_rgba8();
    alpha.enumerate_pixels_mut().for_each(|(x, _, pixel)| pixel[3] = if x < 700 { 255 } else { 90 });
    let files = [
        png(3, 1600, 1203),
        encoded(&alpha.into(), ImageFormat::Png),
        webp_lossy(&picture),
        encoded(&DynamicImage::from(picture.clone()).to_luma8().into(), ImageFormat::Png),
        encoded(&DynamicImage::from(picture).to_rgb8().into(), ImageFormat::Bmp),
    ];
    let mut live = Vec::new();
    for (file, count) in files.iter().zip(1..) {
        let (uploaded, other) = (app.upload(file).await, plain.upload(file).await);
        assert_eq!(app.stored().proxies().len(), count - 1, "none before it is worth something");
        let first = app.process("png", &uploaded.file, "thumbnail=256").await;
        is_as_good(&first, &plain.process("png", &other.file, "thumbnail=256").await);
        assert_eq!(decoded(&first.body).color(), {
            let whole = plain.process("png", &other.file, "thumbnail=256").await;
            decoded(&whole.body).color()
        });
        until_there_are(&app, count).await;
        let used = outcome(&app, "used").await;
        // PNG: a JPEG may be of fewer samples of colour on one side of a threshold and not on the other.
        let smaller = app.process("png", &uploaded.file, "thumbnail=90").await;
        is_as_good(&smaller, &plain.process("png", &other.file, "thumbnail=90").await);
        assert_eq!(outcome(&app, "used").await, used + 1.0);
        live.push(uploaded);
    }
    app.stop_with(&live).await;
    plain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_of_a_profile_are_those_without_a_proxy() {
    let plain = without().await;
    let mut picture = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut picture, 90);
    image::ImageEncoder::set_icc_profile(&mut encoder, display_p3()).unwrap();
    encoder.encode_image(&photo(4, 2000, 1500)).unwrap();
    let (app, uploaded, _) = with_one(&picture).await;
    let other = plain.upload(&picture).await;
    let (proxied, whole) = (thumbnail(&app, &uploaded, 256).await, thumbnail(&plain, &other, 256).await);
    assert_eq!(outcome(&app, "used").await, 1.0);
    is_as_good(&proxied, &whole);
    // The control: the profile does ask for something.
    let without_profile = plain.upload(&jpeg(4, 2000, 1500)).await;
    let bare = thumbnail(&plain, &without_profile, 256).await;
    assert!(psnr(&seen(&bare.body), &seen(&whole.body)) < 35.0);
    app.stop_with(&[uploaded]).await;
    plain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_pictures_and_animations_have_none() {
    let app = App::start().await;
    let mut live = Vec::new();
    for file in [jpeg(1, 1800, 1200), png(1, 1400, 900), animated_gif(&[[9, 9, 9], [200, 0, 0]], 1600, 20)] {
        let uploaded = app.upload(&file).await;
        thumbnail(&app, &uploaded, 100).await;
        live.push(uploaded);
    }
    let large = app.upload(&jpeg(2, 1920, 1200)).await;
    until_there_are(&app, 1).await;
    assert_eq!(scraped(&app).await["glimt_stored_files{class=\"proxies\"}"], 1.0);
    live.push(large);
    app.stop_with(&live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_stays_as_long_as_its_original_and_goes_with_it() {
    let (app, first, proxy) = with_one(&jpeg(1, 2000, 1500)).await;
    let second = app.upload(&jpeg(1, 2000, 1500)).await;
    let third = app.upload(&jpeg(2, 2000, 1500)).await;
    until_there_are(&app, 2).await;
    assert!(proxy.starts_with(app.data().join("proxies")));
    thumbnail(&app, &first, 100).await;
    app.keyed(KEY, "DELETE", "/internal/variants").await.is(204);
    eventually("the variants to go", || app.stored().variants().is_empty()).await;
    app.delete(&first).await;
    counts_are_those_of_the_disk(&app).await;
    assert_eq!(app.stored().proxies().len(), 2, "the other alias has it, and it is no variant");
    app.delete(&second).await;
    eventually("the proxy to go", || !proxy.try_exists().unwrap()).await;
    assert_eq!(app.stored().proxies().len(), 1);
    app.keyed(KEY, "POST", &format!("/internal/purge?alias={}", third.file)).await.is(200);
    eventually("the other to go", || app.stored().proxies().is_empty()).await;
    counts_are_those_of_the_disk(&app).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_lost_or_damaged_is_made_again_and_never_seen() {
    let (app, uploaded, proxy) = with_one(&jpeg(1, 2000, 1500)).await;
    let whole = fs::read(&proxy).unwrap();
    let wanted = thumbnail(&app, &uploaded, 256).await;
    let made_again = async |name: &str, before: f64| {
        app.keyed(KEY, "DELETE", "/internal/variants").await.is(204);
        let made = outcome(&app, "made").await;
        let answer = thumbnail(&app, &uploaded, 256).await;
        assert!(answer.body == wanted.body, "{name}");
        assert_eq!(outcome(&app, name).await, before + 1.0);
        eventually_async("it to be made again", async || outcome(&app, "made").await == made + 1.0).await;
        assert!(fs::read(&proxy).unwrap() == whole);
    };
    fs::remove_file(&proxy).unwrap();
    made_again("lost", 0.0).await;
    let mut flipped = whole.clone();
    flipped[5000] ^= 1;
    for (broken, before) in [&flipped, &whole[..whole.len() - 1], &[]].into_iter().zip([0.0, 1.0, 2.0]) {
        fs::write(&proxy, broken).unwrap();
        made_again("damaged", before).await;
    }
    app.stop_with(&[uploaded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_them_and_what_does_not_fit_goes() {
    let (app, first, kept) = with_one(&jpeg(1, 2000, 1500)).await;
    let second = app.upload(&jpeg(2, 2000, 1500)).await;
    let lost = until_there_are(&app, 2).await.into_iter().find(|path| *path != kept).unwrap();
    let live = [first.clone(), second.clone()];
    let data = app.stop_keeping(&live).await;
    fs::remove_file(&lost).unwrap();
    // Of a picture that nobody has.
    let foreign = data.path().join(format!("proxies/ab/ab/{}.proxy", "ab".repeat(32)));
    fs::create_dir_all(foreign.parent().unwrap()).unwrap();
    fs::copy(&kept, &foreign).unwrap();
    let app = App::on(data, |_| {}).await;
    eventually("the one of nothing to go", || !foreign.try_exists().unwrap()).await;
    counts_are_those_of_the_disk(&app).await;
    thumbnail(&app, &first, 256).await;
    assert_eq!(outcome(&app, "used").await, 1.0);
    thumbnail(&app, &second, 256).await;
    assert_eq!((outcome(&app, "used").await, outcome(&app, "lost").await), (1.0, 0.0), "its row went at the start");
    eventually("it to be made", || lost.try_exists().unwrap()).await;
    app.stop_with(&live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_row_is_lost_goes_at_start() {
    let (app, uploaded, proxy) = with_one(&jpeg(1, 2000, 1500)).await;
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    // Rows of proxies are not in the journal.
    fs::remove_dir_all(data.path().join("meta")).unwrap();
    let app = App::on(data, |_| {}).await;
    eventually("it to go", || !proxy.try_exists().unwrap()).await;
    thumbnail(&app, &uploaded, 256).await;
    until_there_are(&app, 1).await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_size_makes_other_ones_and_none_deletes_them() {
    let (app, uploaded, proxy) = with_one(&jpeg(1, 2000, 1500)).await;
    let small = fs::metadata(&proxy).unwrap().len();
    let live = std::slice::from_ref(&uploaded);
    let data = app.stop_keeping(live).await;
    let app = App::on(data, |config| config.proxy_size_px = 256).await;
    thumbnail(&app, &uploaded, 256).await;
    assert_eq!(outcome(&app, "unfit").await, 0.0, "too large for such a proxy");
    thumbnail(&app, &uploaded, 128).await;
    assert_eq!((outcome(&app, "unfit").await, outcome(&app, "used").await), (1.0, 0.0));
    until_there_are(&app, 1).await;
    assert!(fs::metadata(&proxy).unwrap().len() < small / 3);
    thumbnail(&app, &uploaded, 127).await;
    assert_eq!(outcome(&app, "used").await, 1.0);
    let data = app.stop_keeping(live).await;
    let app = App::on(data, |config| config.proxy_size_px = 0).await;
    eventually("it to go", || app.stored().proxies().is_empty()).await;
    thumbnail(&app, &uploaded, 126).await;
    counts_are_those_of_the_disk(&app).await;
    let data = app.stop_keeping(live).await;
    let app = App::on(data, |_| {}).await;
    thumbnail(&app, &uploaded, 125).await;
    assert_eq!(outcome(&app, "lost").await, 0.0, "the row had gone with the file");
    until_there_are(&app, 1).await;
    app.stop_with(live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_on_trust_get_theirs_with_the_first_variant() {
    let app = App::with(|config| {
        config.api_key = Some(KEY.into());
        config.skip_validate_imports = true;
    })
    .await;
    let picture = jpeg(1, 2000, 1500);
    let imported = app.import(KEY, Form::new().file("a.jpg", &picture)).await.uploaded().remove(0);
    assert!(app.stored().proxies().is_empty());
    thumbnail(&app, &imported, 256).await;
    until_there_are(&app, 1).await;
    thumbnail(&app, &imported, 255).await;
    assert_eq!(outcome(&app, "used").await, 1.0);
    app.stop_with(&[imported]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_none_can_be_stored_everything_else_goes_on() {
    let app = App::start().await;
    fs::write(app.data().join("proxies"), b"in the way").unwrap();
    let uploaded = app.upload(&jpeg_of(&photo(1, 2000, 1500))).await;
    eventually_async("the failure", async || outcome(&app, "failed").await == 1.0).await;
    thumbnail(&app, &uploaded, 256).await;
    eventually_async("another", async || outcome(&app, "failed").await == 2.0).await;
    fs::remove_file(app.data().join("proxies")).unwrap();
    thumbnail(&app, &uploaded, 255).await;
    until_there_are(&app, 1).await;
    app.stop_with(&[uploaded]).await;
}
