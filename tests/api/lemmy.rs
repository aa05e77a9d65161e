//! Lemmy, as it talks to its image host: the requests that versions 0.17, 0.19.5 and 1.0 send, with their headers and within their time, and
//! the answers as those versions read them. The addresses are `{pictrs.url}image..`, where the url ends in a slash.

use std::time::Duration;

use futures_util::stream;
use reqwest::{Body, RequestBuilder};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    app::{App, KEY},
    client::{Answer, sent},
    form::Form,
    pictures::{animated_gif, decoded, jpeg, png},
    remote::{Remote, response},
};

/// What Lemmy gives a request, an upload apart.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What it gives an upload unless its administrator says otherwise.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A server as Lemmy's compose file starts it, but that it may fetch from this machine.
async fn host() -> App {
    App::with(|config| {
        config.api_key = Some(KEY.into());
        config.download_allow = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await
}

/// The request of a browser as Lemmy passes it on: with all headers but two, and who it was.
fn passed_on(request: RequestBuilder) -> RequestBuilder {
    request
        .timeout(TIMEOUT)
        .header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
        .header("Accept", "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5")
        .header("Accept-Language", "en-US,en;q=0.5")
        .header("Referer", "https://lemmy.example/post/1")
        .header("Cookie", "jwt=eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.x")
        .header("Sec-Fetch-Dest", "image")
        .header("X-Forwarded-For", "203.0.113.7:51234")
}

/// Its form as it is passed on while it comes in: in pieces, under the length that the browser gave.
fn upload(app: &App, path: &str, form: &Form) -> RequestBuilder {
    let body = form.body();
    let length = body.len();
    let pieces: Vec<_> = body.chunks(1000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    passed_on(app.request("POST", path))
        .timeout(UPLOAD_TIMEOUT)
        .header("Content-Type", Form::content_type())
        .header("Content-Length", length)
        .body(Body::wrap_stream(stream::iter(pieces)))
}

/// An answer as it is read there, whatever its status.
#[track_caller]
fn read<T: DeserializeOwned>(answer: &Answer) -> T {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.shown()))
}

/// `PictrsFile` of 0.17.
#[derive(Debug, Deserialize)]
struct File17 {
    file: String,
    delete_token: String,
}

/// `Images` of 0.17.
#[derive(Debug, Deserialize)]
struct Images17 {
    msg: String,
    files: Option<Vec<File17>>,
}

/// What all of them read of a purge; 1.0 has the aliases too.
#[derive(Debug, Deserialize)]
struct Purged {
    msg: String,
    aliases: Vec<String>,
}

#[tokio::test]
async fn version_0_17_uploads_shows_fetches_deletes_and_purges() {
    let app = host().await;
    let picture = jpeg(1, 300, 200);
    let answer = sent(upload(&app, "/image", &Form::new().file("a photo.jpg", &picture))).await;
    answer.is(201);
    let Images17 { msg, files } = read(&answer);
    let File17 { file, delete_token } = files.unwrap().remove(0);
    assert_eq!(msg, "ok");

    // The page shows it whole, then small, and again from its cache.
    let whole = sent(passed_on(app.request("GET", &format!("/image/original/{file}")))).await;
    assert_eq!(whole.body, picture);
    let small = format!("/image/process.webp?src={file}&thumbnail=96");
    let shown = sent(passed_on(app.request("GET", &small))).await;
    shown.is_image("image/webp");
    let known = passed_on(app.request("GET", &small)).header("If-None-Match", shown.header("etag"));
    sent(known).await.is(304);
    // The format is the end of the name where a reader names none, and some names end in that.
    sent(passed_on(app.request("GET", &format!("/image/process.jpeg?src={file}&thumbnail=256")))).await.is(200);
    sent(passed_on(app.request("GET", "/image/original/gone.jpg"))).await.error(404);

    // A link of a post gets a thumbnail: everything but letters and digits is encoded.
    let remote = Remote::serving([("/b.png?x=1&y=2", response("200 OK", &[], &png(2, 90, 60)))]).await;
    let url = link(&remote, "/b.png?x=1&y=2");
    let answer = sent(app.request("GET", &format!("/image/download?url={url}")).timeout(TIMEOUT)).await;
    let Images17 { msg, files } = read(&answer);
    assert_eq!(msg, "ok");
    let fetched = files.unwrap().remove(0);
    // What is no picture is told in the same shape.
    let page = Remote::serving([("/", response("200 OK", &["Content-Type: text/html"], b"<html></html>"))]).await;
    let answer = app.get(&format!("/image/download?url={}", link(&page, "/"))).await;
    let Images17 { msg, files } = read(&answer);
    assert!(msg != "ok" && files.is_none());

    let gone = sent(passed_on(app.request("GET", &format!("/image/delete/{delete_token}/{file}")))).await;
    gone.is(204);
    // `{url}/internal/..`, where the url ends in a slash already.
    let purge = app.request("POST", &format!("//internal/purge?alias={}", fetched.file));
    let Purged { msg, aliases } = read(&sent(purge.header("x-api-token", KEY).timeout(TIMEOUT)).await);
    assert_eq!((msg.as_str(), aliases), ("ok", vec![fetched.file]));
    app.stored().settles_at(0, 0).await;
    app.stop().await;
}

/// The address of something there, as Lemmy puts it into a query.
fn link(remote: &Remote, path: &str) -> String {
    encode(&format!("http://127.0.0.1:{}{path}", remote.port))
}

/// All but letters and digits, as percent signs and two digits.
fn encode(text: &str) -> String {
    let byte =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}

/// `PictrsFileDetails` of 0.19 and 1.0; `created_at` is a `DateTime<Utc>` there.
#[derive(Debug, Deserialize)]
struct Details {
    width: u16,
    height: u16,
    content_type: String,
    created_at: String,
    blurhash: Option<String>,
}

/// `PictrsFile` of 0.19.
#[derive(Debug, Deserialize)]
struct File19 {
    file: String,
    delete_token: String,
    details: Details,
}

/// `PictrsResponse` of 0.19.
#[derive(Debug, Deserialize)]
struct Response19 {
    files: Option<Vec<File19>>,
    msg: String,
}

#[tokio::test]
async fn version_0_19_reads_details_with_every_file() {
    let app = host().await;
    let moving = animated_gif(&[[255, 0, 0], [0, 0, 255]], 40, 30);
    let answer = sent(upload(&app, "/image", &Form::files([png(1, 300, 200), moving]))).await;
    let Response19 { files, msg } = read(&answer);
    let files = files.unwrap();
    assert_eq!((msg.as_str(), files.len()), ("ok", 2));
    let told: Vec<_> = files.iter().map(|file| (file.details.width, file.details.content_type.as_str())).collect();
    assert_eq!(told, [(300, "image/png"), (40, "image/gif")]);
    assert!(files.iter().all(|file| file.details.created_at.ends_with('Z') && file.details.height > 0));

    // An upload that is refused: the status is passed on, the message shown.
    let answer = sent(upload(&app, "/image", &Form::new().file("a.mp4", b"\0\0\0\x18ftypmp42"))).await;
    let Response19 { files, msg } = read(&answer);
    assert!(answer.status == 400 && files.is_none() && !msg.is_empty(), "{msg}");

    // A thumbnail for the link of a post; then a new one, and the old one goes with its token.
    let remote = Remote::serving([("/b.jpg", response("200 OK", &[], &jpeg(2, 90, 60)))]).await;
    let path = format!("/image/download?url={}", link(&remote, "/b.jpg"));
    let Response19 { files, .. } = read(&sent(app.request("GET", &path).timeout(TIMEOUT)).await);
    let thumbnail = files.unwrap().remove(0);
    assert!(thumbnail.details.blurhash.is_some());
    let path = format!("/image/delete/{}/{}", thumbnail.delete_token, thumbnail.file);
    sent(app.request("DELETE", &path).timeout(TIMEOUT)).await.is(204);
    // Whatever is answered to a second one is fine there.
    sent(app.request("DELETE", &path)).await.error(404);

    for File19 { file, .. } in files_of(&app, &png(1, 300, 200)).await.into_iter().take(1) {
        let purge = app.request("POST", &format!("/internal/purge?alias={file}")).header("x-api-token", KEY);
        let Purged { msg, aliases } = read(&sent(purge.timeout(TIMEOUT)).await);
        assert_eq!((msg.as_str(), aliases.len()), ("ok", 2), "both names of the same bytes");
    }
    app.stop().await;
}

async fn files_of(app: &App, picture: &[u8]) -> Vec<File19> {
    read::<Response19>(&app.post(Form::new().file("a", picture)).await).files.unwrap()
}

/// `PictrsFile` of 1.0, which keeps no tokens.
#[derive(Debug, Deserialize)]
struct File10 {
    file: String,
    details: Details,
}

/// `PictrsResponse` of 1.0.
#[derive(Debug, Deserialize)]
struct Response10 {
    #[serde(default)]
    files: Vec<File10>,
    msg: String,
}

#[tokio::test]
async fn version_1_0_has_pictures_reduced_and_checked_as_they_come() {
    let app = host().await;
    app.get("/healthz").await.is(200);
    let large = jpeg(1, 900, 600);
    for (query, width) in [
        // A picture for a post, an avatar, a banner, by their limits.
        ("allow_video=true&resize=1024", 900),
        ("resize=512&allow_animation=false&allow_video=false", 512),
        ("resize=800&allow_animation=false&allow_video=false", 800),
    ] {
        let answer = sent(upload(&app, &format!("/image?{query}"), &Form::new().file("a.jpg", &large))).await;
        let Response10 { files, msg } = read(&answer);
        let [File10 { file, details }] = &files[..] else { panic!("{msg}") };
        assert_eq!((details.width, u32::from(details.height)), (width, u32::from(width) * 2 / 3));
        assert!(details.blurhash.is_some() && details.created_at.ends_with('Z'));
        assert_eq!(details.content_type, "image/jpeg");
        let stored = decoded(&app.original(file).await.body);
        assert_eq!(stored.width(), u32::from(width), "{query}");
    }

    // An avatar may not move: no file, and a message to be shown.
    let moving = animated_gif(&[[255, 0, 0], [0, 0, 255]], 40, 30);
    let avatar = "/image?resize=512&allow_animation=false&allow_video=false";
    let answer = sent(upload(&app, avatar, &Form::new().file("a.gif", &moving))).await;
    let Response10 { files, msg } = read(&answer);
    assert!(files.is_empty() && msg.contains("allow_animation"), "{msg}");
    assert_eq!(answer.json()["code"], "media-disallowed");
    // In a post it may.
    let answer = sent(upload(&app, "/image?allow_video=true&resize=1024", &Form::new().file("a.gif", &moving))).await;
    let Response10 { files, .. } = read(&answer);
    assert_eq!(app.original(&files[0].file).await.body, moving);

    // A thumbnail for a link, small from the beginning.
    let remote = Remote::serving([("/b.jpg", response("200 OK", &[], &large))]).await;
    let path = format!("/image/download?url={}&resize=256", link(&remote, "/b.jpg"));
    let answer = sent(app.request("GET", &path).timeout(TIMEOUT)).await;
    answer.is(201);
    let Response10 { files: thumbnails, .. } = read(&answer);
    assert_eq!(thumbnails[0].details.width, 256);

    // An avatar is replaced: the name is all that is known of the one before.
    let path = format!("/internal/delete?alias={}", thumbnails[0].file);
    let answer = sent(app.request("POST", &path).header("X-Api-Token", KEY).timeout(TIMEOUT)).await;
    answer.is(200);
    app.get(&format!("/image/original/{}", thumbnails[0].file)).await.error(404);
    let path = format!("/internal/purge?alias={}", files[0].file);
    let purge = sent(app.request("POST", &path).header("x-api-token", KEY).timeout(TIMEOUT)).await;
    purge.is(200);
    let Purged { msg, aliases } = read(&purge);
    assert_eq!((msg.as_str(), aliases), ("ok", vec![files[0].file.clone()]));
    app.stop().await;
}

/// Where pictures of others go through Lemmy (`image_mode = ProxyAllImages`), as a reader of 0.19.5 and 1.0 makes it ask.
#[tokio::test]
async fn versions_0_19_and_1_0_proxy_pictures_of_others() {
    let app = host().await;
    let picture = jpeg(3, 300, 200);
    let remote = Remote::serving([("/b.jpg?x=1&y=2", response("200 OK", &[], &picture))]).await;
    let url = link(&remote, "/b.jpg?x=1&y=2");
    // 0.19.5 knows the whole picture alone.
    let whole = sent(passed_on(app.request("GET", &format!("/image/original?proxy={url}")))).await;
    whole.is_image("image/jpeg");
    assert_eq!(whole.body, picture);
    // 1.0 reads what it is, and has it smaller where the reader asks for that.
    let path = format!("/image/details/original?proxy={url}");
    let Details { width, height, content_type, created_at, blurhash } =
        read(&sent(app.request("GET", &path).timeout(TIMEOUT)).await);
    assert_eq!((width, height, content_type.as_str()), (300, 200, "image/jpeg"));
    assert!(created_at.ends_with('Z') && blurhash.is_some());
    let small = format!("/image/process.webp?proxy={url}&thumbnail=64");
    let shown = sent(passed_on(app.request("GET", &small))).await;
    shown.is_image("image/webp");
    assert_eq!(decoded(&shown.body).width(), 64);
    let known = passed_on(app.request("GET", &small)).header("If-None-Match", shown.header("etag"));
    sent(known).await.is(304);
    // What is not there is not there.
    let gone =
        sent(passed_on(app.request("GET", &format!("/image/original?proxy={}", link(&remote, "/gone.jpg"))))).await;
    gone.error(502);
    assert_eq!(remote.asked(), 2);
    app.stop().await;
}

#[tokio::test]
async fn version_1_0_asks_for_every_format_that_it_knows() {
    let app = host().await;
    let file = files_of(&app, &png(1, 300, 200)).await.remove(0).file;
    for (ext, status) in
        [("jpg", 200), ("png", 200), ("webp", 200), ("gif", 200), ("apng", 200), ("avif", 200), ("jxl", 400)]
    {
        let path = format!("/image/process.{ext}?src={file}&thumbnail=64");
        let answer = sent(passed_on(app.request("GET", &path))).await;
        assert_eq!(answer.status, status, "{ext}: {}", answer.shown());
        if status == 400 {
            assert_eq!(answer.json()["code"], Value::from("unknown-format"));
        }
    }
    app.stop().await;
}
