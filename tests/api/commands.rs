//! What else the program can do: make one picture, complete a line, print its manual.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{
    app::App,
    binary::{glimt, output, text},
    pictures::{jpeg, png},
};

/// The exit code and what was said on stderr.
fn process(from: &Path, ops: &str, to: &Path) -> (Option<i32>, String) {
    let run = output(glimt().arg("process").args([from]).arg(ops).arg(to).env("GLIMT_BACKEND", "cpu"));
    assert!(run.stdout.is_empty());
    (run.status.code(), text(&run.stderr))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn process_makes_what_a_server_answers() {
    let folder = TempDir::new().unwrap();
    let from = folder.path().join("in.jpg");
    // Large enough for a proxy.
    let picture = jpeg(1, 1400, 1000);
    fs::write(&from, &picture).unwrap();
    let app = App::start().await;
    let uploaded = app.upload(&picture).await;
    for (ops, name) in
        [("thumbnail=256&blur=3", "a.webp"), ("blur=1.5", "b.png"), ("thumbnail=64&quality=30", "c.jpg"), ("", "d.jpg")]
    {
        let to = folder.path().join(name);
        let (code, said) = process(&from, ops, &to);
        assert_eq!(code, Some(0), "{said}");
        let made = fs::read(&to).unwrap();
        assert!(
            said.starts_with(&format!("{}: {} bytes in ", to.display(), made.len())) && said.ends_with(" ms, cpu\n"),
            "{said}"
        );
        let (_, extension) = name.split_once('.').unwrap();
        assert_eq!(made, app.process(extension, &uploaded.file, ops).await.body, "{ops}");
    }
    assert_eq!(names(folder.path()), ["a.webp", "b.png", "c.jpg", "d.jpg", "in.jpg"], "nothing else is left");
    app.stop().await;
}

#[test]
fn process_says_what_it_cannot_make_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let (good, bad) = (folder.path().join("good.png"), folder.path().join("bad.jpg"));
    fs::write(&good, png(1, 40, 30)).unwrap();
    fs::write(&bad, &jpeg(1, 90, 90)[..900]).unwrap();
    let missing = folder.path().join("missing.jpg");
    for (from, ops, to, said) in [
        (&good, "thumbnial=9", "o.png", "\"thumbnial\" is no filter: ".to_owned()),
        (&good, "thumbnial=9", "o.png", "; the nearest is thumbnail".to_owned()),
        (&good, "thumbnail=x", "o.png", "thumbnail=x cannot be read".to_owned()),
        (&good, "thumbnail=9", "o.pgn", "\"pgn\" is not a format that can be made".to_owned()),
        (&good, "thumbnail=9", "o.pgn", "; the nearest is png".to_owned()),
        (&good, "", "o", "has no extension that says what to make".to_owned()),
        (&bad, "thumbnail=9", "o.png", format!("{}: the JPEG file is damaged", bad.display())),
        (&missing, "thumbnail=9", "o.png", format!("reading {}: No such file", missing.display())),
    ] {
        let (code, told) = process(from, ops, &folder.path().join(to));
        assert_eq!(code, Some(1), "{told}");
        assert!(told.starts_with("error: ") && told.contains(&said), "{said:?} is not in {told}");
    }
    assert_eq!(names(folder.path()), ["bad.jpg", "good.png"]);
    let (code, told) = process(&good, "", &folder.path().join("nowhere/o.png"));
    assert!(code == Some(1) && told.contains("nowhere"), "{told}");
}

#[test]
fn shells_complete_commands_and_options_and_the_manual_has_them() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = output(glimt().args(["completions", shell]));
        let script = text(&run.stdout);
        assert_eq!(run.status.code(), Some(0));
        for word in ["max-file-size", "gpu-info", "completions", "repair"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("probe"), "{shell} would complete what nobody is to type");
    }
    let bash = output(glimt().args(["completions", "bash"])).stdout;
    let script = tempfile::NamedTempFile::new().unwrap();
    fs::write(script.path(), bash).unwrap();
    let asks = format!(
        "source {} && COMP_WORDS=(glimt --max-fr) COMP_CWORD=1 && _glimt glimt --max-fr glimt && echo \"${{COMPREPLY[@]}}\"",
        script.path().display()
    );
    let completed = output(std::process::Command::new("bash").args(["-c", &asks]));
    assert_eq!(text(&completed.stdout), "--max-frames\n", "{completed:?}");

    let page = |args: &[&str]| {
        let run = output(glimt().arg("man").args(args));
        assert_eq!(run.status.code(), Some(0), "{run:?}");
        // A hyphen is told from a minus in a manual page.
        text(&run.stdout).replace("\\-", "-")
    };
    let whole = page(&[]);
    assert!(
        whole.contains(".TH glimt 1")
            && whole.contains("--keep-alive-timeout")
            && whole.contains("glimt-healthcheck(1)"),
        "{whole}"
    );
    assert!(!whole.contains("probe"));
    let one = page(&["import"]);
    assert!(one.contains("--list") && !one.contains("--keep-alive-timeout"), "{one}");
    let wrong = output(glimt().args(["man", "improt"]));
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).ends_with("; the nearest is import\n"), "{wrong:?}");
    let wrong = output(glimt().args(["completions", "bsh"]));
    assert!(!wrong.status.success() && text(&wrong.stderr).contains("'bash'"), "{wrong:?}");
}

/// Every command says what it is for and takes its own options, and `--help` of the whole names each.
#[test]
fn every_command_has_its_help() {
    let whole = text(&output(glimt().arg("--help")).stdout);
    for (command, words) in [
        ("serve", &["--path", "--max-frames"][..]),
        ("config", &["--path", "exit code"]),
        ("healthcheck", &["--addr", "--tls"]),
        ("gpu-info", &["--backend"]),
        ("check", &["--repair", "--path"]),
        ("export", &["--files", "<FOLDER>"]),
        ("import", &["--list", "<FOLDER>", "exit code"]),
        ("process", &["<IN>", "<OPS>", "<OUT>", "--backend"]),
        ("sign", &["<PATH>", "--expires-in", "--signing-key-file"]),
        ("completions", &["bash", "zsh", "fish"]),
        ("man", &["[COMMAND]"]),
    ] {
        assert!(whole.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))), "{command}: {whole}");
        let run = output(glimt().args([command, "--help"]));
        assert_eq!(run.status.code(), Some(0));
        let help = text(&run.stdout);
        for word in words {
            assert!(help.contains(word), "{command} --help does not say {word}: {help}");
        }
        let unknown = output(glimt().args([command, "--no-such-option"]));
        assert_eq!(unknown.status.code(), Some(2), "{command}");
    }
}
