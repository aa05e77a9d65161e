//! A client of pict-rs 0.4 or 0.5 reads what it is told of the pictures that it has sent.

use image::ImageFormat;
use serde::Deserialize;

use crate::{
    app::{App, KEY},
    client::Answer,
    form::Form,
    pictures::{animated_gif, encoded, jpeg, metadata, photo, png},
    remote::{Remote, response},
};

/// The answer as Lemmy reads it, with what pict-rs 0.5 says besides.
#[derive(Debug, Deserialize)]
struct Response {
    msg: String,
    files: Option<Vec<File>>,
}

#[derive(Debug, Deserialize)]
struct File {
    file: String,
    details: Details,
}

#[derive(Debug, Deserialize)]
struct Details {
    width: u16,
    height: u16,
    content_type: String,
    created_at: String,
    blurhash: Option<String>,
    frames: Option<u32>,
    format: Kind,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
enum Kind {
    Image,
    Animation,
}

#[track_caller]
fn read(answer: &Answer) -> Vec<File> {
    answer.uploaded();
    let Response { msg, files } = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(msg, "ok");
    files.unwrap()
}

#[tokio::test]
async fn an_upload_is_told_what_it_is_by_each_of_its_ways_in() {
    let picture = jpeg(1, 60, 40);
    let remote = Remote::serving([("/a.jpg", response("200 OK", &[], &picture))]).await;
    let app = App::with(|config| {
        config.download_allow = vec!["127.0.0.0/8".parse().unwrap()];
        config.api_key = Some(KEY.into());
    })
    .await;
    let path = format!("/image/download?url={}", remote.url("/a.jpg"));
    let answers = [
        app.post(Form::new().file("a.jpg", &picture)).await,
        app.get(&path).await,
        app.import(KEY, Form::new().file("a.jpg", &picture)).await,
    ];
    let mut before = None;
    for answer in &answers {
        let [File { file, details }] = &read(answer)[..] else { panic!("one file") };
        assert_eq!((details.width, details.height), (60, 40));
        assert_eq!((details.content_type.as_str(), &details.format), ("image/jpeg", &Kind::Image));
        assert_eq!(details.frames, None, "pict-rs counts no frames of a still picture");
        // The same as is told to whoever asks later, and the same every time: it is one picture.
        let told = app.get(&format!("/image/details/original/{file}")).await.json();
        assert_eq!(told["created_at"], details.created_at.as_str());
        assert_eq!(told["blurhash"], details.blurhash.as_deref().unwrap());
        assert!(is_rfc3339(&details.created_at), "{}", details.created_at);
        let same = answer.json()["files"][0]["details"].clone();
        assert_eq!(*before.get_or_insert_with(|| same.clone()), same);
    }
    app.stop().await;
}

/// Whether it is a time of day as RFC 3339 has it, in UTC.
fn is_rfc3339(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00Z"
}

#[tokio::test]
async fn every_file_of_a_form_has_its_own_details() {
    let app = App::start().await;
    let moving = animated_gif(&[[255, 0, 0], [0, 0, 255], [0, 255, 0]], 40, 30);
    let bmp = encoded(&photo(4, 9, 7).into(), ImageFormat::Bmp);
    let files = read(&app.post(Form::files([png(1, 300, 200), moving, jpeg(2, 20, 30), bmp])).await);
    let told: Vec<_> = files
        .iter()
        .map(|File { details, .. }| (details.width, details.height, details.content_type.as_str(), details.frames))
        .collect();
    assert_eq!(
        told,
        [
            (300, 200, "image/png", None),
            (40, 30, "image/gif", Some(3)),
            (20, 30, "image/jpeg", None),
            // What it is by now, not what it was.
            (9, 7, "image/png", None),
        ]
    );
    assert_eq!(files[1].details.format, Kind::Animation);
    app.stop().await;
}

#[tokio::test]
async fn a_blurhash_is_told_as_soon_as_it_is_known() {
    let app = App::start().await;
    let picture = png(1, 60, 40);
    let first = app.post(Form::new().file("a.png", &picture)).await;
    let [File { file, details }] = &read(&first)[..] else { panic!("one file") };
    assert_eq!(details.blurhash, None, "nobody has looked at it yet");
    assert!(first.json()["files"][0]["details"].get("blurhash").is_none(), "left out, not empty");
    let told = app.get(&format!("/image/details/original/{file}")).await.json();
    let again = app.post(Form::new().file("a.png", &picture)).await;
    assert_eq!(again.json()["files"][0]["details"]["blurhash"], told["blurhash"]);
    app.stop().await;
}

#[tokio::test]
async fn what_is_told_of_a_picture_upright_is_of_what_is_seen() {
    let app = App::start().await;
    // A photo that was taken with the camera on its side.
    let lying = metadata::turned_jpeg(&photo(3, 48, 32), 6);
    let [File { details, .. }] = &read(&app.post(Form::new().file("a.jpg", &lying)).await)[..] else { panic!() };
    assert_eq!((details.width, details.height), (32, 48));
    app.stop().await;
}
