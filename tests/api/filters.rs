//! A user crops, turns and colours a picture, and says how the file is to come.

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, RgbaImage, imageops};

use crate::{
    app::App,
    client::Answer,
    pictures::{decoded, encoded, jpeg_of, looks_like, photo, png, psnr},
};

#[track_caller]
fn size(answer: &Answer) -> (u32, u32) {
    let picture = decoded(&answer.body);
    (picture.width(), picture.height())
}

#[tokio::test]
async fn sizes_are_those_that_were_asked_for() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 640, 400)).await;
    for (filters, wanted) in [
        ("resize=100", (100, 62)),
        ("resize=CatmullRom.100", (100, 62)),
        ("resize=Lanczos3.a16000", (160, 100)),
        ("fit=100x20", (32, 20)),
        ("fit=1000x1000", (640, 400)),
        ("cover=100x100", (100, 100)),
        ("cover=64x300", (64, 300)),
        ("cover=1000x100", (640, 100)),
        ("crop=1x1", (400, 400)),
        ("crop=16x9", (640, 360)),
        ("crop=1x4&thumbnail=100", (25, 100)),
        ("rotate=90", (400, 640)),
        ("rotate=-90&thumbnail=64", (40, 64)),
        ("flip=both&sharpen=1&grayscale=true", (640, 400)),
        ("thumbnail=50&dpr=2", (100, 62)),
        ("dpr=0.5&cover=100x100", (50, 50)),
    ] {
        let answer = app.process("png", &uploaded.file, filters).await;
        answer.is_image("image/png");
        assert_eq!(size(&answer), wanted, "{filters}");
    }
    app.stop().await;
}

/// A picture whose four quarters are of four colours.
fn quarters() -> RgbImage {
    RgbImage::from_fn(80, 60, |x, y| match (x < 40, y < 30) {
        (true, true) => Rgb([200, 30, 30]),
        (false, true) => Rgb([30, 200, 30]),
        (true, false) => Rgb([30, 30, 200]),
        (false, false) => Rgb([200, 200, 30]),
    })
}

#[tokio::test]
async fn turning_and_mirroring_go_the_way_that_they_say() {
    let app = App::start().await;
    let picture = quarters();
    let uploaded = app.upload(&encoded(&picture.clone().into(), ImageFormat::Png)).await;
    for (filters, wanted) in [
        ("rotate=90", imageops::rotate90(&picture)),
        ("rotate=180", imageops::rotate180(&picture)),
        ("rotate=270", imageops::rotate270(&picture)),
        ("flip=horizontal", imageops::flip_horizontal(&picture)),
        ("flip=vertical", imageops::flip_vertical(&picture)),
        ("flip=both", imageops::rotate180(&picture)),
        ("rotate=90&flip=horizontal", imageops::flip_horizontal(&imageops::rotate90(&picture))),
    ] {
        let answer = app.process("png", &uploaded.file, filters).await;
        assert_eq!(decoded(&answer.body).into_rgb8(), wanted, "{filters}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_crop_keeps_the_part_that_its_gravity_names() {
    let app = App::start().await;
    let picture = quarters();
    let uploaded = app.upload(&encoded(&picture.clone().into(), ImageFormat::Png)).await;
    let part = |x, y, width, height| imageops::crop_imm(&picture, x, y, width, height).to_image();
    for (filters, wanted) in [
        ("crop=1x1", part(10, 0, 60, 60)),
        ("crop=1x1&gravity=west", part(0, 0, 60, 60)),
        ("gravity=southeast&crop=1x1", part(20, 0, 60, 60)),
        ("crop=4x1.north", part(0, 0, 80, 20)),
        ("crop=4x1.south&gravity=north", part(0, 40, 80, 20)),
        ("cover=80x20&gravity=south", part(0, 40, 80, 20)),
        ("crop=1x1.east&crop=1x2.west", part(20, 0, 30, 60)),
    ] {
        let answer = app.process("png", &uploaded.file, filters).await;
        assert_eq!(decoded(&answer.body).into_rgb8(), wanted, "{filters}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_smart_crop_keeps_what_there_is_to_see() {
    let app = App::start().await;
    // A disc on plain ground, far from the middle; as PNG, which is looked at when somebody asks, and as JPEG, when it comes in.
    for left in [true, false] {
        let middle = if left { 70 } else { 530 };
        let picture = RgbImage::from_fn(600, 200, |x, y| {
            let far = x.abs_diff(middle).pow(2) + y.abs_diff(100).pow(2);
            if far < 2500 { Rgb([240, 80, 20]) } else { Rgb([120, 130, 140]) }
        });
        for source in [encoded(&picture.clone().into(), ImageFormat::Png), jpeg_of(&picture)] {
            let uploaded = app.upload(&source).await;
            for filters in
                ["crop=1x1&gravity=smart", "cover=100x100.smart", "grayscale=false&crop=1x1.smart&thumbnail=50"]
            {
                let answer = app.process("png", &uploaded.file, filters).await;
                answer.is_image("image/png");
                let seen = decoded(&answer.body).into_rgb8();
                let disc = seen.pixels().filter(|pixel| pixel[0] > 200 && pixel[2] < 80).count();
                let all = (seen.width() * seen.height()) as usize;
                // The disc has a fifth of that square.
                assert!(disc * 100 > all * 17, "{filters}: {disc} of {all}");
            }
            // Turned, it is found where it went.
            let answer = app.process("png", &uploaded.file, "rotate=90&crop=1x1.smart").await;
            let seen = decoded(&answer.body).into_rgb8();
            assert!(seen.pixels().filter(|pixel| pixel[0] > 200 && pixel[2] < 80).count() > 6800);
            // And the middle has none of it.
            let answer = app.process("png", &uploaded.file, "crop=1x1").await;
            assert!(decoded(&answer.body).into_rgb8().pixels().all(|pixel| pixel[0] < 200));
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn colours_change_as_css_has_it() {
    let app = App::start().await;
    let colour = [60, 120, 200];
    let picture = RgbImage::from_pixel(8, 8, Rgb(colour));
    let uploaded = app.upload(&encoded(&picture.into(), ImageFormat::Png)).await;
    for (filters, wanted) in [
        ("brightness=50", [90, 180, 255]),
        ("brightness=-100", [0, 0, 0]),
        ("contrast=-100", [128, 128, 128]),
        ("contrast=50", [26, 116, 236]),
        ("saturation=-100", [113, 113, 113]),
        ("saturation=0&brightness=0", colour),
        // Luminance of linear light.
        ("grayscale=true", [119, 119, 119]),
    ] {
        let answer = app.process("png", &uploaded.file, filters).await;
        let got = decoded(&answer.body).into_rgb8().get_pixel(3, 3).0;
        assert!(
            got.iter().zip(wanted).all(|(got, wanted)| got.abs_diff(wanted) <= 2),
            "{filters}: {got:?}, {wanted:?}"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn sharpening_widens_the_step_at_an_edge() {
    let app = App::start().await;
    let edge = RgbImage::from_fn(40, 20, |x, _| if x < 20 { Rgb([90; 3]) } else { Rgb([150; 3]) });
    let uploaded = app.upload(&encoded(&edge.into(), ImageFormat::Png)).await;
    let step = async |filters: &str| {
        let seen = decoded(&app.process("png", &uploaded.file, filters).await.body).into_luma8();
        i32::from(seen.get_pixel(20, 10)[0]) - i32::from(seen.get_pixel(19, 10)[0])
    };
    assert_eq!(step("identity=true").await, 60);
    let (some, more) = (step("sharpen=1.5x0.5").await, step("sharpen=1.5x2").await);
    assert!(some > 65 && more > some + 10, "{some} {more}");
    app.stop().await;
}

#[tokio::test]
async fn a_background_is_seen_through_what_is_clear() {
    let app = App::start().await;
    let clear = RgbaImage::from_fn(40, 20, |x, _| image::Rgba([200, 0, 0, if x < 20 { 255 } else { 0 }]));
    let uploaded = app.upload(&encoded(&DynamicImage::ImageRgba8(clear), ImageFormat::Png)).await;
    for extension in ["png", "jpg", "webp"] {
        let answer = app.process(extension, &uploaded.file, "background=0000ff").await;
        let seen = decoded(&answer.body);
        assert!(!seen.color().has_alpha() || seen.to_rgba8().pixels().all(|pixel| pixel[3] == 255));
        let seen = seen.into_rgb8();
        let [left, right] = [seen.get_pixel(5, 10).0, seen.get_pixel(35, 10).0];
        assert!(left[0] > 180 && left[2] < 40, "{extension}: {left:?}");
        assert!(right[0] < 40 && right[2] > 220, "{extension}: {right:?}");
    }
    let answer = app.process("png", &uploaded.file, "thumbnail=20").await;
    assert_eq!(decoded(&answer.body).into_rgba8().get_pixel(18, 5)[3], 0, "without one it stays clear");
    app.stop().await;
}

#[tokio::test]
async fn order_counts() {
    let app = App::start().await;
    let uploaded = app.upload(&png(3, 300, 200)).await;
    let sizes = [("crop=1x1&rotate=90&crop=2x1", (200, 100)), ("crop=2x1&rotate=90&crop=1x1", (150, 150))];
    for (filters, wanted) in sizes {
        assert_eq!(size(&app.process("png", &uploaded.file, filters).await), wanted, "{filters}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_value_that_cannot_be_is_told_with_one_that_can() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 30, 20)).await;
    for (filter, hint) in [
        ("resize=lanczos9.10", "lanczos3.256"),
        ("crop=16:9", "300x200"),
        ("cover=70000x1", "over the limit of 65535"),
        ("fit=x", "300x200"),
        ("sharpen=5", "over the limit of 4"),
        ("grayscale=yes", "true or false"),
        ("brightness=200", "-100 to 100"),
        ("rotate=45", "90, 180 or 270"),
        ("flip=x", "horizontal, vertical or both"),
        ("gravity=up", "smart, center, north"),
        ("background=red", "ffffff"),
        ("dpr=9", "0.25 to 8"),
        ("max_bytes=none", "bytes"),
        ("quality=good", "1 to 100"),
    ] {
        let said = app.get(&format!("/image/process.png?src={}&{filter}", uploaded.file)).await.error(400);
        let name = filter.split('=').next().unwrap();
        assert!(said.contains(name) && said.contains(hint), "{filter}: {said}");
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_in_the_whitelist_is_ignored() {
    let names = ["thumbnail", "crop"].map(str::to_owned);
    let app = App::with(|config| config.whitelist = Some(names.into())).await;
    let uploaded = app.upload(&png(1, 60, 40)).await;
    let answer =
        app.process("png", &uploaded.file, "rotate=90&crop=1x1&gravity=nowhere&dpr=2&thumbnail=10&flip=x").await;
    assert_eq!(size(&answer), (10, 10));
    app.stop().await;
}

#[tokio::test]
async fn a_file_comes_no_larger_than_it_may_and_as_good_as_it_must() {
    let app = App::start().await;
    let uploaded = app.upload(&png(2, 500, 400)).await;
    for extension in ["jpg", "webp"] {
        let usual = app.process(extension, &uploaded.file, "thumbnail=300").await.body.len();
        let small = app.process(extension, &uploaded.file, &format!("thumbnail=300&max_bytes={}", usual / 2)).await;
        assert!(small.body.len() <= usual / 2, "{extension}: {} of {usual}", small.body.len());
        let picture = decoded(&app.process("png", &uploaded.file, "thumbnail=300").await.body).into_rgb8();
        looks_like(&small.body, &picture, 22.0);
        let good = app.process(extension, &uploaded.file, "thumbnail=300&quality=auto").await;
        let (best, worst) = ("thumbnail=300&quality=95", "thumbnail=300&quality=20");
        let bounds = [
            app.process(extension, &uploaded.file, worst).await.body.len(),
            app.process(extension, &uploaded.file, best).await.body.len(),
        ];
        assert!(bounds[0] < good.body.len() && good.body.len() <= bounds[1], "{} {bounds:?}", good.body.len());
    }
    // A lossless format has no use for either, and makes no other variant.
    let [one, other] = [
        app.process("png", &uploaded.file, "thumbnail=30").await,
        app.process("png", &uploaded.file, "thumbnail=30&quality=auto&max_bytes=10").await,
    ];
    assert_eq!(one.header("etag"), other.header("etag"));
    assert!(psnr(&photo(1, 9, 9), &photo(1, 9, 9)).is_infinite());
    app.stop().await;
}
