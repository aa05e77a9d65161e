//! What becomes of each format that comes in, with `--format` and without.

use glimt::domain::OutputFormat;
use image::{DynamicImage, ImageFormat};

use crate::{
    app::App,
    client::{is_alias, sniffed},
    pictures::{self, decoded, encoded, half_invisible, jpeg_of, looks_like, metadata, photo, seen},
};

#[tokio::test]
async fn without_a_format_no_pixel_of_ours_is_encoded_again() {
    let app = App::start().await;
    let picture = photo(1, 48, 32);
    let simple = encoded(&picture.clone().into(), ImageFormat::WebP);
    let gif = pictures::animated_gif(&[[200, 0, 0], [0, 200, 0]], 12, 9);
    for laden in [
        metadata::laden_jpeg(&picture, 1),
        metadata::laden_png(&picture, 1),
        metadata::laden_webp(&simple, (48, 32), 1),
        metadata::laden_webp(&pictures::webp_lossy(&picture), (48, 32), 1),
        metadata::laden_gif(&gif),
    ] {
        let uploaded = app.upload(&laden).await;
        let served = app.original(&uploaded.file).await.body;
        assert!(served.len() < laden.len(), "no metadata went");
        assert_eq!(decoded(&served), decoded(&laden), "{}: pixels changed", uploaded.file);
    }
    app.stop().await;
}

#[tokio::test]
async fn with_a_format_every_upload_is_converted_to_it() {
    for (format, media_type) in
        [(OutputFormat::Jpg, "image/jpeg"), (OutputFormat::Png, "image/png"), (OutputFormat::Webp, "image/webp")]
    {
        let app = App::with(|config| config.format = Some(format)).await;
        let picture = photo(1, 80, 60);
        let sources = [
            jpeg_of(&picture),
            encoded(&picture.clone().into(), ImageFormat::Png),
            encoded(&picture.clone().into(), ImageFormat::WebP),
            pictures::webp_lossy(&picture),
            encoded(&picture.clone().into(), ImageFormat::Bmp),
        ];
        for source in sources {
            let uploaded = app.upload(&source).await;
            assert!(is_alias(&uploaded.file, format.format().extension()), "{}", uploaded.file);
            let answer = app.original(&uploaded.file).await;
            answer.is_image(media_type);
            looks_like(&answer.body, &picture, 28.0);
        }
        for file in app.stored().originals() {
            assert_eq!(file.extension().unwrap(), format.format().extension());
            assert_eq!(sniffed(&std::fs::read(file).unwrap()), Some(media_type));
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn a_converted_picture_stands_upright_and_is_flattened_on_white_for_jpeg() {
    let app = App::with(|config| config.format = Some(OutputFormat::Jpg)).await;
    let picture = photo(1, 80, 60);
    let turned = app.upload(&metadata::turned_jpeg(&picture, 6)).await;
    let served = app.original(&turned.file).await.body;
    assert_eq!(seen(&served).dimensions(), (60, 80));
    assert!(pictures::psnr(&seen(&served), &image::imageops::rotate90(&picture)) > 28.0);
    let see_through = app.upload(&encoded(&half_invisible(32), ImageFormat::Png)).await;
    let flat = decoded(&app.original(&see_through.file).await.body).into_rgb8();
    assert!(flat.get_pixel(28, 16).0.iter().all(|value| *value > 245), "{:?}", flat.get_pixel(28, 16));
    app.stop().await;
}

#[tokio::test]
async fn the_same_bytes_under_another_format_are_another_picture() {
    let picture = encoded(&photo(1, 80, 60).into(), ImageFormat::Png);
    let app = App::start().await;
    let plain = app.upload(&picture).await;
    let data = app.stop_keeping(std::slice::from_ref(&plain)).await;
    let app = App::on(data, |config| config.format = Some(OutputFormat::Webp)).await;
    let converted = app.upload(&picture).await;
    app.original(&plain.file).await.is_image("image/png");
    app.original(&converted.file).await.is_image("image/webp");
    let again = app.upload(&picture).await;
    assert!(is_alias(&again.file, "webp"));
    assert_eq!(app.stored().originals().len(), 2);
    app.stop_with(&[plain, converted, again]).await;
}

#[tokio::test]
async fn formats_that_no_browser_shows_become_one_of_ours() {
    let app = App::start().await;
    let picture = photo(1, 40, 30);
    for format in [ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Ico, ImageFormat::Qoi, ImageFormat::Pnm] {
        let whole: DynamicImage = picture.clone().into();
        // A PNG inside an ICO must have alpha.
        let whole = if format == ImageFormat::Ico { whole.into_rgba8().into() } else { whole };
        let uploaded = app.upload(&encoded(&whole, format)).await;
        let answer = app.original(&uploaded.file).await;
        let media_type = sniffed(&answer.body).unwrap_or_else(|| panic!("{format:?} is served as it is"));
        answer.is_image(media_type);
        assert_eq!(decoded(&answer.body).into_rgb8(), picture, "{format:?}: nothing need be lost");
    }
    let see_through = half_invisible(20);
    for format in [ImageFormat::Tiff, ImageFormat::Qoi, ImageFormat::Ico] {
        let uploaded = app.upload(&encoded(&see_through, format)).await;
        let served = decoded(&app.original(&uploaded.file).await.body).into_rgba8();
        assert_eq!((served.get_pixel(2, 2)[3], served.get_pixel(17, 2)[3]), (255, 0), "{format:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn odd_sizes_go_in_and_out() {
    let app = App::start().await;
    for (width, height) in [(1, 1), (1, 300), (300, 1), (7, 13), (255, 2), (257, 3)] {
        let picture = photo(1, width, height);
        let whole: DynamicImage = picture.clone().into();
        for source in [
            jpeg_of(&picture),
            encoded(&whole, ImageFormat::Png),
            encoded(&whole, ImageFormat::WebP),
            encoded(&whole, ImageFormat::Gif),
        ] {
            let uploaded = app.upload(&source).await;
            for ext in ["jpg", "png", "webp"] {
                let answer = app.process(ext, &uploaded.file, "blur=1.5&thumbnail=200").await;
                let longest = width.max(height).min(200);
                assert_eq!(decoded(&answer.body).width().max(decoded(&answer.body).height()), longest);
            }
        }
    }
    app.stop().await;
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")).join(name)).unwrap()
}

#[tokio::test]
async fn an_avif_is_kept_but_for_its_metadata_and_has_thumbnails() {
    let app = App::start().await;
    let laden = file("avif/secrets.avif");
    assert!(metadata::contains(&laden, b"SECRET"), "the control");
    let uploaded = app.upload(&laden).await;
    assert!(is_alias(&uploaded.file, "avif"), "{}", uploaded.file);
    let answer = app.original(&uploaded.file).await;
    answer.is_image("image/avif");
    assert!(!metadata::contains(&answer.body, b"SECRET"));
    assert_eq!(&answer.body[4..12], b"ftypavif");
    let want = decoded(&file("avif/secrets.png")).into_rgb8();
    for ext in ["jpg", "png", "webp"] {
        let answer = app.process(ext, &uploaded.file, "thumbnail=30").await;
        answer.is_image(OutputFormat::from_extension(ext).unwrap().media_type());
        let got = decoded(&answer.body).into_rgb8();
        assert_eq!(got.dimensions(), (30, 23), "{ext}");
        let small = image::imageops::resize(&want, 30, 23, image::imageops::FilterType::Lanczos3);
        assert!(pictures::psnr(&got, &small) > 24.0, "{ext}: {:.1} dB", pictures::psnr(&got, &small));
        assert!(pictures::psnr(&got, &image::imageops::rotate180(&small)) < 20.0, "{ext}: the control");
    }
    app.stop().await;
}

/// Browsers do not show it.
#[tokio::test]
async fn a_jpeg_xl_becomes_the_nearest_of_what_is_served() {
    let app = App::start().await;
    for (name, extension, media_type) in
        [("lossless_8", "png", "image/png"), ("lossy_8", "jpg", "image/jpeg"), ("alpha_lossy", "webp", "image/webp")]
    {
        let uploaded = app.upload(&file(&format!("jxl/{name}.jxl"))).await;
        assert!(is_alias(&uploaded.file, extension), "{name}: {}", uploaded.file);
        let answer = app.original(&uploaded.file).await;
        answer.is_image(media_type);
        let want = decoded(&file(&format!("jxl/{name}.png"))).into_rgb8();
        if extension != "webp" {
            looks_like(&answer.body, &want, 28.0);
        }
        assert_eq!(app.process("jpg", &uploaded.file, "thumbnail=30").await.status, 200, "{name}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_read_is_refused_by_name() {
    let app = App::start().await;
    for (bytes, name) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\0"[..], "HEIC"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "SVG"),
        (b"%PDF-1.7\n%%EOF", "PDF"),
    ] {
        // tests/features is about those that are read.
        if cfg!(feature = "svg") && name == "SVG" || cfg!(feature = "heic") && name == "HEIC" {
            continue;
        }
        let answer = app.post(crate::form::Form::files([bytes])).await;
        assert_eq!(answer.status, 400, "{name}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains(&format!("{name} is not supported")), "{text}");
    }
    app.stop().await;
}
