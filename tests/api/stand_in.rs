//! `/internal/set_not_found`: a picture in the place of those that are not there.

use crate::{
    app::{App, KEY},
    client::{Answer, sent},
    pictures::{decoded, jpeg, png},
    remote::{Remote, response},
};

async fn choose(app: &App, body: &str) -> Answer {
    let request = app.request("POST", "/internal/set_not_found").header("X-Api-Token", KEY);
    sent(request.header("Content-Type", "application/json").body(body.to_owned())).await
}

#[tokio::test]
async fn it_is_shown_under_404_in_every_way_that_a_picture_is() {
    let app = App::with_key().await;
    let picture = jpeg(1, 300, 200);
    let uploaded = app.upload(&picture).await;
    app.get("/image/original/gone.png").await.error(404);
    let answer = choose(&app, &format!(r#"{{"alias":"{}"}}"#, uploaded.file)).await;
    answer.is(201);
    assert_eq!(answer.shown_whole(), r#"{"msg":"ok"}"#);
    for (path, width) in [
        ("original/gone.png", 300),
        ("original?alias=gone.png", 300),
        ("process.jpg?src=gone.png", 300),
        ("process.webp?src=gone.png&thumbnail=64", 64),
        ("process.webp?alias=gone.png&thumbnail=64", 64),
        ("process.auto?alias=gone.png&thumbnail=64", 64),
    ] {
        for _again in 0..2 {
            let conditions = [("Range", "bytes=0-3"), ("If-None-Match", "*")];
            let answer = app.get_with(&format!("/image/{path}"), &conditions).await;
            answer.is(404);
            assert_eq!(decoded(&answer.body).width(), width, "{path}");
            for name in ["cache-control", "etag", "last-modified", "accept-ranges"] {
                assert!(!answer.has(name), "{path}: {name}");
            }
        }
        let head = sent(app.request("HEAD", &format!("/image/{path}"))).await;
        head.is(404);
        assert!(head.body.is_empty());
    }
    // What is there is as ever, and everything that is no picture too.
    let known = app.original(&uploaded.file).await;
    assert!(known.has("cache-control") && known.has("etag"));
    app.get("/image/details/original/gone.png").await.error(404);
    app.get("/image/process.webp?src=gone.png&thumbnail=x").await.error(404);
    app.get("/image/process.webp?thumbnail=64").await.error(404);
    // After a restart as well, until it goes itself.
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    let app = App::on(data, |config| config.api_key = Some(KEY.into())).await;
    assert_eq!(app.get("/image/original/gone.png").await.body, picture);
    app.delete(&uploaded).await;
    app.get("/image/original/gone.png").await.error(404);
    app.stored().settles_at(0, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn only_what_was_uploaded_can_be_chosen_and_none_again() {
    let remote = Remote::serving([("/a.png", response("200 OK", &[], &png(1, 30, 20)))]).await;
    let app = App::with(|config| {
        config.api_key = Some(KEY.into());
        config.download_allow = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let (uploaded, url) = (app.upload(&png(2, 30, 20)).await, remote.url("/a.png"));
    app.get(&format!("/image/original?proxy={url}")).await.is(200);
    let aliases = app.keyed(KEY, "GET", &format!("/internal/aliases?proxy={url}")).await.json();
    let fetched = aliases["aliases"][0].as_str().unwrap().to_owned();
    choose(&app, r#"{"alias":"gone.png"}"#).await.error(404);
    for (body, code) in [
        (format!(r#"{{"alias":"{fetched}"}}"#), "proxy-not-allowed"),
        (format!(r#"{{"proxy":"http://127.0.0.1:{}/a.png"}}"#, remote.port), "proxy-not-allowed"),
        (String::new(), "unreadable-body"),
        (r#"{"alias":5}"#.to_owned(), "unreadable-body"),
        ("[null,null]".to_owned(), "unreadable-body"),
        ("x".repeat(10_000), "unreadable-body"),
    ] {
        let answer = choose(&app, &body).await;
        answer.error(400);
        assert_eq!(answer.json()["code"], code, "{body}");
    }
    sent(app.request("POST", "/internal/set_not_found").body(r#"{"alias":null}"#)).await.error(401);
    app.get("/image/original/gone.png").await.error(404);
    choose(&app, &format!(r#"{{"alias":"{}"}}"#, uploaded.file)).await.is(201);
    let shown = app.get("/image/original/gone.png").await;
    assert_eq!((shown.status, shown.header("content-type")), (404, "image/png"));
    choose(&app, r#"{"alias":null}"#).await.is(201);
    app.get("/image/original/gone.png").await.error(404);
    app.stop_with(&[uploaded]).await;
}
