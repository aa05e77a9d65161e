//! docs/filters.md has every filter and parameter, and a picture for each of its examples.

use std::collections::BTreeSet;

use glimt::domain::{Asked, Filter};

use crate::{is_there, text, top};

/// The first cells of the tables, in backticks, each with the picture in its row.
fn examples(markdown: &str) -> Vec<(&str, Option<&str>)> {
    let rows = markdown.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    rows.map(|(query, rest)| (query, rest.split_once("![](").and_then(|(_, path)| path.split(')').next()))).collect()
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[test]
fn every_filter_has_an_example_that_can_be_read_and_seen() {
    let page = text("docs/filters.md");
    let mut seen = BTreeSet::new();
    for (query, picture) in examples(&page) {
        for (name, _) in pairs(query) {
            assert!(Asked::knows(name), "{name} in {query} is neither a filter nor a parameter");
            seen.insert(name);
        }
        if let Err(error) = Asked::read(pairs(query), |_| true) {
            panic!("{query}: {error}");
        }
        let picture = picture.unwrap_or_else(|| panic!("{query} has no picture"));
        assert!(is_there(&top().join("docs").join(picture)), "{picture} is not there: scripts/docs-pictures makes it");
    }
    let missing: Vec<&str> = Filter::NAMES.into_iter().filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "no example has {missing:?}");
    for parameter in Asked::PARAMETERS {
        assert!(page.contains(&format!("`{parameter}=")), "{parameter} is not told");
    }
    assert_eq!(examples("| `a=1` | x | ![](p/q.webp) |\n| `b` | y |"), [("a=1", Some("p/q.webp")), ("b", None)]);
}
