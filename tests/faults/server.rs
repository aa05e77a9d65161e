//! The program as a process of its own: started on a data directory, killed, stopped, looked at.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use crate::client::{Client, KEY};

/// How long the program may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(120);

static STARTS: AtomicU32 = AtomicU32::new(0);

/// The program under test: `GLIMT_BIN`, or that of this build.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("GLIMT_BIN").map_or_else(|| env!("CARGO_BIN_EXE_glimt").into(), PathBuf::from)
}

/// What an environment variable says in figures, or `default`.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// A folder of a test's own on the disk of the build: `/tmp` may be memory.
pub(crate) fn home() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Waits until `is_so`; after `secs` it is an error.
pub(crate) fn eventually(what: &str, secs: u64, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(secs), "waited {secs} s for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The arguments and the environment of a server on `data`.
pub(crate) fn settings(command: &mut Command, data: &Path) {
    for (name, _value) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("GLIMT_") || name.starts_with("PICTRS_")) {
            command.env_remove(name);
        }
    }
    command.args(["--addr", "127.0.0.1:0", "--api-key", KEY, "--path"]).arg(data);
    // A few pictures bear all of the load.
    command.env("GLIMT_BACKEND", "cpu").env("GLIMT_VARIANTS_PER_PICTURE", "0");
    command.env("RUST_LOG", "info").stdin(Stdio::null()).stdout(Stdio::null());
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    addr: SocketAddr,
    log: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already when the test has stopped it.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Server {
    /// Starts on `data`, which must work. The log lies beside `data`.
    #[track_caller]
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, |_| {})
    }

    /// The same, as `tune` changes the command.
    #[track_caller]
    pub(crate) fn start_with(data: &Path, tune: impl FnOnce(&mut Command)) -> Self {
        Self::try_start(data, tune).unwrap_or_else(|log| panic!("the server did not start: {log}"))
    }

    /// The same; the log if it ends instead of listening.
    pub(crate) fn try_start(data: &Path, tune: impl FnOnce(&mut Command)) -> Result<Self, String> {
        let mut command = Command::new(program());
        settings(&mut command, data);
        tune(&mut command);
        let number = STARTS.fetch_add(1, Ordering::Relaxed);
        Self::run(command, &data.with_file_name(format!("log-{number}")))
    }

    /// Runs `command`, which serves, with its log in this file.
    pub(crate) fn run(mut command: Command, log: &Path) -> Result<Self, String> {
        let mut child = command.stderr(fs::File::create(log).unwrap()).spawn().unwrap();
        let begun = Instant::now();
        let addr = loop {
            let said = fs::read_to_string(log).unwrap();
            // A line is written at once, but it may be read before its end.
            let rest = said.split_once("local_addr=").map(|(_, rest)| rest);
            if let Some(addr) = rest.and_then(|rest| rest.split_once(|c: char| c.is_whitespace())) {
                break addr.0.parse().unwrap();
            }
            if child.try_wait().unwrap().is_some() {
                return Err(fs::read_to_string(log).unwrap());
            }
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                return Err(format!("nothing for {PATIENCE:?}: {said}"));
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Ok(Self { child, addr, log: log.to_owned() })
    }

    /// Starts on `data` and ends it without a warning after so long: it may still be reading what it finds.
    pub(crate) fn start_and_kill(data: &Path, after: Duration) {
        let mut command = Command::new(program());
        settings(&mut command, data);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.addr)
    }

    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it without a warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as an init system does, and waits. The exit code, and the log.
    pub(crate) fn terminate(&mut self) -> (Option<i32>, String) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), self.log());
            }
            assert!(begun.elapsed() < PATIENCE, "it does not stop: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The same, which must end well.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        let (code, log) = self.terminate();
        assert_eq!(code, Some(0), "{log}");
    }
}

/// The paths of all files below `folder`, from there on, sorted.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries.flatten() {
            // What has gone since the folder was read is not there.
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}
