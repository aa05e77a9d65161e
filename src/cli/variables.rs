//! The variables of the environment: which there are, and which look as if they were.

use std::{cell::RefCell, ffi::OsString, fmt};

use super::Options;
use crate::domain::nearest;

/// What stands in front of every variable that is ours to know.
const PREFIXES: [&str; 2] = ["GLIMT_", "PICTRS_"];

/// A variable that looks like one of ours and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Its name.
    pub name: String,
    /// The one that may be meant.
    pub nearest: Option<String>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, nearest } = self;
        write!(f, "the environment variable {name} is not known and does nothing")?;
        nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; the nearest is {nearest}"))
    }
}

impl Options {
    /// All variables that are read, of each option the one first that wins.
    #[must_use]
    pub fn variables() -> Vec<String> {
        let asked = RefCell::new(Vec::new());
        // Nothing is there, so nothing is unreadable.
        let _empty = Self::from_env(&|name| {
            asked.borrow_mut().push(name.to_owned());
            None
        });
        asked.into_inner()
    }

    /// Of these variables, those that look like ours and are none: for a warning, because a container whose image knows another
    /// version's variables is to start.
    #[must_use]
    pub fn unknown_variables(names: impl IntoIterator<Item = OsString>) -> Vec<Unknown> {
        let known = Self::variables();
        let mut unknown = Vec::new();
        for name in names {
            let Some(name) = name.to_str().filter(|name| !known.iter().any(|known| known == name)) else { continue };
            let Some(prefix) = PREFIXES.into_iter().find(|prefix| name.starts_with(prefix)) else { continue };
            // What all have in common says nothing about which is meant.
            let rests = known.iter().filter_map(|known| known.strip_prefix(prefix));
            let nearest = nearest(&name[prefix.len()..], rests).map(|rest| format!("{prefix}{rest}"));
            unknown.push(Unknown { name: name.to_owned(), nearest });
        }
        unknown.sort_by(|a, b| a.name.cmp(&b.name));
        unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_none_is_told_with_the_nearest() {
        let names = ["GLIMT_QUEU", "PATH", "GLIMT_QUEUE", "PICTRS_FILTER_WHITLIST", "PICTRS_TRACING", "glimt_x"];
        let told: Vec<String> =
            Options::unknown_variables(names.map(OsString::from)).iter().map(Unknown::to_string).collect();
        let begin = "the environment variable";
        assert_eq!(
            told,
            [
                format!("{begin} GLIMT_QUEU is not known and does nothing; the nearest is GLIMT_QUEUE"),
                format!(
                    "{begin} PICTRS_FILTER_WHITLIST is not known and does nothing; the nearest is PICTRS_FILTER_WHITELIST"
                ),
                format!("{begin} PICTRS_TRACING is not known and does nothing"),
            ]
        );
        assert!(Options::unknown_variables(Options::variables().into_iter().map(OsString::from)).is_empty());
    }
}
