//! Connections that are kept, and those that do nothing, or too slowly.

use std::time::{Duration, Instant};

use crate::{
    app::App,
    pictures::noise_png,
    raw::{Raw, ask},
    stored::eventually_async,
};

const SOON: Duration = Duration::from_millis(400);

/// How long it took until the server closed, with what it said before.
async fn closed(raw: Raw) -> (Duration, Vec<u8>) {
    let begun = Instant::now();
    let said = raw.until_closed().await;
    (begun.elapsed(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_request_is_kept_for_a_while() {
    let app = App::with(|config| config.keep_alive_timeout = SOON).await;
    let mut raw = Raw::connect(app.port).await;
    for _ in 0..5 {
        raw.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        // Longer in all than it is kept, and never at a time.
        tokio::time::sleep(SOON / 2).await;
    }
    let (after, said) = closed(raw).await;
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 5, "{said}");
    assert!(after > SOON / 4 && after < Duration::from_secs(20), "{after:?}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_or_comes_slowly_ends_its_connection() {
    let app = App::with(|config| (config.head_timeout, config.max_connections) = (SOON, 8)).await;
    let drip = async |first: &[u8], drop: &[u8]| {
        let mut raw = Raw::connect(app.port).await;
        let begun = Instant::now();
        let mut is_open = raw.write(first).await.is_ok();
        while is_open && begun.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(SOON / 8).await;
            is_open = raw.write(drop).await.is_ok();
        }
        assert!(!is_open && begun.elapsed() >= SOON, "{:?}", begun.elapsed());
    };
    let silent = async |first: &[u8]| {
        let mut raw = Raw::connect(app.port).await;
        raw.write(first).await.unwrap();
        let (after, said) = closed(raw).await;
        assert!(after >= SOON / 2 && after < Duration::from_secs(20) && said.is_empty(), "{after:?} {said:?}");
    };
    let between = async {
        let mut raw = Raw::connect(app.port).await;
        raw.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(SOON / 2).await;
        raw.write(b"GET /heal").await.unwrap();
        let (after, said) = closed(raw).await;
        assert!(after < Duration::from_secs(20) && said.starts_with(b"HTTP/1.1 200"), "{after:?}");
    };
    tokio::join!(
        drip(b"GET / HTTP/1.1\r\n", b"x: y\r\n"),
        silent(b""),
        silent(b"GET /healthz HT"),
        silent(b"PRI * HTTP/2.0\r\n"),
        silent(b"P"),
        between,
    );
    assert_eq!(ask(app.port, b"GET /healthz HTTP/1.1").await.status, 200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let app = App::with(|config| config.send_timeout = SOON).await;
    // Larger than what the system takes for a client that reads nothing.
    let uploaded = app.upload(&noise_png(1, 2400)).await;
    assert!(app.original(&uploaded.file).await.body.len() > 15 * 1024 * 1024);
    // How many are open, the one that asks among them.
    let open = async || {
        let page = ask(app.port, b"GET /metrics HTTP/1.1").await.body;
        let page = String::from_utf8(page.to_vec()).unwrap();
        let count = page.lines().find_map(|line| line.strip_prefix("glimt_gate_held{gate=\"connections\"} "));
        count.unwrap().parse::<u32>().unwrap()
    };
    let before = open().await;
    let mut stuck = Raw::connect(app.port).await;
    eventually_async("the connection", async || open().await == before + 1).await;
    let begun = Instant::now();
    let head = format!("GET /image/original/{} HTTP/1.1\r\nHost: x\r\n\r\n", uploaded.file);
    stuck.write(head.as_bytes()).await.unwrap();
    eventually_async("its end", async || open().await == before).await;
    assert!(begun.elapsed() >= SOON / 2 && begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let (_, said) = closed(stuck).await;
    assert!(said.len() < 15 * 1024 * 1024);
    app.stop_with(&[uploaded]).await;
}
