//! Pictures with metadata planted in every place there is. Whatever must not survive contains [`SECRET`].

use std::sync::LazyLock;

use image::{ImageFormat, RgbImage};

use super::{containers, encoded, jpeg_of};

/// What no stored file may contain.
pub(crate) const SECRET: &[u8] = b"SECRET";

/// The Display P3 profile: one that changes how a picture looks, and has to stay.
///
/// Made once: the time stands in it.
pub(crate) fn display_p3() -> Vec<u8> {
    static PROFILE: LazyLock<Vec<u8>> = LazyLock::new(|| moxcms::ColorProfile::new_display_p3().encode().unwrap());
    PROFILE.clone()
}

/// An EXIF block (TIFF, little-endian) with an orientation, a camera, a place, and a thumbnail.
pub(crate) fn exif(orientation: u16) -> Vec<u8> {
    const ENTRIES: u32 = 3;
    const IFD1: u32 = 8 + 2 + ENTRIES * 12 + 4;
    const GPS: u32 = IFD1 + 2 + 2 * 12 + 4;
    const DATA: u32 = GPS + 2 + 2 * 12 + 4;
    let make = b"SECRET-CAMERA-4711\0";
    let place: Vec<u8> = [52_u32, 1, 31, 1, 12, 1].iter().flat_map(|number| number.to_le_bytes()).collect();
    let thumbnail = b"\xff\xd8SECRET-THUMBNAIL\xff\xd9";
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
    let (make_at, place_at) = (DATA, DATA + length(make));
    let thumbnail_at = place_at + length(&place);

    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend(3_u16.to_le_bytes());
    bytes.extend(entry(0x010f, 2, length(make), make_at));
    bytes.extend(entry(0x0112, 3, 1, u32::from(orientation)));
    bytes.extend(entry(0x8825, 4, 1, GPS));
    bytes.extend(IFD1.to_le_bytes());
    bytes.extend(2_u16.to_le_bytes());
    bytes.extend(entry(0x0201, 4, 1, thumbnail_at));
    bytes.extend(entry(0x0202, 4, 1, length(thumbnail)));
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(2_u16.to_le_bytes());
    bytes.extend(entry(0x0001, 2, 2, u32::from(b'N')));
    bytes.extend(entry(0x0002, 5, 3, place_at));
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend_from_slice(make);
    bytes.extend(place);
    bytes.extend_from_slice(thumbnail);
    bytes
}

fn xmp() -> Vec<u8> {
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><creator>SECRET-NAME</creator></x:xmpmeta>".to_vec()
}

/// A JPEG with EXIF (this orientation, GPS, thumbnail), XMP, extended XMP, IPTC, a multi-picture index, two comments and
/// a Display P3 profile.
pub(crate) fn laden_jpeg(picture: &RgbImage, orientation: u16) -> Vec<u8> {
    let joined = |head: &[u8], tail: &[u8]| [head, tail].concat();
    containers::jpeg_with_segments(
        &jpeg_of(picture),
        &[
            (0xe1, joined(b"Exif\0\0", &exif(orientation))),
            (0xe1, joined(b"http://ns.adobe.com/xap/1.0/\0", &xmp())),
            (
                0xe1,
                joined(
                    b"http://ns.adobe.com/xmp/extension/\0",
                    b"0123456789abcdef0123456789abcdef\0\0\0\x14\0\0\0\0SECRET-EXTENDED",
                ),
            ),
            (0xe2, joined(b"ICC_PROFILE\0\x01\x01", &display_p3())),
            (0xe2, b"MPF\0SECRET-MULTI-PICTURE".to_vec()),
            (0xed, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x12\x1c\x02\x50\0\x0dSECRET-BYLINE\0".to_vec()),
            (0xfe, b"SECRET-COMMENT".to_vec()),
            (0xef, b"SECRET-VENDOR".to_vec()),
        ],
    )
}

/// A JPEG with nothing but this orientation.
pub(crate) fn turned_jpeg(picture: &RgbImage, orientation: u16) -> Vec<u8> {
    let exif = [&b"Exif\0\0"[..], &exif(orientation)].concat();
    containers::jpeg_with_segments(&jpeg_of(picture), &[(0xe1, exif)])
}

/// A PNG with every kind of text, EXIF with this orientation, a time and a Display P3 profile.
pub(crate) fn laden_png(picture: &RgbImage, orientation: u16) -> Vec<u8> {
    let compressed = containers::zlib_stored(b"SECRET-ZTXT");
    containers::png_with_chunks(
        &encoded(&picture.clone().into(), ImageFormat::Png),
        &[
            (b"iCCP", [&b"Display P3\0\0"[..], &containers::zlib_stored(&display_p3())].concat()),
            (b"tEXt", b"Author\0SECRET-AUTHOR".to_vec()),
            (b"zTXt", [&b"Comment\0\0"[..], &compressed].concat()),
            (b"iTXt", [&b"XML:com.adobe.xmp\0\0\0\0\0"[..], &xmp()].concat()),
            (b"eXIf", exif(orientation)),
            (b"tIME", vec![7, 0xe8, 1, 2, 3, 4, 5]),
            (b"prVt", b"SECRET-PRIVATE-CHUNK".to_vec()),
        ],
    )
}

/// A WebP (this simple one inside) with a profile, EXIF with this orientation, and XMP.
pub(crate) fn laden_webp(simple: &[u8], size: (u32, u32), orientation: u16) -> Vec<u8> {
    containers::webp_with_metadata(simple, size, &display_p3(), &exif(orientation), &xmp())
}

/// A GIF with a comment and XMP.
pub(crate) fn laden_gif(gif: &[u8]) -> Vec<u8> {
    let xmp =
        [&b"\x21\xff\x0bXMP DataXMP\x0eSECRET-CREATOR\0"[..], &containers::gif_comment(b"SECRET-COMMENT")].concat();
    containers::gif_with_blocks(gif, &xmp)
}

/// Whether `needle` stands anywhere in `bytes`.
pub(crate) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn what_is_planted_is_there_and_decoders_read_it() {
    use super::{animated_gif, decoded, photo, seen};
    let picture = photo(1, 40, 30);
    let simple = encoded(&picture.clone().into(), ImageFormat::WebP);
    let gif = animated_gif(&[[255, 0, 0], [0, 0, 255]], 8, 8);
    for laden in [laden_jpeg(&picture, 6), laden_png(&picture, 6), laden_webp(&simple, (40, 30), 6), laden_gif(&gif)] {
        assert!(contains(&laden, SECRET));
        let _picture = decoded(&laden);
    }
    assert_eq!(seen(&turned_jpeg(&picture, 6)).dimensions(), (30, 40));
    assert_eq!(seen(&turned_jpeg(&picture, 1)).dimensions(), (40, 30));
}
