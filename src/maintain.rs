//! `glimt check`, `glimt export` and `glimt import`: work on a data directory while no server has it.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    app::{App, StartError},
    cli::Options,
    config::{Config, ConfigError},
    repo::{self, Repo, RepoError, SledRepo},
    service::{
        ServiceError,
        archive::{self, ArchiveError, Moved},
        check::{Check, Fault, Report},
        folder::{self, FolderError, Taken},
        pictrs,
    },
    store::{FsStore, Store, StoreError},
};

/// Faults that are told one by one; the rest is counted.
const MAX_TOLD: usize = 1000;

/// The list of pictures that were taken in from a folder, in the data directory.
const LIST: &str = "import.tsv";

/// What there is to do.
#[derive(Clone, Debug)]
pub enum Work {
    /// Verify, and mend what is wrong.
    Check {
        /// Whether anything is mended.
        repair: bool,
    },
    /// Write an archive.
    Export {
        /// The folder it is written to.
        to: PathBuf,
        /// Whether the pictures go with the metadata.
        files: bool,
    },
    /// Take in an archive, the data directory of a pict-rs, or any pictures.
    Import {
        /// The folder they are in.
        from: PathBuf,
        /// The list of pictures that were in no archive, if it is not that of the data directory.
        list: Option<PathBuf>,
    },
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
enum MaintainError {
    #[error("{} is no data directory of glimt", _0.display())]
    NoData(PathBuf),
    #[error("{} is no folder", _0.display())]
    NoFolder(PathBuf),
    #[error("{doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Repo(#[from] RepoError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Folder(#[from] FolderError),
}

fn failed(doing: &'static str) -> impl FnOnce(io::Error) -> MaintainError {
    move |source| MaintainError::Io { doing, source }
}

/// Does it to the data directory at `path`, or where the environment says that it is. Progress and what is passed over go to stderr, what came of it to
/// stdout. Fails when something is wrong and not mended, or was passed over.
pub fn run(work: Work, path: Option<PathBuf>, env: &dyn Fn(&str) -> Option<OsString>) -> ExitCode {
    match done(work, path, env) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let (mut said, mut source) = (error.to_string(), std::error::Error::source(&error));
            while let Some(deeper) = source {
                if !said.contains(&deeper.to_string()) {
                    said = format!("{said}: {deeper}");
                }
                source = deeper.source();
            }
            say_wrong(&said);
            ExitCode::FAILURE
        }
    }
}

fn done(work: Work, path: Option<PathBuf>, env: &dyn Fn(&str) -> Option<OsString>) -> Result<bool, MaintainError> {
    let config = Config::resolve(Options { path, ..Options::default() }, env)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(failed("starting the runtime"))?.block_on(async {
        match work {
            Work::Check { repair } => check(&config.path, repair).await,
            Work::Export { to, files } => export(&config.path, &to, files).await,
            Work::Import { from, list } => import(&config.in_this_program(), &from, list).await,
        }
    })
}

/// A line for whoever waits; the exit code still tells where nobody reads it.
fn say(line: &str) {
    let _unheard = writeln!(io::stdout(), "{line}");
}

fn say_wrong(line: &str) {
    let _unheard = writeln!(io::stderr(), "{line}");
}

/// A bar on stderr, where that is a terminal.
fn bar(length: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style = "{msg} {wide_bar} {human_pos}/{human_len}, {per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_wrong| ProgressStyle::default_bar()));
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Store and repo of a data directory that is there.
async fn open(path: &Path) -> Result<(Arc<dyn Store>, Arc<dyn Repo>), MaintainError> {
    if !path.join("journal").is_file() && !path.join("meta").is_dir() {
        return Err(MaintainError::NoData(path.to_owned()));
    }
    let repo: Arc<dyn Repo> = Arc::new(SledRepo::open(path)?);
    let store: Arc<dyn Store> = Arc::new(FsStore::open(path).await?);
    Ok((store, repo))
}

async fn check(path: &Path, repair: bool) -> Result<bool, MaintainError> {
    let (store, mut repo) = open(path).await?;
    let total = count(&repo).await?;
    let look = async |repo: &Arc<dyn Repo>, repair| -> Result<Report, MaintainError> {
        let bar = bar(total, "checking");
        let check = Check::new(Arc::clone(&store), Arc::clone(repo), path.join("damaged"));
        let report = check.run(repair, |report| bar.set_position(report.originals)).await?;
        bar.finish_and_clear();
        Ok(report)
    };
    let mut report = look(&repo, repair).await?;
    if repair && report.faults.iter().any(|fault| matches!(fault, Fault::Stray(_))) {
        repo.close().await?;
        drop(repo);
        let aside = path.join("meta.strays");
        std::fs::rename(path.join("meta"), &aside).map_err(failed("moving the index aside"))?;
        say_wrong(&format!("the index is made anew from the journal; the old one is {}", aside.display()));
        repo = Arc::new(SledRepo::open(path)?);
        report.faults.extend(look(&repo, true).await?.faults);
    }
    repo.close().await?;
    tell(&report.faults.iter().map(Fault::to_string).collect::<Vec<String>>());
    if report.has_lost_rows {
        say_wrong("no file has a row: were the metadata lost? Nothing was deleted");
    }
    let Report { originals, bytes, aliases, variants, faults, has_lost_rows } = &report;
    let faults = match faults.len() {
        0 => "nothing is wrong".to_owned(),
        some if repair && !has_lost_rows => format!("{some} faults, mended"),
        some => format!("{some} faults"),
    };
    say(&format!("{originals} pictures of {bytes} bytes with {aliases} aliases, {variants} variants: {faults}"));
    Ok(report.faults.is_empty() || repair && !report.has_lost_rows)
}

async fn count(repo: &Arc<dyn Repo>) -> Result<u64, MaintainError> {
    let mut total = 0;
    for first in 0..=u8::MAX {
        total += repo.originals_under(first).await?.len() as u64;
    }
    Ok(total)
}

async fn export(path: &Path, to: &Path, files: bool) -> Result<bool, MaintainError> {
    let (store, repo) = open(path).await?;
    let bar = bar(0, "exporting");
    let moved = archive::export((&store, &repo), to, files, |moved| show(&bar, moved)).await?;
    bar.finish_and_clear();
    repo.close().await?;
    Ok(conclude(&moved, "exported"))
}

async fn import(config: &Config, from: &Path, list: Option<PathBuf>) -> Result<bool, MaintainError> {
    if !from.is_dir() {
        return Err(MaintainError::NoFolder(from.to_owned()));
    }
    let is_archive = from.join(archive::METADATA).is_file();
    let (app, _cleanup) = App::open(config).await?;
    if !is_archive && !repo::pictrs::folder(from).is_dir() {
        let list = list.unwrap_or_else(|| config.path.join(LIST));
        return import_folder(config, &app, from, &list).await;
    }
    let bar = bar(0, "importing");
    let moved = if is_archive {
        archive::import((&app.store, &app.repo), from, |moved| show(&bar, moved)).await?
    } else {
        let scratch = config.path.join("staging").join("pict-rs");
        // One that was broken off may have left a part of a copy.
        let forget = || match std::fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        forget().map_err(failed("deleting an earlier copy of its metadata"))?;
        let pictures = repo::pictrs::read(from, &scratch);
        forget().map_err(failed("deleting the copy of its metadata"))?;
        let pictures = pictures?;
        let parts = (&app.ingest, &app.repo, app.pool.workers());
        pictrs::import(parts, pictures, |moved| show(&bar, moved)).await?
    };
    bar.finish_and_clear();
    app.repo.close().await?;
    Ok(conclude(&moved, "imported"))
}

/// Takes in the pictures of a folder that is no more than that. Whether all of them were.
async fn import_folder(config: &Config, app: &App, from: &Path, list: &Path) -> Result<bool, MaintainError> {
    let bar = bar(0, "importing");
    let job = folder::Job { from, list, but: &config.path, at_a_time: app.pool.workers() };
    let taken = folder::import((&app.ingest, &app.repo), job, |taken| {
        bar.set_length(taken.files);
        bar.set_position(taken.done);
    });
    let taken = taken.await;
    bar.finish_and_clear();
    app.proxies.settle().await;
    app.repo.close().await?;
    let Taken { taken, bytes, known, others, refused, passed, .. } = taken?;
    tell(&passed);
    let reasons: Vec<String> = refused.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    let refused = passed.len();
    say(&format!(
        "imported {taken} pictures of {bytes} bytes; {known} there already, {others} files are no pictures, {refused} refused{reasons}"
    ));
    say(&format!("their aliases and delete tokens are in {}", list.display()));
    Ok(passed.is_empty())
}

/// Says what was passed over, one by one, as far as that can be read.
fn tell(passed: &[String]) {
    for passed in passed.iter().take(MAX_TOLD) {
        say_wrong(passed);
    }
    if passed.len() > MAX_TOLD {
        say_wrong(&format!("and {} more", passed.len() - MAX_TOLD));
    }
}

fn show(bar: &ProgressBar, moved: &Moved) {
    bar.set_length(moved.originals);
    bar.set_position(moved.done);
}

/// Says what came of it; whether nothing was passed over.
fn conclude(moved: &Moved, done: &str) -> bool {
    tell(&moved.passed);
    let Moved { done: pictures, aliases, bytes, known, passed, .. } = moved;
    let passed_over = passed.len();
    say(&format!(
        "{done} {pictures} pictures with {aliases} aliases, {bytes} bytes copied; {known} there already, {passed_over} passed over"
    ));
    passed.is_empty()
}
