//! What proxies cost an upload and save a thumbnail: processor time of the server, from servers without, with and with larger ones, in turns.
//!
//! `cargo bench --bench proxies [-- PICTURE..]` runs real servers on loopback and reads from `/proc` what they spent (Linux only).
//! Without a picture it takes the phone photo of the corpus, or makes one of 12 megapixels.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::{fs, path::PathBuf, time::Duration};

#[path = "common/server.rs"]
#[expect(dead_code, reason = "another benchmark asks more of it")]
mod server;

use server::{Cost, Outcome, Server, measure, median, photo};

const ROUNDS: usize = 9;

/// A proxy is stored after the answer: that is part of what it costs.
const REST: Duration = Duration::from_millis(80);

const SIZES: [&str; 3] = ["0", "512", "1024"];

/// What is asked, in order. Nothing of it is there before.
const ASKED: [(&str, &str); 5] = [
    ("256 px", "jpg?thumbnail=256"),
    ("255 px", "jpg?thumbnail=255"),
    ("256 px, blur 3", "jpg?thumbnail=256&blur=3.0"),
    ("512 px", "jpg?thumbnail=512"),
    ("511 px", "jpg?thumbnail=511"),
];

fn pictures() -> Outcome<Vec<(String, Vec<u8>)>> {
    let given: Vec<PathBuf> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).map(PathBuf::from).collect();
    if given.is_empty() {
        return Ok(vec![photo()?]);
    }
    let read =
        |path: PathBuf| Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), fs::read(path)?));
    given.into_iter().map(read).collect()
}

fn main() -> Outcome<()> {
    let servers = SIZES.map(|size| Server::start(&["--backend", "cpu", "--proxy-size", size]));
    let servers = servers.into_iter().collect::<Outcome<Vec<Server>>>()?;
    for (name, picture) in pictures()? {
        let mut costs: Vec<[Vec<Cost>; ASKED.len() + 1]> = SIZES.map(|_| Default::default()).into();
        let mut bytes = [0; SIZES.len()];
        for _ in 0..ROUNDS {
            for ((server, costs), bytes) in servers.iter().zip(&mut costs).zip(&mut bytes) {
                let (file, cost) = measure(server, REST, || server.upload(&picture))?;
                costs[0].push(cost);
                for ((_, asked), costs) in ASKED.iter().zip(&mut costs[1..]) {
                    let (ext, filters) = asked.split_once('?').unwrap_or_default();
                    let target = format!("/image/process.{ext}?src={file}&{filters}");
                    costs.push(measure(server, REST, || server.send("GET", &target, "", b""))?.1);
                }
                *bytes = server.stored("proxies")?.1;
                server.send("POST", &format!("/internal/purge?alias={file}"), "", b"")?;
                // Its files go two seconds after its rows, and the next is stored anew either way.
            }
        }
        println!(
            "{name}, {} bytes, median of {ROUNDS}: processor time of the server, and by the clock, in ms",
            picture.len()
        );
        println!("| --proxy-size | proxy, bytes | upload | {} |", ASKED.map(|(name, _)| name).join(" | "));
        println!("|---:|---:|{}", "---:|".repeat(ASKED.len() + 1));
        for ((size, costs), bytes) in SIZES.iter().zip(&mut costs).zip(bytes) {
            let cells = costs.iter_mut().map(|costs| {
                let Cost { cpu, wall } = median(costs);
                format!(" {cpu:.1} ({wall:.1}) |")
            });
            println!("| {size} | {bytes} |{}", cells.collect::<String>());
        }
    }
    Ok(())
}
