//! `?proxy=<URL>`: pictures of other hosts, as clients of pict-rs 0.4 and 0.5 ask for them.

use std::time::Duration;

use glimt::config::Config;

use crate::{
    app::{App, KEY},
    client::{CACHE_CONTROL, sent},
    pictures::{decoded, jpeg, metadata, photo, png},
    remote::{Remote, response},
    stored::eventually,
};

fn reachable(config: &mut Config) {
    config.api_key = Some(KEY.into());
    config.download_allow = vec!["127.0.0.0/8".parse().unwrap()];
}

#[tokio::test]
async fn a_remote_picture_is_fetched_once_and_served_like_any_other() {
    let picture = jpeg(1, 300, 200);
    let remote = Remote::serving([("/a.jpg?x=1", response("200 OK", &[], &picture))]).await;
    let app = App::with(reachable).await;
    let url = format!("http%3A%2F%2F127.0.0.1%3A{}%2Fa.jpg%3Fx%3D1", remote.port);
    let small = format!("/image/process.webp?proxy={url}&thumbnail=96");

    // Before anybody has fetched it, it is only looked up: by HEAD, by details, and by whoever has the key.
    let told = sent(app.request("HEAD", &small)).await;
    told.is(404);
    for path in ["details/original?", "details/process.webp?thumbnail=96&"] {
        let answer = app.get(&format!("/image/{path}proxy={url}")).await;
        answer.error(404);
        assert_eq!(answer.json()["code"], "proxy-not-found", "{path}");
    }
    let answer = app.keyed(KEY, "GET", &format!("/internal/aliases?proxy={url}")).await;
    assert_eq!(answer.json()["code"], "proxy-not-found");
    assert_eq!(remote.asked(), 0);

    // Asked for by many at once it is fetched once; later ones find it, by any spelling.
    let asks: Vec<_> = (0..8).map(|_| app.get(&small)).collect();
    for answer in futures_util::future::join_all(asks).await {
        answer.is_image("image/webp");
        assert_eq!(decoded(&answer.body).width(), 96);
        assert_eq!(answer.header("cache-control"), CACHE_CONTROL);
    }
    let whole = app.get(&format!("/image/original?proxy={url}%23top")).await;
    whole.is_image("image/jpeg");
    assert_eq!(whole.body, picture);
    let part = app.get_with(&format!("/image/original?proxy={url}"), &[("Range", "bytes=0-9")]).await;
    part.is(206);
    sent(app.request("HEAD", &small)).await.is(200);
    let details = app.get(&format!("/image/details/original?proxy={url}")).await.json();
    assert_eq!((details["width"].as_u64(), details["height"].as_u64()), (Some(300), Some(200)));
    let details = app.get(&format!("/image/details/process.webp?proxy={url}&thumbnail=96")).await.json();
    assert_eq!(details["width"], 96);
    let hash = app.get(&format!("/image/blurhash?proxy={url}")).await.json();
    assert_eq!(hash["msg"], "ok");
    assert_eq!(remote.asked(), 1);

    // Whoever has the key finds its name and deletes it: then it is not here, and fetched again.
    let aliases = app.keyed(KEY, "GET", &format!("/internal/aliases?proxy={url}")).await.json()["aliases"].clone();
    assert_eq!(aliases.as_array().unwrap().len(), 1, "{aliases}");
    app.keyed(KEY, "GET", &format!("/internal/identifier?proxy={url}")).await.is(200);
    app.keyed(KEY, "POST", &format!("/internal/delete?proxy={url}")).await.is(200);
    sent(app.request("HEAD", &format!("/image/original?proxy={url}"))).await.is(404);
    app.stored().settles_at(0, 0).await;
    app.get(&format!("/image/original?proxy={url}")).await.is(200);
    assert_eq!(remote.asked(), 2);
    let purged = app.keyed(KEY, "POST", &format!("/internal/purge?proxy={url}")).await.json();
    assert_eq!(purged["aliases"].as_array().unwrap().len(), 1);
    app.stored().settles_at(0, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_fetched_is_told_and_leaves_nothing() {
    let remote = Remote::serving([("/page", response("200 OK", &[], b"<html></html>"))]).await;
    let app = App::with(reachable).await;
    for (url, status, code) in [
        (remote.url("/page"), 400, "not-an-image"),
        (remote.url("/missing"), 502, "download-failed"),
        ("http%3A%2F%2F192.168.0.1%2Fa.png".to_owned(), 400, "download-refused"),
        ("ftp%3A%2F%2F127.0.0.1%2Fa.png".to_owned(), 400, "unusable-url"),
        ("a.png".to_owned(), 400, "unusable-url"),
        (String::new(), 400, "unusable-url"),
        (format!("http%3A%2F%2F127.0.0.1%2F{}", "a".repeat(2048)), 400, "unusable-url"),
    ] {
        for path in ["original?", "process.png?thumbnail=9&", "blurhash?"] {
            let answer = app.get(&format!("/image/{path}proxy={url}")).await;
            answer.error(status);
            assert_eq!(answer.json()["code"], code, "{path}{url}");
        }
    }
    // What cannot be made is told before anything is fetched.
    let before = remote.asked();
    for wrong in ["process.png?thumbnail=x", "process.tiff?thumbnail=9"] {
        app.get(&format!("/image/{wrong}&proxy={}", remote.url("/page"))).await.error(400);
    }
    assert_eq!(remote.asked(), before);
    app.stored().holds_nothing();
    app.stop().await;

    let off = App::with(|config| config.download = false).await;
    let answer = off.get(&format!("/image/original?proxy={}", remote.url("/page"))).await;
    assert_eq!(answer.json()["code"], "download-disabled");
    off.stop().await;
}

#[tokio::test]
async fn a_remote_picture_is_stripped_and_shares_its_bytes_with_an_upload() {
    let private = metadata::laden_jpeg(&photo(2, 60, 40), 1);
    let remote = Remote::serving([("/a.jpg", response("200 OK", &[], &private))]).await;
    let app = App::with(reachable).await;
    let url = remote.url("/a.jpg");
    let uploaded = app.upload(&private).await;
    let served = app.get(&format!("/image/original?proxy={url}")).await;
    assert_eq!(served.body, app.original(&uploaded.file).await.body);
    assert_eq!(app.stored().originals().len(), 1);
    // Each goes alone.
    app.delete(&uploaded).await;
    app.get(&format!("/image/original?proxy={url}")).await.is(200);
    assert_eq!(remote.asked(), 1);
    app.stop().await;
}

#[tokio::test]
async fn one_that_nobody_asks_for_goes_and_one_that_is_asked_for_stays() {
    let [a, b] = [1, 2].map(|n| response("200 OK", &[], &png(n, 30, 20)));
    let remote = Remote::serving([("/a.png", a), ("/b.png", b)]).await;
    let tune = |config: &mut Config| {
        reachable(config);
        config.remote_age = Some(Duration::from_secs(3));
    };
    let app = App::with(tune).await;
    let uploaded = app.upload(&png(3, 30, 20)).await;
    let [a, b] = ["/a.png", "/b.png"].map(|path| format!("/image/original?proxy={}", remote.url(path)));
    app.get(&a).await.is(200);
    app.get(&b).await.is(200);
    assert_eq!(app.stored().originals().len(), 3);
    // Asked for all the while, through a restart too.
    let begun = std::time::Instant::now();
    while app.stored().originals().len() == 3 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not go");
        app.get(&a).await.is(200);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(begun.elapsed() > Duration::from_secs(3), "gone after {:?}", begun.elapsed());
    assert_eq!(remote.asked(), 2, "the one that was asked for was not fetched again");
    app.get(&a).await.is(200);
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    let app = App::on(data, tune).await;
    sent(app.request("HEAD", &a)).await.is(200);
    sent(app.request("HEAD", &b)).await.is(404);
    // Nobody asks any more; what was uploaded stays.
    app.stored().settles_at(1, 0).await;
    app.original(&uploaded.file).await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn none_is_fetched_where_no_picture_is_to_come() {
    let remote = Remote::serving([("/a.png", response("200 OK", &[], &png(1, 30, 20)))]).await;
    let app = App::with(reachable).await;
    let path = format!("/image/original?proxy={}", remote.url("/a.png"));
    app.get(&path).await.is(200);
    let data = app.stop_keeping(&[]).await;
    let app = App::on(data, |config| {
        reachable(config);
        config.read_only = true;
    })
    .await;
    app.get(&path).await.is(200);
    let answer = app.get(&format!("/image/original?proxy={}", remote.url("/b.png"))).await;
    assert_eq!(answer.json()["code"], "read-only");
    assert_eq!(remote.asked(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_remote_picture_comes_out_of_an_archive_as_one() {
    // What `glimt export` and `import` do is told by their own tests; this is about the row.
    let remote = Remote::serving([("/a.png", response("200 OK", &[], &png(1, 40, 30)))]).await;
    let app = App::with(reachable).await;
    let path = format!("/image/original?proxy={}", remote.url("/a.png"));
    app.get(&path).await.is(200);
    let exported = app.keyed(KEY, "POST", "/internal/export").await;
    exported.is(201);
    let folder = exported.json()["export"].as_str().unwrap().to_owned();
    let lines = std::fs::read_to_string(app.data().join(folder).join("metadata.jsonl")).unwrap();
    assert!(lines.lines().nth(1).unwrap().contains(r#""remote":{"url":""#), "{lines}");
    assert!(!lines.contains("127.0.0.1"), "nobody reads where it is from: {lines}");
    eventually("nothing to be written", || app.stored().staging().is_empty()).await;
    app.stop().await;
}
