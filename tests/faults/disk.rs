//! A disk that is full: errors that say so, nothing lost, pictures still served, and all well when there is room again.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    ledger::Ledger,
    pictures::Random,
    server::{Server, home, program, settings},
};

/// A file system of its own, taken off when dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _done = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Runs a program to its end; what it said if it failed.
fn done(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

/// A file system of 16 MB at `home/disk`. Says by name why there is none.
fn mounted(home: &Path, kind: &str) -> Option<Mounted> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("skipped: mounting a {kind} of 16 MB takes root");
        return None;
    }
    let (at, image) = (home.join("disk"), home.join("image"));
    fs::create_dir(&at).unwrap();
    let (shown, file) = (at.to_str().unwrap(), image.to_str().unwrap());
    let outcome = if kind == "tmpfs" {
        done("mount", &["-t", "tmpfs", "-o", "size=16m", "tmpfs", shown])
    } else {
        fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        done("mkfs.ext4", &["-q", "-F", "-m", "0", file]).and_then(|()| done("mount", &["-o", "loop", file, shown]))
    };
    match outcome {
        Ok(()) => Some(Mounted(at)),
        Err(why) => {
            println!("skipped: no {kind} of 16 MB can be mounted: {why}");
            None
        }
    }
}

/// Fills the disk but for about `left` bytes.
fn fill(disk: &Path, left: u64) {
    let mut file = fs::File::create(disk.join("ballast")).unwrap();
    let block = vec![7; 4096];
    let mut length = 0_u64;
    while file.write_all(&block).is_ok() {
        length += block.len() as u64;
    }
    file.set_len(length.saturating_sub(left)).unwrap();
}

/// What a server on the disk is asked while there is no room, and what it has to answer.
struct Full {
    server: Server,
    ledger: Ledger,
    random: Random,
}

impl Full {
    /// Nothing has to be written for what is read: thumbnails come, and are not kept.
    fn reads_are_served(&mut self, left: u64) {
        let (client, before) = (&mut self.server.client(), self.ledger.errors.len());
        for _ in 0..20 {
            let (seed, file) = self.ledger.any_file(&mut self.random).unwrap();
            self.ledger.original(client, seed, &file).unwrap();
            let side = 8 + u32::try_from(self.random.below(30)).unwrap();
            self.ledger.process(client, seed, &file, side).unwrap();
        }
        assert_eq!(self.ledger.errors[before..], [""; 0], "with {left} bytes left: {}", self.server.log());
        assert!(client.is_ready(), "with {left} bytes left: {}", self.server.log());
    }

    /// Deletes so many names. Whether all of them were.
    fn deletes(&mut self, count: usize) -> bool {
        (0..count).all(|_| self.ledger.delete_any(&mut self.server.client(), &mut self.random).unwrap())
    }

    fn uploads_are_refused(&mut self, next: &mut u64) {
        let (client, before, mut failures) = (&mut self.server.client(), self.ledger.errors.len(), 0);
        while failures < 6 {
            *next += 1;
            assert!(*next < 100_000, "the disk does not get full");
            failures += u32::from(!self.ledger.upload(client, &[*next]).unwrap());
        }
        for error in &self.ledger.errors[before..] {
            assert!(error.starts_with("upload: 507") && error.contains("storage-full"), "{error}");
        }
    }
}

fn is_full_disk_survived(kind: &str) {
    let home = home();
    let Some(disk) = mounted(home.path(), kind) else { return };
    let (ballast, data) = (disk.0.join("ballast"), disk.0.join("data"));
    let mut starts = 0;
    let mut start = || {
        let mut command = Command::new(program());
        settings(&mut command, &data);
        starts += 1;
        // Its log is on another disk.
        Server::run(command, &home.path().join(format!("log-{starts}")))
    };
    let reserve = data.join("reserve");
    let (mut full, mut next, mut not_ready, mut released) =
        (Full { server: start().unwrap(), ledger: Ledger::default(), random: Random::new(5) }, 100, 0, 0);
    // The first few leave room for metadata, as pictures do. The others are another program's doing.
    // Whether a delete finds room in the last block of the journal is chance: the last one goes on until one did not.
    let (lefts, mut times) = ([5_000_000, 900_000, 500_000, 100_000, 20_000].into_iter().chain([0; 10]), 0);
    for left in lefts {
        if times > 5 && released > 0 {
            break;
        }
        times += 1;
        assert_eq!(fs::metadata(&reserve).unwrap().blocks() * 512, 1 << 20, "blocks are held back");
        for _ in 0..8 {
            next += 1;
            let client = &mut full.server.client();
            assert!(full.ledger.upload(client, &[next]).unwrap(), "with room on the disk: {:?}", full.ledger.errors);
        }
        fill(&disk.0, left);
        full.uploads_are_refused(&mut next);
        full.reads_are_served(left);
        if !full.deletes(4) {
            // The metadata could not be written. It is for the next start to say what is there, and until then nothing is said.
            assert!(left < 500_000 && !full.server.client().is_ready(), "{}", full.server.log());
            not_ready += 1;
            full.server.kill();
            full.server = start().unwrap_or_else(|log| panic!("with {left} bytes left: {log}"));
            released += u32::from(!reserve.try_exists().unwrap());
            full.reads_are_served(left);
            assert!(full.deletes(4), "after a start a delete makes room: {}", full.server.log());
        }
        fs::remove_file(&ballast).unwrap();
        if !reserve.try_exists().unwrap() {
            // With room there again, a start holds blocks back again.
            full.server.kill();
            full.server = start().unwrap();
        }
        full.ledger.check(&mut full.server.client(), &mut full.random, usize::MAX);
        full.ledger.is_clean(&format!("with {left} bytes left: {}", full.server.log()));
    }
    let Full { mut server, mut ledger, mut random } = full;
    server.kill();
    assert!(!server.log().contains("panicked"), "{}", server.log());
    let server = start().unwrap();
    ledger.check(&mut server.client(), &mut random, usize::MAX);
    ledger.is_clean("after all");
    ledger.settles_on_disk(&data);
    server.stop();
    println!(
        "disk: {kind}, full {times} times, {not_ready} times not ready, {released} starts of blocks held back: {}",
        ledger.shown()
    );
    assert!(released > 0, "every start found blocks without those held back");
}

#[test]
fn a_full_tmpfs_is_survived() {
    is_full_disk_survived("tmpfs");
}

#[test]
fn a_full_ext4_is_survived() {
    is_full_disk_survived("ext4");
}
