//! The Huffman code that writes given symbols in the fewest bits, within 16 a word (ITU-T T.81, annex K.2).

/// The longest word.
const LONGEST: usize = 16;

/// A code as a file describes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Code {
    /// Words of each length from 1 on.
    pub(super) counts: [u8; LONGEST],
    /// The symbols, those with short words first.
    pub(super) symbols: Vec<u8>,
}

/// A word and its length in bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) bits: u16,
    pub(super) length: u8,
}

impl Code {
    /// The code for symbols that come so often; those that never do have no word. Costs `n log n` for `n` that come.
    pub(super) fn new(often: &[u32; 256]) -> Self {
        let mut used: Vec<(u32, u8)> = (0..=255).zip(often).map(|(symbol, often)| (*often, symbol)).collect();
        used.retain(|(often, _)| *often > 0);
        used.sort_by_key(|(often, symbol)| (std::cmp::Reverse(*often), *symbol));
        // One more, the rarest: its word is the one of ones alone, which no symbol may have.
        let mut leaves: Vec<u64> = used.iter().rev().map(|(often, _)| u64::from(*often)).collect();
        leaves.insert(0, 0);
        let mut counts = lengths(&leaves);
        limit(&mut counts);
        // The longest word is that of the one that is not there.
        if let Some(count) = counts.iter_mut().rev().find(|count| **count > 0) {
            *count -= 1;
        }
        let mut code = Self { counts: [0; LONGEST], symbols: used.into_iter().map(|(_, symbol)| symbol).collect() };
        for (count, many) in code.counts.iter_mut().zip(counts) {
            // At most 256 words, of which none is shorter than 2 bits then.
            *count = u8::try_from(many).unwrap_or(u8::MAX);
        }
        code
    }

    /// The word of each symbol, of length 0 for one that has none (annex C.2).
    pub(super) fn words(&self) -> [Word; 256] {
        let mut words = [Word::default(); 256];
        let mut symbols = self.symbols.iter();
        let mut bits = 0_u16;
        for (&count, length) in self.counts.iter().zip(1..) {
            for symbol in symbols.by_ref().take(usize::from(count)) {
                if let Some(word) = words.get_mut(usize::from(*symbol)) {
                    *word = Word { bits, length };
                }
                bits += 1;
            }
            bits <<= 1;
        }
        words
    }
}

/// How many words have each length from 1 on, in the best code for these leaves, the rarest first.
///
/// Two rows of nodes, both in order: leaves, and pairs as they are made. The two rarest nodes are at the heads of those.
fn lengths(leaves: &[u64]) -> Vec<u32> {
    let count = leaves.len();
    let mut weights = leaves.to_vec();
    let mut parents = vec![0; (2 * count).saturating_sub(1)];
    let (mut leaf, mut pair) = (0, count);
    for parent in count..parents.len() {
        let mut weight = 0;
        for _child in 0..2 {
            let takes_leaf = leaf < count && (pair >= parent || weights[leaf] <= weights[pair]);
            let rarest = if takes_leaf { &mut leaf } else { &mut pair };
            parents[*rarest] = parent;
            weight += weights[*rarest];
            *rarest += 1;
        }
        weights.push(weight);
    }
    // From the root, the last one, down: a node is one deeper than its parent.
    let mut depths = vec![0; parents.len()];
    for at in (0..parents.len().saturating_sub(1)).rev() {
        depths[at] = depths[parents[at]] + 1;
    }
    let mut counts = vec![0; depths.iter().copied().max().unwrap_or(0).max(LONGEST)];
    for depth in depths.iter().take(count) {
        if let Some(count) = depth.checked_sub(1).and_then(|at: usize| counts.get_mut(at)) {
            *count += 1;
        }
    }
    counts
}

/// Shortens words of over 16 bits (figure K.3): of two of the longest, one takes their common beginning, and a shorter word is
/// cut in two for the other.
fn limit(counts: &mut Vec<u32>) {
    for at in (LONGEST..counts.len()).rev() {
        while counts[at] > 0 {
            let Some(shorter) = (0..at - 1).rev().find(|shorter| counts[*shorter] > 0) else { break };
            counts[at] -= 2;
            counts[at - 1] += 1;
            counts[shorter + 1] += 2;
            counts[shorter] -= 1;
        }
    }
    counts.truncate(LONGEST);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(often: &[u32; 256]) -> usize {
        often.iter().filter(|often| **often > 0).count()
    }

    /// Every symbol has a word, none begins with another, none is of ones alone.
    fn assert_right(often: &[u32; 256]) -> [Word; 256] {
        let code = Code::new(often);
        assert_eq!(code.counts.iter().map(|count| usize::from(*count)).sum::<usize>(), used(often));
        assert_eq!(code.symbols.len(), used(often));
        let words = code.words();
        for (often, word) in often.iter().zip(&words) {
            assert_eq!(*often > 0, word.length > 0);
        }
        let words_used: Vec<&Word> = words.iter().filter(|word| word.length > 0).collect();
        for (at, word) in words_used.iter().enumerate() {
            assert!(word.length <= 16 && u32::from(word.bits) < (1 << word.length) - 1, "{word:?}");
            for other in words_used.iter().skip(at + 1) {
                let length = word.length.min(other.length);
                assert_ne!(word.bits >> (word.length - length), other.bits >> (other.length - length));
            }
        }
        words
    }

    fn total(often: &[u32; 256], words: &[Word; 256]) -> u64 {
        often.iter().zip(words).map(|(often, word)| u64::from(*often) * u64::from(word.length)).sum()
    }

    #[test]
    fn one_symbol_and_all_symbols_have_words() {
        let mut often = [0; 256];
        often[7] = 3;
        assert_eq!(assert_right(&often)[7], Word { bits: 0, length: 1 });
        assert_right(&[1; 256]);
        assert_right(&std::array::from_fn(|at| u32::try_from(at).unwrap()));
    }

    #[test]
    fn words_are_cut_to_16_bits() {
        // As many as Fibonacci's numbers make the deepest trees there are.
        let mut often = [0_u32; 256];
        let (mut a, mut b) = (1, 1);
        for often in often.iter_mut().take(40) {
            *often = a;
            (a, b) = (b, a + b);
        }
        let words = assert_right(&often);
        assert_eq!(words.iter().map(|word| word.length).max(), Some(16));
        assert!(words[39].length < words[0].length);
    }

    #[test]
    fn bits_are_within_one_a_symbol_of_the_entropy_and_fewer_than_without_a_count() {
        let often: [u32; 256] = std::array::from_fn(|at| if at < 60 { 1 << (at / 4) } else { 0 });
        let all = f64::from(often.iter().sum::<u32>());
        let entropy: f64 = often
            .iter()
            .filter(|often| **often > 0)
            .map(|often| f64::from(*often) * (all / f64::from(*often)).log2())
            .sum();
        let bits = |often_else: &[u32; 256]| {
            let bits = total(&often, &Code::new(often_else).words());
            f64::from(u32::try_from(bits).unwrap())
        };
        assert!(bits(&often) >= entropy && bits(&often) < entropy * 1.02, "{} {entropy}", bits(&often));
        let flat: [u32; 256] = std::array::from_fn(|at| u32::from(at < 60));
        assert!(bits(&flat) > 1.3 * entropy, "the control");
    }
}
