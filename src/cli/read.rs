//! How a text becomes a value, from the environment and from a file.

use std::{collections::BTreeSet, ffi::OsString, str::FromStr};

use serde::{Deserialize as _, Deserializer, de::Error as _};

use crate::domain::{OutputFormat, hint};

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
    let text = text.trim();
    text.parse().map_err(|error: T::Err| {
        let told = error.to_string();
        // A secret is any text, and never comes here.
        if told.contains(text) { told } else { format!("{text:?}: {told}") }
    })
}

pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "has the shape of the other readers")]
pub(super) fn parse_list(text: &str) -> Result<Vec<String>, String> {
    let parts = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
    Ok(parts.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect())
}

pub(super) fn parse_format(text: &str) -> Result<OutputFormat, String> {
    let format = OutputFormat::from_extension(text).filter(|format| OutputFormat::STORED.contains(format));
    let hint = || hint(text, OutputFormat::STORED.map(OutputFormat::extension));
    format.ok_or_else(|| format!("{text:?} is none of jpg, png, webp{}", hint()))
}

/// A value of a file that is one of some names: told as everywhere else where it is none.
pub(super) fn by_name<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    file: D,
) -> Result<Option<T>, D::Error> {
    String::deserialize(file)?.parse().map(Some).map_err(D::Error::custom)
}

pub(super) fn stored_format<'de, D: Deserializer<'de>>(file: D) -> Result<Option<OutputFormat>, D::Error> {
    parse_format(&String::deserialize(file)?).map(Some).map_err(D::Error::custom)
}
