//! Processor time of the server a request: upload, first thumbnail, hit from the disk and from memory, on each engine.
//!
//! `cargo bench --bench requests [-- PHOTO]` runs the real server on loopback, and reads from `/proc` what the whole
//! process spent (Linux only). Without a photo it takes the phone photo of the corpus, or makes one of 12 megapixels.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::time::Duration;

#[path = "common/server.rs"]
#[expect(dead_code, reason = "another benchmark asks more of it")]
mod server;

use server::{Cost, Outcome, Server, measure, median, photo};

const ROUNDS: usize = 9;
const HITS: u32 = 500;

/// The answer is out a moment before the server's threads are at rest.
const REST: Duration = Duration::from_millis(20);

fn main() -> Outcome<()> {
    let (name, photo) = photo()?;
    println!("{name}, {} bytes, median of {ROUNDS}; a hit is the mean of {HITS}", photo.len());
    println!(
        "{:<10} {:>12} {:>12} {:>14} {:>14} {:>14} {:>14} {:>7}",
        "engine", "upload cpu", "upload wall", "256 px cpu", "256 px wall", "disk hit cpu", "memory hit cpu", "ratio"
    );
    for backend in ["cpu", "software", "gpu"] {
        let start = |hot: &str| Server::start(&["--backend", backend, "--hot-cache", hot]);
        // The one without copies in memory, the other with them; in turns.
        let both = start("0").and_then(|disk| Ok((disk, start("64")?)));
        let (server, memory) = match both {
            Ok(both) => both,
            Err(error) => {
                println!("{backend:<10} not here: {}", error.to_string().lines().last().unwrap_or_default());
                continue;
            }
        };
        let (mut uploads, mut firsts, mut hits) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
        for _ in 0..ROUNDS {
            let (file, cost) = measure(&server, REST, || server.upload(&photo))?;
            uploads.push(cost);
            let target = format!("/image/process.jpg?src={file}&thumbnail=256");
            firsts.push(measure(&server, REST, || server.send("GET", &target, "", b""))?.1);
            let other = memory.upload(&photo)?;
            let others = format!("/image/process.jpg?src={other}&thumbnail=256");
            for ((server, target), hits) in [(&server, &target), (&memory, &others)].into_iter().zip(&mut hits) {
                server.hits(target, HITS)?;
                let (_, all) = measure(server, REST, || server.hits(target, HITS))?;
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
