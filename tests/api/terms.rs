//! A client says what the pictures of one upload have to keep, and what is to be done to them before they are stored.

use image::ImageFormat;
use serde_json::Value;

use crate::{
    app::{App, KEY},
    client::{Answer, sent},
    form::Form,
    pictures::{
        animated_gif, animated_webp, decoded, encoded, half_invisible, jpeg_of, looks_like, metadata, noise_png, photo,
        png, seen,
    },
    remote::{Remote, response},
};

async fn post(app: &App, query: &str, picture: &[u8]) -> Answer {
    sent(Form::new().file("picture", picture).on(app.request("POST", &format!("/image?{query}")))).await
}

/// The size of the picture that is stored by this name.
async fn size(app: &App, file: &str) -> (u32, u32) {
    let picture = decoded(&app.original(file).await.body);
    (picture.width(), picture.height())
}

#[tokio::test]
async fn a_limit_that_is_not_kept_is_named_with_its_value_and_nothing_is_stored() {
    let app = App::start().await;
    let still = png(1, 300, 200);
    let moving = animated_gif(&[[255, 0, 0], [0, 0, 255], [0, 255, 0]], 40, 30);
    for (query, picture, status, code, said) in [
        ("max_width=299", &still, 400, "validate-width", ["300", "299"]),
        ("max_height=199", &still, 400, "validate-height", ["200", "199"]),
        ("max_area=59999", &still, 400, "validate-area", ["60000", "59999"]),
        ("max_frame_count=2", &moving, 400, "validate-frames", ["3", "2"]),
        ("allow_image=false", &still, 400, "media-disallowed", ["allow_image", "false"]),
        ("allow_animation=false", &moving, 400, "media-disallowed", ["allow_animation", "3"]),
        // What came in is held against them, not what the steps make of it.
        ("resize=100&max_width=299", &still, 400, "validate-width", ["300", "299"]),
        ("max_file_size=0", &still, 413, "validate-file-size", ["bytes", "0"]),
    ] {
        // Twice: what was refused once is no known upload.
        for _ in 0..2 {
            let answer = post(&app, query, picture).await;
            let msg = answer.error(status);
            assert_eq!(answer.json()["code"], code, "{query}: {msg}");
            assert!(said.iter().all(|word| msg.contains(word)), "{query}: {msg}");
        }
        app.stored().holds_nothing();
    }
    let large = noise_png(1, 700);
    assert!(large.len() > 1 << 20);
    let answer = post(&app, "max_file_size=1", &large).await;
    assert!(answer.error(413).contains("1048576"), "{}", answer.shown());
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn what_keeps_its_limits_is_stored_as_it_came() {
    let app = App::start().await;
    let still = png(1, 300, 200);
    let moving = animated_gif(&[[255, 0, 0], [0, 0, 255], [0, 255, 0]], 40, 30);
    let mut files = Vec::new();
    for (query, picture) in [
        ("max_width=300&max_height=200&max_area=60000&max_frame_count=1&max_file_size=1", &still),
        ("allow_animation=false&allow_video=false", &still),
        ("max_frame_count=3&allow_image=false", &moving),
        ("allow_image=true&allow_animation=true&allow_video=true", &moving),
        // As Lemmy sends it, and there is nothing to reduce.
        ("allow_video=true&resize=1024", &still),
        ("thumbnail=300&identity=true", &still),
        ("resize=40", &moving),
    ] {
        // What a browser or a proxy adds comes in the form, and is passed over there.
        let form = Form::new().text("max_width", "1").file("picture", picture);
        let uploaded = sent(form.on(app.request("POST", &format!("/image?{query}")))).await.uploaded();
        assert_eq!(app.original(&uploaded[0].file).await.body, *picture, "{query}");
        files.extend(uploaded);
    }
    assert_eq!(app.stored().originals().len(), 2);
    app.stop_with(&files).await;
}

#[tokio::test]
async fn steps_are_done_before_a_picture_is_stored() {
    let app = App::start().await;
    let picture = photo(5, 300, 200);
    let mut files = Vec::new();
    for (bytes, format) in [
        (jpeg_of(&picture), "jpg"),
        (encoded(&picture.clone().into(), ImageFormat::Png), "png"),
        (encoded(&picture.clone().into(), ImageFormat::WebP), "webp"),
    ] {
        let answer = post(&app, "resize=90", &bytes).await;
        let uploaded = answer.uploaded().remove(0);
        assert!(uploaded.file.ends_with(format), "{uploaded:?}");
        let stored = app.original(&uploaded.file).await;
        assert_eq!((decoded(&stored.body).width(), decoded(&stored.body).height()), (90, 60));
        // The details are of what is stored, and it is what a variant of the whole would be.
        let details = &answer.json()["files"][0]["details"];
        assert_eq!((&details["width"], &details["height"]), (&Value::from(90), &Value::from(60)));
        let whole = app.upload(&bytes).await;
        let variant = seen(&app.process(format, &whole.file, "resize=90").await.body);
        looks_like(&stored.body, &variant, 30.0);
        assert_eq!(app.get(&format!("/image/details/original/{}", uploaded.file)).await.json()["width"], 90);
        files.extend([uploaded, whole]);
    }
    app.stop_with(&files).await;
}

#[tokio::test]
async fn every_step_of_a_variant_is_one_of_an_upload_and_their_order_counts() {
    let app = App::start().await;
    let picture = png(3, 300, 200);
    for (query, width, height) in [
        ("crop=1x1", 200, 200),
        ("crop=1x1&resize=50", 50, 50),
        ("resize=60&crop=1x1", 40, 40),
        ("cover=90x90&gravity=smart", 90, 90),
        ("resize=Lanczos2.a15000", 150, 100),
        ("resize=.a15000", 150, 100),
        ("resize=RobidouxSharp.150", 150, 100),
        ("rotate=90", 200, 300),
        ("blur=2.5&grayscale=true", 300, 200),
    ] {
        let uploaded = post(&app, query, &picture).await.uploaded().remove(0);
        assert_eq!(size(&app, &uploaded.file).await, (width, height), "{query}");
        let variant = app.process("png", &app.upload(&picture).await.file, query).await.body;
        looks_like(&app.original(&uploaded.file).await.body, &seen(&variant), 40.0);
    }
    app.stop().await;
}

#[tokio::test]
async fn what_moves_goes_on_moving_and_what_is_clear_stays_clear() {
    let app = App::start().await;
    let colours = [[255, 0, 0], [0, 0, 255], [0, 255, 0]];
    for (moving, kind) in
        [(animated_gif(&colours, 40, 30), "image/gif"), (animated_webp(&colours, 40, 30), "image/webp")]
    {
        let answer = post(&app, "resize=20", &moving).await;
        answer.uploaded();
        let details = &answer.json()["files"][0]["details"];
        assert_eq!((&details["frames"], &details["width"], &details["height"]), (&3.into(), &20.into(), &15.into()));
        assert_eq!(details["content_type"], kind);
    }
    let clear = encoded(&half_invisible(64), ImageFormat::Png);
    let uploaded = post(&app, "resize=32", &clear).await.uploaded().remove(0);
    let stored = decoded(&app.original(&uploaded.file).await.body).into_rgba8();
    assert!(stored.pixels().any(|pixel| pixel.0[3] == 0) && stored.pixels().any(|pixel| pixel.0[3] == 255));
    app.stop().await;
}

#[tokio::test]
async fn a_photo_that_lies_on_its_side_is_reduced_upright_and_tells_nothing_of_its_place() {
    let app = App::start().await;
    let lying = metadata::laden_jpeg(&photo(4, 300, 200), 6);
    let uploaded = post(&app, "resize=150", &lying).await.uploaded().remove(0);
    let stored = app.original(&uploaded.file).await.body;
    assert_eq!(seen(&stored).dimensions(), (100, 150));
    assert!(!metadata::contains(&stored, b"Exif"));
    app.stop().await;
}

#[tokio::test]
async fn the_same_upload_under_the_same_terms_is_one_picture_and_under_others_another() {
    let app = App::start().await;
    let picture = png(7, 300, 200);
    let of = async |query: &str| post(&app, query, &picture).await.uploaded().remove(0);
    let files =
        [of("resize=90").await, of("resize=90").await, of("resize=lanczos3.90&allow_video=false").await, of("").await];
    assert_eq!(app.stored().originals().len(), 2);
    // Deleted between: the second upload of known bytes is made again, under its own terms.
    for file in &files[..3] {
        app.delete(file).await;
    }
    app.stored().settles_at(1, 0).await;
    let again = of("resize=90").await;
    assert_eq!(size(&app, &again.file).await, (90, 60));
    assert_eq!(size(&app, &files[3].file).await, (300, 200));
    app.stop_with(&[files[3].clone(), again]).await;
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_refused_before_the_picture_is() {
    let app = App::with_key().await;
    for (query, code, said) in [
        ("max_widht=3", "invalid-query", "the nearest is max_width"),
        ("max_width=wide", "invalid-query", "max_width=wide"),
        ("max_width=-1", "invalid-query", "max_width=-1"),
        ("allow_video=yes", "invalid-query", "true or false"),
        ("utm_source=x", "invalid-query", "utm_source"),
        ("src=x.png", "invalid-query", "src"),
        ("resize=wide", "unreadable-filter", "resize=wide"),
        ("blur=99999999", "filter-too-large", "10000"),
    ] {
        let answers = [
            post(&app, query, &png(1, 9, 9)).await,
            sent(
                Form::new()
                    .file("a.png", &png(1, 9, 9))
                    .on(app.request("POST", &format!("/internal/import?{query}")).header("X-Api-Token", KEY)),
            )
            .await,
            app.get(&format!("/image/download?url=http://192.0.2.1/a.png&{query}")).await,
        ];
        for answer in answers {
            let msg = answer.error(400);
            assert_eq!(answer.json()["code"], code, "{query}: {msg}");
            assert!(msg.contains(said), "{query}: {msg}");
        }
    }
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn downloads_and_imports_have_the_same_terms() {
    let picture = png(2, 300, 200);
    let remote = Remote::serving([("/a.png", response("200 OK", &[], &picture))]).await;
    let app = App::with(|config| {
        config.download_allow = vec!["127.0.0.0/8".parse().unwrap()];
        config.api_key = Some(KEY.into());
    })
    .await;
    let url = remote.url("/a.png");
    let uploaded = app.get(&format!("/image/download?url={url}&resize=90")).await.uploaded().remove(0);
    assert_eq!(size(&app, &uploaded.file).await, (90, 60));
    let refused = app.get(&format!("/image/download?url={url}&max_width=100")).await;
    refused.error(400);
    assert_eq!(refused.json()["code"], "validate-width");
    let form = Form::new().file("mine.png", &picture);
    let import = |query: &str| {
        sent(form.on(app.request("POST", &format!("/internal/import?{query}")).header("X-Api-Token", KEY)))
    };
    import("max_height=100").await.error(400);
    let imported = import("resize=60").await.uploaded().remove(0);
    assert_eq!((imported.file.as_str(), size(&app, "mine.png").await), ("mine.png", (60, 40)));
    app.stop_with(&[uploaded, imported]).await;
}

#[tokio::test]
async fn of_a_form_with_one_picture_that_is_refused_nothing_is_kept() {
    let app = App::start().await;
    let form = Form::files([png(1, 20, 20), png(2, 300, 200), png(3, 30, 30)]);
    sent(form.on(app.request("POST", "/image?max_width=100&resize=10"))).await.error(400);
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn the_whitelist_is_for_variants() {
    let app = App::with(|config| config.whitelist = Some(["thumbnail".to_owned()].into())).await;
    let uploaded = post(&app, "resize=30", &png(1, 300, 200)).await.uploaded().remove(0);
    assert_eq!(size(&app, &uploaded.file).await, (30, 20));
    // To a variant it is not there.
    let variant = app.process("png", &uploaded.file, "resize=10").await.body;
    assert_eq!(decoded(&variant).width(), 30);
    app.stop_with(&[uploaded]).await;
}
