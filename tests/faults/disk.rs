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
    let mut server = start().unwrap();
    let mut random = Random::new(5);
    let (mut ledger, mut next, mut not_ready, mut refused_starts) = (Ledger::default(), 100, 0, 0);
    for left in [900_000, 400_000, 150_000, 60_000, 20_000, 0] {
        let client = &mut server.client();
        for _ in 0..8 {
            next += 1;
            assert!(ledger.upload(client, &[next]).unwrap(), "with room on the disk: {:?}", ledger.errors);
        }
        fill(&disk.0, left);
        let (before, mut failures) = (ledger.errors.len(), 0);
        while failures < 4 {
            next += 1;
            assert!(next < 100_000, "the disk does not get full");
            failures += u32::from(!ledger.upload(client, &[next]).unwrap());
        }
        let is_ready = client.is_ready();
        for error in &ledger.errors[before..] {
            assert!(error.starts_with("upload: 50"), "{error}");
        }
        // Nothing has to be written for what is read. Where the metadata could not be written it is for the next start to say
        // what is there, and until then nothing is said.
        if !is_ready {
            not_ready += 1;
            server.kill();
            match start() {
                Ok(started) => server = started,
                Err(log) => {
                    refused_starts += 1;
                    assert!(!log.contains("panicked") && log.contains("No space left"), "{log}");
                    fs::remove_file(&ballast).unwrap();
                    server = start().unwrap();
                }
            }
        }
        let client = &mut server.client();
        let before = ledger.errors.len();
        for _ in 0..20 {
            let (seed, file) = ledger.any_file(&mut random).unwrap();
            ledger.original(client, seed, &file).unwrap();
            ledger.process(client, seed, &file, 20).unwrap();
        }
        assert_eq!(ledger.errors[before..], [""; 0], "while the disk is full");
        assert!(server.is_alive());
        let _gone_already = fs::remove_file(&ballast);
        if !client.is_ready() {
            not_ready += 1;
            server.kill();
            server = start().unwrap();
        }
        ledger.check(&mut server.client(), &mut random, usize::MAX);
        ledger.is_clean(&format!("with {left} bytes left: {}", server.log()));
    }
    server.kill();
    assert!(!server.log().contains("panicked"), "{}", server.log());
    let server = start().unwrap();
    ledger.check(&mut server.client(), &mut random, usize::MAX);
    ledger.is_clean("after all");
    ledger.settles_on_disk(&data);
    server.stop();
    println!(
        "disk: {kind}, full 6 times, {not_ready} times not ready, {refused_starts} starts refused: {}",
        ledger.shown()
    );
}

#[test]
fn a_full_tmpfs_is_survived() {
    is_full_disk_survived("tmpfs");
}

#[test]
fn a_full_ext4_is_survived() {
    is_full_disk_survived("ext4");
}
