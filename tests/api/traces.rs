//! Traces as a collector gets them, over OTLP, from the program itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use tempfile::TempDir;

use crate::{
    binary::{Running, free_port, glimt, output, text},
    pictures::jpeg,
};

/// What has come in, undecoded.
type Received = Arc<Mutex<Vec<Bytes>>>;

async fn receive(State(received): State<Received>, body: Bytes) {
    received.lock().unwrap().push(body);
}

/// A collector, and its address.
async fn collector() -> (Received, String) {
    let received = Received::default();
    let router = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&received));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (received, address)
}

/// All spans, and the names of the services that sent them.
fn read(received: &Received) -> (Vec<Span>, Vec<String>) {
    let bodies = received.lock().unwrap().clone();
    let requests = bodies.into_iter().map(|body| ExportTraceServiceRequest::decode(body).unwrap());
    let all: Vec<_> = requests.flat_map(|request| request.resource_spans).collect();
    let services = all.iter().flat_map(|spans| &spans.resource.as_ref().unwrap().attributes);
    let services = services.filter(|attribute| attribute.key == "service.name").map(|its| shown(its.value.as_ref()));
    let services = services.collect();
    (all.into_iter().flat_map(|spans| spans.scope_spans).flat_map(|scope| scope.spans).collect(), services)
}

fn shown(value: Option<&opentelemetry_proto::tonic::common::v1::AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    span.attributes.iter().map(|its| (its.key.as_str(), shown(its.value.as_ref()))).collect()
}

/// Names of what stands below this span, in the order of their beginning.
fn below<'s>(spans: &'s [Span], of: &Span) -> Vec<&'s str> {
    let mut children: Vec<&Span> =
        spans.iter().filter(|span| span.trace_id == of.trace_id && span.parent_span_id == of.span_id).collect();
    children.sort_by_key(|span| span.start_time_unix_nano);
    children.iter().map(|span| span.name.as_str()).collect()
}

#[tokio::test]
async fn a_collector_gets_a_span_for_each_request_and_for_each_stage_of_it() {
    let (received, address) = collector().await;
    let data = TempDir::new().unwrap();
    let server = Running::on(data.path(), |command| {
        command.args(["--opentelemetry-url", &address]);
    });
    let server = server.await;
    let uploaded = server.upload(&jpeg(3, 640, 480)).await;
    let path = format!("/image/process.jpg?src={}&thumbnail=500", uploaded.file);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let made = server.request("GET", &path).header("traceparent", parent).send().await.unwrap();
    assert_eq!(made.status(), 200);
    let id = made.headers()["x-request-id"].to_str().unwrap().to_owned();
    drop(made);
    // From memory now: that is a request as well.
    server.get(&path).await.is(200);
    server.get("/image/original/nothing.png").await.error(404);
    server.get(&format!("/image/delete/{}/{}", uploaded.delete_token, uploaded.file)).await.is(204);
    // The same stages, counted.
    let metrics = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    for stage in ["queue", "memory", "decode", "cpu", "encode", "store"] {
        let line = format!("glimt_stage_seconds_count{{stage=\"{stage}\"}} ");
        let count = metrics.lines().find_map(|found| found.strip_prefix(&line)).unwrap();
        assert!(count.parse::<u64>().unwrap() > 0, "{stage}: {count}");
    }
    server.stop().await;

    let (spans, services) = read(&received);
    assert!(!services.is_empty() && services.iter().all(|name| name == "glimt"), "{services:?}");
    let requests: Vec<&Span> = spans.iter().filter(|span| span.kind == SpanKind::Server as i32).collect();
    let named = |name: &str| requests.iter().copied().filter(|span| span.name == name).collect::<Vec<_>>();
    let [upload] = named("POST upload")[..] else { panic!("{spans:#?}") };
    assert_eq!(below(&spans, upload), ["queue", "memory", "decode", "cpu", "store"]);
    let [cold, hot] = named("GET process")[..] else { panic!("{spans:#?}") };
    assert!(
        cold.end_time_unix_nano <= hot.start_time_unix_nano,
        "what is stored behind an answer is no part of its time"
    );
    assert_eq!(below(&spans, cold), ["queue", "memory", "decode", "cpu", "encode", "store"]);
    assert_eq!(below(&spans, hot), Vec::<&str>::new());
    let its = attributes(cold);
    let expected = [
        ("id", id.as_str()),
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "process"),
        ("url.path", "/image/process.jpg"),
    ];
    for (key, value) in expected {
        assert_eq!(its.get(key).map(String::as_str), Some(value), "{its:?}");
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&cold.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hex(&cold.parent_span_id), "00f067aa0ba902b7");
    assert_ne!(upload.trace_id, cold.trace_id);
    let [missing] = named("GET original")[..] else { panic!("{spans:#?}") };
    assert_eq!(attributes(missing)["http.response.status_code"], "404");
    let is_error = |span: &Span| span.status.as_ref().is_some_and(|its| its.code == StatusCode::Error as i32);
    assert!(!is_error(missing), "a client's mistake is no error of the server");

    let told = format!("{spans:?}");
    assert!(!told.contains(&uploaded.delete_token), "a delete token is in a trace");
    assert!(!told.contains("thumbnail=500"), "a query is in a trace");
    let orphans: Vec<&str> = spans
        .iter()
        .filter(|span| span.parent_span_id.is_empty() && span.kind != SpanKind::Server as i32)
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(orphans, Vec::<&str>::new());
}

#[tokio::test]
async fn a_collector_that_is_away_costs_nothing_but_traces() {
    let data = TempDir::new().unwrap();
    let away = format!("http://127.0.0.1:{}", free_port());
    let server = Running::on(data.path(), |command| {
        command.args(["--opentelemetry-url", &away]).env("OTEL_TRACES_SAMPLER", "always_on");
    });
    let server = server.await;
    let uploaded = server.upload(&jpeg(3, 64, 48)).await;
    server.get(&format!("/image/original/{}", uploaded.file)).await.is(200);
    let log = server.stop().await;
    assert!(!log.contains("glimt::traces"), "a span of traces is in the log: {log}");
}

#[test]
fn what_is_no_address_of_a_collector_is_told() {
    for (got, told) in [
        ("localhost:4318", "it is not http or https"),
        ("collector", "relative URL without a base"),
        ("http://user:secret@host:4318", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("http://host:4318/?key=secret", "it has a query"),
    ] {
        let refused = output(glimt().args(["-p", "/d", "--opentelemetry-url", got]));
        let stderr = text(&refused.stderr);
        assert!(refused.status.code() == Some(2) && stderr.contains(told), "{got}: {stderr}");
    }
}
