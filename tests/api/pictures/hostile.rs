//! Files that lie about themselves.

use super::containers::png_chunk;

/// A PNG of about 1 KB that says it has `width` by `height` pixels.
pub(crate) fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let data = super::containers::zlib_stored(&[0; 900]);
    [&b"\x89PNG\r\n\x1a\n"[..], &png_chunk(b"IHDR", &header), &png_chunk(b"IDAT", &data), &png_chunk(b"IEND", b"")]
        .concat()
}

/// A JPEG whose frame header says it has `width` by `height` pixels.
pub(crate) fn jpeg_that_claims(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    let frame = bytes.windows(2).position(|pair| matches!(pair, [0xff, 0xc0 | 0xc2])).unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

/// A GIF of this many frames of one pixel each.
pub(crate) fn gif_of_frames(frames: usize) -> Vec<u8> {
    let mut bytes = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    let frame = [0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0];
    bytes.extend(frame.repeat(frames));
    bytes.push(0x3b);
    bytes
}

#[test]
fn the_frames_of_the_gif_are_real() {
    use image::AnimationDecoder;
    let decoder = image::codecs::gif::GifDecoder::new(std::io::Cursor::new(gif_of_frames(3))).unwrap();
    assert_eq!(decoder.into_frames().collect_frames().unwrap().len(), 3);
}
