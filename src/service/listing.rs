//! All originals in pages, the newest first, for an operator who looks through them.
//!
//! They are kept by hash, so a page is found by looking at every one of them, of which no more are held than a page has. That is for
//! whoever has the key, and now and then: a hundred thousand rows take a fraction of a second.

use std::{collections::BTreeSet, fmt, str::FromStr};

use super::ServiceError;
use crate::{
    domain::{Alias, Hash},
    repo::{OriginalRecord, Repo},
};

/// A place in the order: when an original was first stored, and its hash among those of the same second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Seconds since 1970.
    created_secs: u64,
    hash: Hash,
}

/// A text that is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is none that a page has given")]
pub struct PlaceError;

impl Place {
    /// Behind every original that was stored before this second, and before those of it.
    #[must_use]
    pub const fn before(secs: u64) -> Self {
        Self { created_secs: secs, hash: Hash::from_bytes([0; 32]) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.created_secs, self.hash)
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (secs, hash) = text.split_once('-').ok_or(PlaceError)?;
        let created_secs = u64::from_str_radix(secs, 16).map_err(|_no_number| PlaceError)?;
        Ok(Self { created_secs, hash: hash.parse().map_err(|_no_hash| PlaceError)? })
    }
}

/// An original of a page.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The hash of its stored bytes.
    pub hash: Hash,
    /// What is known of it.
    pub record: OriginalRecord,
    /// Its names, in the order that they were made.
    pub aliases: Vec<Alias>,
    /// Its blurhash, if that is known.
    pub blurhash: Option<String>,
}

/// Some originals after one another.
#[derive(Clone, Debug)]
pub struct Page {
    /// The newest first.
    pub originals: Vec<Listed>,
    /// The place of the first of them.
    pub current: Option<Place>,
    /// The place of the first one of the page before, if there is one.
    pub prev: Option<Place>,
    /// The place of the first one behind them, if there is one.
    pub next: Option<Place>,
}

/// Up to `limit` originals from `start` on, the newest first; all of them from the newest on where there is no start.
///
/// # Errors
/// A fault of the repo.
pub async fn page(repo: &dyn Repo, start: Option<Place>, limit: usize) -> Result<Page, ServiceError> {
    // One more than a page has is the first one behind it.
    let (mut behind, mut before) = (BTreeSet::new(), BTreeSet::new());
    for first in 0..=u8::MAX {
        for (hash, record) in repo.originals_under(first).await? {
            let place = Place { created_secs: record.created_secs, hash };
            if start.is_none_or(|start| place <= start) {
                behind.insert(place);
                if behind.len() > limit + 1 {
                    behind.pop_first();
                }
            } else {
                before.insert(place);
                if before.len() > limit {
                    before.pop_last();
                }
            }
        }
        tokio::task::yield_now().await;
    }
    let next = if behind.len() > limit { behind.pop_first() } else { None };
    let mut originals = Vec::with_capacity(behind.len());
    for Place { hash, .. } in behind.iter().rev().copied() {
        // One that went meanwhile is left out.
        let Some(record) = repo.original(&hash).await? else { continue };
        let (aliases, looks) = (repo.aliases_of(&hash).await?, repo.looks(&hash).await?);
        originals.push(Listed { hash, record, aliases, blurhash: looks.map(|looks| looks.blurhash) });
    }
    Ok(Page { originals, current: behind.last().copied(), prev: before.last().copied(), next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::{MemoryRepo, NewAlias, suite};

    /// A repo with these: a number for the hash, and a time.
    async fn with(originals: &[(u32, u64)]) -> MemoryRepo {
        let repo = MemoryRepo::new();
        for (n, created_secs) in originals {
            let new = suite::new(&format!("{n}.png"), *n);
            let original = OriginalRecord { created_secs: *created_secs, ..new.original };
            repo.add_aliases(vec![NewAlias { original, ..new }]).await.unwrap();
        }
        repo
    }

    async fn numbers(
        repo: &MemoryRepo,
        start: Option<Place>,
        limit: usize,
    ) -> (Vec<u32>, Option<Place>, Option<Place>) {
        let page = page(repo, start, limit).await.unwrap();
        let numbers = page.originals.iter().map(|one| one.record.details.width).collect();
        (numbers, page.prev, page.next)
    }

    #[tokio::test]
    async fn pages_follow_one_another_both_ways_and_leave_nothing_out() {
        let repo = with(&[(1, 50), (2, 10), (3, 30), (4, 30), (5, 40)]).await;
        let (first, prev, next) = numbers(&repo, None, 2).await;
        assert_eq!((first, prev), (vec![1, 5], None));
        let (second, prev, next) = numbers(&repo, next, 2).await;
        assert_eq!(second, [4, 3], "of one second, by hash");
        assert_eq!(numbers(&repo, prev, 2).await.0, [1, 5]);
        let (third, prev, next) = numbers(&repo, next, 2).await;
        assert_eq!((third, next), (vec![2], None));
        assert_eq!(numbers(&repo, prev, 2).await.0, [4, 3]);
        assert_eq!(numbers(&repo, None, 9).await.0, [1, 5, 4, 3, 2]);
        // Older than a second.
        assert_eq!(numbers(&repo, Some(Place::before(30)), 9).await.0, [2]);
        assert_eq!(numbers(&repo, Some(Place::before(31)), 9).await.0, [4, 3, 2]);
        assert!(numbers(&repo, Some(Place::before(0)), 9).await.0.is_empty());
        // A page begins where it began, whether or not that one is still there.
        let at_four = numbers(&repo, None, 2).await.2;
        repo.purge(&suite::hash(4)).await.unwrap();
        assert_eq!(numbers(&repo, at_four, 2).await.0, [3, 2]);
        assert!(numbers(&MemoryRepo::new(), None, 2).await.0.is_empty());
    }

    #[test]
    fn a_place_reads_back_and_nothing_else_does() {
        let place = Place { created_secs: 1_795_894_200, hash: suite::hash(7) };
        assert_eq!(place.to_string().parse(), Ok(place));
        for none in ["", "-", "x-y", "12", "6b0b", &format!("{place}0"), &place.to_string()[1..].replace('-', "")] {
            assert_eq!(none.parse::<Place>(), Err(PlaceError), "{none}");
        }
    }
}
