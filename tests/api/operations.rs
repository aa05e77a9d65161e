//! An operator watches and wires: logs for a program, metrics apart, pages of other origins, a bench, a dashboard.

use std::{collections::BTreeMap, fs};

use tempfile::TempDir;

use crate::{
    app::App,
    binary::{Running, free_port, glimt, output, text},
    client::Client,
    pictures::{jpeg, png},
};

#[tokio::test]
async fn logs_are_objects_where_a_program_reads_them() {
    for (format, is_json) in [("json", true), ("compact", false), ("pretty", false)] {
        let data = TempDir::new().unwrap();
        let server = Running::on(data.path(), |command| {
            command.args(["--log-format", format]);
        });
        let server = server.await;
        server.upload(&png(1, 20, 20)).await;
        let log = server.stop().await;
        let objects = log
            .lines()
            .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object()));
        assert_eq!(objects.count() == log.lines().count(), is_json, "{log}");
        if is_json {
            let answered = log.lines().find(|line| line.contains("\"answered\"") && line.contains("/image")).unwrap();
            let answered: serde_json::Value = serde_json::from_str(answered).unwrap();
            assert_eq!((&answered["level"], &answered["status"]), (&"INFO".into(), &201.into()), "{answered}");
            assert_eq!(answered["span"]["method"], "POST", "{answered}");
            assert!(answered["timestamp"].is_string() && answered["span"]["id"].is_string(), "{answered}");
        }
    }
    let wrong = output(glimt().args(["-p", "/d", "--log-format", "jsno"]));
    assert!(text(&wrong.stderr).contains("the nearest is json"), "{wrong:?}");
}

#[tokio::test]
async fn metrics_with_an_address_of_their_own_are_at_no_other() {
    let data = TempDir::new().unwrap();
    let port = free_port();
    let server = Running::on(data.path(), |command| {
        command.arg("--metrics-addr").arg(format!("127.0.0.1:{port}"));
    });
    let server = server.await;
    let apart = Client::new(&format!("http://127.0.0.1:{port}"));
    let uploaded = server.upload(&png(1, 20, 20)).await;
    let metrics = apart.get("/metrics").await;
    metrics.is(200);
    let page = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(page.contains("glimt_responses_total{route=\"upload\",status=\"2xx\"} 1\n"), "{page}");
    for path in ["/healthz", "/readyz"] {
        apart.get(path).await.is(200);
        server.get(path).await.is(200);
    }
    server.get("/metrics").await.error(404);
    apart.get(&format!("/image/original/{}", uploaded.file)).await.error(404);
    let begun = std::time::Instant::now();
    server.stop().await;
    assert!(begun.elapsed().as_secs() < 15, "a client that keeps its connection does not hold up the stop");
}

fn header<'a>(answer: &'a crate::client::Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn pages_of_these_origins_may_and_others_may_not() {
    let (ours, theirs) = ("https://pictures.example", "https://elsewhere.example");
    let app = App::with(|config| config.cors_origins = vec![ours.to_owned()]).await;
    let uploaded = app.upload(&jpeg(1, 60, 40)).await;
    let original = format!("/image/original/{}", uploaded.file);
    for path in ["/image", &original, "/internal/purge"] {
        let ask = |origin| {
            let request = app.request("OPTIONS", path).header("origin", origin);
            crate::client::sent(
                request
                    .header("access-control-request-method", "POST")
                    .header("access-control-request-headers", "x-api-token"),
            )
        };
        let allowed = ask(ours).await;
        allowed.is(200);
        assert_eq!(header(&allowed, "access-control-allow-origin"), Some(ours));
        assert!(header(&allowed, "access-control-allow-methods").unwrap().contains("POST"));
        assert!(header(&allowed, "access-control-allow-headers").unwrap().contains("x-api-token"));
        assert_eq!(header(&ask(theirs).await, "access-control-allow-origin"), None);
    }
    // From the disk, then from memory in front of the router: the same words.
    for (origin, allowed) in [(ours, Some(ours)), (theirs, None)] {
        let mut seen = Vec::new();
        for _ in 0..3 {
            let answer = app.get_with(&original, &[("origin", origin)]).await;
            answer.is(200);
            assert_eq!(header(&answer, "access-control-allow-origin"), allowed);
            assert_eq!(header(&answer, "vary"), Some("origin"));
            let mut exposed: Vec<String> = header(&answer, "access-control-expose-headers")
                .unwrap()
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect();
            exposed.sort();
            seen.push(exposed);
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]) && seen[0].contains(&"etag".to_owned()), "{seen:?}");
    }
    let missing = app.get_with("/image/original/unknown.png", &[("origin", ours)]).await;
    assert_eq!(header(&missing, "access-control-allow-origin"), Some(ours), "a page may read what was wrong");
    app.stop().await;

    let open = App::with(|config| config.cors_origins = vec!["*".to_owned()]).await;
    let uploaded = open.upload(&jpeg(1, 60, 40)).await;
    for _ in 0..3 {
        let answer = open.get_with(&format!("/image/original/{}", uploaded.file), &[("origin", theirs)]).await;
        assert_eq!((header(&answer, "access-control-allow-origin"), header(&answer, "vary")), (Some("*"), None));
    }
    open.stop().await;

    let closed = App::start().await;
    let answer = closed.get_with("/healthz", &[("origin", ours)]).await;
    assert_eq!(header(&answer, "access-control-allow-origin"), None, "off unless it is asked for");
    closed.send("OPTIONS", "/image").await.error(405);
    closed.stop().await;
}

/// Metrics in a query, each with the labels that it is chosen or grouped by.
fn named(query: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in query.match_indices("glimt_") {
        let name: String = query[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let chosen = query[at + name.len()..].strip_prefix('{').map_or("", |rest| rest.split('}').next().unwrap());
        let mut labels: Vec<String> = chosen
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(label, _)| label.trim().to_owned())
            .collect();
        if let Some((_, grouped)) = query[..at].rsplit_once("by (") {
            labels.extend(grouped.split(')').next().unwrap().split(',').map(|label| label.trim().to_owned()));
        }
        found.push((name, labels));
    }
    found
}

#[tokio::test]
async fn every_query_of_the_dashboard_asks_for_what_is_there() {
    let app = App::start().await;
    let uploaded = app.upload(&jpeg(1, 60, 40)).await;
    app.process("webp", &uploaded.file, "thumbnail=16").await;
    let page = String::from_utf8(app.get("/metrics").await.body.to_vec()).unwrap();
    // Each metric with all of its labels; a server that chose the cpu engine names those of a device all the same.
    let mut there = BTreeMap::<&str, String>::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        there.entry(name).or_default().push_str(&line[name.len()..]);
    }
    let dashboard = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/grafana.json");
    let dashboard: serde_json::Value = serde_json::from_str(&fs::read_to_string(dashboard).unwrap()).unwrap();
    let check = |query: &str| {
        let named = named(query);
        assert!(!named.is_empty() && query.matches('(').count() == query.matches(')').count(), "{query}");
        for (name, labels) in named {
            let labels_there = there.get(&*name).unwrap_or_else(|| panic!("{name} is not in /metrics: {query}"));
            for label in labels.iter().filter(|label| *label != "instance") {
                assert!(labels_there.contains(&format!("{label}=\"")), "{name} has no label {label}: {query}");
            }
        }
    };
    let mut queries = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            check(target["expr"].as_str().unwrap());
            queries += 1;
        }
    }
    assert!(queries >= 25, "only {queries} queries were seen");
    let wrong = |query: &'static str| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(query))).is_err();
    assert!(wrong("rate(glimt_request_second_count{}[1m])") && wrong("sum by (path) (glimt_request_seconds_count)"));
    app.stop().await;
}

#[test]
fn bench_says_what_this_machine_carries_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let bench = |args: &[&str]| {
        output(glimt().arg("bench").arg("--path").arg(folder.path()).args(["--backend", "cpu"]).args(args))
    };
    let run = bench(&["--secs", "4", "--megapixels", "1", "--workers", "2"]);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    let said = text(&run.stdout);
    for word in [
        "2 workers on ",
        "photos of 1 MP",
        "uploads ",
        "thumbnails made, 64 to 256 px",
        "pictures made, 1000 to 1400 px",
        "hits ",
        "--queue ",
        "--memory-limit ",
    ] {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    for (args, told) in [
        (&["--secs", "0"][..], "0 is not in 1..=3600"),
        (&["--megapixels", "41"], "41 is not in 1..=40"),
        (&["--workers", "-1"], "workers is -1, it must be between 1 and 1024"),
    ] {
        let run = bench(args);
        assert!(!run.status.success() && text(&run.stderr).contains(told), "{run:?}");
    }
}
