//! `glimt config`: the options in effect as a file, and where each came from.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{
    cli::Options,
    config::{ConfigError, Effective},
};

/// Prints what these flags, the environment and the file come to. What is wrong, or missing, or does nothing, goes to stderr.
pub fn run(flags: Options, env: &dyn Fn(&str) -> Option<OsString>) -> ExitCode {
    let mut told = String::new();
    for unknown in Options::unknown_variables(std::env::vars_os().map(|(name, _value)| name)) {
        told.push_str(&format!("warning: {unknown}\n"));
    }
    let printed = match Effective::of(flags, env) {
        Ok(effective) => {
            if !effective.has_path() {
                told.push_str(&format!("error: {}\n", ConfigError::NoPath));
            }
            let about = "# The options of glimt that are in effect here, and where each came from. Secrets are hidden: put them in again.";
            let written = write!(io::stdout(), "{about}\n{effective}");
            effective.has_path() && written.is_ok()
        }
        Err(error) => {
            told.push_str(&format!("error: {error}\n"));
            false
        }
    };
    // With stderr closed the exit code still tells.
    let _unheard = io::stderr().write_all(told.as_bytes());
    if printed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
