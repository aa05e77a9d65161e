//! An operator starts, configures and stops the program.

use std::{fs, process::Command};

use tempfile::TempDir;

use crate::{
    binary::{Running, free_port, glimt, output, text},
    client::is_alias,
    form::Form,
    pictures::{jpeg, noise_png, png},
    raw::Raw,
    stored::Stored,
};

const KEY: &str = "key-that-no-log-shows";

#[test]
fn help_names_every_option_and_version_the_version() {
    for flag in ["--help", "-h"] {
        let help = output(glimt().arg(flag));
        assert_eq!(help.status.code(), Some(0));
        let help = text(&help.stdout);
        for option in [
            "-a, --addr",
            "-p, --path",
            "-f, --format",
            "-m, --max-file-size",
            "-w, --whitelist",
            "-s, --skip-validate-imports",
            "--api-key",
            "-h, --help",
            "-V, --version",
            "--backend",
            "--config",
        ] {
            assert!(help.contains(option), "{flag} does not name {option}:\n{help}");
        }
    }
    for flag in ["--version", "-V"] {
        let version = output(glimt().arg(flag));
        assert_eq!(version.status.code(), Some(0));
        assert_eq!(text(&version.stdout), format!("glimt {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_missing_path_is_usage_on_stderr_and_no_success() {
    let run = output(&mut glimt());
    assert!(!run.status.success());
    let said = text(&run.stderr);
    assert!(said.contains("Usage") && said.contains("--path"), "{said}");
    assert!(run.stdout.is_empty());
}

#[test]
fn options_that_make_no_sense_are_named_and_nothing_starts() {
    let data = TempDir::new().unwrap();
    let path = data.path().to_str().unwrap();
    for args in [
        &["--format", "gif"][..],
        &["--format", "JPG"],
        &["--addr", "nowhere"],
        &["--max-file-size", "lots"],
        &["--max-file-size", "-1"],
        &["--max-file-size", "0"],
        &["--backend", "magic"],
        &["--sandbox", "maybe"],
        &["--unknown"],
        &["stray"],
        &["--config", "/nonexistent/glimt.toml"],
    ] {
        let run = output(glimt().args(["--path", path, "--addr", "127.0.0.1:0"]).args(args));
        assert!(!run.status.success(), "{args:?}");
        let said = text(&run.stderr);
        assert!(
            said.contains(args[0]) || said.contains(args[0].trim_start_matches('-')) || said.contains("configuration"),
            "{args:?}: {said}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
    for (name, value) in [("PICTRS_FORMAT", "gif"), ("GLIMT_MAX_FILE_SIZE", "lots"), ("PICTRS_ADDR", "nowhere")] {
        let run = output(glimt().args(["--path", path]).env(name, value));
        assert!(!run.status.success());
        let said = text(&run.stderr);
        assert!(said.contains(name) && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_port_that_is_taken_or_a_path_that_is_a_file_is_said_and_no_success() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let data = TempDir::new().unwrap();
    let run = output(glimt().arg("--path").arg(data.path()).args(["--addr", &addr, "--backend", "cpu"]));
    assert!(!run.status.success());
    assert!(text(&run.stderr).contains(&addr), "{}", text(&run.stderr));

    let file = data.path().join("file");
    fs::write(&file, b"x").unwrap();
    let run = output(glimt().arg("--path").arg(&file).args(["--addr", "127.0.0.1:0", "--backend", "cpu"]));
    assert!(!run.status.success());
    assert!(!text(&run.stderr).contains("panicked"), "{}", text(&run.stderr));
}

/// What can be told from outside about a configuration.
#[derive(Debug, PartialEq)]
struct Observed {
    extension: String,
    large_refused: bool,
    blurred: bool,
    keyed: bool,
    damaged_import_taken: bool,
}

async fn observe(server: &Running) -> Observed {
    let picture = png(1, 40, 30);
    let uploaded = server.upload(&picture).await;
    let sharp = server.process("png", &uploaded.file, "").await.body;
    let blurred = server.process("png", &uploaded.file, "blur=5").await.body;
    // A little more than a megabyte.
    let large = server.post(Form::new().file("a", &noise_png(1, 620))).await;
    let keyed = server.keyed(KEY, "GET", "/internal/filename?alias=unknown.png").await;
    let damaged = &jpeg(1, 200, 150)[..2000];
    let import = server.import(KEY, Form::new().file("damaged.jpg", damaged)).await;
    Observed {
        extension: uploaded.file.split_once('.').unwrap().1.to_owned(),
        large_refused: large.status == 413,
        blurred: sharp != blurred,
        keyed: keyed.status == 404,
        damaged_import_taken: import.status == 201,
    }
}

fn changed() -> Observed {
    Observed {
        extension: "webp".to_owned(),
        large_refused: true,
        blurred: false,
        keyed: true,
        damaged_import_taken: true,
    }
}

async fn observed_with(tune: impl FnOnce(&mut Command)) -> Observed {
    let data = TempDir::new().unwrap();
    let server = Running::on(data.path(), tune).await;
    let observed = observe(&server).await;
    let log = server.stop().await;
    assert!(!log.contains(KEY), "the key is in the log: {log}");
    Stored::at(data.path()).is_consistent(&[]).await;
    observed
}

#[tokio::test]
async fn the_defaults_are_those_of_the_contract() {
    let observed = observed_with(|_defaults| {}).await;
    let defaults = Observed {
        extension: "png".to_owned(),
        large_refused: false,
        blurred: true,
        keyed: false,
        damaged_import_taken: false,
    };
    assert_eq!(observed, defaults);
}

#[tokio::test]
async fn every_option_can_be_given_as_a_flag_long_or_short() {
    let long = observed_with(|command| {
        command.args(["--format", "webp", "--max-file-size", "1", "--whitelist", "thumbnail", "identity"]);
        command.args(["--skip-validate-imports", "--api-key", KEY]);
    });
    assert_eq!(long.await, changed());
    let short = observed_with(|command| {
        command.args(["-f", "webp", "-m", "1", "-w", "thumbnail", "-s", "--api-key", KEY]);
    });
    assert_eq!(short.await, changed());
}

#[tokio::test]
async fn every_option_can_be_given_in_the_environment_of_pict_rs_or_in_ours() {
    for (prefix, whitelist) in [("PICTRS", "PICTRS_FILTER_WHITELIST"), ("GLIMT", "GLIMT_WHITELIST")] {
        let (data, port) = (TempDir::new().unwrap(), free_port());
        let mut command = glimt();
        for (name, value) in [
            ("ADDR", format!("127.0.0.1:{port}")),
            ("PATH", data.path().to_str().unwrap().to_owned()),
            ("FORMAT", "webp".to_owned()),
            ("MAX_FILE_SIZE", "1".to_owned()),
            ("SKIP_VALIDATE_IMPORTS", "true".to_owned()),
            ("API_KEY", KEY.to_owned()),
        ] {
            command.env(format!("{prefix}_{name}"), value);
        }
        command.env(whitelist, "thumbnail, identity").env("GLIMT_BACKEND", "cpu");
        let server = Running::ready(command, port).await;
        assert_eq!(observe(&server).await, changed(), "{prefix}");
        server.stop().await;
    }
}

#[tokio::test]
async fn every_option_can_be_given_in_a_file() {
    let (data, port) = (TempDir::new().unwrap(), free_port());
    let file = data.path().join("glimt.toml");
    let pictures = data.path().join("pictures");
    let settings = format!(
        "addr = \"127.0.0.1:{port}\"\npath = {pictures:?}\nformat = \"webp\"\nmax-file-size = 1\n\
         whitelist = [\"thumbnail\"]\nskip-validate-imports = true\napi-key = \"{KEY}\"\nbackend = \"cpu\"\n"
    );
    fs::write(&file, settings).unwrap();
    let mut command = glimt();
    command.arg("--config").arg(&file);
    let server = Running::ready(command, port).await;
    assert_eq!(observe(&server).await, changed());
    server.stop().await;
    assert!(!Stored::at(&pictures).originals().is_empty());
}

#[tokio::test]
async fn the_flag_wins_over_the_environment_and_the_environment_over_the_file() {
    let data = TempDir::new().unwrap();
    let file = data.path().join("glimt.toml");
    fs::write(&file, "format = \"png\"\n").unwrap();
    let extension = async |env: bool, flag: bool| {
        let pictures = TempDir::new().unwrap();
        let server = Running::on(pictures.path(), |command| {
            command.arg("--config").arg(&file);
            if env {
                command.env("PICTRS_FORMAT", "webp");
            }
            if flag {
                command.args(["--format", "jpg"]);
            }
        });
        let server = server.await;
        let uploaded = server.upload(&noise_png(1, 12)).await;
        server.stop().await;
        uploaded.file.split_once('.').unwrap().1.to_owned()
    };
    assert_eq!(extension(false, false).await, "png");
    assert_eq!(extension(true, false).await, "webp");
    assert_eq!(extension(true, true).await, "jpg");
    assert_eq!(extension(false, true).await, "jpg");
}

#[tokio::test]
async fn a_request_in_flight_is_finished_before_the_program_ends_well() {
    for signal in ["-TERM", "-INT"] {
        let data = TempDir::new().unwrap();
        let mut server = Running::on(data.path(), |_defaults| {}).await;
        let picture = jpeg(1, 300, 200);
        let body = Form::new().file("a.jpg", &picture).body();
        let content_type = format!("Content-Type: {}", Form::content_type());
        let length = format!("Content-Length: {}", body.len());
        let lines = [&b"POST /image HTTP/1.1"[..], content_type.as_bytes(), length.as_bytes()];
        let mut upload = Raw::head(server.port, &lines).await;
        // A connection that only waits must not hold up the end.
        let idle = Raw::connect(server.port).await;
        let (first, rest) = body.split_at(body.len() / 2);
        upload.write(first).await.unwrap();
        let stored = Stored::at(data.path());
        crate::stored::eventually("the upload to be staged", || !stored.staging().is_empty()).await;
        server.signal(signal);
        crate::stored::eventually("the port to be closed", || {
            std::net::TcpStream::connect(("127.0.0.1", server.port)).is_err()
        })
        .await;
        upload.write(rest).await.unwrap();
        let files = upload.answer().await.unwrap().uploaded();
        assert!(is_alias(&files[0].file, "jpg"));
        let status = server.ended().await;
        assert_eq!(status.code(), Some(0), "{}", server.log());
        drop(idle);
        assert_eq!(stored.only_original(), picture);
        stored.is_consistent(&files).await;
    }
}

#[tokio::test]
async fn rust_log_sets_how_much_is_said() {
    let said = async |level: Option<&str>| {
        let data = TempDir::new().unwrap();
        let server = Running::on(data.path(), |command| {
            if let Some(level) = level {
                command.env("RUST_LOG", level);
            }
        });
        let server = server.await;
        let uploaded = server.upload(&png(1, 20, 20)).await;
        server.original(&uploaded.file).await;
        server.stop().await
    };
    let (silent, normal, chatty) = (said(Some("off")).await, said(None).await, said(Some("debug")).await);
    assert_eq!(silent, "");
    assert!(normal.contains("INFO") && !normal.contains("DEBUG"), "{normal}");
    assert!(!normal.contains("ERROR") && !normal.contains("WARN"), "{normal}");
    assert!(chatty.contains("DEBUG"), "{chatty}");
}

#[tokio::test]
async fn what_users_do_wrong_is_no_error_of_ours_in_the_log() {
    let data = TempDir::new().unwrap();
    let server = Running::on(data.path(), |_defaults| {}).await;
    server.post(Form::new().file("a.jpg", b"not a picture")).await.error(400);
    server.post(Form::new().file("a.jpg", &jpeg(1, 90, 90)[..900])).await.error(400);
    server.get("/image/original/unknown.png").await.error(404);
    server.get("/image/delete/x/unknown.png").await.error(404);
    server.get("/internal/aliases").await.error(401);
    let log = server.stop().await;
    assert!(!log.contains("ERROR"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_much_work_leaves_no_half_work() {
    let data = TempDir::new().unwrap();
    let mut server = Running::on(data.path(), |_defaults| {}).await;
    let uploaded = server.upload(&jpeg(1, 1000, 800)).await;
    let asked = (1..=12)
        .map(|sigma| server.request("GET", &format!("/image/process.png?src={}&blur={sigma}", uploaded.file)).send());
    let stop = async {
        let stored = Stored::at(data.path());
        crate::stored::eventually("a first variant", || !stored.variants().is_empty()).await;
        server.terminate();
    };
    let (answers, ()) = futures_util::future::join(futures_util::future::join_all(asked), stop).await;
    // Those that were accepted are answered; those that came too late were never accepted.
    let answered: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
    assert!(!answered.is_empty());
    for response in answered {
        assert_eq!(response.status(), 200);
        image::load_from_memory(&response.bytes().await.unwrap()).unwrap();
    }
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    Stored::at(data.path()).is_consistent(&[uploaded]).await;
}
