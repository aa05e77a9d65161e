//! The configuration as it is in effect, as a file that gives it again, and where each value came from.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::{Table, Value};

use super::{Config, ConfigError, HOUR_SECS, MEBIBYTE, MEGAPIXEL, file};
use crate::{
    cli::Options,
    domain::{Encoders, Secret},
};

/// Where comments begin, if the values are not longer.
const COLUMN: usize = 36;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    Flag,
    /// A variable of the environment.
    Variable(String),
    /// A file.
    File(PathBuf),
    /// Nobody gave one.
    Default,
}

/// The options in effect. [`fmt::Display`] writes them as TOML; secrets and what is not set are comments there.
#[derive(Clone, Debug)]
pub struct Effective {
    lines: Vec<(String, Option<Value>, Source)>,
}

impl Effective {
    /// The options that flags, environment, file and defaults give.
    ///
    /// # Errors
    /// [`ConfigError`], as from [`Config::resolve`]; but that the path is missing is no error here.
    pub fn of(flags: Options, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let given = table(&flags)?;
        let variables = variables(env)?;
        let mut typed = flags.or(Options::from_env(env)?);
        let mut filed = Table::new();
        let path = typed.config.take();
        if let Some(path) = &path {
            let options = file::read(path)?;
            filed = table(&options)?;
            typed = typed.or(options);
        }
        let source = |key: &str| match (&path, variables.get(key)) {
            _ if given.contains_key(key) => Source::Flag,
            (_, Some(name)) => Source::Variable(name.clone()),
            (Some(path), None) if filed.contains_key(key) => Source::File(path.clone()),
            (Some(_) | None, None) => Source::Default,
        };
        // What is not read back from what became of it.
        let kept = Options {
            api_key_file: typed.api_key_file.clone(),
            signing_key_file: typed.signing_key_file.clone(),
            preset: typed.preset.clone(),
            ..Options::default()
        };
        let without_path = typed.path.is_none();
        typed.path.get_or_insert_default();
        let mut values = table(&Config::of(typed)?.typed(kept))?;
        if without_path {
            values.remove("path");
        }
        let line = |key: String| {
            let (value, source) = (values.remove(&key), source(&key));
            (key, value, source)
        };
        Ok(Self { lines: file::keys().into_iter().map(line).collect() })
    }

    /// Where the value of an option came from.
    #[must_use]
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.lines.iter().find(|(of, ..)| of == key).map(|(.., source)| source)
    }

    /// Whether it says where the data is, so that a server could start with it.
    #[must_use]
    pub fn has_path(&self) -> bool {
        self.lines.iter().any(|(key, value, _)| key == "path" && value.is_some())
    }
}

/// What `options` give, under the names of the file.
fn table(options: &Options) -> Result<Table, ConfigError> {
    Table::try_from(options).map_err(|error| ConfigError::Unwritable { cause: error.to_string() })
}

/// Which variable gives each option that the environment gives: each is asked for alone.
fn variables(env: &dyn Fn(&str) -> Option<OsString>) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut found = BTreeMap::new();
    for name in Options::variables() {
        let alone = Options::from_env(&|asked| if asked == name { env(asked) } else { None })?;
        for (key, _) in table(&alone)? {
            found.entry(key).or_insert_with(|| name.clone());
        }
    }
    Ok(found)
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => write!(f, "environment: {name}"),
            Self::File(path) => write!(f, "file: {}", one_line(path)),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A path as a comment can hold it.
fn one_line(path: &Path) -> String {
    path.display().to_string().replace(char::is_control, "\u{FFFD}")
}

/// Whether it stands for a secret, or for some.
fn is_secret(value: &Value) -> bool {
    let hidden = |value: &Value| value.as_str() == Some(Secret::HIDDEN);
    hidden(value) || value.as_array().is_some_and(|values| !values.is_empty() && values.iter().all(hidden))
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value, source) in &self.lines {
            let line = match value {
                Some(value) if is_secret(value) => format!("#{key} = {value}"),
                Some(value) => format!("{key} = {value}"),
                None => format!("#{key} ="),
            };
            let told = match (value, source) {
                (None, Source::Default) => "not set",
                _ => "",
            };
            match told {
                "" => writeln!(f, "{line:COLUMN$} # {source}")?,
                told => writeln!(f, "{line:COLUMN$} # {told}")?,
            }
        }
        Ok(())
    }
}

fn whole(number: impl TryInto<i64>) -> Option<i64> {
    // The ranges of all options are far below.
    Some(number.try_into().unwrap_or(i64::MAX))
}

fn secs(time: Duration) -> Option<i64> {
    whole(time.as_secs())
}

impl Config {
    /// What had to be typed for this configuration, every option of it. Files of keys and presets are as in `kept`.
    fn typed(&self, kept: Options) -> Options {
        let Options { api_key_file, signing_key_file, preset, .. } = kept;
        let signing_keys = Some(self.signing_keys.clone()).filter(|keys| !keys.is_empty());
        let Encoders { jpeg, png, webp, avif } = self.encoders;
        let tls = self.tls.clone();
        let (tls_cert, tls_key) = tls.map_or((None, None), |files| (Some(files.cert), Some(files.key)));
        Options {
            addr: Some(self.addr),
            path: Some(self.path.clone()),
            format: self.format,
            max_file_size: whole(self.max_file_size_bytes / MEBIBYTE),
            whitelist: self.whitelist.clone().map(Vec::from_iter),
            skip_validate_imports: Some(self.skip_validate_imports),
            api_key: self.api_key.clone().filter(|_| api_key_file.is_none()),
            api_key_file,
            compat: Some(self.compat),
            config: None,
            backend: Some(self.backend),
            jpeg_quality: whole(jpeg.quality.get()),
            jpeg_effort: Some(jpeg.effort),
            jpeg_chroma: Some(jpeg.chroma),
            png_effort: Some(png.effort),
            webp_quality: whole(webp.quality.get()),
            webp_effort: Some(webp.effort),
            avif_quality: whole(avif.quality.get()),
            avif_effort: Some(avif.effort),
            avif_budget_millis: whole(self.avif_budget.as_millis()),
            max_pixels: whole(self.max_pixels / MEGAPIXEL),
            max_side: whole(self.max_side),
            max_frames: whole(self.max_frames),
            max_animation_pixels: whole(self.max_animation_pixels / MEGAPIXEL),
            max_decoded_size: whole(self.max_decoded_bytes / MEBIBYTE),
            max_metadata_size: whole(self.max_metadata_bytes / MEBIBYTE),
            sandbox: Some(self.sandbox),
            workers: whole(self.workers),
            worker_nice: whole(self.worker_nice),
            queue: whole(self.queue),
            max_wait: secs(self.max_wait),
            memory_limit: whole(self.memory_limit_bytes / MEBIBYTE),
            vram_budget: whole(self.vram_budget_bytes / MEBIBYTE),
            cache_size: whole(self.cache_size_bytes / MEBIBYTE),
            hot_cache: whole(self.hot_cache_bytes / MEBIBYTE),
            cache_age: whole(self.cache_age.unwrap_or_default().as_secs() / HOUR_SECS),
            remote_age: whole(self.remote_age.unwrap_or_default().as_secs() / HOUR_SECS),
            proxy_size: whole(self.proxy_size_px),
            request_timeout: secs(self.request_timeout),
            variants_per_picture: whole(self.variants_per_picture),
            variants_per_sec: whole(self.variants_per_sec),
            max_connections: whole(self.max_connections),
            keep_alive_timeout: secs(self.keep_alive_timeout),
            tls_cert,
            tls_key,
            max_requests: whole(self.max_requests),
            max_uploads: whole(self.max_uploads),
            download_allow: Some(self.download_allow.clone()),
            no_download: Some(!self.download),
            read_only: Some(self.read_only),
            no_ui: Some(!self.ui),
            preset,
            only_presets: Some(self.only_presets),
            signing_key: signing_keys.filter(|_| signing_key_file.is_none()),
            signing_key_file,
            require_signature: Some(self.require_signature),
            metrics_addr: self.metrics_addr,
            cors_origin: Some(self.cors_origins.clone()),
            opentelemetry_url: self.opentelemetry_url.as_ref().map(ToString::to_string),
            external_validation: self.external_validation.as_ref().map(ToString::to_string),
            external_validation_timeout: secs(self.external_validation_timeout),
            log_format: Some(self.log_format),
            stop_timeout: secs(self.stop_timeout),
        }
    }
}
