//! How many variants may be made anew: of one picture in an hour, and of all pictures in a second. What is there already is served however often.
//!
//! Whoever may ask for any size can ask for thousands of one picture, each of which costs a decode. The queue bounds what that takes of the
//! machine at a time, and this what one picture may take of the queue. It is no answer to somebody who has thousands of pictures to ask for: that is
//! a fixed set of variants, or signed requests.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use quick_cache::unsync::Cache;

use super::gates::{Full, Gate};
use crate::domain::Hash;

/// Pictures that are remembered, some 100 bytes each: those that variants were made of last. One that is forgotten begins anew.
const PICTURES: usize = 16_384;

const HOUR: Duration = Duration::from_secs(3600);

/// As many of a second's as may come at once after a rest.
const BURST: Duration = Duration::from_secs(10);

/// The limits.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuotaOptions {
    /// New variants of one picture in an hour; 0 is no limit.
    pub per_picture: u32,
    /// New variants of all pictures in a second, ten seconds' worth of them at once; 0 is no limit.
    pub per_sec: u32,
}

/// So many in a window, however they are spread over it: the generic cell rate algorithm (ITU-T I.371, annex A), whose only state is when
/// the next one would be due if they came evenly.
#[derive(Clone, Copy, Debug)]
struct Rate {
    count: u32,
    interval: Duration,
    window: Duration,
}

impl Rate {
    /// `count` in `window`; `None` where that is no limit.
    fn new(count: u32, window: Duration) -> Option<Self> {
        (count > 0).then(|| Self { count, interval: window / count, window })
    }

    /// When the one after this is due, with this at `now`; or how long to wait for it.
    fn take(&self, due: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let next = due.map_or(now, |due| due.max(now)) + self.interval;
        let ahead = next.duration_since(now);
        if ahead <= self.window { Ok(next) } else { Err(ahead - self.window) }
    }
}

/// What was made lately, and what may be.
pub struct Quota {
    picture: Option<Rate>,
    all: Option<Rate>,
    due: Mutex<Due>,
    refused: [AtomicU64; 2],
}

struct Due {
    pictures: Cache<Hash, Instant>,
    all: Option<Instant>,
}

impl Quota {
    /// With nothing made yet.
    #[must_use]
    pub fn new(options: QuotaOptions) -> Self {
        let per_burst = options.per_sec.saturating_mul(u32::try_from(BURST.as_secs()).unwrap_or(1));
        Self {
            picture: Rate::new(options.per_picture, HOUR),
            all: Rate::new(per_burst, BURST),
            due: Mutex::new(Due { pictures: Cache::new(PICTURES), all: None }),
            refused: Default::default(),
        }
    }

    /// Takes a variant of this picture that is about to be made.
    ///
    /// # Errors
    /// [`Full`] with the limit, and when there is room for the next.
    pub fn take(&self, hash: &Hash) -> Result<(), Full> {
        self.take_at(hash, Instant::now())
    }

    fn take_at(&self, hash: &Hash, now: Instant) -> Result<(), Full> {
        let full = |gate, rate: Rate, retry| Full { gate, value: rate.count.into(), limit: rate.count.into(), retry };
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match self.picture {
            Some(rate) => Some(rate.take(due.pictures.get(hash).copied(), now).map_err(|retry| {
                self.count(0);
                full(Gate::Picture, rate, retry)
            })?),
            None => None,
        };
        if let Some(rate) = self.all {
            let next = rate.take(due.all, now).map_err(|retry| {
                self.count(1);
                full(Gate::Rate, rate, retry)
            })?;
            due.all = Some(next);
        }
        if let Some(next) = next {
            due.pictures.insert(*hash, next);
        }
        Ok(())
    }

    fn count(&self, which: usize) {
        if let Some(count) = self.refused.get(which) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Variants refused since the start: because of their picture, and because of all.
    #[must_use]
    pub fn refused(&self) -> [u64; 2] {
        self.refused.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(first: u8) -> Hash {
        Hash::from_bytes([first; 32])
    }

    #[test]
    fn a_picture_has_its_hours_worth_at_once_and_then_one_at_a_time() {
        let quota = Quota::new(QuotaOptions { per_picture: 4, per_sec: 0 });
        let start = Instant::now();
        for _ in 0..4 {
            quota.take_at(&hash(1), start).unwrap();
        }
        let full = quota.take_at(&hash(1), start).unwrap_err();
        assert_eq!((full.gate, full.limit, full.retry), (Gate::Picture, 4, HOUR / 4));
        quota.take_at(&hash(2), start).unwrap();
        let later = start + HOUR / 4;
        quota.take_at(&hash(1), later).unwrap();
        assert!(quota.take_at(&hash(1), later + Duration::from_secs(1)).is_err());
        // After a rest all of it again, and no more than that.
        let rested = later + 20 * HOUR;
        assert_eq!((0..9).filter(|_| quota.take_at(&hash(1), rested).is_ok()).count(), 4);
        assert_eq!(quota.refused(), [7, 0]);
    }

    #[test]
    fn all_pictures_together_have_a_rate_and_what_it_refuses_is_not_taken_of_a_picture() {
        let quota = Quota::new(QuotaOptions { per_picture: 1000, per_sec: 3 });
        let start = Instant::now();
        let taken = (0..100).filter(|n| quota.take_at(&hash(*n), start).is_ok()).count();
        assert_eq!(taken, 30);
        let full = quota.take_at(&hash(1), start).unwrap_err();
        assert_eq!((full.gate, full.limit), (Gate::Rate, 30));
        let taken =
            |secs| (0..100).filter(|_| quota.take_at(&hash(1), start + Duration::from_secs(secs)).is_ok()).count();
        assert_eq!([taken(1), taken(2), taken(100)], [3, 3, 30]);
        assert_eq!(quota.refused()[0], 0);
    }

    #[test]
    fn without_limits_nothing_is_refused_and_however_many_pictures_there_are_few_are_remembered() {
        let quota = Quota::new(QuotaOptions::default());
        assert!((0..10_000).all(|_| quota.take(&hash(1)).is_ok()));
        let quota = Quota::new(QuotaOptions { per_picture: 1, per_sec: 0 });
        for n in 0_u32..3 * 16_384 {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&n.to_le_bytes());
            quota.take(&Hash::from_bytes(bytes)).unwrap();
        }
        assert!(quota.due.lock().unwrap().pictures.len() <= PICTURES);
    }
}
