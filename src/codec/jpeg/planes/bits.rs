//! The bits of entropy-coded data (ITU-T T.81 F.2.2.5): stuffed zeros are taken out, markers are not passed.

use super::Declined;

/// Reads from the most significant bit on.
///
/// At a marker, and at the end of the data, it goes on with zeros and counts them: whoever reads looks now and then whether
/// it has got any ([`Bits::ran_dry`]), which is cheaper than looking each time.
///
/// A value that is copied, and calls that are not inlined take it as one: so the loops have it in registers.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// Where the next byte to load stands.
    at: usize,
    /// The next bits, the first one on top. Below the first `count` may already stand bits of the bytes at `at`: loading
    /// those puts the same bits there again.
    buffer: u64,
    count: u32,
    /// Bits loaded that are in no data.
    padding: u32,
}

/// One in each byte.
const ONES: u64 = u64::MAX / 255;

impl<'a> Bits<'a> {
    /// Reads `data` from `at` on.
    pub(super) const fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, buffer: 0, count: 0, padding: 0 }
    }

    /// Sees to it that at least 56 bits are loaded.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        let next = self.data.get(self.at..).and_then(<[u8]>::first_chunk);
        let word = next.map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes));
        // The top bit of a byte stays set where the byte is 0xFF (or above one that is).
        if (!word).wrapping_sub(ONES) & word & (ONES << 7) == 0 {
            // As many whole bytes as there is room for: always, since whether there is need is hard to foretell.
            self.buffer |= word >> self.count;
            self.at += ((63 - self.count) / 8) as usize;
            self.count |= 56;
        } else if self.count < 56 {
            self.refill_bytewise();
        }
    }

    /// The same byte by byte.
    #[inline(always)]
    fn refill_bytewise(&mut self) {
        let (buffer, passed, padding) = loaded(self.data, self.at, self.buffer, self.count);
        self.buffer = buffer;
        self.at += usize::from(passed);
        self.padding += u32::from(padding);
        self.count |= 56;
    }

    /// The next `count` bits, 1 to 32, as a number. They must be loaded.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "32 bits at most")]
    pub(super) const fn peek(&self, count: u32) -> usize {
        (self.buffer >> (64 - count)) as usize
    }

    /// What is loaded, the next bit on top.
    #[inline(always)]
    pub(super) const fn ahead(&self) -> u64 {
        self.buffer
    }

    /// Drops `count` bits, no more than are loaded.
    #[inline(always)]
    pub(super) const fn skip(&mut self, count: u32) {
        self.buffer <<= count;
        self.count -= count;
    }

    /// The next `count` bits, 0 to 16. They must be loaded.
    #[inline(always)]
    pub(super) const fn take(&mut self, count: u32) -> usize {
        let value = if count == 0 { 0 } else { self.peek(count) };
        self.skip(count);
        value
    }

    /// The next bit.
    #[inline(always)]
    pub(super) fn bit(&mut self) -> bool {
        self.refill();
        self.take(1) == 1
    }

    /// The signed number of `size` bits, 1 to 16, that stands next (T.81 F.2.2.1, EXTEND). They must be loaded.
    #[inline(always)]
    pub(super) fn signed(&mut self, size: u32) -> i32 {
        let value = i32::try_from(self.take(size)).unwrap_or(0);
        extended(value, size)
    }

    /// At the marker that ends the scan, its data unread; restart markers end none.
    #[cold]
    #[inline(never)]
    pub(super) fn past_data(self) -> Self {
        let data = self.data.get(self.at..).unwrap_or_default();
        let ends = |&at: &usize| !matches!(data.get(at + 1), Some(0 | 0xD0..=0xD7 | 0xFF));
        let at = memchr::memchr_iter(0xFF, data).find(ends).unwrap_or(data.len());
        Self::new(self.data, self.at + at)
    }

    /// The signed number that the last `size` of the next `length` bits stand for, 0 where it is 0; 27 bits at most. Without a
    /// branch: sizes are hard to foretell.
    #[inline(always)]
    pub(super) fn last_of(&self, length: u32, size: u32) -> i32 {
        let value = self.peek(32) >> (32 - length) & ((1 << size) - 1);
        let least_positive = (1_i64 << size) >> 1;
        let value = i64::try_from(value).unwrap_or(0);
        let below = if value < least_positive { (1 << size) - 1 } else { 0 };
        i32::try_from(value - below).unwrap_or(0)
    }

    /// Whether more was read than there is.
    #[inline(always)]
    pub(super) const fn ran_dry(&self) -> bool {
        self.padding > self.count
    }

    /// Ends an interval: what is left must be less than a byte, and then a marker. Returns where that stands.
    #[cold]
    #[inline(never)]
    pub(super) fn end(self) -> Result<usize, Declined> {
        let mut bits = self;
        bits.refill_bytewise();
        let left = bits.count.checked_sub(bits.padding).ok_or(Declined::NotMine)?;
        if left >= 8 || bits.data.get(bits.at) != Some(&0xFF) {
            return Err(Declined::NotMine);
        }
        Ok(bits.at)
    }

    /// Behind the restart marker of this number (0 to 7, B.2.1) that must stand next.
    #[cold]
    #[inline(never)]
    pub(super) fn restarted(self, number: u8) -> Result<Self, Declined> {
        let mut at = self.end()?;
        // Any marker may have more than one 0xFF in front (B.1.1.2).
        while self.data.get(at + 1) == Some(&0xFF) {
            at += 1;
        }
        if self.data.get(at + 1) != Some(&(0xD0 + number)) {
            return Err(Declined::NotMine);
        }
        Ok(Self::new(self.data, at + 2))
    }
}

/// The buffer with as many bytes from `at` on as it has room for, by how many bytes that goes on, and for how many bits there was
/// none. Of numbers alone, so that the loops have what they read from in registers.
#[cold]
#[inline(never)]
fn loaded(data: &[u8], mut at: usize, mut buffer: u64, mut count: u32) -> (u64, u8, u8) {
    let (mut passed, mut padding) = (0, 0);
    while count < 56 {
        match data.get(at..).unwrap_or_default() {
            [0xFF, 0, ..] => {
                buffer |= 0xFF << (56 - count);
                (at, passed) = (at + 2, passed + 2);
            }
            [] | [0xFF, ..] => padding += 8,
            [byte, ..] => {
                buffer |= u64::from(*byte) << (56 - count);
                (at, passed) = (at + 1, passed + 1);
            }
        }
        count += 8;
    }
    (buffer, passed, padding)
}

/// The number that `size` bits stand for (T.81 table F.1): those that begin with 0 are negative.
#[inline(always)]
pub(super) const fn extended(value: i32, size: u32) -> i32 {
    if value >> (size - 1) == 0 { value - (1 << size) + 1 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffed_zeros_go_and_markers_stay() {
        let data: Vec<u8> = (0..40).chain([0xFF, 0, 0xFF, 0]).chain(40..60).chain([0xFF, 0xD9]).collect();
        let mut bits = Bits::new(&data, 0);
        let want: Vec<usize> = (0..40).chain([255, 255]).chain(40..60).collect();
        for want in want {
            bits.refill();
            assert_eq!(bits.take(3) << 5 | bits.take(5), want);
            assert!(!bits.ran_dry());
        }
        assert_eq!(bits.end().ok(), Some(64));
        bits.refill();
        assert_eq!(bits.take(16), 0);
        assert!(bits.ran_dry());
        assert!(bits.end().is_err());
    }

    #[test]
    fn an_interval_ends_within_a_byte() {
        let data = [0x12, 0x34, 0xFF, 0xFF, 0xD3, 0x56, 0xFF, 0xD4];
        let mut bits = Bits::new(&data, 0);
        bits.refill();
        bits.skip(8);
        assert!(bits.end().is_err(), "a whole byte is left");
        bits.skip(1);
        assert!(bits.restarted(2).is_err());
        let mut bits = bits.restarted(3).ok().unwrap();
        bits.refill();
        assert_eq!(bits.take(8), 0x56);
        assert!(bits.restarted(4).is_ok());
    }

    #[test]
    fn numbers_are_those_of_the_table() {
        assert_eq!([0, 1].map(|value| extended(value, 1)), [-1, 1]);
        assert_eq!([0, 1, 2, 3].map(|value| extended(value, 2)), [-3, -2, 2, 3]);
        assert_eq!((extended(0, 11), extended(1023, 11), extended(1024, 11)), (-2047, -1024, 1024));
    }
}
