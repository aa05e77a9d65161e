//! A user takes a picture down with the token that came with it.

use crate::{
    app::App,
    pictures::{jpeg, png},
};

#[tokio::test]
async fn delete_and_get_both_delete_and_answer_nothing() {
    let app = App::start().await;
    for method in ["DELETE", "GET"] {
        let uploaded = app.upload(&jpeg(1, 30, 20)).await;
        let path = format!("/image/delete/{}/{}", uploaded.delete_token, uploaded.file);
        let answer = app.send(method, &path).await;
        answer.is(204);
        assert!(answer.body.is_empty());
        app.get(&format!("/image/original/{}", uploaded.file)).await.error(404);
        app.stored().settles_at(0, 0).await;
        app.send(method, &path).await.error(404);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_wrong_token_deletes_nothing() {
    let app = App::start().await;
    let picture = png(1, 10, 10);
    let (mine, yours) = (app.upload(&picture).await, app.upload(&picture).await);
    let wrong = [
        yours.delete_token.clone(),
        mine.delete_token.to_lowercase(),
        "x".to_owned(),
        format!("{}x", mine.delete_token),
    ];
    for token in wrong.iter().filter(|token| **token != mine.delete_token) {
        for method in ["DELETE", "GET"] {
            app.send(method, &format!("/image/delete/{token}/{}", mine.file)).await.error(403);
        }
    }
    app.original(&mine.file).await;
    app.stop_with(&[mine, yours]).await;
}

#[tokio::test]
async fn nobody_can_delete_what_is_not_there() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    for method in ["DELETE", "GET"] {
        app.send(method, &format!("/image/delete/{}/unknown.png", uploaded.delete_token)).await.error(404);
        app.send(method, &format!("/image/delete/{}", uploaded.delete_token)).await.error(404);
        app.send(method, &format!("/image/delete/{}/", uploaded.delete_token)).await.error(404);
    }
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn head_is_safe_and_deletes_nothing() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    let path = format!("/image/delete/{}/{}", uploaded.delete_token, uploaded.file);
    let answer = app.send("HEAD", &path).await;
    app.original(&uploaded.file).await;
    answer.is(405);
    assert!(answer.header("allow").contains("DELETE"));
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn two_who_delete_the_same_name_at_once_do_not_both_succeed() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 10, 10)).await;
    let path = format!("/image/delete/{}/{}", uploaded.delete_token, uploaded.file);
    let answers = futures_util::future::join_all((0..8).map(|_| app.send("DELETE", &path))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(204), count(404)), (1, 7));
    app.stored().settles_at(0, 0).await;
    app.stop().await;
}
