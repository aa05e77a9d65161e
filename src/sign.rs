//! `glimt sign`: an address with a signature behind it.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    cli::Options,
    config::{self, ConfigError},
    service::signing::Signing,
};

/// Prints `target` (a path with a query, or a whole URL) signed by the first key that options, environment and file have, to count for
/// `expires_in_secs`. Says on stderr what is wrong.
pub fn run(
    target: &str,
    expires_in_secs: Option<u64>,
    options: Options,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> ExitCode {
    let (said, well) = match signed(target, expires_in_secs, options, env) {
        Ok(signed) => (writeln!(io::stdout(), "{signed}"), true),
        Err(error) => (writeln!(io::stderr(), "error: {error}"), false),
    };
    if well && said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn signed(
    target: &str,
    expires_in_secs: Option<u64>,
    options: Options,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<String, String> {
    let keys = config::signing_keys_of(options, env).map_err(|error: ConfigError| error.to_string())?;
    // The server sees neither scheme nor host.
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map(|at| target.len() - rest.len() + at),
        None => Some(0),
    };
    let path = path.filter(|at| target[*at..].starts_with('/'));
    let (origin, path) = target.split_at_checked(path.unwrap_or(target.len())).unwrap_or((target, ""));
    if path.is_empty() {
        return Err(format!(
            "{target:?} is no path: give one with its query, as '/image/process.webp?src=a.jpg&thumbnail=256'"
        ));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let until = expires_in_secs.map(|secs| now.saturating_add(secs));
    let missing = "there is no key to sign with: give --signing-key or --signing-key-file, or set GLIMT_SIGNING_KEY";
    let signed = Signing::new(keys).sign(path, until).ok_or(missing)?;
    Ok(format!("{origin}{signed}"))
}
