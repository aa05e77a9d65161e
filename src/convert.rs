//! `glimt process`: one picture made as a server here would make it, without one.
//!
//! It is the server's own path, from ingest to the encoder, on a data directory that lies beside the result for as long as that takes: so
//! the bytes are those that a server with these settings answers with.

use std::{
    borrow::Cow,
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    app::{App, StartError},
    cli::Options,
    config::{Config, ConfigError},
    domain::{Asked, Filter, FilterError, OutputFormat, Variant, hint},
    service::{ServiceError, ingest::Rules},
};

/// What there is to make of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The picture.
    pub from: PathBuf,
    /// Filters and quality, as in a query.
    pub ops: String,
    /// Where the result goes; its extension is its format.
    pub to: PathBuf,
}

/// Nobody waits at a gate here: a picture has as long as it takes.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
enum ConvertError {
    #[error("{} has no extension that says what to make: {}", _0.display(), formats())]
    NoFormat(PathBuf),
    #[error("{got:?} is not a format that can be made, use one of {}{}", formats(), hint(.got, extensions()))]
    UnknownFormat { got: String },
    #[error("{name:?} is no filter: {} are{}", names().join(", "), hint(.name, names()))]
    UnknownFilter { name: String },
    #[error("{doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Picture { path: PathBuf, source: ServiceError },
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

fn extensions() -> [&'static str; OutputFormat::ALL.len()] {
    OutputFormat::ALL.map(OutputFormat::extension)
}

fn formats() -> String {
    extensions().join(", ")
}

/// All that may stand in a query.
fn names() -> Vec<&'static str> {
    Filter::NAMES.into_iter().chain(Asked::PARAMETERS).collect()
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ConvertError {
    let path = path.to_owned();
    move |source| ConvertError::Io { doing, path, source }
}

/// Makes it, with these options where the environment says nothing else. A line on stderr says what came of it.
pub fn run(task: &Task, options: Options, env: &dyn Fn(&str) -> Option<OsString>) -> ExitCode {
    let (said, code) = match done(task, options, env) {
        Ok(said) => (said, ExitCode::SUCCESS),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let told = error.to_string();
            let cause =
                cause.filter(|cause| !told.contains(cause)).map_or_else(String::new, |cause| format!(": {cause}"));
            (format!("error: {told}{cause}"), ExitCode::FAILURE)
        }
    };
    // With stderr closed the exit code still tells.
    let _unheard = writeln!(io::stderr(), "{said}");
    code
}

fn done(task: &Task, options: Options, env: &dyn Fn(&str) -> Option<OsString>) -> Result<String, ConvertError> {
    // What is wrong with the question is said before anything is done.
    let variant = variant(&task.ops, format(&task.to)?)?;
    let bytes = fs::read(&task.from).map_err(failed("reading", &task.from))?;
    let folder = Beside::new(&task.to)?;
    let config = Config::resolve(Options { path: Some(folder.0.clone()), ..options }, env)?;
    let config = Config { request_timeout: PATIENCE, max_wait: PATIENCE, ..config }.in_this_program();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(failed("starting the runtime for", &task.from))?;
    let began = Instant::now();
    let (made, engine) = runtime.block_on(make(&config, bytes.into(), variant, &task.from))?;
    let millis = began.elapsed().as_millis();
    // It is complete, or not there.
    let part = folder.0.join("made");
    fs::write(&part, &made).map_err(failed("writing", &part))?;
    fs::rename(&part, &task.to).map_err(failed("writing", &task.to))?;
    Ok(format!("{}: {} bytes in {millis} ms, {engine}", task.to.display(), made.len()))
}

/// The format that a file is to have by its name.
fn format(path: &Path) -> Result<OutputFormat, ConvertError> {
    let extension = path.extension().ok_or_else(|| ConvertError::NoFormat(path.to_owned()))?;
    let got = extension.to_string_lossy().to_lowercase();
    OutputFormat::from_extension(&got).ok_or(ConvertError::UnknownFormat { got })
}

/// The variant that a query asks for. Nothing in it is passed over: who writes it here means it.
fn variant(ops: &str, format: OutputFormat) -> Result<Variant, ConvertError> {
    let pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = url::form_urlencoded::parse(ops.as_bytes()).collect();
    if let Some((name, _)) = pairs.iter().find(|(name, _)| !Asked::knows(name)) {
        return Err(ConvertError::UnknownFilter { name: name.to_string() });
    }
    let asked = Asked::read(pairs.iter().map(|(name, value)| (&**name, &**value)), |_| true)?;
    Ok(asked.variant(format)?)
}

/// The variant's bytes, and what engine there was for it.
async fn make(
    config: &Config,
    picture: Bytes,
    variant: Variant,
    from: &Path,
) -> Result<(Bytes, &'static str), ConvertError> {
    let refused = |source| ConvertError::Picture { path: from.to_owned(), source };
    let (app, _cleanup) = App::open(config).await?;
    let made = async {
        let mut staged = app.ingest.begin().await?;
        staged.write(&picture).await?;
        let prepared = app.ingest.prepare(staged.finish().await?, None, Rules::Validate).await?;
        let named = app.ingest.name(vec![prepared]).await?;
        let alias = named.into_iter().next().map(|named| named.alias).ok_or(ServiceError::Panicked)?;
        let original = app.originals.by_alias(&alias).await?;
        let key = if original.is_already(&variant) {
            original.key()
        } else {
            let made = app.process.variant(&original, variant, app.pool.deadline()).await?;
            if let Some(bytes) = made.bytes {
                return Ok(bytes);
            }
            made.key
        };
        let missing = || ServiceError::FileMissing(key.to_string());
        app.store.read(&key).await?.ok_or_else(missing)
    };
    let made = made.await;
    app.cache.settle().await;
    app.proxies.settle().await;
    app.repo.close().await.map_err(ServiceError::from)?;
    Ok((made.map_err(refused)?, app.engines.chosen().name()))
}

/// A folder beside a file that is to be, gone with this value.
struct Beside(PathBuf);

impl Beside {
    fn new(path: &Path) -> Result<Self, ConvertError> {
        let above = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = above.join(format!(".glimt-process-{}", nanoid::nanoid!()));
        fs::create_dir(&folder).map_err(failed("making the folder", &folder))?;
        Ok(Self(folder))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // It has been read and renamed from: what stays of it is only in the way.
        let _stays = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_the_server_reads_it_but_nothing_is_passed_over() {
        let key = |ops: &str| variant(ops, OutputFormat::Webp).map(|variant| variant.key().as_str().to_owned());
        assert_eq!(key("thumbnail=256&blur=3.0&quality=60").unwrap(), "thumbnail=256&blur=3&quality=60&webp");
        assert_eq!(key("").unwrap(), "webp");
        assert_eq!(key("identity=true").unwrap(), "webp");
        let told = |ops: &str| key(ops).unwrap_err().to_string();
        assert!(told("thumbnial=256").ends_with("; the nearest is thumbnail"), "{}", told("thumbnial=256"));
        assert!(told("qualty=3").ends_with("; the nearest is quality"), "{}", told("qualty=3"));
        assert!(told("src=x").starts_with("\"src\" is no filter: identity, thumbnail, "), "{}", told("src=x"));
        assert!(told("blur=much").starts_with("blur=much cannot be read"), "{}", told("blur=much"));
        assert!(told("quality=0").contains("quality=0"), "{}", told("quality=0"));
    }

    #[test]
    fn the_extension_says_the_format() {
        assert_eq!(format(Path::new("a/b.JPEG")).unwrap(), OutputFormat::Jpg);
        let told = |path: &str| format(Path::new(path)).unwrap_err().to_string();
        assert!(told("a.wepb").ends_with("; the nearest is webp"), "{}", told("a.wepb"));
        assert!(told("a").starts_with("a has no extension"), "{}", told("a"));
    }
}
