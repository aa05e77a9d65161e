//! Links, pictures and anchors lead somewhere.

use std::{collections::BTreeSet, path::Path};

use crate::{is_there, plain, text, top};

/// What a Markdown file links to in the repository, pictures too; code is left out.
pub(super) fn links(markdown: &str) -> BTreeSet<String> {
    let prose = prose(markdown);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://")).map(|target| target.replace('\n', "")).collect()
}

/// A Markdown file without its fenced blocks.
pub(super) fn prose(markdown: &str) -> String {
    let mut fenced = false;
    let lines = markdown.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The anchors of a file's headings, as they are made on the web: lower case, spaces as `-`, without punctuation.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let headings = prose(markdown);
    let headings = headings.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    headings.map(anchor).collect()
}

/// What is wrong with a link in the file at `page`.
fn broken(page: &str, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let from = Path::new(page).parent().unwrap_or(Path::new(""));
    let target = if path.is_empty() { Path::new(page).to_owned() } else { plain(&from.join(path)) };
    let Ok(true) = top().join(&target).try_exists() else {
        return Some(format!("{page} links to {link}, which is not there"));
    };
    let anchor = anchor?;
    let there = anchors(&text(target.to_str().unwrap()));
    (!there.contains(anchor)).then(|| format!("{page} links to {link}, which is no heading: {there:?}"))
}

#[test]
fn links_lead_somewhere() {
    let mut seen = (0, 0);
    for page in super::pages() {
        let markdown = text(&page);
        for link in links(&markdown) {
            assert_eq!(broken(&page, &link), None);
            seen.0 += 1;
            seen.1 += usize::from(link.contains('#'));
        }
        // Named without a link.
        for word in prose(&markdown).split(|c: char| !c.is_ascii_alphanumeric() && !"/._-".contains(c)) {
            let word = word.trim_end_matches('.');
            if word.starts_with("docs/") && word.ends_with(".md") {
                assert!(is_there(&top().join(word)), "{page} names {word}, which is not there");
            }
        }
    }
    assert!(seen.0 >= 80 && seen.1 >= 5, "only {seen:?} links and anchors were seen");
    assert_eq!(env!("CARGO_PKG_LICENSE"), "AGPL-3.0-or-later");
    assert!(text("LICENSE").contains("GNU AFFERO GENERAL PUBLIC LICENSE"));
}

#[test]
fn links_that_lead_nowhere_are_told() {
    let read = links("[a](b.md) [c](https://d) [e](#f)\n```sh\n[x](y)\n```\n![](g/h.webp)");
    assert_eq!(read, BTreeSet::from(["#f", "b.md", "g/h.webp"].map(str::to_owned)));
    assert_eq!(
        anchors("# A `b`, c-d!\n```sh\n# no\n```\n## E_f"),
        BTreeSet::from(["a-b-c-d", "e_f"].map(str::to_owned))
    );
    assert_eq!(broken("docs/api.md", "../README.md"), None);
    assert_eq!(broken("docs/api.md", "filters.md#presets-and-signed-addresses"), None);
    for (link, told) in [
        ("README.md", "is not there"),
        ("filters.md#preset", "is no heading"),
        ("#no-such", "is no heading"),
        ("filters/none.webp", "is not there"),
    ] {
        assert!(broken("docs/api.md", link).is_some_and(|fault| fault.contains(told)), "{link}");
    }
}
