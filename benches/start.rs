//! How long a start takes where many variants lie: until the server listens, and until they are counted.
//!
//! `cargo bench --bench start [-- VARIANTS]` makes a data directory with so many (100,000 when not said), five of an original,
//! and starts the server on it in turn with an empty one.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use glimt::{
    domain::{Alias, DeleteToken, Details, Filter, Format, Hash, OutputFormat, Variant},
    repo::{NewAlias, OriginalRecord, Repo as _, SledRepo, UploadKey, VariantRecord},
    store::StoreKey,
};
use sha2::{Digest as _, Sha256};

const ROUNDS: usize = 5;
const EACH: u32 = 5;
const BYTES: usize = 8000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn put(root: &Path, key: &StoreKey, bytes: &[u8]) -> Outcome<()> {
    let path = root.join(key.to_string());
    fs::create_dir_all(path.parent().ok_or("no folder")?)?;
    Ok(fs::write(path, bytes)?)
}

/// Rows and files of so many variants.
async fn fill(root: &Path, variants: u32) -> Outcome<()> {
    let repo = SledRepo::open(root)?;
    for chunk in (0..variants / EACH).collect::<Vec<_>>().chunks(256) {
        let originals: Vec<NewAlias> = chunk
            .iter()
            .map(|index| {
                let hash = Hash::from_bytes(Sha256::digest(index.to_le_bytes()).into());
                let details = Details { width: 1, height: 1, format: Format::Jpg, frames: 1 };
                let original = OriginalRecord { details, size_bytes: 3, created_secs: 1, upload: UploadKey(hash) };
                let alias = Alias::generate(Format::Jpg);
                NewAlias { token: DeleteToken::generate().kept(&alias), alias, hash, original, remote: None }
            })
            .collect();
        let hashes: Vec<Hash> = originals.iter().map(|new| new.hash).collect();
        repo.add_aliases(originals).await?;
        let mut adding = Vec::new();
        for hash in hashes {
            put(root, &StoreKey::Original { hash, format: Format::Jpg }, b"jpg")?;
            for side in 0..EACH {
                let key = Variant::new(&[Filter::Thumbnail(100 + side)], OutputFormat::Webp)?.key();
                let record = VariantRecord { etag: hash, size_bytes: BYTES as u64, created_secs: 1_700_000_000 };
                let stored = StoreKey::Variant { hash, key: key.clone(), format: OutputFormat::Webp };
                put(root, &stored, &[7; BYTES])?;
                let repo = &repo;
                adding.push(async move { repo.add_variant(&hash, &key, record).await });
            }
        }
        for added in futures_util::future::join_all(adding).await {
            added?;
        }
    }
    Ok(repo.close().await?)
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Milliseconds until the server listens and until it has counted, and the memory it has then in MiB.
fn start(root: &Path) -> Outcome<(f64, f64, f64)> {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_glimt"))
        .args(["--addr", "127.0.0.1:0", "--backend", "cpu", "--path"])
        .arg(root)
        .env("RUST_LOG", "info")
        .stderr(Stdio::piped())
        .spawn()?;
    let log = BufReader::new(child.stderr.take().ok_or("no stderr")?);
    let server = Server(child);
    let (mut listening, mut counted) = (None, None);
    for line in log.lines() {
        let line = line?;
        let now = begun.elapsed().as_secs_f64() * 1e3;
        if line.contains("local_addr=") {
            listening = Some(now);
        } else if line.contains("counted the cache") {
            counted = Some(now);
        }
        if let (Some(listening), Some(counted)) = (listening, counted) {
            std::thread::sleep(Duration::from_millis(200));
            let status = fs::read_to_string(format!("/proc/{}/status", server.0.id()))?;
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
            let kib: f64 = resident.trim().trim_end_matches(" kB").parse()?;
            return Ok((listening, counted, kib / 1024.0));
        }
    }
    Err("the server ended".into())
}

fn main() -> Outcome<()> {
    let variants = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(100_000);
    let (empty, full) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fill(full.path(), variants))?;
    println!("{:>10} {:>14} {:>14} {:>10}", "variants", "listening", "counted", "memory");
    for _ in 0..ROUNDS {
        for (count, root) in [(0, empty.path()), (variants, full.path())] {
            let (listening, counted, resident) = start(root)?;
            println!("{count:>10} {listening:>11.0} ms {counted:>11.0} ms {resident:>6.0} MiB");
        }
    }
    Ok(())
}
