//! Many users at once: one computation a variant, one file a picture, and no half states in between.

use futures_util::future::join_all;

use crate::{
    app::App,
    pictures::{jpeg, png},
};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_who_ask_for_the_same_variant_get_the_same_bytes_and_one_file() {
    let app = App::start().await;
    let uploaded = app.upload(&jpeg(1, 800, 600)).await;
    let answers = join_all((0..50).map(|_| app.process("webp", &uploaded.file, "thumbnail=300&blur=2"))).await;
    for answer in &answers {
        answer.is_image("image/webp");
        assert_eq!(answer.body, answers[0].body);
        assert_eq!(answer.header("etag"), answers[0].header("etag"));
        assert_eq!(answer.header("last-modified"), answers[0].header("last-modified"));
    }
    app.stored().keeps(1).await;
    assert_eq!(std::fs::read(&app.stored().variants()[0]).unwrap(), answers[0].body);
    app.stop_with(&[uploaded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_who_upload_the_same_picture_get_names_of_their_own_and_one_file() {
    let app = App::start().await;
    let picture = jpeg(1, 300, 200);
    let files = join_all((0..20).map(|_| app.upload(&picture))).await;
    assert_eq!(app.stored().only_original(), picture);
    for uploaded in &files {
        assert_eq!(app.original(&uploaded.file).await.body, picture);
    }
    app.stop_with(&files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_and_deletes_of_one_picture_never_leave_a_name_without_its_file() {
    let app = App::start().await;
    let picture = png(1, 40, 30);
    let user = async |keeps: bool| {
        let mut kept = Vec::new();
        for round in 0..15 {
            let uploaded = app.upload(&picture).await;
            assert_eq!(app.original(&uploaded.file).await.body, picture);
            app.process("webp", &uploaded.file, &format!("thumbnail={}", 5 + round % 3)).await;
            if keeps && round == 14 {
                kept.push(uploaded);
            } else {
                app.delete(&uploaded).await;
            }
        }
        kept
    };
    let kept = join_all([user(true), user(false), user(false), user(true)]).await.concat();
    assert_eq!(app.stored().only_original(), picture);
    for uploaded in &kept {
        assert_eq!(app.original(&uploaded.file).await.body, picture);
    }
    let [first, second] = &kept[..] else { panic!("{kept:?}") };
    app.delete(first).await;
    app.delete(second).await;
    app.stored().settles_at(0, 0).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_asked_for_while_its_picture_is_deleted_is_served_or_not_found_and_nothing_stays() {
    let app = App::start().await;
    for round in 0..10 {
        let uploaded = app.upload(&png(round, 300, 200)).await;
        let path = format!("/image/process.png?src={}&blur=4", uploaded.file);
        let asked = join_all((0..4).map(|_| app.get(&path)));
        let (answers, ()) = futures_util::future::join(asked, app.delete(&uploaded)).await;
        for answer in answers {
            assert!(matches!(answer.status, 200 | 404), "{}: {}", answer.status, answer.shown());
        }
    }
    app.stored().settles_at(0, 0).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_takes_no_one_else_s_variant_along() {
    let app = App::start().await;
    let uploaded = app.upload(&jpeg(1, 800, 600)).await;
    let path = format!("/image/process.png?src={}&blur=6", uploaded.file);
    for _ in 0..5 {
        let mut impatient = crate::raw::Raw::connect(app.port).await;
        impatient.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        drop(impatient);
    }
    app.get(&path).await.is_image("image/png");
    crate::stored::eventually("one variant", || app.stored().variants().len() == 1).await;
    app.stop_with(&[uploaded]).await;
}
