//! The cache of variants under its limits: what goes, what is counted, and what a restart remembers.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::{
    app::App,
    metrics::scraped,
    pictures::{jpeg, png},
    stored::{Stored, eventually, eventually_async},
};

fn size(files: &[PathBuf]) -> u64 {
    files.iter().map(|file| std::fs::metadata(file).map_or(0, |metadata| metadata.len())).sum()
}

/// Waits until all of an earlier run is counted and nothing is over the limit, and holds the counts against the disk.
pub(crate) async fn counts_are_those_of_the_disk(app: &App) -> BTreeMap<String, f64> {
    let found = std::sync::Mutex::new(BTreeMap::new());
    // Files go some seconds after their rows, so the disk may change between the two looks.
    eventually_async("the counts to be those of the disk", async || {
        let counted = scraped(app).await;
        let at = |name: &str, class: &str| counted[&format!("glimt_stored_{name}{{class=\"{class}\"}}")];
        let (originals, variants) = (app.stored().originals(), app.stored().variants());
        let proxies = app.stored().proxies();
        let is_so = counted["glimt_cache_counted"] == 1.0
            && counted["glimt_cache_pending_writes"] == 0.0
            && at("bytes", "variants") <= counted["glimt_cache_limit_bytes"]
            && at("bytes", "variants") == size(&variants) as f64
            && at("files", "variants") == variants.len() as f64
            && at("bytes", "originals") == size(&originals) as f64
            && at("files", "originals") == originals.len() as f64
            && at("bytes", "proxies") == size(&proxies) as f64
            && at("files", "proxies") == proxies.len() as f64;
        *found.lock().unwrap() = counted;
        is_so
    })
    .await;
    found.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_stay_under_the_limit_and_those_not_asked_for_go_first() {
    let app = App::with(|config| {
        config.cache_size_bytes = 100_000;
        config.hot_cache_bytes = 0;
    })
    .await;
    let uploaded = app.upload(&jpeg(1, 800, 600)).await;
    let first = app.process("png", &uploaded.file, "thumbnail=100").await.body;
    app.stored().keeps(1).await;
    let file = app.stored().variants().remove(0);
    let mut made = first.len();
    for side in 101..160 {
        made += app.process("png", &uploaded.file, &format!("thumbnail={side}")).await.body.len();
        // Asked for again and again, the first is never among the oldest.
        assert_eq!(app.process("png", &uploaded.file, "thumbnail=100").await.body, first);
        assert!(file.try_exists().unwrap(), "{side}");
    }
    assert!(made > 500_000, "{made}");
    let counted = counts_are_those_of_the_disk(&app).await;
    assert!(counted["glimt_cache_evictions_total{reason=\"size\"}"] > 20.0);
    assert_eq!(counted["glimt_cache_evictions_total{reason=\"age\"}"], 0.0);
    assert_eq!(counted["glimt_cache_hits_total{tier=\"disk\"}"], 59.0, "the first was made once");
    let left = app.stored().variants();
    assert!(left.len() > 1 && size(&left) > 50_000, "no more went than had to");
    // What went is made again, the same.
    let again = app.process("png", &uploaded.file, "thumbnail=101").await;
    assert_eq!(again.body, app.process("png", &uploaded.file, "thumbnail=101").await.body);
    app.stop_with(&[uploaded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_over_its_limit_at_start_catches_up_and_remembers_what_was_used() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 300, 200)).await;
    for side in 50..70 {
        app.process("webp", &uploaded.file, &format!("thumbnail={side}")).await;
    }
    eventually("all to be stored", || app.stored().variants().len() == 20).await;
    let total = size(&app.stored().variants());
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    let app = App::on(data, |config| config.cache_size_bytes = total / 2).await;
    let counted = counts_are_those_of_the_disk(&app).await;
    assert!(counted["glimt_cache_evictions_total{reason=\"size\"}"] >= 10.0);
    let left = app.stored().variants().len();
    assert!((5..=10).contains(&left), "{left}");
    app.stop_with(&[uploaded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_that_nobody_asks_for_go_by_age() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 300, 200)).await;
    app.process("webp", &uploaded.file, "thumbnail=50").await;
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let app = App::on(data, |config| config.cache_age = Some(Duration::from_secs(1))).await;
    eventually("the old one to go", || app.stored().variants().is_empty()).await;
    let counted = counts_are_those_of_the_disk(&app).await;
    assert_eq!(counted["glimt_cache_evictions_total{reason=\"age\"}"], 1.0);
    app.process("webp", &uploaded.file, "thumbnail=50").await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_that_were_deleted_by_hand_are_not_counted_and_made_again() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 300, 200)).await;
    let before = app.process("webp", &uploaded.file, "thumbnail=50").await;
    let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
    std::fs::remove_dir_all(data.path().join("variants")).unwrap();
    let app = App::on(data, |_| {}).await;
    counts_are_those_of_the_disk(&app).await;
    assert_eq!(app.process("webp", &uploaded.file, "thumbnail=50").await.body, before.body);
    app.stored().keeps(1).await;
    counts_are_those_of_the_disk(&app).await;
    app.stop_with(&[uploaded]).await;
}

const NOT_KEPT: &str = "glimt_cache_failed_writes_total";

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_cannot_be_stored_is_answered_all_the_same_and_counted() {
    let app = App::with(|config| config.hot_cache_bytes = 0).await;
    let uploaded = app.upload(&png(1, 300, 200)).await;
    let folder = app.data().join("variants");
    std::fs::write(&folder, b"in the way").unwrap();
    let made = app.process("webp", &uploaded.file, "thumbnail=50").await;
    made.is_image("image/webp");
    eventually_async("the failure to be counted", async || scraped(&app).await[NOT_KEPT] == 1.0).await;
    app.stored().is_idle().await;
    std::fs::remove_file(&folder).unwrap();
    let again = app.process("webp", &uploaded.file, "thumbnail=50").await;
    assert_eq!(again.body, made.body);
    app.stored().keeps(1).await;
    let counted = counts_are_those_of_the_disk(&app).await;
    assert_eq!((counted[NOT_KEPT], counted["glimt_cache_misses_total{tier=\"disk\"}"]), (1.0, 2.0));
    app.stop_with(&[uploaded]).await;
}

/// What a power cut may leave, since variants are not synced: a file that is cut, is empty, or is of the right size and holds nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_a_crash_has_cut_is_made_again() {
    for hot_cache_bytes in [0, 64 * 1024 * 1024] {
        let app = App::start().await;
        let uploaded = app.upload(&png(1, 300, 200)).await;
        let sides = [50, 60, 70];
        let mut bodies = Vec::new();
        for side in sides {
            bodies.push(app.process("webp", &uploaded.file, &format!("thumbnail={side}")).await.body);
        }
        let data = app.stop_keeping(std::slice::from_ref(&uploaded)).await;
        let tear = |files: Vec<PathBuf>| {
            for (number, file) in files.into_iter().enumerate() {
                let length = std::fs::metadata(&file).unwrap().len();
                let left = match number {
                    0 => vec![7; usize::try_from(length / 2).unwrap()],
                    // From the disk without the copy in memory only the size is looked at.
                    1 if hot_cache_bytes > 0 => vec![0; usize::try_from(length).unwrap()],
                    _ => Vec::new(),
                };
                std::fs::write(&file, left).unwrap();
            }
        };
        // Found at start, and found by a request.
        tear(Stored::at(data.path()).variants());
        let app = App::on(data, |config| config.hot_cache_bytes = hot_cache_bytes).await;
        for round in 0..2 {
            for (side, body) in sides.into_iter().zip(&bodies) {
                let answer = app.process("webp", &uploaded.file, &format!("thumbnail={side}")).await;
                answer.is_image("image/webp");
                assert_eq!(&answer.body, body, "{round} {side}");
            }
            app.stored().keeps(sides.len()).await;
            if round == 0 {
                counts_are_those_of_the_disk(&app).await;
            }
            if round == 0 && hot_cache_bytes == 0 {
                // Behind the back of the store, so its counts are not those of the disk from here on.
                tear(app.stored().variants());
            }
        }
        app.stop_with(&[uploaded]).await;
    }
}
