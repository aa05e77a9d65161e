//! EXIF orientation: reading it, turning pixels by it, and the smallest EXIF block that says it.

pub(crate) use image::metadata::Orientation;

use super::error::CodecError;
use super::raster::Raster;

/// The orientation an EXIF block tells; upright when it tells none or nonsense. Takes the block with or without the
/// `Exif\0\0` in front of its TIFF header.
pub(crate) fn from_exif(block: &[u8]) -> Orientation {
    let tiff = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    Orientation::from_exif_chunk(tiff).unwrap_or(Orientation::NoTransforms)
}

/// A TIFF structure whose one entry is this orientation: 26 bytes, without the `Exif\0\0` that JPEG wants in front.
pub(crate) fn minimal_exif(orientation: Orientation) -> [u8; 26] {
    // Big-endian; first directory at 8; one entry: tag 0x0112, type 3 (SHORT), count 1, value in the upper half;
    // no next directory.
    [b'M', b'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation.to_exif(), 0, 0, 0, 0, 0, 0]
}

/// Whether upright columns are stored rows.
pub(crate) const fn swaps_sides(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    )
}

/// The upright size of a picture stored in this size.
pub(crate) const fn upright_size(width: u32, height: u32, orientation: Orientation) -> (u32, u32) {
    if swaps_sides(orientation) { (height, width) } else { (width, height) }
}

/// The picture turned upright. Flips and the half turn work in place; the four that swap the sides need a second
/// buffer of the same size for as long as this runs.
///
/// # Errors
/// [`CodecError::Damaged`] never in practice: only were the buffer not the size it says.
pub(crate) fn upright(mut raster: Raster, orientation: Orientation) -> Result<Raster, CodecError> {
    let row = raster.row_bytes();
    let channels = raster.channels;
    match orientation {
        Orientation::NoTransforms => {}
        Orientation::FlipHorizontal => raster.data.chunks_exact_mut(row).for_each(|row| mirror(row, channels)),
        Orientation::FlipVertical => reverse_rows(&mut raster.data, row),
        Orientation::Rotate180 => mirror(&mut raster.data, channels),
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            raster = match channels {
                1 => transpose::<1>(&raster, orientation),
                2 => transpose::<2>(&raster, orientation),
                3 => transpose::<3>(&raster, orientation),
                _ => transpose::<4>(&raster, orientation),
            };
        }
    }
    Ok(raster)
}

/// Reverses the order of pixels, not of the bytes in them.
fn mirror(pixels: &mut [u8], channels: usize) {
    match channels {
        1 => pixels.reverse(),
        2 => pixels.as_chunks_mut::<2>().0.reverse(),
        3 => pixels.as_chunks_mut::<3>().0.reverse(),
        _ => pixels.as_chunks_mut::<4>().0.reverse(),
    }
}

/// Reverses the order of rows of `row` bytes.
fn reverse_rows(data: &mut [u8], row: usize) {
    let mut rows = data.chunks_exact_mut(row);
    while let (Some(top), Some(bottom)) = (rows.next(), rows.next_back()) {
        top.swap_with_slice(bottom);
    }
}

/// Turns by a quarter, with or without a mirror image. Stored pixel (x, y) of a W by H picture goes to upright
/// - 90: (H-1-y, x); 270: (y, W-1-x); 90 and flip, which is the plain transpose: (y, x); 270 and flip: (H-1-y, W-1-x).
///
/// Works in tiles of 32 by 32 so that both sides stay in the cache.
fn transpose<const N: usize>(raster: &Raster, orientation: Orientation) -> Raster {
    const TILE: usize = 32;
    let (width, height) = (raster.width as usize, raster.height as usize);
    let flip_x = matches!(orientation, Orientation::Rotate90 | Orientation::Rotate270FlipH);
    let flip_y = matches!(orientation, Orientation::Rotate270 | Orientation::Rotate270FlipH);
    let mut data = vec![0; raster.data.len()];
    let (source, _) = raster.data.as_chunks::<N>();
    let (target, _) = data.as_chunks_mut::<N>();
    for tile_y in (0..height).step_by(TILE) {
        for tile_x in (0..width).step_by(TILE) {
            for x in tile_x..(tile_x + TILE).min(width) {
                let out_y = if flip_y { width - 1 - x } else { x };
                for y in tile_y..(tile_y + TILE).min(height) {
                    let out_x = if flip_x { height - 1 - y } else { y };
                    if let (Some(to), Some(from)) = (target.get_mut(out_y * height + out_x), source.get(y * width + x))
                    {
                        *to = *from;
                    }
                }
            }
        }
    }
    Raster { width: raster.height, height: raster.width, channels: raster.channels, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Orientation; 8] = [
        Orientation::NoTransforms,
        Orientation::FlipHorizontal,
        Orientation::Rotate180,
        Orientation::FlipVertical,
        Orientation::Rotate90FlipH,
        Orientation::Rotate90,
        Orientation::Rotate270FlipH,
        Orientation::Rotate270,
    ];

    #[test]
    fn the_minimal_block_reads_back() {
        for orientation in ALL {
            assert_eq!(from_exif(&minimal_exif(orientation)), orientation);
        }
        assert_eq!(from_exif(b"Exif\0\0MM\0*nonsense"), Orientation::NoTransforms);
        assert_eq!(from_exif(&[]), Orientation::NoTransforms);
    }

    /// Every turn, every layout, and sides around the tile, against `image`'s own.
    #[test]
    fn turns_agree_with_the_image_crate() {
        for (width, height) in [(1, 1), (1, 5), (7, 1), (3, 2), (31, 33), (70, 65)] {
            for channels in 1..=4_usize {
                let len = width as usize * height as usize * channels;
                let data: Vec<u8> = (0..=250).cycle().step_by(7).take(len).collect();
                for orientation in ALL {
                    let raster = Raster { width, height, channels, data: data.clone() };
                    let got = upright(raster, orientation).unwrap();
                    let mut want = match channels {
                        1 => image::GrayImage::from_raw(width, height, data.clone()).map(image::DynamicImage::from),
                        2 => {
                            image::GrayAlphaImage::from_raw(width, height, data.clone()).map(image::DynamicImage::from)
                        }
                        3 => image::RgbImage::from_raw(width, height, data.clone()).map(image::DynamicImage::from),
                        _ => image::RgbaImage::from_raw(width, height, data.clone()).map(image::DynamicImage::from),
                    }
                    .unwrap();
                    want.apply_orientation(orientation);
                    assert_eq!((got.width, got.height), (want.width(), want.height()));
                    assert_eq!((got.width, got.height), upright_size(width, height, orientation));
                    assert_eq!(got.data, want.into_bytes(), "{width}x{height} {channels} {orientation:?}");
                }
            }
        }
    }
}
