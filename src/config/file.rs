//! A file of options. What is wrong in it is told with its line, and never with a secret.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use clap::Args as _;
use toml::Spanned;

use super::ConfigError;
use crate::{cli::Options, domain::hint};

/// The options that the file at `path` gives.
pub(super) fn read(path: &Path) -> Result<Options, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|error| {
        let cause = unknown(&text).unwrap_or_else(|| told(&text, &error));
        ConfigError::Syntax { path: path.to_owned(), cause }
    })
}

/// The names that an option may have in a file, in the order of the help.
pub(super) fn keys() -> Vec<String> {
    let command = Options::augment_args(clap::Command::new("glimt"));
    let longs = command.get_arguments().filter_map(|arg| arg.get_long()).filter(|long| *long != "config");
    longs.map(str::to_owned).collect()
}

/// What there is to say of all keys that are no options, each with the nearest that is one.
fn unknown(text: &str) -> Option<String> {
    let given: BTreeMap<Spanned<String>, toml::Value> = toml::from_str(text).ok()?;
    let known = keys();
    let mut unknown: Vec<_> = given.keys().filter(|key| !known.contains(key.get_ref())).collect();
    unknown.sort_by_key(|key| key.span().start);
    let mut told = String::new();
    for key in unknown {
        let (line, name) = (line_of(text, key.span().start), key.get_ref());
        let between = if told.is_empty() { "" } else { "; " };
        let hint = hint(name, known.iter().map(String::as_str));
        // Nothing fails that is written to memory.
        let _written = write!(told, "{between}line {line}: {name:?} is no option{hint}");
    }
    Some(told).filter(|told| !told.is_empty())
}

/// The number of the line in which the byte at `at` stands.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// The parser's own words, which show the line: but not that of a secret.
fn told(text: &str, error: &toml::de::Error) -> String {
    let Some(line) = error.span().map(|span| line_of(text, span.start)) else { return error.to_string() };
    match text.lines().nth(line - 1) {
        Some(shown) if shown.contains("-key") => format!("line {line}: what is given there is no text in quotes"),
        Some(_) | None => error.to_string().trim_end().to_owned(),
    }
}
