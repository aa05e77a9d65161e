//! More than the server can carry: each gate refuses at once and says why, what needs no gate goes on, and who leaves makes room.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};
use glimt::service::{ServiceError, pool::Class};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    app::{App, KEY},
    client::{Answer, Uploaded, sent},
    form::Form,
    metrics::scraped,
    pictures::{jpeg, noise_png, png},
    raw::{Raw, ask},
    stored::eventually_async,
};

const MEBIBYTE: u64 = 1024 * 1024;

/// A job that has a thread, or waits for one, until this is dropped.
struct Busy {
    _release: mpsc::Sender<()>,
    job: JoinHandle<Result<(), ServiceError>>,
}

impl Busy {
    /// Takes a place, and memory, of the pool of this server.
    async fn with(app: &App, peak_bytes: u64) -> Self {
        let before = app.pool.in_flight();
        let (release, mut wait) = mpsc::channel::<()>(1);
        let pool = std::sync::Arc::clone(&app.pool);
        let job = tokio::spawn(async move {
            let deadline = Instant::now() + Duration::from_secs(60);
            let job = move |_: &_| {
                let _released = wait.blocking_recv();
                Ok(())
            };
            pool.run(Class::Variant, peak_bytes, deadline, job).await
        });
        eventually_async("the job to be there", async || app.pool.in_flight() > before).await;
        Self { _release: release, job }
    }

    async fn end(self) {
        let Self { _release: release, job } = self;
        drop(release);
        job.await.unwrap().unwrap();
    }
}

fn gate(metrics: &BTreeMap<String, f64>, family: &str, gate: &str) -> f64 {
    metrics[&format!("glimt_gate_{family}{{gate=\"{gate}\"}}")]
}

/// Waits until so many are inside this gate.
async fn held(app: &App, name: &str, count: f64) {
    eventually_async(&format!("{count} in {name}"), async || gate(&scraped(app).await, "held", name) == count).await;
}

/// Waits until nothing is under way and nothing is promised to anybody.
async fn at_rest(app: &App) {
    eventually_async("rest", async || {
        let metrics = scraped(app).await;
        let held: f64 = ["requests", "uploads", "queue"].map(|name| gate(&metrics, "held", name)).iter().sum();
        held + metrics["glimt_pool_jobs"] + metrics["glimt_memory_granted_bytes"] == 0.0
    })
    .await;
}

/// Fails unless this is a refusal of that gate, with its numbers and a time.
#[track_caller]
fn refused_by(answer: &Answer, gate: &str, numbers: &[u64]) {
    let msg = answer.error(503);
    assert_eq!(answer.json()["code"], format!("busy-{gate}"), "{msg}");
    for number in numbers {
        assert!(msg.contains(&format!("{number} ")), "{msg:?} does not name {number}");
    }
    let secs = answer.header("retry-after");
    assert!((1..=60).contains(&secs.parse::<u64>().unwrap()), "{secs}");
    assert!(msg.ends_with(&format!("ask again in {secs} s")), "{msg:?} and {secs}");
}

fn cold(uploaded: &Uploaded, side: u32) -> String {
    format!("/image/process.png?src={}&thumbnail={side}", uploaded.file)
}

/// The endpoints that tell how the server is.
async fn is_well(app: &App) {
    app.get("/healthz").await.is(200);
    app.get("/readyz").await.is(200);
    scraped(app).await;
}

#[tokio::test]
async fn while_every_slot_is_busy_what_is_made_already_is_served_and_the_rest_refused_at_once() {
    for hot_cache_bytes in [0, 1 << 20] {
        let app = App::with(|config| {
            (config.workers, config.queue) = (1, 1);
            config.hot_cache_bytes = hot_cache_bytes;
        })
        .await;
        let uploaded = app.upload(&jpeg(1, 200, 150)).await;
        let made = app.get(&cold(&uploaded, 50)).await;
        made.is_image("image/png");
        app.stored().settles_at(1, 1).await;
        let (running, waiting) = (Busy::with(&app, 0).await, Busy::with(&app, 0).await);

        refused_by(&app.get(&cold(&uploaded, 51)).await, "queue", &[2, 2]);
        let metrics = scraped(&app).await;
        let queue = ["held", "limit", "refusals_total"].map(|family| gate(&metrics, family, "queue"));
        assert_eq!(queue, [2.0, 2.0, 1.0]);
        for tier in ["memory", "disk"] {
            let tier_hits =
                |metrics: &BTreeMap<String, f64>| metrics[&format!("glimt_cache_hits_total{{tier=\"{tier}\"}}")];
            let before = tier_hits(&metrics);
            let hit = app.get(&cold(&uploaded, 50)).await;
            hit.is_image("image/png");
            assert_eq!(hit.body, made.body);
            let expected = if (tier == "memory") == (hot_cache_bytes > 0) { 1.0 } else { 0.0 };
            let after = tier_hits(&scraped(&app).await);
            assert!((after - before >= 1.0) == (expected > 0.0), "{tier} with {hot_cache_bytes}: {before}, {after}");
        }
        app.original(&uploaded.file).await.is_image("image/jpeg");
        is_well(&app).await;
        // A picture coming in has a lane of its own.
        let picture = png(2, 20, 20);
        let release = async {
            held(&app, "uploads", 1.0).await;
            join(running.end(), waiting.end()).await;
        };
        let (second, ()) = join(app.upload(&picture), release).await;
        app.get(&cold(&uploaded, 51)).await.is_image("image/png");
        at_rest(&app).await;
        app.stop_with(&[uploaded, second]).await;
    }
}

#[tokio::test]
async fn what_would_wait_too_long_is_refused_at_once_by_what_jobs_took_lately() {
    let app = App::with(|config| {
        (config.workers, config.queue) = (1, 10);
        config.max_wait = Duration::from_millis(100);
    })
    .await;
    let uploaded = app.upload(&jpeg(1, 200, 150)).await;
    let slow = Busy::with(&app, 0).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    slow.end().await;
    // A thread is free: nobody waits, however long it takes.
    app.get(&cold(&uploaded, 50)).await.is(200);
    let running = Busy::with(&app, 0).await;
    let began = Instant::now();
    let answer = app.get(&cold(&uploaded, 51)).await;
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    refused_by(&answer, "wait", &[100]);
    let metrics = scraped(&app).await;
    assert_eq!(gate(&metrics, "refusals_total", "wait"), 1.0);
    assert!(metrics["glimt_expected_wait_seconds"] > metrics["glimt_expected_wait_limit_seconds"]);
    running.end().await;
    app.get(&cold(&uploaded, 51)).await.is(200);
    at_rest(&app).await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn memory_that_does_not_come_free_in_time_is_told() {
    let app = App::with(|config| {
        (config.workers, config.queue) = (2, 10);
        config.memory_limit_bytes = 40 * MEBIBYTE;
        config.request_timeout = Duration::from_millis(1000);
    })
    .await;
    let uploaded = app.upload(&jpeg(1, 200, 150)).await;
    let large = Busy::with(&app, 40 * MEBIBYTE).await;
    let began = Instant::now();
    let answer = app.get(&cold(&uploaded, 50)).await;
    assert!((900..8000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    refused_by(&answer, "memory", &[40]);
    let metrics = scraped(&app).await;
    assert_eq!(gate(&metrics, "refusals_total", "memory"), 1.0);
    let granted = [metrics["glimt_memory_granted_bytes"], metrics["glimt_memory_limit_bytes"]];
    assert_eq!(granted, [40.0 * MEBIBYTE as f64; 2]);
    is_well(&app).await;
    large.end().await;
    app.get(&cold(&uploaded, 50)).await.is(200);
    at_rest(&app).await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn one_upload_too_many_is_refused_before_it_is_read_and_one_that_breaks_off_makes_room() {
    let app = App::with(|config| {
        config.max_uploads = 1;
        config.api_key = Some(KEY.into());
    })
    .await;
    let uploaded = app.upload(&jpeg(1, 200, 150)).await;
    let content_type = format!("Content-Type: {}", Form::content_type());
    let head = [b"POST /image HTTP/1.1", content_type.as_bytes(), b"Transfer-Encoding: chunked"];
    let mut slow = Raw::head(app.port, &head).await;
    slow.chunk(&Form::new().file("a.png", b"\x89PNG").open_body()).await.unwrap();
    held(&app, "uploads", 1.0).await;

    // A body of a megabyte or two is on its way, and its client reads the answer all the same.
    refused_by(&app.post(Form::new().file("b.png", &noise_png(1, 700))).await, "uploads", &[1, 1]);
    refused_by(&app.import(KEY, Form::new().file("b.png", &png(2, 20, 20))).await, "uploads", &[1, 1]);
    refused_by(&app.get("/image/download?url=http://example.com/a.png").await, "uploads", &[1, 1]);
    // Nothing of it has to be sent to be refused.
    let unsent = [head[0], head[1], b"Content-Length: 20000000", b"Expect: 100-continue"];
    refused_by(&Raw::head(app.port, &unsent).await.answer().await.unwrap(), "uploads", &[1, 1]);
    assert_eq!(gate(&scraped(&app).await, "refusals_total", "uploads"), 4.0);
    // Thumbnails are not for uploads to stop.
    app.get(&cold(&uploaded, 50)).await.is(200);
    is_well(&app).await;

    drop(slow);
    held(&app, "uploads", 0.0).await;
    let second = app.upload(&png(2, 20, 20)).await;
    at_rest(&app).await;
    app.stop_with(&[uploaded, second]).await;
}

#[tokio::test]
async fn requests_under_way_are_bounded_and_health_is_told_all_the_same() {
    let app = App::with(|config| (config.workers, config.max_requests) = (1, 2)).await;
    let uploaded = app.upload(&jpeg(1, 200, 150)).await;
    let running = Busy::with(&app, 0).await;
    let (first, second) = (cold(&uploaded, 50), cold(&uploaded, 51));
    let asked = join(app.get(&first), app.get(&second));
    let watched = async {
        held(&app, "requests", 2.0).await;
        refused_by(&app.get(&format!("/image/original/{}", uploaded.file)).await, "requests", &[2, 2]);
        is_well(&app).await;
        running.end().await;
    };
    let ((first, second), ()) = join(asked, watched).await;
    assert_eq!((first.status, second.status), (200, 200));
    app.original(&uploaded.file).await;
    at_rest(&app).await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn on_a_connection_too_many_health_is_told_and_the_rest_refused() {
    let app = App::with(|config| config.max_connections = 2).await;
    let idle = [Raw::connect(app.port).await, Raw::connect(app.port).await];
    let metrics = async || {
        let answer = ask(app.port, b"GET /metrics HTTP/1.1").await;
        answer.is(200);
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    eventually_async("both", async || metrics().await.contains("glimt_gate_held{gate=\"connections\"} 2")).await;
    for _ in 0..100 {
        ask(app.port, b"GET /healthz HTTP/1.1").await.is(200);
    }
    ask(app.port, b"GET /readyz HTTP/1.1").await.is(200);
    // It would stay open; the server closes it.
    let mut raw = Raw::connect(app.port).await;
    raw.write(b"GET /image/original/a.png HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let all = String::from_utf8(raw.all().await).unwrap();
    assert!(all.starts_with("HTTP/1.1 503") && all.contains("\r\nconnection: close\r\n"), "{all}");
    refused_by(&ask(app.port, b"GET /image/original/a.png HTTP/1.1").await, "connections", &[2, 2]);
    refused_by(&ask(app.port, b"GET /nowhere HTTP/1.1").await, "connections", &[2, 2]);
    assert!(metrics().await.contains("glimt_gate_refusals_total{gate=\"connections\"} 3"));
    // Whoever says nothing there does not stay either.
    let began = Instant::now();
    assert!(Raw::connect(app.port).await.all().await.is_empty());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(idle);
    eventually_async("room", async || ask(app.port, b"GET /image/original/a.png HTTP/1.1").await.status == 404).await;
    app.stop().await;
}

#[tokio::test]
async fn who_leaves_the_queue_frees_place_and_memory_and_costs_no_work() {
    let app = App::with(|config| (config.workers, config.queue) = (1, 10)).await;
    let uploaded = app.upload(&jpeg(1, 200, 150)).await;
    let running = Busy::with(&app, MEBIBYTE).await;
    let begun = async || scraped(&app).await["glimt_pool_jobs_begun_total"];
    // The upload's, and the one that has the thread.
    eventually_async("it to have begun", async || begun().await == 2.0).await;
    let mut impatient = Vec::new();
    for side in 50..55 {
        let mut raw = Raw::connect(app.port).await;
        raw.write(format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", cold(&uploaded, side)).as_bytes()).await.unwrap();
        impatient.push(raw);
    }
    held(&app, "queue", 6.0).await;
    eventually_async("memory for those that are next", async || {
        scraped(&app).await["glimt_memory_granted_bytes"] > MEBIBYTE as f64
    })
    .await;
    drop(impatient);
    held(&app, "queue", 1.0).await;
    let granted = async || scraped(&app).await["glimt_memory_granted_bytes"] == MEBIBYTE as f64;
    eventually_async("their memory", granted).await;
    held(&app, "requests", 0.0).await;
    running.end().await;
    app.get(&cold(&uploaded, 60)).await.is(200);
    assert_eq!(begun().await, 3.0, "what nobody waited for was made");
    at_rest(&app).await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn the_time_of_a_request_is_counted_from_its_arrival_and_not_anew_for_each_step() {
    let app = App::with(|config| {
        (config.workers, config.queue) = (1, 10);
        config.request_timeout = Duration::from_millis(2000);
        config.avif_budget = Duration::from_millis(1500);
    })
    .await;
    let uploaded = app.upload(&jpeg(1, 200, 150)).await;
    let running = Busy::with(&app, 0).await;
    // 1.5 s for an AVIF that does not come, and then what is left of 2 for the WebP.
    let began = Instant::now();
    let answer = app.get(&format!("/image/process.avif?src={}&thumbnail=50", uploaded.file)).await;
    let millis = began.elapsed().as_millis();
    answer.error(503);
    assert!((1900..3000).contains(&millis), "{millis}");
    running.end().await;
    app.get(&cold(&uploaded, 50)).await.is(200);
    at_rest(&app).await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_load_everything_is_at_rest_and_the_next_is_answered_at_once() {
    let app = App::with(|config| (config.workers, config.queue) = (2, 4)).await;
    let uploaded = app.upload(&jpeg(1, 1200, 900)).await;
    let clients = (0..24).map(|client| {
        let (app, uploaded) = (&app, &uploaded);
        async move {
            let mut served = 0;
            for round in 0..6 {
                let path = cold(uploaded, 100 + client * 6 + round);
                let answer = sent(app.request("GET", &path)).await;
                match answer.status {
                    200 => served += 1,
                    503 => assert!(answer.json()["code"].as_str().unwrap().starts_with("busy-"), "{}", answer.shown()),
                    _ => panic!("{}", answer.shown()),
                }
            }
            served
        }
    });
    let watched = async {
        for _ in 0..20 {
            is_well(&app).await;
        }
    };
    let (served, ()) = join(join_all(clients), watched).await;
    let served: u32 = served.iter().sum();
    assert!(served > 0, "nobody was served");
    at_rest(&app).await;
    let metrics = scraped(&app).await;
    assert_eq!(metrics["glimt_pool_jobs_begun_total"], f64::from(served) + 1.0, "what was begun was served");
    let refused = gate(&metrics, "refusals_total", "queue") + gate(&metrics, "refusals_total", "wait");
    assert_eq!(refused, f64::from(24 * 6 - served));
    let began = Instant::now();
    app.get(&cold(&uploaded, 99)).await.is(200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    at_rest(&app).await;
    app.stop_with(&[uploaded]).await;
}
