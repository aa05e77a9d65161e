//! What an operator of pict-rs 0.5 does: prunes, exports, asks for limits and health.

use std::{fs, time::Duration};

use crate::{
    app::{App, KEY},
    binary::{glimt, output},
    pictures::png,
    stored::eventually_async,
};

#[tokio::test]
async fn pictures_whose_files_are_gone_are_pruned_and_no_others() {
    let app = App::with_key().await;
    let mut uploaded = Vec::new();
    for n in 0..4 {
        uploaded.push(app.upload(&png(n, 30, 20)).await);
    }
    let prune = async |query: &str| app.keyed(KEY, "POST", &format!("/internal/prune_missing{query}")).await;
    let done = async |query: &str| {
        prune(query).await.is(200);
        eventually_async("it to be complete", async || prune("").await.json()["complete"] == true).await;
        prune("").await.shown_whole()
    };
    assert_eq!(done("").await, r#"{"complete":true,"progress":4,"total":4}"#);
    let path = format!("/internal/identifier?alias={}", uploaded[1].file);
    let identifier = app.keyed(KEY, "GET", &path).await.json()["identifier"].as_str().unwrap().to_owned();
    fs::remove_file(app.data().join(identifier)).unwrap();
    // Once it was done it is not done again, unless by force.
    assert_eq!(done("").await, r#"{"complete":true,"progress":4,"total":4}"#);
    app.keyed(KEY, "GET", &format!("/internal/aliases?alias={}", uploaded[1].file)).await.is(200);
    assert_eq!(done("?force=true").await, r#"{"complete":true,"progress":4,"total":4}"#);
    let pruned = uploaded.remove(1);
    app.keyed(KEY, "GET", &format!("/internal/aliases?alias={}", pruned.file)).await.error(404);
    for one in &uploaded {
        app.original(&one.file).await;
    }
    prune("?force=maybe").await.error(400);
    // When all are gone it is the disk that is gone.
    for file in app.stored().originals() {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(done("?force=true").await, r#"{"complete":true,"progress":3,"total":3}"#);
    for one in &uploaded {
        app.keyed(KEY, "GET", &format!("/internal/aliases?alias={}", one.file)).await.is(200);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_copy_of_the_metadata_is_made_beside_the_pictures_and_taken_in_again() {
    let app = App::with_key().await;
    let uploaded = app.upload(&png(1, 30, 20)).await;
    let answer = app.keyed(KEY, "POST", "/internal/export").await;
    answer.is(201);
    let export = answer.json()["export"].as_str().unwrap().to_owned();
    assert!(export.starts_with("exports/") && answer.json()["msg"] == "ok", "{export}");
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    // The metadata are lost, the pictures are not.
    for lost in ["journal", "meta"] {
        let path = data.path().join(lost);
        fs::remove_dir_all(&path).or_else(|_file| fs::remove_file(&path)).unwrap();
    }
    let folder = data.path().join(&export);
    let imported = output(glimt().args(["import", "-p"]).arg(data.path()).arg(&folder));
    assert!(imported.status.success(), "{imported:?}");
    let app = App::on(data, |_config| {}).await;
    app.original(&uploaded.file).await;
    app.delete(&uploaded).await;
    app.stored().settles_at(0, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn limits_are_told_to_whoever_has_the_key() {
    let app = App::with(|config| {
        config.api_key = Some(KEY.into());
        config.max_file_size_bytes = 7 << 20;
        config.max_pixels = 5_000_000;
        config.max_frames = 11;
        config.max_side = 1234;
        config.whitelist = Some(["blur".to_owned(), "thumbnail".to_owned()].into());
    })
    .await;
    app.get("/internal/limits").await.error(401);
    let told = app.keyed(KEY, "GET", "/internal/limits").await.json();
    for (name, value) in [
        ("max_file_size", 7),
        ("max_area", 5_000_000),
        ("max_frame_count", 11),
        ("max_width", 1234),
        ("max_height", 1234),
        ("max_file_count", 10),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    assert_eq!(told["filters"], serde_json::json!(["thumbnail", "blur"]));
    assert_eq!((&told["allow_image"], &told["allow_video"]), (&true.into(), &false.into()));
    app.stop().await;
}

#[tokio::test]
async fn health_is_that_of_metadata_and_files() {
    let app = App::start().await;
    app.get("/healthz").await.is(200);
    let (data, away) = (app.data().to_owned(), app.data().with_extension("away"));
    fs::rename(&data, &away).unwrap();
    app.get("/healthz").await.error(500);
    fs::rename(&away, &data).unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    app.get("/healthz").await.is(200);
    app.stop().await;
}
