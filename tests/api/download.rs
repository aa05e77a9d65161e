//! A user gives a URL instead of a file.

use crate::{
    app::App,
    client::{Answer, is_alias},
    pictures::{jpeg, noise_png, png},
    remote::{Remote, cut_off, response, until_close},
};

/// A server that may fetch from the loopback network.
async fn trusting() -> App {
    App::with(|config| config.download_allow = vec!["127.0.0.0/8".parse().unwrap()]).await
}

async fn download(app: &App, url: &str) -> Answer {
    app.get(&format!("/image/download?url={url}")).await
}

#[tokio::test]
async fn a_picture_is_fetched_and_stored_like_an_upload() {
    let picture = jpeg(1, 60, 40);
    let remote = Remote::serving([
        ("/a.jpg", response("200 OK", &["Content-Type: image/jpeg"], &picture)),
        ("/lies.png?q=1", response("200 OK", &["Content-Type: text/html"], &picture)),
        ("/close", until_close(&picture)),
    ])
    .await;
    let app = trusting().await;
    let mut files = Vec::new();
    for path in ["/a.jpg", "/lies.png?q=1", "/close"] {
        let uploaded = download(&app, &remote.url(path)).await.uploaded();
        assert_eq!(uploaded.len(), 1);
        assert!(is_alias(&uploaded[0].file, "jpg"));
        assert_eq!(app.original(&uploaded[0].file).await.body, picture);
        files.extend(uploaded);
    }
    assert_eq!(app.stored().only_original(), picture);
    let plain = app.get(&format!("/image/download?url=http://127.0.0.1:{}/a.jpg", remote.port)).await.uploaded();
    files.extend(plain);
    app.delete(&files.pop().unwrap()).await;
    app.stop_with(&files).await;
}

#[tokio::test]
async fn private_addresses_are_refused_unless_the_operator_allows_them() {
    let remote = Remote::serving([("/a.jpg", response("200 OK", &[], &jpeg(1, 9, 9)))]).await;
    let app = App::start().await;
    let port = remote.port;
    for url in [
        remote.url("/a.jpg"),
        format!("http://localhost:{port}/a.jpg"),
        format!("http://127.1:{port}/a.jpg"),
        format!("http://2130706433:{port}/a.jpg"),
        format!("http://0x7f000001:{port}/a.jpg"),
        format!("http://0.0.0.0:{port}/a.jpg"),
        format!("http://[::1]:{port}/a.jpg"),
        format!("http://[::ffff:127.0.0.1]:{port}/a.jpg"),
        "http://10.0.0.1/a.jpg".to_owned(),
        "http://192.168.0.1/a.jpg".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://[fe80::1]/a.jpg".to_owned(),
        "http://[fd00::1]/a.jpg".to_owned(),
    ] {
        let answer = download(&app, &url).await;
        assert_eq!(answer.status, 400, "{url}: {}", answer.shown());
        answer.error(400);
    }
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn urls_that_are_none_or_not_http_are_refused() {
    let app = trusting().await;
    for query in [
        "",
        "?",
        "?url=",
        "?URL=http://example.com",
        "?url=nonsense",
        "?url=%ff",
        "?url=//127.0.0.1/a.jpg",
        "?url=file%3A%2F%2F%2Fetc%2Fpasswd",
        "?url=ftp%3A%2F%2F127.0.0.1%2Fa.jpg",
        "?url=data%3Aimage%2Fpng%3Bbase64%2CAAAA",
        "?url=gopher%3A%2F%2F127.0.0.1%2F",
        "?url=http%3A%2F%2F",
        "?url=http%3A%2F%2F127.0.0.1%3A99999%2F",
    ] {
        let answer = app.get(&format!("/image/download{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.shown());
        answer.error(400);
    }
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn a_remote_that_fails_is_named_as_the_one_at_fault() {
    let picture = jpeg(1, 200, 150);
    let remote = Remote::serving([
        ("/broken", response("500 Internal Server Error", &[], &picture)),
        ("/forbidden", response("403 Forbidden", &[], &picture)),
        ("/cut", cut_off(&picture)),
        ("/garbage", b"this is not HTTP\r\n\r\n".to_vec()),
        ("/hangup", Vec::new()),
    ])
    .await;
    let app = trusting().await;
    for path in ["/unknown", "/broken", "/forbidden", "/cut", "/garbage", "/hangup"] {
        download(&app, &remote.url(path)).await.error_in(&[400, 502]);
        app.stored().is_idle().await;
    }
    // A port where nobody listens.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    download(&app, &format!("http://127.0.0.1:{nobody}/a.jpg")).await.error_in(&[400, 502]);
    app.stored().holds_nothing();
    app.stop().await;
}

#[tokio::test]
async fn what_a_remote_sends_is_judged_like_an_upload() {
    let too_large = noise_png(1, 100);
    let endless = [too_large.clone(), vec![7; 8 << 20]].concat();
    let remote = Remote::serving([
        ("/text", response("200 OK", &["Content-Type: image/png"], b"<html>not a picture</html>")),
        ("/empty", response("200 OK", &[], b"")),
        ("/large", response("200 OK", &[], &too_large)),
        ("/large-unannounced", until_close(&too_large)),
        ("/endless", until_close(&endless)),
        ("/small", response("200 OK", &[], &png(1, 9, 9))),
    ])
    .await;
    let app = App::with(|config| {
        config.download_allow = vec!["127.0.0.0/8".parse().unwrap()];
        config.max_file_size_bytes = 16 * 1024;
    })
    .await;
    for path in ["/text", "/empty"] {
        download(&app, &remote.url(path)).await.error(400);
    }
    for path in ["/large", "/large-unannounced", "/endless"] {
        let msg = download(&app, &remote.url(path)).await.error(413);
        assert!(msg.contains("16384"), "{msg:?} does not name the limit");
    }
    app.stored().is_idle().await;
    app.stored().holds_nothing();
    download(&app, &remote.url("/small")).await.uploaded();
    app.stop().await;
}

#[tokio::test]
async fn redirects_are_followed_a_few_times_and_never_to_where_they_may_not_go() {
    let picture = png(1, 12, 9);
    let to = |target: &str| response("302 Found", &[&format!("Location: {target}")], b"");
    let remote = Remote::serving([
        ("/picture", response("200 OK", &[], &picture)),
        ("/once", to("/picture")),
        ("/loop", to("/loop")),
        ("/private", to("http://10.255.255.1/a.png")),
        ("/file", to("file:///etc/passwd")),
        ("/nowhere", response("302 Found", &[], b"")),
    ])
    .await;
    let app = trusting().await;
    let uploaded = download(&app, &remote.url("/once")).await.uploaded();
    assert_eq!(app.original(&uploaded[0].file).await.body, picture);
    for path in ["/loop", "/private", "/file", "/nowhere"] {
        download(&app, &remote.url(path)).await.error_in(&[400, 502]);
    }
    assert_eq!(app.stored().originals().len(), 1);
    app.stop_with(&uploaded).await;
}

#[tokio::test]
async fn head_fetches_nothing() {
    let remote = Remote::serving([("/a.png", response("200 OK", &[], &png(1, 9, 9)))]).await;
    let app = trusting().await;
    let answer = app.send("HEAD", &format!("/image/download?url={}", remote.url("/a.png"))).await;
    app.stored().holds_nothing();
    answer.is(405);
    app.stop().await;
}
