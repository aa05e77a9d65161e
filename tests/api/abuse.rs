//! Clients that mean harm: what each of them can have, and that the others are served all the same.

use std::time::Duration;

use crate::{
    app::App,
    client::sniffed,
    pictures::{jpeg, png},
    raw::{self, Raw},
};

/// A head with all of these lines behind the request line.
fn head(request_line: &str, lines: &[String]) -> Vec<u8> {
    format!(
        "{request_line}\r\nHost: localhost\r\n{}\r\n",
        lines.iter().map(|line| format!("{line}\r\n")).collect::<String>()
    )
    .into_bytes()
}

/// A server that does not wait long for the next request, or for what is missing of one.
async fn brisk() -> App {
    App::with(|config| {
        (config.keep_alive_timeout, config.head_timeout) = (Duration::from_secs(1), Duration::from_secs(1));
        config.body_timeout = Duration::from_secs(1);
    })
    .await
}

/// The statuses of all answers until the server closes. Not half-closed first: that is how a client that has left looks.
async fn statuses(app: &App, bytes: &[u8]) -> Vec<u16> {
    let mut raw = Raw::connect(app.port).await;
    // It may have closed before it was all sent.
    let _cut_off = raw.write(bytes).await;
    let said = raw.until_closed().await;
    let said = String::from_utf8_lossy(&said);
    said.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}

#[tokio::test]
async fn of_one_picture_only_so_many_variants_are_made_in_an_hour() {
    let app = App::with(|config| config.variants_per_picture = 3).await;
    let (abused, other) = (app.upload(&jpeg(1, 64, 48)).await, app.upload(&jpeg(2, 64, 48)).await);
    for side in 1..=3 {
        app.process("jpg", &abused.file, &format!("thumbnail={side}")).await.is_image("image/jpeg");
    }
    for path in ["jpg?src={}&thumbnail=4", "avif?src={}&thumbnail=5", "png?thumbnail=6&src={}"] {
        let answer = app.get(&format!("/image/process.{}", path.replace("{}", &abused.file))).await;
        let msg = answer.error_in(&[429]);
        assert!(msg.starts_with("3 new variants of this picture were made within an hour, the limit is 3"), "{msg}");
        let retry: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1000..=1200).contains(&retry), "{retry}");
    }
    // What is there is there, and other pictures have their own.
    app.process("jpg", &abused.file, "thumbnail=2").await.is_image("image/jpeg");
    app.get(&format!("/image/original/{}", abused.file)).await.is(200);
    app.process("jpg", &other.file, "thumbnail=4").await.is_image("image/jpeg");
    let metrics = String::from_utf8(app.get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("glimt_gate_refusals_total{gate=\"picture\"} 3"), "{metrics}");
    app.stop_with(&[abused, other]).await;
}

#[tokio::test]
async fn of_all_pictures_only_so_many_variants_are_made_in_a_second() {
    let app = App::with(|config| config.variants_per_sec = 1).await;
    let uploaded = app.upload(&jpeg(1, 64, 48)).await;
    let mut made = 0;
    let refused = loop {
        let path = format!("/image/process.jpg?src={}&thumbnail={}", uploaded.file, made + 1);
        let answer = app.get(&path).await;
        if answer.status != 200 {
            break answer;
        }
        made += 1;
        assert!(made < 64, "never refused");
    };
    assert!(made >= 10, "ten seconds' worth at once, and only {made}");
    let msg = refused.error_in(&[429]);
    assert!(msg.starts_with("10 new variants were made within 10 s, the limit is 10"), "{msg}");
    app.process("jpg", &uploaded.file, "thumbnail=1").await.is_image("image/jpeg");
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn heads_have_a_size_and_a_number_of_lines() {
    let app = brisk().await;
    let many = (0..101).map(|n| format!("X-{n}: y")).collect::<Vec<_>>();
    let long = vec![format!("X-Long: {}", "y".repeat(200_000))];
    let name = vec![format!("{}: y", "x".repeat(200_000))];
    for lines in [many, long, name] {
        let said = statuses(&app, &head("GET /healthz HTTP/1.1", &lines)).await;
        assert!(said.is_empty() || said == [431] || said == [400], "{said:?}");
    }
    let fine = (0..60).map(|n| format!("X-{n}: {}", "y".repeat(500))).chain(["Connection: close".to_owned()]);
    assert_eq!(statuses(&app, &head("GET /healthz HTTP/1.1", &fine.collect::<Vec<_>>())).await, [200], "the control");
    app.stop().await;
}

#[tokio::test]
async fn what_follows_a_request_of_two_lengths_is_no_request() {
    let app = brisk().await;
    let hidden = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let chunk = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let length = hidden.len();
    let te = "Transfer-Encoding: chunked";
    for lines in [
        // A proxy that counts bytes sees a second request where one that reads chunks sees a body, or the other way round.
        vec![format!("Content-Length: {}", chunk.len() - length), te.to_owned()],
        vec![te.to_owned(), "Content-Length: 4".to_owned()],
        vec!["Content-Length: 0".to_owned(), format!("Content-Length: {}", chunk.len())],
        vec![format!("Content-Length: 0, {}", chunk.len())],
        vec!["Content-Length: +0".to_owned()],
        vec!["Content-Length: 0x0".to_owned()],
        vec!["Content-Length : 0".to_owned()],
        vec!["Transfer-Encoding : chunked".to_owned()],
        vec!["Transfer-Encoding: chunked, identity".to_owned()],
        vec!["Transfer-Encoding: xchunked".to_owned()],
        vec!["Content-Length: 18446744073709551616".to_owned()],
        vec!["X: y\r\n Content-Length: 0".to_owned()],
        vec!["X: y\rContent-Length: 0".to_owned()],
    ] {
        let bytes = [head("POST /nowhere HTTP/1.1", &lines), chunk.clone().into_bytes()].concat();
        let said = statuses(&app, &bytes).await;
        assert!(said.len() <= 1 && said.iter().all(|status| [400, 404].contains(status)), "{lines:?}: {said:?}");
    }
    // A chunk that says less than it is, and one whose length is none.
    for body in
        ["1\r\nGET /healthz HTTP/1.1\r\n\r\n", "-1\r\n\r\n", "ffffffffffffffffff\r\n", "5;\u{0}\r\nhello\r\n0\r\n\r\n"]
    {
        let bytes = [head("POST /image HTTP/1.1", &[te.to_owned()]), body.as_bytes().to_vec()].concat();
        let said = statuses(&app, &bytes).await;
        assert!(said.len() <= 1 && said.iter().all(|status| *status == 400), "{body:?}: {said:?}");
    }
    // One of both lengths is the last of its connection, though what follows looks like another by either.
    for (lengths, expected) in
        [(&["Content-Length: 5", te][..], &[404][..]), (&[te, "Content-Length: 5"], &[404]), (&[te], &[404, 200])]
    {
        let lines: Vec<String> = lengths.iter().map(|line| (*line).to_owned()).collect();
        let bytes = [&head("POST /nowhere HTTP/1.1", &lines)[..], b"0\r\n\r\n", hidden.as_bytes()].concat();
        assert_eq!(statuses(&app, &bytes).await, expected, "{lengths:?}");
    }
    let two = [hidden, "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"].concat();
    assert_eq!(statuses(&app, two.as_bytes()).await, [200, 200], "the control");
    app.stop().await;
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_out_of_the_store_or_past_the_key() {
    let app = App::with_key().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    let file = &uploaded.file;
    for path in [
        "/image/process.jpg?src=../journal".to_owned(),
        "/image/process.jpg?src=..%2fjournal".to_owned(),
        "/image/process.jpg?src=%00".to_owned(),
        format!("/image/process.jpg?src={file}%00"),
        format!("/image/process.jpg%00?src={file}"),
        format!("/image/process.jpg%2f?src={file}"),
        format!("/image/./process.jpg?src={file}"),
        format!("/image/../image/process.jpg?src={file}"),
        // Overlong forms of "." and "/", which are not UTF-8.
        "/image/original/%c0%ae%c0%ae%c0%afjournal".to_owned(),
        "/image/original/%e0%80%af".to_owned(),
        "/image/original/%252e%252e%252fjournal".to_owned(),
        format!("/image/original/{}", "../".repeat(1000)),
        format!("/image/delete/%2e%2e/{file}"),
        "/internal%2faliases?alias=x".to_owned(),
        "/image/../internal/aliases?alias=x".to_owned(),
        "/Internal/aliases?alias=x".to_owned(),
        "/internal/./aliases?alias=x".to_owned(),
    ] {
        let answer = raw::ask(app.port, format!("GET {path} HTTP/1.1").as_bytes()).await;
        answer.error_in(&[400, 401, 403, 404]);
        assert_eq!(sniffed(&answer.body), None);
    }
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn a_query_is_as_long_as_a_head_may_be_and_costs_no_more_than_its_filters() {
    let app = brisk().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    let line = |query: String| format!("GET /image/process.png?src={}{query} HTTP/1.1", uploaded.file);
    let began = std::time::Instant::now();
    for (query, expected) in [
        ("&blur=1".repeat(5000), &[400][..]),
        ("&thumbnail=5".repeat(4000), &[400]),
        ("&x=y".repeat(15_000), &[200]),
        ("&".repeat(60_000), &[200]),
        ("&%".repeat(20_000), &[200]),
        (format!("&thumbnail={}", "9".repeat(50_000)), &[200]),
        (format!("&blur={}1", "0.".repeat(20_000)), &[400]),
        ("&x=y".repeat(100_000), &[414, 431]),
    ] {
        let said = statuses(&app, &head(&line(query.clone()), &["Connection: close".to_owned()])).await;
        let shown = &query[..20];
        assert!(said.len() <= 1 && said.iter().all(|status| expected.contains(status)), "{shown}: {said:?}");
        assert!(!said.is_empty() || expected.len() > 1, "{shown}: no answer");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn a_form_that_does_not_go_on_or_drips_gives_its_place_to_another() {
    let app = App::with(|config| {
        config.body_timeout = Duration::from_millis(1500);
        config.max_uploads = 1;
    })
    .await;
    let part = b"--b\r\ncontent-disposition: form-data; name=\"images[]\"; filename=\"a.png\"\r\n\r\n";
    let begin = || async {
        let mut raw = Raw::connect(app.port).await;
        let lines = ["Content-Type: multipart/form-data; boundary=b", "Content-Length: 1000000"].map(str::to_owned);
        raw.write(&head("POST /image HTTP/1.1", &lines)).await.unwrap();
        raw.write(part).await.unwrap();
        raw
    };
    let paused = begin().await.answer().await.unwrap();
    assert_eq!(paused.error_in(&[408]), "nothing came for 1 s");
    // A byte now and then is no pause, and no upload either.
    let mut dripping = begin().await;
    let began = std::time::Instant::now();
    while dripping.write(b"x").await.is_ok() && !dripping.is_answered().await {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(began.elapsed() < Duration::from_secs(20), "it is waited for");
    }
    let msg = dripping.answer().await.unwrap().error_in(&[408]);
    assert!(msg.ends_with("bytes came in 1 s, at least 4096 have to in a second"), "{msg}");
    // The only place there is is free again.
    let uploaded = app.upload(&png(1, 10, 10)).await;
    app.stop_with(&[uploaded]).await;
}
