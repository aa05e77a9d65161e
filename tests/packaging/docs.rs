//! Every command of the texts is run: in a folder with pictures, with a server where it asks one, and the answers that a page shows are held
//! against those that come. What cannot be run here says so in a comment above it (`docs/blocks.rs` has all of these), and is looked at
//! instead: that programs, flags, targets, files, services and features that it names are there (`docs/told.rs`).

use std::{collections::BTreeMap, fmt::Write as _, fs, process::Command};

use self::{
    blocks::{Block, Mark, blocks},
    front::Front,
    stage::Stage,
};
use crate::{options::asked_of_the_environment, text, top};

mod answers;
mod blocks;
mod facts;
mod front;
mod links;
mod stage;
mod told;

/// The texts, from the top of the repository. Commands of the last two are tables and trees.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> = ["README.md", "SECURITY.md", "CONTRIBUTING.md"].map(str::to_owned).into();
    let entries = fs::read_dir(top().join("docs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    pages.extend(names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")));
    pages.sort();
    pages.extend(["ARCHITECTURE.md", "CHANGELOG.md"].map(str::to_owned));
    pages
}

/// Whether a program is here. One that is asked for by `REQUIRE_NGINX=1` has to be.
fn is_here(program: &str, version: &str) -> bool {
    let here = Command::new(program).arg(version).output().is_ok_and(|asked| asked.status.success());
    assert!(here || std::env::var_os("REQUIRE_NGINX").is_none(), "REQUIRE_NGINX is set, and there is no {program}");
    here
}

/// What came of the blocks of all pages, by what was done with them.
#[derive(Default)]
struct Tally(BTreeMap<String, Vec<String>>);

impl Tally {
    fn note(&mut self, done: impl Into<String>, block: &Block) {
        self.0.entry(done.into()).or_default().push(block.to_string());
    }

    /// How many had something done to them that begins like this.
    fn count(&self, done: &str) -> usize {
        self.0.iter().filter(|(what, _)| what.starts_with(done)).map(|(_, blocks)| blocks.len()).sum()
    }
}

/// What stands above an answer.
enum Last {
    /// No command.
    Nothing,
    /// What a command printed.
    Printed(String),
    /// A command that was skipped, and its answer with it.
    Skipped,
}

/// One page as it is worked through.
struct Run<'t> {
    /// All of it.
    markdown: &'t str,
    stage: Stage,
    /// nginx, once the page has shown its configuration.
    front: Option<Front>,
    last: Last,
    tally: &'t mut Tally,
}

impl Run<'_> {
    /// One block; `errs` where an error is shown below it.
    fn block(&mut self, block: &Block, errs: bool) -> Result<(), String> {
        let last = std::mem::replace(&mut self.last, Last::Nothing);
        match block.language.as_str() {
            "sh" => return self.shell(block, errs),
            "text" if block.has(Mark::WasMeasured) => {}
            shown @ ("json" | "http" | "text") => match last {
                Last::Printed(printed) if shown == "json" => answers::json(&block.text, &printed)?,
                Last::Printed(printed) if shown == "http" => answers::head(&block.text, &printed)?,
                Last::Printed(printed) => answers::lines(&block.text, &printed)?,
                Last::Skipped => return Ok(()),
                Last::Nothing => return Err("an answer stands behind its command".to_owned()),
            },
            "toml" => self.configured(&["--config", self.placed("page.toml", block).as_str()], &[])?,
            "ini" => self.configured(&[], &variables(block.text.lines())?)?,
            "yaml" if block.has(Mark::Compose) => {
                let entries = block.text.lines().filter_map(|line| line.trim().strip_prefix("- "));
                let known = |entry: &&str| entry.starts_with("PICTRS_") || entry.starts_with("GLIMT_");
                self.configured(&[], &variables(entries.filter(known))?)?;
                told::composes(&self.placed("page.yml", block), &[])?;
            }
            "yaml" if block.has(Mark::Prometheus) => self.scraped(block)?,
            "hjson" => self.reached(block)?,
            "python" if !is_here("python3", "--version") => {
                self.tally.note("skipped: rsync, nginx or python3 is not here", block);
                return Ok(());
            }
            "python" => self.signed(block)?,
            "nginx" => return self.nginx(block),
            other => return Err(format!("no rule for a block of {other} with the marks {:?}", block.marks)),
        }
        let done = if block.has(Mark::WasMeasured) { "not held: was measured" } else { "held against what is" };
        self.tally.note(format!("{} {done}", block.language), block);
        Ok(())
    }

    /// Commands: run, unless they say that they cannot be.
    fn shell(&mut self, block: &Block, errs: bool) -> Result<(), String> {
        for mark in [Mark::Builds, Mark::NeedsDocker, Mark::NeedsRoot] {
            if block.has(mark) {
                self.tally.note(format!("looked at: {}", mark.name()), block);
                return told::block(block);
            }
        }
        let is_missing = block.has(Mark::NeedsRsync) && !is_here("rsync", "--version")
            || block.has(Mark::BehindNginx) && self.front.is_none();
        if is_missing {
            self.last = Last::Skipped;
            self.tally.note("skipped: rsync, nginx or python3 is not here", block);
            return Ok(());
        }
        let one = || match &block.commands()[..] {
            [one] => Ok(one.clone()),
            more => Err(format!("one command starts one server, not {more:?}")),
        };
        if block.has(Mark::TheServerOfThisPage) {
            self.tally.note("run: the server of this page", block);
            return self.stage.serve_by(&one()?);
        }
        if block.has(Mark::StartsAServer) {
            self.tally.note("run: starts a server", block);
            return self.stage.tried(&one()?);
        }
        let mut text = block.text.clone();
        if block.has(Mark::TakesAMinute) {
            assert!(text.contains("glimt bench"), "{block} does not take a minute");
            text = text.replace("glimt bench", "glimt bench --secs 2 --megapixels 1");
        }
        if block.has(Mark::WhileNoServerRuns) {
            self.stage.stop()?;
        } else if text.contains("localhost:8080")
            || text.contains("127.0.0.1:8080")
            || block.has(Mark::WhileAServerRuns)
            || block.has(Mark::BehindNginx)
        {
            self.stage.serve()?;
        }
        let ended = self.stage.bash(&self.stage.placed(&text), errs);
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&ended.stderr);
        if !ended.status.success() || wrong.contains("warning:") {
            return Err(format!("{}:\n{text}{said}{wrong}", ended.status));
        }
        let is_run = if block.marks.is_empty() { "run".to_owned() } else { format!("run: {}", block.marks[0].name()) };
        self.tally.note(is_run, block);
        self.last = Last::Printed(said);
        Ok(())
    }

    /// The block as a file, with ports and folders as they are here.
    fn placed(&self, name: &str, block: &Block) -> String {
        self.stage.put(name, &self.stage.placed(&block.text)).to_str().unwrap().to_owned()
    }

    /// `glimt config` takes it, and knows all of it.
    fn configured(&self, arguments: &[&str], variables: &[(String, String)]) -> Result<(), String> {
        if variables.is_empty() && arguments.is_empty() {
            return Err("there is no option in it".to_owned());
        }
        let placed: Vec<(String, String)> =
            variables.iter().map(|(name, value)| (name.clone(), self.stage.placed(value))).collect();
        let asked = self.stage.asked("glimt", &[&["config", "--path", "data"][..], arguments].concat(), &placed);
        let wrong = String::from_utf8_lossy(&asked.stderr);
        if asked.status.success() && wrong.is_empty() { Ok(()) } else { Err(format!("glimt config: {wrong}")) }
    }

    /// What Prometheus is to ask is what a server of this page has for it.
    fn scraped(&self, block: &Block) -> Result<(), String> {
        let line = |key: &str| block.text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap_or_default();
        let target = line("- targets: [\"").trim_end_matches("\"]");
        let is_served = !target.is_empty() && self.markdown.contains(&format!("--metrics-addr {target}"));
        let path = line("metrics_path: ");
        if is_served && path == "/metrics" { Ok(()) } else { Err(format!("nothing has metrics at {target}{path}")) }
    }

    /// The server is where a configuration of somebody else says.
    fn reached(&mut self, block: &Block) -> Result<(), String> {
        self.stage.serve()?;
        let placed = self.stage.placed(&block.text);
        let url = placed.split("url: \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let asked = self.stage.asked("curl", &["-sf", &format!("{url}healthz")], &[]);
        if asked.status.success() { Ok(()) } else { Err(format!("nobody answers at {url}")) }
    }

    /// What Python prints with a signature is what `glimt sign` prints.
    fn signed(&self, block: &Block) -> Result<(), String> {
        let script = self.stage.put("page.py", &block.text);
        let asked = self.stage.asked("python3", &[script.to_str().unwrap()], &[]);
        let said = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
        let Some((target, _)) = said.split_once("&signature=") else {
            return Err(format!("no signature in {said:?}: {}", String::from_utf8_lossy(&asked.stderr)));
        };
        let key = ("GLIMT_SIGNING_KEY".to_owned(), "a key of 16 bytes or more".to_owned());
        let signed = self.stage.asked("glimt", &["sign", target], &[key]);
        let signed = String::from_utf8_lossy(&signed.stdout).trim().to_owned();
        if signed == said { Ok(()) } else { Err(format!("Python signs as {said}, glimt as {signed}")) }
    }

    /// nginx reads it, and does in front of a server what the page says.
    fn nginx(&mut self, block: &Block) -> Result<(), String> {
        facts::nginx_fits(&block.text)?;
        if !front::is_installed() {
            assert!(!is_here("nginx", "-v"), "nginx comes and goes");
            self.tally.note("skipped: rsync, nginx or python3 is not here", block);
            return Ok(());
        }
        self.stage.serve()?;
        let front = Front::start(&self.stage, &block.text)?;
        front::keeps_its_promises(&self.stage, self.markdown)?;
        self.front = Some(front);
        self.tally.note("nginx in front of a server", block);
        Ok(())
    }
}

/// Lines of `NAME=value` as variables, each of which glimt has to read.
fn variables<'l>(lines: impl Iterator<Item = &'l str>) -> Result<Vec<(String, String)>, String> {
    let known = asked_of_the_environment();
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| {
            if known.contains(name) {
                Ok((name.to_owned(), value.to_owned()))
            } else {
                Err(format!("{name} is not read"))
            }
        })
        .collect()
}

/// Whether a block is the answer to what is wrong.
fn shows_an_error(block: &Block) -> bool {
    let status = block.text.split(' ').nth(1).unwrap_or_default();
    match block.language.as_str() {
        "json" => block.text.contains("\"code\""),
        "http" => status.starts_with(['4', '5']),
        _ => false,
    }
}

/// Works through one page.
fn run<'t>(page: &str, markdown: &'t str, tally: &'t mut Tally) -> Result<(), String> {
    let blocks = blocks(page, markdown)?;
    if blocks.is_empty() {
        return Ok(());
    }
    let mut run = Run { markdown, stage: Stage::new(), front: None, last: Last::Nothing, tally };
    for (at, block) in blocks.iter().enumerate() {
        let errs = blocks.get(at + 1).is_some_and(shows_an_error);
        run.block(block, errs).map_err(|told| format!("{block}: {told}"))?;
    }
    run.front = None;
    run.stage.stop()
}

#[test]
fn every_command_of_the_texts_is_true() {
    if !is_here("curl", "--version") {
        println!("skipped: no curl");
        return;
    }
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for page in pages() {
        // A map and a history: what is fenced there is no command.
        if page != "ARCHITECTURE.md" && page != "CHANGELOG.md" {
            wrong.extend(run(&page, &text(&page), &mut tally).err());
        }
    }
    let mut said = String::new();
    for (done, blocks) in &tally.0 {
        writeln!(
            said,
            "{:3} {done}{}",
            blocks.len(),
            if done == "run" { String::new() } else { format!(": {}", blocks.join(", ")) }
        )
        .unwrap();
    }
    println!("{said}");
    assert!(wrong.is_empty(), "{}\n{said}", wrong.join("\n"));
    assert!(tally.count("run") >= 50, "only {} blocks were run", tally.count("run"));
    assert!(tally.count("run: starts a server") >= 4 && tally.count("json held") >= 10, "{said}");
}

#[test]
fn commands_that_are_false_are_told() {
    if !is_here("curl", "--version") {
        println!("skipped: no curl");
        return;
    }
    let told = |markdown: &str| run("p.md", markdown, &mut Tally::default()).unwrap_err();
    let sh = |text: &str| format!("```sh\n{text}\n```\n");
    assert_eq!(run("p.md", &sh("glimt --version"), &mut Tally::default()), Ok(()));
    for (page, what) in [
        (sh("glimt check --paths data"), "--paths"),
        (sh("glimt check --path nowhere"), "p.md:1: exit status: 1"),
        (sh("curl -s localhost:8080/image/none"), "p.md:1: exit status: 22"),
        (sh("curl -sf https://example.org"), "p.md:1"),
        (sh("GLIMT_WORKER=2 glimt config --path data"), "GLIMT_WORKER is not known"),
        (format!("{}```json\n{{\"msg\":\"no\"}}\n```", sh("curl -s localhost:8080/healthz")), "p.md:4: .msg"),
        (format!("{}```http\nHTTP/1.1 201 Created\n```", sh("curl -sI localhost:8080/healthz")), "p.md:4: shown as"),
        (format!("{}```text\nnone\n```", sh("glimt --version")), "p.md:4: \"none\""),
        ("```json\n{}\n```".to_owned(), "behind its command"),
        ("```toml\nworker = 2\n```".to_owned(), "worker"),
        ("```ini\nGLIMT_WORKER=2\n```".to_owned(), "GLIMT_WORKER is not read"),
        ("<!-- compose -->\n```yaml\n- PICTRS_API=x\n```".to_owned(), "PICTRS_API is not read"),
        ("<!-- prometheus -->\n```yaml\n- targets: [\"127.0.0.1:1\"]\n```".to_owned(), "127.0.0.1:1"),
        ("```perl\n```".to_owned(), "no rule for a block of perl"),
        (format!("<!-- builds -->\n{}", sh("make rum")), "no target rum"),
        (format!("<!-- starts a server -->\n{}", sh("glimt serve --path data --port 8080")), "--port"),
    ] {
        let error = told(&page);
        assert!(error.contains(what), "{page}{what:?} is not in {error}");
    }
}
