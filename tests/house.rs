//! The house: which module may know which, where each crate is at home, and what every file has to be like. Reads the
//! sources as tokens, so comments and strings are no matter, and follows `super`, `self` and nested `use`.
#![cfg(test)]

use std::{
    collections::BTreeMap,
    fs,
    iter::{Peekable, once},
    path::Path,
    slice::Iter,
};

/// The arrows: what each module may name of the others, and nothing else. The layers are
/// `main -> server -> http -> service -> {codec, pixels, store, repo} -> domain`, and a layer may skip those below it;
/// beside them stands the wiring, and `sandbox` between `service` and `codec`.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "main",
        &[
            "bench",
            "cli",
            "config",
            "convert",
            "gpu_info",
            "healthcheck",
            "maintain",
            "manual",
            "sandbox",
            "server",
            "show_config",
            "sign",
            "signals",
            "telemetry",
        ],
    ),
    ("lib", &[]),
    // Wiring.
    ("app", &["config", "service", "sandbox", "codec", "pixels", "store", "repo", "domain"]),
    ("bench", &["app", "cli", "config", "server", "codec", "pixels", "repo", "domain"]),
    ("timing", &[]),
    ("cli", &["sandbox", "pixels", "telemetry", "domain"]),
    ("config", &["cli", "sandbox", "pixels", "telemetry", "domain"]),
    ("convert", &["app", "cli", "config", "service", "domain"]),
    ("gpu_info", &["cli", "pixels"]),
    ("healthcheck", &["cli"]),
    ("maintain", &["app", "cli", "config", "service", "store", "repo"]),
    ("manual", &["cli", "domain"]),
    ("show_config", &["cli", "config"]),
    ("sign", &["cli", "config", "service"]),
    ("signals", &[]),
    ("telemetry", &["timing", "domain"]),
    // Layers.
    ("server", &["app", "config", "http", "service", "codec", "pixels", "store", "repo", "domain"]),
    ("http", &["app", "telemetry", "timing", "service", "codec", "pixels", "store", "repo", "domain"]),
    ("service", &["timing", "sandbox", "codec", "pixels", "store", "repo", "domain"]),
    ("sandbox", &["codec", "pixels", "domain"]),
    ("codec", &["pixels", "domain"]),
    ("pixels", &["timing", "domain"]),
    ("store", &["timing", "domain"]),
    ("repo", &["domain"]),
    ("domain", &[]),
];

/// All that `codec` may name of `pixels`.
const PIXELS_FOR_CODEC: &[&str] = &["Pixmap", "Layout", "Orientation", "PixmapError", "pixmap"];

/// Where alone a crate may be named: in these modules, each its file and its folder.
const HOMES: &[(&str, &[&str])] = &[
    ("anyhow", &["src/main"]),
    ("axum", &["src/http", "src/server"]),
    ("heifer_hevc_dec", &["src/codec/avif"]),
    ("image", &["src/codec"]),
    ("indicatif", &["src/bench", "src/maintain"]),
    ("image_webp", &["src/codec"]),
    ("jpeg_encoder", &["src/codec"]),
    ("landlock", &["src/sandbox"]),
    ("libc", &["src/sandbox"]),
    ("moxcms", &["src/codec"]),
    ("opentelemetry", &["src/telemetry"]),
    ("opentelemetry_http", &["src/telemetry"]),
    ("opentelemetry_otlp", &["src/telemetry"]),
    ("opentelemetry_sdk", &["src/telemetry"]),
    ("prometheus_client", &["src/http"]),
    ("re_rav1d", &["src/codec/avif"]),
    ("quick_cache", &["src/http/hot", "src/service/quota"]),
    ("reqwest", &["src/service/fetch", "src/service/validation"]),
    ("resvg", &["src/codec/svg"]),
    ("rustix", &["src/sandbox", "src/service/pool", "src/store/room", "src/repo/sled/reserve"]),
    ("seccompiler", &["src/sandbox"]),
    ("simplecss", &["src/codec/svg"]),
    ("sled", &["src/repo/sled"]),
    ("tracing_opentelemetry", &["src/telemetry"]),
    ("wgpu", &["src/pixels/gpu"]),
    ("zune_jpeg", &["src/codec"]),
];

/// Where alone a word may stand.
const WORDS: &[(&str, &str)] = &[("StatusCode", "src/http")];

/// Names that say nothing about what is in a file.
const EMPTY_NAMES: &[&str] = &["common", "helpers", "manager", "mod", "types", "utils"];

const MAX_LINES: usize = 600;

/// The length of the comment or literal that `source` begins with, 0 if it begins with neither.
fn skipped(source: &str) -> usize {
    let after = |from: usize, end: &str| source[from..].find(end).map_or(source.len(), |at| from + at + end.len());
    if source.starts_with("//") {
        return source.find('\n').unwrap_or(source.len());
    }
    if source.starts_with("/*") {
        let (mut depth, mut at) = (1, 2);
        while depth > 0 && at < source.len() {
            let rest = &source.as_bytes()[at..];
            let (change, step) = if rest.starts_with(b"/*") {
                (1, 2)
            } else if rest.starts_with(b"*/") {
                (-1, 2)
            } else {
                (0, 1)
            };
            depth += change;
            at += step;
        }
        return at;
    }
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| source.starts_with(prefix)).unwrap_or("");
    let literal = &source[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = literal.len() - literal.trim_start_matches('#').len();
        if literal[hashes..].starts_with('"') {
            return after(prefix.len() + hashes + 1, &format!("\"{}", "#".repeat(hashes)));
        }
        // A raw identifier, or a word that begins so.
        return 0;
    }
    let quote = literal.chars().next();
    // A lifetime is no literal: no quote behind its first letter.
    let character = quote == Some('\'') && (literal[1..].starts_with('\\') || literal.chars().nth(2) == Some('\''));
    if quote != Some('"') && !character {
        return 0;
    }
    let mut escaped = false;
    for (at, c) in literal.char_indices().skip(1) {
        if !escaped && Some(c) == quote {
            return prefix.len() + at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    source.len()
}

/// The tokens of Rust source: words, `::`, and single marks. Comments and literals are left out.
fn tokens(source: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), source);
    while let Some(first) = rest.chars().next() {
        let skip = skipped(rest);
        if skip > 0 {
            rest = &rest[skip..];
            continue;
        }
        let end = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            found.push(&rest[..end]);
        }
        rest = &rest[end..];
    }
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// A path that a source names, its segments, `*` among them; and the inline modules it stands in.
type Named<'a> = (Vec<&'a str>, Vec<&'a str>);

/// Reads what follows `prefix` in a path or a `use` tree, a path for each leaf.
fn leaves<'a>(rest: &mut Peekable<Iter<'_, &'a str>>, mut prefix: Vec<&'a str>, found: &mut Vec<Vec<&'a str>>) {
    loop {
        match rest.peek() {
            Some(&&"{") => {
                rest.next();
                while rest.peek().is_some_and(|token| **token != "}") {
                    leaves(rest, prefix.clone(), found);
                    // `as name`, and what parts the leaves.
                    while rest.next_if(|token| !["}", "{", ","].contains(token)).is_some() {}
                    rest.next_if(|token| **token == ",");
                }
                rest.next();
                return;
            }
            Some(token) if is_word(token) || **token == "*" => prefix.push(token),
            _ => break,
        }
        rest.next();
        if rest.next_if(|token| **token == "::").is_none() {
            break;
        }
    }
    found.push(prefix);
}

/// Every path in `tokens`: what `use` names, and whatever else has a `::` in it.
fn paths<'a>(tokens: &[&'a str]) -> Vec<Named<'a>> {
    let (mut found, mut modules, mut depth) = (Vec::new(), Vec::<(&str, usize)>::new(), 0);
    let mut rest = tokens.iter().peekable();
    let mut before = "";
    while let Some(token) = rest.next() {
        let mut new = Vec::new();
        match *token {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                modules.pop_if(|(_, inside)| *inside > depth);
            }
            "mod" => {
                let name = rest.next().copied().unwrap_or_default();
                if rest.peek().is_some_and(|token| **token == "{") {
                    modules.push((name, depth + 1));
                }
            }
            "use" => {
                rest.next_if(|token| **token == "::");
                leaves(&mut rest, Vec::new(), &mut new);
            }
            word if is_word(word) && rest.peek().is_some_and(|token| **token == "::") => {
                rest.next();
                leaves(&mut rest, vec![word], &mut new);
                // `pub(in crate::x)` says who may see, not what is used; behind a dot stands a method.
                if before == "in" && new.iter().all(|path| path[0] == "crate" || path[0] == "super") || before == "." {
                    new.clear();
                }
            }
            _ => {}
        }
        let inside: Vec<&str> = modules.iter().map(|(name, _)| *name).collect();
        found.extend(new.into_iter().map(|path| (path, inside.clone())));
        before = token;
    }
    found
}

/// The path from the top of the crate, if it is one of the crate's own by its first segment.
fn absolute<'a>(file: &[&'a str], (path, inside): &Named<'a>) -> Option<Vec<&'a str>> {
    let mut base: Vec<&str> = match path[0] {
        "crate" => Vec::new(),
        "self" | "super" => file.iter().chain(inside).copied().collect(),
        _ => return None,
    };
    for segment in path {
        match *segment {
            "crate" | "self" => {}
            "super" => drop(base.pop()),
            other => base.push(other),
        }
    }
    Some(base)
}

/// Whether the file `path` is of the module `home`: its file, or in its folder.
fn is_of(path: &str, home: &str) -> bool {
    path.strip_prefix(home).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// What is wrong with the paths that a file names.
fn crooked(path: &str, source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let mut faults = Vec::new();
    let file: Vec<&str> = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    let module = file[0];
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == module) else {
        return vec![format!("{path}: the table of arrows does not have {module}")];
    };
    for named in paths(&tokens) {
        let Some(first) = named.0.first() else { continue };
        if let Some((name, homes)) = HOMES.iter().find(|(name, _)| name == first)
            && !homes.iter().any(|home| is_of(path, home))
        {
            faults.push(format!("{path}: names {name}, whose home is {}", homes.join(" and ")));
        }
        let local = if module == "main" {
            // `crate` is the program there, and the library has its name.
            (*first == "glimt").then(|| named.0[1..].to_vec())
        } else {
            absolute(&file, &named)
        };
        let Some(local) = local else { continue };
        match local[..] {
            [] | ["*", ..] => faults.push(format!("{path}: {module} names the whole crate")),
            [to, ..] if to == module => {}
            [to, ..] if !allowed.contains(&to) => faults.push(format!("{path}: {module} may not know {to}")),
            ["pixels", ref inner @ ..]
                if module == "codec" && !inner.first().is_some_and(|name| PIXELS_FOR_CODEC.contains(name)) =>
            {
                faults.push(format!("{path}: codec may not know {}", local.join("::")));
            }
            _ => {}
        }
    }
    if tokens.windows(2).any(|pair| pair == ["extern", "crate"]) {
        faults.push(format!("{path}: hides a name behind extern crate"));
    }
    for (word, home) in WORDS {
        if tokens.contains(word) && !is_of(path, home) {
            faults.push(format!("{path}: says {word}, whose home is {home}"));
        }
    }
    faults.dedup();
    faults
}

/// What is wrong with a file's form.
fn misshapen(path: &str, source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = source.lines().count();
    if lines > MAX_LINES {
        faults.push(format!("{path}: {lines} lines, at most {MAX_LINES}"));
    }
    let is_rust = path.strip_suffix(".rs");
    if is_rust.is_some() && !source.starts_with("//! ") {
        faults.push(format!("{path}: its first line does not say what is in it"));
    }
    let mut names = is_rust.unwrap_or_default().split('/');
    if let Some(name) = names.find(|name| EMPTY_NAMES.contains(name)) {
        faults.push(format!("{path}: {name} is no name for what is in a file"));
    }
    faults
}

/// What the shaders lack. A stage is `shaders/<stage>.wgsl`, with an entry point; its twin is `src/pixels/cpu/<stage>.rs`,
/// and its parameters are the struct of that name in `gpu/params.rs`. `shaders/common/` has functions, and binds nothing.
fn lonely(shaders: &BTreeMap<String, String>, sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    let params = sources.get("src/pixels/gpu/params.rs").map(|source| tokens(source)).unwrap_or_default();
    for (path, shader) in shaders {
        let name = path.trim_start_matches("shaders/").trim_end_matches(".wgsl");
        let shader = tokens(shader);
        let says = |attribute| shader.windows(2).any(|pair| pair == ["@", attribute]);
        if name.starts_with("common/") {
            if says("group") || says("compute") {
                faults.push(format!("{path}: binds or begins something, and is no stage"));
            }
            continue;
        }
        if !says("compute") {
            faults.push(format!("{path}: has no entry point"));
        }
        if !sources.contains_key(&format!("src/pixels/cpu/{name}.rs")) {
            faults.push(format!("{path}: has no twin src/pixels/cpu/{name}.rs"));
        }
        let parts = name.split('_').map(|part| part[..1].to_ascii_uppercase() + &part[1..]);
        let parameters: String = parts.collect();
        if !params.windows(2).any(|pair| pair == ["struct", &parameters]) {
            faults.push(format!("{path}: has no parameters {parameters}"));
        }
    }
    faults
}

/// Every file below `folder` with this extension, by its path from the top of the repository.
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

#[test]
fn the_arrows_point_one_way_and_crates_are_at_home() {
    let sources = files("src", "rs");
    assert!(sources.len() > 60, "only {} files were seen", sources.len());
    let named: usize = sources.values().map(|source| paths(&tokens(source)).len()).sum();
    assert!(named > 2000, "only {named} paths were seen");
    for (module, _) in ARROWS {
        assert!(sources.contains_key(&format!("src/{module}.rs")), "the table has a module {module} that is not there");
    }
    for (name, homes) in HOMES {
        let lives = |(path, source): (&String, &String)| {
            homes.iter().any(|home| is_of(path, home))
                && paths(&tokens(source)).iter().any(|(path, _)| path[0] == *name)
        };
        assert!(sources.iter().any(lives), "{name} is not used in its home");
    }
    let faults: Vec<String> = sources.iter().flat_map(|(path, source)| crooked(path, source)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// No two modules may know each other, by however many steps.
#[test]
fn the_table_has_no_circle() {
    let below = |from: &str| ARROWS.iter().find(|(module, _)| *module == from).map_or(&[][..], |(_, to)| to);
    for (module, _) in ARROWS {
        let (mut reached, mut next) = (Vec::new(), vec![*module]);
        while let Some(from) = next.pop() {
            let new = below(from).iter().filter(|to| !reached.contains(*to)).copied().collect::<Vec<_>>();
            reached.extend(&new);
            next.extend(new);
        }
        assert!(!reached.contains(module), "{module} comes back to itself");
    }
}

#[test]
fn files_are_short_and_say_what_is_in_them() {
    let (sources, tests, shaders) = (files("src", "rs"), files("tests", "rs"), files("shaders", "wgsl"));
    assert!(sources.len() > 60 && tests.len() > 30 && shaders.len() >= 4);
    let all = sources.iter().chain(&tests).chain(&shaders);
    let faults: Vec<String> = all.flat_map(|(path, source)| misshapen(path, source)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_stage_has_its_twin() {
    let (shaders, sources) = (files("shaders", "wgsl"), files("src/pixels", "rs"));
    let common = shaders.keys().filter(|path| path.starts_with("shaders/common/")).count();
    assert!(common >= 2 && shaders.len() >= common + 2, "{common} of {} shaders are common", shaders.len());
    assert_eq!(lonely(&shaders, &sources), [""; 0]);

    let with = |path: &str, text: &str| {
        let more = shaders.clone().into_iter().chain(once((path.to_owned(), text.to_owned()))).collect();
        lonely(&more, &sources).join("\n")
    };
    let stage = with("shaders/sharpen_edges.wgsl", "@compute fn f() {}");
    assert!(stage.contains("no twin src/pixels/cpu/sharpen_edges.rs") && stage.contains("no parameters SharpenEdges"));
    assert!(with("shaders/horizontal.wgsl", "// @compute\n").ends_with("horizontal.wgsl: has no entry point"));
    assert!(with("shaders/common/x.wgsl", "@group(0) @binding(0) var x: u32;").contains("is no stage"));
}

/// Every rule, broken once or more.
#[test]
fn a_crooked_house_is_told_by_name() {
    for (path, source, fault) in [
        ("src/codec/jpeg.rs", "use crate::service::pool::Pool;", "codec may not know service"),
        ("src/store/fs.rs", "use crate::{domain::Hash, repo::Repo};", "store may not know repo"),
        ("src/store/fs.rs", "use {std::io, crate::{repo as r, domain::*}};", "store may not know repo"),
        ("src/domain/hash.rs", "fn f() { crate::codec::sniff(&[]); }", "domain may not know codec"),
        ("src/domain/hash.rs", "fn f() -> Vec<crate :: codec :: Stored> {}", "domain may not know codec"),
        ("src/service/ingest.rs", "use crate::http::router;", "service may not know http"),
        ("src/repo/record.rs", "use super::super::store::Store;", "repo may not know store"),
        ("src/repo.rs", "use super::store::Store;", "repo may not know store"),
        ("src/repo.rs", "mod tests { mod more { use super::super::super::store::Store; } }", "repo may not know store"),
        ("src/pixels/plan.rs", "use crate::*;", "pixels names the whole crate"),
        ("src/pixels/plan.rs", "use crate as glimt;", "pixels names the whole crate"),
        ("src/pixels.rs", "use super::{self as all};", "pixels names the whole crate"),
        ("src/codec/png.rs", "use crate::pixels::{Pixmap, Plan};", "codec may not know pixels::Plan"),
        ("src/codec/png.rs", "use crate::{domain::Hash, pixels::{Layout, exec::run}};", "not know pixels::exec::run"),
        ("src/codec/png.rs", "use crate::pixels;", "codec may not know pixels"),
        ("src/codec/png.rs", "use crate::pixels::{self, Pixmap};", "codec may not know pixels"),
        ("src/codec/png.rs", "use crate::pixels::*;", "codec may not know pixels::*"),
        ("src/main.rs", "use glimt::{cli::Cli, repo::Repo};", "main may not know repo"),
        ("src/lib.rs", "pub use crate::domain::Hash;", "lib may not know domain"),
        ("src/cache.rs", "", "the table of arrows does not have cache"),
        ("src/service/pool.rs", "use wgpu::Device;", "names wgpu, whose home is src/pixels/gpu"),
        ("src/pixels/gpus.rs", "fn f(x: &wgpu::Device) {}", "names wgpu"),
        ("src/service/pool.rs", "use {axum as web};", "names axum"),
        ("src/service/pool.rs", "#[axum::debug_handler] fn f<'a>() {}", "names axum"),
        ("src/service/pool.rs", "extern crate axum;", "hides a name behind extern crate"),
        ("src/repo/memory.rs", "use ::sled::Db;", "names sled, whose home is src/repo/sled"),
        ("src/repo/memory.rs", "use sled::Db;", "names sled"),
        ("src/service/pool.rs", "fn f() -> anyhow::Result<()> {}", "names anyhow"),
        ("src/codec.rs", "use reqwest::Url;", "names reqwest"),
        ("src/service/error.rs", "const OK: hyper::StatusCode = 1;", "says StatusCode"),
    ] {
        let told = crooked(path, source);
        assert!(told.len() == 1 && told[0].contains(fault), "{path}: {source}: {told:?}");
    }
    for (path, source, fault) in [
        ("src/store/fs.rs", "use std::io;\n".to_owned(), "first line"),
        ("src/store/fs.rs", "// Files.\n//! Files.\n".to_owned(), "first line"),
        ("src/store/fs.rs", format!("//! Long.\n{}", "\n".repeat(MAX_LINES)), "601 lines, at most 600"),
        ("shaders/long.wgsl", "\n".repeat(MAX_LINES + 1), "601 lines"),
        ("src/store/utils.rs", "//! All kinds.\n".to_owned(), "utils is no name"),
        ("src/store/mod.rs", "//! The store.\n".to_owned(), "mod is no name"),
    ] {
        let told = misshapen(path, &source);
        assert!(told.len() == 1 && told[0].contains(fault), "{path}: {told:?}");
    }
}

#[test]
fn what_only_looks_crooked_is_left_alone() {
    for (path, source) in [
        ("src/codec/jpeg.rs", "// crate::service would be wrong\nfn f() {}"),
        ("src/codec/jpeg.rs", "/* axum:: /* nested */ crate::service::x */ fn f() {}"),
        ("src/codec/jpeg.rs", r#"const T: &str = "crate::service \" axum::x\\"; fn f() {}"#),
        ("src/codec/jpeg.rs", "const T: &str = r#\"crate::service \" axum::x\"#;"),
        ("src/codec/jpeg.rs", "const T: &[u8] = br\"axum::x\\\"; fn f() { \"\"; }"),
        ("src/codec/jpeg.rs", "const Q: char = '\"'; use crate::domain::Hash; // \" crate::service"),
        ("src/codec/jpeg.rs", r#"const Q: u8 = b'\''; const R: &str = "axum::x";"#),
        ("src/codec/jpeg.rs", "fn f<'a>(x: &'a str) -> &'a str { x.axum::<'a'>() }"),
        ("src/repo/journal/read.rs", "pub(in crate::repo) struct Scan; pub(in super::super) struct X;"),
        ("src/codec/icc.rs", "use crate::{domain::{Format, Hash}, pixels::{Layout, Pixmap}};"),
        ("src/codec/icc.rs", "use crate::pixels::pixmap::{self, Layout as L};"),
        ("src/http/error.rs", "use axum::http::StatusCode;\nuse crate::service::ServiceError;"),
        ("src/repo.rs", "pub mod sled; pub use self::sled::SledRepo;"),
        ("src/repo.rs", "mod tests { use super::*; } fn f() { mod_x!{} }"),
        ("src/http.rs", "mod tests { use super::super::service::ServiceError; }"),
        ("src/repo/sled.rs", "use ::sled::Db;"),
        ("src/service/wgpu_name.rs", "use std::io as axum_io;"),
    ] {
        assert_eq!(crooked(path, source), [""; 0], "{source}");
    }
    assert_eq!(misshapen("tests/api/main.rs", &format!("//! Long.\n{}", "\n".repeat(MAX_LINES - 1))), [""; 0]);
    // Whatever a literal is made of, what follows it is read.
    for literal in
        [r#""\\""#, r###"r##"a"#b"##"###, "b'\\''", "'\\u{1F600}'", "'\"'", "/* \" */", "'a: loop {}", "c\"x\""]
    {
        let source = format!("const A: X = {literal}; use crate::http::router;");
        assert_eq!(
            crooked("src/domain/hash.rs", &source),
            ["src/domain/hash.rs: domain may not know http"],
            "{literal}"
        );
    }
}
