//! Pictures coming in: staged as they stream, validated, stripped or converted, then named. All or nothing.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use super::{
    ServiceError,
    locks::HashLocks,
    looks::{self, Looking},
    now_secs,
    originals::Original,
    pool::{Class, Pool},
    process::Process,
    proxies::{New, Proxies, Proxy},
    validation::Validation,
};
use crate::{
    codec::{self, Budget, Decoded},
    domain::{Alias, Asked, Compat, DeleteToken, Details, Format, Hash, Looks, OutputFormat, Remote, Terms},
    pixels::{Engines, Stop},
    repo::{NewAlias, OriginalRecord, Repo, UploadKey},
    sandbox::{self, Sandbox},
    store::{Staged, Staging, StagingError, StagingFile, Store, StoreKey},
    timing::Stage,
};

/// How far into a file its size in pixels is looked for before a thread and memory are given to it.
const HEAD_BYTES: u64 = 256 * 1024;

/// How pictures are taken in.
#[derive(Clone)]
pub struct IngestOptions {
    /// Every upload is converted to this format.
    pub convert: Option<OutputFormat>,
    /// Whose names pictures get.
    pub compat: Compat,
    /// Largest file.
    pub max_file_size_bytes: u64,
    /// Limits of the decoders.
    pub budget: Budget,
    /// Where some of them run, if not here.
    pub sandbox: Option<Arc<Sandbox>>,
    /// Who is asked about every picture before it is stored.
    pub validation: Option<Arc<Validation>>,
}

/// The rules one picture is taken in under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Decoded in full, stripped of metadata, converted if so configured.
    Validate,
    /// Taken as it is, if it is a format that can be served: an import by somebody trusted.
    Trust,
}

/// A picture that is complete, checked and staged, and not yet named.
#[derive(Debug)]
pub struct Prepared {
    hash: Hash,
    record: OriginalRecord,
    alias: Option<Alias>,
    /// One that it had elsewhere.
    delete_token: Option<DeleteToken>,
    /// Where it came from, if nobody uploaded it.
    remote: Option<Remote>,
    content: Content,
    proxy: Option<New>,
    looks: Option<Looks>,
}

impl Prepared {
    /// The same, with a delete token that it had elsewhere.
    #[must_use]
    pub fn with_token(self, token: DeleteToken) -> Self {
        Self { delete_token: Some(token), ..self }
    }

    /// The same, to be named so.
    #[must_use]
    pub fn under(self, alias: Alias) -> Self {
        Self { alias: Some(alias), ..self }
    }

    /// The same, as a remote picture.
    #[must_use]
    pub fn of_remote(self, remote: Remote) -> Self {
        Self { remote: Some(remote), ..self }
    }

    /// What it is stored as.
    #[must_use]
    pub const fn original(&self) -> (Hash, OriginalRecord) {
        (self.hash, self.record)
    }
}

/// Where the bytes of a prepared picture are.
#[derive(Debug)]
enum Content {
    /// Staged, to be put unless the original is there already.
    Staged(Staged),
    /// In the store, since an earlier upload of the same bytes; the upload is kept in case that original is
    /// deleted before this one is named.
    Known { upload: Arc<Staged>, rules: Rules, terms: Terms },
}

/// What the pool made of an upload.
struct Processed {
    hash: Hash,
    record: OriginalRecord,
    staged: Staged,
    /// Of the pixels that were seen on the way.
    proxy: Option<New>,
    looks: Option<Looks>,
}

/// A named picture: what the client gets.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its public name.
    pub alias: Alias,
    /// The secret that deletes it.
    pub delete_token: DeleteToken,
    /// The hash of its stored bytes.
    pub hash: Hash,
    /// What is known of it: since the first upload of these bytes, if there was one before.
    pub record: OriginalRecord,
    /// Its blurhash, if that is known by now. Of a JPEG it is.
    pub blurhash: Option<String>,
}

/// Takes pictures in.
pub struct Ingest {
    options: IngestOptions,
    staging: Arc<Staging>,
    store: Arc<dyn Store>,
    repo: Arc<dyn Repo>,
    pool: Arc<Pool>,
    locks: Arc<HashLocks>,
    proxies: Arc<Proxies>,
    engines: Arc<Engines>,
    looking: Arc<Looking>,
    /// What does the steps of an upload.
    variants: Arc<Process>,
}

impl Ingest {
    /// Wires the parts.
    pub fn new(
        options: IngestOptions,
        (staging, store): (Arc<Staging>, Arc<dyn Store>),
        repo: Arc<dyn Repo>,
        pool: Arc<Pool>,
        locks: Arc<HashLocks>,
        proxies: Arc<Proxies>,
        (engines, looking, variants): (Arc<Engines>, Arc<Looking>, Arc<Process>),
    ) -> Self {
        Self { options, staging, store, repo, pool, locks, proxies, engines, looking, variants }
    }

    /// Largest file that is taken in.
    #[must_use]
    pub fn max_file_size_bytes(&self) -> u64 {
        self.options.max_file_size_bytes
    }

    /// Begins a file that will be streamed in; it refuses to grow past the size limit.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub async fn begin(&self) -> Result<StagingFile, ServiceError> {
        Ok(self.staging.begin(self.options.max_file_size_bytes).await?)
    }

    /// Checks a complete upload and makes of it what will be stored. With `alias` it is an import under that name.
    ///
    /// # Errors
    /// Whatever is wrong with the picture; nothing is left behind.
    pub async fn prepare(&self, upload: Staged, alias: Option<Alias>, rules: Rules) -> Result<Prepared, ServiceError> {
        self.prepare_under(upload, alias, rules, &Terms::default()).await
    }

    /// The same under the terms of this upload: its limits are held against what came in, then its steps are done, and what comes of them
    /// is stored in the format that it would have been stored in.
    ///
    /// # Errors
    /// As [`Self::prepare`], and [`ServiceError::Limit`].
    pub async fn prepare_under(
        &self,
        upload: Staged,
        alias: Option<Alias>,
        rules: Rules,
        terms: &Terms,
    ) -> Result<Prepared, ServiceError> {
        terms.limits.check_size(upload.size_bytes())?;
        let upload = Arc::new(upload);
        let key = self.upload_key(upload.hash(), rules, terms);
        if let Some(hash) = self.repo.uploaded(&key).await?
            && let Some(record) = self.repo.original(&hash).await?
        {
            let key = StoreKey::Original { hash, format: record.details.format };
            if let Some(validation) = &self.options.validation {
                validation.of_stored(&self.store, &key, record.size_bytes, record.details.format).await?;
            }
            let content = Content::Known { upload, rules, terms: terms.clone() };
            let (delete_token, remote, proxy, looks) = Default::default();
            return Ok(Prepared { hash, record, alias, delete_token, remote, content, proxy, looks });
        }
        let Processed { hash, record, staged, proxy, looks } = self.process(upload, key, rules, terms).await?;
        if let Some(validation) = &self.options.validation {
            validation.of_staged(&staged, record.details.format).await?;
        }
        let (delete_token, remote, content) = (None, None, Content::Staged(staged));
        Ok(Prepared { hash, record, alias, delete_token, remote, content, proxy, looks })
    }

    /// Names all of `prepared`, in one transaction, after their files are durable.
    ///
    /// # Errors
    /// [`RepoError::AliasTaken`](crate::repo::RepoError::AliasTaken) for an import under a name that is taken, or a fault of store or repo; then none
    /// of them is named and no file of theirs is left.
    pub async fn name(self: &Arc<Self>, prepared: Vec<Prepared>) -> Result<Vec<Named>, ServiceError> {
        let this = Arc::clone(self);
        // In a task of its own: a client that goes away must not stop this between a file and its row.
        let naming = tokio::spawn(async move { this.put_and_name(prepared).await }.in_current_span());
        naming.await.map_err(|_panicked| ServiceError::Panicked)?
    }

    async fn put_and_name(&self, mut prepared: Vec<Prepared>) -> Result<Vec<Named>, ServiceError> {
        let held = loop {
            let held = self.locks.lock(prepared.iter().map(|one| one.hash)).await;
            let Some(gone) = self.gone(&prepared).await? else { break held };
            drop(held);
            self.make_again(&mut prepared[gone]).await?;
        };
        let proxies: Vec<(Hash, New)> =
            prepared.iter_mut().filter_map(|one| Some((one.hash, one.proxy.take()?))).collect();
        let looks: Vec<(Hash, Looks)> =
            prepared.iter_mut().filter_map(|one| Some((one.hash, one.looks.take()?))).collect();
        let mut put = Vec::new();
        let mut named = Vec::with_capacity(prepared.len());
        let outcome = self.put_and_add(&mut prepared, &mut put, &mut named).await;
        if let Err(error) = outcome {
            self.take_back(put).await;
            return Err(error);
        }
        drop(held);
        for (hash, proxy) in proxies {
            self.proxies.keep(hash, proxy);
        }
        for one in &mut named {
            let seen = looks.iter().find(|(hash, _)| *hash == one.hash);
            one.blurhash = match seen {
                Some((_, looks)) => Some(looks.blurhash.clone()),
                // It is stored by now, and is not refused because this cannot be read.
                None => self.repo.looks(&one.hash).await.ok().flatten().map(|looks| looks.blurhash),
            };
        }
        // Not waited for: it need not be there when the upload is answered.
        if !looks.is_empty() {
            let looking = Arc::clone(&self.looking);
            tokio::spawn(async move {
                for (hash, looks) in looks {
                    looking.keep(&hash, looks).await;
                }
            });
        }
        Ok(named)
    }

    /// The first of `prepared` whose original was there, and has been deleted since it was looked up.
    async fn gone(&self, prepared: &[Prepared]) -> Result<Option<usize>, ServiceError> {
        for (at, one) in prepared.iter().enumerate() {
            if matches!(one.content, Content::Known { .. }) && self.repo.original(&one.hash).await?.is_none() {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Makes anew what was deleted, of the same bytes under the same terms. Without the lock: steps may run on another engine this time, and
    /// then it is another file.
    async fn make_again(&self, one: &mut Prepared) -> Result<(), ServiceError> {
        let Content::Known { upload, rules, terms } = &one.content else { return Ok(()) };
        let made = self.process(Arc::clone(upload), one.record.upload, *rules, terms).await?;
        (one.hash, one.record, one.content) = (made.hash, made.record, Content::Staged(made.staged));
        (one.proxy, one.looks) = (made.proxy, made.looks);
        Ok(())
    }

    /// Puts the files that are not there yet, noting them in `put`, and adds the rows; who they are is left in `named`.
    async fn put_and_add(
        &self,
        prepared: &mut Vec<Prepared>,
        put: &mut Vec<(Hash, StoreKey)>,
        named: &mut Vec<Named>,
    ) -> Result<(), ServiceError> {
        let mut batch: Vec<NewAlias> = Vec::with_capacity(prepared.len());
        for one in prepared.drain(..) {
            let key = StoreKey::Original { hash: one.hash, format: one.record.details.format };
            let stored = self.repo.original(&one.hash).await?;
            let earlier = batch.iter().find(|earlier| earlier.hash == one.hash).map(|earlier| earlier.original);
            let record = stored.or(earlier).unwrap_or(one.record);
            match one.content {
                _ if stored.is_some() || put.iter().any(|(hash, _)| *hash == one.hash) => {}
                Content::Staged(staged) => {
                    put.push((one.hash, key.clone()));
                    self.store.put_file(&key, staged).await?;
                }
                // Its row was there after the lock was taken, so its file is.
                Content::Known { .. } => {}
            }
            let alias = one.alias.unwrap_or_else(|| self.new_name(one.record.details.format));
            let delete_token = one.delete_token.unwrap_or_else(DeleteToken::generate);
            let token = delete_token.kept(&alias);
            let remote = one.remote;
            batch.push(NewAlias { alias: alias.clone(), token, hash: one.hash, original: one.record, remote });
            named.push(Named { alias, delete_token, hash: one.hash, record, blurhash: None });
        }
        Ok(self.repo.add_aliases(batch).await?)
    }

    /// A name for a new picture in this format.
    fn new_name(&self, format: Format) -> Alias {
        match self.options.compat {
            Compat::V02 => Alias::generate(format),
            Compat::V05 => Alias::generate_uuid(format),
        }
    }

    /// Deletes files that were put for rows that did not come. The caller holds the locks of the hashes.
    async fn take_back(&self, put: Vec<(Hash, StoreKey)>) {
        for (hash, key) in put {
            // A repo that failed may have kept the row all the same: the file stays, for the sweep to judge.
            if !matches!(self.repo.original(&hash).await, Ok(None)) || !self.repo.is_ready() {
                continue;
            }
            if let Err(error) = self.store.delete(&key).await {
                tracing::warn!(%key, %error, "a file of a failed upload stays until the next start");
            }
        }
    }

    /// Decodes, strips and converts, holds the limits against what came in, and does the steps; returns what is to be stored, staged.
    async fn process(
        &self,
        upload: Arc<Staged>,
        key: UploadKey,
        rules: Rules,
        terms: &Terms,
    ) -> Result<Processed, ServiceError> {
        let processed = self.take_in(upload, key, rules).await?;
        terms.limits.check(&processed.record.details)?;
        if terms.steps.is_empty() { Ok(processed) } else { self.change(processed, &terms.steps).await }
    }

    /// Does the steps of an upload to what would be stored without them. What they do not change stays as it is, to the byte.
    async fn change(&self, processed: Processed, steps: &Asked) -> Result<Processed, ServiceError> {
        let Processed { hash, record, staged, looks, .. } = &processed;
        let original = Original { hash: *hash, record: *record };
        let deadline = self.pool.deadline();
        let seen = if !steps.is_smart() || looks.is_some() {
            looks.clone()
        } else {
            Some(self.looking.of_staged(&record.details, staged, deadline).await?)
        };
        let Some(change) = self.variants.change(original, steps, seen.as_ref(), deadline)? else {
            return Ok(processed);
        };
        let looks = if change.only_reduces() { processed.looks } else { None };
        let (staged, details) = self.variants.changed(change, processed.staged, Arc::clone(&self.staging)).await?;
        let record = self::record(details, staged.size_bytes(), processed.record.upload);
        Ok(Processed { hash: staged.hash(), record, staged, proxy: None, looks })
    }

    /// Decodes, strips and converts on the processing pool; returns what is to be stored, staged.
    async fn take_in(&self, upload: Arc<Staged>, key: UploadKey, rules: Rules) -> Result<Processed, ServiceError> {
        let (staging, options) = (Arc::clone(&self.staging), self.options.clone());
        let (proxies, engines) = (Arc::clone(&self.proxies), Arc::clone(&self.engines));
        let stages = Arc::clone(self.pool.stages());
        let size_bytes = upload.size_bytes();
        let head = upload.head(HEAD_BYTES).await.map_err(unreadable(&upload))?;
        let decoded_bytes = match codec::peak_bytes(&head) {
            Ok(bytes) => bytes,
            // The header is damaged, and will be refused before a pixel is allocated.
            Err(_damaged) if size_bytes <= head.len() as u64 => 0,
            // The size stands further back: whatever it is, it is under the limit or refused.
            Err(_further_back) => options.budget.max_pixels.saturating_mul(4),
        };
        let sandbox = options.sandbox.clone().filter(|_| codec::is_apart(&head));
        let child_bytes = sandbox::child_bytes(sandbox.as_deref(), size_bytes);
        drop(head);
        // The client sent for as long as it liked: the time of the job begins when all is there.
        self.pool
            .reserve(
                Class::Upload,
                decoded_bytes.saturating_add(size_bytes).saturating_add(child_bytes),
                self.pool.deadline(),
            )
            .await?
            .run(move |stop| {
                let bytes = upload.read_blocking().map_err(unreadable(&upload))?;
                let budget = Budget { deadline: stop.deadline(), ..options.budget };
                let decoder = sandbox::decoder(sandbox.as_deref(), stop);
                let apart = decoder.as_ref().map(|decoder| decoder as codec::Apart<'_>);
                let (ingested, seen) = stages.time(Stage::Decode, || match rules {
                    Rules::Validate => {
                        let wanted = |details: &Details| proxies.scale(details).or_else(|| looks::scale(details));
                        codec::ingest_seeing(bytes, options.convert, wanted, apart, &budget)
                    }
                    Rules::Trust => codec::accept_by(bytes, apart, &budget).map(|ingested| (ingested, None)),
                })?;
                let looks = seen.as_ref().and_then(|seen| seen_looks(seen, &engines, stop));
                let has_proxy = proxies.divisor(&ingested.details).is_some();
                let proxy = seen.filter(|_| has_proxy).map(Proxy::from).and_then(|proxy| proxies.hold(&proxy));
                let staged = staging.write_pieces_blocking(std::iter::once(ingested.stored.as_slice()))?;
                let record = record(ingested.details, staged.size_bytes(), key);
                Ok(Processed { hash: staged.hash(), record, staged, proxy, looks })
            })
            .await
    }

    /// What identifies an upload of these bytes under these rules: the rules are part of it, so that what was
    /// taken in on trust is never the answer to an upload that is to be validated, nor one under other terms.
    fn upload_key(&self, bytes: Hash, rules: Rules, terms: &Terms) -> UploadKey {
        let convert = self.options.convert.map_or("as it is", OutputFormat::extension);
        let mut rules = match rules {
            Rules::Validate => format!("validated, {convert}"),
            Rules::Trust => "trusted".to_owned(),
        };
        if !terms.is_empty() {
            rules.push_str("; ");
            rules.push_str(&terms.key());
        }
        let digest = Sha256::new().chain_update(bytes.as_bytes()).chain_update(rules).finalize();
        UploadKey(Hash::from_bytes(digest.into()))
    }
}

/// What a picture looks like; that it cannot be found now is no reason to refuse it.
fn seen_looks(seen: &Decoded, engines: &Engines, stop: &Stop) -> Option<Looks> {
    let looks = looks::see(seen, engines, stop);
    if let Err(error) = &looks {
        tracing::warn!(%error, "what a picture looks like was not found, and will be when somebody asks");
    }
    looks.ok()
}

fn unreadable(upload: &Staged) -> impl FnOnce(std::io::Error) -> StagingError {
    let path = upload.path().to_owned();
    move |source| StagingError::Io { doing: "reading", path, source }
}

fn record(details: Details, size_bytes: u64, upload: UploadKey) -> OriginalRecord {
    OriginalRecord { details, size_bytes, created_secs: now_secs(), upload }
}
