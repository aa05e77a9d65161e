//! A server of a benchmark's own, what it is asked, and what that costs it by `/proc` (Linux only).

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A server of its own, killed when dropped.
pub(crate) struct Server {
    child: Child,
    addr: SocketAddr,
    data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Server {
    /// This build with these flags, on a free port and an empty data directory.
    pub(crate) fn start(flags: &[&str]) -> Outcome<Self> {
        Self::of(env!("CARGO_BIN_EXE_glimt").as_ref(), flags)
    }

    /// The same of another build.
    pub(crate) fn of(program: &Path, flags: &[&str]) -> Outcome<Self> {
        let data = tempfile::tempdir()?;
        // To a file, as in earnest: a pipe would have to be read.
        let log = data.path().join("log");
        let mut child = Command::new(program)
            .args(["--addr", "127.0.0.1:0", "--api-key", "bench", "--path"])
            .arg(data.path())
            .args(flags)
            .env("RUST_LOG", "info")
            // What is asked for here is what the limit is there to refuse.
            .env("GLIMT_VARIANTS_PER_PICTURE", "0")
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let began = Instant::now();
        loop {
            let said = fs::read_to_string(&log)?;
            if let Some(addr) = said.split_once("local_addr=").and_then(|(_, rest)| rest.split_whitespace().next()) {
                return Ok(Self { child, addr: addr.parse()?, data });
            }
            if child.try_wait()?.is_some() || began.elapsed() > Duration::from_secs(20) {
                return Err(format!("the server did not start: {said}").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where it listens.
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Nanoseconds of processor time of all threads so far.
    pub(crate) fn cpu_nanos(&self) -> Outcome<u64> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += stat.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(nanos)
    }

    /// Bytes of memory, as the line of that name in `/proc/<pid>/status` has them.
    pub(crate) fn memory(&self, name: &str) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).ok_or("no such line")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
    }

    /// The lines of its metrics that begin with one of these.
    pub(crate) fn metrics(&self, names: &[&str]) -> Outcome<String> {
        let page = String::from_utf8(self.send("GET", "/metrics", "", b"")?)?;
        let lines = page.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// Sends a request and returns the body of its answer, which must be 2xx.
    pub(crate) fn send(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Outcome<Vec<u8>> {
        let mut stream = TcpStream::connect(self.addr)?;
        let length = body.len();
        write!(stream, "{method} {target} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n")?;
        write!(stream, "x-api-token: bench\r\ncontent-length: {length}\r\n{headers}\r\n")?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n").ok_or("no head")?;
        if !answer.starts_with(b"HTTP/1.1 2") {
            return Err(String::from_utf8_lossy(&answer).into_owned().into());
        }
        Ok(answer.split_off(head + 4))
    }

    /// Asks for `target` so many times on one connection.
    pub(crate) fn hits(&self, target: &str, count: u32) -> Outcome<()> {
        let mut stream = BufReader::new(TcpStream::connect(self.addr)?);
        // In one piece, or it would wait for an acknowledgement.
        let request = format!("GET {target} HTTP/1.1\r\nhost: bench\r\n\r\n");
        let mut body = Vec::new();
        for _ in 0..count {
            stream.get_mut().write_all(request.as_bytes())?;
            let (mut length, mut line, mut is_first) = (0, String::new(), true);
            while line != "\r\n" {
                line.clear();
                stream.read_line(&mut line)?;
                if is_first && !line.starts_with("HTTP/1.1 200") {
                    return Err(line.into());
                }
                is_first = false;
                if let Some((_, value)) =
                    line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                {
                    length = value.trim().parse()?;
                }
            }
            body.resize(length, 0);
            stream.read_exact(&mut body)?;
        }
        Ok(())
    }

    /// Uploads a picture and returns its name.
    pub(crate) fn upload(&self, photo: &[u8]) -> Outcome<String> {
        let mut body = b"--b\r\ncontent-disposition: form-data; name=\"images[]\"; filename=\"a\"\r\n\r\n".to_vec();
        body.extend_from_slice(photo);
        body.extend_from_slice(b"\r\n--b--\r\n");
        let answer = self.send("POST", "/image", "content-type: multipart/form-data; boundary=b\r\n", &body)?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        Ok(answer["files"][0]["file"].as_str().ok_or("no file")?.to_owned())
    }

    /// Files and bytes below a folder of the data directory.
    pub(crate) fn stored(&self, folder: &str) -> Outcome<(u64, u64)> {
        let (mut files, mut bytes, mut folders) = (0, 0, vec![self.data.path().join(folder)]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let entry = entry?;
                let metadata = entry.metadata()?;
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else {
                    (files, bytes) = (files + 1, bytes + metadata.len());
                }
            }
        }
        Ok((files, bytes))
    }
}

/// Milliseconds of processor time, and of the clock.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
}

/// What `work` costs the server, until it is at rest again.
pub(crate) fn measure<T>(server: &Server, rest: Duration, work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Cost)> {
    let (began, before) = (Instant::now(), server.cpu_nanos()?);
    let done = work()?;
    let wall = began.elapsed().as_secs_f64() * 1e3;
    // The answer is out a moment before the server's threads are at rest.
    std::thread::sleep(rest);
    let cpu = Duration::from_nanos(server.cpu_nanos()? - before).as_secs_f64() * 1e3;
    Ok((done, Cost { cpu, wall }))
}

/// The middle of each.
pub(crate) fn median(costs: &mut [Cost]) -> Cost {
    let middle = costs.len() / 2;
    costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    let cpu = costs[middle].cpu;
    costs.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    Cost { cpu, wall: costs[middle].wall }
}

/// The photo that was named, that of the corpus, or one that is made; with its name.
pub(crate) fn photo() -> Outcome<(String, Vec<u8>)> {
    let given = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).map(PathBuf::from);
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus/photos/Samsung_SM-G935L_Galaxy_S7_Edge.jpg");
    let path = given.unwrap_or_else(|| PathBuf::from(corpus));
    if path.try_exists()? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok((name, fs::read(path)?));
    }
    Ok(("a generated 12 megapixel JPEG".to_owned(), made(4032, 3024)?))
}

/// A JPEG of gradients with noise in the low bits: about as hard to code as a photo.
pub(crate) fn made(width: u32, height: u32) -> Outcome<Vec<u8>> {
    let pixels = image::RgbImage::from_fn(width, height, |x, y| {
        let noise = x.wrapping_mul(0x9e37_79b1).wrapping_add(y.wrapping_mul(0x85eb_ca6b)) >> 28;
        image::Rgb([x / 19, y / 14, (x + y) / 33].map(|level| u8::try_from(level + noise).unwrap_or(u8::MAX)))
    });
    let mut jpeg = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut jpeg, image::ImageFormat::Jpeg)?;
    Ok(jpeg.into_inner())
}
