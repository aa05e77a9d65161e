//! Power cuts: the program is killed, and what it had not synced is there or not, entry by entry and page by page.
//!
//! `CUTS=100 cargo test --test faults power -- --nocapture` runs longer and prints the counts. What is modelled stands in `shim.c` and in
//! `cut.rs`. Variants and proxies are not synced, on purpose: the loss of any part of them must not show.

use std::{fs, path::Path, time::Duration};

use crate::{
    cut::{Doubts, all_is_synced, cut},
    ledger::Ledger,
    load,
    pictures::Random,
    server::{Server, home, number},
    shim::{self, shim},
};

/// After so many cuts the next data directory is a new one: each start reads all of it.
const CUTS_OF_ONE: u64 = 10;

/// How long a sync takes.
const SYNC_MICROS: &str = "1500";

/// Serves clients on `data` for a while, kills the server, and puts in the place of `data` what a cut leaves of it.
fn cut_off(data: &Path, library: &Path, ledger: Ledger, round: u64, tune: &Tune) -> (Ledger, Doubts) {
    let shadow = data.with_file_name(format!("shadow-{round}"));
    fs::create_dir_all(data).unwrap();
    let data = &data.canonicalize().unwrap();
    all_is_synced(data, &shadow);
    let mut server = Server::start_with(data, |command| {
        shim::load(command, library, data);
        command.env("SHIM_SHADOW", &shadow).env("SHIM_MICROS", SYNC_MICROS);
        if let Some(ignored) = tune.ignored {
            command.env("SHIM_IGNORE", ignored);
        }
    });
    let ledger = load::run(&mut server, ledger, round, |server| {
        std::thread::sleep(tune.after);
        server.kill();
    });
    let left = data.with_file_name(format!("left-{round}"));
    let doubts = cut(data, &shadow, &left, tune.live_percent, round);
    fs::remove_dir_all(data).unwrap();
    fs::remove_dir_all(&shadow).unwrap();
    fs::rename(&left, data).unwrap();
    (ledger, doubts)
}

/// How a round goes.
struct Tune {
    after: Duration,
    live_percent: u64,
    ignored: Option<&'static str>,
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged_and_brings_nothing_back() {
    let Some(library) = shim() else { return };
    let cuts = number("CUTS", 6);
    let mut random = Random::new(std::process::id().into());
    let (mut uploads, mut deletes, mut rebuilt, mut doubts) = (0, 0, 0, Doubts::default());
    for start in (0..cuts).step_by(usize::try_from(CUTS_OF_ONE).unwrap()) {
        let home = home();
        let data = home.path().join("data");
        let mut ledger = Ledger::default();
        for round in start..(start + CUTS_OF_ONE).min(cuts) {
            let after = Duration::from_millis(random.below(1200));
            let live_percent = [0, 50, 90, 20][usize::try_from(round % 4).unwrap()];
            let (after_it, doubt) =
                cut_off(&data, library, ledger, round, &Tune { after, live_percent, ignored: None });
            ledger = after_it;
            doubts.entries += doubt.entries;
            doubts.pages += doubt.pages;
            let server = Server::start(&data);
            rebuilt += usize::from(server.log().contains("rebuilt from the journal"));
            ledger.check(&mut server.client(), &mut random, usize::MAX);
            ledger.is_clean(&format!("cut {round} after {after:?}, {live_percent} % live: {}", server.log()));
            assert_eq!(ledger.errors, [""; 0], "a healthy server answered with errors");
            variants_are_right(&mut ledger, &server);
            server.stop();
        }
        let server = Server::start(&data);
        ledger.settles_on_disk(&data);
        ledger.check(&mut server.client(), &mut random, usize::MAX);
        ledger.is_clean("after all cuts");
        server.stop();
        uploads += ledger.uploads;
        deletes += ledger.deletes;
    }
    println!(
        "power: {cuts} cuts, {} entries and {} pages not synced, the index rebuilt {rebuilt} times: {uploads} uploads and {deletes} \
         deletes acknowledged, 0 lost, 0 resurrected (the first would have ended this)",
        doubts.entries, doubts.pages,
    );
    assert!(uploads > 50 && deletes > 10, "too few to show anything: {uploads}, {deletes}");
}

/// Asks for variants that were there, of which any part may have been lost.
fn variants_are_right(ledger: &mut Ledger, server: &Server) {
    let mut random = Random::new(7);
    let client = &mut server.client();
    for _ in 0..20 {
        let Some((seed, file)) = ledger.any_file(&mut random) else { return };
        for side in [8, 16, 24, 32] {
            assert!(ledger.process(client, seed, &file, side).unwrap(), "{file}: {:?}", ledger.errors);
        }
    }
    ledger.is_clean("variants after a cut");
}

/// The control: a disk that lies about syncs loses what was acknowledged, and that is found.
fn is_found_out(ignored: &'static str) {
    let Some(library) = shim() else { return };
    let home = home();
    let data = home.path().join("data");
    // What it begins with is on the disk.
    Server::start(&data).stop();
    let mut ledger = Ledger::default();
    for round in 0..5 {
        let tune = Tune { after: Duration::from_millis(700), live_percent: 0, ignored: Some(ignored) };
        (ledger, _) = cut_off(&data, library, ledger, round, &tune);
        let server = Server::start(&data);
        ledger.check(&mut server.client(), &mut Random::new(1), usize::MAX);
        if !ledger.faults.lost.is_empty() {
            println!("power: with syncs of {ignored} ignored, {} lost in round {round}", ledger.faults.lost.len());
            return;
        }
    }
    panic!("with syncs of {ignored} ignored nothing was lost: {}", ledger.shown());
}

#[test]
fn a_disk_that_does_not_sync_files_is_found_out() {
    is_found_out("files");
}

#[test]
fn a_disk_that_does_not_sync_folders_is_found_out() {
    is_found_out("folders");
}
