//! Uploads and variants that a client does not wait for: accepted, done when their turn comes, and an upload's outcome told once to whoever
//! has its id.
//!
//! All of it lies in the spool: `<id>.picture` and then `<id>.job` are durable before an upload is accepted, `<id>.outcome` before the two go, and
//! whoever deletes that one may tell it. So a job that was accepted is done, whenever the server stops, and done once: its name is chosen
//! when it is accepted, and one that was named already is not named again. A job that has ended the program three times is refused by the fourth run.
//!
//! An outcome that nobody claims for a day is forgotten, and its picture with it: nobody knows its name.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, watch};

use self::job::{End, Job, Work};
use super::{
    ServiceError,
    gates::{Pass, Turnstile},
    ingest::{Ingest, Rules},
    late::Reason,
    now_secs,
    originals::Originals,
    process::{Answer, Process},
};
use crate::{
    domain::{Alias, Asked, Compat, DeleteToken, Hash, OutputFormat, Terms, UploadId},
    repo::RepoError,
    store::{Spool, Staged, Staging, StoreError},
};

mod job;

pub use job::Outcome;

/// Jobs and outcomes that there may be: uploads from their being accepted to their being claimed, variants until they are made.
pub const MAX_ACCEPTED: usize = 1024;

/// How long an outcome waits to be claimed.
const UNCLAIMED: Duration = Duration::from_secs(24 * 3600);

/// How often those are looked for that have waited for longer.
const EVERY: Duration = Duration::from_secs(600);

/// How often a job is tried that failed for a reason that may pass, before that is its outcome; between two tries lies a pause, twice as long
/// each time.
const TRIES: u32 = 6;

/// The first of these pauses.
const PAUSE: Duration = Duration::from_secs(1);

/// How many runs of the program begin a job.
const RUNS: u32 = 3;

/// How long a variant may take.
const VARIANT: Duration = Duration::from_secs(600);

/// How often it is looked whether an AVIF is there.
const LOOK: Duration = Duration::from_millis(500);

/// An error as it is told.
#[derive(Clone, Debug)]
pub struct Failure {
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub msg: String,
    /// Whether it is the client's, and will be the same the next time.
    pub is_for_good: bool,
}

/// Says how an error is told.
pub type Explain = fn(ServiceError) -> Failure;

/// What a claim is answered.
#[derive(Clone, Debug)]
pub enum Claimed {
    /// This, and to nobody else.
    Outcome(Outcome),
    /// It is not done yet.
    NotYet,
    /// There is no such upload, or no more.
    Gone,
}

/// What is known of a job.
#[derive(Debug)]
struct Known {
    /// Since when its outcome waits, in seconds since 1970, once there is one.
    ended_secs: Option<u64>,
    _pass: Option<Pass>,
}

#[derive(Debug, Default)]
struct State {
    /// The names of jobs that are to be done, in their order.
    waiting: VecDeque<String>,
    known: BTreeMap<String, Known>,
}

/// The jobs.
pub struct Backgrounded {
    spool: Spool,
    staging: Arc<Staging>,
    compat: Compat,
    /// How many are worked on at a time.
    workers: usize,
    gate: Arc<Turnstile>,
    ingest: Arc<Ingest>,
    process: Arc<Process>,
    originals: Arc<Originals>,
    state: Mutex<State>,
    /// Told when there is a job.
    wake: Notify,
    /// Changes with each outcome.
    ended: watch::Sender<()>,
}

fn note<T: Serialize>(of: &T) -> Result<Vec<u8>, ServiceError> {
    // It cannot fail: all of it is text and numbers.
    serde_json::to_vec(of).map_err(|_unwritable| ServiceError::Panicked)
}

fn now_micros() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

fn job_of(name: &str) -> String {
    format!("{name}.job")
}

fn picture_of(name: &str) -> String {
    format!("{name}.picture")
}

fn outcome_of(name: &str) -> String {
    format!("{name}.outcome")
}

fn pairs(query: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    query.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

impl Backgrounded {
    /// Wires the parts, and reads from the spool what an earlier run has left.
    ///
    /// # Errors
    /// A fault of the spool.
    pub async fn open(
        (spool, staging): (Spool, Arc<Staging>),
        (compat, workers): (Compat, usize),
        gate: Arc<Turnstile>,
        (ingest, process, originals): (Arc<Ingest>, Arc<Process>, Arc<Originals>),
    ) -> Result<Self, StoreError> {
        let state = left_over(&spool, &gate).await?;
        if !state.waiting.is_empty() {
            tracing::info!(jobs = state.waiting.len(), "jobs of an earlier run go on");
        }
        let (state, wake, ended) = (Mutex::new(state), Notify::new(), watch::Sender::new(()));
        Ok(Self { spool, staging, compat, workers, gate, ingest, process, originals, state, wake, ended })
    }

    /// Accepts pictures that were received, all of them or none: when this returns they will be taken in under the terms of this query,
    /// whatever happens. Each comes with its place among them.
    ///
    /// # Errors
    /// A fault of the spool.
    pub async fn accept(
        &self,
        pictures: Vec<(Staged, Pass)>,
        query: &[(String, String)],
    ) -> Result<Vec<UploadId>, ServiceError> {
        let mut accepted = Vec::with_capacity(pictures.len());
        for (picture, pass) in pictures {
            let (id, token) = (UploadId::generate(), DeleteToken::generate());
            let work = Work::Upload { id: id.clone(), stem: Alias::stem(self.compat), token, query: query.to_owned() };
            let name = id.to_string();
            accepted.push((id, pass));
            if let Err(error) = self.spool_upload(&name, picture, work).await {
                for (id, _) in accepted {
                    self.withdraw(&id.to_string()).await;
                }
                return Err(error);
            }
        }
        let mut ids = Vec::with_capacity(accepted.len());
        for (id, pass) in accepted {
            self.begin(id.to_string(), pass);
            ids.push(id);
        }
        Ok(ids)
    }

    async fn spool_upload(&self, name: &str, picture: Staged, work: Work) -> Result<(), ServiceError> {
        self.spool.put_file(&picture_of(name), picture).await?;
        Ok(self.spool.put_note(&job_of(name), &note(&Job::new(now_micros(), work))?).await?)
    }

    /// Takes back what was not accepted after all.
    async fn withdraw(&self, name: &str) {
        for file in [job_of(name), picture_of(name)] {
            if let Err(error) = self.spool.take(&file).await {
                tracing::warn!(file, %error, "a job that was not accepted may be done by the next start");
            }
        }
    }

    /// Accepts a variant that is to be made. One that is accepted already is one.
    ///
    /// # Errors
    /// [`ServiceError::Busy`], or a fault of the spool.
    pub async fn accept_variant(
        &self,
        alias: Alias,
        extension: &str,
        query: Vec<(String, String)>,
    ) -> Result<(), ServiceError> {
        let work = Work::Variant { alias, extension: extension.to_owned(), query };
        let name = Hash::from_bytes(Sha256::digest(note(&work)?).into()).to_string();
        if self.state().known.contains_key(&name) {
            return Ok(());
        }
        let pass = self.gate.enter()?;
        self.spool.put_note(&job_of(&name), &note(&Job::new(now_micros(), work))?).await?;
        self.begin(name, pass);
        Ok(())
    }

    fn begin(&self, name: String, pass: Pass) {
        let known = Known { ended_secs: None, _pass: Some(pass) };
        let mut state = self.state();
        // The same variant, accepted twice at the same time.
        if state.known.insert(name.clone(), known).is_none() {
            state.waiting.push_back(name);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// The outcome of an upload, which this takes away; waits for it, at most until `deadline`.
    ///
    /// # Errors
    /// A fault of the spool.
    pub async fn claim(&self, id: &UploadId, deadline: Instant) -> Result<Claimed, ServiceError> {
        let (name, mut ended) = (id.to_string(), self.ended.subscribe());
        loop {
            ended.borrow_and_update();
            let has_ended = match self.state().known.get(&name) {
                Some(known) => known.ended_secs.is_some(),
                None => return Ok(Claimed::Gone),
            };
            if has_ended {
                return self.take(&name).await;
            }
            match tokio::time::timeout_at(deadline.into(), ended.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(Claimed::NotYet),
            }
        }
    }

    async fn take(&self, name: &str) -> Result<Claimed, ServiceError> {
        let file = outcome_of(name);
        let Some(bytes) = self.spool.read(&file).await? else { return Ok(Claimed::Gone) };
        // Who deletes it has it.
        if !self.spool.take(&file).await? {
            return Ok(Claimed::Gone);
        }
        self.state().known.remove(name);
        Ok(job::read::<End>(&file, &bytes).map_or(Claimed::Gone, |end| Claimed::Outcome(end.outcome)))
    }

    /// Does the jobs, until it is dropped.
    pub async fn run(self: Arc<Self>, explain: Explain) {
        let workers = (0..self.workers.max(1)).map(|_| async {
            loop {
                let next = self.state().waiting.pop_front();
                match next {
                    Some(name) => self.work_on(&name, explain).await,
                    None => self.wake.notified().await,
                }
            }
        });
        let forgetting = async {
            loop {
                self.forget_unclaimed(now_secs().saturating_sub(UNCLAIMED.as_secs())).await;
                tokio::time::sleep(EVERY).await;
            }
        };
        tokio::join!(join_all(workers), forgetting);
    }

    /// Does one job. What cannot be done because of the spool is left to the next start.
    async fn work_on(&self, name: &str, explain: Explain) {
        // Whoever wakes one worker may have meant two.
        self.wake.notify_one();
        let done = async {
            let file = job_of(name);
            let Some(bytes) = self.spool.read(&file).await? else {
                // A variant that was accepted again while it was being finished.
                self.state().known.remove(name);
                return Ok(());
            };
            let Some(job) = job::read::<Job>(&file, &bytes) else { return Ok(()) };
            if job.runs >= RUNS {
                tracing::error!(name, "a job is not begun again: so many runs of the program did not come to its end");
                let (code, msg) =
                    ("internal-error".to_owned(), "it was begun several times and never finished".to_owned());
                return self.end(name, Some(Outcome::Refused { code, msg })).await;
            }
            self.spool.put_note(&file, &note(&job.clone().begun())?).await?;
            let outcome = self.outcome(name, &job.work, explain).await;
            self.end(name, outcome).await
        };
        let done: Result<(), ServiceError> = done.await;
        if let Err(error) = done {
            tracing::error!(name, %error, "a job is left to the next start");
        }
    }

    /// What comes of a job; nothing of a variant.
    async fn outcome(&self, name: &str, work: &Work, explain: Explain) -> Option<Outcome> {
        let mut pause = PAUSE;
        for tries in 1.. {
            let done = match work {
                Work::Upload { stem, token, query, .. } => {
                    let taken = self.take_in(name, stem, token, query).await;
                    taken.map(|alias| Some(Outcome::Stored { alias, token: token.clone() }))
                }
                Work::Variant { alias, extension, query } => self.make(alias, extension, query).await.map(|()| None),
            };
            let failure = match done {
                Ok(outcome) => return outcome,
                Err(error) => explain(error),
            };
            if failure.is_for_good || tries >= TRIES {
                let Failure { code, msg, .. } = failure;
                tracing::debug!(name, code, "a job failed");
                let is_upload = matches!(work, Work::Upload { .. });
                return is_upload.then(|| Outcome::Refused { code: code.to_owned(), msg });
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        None
    }

    async fn take_in(
        &self,
        name: &str,
        stem: &str,
        token: &DeleteToken,
        query: &[(String, String)],
    ) -> Result<Alias, ServiceError> {
        let file = picture_of(name);
        let staged = self.spool.stage(&file, &self.staging).await?.ok_or(ServiceError::FileMissing(file))?;
        let terms = Terms::read(pairs(query))?;
        let prepared = self.ingest.prepare_under(staged, None, Rules::Validate, &terms).await?;
        let (_, record) = prepared.original();
        let alias = Alias::of_stem(stem, record.details.format);
        match self.ingest.name(vec![prepared.under(alias.clone()).with_token(token.clone())]).await {
            Ok(_) => Ok(alias),
            // By an earlier run, which did not come to say so: nobody else knows the stem.
            Err(ServiceError::Repo(error)) if matches!(&*error, RepoError::AliasTaken(taken) if *taken == alias) => {
                Ok(alias)
            }
            Err(error) => Err(error),
        }
    }

    async fn make(&self, alias: &Alias, extension: &str, query: &[(String, String)]) -> Result<(), ServiceError> {
        let format = OutputFormat::from_extension(extension);
        let format = format.ok_or_else(|| ServiceError::UnknownFormat { got: extension.to_owned() })?;
        let variant = Asked::read(pairs(query), |_| true)?.variant(format)?;
        let deadline = Instant::now() + VARIANT;
        loop {
            let original = self.originals.by_alias(alias).await?;
            if original.is_already(&variant) {
                return Ok(());
            }
            match self.process.answer(&original, variant.clone(), deadline).await? {
                Answer::Made(_) | Answer::Instead(_, Reason::Size) => return Ok(()),
                // The AVIF is being made.
                Answer::Instead(_, Reason::Time | Reason::Busy) if Instant::now() < deadline => {
                    tokio::time::sleep(LOOK).await;
                }
                Answer::Instead(_, Reason::Time | Reason::Busy) => return Ok(()),
            }
        }
    }

    /// Notes the outcome, durably, and lets the job go.
    async fn end(&self, name: &str, outcome: Option<Outcome>) -> Result<(), ServiceError> {
        let since_secs = now_secs();
        if let Some(outcome) = outcome {
            self.spool.put_note(&outcome_of(name), &note(&End::new(since_secs, outcome))?).await?;
            if let Some(known) = self.state().known.get_mut(name) {
                known.ended_secs = Some(since_secs);
            }
        }
        self.spool.take(&job_of(name)).await?;
        self.spool.take(&picture_of(name)).await?;
        let mut state = self.state();
        if state.known.get(name).is_some_and(|known| known.ended_secs.is_none()) {
            state.known.remove(name);
        }
        drop(state);
        self.ended.send_replace(());
        Ok(())
    }

    /// Forgets outcomes that wait since before this, and deletes their pictures.
    async fn forget_unclaimed(&self, until_secs: u64) {
        let is_due = |known: &Known| known.ended_secs.is_some_and(|secs| secs < until_secs);
        let due: Vec<String> =
            self.state().known.iter().filter(|(_, known)| is_due(known)).map(|(name, _)| name.clone()).collect();
        for name in due {
            let forgotten = match self.take(&name).await {
                Ok(Claimed::Outcome(Outcome::Stored { alias, token })) => self.originals.delete(&alias, &token).await,
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            match forgotten {
                Ok(()) | Err(ServiceError::NoSuchAlias(_)) => {
                    tracing::info!(name, "nobody claimed an upload, and it is forgotten");
                }
                Err(error) => tracing::warn!(name, %error, "an upload that nobody claimed stays"),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What lies in the spool: a job that has an outcome is done, and a picture without a job was never accepted.
async fn left_over(spool: &Spool, gate: &Arc<Turnstile>) -> Result<State, StoreError> {
    let names = spool.names().await?;
    let with = |extension: &str| {
        let named = names.iter().filter_map(|name| name.rsplit_once('.')).filter(|(_, found)| *found == extension);
        named.map(|(name, _)| name.to_owned()).collect::<Vec<String>>()
    };
    let (mut state, mut jobs) = (State::default(), Vec::new());
    for name in with("outcome") {
        let bytes = spool.read(&outcome_of(&name)).await?.unwrap_or_default();
        if let Some(end) = job::read::<End>(&name, &bytes) {
            let known = Known { ended_secs: Some(end.since_secs), _pass: gate.try_enter() };
            state.known.insert(name, known);
        }
    }
    for name in with("job") {
        if state.known.contains_key(&name) {
            spool.take(&job_of(&name)).await?;
            continue;
        }
        let bytes = spool.read(&job_of(&name)).await?.unwrap_or_default();
        if let Some(job) = job::read::<Job>(&name, &bytes) {
            jobs.push((job.since_micros, name));
        }
    }
    jobs.sort();
    for (_, name) in jobs {
        state.known.insert(name.clone(), Known { ended_secs: None, _pass: gate.try_enter() });
        state.waiting.push_back(name);
    }
    for name in with("picture") {
        let is_read = names.contains(&job_of(&name)) && !state.known.contains_key(&name);
        if state.known.get(&name).is_none_or(|known| known.ended_secs.is_some()) && !is_read {
            spool.take(&picture_of(&name)).await?;
        }
    }
    Ok(state)
}
