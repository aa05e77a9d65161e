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

    /// Each word of at most `longest` bits, its length, and what it means. Words are numbered upwards, and from one length to
    /// the next with a zero behind (C.2).
    pub(super) fn words(&self, longest: u32) -> impl Iterator<Item = (usize, u32, u8)> {
        let lengths = self.counts.iter().zip(1..=longest).flat_map(|(&count, length)| (0..count).map(move |_| length));
        let (mut word, mut before) = (0_usize, 1);
        lengths.zip(&self.symbols).map(move |(length, &symbol)| {
            word <<= length - before;
            before = length;
            word += 1;
            (word - 1, length, symbol)
        })
    }
}

/// Words found by their length, one after the other: for long ones.
pub(super) struct Search {
    /// For each length: the first 16 bits that are no word of this length or shorter, and what to take from a word for the
    /// place of its symbol.
    lengths: [(usize, usize); 16],
    symbols: [u8; 256],
}

impl Search {
    pub(super) fn new(code: &Code) -> Self {
        let mut lengths = [(0, 0); 16];
        let mut symbols = [0; 256];
        symbols.iter_mut().zip(&code.symbols).for_each(|(to, from)| *to = *from);
        let (mut word, mut place) = (0_usize, 0_usize);
        for ((&count, entry), bits) in code.counts.iter().zip(&mut lengths).zip(1_u32..) {
            let count = usize::from(count);
            *entry = ((word + count) << (16 - bits), word.wrapping_sub(place));
            word = (word + count) << 1;
            place += count;
        }
        Self { lengths, symbols }
    }

    /// The symbol and the length of the word that these 16 bits begin with.
    #[cold]
    #[inline(never)]
    pub(super) fn word(&self, next: usize) -> Option<(u8, u32)> {
        let ((_, base), length) = self.lengths.iter().zip(1..).find(|((limit, _), _)| next < *limit)?;
        let place = (next >> (16 - length)).wrapping_sub(*base);
        self.symbols.get(place).map(|symbol| (*symbol, length))
    }
}

/// Bits that the table is asked with.
pub(super) const LOOK: u32 = 10;

/// The answer for every [`LOOK`] bits, and for longer words a search by length.
///
/// A symbol of AC is a run of zeros and the size of the number that follows (F.1.2.2). Where word and number fit into the
/// bits asked with, the answer holds the number, and the end of the block too where its word still fits. For DC a symbol is
/// a size alone, which is a run of 0.
pub(super) struct Lookup {
    answers: Box<[Answer; 1 << LOOK]>,
    search: Search,
}

/// From the lowest byte: bits used; if numbers: by how much the place goes on, the zeros in front of the first, the places up to the
/// second, and in the upper half the first number (16) and the second (16). Where there is one alone, it is the second too; where
/// there is none, but the end of a block, both are 0. If a symbol: nothing, the symbol, [`FAR`]; bits used are 0 where the word is a
/// longer one.
#[derive(Clone, Copy)]
pub(super) struct Answer(u64);

/// In the place of the places up to the second number: past the end of any block.
const FAR: u8 = 255;

impl Answer {
    /// Where the word is a longer one.
    const LONG: Self = Self((FAR as u64) << 24);

    const fn byte(self, at: u32) -> usize {
        (self.0 >> (8 * at) & 255) as usize
    }

    /// Bits used.
    #[inline(always)]
    pub(super) const fn length(self) -> u32 {
        (self.0 & 255) as u32
    }

    /// By how much the place goes on: [`PAST`] or [`EMPTY`] at the end of the block.
    #[inline(always)]
    pub(super) const fn advance(self) -> usize {
        self.byte(1)
    }

    /// Places up to the first number, and to the second: too many if these are none.
    #[inline(always)]
    pub(super) const fn places(self) -> (usize, usize) {
        (self.byte(2), self.byte(3))
    }

    /// The numbers.
    #[inline(always)]
    pub(super) fn values(self) -> [i16; 2] {
        let [_, _, _, _, a, b, c, d] = self.0.to_le_bytes();
        [i16::from_le_bytes([a, b]), i16::from_le_bytes([c, d])]
    }
}

/// What the words of a code of AC are about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Numbers, and ends of blocks that are answered as numbers of 0.
    Blocks,
    /// Numbers, and ends of bands.
    Numbers,
    /// Corrections, where what follows a word is no number (G.1.2.3).
    Corrections,
}

/// What the next bits mean.
pub(super) enum Coded {
    /// So many zeros, then the first number; `second` places on the other (0: it is the same one). The next one stands
    /// `advance` places on, past the 64th at the end of a block.
    Numbers { run: usize, second: usize, values: [i16; 2], advance: usize },
    /// A symbol whose number, if it has one, has not been read yet.
    Symbol(u8),
}

/// Takes a place past the last one, for a number with nothing behind it.
pub(super) const PAST: usize = 64;

/// The same for an end with no number in front of it.
pub(super) const EMPTY: usize = 2 * PAST;

impl Lookup {
    /// The table of a code.
    pub(super) fn new(code: &Code, of: Of) -> Self {
        let mut words: Words = [(0, 0); 1 << LOOK];
        for (word, length, symbol) in code.words(LOOK) {
            let rest = LOOK - length;
            let answers = words.get_mut(word << rest..(word + 1) << rest);
            answers.into_iter().flatten().for_each(|answer| *answer = (length.to_le_bytes()[0], symbol));
        }
        let mut answers = Box::new([Answer(0); 1 << LOOK]);
        for (asked, answer) in answers.iter_mut().enumerate() {
            *answer = Answer::new(&words, asked, of);
        }
        Self { answers, search: Search::new(code) }
    }

    /// What the next bits say, which are not taken.
    #[inline(always)]
    pub(super) fn answer(&self, bits: &Bits<'_>) -> Answer {
        self.answers.get(bits.peek(LOOK)).copied().unwrap_or(Answer::LONG)
    }

    /// What stands next, in a block whose next coefficient has this place and whose last one that; its bits are taken.
    /// [`Bits::refill`] must have been called.
    #[inline(always)]
    pub(super) fn next(&self, bits: &mut Bits<'_>, place: usize, last: usize) -> Result<Coded, Declined> {
        let answer = self.answer(bits);
        let (run, second) = answer.places();
        if second != usize::from(FAR) {
            // Behind the last coefficient no end is coded: what looks like it belongs to the next block.
            if place + second >= last {
                return self.search(bits);
            }
            bits.skip(answer.length());
            let (values, advance) = (answer.values(), answer.advance());
            return Ok(Coded::Numbers { run, second: second - run, values, advance });
        }
        self.symbol_of(bits, answer)
    }

    /// The symbol that stands next, whose answer is this.
    #[inline(always)]
    pub(super) fn symbol_of(&self, bits: &mut Bits<'_>, answer: Answer) -> Result<Coded, Declined> {
        if answer.length() == 0 || answer.places().1 != usize::from(FAR) {
            return self.search(bits);
        }
        bits.skip(answer.length());
        Ok(Coded::Symbol(answer.0.to_le_bytes()[2]))
    }

    #[inline(always)]
    fn search(&self, bits: &mut Bits<'_>) -> Result<Coded, Declined> {
        let (symbol, length) = self.search.word(bits.peek(16)).ok_or(Declined::NotMine)?;
        bits.skip(length);
        Ok(Coded::Symbol(symbol))
    }

    /// The next symbol of a table of corrections.
    #[inline(always)]
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Result<u8, Declined> {
        bits.refill();
        match self.next(bits, 0, usize::MAX)? {
            Coded::Symbol(symbol) => Ok(symbol),
            Coded::Numbers { .. } => Err(Declined::NotMine),
        }
    }
}

/// A code of DC (F.1.2.1), whose symbols are the sizes of differences.
pub(super) struct Differences {
    /// For every [`DC_LOOK`] bits the word and its number: their length together (5), and that of the number (4). 0: it is a long word.
    answers: [u16; 1 << DC_LOOK],
    search: Search,
}

/// Nearly all words are short, and what follows them is not looked up.
const DC_LOOK: u32 = 8;

impl Differences {
    /// The table of a code.
    pub(super) fn new(code: &Code) -> Self {
        let mut answers = [0; 1 << DC_LOOK];
        for (word, length, size) in code.words(DC_LOOK).filter(|(.., size)| *size <= 11) {
            let (rest, size) = (DC_LOOK - length, u16::from(size));
            let length = u16::from(length.to_le_bytes()[0]);
            let same = answers.get_mut(word << rest..(word + 1) << rest);
            same.into_iter().flatten().for_each(|answer| *answer = size << 5 | (length + size));
        }
        Self { answers, search: Search::new(code) }
    }

    /// The next difference (F.2.2.1). Leaves at least 29 bits loaded.
    #[inline(always)]
    pub(super) fn next(&self, bits: &mut Bits<'_>) -> Result<i32, Declined> {
        bits.refill();
        let answer = u32::from(self.answers.get(bits.peek(DC_LOOK)).copied().unwrap_or(0));
        let (mut size, mut length) = (answer >> 5, answer & 31);
        if length == 0 {
            let (symbol, word) =
                self.search.word(bits.peek(16)).filter(|(size, _)| *size <= 11).ok_or(Declined::NotMine)?;
            size = u32::from(symbol);
            length = word + size;
        }
        let difference = bits.last_of(length, size);
        bits.skip(length);
        Ok(difference)
    }
}

/// Words and symbols for every [`LOOK`] bits, where they begin with a word; else a length of 0.
type Words = [(u8, u8); 1 << LOOK];

/// A number and what stands in front of it.
struct Number {
    run: usize,
    value: i16,
    /// Bits of word and number.
    bits: u32,
}

impl Answer {
    fn new(words: &Words, asked: usize, of: Of) -> Self {
        let Some((length, symbol)) = word_at(words, asked, 0) else { return Self::LONG };
        if of == Of::Blocks && symbol == 0 {
            return Self::of_numbers(length.into(), EMPTY, (0, 0), [0, 0]);
        }
        let first = if of == Of::Corrections { None } else { number_at(words, asked, 0) };
        let Some(first) = first else {
            return Self(u64::from(FAR) << 24 | u64::from(symbol) << 16 | u64::from(length));
        };
        let (mut bits, mut advance, mut second, mut other) = (first.bits, first.run + 1, first.run, first.value);
        if let Some(number) = number_at(words, asked, bits) {
            (second, other) = (first.run + number.run + 1, number.value);
            bits += number.bits;
            advance = second + 1;
        }
        if let Some((length, 0)) = word_at(words, asked, bits) {
            bits += u32::from(length);
            advance = PAST;
        }
        Self::of_numbers(bits, advance, (first.run, second), [first.value, other])
    }

    fn of_numbers(bits: u32, advance: usize, places: (usize, usize), values: [i16; 2]) -> Self {
        let [first, second] = values.map(|value| u64::from(value.cast_unsigned()));
        let places = (places.1 << 24 | places.0 << 16 | advance << 8) as u64;
        Self(second << 48 | first << 32 | places | u64::from(bits))
    }
}

/// The word behind the first `used` of these bits, if it ends in them.
fn word_at(words: &Words, asked: usize, used: u32) -> Option<(u8, u8)> {
    let asked = asked << used & ((1 << LOOK) - 1);
    // What is shifted in below is not known.
    words.get(asked).copied().filter(|(length, _)| (1..=LOOK - used).contains(&u32::from(*length)))
}

/// The number behind the first `used` of these bits, if it ends in them.
fn number_at(words: &Words, asked: usize, used: u32) -> Option<Number> {
    let (length, symbol) = word_at(words, asked, used)?;
    let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
    let bits = u32::from(length) + size;
    let rest = LOOK.checked_sub(used + bits)?;
    if size == 0 {
        return None;
    }
    let raw = i32::try_from(asked >> rest & ((1 << size) - 1)).ok()?;
    Some(Number { run, value: super::i16_of(extended(raw, size)), bits })
}
