//! What the fuzzer found: a file each, and a line that says what must hold of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use glimt::codec::{self, Budget, CodecError};
use glimt::domain::Filter;

use crate::corpus::own;

/// What is stored has the pixels of what came, and is stored the same if it comes again.
fn keeps_its_pixels(name: &str) {
    let file = own(&format!("fuzz/{name}"));
    let stored = codec::ingest(file.clone(), None, &Budget::default()).unwrap().stored;
    let decode = |file: &[u8]| codec::decode(file, &Budget::default()).unwrap();
    assert!(decode(&file) == decode(&stored), "{name}: the pixels changed");
    assert!(codec::ingest(stored.clone(), None, &Budget::default()).unwrap().stored == stored, "{name}");
}

/// Bytes that are in no segment sent the file to the library's decoder, and without them to our own, which round apart.
#[test]
fn bytes_between_segments() {
    keeps_its_pixels("bytes_between_segments.jpg");
}

/// A number of more than 32 bits wraps in the decoder of AV1. Were it a panic, it would end the process: it could not pass the
/// decoder's functions of C.
#[test]
fn av1_golomb_of_32_bits() {
    let result = codec::decode(&own("fuzz/av1_golomb_of_32_bits.avif"), &Budget::default());
    assert!(!matches!(result, Err(CodecError::Panicked { .. })), "{result:?}");
}

/// A chunk whose name begins with no letter was taken out, and without it the picture could be read.
#[test]
fn unknown_critical_chunk() {
    let file = own("fuzz/unknown_critical_chunk.png");
    assert!(codec::decode(&file, &Budget::default()).is_err());
    assert!(codec::ingest(file, None, &Budget::default()).is_err());
}

/// Colours of a kind that there is not may say anything, and said it still once stored.
#[test]
fn colours_of_no_kind() {
    keeps_its_pixels("colours_of_no_kind.avif");
    let file = own("fuzz/colours_of_no_kind.avif");
    let says = |bytes: &[u8]| bytes.windows(8).any(|word| word == b"colrncin");
    assert!(says(&file));
    assert!(!says(&codec::ingest(file, None, &Budget::default()).unwrap().stored));
}

/// The sampling factors of a single component mean nothing (A.2.2), and the library's decoder follows them.
#[test]
fn grey_of_three_rows() {
    let mut file = own("fuzz/grey_of_three_rows.jpg");
    let decode = |file: &[u8]| codec::decode(file, &Budget::default()).unwrap();
    let seen = decode(&file);
    let frame = file.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    assert_eq!(std::mem::replace(&mut file[frame + 11], 0x11), 0x13);
    assert!(seen == decode(&file));
}

/// A number of 260 digits was said in full.
#[test]
fn a_blur_of_many_digits() {
    let message = Filter::parse("blur", "1e259").unwrap().unwrap_err().to_string();
    assert_eq!(message, "blur=1e259 is over the limit of 10000");
}
