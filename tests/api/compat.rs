//! A server that answers like pict-rs 0.5 where its versions differ, beside one that answers like 0.2.

use glimt::domain::Compat;

use crate::{
    app::{App, KEY},
    client::{CACHE_CONTROL, is_alias},
    form::Form,
    pictures::{animated_gif, jpeg, png},
};

/// A server like 0.5.
async fn later() -> App {
    App::with(|config| {
        config.compat = Compat::V05;
        config.api_key = Some(KEY.into());
    })
    .await
}

/// Whether it is a UUID of version 4 with this extension.
fn is_uuid(alias: &str, extension: &str) -> bool {
    let Some((stem, rest)) = alias.split_once('.') else { return false };
    let words: Vec<&str> = stem.split('-').collect();
    let is_hex = |word: &&str| word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let lengths: Vec<usize> = words.iter().map(|word| word.len()).collect();
    rest == extension && lengths == [8, 4, 4, 4, 12] && words.iter().all(is_hex) && words[2].starts_with('4')
}

#[tokio::test]
async fn what_is_not_there_is_deleted_already_and_a_wrong_token_still_deletes_nothing() {
    let app = later().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    for method in ["DELETE", "GET"] {
        let answer = app.send(method, &format!("/image/delete/{}/unknown.png", uploaded.delete_token)).await;
        answer.is(204);
        assert!(answer.body.is_empty());
        let path = format!("/image/delete/wrong/{}", uploaded.file);
        let answer = app.send(method, &path).await;
        answer.error(403);
        assert_eq!(answer.json()["code"], "invalid-delete-token");
    }
    app.original(&uploaded.file).await;
    app.delete(&uploaded).await;
    app.delete(&uploaded).await;
    app.stored().settles_at(0, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn pictures_are_cached_for_a_week_wherever_they_come_from() {
    const WEEK: &str = "public, max-age=604800, immutable";
    assert_ne!(WEEK, CACHE_CONTROL);
    let (app, earlier) = (later().await, App::start().await);
    for (app, rule) in [(&app, WEEK), (&earlier, CACHE_CONTROL)] {
        let uploaded = app.upload(&jpeg(1, 300, 200)).await;
        let original = format!("/image/original/{}", uploaded.file);
        let variant = format!("/image/process.webp?src={}&thumbnail=64", uploaded.file);
        // Made, from the disk or from memory, and not sent at all.
        for path in [&original, &original, &variant, &variant] {
            let answer = app.get(path).await;
            answer.is(200);
            assert_eq!(answer.header("cache-control"), rule, "{path}");
            let known = app.get_with(path, &[("If-None-Match", answer.header("etag"))]).await;
            known.is(304);
            assert_eq!(known.header("cache-control"), rule, "{path}");
            assert_eq!(app.send("HEAD", path).await.header("cache-control"), rule, "{path}");
        }
    }
    app.stop().await;
    earlier.stop().await;
}

#[tokio::test]
async fn new_names_are_uuids_and_those_of_before_stay() {
    let earlier = App::start().await;
    let before = earlier.upload(&png(1, 10, 10)).await;
    assert!(is_alias(&before.file, "png"));
    let data = earlier.stop_keeping(std::slice::from_ref(&before)).await;
    let app = App::on(data, |config| {
        config.compat = Compat::V05;
        config.api_key = Some(KEY.into());
    })
    .await;
    app.original(&before.file).await;
    let files = app.post(Form::files([png(1, 10, 10), jpeg(2, 20, 20)])).await.uploaded();
    assert!(is_uuid(&files[0].file, "png") && is_uuid(&files[1].file, "jpg"), "{files:?}");
    assert!(!is_uuid(&before.file, "png"));
    let imported = app.import(KEY, Form::new().file("mine.png", &png(3, 9, 9))).await.uploaded();
    assert_eq!(imported[0].file, "mine.png");
    for file in &files {
        app.delete(file).await;
    }
    app.stop_with(&[before, imported[0].clone()]).await;
}

#[tokio::test]
async fn details_say_what_moves_and_count_no_frames_of_what_does_not() {
    let (app, earlier) = (later().await, App::start().await);
    let moving = animated_gif(&[[255, 0, 0], [0, 0, 255]], 40, 30);
    for (picture, later_says, earlier_says) in [
        (jpeg(1, 30, 20), serde_json::json!(["Image", null]), serde_json::json!(["jpg", 1])),
        (moving, serde_json::json!(["Animation", 2]), serde_json::json!(["gif", 2])),
    ] {
        for (app, says) in [(&app, &later_says), (&earlier, &earlier_says)] {
            let file = app.upload(&picture).await.file;
            for path in [
                format!("/image/details/original/{file}"),
                format!("/image/details/original?alias={file}"),
                format!("/image/details/process.webp?alias={file}&thumbnail=8"),
            ] {
                app.process("webp", &file, "thumbnail=8").await;
                let details = app.get(&path).await.json();
                let format = details["format"].as_str().unwrap().replace("webp", says[0].as_str().unwrap());
                assert_eq!(serde_json::json!([format, details["frames"]]), *says, "{path}");
                assert!(details.get("frames").is_some(), "{path}");
            }
        }
    }
    app.stop().await;
    earlier.stop().await;
}

#[tokio::test]
async fn errors_have_the_codes_of_their_version() {
    let (app, earlier) = (later().await, App::start().await);
    for (path, status, later_says, earlier_says) in [
        ("/image/original/nothere.png", 404, "alias-not-found", "unknown-alias"),
        ("/image/details/original/nothere.png", 404, "alias-not-found", "unknown-alias"),
        ("/image/details/original", 400, "invalid-query", "missing-parameter"),
        ("/image/process.png?thumbnail=9", 404, "invalid-query", "missing-src"),
        ("/image/process.xyz?src=FILE", 400, "invalid-file-extension", "unknown-format"),
        ("/image/process.png?src=FILE&thumbnail=x", 400, "invalid-process-path", "unreadable-filter"),
        ("/image/download?url=ftp://a/b", 400, "http-client-error", "unusable-url"),
        // What only one of them knows has one name.
        ("/image/nothing", 404, "unknown-path", "unknown-path"),
    ] {
        for (app, says) in [(&app, later_says), (&earlier, earlier_says)] {
            let file = app.upload(&png(1, 10, 10)).await.file;
            let answer = app.get(&path.replace("FILE", &file)).await;
            answer.error(status);
            assert_eq!(answer.json()["code"], says, "{path}");
            assert_eq!(answer.header("content-length"), answer.body.len().to_string());
            app.send("HEAD", &path.replace("FILE", &file)).await;
        }
    }
    // A path that 0.2 does not have.
    for method in ["GET", "POST"] {
        earlier.send(method, "/image/original").await.error(404);
    }
    app.get("/image/original").await.error(400);
    app.send("POST", "/image/original").await.error(405);
    let answer = app.post(Form::new().text("a", "b")).await;
    assert_eq!((answer.error(400).is_empty(), &answer.json()["code"]), (false, &"validate-no-files".into()));
    app.stop().await;
    earlier.stop().await;
}
