//! What was typed: flags, environment and file, each as the same set of optional values. No defaults, nothing derived.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Args, Parser};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Chroma, Compat, Effort, OutputFormat, Secret},
    pixels::Backend,
    sandbox,
    telemetry::LogFormat,
};

mod commands;
mod read;
mod variables;

use self::read::{
    Env, by_name, parse, parse_bool, parse_format, parse_list, parse_presets, parse_secrets, stored_format,
};
pub use self::{
    commands::{Command, ProbeOf},
    read::{EnvError, NamedPreset},
    variables::Unknown,
};

/// An image host that makes thumbnails on the GPU.
#[derive(Debug, Parser)]
#[command(name = "glimt", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
#[command(
    after_help = "Every option can also be given as GLIMT_<OPTION> in the environment (GLIMT_MAX_FILE_SIZE=40), \
    and under its long name in the file that --config names. The flag wins, then the environment, then the file. \
    RUST_LOG sets the log level (info)."
)]
pub struct Cli {
    /// What to do; serving when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How to serve.
    #[command(flatten)]
    pub options: Options,
}

/// Every option of the server, as one place gave them; what a place did not say is `None`.
///
/// Numbers are as wide as TOML has them: which of them an option takes is said where it is refused, in `config`.
#[derive(Debug, Default, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// Address and port to bind [default: 0.0.0.0:8080] [env: GLIMT_ADDR, PICTRS_ADDR]
    #[arg(short, long, value_name = "ADDR")]
    pub addr: Option<SocketAddr>,

    /// Data directory: pictures and the embedded metadata store. Required [env: GLIMT_PATH, PICTRS_PATH]
    #[arg(short, long, value_name = "PATH")]
    pub path: Option<PathBuf>,

    /// Convert every upload to this format: jpg, png or webp [env: GLIMT_FORMAT, PICTRS_FORMAT]
    #[arg(short, long, value_name = "FORMAT", value_parser = parse_format)]
    #[serde(deserialize_with = "stored_format")]
    pub format: Option<OutputFormat>,

    /// Largest upload in megabytes of 1024 * 1024 bytes [default: 40] [env: GLIMT_MAX_FILE_SIZE, PICTRS_MAX_FILE_SIZE]
    #[arg(short, long, value_name = "MB", allow_negative_numbers = true)]
    pub max_file_size: Option<i64>,

    /// Filters that are allowed, and quality; all when not given. Several after one flag: identity thumbnail blur
    /// [env: GLIMT_WHITELIST, PICTRS_FILTER_WHITELIST, split on commas and spaces]
    #[arg(short, long, value_name = "FILTER", num_args = 1.., value_delimiter = ',')]
    pub whitelist: Option<Vec<String>>,

    /// Do not validate what comes through /internal/import
    /// [env: GLIMT_SKIP_VALIDATE_IMPORTS, PICTRS_SKIP_VALIDATE_IMPORTS]
    #[arg(short, long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    pub skip_validate_imports: Option<bool>,

    /// Enables /internal/*, for requests with this key in X-Api-Token [env: GLIMT_API_KEY, PICTRS_API_KEY]
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<Secret>,

    /// A file with that key, so that it stands neither among the arguments nor in the environment
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,

    /// Which pict-rs to answer like where its versions differ, 0.2 or 0.5: what deletes of unknown names, caches and clients of error codes
    /// are told, and what new pictures are called [default: 0.2]
    #[arg(long, value_name = "VERSION")]
    #[serde(deserialize_with = "by_name")]
    pub compat: Option<Compat>,

    /// A TOML file with any of these options under their long names [env: GLIMT_CONFIG]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Which engine processes pictures: auto, gpu, software (Vulkan on the CPU) or cpu (SIMD) [default: auto]
    #[arg(long, value_name = "BACKEND")]
    #[serde(deserialize_with = "by_name")]
    pub backend: Option<Backend>,

    /// Quality of JPEGs that are made, 1 to 100; a request may ask for another by quality=N [default: 80]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub jpeg_quality: Option<i64>,

    /// Time taken for smaller JPEGs: fast, balanced or small (progressive) [default: balanced]
    #[arg(long, value_name = "EFFORT")]
    #[serde(deserialize_with = "by_name")]
    pub jpeg_effort: Option<Effort>,

    /// Samples of colour in JPEGs: 420 (one for four pixels), 444 (all), auto (444 where coloured edges need it)
    /// [default: auto]
    #[arg(long, value_name = "CHROMA")]
    #[serde(deserialize_with = "by_name")]
    pub jpeg_chroma: Option<Chroma>,

    /// Time taken for smaller PNGs: fast, balanced or small [default: fast]
    #[arg(long, value_name = "EFFORT")]
    #[serde(deserialize_with = "by_name")]
    pub png_effort: Option<Effort>,

    /// Quality of WebPs that are made, as of JPEGs [default: 80]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub webp_quality: Option<i64>,

    /// Time taken for smaller WebPs: fast, balanced or small [default: balanced]
    #[arg(long, value_name = "EFFORT")]
    #[serde(deserialize_with = "by_name")]
    pub webp_effort: Option<Effort>,

    /// Quality of AVIFs that are made, as of JPEGs [default: 80]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub avif_quality: Option<i64>,

    /// Time taken for smaller AVIFs: fast, balanced or small [default: balanced]
    #[arg(long, value_name = "EFFORT")]
    #[serde(deserialize_with = "by_name")]
    pub avif_effort: Option<Effort>,

    /// How long a request waits for an AVIF, in milliseconds; then it gets a WebP and the AVIF is finished in the background
    /// [default: 500]
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    pub avif_budget_millis: Option<i64>,

    /// Largest still picture in megapixels [default: 40]
    #[arg(long, value_name = "MP", allow_negative_numbers = true)]
    pub max_pixels: Option<i64>,

    /// Longest side of a picture in pixels [default: 65535]
    #[arg(long, value_name = "PX", allow_negative_numbers = true)]
    pub max_side: Option<i64>,

    /// Most frames of an animation [default: 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub max_frames: Option<i64>,

    /// Largest animation, all frames together, in megapixels [default: 50]
    #[arg(long, value_name = "MP", allow_negative_numbers = true)]
    pub max_animation_pixels: Option<i64>,

    /// Memory that decoding one picture may take, in MiB [default: the memory limit]
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    pub max_decoded_size: Option<i64>,

    /// Most metadata of a file, its colour profile and trailer too, in MiB [default: 32]
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    pub max_metadata_size: Option<i64>,

    /// Decode AVIF, HEIC, JPEG XL and SVG in processes that may do nothing else: auto (as far as the system can), on (or do not
    /// start) or off; Linux only [default: auto]
    #[arg(long, value_name = "MODE")]
    #[serde(deserialize_with = "by_name")]
    pub sandbox: Option<sandbox::Mode>,

    /// Threads that decode, process and encode [default: one a core]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub workers: Option<i64>,

    /// How far workers stand back behind the threads that answer requests, 0 to 19 as in nice; Linux only [default: 5]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub worker_nice: Option<i64>,

    /// Variants that may wait for a worker; more are answered 503 [default: 64]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub queue: Option<i64>,

    /// Longest time, in seconds, that a variant may be expected to wait for a worker; over that it is answered 503
    /// [default: 5]
    #[arg(long, value_name = "SECS", allow_negative_numbers = true)]
    pub max_wait: Option<i64>,

    /// Memory that pictures being worked on may take together, in MiB [default: 512]
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    pub memory_limit: Option<i64>,

    /// Memory of the GPU that jobs and buffers kept for the next may take together, in MiB [default: 1024]
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    pub vram_budget: Option<i64>,

    /// Variants on the disk, in MiB; past that those not asked for the longest go [default: 1024]
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    pub cache_size: Option<i64>,

    /// Variants in memory, those asked for most, in MiB; 0 keeps none there [default: 64]
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    pub hot_cache: Option<i64>,

    /// Delete variants that nobody has asked for in so many hours; 0 keeps them while there is room [default: 0]
    #[arg(long, value_name = "HOURS", allow_negative_numbers = true)]
    pub cache_age: Option<i64>,

    /// Delete remote pictures (?proxy=<URL>) that nobody has asked for in so many hours; 0 keeps them [default: 168]
    #[arg(long, value_name = "HOURS", allow_negative_numbers = true)]
    pub remote_age: Option<i64>,

    /// Variants of up to half of this are made from a small copy of the picture that is kept for it; 0 keeps none [default: 512]
    #[arg(long, value_name = "PX", allow_negative_numbers = true)]
    pub proxy_size: Option<i64>,

    /// Longest time from a request to its variant, and from a picture that is received to its being stored, in seconds
    /// [default: 30]
    #[arg(long, value_name = "SECS", allow_negative_numbers = true)]
    pub request_timeout: Option<i64>,

    /// New variants of one picture in an hour; more are answered 429, those that are there served; 0 is no limit [default: 256]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub variants_per_picture: Option<i64>,

    /// New variants of all pictures in a second, on average over ten; more are answered 429; 0 is no limit [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub variants_per_sec: Option<i64>,

    /// Connections served at a time; on more, requests are answered 503 [default: 1024]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub max_connections: Option<i64>,

    /// How long a connection without a request is kept, in seconds [default: 75]
    #[arg(long, value_name = "SECS", allow_negative_numbers = true)]
    pub keep_alive_timeout: Option<i64>,

    /// Serve TLS with the certificate (and those behind it) in this PEM file; it is read again when it changes
    #[arg(long, value_name = "PEM")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of that certificate, a PEM file
    #[arg(long, value_name = "PEM")]
    pub tls_key: Option<PathBuf>,

    /// Requests under way at a time, on all connections together; more are answered 503 [default: 2048]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub max_requests: Option<i64>,

    /// Uploads, imports and downloads under way at a time; more are answered 503 before they are read [default: 32]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub max_uploads: Option<i64>,

    /// Private address ranges that /image/download may fetch from, such as 10.1.0.0/16; none when not given
    #[arg(long, value_name = "CIDR", num_args = 1.., value_delimiter = ',')]
    pub download_allow: Option<Vec<IpNet>>,

    /// Turn /image/download off
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    pub no_download: Option<bool>,

    /// Take no pictures and delete none; those that are there are served, and variants made
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    pub read_only: Option<bool>,

    /// Turn the page at / off
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    pub no_ui: Option<bool>,

    /// A variant with a name, served at /image/preset/NAME/FILE: avatar=cover=128x128.smart&quality=auto&format=webp; without a
    /// format the client's headers decide. Several after one flag, or with spaces between them in the environment
    #[arg(long, value_name = "NAME=QUERY", num_args = 1..)]
    #[serde(deserialize_with = "read::table", serialize_with = "read::as_table")]
    pub preset: Option<Vec<NamedPreset>>,

    /// Make no other variants than those of presets, and what is signed
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    pub only_presets: Option<bool>,

    /// Keys that addresses are signed with, of 16 bytes or more; any of them verifies, and the first one signs
    #[arg(long, value_name = "KEY", num_args = 1.., value_delimiter = ',')]
    pub signing_key: Option<Vec<Secret>>,

    /// A file with those keys, one a line, so that they stand neither among the arguments nor in the environment
    #[arg(long, value_name = "FILE")]
    pub signing_key_file: Option<PathBuf>,

    /// Make no variants but of presets and of addresses that are signed, as glimt sign does
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", require_equals = true)]
    pub require_signature: Option<bool>,

    /// An address of its own for /metrics, /healthz and /readyz, in clear text; /metrics is then at no other
    #[arg(long, value_name = "ADDR")]
    pub metrics_addr: Option<SocketAddr>,

    /// Pages of these origins may use pictures and API from a browser: https://example.org, or * for all
    #[arg(long, value_name = "ORIGIN", num_args = 1.., value_delimiter = ',')]
    pub cors_origin: Option<Vec<String>>,

    /// Send traces to the OpenTelemetry collector at this address, such as http://localhost:4318: OTLP over HTTP. OTEL_* in the environment say
    /// the rest, as OTEL_TRACES_SAMPLER
    #[arg(long, value_name = "URL")]
    pub opentelemetry_url: Option<String>,

    /// Ask this address (http://localhost:8076) about every picture before it is stored: it is sent there with its media type, and
    /// refused unless the answer is 2xx
    #[arg(long, value_name = "URL")]
    pub external_validation: Option<String>,

    /// How long that may take for one picture, in seconds [default: 30]
    #[arg(long, value_name = "SECS", allow_negative_numbers = true)]
    pub external_validation_timeout: Option<i64>,

    /// How log lines are written: full, compact, pretty (several lines each) or json [default: full]
    #[arg(long, value_name = "FORMAT")]
    #[serde(deserialize_with = "by_name")]
    pub log_format: Option<LogFormat>,

    /// Longest time a graceful stop may take, in seconds [default: 20]
    #[arg(long, value_name = "SECS", allow_negative_numbers = true)]
    pub stop_timeout: Option<i64>,
}

impl Options {
    /// The options as the environment gives them. An empty variable counts as not given.
    ///
    /// # Errors
    /// [`EnvError`] names the variable that cannot be read.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, EnvError> {
        let env = Env { lookup };
        Ok(Self {
            addr: env.parse(&["GLIMT_ADDR", "PICTRS_ADDR"], parse)?,
            path: env.parse(&["GLIMT_PATH", "PICTRS_PATH"], parse)?,
            format: env.parse(&["GLIMT_FORMAT", "PICTRS_FORMAT"], parse_format)?,
            max_file_size: env.parse(&["GLIMT_MAX_FILE_SIZE", "PICTRS_MAX_FILE_SIZE"], parse)?,
            whitelist: env
                .parse(&["GLIMT_WHITELIST", "GLIMT_FILTER_WHITELIST", "PICTRS_FILTER_WHITELIST"], parse_list)?,
            skip_validate_imports: env
                .parse(&["GLIMT_SKIP_VALIDATE_IMPORTS", "PICTRS_SKIP_VALIDATE_IMPORTS"], parse_bool)?,
            api_key: env.parse(&["GLIMT_API_KEY", "PICTRS_API_KEY"], parse)?,
            api_key_file: env.parse(&["GLIMT_API_KEY_FILE"], parse)?,
            compat: env.parse(&["GLIMT_COMPAT"], parse)?,
            config: env.parse(&["GLIMT_CONFIG"], parse)?,
            backend: env.parse(&["GLIMT_BACKEND"], parse)?,
            jpeg_quality: env.parse(&["GLIMT_JPEG_QUALITY"], parse)?,
            jpeg_effort: env.parse(&["GLIMT_JPEG_EFFORT"], parse)?,
            jpeg_chroma: env.parse(&["GLIMT_JPEG_CHROMA"], parse)?,
            png_effort: env.parse(&["GLIMT_PNG_EFFORT"], parse)?,
            webp_quality: env.parse(&["GLIMT_WEBP_QUALITY"], parse)?,
            webp_effort: env.parse(&["GLIMT_WEBP_EFFORT"], parse)?,
            avif_quality: env.parse(&["GLIMT_AVIF_QUALITY"], parse)?,
            avif_effort: env.parse(&["GLIMT_AVIF_EFFORT"], parse)?,
            avif_budget_millis: env.parse(&["GLIMT_AVIF_BUDGET_MILLIS"], parse)?,
            max_pixels: env.parse(&["GLIMT_MAX_PIXELS"], parse)?,
            max_side: env.parse(&["GLIMT_MAX_SIDE"], parse)?,
            max_frames: env.parse(&["GLIMT_MAX_FRAMES"], parse)?,
            max_animation_pixels: env.parse(&["GLIMT_MAX_ANIMATION_PIXELS"], parse)?,
            max_decoded_size: env.parse(&["GLIMT_MAX_DECODED_SIZE"], parse)?,
            max_metadata_size: env.parse(&["GLIMT_MAX_METADATA_SIZE"], parse)?,
            sandbox: env.parse(&["GLIMT_SANDBOX"], parse)?,
            workers: env.parse(&["GLIMT_WORKERS"], parse)?,
            worker_nice: env.parse(&["GLIMT_WORKER_NICE"], parse)?,
            queue: env.parse(&["GLIMT_QUEUE"], parse)?,
            max_wait: env.parse(&["GLIMT_MAX_WAIT"], parse)?,
            memory_limit: env.parse(&["GLIMT_MEMORY_LIMIT"], parse)?,
            vram_budget: env.parse(&["GLIMT_VRAM_BUDGET"], parse)?,
            cache_size: env.parse(&["GLIMT_CACHE_SIZE"], parse)?,
            hot_cache: env.parse(&["GLIMT_HOT_CACHE"], parse)?,
            cache_age: env.parse(&["GLIMT_CACHE_AGE"], parse)?,
            remote_age: env.parse(&["GLIMT_REMOTE_AGE"], parse)?,
            proxy_size: env.parse(&["GLIMT_PROXY_SIZE"], parse)?,
            request_timeout: env.parse(&["GLIMT_REQUEST_TIMEOUT"], parse)?,
            variants_per_picture: env.parse(&["GLIMT_VARIANTS_PER_PICTURE"], parse)?,
            variants_per_sec: env.parse(&["GLIMT_VARIANTS_PER_SEC"], parse)?,
            max_connections: env.parse(&["GLIMT_MAX_CONNECTIONS"], parse)?,
            keep_alive_timeout: env.parse(&["GLIMT_KEEP_ALIVE_TIMEOUT"], parse)?,
            tls_cert: env.parse(&["GLIMT_TLS_CERT"], parse)?,
            tls_key: env.parse(&["GLIMT_TLS_KEY"], parse)?,
            max_requests: env.parse(&["GLIMT_MAX_REQUESTS"], parse)?,
            max_uploads: env.parse(&["GLIMT_MAX_UPLOADS"], parse)?,
            download_allow: env
                .parse(&["GLIMT_DOWNLOAD_ALLOW"], |text| parse_list(text)?.iter().map(|item| parse(item)).collect())?,
            no_download: env.parse(&["GLIMT_NO_DOWNLOAD"], parse_bool)?,
            read_only: env.parse(&["GLIMT_READ_ONLY"], parse_bool)?,
            no_ui: env.parse(&["GLIMT_NO_UI"], parse_bool)?,
            preset: env.parse(&["GLIMT_PRESET"], parse_presets)?,
            only_presets: env.parse(&["GLIMT_ONLY_PRESETS"], parse_bool)?,
            signing_key: env.parse(&["GLIMT_SIGNING_KEY"], parse_secrets)?,
            signing_key_file: env.parse(&["GLIMT_SIGNING_KEY_FILE"], parse)?,
            require_signature: env.parse(&["GLIMT_REQUIRE_SIGNATURE"], parse_bool)?,
            metrics_addr: env.parse(&["GLIMT_METRICS_ADDR"], parse)?,
            cors_origin: env.parse(&["GLIMT_CORS_ORIGIN"], parse_list)?,
            opentelemetry_url: env.parse(&["GLIMT_OPENTELEMETRY_URL"], parse)?,
            external_validation: env.parse(&["GLIMT_EXTERNAL_VALIDATION"], parse)?,
            external_validation_timeout: env.parse(&["GLIMT_EXTERNAL_VALIDATION_TIMEOUT"], parse)?,
            log_format: env.parse(&["GLIMT_LOG_FORMAT"], parse)?,
            stop_timeout: env.parse(&["GLIMT_STOP_TIMEOUT"], parse)?,
        })
    }

    /// These options, and where they say nothing, those of `lower`.
    #[must_use]
    pub fn or(self, lower: Self) -> Self {
        Self {
            addr: self.addr.or(lower.addr),
            path: self.path.or(lower.path),
            format: self.format.or(lower.format),
            max_file_size: self.max_file_size.or(lower.max_file_size),
            whitelist: self.whitelist.or(lower.whitelist),
            skip_validate_imports: self.skip_validate_imports.or(lower.skip_validate_imports),
            api_key: self.api_key.or(lower.api_key),
            api_key_file: self.api_key_file.or(lower.api_key_file),
            compat: self.compat.or(lower.compat),
            config: self.config.or(lower.config),
            backend: self.backend.or(lower.backend),
            jpeg_quality: self.jpeg_quality.or(lower.jpeg_quality),
            jpeg_effort: self.jpeg_effort.or(lower.jpeg_effort),
            jpeg_chroma: self.jpeg_chroma.or(lower.jpeg_chroma),
            png_effort: self.png_effort.or(lower.png_effort),
            webp_quality: self.webp_quality.or(lower.webp_quality),
            webp_effort: self.webp_effort.or(lower.webp_effort),
            avif_quality: self.avif_quality.or(lower.avif_quality),
            avif_effort: self.avif_effort.or(lower.avif_effort),
            avif_budget_millis: self.avif_budget_millis.or(lower.avif_budget_millis),
            max_pixels: self.max_pixels.or(lower.max_pixels),
            max_side: self.max_side.or(lower.max_side),
            max_frames: self.max_frames.or(lower.max_frames),
            max_animation_pixels: self.max_animation_pixels.or(lower.max_animation_pixels),
            max_decoded_size: self.max_decoded_size.or(lower.max_decoded_size),
            max_metadata_size: self.max_metadata_size.or(lower.max_metadata_size),
            sandbox: self.sandbox.or(lower.sandbox),
            workers: self.workers.or(lower.workers),
            worker_nice: self.worker_nice.or(lower.worker_nice),
            queue: self.queue.or(lower.queue),
            max_wait: self.max_wait.or(lower.max_wait),
            memory_limit: self.memory_limit.or(lower.memory_limit),
            vram_budget: self.vram_budget.or(lower.vram_budget),
            cache_size: self.cache_size.or(lower.cache_size),
            hot_cache: self.hot_cache.or(lower.hot_cache),
            cache_age: self.cache_age.or(lower.cache_age),
            remote_age: self.remote_age.or(lower.remote_age),
            proxy_size: self.proxy_size.or(lower.proxy_size),
            request_timeout: self.request_timeout.or(lower.request_timeout),
            variants_per_picture: self.variants_per_picture.or(lower.variants_per_picture),
            variants_per_sec: self.variants_per_sec.or(lower.variants_per_sec),
            max_connections: self.max_connections.or(lower.max_connections),
            keep_alive_timeout: self.keep_alive_timeout.or(lower.keep_alive_timeout),
            tls_cert: self.tls_cert.or(lower.tls_cert),
            tls_key: self.tls_key.or(lower.tls_key),
            max_requests: self.max_requests.or(lower.max_requests),
            max_uploads: self.max_uploads.or(lower.max_uploads),
            download_allow: self.download_allow.or(lower.download_allow),
            no_download: self.no_download.or(lower.no_download),
            read_only: self.read_only.or(lower.read_only),
            no_ui: self.no_ui.or(lower.no_ui),
            preset: self.preset.or(lower.preset),
            only_presets: self.only_presets.or(lower.only_presets),
            signing_key: self.signing_key.or(lower.signing_key),
            signing_key_file: self.signing_key_file.or(lower.signing_key_file),
            require_signature: self.require_signature.or(lower.require_signature),
            metrics_addr: self.metrics_addr.or(lower.metrics_addr),
            cors_origin: self.cors_origin.or(lower.cors_origin),
            opentelemetry_url: self.opentelemetry_url.or(lower.opentelemetry_url),
            external_validation: self.external_validation.or(lower.external_validation),
            external_validation_timeout: self.external_validation_timeout.or(lower.external_validation_timeout),
            log_format: self.log_format.or(lower.log_format),
            stop_timeout: self.stop_timeout.or(lower.stop_timeout),
        }
    }
}
