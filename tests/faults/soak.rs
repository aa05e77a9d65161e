//! A long run under mixed load at about 80 % of what the server takes, with faults every few seconds: does anything grow?
//!
//! `MINUTES=30 cargo test --test faults soak -- --nocapture` runs longer; it prints what was sampled, and slopes an hour.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::{
    client::{Client, connect, form, head},
    ledger::Ledger,
    pictures::{Random, png_of},
    server::{Server, eventually, home, number},
    shim::{self, EIO, ENOSPC, Fault, shim},
};

const CLIENTS: u64 = 4;

/// Pictures that a client keeps, about: from here on it deletes as many as it uploads.
const KEPT: usize = 150;

/// Of what the calibration measured.
const LOAD: f64 = 0.8;

/// From one fault to the next.
const PAUSE: Duration = Duration::from_secs(3);

/// How long a fault of the store lasts.
const BROKEN: Duration = Duration::from_millis(200);

/// What fails in the store: nothing in the journal or the index, after which only a restart helps.
const BROKEN_CALLS: [Fault; 6] = [
    fault("write", EIO, "/staging/"),
    fault("rename", ENOSPC, "/originals/"),
    fault("sync", EIO, "/originals/"),
    fault("rename", EIO, "/variants/"),
    fault("mkdir", ENOSPC, "/variants/"),
    fault("unlink", EIO, "/originals/"),
];

const fn fault(kind: &'static str, error: i32, place: &'static str) -> Fault {
    Fault { kind, from: 1, count: 1, error, place }
}

/// Lets each client act so often and no more.
struct Pace {
    /// Between two requests of one client, in microseconds; 0 is without a pause.
    micros: AtomicU64,
    requests: AtomicU64,
    is_over: AtomicBool,
}

/// One client until the run is over.
fn act(addr: SocketAddr, number: u64, pace: &Pace) -> Ledger {
    let (mut client, mut ledger, mut random) = (Client::new(addr), Ledger::default(), Random::new(number));
    let (mut next, mut due) = (number << 32, Instant::now());
    while !pace.is_over.load(Ordering::Relaxed) {
        let pause = Duration::from_micros(pace.micros.load(Ordering::Relaxed));
        // Who is late by more than a second does not catch up.
        due = (due + pause).max(Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or(due));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        pace.requests.fetch_add(1, Ordering::Relaxed);
        let done = once(&mut client, &mut ledger, &mut random, &mut next);
        if let Err(error) = done {
            ledger.faults.wrong.push(format!("no answer: {error}"));
        }
    }
    ledger
}

fn once(client: &mut Client, ledger: &mut Ledger, random: &mut Random, next: &mut u64) -> io::Result<()> {
    *next += 1;
    let known = ledger.any_file(random);
    match (random.below(100), known) {
        (0..15, _) | (_, None) => drop(ledger.upload(client, &[*next])?),
        (15..30, Some(_)) if ledger.uploads > KEPT + ledger.deletes => drop(ledger.delete_any(client, random)?),
        // Cold as often as not, and warm.
        (30..45, Some((seed, file))) => {
            ledger.process(client, seed, &file, 8 + u32::try_from(random.below(40)).unwrap())?;
        }
        (45..80, Some((seed, file))) => drop(ledger.process(client, seed, &file, 16)?),
        (_, Some((seed, file))) => drop(ledger.original(client, seed, &file)?),
    }
    Ok(())
}

/// Clients that go away half way: of an upload, of a download, of nothing at all.
fn go_away(addr: SocketAddr, large: &[u8], file: &str) -> io::Result<()> {
    let (headers, body) = form(&[("large.png", large)]);
    for part in [2, 3, 5] {
        let mut stream = connect(addr)?;
        stream.get_mut().write_all(head("POST", "/image", &headers, body.len()).as_bytes())?;
        stream.get_mut().write_all(&body[..body.len() / part])?;
    }
    for _ in 0..3 {
        let mut stream = connect(addr)?;
        let request = head("GET", &format!("/image/original/{file}"), "", 0);
        stream.get_mut().write_all(request.as_bytes())?;
        stream.read_exact(&mut [0; 1000])?;
    }
    // All of them at once.
    let idle: Vec<_> = (0..50).map(|_| connect(addr)).collect::<io::Result<_>>()?;
    drop(idle);
    Ok(())
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Sample {
    hours: f64,
    rss_mib: f64,
    handles: f64,
    threads: f64,
}

fn sample(pid: u32, begun: Instant) -> Sample {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        value.split_whitespace().next().unwrap().parse::<f64>().unwrap()
    };
    let handles = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    Sample {
        hours: begun.elapsed().as_secs_f64() / 3600.0,
        rss_mib: line("VmRSS:") / 1024.0,
        handles: f64::from(u32::try_from(handles).unwrap()),
        threads: line("Threads:"),
    }
}

/// The slope of the line with the least squares through these points.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.iter().fold(0.0, |count, _| count + 1.0);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x) * (point.0 - x)).sum();
    above / below
}

/// Prints first, last, most, and the slope of what was sampled. The first quarter is left out of the slope: caches fill.
fn report(samples: &[Sample]) {
    let settled = &samples[samples.len() / 4..];
    for (what, of) in [
        ("memory, MiB", (|sample| sample.rss_mib) as fn(&Sample) -> f64),
        ("handles", |sample| sample.handles),
        ("threads", |sample| sample.threads),
    ] {
        let points: Vec<_> = settled.iter().map(|sample| (sample.hours, of(sample))).collect();
        let most = samples.iter().map(of).fold(0.0, f64::max);
        let (first, last) = (of(&settled[0]), of(&settled[settled.len() - 1]));
        println!("soak: {what}: {first:.1} to {last:.1}, at most {most:.1}, slope {:+.2} an hour", slope(&points));
    }
}

/// Meets the server with faults until the time is over, and samples it every second.
fn disturb(server: &Server, control: &Path, length: Duration) -> (Vec<Sample>, u64) {
    let begun = Instant::now();
    let large = png_of(u64::MAX, 700, 500);
    let uploaded = server.client().upload(&[&large]).unwrap().uploaded().remove(0);
    let (mut samples, mut faults) = (Vec::new(), 0);
    let mut last = Instant::now();
    while begun.elapsed() < length {
        samples.push(sample(server.pid(), begun));
        if last.elapsed() >= PAUSE {
            last = Instant::now();
            go_away(server.addr(), &large, &uploaded.file).unwrap();
            let broken = BROKEN_CALLS[usize::try_from(faults).unwrap() % BROKEN_CALLS.len()];
            fs::write(control, broken.text()).unwrap();
            std::thread::sleep(BROKEN);
            fs::remove_file(control).unwrap();
            faults += 1;
        }
        std::thread::sleep(Duration::from_secs(1).min(length / 8));
    }
    assert_eq!(server.client().delete(&uploaded).unwrap().status, 204);
    (samples, faults)
}

#[test]
fn a_long_run_with_faults_loses_nothing_and_holds_on_to_nothing() {
    let Some(library) = shim() else { return };
    let minutes = number("MINUTES", 0);
    let (turn, length) =
        if minutes == 0 { (2, Duration::from_secs(8)) } else { (15, Duration::from_secs(60 * minutes)) };
    let home = home();
    let (data, control, fired) = (home.path().join("data"), home.path().join("control"), home.path().join("fired"));
    fs::create_dir(&data).unwrap();
    let data = data.canonicalize().unwrap();
    let mut server = Server::start_with(&data, |command| {
        shim::load(command, library, &data);
        command.env("SHIM_CONTROL", &control).env("SHIM_FIRED", &fired).env("RUST_LOG", "warn,glimt=info");
    });
    let idle = sample(server.pid(), Instant::now());
    let pace = Pace { micros: AtomicU64::new(0), requests: AtomicU64::new(0), is_over: AtomicBool::new(false) };
    let (samples, faults, rate, ledger) = std::thread::scope(|scope| {
        let (addr, pace) = (server.addr(), &pace);
        let clients: Vec<_> = (1..=CLIENTS).map(|number| scope.spawn(move || act(addr, number, pace))).collect();
        // As much as it takes, first.
        std::thread::sleep(Duration::from_secs(turn));
        let rate = f64::from(u32::try_from(pace.requests.swap(0, Ordering::Relaxed)).unwrap())
            / Duration::from_secs(turn).as_secs_f64();
        let micros = f64::from(u32::try_from(CLIENTS).unwrap()) / (rate * LOAD) * 1e6;
        pace.micros.store(Duration::from_secs_f64(micros / 1e6).as_micros().try_into().unwrap(), Ordering::Relaxed);
        let (samples, faults) = disturb(&server, &control, length);
        pace.is_over.store(true, Ordering::Relaxed);
        (samples, faults, rate, Ledger::merge(clients.into_iter().map(|client| client.join().unwrap())))
    });
    let mut ledger = ledger;
    let sent = pace.requests.load(Ordering::Relaxed);
    ledger.is_clean("while it ran");
    assert!(server.is_alive() && server.client().is_ready(), "{}", server.log());
    ledger.check(&mut server.client(), &mut Random::new(1), usize::MAX);
    ledger.is_clean("after the run");
    let calls = fs::read_to_string(&fired).unwrap_or_default().lines().count();
    println!(
        "soak: calibrated at {rate:.0} requests/s; {sent} sent in {length:?}, {faults} faults, {calls} calls failed"
    );
    println!("soak: {}", ledger.shown());
    report(&samples);
    // What clients and faults took is given back.
    eventually("handles to come back", 120, || sample(server.pid(), Instant::now()).handles <= idle.handles + 10.0);
    server.stop();
    let server = Server::start(&data);
    ledger.settles_on_disk(&data);
    // All were asked about above: some again.
    ledger.check(&mut server.client(), &mut Random::new(1), 2000);
    ledger.is_clean("after a start");
    server.stop();
    assert!(calls > 0, "no call failed");
}

#[test]
fn a_slope_is_a_slope() {
    let line: Vec<_> = (0..9).map(f64::from).map(|x| (x, 3.0 - 2.0 * x)).collect();
    assert!((slope(&line) + 2.0).abs() < 1e-9);
    let noisy = [(0.0, 1.0), (1.0, 0.0), (2.0, 1.0), (3.0, 0.0)];
    assert!((slope(&noisy) + 0.2).abs() < 1e-9);
}
