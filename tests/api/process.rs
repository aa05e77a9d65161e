//! A user asks for a picture in another size, softness or format.

use image::{DynamicImage, ImageFormat, RgbImage, imageops};

use crate::{
    app::App,
    client::Answer,
    pictures::{self, decoded, encoded, half_invisible, jpeg, looks_like, photo, png, psnr},
};

#[track_caller]
fn size(answer: &Answer) -> (u32, u32) {
    let picture = decoded(&answer.body);
    (picture.width(), picture.height())
}

#[tokio::test]
async fn a_thumbnail_fits_a_square_by_floor_and_is_never_enlarged() {
    let app = App::start().await;
    for ((width, height), thumbnails) in [
        (
            (640, 427),
            &[("100", (100, 66)), ("639", (639, 426)), ("640", (640, 427)), ("641", (640, 427)), ("1", (1, 1))][..],
        ),
        ((427, 640), &[("100", (66, 100)), ("99", (66, 99))]),
        ((300, 200), &[("99999999999999999999", (300, 200)), ("0100", (100, 66)), ("2", (2, 1))]),
        ((1000, 3), &[("10", (10, 1)), ("333", (333, 1)), ("999", (999, 2))]),
        ((3, 1000), &[("10", (1, 10))]),
        ((1, 1), &[("1", (1, 1)), ("256", (1, 1))]),
        ((257, 257), &[("256", (256, 256)), ("255", (255, 255))]),
    ] {
        let uploaded = app.upload(&png(1, width, height)).await;
        for (side, wanted) in thumbnails {
            let answer = app.process("png", &uploaded.file, &format!("thumbnail={side}")).await;
            answer.is_image("image/png");
            assert_eq!(size(&answer), *wanted, "thumbnail={side} of {width}x{height}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_thumbnail_shows_the_same_picture() {
    let app = App::start().await;
    let picture = photo(1, 400, 300);
    let uploaded = app.upload(&encoded(&picture.clone().into(), ImageFormat::Png)).await;
    let wanted = imageops::resize(&picture, 100, 75, imageops::FilterType::Lanczos3);
    let answer = app.process("png", &uploaded.file, "thumbnail=100").await;
    looks_like(&answer.body, &wanted, 34.0);
    // The bound tells pictures apart: one pixel off is already too far.
    let shifted = RgbImage::from_fn(100, 75, |x, y| *wanted.get_pixel((x + 2).min(99), y));
    assert!(psnr(&decoded(&answer.body).into_rgb8(), &shifted) < 34.0);
    app.stop().await;
}

#[tokio::test]
async fn every_extension_is_what_is_really_sent_and_shows_the_same_picture() {
    let app = App::start().await;
    let picture = photo(1, 200, 150);
    let gif = encoded(&picture.clone().into(), ImageFormat::Gif);
    let sources = [
        pictures::jpeg_of(&picture),
        encoded(&picture.clone().into(), ImageFormat::Png),
        encoded(&picture.clone().into(), ImageFormat::WebP),
        pictures::webp_lossy(&picture),
        gif,
    ];
    let wanted = imageops::resize(&picture, 100, 75, imageops::FilterType::Lanczos3);
    for source in sources {
        let uploaded = app.upload(&source).await;
        for (ext, media_type) in
            [("jpg", "image/jpeg"), ("jpeg", "image/jpeg"), ("png", "image/png"), ("webp", "image/webp")]
        {
            let answer = app.process(ext, &uploaded.file, "thumbnail=100").await;
            answer.is_image(media_type);
            assert_eq!(size(&answer), (100, 75));
            // A GIF has 256 colours: that much is lost before we come.
            looks_like(&answer.body, &wanted, if uploaded.file.ends_with("gif") { 22.0 } else { 28.0 });
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn jpeg_is_another_word_for_jpg_and_no_second_variant() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 50, 40)).await;
    let (jpg, jpeg) = (
        app.process("jpg", &uploaded.file, "thumbnail=20").await,
        app.process("jpeg", &uploaded.file, "thumbnail=20").await,
    );
    assert_eq!((jpg.header("etag"), &jpg.body), (jpeg.header("etag"), &jpeg.body));
    app.stored().keeps(1).await;
    app.stop().await;
}

#[tokio::test]
async fn a_blur_softens_and_zero_or_less_changes_nothing() {
    let app = App::start().await;
    let mut checkers = RgbImage::new(64, 64);
    for (x, y, pixel) in checkers.enumerate_pixels_mut() {
        pixel.0 = if (x / 4 + y / 4) % 2 == 0 { [255; 3] } else { [0; 3] };
    }
    let uploaded = app.upload(&encoded(&checkers.clone().into(), ImageFormat::Png)).await;
    for filters in
        ["", "identity=true", "blur=0", "blur=0.0", "blur=-0", "blur=-1", "blur=-1e30", "identity=true&blur=-3"]
    {
        let answer = app.process("png", &uploaded.file, filters).await;
        assert_eq!(decoded(&answer.body).into_rgb8(), checkers, "{filters}");
    }
    assert!(app.stored().variants().len() <= 1, "what changes nothing is one picture");
    // Every sigma leaves less contrast than the one before, and about the mean of the light in the end.
    let mut contrast_before = 255;
    for sigma in ["0.5", "1", "2.0", "5", "1e1"] {
        let answer = app.process("png", &uploaded.file, &format!("blur={sigma}")).await;
        assert_eq!(size(&answer), (64, 64));
        let centre = imageops::crop_imm(&decoded(&answer.body).into_rgb8(), 24, 24, 16, 16).to_image();
        let (low, high) = centre
            .iter()
            .fold((255, 0), |(low, high), value| (value.min(&low).to_owned(), value.max(&high).to_owned()));
        let contrast = high - low;
        assert!(contrast <= contrast_before, "blur={sigma} has a contrast of {contrast}");
        contrast_before = contrast;
    }
    assert!(contrast_before < 8, "a wide blur leaves a contrast of {contrast_before}");
    app.stop().await;
}

#[tokio::test]
async fn filters_run_in_the_order_of_the_query() {
    let app = App::start().await;
    let stripes = RgbImage::from_fn(256, 192, |x, _| image::Rgb([if x / 16 % 2 == 0 { 255 } else { 0 }; 3]));
    let uploaded = app.upload(&encoded(&stripes.into(), ImageFormat::Png)).await;
    let first = app.process("png", &uploaded.file, "thumbnail=64&blur=3.0").await;
    let second = app.process("png", &uploaded.file, "blur=3.0&thumbnail=64").await;
    assert_eq!((size(&first), size(&second)), ((64, 48), (64, 48)));
    assert_ne!(first.body, second.body);
    assert_ne!(first.header("etag"), second.header("etag"));
    app.stored().keeps(2).await;
    // A blur of 3 pixels over stripes of 4 leaves little of them, over stripes of 16 nearly all.
    let contrast = |answer: &Answer| {
        let picture = decoded(&answer.body).into_luma8();
        let row: Vec<_> = (16..48).map(|x| picture.get_pixel(x, 24)[0]).collect();
        row.iter().max().unwrap() - row.iter().min().unwrap()
    };
    assert!(contrast(&first) < 60 && contrast(&second) > 200, "{} {}", contrast(&first), contrast(&second));
    app.stop().await;
}

#[tokio::test]
async fn a_filter_may_stand_twice_and_the_last_source_wins() {
    let app = App::start().await;
    let (wide, tall) = (app.upload(&png(1, 200, 100)).await, app.upload(&png(2, 100, 200)).await);
    let twice = app.process("png", &wide.file, "thumbnail=50&thumbnail=20").await;
    assert_eq!(size(&twice), (20, 10));
    let twice = app.process("png", &wide.file, "thumbnail=20&thumbnail=50").await;
    assert_eq!(size(&twice), (20, 10), "never enlarged, in the second step neither");
    let last = app.process("png", &wide.file, &format!("thumbnail=50&src={}", tall.file)).await;
    assert_eq!(size(&last), (25, 50));
    let last = app.process("png", "unknown.png", &format!("thumbnail=50&src={}", tall.file)).await;
    assert_eq!(size(&last), (25, 50));
    let path = format!("/image/process.png?src={}&thumbnail=50&src=unknown.png", tall.file);
    app.get(&path).await.error(404);
    app.stop().await;
}

#[tokio::test]
async fn keys_that_are_no_filter_are_ignored_and_names_are_case_sensitive() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 60, 40)).await;
    let plain = app.process("png", &uploaded.file, "thumbnail=30").await;
    for filters in [
        "utm_source=feed&thumbnail=30",
        "thumbnail=30&v=2&v=3&nocache",
        "thumbnail=30&Thumbnail=10&THUMBNAIL=abc&Blur=NaN",
        "&&thumbnail=30&&=&=x",
        "thumbnail=%33%30",
        "th%75mbnail=30",
        "thumbnail=30&Crop=16x9&filter=sepia",
        "thumbnail=30&%ff=%fe",
    ] {
        let answer = app.process("png", &uploaded.file, filters).await;
        assert_eq!(answer.header("etag"), plain.header("etag"), "{filters}");
        assert_eq!(answer.body, plain.body);
    }
    app.stored().keeps(1).await;
    let untouched = app.process("png", &uploaded.file, "Thumbnail=30&Blur=3").await;
    assert_eq!(size(&untouched), (60, 40));
    app.stop().await;
}

#[tokio::test]
async fn values_that_cannot_be_read_are_refused_and_the_filter_is_named() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 60, 40)).await;
    let values = [
        ("thumbnail", &["abc", "0", "-1", "1e9", "NaN", "", "1.5", "%2B5", "%205", "0x10", "%F0%9F%90%88", "0000"][..]),
        ("blur", &["abc", "NaN", "nan", "inf", "-inf", "infinity", "1e9", "1e999", "", "1,5", "%00"]),
    ];
    for (filter, values) in values {
        for value in values {
            for query in [format!("{filter}={value}"), format!("thumbnail=10&{filter}={value}&identity=true")] {
                let msg = app.get(&format!("/image/process.png?src={}&{query}", uploaded.file)).await.error(400);
                assert!(msg.contains(filter), "{msg:?} does not name {filter}");
            }
        }
    }
    // A key without a value has an empty one.
    app.get(&format!("/image/process.png?src={}&thumbnail", uploaded.file)).await.error(400);
    // A value is shown in a message, never a whole book of it.
    let msg = app.get(&format!("/image/process.png?src={}&blur={}", uploaded.file, "x".repeat(5000))).await.error(400);
    assert!(msg.len() < 500, "{}", msg.len());
    assert!(app.stored().variants().is_empty());
    app.stop().await;
}

#[tokio::test]
async fn sources_and_extensions_that_are_none_are_told_apart() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 60, 40)).await;
    for path in [
        "/image/process.png",
        "/image/process.png?",
        "/image/process.png?thumbnail=10",
        "/image/process.png?src=",
        "/image/process.png?SRC=x.png",
        "/image/process.png?src=unknown.png",
        "/image/process.tiff?src=unknown.png",
        "/image/process.png?src=..%2F..%2Fetc%2Fpasswd",
        "/image/process.png?src=a%00b",
        "/image/process.png?src=%ff%fe",
        "/image/process.png?src=unknown.png&thumbnail=10",
    ] {
        app.get(path).await.error(404);
    }
    for ext in ["tiff", "bmp", "JPG", "PNG", "jpgg", "exe", "p%6eg2", "png.png", "svg"] {
        let msg = app.get(&format!("/image/process.{ext}?src={}", uploaded.file)).await.error(400);
        assert!(msg.contains("png") && msg.contains("jpg"), "{msg:?} does not say what there is");
    }
    for path in ["/image/process", "/image/processpng", "/image/process/png"] {
        app.get(&format!("{path}?src={}", uploaded.file)).await.error(404);
    }
    assert!(app.stored().variants().is_empty());
    app.stop().await;
}

#[tokio::test]
async fn only_filters_of_the_whitelist_are_applied() {
    let app = App::with(|config| config.whitelist = Some(["thumbnail".to_owned()].into())).await;
    let picture = photo(1, 60, 40);
    let uploaded = app.upload(&encoded(&picture.clone().into(), ImageFormat::Png)).await;
    let allowed = app.process("png", &uploaded.file, "thumbnail=30").await;
    for filters in ["blur=5&thumbnail=30", "thumbnail=30&blur=5", "thumbnail=30&blur=NaN"] {
        let answer = app.process("png", &uploaded.file, filters).await;
        assert_eq!(answer.header("etag"), allowed.header("etag"), "{filters}");
    }
    let untouched = app.process("png", &uploaded.file, "blur=5").await;
    assert_eq!(decoded(&untouched.body).into_rgb8(), picture);
    app.stop().await;
}

#[tokio::test]
async fn quality_is_heeded_by_lossy_formats_and_makes_a_variant_of_its_own() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 300, 200)).await;
    for ext in ["jpg", "webp"] {
        let get = async |query: &str| {
            let answer = app.process(ext, &uploaded.file, query).await;
            answer.is_image(if ext == "jpg" { "image/jpeg" } else { "image/webp" });
            answer.body.len()
        };
        let own = get("thumbnail=200").await;
        let (low, high) = (get("thumbnail=200&quality=20").await, get("quality=95&thumbnail=200").await);
        assert!(low < own && own < high, "{ext}: {low} {own} {high}");
        assert_eq!(get("quality=20&thumbnail=200").await, low, "its place says nothing");
        assert_eq!(get("quality=95&quality=abc&thumbnail=200&quality=20").await, low, "the last one counts");
        assert_eq!(get("thumbnail=200&quality=80").await, own, "80 is the server's own");
    }
    // Each in two formats: the server's own, 20, 95 and 80.
    app.stored().keeps(8).await;
    for ext in ["png", "gif", "apng"] {
        let plain = app.process(ext, &uploaded.file, "thumbnail=200").await;
        let asked = app.process(ext, &uploaded.file, "thumbnail=200&quality=20").await;
        assert_eq!((plain.header("etag"), &plain.body), (asked.header("etag"), &asked.body), "{ext}");
    }
    // Lossless formats have one file, whatever the quality.
    app.stored().keeps(11).await;
    for (value, ext) in [("0", "jpg"), ("101", "webp"), ("abc", "jpg"), ("", "jpg"), ("80.5", "webp"), ("-1", "png")] {
        let path = format!("/image/process.{ext}?src={}&quality={value}", uploaded.file);
        let msg = app.get(&path).await.error(400);
        assert!(msg.contains(&format!("quality={value}")) && msg.contains("1 to 100"), "{msg}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_picture_in_its_own_format_and_a_quality_is_encoded_again() {
    let app = App::start().await;
    let original = jpeg(1, 200, 150);
    let uploaded = app.upload(&original).await;
    assert_eq!(app.process("jpg", &uploaded.file, "").await.body, app.original(&uploaded.file).await.body);
    let again = app.process("jpg", &uploaded.file, "quality=10").await;
    assert!(again.body.len() < original.len() / 2, "{} of {}", again.body.len(), original.len());
    assert_eq!(size(&again), (200, 150));
    app.stop().await;
}

#[tokio::test]
async fn quality_comes_under_the_whitelist() {
    let list = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    for (names, heeded) in [(&["thumbnail"][..], false), (&["thumbnail", "quality"], true)] {
        let app = App::with(|config| config.whitelist = list(names)).await;
        let uploaded = app.upload(&png(1, 60, 40)).await;
        let plain = app.process("jpg", &uploaded.file, "thumbnail=30").await;
        let asked = app.process("jpg", &uploaded.file, "thumbnail=30&quality=5").await;
        assert_eq!(plain.body != asked.body, heeded, "{names:?}");
        let path = format!("/image/process.jpg?src={}&thumbnail=30&quality=abc", uploaded.file);
        app.get(&path).await.is(if heeded { 400 } else { 200 });
        app.stop().await;
    }
}

#[tokio::test]
async fn the_servers_own_settings_are_those_of_the_configuration() {
    let made = async |tune: fn(&mut glimt::config::Config)| {
        let app = App::with(tune).await;
        let uploaded = app.upload(&png(1, 300, 200)).await;
        let answers = [
            app.process("jpg", &uploaded.file, "thumbnail=200").await.body.len(),
            app.process("png", &uploaded.file, "thumbnail=200").await.body.len(),
            app.process("webp", &uploaded.file, "thumbnail=200").await.body.len(),
        ];
        app.stop().await;
        answers
    };
    let own = made(|_defaults| {}).await;
    let other = made(|config| {
        config.encoders.jpeg.quality = glimt::codec::Quality::new(30);
        config.encoders.png.effort = glimt::codec::Effort::Small;
        config.encoders.webp.quality = glimt::codec::Quality::new(30);
    })
    .await;
    assert!(own.iter().zip(other).all(|(own, other)| other < *own), "{own:?} {other:?}");
}

#[tokio::test]
async fn transparency_is_flattened_on_white_for_jpeg_and_kept_elsewhere() {
    let app = App::start().await;
    let uploaded = app.upload(&encoded(&half_invisible(64), ImageFormat::Png)).await;
    for filters in ["", "thumbnail=32", "thumbnail=32&blur=1"] {
        let flat = decoded(&app.process("jpg", &uploaded.file, filters).await.body).into_rgb8();
        let (left, right) = (flat.get_pixel(3, 3).0, flat.get_pixel(flat.width() - 4, 3).0);
        assert!(left[2] > 170 && left[0] < 40, "{filters}: {left:?} is not blue");
        assert!(right.iter().all(|value| *value > 245), "{filters}: {right:?} is not white");
        for ext in ["png", "webp"] {
            let picture = decoded(&app.process(ext, &uploaded.file, filters).await.body).into_rgba8();
            let (left, right) = (picture.get_pixel(3, 3).0, picture.get_pixel(picture.width() - 4, 3).0);
            assert!(left[2] > 170 && left[0] < 40 && left[3] == 255, "{ext} {filters}: {left:?}");
            assert_eq!(right[3], 0, "{ext} {filters}: {right:?}");
            // Invisible red must not bleed over the edge, as it would without premultiplied alpha.
            let bled = picture.pixels().filter(|pixel| pixel[3] > 64 && pixel[0] > 60).count();
            assert_eq!(bled, 0, "{ext} {filters}: red bleeds into the blue");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn an_animation_gives_its_first_frame_to_what_stands_still() {
    let app = App::start().await;
    let colours = [[250, 10, 10], [10, 250, 10], [10, 10, 250]];
    for animation in [pictures::animated_gif(&colours, 40, 20), pictures::animated_webp(&colours, 40, 20)] {
        let uploaded = app.upload(&animation).await;
        assert_eq!(app.original(&uploaded.file).await.body, animation, "the animation itself is served as it is");
        for ext in ["png", "jpg"] {
            let answer = app.process(ext, &uploaded.file, "thumbnail=20").await;
            assert_eq!(size(&answer), (20, 10));
            let [r, g, b] = decoded(&answer.body).into_rgb8().get_pixel(10, 5).0;
            assert!(r > 230 && g < 40 && b < 40, "{ext}: {:?} is not the red of the first frame", (r, g, b));
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn grey_palette_and_sixteen_bit_pictures_keep_their_look() {
    let app = App::start().await;
    let picture: DynamicImage = photo(1, 80, 60).into();
    let sources = [
        encoded(&picture.to_luma8().into(), ImageFormat::Png),
        encoded(&picture.to_luma_alpha8().into(), ImageFormat::Png),
        encoded(&picture.to_rgb16().into(), ImageFormat::Png),
        encoded(&picture.to_rgba16().into(), ImageFormat::Png),
        encoded(&picture.to_luma16().into(), ImageFormat::Png),
        encoded(&picture.to_luma8().into(), ImageFormat::Jpeg),
    ];
    for source in sources {
        let uploaded = app.upload(&source).await;
        let wanted = decoded(&source).into_rgb8();
        let answer = app.process("png", &uploaded.file, "identity=true").await;
        looks_like(&answer.body, &wanted, 40.0);
        let small = imageops::resize(&wanted, 40, 30, imageops::FilterType::Lanczos3);
        looks_like(&app.process("png", &uploaded.file, "thumbnail=40").await.body, &small, 32.0);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_variant_is_made_once_and_served_from_then_on() {
    let app = App::start().await;
    let uploaded = app.upload(&jpeg(1, 200, 150)).await;
    let made = app.process("webp", &uploaded.file, "thumbnail=64&blur=2").await;
    let file = || app.stored().variants();
    crate::stored::eventually("the variant to be stored", || file().len() == 1).await;
    let written = std::fs::metadata(&file()[0]).unwrap().modified().unwrap();
    assert_eq!(std::fs::read(&file()[0]).unwrap(), made.body, "what is stored is what was served");
    let again = app.process("webp", &uploaded.file, "thumbnail=64&blur=2.0").await;
    for name in ["etag", "last-modified", "content-length", "content-type"] {
        assert_eq!(made.header(name), again.header(name));
    }
    assert_eq!(made.body, again.body);
    assert_eq!(file().len(), 1);
    assert_eq!(std::fs::metadata(&file()[0]).unwrap().modified().unwrap(), written);
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn a_variant_whose_file_was_lost_is_made_again() {
    let app = App::start().await;
    let uploaded = app.upload(&jpeg(1, 100, 75)).await;
    let made = app.process("png", &uploaded.file, "thumbnail=64").await;
    app.stored().keeps(1).await;
    std::fs::remove_file(&app.stored().variants()[0]).unwrap();
    let again = app.process("png", &uploaded.file, "thumbnail=64").await;
    again.is_image("image/png");
    assert_eq!(again.body, made.body);
    app.stop().await;
}

/// Our own decoder does not take inks: memory for a divided picture was reserved, and then that for a whole one.
#[tokio::test]
async fn a_jpeg_that_cannot_be_divided_is_decoded_whole() {
    let app = App::start().await;
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 90);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
    encoder.encode(&[90; 640 * 480 * 4], 640, 480, jpeg_encoder::ColorType::Cmyk).unwrap();
    let uploaded = app.upload(&file).await;
    let answer = app.process("png", &uploaded.file, "thumbnail=32").await;
    answer.is_image("image/png");
    assert_eq!(size(&answer), (32, 24));
    app.stop().await;
}
