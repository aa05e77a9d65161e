//! Variants: looked up, or made once however many ask.

mod decode;
mod finish;
mod ops;
mod steps;
mod turn;
mod view;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use tokio::sync::OwnedSemaphorePermit;

use self::{
    decode::{Ready, Source, decode, divided, plan_for},
    finish::{Encoded, Target, encoding_bytes, finish},
    ops::ops,
    turn::Turn,
};
use super::{
    ServiceError,
    cache::{Cache, Found},
    flight::Flight,
    late::{Late, Reason, Waited},
    looks::Looking,
    now_secs,
    originals::Original,
    pool::{Class, Pool, Reservation},
    proxies::{New, Proxies, Proxy},
    quota::{Quota, QuotaOptions},
};
use crate::{
    codec::{self, Budget, Encoders, Scale},
    domain::{Format, Hash, OutputFormat, Variant, VariantKey},
    pixels::{Engines, Op, Pixmap, Plan, PlanLimits, Size, Stop, exec, plan},
    repo::{OriginalRecord, VariantRecord},
    sandbox::{self, Sandbox},
    store::{Store, StoreKey},
    timing::{Stage, Stages},
};

/// The most that decoding holds for a pixel of what is decoded whole: a progressive JPEG at 4:4:4 has 6 bytes of coefficients and 3 of
/// colour, a 16-bit PNG 8 and 4.
const DECODE_BYTES_A_PIXEL: u64 = 12;

/// The largest AVIF that is made: one of 4K took about 12 s on one thread of a small machine.
pub const AVIF_MAX_PIXELS: u64 = 3840 * 2160;

/// How long after its deadline a request waits for the computation to say what the time went to.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Longer than any job may take.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// How variants are made.
#[derive(Clone, Debug)]
pub struct ProcessOptions {
    /// Limits of the decoders.
    pub budget: Budget,
    /// Where some of them run, if not here.
    pub sandbox: Option<Arc<Sandbox>>,
    /// Limits of the plans.
    pub plan: PlanLimits,
    /// How variants are encoded.
    pub encoders: Encoders,
    /// How long a request waits for an AVIF before it is answered with a WebP.
    pub avif_budget: Duration,
    /// How many variants may be made.
    pub quota: QuotaOptions,
}

/// A variant that is there: where its bytes are, and what is known of them.
#[derive(Clone, Debug)]
pub struct Made {
    /// Where they are stored.
    pub key: StoreKey,
    /// What is known of them.
    pub record: VariantRecord,
    /// The bytes themselves, when they were made just now.
    pub bytes: Option<Bytes>,
}

/// What is known of a variant that is there.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Of its file.
    pub record: VariantRecord,
    /// Its columns in pixels.
    pub width: u32,
    /// Its rows in pixels.
    pub height: u32,
}

/// A variant to be made: upright, `plan` is for all of the picture and of `ops`.
struct Work {
    original: Original,
    variant: Variant,
    ops: Vec<Op>,
    plan: Plan,
    moves: bool,
    class: Class,
    /// By when it is to be done.
    deadline: Instant,
    /// What its proxy is divided by, if it is to be made by way of one.
    wanted: Option<u32>,
    /// Held until the thread is free again, not only as long as somebody waits for it.
    #[expect(dead_code, reason = "held, not read")]
    share: Option<OwnedSemaphorePermit>,
}

impl Work {
    /// The scale at which a JPEG comes for it.
    fn scale(&self) -> Scale {
        let divisor = self.wanted.unwrap_or_else(|| plan::divisor(&self.ops, self.plan.source()));
        Scale::of_divisor(divisor)
    }
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// What it asked for.
    Made(Made),
    /// This variant, which it did not ask for, and why.
    Instead(Box<(Variant, Made)>, Reason),
}

/// Makes variants.
pub struct Process {
    options: ProcessOptions,
    store: Arc<dyn Store>,
    cache: Arc<Cache>,
    engines: Arc<Engines>,
    pool: Arc<Pool>,
    proxies: Arc<Proxies>,
    looking: Arc<Looking>,
    quota: Quota,
    /// By picture, variant and how often all variants were dropped: who asks after that joins no computation that looked at a row before it.
    flight: Flight<(Hash, VariantKey, u64), Result<Made, ServiceError>>,
    dropped: AtomicU64,
    late: Arc<Late>,
}

impl Process {
    /// Wires the parts.
    pub fn new(
        options: ProcessOptions,
        store: Arc<dyn Store>,
        cache: Arc<Cache>,
        engines: Arc<Engines>,
        pool: Arc<Pool>,
        (proxies, looking): (Arc<Proxies>, Arc<Looking>),
    ) -> Self {
        let late = Arc::new(Late::new(pool.workers()));
        let (flight, dropped, quota) = (Flight::default(), AtomicU64::new(0), Quota::new(options.quota));
        Self { options, store, cache, engines, pool, proxies, looking, quota, flight, dropped, late }
    }

    /// What a request for `variant` is answered with: the variant, but for an AVIF that is not there and not made within its
    /// budget. Then it is the same picture as WebP, while the AVIF is finished in the background and stored. Whatever it takes, the answer is to be
    /// there by `deadline`.
    ///
    /// # Errors
    /// As [`Self::variant`].
    pub async fn answer(
        self: &Arc<Self>,
        original: &Original,
        variant: Variant,
        deadline: Instant,
    ) -> Result<Answer, ServiceError> {
        if variant.format() != OutputFormat::Avif {
            return Ok(Answer::Made(self.variant(original, variant, deadline).await?));
        }
        let key = variant.key();
        let stored = StoreKey::Variant { hash: original.hash, key: key.clone(), format: variant.format() };
        if let Some(Found { record, bytes }) = self.cache.find(&original.hash, &key).await? {
            return Ok(Answer::Made(Made { key: stored, record, bytes }));
        }
        let plan = self.plan(original, &self.ops(original, &variant, deadline).await?)?;
        let size = plan.output();
        // Nothing could be answered instead.
        let is_patient = size.width.max(size.height) > codec::WEBP_MAX_SIDE;
        let reason = if size.pixels() > AVIF_MAX_PIXELS {
            Reason::Size
        } else {
            let (this, theirs, asked) = (Arc::clone(self), original.clone(), variant.clone());
            let make = |thread| async move { this.make(theirs, asked, stored, Turn::Late(thread)).await };
            let budget = if is_patient { FOR_EVER } else { self.options.avif_budget };
            match self.late.wait((original.hash, key), budget, make).await {
                Waited::Done(made) => return Ok(Answer::Made(made?)),
                Waited::Not(reason) => reason,
            }
        };
        self.late.count(reason);
        // A still picture is the same WebP for everyone; only an animation has one that stands still and one that does not.
        let instead = variant.instead(OutputFormat::Webp, original.record.details.frames > 1);
        let made = self.variant(original, instead.clone(), deadline).await?;
        Ok(Answer::Instead(Box::new((instead, made)), reason))
    }

    /// AVIFs that are being made or wait for a thread, and how often something else was answered, in the order of
    /// [`Reason::ALL`].
    #[must_use]
    pub fn late(&self) -> (usize, [u64; 3]) {
        (self.late.len(), self.late.answered())
    }

    /// What became of the processes that decoded, for uploads too, by name: see [`sandbox::Outcome`].
    #[must_use]
    pub fn decoders(&self) -> [(&'static str, u64); sandbox::Outcome::ALL.len()] {
        sandbox::outcomes(self.options.sandbox.as_deref())
    }

    /// Variants refused since the start because of [`QuotaOptions`]: those of one picture, and those of all.
    #[must_use]
    pub fn refused(&self) -> [u64; 2] {
        self.quota.refused()
    }

    /// What the engine does for the filters of the variant. Where the eye goes is looked for if one of them asks.
    async fn ops(&self, original: &Original, variant: &Variant, deadline: Instant) -> Result<Vec<Op>, ServiceError> {
        let details = original.record.details;
        let looks = if variant.filters().iter().any(|filter| filter.is_smart()) {
            Some(self.looking.of(original, deadline).await?)
        } else {
            None
        };
        let whole = Size::new(details.width, details.height);
        Ok(ops(variant.filters(), whole, looks.as_ref().map(|looks| &looks.saliency)))
    }

    /// The plan for a picture upright, as decoders of everything but JPEG give it.
    fn plan(&self, original: &Original, ops: &[Op]) -> Result<Plan, ServiceError> {
        let details = original.record.details;
        Ok(Plan::new(ops, Size { width: details.width, height: details.height }, &self.options.plan)?)
    }

    /// The variant of `original`, from the store or made by `deadline`. Who joins a computation has its time, if that is over sooner.
    ///
    /// # Errors
    /// Refusals of plan or codec, a missing file, or the pool's [`ServiceError::Busy`] and the like.
    pub async fn variant(
        self: &Arc<Self>,
        original: &Original,
        variant: Variant,
        deadline: Instant,
    ) -> Result<Made, ServiceError> {
        let key = variant.key();
        let stored = StoreKey::Variant { hash: original.hash, key: key.clone(), format: variant.format() };
        if let Some(Found { record, bytes }) = self.cache.find(&original.hash, &key).await? {
            return Ok(Made { key: stored, record, bytes });
        }
        let flight_key = (original.hash, key, self.dropped.load(Ordering::Acquire));
        if !self.flight.has(&flight_key) {
            // Nothing is begun for what would be refused: of that there may be a lot.
            self.pool.check(Class::Variant, deadline)?;
        }
        let (this, original) = (Arc::clone(self), original.clone());
        let make = move || async move { this.make(original, variant, stored, Turn::By(deadline)).await };
        // Whoever is at work on it gives up at the deadline too, and says better why.
        match tokio::time::timeout_at((deadline + LAST_WORD).into(), self.flight.run(flight_key, make)).await {
            Ok(made) => made.unwrap_or(Err(ServiceError::Panicked)),
            Err(_elapsed) => Err(self.pool.timed_out()),
        }
    }

    /// The variant as it was made, with its size in pixels; `None` when it was not.
    ///
    /// # Errors
    /// A refusal of the plan, a fault of the repo; what looking for where the eye goes may answer.
    pub async fn described(
        &self,
        original: &Original,
        variant: &Variant,
        deadline: Instant,
    ) -> Result<Option<Described>, ServiceError> {
        let Some(found) = self.cache.find(&original.hash, &variant.key()).await? else { return Ok(None) };
        let Size { width, height } = self.plan(original, &self.ops(original, variant, deadline).await?)?.output();
        Ok(Some(Described { record: found.record, width, height }))
    }

    /// Whether the variant is there. It counts as used.
    ///
    /// # Errors
    /// A fault of the repo.
    pub async fn is_made(&self, original: &Original, variant: &Variant) -> Result<bool, ServiceError> {
        Ok(self.cache.find(&original.hash, &variant.key()).await?.is_some())
    }

    /// Forgets a variant whose file was not found, so that the next request makes it again.
    ///
    /// # Errors
    /// A fault of store or repo.
    pub async fn forget(&self, original: &Original, variant: &Variant) -> Result<(), ServiceError> {
        let (hash, key, format) = (original.hash, variant.key(), variant.format());
        self.cache.forget_lost(&StoreKey::Variant { hash, key: key.clone(), format }, &key).await
    }

    /// Drops every variant: when this returns none of them is served any more, whoever leaves. Their files go in the background.
    ///
    /// # Errors
    /// A fault of the repo.
    pub async fn drop_all(self: &Arc<Self>) -> Result<(), ServiceError> {
        let this = Arc::clone(self);
        // In a task of its own: copies count again when this ends, and must not before the rows are gone.
        let dropping = tokio::spawn(async move {
            let count = || {
                this.dropped.fetch_add(1, Ordering::AcqRel);
            };
            this.cache.drop_all(count).await
        });
        dropping.await.map_err(|_panicked| ServiceError::Panicked)?
    }

    async fn make(
        self: Arc<Self>,
        original: Original,
        variant: Variant,
        stored: StoreKey,
        turn: Turn,
    ) -> Result<Made, ServiceError> {
        let key = variant.key();
        let ticket = self.cache.ticket(&original.hash);
        // Whoever came just after the last one finished finds its row.
        if let Some(Found { record, bytes }) = self.cache.look(&original.hash, &key).await? {
            return Ok(Made { key: stored, record, bytes });
        }
        self.quota.take(&original.hash)?;
        let (_, deadline) = self.terms(&turn);
        let (hash, ops) = (original.hash, self.ops(&original, &variant, deadline).await?);
        let wanted = self.proxy_for(&original, &ops);
        let found = match wanted {
            Some(divisor) => self.proxy(&original, &ops, divisor, &variant, &turn).await?,
            None => None,
        };
        let Encoded { bytes, etag } = match found {
            Some(found) => self.of_proxy(found, ops, &variant, turn).await?,
            None => {
                let (encoded, proxy) = self.of_original(original, variant, ops, wanted, turn).await?;
                if let Some(proxy) = proxy {
                    self.proxies.keep(hash, proxy);
                }
                encoded
            }
        };
        let record = VariantRecord { etag, size_bytes: bytes.len() as u64, created_secs: now_secs() };
        // The answer does not wait for the disk.
        self.cache.keep_later(stored.clone(), key, record, bytes.clone(), ticket).await;
        Ok(Made { key: stored, record, bytes: Some(bytes) })
    }

    /// What the proxy is divided by that the variant is to be made from; `None` when it cannot be made from one.
    fn proxy_for(&self, original: &Original, ops: &[Op]) -> Option<u32> {
        let details = original.record.details;
        let divisor = self.proxies.divisor(&details)?;
        plan::bears(ops, Size::new(details.width, details.height), divisor).then_some(divisor)
    }

    /// What a job is to the pool, and by when it is to be done.
    fn terms(&self, turn: &Turn) -> (Class, Instant) {
        match turn {
            Turn::By(deadline) => (Class::Variant, *deadline),
            // Nobody's request has to wait for it: its time begins with its turn.
            Turn::Late(_thread) => (Class::Late, self.pool.deadline()),
        }
    }

    /// The same, and what is held until its thread is free again.
    fn turn(&self, turn: Turn) -> (Class, Instant, Option<OwnedSemaphorePermit>) {
        let (class, deadline) = self.terms(&turn);
        (class, deadline, turn.thread())
    }

    /// The proxy that the variant is to be made from, read when there is room for that, and the plan; `None` where there is none that is fit.
    async fn proxy(
        &self,
        original: &Original,
        ops: &[Op],
        divisor: u32,
        variant: &Variant,
        turn: &Turn,
    ) -> Result<Option<(Reservation<'_>, Proxy, Plan)>, ServiceError> {
        let whole = Size::new(original.record.details.width, original.record.details.height);
        let Ok(plan) = Plan::divided(ops, whole, divisor, &self.options.plan) else { return Ok(None) };
        // It may lie turned, and rows that are held are then as long as columns are now.
        let (long, short) = (whole.width.max(whole.height), whole.width.min(whole.height).max(1));
        let engine_bytes = self.engines.peak_bytes(&plan).saturating_mul(u64::from(long)) / u64::from(short);
        // The file and its samples, of four channels at most.
        let proxy_bytes = 8 * whole.divided(divisor).pixels();
        let peak_bytes = engine_bytes.saturating_add(proxy_bytes).max(encoding_bytes(&plan, variant));
        let (class, deadline) = self.terms(turn);
        let reservation = self.pool.reserve(class, peak_bytes, deadline).await?;
        let Some(proxy) = self.proxies.find(&original.hash, divisor).await? else { return Ok(None) };
        // Within the limits for the original and past them for its proxy: then it is made of the original.
        Ok(plan_for(ops, &proxy, &self.options.plan).ok().map(|plan| (reservation, proxy, plan)))
    }

    /// The variant, made from the proxy.
    async fn of_proxy(
        &self,
        (reservation, proxy, plan): (Reservation<'_>, Proxy, Plan),
        ops: Vec<Op>,
        variant: &Variant,
        turn: Turn,
    ) -> Result<Encoded, ServiceError> {
        let (engines, stages) = (Arc::clone(&self.engines), Arc::clone(self.pool.stages()));
        let target = Target::of(variant, &self.options.encoders);
        reservation
            .run(move |stop| {
                let _share = turn.thread();
                finish(proxy.picture, plan, &ops, target, (&engines, &stages), stop)
            })
            .await
    }

    /// The variant, made from the original; and the proxy that it was made from on the way, where it is `wanted` so divided.
    async fn of_original(
        &self,
        original: Original,
        variant: Variant,
        ops: Vec<Op>,
        wanted: Option<u32>,
        turn: Turn,
    ) -> Result<(Encoded, Option<New>), ServiceError> {
        let plan = self.plan(&original, &ops)?;
        let moves = original.record.details.frames > 1 && !variant.is_still();
        let peak_bytes = self.whole_peak_bytes(&original, &plan, moves);
        // A proxy is there as pixels and as a file.
        let proxy_bytes = wanted.map_or(0, |by| 8 * plan.source().divided(by).pixels());
        // By then the decoder holds nothing any more.
        let at_least = encoding_bytes(&plan, &variant);
        let (class, deadline, share) = self.turn(turn);
        let work = Arc::new(Work { original, variant, ops, plan, moves, class, deadline, wanted, share });
        let mut encoded = None;
        if let Some(peak_bytes) = self.divided_peak_bytes(&work) {
            encoded = self.encoded(&work, (peak_bytes + proxy_bytes).max(at_least), Source::Divided).await?;
        }
        // What our own decoder does not take, another decodes whole: with the memory for that.
        if encoded.is_none() {
            encoded = self.encoded(&work, (peak_bytes + proxy_bytes).max(at_least), Source::Any).await?;
        }
        encoded.ok_or(ServiceError::Panicked)
    }

    /// What it takes to decode the whole of the original and to run the plan.
    fn whole_peak_bytes(&self, original: &Original, plan: &Plan, moves: bool) -> u64 {
        let OriginalRecord { details, size_bytes, .. } = original.record;
        let pixels = u64::from(details.width) * u64::from(details.height);
        let peak_bytes = pixels * DECODE_BYTES_A_PIXEL + self.engines.peak_bytes(plan) + size_bytes;
        // An animation has a frame on each side, as RGBA, and what is written so far: no more than the frames themselves.
        let frame_bytes = 4 * (pixels + plan.output().pixels());
        let written_bytes = u64::from(details.frames) * plan.output().pixels();
        let peak_bytes = if moves { peak_bytes + 2 * frame_bytes + written_bytes } else { peak_bytes };
        let sandbox = self.options.sandbox.as_deref().filter(|_| details.format == Format::Avif);
        peak_bytes + sandbox::child_bytes(sandbox, size_bytes)
    }

    /// What it takes to make a variant of a JPEG that comes divided, if our own decoder takes it: `None` where none comes so.
    fn divided_peak_bytes(&self, work: &Work) -> Option<u64> {
        let details = work.original.record.details;
        let (whole, size_bytes) = (work.plan.source(), work.original.record.size_bytes);
        let scale = work.scale();
        if details.format != Format::Jpg || scale == Scale::Whole {
            return None;
        }
        let plan = Plan::divided(&work.ops, whole, scale.divisor(), &self.options.plan).ok()?;
        // It may be stored turned, and rows that are held are then as long as columns are now.
        let (long, short) = (whole.width.max(whole.height), whole.width.min(whole.height).max(1));
        let engine_bytes = self.engines.peak_bytes(&plan).saturating_mul(u64::from(long)) / u64::from(short);
        let decoder_bytes = codec::divided_peak_bytes(whole.width, whole.height, scale, size_bytes);
        Some(decoder_bytes.saturating_add(engine_bytes).saturating_add(size_bytes))
    }

    /// The variant as a file, by a thread of the pool; `None` where `source` is not to be had.
    async fn encoded(
        &self,
        work: &Arc<Work>,
        peak_bytes: u64,
        source: Source,
    ) -> Result<Option<(Encoded, Option<New>)>, ServiceError> {
        let reservation = self.pool.reserve(work.class, peak_bytes, work.deadline).await?;
        let key = work.original.key();
        let bytes = self.store.read(&key).await?.ok_or_else(|| ServiceError::FileMissing(key.to_string()))?;
        let (engines, options, work) = (Arc::clone(&self.engines), self.options.clone(), Arc::clone(work));
        let (proxies, stages) = (Arc::clone(&self.proxies), Arc::clone(self.pool.stages()));
        reservation
            .run(move |stop| {
                let made = made_of(bytes, &work, source, &options, (&engines, &stages), stop)?;
                Ok(made.map(|(encoded, proxy)| (encoded, proxy.and_then(|proxy| proxies.hold(&proxy)))))
            })
            .await
    }
}

/// What is to be made of these bytes, as a file, and the proxy that it was made from on the way; `None` where `source` is not to be had
/// of them. For a thread of the pool.
fn made_of(
    bytes: Bytes,
    work: &Work,
    source: Source,
    options: &ProcessOptions,
    (engines, stages): (&Engines, &Stages),
    stop: &Stop,
) -> Result<Option<(Encoded, Option<Proxy>)>, ServiceError> {
    let target = Target::of(&work.variant, &options.encoders);
    let decoder = sandbox::decoder(options.sandbox.as_deref(), stop);
    let apart = decoder.as_ref().map(|decoder| decoder as codec::Apart<'_>);
    let budget = Budget { deadline: stop.deadline(), ..options.budget };
    if work.moves {
        let Target { format, settings, .. } = target;
        let frame = |frame: Pixmap| {
            let made = exec::run_all(&work.plan, (&frame).into(), engines, stop)?;
            let picture = made.into_iter().next().ok_or(ServiceError::Panicked)?;
            target.laid(picture.into_pixmap().map_err(|_broken| ServiceError::Panicked)?)
        };
        let animate = || codec::animate(&bytes, format, settings, &budget, frame);
        let animated = stages.time(Stage::Encode, animate);
        return Ok(Some((Encoded::from(animated?), None)));
    }
    let divide = |decoded, by| divided(decoded, by, &options.plan, engines, stop);
    let Some(Ready { picture, plan, proxy }) =
        decode(&bytes, (apart, &budget), work, &options.plan, source, stages, divide)?
    else {
        return Ok(None);
    };
    drop(bytes);
    Ok(Some((finish(picture, plan, &work.ops, target, (engines, stages), stop)?, proxy)))
}
