//! Boxes of the ISO base media file format (ISO/IEC 14496-12:2022, section 4.2): a length, four letters, a body.

use std::ops::Range;

use super::super::super::error::CodecError;
use super::NAME;

/// A box, by where it lies in the file.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) kind: [u8; 4],
    pub(super) whole: Range<usize>,
    pub(super) body: Range<usize>,
}

/// The box at `at`, inside of something that ends at `end`.
pub(super) fn box_at(bytes: &[u8], at: usize, end: usize) -> Result<Found, CodecError> {
    let mut fields = Fields::new(bytes, at..end);
    let size = fields.number(4)?;
    let kind = fields.array()?;
    let length = match size {
        0 => (end - at) as u64,
        1 => fields.number(8)?,
        size => size,
    };
    let stop = usize::try_from(length).ok().and_then(|length| at.checked_add(length));
    match stop {
        Some(stop) if stop > end => Err(CodecError::truncated(NAME)),
        Some(stop) if stop >= fields.at => Ok(Found { kind, whole: at..stop, body: fields.at..stop }),
        Some(_) | None => Err(CodecError::damaged(NAME, "a box has an impossible length")),
    }
}

/// The boxes that fill a range.
pub(super) fn boxes(bytes: &[u8], range: Range<usize>) -> impl Iterator<Item = Result<Found, CodecError>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        (at < range.end).then(|| {
            let found = box_at(bytes, at, range.end);
            at = found.as_ref().map_or(range.end, |found| found.whole.end);
            found
        })
    })
}

/// Reads numbers, big end first, one after the other, and never past the end.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], range: Range<usize>) -> Self {
        Self { bytes, at: range.start, end: range.end.min(bytes.len()) }
    }

    /// What is left.
    pub(super) const fn rest(&self) -> Range<usize> {
        self.at..self.end
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let stop = self.at.checked_add(count).filter(|&stop| stop <= self.end);
        let taken = stop.and_then(|stop| self.bytes.get(self.at..stop)).ok_or_else(|| CodecError::truncated(NAME))?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        self.take(N)?.try_into().map_err(|_never| CodecError::truncated(NAME))
    }

    /// A number of so many bytes, 8 at most; of none it is 0.
    pub(super) fn number(&mut self, count: usize) -> Result<u64, CodecError> {
        Ok(self.take(count.min(8))?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// A number of 32 bits or fewer.
    pub(super) fn small(&mut self, count: usize) -> Result<u32, CodecError> {
        self.number(count.min(4)).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// The version and the flags that full boxes begin with.
    pub(super) fn version(&mut self) -> Result<(u8, u32), CodecError> {
        let [version, flags @ ..] = self.array::<4>()?;
        Ok((version, flags.iter().fold(0, |flags, &byte| flags << 8 | u32::from(byte))))
    }
}
