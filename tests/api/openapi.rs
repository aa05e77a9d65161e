//! A program that is written by the description of the API: what it may send by that is answered as it says.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    binary::{Running, output},
    client::Uploaded,
    pictures::{jpeg, png},
};

const KEY: &str = "a key for programs";

/// Whether schemathesis is there; it has to be where `REQUIRE_SCHEMATHESIS=1`.
fn has_schemathesis() -> bool {
    let found = Command::new("schemathesis").arg("--version").output().is_ok_and(|run| run.status.success());
    assert!(found || std::env::var_os("REQUIRE_SCHEMATHESIS").is_none(), "schemathesis is not there");
    if !found {
        println!("skipped: no schemathesis");
    }
    found
}

/// What the description cannot say: which pictures there are, and which may go.
fn config(port: u16, kept: &Uploaded, deleted: &[Uploaded]) -> String {
    let [purged, by_delete, by_get, dropped] = deleted else { panic!("four pictures go") };
    let delete = |method: &str, one: &Uploaded| {
        format!(
            "[[operations]]\ninclude-path = \"/image/delete/{{token}}/{{alias}}\"\ninclude-method = \"{method}\"\n\
             parameters = {{ \"path.token\" = {:?}, \"path.alias\" = {:?} }}\n",
            one.delete_token, one.file
        )
    };
    let kept = &kept.file;
    format!(
        r#"headers = {{ "X-Api-Token" = "{KEY}" }}
[parameters]
"query.src" = "{kept}"
"query.alias" = "{kept}"
"query.proxy" = "http://127.0.0.1:{port}/image/original/{kept}"
"path.alias" = "{kept}"
"path.name" = "avatar"
"path.ext" = "webp"

# Bytes that are a picture: no schema can say that, so what it makes is refused as what it is.
[[operations]]
include-path-regex = "^/(image|image/backgrounded|internal/import)$"
checks.positive_data_acceptance.enabled = false
# A side past the largest is as good as the largest; and a limit of the query is told, by its own status, before a file too many.
checks.negative_data_rejection.enabled = false

[[operations]]
include-path = "/image/download"
parameters = {{ "query.url" = "http://127.0.0.1:{port}/image/original/{kept}" }}
# A limit that the picture does not keep is a refusal as well.
checks.positive_data_acceptance.enabled = false

# What came of an upload is told once, and of most there is none.
[[operations]]
include-path = "/image/backgrounded/claim"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path = "/internal/purge"
parameters = {{ "query.alias" = "{purged}" }}
# Gone is gone: the second time there is nothing to purge.
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path = "/internal/delete"
parameters = {{ "query.alias" = "{dropped}" }}
checks.positive_data_acceptance.enabled = false

{}
{}
"#,
        delete("delete", by_delete),
        delete("get", by_get),
        purged = purged.file,
        dropped = dropped.file,
    )
}

#[tokio::test]
async fn what_the_description_allows_is_answered_as_it_says() {
    if !has_schemathesis() {
        return;
    }
    let data = TempDir::new().unwrap();
    let server = Running::on(data.path(), |command| {
        command.args(["--api-key", KEY, "--preset", "avatar=cover=64x64&format=webp", "--variants-per-picture", "0"]);
        command.args(["--download-allow", "127.0.0.0/8"]);
    })
    .await;
    let kept = server.upload(&jpeg(1, 300, 200)).await;
    // Details of a variant are those of one that was made.
    server.process("webp", &kept.file, "").await.is_image("image/webp");
    let deleted = [
        server.upload(&png(2, 30, 20)).await,
        server.upload(&png(3, 30, 20)).await,
        server.upload(&png(4, 30, 20)).await,
        server.upload(&png(5, 30, 20)).await,
    ];
    let file = data.path().join("schemathesis.toml");
    fs::write(&file, config(server.port, &kept, &deleted)).unwrap();
    let mut command = Command::new("schemathesis");
    command.arg("--config-file").arg(&file).arg("run").arg(format!("http://127.0.0.1:{}/openapi.json", server.port));
    // The same requests every time: what a new seed finds is no reason for a change to fail.
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", "7"]);
    command.args(["--generation-deterministic", "--no-color"]).current_dir(data.path());
    let run = output(&mut command);
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    // It was asked, and not only looked at.
    assert!(said.contains("Tested: ") && !said.contains("Tested: 0"), "{said}");
    server.original(&kept.file).await.is_image("image/jpeg");
    let log = server.stop().await;
    assert!(!log.contains("panicked"), "{log}");
}

/// The paths that stand in `src/http.rs`.
fn routes() -> BTreeSet<String> {
    let source = include_str!("../../src/http.rs");
    let after = source.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1));
    let mut routes: BTreeSet<String> =
        after.map(|path| path.replace("{process}", "process.{ext}").replace("{file}", "{alias}")).collect();
    // Two of them are one to the router.
    routes.insert("/image/process_backgrounded.{ext}".to_owned());
    routes
}

#[tokio::test]
async fn every_route_is_described() {
    let data = TempDir::new().unwrap();
    let server = Running::on(data.path(), |_| {}).await;
    let answer = server.get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let api: Value = answer.json();
    let described: BTreeSet<String> = api["paths"].as_object().unwrap().keys().cloned().collect();
    // Of the page are its own files; and this is the description.
    let routes: BTreeSet<String> = routes()
        .into_iter()
        .filter(|path| path != "/" && !path.starts_with("/ui") && path != "/openapi.json")
        .collect();
    assert!(routes.len() > 12, "{routes:?}");
    assert_eq!(described, routes);
    server.stop().await;
}
