//! The server goes and comes back: everything that was acknowledged is there.

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

use futures_util::future::join_all;
use tempfile::TempDir;

use crate::{
    app::{App, KEY},
    binary::Running,
    client::sent,
    form::Form,
    pictures::{jpeg, png},
    stored::Stored,
};

#[tokio::test]
async fn everything_is_there_after_a_stop_and_a_start() {
    let app = App::with_key().await;
    let picture = jpeg(1, 80, 60);
    let mut live = vec![app.upload(&picture).await, app.upload(&picture).await];
    live.extend(app.import(KEY, Form::new().file("asdf.png", &png(2, 20, 20))).await.uploaded());
    let gone = app.upload(&png(3, 20, 20)).await;
    app.delete(&gone).await;
    let original = app.original(&live[0].file).await;
    let variant = app.process("webp", &live[0].file, "thumbnail=30").await;
    let data = app.stop_keeping(&live).await;

    let app = App::on(data, |config| config.api_key = Some(KEY.into())).await;
    for (before, after) in [
        (&original, app.original(&live[1].file).await),
        (&variant, app.process("webp", &live[1].file, "thumbnail=30").await),
    ] {
        assert_eq!(before.body, after.body);
        for name in ["etag", "last-modified", "content-type", "content-length"] {
            assert_eq!(before.header(name), after.header(name));
        }
    }
    app.get(&format!("/image/original/{}", gone.file)).await.error(404);
    let aliases = app.keyed(KEY, "GET", &format!("/internal/aliases?alias={}", live[1].file)).await;
    assert_eq!(aliases.body, format!(r#"{{"aliases":["{}","{}"],"msg":"ok"}}"#, live[0].file, live[1].file));
    // New names go on from there, and old tokens still work.
    let newer = app.upload(&picture).await;
    app.delete(&live.remove(0)).await;
    live.push(newer);
    app.stored().settles_at(2, 1).await;
    app.stop_with(&live).await;
}

#[tokio::test]
async fn a_start_sweeps_up_what_a_crash_left() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 20, 20)).await;
    app.process("png", &uploaded.file, "thumbnail=10").await;
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    // A half-written upload, an original and a variant whose rows were never written.
    let orphan = png(2, 20, 20);
    let hash = glimt::domain::Hash::from_bytes(<sha2::Sha256 as sha2::Digest>::digest(&orphan).into()).to_string();
    let folder = format!("{}/{}", &hash[..2], &hash[2..4]);
    let variants = data.path().join(format!("variants/{folder}/{hash}"));
    std::fs::create_dir_all(data.path().join(format!("originals/{folder}"))).unwrap();
    std::fs::create_dir_all(&variants).unwrap();
    std::fs::write(data.path().join(format!("originals/{folder}/{hash}.png")), &orphan).unwrap();
    std::fs::write(variants.join(format!("{}.png", "0".repeat(32))), b"half a variant").unwrap();
    std::fs::write(data.path().join("staging/left-behind.part"), b"half an upload").unwrap();

    let app = App::on(data, |_defaults| {}).await;
    app.stored().is_idle().await;
    app.stored().settles_at(1, 1).await;
    app.original(&uploaded.file).await;
    // The picture that was orphaned may come again.
    let again = app.upload(&orphan).await;
    app.original(&again.file).await;
    app.stop_with(&[uploaded, again]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_acknowledged_before_a_kill_is_served_after_it() {
    let data = TempDir::new().unwrap();
    let mut live: Vec<(u32, crate::client::Uploaded)> = Vec::new();
    for round in 0..3 {
        let mut server = Running::on(data.path(), |_defaults| {}).await;
        let acknowledged = Mutex::new(Vec::new());
        let next = AtomicU32::new(round * 1000);
        let uploader = async || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                let form = Form::new().file("a.png", &png(seed, 24, 16));
                let Ok(answer) = form.on(server.request("POST", "/image")).send().await else { break };
                assert_eq!(answer.status(), 201);
                let Ok(body) = answer.bytes().await else { break };
                let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let text = |key: &str| json["files"][0][key].as_str().unwrap().to_owned();
                let uploaded = crate::client::Uploaded { file: text("file"), delete_token: text("delete_token") };
                acknowledged.lock().unwrap().push((seed, uploaded));
            }
        };
        let killer = async {
            while acknowledged.lock().unwrap().len() < 25 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            server.signal("-KILL");
        };
        let ((), _ended) = futures_util::future::join(killer, join_all((0..4).map(|_| uploader()))).await;
        server.kill();
        live.extend(acknowledged.into_inner().unwrap());
    }
    let server = Running::on(data.path(), |_defaults| {}).await;
    for (seed, uploaded) in &live {
        assert_eq!(server.original(&uploaded.file).await.body, png(*seed, 24, 16), "{uploaded:?}");
    }
    // And the tokens are theirs.
    let (_, deleted) = live.pop().unwrap();
    server.delete(&deleted).await;
    let log = server.stop().await;
    assert!(!log.contains("ERROR"), "{log}");
    let live: Vec<_> = live.into_iter().map(|(_, uploaded)| uploaded).collect();
    Stored::at(data.path()).is_consistent(&live).await;
}

#[tokio::test]
async fn two_servers_do_not_share_a_data_directory() {
    let data = TempDir::new().unwrap();
    let server = Running::on(data.path(), |_defaults| {}).await;
    let mut second = crate::binary::glimt();
    second.arg("--path").arg(data.path()).args(["--addr", "127.0.0.1:0", "--backend", "cpu"]);
    let run = crate::binary::output(&mut second);
    assert!(!run.status.success());
    assert!(!String::from_utf8_lossy(&run.stderr).contains("panicked"));
    // The first has not noticed.
    let uploaded = server.upload(&png(1, 20, 20)).await;
    sent(server.request("GET", &format!("/image/original/{}", uploaded.file))).await.is(200);
    server.stop().await;
    Stored::at(data.path()).is_consistent(&[uploaded]).await;
}

#[tokio::test]
async fn a_damaged_index_of_the_metadata_loses_nothing() {
    for damage in ["gone", "garbled"] {
        let app = App::with_key().await;
        let picture = jpeg(1, 80, 60);
        let mut live = vec![app.upload(&picture).await, app.upload(&picture).await, app.upload(&png(2, 9, 9)).await];
        let gone = app.upload(&png(3, 20, 20)).await;
        app.delete(&gone).await;
        let variant = app.process("webp", &live[0].file, "thumbnail=30").await;
        let data = app.stop_keeping(&live).await;
        let meta = data.path().join("meta");
        if damage == "gone" {
            std::fs::remove_dir_all(&meta).unwrap();
        } else {
            for entry in std::fs::read_dir(&meta).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    std::fs::write(path, [0x5a; 5000]).unwrap();
                }
            }
        }
        let app = App::on(data, |config| config.api_key = Some(KEY.into())).await;
        assert_eq!(app.original(&live[1].file).await.body, picture, "{damage}");
        app.original(&live[2].file).await;
        assert_eq!(app.process("webp", &live[0].file, "thumbnail=30").await.body, variant.body, "{damage}");
        app.get(&format!("/image/original/{}", gone.file)).await.error(404);
        let aliases = app.keyed(KEY, "GET", &format!("/internal/aliases?alias={}", live[1].file)).await;
        assert_eq!(aliases.body, format!(r#"{{"aliases":["{}","{}"],"msg":"ok"}}"#, live[0].file, live[1].file));
        app.delete(&live.pop().unwrap()).await;
        app.stored().settles_at(1, 1).await;
        app.stop_with(&live).await;
    }
}
