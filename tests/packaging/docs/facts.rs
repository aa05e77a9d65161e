//! What the texts name in passing is there: flags, commands, variables, metrics, routes, codes of errors, and the numbers that go by defaults.

use std::{collections::BTreeSet, path::PathBuf};

use clap::CommandFactory as _;
use glimt::{cli::Cli, config::Config, domain::Asked};

use super::{
    is_here,
    links::prose,
    pages,
    stage::{Stage, words},
    told,
};
use crate::{files_below, options::asked_of_the_environment, text, top};

/// Flags of others that the texts speak of: of curl, pict-rs, thumbor and a bench.
const OTHERS: [&str; 4] = ["--http2-prior-knowledge", "--image-format", "--processes", "--server"];

/// Variables that look like ours: of benches and tests, and of a later pict-rs.
const OTHER_VARIABLES: [&str; 5] = ["GLIMT_BENCH", "GLIMT_BIN", "GLIMT_FILES", "GLIMT_PHOTO", "PICTRS__API_KEY"];

/// Every long flag of the program and its commands.
fn flags() -> BTreeSet<String> {
    let root = Cli::command();
    let all = root.get_subcommands().chain([&root]);
    let longs = all.flat_map(|command| command.get_arguments().filter_map(|arg| arg.get_long()));
    longs.chain(["help", "version"]).map(|long| format!("--{long}")).collect()
}

/// What stands in backticks in the prose of a file.
fn spans(markdown: &str) -> Vec<String> {
    let prose = prose(markdown).replace('\n', " ");
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What is wrong with what a span names.
fn false_in(span: &str) -> Option<String> {
    // `[..]` is what may be left out.
    let words = words(&span.replace("[OPTIONS]", "").replace(['[', ']'], ""));
    if span.starts_with("glimt ") {
        return told::glimt(&words).err();
    }
    if ["cargo", "make"].contains(&told::program(&words)) {
        return told::command(&words).err();
    }
    let known = flags();
    let named = span.split([' ', '=', '[', '(']).filter(|word| word.starts_with("--") && word.len() > 2);
    for word in named {
        if !known.contains(word) && !OTHERS.contains(&word) {
            return Some(format!("{word} is no flag"));
        }
    }
    None
}

#[test]
fn flags_commands_and_variables_that_are_named_are_there() {
    let variables = asked_of_the_environment();
    let mut seen = 0;
    for page in pages().iter().filter(|page| *page != "CHANGELOG.md") {
        let markdown = text(page);
        for span in spans(&markdown) {
            assert_eq!(false_in(&span), None, "{page}: {span}");
            seen += usize::from(span.starts_with("glimt ") || span.starts_with("--"));
        }
        for word in markdown.split(|c: char| !c.is_ascii_uppercase() && c != '_') {
            let is_ours = word.len() > 8 && (word.starts_with("GLIMT_") || word.starts_with("PICTRS_"));
            assert!(
                !is_ours || variables.contains(word) || OTHER_VARIABLES.contains(&word),
                "{page}: {word} is not read"
            );
        }
    }
    assert!(seen >= 150, "only {seen} were seen");
    assert!(false_in("glimt check --repairs").is_some() && false_in("glimt chek").is_some());
    assert!(false_in("--proxy-sizes 0").is_some() && false_in("--proxy-size 0").is_none());
}

/// The names of metrics in `text`.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    words.filter(|word| word.starts_with("glimt_") && word.len() > 6 && !word.ends_with('_')).collect()
}

#[test]
fn metrics_that_are_named_are_counted() {
    let sources = files_below(top(), "src/http");
    let sources: String = sources.iter().filter(|path| path.contains("/metrics")).map(|path| text(path)).collect();
    let is_there = |name: &str| {
        let name = name.trim_start_matches("glimt_");
        let short = ["_total", "_seconds", "_bytes", "_info", "_bucket", "_count"]
            .iter()
            .fold(name, |name, unit| name.strip_suffix(unit).unwrap_or(name));
        let shorter = ["_seconds", "_bytes"].iter().fold(short, |name, unit| name.strip_suffix(unit).unwrap_or(name));
        [name, short, shorter].iter().any(|name| sources.contains(&format!("\"{name}\"")))
            || sources.contains(&format!("glimt_{name}"))
    };
    let mut seen = 0;
    for page in pages() {
        for name in metrics(&text(&page)) {
            assert!(is_there(name), "{page}: {name} is no metric");
            seen += 1;
        }
    }
    assert!(seen >= 20, "only {seen} metrics were seen");
    assert!(!is_there("glimt_gate_refused_total"));
}

/// The first cells of a table's rows in a part of a file, each what stands in its backticks.
fn cells<'m>(markdown: &'m str, heading: &str, column: usize) -> Vec<&'m str> {
    let part = markdown.split(heading).nth(1).unwrap_or_default();
    let part = part.split("\n#").next().unwrap_or_default();
    let rows = part.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(column));
    rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_api_page_has_every_code_of_an_error_and_no_other() {
    let source = ["src/http/error.rs", "src/http/error/causes.rs"].map(text);
    let source = source.iter().map(|source| source.split("#[cfg(test)]").next().unwrap()).collect::<String>();
    let is_code = |word: &&str| {
        word.contains('-')
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            && !word.starts_with('-')
    };
    let codes: BTreeSet<&str> = source.split('"').skip(1).step_by(2).filter(is_code).collect();
    let page = text("docs/api.md");
    let named: BTreeSet<&str> = cells(&page, "\n## Errors\n", 1).into_iter().filter(is_code).collect();
    assert!(codes.len() >= 50, "only {} codes were seen", codes.len());
    assert_eq!(named, codes);
}

/// A route by what it is made of: `{file}` and `{alias}` are one, and the query is left out.
fn route(method: &str, path: &str) -> String {
    let path = path.split(['?', '&']).next().unwrap_or_default();
    let mut parts = path.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    let path = parts.fold(first, |path, part| path + "{}" + part.split_once('}').map_or("", |(_, rest)| rest));
    format!("{method} {path}")
}

#[test]
fn the_api_page_has_every_route_and_no_other() {
    if !is_here("curl", "--version") {
        println!("skipped: no curl");
        return;
    }
    let mut stage = Stage::new();
    stage.serve().unwrap();
    let url = format!("http://{}/openapi.json", stage.address());
    let asked = stage.asked("curl", &["-sf", &url], &[]);
    stage.stop().unwrap();
    let api: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap();
    let mut there = BTreeSet::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        there.extend(methods.as_object().unwrap().keys().map(|method| route(&method.to_uppercase(), path)));
    }
    let page = text("docs/api.md");
    let (_, intro) = page.split("\n## ").next().unwrap().split_once('\n').unwrap();
    let mut named = BTreeSet::new();
    let mut last = String::new();
    for span in cells(&format!("{intro}\n## \n{intro}"), "\n## \n", 0) {
        match span.split_once(' ') {
            Some((method, path)) => {
                last = path.to_owned();
                named.insert(route(method, path));
            }
            // Another method of the path before, or another query.
            None if span.starts_with('?') => {}
            None => drop(named.insert(route(span, &last))),
        }
    }
    // The page, this list, and the alias in the query, which the text has.
    for extra in ["GET /", "GET /openapi.json"] {
        assert!(named.remove(extra), "{extra} is not told");
    }
    assert!(there.remove("GET /image/details/original") && page.contains("`?alias=` in the place of the path"));
    assert_eq!(named, there);
}

#[test]
fn what_others_ask_for_is_asked_for_in_words_that_are_known() {
    let page = text("docs/migration.md");
    let mut seen = 0;
    for query in cells(&page, "\n### Addresses\n", 1) {
        let pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        if query.contains(['/', ':']) || pairs.is_empty() || pairs[0].0 == "expires" {
            continue;
        }
        for (name, _) in &pairs {
            assert!(Asked::knows(name), "{name} in {query} is neither a filter nor a parameter");
        }
        if let Err(error) = Asked::read(pairs.iter().copied(), |_| true) {
            panic!("{query}: {error}");
        }
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} queries were seen");
}

/// The labels that metrics have in the code of a file, each as `gate="queue"`.
fn labels(markdown: &str) -> BTreeSet<String> {
    let named = |span: &String| span.starts_with("glimt_") || span.starts_with('{') || span.starts_with("status=");
    let spans = spans(markdown).into_iter().filter(named).filter(|span| span.contains("=\""));
    spans
        .flat_map(|span| {
            let inner = span.split_once('{').map_or(span.as_str(), |(_, rest)| rest).trim_end_matches('}').to_owned();
            inner.split(',').map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn labels_of_metrics_that_are_named_are_there() {
    assert_eq!(
        labels("`glimt_a{b=\"c\",d=\"e\"}` `f=\"g\"`"),
        BTreeSet::from(["b=\"c\"", "d=\"e\""].map(str::to_owned))
    );
    if !is_here("curl", "--version") {
        println!("skipped: no curl");
        return;
    }
    let mut stage = Stage::new();
    stage.serve().unwrap();
    let url = format!("http://{}/metrics", stage.address());
    // An answer of each kind has to be there, for its label.
    stage.asked("curl", &["-s", &format!("http://{}/none", stage.address())], &[]);
    let asked = stage.asked("curl", &["-sf", &url], &[]);
    stage.stop().unwrap();
    let counted = String::from_utf8(asked.stdout).unwrap();
    let mut seen = 0;
    for page in pages() {
        for label in labels(&text(&page)) {
            // A device has its own, and the server has none here.
            assert!(counted.contains(&label), "{page}: no metric has the label {label}");
            seen += 1;
        }
    }
    assert!(seen >= 12, "only {seen} labels were seen");
}

/// The numbers of nginx that go by defaults of glimt.
pub(super) fn nginx_fits(page: &str) -> Result<(), String> {
    let defaults = Config::new(PathBuf::from("/data"));
    let value = |name: &str| {
        let line = page.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches([';', 's', 'm']).parse::<u64>().map_err(|error| format!("{name}: {error}"))
    };
    let form = defaults.max_file_size_bytes / (1024 * 1024) * 10 + 1;
    let body = value("client_max_body_size")?;
    if body != form {
        return Err(format!("client_max_body_size is {body} MiB, a form may have {form}"));
    }
    if value("proxy_read_timeout")? <= defaults.request_timeout.as_secs() {
        return Err("nginx gives up before glimt does".to_owned());
    }
    Ok(())
}

#[test]
fn numbers_of_nginx_are_held_against_the_defaults() {
    let page = text("docs/deployment.md");
    nginx_fits(&page).unwrap();
    assert!(nginx_fits(&page.replace("401m", "400m")).is_err());
    assert!(nginx_fits(&page.replace("proxy_read_timeout 40s", "proxy_read_timeout 30s")).is_err());
}

#[test]
fn names_are_found_in_prose() {
    assert_eq!(spans("a `b` c `d\ne`\n```sh\n`f`\n```"), ["b", "d e"]);
    assert_eq!(metrics("`glimt_a_total{x=\"y\"}`, glimt_ and glimt_b"), BTreeSet::from(["glimt_a_total", "glimt_b"]));
    assert_eq!(route("GET", "/a/{b}/c.{d}?x={y}&<z>"), "GET /a/{}/c.{}");
    assert_eq!(cells("## A\n| `a` | `b`, `c` |\n## B\n| `d` | `e` |\n", "## A\n", 1), ["b", "c"]);
}
