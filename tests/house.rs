//! The house: which module may know which, and what every file has to be like. Reads the sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// What each module may name of the others: the arrows, and nothing else. Modules without a line may name nothing.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["cli", "config", "healthcheck", "server", "signals", "telemetry"]),
    ("healthcheck", &["cli"]),
    ("cli", &["domain", "pixels"]),
    ("config", &["cli", "domain", "pixels"]),
    ("server", &["app", "config", "http", "repo"]),
    ("http", &["app", "service", "codec", "pixels", "store", "repo", "domain"]),
    ("app", &["config", "service", "codec", "pixels", "store", "repo", "domain"]),
    ("service", &["codec", "pixels", "store", "repo", "domain"]),
    ("codec", &["pixels", "domain"]),
    ("pixels", &["domain"]),
    ("store", &["domain"]),
    ("repo", &["domain"]),
];

/// What `codec` may name of `pixels`.
const PIXELS_FOR_CODEC: &[&str] = &["Pixmap", "Layout", "PixmapError", "pixmap"];

/// Where alone a crate, or a word, may be named: files that begin with one of these.
const HOMES: &[(&str, &[&str])] = &[
    ("wgpu::", &["src/pixels/gpu"]),
    ("axum::", &["src/http", "src/server"]),
    ("StatusCode", &["src/http"]),
    // `src/repo.rs` names the module of that name.
    ("sled::", &["src/repo/sled", "src/repo.rs"]),
    ("anyhow", &["src/main.rs"]),
    ("image_webp::", &["src/codec"]),
    ("zune_jpeg::", &["src/codec"]),
];

const MAX_LINES: usize = 600;

/// The source without comments and without what is inside of string literals; line breaks stay.
fn code(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let end = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            raw.find("\"#").map_or(rest.len(), |end| end + 5)
        } else if first == '"' {
            let mut escaped = false;
            let close = rest.char_indices().skip(1).find(|(_, c)| {
                let closes = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            });
            close.map_or(rest.len(), |(at, _)| at + 1)
        } else if rest.starts_with("'\"'") {
            3
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.extend(rest[..end].chars().filter(|c| *c == '\n'));
        rest = &rest[end..];
    }
    code
}

/// The modules that follow each `root` (`crate::` or `glimt::`), with what is named of them: `crate::{a::B, c::{D, E}}` is
/// `a` with `B`, and `c` with `D` and `E`.
fn named(code: &str, root: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for (at, _) in code.match_indices(root) {
        // `pub(in crate::x)` says who may see, not what is used.
        if code[..at].ends_with("(in ") {
            continue;
        }
        let tail = &code[at + root.len()..];
        let items = if tail.starts_with('{') { group(tail) } else { vec![path(tail)] };
        for item in items {
            let (module, inner) = item.split_once("::").unwrap_or((item, ""));
            let names = found.entry(module.trim().to_owned()).or_default();
            if inner.trim_start().starts_with('{') {
                names.extend(group(inner.trim_start()).into_iter().map(first_word));
            } else {
                names.insert(first_word(inner));
            }
        }
    }
    found
}

fn path(tail: &str) -> &str {
    let plain = tail.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(tail.len());
    // `crate::a::{B, C};` goes on after the brace.
    if tail[plain..].starts_with('{') {
        let end = tail.find('}').map_or(tail.len(), |end| end + 1);
        return &tail[..end];
    }
    &tail[..plain]
}

/// The items of `{a, b::{c, d}}`, at its outer level.
fn group(tail: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 1, Vec::new());
    for (at, c) in tail.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => {
                items.push(tail[start..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 1 => {
                items.push(tail[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

fn first_word(item: impl AsRef<str>) -> String {
    item.as_ref().trim().split([':', ' ', '{', ',']).next().unwrap_or_default().to_owned()
}

/// Everything that is wrong with the file `path` (from the top of the repository) of this content.
fn faults(path: &str, source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let code = code(source);
    let module = path.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default();
    if !source.starts_with("//! ") {
        faults.push(format!("{path}: its first line does not say what is in it"));
    }
    let lines = source.lines().count();
    if lines > MAX_LINES {
        faults.push(format!("{path}: {lines} lines, at most {MAX_LINES}"));
    }
    for (word, homes) in HOMES {
        if code.contains(word) && !homes.iter().any(|home| path.starts_with(home)) {
            faults.push(format!("{path}: names {word}, whose home is {}", homes.join(" or ")));
        }
    }
    if module == "lib" {
        return faults;
    }
    let allowed = ARROWS.iter().find(|(from, _)| *from == module).map_or(&[][..], |(_, to)| to);
    let root = if module == "main" { "glimt::" } else { "crate::" };
    for (to, names) in named(&code, root) {
        if to != module && !allowed.contains(&to.as_str()) {
            faults.push(format!("{path}: {module} may not know {to}"));
        }
        if module == "codec" && to == "pixels" {
            let more = names.iter().filter(|name| !PIXELS_FOR_CODEC.contains(&name.as_str()));
            faults.extend(more.map(|name| format!("{path}: codec may not know pixels::{name}")));
        }
    }
    faults
}

/// Every file below `folder` with this extension, with its path from the top of the repository.
fn files(folder: &str, extension: &str) -> BTreeMap<String, String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut folders = vec![top.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let name = path.strip_prefix(top).unwrap().to_str().unwrap().replace('\\', "/");
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// Stages without their twin: each `shaders/<stage>.wgsl` has a `src/pixels/cpu/<stage>.rs`.
fn lonely<'a>(shaders: impl Iterator<Item = &'a String>, sources: &BTreeMap<String, String>) -> Vec<String> {
    shaders
        .filter_map(|path| path.strip_prefix("shaders/")?.strip_suffix(".wgsl"))
        .filter(|stage| !stage.starts_with("common/"))
        .filter(|stage| !sources.contains_key(&format!("src/pixels/cpu/{stage}.rs")))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_house_is_straight() {
    let sources = files("src", "rs");
    assert!(sources.len() > 60, "only {} files were seen", sources.len());
    for (module, _) in ARROWS {
        assert!(sources.contains_key(&format!("src/{module}.rs")), "the table has a module {module} that is not there");
    }
    let faults: Vec<String> = sources.iter().flat_map(|(path, source)| faults(path, source)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_stage_has_its_twin() {
    let (shaders, sources) = (files("shaders", "wgsl"), files("src/pixels/cpu", "rs"));
    let stages = shaders.keys().filter(|path| !path.starts_with("shaders/common/")).count();
    assert!(stages >= 2 && shaders.len() > stages, "{stages} stages and {} shaders were seen", shaders.len());
    assert_eq!(lonely(shaders.keys(), &sources), [""; 0]);
    assert_eq!(lonely([&"shaders/sharpen.wgsl".to_owned()].into_iter(), &sources), ["sharpen"]);
}

#[test]
fn integration_tests_and_shaders_keep_to_the_length_too() {
    let long = |files: BTreeMap<String, String>| {
        files.into_iter().filter(|(_, text)| text.lines().count() > MAX_LINES).map(|(path, _)| path).collect::<Vec<_>>()
    };
    assert_eq!(long(files("tests", "rs")), [""; 0]);
    assert_eq!(long(files("shaders", "wgsl")), [""; 0]);
}

/// Every rule, broken once.
#[test]
fn a_crooked_house_is_told_by_name() {
    let told = |path: &str, body: &str| faults(path, &format!("//! A file.\n{body}"));
    for (path, body, fault) in [
        ("src/codec/jpeg.rs", "use crate::service::pool::Pool;", "codec may not know service"),
        ("src/store/fs.rs", "use crate::{domain::Hash, repo::Repo};", "store may not know repo"),
        ("src/domain/hash.rs", "fn f() { crate::codec::sniff(&[]); }", "domain may not know codec"),
        ("src/service/ingest.rs", "use crate::http::router;", "service may not know http"),
        ("src/codec/png.rs", "use crate::pixels::{Pixmap, Plan};", "codec may not know pixels::Plan"),
        (
            "src/codec/png.rs",
            "use crate::{domain::Hash, pixels::{Layout, exec::run}};",
            "codec may not know pixels::exec",
        ),
        ("src/main.rs", "use glimt::{cli::Cli, repo::Repo};", "main may not know repo"),
        ("src/service/pool.rs", "use wgpu::Device;", "names wgpu::"),
        ("src/service/pool.rs", "use axum::Router;", "names axum::"),
        ("src/service/error.rs", "const OK: StatusCode = 1;", "names StatusCode"),
        ("src/repo/memory.rs", "use ::sled::Db;", "names sled::"),
        ("src/service/pool.rs", "use anyhow::Context;", "names anyhow"),
    ] {
        let told = told(path, body);
        assert!(told.len() == 1 && told[0].contains(fault), "{body}: {told:?}");
    }
    assert!(faults("src/store/fs.rs", "use std::io;\n")[0].contains("first line"));
    let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
    assert!(faults("src/store/fs.rs", &long)[0].contains("601 lines"));
}

#[test]
fn what_only_looks_crooked_is_left_alone() {
    let told = |path: &str, body: &str| faults(path, &format!("//! A file.\n{body}"));
    for (path, body) in [
        ("src/codec/jpeg.rs", "// crate::service would be wrong\nfn f() {}"),
        ("src/codec/jpeg.rs", "const TEXT: &str = \"crate::service \\\" axum::\";"),
        ("src/codec/jpeg.rs", "const TEXT: &str = r#\"crate::service \" axum::\"#;"),
        ("src/codec/jpeg.rs", "const QUOTE: char = '\"';\nuse crate::domain::Hash; // \" crate::service"),
        ("src/repo/journal/read.rs", "pub(in crate::repo) struct Scan;"),
        ("src/codec/icc.rs", "use crate::{domain::{Format, Hash}, pixels::{Layout, Pixmap}};"),
        ("src/http/error.rs", "use axum::http::StatusCode;\nuse crate::service::ServiceError;"),
    ] {
        assert_eq!(told(path, body), [""; 0], "{body}");
    }
}
