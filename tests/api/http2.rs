//! HTTP/2 in clear text, as a proxy speaks it to a server behind it, and the clients that abuse it.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use h2::{Reason, client::SendRequest};
use reqwest::Version;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinHandle};

use crate::{
    app::App,
    client::Client,
    form::Form,
    pictures::{jpeg, noise_png, png},
};

/// A client that begins with HTTP/2, on one connection.
fn client() -> reqwest::Client {
    reqwest::Client::builder().http2_prior_knowledge().no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_at_a_time_than_streams_are_all_answered_as_over_http_1() {
    let app = App::start().await;
    let uploaded = app.upload(&jpeg(1, 400, 300)).await;
    let http = client();
    let ask = async |side: usize| {
        let path = format!("/image/process.webp?src={}&thumbnail={}", uploaded.file, 20 + side % 50);
        let over_http2 = http.get(format!("{}{path}", app.base)).send().await.unwrap();
        assert_eq!(over_http2.version(), Version::HTTP_2);
        let (status, etag) = (over_http2.status(), over_http2.headers()["etag"].clone());
        assert!(!over_http2.headers()["x-request-id"].is_empty() && !over_http2.headers()["date"].is_empty());
        (path, status, etag, over_http2.bytes().await.unwrap())
    };
    for (path, status, etag, body) in join_all((0..300).map(ask)).await {
        let over_http1 = app.get(&path).await;
        over_http1.is_image("image/webp");
        assert_eq!((status.as_u16(), etag.to_str().unwrap()), (200, over_http1.header("etag")));
        assert_eq!(body, over_http1.body);
    }
    app.stop_with(&[uploaded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_larger_than_a_window_and_errors_come_through() {
    let app = App::start().await;
    let over_http2 = Client::over(client(), &app.base);
    let pictures: Vec<Vec<u8>> = (0..3).map(|seed| noise_png(seed, 900)).collect();
    assert!(pictures.iter().all(|picture| picture.len() > 2 * 1024 * 1024));
    let uploads = join_all(pictures.iter().map(|picture| over_http2.upload(picture))).await;
    for (uploaded, picture) in uploads.iter().zip(&pictures) {
        assert_eq!(over_http2.original(&uploaded.file).await.body, app.original(&uploaded.file).await.body);
        assert!(app.original(&uploaded.file).await.body.len() * 2 > picture.len());
    }
    over_http2.get("/nowhere").await.error(404);
    over_http2.post(Form::new()).await.error(400);
    over_http2.send("PUT", "/image").await.error(405);
    app.stop_with(&uploads).await;
}

/// A connection frame by frame, and what becomes of it.
async fn frames(app: &App) -> (SendRequest<bytes::Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(("127.0.0.1", app.port)).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    (send, tokio::spawn(connection))
}

fn request(app: &App, path: &str) -> hyper::Request<()> {
    hyper::Request::get(format!("{}{path}", app.base)).body(()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_back_what_it_asks_for_again_and_again_is_cut_off() {
    let app = App::start().await;
    let uploaded = app.upload(&jpeg(1, 800, 600)).await;
    let (mut send, mut connection) = frames(&app).await;
    let path = format!("/image/process.webp?src={}&blur=5", uploaded.file);
    let flood = async {
        for _ in 0..100_000 {
            send = send.ready().await?;
            let (_answer, mut body) = send.send_request(request(&app, &path), false)?;
            body.send_reset(Reason::CANCEL);
        }
        Ok::<(), h2::Error>(())
    };
    let flooded = tokio::time::timeout(Duration::from_secs(30), flood).await.expect("the flood goes on");
    let errors = [flooded, (&mut connection).await.unwrap()].map(|ended| ended.err());
    assert!(errors.iter().any(Option::is_some), "all of the flood was taken");
    // Where the server closes before the client has read what it said, nothing is known but that it did.
    let reasons: Vec<Reason> = errors.iter().flatten().filter_map(h2::Error::reason).collect();
    assert!(reasons.iter().all(|reason| *reason == Reason::ENHANCE_YOUR_CALM), "{errors:?}");
    app.process("webp", &uploaded.file, "thumbnail=30").await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_how_many_requests_it_may_send_at_a_time() {
    let app = App::start().await;
    let (send, connection) = frames(&app).await;
    let mut send = send.ready().await.unwrap();
    let (answer, body) = send.send_request(request(&app, "/healthz"), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    assert_eq!(send.current_max_send_streams(), 64);
    // Nothing of it is held any more, so it ends by itself.
    drop((send, body));
    connection.await.unwrap().unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_told_to_end_and_one_at_work_is_not() {
    let app = App::with(|config| config.keep_alive_timeout = Duration::from_millis(400)).await;
    let uploaded = app.upload(&png(1, 40, 30)).await;
    let (send, connection) = frames(&app).await;
    let begun = Instant::now();
    let mut send = send.ready().await.unwrap();
    for _ in 0..6 {
        let (answer, _body) = send.send_request(request(&app, "/healthz"), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
        tokio::time::sleep(Duration::from_millis(150)).await;
        send = send.ready().await.unwrap();
    }
    assert!(begun.elapsed() > Duration::from_millis(800));
    let ended = tokio::time::timeout(Duration::from_secs(20), connection).await.expect("kept for ever").unwrap();
    assert!(ended.is_ok(), "{ended:?}");
    app.stop_with(&[uploaded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_never_end_are_cut_off() {
    let app = App::start().await;
    let mut stream = TcpStream::connect(("127.0.0.1", app.port)).await.unwrap();
    // Kind, flags, stream.
    let frame = |kind: u8, flags: u8, stream: u32, body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
    };
    // A header without indexing, its name and its value as they are (RFC 7541, section 6.2.2).
    let field = [&[0x00, 0x01, b'x', 0x7f, 0x01][..], &[b'y'; 128]].concat();
    let fields = field.repeat(16_000 / field.len());
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    let mut sent = 0;
    let mut bytes = frame(1, 0, 1, &fields);
    let flood = async {
        while stream.write_all(&bytes).await.is_ok() {
            sent += bytes.len();
            assert!(sent < 256 << 20, "{sent} bytes of one head were taken");
            bytes = frame(9, 0, 1, &fields);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), flood).await.expect("it neither reads nor closes");
    app.get("/healthz").await.is(200);
    app.stop().await;
}
