//! Commands that are not run here, because they build for minutes, change the machine or need what it does not have: that everything
//! they name is there.

use std::process::Command;

use clap::{CommandFactory as _, error::ErrorKind};
use glimt::cli::Cli;

use super::{blocks::Block, stage::words};
use crate::{is_there, output, text, texts::targets, top};

/// What is wrong with the command line of glimt, if anything. That something is missing is not: commands are named without it.
pub(super) fn glimt(words: &[String]) -> Result<(), String> {
    let fine = [ErrorKind::MissingRequiredArgument, ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
    match Cli::command().try_get_matches_from(words) {
        Err(error) if !fine.contains(&error.kind()) => Err(format!("{}: {error}", words.join(" "))),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn unless(fine: bool, told: impl FnOnce() -> String) -> Result<(), String> {
    if fine { Ok(()) } else { Err(told()) }
}

/// A file of the repository, or what a build leaves.
fn file(path: &str) -> Result<(), String> {
    unless(path == "target/release/glimt" || is_there(&top().join(path)), || format!("{path} is not there"))
}

/// Features by name.
fn features(list: &str) -> Result<(), String> {
    let manifest = text("Cargo.toml");
    list.split(',').try_for_each(|name| {
        unless(manifest.contains(&format!("\n{name} = [\"dep:")), || format!("there is no feature {name}"))
    })
}

/// What is wrong with any command of a block.
pub(super) fn block(block: &Block) -> Result<(), String> {
    let commands = block.commands();
    unless(!commands.is_empty(), || "there is no command in it".to_owned())?;
    commands.iter().try_for_each(|line| line.split("&&").try_for_each(|line| command(&words(line))))
}

/// The words of a command without the `NAME=value` in front.
fn bare(words: &[String]) -> &[String] {
    let begin = words.iter().position(|word| !is_assignment(word)).unwrap_or(words.len());
    &words[begin..]
}

/// The program that a command calls.
pub(super) fn program(words: &[String]) -> &str {
    bare(words).first().map_or("", String::as_str)
}

/// What is wrong with a command.
pub(super) fn command(words: &[String]) -> Result<(), String> {
    let words = bare(words);
    let Some(program) = words.first() else { return Ok(()) };
    match program.as_str() {
        "glimt" => glimt(words),
        "make" => make(&words[1..]),
        "cargo" => cargo(&words[1..]),
        "docker" => docker(&words[1..]),
        "apt-get" => apt(&words[1..]),
        "export" => Ok(()),
        "install" | "mkdir" | "nvidia-ctk" | "systemctl" | "usermod" => {
            let mut paths = words[1..].iter().filter(|word| !word.starts_with(['-', '/']) && word.contains('/'));
            paths.try_for_each(|path| file(path))
        }
        script if script.starts_with("scripts/") => {
            file(script)?;
            command(&words[1..])
        }
        other => Err(format!("{other} is none of the programs that are known here")),
    }
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The target, the variables, and what make would run.
fn make(words: &[String]) -> Result<(), String> {
    let makefile = text("Makefile");
    for word in words {
        if let Some((name, _)) = word.split_once('=') {
            unless(makefile.contains(&format!("$({name})")), || format!("the Makefile has no {name}"))?;
        } else {
            unless(targets(&makefile).contains(word.as_str()), || format!("there is no target {word}"))?;
        }
    }
    let mut would = Command::new("make");
    would.arg("-n").args(words).env_remove("MAKEFLAGS").env_remove("MAKELEVEL").current_dir(top());
    let Ok(would) = would.output() else { return Ok(()) };
    let said = String::from_utf8_lossy(&would.stdout).replace("\\\n", " ");
    unless(would.status.success(), || format!("make -n {words:?}: {}", String::from_utf8_lossy(&would.stderr)))?;
    said.lines().filter(|line| line.contains("cargo ")).try_for_each(|line| command(&self::words(line)))
}

/// What cargo is asked for: features, tests, benches, and the program's arguments.
fn cargo(words: &[String]) -> Result<(), String> {
    let known = ["bench", "build", "clippy", "fmt", "install", "run", "test", "deny"];
    let asked = words.first().map(String::as_str).unwrap_or_default();
    unless(known.contains(&asked), || format!("cargo {asked} is not known here"))?;
    let (ours, theirs) = words.iter().position(|word| word == "--").map_or((words, None), |at| {
        let (ours, theirs) = words.split_at(at);
        (ours, Some(&theirs[1..]))
    });
    let manifest = text("Cargo.toml");
    for pair in ours.windows(2) {
        match (pair[0].as_str(), pair[1].as_str()) {
            ("--features", list) => features(list)?,
            ("--bench", name) => {
                let there = manifest.contains(&format!("[[bench]]\nname = \"{name}\""));
                unless(there, || format!("there is no bench {name}"))?;
            }
            // Another package, with arguments of its own.
            ("--manifest-path", path) => return file(path),
            ("--test", name) => {
                let paths = [format!("tests/{name}.rs"), format!("tests/{name}/main.rs")];
                unless(paths.iter().any(|path| is_there(&top().join(path))), || format!("there is no test {name}"))?;
            }
            _ => {}
        }
    }
    match theirs {
        Some(theirs) if asked == "run" => glimt(&[&["glimt".to_owned()], theirs].concat()),
        _ => Ok(()),
    }
}

/// `docker compose -f FILE --profile NAME ..`, `docker build`, and `docker run` of the image.
fn docker(words: &[String]) -> Result<(), String> {
    let value = |flag: &str| super::stage::after(words, flag);
    let asked = words.first().map(String::as_str).unwrap_or_default();
    if let Some(path) = value("-f") {
        file(path)?;
    }
    match asked {
        "compose" => {
            let Some(path) = value("-f") else { return Ok(()) };
            let compose = text(path);
            let profile = value("--profile").unwrap_or_default();
            unless(compose.contains(&format!("profiles: [{profile}]")), || format!("{path}: no profile {profile}"))?;
            if let Some(at) = words.iter().position(|word| word == "run") {
                let mut rest = words[at + 1..].iter().skip_while(|word| word.starts_with('-'));
                let service = rest.next().cloned().unwrap_or_default();
                unless(compose.contains(&format!("\n  {service}:\n")), || format!("{path}: no service {service}"))?;
                glimt(&[vec!["glimt".to_owned()], rest.cloned().collect()].concat())?;
            }
            composes(path, &["--profile", profile])
        }
        "build" => {
            let Some((name, list)) = value("--build-arg").and_then(|pair| pair.split_once('=')) else { return Ok(()) };
            let dockerfile = text(value("-f").unwrap_or("Dockerfile"));
            unless(dockerfile.contains(&format!("\nARG {name}=")), || format!("the Dockerfile has no {name}"))?;
            features(list)
        }
        "run" => {
            let at = words.iter().position(|word| word == "glimt").ok_or("docker runs another image")?;
            glimt(&words[at..])
        }
        other => Err(format!("docker {other} is not known here")),
    }
}

/// Whether docker reads a file of compose, where it is here with that plugin.
pub(super) fn composes(path: &str, flags: &[&str]) -> Result<(), String> {
    let docker = |arguments: &[&str]| Command::new("docker").args(arguments).current_dir(top()).output();
    if !docker(&["compose", "version"]).is_ok_and(|plugin| plugin.status.success()) {
        return Ok(());
    }
    let read = docker(&[&["compose", "-f", path][..], flags, &["config", "--quiet"]].concat());
    let read = read.map_err(|error| error.to_string())?;
    unless(read.status.success(), || format!("{path}: {}", String::from_utf8_lossy(&read.stderr)))
}

/// Packages, where there is an index of them.
fn apt(words: &[String]) -> Result<(), String> {
    let sources = Command::new("apt-cache").arg("policy").output();
    if !sources.is_ok_and(|sources| String::from_utf8_lossy(&sources.stdout).contains(" Packages\n")) {
        return Ok(());
    }
    words.iter().filter(|word| !word.starts_with('-') && *word != "install").try_for_each(|name| {
        let there = output(Command::new("apt-cache").args(["show", name])).status.success();
        unless(there, || format!("there is no package {name}"))
    })
}

#[test]
fn what_is_not_there_is_told() {
    let told = |line: &str| command(&words(line));
    for fine in [
        "make run",
        "make bench-peers PHOTOS=~/photos",
        "GLIMT_BENCH=quick cargo bench --bench engine",
        "cargo build --release --features heic,svg",
        "cargo test --test faults kill",
        "cargo run --release -- --path ./data --backend gpu",
        "docker compose -f docker/compose.yml --profile cpu run --rm glimt gpu-info",
        "docker build -f docker/Dockerfile -t glimt --build-arg FEATURES=heic,svg .",
        "install -m 644 docker/glimt.service /etc/systemd/system/glimt.service",
    ] {
        told(fine).unwrap();
    }
    for (wrong, what) in [
        ("make rum", "no target rum"),
        ("make bench-peers PHOTO=x", "no PHOTO"),
        ("cargo bench --bench engines", "no bench engines"),
        ("cargo build --features heif", "no feature heif"),
        ("cargo test --test fault", "no test fault"),
        ("cargo run -- --paths ./data", "--paths"),
        ("docker compose -f docker/compose.yaml --profile cpu up", "docker/compose.yaml is not there"),
        ("docker compose -f docker/compose.yml --profile amd up", "no profile amd"),
        ("docker compose -f docker/compose.yml --profile cpu run --rm glimts gpu-info", "no service glimts"),
        ("docker compose -f docker/compose.yml --profile cpu run --rm glimt gpuinfo", "gpuinfo"),
        ("docker build -f docker/Dockerfile --build-arg FEATURE=svg .", "no FEATURE"),
        ("docker run --rm glimt imports /old", "imports"),
        ("install -m 644 docker/glimt.services /etc/", "docker/glimt.services is not there"),
        ("glimt --no-such", "--no-such"),
        ("rm -rf /", "rm is none"),
    ] {
        let error = told(wrong).unwrap_err();
        assert!(error.contains(what), "{wrong}: {error}");
    }
}
