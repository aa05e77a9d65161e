//! Coefficients that nobody asks for: passed over, several words at a time.

use super::Declined;
use super::bits::Bits;
use super::huffman::{Code, Search};

/// Bits that the table is asked with.
const LOOK: u32 = 12;

/// A code of AC as a table that says for every [`LOOK`] bits how far the words go that begin in them, with the numbers behind
/// the words, of which the last may lie outside.
pub(super) struct Skip {
    answers: Box<[Answer; 1 << LOOK]>,
    search: Search,
}

/// From the lowest bit: bits to take (5), by how much the place goes on (7): [`END`] more where the block ends there.
#[derive(Clone, Copy)]
struct Answer(u16);

/// What no place goes on by without the end.
const END: usize = 64;

/// Answered where no word is: goes too far at any place.
const NONE: Answer = Answer(127 << 5);

impl Skip {
    /// The table of a code.
    pub(super) fn new(code: &Code) -> Self {
        // What the next word says: its length and that of its number together, and the places.
        let mut words = Box::new([(0_u8, 0_u8, 0_u8); 1 << LOOK]);
        for (word, length, symbol) in code.words(LOOK) {
            let (run, size) = (symbol >> 4, symbol & 15);
            let places = match (run, size) {
                (0, 0) => 64,
                (15, 0) => 16,
                (_, 1..=10) => run + 1,
                _ => continue,
            };
            let (rest, length) = (LOOK - length, length.to_le_bytes()[0]);
            let answers = words.get_mut(word << rest..(word + 1) << rest);
            answers.into_iter().flatten().for_each(|answer| *answer = (length, length + size, places));
        }
        let mut answers = Box::new([NONE; 1 << LOOK]);
        for (answer, asked) in answers.iter_mut().zip(0_usize..) {
            let (mut used, mut places) = (0_u32, 0_usize);
            while used < LOOK && places < END {
                let next = words[asked << used & ((1 << LOOK) - 1)];
                let (length, bits, on) = (u32::from(next.0), u32::from(next.1), usize::from(next.2));
                // What is shifted in below is not known. One place is the end's at least.
                if length == 0 || length > LOOK - used || (on < END && places + on >= END) {
                    break;
                }
                used += bits;
                places += on;
            }
            if used > 0 {
                *answer = Answer(u16::try_from(places << 5).unwrap_or(0) | u16::try_from(used).unwrap_or(0));
            }
        }
        Self { answers, search: Search::new(code) }
    }

    /// Passes over the rest of a block whose next coefficient has this place, 1 to 63. At least [`ONE`] bits must be loaded.
    #[inline(always)]
    pub(super) fn rest(&self, bits: &mut Bits<'_>, mut next: usize) -> Result<(), Declined> {
        loop {
            if self.on(bits, &mut next)? {
                return Ok(());
            }
            // Enough for twice.
            bits.refill();
            if self.on(bits, &mut next)? {
                return Ok(());
            }
        }
    }

    /// Passes over as much as is answered at once; says whether that was the end of the block.
    #[inline(always)]
    fn on(&self, bits: &mut Bits<'_>, next: &mut usize) -> Result<bool, Declined> {
        let Answer(answer) = self.answers.get(bits.peek(LOOK)).copied().unwrap_or(NONE);
        let (places, length) = (usize::from(answer >> 5), u32::from(answer & 31));
        if *next + places < 64 {
            bits.skip(length);
            *next += places;
            return Ok(false);
        }
        // The end, of a block that may have one here.
        if places >= END && *next + places - END < 64 {
            bits.skip(length);
            return Ok(true);
        }
        *next = self.one(bits, *next)?;
        Ok(*next > 63)
    }

    /// Passes over one word and its number; returns the place behind it, past the last at the end of the block.
    #[inline(always)]
    fn one(&self, bits: &mut Bits<'_>, next: usize) -> Result<usize, Declined> {
        let (symbol, length) = self.search.word(bits.peek(16)).ok_or(Declined::NotMine)?;
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        bits.skip(length + size);
        match (run, size) {
            (0, 0) => Ok(64),
            // Something stands behind so many zeros.
            (15, 0) if next + 16 < 64 => Ok(next + 16),
            (_, 1..=10) if next + run < 64 => Ok(next + run + 1),
            _ => Err(Declined::NotMine),
        }
    }
}
