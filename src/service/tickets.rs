//! Tickets: what makes a copy in memory worthless when its picture is deleted, without anybody looking for the copy.
//!
//! A copy of a variant may be kept in memory by whoever serves it, and is found there without a look at the metadata. It
//! must never be served once a delete, or a purge of all variants, has been acknowledged. The race is this:
//!
//! ```text
//! request   finds alias and row         reads the bytes                     keeps the copy
//! delete                       removes the rows         acknowledges
//! ```
//!
//! The copy comes too late for any clearing that the delete could do. So nothing is cleared. Each hash has a word: a count of the
//! deletes that ran, and of those that run. A request takes the word as a ticket *before* it looks at the rows, and the copy is kept with
//! it. A delete closes the word, removes the rows, then opens it with another count. A copy counts only as long as the word
//! is equal to its ticket.
//!
//! * Taken before the delete closed the word: it differs from then on, and for ever.
//! * Asked for while it is closed: there is no ticket, and no copy counts. Requests look at the rows.
//! * Taken after it opened again, which is after the rows went: the rows were looked at later still, and were not there.
//!
//! The acknowledgement is sent after the opening. Another delete of the same that finds nothing left, and says so at once, is right as well: the
//! rows went while the word was closed, so it is closed yet or counts one more.
//!
//! Hashes share words, which costs the copies of some other pictures, never a wrong answer.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::domain::Hash;

/// Words: a delete costs the copies of one picture in this many.
const WORDS: usize = 4096;

/// Deletes that run are counted in the lower half of a word, those that ran in the upper.
const RAN: u64 = 1 << 32;

/// The words of all hashes.
#[derive(Debug)]
pub struct Tickets {
    words: Box<[AtomicU64]>,
}

/// That nothing of the picture had been deleted when this was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// Words that are closed, until this is dropped. It must not be dropped before the rows are gone: hold it in a task that a client that
/// goes away does not end.
#[must_use]
#[derive(Debug)]
pub struct Closed {
    tickets: Arc<Tickets>,
    words: std::ops::Range<usize>,
}

impl Default for Tickets {
    fn default() -> Self {
        Self { words: (0..WORDS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Tickets {
    /// A ticket for what is made of the picture, to be taken before its rows are looked at; `None` while a delete runs.
    #[must_use]
    pub fn take(&self, hash: &Hash) -> Option<Ticket> {
        let word = self.words[index(hash)].load(Ordering::Acquire);
        word.is_multiple_of(RAN).then_some(Ticket(word))
    }

    /// Whether nothing of the picture has been deleted since the ticket was taken.
    #[must_use]
    pub fn is_valid(&self, hash: &Hash, ticket: Ticket) -> bool {
        self.words[index(hash)].load(Ordering::Acquire) == ticket.0
    }

    /// Makes every ticket for the picture worthless, and gives none until the rows are gone and this is dropped.
    pub fn close(self: &Arc<Self>, hash: &Hash) -> Closed {
        let index = index(hash);
        self.close_words(index..index + 1)
    }

    /// The same for all pictures.
    pub fn close_all(self: &Arc<Self>) -> Closed {
        self.close_words(0..WORDS)
    }

    fn close_words(self: &Arc<Self>, words: std::ops::Range<usize>) -> Closed {
        for word in &self.words[words.clone()] {
            word.fetch_add(1, Ordering::AcqRel);
        }
        Closed { tickets: Arc::clone(self), words }
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        for word in &self.tickets.words[self.words.clone()] {
            word.fetch_add(RAN - 1, Ordering::AcqRel);
        }
    }
}

/// Not by the first byte, which chooses the lock: the pictures under one lock have words apart.
fn index(hash: &Hash) -> usize {
    let [_, one, two, ..] = *hash.as_bytes();
    usize::from(u16::from_be_bytes([one, two])) % WORDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u8) -> Hash {
        Hash::from_bytes([n; 32])
    }

    #[test]
    fn a_ticket_is_good_until_the_next_delete_and_none_is_given_during_one() {
        let tickets = Arc::new(Tickets::default());
        let (before, neighbour) = (tickets.take(&hash(1)).unwrap(), tickets.take(&hash(2)).unwrap());
        assert!(tickets.is_valid(&hash(1), before));
        let (one, two) = (tickets.close(&hash(1)), tickets.close(&hash(1)));
        assert!(tickets.take(&hash(1)).is_none() && !tickets.is_valid(&hash(1), before));
        drop(one);
        assert!(tickets.take(&hash(1)).is_none(), "the other delete still runs");
        drop(two);
        assert!(!tickets.is_valid(&hash(1), before));
        assert!(tickets.is_valid(&hash(1), tickets.take(&hash(1)).unwrap()));
        assert!(tickets.is_valid(&hash(2), neighbour));
        drop(tickets.close_all());
        assert!(!tickets.is_valid(&hash(2), neighbour));
        assert!(tickets.take(&hash(2)).is_some());
    }
}
