//! Huffman codes: as a file has them, and as a table that answers several bits at a time.

use super::Declined;
use super::bits::{Bits, extended};

/// A code as it stands in the file (ITU-T T.81 B.2.4.2): how many words of each length 1 to 16, and what they mean.
#[derive(Clone)]
pub(super) struct Code {
    counts: [u8; 16],
    symbols: Vec<u8>,
}

impl Code {
    /// Reads one; returns what stands behind it too.
    pub(super) fn read(body: &[u8]) -> Result<(Self, &[u8]), Declined> {
        let (counts, rest) = body.split_first_chunk::<16>().ok_or(Declined::NotMine)?;
        let total: usize = counts.iter().map(|&count| usize::from(count)).sum();
        let (symbols, rest) = rest.split_at_checked(total).ok_or(Declined::NotMine)?;
        // Words not yet taken, at each length.
        let mut free = 1_usize;
        for &count in counts {
            free = (2 * free).checked_sub(usize::from(count)).ok_or(Declined::NotMine)?;
        }
        if total > 256 {
            return Err(Declined::NotMine);
        }
        Ok((Self { counts: *counts, symbols: symbols.to_vec() }, rest))
    }
}

/// Bits that the table is asked with.
const LOOK: u32 = 10;

/// The answer for every [`LOOK`] bits, and for longer words a search by length.
///
/// A symbol of AC is a run of zeros and the size of the number that follows (F.1.2.2). Where word and number fit into the
/// bits asked with, the answer holds the number, and the end of the block too where its word still fits. For DC a symbol is
/// a size alone, which is a run of 0.
pub(super) struct Lookup {
    answers: Box<[Answer; 1 << LOOK]>,
    /// For each length: the first 16 bits that are no word of this length or shorter, and what to take from a word for the
    /// place of its symbol.
    lengths: [(usize, usize); 16],
    symbols: [u8; 256],
}

/// From the top: the number (16 bits); and where it is not 0: by how much the place goes on (7), the run (4), and the bits
/// used (5). Where it is 0: the symbol (8 bits from the sixth on) and the bits of its word (5), which are 0 when it is a
/// longer one.
#[derive(Clone, Copy)]
struct Answer(u32);

/// What the words of a code are about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Differences of DC.
    Differences,
    /// Numbers of AC.
    Numbers,
    /// Corrections of AC, where what follows a word is no number (G.1.2.3).
    Corrections,
}

/// What the next bits mean.
pub(super) enum Coded {
    /// So many zeros, then this number; the next one stands `advance` places on, past the 64th at the end of a block.
    Number {
        run: usize,
        value: i32,
        advance: usize,
    },
    /// A symbol whose number, if it has one, has not been read yet.
    Symbol(u8),
}

/// Takes a place past the last one, for a number with nothing behind it.
const PAST: usize = 64;

impl Lookup {
    /// The table of a code.
    pub(super) fn new(code: &Code, of: Of) -> Self {
        let mut words = [(0_u8, 0_u8); 1 << LOOK];
        let mut lengths = [(0, 0); 16];
        let mut symbols = [0; 256];
        symbols.iter_mut().zip(&code.symbols).for_each(|(to, from)| *to = *from);
        // Words are numbered upwards, and from one length to the next with a zero behind (C.2).
        let (mut word, mut place) = (0_usize, 0_usize);
        for ((&count, entry), length) in code.counts.iter().zip(&mut lengths).zip(1_u8..) {
            let (count, bits) = (usize::from(count), u32::from(length));
            if let Some(rest) = LOOK.checked_sub(bits) {
                let meant = code.symbols.iter().skip(place).take(count);
                for (symbol, word) in meant.zip(word..) {
                    let answers = words.get_mut(word << rest..(word + 1) << rest);
                    answers.into_iter().flatten().for_each(|answer| *answer = (length, *symbol));
                }
            }
            *entry = ((word + count) << (16 - bits), word.wrapping_sub(place));
            word = (word + count) << 1;
            place += count;
        }
        let mut answers = Box::new([Answer(0); 1 << LOOK]);
        for (asked, answer) in answers.iter_mut().enumerate() {
            *answer = Answer::new(&words, asked, of);
        }
        Self { answers, lengths, symbols }
    }

    /// What stands next, in a block whose next coefficient has this place and whose last one that; its bits are taken.
    /// [`Bits::refill`] must have been called.
    #[inline(always)]
    pub(super) fn next(&self, bits: &mut Bits<'_>, place: usize, last: usize) -> Result<Coded, Declined> {
        let Answer(answer) = self.answers.get(bits.peek(LOOK)).copied().unwrap_or(Answer(0));
        let length = answer & 31;
        let value = answer.cast_signed() >> 16;
        if value != 0 {
            let (run, advance) = ((answer >> 5 & 15) as usize, (answer >> 9 & 127) as usize);
            // Behind the last coefficient no end is coded: what looks like it belongs to the next block.
            if place + run >= last {
                return self.search(bits);
            }
            bits.skip(length);
            return Ok(Coded::Number { run, value, advance });
        }
        if length != 0 {
            bits.skip(length);
            return Ok(Coded::Symbol((answer >> 5).to_le_bytes()[0]));
        }
        self.search(bits)
    }

    /// The next word by its length alone: one that is longer than the table is wide, or none.
    #[cold]
    fn search(&self, bits: &mut Bits<'_>) -> Result<Coded, Declined> {
        let next = bits.peek(16);
        for (&(limit, base), length) in self.lengths.iter().zip(1..) {
            if next < limit {
                let place = (next >> (16 - length)).wrapping_sub(base);
                bits.skip(length);
                return self.symbols.get(place).map(|symbol| Coded::Symbol(*symbol)).ok_or(Declined::NotMine);
            }
        }
        Err(Declined::NotMine)
    }

    /// The next symbol of a table of corrections.
    #[inline(always)]
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Result<u8, Declined> {
        bits.refill();
        match self.next(bits, 0, usize::MAX)? {
            Coded::Symbol(symbol) => Ok(symbol),
            Coded::Number { .. } => Err(Declined::NotMine),
        }
    }

    /// The next difference of DC (F.2.2.1).
    #[inline(always)]
    pub(super) fn difference(&self, bits: &mut Bits<'_>) -> Result<i32, Declined> {
        bits.refill();
        match self.next(bits, 0, usize::MAX)? {
            Coded::Number { run: 0, value, .. } => Ok(value),
            Coded::Symbol(0) => Ok(0),
            Coded::Symbol(size @ 1..=11) => Ok(bits.signed(u32::from(size))),
            Coded::Number { .. } | Coded::Symbol(_) => Err(Declined::NotMine),
        }
    }
}

impl Answer {
    fn new(words: &[(u8, u8); 1 << LOOK], asked: usize, of: Of) -> Self {
        let word_at = |used: u32| {
            // What is shifted in below is not known: the word must end before.
            let asked = asked << used & ((1 << LOOK) - 1);
            words.get(asked).copied().filter(|(length, _)| (1..=LOOK - used).contains(&u32::from(*length)))
        };
        let Some((length, symbol)) = word_at(0) else { return Self(0) };
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        let used = u32::from(length) + size;
        if of == Of::Corrections || size == 0 || used > LOOK {
            return Self(u32::from(symbol) << 5 | u32::from(length));
        }
        let raw = asked >> (LOOK - used) & ((1 << size) - 1);
        let value = extended(i32::try_from(raw).unwrap_or(0), size);
        let (used, advance) = match word_at(used) {
            Some((end, 0)) if of == Of::Numbers => (used + u32::from(end), PAST),
            _ => (used, run as usize + 1),
        };
        let advance = u32::try_from(advance).unwrap_or(0);
        Self(value.cast_unsigned() << 16 | advance << 9 | run << 5 | used)
    }
}
