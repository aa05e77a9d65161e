//! What is true: the configuration, resolved and valid. Parts get what they need of it, nobody changes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use url::Url;

use crate::{
    cli::{NamedPreset, Options},
    domain::{Asked, Compat, Encoders, Filter, OutputFormat, Preset, Quality, Secret, Settings, nearest},
    pixels::{Backend, gpu::Probe},
    sandbox,
    telemetry::LogFormat,
};

mod effective;
mod error;
mod file;

pub use self::{
    effective::{Effective, Source},
    error::ConfigError,
};

const MEBIBYTE: u64 = 1024 * 1024;
const MEGAPIXEL: u64 = 1_000_000;
const HOUR_SECS: u64 = 3600;

/// How this server runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address and port to bind.
    pub addr: SocketAddr,
    /// Data directory.
    pub path: PathBuf,
    /// Uploads are converted to this format.
    pub format: Option<OutputFormat>,
    /// Largest upload of one file.
    pub max_file_size_bytes: u64,
    /// Names of the filters that are allowed; `None` allows all.
    pub whitelist: Option<BTreeSet<String>>,
    /// Whether imports are taken as they are.
    pub skip_validate_imports: bool,
    /// Opens `/internal`; never empty.
    pub api_key: Option<Secret>,
    /// Which pict-rs this server answers like where its versions differ.
    pub compat: Compat,
    /// The engine asked for.
    pub backend: Backend,
    /// What opens a device before this process does. `main` knows: it is no option.
    pub probe: Option<Probe>,
    /// How variants are encoded.
    pub encoders: Encoders,
    /// How long a request waits for an AVIF.
    pub avif_budget: Duration,
    /// Largest still picture.
    pub max_pixels: u64,
    /// Longest side of a picture.
    pub max_side: u32,
    /// Most frames of an animation.
    pub max_frames: u32,
    /// Largest animation, over all its frames.
    pub max_animation_pixels: u64,
    /// Memory that decoding one picture may take; no more than all may take together.
    pub max_decoded_bytes: u64,
    /// Most metadata of a file.
    pub max_metadata_bytes: u64,
    /// Whether decoders of some formats run in a sandbox.
    pub sandbox: sandbox::Mode,
    /// What decodes in there. As with the probe, `main` knows.
    pub decoder: Option<sandbox::Program>,
    /// Threads of the processing pool.
    pub workers: usize,
    /// How far the threads of the pool stand back behind those that answer requests.
    pub worker_nice: u8,
    /// Jobs for variants that may wait for a thread of the pool.
    pub queue: usize,
    /// Longest time such a job may be expected to wait.
    pub max_wait: Duration,
    /// Memory for pictures that are being worked on.
    pub memory_limit_bytes: u64,
    /// Memory of the device for what jobs hold there and what is kept for the next.
    pub vram_budget_bytes: u64,
    /// Bytes of variants on the disk.
    pub cache_size_bytes: u64,
    /// Bytes of variants in memory; 0 is none.
    pub hot_cache_bytes: u64,
    /// How long a variant is kept that nobody asks for; `None` is as long as there is room.
    pub cache_age: Option<Duration>,
    /// How long a remote picture is kept that nobody asks for; `None` is for ever.
    pub remote_age: Option<Duration>,
    /// Variants of up to half of so many pixels are made from proxies; 0: there are none.
    pub proxy_size_px: u32,
    /// Longest time a job may take.
    pub request_timeout: Duration,
    /// New variants of one picture in an hour; 0 is no limit.
    pub variants_per_picture: u32,
    /// New variants of all pictures in a second; 0 is no limit.
    pub variants_per_sec: u32,
    /// Connections served at a time.
    pub max_connections: u32,
    /// How long a connection is kept that has no request.
    pub keep_alive_timeout: Duration,
    /// How long the head of a request, or a handshake, may take. It is no option: no client needs another.
    pub head_timeout: Duration,
    /// How long a client may pause while it sends a form, and how much longer it may take than one that sends 4 KiB a second. Nor is this.
    pub body_timeout: Duration,
    /// How long a client may take nothing of its answer. Nor is this.
    pub send_timeout: Duration,
    /// Certificate and key; without them the server speaks clear text.
    pub tls: Option<TlsFiles>,
    /// Requests under way at a time.
    pub max_requests: usize,
    /// Uploads, imports and downloads under way at a time.
    pub max_uploads: usize,
    /// Private ranges that downloads may reach.
    pub download_allow: Vec<IpNet>,
    /// Whether `/image/download` is on.
    pub download: bool,
    /// Whether no picture comes and none goes.
    pub read_only: bool,
    /// Whether there is a page at `/`.
    pub ui: bool,
    /// Variants that have names.
    pub presets: BTreeMap<String, Preset>,
    /// Whether no others are made, but what is signed.
    pub only_presets: bool,
    /// Keys for signed addresses: all verify, the first signs.
    pub signing_keys: Vec<Secret>,
    /// Whether others have to be signed.
    pub require_signature: bool,
    /// Where metrics and health are told, and metrics nowhere else.
    pub metrics_addr: Option<SocketAddr>,
    /// Origins whose pages may use the server from a browser.
    pub cors_origins: Vec<String>,
    /// The collector that traces are sent to.
    pub opentelemetry_url: Option<Url>,
    /// Who is asked about every picture before it is stored.
    pub external_validation: Option<Url>,
    /// How long that may take for one picture.
    pub external_validation_timeout: Duration,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Longest time a graceful stop may take.
    pub stop_timeout: Duration,
}

/// Where a certificate and its key are, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and behind it those of who signed it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Config {
    /// The defaults, with the data in `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            addr: SocketAddr::from(([0, 0, 0, 0], 8080)),
            path,
            format: None,
            max_file_size_bytes: 40 * MEBIBYTE,
            whitelist: None,
            skip_validate_imports: false,
            api_key: None,
            compat: Compat::default(),
            backend: Backend::Auto,
            probe: None,
            encoders: Encoders::default(),
            avif_budget: Duration::from_millis(500),
            max_pixels: 40 * MEGAPIXEL,
            max_side: 65_535,
            max_frames: 100,
            max_animation_pixels: 50 * MEGAPIXEL,
            max_decoded_bytes: 512 * MEBIBYTE,
            max_metadata_bytes: 32 * MEBIBYTE,
            sandbox: sandbox::Mode::default(),
            decoder: None,
            workers,
            worker_nice: 5,
            queue: 64,
            max_wait: Duration::from_secs(5),
            memory_limit_bytes: 512 * MEBIBYTE,
            vram_budget_bytes: 1024 * MEBIBYTE,
            cache_size_bytes: 1024 * MEBIBYTE,
            cache_age: None,
            remote_age: Some(Duration::from_secs(7 * 24 * HOUR_SECS)),
            proxy_size_px: 512,
            hot_cache_bytes: 64 * MEBIBYTE,
            request_timeout: Duration::from_secs(30),
            variants_per_picture: 256,
            variants_per_sec: 0,
            max_connections: 1024,
            keep_alive_timeout: Duration::from_secs(75),
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(60),
            tls: None,
            max_requests: 2048,
            max_uploads: 32,
            download_allow: Vec::new(),
            download: true,
            read_only: false,
            ui: true,
            presets: BTreeMap::new(),
            only_presets: false,
            signing_keys: Vec::new(),
            require_signature: false,
            metrics_addr: None,
            cors_origins: Vec::new(),
            opentelemetry_url: None,
            external_validation: None,
            external_validation_timeout: Duration::from_secs(30),
            log_format: LogFormat::default(),
            stop_timeout: Duration::from_secs(20),
        }
    }

    /// The configuration that flags, environment, file and defaults give, in this order of precedence.
    ///
    /// # Errors
    /// [`ConfigError`] says which option is missing or wrong, and where it was given.
    pub fn resolve(flags: Options, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let typed = flags.or(Options::from_env(env)?);
        let typed = match &typed.config {
            Some(path) => {
                let file = file::read(path)?;
                typed.or(file)
            }
            None => typed,
        };
        Self::of(typed)
    }

    /// The configuration that was typed, wherever.
    fn of(typed: Options) -> Result<Self, ConfigError> {
        let encoders = encoders(&typed)?;
        let presets = presets(typed.preset)?;
        let signing_keys = signing_keys(typed.signing_key, typed.signing_key_file)?;
        let only_presets = typed.only_presets.unwrap_or(false);
        let require_signature = typed.require_signature.unwrap_or(false);
        if only_presets && presets.is_empty() {
            return Err(ConfigError::NoPresets);
        }
        if require_signature && signing_keys.is_empty() {
            return Err(ConfigError::NoSigningKey);
        }
        let defaults = Self::new(typed.path.clone().ok_or(ConfigError::NoPath)?);
        let memory_limit_bytes = scaled("memory-limit", typed.memory_limit, 64..=1_048_576, MEBIBYTE)?
            .unwrap_or(defaults.memory_limit_bytes);
        Ok(Self {
            addr: typed.addr.unwrap_or(defaults.addr),
            format: typed.format,
            max_file_size_bytes: scaled("max-file-size", typed.max_file_size, 1..=4096, MEBIBYTE)?
                .unwrap_or(defaults.max_file_size_bytes),
            whitelist: typed.whitelist.map(BTreeSet::from_iter),
            skip_validate_imports: typed.skip_validate_imports.unwrap_or(false),
            api_key: api_key(typed.api_key, typed.api_key_file)?,
            compat: typed.compat.unwrap_or(defaults.compat),
            backend: typed.backend.unwrap_or(defaults.backend),
            probe: None,
            encoders,
            avif_budget: scaled("avif-budget-millis", typed.avif_budget_millis, 0..=3_600_000, 1)?
                .map_or(defaults.avif_budget, Duration::from_millis),
            max_pixels: scaled("max-pixels", typed.max_pixels, 1..=1000, MEGAPIXEL)?.unwrap_or(defaults.max_pixels),
            max_side: ranged("max-side", typed.max_side, 1..=65_535)?.unwrap_or(defaults.max_side),
            max_frames: ranged("max-frames", typed.max_frames, 1..=100_000)?.unwrap_or(defaults.max_frames),
            max_animation_pixels: scaled("max-animation-pixels", typed.max_animation_pixels, 1..=10_000, MEGAPIXEL)?
                .unwrap_or(defaults.max_animation_pixels),
            max_decoded_bytes: scaled("max-decoded-size", typed.max_decoded_size, 1..=1_048_576, MEBIBYTE)?
                .map_or(memory_limit_bytes, |bytes| bytes.min(memory_limit_bytes)),
            max_metadata_bytes: scaled("max-metadata-size", typed.max_metadata_size, 1..=4096, MEBIBYTE)?
                .unwrap_or(defaults.max_metadata_bytes),
            sandbox: typed.sandbox.unwrap_or(defaults.sandbox),
            decoder: None,
            workers: ranged("workers", typed.workers, 1..=1024)?.unwrap_or(defaults.workers),
            worker_nice: ranged("worker-nice", typed.worker_nice, 0..=19)?.unwrap_or(defaults.worker_nice),
            queue: ranged("queue", typed.queue, 0..=100_000)?.unwrap_or(defaults.queue),
            max_wait: scaled("max-wait", typed.max_wait, 1..=3600, 1)?.map_or(defaults.max_wait, Duration::from_secs),
            memory_limit_bytes,
            vram_budget_bytes: scaled("vram-budget", typed.vram_budget, 16..=1_048_576, MEBIBYTE)?
                .unwrap_or(defaults.vram_budget_bytes),
            cache_size_bytes: scaled("cache-size", typed.cache_size, 1..=1_073_741_824, MEBIBYTE)?
                .unwrap_or(defaults.cache_size_bytes),
            hot_cache_bytes: scaled("hot-cache", typed.hot_cache, 0..=1_048_576, MEBIBYTE)?
                .unwrap_or(defaults.hot_cache_bytes),
            proxy_size_px: ranged("proxy-size", typed.proxy_size, 0..=4096)?.unwrap_or(defaults.proxy_size_px),
            cache_age: scaled("cache-age", typed.cache_age, 0..=1_000_000, HOUR_SECS)?
                .filter(|secs| *secs > 0)
                .map(Duration::from_secs),
            remote_age: scaled("remote-age", typed.remote_age, 0..=1_000_000, HOUR_SECS)?
                .map_or(defaults.remote_age, |secs| (secs > 0).then(|| Duration::from_secs(secs))),
            request_timeout: scaled("request-timeout", typed.request_timeout, 1..=3600, 1)?
                .map_or(defaults.request_timeout, Duration::from_secs),
            variants_per_picture: ranged("variants-per-picture", typed.variants_per_picture, 0..=1_000_000)?
                .unwrap_or(defaults.variants_per_picture),
            variants_per_sec: ranged("variants-per-sec", typed.variants_per_sec, 0..=1_000_000)?
                .unwrap_or(defaults.variants_per_sec),
            max_connections: ranged("max-connections", typed.max_connections, 1..=1_000_000)?
                .unwrap_or(defaults.max_connections),
            keep_alive_timeout: scaled("keep-alive-timeout", typed.keep_alive_timeout, 1..=3600, 1)?
                .map_or(defaults.keep_alive_timeout, Duration::from_secs),
            head_timeout: defaults.head_timeout,
            body_timeout: defaults.body_timeout,
            send_timeout: defaults.send_timeout,
            tls: tls_files(typed.tls_cert, typed.tls_key)?,
            max_requests: ranged("max-requests", typed.max_requests, 1..=1_000_000)?.unwrap_or(defaults.max_requests),
            max_uploads: ranged("max-uploads", typed.max_uploads, 1..=100_000)?.unwrap_or(defaults.max_uploads),
            download_allow: typed.download_allow.unwrap_or_default(),
            download: !typed.no_download.unwrap_or(false),
            read_only: typed.read_only.unwrap_or(false),
            ui: !typed.no_ui.unwrap_or(false),
            presets,
            only_presets,
            signing_keys,
            require_signature,
            metrics_addr: typed.metrics_addr,
            cors_origins: cors_origins(typed.cors_origin)?,
            opentelemetry_url: typed.opentelemetry_url.map(collector).transpose()?,
            external_validation: typed.external_validation.map(validator).transpose()?,
            external_validation_timeout: scaled(
                "external-validation-timeout",
                typed.external_validation_timeout,
                1..=3600,
                1,
            )?
            .map_or(defaults.external_validation_timeout, Duration::from_secs),
            log_format: typed.log_format.unwrap_or(defaults.log_format),
            stop_timeout: scaled("stop-timeout", typed.stop_timeout, 0..=3600, 1)?
                .map_or(defaults.stop_timeout, Duration::from_secs),
            path: defaults.path,
        })
    }

    /// The same, with this program to open devices first and to decode in.
    #[must_use]
    pub fn in_this_program(self) -> Self {
        Self { probe: Probe::of_this_program(), decoder: sandbox::Program::of_this_program(), ..self }
    }

    /// Names in the whitelist that are no filter of ours, each with the nearest that is one: worth a warning, but a list
    /// written for pict-rs must not stop the server.
    #[must_use]
    pub fn unknown_filters(&self) -> Vec<(&str, Option<&'static str>)> {
        let known = || Filter::NAMES.into_iter().chain(Asked::PARAMETERS);
        let names = self.whitelist.iter().flatten().map(String::as_str);
        let unknown = names.filter(|name| !known().any(|known| known == *name));
        unknown.map(|name| (name, nearest(name, known()))).collect()
    }
}

/// How variants are encoded, as far as it was said.
fn encoders(typed: &Options) -> Result<Encoders, ConfigError> {
    let defaults = Encoders::default();
    let quality = |option, value, default| -> Result<Quality, ConfigError> {
        Ok(ranged(option, value, 1..=100)?.map_or(default, Quality::new))
    };
    let Encoders { jpeg, png, webp, avif } = defaults;
    Ok(Encoders {
        jpeg: Settings {
            quality: quality("jpeg-quality", typed.jpeg_quality, jpeg.quality)?,
            effort: typed.jpeg_effort.unwrap_or(jpeg.effort),
            chroma: typed.jpeg_chroma.unwrap_or(jpeg.chroma),
        },
        png: Settings { effort: typed.png_effort.unwrap_or(png.effort), ..png },
        webp: Settings {
            quality: quality("webp-quality", typed.webp_quality, webp.quality)?,
            effort: typed.webp_effort.unwrap_or(webp.effort),
            ..webp
        },
        avif: Settings {
            quality: quality("avif-quality", typed.avif_quality, avif.quality)?,
            effort: typed.avif_effort.unwrap_or(avif.effort),
            ..avif
        },
    })
}

fn tls_files(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, ConfigError> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (Some(_), None) => Err(ConfigError::HalfTls { given: "tls-cert", missing: "tls-key" }),
        (None, Some(_)) => Err(ConfigError::HalfTls { given: "tls-key", missing: "tls-cert" }),
        (None, None) => Ok(None),
    }
}

/// Origins as browsers send them: without a slash at the end, and without the port that the scheme has anyway.
fn cors_origins(typed: Option<Vec<String>>) -> Result<Vec<String>, ConfigError> {
    let origins = typed.unwrap_or_default();
    for got in origins.iter().filter(|got| *got != "*") {
        let url = Url::parse(got).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let right = url.map_or_else(|| "https://example.org".to_owned(), |url| url.origin().ascii_serialization());
        if *got != right {
            return Err(ConfigError::Origin { got: got.clone(), right });
        }
    }
    Ok(origins)
}

/// The address of a collector. Whoever can read the log or the list of processes would read a password in it.
fn collector(got: String) -> Result<Url, ConfigError> {
    let cause = match Url::parse(&got) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => "it is not http or https".to_owned(),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            return Err(ConfigError::CollectorSecret);
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => "it has a query".to_owned(),
        Ok(url) => return Ok(url),
        Err(error) => error.to_string(),
    };
    Err(ConfigError::Collector { got, cause })
}

/// The address of who is asked about pictures. As with that of a collector, a password in it would be read by others.
fn validator(got: String) -> Result<Url, ConfigError> {
    let cause = match Url::parse(&got) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => "it is not http or https".to_owned(),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "it has a name or a password, which others could read".to_owned()
        }
        Ok(url) => return Ok(url),
        Err(error) => error.to_string(),
    };
    Err(ConfigError::Validator { got, cause })
}

/// Presets by their names, which are a part of a path.
fn presets(typed: Option<Vec<NamedPreset>>) -> Result<BTreeMap<String, Preset>, ConfigError> {
    let mut presets = BTreeMap::new();
    for NamedPreset { name, query } in typed.unwrap_or_default() {
        let wrong = |cause: String| ConfigError::Preset { name: name.clone(), cause };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
            return Err(wrong("a name has 1 to 64 letters, digits, - and _".to_owned()));
        }
        let preset = Preset::parse(&query).map_err(|error| wrong(error.to_string()))?;
        if presets.insert(name.clone(), preset).is_some() {
            return Err(wrong("it is there twice".to_owned()));
        }
    }
    Ok(presets)
}

/// The shortest key for signatures, in bytes.
const SIGNING_KEY_MIN: usize = 16;

/// The keys that were given, or the lines of the file.
fn signing_keys(keys: Option<Vec<Secret>>, file: Option<PathBuf>) -> Result<Vec<Secret>, ConfigError> {
    let keys = match (keys, file) {
        (Some(_), Some(_)) => return Err(ConfigError::TwoSigningKeys),
        (keys, None) => keys.unwrap_or_default(),
        (None, Some(path)) => {
            let text =
                std::fs::read_to_string(&path).map_err(|source| ConfigError::KeyFile { path: path.clone(), source })?;
            let keys: Vec<Secret> = text.lines().filter(|line| !line.is_empty()).map(Secret::from).collect();
            if keys.is_empty() {
                return Err(ConfigError::EmptyKey { path });
            }
            keys
        }
    };
    match keys.iter().map(|key| key.bytes().len()).find(|got| *got < SIGNING_KEY_MIN) {
        Some(got) => Err(ConfigError::ShortSigningKey { got, min: SIGNING_KEY_MIN }),
        None => Ok(keys),
    }
}

/// The keys for signatures, by options, environment and file: for whoever signs and does not serve.
///
/// # Errors
/// [`ConfigError`] for whatever is wrong with them, or with the file.
pub fn signing_keys_of(typed: Options, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Vec<Secret>, ConfigError> {
    let (typed, env) = (typed, Options::from_env(env)?);
    let file =
        typed.config.clone().or(env.config.clone()).map(|path| file::read(&path)).transpose()?.unwrap_or_default();
    // Both from one place: a key that is typed is not one too many beside a file with others.
    let place =
        [typed, env, file].into_iter().find(|place| place.signing_key.is_some() || place.signing_key_file.is_some());
    place.map_or(Ok(Vec::new()), |place| signing_keys(place.signing_key, place.signing_key_file))
}

/// The key that was given, or that stands in a file: then without the end of its line, and it has to be there.
fn api_key(key: Option<Secret>, file: Option<PathBuf>) -> Result<Option<Secret>, ConfigError> {
    let key = key.filter(|key| !key.is_empty());
    let Some(path) = file else { return Ok(key) };
    if key.is_some() {
        return Err(ConfigError::TwoKeys);
    }
    let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::KeyFile { path: path.clone(), source })?;
    let key = Secret::from(text.trim_end_matches(['\r', '\n']));
    if key.is_empty() { Err(ConfigError::EmptyKey { path }) } else { Ok(Some(key)) }
}

/// `value` if it lies in `range`, as wide as is needed.
fn ranged<T: TryFrom<i64>>(
    option: &'static str,
    value: Option<i64>,
    range: std::ops::RangeInclusive<i64>,
) -> Result<Option<T>, ConfigError> {
    let Some(got) = value else { return Ok(None) };
    match T::try_from(got) {
        Ok(value) if range.contains(&got) => Ok(Some(value)),
        Ok(_) | Err(_) => Err(ConfigError::Range { option, got, min: *range.start(), max: *range.end() }),
    }
}

/// `value` if it lies in `range`, in units of `unit`. The ranges are far below where this could overflow.
fn scaled(
    option: &'static str,
    value: Option<i64>,
    range: std::ops::RangeInclusive<i64>,
    unit: u64,
) -> Result<Option<u64>, ConfigError> {
    Ok(ranged::<u64>(option, value, range)?.map(|value| value * unit))
}

#[cfg(test)]
mod tests;
