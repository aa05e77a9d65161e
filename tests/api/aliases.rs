//! A picture under several names: stored once, gone with the last of them.

use crate::{
    app::{App, KEY},
    form::Form,
    pictures::{jpeg, png},
};

#[tokio::test]
async fn the_same_bytes_twice_are_one_file_with_two_names_and_two_tokens() {
    let app = App::start().await;
    let picture = jpeg(1, 60, 40);
    let (first, second) = (app.upload(&picture).await, app.upload(&picture).await);
    assert_ne!(first.file, second.file);
    assert_ne!(first.delete_token, second.delete_token);
    assert_eq!(app.stored().only_original(), picture);
    let etag = |answer: crate::client::Answer| answer.header("etag").to_owned();
    assert_eq!(etag(app.original(&first.file).await), etag(app.original(&second.file).await));
    app.stop_with(&[first, second]).await;
}

#[tokio::test]
async fn the_same_bytes_twice_in_one_form_are_one_file_with_two_names() {
    let app = App::start().await;
    let picture = jpeg(1, 60, 40);
    let files = app.post(Form::files([&picture, &picture])).await.uploaded();
    assert_ne!(files[0], files[1]);
    assert_eq!(app.stored().only_original(), picture);
    app.stop_with(&files).await;
}

#[tokio::test]
async fn a_variant_is_shared_by_all_names_of_a_picture() {
    let app = App::start().await;
    let picture = jpeg(1, 60, 40);
    let (first, second) = (app.upload(&picture).await, app.upload(&picture).await);
    let one = app.process("png", &first.file, "thumbnail=20").await;
    let other = app.process("png", &second.file, "thumbnail=20").await;
    assert_eq!(one.body, other.body);
    assert_eq!(one.header("etag"), other.header("etag"));
    app.stored().keeps(1).await;
    app.stop().await;
}

#[tokio::test]
async fn when_one_name_goes_the_other_keeps_working_and_the_last_takes_everything_along() {
    let app = App::start().await;
    let picture = jpeg(1, 60, 40);
    let (first, second) = (app.upload(&picture).await, app.upload(&picture).await);
    app.process("png", &first.file, "thumbnail=20").await;
    app.delete(&first).await;
    app.get(&format!("/image/original/{}", first.file)).await.error(404);
    app.get(&format!("/image/process.png?src={}&thumbnail=20", first.file)).await.error(404);
    assert_eq!(app.original(&second.file).await.body, picture);
    app.process("png", &second.file, "thumbnail=20").await;
    app.process("webp", &second.file, "thumbnail=10").await;
    app.stored().keeps(2).await;
    app.delete(&second).await;
    app.get(&format!("/image/original/{}", second.file)).await.error(404);
    app.get(&format!("/image/process.png?src={}&thumbnail=20", second.file)).await.error(404);
    app.stored().settles_at(0, 0).await;
    app.stop().await;
}

#[tokio::test]
async fn what_was_deleted_may_come_back_at_once_and_stays() {
    let app = App::start().await;
    let picture = jpeg(1, 60, 40);
    for _ in 0..5 {
        let uploaded = app.upload(&picture).await;
        app.process("png", &uploaded.file, "thumbnail=20").await;
        app.delete(&uploaded).await;
    }
    let back = app.upload(&picture).await;
    // The file of the first rounds would be deleted after a delay: another picture's file goes, this one stays.
    let other = app.upload(&png(2, 10, 10)).await;
    app.delete(&other).await;
    app.stored().settles_at(1, app.stored().variants().len().min(1)).await;
    assert_eq!(app.original(&back.file).await.body, picture);
    app.process("png", &back.file, "thumbnail=20").await;
    app.stop_with(&[back]).await;
}

#[tokio::test]
async fn aliases_are_listed_in_the_order_they_were_made() {
    let app = App::with_key().await;
    let picture = png(1, 12, 12);
    let mut made = Vec::new();
    for round in 0..4 {
        made.push(app.upload(&picture).await.file);
        // Names that sort before and after: the order is that of making, not of the alphabet.
        let name = format!("{}{round}.png", if round % 2 == 0 { "aaa" } else { "zzz" });
        made.push(app.import(KEY, Form::new().file(&name, &picture)).await.uploaded().remove(0).file);
    }
    let listed = format!(r#"{{"aliases":["{}"],"msg":"ok"}}"#, made.join(r#"",""#));
    let filename = app.stored().only_filename();
    for query in
        [format!("alias={}", made[3]), format!("file={filename}"), format!("file={filename}&alias=unknown.png")]
    {
        let answer = app.keyed(KEY, "GET", &format!("/internal/aliases?{query}")).await;
        answer.is(200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.body, listed, "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_stored_file_has_a_name_of_its_own_which_is_no_alias() {
    let app = App::with_key().await;
    let uploaded = app.upload(&png(1, 12, 12)).await;
    let filename = app.stored().only_filename();
    let answer = app.keyed(KEY, "GET", &format!("/internal/filename?alias={}", uploaded.file)).await;
    answer.is(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.body, format!(r#"{{"filename":"{filename}","msg":"ok"}}"#));
    app.get(&format!("/image/original/{filename}")).await.error(404);
    app.get(&format!("/image/process.png?src={filename}")).await.error(404);
    app.stop().await;
}

#[tokio::test]
async fn unknown_names_are_not_found() {
    let app = App::with_key().await;
    let nobody = format!("{}.png", "0".repeat(64));
    for path in [
        "/internal/aliases?alias=unknown.png".to_owned(),
        format!("/internal/aliases?file={nobody}"),
        "/internal/aliases?file=unknown.png".to_owned(),
        "/internal/aliases?file=..%2F..%2Fetc%2Fpasswd".to_owned(),
        "/internal/filename?alias=unknown.png".to_owned(),
    ] {
        app.keyed(KEY, "GET", &path).await.error(404);
    }
    for path in ["/internal/aliases", "/internal/filename"] {
        app.keyed(KEY, "GET", path).await.error_in(&[400, 404]);
    }
    app.stop().await;
}
