//! How long a start takes with many pictures.
//!
//! `IMAGES=100000 GLIMT_BIN=target/release/glimt cargo test --test faults startup -- --nocapture` makes so many, starts three times and
//! prints how long each took to be ready. Without `IMAGES` there are a few, so that the maker is tried.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use glimt::{
    domain::{Alias, DeleteToken, Details, Format, Hash},
    repo::{NewAlias, OriginalRecord, Repo as _, SledRepo, UploadKey},
};

use crate::{
    pictures::{png_of, stored_name},
    server::{Server, files_below, home, number},
};

const BATCH: u64 = 1000;

fn alias(seed: u64) -> String {
    format!("n{seed:09}.png")
}

/// Makes so many pictures of a few pixels: each its file and its rows.
fn make(data: &Path, images: u64) {
    fs::create_dir_all(data).unwrap();
    let repo = SledRepo::open(data).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for from in (0..images).step_by(usize::try_from(BATCH).unwrap()) {
        let batch = (from..images.min(from + BATCH)).map(|seed| {
            let bytes = png_of(seed, 4, 4);
            let name = stored_name(&bytes);
            let folder = data.join(format!("originals/{}/{}", &name[..2], &name[2..4]));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(&name), &bytes).unwrap();
            let hash: Hash = name.trim_end_matches(".png").parse().unwrap();
            let details = Details { width: 4, height: 4, format: Format::Png, frames: 1 };
            let size_bytes = bytes.len() as u64;
            let original = OriginalRecord { details, size_bytes, created_secs: 1, upload: UploadKey(hash) };
            let alias = Alias::asked(&alias(seed));
            let token = DeleteToken::presented(&format!("t{seed:09}")).kept(&alias);
            NewAlias { alias, token, hash, original, remote: None }
        });
        runtime.block_on(repo.add_aliases(batch.collect())).unwrap();
    }
    runtime.block_on(repo.close()).unwrap();
}

#[test]
fn a_start_with_many_images() {
    let images = number("IMAGES", 500);
    let home = home();
    let data = home.path().join("data");
    make(&data, images);
    let mut took = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let server = Server::start(&data);
        let client = &mut server.client();
        while !client.is_ready() {
            assert!(begun.elapsed() < Duration::from_secs(600), "{}", server.log());
            std::thread::sleep(Duration::from_millis(1));
        }
        took.push(begun.elapsed());
        // All of it is there, the first and the last.
        for seed in [0, images / 2, images - 1] {
            assert_eq!(client.original(&alias(seed)).unwrap().body, png_of(seed, 4, 4), "{seed}");
        }
        server.stop();
    }
    assert_eq!(files_below(&data.join("originals")).len() as u64, images, "a start took something away");
    println!("startup: {images} images, from the process' start to its being ready: {took:.2?}");
}
