//! How soon a server answers, and what it holds when nobody asks.

use std::time::Duration;

use anyhow::Result;

use crate::{
    peers::{Extra, Peer, Place, Server},
    photos::Photos,
    results::{Row, Workload},
    statistics::median,
};

const REST: Duration = Duration::from_secs(1);

pub async fn run(place: &Place, photos: &Photos, rounds: usize) -> Result<Workload> {
    let none = photos.first(0);
    let mut peers = place.all();
    peers.push(Peer::Nginx);
    peers.retain(|peer| place.is_wanted(*peer));
    let mut all: Vec<_> = peers.into_iter().map(|peer| (peer, Vec::new(), Vec::new(), 0)).collect();
    for round in 0..rounds {
        for (peer, ready_ms, memory_mib, processes) in &mut all {
            eprintln!("start, round {}: {}", round + 1, place.name(*peer));
            let server = Server::start(place, *peer, &none, Extra::default()).await?;
            ready_ms.push(server.ready.as_secs_f64() * 1e3);
            tokio::time::sleep(REST).await;
            server.group.settle().await;
            memory_mib.push(server.group.memory_mib());
            *processes = server.group.count();
        }
    }
    let rows = all.iter().map(|(peer, ready_ms, memory_mib, processes)| {
        let mut row = Row::new(&place.name(*peer), peer.is_glimt());
        row.set("ready_ms", median(ready_ms));
        row.set("memory_mib", median(memory_mib));
        row.set("processes", *processes as f64);
        if *peer == Peer::Nginx {
            row.set("ceiling", 1.0);
        }
        row
    });
    let rows = rows.collect();
    let note = format!(
        "From the start of the process to its first answer (glimt's to /readyz), and the memory (PSS) of all its processes {} s later, without a request; \
        {rounds} rounds in turns, medians. nginx makes no pictures and is left out of the ratios.",
        REST.as_secs()
    );
    Ok(Workload::new("start", "start and idle", note, rows))
}
