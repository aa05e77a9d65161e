//! HEIC and SVG by way of the sandbox: the same pictures, refused in the same words.

use std::path::Path;

use tempfile::TempDir;

use crate::{binary::Running, form::Form};

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")).join(name)).unwrap()
}

/// What a program of this mode makes of each file: the bytes that it serves, or what it says; and its log.
async fn made(mode: &str, files: &[(&str, Vec<u8>)]) -> (Vec<(u16, Vec<u8>)>, String) {
    let data = TempDir::new().unwrap();
    let server = Running::on(data.path(), |command| {
        command.env("GLIMT_SANDBOX", mode);
    });
    let server = server.await;
    let mut made = Vec::new();
    for (name, bytes) in files {
        let answer = server.post(Form::new().file(name, bytes)).await;
        let served = match answer.status {
            201 => server.original(&answer.uploaded().remove(0).file).await.body,
            _ => answer.body,
        };
        made.push((answer.status, served.to_vec()));
    }
    (made, server.stop().await)
}

#[tokio::test]
async fn they_are_the_same_with_a_sandbox_and_without() {
    let heic = file("heic/y420.heic");
    let svg = |inside: &str| {
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"90\" height=\"60\">{inside}</svg>").into_bytes()
    };
    let deep = format!("{}<path/>{}", "<g>".repeat(70), "</g>".repeat(70));
    let files = [
        ("grey.heic", file("heic/grey.heic")),
        ("alpha.heic", file("heic/alpha.heic")),
        ("turned_6.heic", file("heic/turned_6.heic")),
        ("cut.heic", heic[..heic.len() - heic.len() / 3].to_vec()),
        ("y420.heic", heic),
        ("drawn.svg", svg("<circle cx=\"40\" cy=\"30\" r=\"25\" fill=\"teal\" opacity=\"0.5\"/>")),
        ("deep.svg", svg(&deep)),
        ("broken.svg", svg("<circle")),
    ];
    let ((here, log), (apart, apart_log)) = (made("off", &files).await, made("auto", &files).await);
    for (((name, _), here), apart) in files.iter().zip(&here).zip(&apart) {
        let shown =
            |made: &(u16, Vec<u8>)| format!("{} {}", made.0, String::from_utf8_lossy(&made.1[..made.1.len().min(200)]));
        assert!(here == apart, "{name}: {} is not {}", shown(here), shown(apart));
    }
    assert!([201, 400, 413].iter().all(|status| here.iter().any(|made| made.0 == *status)), "the control");
    if cfg!(target_os = "linux") {
        assert!(!log.contains("are decoded in") && apart_log.contains("are decoded in"), "{apart_log}");
    }
}
