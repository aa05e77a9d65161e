//! The containers without their pixels: what a file says about itself, and which of its bytes are kept.
//!
//! One walker a format. A walker reads structure only, allocates no more than the list of pieces, and its time is linear
//! in the file.

pub(crate) mod avif;
pub(crate) mod gif;
pub(crate) mod jpeg;
pub(crate) mod png;
pub(crate) mod webp;

use std::borrow::Cow;
use std::ops::Range;

use super::error::CodecError;
use super::orientation::{Orientation, upright_size};

/// A part of a stored file: bytes of the one that came in, or a few new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// These bytes of the input.
    Keep(Range<usize>),
    /// These bytes.
    Insert(Vec<u8>),
}

impl Piece {
    /// Its bytes, borrowed from the input where they are kept.
    pub(crate) fn bytes<'a>(&'a self, input: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Keep(range) => input.get(range.clone()).unwrap_or_default(),
            Self::Insert(bytes) => bytes,
        }
    }
}

/// Makes of `bytes` what `pieces` (made by a walk of them) say, in place. Two moves of the bytes at most; allocates only
/// when the result is longer.
pub(crate) fn keep(bytes: &mut Vec<u8>, pieces: &[Piece]) {
    if matches!(pieces, [Piece::Keep(all)] if *all == (0..bytes.len())) {
        return;
    }
    let inserted: usize = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Keep(_) => None,
            Piece::Insert(insert) => Some(insert.len()),
        })
        .sum();
    // With all the room for inserts in front, what is written never overtakes what is read: before a kept range stand at
    // most the inserts and the ranges kept before it.
    let length = bytes.len();
    bytes.resize(length + inserted, 0);
    bytes.copy_within(..length, inserted);
    let mut written = 0;
    for piece in pieces {
        match piece {
            Piece::Keep(range) => {
                let end = range.end.min(length);
                let start = range.start.min(end);
                bytes.copy_within(start + inserted..end + inserted, written);
                written += end - start;
            }
            Piece::Insert(insert) => {
                if let Some(target) = bytes.get_mut(written..written + insert.len()) {
                    target.copy_from_slice(insert);
                }
                written += insert.len();
            }
        }
    }
    bytes.truncate(written);
}

/// What a walker found.
#[derive(Debug)]
pub(crate) struct Walked {
    /// Stored columns.
    pub(crate) width: u32,
    /// Stored rows.
    pub(crate) height: u32,
    /// Pictures: 1 for a still.
    pub(crate) frames: u32,
    /// Pixels of all frames by their own areas.
    pub(crate) frame_pixels: u64,
    /// How the stored picture has to be turned.
    pub(crate) orientation: Orientation,
    /// The colour profile as it lies in the file: one range, or several to be joined. Packed in PNG.
    pub(crate) profile: Vec<Range<usize>>,
    /// An upper estimate of the bytes that decoding to upright 8-bit pixels holds, the file itself not counted.
    pub(crate) peak_bytes: u64,
    /// The file without what identifies people and places. Only worth using when there is no `fault`.
    pub(crate) pieces: Vec<Piece>,
    /// A strict decoder may trip over what the pieces leave out, where viewers do not: decode the pieces instead.
    pub(crate) irregular: bool,
    /// What is wrong after the header, if anything is.
    pub(crate) fault: Option<CodecError>,
}

impl Walked {
    /// The size of the upright picture.
    pub(crate) const fn upright_size(&self) -> (u32, u32) {
        upright_size(self.width, self.height, self.orientation)
    }

    /// The bytes of the colour profile, joined; `None` without one or when it is longer than `max`.
    pub(crate) fn profile(&self, bytes: &[u8], max: u64) -> Option<Vec<u8>> {
        if self.profile.is_empty() || self.profile_bytes() > max {
            return None;
        }
        let mut joined = Vec::with_capacity(self.profile.iter().map(ExactSizeIterator::len).sum());
        for range in &self.profile {
            joined.extend_from_slice(bytes.get(range.clone())?);
        }
        Some(joined)
    }

    /// The bytes to decode: the file, or its pieces joined where the file is irregular but whole.
    pub(crate) fn regular<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.irregular || self.fault.is_some() {
            return Cow::Borrowed(bytes);
        }
        Cow::Owned(self.joined(bytes))
    }

    /// Bytes of the colour profile, and of what the pieces leave out of a file of `length` bytes.
    pub(crate) fn metadata_bytes(&self, length: usize) -> u64 {
        let kept: usize =
            self.pieces.iter().map(|piece| if let Piece::Keep(range) = piece { range.len() } else { 0 }).sum();
        length.saturating_sub(kept) as u64 + self.profile_bytes()
    }

    /// The pieces as one file.
    pub(crate) fn joined(&self, bytes: &[u8]) -> Vec<u8> {
        self.pieces.iter().fold(Vec::with_capacity(bytes.len()), |mut joined, piece| {
            joined.extend_from_slice(piece.bytes(bytes));
            joined
        })
    }

    /// Bytes of the colour profile as it lies in the file.
    pub(crate) fn profile_bytes(&self) -> u64 {
        self.profile.iter().map(|range| range.len() as u64).sum()
    }
}

/// Collects pieces, joining neighbours, up to a limit.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    list: Vec<Piece>,
    /// Pieces that found no room in it.
    over: usize,
}

impl Pieces {
    /// A file that is cut more often than this is refused: each cut costs memory here and a write later.
    const MAX: usize = 16_384;

    /// Keeps these bytes of the input.
    pub(crate) fn keep(&mut self, range: Range<usize>) {
        if let Some(Piece::Keep(last)) = self.list.last_mut()
            && last.end == range.start
        {
            last.end = range.end;
        } else if !range.is_empty() {
            self.push(Piece::Keep(range));
        }
    }

    /// Adds new bytes.
    pub(crate) fn insert(&mut self, bytes: impl Into<Vec<u8>>) {
        self.push(Piece::Insert(bytes.into()));
    }

    /// Puts the other list behind this one.
    pub(crate) fn append(&mut self, other: Self) {
        self.over += other.over;
        for piece in other.list {
            match piece {
                Piece::Keep(range) => self.keep(range),
                Piece::Insert(bytes) => self.insert(bytes),
            }
        }
    }

    fn push(&mut self, piece: Piece) {
        if self.list.len() < Self::MAX {
            self.list.push(piece);
        } else {
            self.over += 1;
        }
    }

    /// Bytes that the pieces come to.
    pub(crate) fn len(&self) -> usize {
        self.list
            .iter()
            .map(|piece| match piece {
                Piece::Keep(range) => range.len(),
                Piece::Insert(bytes) => bytes.len(),
            })
            .sum()
    }

    /// The list.
    ///
    /// # Errors
    /// [`CodecError::TooScattered`] when it was cut short.
    pub(crate) fn finish(self) -> Result<Vec<Piece>, CodecError> {
        if self.over == 0 {
            return Ok(self.list);
        }
        Err(CodecError::TooScattered { got: Self::MAX + self.over, max: Self::MAX })
    }
}

/// A fixed number of bytes at an offset.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Two bytes, big end first.
pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

/// Four bytes, big end first.
pub(crate) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

/// Two bytes, little end first.
pub(crate) fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// Three bytes, little end first.
pub(crate) fn le24(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
}

/// Four bytes, little end first.
pub(crate) fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_put_together_in_place() {
        let kept = |pieces: &[Piece]| {
            let mut bytes: Vec<u8> = (0..10).collect();
            let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes(&bytes).to_vec()).collect();
            keep(&mut bytes, pieces);
            assert_eq!(bytes, joined, "{pieces:?}");
            bytes
        };
        kept(&[]);
        kept(&[Piece::Keep(0..10)]);
        kept(&[Piece::Keep(2..4), Piece::Keep(7..8)]);
        kept(&[Piece::Insert(vec![90; 30]), Piece::Keep(0..10), Piece::Insert(vec![91; 7])]);
        let mixed = [Piece::Keep(0..2), Piece::Insert(vec![90, 91]), Piece::Keep(3..9), Piece::Insert(vec![92])];
        assert_eq!(kept(&mixed), [0, 1, 90, 91, 3, 4, 5, 6, 7, 8, 92]);
    }

    #[test]
    fn neighbours_join_and_the_limit_holds() {
        let mut pieces = Pieces::default();
        pieces.keep(0..4);
        pieces.keep(4..8);
        pieces.insert([1]);
        pieces.keep(9..10);
        assert_eq!(pieces.len(), 10);
        assert_eq!(pieces.finish(), Ok(vec![Piece::Keep(0..8), Piece::Insert(vec![1]), Piece::Keep(9..10)]));
        let mut pieces = Pieces::default();
        (0..Pieces::MAX).for_each(|at| pieces.keep(2 * at..2 * at + 1));
        assert_eq!(pieces.over, 0);
        pieces.insert([0]);
        assert_eq!(pieces.finish(), Err(CodecError::TooScattered { got: Pieces::MAX + 1, max: Pieces::MAX }));
    }
}
