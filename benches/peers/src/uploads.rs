//! Photos of 12 MP taken in, each once.

use anyhow::{Result, ensure};

use crate::{
    load::{Request, closed},
    peers::{Extra, Peer, Place, Server},
    photos::Photos,
    results::{Row, Workload},
    statistics::{median, quantile},
    watch::Peak,
};

const CONNECTIONS: usize = 4;

#[derive(Default)]
struct Measured {
    cpu_ms: Vec<f64>,
    rps: Vec<f64>,
    took_ms: Vec<f64>,
    memory_mib: f64,
    refuses: bool,
}

pub async fn run(place: &Place, photos: &Photos, rounds: usize) -> Result<Workload> {
    let mut peers: Vec<_> = place.glimts();
    peers.extend([Peer::Sharp, Peer::Thumbor, Peer::Nginx]);
    peers.retain(|peer| place.is_wanted(*peer));
    let mut all: Vec<_> = peers.iter().map(|peer| (*peer, Measured::default())).collect();
    for round in 0..rounds {
        for (peer, measured) in &mut all {
            eprintln!("uploads, round {}: {}", round + 1, place.name(*peer));
            // A server of its own for each round: no file has been seen before.
            let server = Server::start(place, *peer, photos, Extra { uploads: true, results: false }).await?;
            measure(&server, photos, measured).await?;
        }
    }
    let rows = all.iter().map(|(peer, measured)| {
        let mut row = Row::new(&place.name(*peer), peer.is_glimt());
        row.set("cpu_ms", median(&measured.cpu_ms));
        row.set("rps", median(&measured.rps));
        row.set("p50_ms", quantile(&measured.took_ms, 0.5));
        row.set("p99_ms", quantile(&measured.took_ms, 0.99));
        row.set("memory_mib", measured.memory_mib);
        row.words.insert("refuses".into(), if measured.refuses { "refused" } else { "taken" }.into());
        if !measured.refuses {
            // It does less: nothing to be held against.
            row.set("ceiling", 1.0);
        }
        row
    });
    let rows = rows.collect();
    let note = format!(
        "{} files of {:.1} MP, {CONNECTIONS} connections, a server of its own for each of {rounds} rounds, medians. CPU time goes on until the server is \
        at rest, so it has what is done behind the answer in it. A damaged file is a photo of which the last third is missing: who takes it does not \
        validate, and is left out of the ratios. glimt takes the metadata off, syncs the file to the disk, and makes the proxy; sharp decodes at an eighth and \
        keeps the file as it came, thumbor and nginx keep whatever comes.",
        photos.photos.len(),
        photos.megapixels()
    );
    Ok(Workload::new("uploads", "uploads, 12 MP", note, rows))
}

async fn measure(server: &Server, photos: &Photos, measured: &mut Measured) -> Result<()> {
    let requests: Vec<Request> =
        photos.photos.iter().enumerate().map(|(number, photo)| server.upload(&photo.bytes, number)).collect();
    let before = server.group.cpu_ms();
    let peak = Peak::watch(server.group)?;
    let (answers, took) = closed(server.addr, &requests, CONNECTIONS).await?;
    server.group.settle().await;
    measured.memory_mib = measured.memory_mib.max(peak.mib());
    measured.cpu_ms.push((server.group.cpu_ms() - before) / requests.len() as f64);
    measured.rps.push(requests.len() as f64 / took.as_secs_f64());
    for answered in &answers {
        let status = answered.answer.status;
        ensure!(status == 201, "{}: an upload was answered {status}", server.name);
        measured.took_ms.push(answered.took.as_secs_f64() * 1e3);
    }
    let whole = &photos.photos[0].bytes;
    let damaged = [server.upload(&whole[..whole.len() * 2 / 3], photos.photos.len())];
    let (answers, _) = closed(server.addr, &damaged, 1).await?;
    measured.refuses = answers.iter().all(|answered| (400..500).contains(&answered.answer.status));
    Ok(())
}
