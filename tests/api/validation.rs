//! `--external-validation`: somebody else looks at every picture before it is stored.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::Mutex,
};

use crate::{
    app::{App, KEY},
    form::Form,
    pictures::{jpeg, metadata, png},
    remote::{Remote, response},
};

/// Head and body of each request, in their order.
type Seen = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Who looks: remembers what it was sent, and answers so.
struct Validator {
    port: u16,
    seen: Seen,
    answer: Arc<Mutex<String>>,
}

impl Validator {
    async fn answering(answer: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, answer) = (Seen::default(), Arc::new(Mutex::new(answer.to_owned())));
        let (theirs, says) = (Arc::clone(&seen), Arc::clone(&answer));
        tokio::spawn(async move {
            loop {
                let (mut stream, _peer) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                let mut body = vec![0; length.parse().unwrap()];
                stream.read_exact(&mut body).await.unwrap();
                theirs.lock().await.push((head, body));
                let status = says.lock().await.clone();
                if status.is_empty() {
                    // Somebody who thinks for ever.
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                stream.write_all(&response(&status, &[], b"")).await.unwrap();
            }
        });
        Self { port, seen, answer }
    }

    async fn says(&self, answer: &str) {
        answer.clone_into(&mut *self.answer.lock().await);
    }

    async fn app(&self) -> App {
        let url = format!("http://127.0.0.1:{}/look?at=it", self.port).parse().unwrap();
        App::with(|config| {
            config.api_key = Some(KEY.into());
            config.download_allow = vec!["127.0.0.0/8".parse().unwrap()];
            config.external_validation = Some(url);
            config.external_validation_timeout = Duration::from_secs(1);
        })
        .await
    }
}

#[tokio::test]
async fn every_picture_is_shown_as_it_would_be_stored_by_each_of_its_ways_in() {
    let validator = Validator::answering("204 No Content").await;
    let app = validator.app().await;
    let private = metadata::laden_jpeg(&crate::pictures::photo(1, 60, 40), 1);
    let uploaded = app.upload(&private).await;
    let stored = app.original(&uploaded.file).await.body;
    let remote = Remote::serving([("/a.png", response("200 OK", &[], &png(2, 30, 20)))]).await;
    app.get(&format!("/image/download?url={}", remote.url("/a.png"))).await.is(201);
    app.import(KEY, Form::new().file("b.png", &png(3, 30, 20))).await.is(201);
    // The same again: whoever looks may think otherwise of it today.
    app.upload(&private).await;
    let seen = validator.seen.lock().await.clone();
    assert_eq!(seen.len(), 4);
    for (index, media) in [(0, "image/jpeg"), (1, "image/png"), (2, "image/png"), (3, "image/jpeg")] {
        let head = &seen[index].0;
        assert!(head.starts_with("post /look?at=it http/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("content-type: {media}\r\n")), "{head}");
    }
    assert!(seen[0].1 == stored && seen[3].1 == stored && seen[0].1 != private, "without what is private");
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn what_is_refused_or_cannot_be_looked_at_is_not_stored() {
    let validator = Validator::answering("422 Unprocessable Entity").await;
    let app = validator.app().await;
    let refused = async |status: u16, code: &str| {
        let answer = app.post(Form::new().file("a", &jpeg(1, 60, 40))).await;
        answer.error(status);
        assert_eq!(answer.json()["code"], code);
        app.stored().holds_nothing();
    };
    refused(400, "failed-external-validation").await;
    validator.says("302 Found").await;
    refused(400, "failed-external-validation").await;
    validator.says("500 Internal Server Error").await;
    refused(400, "failed-external-validation").await;
    // It takes too long.
    validator.says("").await;
    refused(502, "external-validation-unanswered").await;
    app.stop().await;

    // What is no picture is not shown to it, and one that was stored may be refused later.
    let validator = Validator::answering("200 OK").await;
    let app = validator.app().await;
    app.post(Form::new().file("a", b"no picture")).await.error(400);
    assert!(validator.seen.lock().await.is_empty());
    let uploaded = app.upload(&jpeg(1, 60, 40)).await;
    validator.says("403 Forbidden").await;
    app.post(Form::new().file("a", &jpeg(1, 60, 40))).await.error(400);
    app.stop_with(&[uploaded]).await;
}
