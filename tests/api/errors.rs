//! Whatever goes wrong, in whichever layer: JSON with a code and a message, a request id, and nothing stored.

use image::ImageFormat;

use crate::{
    app::{App, KEY},
    client::sent,
    form::Form,
    pictures::{self, encoded, jpeg, photo, png},
    raw::{self, Raw},
};

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let app = App::start().await;
    for path in [
        "/image/",
        "/unknown",
        "/image/unknown/x",
        "/image/original",
        "/image/detail/x.png",
        "/IMAGE",
        "/image/Original/x.png",
        "/favicon.ico",
        "/robots.txt",
        "/image/%00",
        "/%2e%2e/",
        "/%ff",
        "/a/../image",
        "/internalx",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = raw::ask(app.port, format!("{method} {path} HTTP/1.1").as_bytes()).await;
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.shown());
            answer.error(404);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn every_wrong_method_on_a_known_path_says_which_are_right() {
    let app = App::with_key().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    let delete = format!("/image/delete/{}/{}", uploaded.delete_token, uploaded.file);
    let original = format!("/image/original/{}", uploaded.file);
    let process = format!("/image/process.png?src={}", uploaded.file);
    for (path, allowed) in [
        ("/image", &["POST"][..]),
        ("/image/download?url=http://127.0.0.1/", &["GET"]),
        (&original, &["GET", "HEAD"]),
        ("/image/original/unknown.png", &["GET", "HEAD"]),
        (&process, &["GET", "HEAD"]),
        (&delete, &["DELETE", "GET"]),
        ("/internal/import", &["POST"]),
        ("/internal/purge", &["POST"]),
        ("/internal/aliases", &["GET"]),
        ("/internal/filename", &["GET"]),
        ("/internal/overview", &["GET"]),
        ("/", &["GET", "HEAD"]),
        ("/ui/page.css", &["GET", "HEAD"]),
        ("/healthz", &["GET"]),
        ("/readyz", &["GET"]),
        ("/metrics", &["GET", "HEAD"]),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
            if allowed.contains(&method) {
                continue;
            }
            let answer = app.keyed(KEY, method, path).await;
            assert_eq!(answer.status, 405, "{method} {path}: {}", answer.shown());
            answer.error(405);
            let named: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
            for right in allowed {
                assert!(named.contains(right), "{method} {path}: Allow is {named:?}");
            }
            assert!(!named.contains(&method));
        }
    }
    app.original(&uploaded.file).await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn health_is_asked_and_answered() {
    let app = App::start().await;
    for path in ["/healthz", "/readyz", "//healthz", "/metrics"] {
        app.get(path).await.is(200);
    }
    app.stop().await;
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    let mut ids = Vec::new();
    for path in [
        "/unknown".to_owned(),
        "/unknown".to_owned(),
        format!("/image/original/{}", uploaded.file),
        "/healthz".to_owned(),
    ] {
        ids.push(app.get(&path).await.header("x-request-id").to_owned());
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "{ids:?}");
    app.stop().await;
}

#[tokio::test]
async fn files_that_end_early_are_refused_in_every_format() {
    let app = App::start().await;
    let picture = photo(1, 160, 120);
    let whole: image::DynamicImage = picture.clone().into();
    let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
    for (what, bytes) in [
        ("jpeg", jpeg(1, 160, 120)),
        ("png", encoded(&whole, ImageFormat::Png)),
        ("gif", encoded(&whole, ImageFormat::Gif)),
        ("lossless webp", encoded(&whole, ImageFormat::WebP)),
        ("lossy webp", pictures::webp_lossy(&picture)),
        ("animated webp", pictures::animated_webp(&colours, 60, 40)),
        ("bmp", encoded(&whole, ImageFormat::Bmp)),
        ("tiff", encoded(&whole, ImageFormat::Tiff)),
        ("qoi", encoded(&whole, ImageFormat::Qoi)),
    ] {
        for percent in [0, 1, 10, 50, 90] {
            let cut = &bytes[..(bytes.len() * percent / 100).max(3)];
            let answer = app.post(Form::new().file("cut", cut)).await;
            assert_eq!(answer.status, 400, "{what} cut to {percent} %: {}", answer.shown());
            answer.error(400);
        }
    }
    app.stored().is_idle().await;
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn files_with_a_flipped_bit_are_taken_whole_or_refused_and_never_our_fault() {
    let app = App::start().await;
    let picture = photo(1, 64, 48);
    let whole: image::DynamicImage = picture.clone().into();
    let (mut taken, mut refused) = (0, 0);
    for bytes in [
        jpeg(1, 64, 48),
        encoded(&whole, ImageFormat::Png),
        encoded(&whole, ImageFormat::Gif),
        encoded(&whole, ImageFormat::WebP),
        pictures::webp_lossy(&picture),
        pictures::animated_gif(&[[1, 2, 3], [4, 5, 6]], 20, 20),
        pictures::animated_webp(&[[1, 2, 3], [4, 5, 6]], 20, 20),
        encoded(&whole, ImageFormat::Bmp),
    ] {
        // Every bit of the first bytes, where the headers are, then one bit here and there.
        let early = (0..40).flat_map(|byte| [0, 3, 7].map(|bit| (byte, bit)));
        let late = (0..24).map(|i| (40 + i * (bytes.len() - 40) / 24, i % 8));
        for (byte, bit) in early.chain(late) {
            let mut flipped = bytes.clone();
            flipped[byte] ^= 1 << bit;
            let answer = app.post(Form::new().file("flipped", &flipped)).await;
            if answer.status == 201 {
                taken += 1;
                let file = answer.uploaded().remove(0).file;
                app.original(&file).await;
                let variant = app.get(&format!("/image/process.webp?src={file}&thumbnail=20")).await;
                assert!(variant.status < 500, "byte {byte}, bit {bit}: {} {}", variant.status, variant.shown());
            } else {
                refused += 1;
                answer.error_in(&[400, 413]);
            }
        }
    }
    assert!(taken > 0 && refused > 100, "{taken} taken, {refused} refused: the flips do not reach the decoders");
    app.stored().is_idle().await;
    app.stop().await;
}

#[tokio::test]
async fn a_body_that_stops_half_way_leaves_nothing() {
    let app = App::start().await;
    let body = Form::new().file("a.jpg", &jpeg(1, 300, 200)).body();
    let content_type = format!("Content-Type: {}", Form::content_type());
    let length = format!("Content-Length: {}", body.len());
    for (encoding, chunked) in [(length.as_bytes(), false), (&b"Transfer-Encoding: chunked"[..], true)] {
        let mut raw = Raw::head(app.port, &[b"POST /image HTTP/1.1", content_type.as_bytes(), encoding]).await;
        let half = &body[..body.len() / 2];
        if chunked {
            raw.chunk(half).await.unwrap();
        } else {
            raw.write(half).await.unwrap();
        };
        raw.finish().await;
        if let Some(answer) = raw.answer().await {
            answer.error(400);
        }
        app.stored().is_idle().await;
        app.stored().holds_nothing();
    }
    // And one who hangs up without a word.
    for _ in 0..5 {
        let mut raw = Raw::head(app.port, &[b"POST /image HTTP/1.1", content_type.as_bytes(), length.as_bytes()]).await;
        raw.write(&body[..body.len() / 2]).await.unwrap();
        crate::stored::eventually("the upload to be staged", || !app.stored().staging().is_empty()).await;
        drop(raw);
        app.stored().is_idle().await;
    }
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn nonsense_in_the_request_itself_does_not_hurt() {
    let app = App::start().await;
    let long = format!("GET /image/process.png?src=x.png&junk={} HTTP/1.1", "x".repeat(30_000));
    raw::ask(app.port, long.as_bytes()).await.error(404);
    for head in [
        &b"GET /image/original/a b.png HTTP/1.1\r\n\r\n"[..],
        b"GET HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /image HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /image HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /image HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nX-Nul: a\0b\r\n\r\n",
    ] {
        let mut raw = Raw::connect(app.port).await;
        raw.write(head).await.unwrap();
        raw.finish().await;
        if let Some(answer) = raw.answer().await {
            assert!((400..500).contains(&answer.status) || answer.status == 505, "{}", answer.status);
        }
    }
    let endless = vec![b'x'; 400_000];
    let mut raw = Raw::connect(app.port).await;
    let _cut_off = raw.write(&[b"GET /", &endless[..], b" HTTP/1.1\r\n\r\n"].concat()).await;
    if let Some(answer) = raw.answer().await {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    app.get("/healthz").await.is(200);
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn a_message_never_holds_a_path_of_ours() {
    let app = App::start().await;
    let data = app.data().to_str().unwrap().to_owned();
    for answer in [
        app.get("/image/original/unknown.png").await,
        app.post(Form::new().file("a.jpg", b"not a picture")).await,
        sent(app.request("POST", "/image")).await,
        app.get("/image/process.png?src=x&thumbnail=abc").await,
    ] {
        let msg = answer.error_in(&[400, 404]);
        assert!(!msg.contains(&data) && !msg.contains("src/") && !msg.contains(".rs"), "{msg:?}");
    }
    app.stop().await;
}
