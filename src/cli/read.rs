//! How a text becomes a value, from the environment and from a file.

use std::{collections::BTreeSet, ffi::OsString, str::FromStr};

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

use crate::domain::{OutputFormat, Secret, hint};

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

/// A preset as it was typed: its name, and the query that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPreset {
    /// The name.
    pub name: String,
    /// The query.
    pub query: String,
}

impl FromStr for NamedPreset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, query) =
            text.split_once('=').ok_or("a preset is a name, an equals sign and a query: avatar=thumbnail=64")?;
        Ok(Self { name: name.to_owned(), query: query.to_owned() })
    }
}

/// Presets as a table of a file: their names, each with its query.
pub(super) fn table<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<NamedPreset>>, D::Error> {
    let table = std::collections::BTreeMap::<String, String>::deserialize(from)?;
    Ok(Some(table.into_iter().map(|(name, query)| NamedPreset { name, query }).collect()))
}

/// The same the other way.
#[expect(clippy::ref_option, reason = "the shape that serde calls")]
pub(super) fn as_table<S: Serializer>(presets: &Option<Vec<NamedPreset>>, to: S) -> Result<S::Ok, S::Error> {
    match presets {
        Some(presets) => to.collect_map(presets.iter().map(|preset| (&preset.name, &preset.query))),
        None => to.serialize_none(),
    }
}

/// A time in seconds: a number with a unit behind it, or of seconds.
pub(super) fn parse_secs(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time: give a number of seconds, or one with s, m, h or d behind it");
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let secs = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(secs)).ok_or_else(wrong)
}

/// Presets with spaces between them.
pub(super) fn parse_presets(text: &str) -> Result<Vec<NamedPreset>, String> {
    text.split_whitespace().map(parse).collect()
}

/// Secrets with commas between them.
#[expect(clippy::unnecessary_wraps, reason = "has the shape of the other readers")]
pub(super) fn parse_secrets(text: &str) -> Result<Vec<Secret>, String> {
    Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Secret::from).collect())
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
