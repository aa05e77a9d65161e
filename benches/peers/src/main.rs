//! glimt beside its peers: the same photos, sizes and quality, one run on one machine. `make bench-peers` installs them and runs this;
//! docs/peers.md says how to read what it prints.

mod chart;
mod cold;
mod hits;
mod http;
mod likeness;
mod load;
mod overload;
mod peers;
mod photos;
mod picture;
mod report;
mod results;
mod starts;
mod statistics;
mod uploads;
mod watch;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    peers::Place,
    photos::{Photos, Set},
    results::{Results, Workload},
};

const USAGE: &str = "peers --root REPOSITORY --photos FOLDER --glimt PROGRAM [--only WORKLOAD,..] [--servers NAME;..] [--quick] [--docs] [--redraw]";

/// All workloads, in the order of the tables.
const ORDER: [&str; 9] = [
    "cold-12mp-jpeg",
    "cold-12mp-webp",
    "cold-2mp-jpeg",
    "cold-harness-jpeg",
    "blur-1mp",
    "hits",
    "uploads",
    "overload",
    "start",
];

#[derive(Default)]
struct Arguments {
    root: PathBuf,
    photos: PathBuf,
    glimt: PathBuf,
    only: Vec<String>,
    servers: Vec<String>,
    quick: bool,
    docs: bool,
    redraw: bool,
}

fn arguments() -> Result<Arguments> {
    let (mut read, mut words) = (Arguments::default(), std::env::args().skip(1));
    while let Some(word) = words.next() {
        let mut value = || words.next().context(USAGE);
        match word.as_str() {
            "--root" => read.root = fs::canonicalize(value()?)?,
            "--photos" => read.photos = value()?.into(),
            "--glimt" => read.glimt = value()?.into(),
            "--only" => read.only = value()?.split(',').map(str::to_owned).collect(),
            // Some have a comma in them.
            "--servers" => read.servers = value()?.split(';').map(str::to_owned).collect(),
            "--quick" => read.quick = true,
            "--docs" => read.docs = true,
            "--redraw" => read.redraw = true,
            _ => bail!("{word}? {USAGE}"),
        }
    }
    let unknown = read.only.iter().find(|id| !ORDER.contains(&id.as_str()));
    ensure!(unknown.is_none(), "no such workload: {unknown:?}; there are {}", ORDER.join(", "));
    Ok(read)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let arguments = arguments()?;
    let target = arguments.root.join("target/peers");
    let kept = target.join("results.json");
    let old = fs::read_to_string(&kept).ok().and_then(|text| serde_json::from_str::<Results>(&text).ok());
    if arguments.redraw {
        return write_docs(&arguments.root, &old.context("nothing was measured yet")?);
    }
    let place = Place::new(
        target.clone(),
        arguments.root.join("benches/peers/servers"),
        arguments.glimt.clone(),
        arguments.servers.clone(),
    )?;
    if !place.has_proxies {
        println!("This build of glimt has no --proxy-size: there is no row with proxies.");
    }
    if place.backends.len() == 1 {
        println!("No GPU here: glimt runs on cpu alone.");
    }
    // Servers have groups of their own, so nobody else ends them when this is.
    let sets = target.join("photos");
    let mut ended = signal(SignalKind::terminate())?;
    let mut workloads = tokio::select! {
        workloads = measure(&arguments, &place, &sets) => workloads?,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = ended.recv() => bail!("ended"),
    };
    let twelve = Photos::of(Set::Twelve, &arguments.photos, &sets)?;
    let commit = output("git", &["-C", &arguments.root.display().to_string(), "describe", "--always", "--dirty"]);
    workloads.iter_mut().for_each(|workload| workload.commit.clone_from(&commit));
    // A part of a run goes to what there is, which keeps its date and its commit.
    let mut results = old.filter(|_| !arguments.only.is_empty()).unwrap_or_else(|| Results {
        date: output("date", &["--utc", "+%Y-%m-%d"]),
        commit,
        ..Results::default()
    });
    let measured: Vec<_> = workloads.iter().map(|workload| workload.id.clone()).collect();
    results.take(workloads, &ORDER);
    results.machine = machine();
    results.versions = versions(&place);
    results.photos = format!(
        "{} real ones of {:.1} MP on average, each lying in four ways; the other sets are made of them",
        twelve.photos.len() / 4,
        twelve.megapixels()
    );
    if arguments.servers.is_empty() {
        fs::write(&kept, serde_json::to_string_pretty(&results)?)?;
    }
    println!("\n{}", report::tables(&results, |workload| measured.contains(&workload.id)));
    if arguments.docs {
        write_docs(&arguments.root, &results)?;
    }
    Ok(())
}

async fn measure(arguments: &Arguments, place: &Place, photos: &Path) -> Result<Vec<Workload>> {
    let mut done = Vec::new();
    for id in ORDER.iter().filter(|id| arguments.only.is_empty() || arguments.only.iter().any(|only| only == *id)) {
        let began = Instant::now();
        let mut workload = one(id, arguments, place, photos).await.with_context(|| (*id).to_owned())?;
        workload.quick = arguments.quick;
        workload.seconds = began.elapsed().as_secs_f64();
        done.push(workload);
    }
    Ok(done)
}

async fn one(id: &str, arguments: &Arguments, place: &Place, photos: &Path) -> Result<Workload> {
    let quick_or = |quick, usually| if arguments.quick { quick } else { usually };
    let kind = cold::KINDS.iter().find(|kind| kind.id == id);
    let photos = Photos::of(kind.map_or(Set::Twelve, |kind| kind.set), &arguments.photos, photos)?;
    match (kind, id) {
        (Some(kind), _) => {
            // One of the peers takes a tenth of a second of both cores for a blur.
            let passes = if kind.blur.is_some() { 2 } else { 4 };
            cold::run(place, kind, &photos, quick_or(1, 3) as usize, quick_or(2, passes) as usize).await
        }
        (None, "hits") => hits::run(place, &photos, quick_or(1, 4) as usize, quick_or(2, 3)).await,
        (None, "uploads") => uploads::run(place, &photos, quick_or(1, 3) as usize).await,
        (None, "overload") => overload::run(place, &photos, quick_or(4, 8)).await,
        (None, _) => starts::run(place, &photos, quick_or(1, 3) as usize).await,
    }
}

fn write_docs(root: &Path, results: &Results) -> Result<()> {
    let page = root.join("docs/peers.md");
    let text = report::into_page(&fs::read_to_string(&page)?, &report::tables(results, |_| true))
        .context("docs/peers.md has lost its marks")?;
    fs::write(page, text)?;
    fs::write(root.join("docs/peers.svg"), chart::chart(results))?;
    println!("written: docs/peers.md, docs/peers.svg");
    Ok(())
}

/// What a program prints, or that it is unknown.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    output.map_or("unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        cpu.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    };
    let best = ["avx512f", "avx2"]
        .into_iter()
        .find(|name| field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == *name)));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{cores} cores of {} ({}), shared with the client",
        field("model name").unwrap_or("an unknown processor"),
        best.unwrap_or("no AVX2")
    )
}

fn versions(place: &Place) -> Vec<String> {
    let npm = |name: &str| {
        let text = fs::read_to_string(place.target.join("npm/node_modules").join(name).join("package.json"))
            .unwrap_or_default();
        let package: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        format!("{name} {}", package["version"].as_str().unwrap_or("unknown"))
    };
    let program = |name: &str| place.target.join(name).display().to_string();
    vec![
        output(&place.glimt.display().to_string(), &["--version"]),
        output(&program("oximg/bin/oximg"), &["--version"]),
        npm("sharp"),
        npm("ipx"),
        format!(
            "thumbor {}",
            output(&program("venv/bin/python"), &["-c", "import thumbor; print(thumbor.__version__)"])
        ),
        format!("pillow {}", output(&program("venv/bin/python"), &["-c", "import PIL; print(PIL.__version__)"])),
        format!("node {}", output("node", &["--version"])),
        // It says so on stderr.
        format!("nginx {}", output("sh", &["-c", "nginx -v 2>&1"]).trim_start_matches("nginx version: nginx/")),
    ]
}
