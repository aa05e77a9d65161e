//! Metadata: what identifies people and places goes, what the picture needs to look right stays, pixels are not touched.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Cursor;
use std::sync::LazyLock;

use glimt::codec::{self, Budget, InputFormat, Quality, sniff};
use glimt::domain::{Details, OutputFormat};
use glimt::pixels::{Layout, Pixmap};
use image::metadata::Orientation;
use image::{ImageDecoder, ImageReader};

use crate::corpus::{self, test_picture};
use crate::malformed::{animated_gif, animated_png, animated_webp};

/// Planted everywhere; long enough to be nowhere by chance.
const MARKER: &[u8] = b"planted-marker-47";

fn has(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// The file as it would be stored; panics when it was converted.
fn stripped(file: &[u8]) -> Vec<u8> {
    stored(file).1
}

fn stored(file: &[u8]) -> (Details, Vec<u8>) {
    let ingested = codec::ingest(file.to_vec(), None, &Budget::default()).unwrap();
    assert_eq!(sniff(&ingested.stored), sniff(file), "converted");
    (ingested.details, ingested.stored)
}

/// What another reader finds in a file: profile, EXIF, XMP, IPTC, orientation.
struct Found {
    profile: Option<Vec<u8>>,
    exif: Option<Vec<u8>>,
    words: [Option<Vec<u8>>; 2],
    orientation: Orientation,
}

fn look(file: &[u8]) -> Option<Found> {
    let mut decoder = ImageReader::new(Cursor::new(file)).with_guessed_format().unwrap().into_decoder().ok()?;
    Some(Found {
        profile: decoder.icc_profile().unwrap(),
        exif: decoder.exif_metadata().unwrap(),
        words: [decoder.xmp_metadata().unwrap(), decoder.iptc_metadata().unwrap()],
        orientation: decoder.orientation().unwrap(),
    })
}

fn decode(file: &[u8]) -> Pixmap {
    codec::decode(file, &Budget::default()).unwrap()
}

/// All that has to be true of a stripped file; returns it.
fn assert_stripped(name: &str, file: &[u8]) -> Vec<u8> {
    let (details, clean) = stored(file);
    assert!(decode(&clean) == decode(file), "{name}: the pixels changed");
    assert!(stored(&clean) == (details, clean.clone()), "{name}: the second time differs from the first");
    for word in [&b"http://ns.adobe.com/"[..], b"Photoshop 3.0", b"<x:xmpmeta", b"XMP DataXMP"] {
        assert!(!has(&clean, word), "{name}: {} is left", word.escape_ascii());
    }
    if let (Some(old), Some(new)) = (look(file), look(&clean)) {
        assert_eq!(new.orientation, old.orientation, "{name}");
        assert!(new.profile == old.profile, "{name}: the profile changed");
        assert_eq!(new.words, [None, None], "{name}");
        match new.exif {
            // 26 bytes: the orientation, and room for nothing else.
            Some(exif) => assert!(new.orientation != Orientation::NoTransforms && exif.len() == 26, "{name}: {exif:?}"),
            None => assert_eq!(new.orientation, Orientation::NoTransforms, "{name}"),
        }
    }
    clean
}

/// EXIF as a phone writes it: little-endian, an orientation, a description and a GPS directory with the marker in it.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let length = u32::try_from(MARKER.len()).unwrap();
    let text_at = 8 + 2 + 3 * 12 + 4;
    let gps_at = text_at + length;
    [
        &b"II*\0\x08\0\0\0\x03\0"[..],
        &entry(0x010E, 2, length, text_at),
        &entry(0x0112, 3, 1, u32::from(orientation)),
        &entry(0x8825, 4, 1, gps_at),
        &[0; 4],
        MARKER,
        b"\x01\0",
        &entry(0x001D, 2, length, gps_at + 18),
        &[0; 4],
        MARKER,
    ]
    .concat()
}

fn segment(marker: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    [&[0xFF, marker][..], &u16::try_from(body.len() + 2).unwrap().to_be_bytes(), &body].concat()
}

/// A JPEG with a marker in every place that can hold one.
fn loaded_jpeg(orientation: u8, picture: &[u8], profile: &[u8]) -> Vec<u8> {
    // The thumbnail inside of the JFIF header: one pixel for every three bytes.
    let thumbnail = MARKER.repeat(3);
    let pixels = [u8::try_from(MARKER.len()).unwrap(), 1];
    [
        &[0xFF, 0xD8][..],
        &segment(0xE0, &[b"JFIF\0\x01\x02\0\0\x01\0\x01", &pixels, &thumbnail]),
        &segment(0xE0, &[b"JFXX\0\x10", MARKER]),
        // Fill bytes in front of a marker.
        &[0xFF, 0xFF],
        &segment(0xE1, &[b"Exif\0\0", &exif(orientation)]),
        &segment(0xE1, &[b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>", MARKER]),
        &segment(0xE1, &[b"http://ns.adobe.com/xmp/extension/\0", MARKER]),
        &segment(0xE2, &[b"ICC_PROFILE\0\x01\x02", &profile[..200]]),
        &segment(0xE2, &[b"ICC_PROFILE\0\x02\x02", &profile[200..]]),
        &segment(0xE2, &[b"MPF\0", MARKER]),
        &segment(0xEC, &[b"Ducky", MARKER]),
        &segment(0xED, &[b"Photoshop 3.0\08BIM\x04\x04\0\0", MARKER]),
        &segment(0xFE, &[MARKER]),
        // Behind the picture's own SOI and JFIF header.
        &picture[2 + 2 + 16..],
        &segment(0xE1, &[MARKER]),
        MARKER,
        picture,
    ]
    .concat()
}

/// Made once: the time of its making is in it.
fn p3() -> Vec<u8> {
    static PROFILE: LazyLock<Vec<u8>> = LazyLock::new(|| moxcms::ColorProfile::new_display_p3().encode().unwrap());
    PROFILE.clone()
}

#[test]
fn jpeg_keeps_orientation_and_profile() {
    let picture = test_picture(50, 30, Layout::Rgb);
    let mut baseline = Vec::new();
    jpeg_encoder::Encoder::new(&mut baseline, 80).encode(picture.data(), 50, 30, jpeg_encoder::ColorType::Rgb).unwrap();
    let mut restarts = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut restarts, 80);
    encoder.set_progressive(true);
    encoder.set_restart_interval(2);
    encoder.encode(picture.data(), 50, 30, jpeg_encoder::ColorType::Rgb).unwrap();
    for file in [baseline, restarts] {
        for orientation in 1..=8 {
            let loaded = loaded_jpeg(orientation, &file, &p3());
            assert!(has(&loaded, MARKER), "the control");
            let clean = assert_stripped(&format!("orientation {orientation}"), &loaded);
            assert!(!has(&clean, MARKER));
            let found = look(&clean).unwrap();
            assert_eq!(found.orientation, Orientation::from_exif(orientation).unwrap());
            assert_eq!(found.profile, Some(p3()));
            let upright = decode(&clean);
            assert_eq!((upright.width(), upright.height()), if orientation < 5 { (50, 30) } else { (30, 50) });
        }
    }
}

/// A zlib stream of one stored block, in which the data can be seen.
fn stored_zlib(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    let (mut a, mut b) = (1_u32, 0_u32);
    for &byte in data {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    [&[0x78, 0x01, 0x01], &length.to_le_bytes()[..], &(!length).to_le_bytes(), data, &(b << 16 | a).to_be_bytes()]
        .concat()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(kind);
    checksum.update(data);
    let length = u32::try_from(data.len()).unwrap();
    [&length.to_be_bytes()[..], kind, data, &checksum.finalize().to_be_bytes()].concat()
}

#[test]
fn png_keeps_orientation_and_profile() {
    let mut with_profile = Cursor::new(Vec::new());
    let mut encoder = image::codecs::png::PngEncoder::new(&mut with_profile);
    image::ImageEncoder::set_icc_profile(&mut encoder, p3()).unwrap();
    let picture = test_picture(50, 30, Layout::Rgba);
    image::ImageEncoder::write_image(encoder, picture.data(), 50, 30, image::ExtendedColorType::Rgba8).unwrap();
    for (name, file) in [("PNG", with_profile.into_inner()), ("APNG", animated_png())] {
        let end = file.len() - 12;
        for orientation in 1..=8 {
            let block = chunk(b"eXIf", &exif(orientation));
            let load = |front: &[u8], behind: &[u8]| {
                [
                    &file[..33],
                    &chunk(b"tEXt", &[b"Comment\0", MARKER].concat()),
                    &chunk(b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta>", MARKER].concat()),
                    &chunk(b"zTXt", &[b"Raw profile type iptc\0\0", &stored_zlib(MARKER)[..]].concat()),
                    front,
                    &chunk(b"tIME", &[7, 234, 1, 2, 3, 4, 5]),
                    &chunk(b"gAMA", &45_455_u32.to_be_bytes()),
                    &chunk(b"prVt", MARKER),
                    &file[33..end],
                    behind,
                    &chunk(b"tEXt", &[b"Comment\0", MARKER].concat()),
                    &file[end..],
                    MARKER,
                ]
                .concat()
            };
            let loaded = load(&block, &[]);
            let clean = assert_stripped(name, &loaded);
            assert!(has(&loaded, MARKER) && !has(&clean, MARKER));
            assert!(has(&clean, b"gAMA") && !has(&clean, b"tIME"));
            assert_eq!(look(&clean).unwrap().orientation, Orientation::from_exif(orientation).unwrap());
            // It may stand behind the picture as well, where the other reader does not look.
            let behind = load(&[], &block);
            assert!(stripped(&behind) == clean);
            assert!(decode(&behind) == decode(&clean));
        }
        let clean = stripped(&file);
        assert_eq!(look(&clean).unwrap().profile.is_some(), name == "PNG");
    }
}

fn riff_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = [kind, &u32::try_from(data.len()).unwrap().to_le_bytes()[..], data].concat();
    if !data.len().is_multiple_of(2) {
        chunk.push(0);
    }
    chunk
}

fn riff(chunks: &[&[u8]]) -> Vec<u8> {
    let chunks = chunks.concat();
    [b"RIFF", &u32::try_from(4 + chunks.len()).unwrap().to_le_bytes()[..], b"WEBP", &chunks].concat()
}

#[test]
fn webp_keeps_orientation_and_profile() {
    for layout in [Layout::Rgb, Layout::Rgba] {
        let still = codec::encode(&test_picture(50, 30, layout), OutputFormat::Webp, Quality::default()).unwrap();
        // With alpha the encoder writes the extended header itself: 18 bytes.
        let picture = if layout.has_alpha() { &still[12 + 18..] } else { &still[12..] };
        for orientation in 1..=8 {
            for prefix in [&b""[..], b"Exif\0\0"] {
                let flags = 0x2C | if layout.has_alpha() { 0x10 } else { 0 };
                let loaded = [
                    riff(&[
                        &riff_chunk(b"VP8X", &[flags, 0, 0, 0, 49, 0, 0, 29, 0, 0]),
                        &riff_chunk(b"ICCP", &p3()),
                        &riff_chunk(b"PRIV", MARKER),
                        picture,
                        &riff_chunk(b"EXIF", &[prefix, &exif(orientation)].concat()),
                        &riff_chunk(b"XMP ", &[b"<x:xmpmeta>", MARKER].concat()),
                    ]),
                    MARKER.to_vec(),
                ]
                .concat();
                let clean = stripped(&loaded);
                assert!(has(&loaded, MARKER) && !has(&clean, MARKER));
                let found = look(&clean).unwrap();
                assert_eq!(found.orientation, Orientation::from_exif(orientation).unwrap());
                assert_eq!(found.profile, Some(p3()));
                // The other reader does not know the prefix, so it cannot compare.
                if prefix.is_empty() {
                    assert_stripped("WebP", &loaded);
                }
                assert!(decode(&clean) == decode(&loaded));
                assert_eq!(clean[20] & 0x04, 0, "the flag of XMP is gone");
                assert_eq!(clean[20] & 0x08 != 0, orientation != 1, "the flag of EXIF tells the truth");
            }
        }
    }
}

/// A header that promises metadata which some tool cut out: browsers show it, so it is taken in and put right.
#[test]
fn webp_with_flags_of_what_is_gone_is_put_right() {
    let still = codec::encode(&test_picture(50, 30, Layout::Rgb), OutputFormat::Webp, Quality::default()).unwrap();
    let file = riff(&[&riff_chunk(b"VP8X", &[0x2C, 0, 0, 0, 49, 0, 0, 29, 0, 0]), &still[12..]]);
    assert!(look(&file).is_none(), "the other reader refuses it");
    let clean = assert_stripped("WebP", &file);
    assert_eq!(clean[20], 0);
    assert!(decode(&clean) == decode(&still));
}

#[test]
fn webp_frames_lose_what_is_not_theirs() {
    let file = animated_webp();
    let frame = file.windows(4).position(|name| name == b"ANMF").unwrap();
    let length = u32::from_le_bytes(file[frame + 4..frame + 8].try_into().unwrap()) as usize;
    let body = [&file[frame + 8..frame + 8 + length], &riff_chunk(b"PRIV", MARKER)].concat();
    let loaded = riff(&[&file[12..frame], &riff_chunk(b"ANMF", &body), &file[frame + 8 + length..]]);
    let clean = assert_stripped("WebP", &loaded);
    assert!(has(&loaded, MARKER) && !has(&clean, MARKER));
    assert_eq!(clean, file);
}

#[test]
fn gif_keeps_its_loop_and_timing() {
    let file = animated_gif();
    let sub_blocks = |data: &[u8]| [&[u8::try_from(data.len()).unwrap()], data, &[0]].concat();
    // In front of the first graphic control extension.
    let first = file.windows(3).position(|window| window == [0x21, 0xF9, 4]).unwrap();
    let loaded = [
        &file[..first],
        b"\x21\xFE",
        &sub_blocks(MARKER),
        b"\x21\xFF\x0bXMP DataXMP",
        &sub_blocks(MARKER),
        b"\x21\xFF\x0bFRIENDLYEXT",
        &sub_blocks(MARKER),
        // A control that belongs to the plain text behind it, not to the image.
        b"\x21\xF9\x04\x05\xFF\xFF\x01\0",
        b"\x21\x01\x0c\0\0\0\0\0\0\0\0\x08\x08\x01\x02",
        &sub_blocks(MARKER),
        &file[first..],
        MARKER,
    ]
    .concat();
    let clean = assert_stripped("GIF", &loaded);
    assert!(has(&loaded, MARKER) && !has(&clean, MARKER));
    assert_eq!(clean, file, "but for what was planted, not a byte changed");
    // Without a control of its own the image gets the one in front of the text, in the reader as in browsers.
    let text_at = loaded.windows(3).position(|window| window == [0x21, 0x01, 12]).unwrap();
    let own = text_at + 15 + sub_blocks(MARKER).len();
    let borrowed = [&loaded[..own], &loaded[own + 8..]].concat();
    assert_eq!(borrowed[own], 0x2C, "an image follows");
    assert!(!has(&assert_stripped("GIF", &borrowed), MARKER));
    let mut reader = gif::DecodeOptions::new().read_info(&clean[..]).unwrap();
    let frame = reader.read_next_frame().unwrap().unwrap();
    assert_eq!((frame.delay, frame.transparent), (5, Some(2)));
    assert_eq!(reader.repeat(), gif::Repeat::Finite(3));
}

/// The bytes that a plain file loses: none.
#[test]
fn a_clean_file_stays_the_same_bytes() {
    let picture = test_picture(50, 30, Layout::Rgba);
    for format in OutputFormat::ALL {
        let file = codec::encode(&picture, format, Quality::default()).unwrap();
        assert!(assert_stripped("own", &file) == file, "{format:?}");
    }
    assert!(stripped(&animated_gif()) == animated_gif());
    assert!(stripped(&animated_webp()) == animated_webp());
    assert!(stripped(&animated_png()) == animated_png());
}

/// The formats that are stored as they are; the corpus' own test says that all their files decode.
const KEPT: [InputFormat; 5] =
    [InputFormat::Jpeg, InputFormat::Png, InputFormat::Webp, InputFormat::Gif, InputFormat::Avif];

#[test]
fn the_whole_corpus_is_stripped() {
    let mut stripped = 0;
    for (name, path) in corpus::files("photos").into_iter().chain(corpus::files("formats")) {
        let file = std::fs::read(path).unwrap();
        // The others are converted or refused; a profile that cannot be unpacked goes, which another reader sees.
        let kept = sniff(&file).is_some_and(|format| KEPT.contains(&format));
        let refused = name == "jt_flower.png.im_q85_luma_subsample.jpg";
        if kept && !refused && name != "png_broken_iccp.png" {
            assert_stripped(&name, &file);
            stripped += 1;
        }
    }
    println!("{stripped} files stripped");
}

/// A profile that inflates without end, or not at all, is no profile: it goes, and the picture stays.
#[test]
fn a_profile_that_cannot_be_unpacked_goes() {
    let picture = codec::encode(&test_picture(50, 30, Layout::Rgb), OutputFormat::Png, Quality::default()).unwrap();
    let with = |data: &[u8]| [&picture[..33], &chunk(b"iCCP", &[b"p\0\0", data].concat()), &picture[33..]].concat();
    assert!(has(&stripped(&with(&stored_zlib(&p3()))), b"iCCP"), "the control");
    assert!(stripped(&with(b"no zlib stream")) == picture);
    let small = Budget { max_profile_bytes: 100, ..Budget::default() };
    let file = with(&stored_zlib(&p3()));
    let ingested = codec::ingest(file.to_vec(), None, &small).unwrap();
    assert!(ingested.stored == picture);
}
