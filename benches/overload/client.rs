//! The client: one thread, connections that are kept, bytes in and out.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::LocalSet,
};

use crate::server::Outcome;

/// More than this many at a time are not opened: the server has 1024.
const MAX_CONNECTIONS: usize = 960;

/// Sizes from 160 pixels on.
const SIDES: usize = 96;

/// How often a thumbnail that is there already is asked for while the load is on.
const HIT_EVERY: Duration = Duration::from_millis(50);

/// Targets, none of which was asked for before, and one that was.
pub(crate) struct Load {
    files: Vec<String>,
    next: Cell<usize>,
    /// The quality to begin with.
    quality: usize,
    /// What was refused, and so is not there yet either.
    again: RefCell<VecDeque<String>>,
}

impl Load {
    pub(crate) fn new(files: Vec<String>) -> Self {
        Self { files, next: Cell::new(0), quality: 30, again: RefCell::default() }
    }

    /// The same pictures in qualities that the measurement does not come to.
    pub(crate) fn for_warm_up(&self) -> Self {
        Self { quality: 99, ..Self::new(self.files.clone()) }
    }

    /// A thumbnail that is not there yet: of the next picture, in sizes that come in no order, so that every turn has the same mix, and in
    /// another quality once they are used up. None is larger than what is made from a proxy of the usual size. When the qualities are used up too, those come again that were refused.
    pub(crate) fn cold(&self) -> String {
        let index = self.next.replace(self.next.get() + 1);
        let (file, rest) = (&self.files[index % self.files.len()], index / self.files.len());
        let (side, quality) = (160 + rest * 37 % SIDES, self.quality + rest / SIDES);
        if quality > 98
            && let Some(refused) = self.again.borrow_mut().pop_front()
        {
            return refused;
        }
        format!("/image/process.jpg?src={file}&thumbnail={side}&quality={quality}")
    }

    /// Takes back what came to nothing.
    fn refused(&self, target: String) {
        self.again.borrow_mut().push_back(target);
    }

    /// One that is there, once it has been asked for.
    fn hit(&self) -> String {
        format!("/image/process.jpg?src={}&thumbnail=96", self.files[0])
    }
}

/// What came back.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) served: Vec<Duration>,
    pub(crate) refused: Vec<Duration>,
    pub(crate) hits: Vec<Duration>,
    /// How late requests of an open loop were sent.
    pub(crate) late: Vec<Duration>,
    pub(crate) errors: Vec<String>,
    secs: f64,
}

impl Seen {
    /// Thumbnails a second.
    pub(crate) fn goodput(&self) -> f64 {
        self.served.len() as f64 / self.secs
    }

    fn note(&mut self, answer: std::io::Result<u16>, time: Duration) {
        match answer {
            Ok(200) => self.served.push(time),
            Ok(503) => self.refused.push(time),
            Ok(other) => self.errors.push(format!("status {other}")),
            Err(error) => self.errors.push(error.to_string()),
        }
    }
}

/// The time that so many in a thousand of them did not take longer than.
pub(crate) fn percentile(times: &mut [Duration], per_mille: usize) -> Duration {
    times.sort();
    times.get((times.len() * per_mille / 1000).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(addr: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Asks, reads the whole answer and returns its status. A `503` without `Retry-After` is an error.
    async fn ask(&mut self, target: &str) -> std::io::Result<u16> {
        let broken = |what: &str| std::io::Error::other(what.to_owned());
        self.stream.write_all(format!("GET {target} HTTP/1.1\r\nhost: bench\r\n\r\n").as_bytes()).await?;
        self.buffer.clear();
        let end = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(broken("closed"));
            }
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..end]).map_err(|_not_text| broken("head"))?.to_ascii_lowercase();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| broken("status"))?;
        let length: usize =
            header("content-length").and_then(|text| text.parse().ok()).ok_or_else(|| broken("length"))?;
        if status == 503 && header("retry-after").is_none() {
            return Err(broken("503 without Retry-After"));
        }
        while self.buffer.len() < end + length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(broken("cut"));
            }
        }
        Ok(status)
    }
}

/// Asks for one thing that must come, on a connection of its own.
pub(crate) async fn once(addr: SocketAddr, target: &str) -> Outcome<()> {
    let status = Connection::open(addr).await?.ask(target).await?;
    if status == 200 { Ok(()) } else { Err(format!("{target}: status {status}").into()) }
}

/// Asks on a connection of its own for one thing after the other until one comes, and returns how many were refused.
pub(crate) async fn until_served(addr: SocketAddr, load: &Load) -> Outcome<u32> {
    let mut connection = Connection::open(addr).await?;
    for refused in 0.. {
        match connection.ask(&load.cold()).await? {
            200 => return Ok(refused),
            503 if refused < 1000 => tokio::time::sleep(Duration::from_millis(5)).await,
            other => return Err(format!("status {other}").into()),
        }
    }
    Err("never served".into())
}

/// So many clients, each asking as soon as it is answered.
pub(crate) async fn closed_loop(addr: SocketAddr, load: &Load, clients: usize, time: Duration) -> Outcome<Seen> {
    let seen = RefCell::new(Seen { secs: time.as_secs_f64(), ..Seen::default() });
    let until = Instant::now() + time;
    let client = async || -> Outcome<()> {
        let mut connection = Connection::open(addr).await?;
        loop {
            let began = Instant::now();
            let target = load.cold();
            let answer = tokio::time::timeout_at(until.into(), connection.ask(&target)).await;
            let Ok(answer) = answer else { return Ok(()) };
            if matches!(answer, Ok(503)) {
                load.refused(target);
            }
            let is_broken = answer.is_err();
            seen.borrow_mut().note(answer, began.elapsed());
            if is_broken {
                connection = Connection::open(addr).await?;
            }
        }
    };
    for done in futures_util::future::join_all((0..clients).map(|_| client())).await {
        done?;
    }
    Ok(seen.into_inner())
}

/// `rate` requests a second, sent when they are due, whatever became of those before. When the time is over everybody leaves.
pub(crate) async fn open_loop(addr: SocketAddr, load: &Load, rate: f64, time: Duration) -> Outcome<Seen> {
    let seen = Rc::new(RefCell::new(Seen { secs: time.as_secs_f64(), ..Seen::default() }));
    let idle: Rc<RefCell<Vec<Connection>>> = Rc::default();
    let open = Rc::new(Cell::new(0_usize));
    once(addr, &load.hit()).await?;
    let tasks = LocalSet::new();
    let began = Instant::now();
    let sending = async {
        let (mut sent, mut next_hit) = (0_u64, began);
        let mut watcher = Some(Connection::open(addr).await?);
        let watched: Rc<RefCell<Option<Connection>>> = Rc::default();
        loop {
            let due = began + Duration::from_secs_f64(sent as f64 / rate);
            if due >= began + time {
                tokio::time::sleep_until((began + time).into()).await;
                return Outcome::Ok(());
            }
            tokio::time::sleep_until(due.into()).await;
            let now = Instant::now();
            // As many as are due: a timer has milliseconds.
            while began + Duration::from_secs_f64(sent as f64 / rate) <= now {
                seen.borrow_mut().late.push(now - (began + Duration::from_secs_f64(sent as f64 / rate)));
                sent += 1;
                let kept = idle.borrow_mut().pop();
                if kept.is_none() && open.get() >= MAX_CONNECTIONS {
                    seen.borrow_mut().errors.push("no connection left".to_owned());
                    continue;
                }
                let (seen, idle, open, target) = (Rc::clone(&seen), Rc::clone(&idle), Rc::clone(&open), load.cold());
                tokio::task::spawn_local(async move {
                    let connection = match kept {
                        Some(connection) => Ok(connection),
                        None => {
                            open.set(open.get() + 1);
                            Connection::open(addr).await
                        }
                    };
                    let began = Instant::now();
                    let answer = match connection {
                        Ok(mut connection) => {
                            let answer = connection.ask(&target).await;
                            if answer.is_ok() {
                                idle.borrow_mut().push(connection);
                            } else {
                                open.set(open.get() - 1);
                            }
                            answer
                        }
                        Err(error) => Err(error),
                    };
                    seen.borrow_mut().note(answer, began.elapsed());
                });
            }
            if let Some(connection) = watched.borrow_mut().take() {
                watcher = Some(connection);
            }
            if now >= next_hit
                && let Some(mut connection) = watcher.take()
            {
                next_hit = now + HIT_EVERY;
                let (seen, watched, target) = (Rc::clone(&seen), Rc::clone(&watched), load.hit());
                tokio::task::spawn_local(async move {
                    let began = Instant::now();
                    match connection.ask(&target).await {
                        Ok(200) => seen.borrow_mut().hits.push(began.elapsed()),
                        other => seen.borrow_mut().errors.push(format!("a hit: {other:?}")),
                    }
                    *watched.borrow_mut() = Some(connection);
                });
            }
        }
    };
    tasks.run_until(sending).await?;
    // Drops what still waits, and with it its connections.
    drop(tasks);
    idle.borrow_mut().clear();
    Ok(seen.take())
}
