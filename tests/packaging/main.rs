//! What is around the program, as far as it can be checked without a container engine: docker/, the Makefile, the
//! sample configuration, the texts and the scripts say what is true of the program.
#![cfg(test)]

use std::{
    fs,
    path::{Component, Path, PathBuf},
    process::{Command, Output},
};

#[cfg(unix)]
mod clients;
mod compose;
mod dockerfile;
#[cfg(unix)]
mod docs;
mod filters;
mod options;
mod systemd;
mod texts;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A text file, by its path from the top of the repository.
fn text(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap()
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Every file below `at`, or `at` itself if it is one, as a path from `root` with forward slashes.
fn files_below(root: &Path, at: &str) -> Vec<String> {
    let path = root.join(at);
    if path.is_file() {
        return vec![at.to_owned()];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&path).unwrap_or_else(|error| panic!("{at}: {error}")) {
        let name = entry.unwrap().file_name().into_string().unwrap();
        found.extend(files_below(root, &format!("{at}/{name}")));
    }
    found
}

/// `path` without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, component| {
        match component {
            Component::ParentDir => assert!(plain.pop(), "{} leads out", path.display()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(component),
        }
        plain
    })
}
