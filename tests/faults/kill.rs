//! SIGKILL at random moments, under everything that clients do at once.
//!
//! `ROUNDS=200 cargo test --test faults kill -- --nocapture` runs longer and prints the counts.

use std::time::Duration;

use crate::{
    ledger::Ledger,
    load,
    pictures::{Random, png},
    server::{Server, home, number},
};

#[test]
fn kill_9_loses_nothing_that_was_acknowledged_and_brings_nothing_back() {
    let rounds = number("ROUNDS", 6);
    let home = home();
    let data = home.path().join("data");
    let mut random = Random::new(std::process::id().into());
    let mut ledger = Ledger::default();
    let mut server = Server::start(&data);
    for round in 0..rounds {
        let millis = 30 + random.below(900);
        ledger = load::run(&mut server, ledger, round, |server| {
            std::thread::sleep(Duration::from_millis(millis));
            server.kill();
        });
        if round % 3 == 0 {
            Server::start_and_kill(&data, Duration::from_millis(random.below(60)));
        }
        server = Server::start(&data);
        ledger.check(&mut server.client(), &mut random, 50);
        ledger.is_clean(&format!("round {round}, killed after {millis} ms"));
        assert_eq!(ledger.errors, [""; 0], "a healthy server answered with errors");
        if round % 20 == 19 {
            ledger.settles_on_disk(&data);
        }
    }
    ledger.settles_on_disk(&data);
    ledger.last_name_takes_the_file(&mut server.client(), &data);
    server.stop();
    ledger.settles_on_disk(&data);
    let server = Server::start(&data);
    ledger.check(&mut server.client(), &mut random, usize::MAX);
    ledger.is_clean("after all rounds");
    server.stop();
    println!("kill: {rounds} rounds: {}", ledger.shown());
    assert!(ledger.uploads > 50 && ledger.deletes > 10, "too few to show anything: {}", ledger.shown());
}

/// The control: what is lost, what comes back and what is another picture is told.
#[test]
fn what_is_lost_or_comes_back_is_noticed() {
    let home = home();
    let data = home.path().join("data");
    let mut random = Random::new(1);
    let server = Server::start(&data);
    let client = &mut server.client();
    let mut ledger = Ledger::default();
    assert!(ledger.import(client, 100, "kept.png").unwrap() && ledger.upload(client, &[101, 102]).unwrap());
    assert!(ledger.import(client, 103, "deleted.png").unwrap());
    let mut counts = |ledger: &mut Ledger, client: &mut _| {
        ledger.check(client, &mut random, usize::MAX);
        (ledger.faults.lost.len(), ledger.faults.resurrected.len(), ledger.faults.wrong.len())
    };
    assert_eq!(counts(&mut ledger, client), (0, 0, 0));
    let before = ledger.clone();
    assert_eq!(client.purge("kept.png").unwrap().status, 200);
    assert_eq!(counts(&mut ledger, client), (1, 0, 0), "it is gone");
    ledger = before.clone();
    assert_eq!(client.import("kept.png", &png(104)).unwrap().status, 201);
    assert_eq!(counts(&mut ledger, client), (1, 0, 0), "it names another picture");
    ledger = before;
    assert_eq!(client.purge("kept.png").unwrap().status, 200);
    assert_eq!(client.import("kept.png", &png(100)).unwrap().status, 201);
    assert!(ledger.purge_any(client, &mut Random::new(1), 103).unwrap(), "the one that is deleted");
    assert_eq!(client.import("deleted.png", &png(103)).unwrap().status, 201);
    assert_eq!(counts(&mut ledger, client), (0, 1, 0), "it is back");
    assert_eq!(client.upload(&[&png(101)]).unwrap().status, 201);
    assert_eq!(counts(&mut ledger, client), (0, 2, 1), "a name that nobody knows of");
    server.stop();
}
