//! The load: so many connections that each have one request under way, or so many requests a second whatever comes back.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::task::LocalSet;

use crate::http::{Answer, Connection};

/// A request, all of it.
pub struct Request {
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn get(path: &str) -> Self {
        Self {
            head: format!("GET {path} HTTP/1.1\r\nhost: bench\r\naccept: */*\r\n\r\n").into_bytes(),
            body: Vec::new(),
        }
    }
}

pub struct Answered {
    /// The number of the request.
    pub request: usize,
    pub answer: Answer,
    pub took: Duration,
}

/// Sends all requests over `connections`, and returns the answers and the time of the whole.
///
/// # Errors
/// When a connection fails.
pub async fn closed(addr: SocketAddr, requests: &[Request], connections: usize) -> Result<(Vec<Answered>, Duration)> {
    let next = Cell::new(0);
    let answers = RefCell::new(Vec::with_capacity(requests.len()));
    let began = Instant::now();
    let worker = || async {
        let mut connection = Connection::open(addr).await?;
        loop {
            let request = next.replace(next.get() + 1);
            let Some(Request { head, body }) = requests.get(request) else { return anyhow::Ok(()) };
            let sent = Instant::now();
            let answer =
                connection.send(head, body).await.with_context(|| String::from_utf8_lossy(head).into_owned())?;
            answers.borrow_mut().push(Answered { request, answer, took: sent.elapsed() });
        }
    };
    let workers = (0..connections).map(|_| worker());
    for result in join_all(workers).await {
        result?;
    }
    Ok((answers.into_inner(), began.elapsed()))
}

/// Runs futures side by side on this thread.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut is_done = true;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => is_done = false,
                }
            }
        }
        if is_done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

/// What became of a request of an open load.
pub enum Outcome {
    /// `200` before the client lost patience.
    Good,
    /// Another status.
    Refused { status: u16, retry_after: bool },
    /// No answer within the client's patience.
    Late,
    /// The connection failed.
    Broken,
    /// Too many were under way already: it was not sent.
    NotSent,
}

pub struct Fate {
    pub request: usize,
    pub outcome: Outcome,
    pub took: Duration,
    /// Since the first was sent.
    pub ended: Duration,
}

/// Sends `rate` requests a second for `duration`, each at its time, and waits for what is under way. `take` gives the number of the
/// next request.
pub async fn open(
    addr: SocketAddr,
    requests: Rc<Vec<Request>>,
    mut take: impl FnMut() -> Option<usize>,
    rate: f64,
    duration: Duration,
    patience: Duration,
    most_under_way: usize,
) -> Vec<Fate> {
    let (idle, fates) = (Rc::new(RefCell::new(Vec::<Connection>::new())), Rc::new(RefCell::new(Vec::new())));
    let under_way = Rc::new(Cell::new(0_usize));
    let local = LocalSet::new();
    let sending = async {
        let began = tokio::time::Instant::now();
        let mut tasks = Vec::new();
        let count = (rate * duration.as_secs_f64()) as u64;
        for number in 0..count {
            tokio::time::sleep_until(began + Duration::from_secs_f64(number as f64 / rate)).await;
            let Some(request) = take() else { break };
            if under_way.get() >= most_under_way {
                fates.borrow_mut().push(Fate {
                    request,
                    outcome: Outcome::NotSent,
                    took: Duration::ZERO,
                    ended: began.elapsed(),
                });
                continue;
            }
            under_way.set(under_way.get() + 1);
            let (idle, fates, under_way, requests) =
                (Rc::clone(&idle), Rc::clone(&fates), Rc::clone(&under_way), Rc::clone(&requests));
            tasks.push(tokio::task::spawn_local(async move {
                let sent = Instant::now();
                let work = async {
                    let kept = idle.borrow_mut().pop();
                    let mut connection = match kept {
                        Some(connection) => connection,
                        None => Connection::open(addr).await?,
                    };
                    let answer = connection.send(&requests[request].head, &requests[request].body).await?;
                    idle.borrow_mut().push(connection);
                    anyhow::Ok(answer)
                };
                let outcome = match tokio::time::timeout(patience, work).await {
                    Err(_) => Outcome::Late,
                    Ok(Err(_)) => Outcome::Broken,
                    Ok(Ok(answer)) if answer.status == 200 => Outcome::Good,
                    Ok(Ok(answer)) => Outcome::Refused { status: answer.status, retry_after: answer.retry_after },
                };
                under_way.set(under_way.get() - 1);
                fates.borrow_mut().push(Fate { request, outcome, took: sent.elapsed(), ended: began.elapsed() });
            }));
        }
        for task in tasks {
            let _joined = task.await;
        }
    };
    local.run_until(sending).await;
    fates.take()
}
