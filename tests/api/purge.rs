//! The operator takes a picture away, under all its names.

use crate::{
    app::{App, KEY},
    form::Form,
    pictures::{jpeg, png},
};

#[tokio::test]
async fn a_purge_by_alias_or_filename_takes_every_name_the_file_and_its_variants() {
    for by_filename in [false, true] {
        let app = App::with_key().await;
        let picture = jpeg(1, 60, 40);
        let first = app.upload(&picture).await.file;
        let second = app.import(KEY, Form::new().file("aaa.jpg", &picture)).await.uploaded().remove(0).file;
        let third = app.upload(&picture).await.file;
        let filename = app.stored().only_filename();
        let bystander = app.upload(&png(2, 10, 10)).await;
        app.process("png", &first, "thumbnail=20").await;
        app.process("webp", &bystander.file, "thumbnail=5").await;
        app.stored().settles_at(2, 2).await;

        let query = if by_filename { format!("file={filename}") } else { format!("alias={second}") };
        let answer = app.keyed(KEY, "POST", &format!("/internal/purge?{query}")).await;
        answer.is(200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.body, format!(r#"{{"aliases":["{first}","{second}","{third}"],"msg":"ok"}}"#));

        for alias in [&first, &second, &third] {
            app.get(&format!("/image/original/{alias}")).await.error(404);
            app.get(&format!("/image/process.png?src={alias}&thumbnail=20")).await.error(404);
            app.keyed(KEY, "GET", &format!("/internal/filename?alias={alias}")).await.error(404);
        }
        app.keyed(KEY, "POST", &format!("/internal/purge?{query}")).await.error(404);
        app.keyed(KEY, "GET", &format!("/internal/aliases?file={filename}")).await.error(404);
        app.stored().settles_at(1, 1).await;
        app.original(&bystander.file).await;
        app.stop_with(&[bystander]).await;
    }
}

#[tokio::test]
async fn when_both_are_given_the_filename_counts() {
    let app = App::with_key().await;
    let mine = app.upload(&png(1, 10, 10)).await;
    let filename = app.stored().only_filename();
    let yours = app.upload(&png(2, 10, 10)).await;
    for path in [
        format!("/internal/purge?file={}&alias={}", "unknown.png", yours.file),
        format!("/internal/aliases?alias={}&file=unknown.png", yours.file),
    ] {
        let method = if path.contains("purge") { "POST" } else { "GET" };
        app.keyed(KEY, method, &path).await.error(404);
    }
    let path = format!("/internal/purge?alias={}&file={filename}", yours.file);
    let answer = app.keyed(KEY, "POST", &path).await;
    assert_eq!(answer.body, format!(r#"{{"aliases":["{}"],"msg":"ok"}}"#, mine.file));
    app.original(&yours.file).await;
    app.stored().settles_at(1, 0).await;
    app.stop_with(&[yours]).await;
}

#[tokio::test]
async fn a_purge_of_nothing_is_not_found_or_not_understood() {
    let app = App::with_key().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    app.keyed(KEY, "POST", "/internal/purge?alias=unknown.png").await.error(404);
    app.keyed(KEY, "POST", "/internal/purge?file=unknown.png").await.error(404);
    app.keyed(KEY, "POST", "/internal/purge?file=%ff").await.error_in(&[400, 404]);
    app.keyed(KEY, "POST", "/internal/purge").await.error_in(&[400, 404]);
    // The right hash under another extension is another name.
    let other = app.stored().only_filename().replace(".png", ".jpg");
    app.keyed(KEY, "POST", &format!("/internal/purge?file={other}")).await.error(404);
    app.original(&uploaded.file).await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn lemmy_doubles_the_slash() {
    let app = App::with_key().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    let answer = app.keyed(KEY, "POST", &format!("//internal/purge?alias={}", uploaded.file)).await;
    answer.is(200);
    assert_eq!(answer.body, format!(r#"{{"aliases":["{}"],"msg":"ok"}}"#, uploaded.file));
    app.stored().settles_at(0, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn an_empty_key_on_a_keyed_server_purges_nothing() {
    let app = App::with_key().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    let path = format!("/internal/purge?alias={}", uploaded.file);
    app.keyed("", "POST", &path).await.error(401);
    app.send("POST", &path).await.error(401);
    app.original(&uploaded.file).await;
    app.stop_with(&[uploaded]).await;
}
