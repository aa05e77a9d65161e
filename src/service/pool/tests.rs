//! What the pool promises, with jobs that wait for a word.

use super::*;

fn pool(workers: usize, queue: usize, timeout: Duration) -> Arc<Pool> {
    let grace = Duration::from_millis(20);
    Arc::new(Pool::start(PoolOptions { workers, queue, timeout, grace, ..OPTIONS }).unwrap())
}

const OPTIONS: PoolOptions = PoolOptions {
    workers: 1,
    queue: 1,
    uploads: 1,
    max_wait: LONG,
    memory_limit_bytes: 8 * MEBIBYTE,
    timeout: LONG,
    grace: LONG,
    nice: 0,
};

impl Pool {
    /// A job for a variant that somebody asks for now.
    async fn variant<T, F>(&self, peak_bytes: u64, job: F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: FnOnce(&Stop) -> Result<T, ServiceError> + Send + 'static,
    {
        self.run(Class::Variant, peak_bytes, self.deadline(), job).await
    }
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn answers_come_back_and_a_panic_costs_one_job() {
    let pool = pool(1, 4, LONG);
    assert_eq!(pool.variant(0, |_| Ok(7)).await.unwrap(), 7);
    let panicked = pool.variant::<(), _>(0, |_| panic!("injected")).await;
    assert!(matches!(panicked, Err(ServiceError::Panicked)));
    assert_eq!(
        pool.variant(0, |_| Ok(std::thread::current().name().map(str::to_owned))).await.unwrap().unwrap(),
        "process-0"
    );
    assert_eq!(pool.in_flight(), 0);
}

/// A job that runs until the returned sender is dropped.
fn blocked(pool: &Arc<Pool>, peak_bytes: u64) -> (Sender<()>, tokio::task::JoinHandle<Result<(), ServiceError>>) {
    let (release, wait) = bounded::<()>(0);
    let pool = Arc::clone(pool);
    let task = tokio::spawn(async move {
        pool.variant(peak_bytes, move |_| {
            let _released = wait.recv();
            Ok(())
        })
        .await
    });
    (release, task)
}

#[tokio::test]
async fn a_running_job_is_told_that_its_caller_left() {
    let pool = pool(1, 4, LONG);
    let (tell, told) = oneshot::channel();
    let (begun, begins) = oneshot::channel();
    let running = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move {
            pool.variant(0, move |stop| {
                let _listening = begun.send(());
                while stop.check().is_ok() {
                    std::thread::yield_now();
                }
                let _listening = tell.send(stop.check() == Err(crate::pixels::Stopped::Dropped));
                Ok(())
            })
            .await
        }
    });
    begins.await.unwrap();
    running.abort();
    assert!(told.await.unwrap());
}

#[tokio::test]
async fn one_job_more_than_may_wait_is_refused_at_once() {
    let pool = pool(1, 1, LONG);
    let (first, running) = blocked(&pool, 0);
    let (second, waiting) = blocked(&pool, 0);
    while pool.in_flight() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(
        pool.variant(0, |_| Ok(())).await,
        Err(ServiceError::Busy(Full { gate: Gate::Queue, value: 2, limit: 2, .. }))
    ));
    drop((first, second));
    running.await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
    pool.variant(0, |_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn memory_is_shared_and_a_job_larger_than_all_of_it_runs_alone() {
    let pool = pool(2, 4, LONG);
    let (release, running) = blocked(&pool, 5 * MEBIBYTE);
    while pool.memory.available_permits() != 3 {
        tokio::task::yield_now().await;
    }
    pool.variant(3 * MEBIBYTE, |_| Ok(())).await.unwrap();
    let mut large = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.variant(u64::MAX, |_| Ok(())).await }
    });
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut large).await.is_err());
    drop(release);
    running.await.unwrap().unwrap();
    large.await.unwrap().unwrap();
    assert_eq!(pool.memory.available_permits(), 8);
}

#[tokio::test]
async fn one_whose_caller_left_never_starts() {
    // No thread is given up in this time.
    let timeout = Duration::from_millis(50);
    let options = PoolOptions { workers: 1, queue: 4, timeout, grace: LONG, ..OPTIONS };
    let pool = Arc::new(Pool::start(options).unwrap());
    let (release, running) = blocked(&pool, 0);
    assert!(matches!(running.await.unwrap(), Err(ServiceError::TimedOut { .. })));
    let started = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = Arc::clone(&started);
    let waiting = pool.variant(0, move |_| {
        seen.store(true, Ordering::SeqCst);
        Ok(())
    });
    assert!(matches!(waiting.await, Err(ServiceError::Busy(Full { gate: Gate::Wait, .. }))));
    assert_eq!(pool.given_up(), (0, 0));
    drop(release);
    while pool.in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(!started.load(Ordering::SeqCst));
}

/// Waits until as many were given up, and as many of them go on.
async fn until_given_up(pool: &Pool, expected: (u64, usize)) {
    let seen = async {
        while pool.given_up() != expected {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, seen).await.unwrap_or_else(|_late| panic!("{:?}", pool.given_up()));
}

#[tokio::test]
async fn a_job_that_overruns_is_answered_counted_and_replaced_and_keeps_its_memory() {
    let pool = pool(1, 1, Duration::from_millis(500));
    let (release, running) = blocked(&pool, 5 * MEBIBYTE);
    assert!(matches!(running.await.unwrap(), Err(ServiceError::TimedOut { limit_secs: 0 })));
    until_given_up(&pool, (1, 1)).await;
    // Another thread does what comes, with the memory that is left and every place.
    assert_eq!((pool.in_flight(), pool.memory.available_permits()), (0, 3));
    pool.variant(3 * MEBIBYTE, |_| Ok(())).await.unwrap();
    // There is no spare for a second one: it is counted, and keeps its place.
    let (second, running) = blocked(&pool, 0);
    assert!(matches!(running.await.unwrap(), Err(ServiceError::TimedOut { .. })));
    until_given_up(&pool, (2, 2)).await;
    assert_eq!(pool.in_flight(), 1);
    drop(second);
    until_given_up(&pool, (2, 1)).await;
    pool.variant(0, |_| Ok(())).await.unwrap();
    drop(release);
    until_given_up(&pool, (2, 0)).await;
    assert_eq!((pool.in_flight(), pool.memory.available_permits()), (0, 8));
    // The spare is free again.
    let (third, running) = blocked(&pool, 0);
    assert!(running.await.unwrap().is_err());
    until_given_up(&pool, (3, 1)).await;
    pool.variant(0, |_| Ok(())).await.unwrap();
    drop(third);
}

#[tokio::test]
async fn a_job_whose_caller_left_is_given_up_too() {
    let pool = pool(1, 1, Duration::from_millis(500));
    let (release, wait) = bounded::<()>(0);
    let (begun, begins) = oneshot::channel();
    let running = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move {
            pool.variant(0, move |_| {
                let _listening = begun.send(());
                let _released = wait.recv();
                Ok(())
            })
            .await
        }
    });
    begins.await.unwrap();
    running.abort();
    until_given_up(&pool, (1, 1)).await;
    pool.variant(0, |_| Ok(())).await.unwrap();
    drop(release);
}

#[tokio::test]
async fn a_decoder_that_is_late_says_how_long_it_had() {
    let pool = pool(1, 1, LONG);
    let late = pool.variant::<(), _>(0, |_| Err(CodecError::TimedOut.into())).await;
    assert!(matches!(late, Err(ServiceError::TimedOut { limit_secs: 20 })));
}

/// Waits until `is_so`.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let seen = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LONG, seen).await.unwrap_or_else(|_late| panic!("waited for {what}"));
}

#[tokio::test]
async fn a_full_queue_of_variants_leaves_pictures_coming_in_their_turn_and_their_memory() {
    let pool = pool(1, 20, LONG);
    let (release, running) = blocked(&pool, MEBIBYTE);
    until("the first", || pool.stats().granted_bytes > 0).await;
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let job = |class: Class| {
        let (pool, order) = (Arc::clone(&pool), Arc::clone(&order));
        tokio::spawn(async move {
            let note = move |_: &Stop| {
                order.lock().unwrap().push(class);
                Ok(())
            };
            pool.run(class, 2 * MEBIBYTE, pool.deadline(), note).await.unwrap();
        })
    };
    let mut jobs: Vec<_> = (0..20).map(|_| job(Class::Variant)).collect();
    until("the queue to be full", || pool.in_flight() == 21).await;
    assert!(matches!(pool.variant(0, |_| Ok(())).await, Err(ServiceError::Busy(Full { gate: Gate::Queue, .. }))));
    jobs.push(job(Class::Upload));
    until("the picture", || pool.in_flight() == 22).await;
    // What only waits holds nothing: the one that runs, and two and one that are next.
    until("their memory", || pool.stats().granted_bytes == 7 * MEBIBYTE).await;
    drop(release);
    running.await.unwrap().unwrap();
    for job in jobs {
        job.await.unwrap();
    }
    let place = order.lock().unwrap().iter().position(|class| *class == Class::Upload).unwrap();
    assert!(place <= 3, "{place} variants went first");
    assert_eq!((pool.in_flight(), pool.stats().granted_bytes, pool.stats().waited.begun), (0, 0, 22));
}

#[tokio::test]
async fn whoever_leaves_the_queue_takes_his_memory_and_his_place_along_while_every_thread_is_busy() {
    struct Held(Arc<AtomicU64>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let pool = pool(1, 30, LONG);
    let (release, running) = blocked(&pool, MEBIBYTE);
    until("the first", || pool.stats().granted_bytes == MEBIBYTE).await;
    let (dropped, begun) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..30)
        .map(|_| {
            let (pool, held, begun) = (Arc::clone(&pool), Held(Arc::clone(&dropped)), Arc::clone(&begun));
            tokio::spawn(async move {
                pool.variant(3 * MEBIBYTE, move |_| {
                    begun.fetch_add(1, Ordering::SeqCst);
                    drop(held);
                    Ok(())
                })
                .await
            })
        })
        .collect();
    until("two to be next", || pool.stats().granted_bytes == 7 * MEBIBYTE && pool.in_flight() == 31).await;
    for caller in &callers {
        caller.abort();
    }
    until("nothing of theirs", || {
        let stats = pool.stats();
        (stats.queue.held, stats.granted_bytes, dropped.load(Ordering::SeqCst)) == (1, MEBIBYTE, 30)
    })
    .await;
    drop(release);
    running.await.unwrap().unwrap();
    pool.variant(8 * MEBIBYTE, |_| Ok(())).await.unwrap();
    assert_eq!(begun.load(Ordering::SeqCst), 0, "nobody waited for it");
}

/// What refused a job.
async fn refusal(job: impl Future<Output = Result<(), ServiceError>>) -> Full {
    match job.await {
        Err(ServiceError::Busy(full)) => full,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_job_that_would_wait_too_long_is_refused_at_once_and_a_picture_coming_in_is_not() {
    let options = PoolOptions { queue: 50, uploads: 50, max_wait: Duration::from_secs(3), ..OPTIONS };
    let pool = Arc::new(Pool::start(options).unwrap());
    pool.variants.service.add(Duration::from_secs(1));
    pool.uploads.service.add(Duration::from_secs(1));
    let mut jobs = Vec::new();
    for held in 0..3 {
        assert_eq!(pool.expected_wait(Class::Variant).as_secs() >= 1, held > 1);
        jobs.push(blocked(&pool, 0));
        until("it to be in", || pool.in_flight() == jobs.len()).await;
    }
    // Three before it, one of them half done: 2.5 s. With no more than 2 s left that is too long already.
    let soon = pool.run(Class::Variant, 0, Instant::now() + Duration::from_secs(2), |_| Ok(()));
    let full = refusal(soon).await;
    assert_eq!((full.gate, full.value, full.retry_secs()), (Gate::Wait, 2500, 3));
    assert!((1900..=2000).contains(&full.limit), "{full:?}");
    jobs.push(blocked(&pool, 0));
    until("it to be in", || pool.in_flight() == jobs.len()).await;
    let full = refusal(pool.variant(0, |_| Ok(()))).await;
    assert_eq!(full, Full { gate: Gate::Wait, value: 3500, limit: 3000, retry: Duration::from_millis(3500) });
    assert_eq!((pool.stats().refused_wait, pool.stats().expected_wait), (2, Duration::from_millis(3500)));
    // One that is here already is not refused for it.
    let upload = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.run(Class::Upload, 0, pool.deadline(), |_| Ok(())).await }
    });
    for (release, running) in jobs {
        drop(release);
        running.await.unwrap().unwrap();
    }
    upload.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_deadline_is_that_of_the_one_who_asks_wherever_the_time_went() {
    let pool = pool(1, 4, LONG);
    let (release, running) = blocked(&pool, 6 * MEBIBYTE);
    until("it to run", || pool.stats().waited.begun == 1).await;
    let soon = || Instant::now() + Duration::from_millis(60);
    let before = Instant::now();
    let full = refusal(pool.run(Class::Variant, 3 * MEBIBYTE, soon(), |_| Ok(()))).await;
    assert_eq!((full.gate, full.value, full.limit), (Gate::Memory, 3, 8));
    let full = refusal(pool.run(Class::Variant, MEBIBYTE, soon(), |_| Ok(()))).await;
    assert_eq!(full.gate, Gate::Wait, "there was memory, and no thread");
    assert!((120..5000).contains(&before.elapsed().as_millis()), "{:?}", before.elapsed());
    let stats = pool.stats();
    assert_eq!((stats.refused_memory, stats.refused_wait, stats.granted_bytes), (1, 1, 6 * MEBIBYTE));
    drop(release);
    running.await.unwrap().unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_threads_stand_back_and_the_others_do_not() {
    let nice = || rustix::process::getpriority_process(None).unwrap();
    let mine = nice();
    let pool = Pool::start(PoolOptions { nice: 7, ..OPTIONS }).unwrap();
    assert_eq!(pool.variant(0, move |_| Ok(nice())).await.unwrap(), 7.max(mine));
    assert_eq!(nice(), mine);
}
