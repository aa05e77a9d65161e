//! Decoders in a process of their own: what they make is the same, what they can do is nothing, and whatever becomes of one costs one
//! request.
#![cfg(target_os = "linux")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use glimt::{
    config::Config,
    sandbox::{Act, Layer, Mode, Program, Sandbox},
    server::Server,
};
use tempfile::TempDir;

use crate::{
    app::App,
    binary::{Running, output},
    form::Form,
    metrics::scraped,
    pictures::png,
    stored::eventually,
};

const GLIMT: &str = env!("CARGO_BIN_EXE_glimt");

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")).join(name)).unwrap()
}

/// The real child, with these arguments besides.
fn program(more: &[&str]) -> Program {
    Program { program: GLIMT.into(), arguments: ["decode"].iter().chain(more).map(Into::into).collect() }
}

fn sandboxed(config: &mut Config) {
    (config.sandbox, config.decoder) = (Mode::On, Some(program(&[])));
}

/// Whether the kernel has all of it. Where it does not, tests that need that are left out by name, or fail where `REQUIRE_SANDBOX=1`.
fn is_whole(test: &str) -> bool {
    let folder = TempDir::new().unwrap();
    match Sandbox::start(Mode::On, Some(&program(&[])), folder.path()) {
        Ok(sandbox) => sandbox.is_some(),
        Err(error) => {
            assert!(
                std::env::var_os("REQUIRE_SANDBOX").is_none_or(|value| value != "1"),
                "REQUIRE_SANDBOX=1, and {error}"
            );
            println!("skipped {test}: {error}");
            false
        }
    }
}

/// What a child says of each act when only these layers are in force: whether it could be done.
fn done_within(layers: &[Layer], folder: &Path) -> Vec<(Act, bool)> {
    let mut command = Command::new(GLIMT);
    command.arg("decode").arg("--check").arg(folder).env_clear().env("MIMALLOC_DISALLOW_ARENA_ALLOC", "1");
    for layer in Layer::ALL.iter().filter(|layer| !layers.contains(layer)) {
        command.args(["--without", layer.name()]);
    }
    let run = output(&mut command);
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{}: {said}", run.status);
    let done = |act: Act| {
        let told = |what| said.lines().any(|line| line.starts_with(&format!("act\t{}\t{what}", act.name())));
        assert!(told("done") != told("refused"), "{}: {said}", act.name());
        (act, told("done"))
    };
    for layer in Layer::ALL {
        let state = if layers.contains(&layer) { "in force" } else { "missing\tit was left out" };
        assert!(said.contains(&format!("layer\t{}\t{state}\n", layer.name())), "{said}");
    }
    Act::ALL.map(done).to_vec()
}

#[test]
fn nothing_can_be_done_in_there_but_decoding() {
    if !is_whole("nothing_can_be_done_in_there_but_decoding") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let done = |layers: &[Layer]| {
        let acts = done_within(layers, folder.path()).into_iter().filter(|(_, done)| *done);
        acts.map(|(act, _)| act).collect::<Vec<_>>()
    };
    assert_eq!(done(&Layer::ALL), []);
    // The control: without walls all of it can be done, and each wall alone holds what is its own.
    assert_eq!(done(&[]), Act::ALL);
    assert_eq!(done(&[Layer::Seccomp]), [Act::Memory]);
    let left = done(&[Layer::Landlock]);
    assert!([Act::ReadFile, Act::WriteFile, Act::Process].iter().all(|act| !left.contains(act)), "{left:?}");
    assert!(
        [Act::ReadDescriptor, Act::Socket, Act::Thread, Act::Memory].iter().all(|act| left.contains(act)),
        "{left:?}"
    );
    let left = done(&[Layer::Limits]);
    assert!(
        [Act::ReadFile, Act::WriteFile, Act::Socket, Act::Memory].iter().all(|act| !left.contains(act)),
        "{left:?}"
    );
    assert!([Act::ReadDescriptor, Act::Signal].iter().all(|act| left.contains(act)), "{left:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn one_that_lacks_a_layer_does_not_pass_for_whole() {
    if !is_whole("one_that_lacks_a_layer_does_not_pass_for_whole") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let start = |mode, program: Option<&Program>| Sandbox::start(mode, program, folder.path());
    for layer in Layer::ALL {
        let without = program(&["--without", layer.name()]);
        let told = start(Mode::On, Some(&without)).unwrap_err().to_string();
        assert!(told.contains(&format!("{} is missing (it was left out)", layer.name())), "{told}");
        assert!(start(Mode::Auto, Some(&without)).unwrap().is_some(), "as much of it as there is");
        assert!(start(Mode::Off, Some(&without)).unwrap().is_none());
    }
    let nowhere = Program { program: "/nonexistent/glimt".into(), arguments: Vec::new() };
    // Does nothing, and ends well: it does not say that it holds.
    let idle = Program { program: "/bin/true".into(), arguments: Vec::new() };
    for broken in [Some(&nowhere), None] {
        assert!(start(Mode::On, broken).is_err());
        assert!(start(Mode::Auto, broken).unwrap().is_none(), "decoded in this process then");
    }
    assert!(start(Mode::On, Some(&idle)).is_err());
}

#[tokio::test]
async fn a_server_that_is_to_have_a_sandbox_does_not_start_without() {
    let data = TempDir::new().unwrap();
    let mut config = Config::new(data.path().to_owned());
    config.addr = ([127, 0, 0, 1], 0).into();
    config.backend = glimt::pixels::Backend::Cpu;
    (config.sandbox, config.decoder) = (Mode::On, Some(program(&["--without", "landlock"])));
    let told = Server::bind(config).await.map(|_server| ()).unwrap_err().to_string();
    assert!(told.contains("landlock"), "{told}");
}

/// What the server makes of each file: the name's extension and all bytes that it serves, or what it says of it.
async fn made(app: &App, names: &[&str]) -> Vec<String> {
    let mut made = Vec::new();
    for name in names {
        let (name, cut) = name.split_once('<').map_or((*name, None), |(name, cut)| (name, Some(cut.parse().unwrap())));
        let mut bytes = file(name);
        bytes.truncate(cut.unwrap_or(usize::MAX));
        let answer = app.post(Form::new().file("picture", &bytes)).await;
        if answer.status != 201 {
            made.push(format!("{name}: {} {}", answer.status, answer.shown()));
            continue;
        }
        let alias = answer.uploaded().remove(0).file;
        let mut served = vec![app.original(&alias).await.body];
        for (ext, filters) in [("png", "thumbnail=40"), ("jpg", "blur=2"), ("webp", "")] {
            served.push(app.process(ext, &alias, filters).await.body);
        }
        made.push(format!("{name}: {} {served:?}", alias.split_once('.').unwrap().1));
    }
    made
}

#[tokio::test]
async fn pictures_are_the_same_to_the_byte_with_a_sandbox_and_without() {
    if !is_whole("pictures_are_the_same_to_the_byte_with_a_sandbox_and_without") {
        return;
    }
    let names = [
        "avif/secrets.avif",
        "avif/alpha.avif",
        "avif/grid.avif",
        "avif/cropped.avif",
        "avif/turned_6.avif",
        "avif/y400_8.avif",
        "avif/y444_12.avif",
        "avif/pq.avif",
        "avif/p3.avif",
        "avif/moving.avif",
        "jxl/lossless_8.jxl",
        "jxl/lossy_8.jxl",
        "jxl/alpha_lossy.jxl",
        // Those that are refused are so in the same words.
        "fuzz/av1_golomb_of_32_bits.avif",
        "fuzz/colours_of_no_kind.avif",
        "avif/y420_8.avif<700",
        "jxl/lossy_8.jxl<300",
    ];
    let (here, apart) = (App::start().await, App::with(sandboxed).await);
    let (here_made, apart_made) = (made(&here, &names).await, made(&apart, &names).await);
    for (here, apart) in here_made.iter().zip(&apart_made) {
        assert!(here == apart, "{} is not {}", &here[..here.len().min(300)], &apart[..apart.len().min(300)]);
    }
    assert!(here_made.iter().filter(|made| made.contains(": 400")).count() >= 2, "the control: some are refused");
    here.stop().await;
    apart.stop().await;
}

/// A child that goes wrong while a file says how, and notes its process.
struct Faulty(TempDir);

impl Faulty {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn program(&self) -> Program {
        let script = format!(
            "echo $$ > {0}/pid; if read fault < {0}/fault; then exec {GLIMT} decode --fault $fault \"$@\"; fi 2> /dev/null; \
             exec {GLIMT} decode \"$@\"",
            self.0.path().display()
        );
        let arguments = ["-c", &script, "glimt"].map(Into::into).to_vec();
        Program { program: PathBuf::from("/bin/sh"), arguments }
    }

    fn set(&self, fault: Option<&str>) {
        let path = self.0.path().join("fault");
        match fault {
            Some(fault) => fs::write(path, format!("{fault}\n")).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }

    /// Whether the last child is there, as a zombie if nothing else.
    fn is_there(&self) -> bool {
        let pid = fs::read_to_string(self.0.path().join("pid")).unwrap();
        Path::new("/proc").join(pid.trim()).try_exists().unwrap()
    }

    async fn app(&self, tune: impl FnOnce(&mut Config)) -> App {
        App::with(|config| {
            (config.sandbox, config.decoder) = (Mode::On, Some(self.program()));
            config.workers = 1;
            tune(config);
        })
        .await
    }
}

/// What `/metrics` says became of children, but for what none came to.
async fn outcomes(app: &App) -> Vec<(&'static str, f64)> {
    let page = scraped(app).await;
    let count = |name| page[&format!("glimt_sandbox_decodes_total{{outcome=\"{name}\"}}")];
    let names = ["crashed", "done", "not_started", "refused", "stopped", "timed_out"];
    names.map(|name| (name, count(name))).into_iter().filter(|(_, count)| *count > 0.0).collect()
}

#[tokio::test]
async fn a_decoder_that_goes_wrong_costs_one_request() {
    if !is_whole("a_decoder_that_goes_wrong_costs_one_request") {
        return;
    }
    let faulty = Faulty::new();
    // Those that take all the memory they may are not to take long.
    let app = faulty.app(|config| config.max_decoded_bytes = 64 << 20).await;
    let (other, avif) = (app.upload(&png(1, 40, 30)).await, app.upload(&file("avif/secrets.avif")).await);
    let crashed = "the AVIF decoder crashed on this image";
    let misled = "the AVIF file is damaged: the picture is not the size the header says";
    let faults = [
        ("abort", crashed),
        ("overflow", crashed),
        ("grow", crashed),
        ("garbage", crashed),
        ("huge", crashed),
        ("cut", crashed),
        ("other", misled),
    ];
    for ((fault, said), side) in faults.into_iter().zip(20..) {
        faulty.set(Some(fault));
        let answer = app.post(Form::new().file("a", &file("avif/alpha.avif"))).await;
        assert_eq!(answer.error(400), said, "{fault}");
        assert_eq!(answer.json()["code"], "damaged-image");
        assert!(!faulty.is_there(), "{fault}");
        // So does a variant, and what needs no decoder of that kind works meanwhile.
        let path = format!("/image/process.png?src={}&thumbnail={side}", avif.file);
        assert_eq!(app.get(&path).await.error(400), said, "{fault}");
        app.process("png", &other.file, &format!("thumbnail={side}")).await;
        faulty.set(None);
        app.get(&path).await.is(200);
    }
    let again = app.upload(&file("avif/alpha.avif")).await;
    // Two of each that crashed. Those that gave another picture gave one, as did those that took the files in and made the variants.
    assert_eq!(outcomes(&app).await, [("crashed", 12.0), ("done", 2.0 + 1.0 + 7.0 + 1.0)]);
    assert_eq!((app.pool.in_flight(), app.pool.given_up()), (0, (0, 0)));
    app.stop_with(&[other, avif, again]).await;
}

#[tokio::test]
async fn one_that_hangs_is_cut_off_at_the_deadline_and_its_thread_is_free() {
    if !is_whole("one_that_hangs_is_cut_off_at_the_deadline_and_its_thread_is_free") {
        return;
    }
    let faulty = Faulty::new();
    let app = faulty.app(|config| config.request_timeout = Duration::from_secs(3)).await;
    faulty.set(Some("hang"));
    let begun = Instant::now();
    let answer = app.post(Form::new().file("a", &file("avif/alpha.avif"))).await;
    assert_eq!(answer.error(503), "the image took over 3 s to process");
    assert_eq!(answer.json()["code"], "timed-out");
    assert!(begun.elapsed() >= Duration::from_secs(2) && begun.elapsed() < Duration::from_secs(20));
    eventually("the child to be gone", || !faulty.is_there()).await;
    faulty.set(None);
    // There is one thread, and it was not given up.
    let uploaded = app.upload(&file("avif/alpha.avif")).await;
    assert_eq!(outcomes(&app).await, [("done", 1.0), ("timed_out", 1.0)]);
    assert_eq!(app.pool.given_up(), (0, 0));
    app.stop_with(&[uploaded]).await;
}

#[tokio::test]
async fn who_leaves_takes_the_decoder_along() {
    if !is_whole("who_leaves_takes_the_decoder_along") {
        return;
    }
    let faulty = Faulty::new();
    let app = faulty.app(|config| config.request_timeout = Duration::from_secs(600)).await;
    let avif = app.upload(&file("avif/secrets.avif")).await;
    faulty.set(Some("hang"));
    let path = format!("/image/process.png?src={}&thumbnail=30", avif.file);
    let asked = tokio::time::timeout(Duration::from_millis(1500), app.get(&path)).await;
    assert!(asked.is_err(), "nobody answers");
    eventually("the child to be gone", || !faulty.is_there()).await;
    eventually("the thread to be free", || app.pool.in_flight() == 0).await;
    faulty.set(None);
    app.get(&path).await.is(200);
    assert_eq!(outcomes(&app).await, [("done", 2.0), ("stopped", 1.0)]);
    app.stop_with(&[avif]).await;
}

#[tokio::test]
async fn the_program_says_at_start_what_it_has() {
    let started = async |mode: &str| {
        let data = TempDir::new().unwrap();
        let server = Running::on(data.path(), |command| {
            command.env("GLIMT_SANDBOX", mode);
        });
        let server = server.await;
        server.upload(&file("avif/secrets.avif")).await;
        server.stop().await
    };
    assert!(!started("off").await.contains("sandbox"));
    if is_whole("the_program_says_at_start_what_it_has") {
        for mode in ["on", "auto"] {
            let log = started(mode).await;
            assert!(log.contains("are decoded in a sandbox") && !log.contains("WARN"), "{log}");
        }
    }
}
