//! A baseline JPEG of planes (ITU-T T.81), with the quantiser tables of annex K and the Huffman codes that suit it best.
//!
//! All blocks are transformed and made into tokens, which are counted; then the codes are made and the tokens written. A picture of
//! more than [`WAITING`] tokens is written with the codes of the first so many.

use super::huffman::Code;
use super::symbols::{self, CODES, Plane, Token};
use super::transform::Factors;
use crate::domain::Quality;

/// Tokens that may wait to be written: 16 MiB of them, what a photo of 30 megapixels has.
const WAITING: usize = 1 << 22;

/// Steps at quality 50, in rows from the top: for luma and for chroma (tables K.1 and K.2).
#[rustfmt::skip]
const STEPS: [[u8; 64]; 2] = [
    [
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
        18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
    ],
    [
        17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    ],
];

/// The steps of a quality, as libjpeg has them: what everybody's numbers mean.
fn steps(quality: Quality) -> [[u8; 64]; 2] {
    let quality = u32::from(quality.get()).clamp(1, 100);
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    STEPS
        .map(|table| table.map(|step| u8::try_from(((u32::from(step) * percent + 50) / 100).max(1)).unwrap_or(u8::MAX)))
}

/// A file of these planes: luma alone, or luma and two of chroma, which have one sample for four where `halved`. Sides are at
/// most 65,535.
pub(super) fn encode(planes: [&[u8]; 3], (width, height): (u16, u16), halved: bool, quality: Quality) -> Vec<u8> {
    let grey = planes[1].is_empty();
    let (columns, rows) = (usize::from(width), usize::from(height));
    let side = if halved { 2 } else { 1 };
    let (half_columns, half_rows) = (columns.div_ceil(side), rows.div_ceil(side));
    let [luma, blue, red] = planes;
    let luma = Plane { samples: luma, width: columns, height: rows, side, kind: 0 };
    let chroma = |samples| Plane { samples, width: half_columns, height: half_rows, side: 1, kind: 1 };
    let planes = if grey { vec![luma] } else { vec![luma, chroma(blue), chroma(red)] };
    let (across, down) = (columns.div_ceil(8 * side), rows.div_ceil(8 * side));

    let steps = steps(quality);
    let factors = steps.each_ref().map(Factors::new);
    let mut file = File::new(steps, &planes, (width, height));
    let (mut tokens, mut before) = (Vec::new(), [0; 3]);
    for y in 0..down {
        symbols::add_row(&planes, &factors, (across, y), &mut before, &mut tokens);
        if tokens.len() > WAITING {
            file.write(&tokens, true);
            tokens.clear();
        }
    }
    file.write(&tokens, false);
    file.finish()
}

struct File {
    bytes: Vec<u8>,
    kinds: Vec<u8>,
    scan: Option<Scan>,
}

impl File {
    /// All that comes before the Huffman codes (annex B.2; JFIF 1.02).
    fn new(steps: [[u8; 64]; 2], planes: &[Plane<'_>], (width, height): (u16, u16)) -> Self {
        let kinds: Vec<u8> = planes.iter().map(|plane| plane.kind).collect();
        let mut file = Self { bytes: vec![0xFF, 0xD8], kinds, scan: None };
        file.segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
        for (steps, number) in steps.iter().zip(0_u8..).take(planes.len()) {
            file.segment(0xDB, &[&[number][..], &symbols::in_order(steps)].concat());
        }
        let count = if planes.len() == 1 { 1 } else { 3 };
        let mut frame = [&[8][..], &height.to_be_bytes(), &width.to_be_bytes(), &[count]].concat();
        for (plane, id) in planes.iter().zip(1..) {
            frame.extend([id, if plane.side == 2 { 0x22 } else { 0x11 }, u8::from(plane.kind == 1)]);
        }
        file.segment(0xC0, &frame);
        file
    }

    fn segment(&mut self, marker: u8, body: &[u8]) {
        self.bytes.extend([0xFF, marker]);
        self.bytes.extend(u16::try_from(body.len() + 2).unwrap_or(u16::MAX).to_be_bytes());
        self.bytes.extend(body);
    }

    /// Writes tokens, in front of the first those codes that suit them; `more` says that others follow, for which there
    /// must be words too.
    fn write(&mut self, tokens: &[Token], more: bool) {
        let mut scan = self.scan.take().unwrap_or_else(|| self.begin(tokens, more));
        scan.write(tokens, &mut self.bytes);
        self.scan = Some(scan);
    }

    /// The Huffman codes and the head of the scan.
    fn begin(&mut self, tokens: &[Token], more: bool) -> Scan {
        let mut often = [[0_u32; 256]; CODES];
        for token in tokens {
            let [_, _, symbol, code] = token.to_le_bytes();
            if let Some(often) = often.get_mut(usize::from(code)) {
                often[usize::from(symbol)] += 1;
            }
        }
        let codes = if self.kinds.len() == 1 { CODES / 2 } else { CODES };
        let mut scan = Scan { words: [0; CODES * 256], waiting: 0, count: 0 };
        for ((often, words), code) in often.iter_mut().zip(scan.words.as_chunks_mut::<256>().0).zip(0_u8..).take(codes)
        {
            let others = code % 2 == 1;
            // All that a block may need; and in any case one, the end of a block or no difference: no code is empty.
            let mut every: Vec<u8> = vec![0];
            if more && others {
                every.extend((0..=255).filter(|symbol| *symbol == 0xF0 || (1..=10).contains(&(symbol & 15))));
            } else if more {
                every.extend(1..=11);
            }
            for symbol in every {
                let often = &mut often[usize::from(symbol)];
                *often = (*often).max(1);
            }
            let made = Code::new(often);
            for ((packed, word), symbol) in words.iter_mut().zip(made.words()).zip(0_u32..) {
                let behind = symbol & 15;
                *packed = (u32::from(word.bits) << 16) | ((u32::from(word.length) + behind) << 8) | behind;
            }
            let name = (u8::from(others) << 4) | (code / 2);
            self.segment(0xC4, &[&[name][..], &made.counts, &made.symbols].concat());
        }
        let count = if self.kinds.len() == 1 { 1 } else { 3 };
        let mut head = vec![count];
        for (kind, id) in self.kinds.iter().zip(1..) {
            head.extend([id, if *kind == 1 { 0x11 } else { 0x00 }]);
        }
        head.extend([0, 63, 0]);
        self.segment(0xDA, &head);
        scan
    }

    fn finish(mut self) -> Vec<u8> {
        if let Some(scan) = self.scan.take() {
            scan.end(&mut self.bytes);
        }
        self.bytes.extend([0xFF, 0xD9]);
        self.bytes
    }
}

/// Entropy-coded data as far as it is written.
struct Scan {
    /// For each code and symbol the word from bit 16 on, the length of word and bits behind it together in bits 8 to 15, and in the
    /// lowest byte the length of those alone.
    words: [u32; CODES * 256],
    /// Bits that are not written yet: the lowest `count`, under 32.
    waiting: u64,
    count: u32,
}

impl Scan {
    fn write(&mut self, tokens: &[Token], bytes: &mut Vec<u8>) {
        let (mut waiting, mut count) = (self.waiting, self.count);
        for token in tokens {
            let word = self.words[(token >> 16) as usize % (CODES * 256)];
            let bits = ((word >> 16) << (word & 15)) | (token & 0xFFFF);
            // 16 of the word and 11 behind it at most.
            let length = word >> 8 & 0xFF;
            waiting = (waiting << (length % 64)) | u64::from(bits);
            count += length;
            if count >= 32 {
                count -= 32;
                #[expect(clippy::cast_possible_truncation, reason = "the lowest 32 bits are those to write")]
                put(((waiting >> count) as u32).to_be_bytes(), bytes);
            }
        }
        (self.waiting, self.count) = (waiting, count);
    }

    /// Fills the last byte up with ones.
    fn end(self, bytes: &mut Vec<u8>) {
        let filled = self.count.next_multiple_of(8);
        let more = filled - self.count;
        let last = ((self.waiting << more) | ((1 << more) - 1)) << ((64 - filled.max(1)) % 64);
        for byte in last.to_be_bytes().into_iter().take(filled as usize / 8) {
            stuffed(byte, bytes);
        }
    }
}

#[inline(always)]
fn put(four: [u8; 4], bytes: &mut Vec<u8>) {
    let number = u32::from_ne_bytes(four);
    // Some byte is 255, or perhaps beside one that is: no carry comes to the upper bit of another.
    if number & !number.wrapping_add(0x0101_0101) & 0x8080_8080 == 0 {
        bytes.extend_from_slice(&four);
    } else {
        four.into_iter().for_each(|byte| stuffed(byte, bytes));
    }
}

/// A byte of 255 is followed by one of 0 (F.1.2.3).
fn stuffed(byte: u8, bytes: &mut Vec<u8>) {
    bytes.push(byte);
    if byte == 0xFF {
        bytes.push(0);
    }
}
