//! Where the commands of a page are run: a folder with pictures in it, and a server when one is asked for.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use image::{Rgb, RgbImage};
use tempfile::TempDir;

use crate::output;

/// How long a command may take, and a server to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The ports that the pages name, and the addresses there that are somebody else's here.
const PORTS: [&str; 3] = ["8080", "8443", "9180"];

/// The server that `https://images.example.org` is.
pub(super) const SITE: &str = "images.example.org";

/// A page's folder, ports and server.
pub(super) struct Stage {
    folder: TempDir,
    ports: [u16; 3],
    /// Where nginx listens.
    pub(super) front: u16,
    /// The command of the server that the page talks to.
    command: String,
    server: Option<Child>,
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A picture of `width` by `height` with gradients, and a texture that compresses badly; seeds make other pictures.
fn picture(seed: u32, width: u32, height: u32) -> RgbImage {
    let mut state = seed;
    RgbImage::from_fn(width, height, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [.., noise] = state.to_le_bytes();
        let ramp = |at: u32, of: u32| u8::try_from(at * 200 / of).unwrap() + noise / 16;
        Rgb([ramp(x, width), ramp(y, height), ramp((x + y + seed) % (width + height), width + height)])
    })
}

/// Everything that pages take for given, made once: pictures, a data directory with some in it, one of pict-rs, a certificate, keys.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<TempDir> = OnceLock::new();
    TEMPLATE
        .get_or_init(|| {
            let folder = TempDir::new().unwrap();
            let at = |name: &str| {
                let path = folder.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                path
            };
            picture(1, 1600, 1200).save(at("photo.jpg")).unwrap();
            fs::copy(at("photo.jpg"), at("in.jpg")).unwrap();
            picture(2, 300, 200).save(at("picture.png")).unwrap();
            picture(3, 400, 300).save(at("photos/one.jpg")).unwrap();
            picture(4, 200, 300).save(at("photos/more/two.png")).unwrap();
            picture(5, 200, 200).save(at("seed/three.jpg")).unwrap();
            pictrs(&at("volumes/pictrs/sled/db-0.34"), &at("volumes/pictrs/files/old.jpg"));
            let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            fs::write(at("fullchain.pem"), certified.cert.pem()).unwrap();
            fs::write(at("privkey.pem"), certified.signing_key.serialize_pem()).unwrap();
            fs::write(at("etc/api-key"), "a long random text\n").unwrap();
            fs::write(at("etc/signing-keys"), "a key of 16 bytes or more\n").unwrap();
            let glimt = format!("exec '{}' \"$@\"", env!("CARGO_BIN_EXE_glimt"));
            // An answer that is an error is one, unless it is to be shown.
            let curl = "PATH=${PATH#*:} exec curl ${FAIL:-} \"$@\"".to_owned();
            for (name, script) in [("bin/glimt", glimt), ("bin/curl", curl)] {
                fs::write(at(name), format!("#!/bin/sh\n{script}\n")).unwrap();
                fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
            }
            let import = ["import", "--path", "data", "--list", "seed.tsv", "seed"];
            let filled = output(Command::new(env!("CARGO_BIN_EXE_glimt")).args(import).current_dir(folder.path()));
            assert!(filled.status.success(), "{filled:?}");
            folder
        })
        .path()
}

/// A data directory of pict-rs 0.2 with one picture.
fn pictrs(db: &Path, file: &Path) {
    picture(6, 240, 160).save(file).unwrap();
    let db = sled::open(db).unwrap();
    let [aliases, main, names] = ["alias", "main", "filename"].map(|name| db.open_tree(name).unwrap());
    let hash = [7_u8; 32];
    main.insert(hash, &b"old.jpg"[..]).unwrap();
    names.insert("old.jpg", &hash).unwrap();
    aliases.insert("abcdefghij.jpg", &hash).unwrap();
    aliases.insert("abcdefghij.jpg/id", &b"0"[..]).unwrap();
    aliases.insert("abcdefghij.jpg/delete", &b"klmnopqrst"[..]).unwrap();
    main.insert([&hash[..], &[0], b"0"].concat(), &b"abcdefghij.jpg"[..]).unwrap();
    db.flush().unwrap();
}

impl Stage {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let copied = output(Command::new("cp").arg("-a").arg(template().join(".")).arg(folder.path()));
        assert!(copied.status.success(), "{copied:?}");
        let ports = PORTS.map(|_| free_port());
        let command = "glimt --path ./data --api-key 'a long random text'".to_owned();
        Self { folder, ports, front: free_port(), command, server: None }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the folder.
    pub(super) fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The address that a page's server has.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// `text` with ports, addresses and folders of the page as they are here.
    pub(super) fn placed(&self, text: &str) -> String {
        let here = |name: &str| self.folder().join(name).to_str().unwrap().to_owned();
        let mut text = text.to_owned();
        for (named, port) in PORTS.iter().zip(self.ports) {
            text = text.replace(&format!(":{named}"), &format!(":{port}"));
        }
        let front = format!("https://localhost:{}", self.front);
        for (there, here) in [
            ("0.0.0.0:", "127.0.0.1:"),
            (&format!("https://{SITE}"), &front),
            ("/etc/glimt/", &here("etc/")),
            (&format!("/etc/letsencrypt/live/{SITE}"), &here("")),
            ("/var/cache/nginx", &here("cache")),
            ("/var/lib/glimt", &here("data")),
        ] {
            text = text.replace(there, here);
        }
        text
    }

    /// A command with what the pages expect around it, and nothing of this machine's configuration.
    fn clean(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_str().unwrap_or_default();
            if name.starts_with("GLIMT_") || name.starts_with("PICTRS_") || name.to_lowercase().ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        let path = format!("{}:{}", self.folder().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        // Whatever is not this machine is not there.
        let nowhere = "http://127.0.0.1:9";
        command.env("PATH", path).env("HOME", self.folder()).env("USER", "glimt").env("GLIMT_BACKEND", "cpu");
        command.env("http_proxy", nowhere).env("https_proxy", nowhere).env("no_proxy", "localhost,127.0.0.1");
        command.env("CURL_CA_BUNDLE", self.folder().join("fullchain.pem")).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).current_dir(self.folder());
        command
    }

    /// What a program says to arguments and variables, which must be soon.
    pub(super) fn asked(&self, program: &str, arguments: &[&str], variables: &[(String, String)]) -> Output {
        let mut command = self.clean(program);
        command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
        self.ended(&mut command)
    }

    /// Runs a command to its end.
    fn ended(&self, command: &mut Command) -> Output {
        let (said, told) = (self.folder().join(".stdout"), self.folder().join(".stderr"));
        command.stdout(fs::File::create(&said).unwrap()).stderr(fs::File::create(&told).unwrap());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{command:?} does not end");
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        Output { status, stdout: fs::read(said).unwrap(), stderr: fs::read(told).unwrap() }
    }

    /// Runs the text of a block as `bash -euo pipefail` would, and keeps the variables that it sets for the blocks after it. Where curl
    /// gets an error the block fails, unless `errs`.
    pub(super) fn bash(&self, text: &str, errs: bool) -> Output {
        let state = self.folder().join(".state");
        let state = state.to_str().unwrap();
        let names: Vec<&str> = text.lines().filter_map(assigned).collect();
        let mut script = format!("[ ! -f '{state}' ] || . '{state}'\n{text}\nended=$?\n");
        for name in names {
            script.push_str(&format!("declare -p {name} >> '{state}'\n"));
        }
        script.push_str("exit $ended\n");
        let script = self.put(".script", &script);
        let fail = if errs { "" } else { "--fail" };
        self.ended(self.clean("bash").env("FAIL", fail).args(["-euo", "pipefail"]).arg(script))
    }

    /// The server of the page, from now on.
    pub(super) fn serve_by(&mut self, command: &str) -> Result<(), String> {
        self.stop()?;
        command.clone_into(&mut self.command);
        self.serve()
    }

    /// Starts the page's server, unless it runs.
    pub(super) fn serve(&mut self) -> Result<(), String> {
        if self.server.is_none() {
            self.server = Some(self.started(&self.command)?);
        }
        Ok(())
    }

    /// Ends the page's server, if it runs, which has to end well.
    pub(super) fn stop(&mut self) -> Result<(), String> {
        let server = self.server.take();
        server.map_or(Ok(()), |server| self.ends(server, &self.command))
    }

    /// Starts a server that has its own command, and ends it. What it says to be asked for metrics has them, and alone.
    pub(super) fn tried(&mut self, command: &str) -> Result<(), String> {
        self.stop()?;
        let server = self.started(command)?;
        let words = words(&self.placed(command));
        let metrics = after(&words, "--metrics-addr").map(|metrics| {
            let status = |address: &str| {
                let url = format!("http://{address}/metrics");
                let asked = self.asked("curl", &["-s", "-o", "scraped.txt", "-w", "%{http_code}", &url], &[]);
                String::from_utf8(asked.stdout).unwrap()
            };
            (status(metrics), status(&self.address()))
        });
        self.ends(server, command)?;
        match metrics {
            Some((there, here)) if there != "200" || here != "404" => {
                Err(format!("{command}: /metrics is answered {there} where it is, and {here} where it is not"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// The server of one command, answering.
    fn started(&self, command: &str) -> Result<Child, String> {
        let mut text = self.placed(command.trim());
        let words = words(&text);
        if words[0] != "glimt" || text.contains('\n') {
            return Err(format!("{command}: not one command of glimt's"));
        }
        let address = after(&words, "--addr").map_or_else(|| self.address(), str::to_owned);
        if after(&words, "--addr").is_none() {
            text.push_str(&format!(" --addr {address}"));
        }
        let log = fs::File::create(self.folder().join("log")).unwrap();
        let mut child = self.clean("bash").args(["-c", &format!("exec {text}")]).stderr(log).spawn().unwrap();
        let tls = if words.iter().any(|word| word == "--tls-cert") { &["--tls"][..] } else { &[] };
        let begun = Instant::now();
        while !self.asked("glimt", &[&["healthcheck", "--addr", &address][..], tls].concat(), &[]).status.success() {
            if let Some(status) = child.try_wait().unwrap() {
                return Err(format!("{command}: {status}: {}", self.log()));
            }
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                return Err(format!("{command}: nobody answers at {address}: {}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(child)
    }

    /// Tells a server to end, which has to do so with 0.
    fn ends(&self, mut server: Child, command: &str) -> Result<(), String> {
        assert!(output(Command::new("kill").args(["-TERM", &server.id().to_string()])).status.success());
        let begun = Instant::now();
        while server.try_wait().unwrap().is_none() {
            if begun.elapsed() > PATIENCE {
                server.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = server.wait().unwrap();
        if status.success() { Ok(()) } else { Err(format!("{command}: ended with {status}: {}", self.log())) }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }
}

/// The variable that a line of shell sets, if that is all it does.
fn assigned(line: &str) -> Option<&str> {
    let (name, value) = line.split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    // `NAME=value command` sets nothing here: outside of quotes and of `$(..)` there is no space in a value.
    let is_whole = value.starts_with("$(") || value.starts_with('"') || !value.contains(' ');
    (is_name && is_whole).then_some(name)
}

/// The words of a command as a shell takes it apart: by spaces, with what is in quotes as one.
pub(super) fn words(command: &str) -> Vec<String> {
    let (mut found, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_whitespace() => found.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    found.extend(word);
    found
}

/// The word behind `flag`.
pub(super) fn after<'w>(words: &'w [String], flag: &str) -> Option<&'w str> {
    words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1)).map(String::as_str)
}

#[test]
fn shell_is_taken_apart() {
    assert_eq!(words("a 'b c'  --d=\"e f\" ''"), ["a", "b c", "--d=e f", ""]);
    assert_eq!(after(&words("a --b c"), "--b"), Some("c"));
    assert_eq!(after(&words("a --b"), "--b"), None);
    assert_eq!(assigned("FILE=$(a | b c)"), Some("FILE"));
    assert_eq!(assigned("GLIMT_X='a b' glimt sign"), None);
    assert_eq!(assigned("a=b"), None);
}

#[test]
fn a_command_that_fails_is_seen_wherever_it_stands() {
    let stage = Stage::new();
    for failing in
        ["false\ntrue", "true\nfalse", "false | cat\ntrue", "! true", "echo $NOT_SET\ntrue", "glimt --no-such"]
    {
        assert!(!stage.bash(failing, false).status.success(), "{failing:?} is taken to have succeeded");
    }
    assert!(stage.bash("FILE=$(echo a b)\n! false", false).status.success());
    assert_eq!(stage.bash("echo \"$FILE\"", false).stdout, b"a b\n");
}
