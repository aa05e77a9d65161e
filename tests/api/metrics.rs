//! An operator watches: what `/metrics` counts, and what `/readyz` says of the device.

use std::collections::{BTreeMap, BTreeSet};

use glimt::pixels::{Backend, gpu::Drill};

use crate::{app::App, client::Client, photos::has_adapter, pictures::jpeg};

/// The samples of a page, each by its name and labels; fails on a line that is not of Prometheus' text format 0.0.4, on a
/// metric without help and type, and on a name that is there twice.
fn samples(page: &str) -> BTreeMap<String, f64> {
    assert!(page.ends_with('\n'), "the last line has no end");
    let (mut helped, mut typed, mut found) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(text.len() > 10 && helped.insert(name), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(helped.contains(name) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(typed.insert(name, kind).is_none(), "{line}");
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?} is no sample"));
            let name = sample.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            let is_told = family.map_or(typed.contains_key(name), |family| {
                typed.get(family).is_some_and(|kind| *kind == "histogram") || typed.contains_key(name)
            });
            assert!(is_told, "{line}: its type is not told");
            assert!(name.starts_with("glimt_"), "{line}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
            if sample != name {
                labels(&sample[name.len()..]);
            }
            let value: f64 = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(found.insert(sample.to_owned(), value).is_none(), "{line} is there twice");
        }
    }
    found
}

/// Reads `{name="value",..}` to its end.
fn labels(text: &str) {
    let mut rest = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap();
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{text}");
        let mut escaped = false;
        let end = after.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = &after[end.unwrap() + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

pub(crate) async fn scraped(client: &Client) -> BTreeMap<String, f64> {
    let answer = client.get("/metrics").await;
    answer.is(200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    samples(std::str::from_utf8(&answer.body).unwrap())
}

async fn readyz(client: &Client) -> String {
    let answer = client.get("/readyz").await;
    answer.is(200);
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_variant_that_is_made_is_counted_once() {
    const DONE: &str = "glimt_engine_jobs_total{engine=\"cpu\"}";
    let app = App::start().await;
    let before = scraped(&app).await;
    assert_eq!(before[DONE], 0.0);
    assert_eq!(before["glimt_engine_info{engine=\"cpu\",description=\"cpu\"}"], 1.0);
    assert_eq!(before["glimt_device_healthy"], 1.0);

    let uploaded = app.upload(&jpeg(1, 300, 200)).await;
    let looked = scraped(&app).await[DONE];
    assert_eq!(looked, 1.0, "looked at when it came in");
    for _ in 0..3 {
        app.process("png", &uploaded.file, "thumbnail=64").await;
    }
    let after = scraped(&app).await;
    assert_eq!(after[DONE] - looked, 1.0, "made once, and then kept");
    assert_eq!(after["glimt_pool_jobs"], 0.0);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "series come and go");

    let answer = app.send("POST", "/metrics").await;
    answer.error(405);
    assert_eq!(answer.header("allow"), "GET, HEAD");
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn times_are_counted_by_what_a_request_is_for_also_of_those_in_front_of_the_router() {
    let app = App::start().await;
    let uploaded = app.upload(&jpeg(1, 300, 200)).await;
    for _ in 0..5 {
        app.process("png", &uploaded.file, "thumbnail=64").await;
    }
    let found = scraped(&app).await;
    let of = |part: &str, route: &str| found[&format!("glimt_request_seconds_{part}{{route=\"{route}\"}}")];
    assert_eq!((of("count", "upload"), of("count", "process"), of("count", "delete")), (1.0, 5.0, 0.0));
    assert!(of("sum", "process") > 0.0 && of("sum", "process") < 60.0 && of("sum", "delete") == 0.0);
    // Each bucket holds those before it, the last all.
    let buckets = |route: &str| {
        let start = format!("glimt_request_seconds_bucket{{route=\"{route}\",le=\"");
        let bounds = found.iter().filter_map(|(name, count)| Some((name.strip_prefix(&start)?, *count)));
        let read = |(bound, count): (&str, f64)| {
            let bound = bound.strip_suffix("\"}").unwrap();
            (if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() }, count)
        };
        let mut buckets: Vec<(f64, f64)> = bounds.map(read).collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets
    };
    let process = buckets("process");
    assert!(process.len() > 10 && process.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{process:?}");
    assert_eq!(process.last(), Some(&(f64::INFINITY, 5.0)));
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn metrics_need_no_key_and_answer_while_no_more_work_is_taken() {
    let app = App::with(|config| {
        config.api_key = Some("a key".into());
        (config.workers, config.queue) = (1, 0);
    })
    .await;
    let uploaded = app.upload(&jpeg(1, 2000, 1500)).await;
    let asked = async {
        app.process("png", &uploaded.file, "blur=30").await;
    };
    let watched = async {
        while scraped(&app).await["glimt_pool_jobs"] < 1.0 {}
        app.get(&format!("/image/process.png?src={}&blur=31", uploaded.file)).await.error(503);
        scraped(&app).await;
    };
    futures_util::future::join(asked, watched).await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn readiness_says_that_there_is_no_device() {
    let app = App::start().await;
    assert_eq!(readyz(&app).await, r#"{"device":"none","engine":"cpu","msg":"ok"}"#);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_lost_is_told_and_counted_and_comes_back() {
    if !has_adapter() {
        return;
    }
    let app = App::with(|config| config.backend = Backend::Software).await;
    assert!(readyz(&app).await.starts_with(r#"{"device":"ok","engine":"software: "#));
    let uploaded = app.upload(&jpeg(1, 300, 200)).await;
    app.process("png", &uploaded.file, "thumbnail=64").await;
    let well = scraped(&app).await;
    assert_eq!(
        (well["glimt_device_jobs_total"], well["glimt_device_submissions_total"]),
        (2.0, 2.0),
        "looked at, and made"
    );
    assert_eq!(well["glimt_engine_jobs_total{engine=\"software\"}"], 2.0);
    assert!(well["glimt_device_buffers_created_total"] >= 3.0 && well["glimt_device_idle_bytes"] > 0.0);

    app.engines.drill(Drill::Lose).unwrap();
    // It is away for at least a quarter of a second, and watched all the while.
    let seen = async { while !readyz(&app).await.starts_with(r#"{"device":"rebuilding","#) {} };
    let made = app.process("png", &uploaded.file, "thumbnail=65");
    futures_util::future::join(seen, made).await;
    crate::stored::eventually("the device to be back", || app.engines.is_healthy()).await;

    let after = scraped(&app).await;
    assert_eq!(after["glimt_device_missed_jobs_total{reason=\"recovered\"}"], 1.0);
    assert_eq!(after["glimt_engine_jobs_total{engine=\"cpu\"}"], 1.0);
    assert_eq!((after["glimt_device_rebuilds_total"], after["glimt_device_healthy"]), (1.0, 1.0));
    assert!(readyz(&app).await.starts_with(r#"{"device":"ok","#));
    app.stop_with(&[uploaded]).await;
}

#[test]
fn pages_that_prometheus_would_not_read_are_told() {
    let good = "# HELP glimt_a_total What it counts.\n# TYPE glimt_a_total counter\nglimt_a_total{b=\"c\\\"}\"} 1\n";
    assert_eq!(samples(good), BTreeMap::from([("glimt_a_total{b=\"c\\\"}\"}".to_owned(), 1.0)]));
    let times = "# HELP glimt_t_seconds How long it takes.\n# TYPE glimt_t_seconds histogram\nglimt_t_seconds_bucket{le=\"1.0\"} 1\n";
    assert_eq!(samples(times).len(), 1);
    assert!(std::panic::catch_unwind(|| samples(&times.replace("histogram", "gauge"))).is_err(), "buckets of a gauge");
    for (from, to) in [
        ("# HELP glimt_a_total What it counts.\n", ""),
        ("counter\n", "number\n"),
        (" 1\n", " one\n"),
        (" 1\n", "\n"),
        ("}\"}", "}\""),
        ("b=", "B="),
        ("_total", ""),
        ("glimt_", "other_"),
        (" 1\n", " 1\nglimt_a_total{b=\"c\\\"}\"} 1\n"),
        (" 1\n", " 1"),
    ] {
        let bad = good.replace(from, to);
        assert!(std::panic::catch_unwind(|| samples(&bad)).is_err(), "{bad}");
    }
}
