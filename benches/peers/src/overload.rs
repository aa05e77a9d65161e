//! Four times the load that each server can carry.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::{
    http::Connection,
    load::{Fate, Outcome, Request, closed, open},
    peers::{Extra, Format, Peer, Place, Server, Wish},
    photos::Photos,
    results::{Row, Workload},
    statistics::{median, quantile},
    watch::Peak,
};

const TIMES: f64 = 4.0;
/// How long a client waits.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_UNDER_WAY: usize = 1000;
const CONNECTIONS: usize = 8;
const LONGEST_RECOVERY: Duration = Duration::from_secs(15);

pub async fn run(place: &Place, photos: &Photos, seconds: u64) -> Result<Workload> {
    let mut rows = Vec::new();
    for peer in place.all() {
        eprintln!("overload: {}", place.name(peer));
        let server = Server::start(place, peer, photos, Extra::default()).await?;
        rows.push(measure(&server, photos, Duration::from_secs(seconds), peer).await?);
    }
    let note = format!(
        "12 MP to 256, JPEG, no URL twice. The peak is what {CONNECTIONS} connections that are never idle get; then {TIMES} times as many requests a second are \
        sent for {seconds} s, whatever comes back, by clients that wait {} s and at most {MOST_UNDER_WAY} at a time. Good are answers of 200 within that; recovery is the \
        time from the last request sent until one is answered in less than twice the time that it took before. The client has its share of the same cores, \
        and at four times the rate of a fast server that is a large one.",
        PATIENCE.as_secs()
    );
    Ok(Workload::new("overload", "four times the load", note, rows))
}

/// Every photo in 13 sizes and 41 qualities, more than can be answered in a run, in an order in which every moment has the same mix. None
/// is so much larger than 256 that a server which has a smaller copy for that would have to go back to the original.
fn wishes(server: &Server, photos: &Photos) -> Vec<Request> {
    const SIDES: u32 = 13;
    const QUALITIES: u32 = 41;
    const ALL: u32 = SIDES * QUALITIES;
    let mixed = (0..ALL).map(|number| number * 37 % ALL);
    let wish =
        |at: u32| Wish { side: Some(250 + at % SIDES), blur: None, quality: 55 + at / SIDES, format: Format::Jpeg };
    let wishes = mixed.map(wish);
    wishes.flat_map(|wish| (0..photos.photos.len()).map(move |at| Request::get(&server.path(at, &wish)))).collect()
}

async fn measure(server: &Server, photos: &Photos, duration: Duration, peer: Peer) -> Result<Row> {
    let requests = Rc::new(wishes(server, photos));
    let queue = Rc::new(RefCell::new((0..requests.len()).collect::<VecDeque<_>>()));
    let mut connection = Connection::open(server.addr).await?;
    // Alone, and warm.
    let mut alone_ms = Vec::new();
    for _ in 0..20 {
        alone_ms.push(ask_one(&mut connection, &requests, &queue).await?.as_secs_f64() * 1e3);
    }
    let alone_ms = median(&alone_ms);
    // The peak: some at a time, until two seconds are over.
    let (mut answered, began) = (0, Instant::now());
    while began.elapsed() < Duration::from_secs(2) {
        let some: Vec<_> = take(&queue, 64).into_iter().map(|at| clone(&requests[at])).collect();
        ensure!(!some.is_empty(), "no requests are left");
        let (answers, _) = closed(server.addr, &some, CONNECTIONS).await?;
        answered += answers.iter().filter(|answered| answered.answer.status == 200).count();
    }
    let peak_rps = answered as f64 / began.elapsed().as_secs_f64();
    server.group.settle().await;

    let memory = Peak::watch(server.group)?;
    let next = Rc::clone(&queue);
    let began = Instant::now();
    let fates = open(
        server.addr,
        Rc::clone(&requests),
        move || next.borrow_mut().pop_front(),
        peak_rps * TIMES,
        duration,
        PATIENCE,
        MOST_UNDER_WAY,
    )
    .await;
    // What was not answered may be asked for again.
    queue
        .borrow_mut()
        .extend(fates.iter().filter(|fate| !matches!(fate.outcome, Outcome::Good)).map(|fate| fate.request));
    let since_last = began.elapsed().saturating_sub(duration);
    let recovery_ms = recovery(server, &requests, &queue, alone_ms, since_last).await?;
    let mut row = row(server, peer, &fates, peak_rps, duration, recovery_ms);
    row.set("memory_mib", memory.mib());
    Ok(row)
}

fn row(
    server: &Server,
    peer: Peer,
    fates: &[Fate],
    peak_rps: f64,
    duration: Duration,
    recovery_ms: Option<f64>,
) -> Row {
    let took = |is: fn(&Outcome) -> bool| -> Vec<f64> {
        fates.iter().filter(|fate| is(&fate.outcome)).map(|fate| fate.took.as_secs_f64() * 1e3).collect()
    };
    let good = took(|outcome| matches!(outcome, Outcome::Good));
    let refused = took(|outcome| matches!(outcome, Outcome::Refused { .. }));
    let late = took(|outcome| matches!(outcome, Outcome::Late | Outcome::Broken | Outcome::NotSent));
    let percent = |part: &[f64]| part.len() as f64 * 100.0 / fates.len().max(1) as f64;
    // Until the last request was sent, or until the last good answer came, if that was later.
    let last_good = fates.iter().filter(|fate| matches!(fate.outcome, Outcome::Good)).map(|fate| fate.ended).max();
    let goodput = good.len() as f64 / duration.max(last_good.unwrap_or_default()).as_secs_f64();
    let mut row = Row::new(&server.name, peer.is_glimt());
    row.set("peak_rps", peak_rps);
    row.set("offered_rps", fates.len() as f64 / duration.as_secs_f64());
    row.set("goodput", goodput);
    row.set("of_peak", goodput / peak_rps);
    row.set("refused", percent(&refused));
    row.set("late", percent(&late));
    if !good.is_empty() {
        row.set("good_p99_ms", quantile(&good, 0.99));
    }
    if !refused.is_empty() {
        row.set("refused_p99_ms", quantile(&refused, 0.99));
        let mut kinds = std::collections::BTreeMap::new();
        for fate in fates {
            if let Outcome::Refused { status, retry_after } = fate.outcome {
                *kinds
                    .entry(format!("{status}{}", if retry_after { " + Retry-After" } else { "" }))
                    .or_insert(0_usize) += 1;
            }
        }
        row.words.insert("refusal".into(), kinds.into_keys().collect::<Vec<_>>().join(", "));
    }
    match recovery_ms {
        Some(millis) => row.set("recovery_ms", millis),
        None => {
            row.words.insert("recovery_ms".into(), format!("over {}", LONGEST_RECOVERY.as_millis()));
        }
    }
    row
}

fn clone(request: &Request) -> Request {
    Request { head: request.head.clone(), body: request.body.clone() }
}

fn take(queue: &RefCell<VecDeque<usize>>, count: usize) -> Vec<usize> {
    let mut queue = queue.borrow_mut();
    let count = count.min(queue.len());
    queue.drain(..count).collect()
}

async fn ask_one(
    connection: &mut Connection,
    requests: &[Request],
    queue: &RefCell<VecDeque<usize>>,
) -> Result<Duration> {
    let at = take(queue, 1).first().copied();
    let Some(request) = at.and_then(|at| requests.get(at)) else { anyhow::bail!("no requests are left") };
    let began = Instant::now();
    let answer = connection.send(&request.head, &request.body).await?;
    ensure!(answer.status == 200, "answered {}", answer.status);
    Ok(began.elapsed())
}

/// Milliseconds from the end of the load until a request is answered in less than twice its usual time.
async fn recovery(
    server: &Server,
    requests: &[Request],
    queue: &RefCell<VecDeque<usize>>,
    alone_ms: f64,
    since_last: Duration,
) -> Result<Option<f64>> {
    let began = Instant::now();
    while began.elapsed() + since_last < LONGEST_RECOVERY {
        let asked = began.elapsed();
        let mut connection = Connection::open(server.addr).await?;
        // The whole of the largest photo, and not only their median, has to fit in.
        let limit = Duration::from_secs_f64((alone_ms * 2.0).max(50.0) / 1e3);
        if let Ok(Ok(_)) = tokio::time::timeout(limit, ask_one(&mut connection, requests, queue)).await {
            return Ok(Some((since_last + asked).as_secs_f64() * 1e3));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(None)
}
