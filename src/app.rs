//! The wired parts of a server, built once and shared.

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};

use tokio::sync::Notify;

use crate::{
    codec::Budget,
    config::Config,
    domain::{Compat, Preset, Secret},
    pixels::{EngineError, EngineOptions, Engines, PlanLimits},
    repo::{Repo, RepoError, SledRepo},
    sandbox::{Sandbox, SandboxError},
    service::{
        backgrounded::{Backgrounded, MAX_ACCEPTED},
        cache::{Cache, CacheOptions},
        cleanup::Cleanup,
        exports::Exports,
        fetch::{FetchError, FetchOptions, Fetcher},
        gates::Gates,
        ingest::{Ingest, IngestOptions},
        locks::HashLocks,
        looks::Looking,
        originals::Originals,
        pool::{Pool, PoolOptions},
        process::{Process, ProcessOptions},
        proxies::Proxies,
        prune::Prune,
        quota::QuotaOptions,
        remotes::Remotes,
        signing::Signing,
        tickets::Tickets,
        validation::Validation,
    },
    store::{FsStore, Spool, Store, StoreError},
};

/// How long a job may go on after its time before its thread is given up. Decoders look at the clock far more often.
const GRACE: Duration = Duration::from_secs(1);

/// Everything a request may need.
pub struct App {
    /// Takes pictures in.
    pub ingest: Arc<Ingest>,
    /// Makes variants.
    pub process: Arc<Process>,
    /// The variants on the disk.
    pub cache: Arc<Cache>,
    /// What small variants are made from.
    pub proxies: Arc<Proxies>,
    /// What pictures look like.
    pub looking: Arc<Looking>,
    /// What makes copies in memory worthless when their pictures are deleted.
    pub tickets: Arc<Tickets>,
    /// Finds and removes pictures.
    pub originals: Arc<Originals>,
    /// Downloads pictures.
    pub fetcher: Arc<Fetcher>,
    /// Finds and fetches pictures of other hosts.
    pub remotes: Arc<Remotes>,
    /// Does what nobody waits for.
    pub backgrounded: Arc<Backgrounded>,
    /// Removes pictures whose files are missing.
    pub prune: Arc<Prune>,
    /// Copies the metadata.
    pub exports: Exports,
    /// The bytes.
    pub store: Arc<dyn Store>,
    /// The metadata.
    pub repo: Arc<dyn Repo>,
    /// The engines.
    pub engines: Arc<Engines>,
    /// The threads that work on pictures.
    pub pool: Arc<Pool>,
    /// How many may be served at a time.
    pub gates: Gates,
    /// What the HTTP layer needs of the configuration.
    pub rules: Rules,
}

/// The part of the configuration that decides about requests.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Opens `/internal`.
    pub api_key: Option<Secret>,
    /// Which pict-rs to answer like where its versions differ.
    pub compat: Compat,
    /// Filters that are allowed; `None` allows all.
    pub whitelist: Option<std::collections::BTreeSet<String>>,
    /// Whether imports are taken as they are.
    pub trust_imports: bool,
    /// Largest file of an upload.
    pub max_file_size_bytes: u64,
    /// Limits of its picture.
    pub budget: Budget,
    /// How long a client may pause while it sends a form.
    pub body_patience: Duration,
    /// Bytes of variants in memory.
    pub hot_cache_bytes: u64,
    /// Whether no picture comes and none goes.
    pub read_only: bool,
    /// Whether there is a page at `/`.
    pub ui: bool,
    /// Whether metrics have an address of their own.
    pub metrics_apart: bool,
    /// Whether requests are traced.
    pub traces: bool,
    /// Origins whose pages may use the server from a browser.
    pub cors_origins: Vec<String>,
    /// Variants that have names.
    pub presets: BTreeMap<String, Preset>,
    /// Whether no others are made, but what is signed.
    pub only_presets: bool,
    /// Verifies signed addresses.
    pub signing: Signing,
    /// Whether what is no preset has to be signed.
    pub require_signature: bool,
}

impl Rules {
    /// Those of a configuration.
    fn of(config: &Config, budget: Budget) -> Self {
        Self {
            budget,
            api_key: config.api_key.clone(),
            compat: config.compat,
            whitelist: config.whitelist.clone(),
            trust_imports: config.skip_validate_imports,
            max_file_size_bytes: config.max_file_size_bytes,
            body_patience: config.body_timeout,
            hot_cache_bytes: config.hot_cache_bytes,
            read_only: config.read_only,
            ui: config.ui,
            metrics_apart: config.metrics_addr.is_some(),
            traces: config.opentelemetry_url.is_some(),
            cors_origins: config.cors_origins.clone(),
            presets: config.presets.clone(),
            only_presets: config.only_presets,
            signing: Signing::new(config.signing_keys.clone()),
            require_signature: config.require_signature,
        }
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: std::net::SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error("the data directory {path} cannot be made")]
    Path {
        /// The directory.
        path: std::path::PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The store cannot be used.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
    /// The repo cannot be used.
    #[error("the metadata cannot be opened")]
    Repo(#[from] RepoError),
    /// The engine asked for is not there.
    #[error("the pixel engine cannot be started")]
    Engine(#[from] EngineError),
    /// The sandbox asked for is not there.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The client for downloads cannot be made.
    #[error("the client for downloads cannot be made")]
    Fetch(#[from] FetchError),
    /// Certificate or key cannot be used.
    #[error("TLS cannot be served")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No threads.
    #[error("the processing pool cannot be started")]
    Pool(#[source] io::Error),
}

impl App {
    /// Opens the data directory, starts the engine and the pool, and wires all parts. Opening and starting block the thread: this is start-up.
    ///
    /// # Errors
    /// [`StartError`] says what cannot be opened or started.
    pub async fn open(config: &Config) -> Result<(Arc<Self>, Cleanup), StartError> {
        let path = &config.path;
        make_durable(path).map_err(|source| StartError::Path { path: path.clone(), source })?;
        // First of all, because it holds the lock on the data directory.
        let repo: Arc<dyn Repo> = Arc::new(SledRepo::open(path)?);
        let store = FsStore::open(path).await?;
        let staging = Arc::clone(store.staging());
        let store: Arc<dyn Store> = Arc::new(store);
        let engines = Arc::new(Engines::start(config.backend, &engine_options(config))?);
        let sandbox = Sandbox::start(config.sandbox, config.decoder.as_ref(), path)?.map(Arc::new);
        let pool = Arc::new(Pool::start(pool_options(config)).map_err(StartError::Pool)?);
        let (locks, garbage) = (Arc::new(HashLocks::default()), Arc::new(Notify::new()));
        let budget = budget(config);
        let proxies =
            Arc::new(Proxies::new(config.proxy_size_px, Arc::clone(&store), Arc::clone(&repo), Arc::clone(&locks)));
        let looking = Arc::new(Looking::new(
            (budget, sandbox.clone()),
            Arc::clone(&repo),
            Arc::clone(&store),
            Arc::clone(&engines),
            Arc::clone(&pool),
        ));
        let tickets = Arc::new(Tickets::default());
        let cache = Arc::new(Cache::new(
            cache_options(config),
            Arc::clone(&store),
            Arc::clone(&repo),
            Arc::clone(&locks),
            Arc::clone(&tickets),
        ));
        let process = Arc::new(Process::new(
            process_options(config, budget, sandbox.clone()),
            Arc::clone(&store),
            Arc::clone(&cache),
            Arc::clone(&engines),
            Arc::clone(&pool),
            (Arc::clone(&proxies), Arc::clone(&looking)),
        ));
        let ingest = Arc::new(Ingest::new(
            ingest_options(config, budget, sandbox)?,
            (Arc::clone(&staging), Arc::clone(&store)),
            Arc::clone(&repo),
            Arc::clone(&pool),
            Arc::clone(&locks),
            Arc::clone(&proxies),
            (Arc::clone(&engines), Arc::clone(&looking), Arc::clone(&process)),
        ));
        let fetcher = Arc::new(Fetcher::new(FetchOptions {
            allow: config.download_allow.clone(),
            enabled: config.download,
            ..FetchOptions::default()
        })?);
        let originals = Arc::new(Originals::new(Arc::clone(&repo), Arc::clone(&tickets), Arc::clone(&garbage)));
        let remotes = Arc::new(Remotes::new(
            config.remote_age,
            Arc::clone(&repo),
            Arc::clone(&originals),
            Arc::clone(&fetcher),
            Arc::clone(&ingest),
        ));
        let gates = Gates::new(config.max_connections as usize, config.max_requests, config.max_uploads, MAX_ACCEPTED);
        let backgrounded = Backgrounded::open(
            (Spool::open(path.join("backgrounded")).await?, staging),
            (config.compat, config.workers),
            Arc::clone(&gates.backgrounded),
            (Arc::clone(&ingest), Arc::clone(&process), Arc::clone(&originals)),
        );
        let backgrounded = Arc::new(backgrounded.await?);
        let prune = Arc::new(Prune::new(Arc::clone(&repo), Arc::clone(&store), Arc::clone(&originals)));
        let exports = Exports::new(path.join("exports"), Arc::clone(&store), Arc::clone(&repo));
        let cleanup = Cleanup::new(Arc::clone(&store), Arc::clone(&repo), Arc::clone(&cache), locks, garbage);
        let rules = Rules::of(config, budget);
        let app = Self {
            ingest,
            process,
            cache,
            proxies,
            looking,
            tickets,
            originals,
            fetcher,
            remotes,
            backgrounded,
            prune,
            exports,
            store,
            repo,
            engines,
            pool,
            gates,
            rules,
        };
        Ok((Arc::new(app), cleanup))
    }
}

/// The limits of the decoders.
fn budget(config: &Config) -> Budget {
    Budget {
        max_pixels: config.max_pixels,
        max_frames: config.max_frames,
        max_animation_pixels: config.max_animation_pixels,
        max_side: config.max_side,
        max_memory_bytes: config.max_decoded_bytes,
        max_metadata_bytes: config.max_metadata_bytes,
        ..Budget::default()
    }
}

/// How variants are kept on the disk.
fn cache_options(config: &Config) -> CacheOptions {
    CacheOptions {
        size_bytes: config.cache_size_bytes,
        max_age: config.cache_age,
        keeps_proxies: config.proxy_size_px > 0,
    }
}

/// How variants are made.
fn process_options(config: &Config, budget: Budget, sandbox: Option<Arc<Sandbox>>) -> ProcessOptions {
    ProcessOptions {
        budget,
        sandbox,
        plan: PlanLimits::default(),
        encoders: config.encoders,
        avif_budget: config.avif_budget,
        quota: QuotaOptions { per_picture: config.variants_per_picture, per_sec: config.variants_per_sec },
    }
}

/// How pictures are taken in.
fn ingest_options(config: &Config, budget: Budget, sandbox: Option<Arc<Sandbox>>) -> Result<IngestOptions, FetchError> {
    let validation = config.external_validation.clone();
    let validation = validation.map(|url| Validation::new(url, config.external_validation_timeout)).transpose()?;
    Ok(IngestOptions {
        convert: config.format,
        compat: config.compat,
        max_file_size_bytes: config.max_file_size_bytes,
        budget,
        sandbox,
        validation: validation.map(Arc::new),
    })
}

/// Every thread of the pool, and every one in the place of a thread that was given up, has a place in the device's queue, so none is ever refused there: the pool's own queue is
/// where waiting is bounded.
fn engine_options(config: &Config) -> EngineOptions {
    EngineOptions {
        queue_depth: 2 * config.workers.max(1),
        max_device_bytes: config.vram_budget_bytes,
        probe: config.probe.clone(),
        ..EngineOptions::default()
    }
}

fn pool_options(config: &Config) -> PoolOptions {
    PoolOptions {
        workers: config.workers,
        queue: config.queue,
        uploads: config.max_uploads,
        max_wait: config.max_wait,
        memory_limit_bytes: config.memory_limit_bytes,
        timeout: config.request_timeout,
        grace: GRACE,
        nice: config.worker_nice,
    }
}

/// Makes the data directory if it is not there, so that a power cut after the first upload finds it.
fn make_durable(path: &Path) -> io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    std::fs::create_dir_all(path)?;
    let above = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(above)?.sync_all()
}
