//! The `glimt` program: parse, resolve, run, exit code.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use glimt::{
    cli::{Cli, Command, Options},
    config::{Config, ConfigError},
    gpu_info, healthcheck,
    maintain::{self, Work},
    pixels::gpu::Probe,
    sandbox,
    server::Server,
    sign, signals, telemetry,
};

/// Why not the system's: see `Cargo.toml`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let env = |name: &str| std::env::var_os(name);
    match cli.command {
        Some(Command::Healthcheck { addr, tls }) => return healthcheck::run(addr, tls, &env),
        Some(Command::GpuInfo { backend }) => return gpu_info::run(backend, &env),
        Some(Command::Check { path, repair }) => return maintain::run(Work::Check { repair }, path, &env),
        Some(Command::Export { to, path, files }) => return maintain::run(Work::Export { to, files }, path, &env),
        Some(Command::Import { from, path }) => return maintain::run(Work::Import { from }, path, &env),
        Some(Command::Sign { target, expires_in, signing_key, signing_key_file, config }) => {
            let signing_key = signing_key.map(|key| vec![key]);
            let options = Options { signing_key, signing_key_file, config, ..Options::default() };
            return sign::run(&target, expires_in, options, &env);
        }
        Some(Command::Probe { what }) => return gpu_info::probe(what),
        Some(Command::Decode { task }) => return sandbox::child::run(&task),
        None => {}
    }
    let config = match Config::resolve(cli.options, &env) {
        Ok(config) => {
            Config { probe: Probe::of_this_program(), decoder: sandbox::Program::of_this_program(), ..config }
        }
        Err(error @ ConfigError::NoPath) => {
            Cli::command().error(ErrorKind::MissingRequiredArgument, error).exit();
        }
        Err(error) => Cli::command().error(ErrorKind::ValueValidation, error).exit(),
    };
    telemetry::init();
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let served = runtime.block_on(async {
        let stop = signals::stop().context("cannot listen for signals")?;
        let server = Server::bind(config).await?;
        server.serve(stop).await.context("the metadata was not closed cleanly")
    });
    // Requests that were cut off must not hold up the end.
    runtime.shutdown_background();
    served
}
