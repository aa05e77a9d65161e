//! No file descriptors left: connections and files meet the limit at random.

use std::{net::TcpStream, path::Path, process::Command, time::Duration};

use crate::{
    ledger::Ledger,
    load,
    pictures::Random,
    server::{Server, home, number, program, settings},
};

/// Files that the process may have open: about half of it is taken when it serves.
const LIMIT: u32 = 64;

fn limited(data: &Path) -> Result<Server, String> {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\"")).arg(program());
    settings(&mut command, data);
    Server::run(command, &data.with_file_name("log-limited"))
}

#[test]
fn running_out_of_handles_costs_requests_and_nothing_else() {
    let home = home();
    let data = home.path().join("data");
    let mut random = Random::new(11);
    let (mut ledger, mut restarts) = (Ledger::default(), 0);
    let mut server = limited(&data).unwrap();
    // While uploads fail and deletes do not, clients are left with few. These are nobody's.
    let mut kept = Ledger::default();
    for seed in 2_000_000..2_000_040 {
        assert!(kept.upload(&mut server.client(), &[seed]).unwrap());
    }
    let rounds = number("ROUNDS", 4).min(40);
    for round in 0..rounds {
        ledger = load::run(&mut server, ledger, round, |server| {
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(300));
                // Connections that say nothing take what is left.
                let idle: Vec<_> = (0..2 * LIMIT).filter_map(|_| TcpStream::connect(server.addr()).ok()).collect();
                std::thread::sleep(Duration::from_millis(300));
                drop(idle);
            }
        });
        assert!(server.is_alive(), "{}", server.log());
        assert!(!server.log().contains("panicked"), "{}", server.log());
        // With room again it works, at once or, where the metadata met the limit, after a start.
        if !server.client().is_ready() {
            restarts += 1;
            server.kill();
            server = limited(&data).unwrap();
        }
        ledger.check(&mut server.client(), &mut random, 50);
        ledger.is_clean(&format!("round {round}: {}", server.log()));
        assert!(ledger.upload(&mut server.client(), &[1_000_000 + round]).unwrap(), "{}", server.log());
    }
    server.kill();
    let server = Server::start(&data);
    ledger.check(&mut server.client(), &mut random, usize::MAX);
    ledger.is_clean("after all");
    kept.check(&mut server.client(), &mut random, usize::MAX);
    kept.is_clean("what nobody touched");
    let ledger = Ledger::merge([ledger, kept]);
    ledger.settles_on_disk(&data);
    server.stop();
    println!("handles: {rounds} rounds with {LIMIT}, {restarts} restarts: {}", ledger.shown());
    assert!(ledger.uploads > 20, "too few to show anything: {}", ledger.shown());
}
