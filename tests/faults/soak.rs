//! A long run under mixed load at about 80 % of what the server takes, with faults every few seconds: does anything grow?
//!
//! Requests arrive by the clock, whoever waits; what the server takes is measured again every minute, since a machine is not always as fast.
//! `MINUTES=30 cargo test --test faults soak -- --nocapture` runs longer; it prints what was asked, answered and sampled, and slopes an hour.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    arrivals::Arrivals,
    client::{Client, connect, form, head},
    device::{HEALTHY, LOST, Layer, Loss, RECOVERED, UNAVAILABLE},
    ledger::Ledger,
    pictures::{Random, png_of},
    server::{Server, eventually, home, number},
    shim::{self, EIO, ENOSPC, Fault, shim},
};

/// More than are needed: those that wait out a fault do not hold up what arrives.
const CLIENTS: u64 = 16;

/// Pictures that a client keeps, about: from here on it deletes as many as it uploads.
const KEPT: usize = 40;

/// Of what the last calibration measured.
const LOAD: f64 = 0.8;

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

/// How long what takes.
#[derive(Clone, Copy, Debug)]
struct Times {
    length: Duration,
    /// A calibration.
    turn: Duration,
    /// From one calibration to the next.
    segment: Duration,
    /// From one fault to the next. With every other one the device is lost.
    pause: Duration,
    /// From one sample to the next.
    look: Duration,
}

impl Times {
    fn new(minutes: u64) -> Self {
        let secs = Duration::from_secs;
        if minutes == 0 {
            let (turn, pause, look) = (secs(1), Duration::from_millis(1500), Duration::from_millis(500));
            return Self { length: secs(8), turn, segment: secs(8), pause, look };
        }
        Self { length: secs(60 * minutes), turn: secs(4), segment: secs(56), pause: secs(3), look: secs(1) }
    }
}

/// One client until the run is over.
fn act(addr: SocketAddr, number: u64, arrivals: &Arrivals) -> Ledger {
    let (mut client, mut ledger, mut random) = (Client::new(addr), Ledger::default(), Random::new(number));
    let mut next = number << 32;
    while let Some(arrival) = arrivals.next() {
        if let Err(error) = once(&mut client, &mut ledger, &mut random, &mut next) {
            ledger.faults.wrong.push(format!("no answer: {error}"));
        }
        arrivals.answered(arrival);
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
    tasks: f64,
}

/// What the server holds, by the system's word and, of tasks, by its own.
fn sample(server: &Server, client: &mut Client, begun: Instant) -> Sample {
    let pid = server.pid();
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
        tasks: client.metrics().unwrap()["glimt_tasks_alive"],
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

/// Prints first, last, most, the slope of what was sampled, and its mean in each quarter of the run. The first quarter is left out of the slope: caches fill.
fn report(samples: &[Sample]) {
    let settled = &samples[samples.len() / 4..];
    for (what, of) in [
        ("memory, MiB", (|sample| sample.rss_mib) as fn(&Sample) -> f64),
        ("handles", |sample| sample.handles),
        ("threads", |sample| sample.threads),
        ("tasks", |sample| sample.tasks),
    ] {
        let points: Vec<_> = settled.iter().map(|sample| (sample.hours, of(sample))).collect();
        let most = samples.iter().map(of).fold(0.0, f64::max);
        let (first, last) = (of(&settled[0]), of(&settled[settled.len() - 1]));
        let mean = |quarter: &[Sample]| quarter.iter().map(of).sum::<f64>() / quarter.len() as f64;
        let quarters: Vec<f64> = samples.chunks(samples.len().div_ceil(4)).map(mean).collect();
        println!(
            "soak: {what}: {first:.1} to {last:.1}, at most {most:.1}, slope {:+.2} an hour; means of the quarters {quarters:.1?}",
            slope(&points)
        );
    }
}

/// What meets the server beside its clients, and what was seen of it.
struct Trouble<'a> {
    server: &'a Server,
    control: &'a Path,
    layer: Option<&'a Layer>,
    client: Client,
    times: Times,
    begun: Instant,
    samples: Vec<Sample>,
    faults: usize,
    losses: u32,
}

impl Trouble<'_> {
    /// Faults and samples until the time is over, and a calibration every now and then.
    fn make(&mut self, arrivals: &Arrivals) {
        let large = png_of(u64::MAX, 700, 500);
        let uploaded = self.client.upload(&[&large]).unwrap().uploaded().remove(0);
        let mut rate = arrivals.calibrate(self.times.turn);
        self.begun = Instant::now();
        while self.begun.elapsed() < self.times.length {
            arrivals.begin(rate, LOAD);
            let (segment, mut last) = (Instant::now(), Instant::now());
            while segment.elapsed() < self.times.segment && self.begun.elapsed() < self.times.length {
                self.samples.push(sample(self.server, &mut self.client, self.begun));
                if last.elapsed() >= self.times.pause {
                    last = Instant::now();
                    go_away(self.server.addr(), &large, &uploaded.file).unwrap();
                    self.break_something();
                }
                std::thread::sleep(self.times.look);
            }
            // What it takes with its device, if it has one.
            let client = &mut self.client;
            eventually("the device to be back", 120, || client.metrics().unwrap()[HEALTHY] > 0.0);
            arrivals.pause();
            rate = arrivals.calibrate(self.times.turn);
            arrivals.end(rate);
        }
        assert_eq!(self.client.delete(&uploaded).unwrap().status, 204);
    }

    fn break_something(&mut self) {
        let broken = BROKEN_CALLS[self.faults % BROKEN_CALLS.len()];
        fs::write(self.control, broken.text()).unwrap();
        std::thread::sleep(BROKEN);
        fs::remove_file(self.control).unwrap();
        self.faults += 1;
        if let Some(layer) = self.layer.filter(|layer| self.faults % 2 == 1 && !layer.is_pending()) {
            layer.lose(if self.faults % 4 == 1 { Loss::Submit } else { Loss::Wait });
            self.losses += 1;
        }
    }
}

/// What the device came to: it was lost as often as it was told to be, and nobody had to wait for another.
fn report_device(server: &Server, layer: &Layer, told: u32) {
    // The last one may not have met a batch.
    let told = told - u32::from(layer.is_pending());
    let mut client = server.client();
    eventually("the device to be back", 120, || client.metrics().unwrap()[HEALTHY] > 0.0);
    let said = client.metrics().unwrap();
    let jobs = |engine: &str| said[&format!("glimt_engine_jobs_total{{engine=\"{engine}\"}}")];
    let back = server.log().matches("the device is back").count();
    println!(
        "soak: the device was lost {} times and was back {back} times; it did {} jobs, {} that it had were done again by the cpu engine, and \
         {} that came meanwhile",
        said[LOST],
        jobs("software"),
        said[RECOVERED],
        said[UNAVAILABLE],
    );
    assert!(told > 0 && said[LOST] >= f64::from(told), "it was told {told} times");
    assert!(back > 0 && jobs("software") > 0.0 && said[RECOVERED] > 0.0 && said[UNAVAILABLE] > 0.0);
}

#[test]
fn a_long_run_with_faults_loses_nothing_and_holds_on_to_nothing() {
    let Some(library) = shim() else { return };
    let minutes = number("MINUTES", 0);
    let times = Times::new(minutes);
    let home = home();
    let layer = Layer::new(home.path());
    let (data, control, fired) = (home.path().join("data"), home.path().join("control"), home.path().join("fired"));
    fs::create_dir(&data).unwrap();
    let data = data.canonicalize().unwrap();
    let mut server = Server::start_with(&data, |command| {
        shim::load(command, library, &data);
        if let Some(layer) = &layer {
            layer.load(command);
        }
        command.env("SHIM_CONTROL", &control).env("SHIM_FIRED", &fired).env("RUST_LOG", "warn,glimt=info");
    });
    let mut trouble = Trouble {
        server: &server,
        control: &control,
        layer: layer.as_ref(),
        client: server.client(),
        times,
        begun: Instant::now(),
        samples: Vec::new(),
        faults: 0,
        losses: 0,
    };
    let idle = sample(&server, &mut server.client(), Instant::now());
    let arrivals = Arrivals::new();
    let mut ledger = std::thread::scope(|scope| {
        let (addr, arrivals) = (server.addr(), &arrivals);
        let clients: Vec<_> = (1..=CLIENTS).map(|number| scope.spawn(move || act(addr, number, arrivals))).collect();
        trouble.make(arrivals);
        arrivals.stop();
        Ledger::merge(clients.into_iter().map(|client| client.join().unwrap()))
    });
    let Trouble { samples, faults, losses, .. } = trouble;
    ledger.is_clean("while it ran");
    assert!(server.is_alive() && server.client().is_ready(), "{}", server.log());
    ledger.check(&mut server.client(), &mut Random::new(1), usize::MAX);
    ledger.is_clean("after the run");
    let calls = fs::read_to_string(&fired).unwrap_or_default().lines().count();
    println!("soak: {:?}, {faults} faults, {calls} calls failed", times.length);
    let share = arrivals.report(LOAD);
    println!("soak: {}", ledger.shown());
    report(&samples);
    if let Some(layer) = &layer {
        report_device(&server, layer, losses);
    }
    // What clients and faults took is given back.
    eventually("handles to come back", 120, || {
        sample(&server, &mut server.client(), Instant::now()).handles <= idle.handles + 10.0
    });
    server.stop();
    let server = Server::start(&data);
    ledger.settles_on_disk(&data);
    // All were asked about above: some again.
    ledger.check(&mut server.client(), &mut Random::new(1), 2000);
    ledger.is_clean("after a start");
    server.stop();
    assert!(calls > 0, "no call failed");
    // In a few seconds on a machine with other work it says little.
    assert!(minutes == 0 || share > 0.9, "of what it was to bear it bore {share}");
}

#[test]
fn a_slope_is_a_slope() {
    let line: Vec<_> = (0..9).map(f64::from).map(|x| (x, 3.0 - 2.0 * x)).collect();
    assert!((slope(&line) + 2.0).abs() < 1e-9);
    let noisy = [(0.0, 1.0), (1.0, 0.0), (2.0, 1.0), (3.0, 0.0)];
    assert!((slope(&noisy) + 0.2).abs() < 1e-9);
}
