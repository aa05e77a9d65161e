//! Browsers and CDNs ask again: entity tags, dates, ranges, heads. Originals and variants alike.

use std::time::{Duration, SystemTime};

use crate::{
    app::App,
    client::{Answer, CACHE_CONTROL},
    pictures::jpeg,
};

/// A server with one picture, and the paths of its original and of a variant.
async fn served() -> (App, [String; 2]) {
    let app = App::start().await;
    let uploaded = app.upload(&jpeg(1, 120, 90)).await;
    let paths = [
        format!("/image/original/{}", uploaded.file),
        format!("/image/process.webp?src={}&thumbnail=50&blur=1.5", uploaded.file),
    ];
    (app, paths)
}

fn date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

#[tokio::test]
async fn images_carry_everything_a_cache_wants_and_are_never_encoded() {
    let (app, [original, variant]) = served().await;
    for (path, media_type) in [(&original, "image/jpeg"), (&variant, "image/webp")] {
        let plain = app.get(path).await;
        plain.is_image(media_type);
        let squeezed = app.get_with(path, &[("Accept-Encoding", "gzip, deflate, br, zstd, *")]).await;
        squeezed.is_image(media_type);
        assert_eq!(squeezed.body, plain.body);
        assert_eq!(squeezed.header("etag"), plain.header("etag"));
    }
    assert_ne!(app.get(&original).await.header("etag"), app.get(&variant).await.header("etag"));
    app.stop().await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let (app, paths) = served().await;
    for path in &paths {
        // First the head: a variant that nobody has asked for yet has a length, too.
        let head = app.send("HEAD", path).await;
        let get = app.get(path).await;
        head.is(200);
        assert!(head.body.is_empty());
        for name in
            ["content-type", "content-length", "cache-control", "etag", "last-modified", "x-content-type-options"]
        {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
        // RFC 9110, 14.2: a range means nothing outside GET.
        let ranged = app.request("HEAD", path).header("Range", "bytes=0-9");
        let ranged = crate::client::sent(ranged).await;
        ranged.is(200);
        assert_eq!(ranged.header("content-length"), get.header("content-length"));
    }
    let missing = app.send("HEAD", "/image/original/unknown.jpg").await;
    missing.is(404);
    assert!(missing.body.is_empty());
    app.stop().await;
}

#[track_caller]
fn is_not_modified(answer: &Answer, whole: &Answer) {
    answer.is(304);
    assert!(answer.body.is_empty());
    assert_eq!(answer.header("etag"), whole.header("etag"));
    assert_eq!(answer.header("cache-control"), CACHE_CONTROL);
}

#[tokio::test]
async fn a_client_that_has_it_is_told_so() {
    let (app, paths) = served().await;
    for path in &paths {
        let whole = app.get(path).await;
        let etag = whole.header("etag");
        let (weak, among, spaceless) =
            (format!("W/{etag}"), format!(r#""other", {etag} , W/"x""#), format!(r#""x",{etag}"#));
        for value in [etag, &weak, &among, &spaceless, "*"] {
            is_not_modified(&app.get_with(path, &[("If-None-Match", value)]).await, &whole);
        }
        for value in [r#""other""#, r#"W/"other""#, etag.trim_matches('"'), r#""""#] {
            let answer = app.get_with(path, &[("If-None-Match", value)]).await;
            answer.is(200);
            assert_eq!(answer.body, whole.body, "{value}");
        }
        let head = crate::client::sent(app.request("HEAD", path).header("If-None-Match", etag)).await;
        head.is(304);
    }
    app.stop().await;
}

#[tokio::test]
async fn dates_are_compared_to_the_second() {
    let (app, paths) = served().await;
    for path in &paths {
        let whole = app.get(path).await;
        let modified = httpdate::parse_http_date(whole.header("last-modified")).unwrap();
        let (before, after) = (date(modified - Duration::from_secs(1)), date(modified + Duration::from_secs(1)));
        let same = date(modified);
        for (name, value, status) in [
            ("If-Modified-Since", &same, 304),
            ("If-Modified-Since", &after, 304),
            ("If-Modified-Since", &before, 200),
            ("If-Unmodified-Since", &same, 200),
            ("If-Unmodified-Since", &after, 200),
            ("If-Unmodified-Since", &before, 412),
        ] {
            let answer = app.get_with(path, &[(name, value)]).await;
            assert_eq!(answer.status, status, "{name}: {value} of {path}");
            match status {
                304 => is_not_modified(&answer, &whole),
                412 => drop(answer.error(412)),
                _ => assert_eq!(answer.body, whole.body),
            }
        }
        for name in ["If-Modified-Since", "If-Unmodified-Since"] {
            app.get_with(path, &[(name, "yesterday")]).await.is(200);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn if_match_is_strong() {
    let (app, paths) = served().await;
    for path in &paths {
        let whole = app.get(path).await;
        let etag = whole.header("etag");
        let (weak, among) = (format!("W/{etag}"), format!(r#""other", {etag}"#));
        for value in [etag, &among, "*"] {
            app.get_with(path, &[("If-Match", value)]).await.is(200);
        }
        for value in [r#""other""#, &weak] {
            app.get_with(path, &[("If-Match", value)]).await.error(412);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn preconditions_have_an_order() {
    let (app, paths) = served().await;
    for path in &paths {
        let whole = app.get(path).await;
        let (etag, modified) = (whole.header("etag"), whole.header("last-modified"));
        let long_ago = date(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        for (headers, status) in [
            // A tag outranks a date (RFC 9110, 13.2.2) …
            ([("If-None-Match", r#""other""#), ("If-Modified-Since", modified)], 200),
            ([("If-None-Match", etag), ("If-Modified-Since", &long_ago)], 304),
            ([("If-Match", etag), ("If-Unmodified-Since", &long_ago)], 200),
            // … If-Match comes before If-None-Match, and both before a range.
            ([("If-Match", r#""other""#), ("If-None-Match", etag)], 412),
            ([("If-None-Match", etag), ("Range", "bytes=0-3")], 304),
            ([("If-Match", r#""other""#), ("Range", "bytes=0-3")], 412),
            ([("If-Match", etag), ("Range", "bytes=0-3")], 206),
        ] {
            let answer = app.get_with(path, &headers).await;
            assert_eq!(answer.status, status, "{headers:?} of {path}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_part_of_it_is_served_on_request() {
    let (app, paths) = served().await;
    for path in &paths {
        let whole = app.get(path).await;
        let size = whole.body.len();
        let cases = [
            ("bytes=0-9".to_owned(), 0..10),
            ("bytes=0-0".to_owned(), 0..1),
            ("bytes=20-29".to_owned(), 20..30),
            (format!("bytes={}-", size - 7), size - 7..size),
            ("bytes=0-".to_owned(), 0..size),
            ("bytes=-5".to_owned(), size - 5..size),
            (format!("bytes=-{}", size + 10), 0..size),
            (format!("bytes=10-{}", size * 2), 10..size),
            (format!("bytes=10-{}", u64::MAX), 10..size),
            (format!("bytes={0}-{0}", size - 1), size - 1..size),
            ("BYTES=0-9".to_owned(), 0..10),
        ];
        for (range, bytes) in cases {
            let answer = app.get_with(path, &[("Range", &range)]).await;
            assert_eq!(answer.status, 206, "{range} of {size}");
            assert_eq!(answer.header("content-range"), format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1));
            assert_eq!(answer.header("content-length"), bytes.len().to_string());
            for name in ["content-type", "etag", "last-modified", "cache-control", "x-content-type-options"] {
                assert_eq!(answer.header(name), whole.header(name), "{name}");
            }
            assert_eq!(answer.body, whole.body[bytes], "{range}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn a_part_that_is_not_there_is_416_and_a_range_that_is_none_is_ignored() {
    let (app, paths) = served().await;
    for path in &paths {
        let whole = app.get(path).await;
        let size = whole.body.len();
        for range in [format!("bytes={size}-"), format!("bytes={}-{}", size + 5, size + 9), "bytes=-0".to_owned()] {
            let answer = app.get_with(path, &[("Range", &range)]).await;
            assert_eq!(answer.status, 416, "{range}");
            assert_eq!(answer.header("content-range"), format!("bytes */{size}"));
            answer.error(416);
        }
        for range in
            ["bytes=abc", "bytes=", "bytes=-", "bytes=9-2", "lines=0-4", "bytes 0-4", "bytes=0x0-0x4", "bytes=--5", ""]
        {
            let answer = app.get_with(path, &[("Range", range)]).await;
            assert_eq!(answer.status, 200, "{range:?}");
            assert_eq!(answer.body, whole.body);
        }
        // Several parts may be answered with all of it or with several parts, never with the wrong one.
        let several = app.get_with(path, &[("Range", "bytes=0-1,5-6")]).await;
        match several.status {
            200 => assert_eq!(several.body, whole.body),
            206 => assert!(several.header("content-type").starts_with("multipart/byteranges; boundary=")),
            other => panic!("{other}: {}", several.shown()),
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn if_range_serves_the_part_only_of_what_the_client_has() {
    let (app, paths) = served().await;
    for path in &paths {
        let whole = app.get(path).await;
        let etag = whole.header("etag");
        let weak = format!("W/{etag}");
        let long_ago = date(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
        for (condition, status) in [(etag, 206), (&weak, 200), (r#""other""#, 200), (&long_ago, 200), ("garbage", 200)]
        {
            let answer = app.get_with(path, &[("Range", "bytes=3-8"), ("If-Range", condition)]).await;
            assert_eq!(answer.status, status, "If-Range: {condition}");
            let wanted = if status == 206 { &whole.body[3..9] } else { &whole.body[..] };
            assert_eq!(answer.body, wanted);
        }
        // RFC 9110, 13.1.5: a failed If-Range takes the range away, even one that cannot be satisfied.
        let range = format!("bytes={}-", whole.body.len());
        app.get_with(path, &[("Range", &range), ("If-Range", r#""other""#)]).await.is(200);
        // And an If-Range without a range means nothing.
        app.get_with(path, &[("If-Range", r#""other""#)]).await.is(200);
    }
    app.stop().await;
}

#[tokio::test]
async fn errors_are_not_cached_for_a_day() {
    let (app, [original, _]) = served().await;
    for path in ["/image/original/unknown.jpg", "/image/process.jpg?src=unknown.jpg", "/image/process.jpg"] {
        let answer = app.get(path).await;
        answer.error(404);
        assert!(answer.headers.get("cache-control").is_none_or(|value| value != CACHE_CONTROL), "{path}");
    }
    let answer = app.get_with(&original, &[("If-Match", r#""other""#)]).await;
    assert!(!answer.has("etag") || answer.status == 412);
    app.stop().await;
}
