//! docker/glimt.service: starts the program that is there, with variables that are read.

use std::{fs, process::Command};

use clap::CommandFactory as _;
use glimt::{cli::Cli, config::Config};

use crate::{options::asked_of_the_environment, output, text};

/// The values of a key of a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// Checked too, where systemd is installed: that it can read the unit, and that little is left open. Not checked: that it starts.
#[test]
fn the_unit_starts_the_program_and_leaves_little_open() {
    let unit = text("docker/glimt.service");
    let starts = values(&unit, "ExecStart");
    let words: Vec<&str> = starts[0].split_whitespace().collect();
    assert_eq!(words, ["/usr/local/bin/glimt", "serve"]);
    Cli::command().try_get_matches_from(&words).unwrap();
    let known = asked_of_the_environment();
    // In comments too: they are there to be uncommented.
    let named = unit.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("GLIMT_"));
    let named: Vec<&str> = named.collect();
    assert!(named.len() >= 4, "{named:?}");
    for name in named {
        assert!(known.contains(name), "{name} is not read");
    }
    let stop: u64 = values(&unit, "TimeoutStopSec")[0].parse().unwrap();
    assert!(stop > Config::new("/d".into()).stop_timeout.as_secs());
    assert!(values(&unit, "Environment")[0].contains("GLIMT_PATH=/var/lib/glimt"));
    assert_eq!(values(&unit, "StateDirectory"), ["glimt"]);
    for key in ["NoNewPrivileges", "DynamicUser", "RestrictNamespaces", "ProtectHome"] {
        assert_eq!(values(&unit, key), ["yes"], "{key}");
    }
    // What decoders shut themselves off with.
    let calls = values(&unit, "SystemCallFilter").join(" ");
    for call in ["@system-service", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp"]
    {
        assert!(calls.split(' ').any(|allowed| allowed == call), "{call} is not let through");
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("glimt.service");
    // The program need not be installed for that.
    fs::write(&path, unit.replace("/usr/local/bin/glimt", env!("CARGO_BIN_EXE_glimt"))).unwrap();
    let Ok(read) = Command::new("systemd-analyze").arg("verify").arg(&path).output() else {
        println!("skipped: no systemd-analyze");
        return;
    };
    assert!(read.status.success() && !String::from_utf8_lossy(&read.stderr).contains("glimt.service"), "{read:?}");
    let open = output(Command::new("systemd-analyze").args(["security", "--offline=yes", "--threshold=25"]).arg(&path));
    assert!(open.status.success(), "{open:?}");
}
