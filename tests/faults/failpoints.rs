//! The n-th call of a kind fails, for one n after the other: while the server starts, and while it serves.
//!
//! `FAULTS=120 cargo test --test faults failpoints -- --nocapture` goes further and prints the counts.

use std::{fs, io};

use crate::{
    ledger::Ledger,
    pictures::Random,
    server::{Server, home, number},
    shim::{self, EIO, ENOSPC, Fault, shim},
};

/// What fails, and of how many such calls of one server each is tried: there are hardly more.
const KINDS: [(&str, i32, u64); 7] = [
    ("write", EIO, 60),
    ("sync", EIO, 50),
    ("rename", EIO, 12),
    ("open", ENOSPC, 20),
    ("write", ENOSPC, 60),
    ("mkdir", ENOSPC, 12),
    ("unlink", EIO, 8),
];

/// What fails in this step. Every fifth goes on failing.
fn fault(step: u64) -> Fault {
    let (kind, error, calls) = KINDS[usize::try_from(step % KINDS.len() as u64).unwrap()];
    let turn = step / KINDS.len() as u64;
    let count = if step % 5 == 4 { u64::MAX >> 1 } else { 1 };
    Fault { kind, from: 1 + (3 * turn + step % 3) % calls, count, error, place: "/" }
}

/// Everything that a client does, once. Each request must be answered.
fn everything(ledger: &mut Ledger, server: &Server, step: u64, random: &mut Random) -> io::Result<()> {
    let client = &mut server.client();
    let seed = 1000 + 10 * step;
    ledger.upload(client, &[seed])?;
    ledger.upload(client, &[seed + 1, seed + 2])?;
    ledger.upload(client, &[seed])?;
    ledger.import(client, seed + 3, &format!("import-{step}.png"))?;
    for side in [10, 20] {
        if let Some((seed, file)) = ledger.any_file(random) {
            ledger.process(client, seed, &file, side)?;
            ledger.original(client, seed, &file)?;
        }
    }
    ledger.delete_any(client, random)?;
    ledger.upload(client, &[seed + 4])?;
    if step.is_multiple_of(2) {
        ledger.purge_any(client, random, 0)?;
    }
    ledger.upload(client, &[seed + 5])?;
    Ok(())
}

#[test]
fn a_call_that_fails_is_an_error_and_loses_nothing() {
    let Some(library) = shim() else { return };
    let steps = number("FAULTS", 16);
    let home = home();
    let (data, fired) = (home.path().join("data"), home.path().join("fired"));
    fs::create_dir(&data).unwrap();
    let data = data.canonicalize().unwrap();
    let mut random = Random::new(3);
    let mut ledger = Ledger::default();
    let (mut refused_starts, mut met, mut stopped) = (0, 0, 0);
    for step in 0..steps {
        let fault = fault(step);
        let _none_yet = fs::remove_file(&fired);
        let started = Server::try_start(&data, |command| {
            shim::load(command, library, &data);
            command.env("SHIM_FAULT", fault.text()).env("SHIM_FIRED", &fired);
        });
        let log = match started {
            // It says why and goes: as good as an error.
            Err(log) => {
                refused_starts += 1;
                log
            }
            Ok(mut server) => {
                if let Err(error) = everything(&mut ledger, &server, step, &mut random) {
                    panic!("{fault:?}: a request was not answered: {error}: {}", server.log());
                }
                assert!(server.is_alive(), "{fault:?}: {}", server.log());
                stopped += u32::from(!server.client().is_ready());
                server.kill();
                server.log()
            }
        };
        assert!(!log.contains("panicked"), "{fault:?}: {log}");
        met += u64::from(fired.is_file());
        let server = Server::start(&data);
        ledger.check(&mut server.client(), &mut random, 20);
        ledger.is_clean(&format!("step {step}, {fault:?}: {log}"));
        // And it works again.
        assert!(ledger.upload(&mut server.client(), &[9 + 1000 + 10 * step]).unwrap(), "{fault:?}: {}", server.log());
        server.stop();
    }
    let server = Server::start(&data);
    ledger.settles_on_disk(&data);
    ledger.check(&mut server.client(), &mut random, usize::MAX);
    ledger.is_clean("after all faults");
    server.stop();
    println!(
        "failpoints: {steps} faults, {met} of them met, {refused_starts} starts refused, {stopped} servers not ready: {}",
        ledger.shown()
    );
    assert!(met >= steps / 3 && !ledger.errors.is_empty(), "too few to show anything: {met} of {steps} were met");
}
