//! A mixed load where `auto` decides, against the same load all on the cpu engine and all on the device. The device is
//! simulated, so that its speed can be chosen: it sleeps as long as an adapter of that bandwidth and latency would be busy. Where
//! there is hardware it is measured too.
//!
//! `cargo bench --bench route`. Prints one table: ratios first. A ratio is the time of `auto` over that of the better engine, in
//! one run, the three taken in turn; over 1.10 is a fault.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use glimt::pixels::exec::SimulatedAdapter;
use glimt::pixels::{Backend, EngineOptions, Engines, Layout, Op, Pixmap, Plan, PlanLimits, Size, exec};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Rounds of each; medians are printed.
const ROUNDS: usize = 3;

/// Jobs of a round: so many that the last one, which may run alone, is a small part of it.
const JOBS: usize = 600;

/// A device that takes so many times as long as the cpu engine in the first round is not the better engine: it has no more rounds.
const FAR_BEHIND: f64 = 3.0;

/// What people ask for: mostly thumbnails, of small and of large pictures, and some blurs.
fn load() -> Outcome<Vec<(Plan, usize)>> {
    let sizes = [(320, 240), (800, 600), (1600, 1200), (4000, 3000)].map(|(width, height)| Size::new(width, height));
    let mut jobs = Vec::new();
    for at in 0..JOBS {
        let source = [0, 1, 1, 2, 0, 1, 2, 3].get(at % 8).copied().unwrap_or(0);
        let ops: &[Op] = match at % 5 {
            0 | 3 => &[Op::fit(256)],
            1 => &[Op::fit(128)],
            2 => &[Op::fit(400), Op::Blur { sigma: 3.0 }],
            // On smaller pictures only: seconds of a core otherwise.
            _ if source < 2 => &[Op::Blur { sigma: 5.0 }],
            _ => &[Op::fit(640)],
        };
        let size = sizes.get(source).copied().ok_or("a size")?;
        jobs.push((Plan::new(ops, size, &PlanLimits::default())?, source));
    }
    Ok(jobs)
}

fn picture(size: Size) -> Outcome<Pixmap> {
    let data = (0..size.pixels() * 3).map(|at| u8::try_from(at * 31 % 251).unwrap_or(0)).collect();
    Ok(Pixmap::new(size.width, size.height, Layout::Rgb, data)?)
}

/// The time of the whole load with so many callers.
fn round(engines: &Engines, jobs: &[(Plan, usize)], pictures: &[Pixmap], callers: usize) -> Outcome<Duration> {
    let next = AtomicUsize::new(0);
    let call = || {
        while let Some((plan, source)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(image) = pictures.get(*source) else { return false };
            if exec::run(plan, image, engines).is_err() {
                return false;
            }
        }
        true
    };
    let started = Instant::now();
    let done = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for at in 0..callers {
            threads.push(std::thread::Builder::new().name(format!("caller-{at}")).spawn_scoped(scope, call)?);
        }
        Ok::<bool, std::io::Error>(threads.into_iter().all(|thread| thread.join().unwrap_or(false)))
    })?;
    if done { Ok(started.elapsed()) } else { Err("a job failed".into()) }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}

fn compare(name: &str, cpu: &Engines, device: &Engines, auto: &Engines) -> Outcome<()> {
    let jobs = load()?;
    let mut pictures = Vec::new();
    for (width, height) in [(320, 240), (800, 600), (1600, 1200), (4000, 3000)] {
        pictures.push(picture(Size::new(width, height))?);
    }
    for callers in [1, 2, 8] {
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        let before = auto.stats();
        for _ in 0..ROUNDS {
            for (engines, at) in [cpu, device, auto].into_iter().zip(0..) {
                let [on_cpu, on_device, _] = &times;
                let is_behind = median(on_device.clone()) > FAR_BEHIND * median(on_cpu.clone());
                if let Some(times) = times.get_mut(at).filter(|_| at != 1 || !is_behind) {
                    times.push(round(engines, &jobs, &pictures, callers)?);
                }
            }
        }
        let [cpu_secs, device_secs, auto_secs] = times.map(median);
        let stats = auto.stats();
        let (to_device, all) = (stats.device - before.device, (ROUNDS * JOBS) as u64);
        println!(
            "| {:.2} | {name} | {callers} | {cpu_secs:.2} | {device_secs:.2} | {auto_secs:.2} | {} % |",
            auto_secs / cpu_secs.min(device_secs),
            to_device * 100 / all
        );
    }
    Ok(())
}

fn measured() -> Outcome<()> {
    let cpu = Engines::start(Backend::Cpu, &EngineOptions::default())?;
    println!("| auto / better | device | callers | cpu, s | device, s | auto, s | auto sends to the device |");
    println!("|---|---|---|---|---|---|---|");
    let adapters = [
        ("discrete: 12 GB/s, 0.1 ms", 12e9, 100, 5e10),
        ("integrated: 8 GB/s, 0.3 ms", 8e9, 300, 4e9),
        ("slow: 2 GB/s, 1 ms", 2e9, 1000, 1e9),
        ("far: 0.3 GB/s, 20 ms", 3e8, 20_000, 5e10),
    ];
    for (name, bytes_a_sec, latency_micros, multiply_adds_a_sec) in adapters {
        let latency = Duration::from_micros(latency_micros);
        let adapter = SimulatedAdapter { latency, bytes_a_sec, multiply_adds_a_sec };
        let [device, auto] = [Backend::Gpu, Backend::Auto].map(|backend| Engines::simulated(backend, adapter));
        compare(name, &cpu, &device, &auto)?;
    }
    match Engines::start(Backend::Gpu, &EngineOptions::default()) {
        Ok(device) => {
            let auto = Engines::start(Backend::Auto, &EngineOptions::default())?;
            compare(&device.describe(), &cpu, &device, &auto)?;
        }
        Err(error) => println!("no hardware here: {error}"),
    }
    Ok(())
}

fn main() {
    if let Err(error) = measured() {
        eprintln!("the bench could not run: {error}");
    }
}
