//! Names of requests: twelve letters that stand in an answer and in its log lines.
//!
//! An id has to be unlike all others; that nobody could guess it is not asked for. So it costs no call to the system: each
//! thread has a generator of its own, seeded once.

use std::{
    cell::Cell,
    hash::{BuildHasher as _, RandomState},
};

use axum::http::HeaderValue;

const LENGTH: usize = 12;

/// What may stand in a URL, a shell and a log without quotes.
const ALPHABET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-";

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(std::thread::current().id()));
}

/// The name of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId([u8; LENGTH]);

impl RequestId {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        let mut id = [0; LENGTH];
        for half in id.chunks_mut(LENGTH / 2) {
            let mut bits = random();
            for letter in half {
                *letter = ALPHABET[(bits & 63) as usize];
                bits >>= 6;
            }
        }
        Self(id)
    }

    /// Its letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // All of the alphabet is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The value of its header.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(&self.0).ok()
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

/// 64 bits that look random: `SplitMix64` (Steele, Lea, Flood 2014), whose period is 2^64.
fn random() -> u64 {
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unlike_each_other_on_one_thread_and_on_several() {
        let some = || (0..10_000).map(|_| RequestId::new()).collect::<Vec<_>>();
        let others: Vec<_> = (0..4).map(|_| std::thread::Builder::new().spawn(some).unwrap()).collect();
        let mut all = some();
        others.into_iter().for_each(|thread| all.extend(thread.join().unwrap()));
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 50_000);
        let letters: HashSet<u8> = all.iter().flat_map(|id| id.0).collect();
        assert_eq!(letters.len(), ALPHABET.len());
        assert_eq!((all[0].as_str().len(), all[0].header().unwrap().as_bytes()), (LENGTH, &all[0].0[..]));
    }
}
