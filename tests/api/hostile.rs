//! Files that attack a decoder: every one through the real program, within bounds of time and memory.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use image::{ImageFormat, RgbImage};
use tempfile::TempDir;

use crate::{
    binary::Running,
    form::Form,
    pictures::{
        encoded,
        hostile::{gif_of_frames, png_that_claims},
        png,
    },
    stored::Stored,
};

/// The longest a hostile file may keep anyone busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most memory the program may ever hold.
const MEMORY_BYTES: u64 = 600 << 20;

/// The files of a folder of the corpus; `None`, and said so, where there is no corpus.
pub(crate) fn corpus(folder: &str) -> Option<Vec<PathBuf>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus");
    let Ok(entries) = fs::read_dir(Path::new(root).join(folder)) else {
        println!("skipped: no corpus");
        return None;
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    Some(files)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_file_brings_the_server_down_or_holds_it_up() {
    let Some(files) = corpus("hostile") else { return };
    let data = TempDir::new().unwrap();
    let mut server = Running::on(data.path(), |_defaults| {}).await;
    let (mut taken, mut slowest) = (Vec::new(), (Duration::ZERO, PathBuf::new()));
    let mut faults = Vec::new();
    for file in &files {
        let begun = Instant::now();
        let answer = server.post(Form::new().file("hostile", &fs::read(file).unwrap())).await;
        let name = file.file_name().unwrap().to_string_lossy();
        if answer.status == 201 {
            let uploaded = answer.uploaded().remove(0);
            let variant = server.get(&format!("/image/process.jpg?src={}&thumbnail=64&blur=2", uploaded.file)).await;
            if variant.status != 200 {
                faults.push(format!("{name} is taken, and then answered {}: {}", variant.status, variant.shown()));
            }
            taken.push(uploaded);
        } else if matches!(answer.status, 400 | 413) {
            answer.error_in(&[400, 413]);
        } else {
            faults.push(format!("{name} is answered {}: {}", answer.status, answer.shown()));
        }
        slowest = slowest.max((begun.elapsed(), file.clone()));
        if begun.elapsed() > PATIENCE {
            faults.push(format!("{name} took {:?}", begun.elapsed()));
        }
    }
    // A panic that was caught is answered 400 like any damage, and is a fault all the same.
    let panics = server.log().lines().filter(|line| line.contains("panicked") || line.contains("codec failed")).count();
    assert_eq!(panics, 0, "{}", server.log());
    let peak = server.peak_bytes();
    println!("{} files, {} taken, slowest {slowest:?}, peak {} MiB", files.len(), taken.len(), peak >> 20);
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(peak < MEMORY_BYTES, "peak memory {} MiB", peak >> 20);
    let uploaded = server.upload(&png(1, 20, 20)).await;
    taken.push(uploaded);
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
    let log = server.log();
    assert!(!log.contains("ERROR"), "{log}");
    Stored::at(data.path()).is_consistent(&taken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_at_once_do_not_add_up() {
    let data = TempDir::new().unwrap();
    let server = Running::on(data.path(), |_defaults| {}).await;
    let bombs = [png_that_claims(60_000, 60_000), png_that_claims(6000, 6000), gif_of_frames(100_000)];
    let forms: Vec<_> = (0..24).map(|i| Form::new().file("bomb", &bombs[i % bombs.len()])).collect();
    for answer in futures_util::future::join_all(forms.into_iter().map(|form| server.post(form))).await {
        answer.error_in(&[400, 413, 503]);
    }
    let peak = server.peak_bytes();
    assert!(peak < MEMORY_BYTES, "peak memory {} MiB", peak >> 20);
    server.stop().await;
    Stored::at(data.path()).holds_nothing();
    Stored::at(data.path()).is_consistent(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_uploads_at_once_do_not_add_up() {
    let data = TempDir::new().unwrap();
    let server = Running::on(data.path(), |_defaults| {}).await;
    // 36 MB each, the largest that are taken: they stream to disk, and wait their turn for memory.
    let large = encoded(&RgbImage::new(3500, 3500).into(), ImageFormat::Bmp);
    let forms: Vec<_> = (0..6).map(|_| Form::new().file("large.bmp", &large)).collect();
    let answers = futures_util::future::join_all(forms.into_iter().map(|form| server.post(form))).await;
    let peak = server.peak_bytes();
    println!("peak {} MiB", peak >> 20);
    for answer in &answers {
        if answer.status != 201 {
            answer.error(503);
        }
    }
    assert!(answers.iter().any(|answer| answer.status == 201));
    assert!(peak < MEMORY_BYTES, "peak memory {} MiB", peak >> 20);
    server.stop().await;
    Stored::at(data.path()).is_consistent(&[]).await;
}
