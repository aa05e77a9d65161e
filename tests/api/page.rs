//! The page at `/`, as far as it goes without a browser; `tests/page` has one.

use crate::{
    app::{App, KEY},
    client::Answer,
    pictures::jpeg,
};

/// The files that the page loads, by the page's own words.
fn loaded(page: &str) -> Vec<String> {
    let links = page.split(['"']).filter(|part| part.starts_with("/ui/"));
    links.map(str::to_owned).collect()
}

fn is_locked_down(answer: &Answer) {
    let policy = answer.header("content-security-policy");
    for rule in
        ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    {
        assert!(policy.split("; ").any(|found| found == rule), "{policy} lacks {rule}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn the_page_and_all_it_loads_are_there_and_are_asked_for_again_only_when_they_change() {
    let app = App::start().await;
    let page = app.get("/").await;
    page.is(200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    is_locked_down(&page);
    let links = loaded(std::str::from_utf8(&page.body).unwrap());
    assert!(links.len() >= 3, "{links:?}");
    for path in links.iter().map(String::as_str).chain(["/", "/ui/playground.js"]) {
        let answer = app.get(path).await;
        answer.is(200);
        is_locked_down(&answer);
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        let etag = answer.header("etag").to_owned();
        let head = app.send("HEAD", path).await;
        assert_eq!((head.status, head.header("etag"), head.body.len()), (200, etag.as_str(), 0), "{path}");
        let again = app.get_with(path, &[("if-none-match", &etag)]).await;
        again.is(304);
        assert_eq!((again.header("etag"), again.body.len()), (etag.as_str(), 0));
        is_locked_down(&again);
        app.get_with(path, &[("if-none-match", "\"another\"")]).await.is(200);
        let refused = app.send("POST", path).await;
        refused.error(405);
        assert_eq!(refused.header("allow"), "GET, HEAD");
    }
    for path in ["/ui", "/ui/", "/ui/nothing.js", "/ui/../ui/page.css/x", "/index.html", "/favicon.ico"] {
        app.get(path).await.error(404);
    }
    // As everywhere, several slashes are one.
    app.get("//").await.is(200);
    app.stop().await;
}

#[tokio::test]
async fn without_the_page_there_is_nothing_at_its_paths() {
    let app = App::with(|config| config.ui = false).await;
    for path in ["/", "/ui/page.css", "/ui/main.js"] {
        for method in ["GET", "POST", "DELETE"] {
            app.send(method, path).await.error(404);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn the_overview_is_behind_the_key_and_counts_what_was_done() {
    let app = App::with_key().await;
    app.get("/internal/overview").await.error(401);
    app.keyed("wrong", "GET", "/internal/overview").await.error(401);
    // What lies there is counted beside the requests, an empty directory too.
    while app.keyed(KEY, "GET", "/internal/overview").await.json()["cache"]["is_counted"] != true {}
    let uploaded = app.upload(&jpeg(1, 300, 200)).await;
    for _ in 0..3 {
        app.process("png", &uploaded.file, "thumbnail=64").await;
    }
    let wrong = app.get(&format!("/image/process.png?src={}&thumbnail=0", uploaded.file)).await;
    wrong.error(400);
    app.get("/image/original/unknown.png").await.error(404);

    let answer = app.keyed(KEY, "GET", "/internal/overview").await;
    answer.is(200);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let json = answer.json();
    // Read and written again the keys stand in alphabetical order: they did before.
    assert_eq!(serde_json::to_string(&json).unwrap(), text);
    assert_eq!((&json["msg"], &json["version"]), (&"ok".into(), &env!("CARGO_PKG_VERSION").into()));
    assert_eq!(
        (json["stored"][0]["class"].as_str(), json["stored"][0]["files"].as_u64()),
        (Some("originals"), Some(1))
    );
    assert_eq!(
        (json["cache"]["memory"]["hits"].as_u64(), json["cache"]["disk"]["misses"].as_u64()),
        (Some(2), Some(1))
    );
    assert_eq!(
        (json["engine"]["device"].as_str(), json["engine"]["cpu_jobs"].as_u64()),
        (Some("none"), Some(2)),
        "looked at, and made"
    );
    assert_eq!(json["errors"].as_array().unwrap().len(), 1, "what is not there is everyday: {text}");
    let failure = &json["errors"][0];
    assert_eq!(failure["id"].as_str(), Some(wrong.header("x-request-id")));
    assert_eq!((failure["code"].as_str(), failure["status"].as_u64()), (Some("unreadable-filter"), Some(400)));
    assert_eq!((failure["method"].as_str(), failure["path"].as_str()), (Some("GET"), Some("/image/process.png")));
    let counted = |route: &str| {
        let routes = json["latency"]["routes"].as_array().unwrap();
        let times = routes.iter().find(|times| times["route"] == *route).unwrap();
        times["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    // Two of the variants were answered in front of the router.
    assert_eq!((counted("upload"), counted("process"), counted("original")), (1, 4, 1));
    assert!(counted("internal") >= 3);
    app.stop_with(&[uploaded]).await;
}
