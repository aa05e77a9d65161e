//! Sequences of requests against a model in memory: statuses, bodies, listings and bytes are those of the model, across stops and kills.
//!
//! `STEPS=10000 cargo test --test faults model -- --nocapture` takes more steps and prints how many. What fails is made smaller first.

use std::cell::Cell;

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    test_runner::{Config, TestCaseError, TestError, TestRunner},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    client::{Answer, Client, Uploaded},
    pictures::{is_thumbnail, png, stored_name},
    server::{Server, home, number},
};

/// Requests in a sequence, at most.
const LONGEST: usize = 60;

/// Pictures, and names of imports: few, so that they meet.
const PICTURES: u8 = 5;
const NAMES: u8 = 4;

/// One step. A `u8` picks one of the names that there were so far, taken round.
#[derive(Clone, Debug)]
enum Op {
    Upload(Vec<u8>),
    Import { name: u8, picture: u8 },
    Delete(u8),
    DeleteWithAnotherToken(u8),
    PurgeAlias(u8),
    PurgeFile(u8),
    Aliases(u8),
    Original(u8),
    Thumbnail(u8),
    Stop,
    Kill,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => vec(0..PICTURES, 1..4).prop_map(Op::Upload),
        4 => (0..NAMES, 0..PICTURES).prop_map(|(name, picture)| Op::Import { name, picture }),
        6 => any::<u8>().prop_map(Op::Delete),
        2 => any::<u8>().prop_map(Op::DeleteWithAnotherToken),
        1 => any::<u8>().prop_map(Op::PurgeAlias),
        1 => (0..PICTURES).prop_map(Op::PurgeFile),
        3 => any::<u8>().prop_map(Op::Aliases),
        4 => any::<u8>().prop_map(Op::Original),
        2 => any::<u8>().prop_map(Op::Thumbnail),
        1 => Just(Op::Stop),
        1 => Just(Op::Kill),
    ]
}

/// A name that is or was there.
#[derive(Clone, Debug)]
struct Name {
    uploaded: Uploaded,
    picture: u8,
    is_live: bool,
}

/// What there should be: names in the order they were made.
#[derive(Default)]
struct Model {
    names: Vec<Name>,
    /// The control: deletes are not noted.
    is_forgetful: bool,
}

impl Model {
    fn pick(&self, at: u8) -> Option<Name> {
        Some(self.names.get(usize::from(at) % self.names.len().max(1))?.clone())
    }

    fn aliases(&self, picture: u8) -> Vec<String> {
        let of_it = self.names.iter().filter(|name| name.is_live && name.picture == picture);
        of_it.map(|name| name.uploaded.file.clone()).collect()
    }

    fn add(&mut self, uploaded: Uploaded, picture: u8) {
        // A name that is used again is another.
        self.names.retain(|name| name.uploaded.file != uploaded.file);
        self.names.push(Name { uploaded, picture, is_live: true });
    }

    fn end(&mut self, is_gone: impl Fn(&Name) -> bool) {
        if !self.is_forgetful {
            self.names.iter_mut().filter(|name| is_gone(name)).for_each(|name| name.is_live = false);
        }
    }
}

/// A server and what it should hold.
struct Played {
    home: TempDir,
    server: Server,
    client: Client,
    model: Model,
}

type Outcome = Result<(), String>;

fn is(answer: &Answer, status: u16, body: &str) -> Outcome {
    let fits = answer.status == status && answer.body == body.as_bytes();
    if fits { Ok(()) } else { Err(format!("expected {status} {body:?}, got {}", answer.shown())) }
}

fn is_error(answer: &Answer, status: u16, code: &str) -> Outcome {
    let fits = answer.status == status && answer.is_clear_error() && answer.json()["code"] == code;
    if fits { Ok(()) } else { Err(format!("expected {status} {code}, got {}", answer.shown())) }
}

/// The files of an answer that is to the byte what it should be.
fn created(answer: &Answer, count: usize) -> Result<Vec<Uploaded>, String> {
    let files = answer.uploaded();
    let told = answer.json();
    let details = |at: usize| &told["files"][at]["details"];
    let shown = files.iter().enumerate();
    let shown: Vec<_> =
        shown.map(|(at, one)| json!({ "delete_token": one.token, "details": details(at), "file": one.file })).collect();
    is(answer, 201, &json!({ "files": shown, "msg": "ok" }).to_string())?;
    if files.len() == count { Ok(files) } else { Err(format!("{} files of {count}", files.len())) }
}

impl Played {
    fn new(is_forgetful: bool) -> Self {
        let home = home();
        let server = Server::start(&home.path().join("data"));
        let client = server.client();
        Self { home, server, client, model: Model { names: Vec::new(), is_forgetful } }
    }

    fn start_again(&mut self) {
        self.server = Server::start(&self.home.path().join("data"));
        self.client = self.server.client();
    }

    /// Does one step and holds what comes of it against the model.
    fn step(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Upload(pictures) => self.upload(pictures),
            Op::Import { name, picture } => self.import(&format!("name-{name}.png"), *picture),
            Op::Delete(at) => self.delete(*at),
            Op::DeleteWithAnotherToken(at) => {
                let Some(Name { uploaded, is_live, .. }) = self.model.pick(*at) else { return Ok(()) };
                let answer =
                    self.send(|client| client.delete(&Uploaded { token: "0123456789".to_owned(), ..uploaded }))?;
                if is_live {
                    is_error(&answer, 403, "wrong-delete-token")
                } else {
                    is_error(&answer, 404, "unknown-alias")
                }
            }
            Op::PurgeAlias(at) => {
                let Some(name) = self.model.pick(*at) else { return Ok(()) };
                let answer = self.send(|client| client.purge(&name.uploaded.file))?;
                if name.is_live { self.purged(&answer, name.picture) } else { is_error(&answer, 404, "unknown-alias") }
            }
            Op::PurgeFile(picture) => {
                let target = format!("/internal/purge?file={}", stored_name(&png((*picture).into())));
                let answer = self.send(|client| client.keyed("POST", &target))?;
                if self.model.aliases(*picture).is_empty() {
                    return is_error(&answer, 404, "unknown-file");
                }
                self.purged(&answer, *picture)
            }
            Op::Aliases(at) => {
                let Some(name) = self.model.pick(*at) else { return Ok(()) };
                let target = format!("/internal/aliases?alias={}", name.uploaded.file);
                let answer = self.send(|client| client.keyed("GET", &target))?;
                if !name.is_live {
                    return is_error(&answer, 404, "unknown-alias");
                }
                is(&answer, 200, &json!({ "aliases": self.model.aliases(name.picture), "msg": "ok" }).to_string())
            }
            Op::Original(at) => self.model.pick(*at).map_or(Ok(()), |name| self.original(&name)),
            Op::Thumbnail(at) => {
                let Some(name) = self.model.pick(*at) else { return Ok(()) };
                let target = format!("/image/process.jpg?src={}&thumbnail=20", name.uploaded.file);
                let answer = self.send(|client| client.get(&target))?;
                if !name.is_live {
                    return is_error(&answer, 404, "unknown-alias");
                }
                let is_right = answer.status == 200 && is_thumbnail(&answer.body, 20);
                if is_right { Ok(()) } else { Err(format!("no thumbnail: {}", answer.shown())) }
            }
            Op::Stop => {
                let (code, log) = self.server.terminate();
                if code != Some(0) {
                    return Err(format!("stopped with {code:?}: {log}"));
                }
                self.start_again();
                Ok(())
            }
            Op::Kill => {
                self.server.kill();
                self.start_again();
                Ok(())
            }
        }
    }

    fn send(&mut self, request: impl FnOnce(&mut Client) -> std::io::Result<Answer>) -> Result<Answer, String> {
        request(&mut self.client).map_err(|error| format!("no answer: {error}"))
    }

    fn upload(&mut self, pictures: &[u8]) -> Outcome {
        let bytes: Vec<_> = pictures.iter().map(|picture| png((*picture).into())).collect();
        let parts: Vec<_> = bytes.iter().map(Vec::as_slice).collect();
        let answer = self.send(|client| client.upload(&parts))?;
        for (uploaded, picture) in created(&answer, pictures.len())?.into_iter().zip(pictures) {
            if self.model.names.iter().any(|name| name.uploaded.file == uploaded.file) {
                return Err(format!("{} was given out again", uploaded.file));
            }
            self.model.add(uploaded, *picture);
        }
        Ok(())
    }

    fn import(&mut self, name: &str, picture: u8) -> Outcome {
        let is_taken = self.model.names.iter().any(|one| one.is_live && one.uploaded.file == name);
        let answer = self.send(|client| client.import(name, &png(picture.into())))?;
        if is_taken {
            return is_error(&answer, 400, "alias-taken");
        }
        let uploaded = created(&answer, 1)?.remove(0);
        if uploaded.file != name {
            return Err(format!("{name} was named {}", uploaded.file));
        }
        self.model.add(uploaded, picture);
        Ok(())
    }

    fn delete(&mut self, at: u8) -> Outcome {
        let Some(Name { uploaded, is_live, .. }) = self.model.pick(at) else { return Ok(()) };
        let answer = self.send(|client| client.delete(&uploaded))?;
        if !is_live {
            return is_error(&answer, 404, "unknown-alias");
        }
        is(&answer, 204, "")?;
        self.model.end(|name| name.uploaded == uploaded);
        Ok(())
    }

    fn purged(&mut self, answer: &Answer, picture: u8) -> Outcome {
        is(answer, 200, &json!({ "aliases": self.model.aliases(picture), "msg": "ok" }).to_string())?;
        self.model.end(|name| name.picture == picture);
        Ok(())
    }

    fn original(&mut self, name: &Name) -> Outcome {
        let answer = self.send(|client| client.original(&name.uploaded.file))?;
        if !name.is_live {
            return is_error(&answer, 404, "unknown-alias");
        }
        let is_right =
            answer.status == 200 && answer.media_type == "image/png" && answer.body == png(name.picture.into());
        if is_right { Ok(()) } else { Err(format!("not the original {name:?}: {}", answer.status)) }
    }

    /// Every name, at the end.
    fn all(&mut self) -> Outcome {
        self.model.names.clone().iter().try_for_each(|name| self.original(name))
    }
}

/// Plays so many steps in all. The smallest sequence that fails, if one does.
fn play(steps: u64, is_forgetful: bool) -> Result<u64, TestError<Vec<Op>>> {
    let cases = u32::try_from(steps.div_ceil(LONGEST as u64 / 2 - 2)).unwrap();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let taken = Cell::new(0);
    TestRunner::new(config).run(&vec(op(), 1..LONGEST), |ops| {
        let mut played = Played::new(is_forgetful);
        for op in &ops {
            taken.set(taken.get() + 1);
            played.step(op).map_err(|why| TestCaseError::fail(format!("{op:?}: {why}")))?;
        }
        played.all().map_err(|why| TestCaseError::fail(format!("at the end: {why}")))
    })?;
    Ok(taken.get())
}

#[test]
fn the_server_does_as_its_model() {
    match play(number("STEPS", 300), false) {
        Ok(steps) => println!("model: {steps} steps, no difference"),
        Err(error) => panic!("{error}"),
    }
}

/// The control: a model that is wrong is told from the server, by a sequence as short as can be.
#[test]
fn a_model_that_forgets_deletes_is_found_out() {
    let Err(TestError::Fail(_, ops)) = play(600, true) else { panic!("the wrong model was not found out") };
    assert!(ops.len() <= 3, "not the shortest: {ops:?}");
}
