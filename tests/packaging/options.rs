//! The options are the same on the command line, in the environment, in the sample file and in docs/configuration.md.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use clap::CommandFactory as _;
use glimt::{
    cli::{Cli, Options},
    config::Config,
};

use crate::text;

/// The long options of the server, without those that only ask.
fn longs() -> BTreeSet<String> {
    let command = Cli::command();
    let found: BTreeSet<String> = command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned).collect();
    assert!(found.len() >= 15, "only {} options were seen", found.len());
    found.into_iter().filter(|long| !["help", "version"].contains(&long.as_str())).collect()
}

fn variable(prefix: &str, long: &str) -> String {
    format!("{prefix}_{}", long.replace('-', "_").to_ascii_uppercase())
}

/// The names that [`Options::from_env`] looks up when none is set.
pub(crate) fn asked_of_the_environment() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    Options::from_env(&|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    })
    .unwrap();
    asked.into_inner()
}

/// A sample configuration's options: each key with its line and the comment above it. Prose is `# text`, an option
/// `#key = value`.
fn samples(file: &str) -> Vec<(&str, &str, String)> {
    let (mut found, mut comment) = (Vec::new(), String::new());
    for line in file.lines() {
        match line.strip_prefix('#') {
            Some(prose) if prose.is_empty() || prose.starts_with(' ') => comment.push_str(prose),
            Some(option) => found.push((option.split(' ').next().unwrap(), option, comment.clone())),
            None => comment.clear(),
        }
    }
    found
}

#[test]
fn every_option_has_its_variable() {
    let asked = asked_of_the_environment();
    for long in longs() {
        let name = variable("GLIMT", &long);
        assert!(asked.contains(&name), "{name} is not read");
    }
    assert!(!asked.contains("GLIMT_HELP"));
}

#[test]
fn the_sample_configuration_has_every_option_and_is_accepted() {
    let file = text("glimt.example.toml");
    toml::from_str::<Options>(&file).unwrap();
    assert!(file.lines().all(|line| line.is_empty() || line.starts_with('#')), "something in it is switched on");
    let samples = samples(&file);
    let uncommented: String = samples.iter().flat_map(|(_, line, _)| [line, "\n"]).collect();
    let mut options = toml::from_str::<Options>(&uncommented).unwrap_or_else(|error| panic!("{error}"));
    // A key may stand in one place alone, and this file is not there.
    assert_eq!(options.api_key_file.take(), Some(PathBuf::from("/run/secrets/glimt-api-key")));
    assert!(options.signing_key_file.take().is_some());
    // The values too, not only their types.
    Config::resolve(options, &|_| None).unwrap();

    let keys: Vec<&str> = samples.iter().map(|(key, ..)| *key).collect();
    let once: BTreeSet<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!(keys.len(), once.len(), "a key is there twice: {keys:?}");
    let mut expected = longs();
    assert!(expected.remove("config"));
    assert_eq!(once, expected);

    assert!(toml::from_str::<Options>(&uncommented.replace("max-pixels", "max-pixel")).is_err());
    assert!(toml::from_str::<Options>(&uncommented.replace("\"auto\"", "\"fast\"")).is_err());
}

/// "with its default": what a line says without "Not set" or "Required" above it changes nothing.
#[test]
fn the_sample_configuration_shows_the_defaults() {
    let file = text("glimt.example.toml");
    let resolved = |line: &str| {
        let mut options = toml::from_str::<Options>(line).unwrap();
        options.path = Some(PathBuf::from("/data"));
        format!("{:?}", Config::resolve(options, &|_| None).unwrap())
    };
    let defaults = resolved("");
    let mut seen = 0;
    for (key, line, comment) in samples(&file) {
        if !comment.contains("Not set") && !comment.contains("Required") {
            assert_eq!(resolved(line), defaults, "{key} is not shown with its default");
            seen += 1;
        }
    }
    assert!(seen >= 10, "only {seen} defaults were seen");
    assert_ne!(resolved("max-frames = 99"), defaults);
}

#[test]
fn the_sample_is_read_line_by_line() {
    let read = samples("# One.\n#a = 1\n\n# Two,\n# more.\n#b = 2\n#c = [\"x\"]\n");
    assert_eq!(read[0], ("a", "a = 1", " One.".to_owned()));
    assert_eq!(read[2], ("c", "c = [\"x\"]", " Two, more.".to_owned()));
}

/// The long options in the first cells of a Markdown file's tables, and whether a star stands behind each.
fn options_in_tables(markdown: &str) -> BTreeMap<String, bool> {
    let rows = markdown.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let option = |cell: &str| {
        let (_, after) = cell.split_once("`--")?;
        let long = after.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next()?;
        Some((long.to_owned(), cell.ends_with('*')))
    };
    rows.filter_map(|(cell, _)| option(cell)).collect()
}

#[test]
fn the_page_has_every_option_and_no_other() {
    let told = options_in_tables(&text("docs/configuration.md"));
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), longs());
    let asked = asked_of_the_environment();
    for (long, starred) in told {
        let name = variable("PICTRS", &long);
        assert_eq!(asked.contains(&name), starred, "--{long}: the star says that {name} is read");
    }
    let table = "| option |\n|---|\n| `-a`, `--addr <A>` * | x |\n| `--max-x` | `--no` |\n`--prose` | x |";
    assert_eq!(options_in_tables(table), BTreeMap::from([("addr".to_owned(), true), ("max-x".to_owned(), false)]));
}
