//! `GET /internal/overview`: how the server is, for the page's operator view. What `/metrics` has, as JSON, and what went wrong lately.

use axum::{Json, extract::State};
use serde::Serialize;

use super::{
    Wired,
    error::Problem,
    health::Device,
    metrics::Scrape,
    watched::{Failure, Route},
};
use crate::{
    service::{cache::Eviction, gates::GateStats},
    store::Class,
    timing::{BOUNDS_MICROS, BUCKETS, Latency, bounds_secs},
};

/// The answer. The keys stand in alphabetical order, as everywhere.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    cache: Cache,
    engine: Engine,
    errors: Vec<Failure>,
    gates: Vec<Held>,
    latency: Latencies,
    memory: Memory,
    msg: &'static str,
    pool: Pool,
    stored: Vec<Stored>,
    uptime_secs: u64,
    version: &'static str,
}

/// The variants that are kept, and how often one was found.
#[derive(Debug, Serialize)]
struct Cache {
    disk: Tier,
    evicted_age: u64,
    evicted_size: u64,
    /// Whether all that an earlier run left has been counted.
    is_counted: bool,
    memory: Tier,
}

#[derive(Debug, Serialize)]
struct Tier {
    bytes: u64,
    hits: u64,
    limit_bytes: u64,
    misses: u64,
    variants: u64,
}

#[derive(Debug, Serialize)]
struct Engine {
    chosen: &'static str,
    cpu_jobs: u64,
    description: String,
    device: Device,
    device_jobs: u64,
    rebuilds: u64,
    vram_bytes: u64,
}

/// A gate: how many are inside.
#[derive(Debug, Serialize)]
struct Held {
    gate: &'static str,
    held: u64,
    limit: u64,
    refused: u64,
}

#[derive(Debug, Serialize)]
struct Latencies {
    bounds_secs: [f64; BOUNDS_MICROS.len()],
    routes: Vec<Times>,
}

/// How long the answers of a route took: how many were under each bound, and over the last.
#[derive(Debug, Serialize)]
struct Times {
    counts: [u64; BUCKETS],
    route: &'static str,
    sum_secs: f64,
}

#[derive(Debug, Serialize)]
struct Memory {
    granted_bytes: u64,
    limit_bytes: u64,
}

/// The threads that work on pictures.
#[derive(Debug, Serialize)]
struct Pool {
    expected_wait_secs: f64,
    max_wait_secs: f64,
    running: u64,
    waiting: u64,
    workers: u64,
}

/// What lies on the disk of one class.
#[derive(Debug, Serialize)]
struct Stored {
    bytes: u64,
    class: &'static str,
    files: u64,
}

impl From<GateStats> for Held {
    fn from(GateStats { gate, held, limit, refused }: GateStats) -> Self {
        Self { gate: gate.name(), held, limit, refused }
    }
}

impl Latencies {
    fn new(latencies: &[Latency; Route::ALL.len()]) -> Self {
        let routes = Route::ALL.into_iter().zip(latencies).map(|(route, latency)| Times {
            counts: latency.counts,
            route: route.name(),
            sum_secs: latency.sum.as_secs_f64(),
        });
        Self { bounds_secs: bounds_secs(), routes: routes.collect() }
    }
}

/// How the server is.
#[utoipa::path(
    get,
    path = "/internal/overview",
    tag = "internal",
    responses((status = 200, content_type = "application/json", body = Object, description = "how the server is, for the page; it may have more with each version"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value")),
    security(("api_key" = []))
)]
pub(super) async fn overview(State(wired): State<Wired>) -> Json<Overview> {
    let scrape = Scrape::new(&wired);
    let Scrape { jobs, vram, pool, cache, hot, held, .. } = &scrape;
    let variants = wired.app.store.usage().of(Class::Variant);
    let evicted = |why: Eviction| cache.evicted.get(why as usize).copied().unwrap_or_default();
    let workers = wired.app.pool.workers() as u64;
    // A job has a thread when there is one: those past the threads wait.
    let running = (scrape.in_flight as u64).min(workers);
    Json(Overview {
        cache: Cache {
            disk: Tier {
                bytes: variants.bytes,
                hits: cache.hits,
                limit_bytes: scrape.cache_limit_bytes,
                misses: cache.misses,
                variants: variants.files,
            },
            evicted_age: evicted(Eviction::Age),
            evicted_size: evicted(Eviction::Size),
            is_counted: cache.is_counted,
            memory: Tier {
                bytes: hot.bytes,
                hits: hot.hits,
                limit_bytes: hot.limit_bytes,
                misses: hot.misses,
                variants: hot.copies,
            },
        },
        engine: Engine {
            chosen: scrape.engine.name(),
            cpu_jobs: jobs.cpu,
            description: scrape.description.clone(),
            device: Device::of(&wired.app.engines),
            device_jobs: jobs.device,
            rebuilds: jobs.rebuilds,
            vram_bytes: vram.reserved_bytes.saturating_add(vram.idle_bytes),
        },
        errors: wired.watched.failures(),
        gates: scrape.gates.into_iter().chain([pool.queue]).map(Held::from).collect(),
        latency: Latencies::new(&scrape.latencies),
        memory: Memory { granted_bytes: pool.granted_bytes, limit_bytes: pool.memory_limit_bytes },
        msg: "ok",
        pool: Pool {
            expected_wait_secs: pool.expected_wait.as_secs_f64(),
            max_wait_secs: pool.max_wait.as_secs_f64(),
            running,
            waiting: (scrape.in_flight as u64).saturating_sub(running),
            workers,
        },
        stored: Class::ALL
            .into_iter()
            .zip(held)
            .map(|(class, held)| Stored { bytes: held.bytes, class: class.name(), files: held.files })
            .collect(),
        uptime_secs: wired.watched.uptime().as_secs(),
        version: env!("CARGO_PKG_VERSION"),
    })
}
