//! What stands around the program, checked as far as it can be without a container engine: the Dockerfile's paths,
//! packages and commands, the compose file's profiles, the Makefile's targets, the sample configuration, the README.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use clap::CommandFactory as _;
use glimt::cli::{Cli, Options};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn is_there(path: &str) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).try_exists().unwrap()
}

/// The instructions of a Dockerfile, each on one line, without comments.
fn instructions(dockerfile: &str) -> Vec<String> {
    let lines = dockerfile.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    joined.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|l| !l.is_empty()).collect()
}

/// What instructions of this name are given, in order.
fn given<'a>(instructions: &'a [String], name: &str) -> Vec<&'a str> {
    instructions.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).collect()
}

/// The words of `["glimt", "healthcheck"]`.
fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[test]
fn the_dockerfile_copies_what_is_there_and_all_that_the_build_needs() {
    let dockerfile = instructions(&read("docker/Dockerfile"));
    let ignored = read(".dockerignore");
    let let_in: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert_eq!(ignored.lines().next(), Some("*"), "all is left out but what is named");
    let mut copied = BTreeSet::new();
    for copy in given(&dockerfile, "COPY").into_iter().filter(|copy| !copy.starts_with("--from=")) {
        let mut paths: Vec<&str> = copy.split(' ').collect();
        paths.pop();
        copied.extend(paths);
    }
    assert!(!copied.is_empty());
    for path in &copied {
        assert!(is_there(path), "{path} is copied and not there");
        assert!(let_in.contains(path), "{path} is copied and left out by .dockerignore");
    }
    // Cargo reads the manifest whole: every target that it names has to be there, and every file that a source includes.
    let mut needed: BTreeSet<&str> = ["Cargo.toml", "Cargo.lock", "src"].into();
    let manifest = read("Cargo.toml");
    needed.extend(manifest.contains("[[bench]]").then_some("benches"));
    let shaders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pixels/gpu")).unwrap();
    let includes =
        shaders.filter(|file| fs::read_to_string(file.as_ref().unwrap().path()).unwrap().contains("/shaders/"));
    needed.extend((includes.count() > 0).then_some("shaders"));
    assert_eq!(copied, needed);
}

#[test]
fn the_final_stage_runs_the_binary_as_pict_rs_does() {
    let dockerfile = instructions(&read("docker/Dockerfile"));
    assert_eq!(given(&dockerfile, "USER"), ["991:991"]);
    assert_eq!(given(&dockerfile, "VOLUME"), ["/mnt"]);
    assert_eq!(given(&dockerfile, "EXPOSE"), ["8080"]);
    assert!(given(&dockerfile, "ENV").iter().any(|env| env.split(' ').any(|pair| pair == "GLIMT_PATH=/mnt")));
    let binary = Path::new(env!("CARGO_BIN_EXE_glimt"));
    let name = binary.file_stem().unwrap().to_str().unwrap();
    assert_eq!(words(given(&dockerfile, "ENTRYPOINT")[0]), [name]);
    let copied = given(&dockerfile, "COPY").into_iter().find_map(|copy| copy.strip_prefix("--from=build ")).unwrap();
    assert_eq!(copied, format!("/src/target/release/{name} /usr/local/bin/{name}"));
    let (_, check) = given(&dockerfile, "HEALTHCHECK")[0].split_once("CMD ").unwrap();
    let check = words(check);
    assert_eq!(check[0], name);
    let help = Command::new(binary).args(&check[1..]).arg("--help").stdout(Stdio::null()).status().unwrap();
    assert!(help.success(), "{check:?} is no command");
    // Nobody answers there: the check must say so by its exit code.
    let sick = Command::new(binary).args(&check[1..]).args(["--addr", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(sick.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&sick.stderr).contains("127.0.0.1:1"));
}

/// The packages of `apt-get install -y --no-install-recommends a b && ...`.
fn packages(run: &str) -> Vec<&str> {
    let installs = run.split("&&").filter_map(|command| command.trim().strip_prefix("apt-get install "));
    installs.flat_map(|words| words.split(' ')).filter(|word| !word.starts_with('-')).collect()
}

#[test]
fn the_packages_of_the_final_stage_exist_by_name() {
    let dockerfile = instructions(&read("docker/Dockerfile"));
    let packages: Vec<&str> = given(&dockerfile, "RUN").into_iter().flat_map(packages).collect();
    assert!(packages.contains(&"libvulkan1") && packages.contains(&"mesa-vulkan-drivers"), "{packages:?}");
    let known = |name: &str| {
        let show = Command::new("apt-cache").args(["show", name]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        show.is_ok_and(|status| status.success())
    };
    // `apt` is known wherever there is an index at all.
    if !known("apt") {
        println!("skipped: no package index");
        return;
    }
    assert!(!known("no-such-package-anywhere"));
    for name in packages {
        assert!(known(name), "{name} is no package");
    }
}

/// Not a parser of YAML: looks at indentation and words, as far as the claims of the README go.
#[test]
fn compose_has_both_profiles_and_builds_from_what_is_there() {
    let compose = read("docker/compose.yml");
    assert!(!compose.contains('\t'), "YAML has no tabs");
    let services = compose.split("\nservices:\n").nth(1).unwrap().split("\nvolumes:").next().unwrap();
    let names: Vec<&str> = services
        .lines()
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '#']))?.strip_suffix(':'))
        .collect();
    assert_eq!(names, ["glimt", "glimt-nvidia"]);
    for profile in ["profiles: [cpu]", "profiles: [nvidia]"] {
        assert_eq!(services.matches(profile).count(), 1, "{profile}");
    }
    assert_eq!(services.matches("<<: *glimt").count(), 2, "both are the same image");
    assert!(services.contains("NVIDIA_DRIVER_CAPABILITIES: graphics"), "Vulkan needs graphics");
    let value = |key: &str| compose.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap().trim().to_owned();
    assert_eq!(value("context:"), "..");
    assert!(is_there(&value("dockerfile:")));
    assert!(compose.contains(":/mnt"));
    for profile in ["--profile cpu", "--profile nvidia"] {
        assert!(read("README.md").contains(profile));
    }
}

/// The long options of the program, without those about itself.
fn long_options() -> BTreeSet<String> {
    let command = Cli::command();
    let longs = command.get_arguments().filter_map(clap::Arg::get_long).map(str::to_owned);
    longs.filter(|long| !["help", "version"].contains(&long.as_str())).collect()
}

/// The sample with its settings switched on: `#key = value` without the mark.
fn switched_on(sample: &str) -> String {
    let is_setting = |line: &str| {
        let key = line.strip_prefix('#').and_then(|line| line.split_once(" = ")).map(|(key, _)| key);
        key.is_some_and(|key| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
    };
    sample.lines().map(|line| if is_setting(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_configuration_has_every_option_and_is_accepted() {
    let on = switched_on(&read("glimt.example.toml"));
    let table: toml::Table = toml::from_str(&on).unwrap();
    let keys: BTreeSet<String> = table.keys().cloned().collect();
    let mut options = long_options();
    assert!(options.remove("config"), "a file does not name a file");
    assert_eq!(keys, options);
    let options: Options = toml::from_str(&on).unwrap();
    let written = |text: &str| text.replace("Some(", "").matches("None").count();
    assert_eq!(written(&format!("{options:?}")), 1, "only `config` is not set: {options:?}");
    // A sample that does nothing as it is.
    let empty: toml::Table = toml::from_str(&read("glimt.example.toml")).unwrap();
    assert!(empty.is_empty());
    assert!(toml::from_str::<Options>(&on.replace("queue = ", "qeue = ")).is_err());
}

#[test]
fn every_option_is_read_from_the_environment_and_stands_in_the_readme() {
    let asked = RefCell::new(BTreeSet::new());
    Options::from_env(&|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    })
    .unwrap();
    let readme = read("README.md");
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `-")).collect();
    let options = long_options();
    for option in &options {
        let variable = format!("GLIMT_{}", option.to_uppercase().replace('-', "_"));
        assert!(asked.borrow().contains(&variable), "{variable} is not read");
        let name = |row: &str| row.split('`').any(|word| word.split(' ').next() == Some(&format!("--{option}")));
        assert_eq!(rows.iter().filter(|row| name(row)).count(), 1, "--{option} in the README");
    }
    assert_eq!(rows.len(), options.len(), "the README has an option that is none");
}

fn targets(makefile: &str) -> BTreeSet<&str> {
    let targets = makefile.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    targets
        .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
        .collect()
}

#[test]
fn what_the_texts_call_is_there() {
    let makefile = read("Makefile");
    let targets = targets(&makefile);
    assert!(targets.contains("run") && targets.contains("test"), "{targets:?}");
    let mut called = 0;
    for text in ["README.md", "CONTRIBUTING.md", ".ci/run"].map(read) {
        // Commands stand at the start of a line or of a code span.
        for (at, _) in text.match_indices("make ") {
            let before = text[..at].chars().next_back();
            if !matches!(before, None | Some('\n' | '`')) {
                continue;
            }
            let name: String = text[at + 5..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            assert!(targets.contains(name.as_str()), "make {name} is no target");
            called += 1;
        }
    }
    assert!(called >= 8, "only {called} commands were seen");
    assert!(read(".ci/run").trim_end().ends_with("make test"), "the summary of the tests comes last");
    for link in ["LICENSE", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "glimt.example.toml"] {
        assert!(read("README.md").contains(&format!("({link})")) && is_there(link), "{link}");
    }
    assert!(read("LICENSE").contains("GNU AFFERO GENERAL PUBLIC LICENSE"));
}

#[cfg(unix)]
#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt as _;
    for script in [".ci/run", "scripts/with-vulkan"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        assert!(fs::metadata(&path).unwrap().permissions().mode() & 0o100 != 0, "{script} is not executable");
        assert!(Command::new("bash").arg("-n").arg(&path).status().unwrap().success(), "{script} does not parse");
    }
}

/// The readers above, on texts that they must not take.
#[test]
fn the_readers_see_what_is_wrong() {
    let dockerfile =
        instructions("# COPY no ./\nCOPY a \\\n    b ./\nRUN apt-get update && apt-get install -y x y && true\n");
    assert_eq!(given(&dockerfile, "COPY"), ["a b ./"]);
    assert_eq!(packages(given(&dockerfile, "RUN")[0]), ["x", "y"]);
    assert_eq!(switched_on("#a-b = 1\n# a = 1\n# Text = of course.\n"), "a-b = 1\n# a = 1\n# Text = of course.");
    assert_eq!(targets("run: ## x\n\tcargo: no\n.PHONY: run\nA := b\n"), BTreeSet::from(["run"]));
}
