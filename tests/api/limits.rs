//! What is too large, too many or too long is refused with the limit and the value, early and without a trace.

use std::time::Duration;

use crate::{
    app::App,
    client::{Answer, sent},
    form::Form,
    pictures::{
        self,
        hostile::{gif_of_frames, jpeg_that_claims, png_that_claims},
        jpeg, noise_png, png,
    },
    raw::Raw,
};

#[track_caller]
fn names(msg: &str, numbers: &[&str]) {
    let plain = msg.replace([',', '_'], "");
    for number in numbers {
        assert!(plain.contains(number), "{msg:?} does not name {number}");
    }
}

async fn small() -> App {
    App::with(|config| config.max_file_size_bytes = 64 * 1024).await
}

/// The head of an upload with these lines about its body.
async fn upload_head(app: &App, lines: &[&str]) -> Raw {
    let content_type = format!("Content-Type: {}", Form::content_type());
    let mut all: Vec<&[u8]> = vec![b"POST /image HTTP/1.1", content_type.as_bytes()];
    all.extend(lines.iter().map(|line| line.as_bytes()));
    Raw::head(app.port, &all).await
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let app = small().await;
    let msg = app.post(Form::new().file("large.png", &noise_png(1, 200))).await.error(413);
    names(&msg, &["65536"]);
    // Trailing bytes make a picture of any size; whether they are kept is another story.
    let picture = noise_png(1, 130);
    let padded =
        |size: usize| pictures::containers::png_with_chunks(&picture, &[(b"paDd", vec![0; size - picture.len() - 12])]);
    app.post(Form::new().file("exact.png", &padded(64 * 1024))).await.uploaded();
    let msg = app.post(Form::new().file("over.png", &padded(64 * 1024 + 1))).await.error(413);
    names(&msg, &["65536"]);
    // The limit is for each file, not for all of them.
    assert_eq!(app.post(Form::files([noise_png(2, 130), noise_png(3, 130)])).await.uploaded().len(), 2);
    // One over the limit takes the others along.
    app.post(Form::files([noise_png(4, 20), noise_png(5, 200)])).await.error(413);
    app.stored().is_idle().await;
    assert_eq!(app.stored().originals().len(), 3);
    app.stop().await;
}

#[tokio::test]
async fn two_gigabytes_are_refused_before_they_are_sent() {
    let app = App::start().await;
    for lines in [&["Content-Length: 2147483648"][..], &["Content-Length: 2147483648", "Expect: 100-continue"]] {
        let answer = upload_head(&app, lines).await.answer().await.unwrap();
        let msg = answer.error(413);
        names(&msg, &["2147483648"]);
    }
    app.stored().holds_nothing();
    app.stop().await;
}

/// Sends `piece` as chunks until the server has had enough, which must be soon.
async fn flood(mut raw: Raw, begin: &[u8], piece: &[u8]) -> Option<Answer> {
    raw.chunk(begin).await.unwrap();
    let mut sent = 0;
    while !raw.is_answered().await && raw.chunk(piece).await.is_ok() {
        sent += piece.len();
        assert!(sent < 64 << 20, "the server takes an endless body");
    }
    raw.answer().await
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let app = small().await;
    let open = Form::new().file("a.png", b"\x89PNG").open_body();
    for begin in [
        &open[..open.len() - 2],
        // A text field is no way around the limit, nor is the head of a part, nor the time before the first.
        b"------glimt7MA4YWxkTrZu0gW\r\nContent-Disposition: form-data; name=\"caption\"\r\n\r\n",
        b"------glimt7MA4YWxkTrZu0gW\r\nX-Endless: ",
        b"a preamble ",
    ] {
        let raw = upload_head(&app, &["Transfer-Encoding: chunked"]).await;
        // The answer may be lost when the server closes on a client that still writes.
        if let Some(answer) = flood(raw, begin, &[b'x'; 16 * 1024]).await {
            answer.error_in(&[400, 413]);
        }
        app.stored().is_idle().await;
        app.stored().holds_nothing();
    }
    app.stop().await;
}

#[tokio::test]
async fn many_small_text_fields_do_not_add_up() {
    let app = small().await;
    let fields = (0..2000).fold(Form::new(), |form, i| form.text(&format!("field{i}"), &"x".repeat(1000)));
    let answer = app.post(fields.file("a.png", &png(1, 9, 9))).await;
    if answer.status != 201 {
        answer.error_in(&[400, 413]);
        app.stored().is_idle().await;
        app.stored().holds_nothing();
    }
    app.stop().await;
}

#[tokio::test]
async fn a_small_file_that_claims_to_be_enormous_is_refused() {
    let app = App::start().await;
    let liar = png_that_claims(60_000, 60_000);
    assert!(liar.len() < 1100);
    let msg = app.post(Form::new().file("liar.png", &liar)).await.error(413);
    assert!(msg.contains("60000") || msg.contains("3600000000"), "{msg:?} does not name the value");
    assert!(msg.contains("40"), "{msg:?} does not name the limit");
    for liar in [
        png_that_claims(1_000_000, 1_000_000),
        png_that_claims(2_147_483_647, 2_147_483_647),
        png_that_claims(40_000_001, 1),
        jpeg_that_claims(&jpeg(1, 16, 16), 65_500, 65_500),
        jpeg_that_claims(&jpeg(1, 16, 16), 10_000, 4_001),
    ] {
        let answer = app.post(Form::new().file("liar", &liar)).await;
        // Some sizes are not only too large but against the format.
        answer.error_in(&[400, 413]);
    }
    app.stored().is_idle().await;
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn the_pixel_limit_is_a_limit_and_no_more() {
    let app = App::with(|config| config.max_pixels = 10_000).await;
    app.upload(&png(1, 100, 100)).await;
    app.upload(&png(1, 10_000, 1)).await;
    let msg = app.post(Form::new().file("a.png", &png(1, 101, 100))).await.error(413);
    names(&msg, &["10000"]);
    app.post(Form::new().file("a.jpg", &jpeg(1, 101, 100))).await.error(413);
    assert_eq!(app.stored().originals().len(), 2);
    app.stop().await;
}

#[tokio::test]
async fn sides_decoded_bytes_and_metadata_have_limits_that_name_what_was_found() {
    let app = App::with(|config| {
        config.max_side = 600;
        config.max_decoded_bytes = 2 << 20;
        config.max_metadata_bytes = 1000;
    })
    .await;
    app.upload(&png(1, 600, 10)).await;
    let answer = app.post(Form::new().file("a.png", &png(1, 10, 601))).await;
    assert_eq!(answer.json()["code"], "side-too-long");
    names(&answer.error(413), &["601", "600"]);
    // 600 by 600 of three bytes, and a MiB for the decoder.
    let answer = app.post(Form::new().file("a.png", &png(1, 600, 600))).await;
    assert_eq!(answer.json()["code"], "too-much-memory");
    names(&answer.error(413), &["2097152", "21"]);
    let (small, turned) = (png(2, 20, 20), jpeg(2, 20, 20));
    let texts = |length: usize| pictures::containers::png_with_chunks(&small, &[(b"tEXt", vec![b'a'; length - 12])]);
    let comments = |length: usize| pictures::containers::jpeg_with_segments(&turned, &[(0xFE, vec![b'a'; length - 4])]);
    for with in [&texts as &dyn Fn(usize) -> Vec<u8>, &comments] {
        app.upload(&with(900)).await;
        let answer = app.post(Form::new().file("a", &with(1400))).await;
        assert_eq!(answer.json()["code"], "too-much-metadata");
        names(&answer.error(413), &["14", "1000"]);
    }
    app.stop().await;
}

#[tokio::test]
async fn animations_have_limits_of_their_own() {
    let app = App::start().await;
    let msg = app.post(Form::new().file("a.gif", &gif_of_frames(100_000))).await.error(413);
    names(&msg, &["100"]);
    app.post(Form::new().file("a.gif", &gif_of_frames(101))).await.error(413);
    app.upload(&gif_of_frames(100)).await;
    app.stop().await;

    let app = App::with(|config| config.max_animation_pixels = 1000).await;
    let colours = [[250, 0, 0], [0, 250, 0], [0, 0, 250]];
    for (side, status) in [(18, 201), (19, 413)] {
        for bytes in [pictures::animated_gif(&colours, side, side), pictures::animated_webp(&colours, side, side)] {
            let answer = app.post(Form::new().file("a", &bytes)).await;
            assert_eq!(answer.status, status, "{side}: {}", answer.shown());
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_server_over_capacity_says_so_and_stays_well() {
    let app = App::with(|config| {
        config.workers = 1;
        config.queue = 1;
    })
    .await;
    let uploaded = app.upload(&jpeg(1, 1200, 900)).await;
    let requests = (1..=40)
        .map(|sigma| sent(app.request("GET", &format!("/image/process.png?src={}&blur={sigma}", uploaded.file))));
    let health = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        app.get("/healthz").await.is(200);
    };
    let (answers, ()) = futures_util::future::join(futures_util::future::join_all(requests), health).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!served.is_empty() && !refused.is_empty(), "{} served, {} refused", served.len(), refused.len());
    for answer in refused {
        answer.error(503);
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=120).contains(&seconds));
    }
    app.process("png", &uploaded.file, "blur=40").await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn a_job_over_its_time_is_an_error_like_any_other() {
    let app = App::with(|config| config.request_timeout = Duration::from_nanos(1)).await;
    app.post(Form::new().file("a.jpg", &jpeg(1, 1000, 800))).await.error_in(&[400, 408, 413, 503, 504]);
    app.stored().is_idle().await;
    app.stored().holds_nothing();
    app.get("/healthz").await.is(200);
    app.stop().await;
}
