//! Clients at once, each doing this and that until the server is gone or they are told to end.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{client::Client, ledger::Ledger, pictures::Random, server::Server};

/// Clients at once.
pub(crate) const CLIENTS: usize = 8;

/// Pictures with lower seeds are uploaded and deleted by all clients, those from here on by one each.
pub(crate) const SHARED: u64 = 6;

/// One client, doing one thing after the other.
struct Worker {
    client: Client,
    ledger: Ledger,
    random: Random,
    next: u64,
}

impl Worker {
    fn new_seed(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn act(&mut self) -> io::Result<()> {
        let Self { client, ledger, random, .. } = self;
        match random.below(100) {
            0..30 => {
                let seed = self.new_seed();
                self.ledger.upload(&mut self.client, &[seed])?;
            }
            30..36 => {
                let seeds = [self.new_seed(), self.new_seed()];
                self.ledger.upload(&mut self.client, &seeds)?;
            }
            36..46 => {
                let seed = random.below(SHARED);
                ledger.upload(client, &[seed])?;
            }
            46..54 => {
                if let Some((seed, _)) = ledger.any_file(random) {
                    ledger.upload(client, &[seed])?;
                }
            }
            54..60 => {
                let seed = if random.percent(50) { self.new_seed() } else { self.random.below(SHARED) };
                let name = format!("import-{}.png", self.new_seed());
                self.ledger.import(&mut self.client, seed, &name)?;
            }
            60..78 => drop(ledger.delete_any(client, random)?),
            78..82 => drop(ledger.purge_any(client, random, SHARED)?),
            82..92 => {
                if let Some((seed, file)) = ledger.any_file(random) {
                    let side = 8 + u32::try_from(random.below(30)).unwrap();
                    ledger.process(client, seed, &file, side)?;
                }
            }
            _ => {
                if let Some((seed, file)) = ledger.any_file(random) {
                    ledger.original(client, seed, &file)?;
                }
            }
        }
        Ok(())
    }
}

/// Runs [`CLIENTS`] clients until `meanwhile` returns or the server is gone. `round` makes their pictures new ones.
pub(crate) fn run(server: &mut Server, ledger: Ledger, round: u64, meanwhile: impl FnOnce(&mut Server)) -> Ledger {
    let is_over = AtomicBool::new(false);
    let parts = ledger.split(CLIENTS, SHARED);
    let parts: Vec<Ledger> = std::thread::scope(|scope| {
        let clients = parts.into_iter().zip(1..).map(|(ledger, number)| {
            let mut worker = Worker {
                client: server.client(),
                ledger,
                random: Random::new(round << 8 | number),
                next: (round + 1) << 32 | number << 24,
            };
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) && worker.act().is_ok() {}
                worker.ledger
            })
        });
        let clients: Vec<_> = clients.collect();
        meanwhile(server);
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    Ledger::merge(parts)
}
