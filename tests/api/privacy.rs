//! A user's camera, home and name are nobody's business; how the picture looks is.

use image::{DynamicImage, ImageFormat, RgbImage, imageops};

use crate::{
    app::App,
    form::Form,
    pictures::{
        self, decoded, encoded,
        metadata::{self, SECRET, contains},
        photo, psnr, seen,
    },
};

#[tokio::test]
async fn nothing_that_identifies_anyone_is_stored() {
    let app = App::start().await;
    let picture = photo(1, 48, 32);
    let lossless = encoded(&picture.clone().into(), ImageFormat::WebP);
    let gif = pictures::animated_gif(&[[200, 0, 0], [0, 200, 0]], 12, 9);
    for (what, laden) in [
        ("jpeg", metadata::laden_jpeg(&picture, 1)),
        ("turned jpeg", metadata::laden_jpeg(&picture, 8)),
        ("png", metadata::laden_png(&picture, 1)),
        ("turned png", metadata::laden_png(&picture, 8)),
        ("lossless webp", metadata::laden_webp(&lossless, (48, 32), 1)),
        ("lossy webp", metadata::laden_webp(&pictures::webp_lossy(&picture), (48, 32), 3)),
        ("gif", metadata::laden_gif(&gif)),
    ] {
        assert!(contains(&laden, SECRET));
        let uploaded = app.upload(&laden).await;
        let served = app.original(&uploaded.file).await.body;
        assert!(!contains(&served, SECRET), "{what}: {:?}", String::from_utf8_lossy(&served));
        for marker in [&b"GPS"[..], b"xmpmeta", b"8BIM", b"MPF"] {
            assert!(!contains(&served, marker), "{what} still has {}", String::from_utf8_lossy(marker));
        }
    }
    for file in app.stored().originals() {
        assert!(!contains(&std::fs::read(&file).unwrap(), SECRET), "{file:?}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_hangs_on_after_the_end_of_a_picture_is_not_stored() {
    let app = App::start().await;
    let picture = photo(1, 48, 32);
    for (bytes, extension) in [
        (pictures::jpeg_of(&picture), "jpg"),
        (encoded(&picture.clone().into(), ImageFormat::Png), "png"),
        (encoded(&picture.clone().into(), ImageFormat::Gif), "gif"),
        (encoded(&picture.clone().into(), ImageFormat::WebP), "webp"),
    ] {
        // Motion photos keep a film there; others a zip.
        let trailed = [&bytes[..], b"ftypmp42 SECRET-FILM <script>alert(1)</script>"].concat();
        let answer = app.post(Form::new().file("a", &trailed)).await;
        if answer.status == 201 {
            let served = app.original(&answer.uploaded()[0].file).await.body;
            assert!(!contains(&served, SECRET), "{extension} keeps its trailer");
        } else {
            answer.error(400);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn the_colour_profile_stays_and_is_applied_in_variants() {
    let app = App::start().await;
    let picture = photo(1, 48, 32);
    let lossless = encoded(&picture.clone().into(), ImageFormat::WebP);
    for laden in [
        metadata::laden_jpeg(&picture, 1),
        metadata::laden_png(&picture, 1),
        metadata::laden_webp(&lossless, (48, 32), 1),
    ] {
        let uploaded = app.upload(&laden).await;
        let served = app.original(&uploaded.file).await.body;
        assert_eq!(profile_of(&served), Some(metadata::display_p3()), "{}", uploaded.file);
        // In sRGB the numbers are others: a variant without the profile must not have those of the original.
        let variant = app.process("png", &uploaded.file, "thumbnail=24").await.body;
        assert_eq!(profile_of(&variant), None);
        let variant = decoded(&variant).into_rgb8();
        let small = |picture: &RgbImage| imageops::resize(picture, 24, 16, imageops::FilterType::Lanczos3);
        let numbers = decoded(&served).into_rgb8();
        let (right, wrong) = (psnr(&variant, &small(&srgb_from_p3(&numbers))), psnr(&variant, &small(&numbers)));
        assert!(right > 32.0 && right > wrong + 3.0, "{}: {right:.1} dB right, {wrong:.1} dB wrong", uploaded.file);
    }
    app.stop().await;
}

/// The numbers in sRGB that show what these show in Display P3.
fn srgb_from_p3(picture: &RgbImage) -> RgbImage {
    use moxcms::{ColorProfile, Layout, TransformOptions};
    let (p3, srgb) = (ColorProfile::new_display_p3(), ColorProfile::new_srgb());
    let transform = p3.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, TransformOptions::default()).unwrap();
    let mut converted = picture.clone();
    transform.transform(picture, &mut converted).unwrap();
    converted
}

fn profile_of(bytes: &[u8]) -> Option<Vec<u8>> {
    use image::{ImageDecoder, ImageReader};
    let reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().unwrap();
    reader.into_decoder().unwrap().icc_profile().unwrap()
}

#[tokio::test]
async fn pictures_stand_upright_whichever_way_the_camera_was_held() {
    let app = App::start().await;
    let upright: DynamicImage = photo(1, 60, 40).into();
    for orientation in 1..=8_u16 {
        // What a camera held that way would have written: the inverse of what the tag asks for.
        let sensor = match orientation {
            1 => upright.clone(),
            2 => upright.fliph(),
            3 => upright.rotate180(),
            4 => upright.flipv(),
            5 => upright.rotate90().fliph(),
            6 => upright.rotate270(),
            7 => upright.rotate270().fliph(),
            _ => upright.rotate90(),
        };
        let sensor = sensor.into_rgb8();
        let (width, height) = sensor.dimensions();
        let lossless = encoded(&sensor.clone().into(), ImageFormat::WebP);
        for laden in [
            metadata::turned_jpeg(&sensor, orientation),
            metadata::laden_png(&sensor, orientation),
            metadata::laden_webp(&lossless, (width, height), orientation),
        ] {
            assert_eq!(seen(&laden).dimensions(), (60, 40), "the test's own picture, turned by {orientation}");
            let uploaded = app.upload(&laden).await;
            let served = seen(&app.original(&uploaded.file).await.body);
            assert_eq!(served, seen(&laden), "{} of orientation {orientation} looks different", uploaded.file);
            for (filters, size) in [("identity=true", (60, 40)), ("thumbnail=30", (30, 20))] {
                let variant = app.process("png", &uploaded.file, filters).await.body;
                let wanted = imageops::resize(&upright.to_rgb8(), size.0, size.1, imageops::FilterType::Lanczos3);
                let variant = seen(&variant);
                assert_eq!(variant.dimensions(), size, "{} of orientation {orientation}", uploaded.file);
                let got = psnr(&variant, &wanted);
                assert!(got > 18.0, "{} of orientation {orientation} lies: {got:.1} dB", uploaded.file);
                let wrong = psnr(&variant, &imageops::rotate180(&wanted));
                assert!(got > wrong + 4.0, "{orientation}: {got:.1} dB upright, {wrong:.1} dB upside down");
            }
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn variants_carry_no_metadata_either() {
    let app = App::start().await;
    let uploaded = app.upload(&metadata::laden_jpeg(&photo(1, 48, 32), 6)).await;
    for ext in ["jpg", "png", "webp"] {
        let variant = app.process(ext, &uploaded.file, "thumbnail=20").await.body;
        for marker in [SECRET, b"Exif", b"EXIF", b"xmpmeta"] {
            assert!(!contains(&variant, marker), "{ext} has {}", String::from_utf8_lossy(marker));
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn metadata_in_odd_places_goes_too() {
    let app = App::start().await;
    let picture = photo(1, 48, 32);
    let jpeg = pictures::jpeg_of(&picture);
    let (scan, end) = jpeg.split_at(jpeg.len() - 2);
    let comment = [&[0xff, 0xfe, 0, 16][..], b"SECRET-COMMENT"].concat();
    let png = encoded(&picture.clone().into(), ImageFormat::Png);
    let (chunks, iend) = png.split_at(png.len() - 12);
    let text = pictures::containers::png_chunk(b"tEXt", b"Author\0SECRET-AUTHOR");
    let gif = encoded(&picture.into(), ImageFormat::Gif);
    // Right after the header and its table of 256 colours, before the picture.
    let table_end = 13 + if gif[10] & 0x80 == 0 { 0 } else { 3 << ((gif[10] & 7) + 1) };
    let (head, frames) = gif.split_at(table_end);
    for (what, laden) in [
        ("a comment between a JPEG's scan and its end", [scan, &comment, end].concat()),
        ("a comment and fill bytes before a JPEG's end", [scan, &[0xff, 0xff], &comment[1..], end].concat()),
        ("text after a PNG's data", [chunks, &text, iend].concat()),
        ("a comment before a GIF's first picture", [head, &pictures::containers::gif_comment(SECRET), frames].concat()),
    ] {
        let _readable = decoded(&laden);
        let answer = app.post(Form::new().file("a", &laden)).await;
        assert_eq!(answer.status, 201, "{what}: {}", answer.shown());
        let served = app.original(&answer.uploaded()[0].file).await.body;
        assert!(!contains(&served, SECRET), "{what}");
        assert_eq!(decoded(&served), decoded(&laden), "{what}: pixels changed");
    }
    app.stop().await;
}
