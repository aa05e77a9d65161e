//! An operator asks what is configured, and gets names wrong.

use std::fs;

use tempfile::TempDir;

use crate::{
    binary::{Running, glimt, output, text},
    pictures::png,
};

const SECRET: &str = "key-that-nobody-prints";

#[test]
fn config_prints_a_file_that_gives_the_same_and_never_a_secret() {
    let data = TempDir::new().unwrap();
    let given = data.path().join("given.toml");
    fs::write(&given, "queue = 7\npath = \"/srv/pictures\"\n").unwrap();
    let first = output(
        glimt()
            .args(["config", "--max-frames", "9", "--config"])
            .arg(&given)
            .env("PICTRS_API_KEY", SECRET)
            .env("PICTRS_MAX_FILE_SIZE", "3"),
    );
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let printed = text(&first.stdout);
    assert!(!printed.contains(SECRET) && first.stderr.is_empty(), "{first:?}");
    let line = |key: &str| {
        let found = printed.lines().find(|line| line.trim_start_matches('#').starts_with(&format!("{key} =")));
        found.unwrap_or_else(|| panic!("{key}: {printed}")).to_owned()
    };
    for (key, value, source) in [
        ("max-frames", "max-frames = 9", "flag"),
        ("max-file-size", "max-file-size = 3", "environment: PICTRS_MAX_FILE_SIZE"),
        ("queue", "queue = 7", &format!("file: {}", given.display())),
        ("api-key", "#api-key = \"(hidden)\"", "environment: PICTRS_API_KEY"),
        ("stop-timeout", "stop-timeout = 20", "default"),
        ("format", "#format =", "not set"),
    ] {
        let line = line(key);
        assert!(line.starts_with(value) && line.ends_with(&format!("# {source}")), "{line}");
    }
    // As a file it says the same, now all from there.
    let again = data.path().join("again.toml");
    fs::write(&again, &printed).unwrap();
    let second = output(glimt().args(["config", "--config"]).arg(&again));
    assert_eq!(second.status.code(), Some(0), "{second:?}");
    let values = |text: &str| {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(" #").next().unwrap().trim_end().to_owned());
        lines.collect::<Vec<String>>()
    };
    assert!(values(&printed).len() > 30, "{printed}");
    assert_eq!(values(&text(&second.stdout)), values(&printed));
}

#[test]
fn config_says_what_is_missing_or_wrong_and_is_no_success() {
    let bare = output(glimt().arg("config").env("GLIMT_MAX_FRAME", "3"));
    assert_eq!(bare.status.code(), Some(1));
    assert!(text(&bare.stdout).contains("#path ="), "{bare:?}");
    let said = text(&bare.stderr);
    assert!(said.contains("error: the data directory is missing: give --path"), "{said}");
    assert!(said.contains("warning: the environment variable GLIMT_MAX_FRAME is not known and does nothing; the nearest is GLIMT_MAX_FRAMES"), "{said}");
    let wrong = output(glimt().args(["config", "-p", "/d", "--queue", "-1"]));
    assert_eq!((wrong.status.code(), wrong.stdout.len()), (Some(1), 0));
    assert_eq!(text(&wrong.stderr), "error: queue is -1, it must be between 0 and 100000\n");
}

#[test]
fn a_name_that_is_none_is_told_with_the_nearest() {
    let data = TempDir::new().unwrap();
    let file = data.path().join("glimt.toml");
    fs::write(&file, "path = '/d'\nmax-frame = 3\n").unwrap();
    let file = file.to_str().unwrap();
    for (args, nearest) in [
        (&["--max-frame", "3"][..], "--max-frames"),
        (&["conifg"], "config"),
        (&["--backend", "cup"], "the nearest is cpu"),
        (&["--avif-effort", "smal"], "the nearest is small"),
        (&["--sandbox", "onn"], "the nearest is on"),
        (&["--format", "PNG"], "the nearest is png"),
        (&["gpu-info", "--backend", "autp"], "the nearest is auto"),
        (&["--config", file], "line 2: \"max-frame\" is no option; the nearest is max-frames"),
        (&["serve", "--config", file], "line 2: \"max-frame\" is no option; the nearest is max-frames"),
    ] {
        let run = output(glimt().args(args));
        assert!(!run.status.success(), "{args:?}");
        let said = text(&run.stderr);
        assert!(said.contains(nearest) && !said.contains("panicked"), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn a_server_starts_by_name_and_warns_of_names_that_do_nothing() {
    let data = TempDir::new().unwrap();
    let port = crate::binary::free_port();
    let mut command = glimt();
    command.arg("serve").arg("--path").arg(data.path()).arg("--addr").arg(format!("127.0.0.1:{port}"));
    command.env("GLIMT_BACKEND", "cpu").env("GLIMT_QUEU", "1").env("PICTRS_FILTER_WHITELIST", "blur,thumbnial");
    let server = Running::ready(command, port).await;
    server.upload(&png(1, 20, 20)).await;
    let log = server.stop().await;
    assert!(log.contains("GLIMT_QUEU is not known and does nothing; the nearest is GLIMT_QUEUE"), "{log}");
    assert!(log.contains("thumbnial") && log.contains("nearest=\"thumbnail\""), "{log}");
}
