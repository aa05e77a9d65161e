//! Our own JPEG decoder against the library's: where both take a file, they see one picture. Divided while it is decoded it has
//! the size that it should, and the same light in the mean.

#![no_main]

mod budget;

use glimt::codec::{self, Scale};
use glimt::pixels::pixmap::Picture;
use glimt::pixels::{Layout, Pixmap};
use libfuzzer_sys::fuzz_target;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Means of differences, in codes of 255: nothing but rounding where there is nothing but samples, and another filter
/// between the samples of chroma.
const SAMPLES: f64 = 1.0;
const COLOURS: f64 = 8.0;

fn library(bytes: &[u8], space: ColorSpace) -> Option<Vec<u8>> {
    let options = DecoderOptions::default().set_strict_mode(true).jpeg_set_out_colorspace(space);
    JpegDecoder::new_with_options(ZCursor::new(bytes), options).decode().ok()
}

fn mean(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len(), "pictures of two sizes");
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

/// Scans of a file; counts markers, so more than there are where one stands in a segment.
fn scans(bytes: &[u8]) -> usize {
    bytes.windows(2).filter(|pair| *pair == [0xFF, 0xDA]).count()
}

fuzz_target!(init: budget::quiet(), |bytes: &[u8]| {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return;
    }
    let Ok(decoded) = codec::decode_for_engine(bytes, Scale::Whole, &budget::small()) else { return };
    for scale in [Scale::Half, Scale::Quarter, Scale::Eighth] {
        let divided = codec::decode_for_engine(bytes, scale, &budget::small()).expect("taken whole, so taken divided");
        assert_eq!((divided.whole, divided.orientation), (decoded.whole, decoded.orientation));
        against_whole(&decoded.picture, &divided.picture, divided.scale);
    }
    // The library is wrong about sequential files of several scans that are not one a component.
    let progressive = bytes.windows(2).any(|pair| pair == [0xFF, 0xC2]);
    if scans(bytes) > 1 && !progressive {
        return;
    }
    match decoded.picture {
        // Of other samplings it makes something else, and says nothing; those are compared by the definition in the tests.
        Picture::Planar(planes) if has_usual_chroma(bytes) => {
            let (Some(rgb), Some(ycc)) = (library(bytes, ColorSpace::RGB), library(bytes, ColorSpace::YCbCr)) else {
                return;
            };
            let luma: Vec<u8> = ycc.iter().step_by(3).copied().collect();
            let off = mean(planes.luma(), &luma);
            assert!(off <= SAMPLES, "luma is {off} off");
            let ours = planes.to_rgb().expect("the planes are of their size");
            let off = mean(ours.data(), &rgb);
            assert!(off <= COLOURS, "colour is {off} off");
        }
        // The library follows the sampling factors of a single component, which mean nothing (A.2.2).
        Picture::Packed(grey) if grey.layout() == Layout::Luma && has_plain_factors(bytes) => against_grey(&grey, bytes),
        Picture::Packed(_) | Picture::Planar(_) => {}
    }
});

/// Whether every frame header of three components, or what looks like one, has chroma as large as luma or halved, and both alike.
fn has_usual_chroma(bytes: &[u8]) -> bool {
    let frame = |window: &[u8]| window[0] == 0xFF && matches!(window[1], 0xC0..=0xC2) && window[9] == 3;
    bytes.windows(18).filter(|window| frame(window)).all(|window| {
        let [luma, blue, red] = [window[11], window[14], window[17]].map(|sides| (sides >> 4, sides & 15));
        let fits = |most: u8, part: u8| part == most || 2 * part == most;
        blue == red && fits(luma.0, blue.0) && fits(luma.1, blue.1)
    })
}

/// Sizes; and the mean of luma, where nothing was cut off at black or white, and nothing is outside of the picture.
fn against_whole(whole: &Picture, divided: &Picture, scale: Scale) {
    let luma = |picture: &Picture| match picture {
        Picture::Planar(planes) => Some((planes.width(), planes.height(), planes.luma().to_vec())),
        Picture::Packed(grey) if grey.layout() == Layout::Luma => Some((grey.width(), grey.height(), grey.data().to_vec())),
        Picture::Packed(_) => None,
    };
    let (Some((width, height, whole)), Some((across, down, divided))) = (luma(whole), luma(divided)) else { return };
    assert_eq!((across, down), (scale.side(width), scale.side(height)), "{scale:?}");
    let mean = |samples: &[u8]| samples.iter().map(|its| f64::from(*its)).sum::<f64>() / samples.len() as f64;
    let is_cut_off = whole.iter().chain(&divided).any(|sample| matches!(sample, 0 | 255));
    if width % 8 == 0 && height % 8 == 0 && !is_cut_off {
        let off = (mean(&whole) - mean(&divided)).abs();
        assert!(off <= SAMPLES, "{scale:?}: {off} off in the mean");
    }
}

/// Whether every frame header of one component says 1 by 1, or what looks like one.
fn has_plain_factors(bytes: &[u8]) -> bool {
    let frame = |window: &[u8]| window[0] == 0xFF && matches!(window[1], 0xC0..=0xC2) && window[9] == 1;
    bytes.windows(12).filter(|window| frame(window)).all(|window| window[11] == 0x11)
}

fn against_grey(grey: &Pixmap, bytes: &[u8]) {
    if let Some(luma) = library(bytes, ColorSpace::Luma)
        && luma.len() == grey.data().len()
    {
        let off = mean(grey.data(), &luma);
        assert!(off <= SAMPLES, "grey is {off} off");
    }
}
