//! What later clients of pict-rs ask for behind the API key, and how long they wait.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::{
    app::{App, KEY},
    client::{Answer, CACHE_CONTROL},
    form::Form,
    pictures::{jpeg, noise_png, png},
};

#[tokio::test]
async fn an_operator_deletes_one_name_without_its_token() {
    let app = App::with_key().await;
    let picture = png(1, 30, 20);
    let (first, second) = (app.upload(&picture).await, app.upload(&picture).await);
    let path = format!("/internal/delete?alias={}", first.file);
    for key in ["", "wrong"] {
        app.keyed(key, "POST", &path).await.error(401);
    }
    // In memory by now, as a picture and as a variant.
    let places =
        [format!("/image/original/{}", first.file), format!("/image/process.webp?src={}&thumbnail=8", first.file)];
    for place in &places {
        app.get(place).await.is(200);
    }
    let answer = app.keyed(KEY, "POST", &path).await;
    answer.is(200);
    assert_eq!(answer.json(), json!({ "msg": "ok" }));
    for place in &places {
        app.get(place).await.error(404);
    }
    app.original(&second.file).await;
    app.keyed(KEY, "POST", &path).await.error(404);
    app.keyed(KEY, "POST", "/internal/delete").await.error(400);
    app.keyed(KEY, "POST", "/internal/delete?alias=").await.error(404);
    assert!(app.keyed(KEY, "GET", &path).await.header("allow").contains("POST"));
    app.keyed(KEY, "POST", &format!("//internal/delete?alias={}", second.file)).await.is(200);
    app.stored().settles_at(0, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn where_a_file_lies_is_told_to_an_operator() {
    let app = App::with_key().await;
    let uploaded = app.upload(&jpeg(1, 30, 20)).await;
    let path = format!("/internal/identifier?alias={}", uploaded.file);
    app.get(&path).await.error(401);
    let answer = app.keyed(KEY, "GET", &path).await;
    answer.is(200);
    let told = answer.json();
    assert_eq!(told["msg"], "ok");
    let lies = app.data().join(told["identifier"].as_str().unwrap());
    assert_eq!(std::fs::read(lies).unwrap(), app.original(&uploaded.file).await.body);
    app.keyed(KEY, "GET", "/internal/identifier?alias=nothere.png").await.error(404);
    app.keyed(KEY, "GET", "/internal/identifier").await.error(400);
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn all_pictures_are_listed_in_pages() {
    let app = App::with_key().await;
    let uploaded = app.post(Form::files((0..5).map(|i| png(i, 20 + i, 10)))).await.uploaded();
    let second = app.upload(&png(0, 20, 10)).await;
    app.get("/internal/hashes").await.error(401);
    let all = app.keyed(KEY, "GET", "/internal/hashes").await.json();
    let page = &all["page"];
    assert_eq!((&all["msg"], &page["limit"], page["hashes"].as_array().unwrap().len()), (&json!("ok"), &json!(20), 5));
    assert!(page.get("next").is_none() && page.get("prev").is_none(), "{all}");
    let of = |file: &str| {
        let has = |one: &&serde_json::Value| one["aliases"].as_array().unwrap().contains(&json!(file));
        page["hashes"].as_array().unwrap().iter().find(has).unwrap().clone()
    };
    let one = of(&second.file);
    assert_eq!(one["aliases"], json!([uploaded[0].file, second.file]), "in the order that they were made");
    assert_eq!((&one["details"]["width"], &one["details"]["format"]), (&json!(20), &json!("Image")));
    let name = app.keyed(KEY, "GET", &format!("/internal/filename?alias={}", second.file)).await.json();
    assert!(name["filename"].as_str().unwrap().starts_with(one["hex"].as_str().unwrap()));

    // The same, two at a time, there and back.
    let (mut seen, mut path) = (Vec::new(), "/internal/hashes?limit=2".to_owned());
    let mut pages = Vec::new();
    loop {
        let page = app.keyed(KEY, "GET", &path).await.json()["page"].clone();
        seen.extend(page["hashes"].as_array().unwrap().clone());
        pages.push(page.clone());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/internal/hashes?limit=2&slug={next}");
    }
    assert_eq!((seen, pages.len()), (page["hashes"].as_array().unwrap().clone(), 3));
    for two in pages.windows(2) {
        let back = two[1]["prev"].as_str().unwrap();
        let before = app.keyed(KEY, "GET", &format!("/internal/hashes?limit=2&slug={back}")).await.json();
        assert_eq!(before["page"]["hashes"], two[0]["hashes"]);
        let current = format!("/internal/hashes?limit=2&slug={}", two[1]["current"].as_str().unwrap());
        assert_eq!(app.keyed(KEY, "GET", &current).await.json()["page"], two[1]);
    }
    for (query, count) in [("timestamp=2001-09-09T01:46:40Z", 0), ("timestamp=2999-01-01T00:00:00%2B02:00", 5)] {
        let page = app.keyed(KEY, "GET", &format!("/internal/hashes?{query}")).await.json();
        assert_eq!(page["page"]["hashes"].as_array().unwrap().len(), count, "{query}");
    }
    for (query, said) in
        [("limit=0", "1 to 1000"), ("limit=1001", "1001"), ("slug=x", "slug"), ("timestamp=now", "RFC 3339")]
    {
        let msg = app.keyed(KEY, "GET", &format!("/internal/hashes?{query}")).await.error(400);
        assert!(msg.contains(said), "{msg}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_blurhash_is_told_to_everybody() {
    let app = App::start().await;
    for picture in [jpeg(1, 300, 200), png(2, 300, 200)] {
        let file = app.upload(&picture).await.file;
        let answer = app.get(&format!("/image/blurhash?alias={file}")).await;
        answer.is(200);
        let details = app.get(&format!("/image/details/original/{file}")).await.json();
        assert_eq!(answer.json(), json!({ "blurhash": details["blurhash"], "msg": "ok" }));
        assert_eq!(details["blurhash"].as_str().unwrap().len(), 28);
    }
    app.get("/image/blurhash?alias=nothere.png").await.error(404);
    app.get("/image/blurhash").await.error(400);
    app.stop().await;
}

/// `X-Request-Deadline` for so long from now.
fn in_millis(millis: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (now + Duration::from_millis(millis)).as_nanos().to_string()
}

async fn by(app: &App, path: &str, deadline: &str) -> Answer {
    app.get_with(path, &[("X-Request-Deadline", deadline)]).await
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_more_is_stopped() {
    let app = App::start().await;
    let uploaded = app.upload(&jpeg(1, 300, 200)).await;
    let details = format!("/image/details/original/{}", uploaded.file);
    by(&app, &details, &in_millis(60_000)).await.is(200);
    for passed in ["0", "-1", "1000000000000000000", &in_millis(0)] {
        let answer = by(&app, &details, passed).await;
        answer.error(408);
        assert_eq!(answer.json()["code"], "request-timeout");
    }
    for none in ["soon", "1.5", ""] {
        let msg = by(&app, &details, none).await.error(400);
        assert!(msg.contains("X-Request-Deadline") && msg.contains("nanoseconds"), "{msg}");
    }
    // One whose work takes longer is answered when its time is over, and its job ends with it.
    let slow = app.upload(&noise_png(2, 1500)).await;
    let began = Instant::now();
    let path = format!("/image/process.png?src={}&blur=90&rotate=90&blur=80", slow.file);
    by(&app, &path, &in_millis(20)).await.error(408);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    app.stored().is_idle().await;
    // What is in memory is answered at once whatever is said: nobody waits for it.
    let answer = app.get(&format!("/image/original/{}", uploaded.file)).await;
    assert_eq!(answer.header("cache-control"), CACHE_CONTROL);
    app.stop().await;
}

#[tokio::test]
async fn an_upload_that_nobody_waits_for_is_kept_whole_or_not_at_all() {
    let app = App::start().await;
    let picture = png(3, 60, 40);
    let form = Form::new().file("a.png", &picture);
    let late = form.on(app.request("POST", "/image")).header("X-Request-Deadline", "1");
    crate::client::sent(late).await.error(408);
    app.stored().holds_nothing();
    for millis in [1, 5, 20, 60, 60_000] {
        let request = form.on(app.request("POST", "/image")).header("X-Request-Deadline", in_millis(millis));
        let answer = crate::client::sent(request).await;
        assert!([201, 408].contains(&answer.status), "{}", answer.shown());
    }
    app.stored().is_idle().await;
    app.stop().await;
}

#[tokio::test]
async fn while_a_server_is_read_only_no_picture_comes_and_none_goes() {
    let before = App::with_key().await;
    let uploaded = before.upload(&jpeg(1, 300, 200)).await;
    let data = before.stop_keeping(std::slice::from_ref(&uploaded)).await;
    let app = App::on(data, |config| {
        config.api_key = Some(KEY.into());
        config.read_only = true;
    })
    .await;
    let file = &uploaded.file;
    let token = &uploaded.delete_token;
    let form = Form::new().file("a.png", &png(2, 20, 10));
    let mut answers = vec![
        app.post(form.clone()).await,
        app.import(KEY, form.clone()).await,
        app.get("/image/download?url=http://192.0.2.1/a.png").await,
        app.keyed(KEY, "POST", &format!("/internal/purge?alias={file}")).await,
        app.keyed(KEY, "POST", &format!("/internal/delete?alias={file}")).await,
    ];
    for method in ["GET", "DELETE"] {
        answers.push(app.send(method, &format!("//image/delete/{token}/{file}")).await);
    }
    for answer in &answers {
        assert!(answer.error(400).contains("read-only"));
        assert_eq!(answer.json()["code"], "read-only");
    }
    // Who has no key is told that, and nothing of how the server is.
    app.import("wrong", form).await.error(401);
    app.send("PUT", "/image").await.error(405);
    // What is there is served, in every form that is asked for.
    app.original(file).await.is_image("image/jpeg");
    app.process("webp", file, "thumbnail=64").await.is_image("image/webp");
    app.get(&format!("/image/details/original/{file}")).await.is(200);
    app.keyed(KEY, "GET", &format!("/internal/aliases?alias={file}")).await.is(200);
    app.keyed(KEY, "DELETE", "/internal/variants").await.is(204);
    assert_eq!(app.stored().originals().len(), 1);
    app.stop_with(&[uploaded]).await;
}
