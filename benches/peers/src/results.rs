//! What was measured, and how it is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All of a run.
#[derive(Serialize, Deserialize, Default)]
pub struct Results {
    pub date: String,
    pub commit: String,
    pub machine: String,
    pub photos: String,
    pub versions: Vec<String>,
    pub workloads: Vec<Workload>,
}

#[derive(Serialize, Deserialize)]
pub struct Workload {
    pub id: String,
    pub title: String,
    /// What was done, and what has to be known to read the figures.
    pub note: String,
    pub rows: Vec<Row>,
    /// With few rounds: a try.
    pub quick: bool,
    /// How long all of it took.
    pub seconds: f64,
    /// Of what, where that is not what the rest of the page is of.
    #[serde(default)]
    pub commit: String,
}

/// One server. A figure that is not there was not to be measured.
#[derive(Serialize, Deserialize)]
pub struct Row {
    pub server: String,
    pub is_glimt: bool,
    pub figures: BTreeMap<String, f64>,
    /// What is no number.
    pub words: BTreeMap<String, String>,
}

impl Row {
    pub fn new(server: &str, is_glimt: bool) -> Self {
        Self { server: server.to_owned(), is_glimt, figures: BTreeMap::new(), words: BTreeMap::new() }
    }

    pub fn set(&mut self, key: &str, value: f64) {
        self.figures.insert(key.to_owned(), value);
    }

    pub fn get(&self, key: &str) -> Option<f64> {
        self.figures.get(key).copied()
    }
}

impl Results {
    pub fn workload(&self, id: &str) -> Option<&Workload> {
        self.workloads.iter().find(|workload| workload.id == id)
    }

    /// Takes the workloads of another run, in place of those it has already.
    pub fn take(&mut self, new: Vec<Workload>, order: &[&str]) {
        self.workloads.retain(|old| new.iter().all(|new| new.id != old.id));
        self.workloads.extend(new);
        self.workloads.sort_by_key(|workload| order.iter().position(|id| *id == workload.id));
    }
}

impl Workload {
    pub fn new(id: &str, title: &str, note: String, rows: Vec<Row>) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            note,
            rows,
            quick: false,
            seconds: 0.0,
            commit: String::new(),
        }
    }

    /// The best figure of the peers, `nginx` aside where it is the ceiling.
    pub fn best_peer(&self, key: &str, is_less_better: bool) -> Option<f64> {
        let peers = self.rows.iter().filter(|row| !row.is_glimt && row.get("ceiling").is_none());
        let figures = peers.filter_map(|row| row.get(key));
        if is_less_better { figures.min_by(f64::total_cmp) } else { figures.max_by(f64::total_cmp) }
    }

    pub fn row(&self, server: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.server == server)
    }
}

/// A column of a workload's table.
pub struct Column {
    pub key: &'static str,
    pub title: &'static str,
    pub digits: usize,
    /// Whether the ratio to the best peer stands beside it, and then whether less is better.
    pub ratio: Option<bool>,
}

const fn column(key: &'static str, title: &'static str, digits: usize, ratio: Option<bool>) -> Column {
    Column { key, title, digits, ratio }
}

const COLD: &[Column] = &[
    column("cpu_ms", "CPU-ms an image", 2, Some(true)),
    column("rps", "requests/s", 0, Some(false)),
    column("p50_ms", "p50 ms", 1, None),
    column("p99_ms", "p99 ms", 1, None),
    column("memory_mib", "peak MiB", 0, Some(true)),
    column("bytes", "bytes out", 0, None),
    column("likeness", "SSIMULACRA2", 1, None),
    column("worst", "the worst", 1, None),
];

const HITS: &[Column] = &[
    column("rps", "requests/s", 0, None),
    column("of_nginx", "of nginx", 2, None),
    column("cpu_us", "CPU-µs a hit", 1, None),
    column("p50_ms", "p50 ms", 2, None),
    column("p99_ms", "p99 ms", 2, None),
    column("bytes", "bytes", 0, None),
];

const UPLOADS: &[Column] = &[
    column("cpu_ms", "CPU-ms an upload", 2, Some(true)),
    column("rps", "uploads/s", 1, Some(false)),
    column("p50_ms", "p50 ms", 1, None),
    column("p99_ms", "p99 ms", 1, None),
    column("memory_mib", "peak MiB", 0, None),
    column("refuses", "a damaged file", 0, None),
];

const OVERLOAD: &[Column] = &[
    column("peak_rps", "peak, answers/s", 0, None),
    column("offered_rps", "asked for, a second", 0, None),
    column("goodput", "good answers/s", 0, None),
    column("of_peak", "of its peak", 2, None),
    column("good_p99_ms", "their p99 ms", 0, None),
    column("refused", "refused, %", 0, None),
    column("refusal", "how", 0, None),
    column("refused_p99_ms", "their p99 ms", 0, None),
    column("late", "late or broken, %", 0, None),
    column("memory_mib", "peak MiB", 0, None),
    column("recovery_ms", "recovery ms", 0, None),
];

const STARTS: &[Column] = &[
    column("ready_ms", "ready after ms", 0, Some(true)),
    column("memory_mib", "idle MiB", 1, Some(true)),
    column("processes", "processes", 0, None),
];

/// The columns of a workload.
pub fn columns(id: &str) -> &'static [Column] {
    match id {
        "hits" => HITS,
        "uploads" => UPLOADS,
        "overload" => OVERLOAD,
        "start" => STARTS,
        _ => COLD,
    }
}

/// A figure that is aimed at.
pub struct Aim {
    pub what: &'static str,
    pub got: Option<f64>,
    pub wanted: String,
    pub is_met: bool,
    pub unit: &'static str,
}

/// What issue 5 asks for, and what this run says.
pub fn aims(results: &Results) -> Vec<Aim> {
    let to_best = |id: &str, server: &str| {
        let workload = results.workload(id)?;
        Some(workload.row(server)?.get("cpu_ms")? / workload.best_peer("cpu_ms", true)?)
    };
    let of_row = |id: &str, server: &str, key: &str| results.workload(id)?.row(server)?.get(key);
    // Uploads are held against those that refuse a damaged file.
    let uploads = |server: &str| {
        let workload = results.workload("uploads")?;
        let refusing = workload
            .rows
            .iter()
            .filter(|row| !row.is_glimt && row.words.get("refuses").is_some_and(|word| word == "refused"));
        let best = refusing.filter_map(|row| row.get("cpu_ms")).min_by(f64::total_cmp)?;
        Some(workload.row(server)?.get("cpu_ms")? / best)
    };
    let at_most = |what, got: Option<f64>, limit: f64, unit| {
        let is_met = got.is_some_and(|got| got <= limit);
        Aim { what, got, wanted: format!("at most {limit}"), is_met, unit }
    };
    let hits = of_row("hits", "glimt", "of_nginx").or_else(|| of_row("hits", "glimt, no proxies", "of_nginx"));
    let goodput = of_row("overload", "glimt", "of_peak").or_else(|| of_row("overload", "glimt, no proxies", "of_peak"));
    let refused = of_row("overload", "glimt", "refused_p99_ms")
        .or_else(|| of_row("overload", "glimt, no proxies", "refused_p99_ms"));
    let idle = |key| of_row("start", "glimt", key).or_else(|| of_row("start", "glimt, no proxies", key));
    vec![
        at_most(
            "12 MP to 256, JPEG, no proxies: CPU time of the best peer's",
            to_best("cold-12mp-jpeg", "glimt, no proxies"),
            0.5,
            "",
        ),
        at_most(
            "12 MP to 256, JPEG, proxies: CPU time of the best peer's",
            to_best("cold-12mp-jpeg", "glimt"),
            0.125,
            "",
        ),
        at_most(
            "2 MP to 512, JPEG, no proxies: CPU time of the best peer's",
            to_best("cold-2mp-jpeg", "glimt, no proxies"),
            0.8,
            "",
        ),
        at_most("2 MP to 512, JPEG, proxies: CPU time of the best peer's", to_best("cold-2mp-jpeg", "glimt"), 0.8, ""),
        at_most("blur 3.0 at 1 MP: CPU time of the best peer's", to_best("blur-1mp", "glimt, no proxies"), 0.5, ""),
        Aim {
            what: "hits: of nginx's",
            got: hits,
            wanted: "at least 0.8".to_owned(),
            is_met: hits.is_some_and(|got| got >= 0.8),
            unit: "",
        },
        at_most("uploads, proxies: CPU time of the best peer's that refuses a damaged file", uploads("glimt"), 1.0, ""),
        at_most("uploads, no proxies: the same", uploads("glimt, no proxies"), 1.0, ""),
        Aim {
            what: "four times the load: good answers a second, of its peak",
            got: goodput,
            wanted: "at least 0.9".to_owned(),
            is_met: goodput.is_some_and(|got| got >= 0.9),
            unit: "",
        },
        at_most("four times the load: p99 of refusals", refused, 50.0, " ms"),
        at_most("idle memory, cpu", idle("memory_mib"), 40.0, " MiB"),
        at_most("ready, cpu", idle("ready_ms"), 300.0, " ms"),
    ]
}
