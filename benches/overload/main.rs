//! Four times the load that the server can carry: what comes of throughput, refusals, hits, memory, and of the time after.
//!
//! `cargo bench --bench overload [-- --server FILE] [ARGS OF THE SERVER]` runs the real server on loopback, asks it for thumbnails that nobody
//! has asked for before, and does so in turn at its peak (twice as many clients as workers, each with one request at a time)
//! and at four times that rate, whatever comes back (an open loop: nobody waits for an answer before the next one is sent). Then every client leaves
//! at once and the server is asked again. A last turn has 256 clients that ask again the moment they are refused, which is no load at all but all that
//! there can be. `--server` is another build to hold it against. Linux only.
//!
//! Client and server share the cores: what the client takes the server does not have, so it is one thread that
//! writes and reads bytes, and says how late it was itself. `cores` is what the server had at its peak and at overload, and `a core` the
//! ratio of what it made a second of those.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

mod client;
#[path = "../common/server.rs"]
#[expect(dead_code, reason = "another benchmark asks more of it")]
mod server;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use client::{Load, Seen, closed_loop, open_loop, percentile};
use server::{Outcome, Server, made};

const ROUNDS: usize = 3;
const PEAK: Duration = Duration::from_secs(6);
const OVERLOAD: Duration = Duration::from_secs(8);
const AFTER: Duration = Duration::from_secs(2);
const STORM: Duration = Duration::from_secs(4);
const TIMES: f64 = 4.0;
const STORM_CLIENTS: usize = 256;

/// The photos of the corpus, or two made here.
fn photos() -> Outcome<Vec<Vec<u8>>> {
    let corpus = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus/photos"));
    if corpus.try_exists()? {
        let mut files: Vec<PathBuf> = fs::read_dir(corpus)?.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "jpg"));
        files.sort();
        return files.iter().map(|file| Ok(fs::read(file)?)).collect();
    }
    Ok(vec![made(4032, 3024)?, made(2000, 1500)?])
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// What one turn at overload came to.
struct Round {
    /// Thumbnails a second, at the peak, at overload and (`after`) in the seconds behind it.
    peak: f64,
    goodput: f64,
    /// Of the processor the server had so much, at the peak and at overload: the rest went to the client.
    cores: [f64; 2],
    after: f64,
    seen: Seen,
    /// From the leaving of all clients to the first thumbnail.
    recovery: Duration,
    /// How many were refused until then, 5 ms apart.
    refused_after: u32,
}

async fn round(server: &Server, load: &Load) -> Outcome<Round> {
    let clients = 2 * std::thread::available_parallelism()?.get();
    let before = server.cpu_nanos()?;
    let peak = closed_loop(server.addr(), load, clients, PEAK).await?.goodput();
    let between = server.cpu_nanos()?;
    let seen = open_loop(server.addr(), load, TIMES * peak, OVERLOAD).await?;
    let cores = |nanos: u64, time: Duration| Duration::from_nanos(nanos).as_secs_f64() / time.as_secs_f64();
    let cores = [cores(between - before, PEAK), cores(server.cpu_nanos()? - between, OVERLOAD)];
    // All connections are gone by now, and what they asked for is nobody's.
    let began = Instant::now();
    let refused_after = client::until_served(server.addr(), load).await?;
    let recovery = began.elapsed();
    let after = closed_loop(server.addr(), load, clients, AFTER).await?.goodput();
    Ok(Round { peak, goodput: seen.goodput(), cores, after, seen, recovery, refused_after })
}

async fn run() -> Outcome<()> {
    let mut args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let mut program = PathBuf::from(env!("CARGO_BIN_EXE_glimt"));
    if let Some(at) = args.iter().position(|arg| arg == "--server") {
        args.remove(at);
        program = PathBuf::from(if at < args.len() { args.remove(at) } else { return Err("--server FILE".into()) });
    }
    let photos = photos()?;
    let mut flags = vec!["--backend", "cpu"];
    flags.extend(args.iter().map(String::as_str));
    let server = Server::of(&program, &flags)?;
    let files = photos.iter().map(|photo| server.upload(photo)).collect::<Outcome<Vec<_>>>()?;
    let load = Load::new(files);
    println!("{} photos, server {args:?}; at rest {} MiB", photos.len(), server.memory("VmRSS")? >> 20);
    println!(
        "{:>5} {:>9} {:>9} {:>6} {:>13} {:>9} {:>9} {:>15} {:>15} {:>15} {:>9} {:>8} {:>9} {:>9} {:>9}",
        "turn",
        "peak/s",
        "4 x /s",
        "ratio",
        "cores",
        "a core",
        "refused/s",
        "refused p50/p99",
        "hit p50/p99",
        "late p50/p99",
        "served p99",
        "errors",
        "recovers",
        "after",
        "peak MiB"
    );
    closed_loop(server.addr(), &load.for_warm_up(), 4, Duration::from_secs(1)).await?;
    let mut ratios = Vec::new();
    for turn in 1..=ROUNDS {
        let mut done = round(&server, &load).await?;
        let ratio = done.goodput / done.peak;
        ratios.push(ratio);
        let both = |times: &mut Vec<Duration>| {
            format!("{:.1} / {:.1}", millis(percentile(times, 500)), millis(percentile(times, 990)))
        };
        println!(
            "{turn:>5} {:>9.1} {:>9.1} {ratio:>6.2} {:>13} {:>9.2} {:>9.1} {:>12} ms {:>12} ms {:>12} ms {:>6.0} ms {:>8} {:>6.1} ms {:>9.2} {:>9}",
            done.peak,
            done.goodput,
            format!("{:.2} / {:.2}", done.cores[0], done.cores[1]),
            ratio * done.cores[0] / done.cores[1],
            done.seen.refused.len() as f64 / OVERLOAD.as_secs_f64(),
            both(&mut done.seen.refused),
            both(&mut done.seen.hits),
            both(&mut done.seen.late),
            millis(percentile(&mut done.seen.served, 990)),
            done.seen.errors.len(),
            millis(done.recovery),
            done.after / done.peak,
            server.memory("VmHWM")? >> 20,
        );
        if done.refused_after > 0 {
            println!("      refused {} times after all had left", done.refused_after);
        }
        if let Some(error) = done.seen.errors.first() {
            println!("      an error: {error}");
        }
    }
    let mut storm = closed_loop(server.addr(), &load, STORM_CLIENTS, STORM).await?;
    println!(
        "storm of {STORM_CLIENTS} clients: {:.1}/s, refused {:.0}/s at p99 {:.1} ms, {} errors",
        storm.goodput(),
        storm.refused.len() as f64 / STORM.as_secs_f64(),
        millis(percentile(&mut storm.refused, 990)),
        storm.errors.len(),
    );
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}; peak memory {} MiB", ratios[ROUNDS / 2], server.memory("VmHWM")? >> 20);
    let names = ["glimt_gate_refusals_total{", "glimt_pool_waited", "glimt_pool_jobs_begun"];
    println!("{}", server.metrics(&names)?);
    Ok(())
}

fn main() -> Outcome<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
}
