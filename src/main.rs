//! The `glimt` program: parse, resolve, run, exit code.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _, error::ErrorKind};
use glimt::{
    bench,
    cli::{Cli, Command, Options},
    config::{Config, ConfigError},
    convert, gpu_info, healthcheck,
    maintain::{self, Work},
    manual, sandbox,
    server::Server,
    show_config, sign, signals, telemetry,
};

/// Why not the system's: see `Cargo.toml`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let env = |name: &str| std::env::var_os(name);
    let options = match cli.command {
        None => cli.options,
        Some(Command::Serve { options }) => *options,
        Some(Command::Config { options }) => return show_config::run(*options, &env),
        Some(Command::Healthcheck { addr, tls }) => return healthcheck::run(addr, tls, &env),
        Some(Command::GpuInfo { backend }) => return gpu_info::run(backend, &env),
        Some(Command::Check { path, repair }) => return maintain::run(Work::Check { repair }, path, &env),
        Some(Command::Export { to, path, files }) => return maintain::run(Work::Export { to, files }, path, &env),
        Some(Command::Import { from, list, path }) => return maintain::run(Work::Import { from, list }, path, &env),
        Some(Command::Process { from, ops, to, backend }) => {
            let task = convert::Task { from, ops, to };
            return convert::run(&task, Options { backend, ..Options::default() }, &env);
        }
        Some(Command::Bench { secs, megapixels, path, backend, workers }) => {
            let options = Options { path, backend, workers, ..Options::default() };
            return bench::run(bench::Terms { secs, megapixels }, options, &env);
        }
        Some(Command::Completions { shell }) => return manual::completions(shell),
        Some(Command::Man { of }) => return manual::man(of.as_deref()),
        Some(Command::Sign { target, expires_in, signing_key, signing_key_file, config }) => {
            let signing_key = signing_key.map(|key| vec![key]);
            let options = Options { signing_key, signing_key_file, config, ..Options::default() };
            return sign::run(&target, expires_in, options, &env);
        }
        Some(Command::Probe { what }) => return gpu_info::probe(what),
        Some(Command::Decode { task }) => return sandbox::child::run(&task),
    };
    let config = match Config::resolve(options, &env) {
        Ok(config) => config.in_this_program(),
        Err(error @ ConfigError::NoPath) => {
            Cli::command().error(ErrorKind::MissingRequiredArgument, error).exit();
        }
        Err(error) => Cli::command().error(ErrorKind::ValueValidation, error).exit(),
    };
    // Dropped at the end, after the server: the last spans are sent then.
    let _traces = match telemetry::init(config.log_format, config.opentelemetry_url.as_ref()) {
        Ok(traces) => traces,
        Err(error) => {
            let _unheard = writeln!(io::stderr(), "error: {:#}", anyhow::Error::from(error));
            return ExitCode::FAILURE;
        }
    };
    for unknown in Options::unknown_variables(std::env::vars_os().map(|(name, _value)| name)) {
        tracing::warn!("{unknown}");
    }
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
