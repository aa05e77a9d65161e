//! The server that is measured: a process of its own on a free port, with its data in a folder of its own.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use crate::Outcome;

/// Killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
    _data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Server {
    pub(crate) fn start(program: &Path, args: &[String]) -> Outcome<Self> {
        let data = tempfile::tempdir()?;
        // To a file, as in earnest: a pipe would have to be read by the client.
        let log = data.path().join("log");
        let mut child = Command::new(program)
            .args(["--addr", "127.0.0.1:0", "--backend", "cpu"])
            .args(args)
            .arg("--path")
            .arg(data.path().join("data"))
            .env("RUST_LOG", "info")
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let began = Instant::now();
        loop {
            let said = fs::read_to_string(&log)?;
            if let Some(addr) = said.split_once("local_addr=").and_then(|(_, rest)| rest.split_whitespace().next()) {
                return Ok(Self { child, addr: addr.parse()?, _data: data });
            }
            if child.try_wait()?.is_some() || began.elapsed() > Duration::from_secs(10) {
                return Err(format!("the server did not start: {said}").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Bytes of memory, as the line of that name in `/proc/<pid>/status` has them.
    pub(crate) fn memory(&self, name: &str) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).ok_or("no such line")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
    }

    /// The body of an answer, which must be 2xx.
    fn send(&self, head: &str, body: &[u8]) -> Outcome<Vec<u8>> {
        let mut stream = TcpStream::connect(self.addr)?;
        write!(stream, "{head}host: bench\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").ok_or("no head")?;
        if !answer.starts_with(b"HTTP/1.1 2") {
            return Err(String::from_utf8_lossy(&answer).into_owned().into());
        }
        Ok(answer.split_off(head + 4))
    }

    /// Uploads a photo and returns its name.
    pub(crate) fn upload(&self, photo: &[u8]) -> Outcome<String> {
        let mut body = b"--b\r\ncontent-disposition: form-data; name=\"images[]\"; filename=\"a\"\r\n\r\n".to_vec();
        body.extend_from_slice(photo);
        body.extend_from_slice(b"\r\n--b--\r\n");
        let head = "POST /image HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=b\r\n";
        let answer: serde_json::Value = serde_json::from_slice(&self.send(head, &body)?)?;
        Ok(answer["files"][0]["file"].as_str().ok_or("no file")?.to_owned())
    }

    /// What its gates say: refusals by gate. Empty for a build that has none.
    pub(crate) fn refusals(&self) -> Outcome<String> {
        let page = String::from_utf8(self.send("GET /metrics HTTP/1.1\r\n", b"")?)?;
        let lines = page.lines().filter(|line| {
            ["glimt_gate_refusals_total{", "glimt_pool_waited", "glimt_pool_jobs_begun"]
                .iter()
                .any(|name| line.starts_with(name))
        });
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}
