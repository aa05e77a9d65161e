//! Processor time of the server a request: upload, first thumbnail, hit from the disk and from memory, on each engine.
//!
//! `cargo bench --bench requests [-- PHOTO]` runs the real server on loopback, and reads from `/proc` what the whole
//! process spent (Linux only). Without a photo it takes the phone photo of the corpus, or makes one of 12 megapixels.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const ROUNDS: usize = 9;
const HITS: u32 = 500;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A server of its own, killed when dropped.
struct Server {
    child: Child,
    addr: String,
    _data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Server {
    fn start(backend: &str, hot_cache_mib: &str) -> Outcome<Self> {
        let data = tempfile::tempdir()?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_glimt"))
            .args(["--addr", "127.0.0.1:0", "--api-key", "bench", "--backend", backend])
            .args(["--hot-cache", hot_cache_mib, "--path"])
            .arg(data.path())
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(child.stderr.take().ok_or("no stderr")?);
        let mut seen = String::new();
        let addr = loop {
            let mut line = String::new();
            if log.read_line(&mut line)? == 0 {
                return Err(format!("the server did not start: {seen}").into());
            }
            if let Some((_, addr)) = line.split_once("local_addr=") {
                break addr.trim().to_owned();
            }
            seen.push_str(&line);
        };
        // The pipe is read to its end, or the server would wait for room in it.
        std::thread::Builder::new().name("log".into()).spawn(move || std::io::copy(&mut log, &mut std::io::sink()))?;
        Ok(Self { child, addr, _data: data })
    }

    /// Nanoseconds of processor time of all threads so far.
    fn cpu_nanos(&self) -> Outcome<u64> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += stat.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(nanos)
    }

    /// Sends a request and returns the body of its answer, which must be 2xx.
    fn send(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Outcome<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.addr)?;
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
    fn hits(&self, target: &str, count: u32) -> Outcome<()> {
        let mut stream = BufReader::new(TcpStream::connect(&self.addr)?);
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

    fn upload(&self, photo: &[u8]) -> Outcome<String> {
        let mut body = b"--b\r\ncontent-disposition: form-data; name=\"images[]\"; filename=\"a\"\r\n\r\n".to_vec();
        body.extend_from_slice(photo);
        body.extend_from_slice(b"\r\n--b--\r\n");
        let answer = self.send("POST", "/image", "content-type: multipart/form-data; boundary=b\r\n", &body)?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        Ok(answer["files"][0]["file"].as_str().ok_or("no file")?.to_owned())
    }
}

/// Milliseconds of processor time, and of the clock.
#[derive(Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
}

fn measure<T>(server: &Server, work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, Cost)> {
    let (began, before) = (Instant::now(), server.cpu_nanos()?);
    let done = work()?;
    let wall = began.elapsed().as_secs_f64() * 1e3;
    // The answer is out a moment before the server's threads are at rest.
    std::thread::sleep(Duration::from_millis(20));
    let cpu = Duration::from_nanos(server.cpu_nanos()? - before).as_secs_f64() * 1e3;
    Ok((done, Cost { cpu, wall }))
}

fn median(costs: &mut [Cost]) -> Cost {
    let middle = costs.len() / 2;
    costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    let cpu = costs[middle].cpu;
    costs.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    Cost { cpu, wall: costs[middle].wall }
}

fn photo() -> Outcome<(String, Vec<u8>)> {
    let given = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).map(PathBuf::from);
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus/photos/Samsung_SM-G935L_Galaxy_S7_Edge.jpg");
    let path = given.unwrap_or_else(|| PathBuf::from(corpus));
    if path.try_exists()? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok((name, fs::read(path)?));
    }
    // Gradients with noise in the low bits: about as hard to code as a photo.
    let pixels = image::RgbImage::from_fn(4032, 3024, |x, y| {
        let noise = x.wrapping_mul(0x9e37_79b1).wrapping_add(y.wrapping_mul(0x85eb_ca6b)) >> 28;
        image::Rgb([x / 19, y / 14, (x + y) / 33].map(|level| u8::try_from(level + noise).unwrap_or(u8::MAX)))
    });
    let mut jpeg = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut jpeg, image::ImageFormat::Jpeg)?;
    Ok(("a generated 12 megapixel JPEG".to_owned(), jpeg.into_inner()))
}

fn main() -> Outcome<()> {
    let (name, photo) = photo()?;
    println!("{name}, {} bytes, median of {ROUNDS}; a hit is the mean of {HITS}", photo.len());
    println!(
        "{:<10} {:>12} {:>12} {:>14} {:>14} {:>14} {:>14} {:>7}",
        "engine", "upload cpu", "upload wall", "256 px cpu", "256 px wall", "disk hit cpu", "memory hit cpu", "ratio"
    );
    for backend in ["cpu", "software", "gpu"] {
        // The one without copies in memory, the other with them; in turns.
        let both = Server::start(backend, "0").and_then(|disk| Ok((disk, Server::start(backend, "64")?)));
        let (server, memory) = match both {
            Ok(both) => both,
            Err(error) => {
                println!("{backend:<10} not here: {}", error.to_string().lines().last().unwrap_or_default());
                continue;
            }
        };
        let (mut uploads, mut firsts, mut hits) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
        for _ in 0..ROUNDS {
            let (file, cost) = measure(&server, || server.upload(&photo))?;
            uploads.push(cost);
            let target = format!("/image/process.jpg?src={file}&thumbnail=256");
            firsts.push(measure(&server, || server.send("GET", &target, "", b""))?.1);
            let other = memory.upload(&photo)?;
            let others = format!("/image/process.jpg?src={other}&thumbnail=256");
            for ((server, target), hits) in [(&server, &target), (&memory, &others)].into_iter().zip(&mut hits) {
                server.hits(target, HITS)?;
                let (_, all) = measure(server, || server.hits(target, HITS))?;
                hits.push(Cost { cpu: all.cpu / f64::from(HITS), wall: all.wall / f64::from(HITS) });
            }
            for (server, file) in [(&server, &file), (&memory, &other)] {
                server.send("POST", &format!("/internal/purge?alias={file}"), "", b"")?;
            }
        }
        let (upload, first) = (median(&mut uploads), median(&mut firsts));
        let [disk, hot] = hits.each_mut().map(|hits| median(hits).cpu);
        println!(
            "{backend:<10} {:>9.1} ms {:>9.1} ms {:>11.1} ms {:>11.1} ms {disk:>11.3} ms {hot:>11.3} ms {:>7.2}",
            upload.cpu,
            upload.wall,
            first.cpu,
            first.wall,
            hot / disk
        );
    }
    Ok(())
}
