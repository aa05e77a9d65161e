//! A frame: what makes a torn or damaged part of the journal visible.
//!
//! ```text
//! 4 bytes  magic; its 0xff is in no UTF-8 text, so it is never found inside a payload
//! 4 bytes  length of the payload, little-endian
//! 8 bytes  sequence number, little-endian
//! 4 bytes  CRC-32 of length, sequence number and payload, little-endian
//! payload  JSON
//! ```

use super::{Entry, JournalError};

/// The first bytes of every frame.
pub(super) const MAGIC: [u8; 4] = [0xff, b'g', b'l', b'j'];

/// Bytes in front of the payload.
pub(super) const HEADER_BYTES: usize = 20;

/// The longest payload, in bytes. A longer length is damage, and is never allocated.
pub(super) const MAX_PAYLOAD_BYTES: u32 = 16 * 1024 * 1024;

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Bytes in the payload.
    pub(super) length: u32,
    /// The frame's number.
    pub(super) sequence: u64,
    /// The checksum of all of it.
    crc: u32,
}

impl Header {
    /// The header, if `bytes` begins with the magic and a possible length.
    pub(super) fn read(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (crc, _) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        (*magic == MAGIC && length <= MAX_PAYLOAD_BYTES).then_some(Self {
            length,
            sequence: u64::from_le_bytes(*sequence),
            crc: u32::from_le_bytes(*crc),
        })
    }

    /// Whether `payload` is the one this header was written for.
    pub(super) fn matches(&self, payload: &[u8]) -> bool {
        checksum(self.length, self.sequence, payload) == self.crc
    }
}

fn checksum(length: u32, sequence: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(&sequence.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The frame of `entry`.
pub(super) fn encode(sequence: u64, entry: &Entry) -> Result<Vec<u8>, JournalError> {
    let mut bytes = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut bytes, entry)
        .map_err(|error| JournalError::Entry { sequence, cause: error.to_string() })?;
    let (header, payload) = bytes.split_at_mut(HEADER_BYTES);
    let got = payload.len();
    let length = u32::try_from(got).ok().filter(|length| *length <= MAX_PAYLOAD_BYTES);
    let length = length.ok_or(JournalError::TooLarge { got, max: MAX_PAYLOAD_BYTES })?;
    let crc = checksum(length, sequence, payload);
    let fields = MAGIC.into_iter().chain(length.to_le_bytes()).chain(sequence.to_le_bytes()).chain(crc.to_le_bytes());
    header.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
    Ok(bytes)
}
