//! One thumbnail that is there already, asked for by 64 connections. The client is wrk: it costs less than any server here.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    http::Connection,
    peers::{Extra, Format, Peer, Place, Server, Wish},
    photos::Photos,
    results::{Row, Workload},
    statistics::median,
};

const CONNECTIONS: &str = "64";

#[derive(Default)]
struct Measured {
    rps: Vec<f64>,
    cpu_us: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    bytes: usize,
}

pub async fn run(place: &Place, photos: &Photos, rounds: usize, seconds: u64) -> Result<Workload> {
    let wish = Wish { side: Some(256), blur: None, quality: 80, format: Format::Jpeg };
    let few = photos.first(4);
    let mut servers = Vec::new();
    let mut body = Vec::new();
    let backend = place.backends[0];
    for peer in [Peer::Glimt { proxies: place.has_proxies, backend }, Peer::Nginx, Peer::Thumbor] {
        let server = Server::start(place, peer, &few, Extra { results: true, uploads: false }).await?;
        let path = if peer == Peer::Nginx {
            // What glimt answered, which comes first.
            fs::write(server.folder.path().join("root/hit.jpg"), &body)?;
            "/hit.jpg".to_owned()
        } else {
            server.path(0, &wish)
        };
        let answer = Connection::open(server.addr).await?.get(&path).await?;
        ensure!(answer.status == 200, "{}: {path} was answered {}", server.name, answer.status);
        let measured = Measured { bytes: answer.body.len(), ..Measured::default() };
        if peer == Peer::Nginx {
            ensure!(answer.body == body, "nginx does not serve the same bytes");
        }
        body = answer.body;
        servers.push((server, path, measured));
    }
    for round in 0..rounds {
        for (server, path, measured) in &mut servers {
            eprintln!("hits, round {}: {}", round + 1, server.name);
            let before = server.group.cpu_ms();
            let wrk = wrk(&format!("http://{}{path}", server.addr), seconds)?;
            let cpu_ms = server.group.cpu_ms() - before;
            measured.rps.push(wrk.rps);
            measured.cpu_us.push(cpu_ms * 1e3 / wrk.requests);
            measured.p50_ms.push(wrk.p50_ms);
            measured.p99_ms.push(wrk.p99_ms);
            server.group.settle().await;
        }
    }
    let nginx =
        servers.iter().find(|(server, ..)| server.peer == Peer::Nginx).map(|(_, _, measured)| median(&measured.rps));
    let rows = servers.iter().map(|(server, _, measured)| {
        let mut row = Row::new(&server.name, server.peer.is_glimt());
        row.set("rps", median(&measured.rps));
        row.set("of_nginx", median(&measured.rps) / nginx.unwrap_or(f64::NAN));
        row.set("cpu_us", median(&measured.cpu_us));
        row.set("p50_ms", median(&measured.p50_ms));
        row.set("p99_ms", median(&measured.p99_ms));
        row.set("bytes", measured.bytes as f64);
        if server.peer == Peer::Nginx {
            row.set("ceiling", 1.0);
        }
        row
    });
    let rows = rows.collect();
    let note = format!(
        "One thumbnail of 256, {CONNECTIONS} connections of wrk, {seconds} s a round, {rounds} rounds in turns, medians; the client has its share of the \
        same cores. nginx serves the bytes that glimt answered, from a file, and is the ceiling. thumbor keeps what it made in its store of results; \
        oximg, sharp and ipx keep nothing, so they have no hits.",
    );
    Ok(Workload::new("hits", "hits, 64 connections", note, rows))
}

struct Wrk {
    requests: f64,
    rps: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Nothing else goes on meanwhile, so this thread may wait.
fn wrk(url: &str, seconds: u64) -> Result<Wrk> {
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--connections", CONNECTIONS, "--latency", url]).arg(format!("--duration={seconds}s"));
    let output = wrk.stdin(Stdio::null()).output().context("wrk cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "not all hits were answered: {text}");
    let word_after = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::trim);
    let requests =
        text.lines().find(|line| line.contains(" requests in ")).and_then(|line| line.split_whitespace().next());
    Ok(Wrk {
        requests: requests.and_then(|count| count.parse().ok()).with_context(|| text.clone().into_owned())?,
        rps: word_after("Requests/sec:")
            .and_then(|rate| rate.parse().ok())
            .with_context(|| text.clone().into_owned())?,
        p50_ms: word_after("50%").and_then(millis).with_context(|| text.clone().into_owned())?,
        p99_ms: word_after("99%").and_then(millis).with_context(|| text.clone().into_owned())?,
    })
}

/// `1.23ms`, `45.00us`, `1.02s`.
fn millis(text: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)];
    units.iter().find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_wrk_have_units() {
        let read = ["12.50us", "1.50ms", "2.00s", "x"].map(millis);
        assert_eq!(read, [Some(0.0125), Some(1.5), Some(2000.0), None]);
    }
}
