//! Everything at once against one server: what was acknowledged holds, and the counts are those of the disk when it is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;

use crate::{
    app::{App, KEY},
    cache::counts_are_those_of_the_disk,
    client::Uploaded,
    metrics::scraped,
    pictures::{jpeg, png},
    stored::{eventually, eventually_async},
};

/// Next of a sequence that looks random.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap()
}

/// Users who upload, ask, and delete under all their names; readers who ask for whatever is there; an operator who purges and drops. The
/// limits are so small that something is evicted all the time.
async fn all_at_once(hot_cache_bytes: u64, rounds: usize) {
    let app = App::with(|config| {
        config.api_key = Some(KEY.into());
        config.cache_size_bytes = 30_000;
        config.hot_cache_bytes = hot_cache_bytes;
        config.queue = 1000;
        // What is evicted is made again.
        config.variants_per_picture = 0;
    })
    .await;
    let begun = Instant::now();
    let shown: Arc<std::sync::Mutex<Vec<Uploaded>>> = Arc::default();
    let is_over = AtomicBool::new(false);
    let (served, gone) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let path = |file: &str, side: usize| format!("/image/process.png?src={file}&thumbnail={side}");

    // Two of the users share their picture: a delete of the one must not touch the other's.
    let user = async |seed: u64| {
        let mut state = seed;
        let mut kept = Vec::new();
        for round in 0..rounds {
            let picture = png(u32::try_from(seed / 2).unwrap(), 60, 40);
            let mine = app.upload(&picture).await;
            shown.lock().unwrap().push(mine.clone());
            for _ in 0..1 + next(&mut state) % 4 {
                let answer = app.get(&path(&mine.file, 20 + next(&mut state) % 6)).await;
                // The operator may have taken it away.
                assert!(matches!(answer.status, 200 | 404), "{}: {}", answer.status, answer.shown());
            }
            if round + 1 == rounds {
                kept.push(mine);
                continue;
            }
            let deleted = app.send("DELETE", &format!("/image/delete/{}/{}", mine.delete_token, mine.file)).await;
            assert!(matches!(deleted.status, 204 | 404), "{}", deleted.shown());
            for side in 20..26 {
                let answer = app.get(&path(&mine.file, side)).await;
                assert_eq!(answer.status, 404, "{} was deleted and is served", mine.file);
            }
            gone.fetch_add(1, Ordering::Relaxed);
        }
        kept
    };
    let reader = async |seed: u64| {
        let mut state = seed;
        while !is_over.load(Ordering::Relaxed) {
            let one = {
                let shown = shown.lock().unwrap();
                (!shown.is_empty()).then(|| shown[shown.len() - 1 - next(&mut state) % shown.len().min(6)].file.clone())
            };
            let Some(file) = one else {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            };
            let answer = app.get(&path(&file, 20 + next(&mut state) % 6)).await;
            assert!(matches!(answer.status, 200 | 404), "{}: {}", answer.status, answer.shown());
            if answer.status == 200 {
                answer.is_image("image/png");
                served.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let operator = async {
        let mut state = 99;
        while !is_over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(40)).await;
            app.keyed(KEY, "DELETE", "/internal/variants").await.is(204);
            let one = shown.lock().unwrap().last().cloned();
            if let Some(one) = one
                && next(&mut state).is_multiple_of(3)
            {
                let answer = app.keyed(KEY, "POST", &format!("/internal/purge?alias={}", one.file)).await;
                assert!(matches!(answer.status, 200 | 404), "{}", answer.shown());
                for side in 20..26 {
                    assert_eq!(app.get(&path(&one.file, side)).await.status, 404, "{} was purged", one.file);
                }
            }
        }
    };
    let users = async {
        let kept = join_all((0..6).map(user)).await.concat();
        is_over.store(true, Ordering::Relaxed);
        kept
    };
    let (kept, _, ()) = tokio::join!(users, join_all((100..104).map(reader)), operator);
    assert!(gone.load(Ordering::Relaxed) > rounds && served.load(Ordering::Relaxed) > rounds);

    let counted = counts_are_those_of_the_disk(&app).await;
    assert!(counted["glimt_stored_bytes{class=\"variants\"}"] <= 30_000.0);
    println!("{:?}: {} deletes, {} served to readers", begun.elapsed(), gone.into_inner(), served.into_inner());
    // Those that the operator did not purge are there; rows and files agree.
    let mut live = Vec::new();
    for uploaded in kept {
        if app.get(&format!("/image/original/{}", uploaded.file)).await.status == 200 {
            live.push(uploaded);
        }
    }
    app.stop_with(&live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_is_never_served_whatever_else_happens() {
    all_at_once(64 * 1024 * 1024, 25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_without_memory() {
    all_at_once(0, 15).await;
}

/// Asks and deletes as close together as it gets: the copy of one that asked before must not outlive the delete.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_races_with_a_delete_does_not_outlive_it() {
    let app = App::start().await;
    for round in 0..60_u64 {
        let uploaded = app.upload(&png(u32::try_from(round).unwrap(), 40, 30)).await;
        let path = format!("/image/process.webp?src={}&thumbnail=20", uploaded.file);
        app.get(&path).await.is(200);
        // From the disk, so that copies are made while it is deleted.
        let asking = join_all((0..8).map(|side| app.get(&path).then_wait(side * (round % 5) * 50)));
        let deleting = async {
            tokio::time::sleep(Duration::from_micros(round % 7 * 60)).await;
            app.delete(&uploaded).await;
            app.get(&path).await.error(404);
        };
        let (answers, ()) = tokio::join!(asking, deleting);
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 404)));
        app.get(&path).await.error(404);
    }
    app.stored().settles_at(0, 0).await;
    app.stop().await;
}

trait ThenWait: Future + Sized {
    /// The same, begun this many microseconds later.
    async fn then_wait(self, micros: u64) -> Self::Output {
        tokio::time::sleep(Duration::from_micros(micros)).await;
        self.await
    }
}

impl<F: Future> ThenWait for F {}

/// A thousand clients and one computation; where `half` is set every second one goes away, after the first has it begun.
async fn a_thousand(half: bool) {
    const DONE: &str = "glimt_engine_jobs_total{engine=\"cpu\"}";
    let app = App::with(|config| config.max_connections = 2000).await;
    let uploaded = app.upload(&jpeg(1, 1200, 900)).await;
    let path = format!("/image/process.webp?src={}&thumbnail=700&blur=9", uploaded.file);
    let client = async |index: usize| {
        if half && index == 1 {
            // The first one waits alone until its computation has begun: else it might go with those who go.
            eventually_async("the job", async || {
                let counted = scraped(&app).await;
                counted["glimt_pool_jobs"] + counted[DONE] >= 2.0
            })
            .await;
        }
        let mut raw = crate::raw::Raw::connect(app.port).await;
        raw.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        if half && index % 2 == 1 {
            drop(raw);
            return None;
        }
        Some(raw.all().await)
    };
    let first = client(0);
    let others = async {
        let mut answers = Vec::new();
        if half {
            answers.push(client(1).await);
        }
        answers.extend(join_all((answers.len() + 1..1000).map(client)).await);
        answers
    };
    let (first, others) = tokio::join!(first, others);
    let answers: Vec<Vec<u8>> = others.into_iter().flatten().chain(first).collect();
    assert_eq!(answers.len(), if half { 500 } else { 1000 });
    let body = |answer: &[u8]| {
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..answer.len().min(300)]));
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
        answer[head + 4..].to_vec()
    };
    let first = body(&answers[0]);
    assert!(first.len() > 500 && answers.iter().all(|answer| body(answer) == first));
    // And one look at the picture when it came in.
    assert_eq!(scraped(&app).await[DONE], 1.0 + 1.0, "one computation for a thousand requests");
    eventually("one file", || app.stored().variants().len() == 1).await;
    app.stop_with(&[uploaded]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_ask_for_one_variant_have_it_made_once() {
    a_thousand(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_of_whom_half_leave_have_it_made_once() {
    a_thousand(true).await;
}

/// When all of a thousand go away, nobody computes for them; the next one has it made.
#[tokio::test(flavor = "multi_thread")]
async fn when_all_who_ask_go_away_nothing_is_stuck() {
    let app = App::with(|config| (config.max_connections, config.workers) = (2000, 1)).await;
    let uploaded = app.upload(&jpeg(1, 1200, 900)).await;
    // The only thread is busy, so what is asked for next has to wait.
    let slow = format!("/image/process.webp?src={}&blur=30", uploaded.file);
    let busy = app.get(&slow);
    let path = format!("/image/process.webp?src={}&thumbnail=500&blur=9", uploaded.file);
    let leaving = async {
        for _ in 0..10 {
            let clients = join_all((0..30).map(async |_| {
                let mut raw = crate::raw::Raw::connect(app.port).await;
                raw.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
                raw
            }));
            drop(clients.await);
        }
    };
    let (answer, ()) = tokio::join!(busy, leaving);
    answer.is(200);
    app.get(&path).await.is_image("image/webp");
    eventually_async("no job to be left", async || scraped(&app).await["glimt_pool_jobs"] == 0.0).await;
    app.stop_with(&[uploaded]).await;
}

/// An error is told to those who waited for it, and made anew for the next.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_computed_anew() {
    let app = App::start().await;
    let uploaded = app.upload(&png(1, 300, 200)).await;
    let file = app.stored().originals().remove(0);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let path = format!("/image/process.webp?src={}&thumbnail=50", uploaded.file);
    for answer in join_all((0..50).map(|_| app.get(&path))).await {
        answer.error(500);
    }
    std::fs::write(&file, bytes).unwrap();
    app.get(&path).await.is_image("image/webp");
    app.stop_with(&[uploaded]).await;
}
