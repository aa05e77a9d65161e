//! TLS: what is served over it, and what is said when it cannot be.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use glimt::config::TlsFiles;
use reqwest::{Certificate, Version};

use crate::{
    app::App,
    binary::{Running, glimt, output},
    client::{Client, sent},
    pictures::jpeg,
    raw::Raw,
};

const SOON: Duration = Duration::from_millis(500);

/// A certificate for localhost and its key, in files of their own.
struct Identity {
    folder: tempfile::TempDir,
    pem: String,
}

impl Identity {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, pem: made.cert.pem() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { cert: self.file("cert.pem"), key: self.file("key.pem") }
    }

    /// A client that trusts this certificate and no other.
    fn client(&self, app: &App, is_http1: bool) -> Client {
        let builder = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(self.pem.as_bytes()).unwrap()])
            .no_proxy()
            .timeout(Duration::from_secs(60));
        let builder = if is_http1 { builder.http1_only() } else { builder };
        Client::over(builder.build().unwrap(), &format!("https://localhost:{}", app.port))
    }
}

async fn app(identity: &Identity) -> App {
    let files = identity.files();
    App::with(|config| (config.tls, config.head_timeout, config.max_connections) = (Some(files), SOON, 4)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_and_http_2_are_served_over_tls_as_the_client_asks() {
    let identity = Identity::new();
    let app = app(&identity).await;
    let (http1, http2) = (identity.client(&app, true), identity.client(&app, false));
    let uploaded = http2.upload(&jpeg(1, 1500, 1000)).await;
    let mut answers = Vec::new();
    for (client, version) in [(&http1, Version::HTTP_11), (&http2, Version::HTTP_2)] {
        let path = format!("/image/process.webp?src={}&thumbnail=100", uploaded.file);
        let seen = client.request("GET", &path).send().await.unwrap().version();
        assert_eq!(seen, version);
        answers.push(client.process("webp", &uploaded.file, "thumbnail=100").await);
        answers.push(client.original(&uploaded.file).await);
        client.get("/nowhere").await.error(404);
    }
    for (over_http1, over_http2) in [(0, 2), (1, 3)] {
        assert_eq!(answers[over_http1].body, answers[over_http2].body);
        assert_eq!(answers[over_http1].header("etag"), answers[over_http2].header("etag"));
    }
    // A head that cannot be parsed has its body here as well.
    let many = (0..150).fold(http1.request("GET", "/healthz"), |request, n| request.header(format!("x-{n}"), "y"));
    sent(many).await.error(431);
    app.stop_with(&[uploaded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_shake_hands_is_closed_and_holds_a_place_until_then() {
    let identity = Identity::new();
    let app = app(&identity).await;
    // Clear text on this port ends at once.
    let mut clear = Raw::connect(app.port).await;
    let begun = Instant::now();
    clear.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let said = clear.until_closed().await;
    assert!(!said.starts_with(b"HTTP") && said.len() < 100, "{said:?}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    // Four say nothing: all places are taken until their time is over.
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(Raw::connect(app.port).await);
    }
    let begun = Instant::now();
    let unknown = "/image/original/nothing.jpg";
    assert_eq!(identity.client(&app, true).get(unknown).await.status, 503);
    assert_eq!(identity.client(&app, true).get("/healthz").await.status, 200);
    for raw in silent {
        assert!(raw.until_closed().await.is_empty());
    }
    assert!(begun.elapsed() > SOON / 2 && begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // A client may see the end of a connection before its place is free.
    let has_room = async || identity.client(&app, true).get(unknown).await.status == 404;
    crate::stored::eventually_async("room", has_room).await;
    app.stop().await;
}

fn serving(data: &Path, cert: &Path, key: &Path) -> std::process::Command {
    let mut command = glimt();
    command.args(["--addr", "127.0.0.1:0", "--backend", "cpu", "--path"]).arg(data);
    command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
    command
}

#[test]
fn a_file_that_cannot_be_used_is_named_before_anything_is_made() {
    let (identity, other) = (Identity::new(), Identity::new());
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for (cert, key, said) in [
        (identity.file("nowhere.pem"), identity.file("key.pem"), "nowhere.pem cannot be read"),
        (identity.file("key.pem"), identity.file("key.pem"), "key.pem has no certificate in it"),
        (identity.file("cert.pem"), identity.file("cert.pem"), "cert.pem cannot be read"),
        (identity.file("cert.pem"), other.file("key.pem"), "cannot be used"),
    ] {
        let ended = output(&mut serving(&data, &cert, &key));
        let log = String::from_utf8_lossy(&ended.stderr).into_owned() + &String::from_utf8_lossy(&ended.stdout);
        assert!(!ended.status.success() && log.contains(said), "{log}");
        assert!(!data.try_exists().unwrap());
    }
    let ended = output(glimt().arg("--path").arg(&data).arg("--tls-key").arg(identity.file("key.pem")));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("tls-key is given without tls-cert"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_healthcheck_asks_over_tls() {
    let identity = Identity::new();
    let folder = tempfile::tempdir().unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([Certificate::from_pem(identity.pem.as_bytes()).unwrap()])
        .no_proxy()
        .build()
        .unwrap();
    let running = Running::over_tls(folder.path(), &identity.files(), client).await;
    let addr = format!("127.0.0.1:{}", running.port);
    let check = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = glimt();
        command.arg("healthcheck").args(args).envs(env.iter().copied());
        output(&mut command)
    };
    let cert = identity.file("cert.pem");
    for (args, env, well) in [
        (&["--addr", &addr, "--tls"][..], &[][..], true),
        (&["--addr", &addr], &[("GLIMT_TLS_CERT", cert.to_str().unwrap())], true),
        (&[], &[("GLIMT_TLS_CERT", cert.to_str().unwrap()), ("GLIMT_ADDR", &addr)], true),
        (&["--addr", &addr], &[], false),
    ] {
        let checked = check(args, env);
        assert_eq!(checked.status.success(), well, "{args:?} {env:?} {checked:?}");
        assert_eq!(checked.stderr.is_empty(), well, "{checked:?}");
    }
    running.stop().await;
}
