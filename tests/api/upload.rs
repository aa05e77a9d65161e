//! A user uploads pictures: every dialect of the form, and nothing of a form that has one bad part.

use std::collections::BTreeSet;

use image::ImageFormat;

use crate::{
    app::App,
    client::{is_alias, sent},
    form::Form,
    pictures::{self, encoded, jpeg, photo, png},
    raw::Raw,
};

#[tokio::test]
async fn one_picture_is_stored_as_it_came_and_named_for_its_format() {
    let app = App::start().await;
    let picture = jpeg(1, 60, 40);
    let answer = app.post(Form::new().file("holiday.jpg", &picture)).await;
    let files = answer.uploaded();
    assert_eq!(files.len(), 1);
    assert!(is_alias(&files[0].file, "jpg"), "{}", files[0].file);
    assert_eq!(app.stored().only_original(), picture);
    assert_eq!(app.original(&files[0].file).await.body, picture);
    app.stop_with(&files).await;
}

#[tokio::test]
async fn ten_pictures_come_back_in_the_order_they_were_sent() {
    let app = App::start().await;
    // Large ones first: whoever finishes first must not stand first.
    let pictures: Vec<_> = (0..10).map(|i| png(i, 400 - i * 40, 30)).collect();
    let files = app.post(Form::files(&pictures)).await.uploaded();
    assert_eq!(files.len(), 10);
    assert_eq!(app.stored().originals().len(), 10);
    for (uploaded, picture) in files.iter().zip(&pictures) {
        assert_eq!(app.original(&uploaded.file).await.body, *picture);
    }
    let names: BTreeSet<_> = files.iter().flat_map(|file| [&file.file, &file.delete_token]).collect();
    assert_eq!(names.len(), 20, "aliases and tokens are all different");
    app.stop_with(&files).await;
}

#[tokio::test]
async fn eleven_pictures_are_refused_and_none_is_kept() {
    let app = App::start().await;
    let msg = app.post(Form::files((0..11).map(|i| png(i, 8, 8)))).await.error(400);
    assert!(msg.contains("10"), "the limit is not in {msg:?}");
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn the_extension_is_that_of_the_stored_format_whatever_the_client_calls_it() {
    let app = App::start().await;
    let picture = photo(1, 20, 10);
    let gif = pictures::animated_gif(&[[255, 0, 0], [0, 255, 0]], 6, 5);
    let form = Form::new()
        .file("lies.gif", &jpeg(1, 20, 10))
        .file("lies.jpg", &png(1, 20, 10))
        .file("lies.txt", &encoded(&picture.into(), ImageFormat::WebP))
        .file("", &gif);
    let files = app.post(form).await.uploaded();
    for (uploaded, (extension, media_type)) in
        files.iter().zip([("jpg", "image/jpeg"), ("png", "image/png"), ("webp", "image/webp"), ("gif", "image/gif")])
    {
        assert!(is_alias(&uploaded.file, extension), "{} is no .{extension}", uploaded.file);
        app.original(&uploaded.file).await.is_image(media_type);
    }
    assert_eq!(files.len(), 4);
    app.stop_with(&files).await;
}

#[tokio::test]
async fn one_bad_part_of_three_leaves_nothing_of_any() {
    let app = App::start().await;
    let good = [jpeg(1, 50, 50), png(2, 50, 50)];
    for (position, bad) in [(0, &b"not a picture"[..]), (1, b""), (2, &good[0][..good[0].len() / 2])] {
        let mut parts: Vec<&[u8]> = vec![&good[0], &good[1]];
        parts.insert(position, bad);
        app.post(Form::files(parts)).await.error(400);
        app.stored().is_idle().await;
        app.stored().holds_nothing();
    }
    // And the same good parts alone are welcome afterwards.
    let files = app.post(Form::files(&good)).await.uploaded();
    app.stop_with(&files).await;
}

#[tokio::test]
async fn one_bad_part_does_not_take_away_what_was_there_before() {
    let app = App::start().await;
    let picture = jpeg(1, 50, 50);
    let before = app.upload(&picture).await;
    app.post(Form::files([&picture[..], b"not a picture"])).await.error(400);
    app.stored().is_idle().await;
    assert_eq!(app.stored().only_original(), picture);
    assert_eq!(app.original(&before.file).await.body, picture);
    app.stop_with(&[before]).await;
}

#[tokio::test]
async fn extra_text_fields_are_ignored() {
    let app = App::start().await;
    let form = Form::new().text("caption", "a lake").file("a.png", &png(1, 9, 9)).text("images", "x").text("", "y");
    assert_eq!(app.post(form).await.uploaded().len(), 1);
    app.post(Form::new().text("caption", "no picture at all")).await.error(400);
    assert_eq!(app.stored().originals().len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn names_may_be_quoted_or_not_and_filenames_hold_anything() {
    let app = App::start().await;
    let dispositions: [&[u8]; 9] = [
        br#"form-data; name="images[]"; filename="plain.png""#,
        b"form-data; name=images[]; filename=bare.png",
        br#"form-data; name=images[]; filename="half quoted.png""#,
        br#"form-data; filename="first.png"; name="images[]""#,
        br#"form-data; name="images[]"; filename="my cat.png""#,
        br#"form-data; name="images[]"; filename="my \"cat\".png""#,
        br#"form-data; name="images[]"; filename="../../etc/passwd""#,
        "form-data; name=\"images[]\"; filename=\"Kätzchen 猫.png\"".as_bytes(),
        br#"form-data; name="images[]"; filename="a;b=c.png"; filename*=UTF-8''a%3Bb.png"#,
    ];
    for (index, disposition) in (1..).zip(dispositions) {
        let picture = png(index, 12, 7);
        let answer = app.post(Form::new().disposition(disposition, &picture)).await;
        assert_eq!(answer.status, 201, "{}: {}", String::from_utf8_lossy(disposition), answer.shown());
        assert_eq!(app.original(&answer.uploaded()[0].file).await.body, picture);
    }
    assert_eq!(app.stored().originals().len(), dispositions.len());
    app.stop().await;
}

#[tokio::test]
async fn a_part_without_a_filename_is_a_file_all_the_same() {
    let app = App::start().await;
    let picture = png(1, 12, 7);
    for disposition in [&br#"form-data; name="images[]""#[..], b"form-data; name=images[]"] {
        let files = app.post(Form::new().disposition(disposition, &picture)).await.uploaded();
        assert_eq!(app.original(&files[0].file).await.body, picture);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_body_may_come_in_chunks_of_any_size() {
    let app = App::start().await;
    let picture = jpeg(1, 80, 60);
    let body = Form::new().file("a.jpg", &picture).body();
    for size in [1, 7, 1000] {
        let content_type = format!("Content-Type: {}", Form::content_type());
        let lines: [&[u8]; 3] = [b"POST /image HTTP/1.1", content_type.as_bytes(), b"Transfer-Encoding: chunked"];
        let mut raw = Raw::head(app.port, &lines).await;
        for piece in body.chunks(size) {
            raw.chunk(piece).await.unwrap();
        }
        raw.write(b"0\r\n\r\n").await.unwrap();
        let files = raw.answer().await.unwrap().uploaded();
        assert_eq!(app.original(&files[0].file).await.body, picture);
    }
    app.stop().await;
}

#[tokio::test]
async fn preambles_odd_boundaries_and_odd_header_names_are_fine() {
    let app = App::start().await;
    let picture = png(1, 10, 10);
    let body = |boundary: &str, before: &str| {
        let head = format!("{before}--{boundary}\r\ncontent-disposition:form-data;name=\"images[]\"\r\n\r\n");
        [head.as_bytes(), &picture, format!("\r\n--{boundary}--").as_bytes()].concat()
    };
    for (content_type, body) in [
        ("multipart/form-data; boundary=x", body("x", "")),
        ("Multipart/Form-Data; BOUNDARY=x", body("x", "")),
        ("multipart/form-data; boundary=\"a b'()+_,-./:=?\"", body("a b'()+_,-./:=?", "")),
        ("multipart/form-data; charset=utf-8; boundary=x", body("x", "This text is ignored.\r\n")),
    ] {
        let answer = sent(app.request("POST", "/image").header("Content-Type", content_type).body(body)).await;
        assert_eq!(answer.status, 201, "{content_type}: {}", answer.shown());
    }
    app.stop().await;
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let app = App::start().await;
    let form = Form::new().file("a.png", &png(1, 10, 10));
    let multipart = Form::content_type();
    let cases: [(&str, Option<&str>, Vec<u8>); 9] = [
        ("no parts", Some(&multipart), Form::new().body()),
        ("an empty body", Some(&multipart), Vec::new()),
        ("another boundary", Some("multipart/form-data; boundary=other"), form.body()),
        ("no boundary", Some("multipart/form-data"), form.body()),
        ("no last boundary", Some(&multipart), form.open_body()),
        ("no content type", None, form.body()),
        ("a urlencoded form", Some("application/x-www-form-urlencoded"), b"images%5B%5D=abc".to_vec()),
        ("a bare picture", Some("image/png"), png(1, 10, 10)),
        ("a part without a name", Some(&multipart), Form::new().disposition(b"form-data", &png(1, 9, 9)).body()),
    ];
    for (what, content_type, body) in cases {
        let request = app.request("POST", "/image").body(body);
        let request = content_type.into_iter().fold(request, |request, value| request.header("Content-Type", value));
        let answer = sent(request).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.shown());
        answer.error(400);
        app.stored().is_idle().await;
        app.stored().holds_nothing();
    }
    app.stop().await;
}

#[tokio::test]
async fn an_empty_part_and_text_that_calls_itself_a_picture_are_refused() {
    let app = App::start().await;
    app.post(Form::new().file("a.jpg", b"")).await.error(400);
    app.post(Form::new().file("a.jpg", b"This is no picture, whatever its name says.")).await.error(400);
    app.post(Form::new().file("a.png", b"\x89PNG\r\n\x1a\n")).await.error(400);
    app.post(Form::new().file("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")).await.error(400);
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn a_client_may_speak_http_2() {
    let app = App::start().await;
    let http = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let picture = png(1, 10, 10);
    let form = Form::new().file("a.png", &picture);
    let files = sent(form.on(http.post(format!("{}/image", app.base)))).await.uploaded();
    let answer = sent(http.get(format!("{}/image/original/{}", app.base, files[0].file))).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &picture[..]));
    drop(http);
    app.stop_with(&files).await;
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let app = App::start().await;
    let picture = png(1, 30, 20);
    let body = Form::new().file("a.png", &picture).body();
    let content_type = format!("Content-Type: {}", Form::content_type());
    let length = format!("Content-Length: {}", body.len());
    let lines = [&b"POST /image HTTP/1.1"[..], content_type.as_bytes(), length.as_bytes(), b"Expect: 100-continue"];
    let mut raw = Raw::head(app.port, &lines).await;
    crate::stored::eventually_async("100 Continue", async || raw.is_answered().await).await;
    raw.write(&body).await.unwrap();
    let files = raw.answer().await.unwrap().uploaded();
    assert_eq!(app.original(&files[0].file).await.body, picture);
    app.stop_with(&files).await;
}

#[tokio::test]
async fn two_requests_on_one_connection_are_answered_in_turn() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 30, 20)).await;
    let original = app.original(&uploaded.file).await;
    let mut raw = Raw::connect(app.port).await;
    let ask = |connection: &str| {
        format!("GET /image/original/{} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n", uploaded.file)
    };
    raw.write(format!("{}{}", ask("keep-alive"), ask("close")).as_bytes()).await.unwrap();
    let bytes = raw.all().await;
    let count = bytes.windows(original.body.len()).filter(|window| *window == original.body).count();
    assert_eq!(count, 2);
    app.stop_with(&[uploaded]).await;
}
