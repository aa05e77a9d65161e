//! What is stored: the same pixels as came in, the same bytes if it came in again, and no metadata, by readers of the
//! containers that share no code with the ones that took it out.

#![no_main]

mod budget;

use glimt::codec::{self, CodecError, InputFormat, sniff};
use glimt::domain::Format;
use libfuzzer_sys::fuzz_target;

const WORDS: [&[u8]; 3] = [b"Exif", b"http://ns.adobe.com/xap", b"Photoshop 3.0"];

fuzz_target!(init: budget::quiet(), |bytes: &[u8]| {
    let budget = budget::small();
    let first = match codec::ingest(bytes.to_vec(), None, &budget) {
        Ok(first) => first,
        Err(error) => {
            assert!(!matches!(error, CodecError::Panicked { .. }), "{error}");
            return;
        }
    };
    let (before, after) = (codec::decode(bytes, &budget), codec::decode(&first.stored, &budget));
    let (before, after) = (before.expect("what is taken decodes"), after.expect("what is stored decodes"));
    let kept = sniff(bytes) == sniff(&first.stored);
    // What has lost something already may lose a little more.
    let may_lose = matches!(sniff(bytes), Some(InputFormat::Jxl | InputFormat::Heic));
    let lossy = may_lose && first.details.format != Format::Png;
    assert!(before == after || lossy, "the pixels changed: {before:?} to {after:?}");
    assert_eq!((before.width(), before.height()), (after.width(), after.height()));
    assert_eq!((first.details.width, first.details.height), (after.width(), after.height()));
    let second = codec::ingest(first.stored.clone(), None, &budget).expect("what is stored is taken again");
    assert!(second == first, "the second time differs: {:?} and {:?}", first.details, second.details);
    assert!(kept || lossy || first.details.format == Format::Png);
    let stored = &first.stored[..];
    match first.details.format {
        Format::Jpg => jpeg(stored),
        Format::Png => png(stored),
        Format::Webp => webp(stored),
        Format::Gif => gif(stored),
        Format::Avif => avif(stored),
    }
});

/// None of the words stands here, where nothing but sizes and settings may.
fn bare(what: &str, bytes: &[u8]) {
    for word in WORDS {
        assert!(!bytes.windows(word.len()).any(|window| window == word), "{what} has {}", word.escape_ascii());
    }
}

/// Marker by marker: tables, frame, scans, and of application data the five that have a shape that holds nothing else.
fn jpeg(file: &[u8]) {
    let mut at = 2;
    loop {
        assert_eq!(file[at], 0xFF, "a marker at {at}");
        let marker = file[at + 1];
        if marker == 0xD9 {
            assert_eq!(at + 2, file.len(), "a trailer");
            return;
        }
        let end = at + 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
        let body = &file[at + 4..end];
        match marker {
            0xE0 => assert!(body.starts_with(b"JFIF\0") && body.len() == 14 || body.starts_with(b"AVI1")),
            0xE1 => assert!(body.starts_with(b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12") && body.len() == 32),
            0xE2 => assert!(body.starts_with(b"ICC_PROFILE\0")),
            0xEE => assert!(body.starts_with(b"Adobe") && body.len() == 12),
            0xE0..=0xEF | 0xFE => panic!("a segment {marker:#x}"),
            _ => {}
        }
        if matches!(marker, 0xC0..=0xC2 | 0xDA | 0xDD | 0xEE | 0xE0) {
            bare("a segment", body);
        }
        at = end;
        if marker == 0xDA {
            // Entropy-coded data: up to what is neither a stuffed zero nor a restart.
            while file[at] != 0xFF || matches!(file[at + 1], 0 | 0xD0..=0xD7 | 0xFF) {
                at += 1;
            }
        }
    }
}

/// Chunk by chunk.
fn png(file: &[u8]) {
    const SEEN: &[&[u8; 4]] = &[
        b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"pHYs", b"cICP",
        b"mDCV", b"cLLI", b"acTL", b"fcTL", b"fdAT", b"iCCP",
    ];
    let mut at = 8;
    while at < file.len() {
        let length = u32::from_be_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]) as usize;
        let (kind, data) = (&file[at + 4..at + 8], &file[at + 8..at + 8 + length]);
        if kind == b"eXIf" {
            assert!(data.starts_with(b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12") && data.len() == 26, "more than a turn");
        } else {
            assert!(SEEN.iter().any(|seen| *seen == kind), "a chunk {}", kind.escape_ascii());
        }
        at += 12 + length;
        assert_eq!(kind == b"IEND", at == file.len(), "a trailer");
    }
}

/// Chunk by chunk, those of frames too.
fn webp(file: &[u8]) {
    let declared = u32::from_le_bytes([file[4], file[5], file[6], file[7]]) as usize;
    assert_eq!(declared + 8, file.len(), "a trailer");
    chunks(&file[12..], true);
}

fn chunks(mut rest: &[u8], outer: bool) {
    while !rest.is_empty() {
        let length = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize;
        let (kind, data) = (&rest[..4], &rest[8..8 + length]);
        match kind {
            b"VP8X" | b"ICCP" | b"ANIM" if outer => {}
            b"ANMF" if outer => chunks(&data[16..], false),
            b"EXIF" if outer => assert!(data.starts_with(b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12") && length == 26),
            b"VP8 " | b"VP8L" | b"ALPH" => {}
            _ => panic!("a chunk {}", kind.escape_ascii()),
        }
        rest = &rest[8 + length + length % 2..];
    }
}

/// Block by block.
fn gif(file: &[u8]) {
    let palette = |packed: u8| if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) };
    let sub_blocks = |mut at: usize| {
        while file[at] != 0 {
            at += 1 + usize::from(file[at]);
        }
        at + 1
    };
    let mut at = 13 + palette(file[10]);
    loop {
        at = match file[at] {
            0x3B => break,
            0x2C => sub_blocks(at + 10 + palette(file[at + 9]) + 1),
            0x21 => {
                let application = &file[at + 3..at + 14];
                let loops = matches!(application, b"NETSCAPE2.0" | b"ANIMEXTS1.0");
                let end = sub_blocks(at + 2);
                match file[at + 1] {
                    0xF9 => {}
                    0xFF if loops => assert_eq!(end - at, 19, "a loop count and nothing else"),
                    0xFF if application == b"ICCRGBG1012" => {}
                    label => panic!("an extension {label:#x}"),
                }
                end
            }
            other => panic!("a block {other:#x}"),
        };
    }
    assert_eq!(at + 1, file.len(), "a trailer");
}

/// Box by box: three kinds at the top, and no item that is no picture. Coded data may hold any word.
fn avif(file: &[u8]) {
    let mut at = 0;
    while at < file.len() {
        let length = u32::from_be_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]) as usize;
        let (kind, body) = (&file[at + 4..at + 8], &file[at + 8..at + length]);
        match kind {
            b"ftyp" | b"mdat" => {}
            b"meta" => items(body),
            _ => panic!("a box {}", kind.escape_ascii()),
        }
        at += length;
    }
}

/// What the entries of `iinf` say that their items are.
fn items(meta: &[u8]) {
    for (at, _) in meta.windows(4).enumerate().filter(|(_, word)| *word == b"infe") {
        let after_id = if meta[at + 4] == 2 { 2 } else { 4 };
        let kind = &meta[at + 8 + after_id + 2..][..4];
        assert!(matches!(kind, b"av01" | b"grid" | b"tmap"), "an item {}", kind.escape_ascii());
    }
}
