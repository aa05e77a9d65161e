//! A page that wants to know what a picture looks like before it is there.

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;

use crate::{
    app::App,
    pictures::{animated_gif, encoded, half_invisible, jpeg, jpeg_of, png},
};

/// A picture whose left half is red, whose right half is blue.
fn halves() -> RgbImage {
    RgbImage::from_fn(200, 100, |x, _| if x < 120 { Rgb([220, 20, 30]) } else { Rgb([20, 40, 200]) })
}

fn is_near(colour: &Value, wanted: [u8; 3]) -> bool {
    let digits = colour.as_str().unwrap().strip_prefix('#').unwrap();
    let number = u32::from_str_radix(digits, 16).unwrap().to_be_bytes();
    number[1..].iter().zip(wanted).all(|(got, wanted)| got.abs_diff(wanted) < 16)
}

#[tokio::test]
async fn a_picture_is_described_whatever_its_format() {
    let app = App::start().await;
    let picture = halves();
    for (bytes, format, media_type) in [
        (jpeg_of(&picture), "jpg", "image/jpeg"),
        (encoded(&picture.clone().into(), ImageFormat::Png), "png", "image/png"),
        (encoded(&picture.clone().into(), ImageFormat::WebP), "webp", "image/webp"),
    ] {
        let uploaded = app.upload(&bytes).await;
        let path = format!("/image/details/original/{}", uploaded.file);
        let answer = app.get(&path).await;
        answer.is(200);
        let details = answer.json();
        for (key, value) in [
            ("width", Value::from(200)),
            ("height", Value::from(100)),
            ("frames", Value::from(1)),
            ("format", Value::from(format)),
            ("content_type", Value::from(media_type)),
            ("bytes", Value::from(app.original(&uploaded.file).await.body.len())),
            ("opaque", Value::from(true)),
        ] {
            assert_eq!(details[key], value, "{key} of {format}");
        }
        assert_eq!(details["blurhash"].as_str().unwrap().len(), 28);
        assert!(details["thumbhash"].as_str().unwrap().len() > 20);
        assert!(details["created_at"].as_str().unwrap().ends_with('Z'));
        assert!(is_near(&details["dominant_color"], [220, 20, 30]), "{details}");
        let palette = details["palette"].as_array().unwrap();
        assert!(palette.iter().any(|colour| is_near(colour, [20, 40, 200])) && palette.len() <= 6, "{details}");
        // Keys in alphabetical order, as everywhere.
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        let keys: Vec<usize> =
            ["\"blurhash\"", "\"bytes\"", "\"height\"", "\"width\""].map(|key| text.find(key).unwrap()).into();
        assert!(keys.is_sorted());
        // The same by its later path, and twice.
        assert_eq!(app.get(&format!("/image/details/original?alias={}", uploaded.file)).await.json(), details);
    }
    app.stop().await;
}

#[tokio::test]
async fn it_is_kept_over_a_restart_and_goes_with_the_picture() {
    let app = App::start().await;
    let uploaded = app.upload(&jpeg(4, 300, 200)).await;
    let path = format!("/image/details/original/{}", uploaded.file);
    let before = app.get(&path).await.json();
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    let app = App::on(data, |_| {}).await;
    assert_eq!(app.get(&path).await.json(), before);
    app.delete(&uploaded).await;
    app.get(&path).await.error(404);
    app.stop().await;
}

#[tokio::test]
async fn what_is_clear_and_what_moves_is_said() {
    let app = App::start().await;
    let clear = app.upload(&encoded(&half_invisible(64), ImageFormat::Png)).await;
    let details = app.get(&format!("/image/details/original/{}", clear.file)).await.json();
    assert_eq!(details["opaque"], false);
    let moving = app.upload(&animated_gif(&[[255, 0, 0], [0, 0, 255], [0, 255, 0]], 40, 30)).await;
    let details = app.get(&format!("/image/details/original/{}", moving.file)).await.json();
    assert_eq!((&details["frames"], &details["format"]), (&Value::from(3), &Value::from("gif")));
    assert!(is_near(&details["dominant_color"], [255, 0, 0]), "{details}");
    app.stop().await;
}

#[tokio::test]
async fn a_variant_is_described_once_it_was_made() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 300, 200)).await;
    let path = format!("/image/details/process.webp?src={}&cover=90x90", uploaded.file);
    let said = app.get(&path).await.error(404);
    assert!(said.contains("not made yet"), "{said}");
    let made = app.process("webp", &uploaded.file, "cover=90x90").await;
    let details = app.get(&path).await.json();
    for (key, value) in [
        ("width", Value::from(90)),
        ("height", Value::from(90)),
        ("bytes", Value::from(made.body.len())),
        ("format", Value::from("webp")),
        ("content_type", Value::from("image/webp")),
    ] {
        assert_eq!(details[key], value, "{key}");
    }
    app.get("/image/details/process.webp?cover=90x90").await.error(404);
    app.get("/image/details/process.xyz?src=nothere.png").await.error(404);
    app.get(&format!("/image/details/process.xyz?src={}", uploaded.file)).await.error(400);
    app.get("/image/details/other").await.error(404);
    app.get("/image/details/original").await.error(400);
    app.get("/image/details/original/nothere.png").await.error(404);
    app.stop().await;
}
