//! The formats that are read only where their features are on, through the codec and through the program built with them.
#![cfg(test)]

mod apart;
#[expect(dead_code, reason = "what the stories of tests/api need, of which some is needed here")]
#[path = "../api/binary.rs"]
mod binary;
#[expect(dead_code, reason = "what the stories of tests/api need, of which some is needed here")]
#[path = "../api/client.rs"]
mod client;
#[expect(dead_code, reason = "what the stories of tests/api need, of which some is needed here")]
#[path = "../api/form.rs"]
mod form;
mod heic;
mod heic_files;
mod svg;
mod svg_hostile;

use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{binary::Running, form::Form};

/// The longest a hostile file may keep anyone busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most memory the program may ever hold.
const MEMORY_BYTES: u64 = 600 << 20;

/// Uploads each file to a program of its own, which must answer as foretold within time and memory: with a picture, or with this in the
/// message of an error.
async fn answered(files: &[(&str, Vec<u8>, Result<(), &str>)]) {
    let mut faults = Vec::new();
    for (name, file, foretold) in files {
        let data = TempDir::new().unwrap();
        let server = Running::on(data.path(), |_defaults| {}).await;
        let begun = Instant::now();
        let answer = server.post(Form::new().file("hostile", file)).await;
        let took = begun.elapsed();
        let peak = server.peak_bytes();
        println!("{name}: {} in {took:.1?}, {} MiB; {}", answer.status, peak >> 20, answer.shown());
        let right = match foretold {
            Ok(()) => answer.status == 201,
            Err(message) => matches!(answer.status, 400 | 413) && answer.shown().contains(message),
        };
        if !right {
            faults.push(format!("{name}: {} {}, and not {foretold:?}", answer.status, answer.shown()));
        }
        if took > PATIENCE || peak > MEMORY_BYTES {
            faults.push(format!("{name}: {took:?}, {} MiB", peak >> 20));
        }
        let log = server.stop().await;
        if log.contains("panicked") || log.contains("ERROR") {
            faults.push(format!("{name}: {log}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
