//! The targets that the texts name are in the Makefile, and the scripts are shell. Links are in `docs/links.rs`.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use crate::{files_below, output, text, top};

/// The targets of a Makefile.
pub(crate) fn targets(makefile: &str) -> BTreeSet<&str> {
    let rules = makefile.lines().filter(|line| !line.starts_with(['\t', '#', '.', ' ']) && !line.contains(":="));
    rules.filter_map(|line| line.split_once(':').map(|(target, _)| target)).collect()
}

/// What a Markdown file says in code: fenced blocks line by line, and `spans`.
fn code_of(markdown: &str) -> Vec<&str> {
    let (mut code, mut fenced) = (Vec::new(), false);
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            code.push(line);
        } else {
            code.extend(line.split('`').skip(1).step_by(2));
        }
    }
    code
}

/// The targets that lines of shell call `make` with.
fn made<'a>(shell: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    shell.into_iter().filter_map(|line| line.trim().strip_prefix("make ")?.split_whitespace().next()).collect()
}

#[test]
fn every_target_that_is_spoken_of_is_in_the_makefile() {
    let makefile = text("Makefile");
    let targets = targets(&makefile);
    for path in ["README.md", "CONTRIBUTING.md"] {
        let file = text(path);
        let named = made(code_of(&file));
        assert!(named.contains("test"), "{path}: {named:?}");
        assert!(named.is_subset(&targets), "{path} names {named:?}, the Makefile has {targets:?}");
    }
    let ci = text(".ci/run");
    assert!(ci.trim_end().ends_with("make test"), "the summary of the tests comes last");
    let called = made(ci.lines());
    assert!(called.len() >= 2 && called.is_subset(&targets), ".ci/run calls {called:?}");

    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).unwrap();
    assert_eq!(phony.split_whitespace().collect::<BTreeSet<_>>(), targets);
    let manifest = text("Cargo.toml");
    for (at, word) in makefile.match_indices("--bench ") {
        let bench = makefile[at + word.len()..].split_whitespace().next().unwrap();
        assert!(manifest.contains(&format!("[[bench]]\nname = \"{bench}\"")), "there is no bench {bench}");
    }
}

#[test]
fn makefiles_and_prose_are_told_apart() {
    assert_eq!(targets("# x: no\n.PHONY: a\nA := b:c\na: b ## What.\n\tcc: no\nb:\n"), BTreeSet::from(["a", "b"]));
    let prose = "We make thumbnails: `make a`, not `cargo b`.\n```sh\nmake c   # make d\n```\nmake e";
    assert_eq!(made(code_of(prose)), BTreeSet::from(["a", "c"]));
}

fn bash_reads(path: &Path) -> bool {
    output(Command::new("bash").arg("-n").arg(path)).status.success()
}

#[test]
fn scripts_are_shell_and_may_be_run() {
    let mut scripts = files_below(top(), "scripts");
    scripts.push(".ci/run".to_owned());
    assert!(scripts.len() >= 2, "{scripts:?}");
    for script in &scripts {
        let path = top().join(script);
        assert!(text(script).starts_with("#!/usr/bin/env bash\n"), "{script}");
        assert!(bash_reads(&path), "bash cannot read {script}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o111, 0o111, "{script} may not be run");
        }
    }
    let broken = tempfile::NamedTempFile::new().unwrap();
    fs::write(broken.path(), "if true; then\n").unwrap();
    assert!(!bash_reads(broken.path()));
}
