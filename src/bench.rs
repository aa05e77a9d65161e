//! `glimt bench`: what this machine can carry. A server with the options of this environment runs in this process, on a data directory
//! of its own that is deleted afterwards, and is asked over loopback by as many clients as keep its workers busy.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::client::Client;
use crate::{
    app::StartError,
    cli::Options,
    codec::CodecError,
    config::{Config, ConfigError},
    repo::RepoError,
    server::Server,
};

mod client;
mod pictures;

/// What it takes from the disk at most: past that no more pictures are uploaded.
const MAX_DISK_BYTES: u64 = 1 << 30;

/// Sides that thumbnails have: each is a variant of its own, and up to 256 most servers have them made from proxies.
const THUMBNAILS: std::ops::RangeInclusive<usize> = 64..=256;

/// Sides of what is made from the originals.
const LARGE: std::ops::RangeInclusive<usize> = 1000..=1400;

/// How the bench is run.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long it takes in all, about.
    pub secs: u32,
    /// Of what size the pictures are.
    pub megapixels: u32,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("{doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
    #[error("{request} is answered {status}: {body}")]
    Refused { request: String, status: u16, body: String },
    #[error("nothing was answered in time: give it more --secs")]
    TooShort,
    #[error("stopped")]
    Stopped,
    #[error("a client panicked")]
    Panicked,
    #[error(transparent)]
    Picture(#[from] CodecError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Repo(#[from] RepoError),
}

fn failed(doing: &'static str) -> impl FnOnce(io::Error) -> BenchError {
    move |source| BenchError::Io { doing, source }
}

/// Measures, and prints what came of it and which options follow from that. Progress and errors go to stderr.
pub fn run(terms: Terms, options: Options, env: &dyn Fn(&str) -> Option<OsString>) -> ExitCode {
    match done(terms, options, env) {
        Ok(page) => match io::stdout().write_all(page.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_closed) => ExitCode::FAILURE,
        },
        Err(error) => {
            let told = error.to_string();
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let cause =
                cause.filter(|cause| !told.contains(cause)).map_or_else(String::new, |cause| format!(": {cause}"));
            let _unheard = writeln!(io::stderr(), "error: {told}{cause}");
            ExitCode::FAILURE
        }
    }
}

fn done(terms: Terms, options: Options, env: &dyn Fn(&str) -> Option<OsString>) -> Result<String, BenchError> {
    let given = options.or(Options::from_env(env).map_err(ConfigError::from)?);
    let folder = Scratch::new(given.path.clone().unwrap_or_else(|| PathBuf::from(".")))?;
    let given = Options {
        addr: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        path: Some(folder.0.join("data")),
        tls_cert: None,
        tls_key: None,
        ..given
    };
    // What the environment says is in there already, and what it says of these must not come back.
    let config_file = given.config.clone().map(|path| path.into_os_string());
    let config = Config::resolve(given, &|name| if name == "GLIMT_CONFIG" { config_file.clone() } else { None })?;
    let open = Config {
        tls: None,
        metrics_addr: None,
        whitelist: None,
        only_presets: false,
        require_signature: false,
        ..config
    };
    let config = Config { variants_per_picture: 0, variants_per_sec: 0, ..open }.in_this_program();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(failed("starting the runtime"))?.block_on(bench(terms, &config))
}

async fn bench(terms: Terms, config: &Config) -> Result<String, BenchError> {
    let photo = Arc::new(pictures::photo(terms.megapixels)?);
    let server = Server::bind(config.clone()).await?;
    let (addr, engine) = (server.local_addr(), server.engines().describe());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(stop.clone().cancelled_owned()));
    let asked = asked_to_stop();
    let measured = tokio::select! {
        measured = measure(terms, config, addr, &photo) => measured,
        () = asked => Err(BenchError::Stopped),
    };
    stop.cancel();
    serving.await.map_err(|_panicked| BenchError::Panicked)??;
    Ok(page(terms, config, &engine, photo.len(), &measured?))
}

/// Ready at Ctrl-C.
async fn asked_to_stop() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What was measured of one kind of request.
#[derive(Clone, Debug, Default)]
struct Rate {
    /// How long each took, sorted.
    times: Vec<Duration>,
    /// From the first to the end of the last.
    wall: Duration,
}

impl Rate {
    fn a_second(&self) -> f64 {
        // No more than a few million of them.
        f64::from(u32::try_from(self.times.len()).unwrap_or(u32::MAX)) / self.wall.as_secs_f64().max(1e-9)
    }

    /// The time within which so many of a hundred were answered.
    fn within(&self, percent: usize) -> Duration {
        let at = self.times.len().saturating_sub(1) * percent / 100;
        self.times.get(at).copied().unwrap_or_default()
    }
}

/// All that was measured.
struct Measured {
    uploads: Rate,
    thumbnails: Rate,
    large: Rate,
    hits: Rate,
}

async fn measure(
    terms: Terms,
    config: &Config,
    addr: SocketAddr,
    photo: &Arc<Vec<u8>>,
) -> Result<Measured, BenchError> {
    let part = |share: f64| Duration::from_secs(terms.secs.into()).mul_f64(share);
    // One more than there are workers: whoever is answered leaves nobody idle.
    let busy = config.workers + 1;
    let most = usize::try_from(MAX_DISK_BYTES / photo.len() as u64).unwrap_or(usize::MAX).max(2);
    let aliases = Arc::new(Mutex::new(Vec::<String>::new()));
    let uploads = Phase { name: "uploads", addr, clients: busy.min(config.max_uploads), time: part(0.25), most };
    let uploads = uploads.run({
        let (photo, aliases) = (Arc::clone(photo), Arc::clone(&aliases));
        move |number| Job::Upload(pictures::another(&photo, number), Arc::clone(&aliases))
    });
    let uploads = uploads.await?;
    let aliases = Arc::new(aliases.lock().unwrap_or_else(PoisonError::into_inner).clone());
    if aliases.is_empty() {
        return Err(BenchError::TooShort);
    }
    // Of one picture after another, so that none is worked on twice at a time.
    let paths = |sides: std::ops::RangeInclusive<usize>| {
        let aliases = Arc::clone(&aliases);
        let (first, sides) = (*sides.start(), sides.count());
        let most = aliases.len() * sides;
        let path = move |number: usize| {
            let (alias, side) = (&aliases[number % aliases.len()], first + number / aliases.len() % sides);
            Job::Get(format!("/image/process.jpg?src={alias}&thumbnail={side}"))
        };
        (most, path)
    };
    let clients = busy.min(config.queue.max(1));
    let (most, path) = paths(LARGE);
    let large = Phase { name: "pictures from originals", addr, clients, time: part(0.25), most }.run(path).await?;
    let (most, path) = paths(THUMBNAILS);
    let thumbnails = Phase { name: "thumbnails", addr, clients, time: part(0.3), most }.run(path.clone()).await?;
    // Those again that were made last, a hundred of them.
    let made = thumbnails.times.len().max(1);
    let first = made.saturating_sub(100);
    let hits = Phase { name: "hits", addr, clients: 2 * busy, time: part(0.15), most: usize::MAX };
    let hits = hits.run(move |number| path(first + number % (made - first))).await?;
    Ok(Measured { uploads, thumbnails, large, hits })
}

/// A request.
enum Job {
    /// A picture, and where its alias goes.
    Upload(Vec<u8>, Arc<Mutex<Vec<String>>>),
    Get(String),
}

impl Job {
    /// Does it; how long the answer took.
    async fn done(self, client: &mut Client) -> Result<Duration, BenchError> {
        let began = Instant::now();
        let (request, answer) = match &self {
            Self::Upload(picture, _) => ("POST /image".to_owned(), client.upload(picture).await),
            Self::Get(path) => (format!("GET {path}"), client.get(path).await),
        };
        let (status, body) = answer.map_err(failed("asking the server"))?;
        let took = began.elapsed();
        if !matches!(status, 200 | 201) {
            return Err(BenchError::Refused { request, status, body: String::from_utf8_lossy(body).into_owned() });
        }
        if let Self::Upload(_, aliases) = self {
            let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            let alias = answer["files"][0]["file"].as_str().unwrap_or_default().to_owned();
            aliases.lock().unwrap_or_else(PoisonError::into_inner).push(alias);
        }
        Ok(took)
    }
}

/// Requests of one kind.
struct Phase {
    name: &'static str,
    addr: SocketAddr,
    clients: usize,
    time: Duration,
    /// As many different ones as there are.
    most: usize,
}

impl Phase {
    /// Asks by all clients until the time is over; what has begun by then is waited for.
    async fn run(self, job: impl Fn(usize) -> Job + Clone + Send + 'static) -> Result<Rate, BenchError> {
        let Self { name, addr, clients, time, most } = self;
        let bar = bar(name, time);
        let (next, began) = (Arc::new(AtomicUsize::new(0)), Instant::now());
        let mut tasks = JoinSet::new();
        for _ in 0..clients.max(1) {
            let (job, next, bar) = (job.clone(), Arc::clone(&next), bar.clone());
            tasks.spawn(async move {
                let mut client = Client::connect(addr).await.map_err(failed("connecting to the server"))?;
                let mut times = Vec::new();
                while began.elapsed() < time {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= most {
                        break;
                    }
                    times.push(job(number).done(&mut client).await?);
                    bar.set_position(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
                }
                Ok::<Vec<Duration>, BenchError>(times)
            });
        }
        let mut rate = Rate::default();
        while let Some(ended) = tasks.join_next().await {
            rate.times.extend(ended.map_err(|_panicked| BenchError::Panicked)??);
        }
        rate.wall = began.elapsed();
        rate.times.sort_unstable();
        bar.finish_and_clear();
        if rate.times.is_empty() { Err(BenchError::TooShort) } else { Ok(rate) }
    }
}

/// A bar on stderr, where that is a terminal.
fn bar(name: &'static str, time: Duration) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent} %");
    bar.set_style(style.unwrap_or_else(|_wrong| ProgressStyle::default_bar()));
    bar.set_message(name);
    bar
}

/// A folder for the time of the bench.
struct Scratch(PathBuf);

impl Scratch {
    fn new(above: PathBuf) -> Result<Self, BenchError> {
        let above = if above.as_os_str().is_empty() { PathBuf::from(".") } else { above };
        fs::create_dir_all(&above).map_err(failed("making the data directory"))?;
        let folder = above.join(format!(".glimt-bench-{}", nanoid::nanoid!()));
        fs::create_dir(&folder).map_err(failed("making a folder in the data directory"))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays of it is only in the way.
        let _stays = fs::remove_dir_all(&self.0);
    }
}

/// A time as people read it.
fn shown(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    match millis {
        ..1.0 => format!("{millis:.2} ms"),
        1.0..100.0 => format!("{millis:.1} ms"),
        100.0..10_000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", millis / 1e3),
    }
}

/// A whole number of what is positive, for a limit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the range before")]
fn whole(number: f64, least: u32, most: u32) -> u32 {
    number.clamp(f64::from(least), f64::from(most)) as u32
}

/// What was measured and what follows from it.
fn page(terms: Terms, config: &Config, engine: &str, picture_bytes: usize, measured: &Measured) -> String {
    let Measured { uploads, thumbnails, large, hits } = measured;
    let (size, cores) = (terms.megapixels, std::thread::available_parallelism().map_or(1, usize::from));
    let megabytes = f64::from(u32::try_from(picture_bytes).unwrap_or(u32::MAX)) / 1e6;
    let mut page = String::new();
    // Nothing fails that is written to memory.
    let _written = write!(
        page,
        "glimt {} on the engine {engine}, {} workers on {cores} cores\nphotos of {size} MP, {megabytes:.1} MB; the clients run on the same cores\n\n\
         {:34}{:>12}{:>10}{:>10}{:>9}\n",
        env!("CARGO_PKG_VERSION"),
        config.workers,
        "",
        "a second",
        "p50",
        "p99",
        "asked",
    );
    let first = format!("thumbnails made, {} to {} px", THUMBNAILS.start(), THUMBNAILS.end());
    let second = format!("pictures made, {} to {} px", LARGE.start(), LARGE.end());
    for (name, rate) in [("uploads", uploads), (&first, thumbnails), (&second, large), ("hits", hits)] {
        let (p50, p99) = (shown(rate.within(50)), shown(rate.within(99)));
        let _written = writeln!(page, "{name:34}{:>12.1}{p50:>10}{p99:>10}{:>9}", rate.a_second(), rate.times.len());
    }
    page.push_str("\nOptions that follow for this machine:\n");
    for (option, value, why) in follows(terms, config, measured) {
        let _written = writeln!(page, "  {:30} {why}", format!("--{option} {value}"));
    }
    page
}

/// Options, the value that each should have here, and why.
fn follows(terms: Terms, config: &Config, measured: &Measured) -> Vec<(&'static str, u32, String)> {
    let Measured { uploads, large, .. } = measured;
    let wait = config.max_wait.as_secs_f64();
    let queue = whole(large.a_second() * wait, 8, 100_000);
    let rate = whole(large.a_second() * 0.8, 1, 1_000_000);
    let at_once = whole(uploads.a_second() * config.request_timeout.as_secs_f64() / 2.0, 2, 1000);
    // What a decoder holds at most for a pixel, and the file, for each worker; and once more for uploads that come in.
    let mebibytes = f64::from(terms.megapixels) * 1e6 * 14.0 / f64::from(1 << 20);
    let workers = f64::from(u32::try_from(config.workers).unwrap_or(u32::MAX));
    let memory = whole((mebibytes * (workers + 1.0)).max(256.0), 64, 1_048_576);
    let mut follows = vec![
        ("queue", queue, format!("so many pictures are made from originals in the {wait} s of --max-wait")),
        ("max-uploads", at_once, "so many are done in half of --request-timeout".to_owned()),
        ("memory-limit", memory, format!("room for photos of {} MP on every worker", terms.megapixels)),
        (
            "variants-per-sec",
            rate,
            "against strangers who ask for ever new sizes: four fifths of what can be made".to_owned(),
        ),
    ];
    if config.proxy_size_px == 0 {
        let gain = "thumbnails are then made from small copies".to_owned();
        follows.push(("proxy-size", 512, gain));
    }
    follows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_counted_by_the_wall_and_sorted_times() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let rate = Rate { times, wall: Duration::from_secs(4) };
        assert!((rate.a_second() - 50.0).abs() < 1e-9);
        assert_eq!((rate.within(50), rate.within(99)), (Duration::from_millis(100), Duration::from_millis(198)));
        assert_eq!(Rate::default().within(99), Duration::ZERO);
        assert_eq!(shown(Duration::from_micros(250)), "0.25 ms");
        assert_eq!(shown(Duration::from_millis(2500)), "2500 ms");
    }

    #[test]
    fn what_follows_is_what_was_measured() {
        let config = Config::new(PathBuf::from("/data"));
        let of = |a_second: u64| {
            let times = vec![Duration::from_millis(1); usize::try_from(a_second).unwrap()];
            Rate { times, wall: Duration::from_secs(1) }
        };
        let measured = Measured { uploads: of(10), thumbnails: of(100), large: of(20), hits: of(1000) };
        let follows = follows(Terms { secs: 60, megapixels: 12 }, &Config { workers: 2, ..config }, &measured);
        let of = |option: &str| follows.iter().find(|(name, ..)| *name == option).unwrap().1;
        assert_eq!((of("queue"), of("max-uploads"), of("variants-per-sec")), (100, 150, 16));
        assert_eq!(of("memory-limit"), 480);
    }
}
