//! The program itself, as an operator starts it: flags, environment, signals, exit codes, memory.

use std::{
    fs,
    net::TcpListener,
    ops::Deref,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use glimt::config::TlsFiles;

use crate::client::Client;

/// How long the program may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program with a clean environment.
pub(crate) fn glimt() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glimt"));
    for (name, _value) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("GLIMT_") || name.starts_with("PICTRS_")) {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs the program to its end, which must be soon.
pub(crate) fn output(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the program does not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// What the program said.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The program, serving. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    client: Client,
    pub(crate) port: u16,
    log: tempfile::NamedTempFile,
}

impl Running {
    /// Starts the program on `path` with the `cpu` engine, as `tune` changes it, and waits until it is ready.
    pub(crate) async fn on(path: &Path, tune: impl FnOnce(&mut Command)) -> Self {
        let port = free_port();
        let mut command = glimt();
        command.arg("--path").arg(path).arg("--addr").arg(format!("127.0.0.1:{port}"));
        command.env("GLIMT_BACKEND", "cpu");
        tune(&mut command);
        Self::ready(command, port).await
    }

    /// Starts this command, which serves on this port, and waits until it is ready.
    pub(crate) async fn ready(command: Command, port: u16) -> Self {
        let client = Client::new(&format!("http://127.0.0.1:{port}"));
        Self::ready_for(client, command, port).await
    }

    /// Starts the program on `path` with TLS, and waits until it is ready for this client.
    pub(crate) async fn over_tls(path: &Path, files: &TlsFiles, http: reqwest::Client) -> Self {
        let port = free_port();
        let mut command = glimt();
        command.arg("--path").arg(path).arg("--addr").arg(format!("127.0.0.1:{port}"));
        command.env("GLIMT_BACKEND", "cpu").env("GLIMT_TLS_CERT", &files.cert).env("GLIMT_TLS_KEY", &files.key);
        Self::ready_for(Client::over(http, &format!("https://localhost:{port}")), command, port).await
    }

    async fn ready_for(client: Client, mut command: Command, port: u16) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        command.stdout(log.reopen().unwrap()).stderr(log.reopen().unwrap());
        let child = command.spawn().unwrap();
        let mut running = Self { child, client, port, log };
        let begun = Instant::now();
        loop {
            if let Ok(answer) = running.client.request("GET", "/readyz").send().await
                && answer.status() == 200
            {
                return running;
            }
            let ended = running.child.try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "not ready ({ended:?}): {}", running.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log.path()).unwrap()).into_owned()
    }

    /// Asks it to stop, as an init system does.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Its number, to the system.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not stop: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops it gracefully, which must work.
    pub(crate) async fn stop(mut self) -> String {
        self.terminate();
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
        self.log()
    }

    /// Takes the power away.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The most memory it has ever held, in bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
    }
}

impl Deref for Running {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already when the test has stopped it.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}
