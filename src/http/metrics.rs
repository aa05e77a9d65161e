//! `GET /metrics`: where jobs went and why, in Prometheus' text format. Answers while every queue is full, and is as open
//! as `/healthz`: it names engine, adapter and driver, and tells nothing of pictures or of who sends them.
//!
//! Nothing is counted here. The parts keep their own counts, and a scrape reads them once, into a [`Scrape`]. Another
//! metric is a field there and a line in its [`Collector::encode`].

use std::{fmt, time::Duration};

use axum::{
    extract::State,
    http::{HeaderName, header::CONTENT_TYPE},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, prometheus_text},
    registry::{Registry, Unit},
};
use tokio::runtime::Handle;

use self::page::Page;
use super::{
    Wired,
    error::{ApiError, Problem},
    hot::HotStats,
    watched::{CLASSES, Route},
};
use crate::{
    app::App,
    pixels::{
        Backend,
        exec::{Stats, route::Decision},
        gpu::VramStats,
    },
    service::{
        cache::{CacheStats, Eviction},
        gates::GateStats,
        late::Reason,
        pool::PoolStats,
        proxies::Outcome,
    },
    store::{Class, Held},
    timing::{Latency, Stage},
};

mod gates;
mod page;

/// Stands in front of every name.
const PREFIX: &str = "glimt";

/// All metrics.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    responses((status = 200, content_type = "text/plain", body = String, description = "for Prometheus"), (status = "default", body = Problem, description = "what was wrong, as a code and a sentence with limit and value"))
)]
pub(super) async fn metrics(State(wired): State<Wired>) -> Result<([(HeaderName, &'static str); 1], String), ApiError> {
    let scrape = Scrape::new(&wired);
    let text = scrape.text().map_err(|error| ApiError::internal(format!("the metrics: {error}")))?;
    Ok(([(CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text))
}

/// What the parts know, read once.
#[derive(Clone, Debug)]
pub(super) struct Scrape {
    pub(super) engine: Backend,
    pub(super) description: String,
    pub(super) healthy: bool,
    pub(super) jobs: Stats,
    pub(super) decisions: Vec<Decision>,
    pub(super) vram: VramStats,
    pub(super) sent: u64,
    pub(super) submissions: u64,
    pub(super) computed: Duration,
    pub(super) in_flight: usize,
    /// Tasks that tokio has.
    tasks: usize,
    pub(super) gates: [GateStats; 4],
    pub(super) pool: PoolStats,
    /// Variants refused because of their picture, and because of all.
    pub(super) quota: [u64; 2],
    /// Since the start, and those of them that have not ended.
    pub(super) given_up: (u64, usize),
    /// AVIFs under way, and answers of something else by reason.
    pub(super) late: (usize, [u64; 3]),
    /// Decoders in processes of their own, by what became of them.
    decoders: [(&'static str, u64); 6],
    pub(super) cache: CacheStats,
    pub(super) cache_limit_bytes: u64,
    pub(super) hot: HotStats,
    /// What became of proxies, in the order of [`Outcome::ALL`].
    pub(super) proxies: [u64; Outcome::ALL.len()],
    /// What is stored, in the order of [`Class::ALL`].
    pub(super) held: [Held; Class::ALL.len()],
    /// How long answers took, in the order of [`Route::ALL`].
    pub(super) latencies: [Latency; Route::ALL.len()],
    /// What each stage took, in the order of [`Stage::ALL`].
    stages: [Latency; Stage::ALL.len()],
    /// Answers by class of status, in the order of [`Route::ALL`].
    pub(super) statuses: [[u64; CLASSES.len()]; Route::ALL.len()],
}

/// What the stages took, in all parts of the server together.
fn stages(app: &App) -> [Latency; Stage::ALL.len()] {
    let parts = [app.pool.stages().read(), app.engines.stages(), app.store.usage().stages().read()];
    parts.into_iter().fold(Default::default(), |all: [Latency; Stage::ALL.len()], part| {
        std::array::from_fn(|stage| all[stage].with(&part[stage]))
    })
}

impl Scrape {
    pub(super) fn new(wired: &Wired) -> Self {
        let app = &wired.app;
        let (engines, pool) = (&app.engines, &app.pool);
        let (sent, submissions) = engines.batches();
        Self {
            engine: engines.chosen(),
            description: engines.describe(),
            healthy: engines.is_healthy(),
            jobs: engines.stats(),
            decisions: engines.decisions(),
            vram: engines.vram(),
            sent,
            submissions,
            computed: engines.computed(),
            in_flight: pool.in_flight(),
            tasks: Handle::try_current().map_or(0, |runtime| runtime.metrics().num_alive_tasks()),
            gates: [&app.gates.connections, &app.gates.requests, &app.gates.uploads, &app.gates.backgrounded]
                .map(|gate| gate.stats()),
            pool: pool.stats(),
            quota: app.process.refused(),
            given_up: pool.given_up(),
            late: app.process.late(),
            decoders: app.process.decoders(),
            cache: app.cache.stats(),
            cache_limit_bytes: app.cache.limit_bytes(),
            hot: wired.hot.stats(),
            proxies: app.proxies.outcomes(),
            held: Class::ALL.map(|class| app.store.usage().of(class)),
            latencies: wired.watched.latencies(),
            stages: stages(app),
            statuses: wired.watched.statuses(),
        }
    }

    /// The page.
    fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self { jobs, vram, .. } = self;
        let mut page = Page(encoder);
        let engine = [("engine", self.engine.name()), ("description", &self.description)];
        page.info("engine", "The engine that was chosen at start, its adapter and its driver", &engine)?;
        page.info("build", "The version that runs", &[("version", env!("CARGO_PKG_VERSION"))])?;

        page.gauge("tasks_alive", "Tasks that have begun and not ended, as tokio counts them", self.tasks as u64)?;
        page.gauge("pool_jobs", "Jobs that run or wait for a thread", self.in_flight as u64)?;
        let (abandoned, lost) = self.given_up;
        let help = "Jobs that went on after their time and were given up";
        page.counter("pool_abandoned_jobs", help, abandoned)?;
        page.gauge("pool_lost_threads", "Threads whose job was given up and has not ended", lost as u64)?;

        gates::encode(&mut page, &self.gates, &self.pool, self.quota)?;

        let (under_way, answered) = self.late;
        page.gauge("avif_jobs", "AVIFs that are being made or wait for a thread", under_way as u64)?;
        let fallbacks: Vec<(&str, u64)> = Reason::ALL.map(Reason::name).into_iter().zip(answered).collect();
        let help = "Requests for an AVIF that were answered with a WebP, by reason";
        page.counters("avif_fallbacks", help, "reason", &fallbacks)?;

        let help = "Time from a request to the head of its answer, by what it was for";
        page.histograms("request", help, "route", Route::ALL.map(Route::name).into_iter().zip(&self.latencies))?;
        let help = "Time of each stage that pictures go through: waiting for a thread (queue) and for memory, decoding, to the device (upload), \
            on it (gpu), back from it (readback), on the cpu engine (cpu), encoding, to the disk (store); frames of animations are encoded as \
            they are decoded, and are all encode";
        page.histograms("stage", help, "stage", Stage::ALL.map(Stage::name).into_iter().zip(&self.stages))?;
        let help = "Decoders in processes of their own, by what became of them: done, what they said is wrong with the file (refused), \
            crashed, killed at the deadline (timed_out), killed because nobody waited any more (stopped), not started";
        page.counters("sandbox_decodes", help, "outcome", &self.decoders)?;

        let by_class = |(route, counts): (Route, [u64; CLASSES.len()])| {
            let label = move |(class, count)| ([("route", route.name()), ("status", class)], count);
            CLASSES.into_iter().zip(counts).map(label)
        };
        let responses: Vec<_> = Route::ALL.into_iter().zip(self.statuses).flat_map(by_class).collect();
        page.families("responses", "Answers, by what the request was for and the class of their status", &responses)?;

        self.stored(&mut page)?;
        // A device that is not there has no jobs; what is on the cpu engine for want of it is told by reason below.
        let by_engine = [(self.engine.name(), jobs.device), (Backend::Cpu.name(), jobs.cpu)];
        let by_engine = if self.engine == Backend::Cpu { &by_engine[1..] } else { &by_engine[..] };
        page.counters("engine_jobs", "Jobs that were done, by the engine that did them", "engine", by_engine)?;
        let missed = [
            ("busy", jobs.busy),
            ("recovered", jobs.recovered),
            ("sooner", jobs.sooner),
            ("too_large", jobs.too_large),
            ("unavailable", jobs.unavailable),
        ];
        let help = "Jobs for the device that it did not do: those of reason busy were refused, the cpu engine did the \
            others, because it was expected to be done sooner, or the device had failed with them (recovered), does not take their \
            size, or was away";
        page.counters("device_missed_jobs", help, "reason", &missed)?;
        self.decisions(&mut page)?;

        page.gauge(
            "device_healthy",
            "1 while the chosen engine works, 0 while its device is away",
            self.healthy.into(),
        )?;
        page.counter("device_rebuilds", "Times the device was thrown away and built again", jobs.rebuilds)?;
        page.counter("device_jobs", "Jobs that were sent to the device", self.sent)?;
        page.counter("device_submissions", "Submissions that took those jobs to the device", self.submissions)?;
        let help = "Time that the device computed, by its own timestamps";
        page.seconds("device_computed", help, self.computed)?;
        page.bytes("device_reserved", "Device memory promised to jobs", vram.reserved_bytes)?;
        page.bytes(
            "device_lent",
            "Device memory of buffers that jobs hold, part of what is promised",
            vram.lent_bytes,
        )?;
        page.bytes("device_idle", "Device memory of buffers kept for the next job", vram.idle_bytes)?;
        page.counter("device_buffers_created", "Buffers made since the device was opened", vram.created)
    }
}

impl Scrape {
    /// What lies on the disk, and what the cache of variants does.
    fn stored(&self, page: &mut Page<'_>) -> fmt::Result {
        let by_class = |of: fn(&Held) -> u64| Class::ALL.map(Class::name).into_iter().zip(self.held.iter().map(of));
        let bytes: Vec<(&str, u64)> = by_class(|held| held.bytes).collect();
        let help =
            "Bytes on the disk by class; those of an earlier run are counted in the first moments after the start";
        page.gauges("stored", Some(&Unit::Bytes), help, "class", &bytes)?;
        let files: Vec<(&str, u64)> = by_class(|held| held.files).collect();
        page.gauges("stored_files", None, "Files on the disk by class", "class", &files)?;
        page.bytes("cache_limit", "Bytes that variants may have on the disk", self.cache_limit_bytes)?;
        let help = "1 once all files of earlier runs are counted";
        page.gauge("cache_counted", help, self.cache.is_counted.into())?;
        let tiers = |memory, disk| [("memory", memory), ("disk", disk)];
        let hits = tiers(self.hot.hits, self.cache.hits);
        let help = "Variants that were found, by tier; in memory small originals too";
        page.counters("cache_hits", help, "tier", &hits)?;
        let misses = tiers(self.hot.misses, self.cache.misses);
        let help = "Variants that were not found, by tier: those not in memory are looked for on the disk, if the picture is there";
        page.counters("cache_misses", help, "tier", &misses)?;
        page.bytes("hot_cache", "Bytes of variants and small originals in memory", self.hot.bytes)?;
        page.bytes("hot_cache_limit", "Bytes that variants may have in memory", self.hot.limit_bytes)?;
        page.gauge("hot_cache_variants", "Variants and small originals in memory", self.hot.copies)?;
        let help = "Variants that were answered and are not stored yet";
        page.gauge("cache_pending_writes", help, self.cache.on_their_way as u64)?;
        let help = "Variants that were answered and could not be stored";
        page.counter("cache_failed_writes", help, self.cache.not_kept)?;
        let evicted: Vec<(&str, u64)> = Eviction::ALL.map(Eviction::name).into_iter().zip(self.cache.evicted).collect();
        let help = "Variants deleted because there were too many bytes (size), or because nobody asked for them (age)";
        page.counters("cache_evictions", help, "reason", &evicted)?;
        let proxies: Vec<(&str, u64)> = Outcome::ALL.map(Outcome::name).into_iter().zip(self.proxies).collect();
        let help = "Proxies that variants were made from (used), that were made, and that were not for use or not kept, and why";
        page.counters("proxies", help, "outcome", &proxies)
    }

    /// Where auto sent jobs, by their kind. Nothing where there is one engine, or one was asked for by name.
    fn decisions(&self, page: &mut Page<'_>) -> fmt::Result {
        if self.decisions.is_empty() {
            return Ok(());
        }
        let names = [Backend::Cpu.name(), self.engine.name()];
        let counts = |of: fn(&Decision) -> [u64; 2]| rows(&self.decisions, names, |its| of(its).map(Some));
        let numbers = |of: fn(&Decision) -> [Option<f64>; 2]| rows(&self.decisions, names, of);
        page.families("route_jobs", "Jobs that auto sent to an engine", &counts(|its| its.jobs))?;
        let help = "Jobs that auto sent to the slower engine to have it measured, part of those sent to it";
        page.families("route_explored_jobs", help, &counts(|its| its.explored))?;
        let help = "Mean of measured over predicted time, recent jobs weighing most";
        page.numbers("route_correction_ratio", help, &numbers(|its| its.corrections))?;
        page.numbers("route_last_job_seconds", "How long the last job took", &numbers(|its| its.last_secs))
    }
}

/// A row for each kind of job and engine that has a value.
fn rows<'d, T>(
    decisions: &'d [Decision],
    engines: [&'static str; 2],
    of: impl Fn(&Decision) -> [Option<T>; 2],
) -> Vec<([(&'static str, &'d str); 2], T)> {
    let mut rows = Vec::new();
    for decision in decisions {
        for (engine, value) in engines.into_iter().zip(of(decision)) {
            rows.extend(value.map(|value| ([("kind", decision.kind.as_str()), ("engine", engine)], value)));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        service::{gates::Gate, pool::Waited},
        timing::BUCKETS,
    };

    fn stats(gate: Gate, first: u64) -> GateStats {
        GateStats { gate, held: first, limit: first + 1, refused: first + 2 }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a line for each of them")]
    fn every_count_stands_under_its_own_name() {
        let scrape = Scrape {
            engine: Backend::Gpu,
            description: "gpu: a \"card\"".to_owned(),
            healthy: false,
            jobs: Stats {
                device: 1,
                cpu: 2,
                sooner: 15,
                too_large: 3,
                unavailable: 4,
                recovered: 5,
                busy: 6,
                rebuilds: 7,
            },
            decisions: vec![Decision {
                kind: "small".to_owned(),
                jobs: [16, 17],
                explored: [18, 19],
                corrections: [Some(0.5), None],
                last_secs: [Some(2.5), None],
            }],
            vram: VramStats { reserved_bytes: 8, lent_bytes: 9, idle_bytes: 10, created: 11 },
            sent: 12,
            submissions: 13,
            computed: Duration::from_millis(1500),
            in_flight: 14,
            tasks: 17,
            gates: [(Gate::Connections, 40), (Gate::Requests, 50), (Gate::Uploads, 60), (Gate::Backgrounded, 65)]
                .map(|(gate, first)| stats(gate, first)),
            pool: PoolStats {
                queue: stats(Gate::Queue, 70),
                refused_wait: 80,
                refused_memory: 81,
                expected_wait: Duration::from_millis(82),
                max_wait: Duration::from_secs(83),
                granted_bytes: 84,
                memory_limit_bytes: 85,
                waited: Waited { begun: 86, queue: Duration::from_secs(87), memory: Duration::from_secs(88) },
            },
            quota: [89, 90],
            given_up: (15, 16),
            late: (20, [21, 22, 23]),
            decoders: [
                ("done", 91),
                ("refused", 92),
                ("crashed", 93),
                ("timed_out", 94),
                ("stopped", 95),
                ("not_started", 96),
            ],
            cache: CacheStats {
                hits: 24,
                misses: 25,
                evicted: [26, 27],
                on_their_way: 38,
                not_kept: 39,
                is_counted: true,
            },
            cache_limit_bytes: 28,
            hot: HotStats { hits: 33, misses: 34, copies: 35, bytes: 36, limit_bytes: 37 },
            proxies: [40, 41, 42, 43, 44, 45, 46],
            held: [Held { files: 29, bytes: 30 }, Held { files: 31, bytes: 32 }, Held { files: 38, bytes: 39 }],
            latencies: std::array::from_fn(|route| Latency {
                counts: std::array::from_fn(|bucket| (100 * route + bucket) as u64),
                sum: Duration::from_millis(250 * route as u64),
            }),
            stages: std::array::from_fn(|stage| Latency {
                counts: std::array::from_fn(|bucket| (10_000 * stage + bucket) as u64),
                sum: Duration::from_millis(500 * stage as u64),
            }),
            statuses: std::array::from_fn(|route| std::array::from_fn(|class| (1000 * route + class) as u64)),
        };
        let text = scrape.clone().text().unwrap();
        let (requests, samples): (Vec<&str>, Vec<&str>) = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .partition(|line| line.starts_with("glimt_request_seconds"));
        let (responses, samples): (Vec<&str>, Vec<&str>) =
            samples.into_iter().partition(|line| line.starts_with("glimt_responses_total"));
        assert_eq!(responses.len(), Route::ALL.len() * CLASSES.len());
        assert_eq!(responses[4], r#"glimt_responses_total{route="download",status="2xx"} 1000"#);
        assert_eq!(responses[7], r#"glimt_responses_total{route="download",status="5xx"} 1003"#);
        let (stages, samples): (Vec<&str>, Vec<&str>) =
            samples.into_iter().partition(|line| line.starts_with("glimt_stage_seconds"));
        assert_eq!(stages.len(), Stage::ALL.len() * (BUCKETS + 2));
        assert_eq!(stages[BUCKETS + 2], r#"glimt_stage_seconds_bucket{stage="memory",le="0.0001"} 10000"#);
        assert_eq!(stages[2 * BUCKETS + 2], r#"glimt_stage_seconds_sum{stage="memory"} 0.5"#);
        let downloads: Vec<&str> = requests.iter().filter(|line| line.contains("\"download\"")).copied().collect();
        assert_eq!(requests.len(), Route::ALL.len() * downloads.len());
        assert_eq!(
            [downloads[0], downloads[1], downloads[15], downloads[16], downloads[17]],
            [
                r#"glimt_request_seconds_bucket{route="download",le="0.0001"} 100"#,
                r#"glimt_request_seconds_bucket{route="download",le="0.0005"} 201"#,
                r#"glimt_request_seconds_bucket{route="download",le="+Inf"} 1720"#,
                r#"glimt_request_seconds_sum{route="download"} 0.25"#,
                r#"glimt_request_seconds_count{route="download"} 1720"#,
            ]
        );
        assert_eq!(
            samples,
            [
                r#"glimt_engine_info{engine="gpu",description="gpu: a \"card\""} 1"#,
                concat!("glimt_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
                "glimt_tasks_alive 17",
                "glimt_pool_jobs 14",
                "glimt_pool_abandoned_jobs_total 15",
                "glimt_pool_lost_threads 16",
                r#"glimt_gate_held{gate="connections"} 40"#,
                r#"glimt_gate_held{gate="requests"} 50"#,
                r#"glimt_gate_held{gate="uploads"} 60"#,
                r#"glimt_gate_held{gate="backgrounded"} 65"#,
                r#"glimt_gate_held{gate="queue"} 70"#,
                r#"glimt_gate_limit{gate="connections"} 41"#,
                r#"glimt_gate_limit{gate="requests"} 51"#,
                r#"glimt_gate_limit{gate="uploads"} 61"#,
                r#"glimt_gate_limit{gate="backgrounded"} 66"#,
                r#"glimt_gate_limit{gate="queue"} 71"#,
                r#"glimt_gate_refusals_total{gate="connections"} 42"#,
                r#"glimt_gate_refusals_total{gate="requests"} 52"#,
                r#"glimt_gate_refusals_total{gate="uploads"} 62"#,
                r#"glimt_gate_refusals_total{gate="backgrounded"} 67"#,
                r#"glimt_gate_refusals_total{gate="queue"} 72"#,
                r#"glimt_gate_refusals_total{gate="wait"} 80"#,
                r#"glimt_gate_refusals_total{gate="memory"} 81"#,
                r#"glimt_gate_refusals_total{gate="picture"} 89"#,
                r#"glimt_gate_refusals_total{gate="rate"} 90"#,
                "glimt_expected_wait_seconds 0.082",
                "glimt_expected_wait_limit_seconds 83.0",
                "glimt_memory_granted_bytes 84",
                "glimt_memory_limit_bytes 85",
                "glimt_pool_jobs_begun_total 86",
                r#"glimt_pool_waited_seconds_total{for="thread"} 87.0"#,
                r#"glimt_pool_waited_seconds_total{for="memory"} 88.0"#,
                "glimt_avif_jobs 20",
                r#"glimt_avif_fallbacks_total{reason="time"} 21"#,
                r#"glimt_avif_fallbacks_total{reason="busy"} 22"#,
                r#"glimt_avif_fallbacks_total{reason="size"} 23"#,
                r#"glimt_sandbox_decodes_total{outcome="done"} 91"#,
                r#"glimt_sandbox_decodes_total{outcome="refused"} 92"#,
                r#"glimt_sandbox_decodes_total{outcome="crashed"} 93"#,
                r#"glimt_sandbox_decodes_total{outcome="timed_out"} 94"#,
                r#"glimt_sandbox_decodes_total{outcome="stopped"} 95"#,
                r#"glimt_sandbox_decodes_total{outcome="not_started"} 96"#,
                r#"glimt_stored_bytes{class="originals"} 30"#,
                r#"glimt_stored_bytes{class="variants"} 32"#,
                r#"glimt_stored_bytes{class="proxies"} 39"#,
                r#"glimt_stored_files{class="originals"} 29"#,
                r#"glimt_stored_files{class="variants"} 31"#,
                r#"glimt_stored_files{class="proxies"} 38"#,
                "glimt_cache_limit_bytes 28",
                "glimt_cache_counted 1",
                r#"glimt_cache_hits_total{tier="memory"} 33"#,
                r#"glimt_cache_hits_total{tier="disk"} 24"#,
                r#"glimt_cache_misses_total{tier="memory"} 34"#,
                r#"glimt_cache_misses_total{tier="disk"} 25"#,
                "glimt_hot_cache_bytes 36",
                "glimt_hot_cache_limit_bytes 37",
                "glimt_hot_cache_variants 35",
                "glimt_cache_pending_writes 38",
                "glimt_cache_failed_writes_total 39",
                r#"glimt_cache_evictions_total{reason="size"} 26"#,
                r#"glimt_cache_evictions_total{reason="age"} 27"#,
                r#"glimt_proxies_total{outcome="used"} 40"#,
                r#"glimt_proxies_total{outcome="made"} 41"#,
                r#"glimt_proxies_total{outcome="unfit"} 42"#,
                r#"glimt_proxies_total{outcome="lost"} 43"#,
                r#"glimt_proxies_total{outcome="damaged"} 44"#,
                r#"glimt_proxies_total{outcome="busy"} 45"#,
                r#"glimt_proxies_total{outcome="failed"} 46"#,
                r#"glimt_engine_jobs_total{engine="gpu"} 1"#,
                r#"glimt_engine_jobs_total{engine="cpu"} 2"#,
                r#"glimt_device_missed_jobs_total{reason="busy"} 6"#,
                r#"glimt_device_missed_jobs_total{reason="recovered"} 5"#,
                r#"glimt_device_missed_jobs_total{reason="sooner"} 15"#,
                r#"glimt_device_missed_jobs_total{reason="too_large"} 3"#,
                r#"glimt_device_missed_jobs_total{reason="unavailable"} 4"#,
                r#"glimt_route_jobs_total{kind="small",engine="cpu"} 16"#,
                r#"glimt_route_jobs_total{kind="small",engine="gpu"} 17"#,
                r#"glimt_route_explored_jobs_total{kind="small",engine="cpu"} 18"#,
                r#"glimt_route_explored_jobs_total{kind="small",engine="gpu"} 19"#,
                r#"glimt_route_correction_ratio{kind="small",engine="cpu"} 0.5"#,
                r#"glimt_route_last_job_seconds{kind="small",engine="cpu"} 2.5"#,
                "glimt_device_healthy 0",
                "glimt_device_rebuilds_total 7",
                "glimt_device_jobs_total 12",
                "glimt_device_submissions_total 13",
                "glimt_device_computed_seconds_total 1.5",
                "glimt_device_reserved_bytes 8",
                "glimt_device_lent_bytes 9",
                "glimt_device_idle_bytes 10",
                "glimt_device_buffers_created_total 11",
            ]
        );
        let without = Scrape { engine: Backend::Cpu, ..scrape }.text().unwrap();
        let by_engine: Vec<&str> = without.lines().filter(|line| line.starts_with("glimt_engine_jobs_total")).collect();
        assert_eq!(by_engine, [r#"glimt_engine_jobs_total{engine="cpu"} 2"#], "no engine stands there twice");
    }
}
