//! Variants in memory: the same answers as from the disk, and none of what was deleted.

use crate::{
    app::{App, KEY},
    cache::counts_are_those_of_the_disk,
    form::Form,
    metrics::scraped,
    pictures::{decoded, jpeg, noise_png, png},
    stored::eventually,
};

const HITS: &str = "glimt_cache_hits_total{tier=\"memory\"}";
const ON_DISK: &str = "glimt_cache_hits_total{tier=\"disk\"}";

#[tokio::test]
async fn an_answer_from_memory_is_that_from_the_disk_header_by_header() {
    let hot = App::start().await;
    let cold = App::with(|config| config.hot_cache_bytes = 0).await;
    let picture = jpeg(1, 300, 200);
    let mut answers = Vec::new();
    let mut uploads = Vec::new();
    for app in [&hot, &cold] {
        let uploaded = app.upload(&picture).await;
        let path = format!("/image/process.webp?src={}&thumbnail=90", uploaded.file);
        let first = app.get(&path).await;
        let (etag, modified) = (first.header("etag").to_owned(), first.header("last-modified").to_owned());
        let mut seen = vec![first];
        let one_of = [
            vec![],
            vec![("if-none-match", etag.as_str())],
            vec![("if-none-match", "\"other\"")],
            vec![("if-match", "\"other\"")],
            vec![("if-modified-since", modified.as_str())],
            vec![("range", "bytes=10-19")],
            vec![("range", "bytes=10-19"), ("if-range", etag.as_str())],
            vec![("range", "bytes=99999999-")],
        ];
        for headers in &one_of {
            seen.push(app.get_with(&path, headers).await);
        }
        seen.push(app.send("HEAD", &path).await);
        seen.push(app.get(&format!("{path}&utm_source=x")).await);
        answers.push(seen);
        uploads.push(uploaded);
    }
    let statuses: Vec<u16> = answers[0].iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 304, 200, 412, 304, 206, 206, 416, 200, 200]);
    for (hot, cold) in answers[0].iter().zip(&answers[1]) {
        assert_eq!((hot.status, &hot.body), (cold.status, &cold.body));
        for (name, value) in &cold.headers {
            if !["date", "x-request-id", "last-modified"].contains(&name.as_str()) {
                assert_eq!(hot.headers.get(name), Some(value), "{name}");
            }
        }
        assert_eq!(hot.headers.len(), cold.headers.len());
    }
    assert_eq!(scraped(&hot).await[HITS], 10.0, "all but the first");
    let cold_counts = scraped(&cold).await;
    assert_eq!((cold_counts[HITS], cold_counts["glimt_hot_cache_variants"]), (0.0, 0.0));
    let [of_hot, of_cold] = <[_; 2]>::try_from(uploads).unwrap();
    hot.stop_with(&[of_hot]).await;
    cold.stop_with(&[of_cold]).await;
}

#[tokio::test]
async fn what_is_on_the_disk_comes_into_memory_when_it_is_asked_for() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 300, 200)).await;
    let made = app.process("webp", &uploaded.file, "thumbnail=80").await;
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    let app = App::on(data, |_| {}).await;
    for _ in 0..3 {
        assert_eq!(app.process("webp", &uploaded.file, "thumbnail=80").await.body, made.body);
    }
    let counted = scraped(&app).await;
    assert_eq!((counted[HITS], counted[ON_DISK], counted["glimt_hot_cache_variants"]), (2.0, 1.0, 1.0));
    assert!(counted["glimt_hot_cache_bytes"] >= made.body.len() as f64);
    // The file is not needed for it: what is in memory is served whatever was evicted.
    std::fs::remove_file(&app.stored().variants()[0]).unwrap();
    assert_eq!(app.process("webp", &uploaded.file, "thumbnail=80").await.body, made.body);
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn a_name_that_was_deleted_is_not_served_from_memory_and_the_others_are() {
    let app = App::with_key().await;
    let picture = png(1, 60, 40);
    let (mine, yours) = (app.upload(&picture).await, app.upload(&picture).await);
    let named = app.import(KEY, Form::new().file("cat.png", &picture)).await.uploaded().remove(0);
    for file in [&mine.file, &yours.file, &named.file] {
        for _ in 0..2 {
            app.process("webp", file, "thumbnail=20").await;
        }
    }
    assert_eq!(scraped(&app).await[HITS], 3.0);
    // A wrong token costs nobody anything.
    app.send("DELETE", &format!("/image/delete/0000000000/{}", mine.file)).await.error(403);
    app.process("webp", &yours.file, "thumbnail=20").await;
    assert_eq!(scraped(&app).await[HITS], 4.0);

    app.delete(&mine).await;
    app.get(&format!("/image/process.webp?src={}&thumbnail=20", mine.file)).await.error(404);
    app.process("webp", &yours.file, "thumbnail=20").await;
    app.keyed(KEY, "POST", "/internal/purge?alias=cat.png").await.is(200);
    for file in [&mine.file, &yours.file, &named.file] {
        app.get(&format!("/image/process.webp?src={file}&thumbnail=20")).await.error(404);
    }
    // The same name for another picture shows that one.
    let other = png(2, 60, 40);
    let named = app.import(KEY, Form::new().file("cat.png", &other)).await.uploaded().remove(0);
    let before = app.process("webp", "cat.png", "thumbnail=20").await.body;
    assert_eq!(app.process("webp", "cat.png", "thumbnail=20").await.body, before);
    app.stored().settles_at(1, 1).await;
    app.stop_with(&[named]).await;
}

#[tokio::test]
async fn dropping_all_variants_empties_both_caches_and_keeps_the_pictures() {
    let app = App::with_key().await;
    let pictures = [png(1, 60, 40), jpeg(2, 80, 50)];
    let mut uploads = Vec::new();
    for picture in &pictures {
        let uploaded = app.upload(picture).await;
        for side in 10..20 {
            app.process("webp", &uploaded.file, &format!("thumbnail={side}")).await;
        }
        uploads.push(uploaded);
    }
    eventually("all to be stored", || app.stored().variants().len() == 20).await;
    for (key, expected) in [("wrong", 401), (KEY, 204)] {
        let answer = app.keyed(key, "DELETE", "/internal/variants").await;
        answer.is(expected);
        assert_eq!(answer.body.is_empty(), expected == 204);
    }
    let before = scraped(&app).await;
    assert_eq!((before["glimt_hot_cache_variants"], before["glimt_hot_cache_bytes"]), (0.0, 0.0));
    app.stored().settles_at(2, 0).await;
    counts_are_those_of_the_disk(&app).await;
    for uploaded in &uploads {
        app.process("webp", &uploaded.file, "thumbnail=10").await;
        app.original(&uploaded.file).await;
    }
    let after = counts_are_those_of_the_disk(&app).await;
    assert_eq!(after[HITS], before[HITS]);
    assert_eq!(after[ON_DISK], before[ON_DISK], "each was made anew");
    app.stored().settles_at(2, 2).await;

    let answer = app.keyed(KEY, "GET", "/internal/variants").await;
    answer.error(405);
    assert_eq!(answer.header("allow"), "DELETE");
    app.keyed(KEY, "DELETE", "/internal/variants").await.is(204);
    app.keyed(KEY, "DELETE", "/internal/variants").await.is(204);
    app.stored().settles_at(2, 0).await;
    app.stop_with(&uploads).await;
}

#[tokio::test]
async fn small_originals_are_kept_in_memory_and_large_ones_are_not() {
    let app = App::with_key().await;
    let cold = App::with(|config| config.hot_cache_bytes = 0).await;
    let (small, large) = (png(1, 60, 40), noise_png(2, 400));
    assert!(small.len() < 256 * 1024 && large.len() > 256 * 1024);
    let (mine, yours) = (app.upload(&small).await, app.upload(&small).await);
    let of_cold = cold.upload(&small).await;
    let big = app.upload(&large).await;
    let path = |file: &str| format!("/image/original/{file}");
    let from_disk = cold.original(&of_cold.file).await;
    for round in 0..3 {
        let answer = app.original(&mine.file).await;
        answer.is_image("image/png");
        assert_eq!((&answer.body, answer.headers.len()), (&from_disk.body, from_disk.headers.len()), "{round}");
        assert_eq!(answer.header("etag"), from_disk.header("etag"));
        let body = app.original(&big.file).await.body;
        assert_eq!(decoded(&body), decoded(&large));
    }
    // What changes nothing is the same picture under another name.
    for _ in 0..2 {
        assert_eq!(app.process("png", &mine.file, "identity=true").await.body, from_disk.body);
    }
    let counted = scraped(&app).await;
    assert_eq!((counted[HITS], counted["glimt_hot_cache_variants"]), (3.0, 2.0));
    for (headers, status) in [(("range", "bytes=2-5"), 206), (("if-none-match", from_disk.header("etag")), 304)] {
        let answer = app.get_with(&path(&mine.file), &[headers]).await;
        answer.is(status);
        assert_eq!(answer.body.len(), if status == 206 { 4 } else { 0 });
    }
    assert_eq!(scraped(&app).await[HITS], 5.0);
    app.delete(&mine).await;
    app.get(&path(&mine.file)).await.error(404);
    app.get(&format!("/image/process.png?src={}", mine.file)).await.error(404);
    assert_eq!(app.original(&yours.file).await.body, from_disk.body);
    app.stop_with(&[yours, big]).await;
    cold.stop_with(&[of_cold]).await;
}
