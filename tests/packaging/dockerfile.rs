//! docker/Dockerfile: the build stage has what the build needs, the final stage runs what was built.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use glimt::config::Config;

use crate::{files_below, is_there, output, plain, text, top};

const GLIMT: &str = env!("CARGO_BIN_EXE_glimt");

/// Runs the program as the container would, but with an environment of nothing.
fn glimt(arguments: &[&str]) -> Output {
    output(Command::new(GLIMT).args(arguments).env_clear())
}

/// The instructions of a Dockerfile, each its word and the rest, lines that go on after a `\` joined. Not known here:
/// heredocs, other escape characters, variables.
fn instructions(dockerfile: &str) -> Vec<(String, String)> {
    let mut joined = String::new();
    // A comment goes even from the middle of an instruction.
    for line in dockerfile.lines().map(str::trim).filter(|line| !line.starts_with('#') && !line.is_empty()) {
        match line.strip_suffix('\\') {
            Some(more) => joined.extend([more, " "]),
            None => joined.extend([line, "\n"]),
        }
    }
    let parts = joined.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    parts.map(|(word, rest)| (word.to_ascii_uppercase(), rest.trim().to_owned())).collect()
}

/// The instructions of the last stage.
fn final_stage(all: &[(String, String)]) -> &[(String, String)] {
    let from = all.iter().rposition(|(word, _)| word == "FROM").expect("no FROM");
    &all[from..]
}

/// What follows each `word` among `instructions`.
fn all<'a>(instructions: &'a [(String, String)], word: &str) -> Vec<&'a str> {
    instructions.iter().filter(|(found, _)| found == word).map(|(_, rest)| rest.as_str()).collect()
}

/// What follows `word`, which has to be there once.
fn only<'a>(instructions: &'a [(String, String)], word: &str) -> &'a str {
    let found = all(instructions, word);
    assert_eq!(found.len(), 1, "{word} is there {} times", found.len());
    found[0]
}

/// `COPY`'s sources and destination, when they are of the context and not of another stage.
fn copied(rest: &str) -> Option<(Vec<&str>, &str)> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    if words.iter().any(|word| word.starts_with("--from")) {
        return None;
    }
    let mut words: Vec<&str> = words.into_iter().filter(|word| !word.starts_with("--")).collect();
    let to = words.pop()?;
    Some((words, to))
}

/// The arguments of an instruction in exec form: `["a", "b"]`.
fn exec_form(rest: &str) -> Vec<String> {
    serde_json::from_str(rest).unwrap_or_else(|error| panic!("{rest} is not in exec form: {error}"))
}

/// Packages that the `apt-get install` of a shell command names.
fn packages(run: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for command in run.split("&&") {
        if let Some((_, names)) = command.split_once("apt-get install") {
            found.extend(names.split_whitespace().filter(|name| !name.starts_with('-')));
        }
    }
    found
}

/// Whether a .dockerignore keeps `path` out of the context: the last line that matches it, or a folder it is in, says.
/// Known here are plain paths and `*` for one whole name; any other pattern fails.
fn ignored(dockerignore: &str, path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    let mut ignored = false;
    for line in dockerignore.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (keep, pattern) = line.strip_prefix('!').map_or((false, line), |pattern| (true, pattern));
        let pattern: Vec<&str> = pattern.trim_matches('/').split('/').collect();
        for part in &pattern {
            assert!(*part == "*" || !part.contains(['*', '?', '[', '\\']), "this test cannot read {line:?}");
        }
        let matches = names.len() >= pattern.len()
            && pattern.iter().zip(&names).all(|(pattern, name)| *pattern == "*" || pattern == name);
        if matches {
            ignored = !keep;
        }
    }
    ignored
}

/// What the build stage has: a path there (from its `WORKDIR`) for each file, with where it is in the repository.
///
/// # Errors
/// Says what is not there, or kept out by the .dockerignore.
fn context(dockerfile: &str, dockerignore: &str, root: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut context = BTreeMap::new();
    for (sources, to) in all(&instructions(dockerfile), "COPY").into_iter().filter_map(copied) {
        let folder = to.ends_with('/');
        let to = to.trim_start_matches("./").trim_end_matches('/');
        for source in sources {
            if !is_there(&root.join(source)) {
                return Err(format!("COPY {source}: it is not there"));
            }
            for file in files_below(root, source) {
                if ignored(dockerignore, &file) {
                    return Err(format!("COPY {source}: .dockerignore keeps out {file}"));
                }
                // A folder's content is copied, not the folder; a file goes into a folder under its own name.
                let inner = if file == source { if folder { source } else { "" } } else { &file[source.len() + 1..] };
                let there = [to, inner].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
                context.insert(there, file);
            }
        }
    }
    Ok(context)
}

/// Asks cargo whether it could build the package that `context` makes, every target of the manifest with its file and the
/// lock file up to date: it is asked for a program that the package lacks, and has to come as far as saying that.
fn cargo_reads(context: &BTreeMap<String, String>) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    for (there, here) in context {
        let there = folder.path().join(there);
        fs::create_dir_all(there.parent().unwrap()).unwrap();
        fs::copy(top().join(here), there).unwrap();
    }
    let asked = output(
        Command::new(env!("CARGO"))
            .args(["build", "--offline", "--locked", "--bin", "glimt-that-is-not-there"])
            .env("CARGO_TARGET_DIR", folder.path().join("target"))
            .current_dir(folder.path()),
    );
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    if said.contains("no bin target named `glimt-that-is-not-there`") { Ok(()) } else { Err(said) }
}

/// Files that `source`, at `path`, includes when it is compiled.
fn included(path: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in ["include_str!(\"", "include_bytes!(\"", "include!(\""] {
        for (at, _) in source.match_indices(word) {
            let name = source[at + word.len()..].split('"').next().unwrap();
            let file = plain(&Path::new(path).parent().unwrap().join(name));
            found.push(file.to_str().unwrap().replace('\\', "/"));
        }
    }
    // A name put together from parts, one of them a macro's: every file of that folder and ending.
    for (at, word) in source.match_indices("include_str!(concat!(") {
        let parts: Vec<&str> = source[at + word.len()..].split(')').next().unwrap().split(',').map(str::trim).collect();
        let [folder, _, ending] = parts[..] else { panic!("{path}: {parts:?} cannot be read") };
        let folder = plain(&Path::new(path).parent().unwrap().join(folder.trim_matches('"')));
        found.extend(files_in(&folder, ending.trim_matches('"')));
    }
    found
}

/// Files under a folder of the repository whose names end like this.
fn files_in(folder: &Path, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(top().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = folder.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_in(&path, ending));
        } else if path.to_str().unwrap().ends_with(ending) {
            found.push(path.to_str().unwrap().replace('\\', "/"));
        }
    }
    found
}

#[test]
fn the_build_stage_has_what_cargo_and_the_compiler_need() {
    let (dockerfile, dockerignore) = (text("docker/Dockerfile"), text(".dockerignore"));
    let build = context(&dockerfile, &dockerignore, top()).unwrap();
    assert!(build.contains_key("src/main.rs") && build.contains_key("src/lib.rs"));
    assert!(build.len() > 60, "only {} files are copied", build.len());
    for (there, here) in &build {
        assert_eq!(there, here, "the build stage has another layout");
    }
    cargo_reads(&build).unwrap();
    let mut includes = 0;
    for path in build.keys().filter(|path| path.starts_with("src/")) {
        for file in included(path, &text(path)) {
            includes += 1;
            assert!(build.contains_key(&file), "{path} includes {file}, which is not copied");
        }
    }
    assert!(includes >= 4, "only {includes} includes were seen");
}

#[test]
fn a_build_stage_that_lacks_something_is_told() {
    let (dockerfile, dockerignore) = (text("docker/Dockerfile"), text(".dockerignore"));
    let told = |dockerfile: &str, dockerignore: &str| context(dockerfile, dockerignore, top()).unwrap_err();
    assert!(told("FROM a\nCOPY nowhere ./", "").contains("nowhere: it is not there"));
    assert!(told(&dockerfile, &dockerignore.replace("!shaders", "")).contains("keeps out shaders/"));
    assert!(told(&dockerfile, &format!("{dockerignore}\nsrc/http")).contains("keeps out src/http/"));

    let no_benches = context(&dockerfile.replace("COPY benches", "# COPY benches"), &dockerignore, top()).unwrap();
    assert!(cargo_reads(&no_benches).unwrap_err().contains("benches/"));
    let no_lock = context(&dockerfile.replace("Cargo.lock", ""), &dockerignore, top()).unwrap();
    assert!(cargo_reads(&no_lock).unwrap_err().contains("--locked"));
    let elsewhere = context(&dockerfile.replace("./src", "./source"), &dockerignore, top()).unwrap();
    assert!(elsewhere.contains_key("source/main.rs"));
    assert!(!elsewhere.contains_key("src/main.rs"));
    assert_eq!(included("src/a/b.rs", "include_str!(\"../../x/y.wgsl\")"), ["x/y.wgsl"]);
    let joined = included("src/a/b.rs", "concat!($(include_str!(concat!(\"../../shaders/\", $name, \".wgsl\"))),+)");
    for shader in ["shaders/vertical.wgsl", "shaders/common/srgb.wgsl"] {
        assert!(joined.contains(&shader.to_owned()), "{joined:?}");
    }
}

#[test]
fn the_build_image_has_the_rust_that_the_manifest_asks_for() {
    let dockerfile = instructions(&text("docker/Dockerfile"));
    let image = all(&dockerfile, "FROM")[0];
    let version = env!("CARGO_PKG_RUST_VERSION");
    assert!(image.starts_with(&format!("rust:{version}-")), "{image} is not Rust {version}");
    let command = only(&dockerfile[..dockerfile.len() - final_stage(&dockerfile).len()], "RUN");
    assert_eq!(command, "cargo build --locked --release --bin glimt --features \"$FEATURES\"");
    assert_eq!(only(&dockerfile, "ARG"), "FEATURES=\"\"", "what is off by default is off in the container");
}

#[test]
fn the_final_stage_runs_what_was_built_with_arguments_it_takes() {
    let dockerfile = instructions(&text("docker/Dockerfile"));
    let stage = final_stage(&dockerfile);
    let built = all(stage, "COPY");
    assert_eq!(built, ["--from=build /src/target/release/glimt /usr/local/bin/glimt"]);
    assert_eq!(all(&dockerfile, "WORKDIR"), ["/src"]);
    assert!(all(&dockerfile, "FROM")[0].ends_with(" AS build"));
    assert_eq!(Path::new(GLIMT).file_stem().unwrap(), "glimt");

    let entry = exec_form(only(stage, "ENTRYPOINT"));
    assert_eq!(entry, ["glimt"]);
    assert!(all(stage, "CMD").is_empty());

    let (flags, probe) = only(stage, "HEALTHCHECK").split_once("CMD").unwrap();
    let probe = exec_form(probe.trim());
    assert_eq!(probe[0], "glimt");
    let arguments: Vec<&str> = probe[1..].iter().map(String::as_str).collect();
    let help = glimt(&[&arguments[..], &["--help"]].concat());
    assert!(help.status.success(), "{help:?}");
    // No server answers: 1. A usage error would be 2.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let alone = glimt(&[&arguments[..], &["--addr", &port.to_string()]].concat());
    assert_eq!(alone.status.code(), Some(1), "{alone:?}");
    // The probe gives up after 5 seconds, before the engine kills it.
    assert!(flags.contains("--timeout=6s"), "{flags}");

    assert!(!glimt(&["health", "--help"]).status.success());
}

#[test]
fn the_container_is_user_991_with_its_data_in_mnt() {
    let dockerfile = instructions(&text("docker/Dockerfile"));
    let stage = final_stage(&dockerfile);
    assert_eq!(only(stage, "USER"), "991:991");
    assert_eq!(only(stage, "VOLUME"), "/mnt");
    let run = only(stage, "RUN");
    for part in ["groupadd --gid 991 ", "useradd --uid 991 --gid 991 ", "chown 991:991 /mnt"] {
        assert!(run.contains(part), "{part:?} is not in {run:?}");
    }
    let environment: Vec<&str> = only(stage, "ENV").split_whitespace().collect();
    assert!(environment.contains(&"GLIMT_PATH=/mnt"), "{environment:?}");
    let port = Config::new(PathBuf::from("/mnt")).addr.port();
    assert_eq!(only(stage, "EXPOSE"), port.to_string());
}

/// The names, in whatever distribution this runs on; that the container's has them too is not checked.
#[test]
fn the_packages_of_the_final_stage_exist() {
    let dockerfile = instructions(&text("docker/Dockerfile"));
    let names = packages(only(final_stage(&dockerfile), "RUN"));
    assert!(names.contains(&"libvulkan1") && names.contains(&"ca-certificates"), "{names:?}");
    let sources = Command::new("apt-cache").arg("policy").output();
    if !sources.is_ok_and(|sources| String::from_utf8_lossy(&sources.stdout).contains(" Packages\n")) {
        println!("skipped: no package index");
        return;
    }
    let exists = |name: &str| output(Command::new("apt-cache").args(["show", name])).status.success();
    for name in names {
        assert!(exists(name), "there is no package {name}");
    }
    assert!(!exists("mesa-vulkan-driver"));
}

#[test]
fn instructions_are_read_as_docker_reads_them() {
    let source = "FROM a AS b\n# no\nRUN x \\\n  # no\n  && apt-get install -y p q \\\n  && y\n\nfrom c\nCOPY --from=b /x /y\n\
        COPY --chown=1:1 z ./";
    let all_of = instructions(source);
    assert_eq!(all(&all_of, "FROM"), ["a AS b", "c"]);
    assert_eq!(packages(only(&all_of, "RUN")), ["p", "q"]);
    assert_eq!(final_stage(&all_of).len(), 3);
    assert_eq!(all(&all_of, "COPY").into_iter().filter_map(copied).collect::<Vec<_>>(), [(vec!["z"], "./")]);

    let ignore = "*\n!src\nsrc/secret";
    for (path, out) in [("a", true), ("a/b", true), ("src/a", false), ("src/secret/a", true), ("srcs", true)] {
        assert_eq!(ignored(ignore, path), out, "{path}");
    }
}
