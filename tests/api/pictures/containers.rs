//! The containers of the formats, taken apart and put together: segments, chunks, blocks.

/// A JPEG with these segments (marker byte and payload) right after its start.
pub(crate) fn jpeg_with_segments(jpeg: &[u8], segments: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = jpeg[..2].to_vec();
    for (marker, payload) in segments {
        bytes.extend_from_slice(&[0xff, *marker]);
        bytes.extend_from_slice(&u16::try_from(payload.len() + 2).unwrap().to_be_bytes());
        bytes.extend_from_slice(payload);
    }
    bytes.extend_from_slice(&jpeg[2..]);
    bytes
}

/// One PNG chunk with its length and checksum.
pub(crate) fn png_chunk(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(kind);
    crc.update(payload);
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[..], kind, payload, &crc.finalize().to_be_bytes()].concat()
}

/// A PNG with these chunks right after its header.
pub(crate) fn png_with_chunks(png: &[u8], chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    const HEADER_END: usize = 8 + 25;
    let new: Vec<u8> = chunks.iter().flat_map(|(kind, payload)| png_chunk(kind, payload)).collect();
    [&png[..HEADER_END], &new, &png[HEADER_END..]].concat()
}

/// A zlib stream of these bytes, not compressed (one stored block).
pub(crate) fn zlib_stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    let checksum = (b << 16 | a).to_be_bytes();
    [&[0x78, 0x01, 0x01][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes, &checksum].concat()
}

/// A GIF with these blocks before its trailer.
pub(crate) fn gif_with_blocks(gif: &[u8], blocks: &[u8]) -> Vec<u8> {
    let (trailer, rest) = gif.split_last().unwrap();
    assert_eq!(*trailer, 0x3b);
    [rest, blocks, &[0x3b]].concat()
}

/// A GIF comment extension.
pub(crate) fn gif_comment(text: &[u8]) -> Vec<u8> {
    [&[0x21, 0xfe, u8::try_from(text.len()).unwrap()][..], text, &[0]].concat()
}

/// One RIFF chunk, padded to an even length.
fn riff_chunk(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let padding = &[0][..payload.len() % 2];
    [&kind[..], &length, payload, padding].concat()
}

/// A 24-bit little-endian number, one less than `value`.
fn less_one(value: u32) -> [u8; 3] {
    let [a, b, c, _] = (value - 1).to_le_bytes();
    [a, b, c]
}

/// The bitstream chunk (`VP8 ` or `VP8L`) of a simple WebP.
fn bitstream(webp: &[u8]) -> &[u8] {
    assert!(matches!(&webp[12..16], b"VP8 " | b"VP8L"), "not a simple WebP");
    &webp[12..]
}

fn extended_webp(flags: u8, width: u32, height: u32, chunks: &[u8]) -> Vec<u8> {
    let header = [&[flags, 0, 0, 0][..], &less_one(width), &less_one(height)].concat();
    let body = [b"WEBP", &riff_chunk(b"VP8X", &header)[..], chunks].concat();
    riff_chunk(b"RIFF", &body)
}

/// A simple WebP with a profile, EXIF and XMP.
pub(crate) fn webp_with_metadata(webp: &[u8], size: (u32, u32), icc: &[u8], exif: &[u8], xmp: &[u8]) -> Vec<u8> {
    let chunks =
        [&riff_chunk(b"ICCP", icc)[..], bitstream(webp), &riff_chunk(b"EXIF", exif), &riff_chunk(b"XMP ", xmp)];
    extended_webp(0x20 | 0x08 | 0x04, size.0, size.1, &chunks.concat())
}

/// Simple WebPs of one size as the frames of an endless animation, 100 ms each.
pub(crate) fn animated_webp(frames: &[Vec<u8>], width: u32, height: u32) -> Vec<u8> {
    let mut chunks = riff_chunk(b"ANIM", &[255, 255, 255, 255, 0, 0]);
    for frame in frames {
        let head = [&[0; 6][..], &less_one(width), &less_one(height), &[100, 0, 0, 0]].concat();
        chunks.extend(riff_chunk(b"ANMF", &[&head, bitstream(frame)].concat()));
    }
    extended_webp(0x02, width, height, &chunks)
}
