//! How a text of the environment becomes a value.

use std::{collections::BTreeSet, ffi::OsString, str::FromStr};

use crate::domain::OutputFormat;

/// A value in the environment that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {name} cannot be read: {cause}")]
pub struct EnvError {
    /// The variable.
    pub name: &'static str,
    /// What was wrong with it. Never holds the value of a secret.
    pub cause: String,
}

/// The environment, read through a function so that tests need not change the process' own.
pub(super) struct Env<'a> {
    pub(super) lookup: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Env<'_> {
    /// The first of `names` that is set and not empty, read by `read`.
    pub(super) fn parse<T>(
        &self,
        names: &[&'static str],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, EnvError> {
        for name in names {
            let Some(value) = (self.lookup)(name).filter(|value| !value.is_empty()) else { continue };
            let fail = |cause| EnvError { name, cause };
            let text = value.to_str().ok_or_else(|| fail("it is not UTF-8".to_owned()))?;
            return read(text).map(Some).map_err(fail);
        }
        Ok(None)
    }
}

pub(super) fn parse<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|error: T::Err| error.to_string())
}

pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("it is neither true nor false".to_owned()),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "has the shape of the other readers")]
pub(super) fn parse_list(text: &str) -> Result<Vec<String>, String> {
    let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
    Ok(parts.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect())
}

pub(super) fn parse_format(text: &str) -> Result<OutputFormat, String> {
    let format = OutputFormat::from_extension(text).filter(|format| OutputFormat::STORED.contains(format));
    format.ok_or_else(|| format!("{text:?} is none of jpg, png, webp"))
}
