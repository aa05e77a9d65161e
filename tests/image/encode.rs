//! What the encoders write, judged by decoders that are not their own.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Cursor;

use glimt::codec::{self, Quality};
use glimt::domain::OutputFormat;
use glimt::pixels::{Layout, Pixmap};
use image::{DynamicImage, ImageReader};

use crate::corpus::{psnr, test_picture};

const LAYOUTS: [Layout; 4] = [Layout::Luma, Layout::LumaAlpha, Layout::Rgb, Layout::Rgba];

/// Decodes with the pure Rust decoders of `image`: zune-jpeg, image-webp, png.
fn read_back(file: &[u8]) -> DynamicImage {
    ImageReader::new(Cursor::new(file)).with_guessed_format().unwrap().decode().unwrap()
}

/// The picture as RGB over white.
fn over_white(pixmap: &Pixmap) -> Vec<u8> {
    let channels = pixmap.layout().channels();
    let lay = |sample: u8, alpha: u8| {
        let laid = (f64::from(sample) * f64::from(alpha) + 255.0 * (255.0 - f64::from(alpha))) / 255.0;
        laid.round().clamp(0.0, 255.0)
    };
    let pixels = pixmap.data().chunks_exact(channels).flat_map(|pixel| match *pixel {
        [grey] => [f64::from(grey); 3],
        [grey, alpha] => [lay(grey, alpha); 3],
        [r, g, b] => [f64::from(r), f64::from(g), f64::from(b)],
        [r, g, b, alpha] => [lay(r, alpha), lay(g, alpha), lay(b, alpha)],
        _ => unreachable!("a pixel of {channels} channels"),
    });
    pixels.map(|sample| format!("{sample}").parse().unwrap()).collect()
}

#[test]
fn jpeg_is_the_picture_over_white() {
    for layout in LAYOUTS {
        // Odd sides: the last blocks are not whole.
        for (width, height) in [(203, 149), (1, 1), (7, 64), (17, 1)] {
            let picture = test_picture(width, height, layout);
            let file = codec::encode(&picture, OutputFormat::Jpg, Quality::new(90)).unwrap();
            let back = read_back(&file);
            let grey = matches!(layout, Layout::Luma | Layout::LumaAlpha);
            assert_eq!(matches!(back, DynamicImage::ImageLuma8(_)), grey, "{layout:?}");
            let (want, got) = (over_white(&picture), back.to_rgb8().into_raw());
            let likeness = psnr(&want, &got);
            assert!(likeness > 27.0, "{layout:?} {width}x{height}: {likeness} dB");
        }
    }
}

#[test]
fn jpeg_subsamples_two_by_two() {
    let file = codec::encode(&test_picture(64, 64, Layout::Rgb), OutputFormat::Jpg, Quality::new(95)).unwrap();
    let frame = file.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    // Length, precision, height, width, count, then id, factors and table of each component.
    let factors = [file[frame + 11], file[frame + 14], file[frame + 17]];
    assert_eq!(factors, [0x22, 0x11, 0x11]);
}

#[test]
fn webp_keeps_colour_and_alpha() {
    for layout in LAYOUTS {
        for (width, height) in [(203, 149), (1, 1), (40, 200)] {
            let picture = test_picture(width, height, layout);
            let file = codec::encode(&picture, OutputFormat::Webp, Quality::new(90)).unwrap();
            let back = read_back(&file);
            // The encoder drops an alpha channel that says nothing, as that of a single row here.
            let channels = layout.channels();
            let clear =
                layout.has_alpha() && picture.data().iter().skip(channels - 1).step_by(channels).any(|&a| a < 255);
            assert_eq!(back.color().has_alpha(), clear, "{layout:?}");
            let own = codec::decode(
                &codec::encode(&picture, OutputFormat::Png, Quality::default()).unwrap(),
                &codec::Budget::default(),
            )
            .unwrap();
            assert_eq!(own, picture, "the control goes through PNG unchanged");
            let want = match layout {
                Layout::Rgba => picture.data().to_vec(),
                Layout::LumaAlpha => picture.data().chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect(),
                Layout::Luma | Layout::Rgb => over_white(&picture),
            };
            let got = if layout.has_alpha() { back.to_rgba8().into_raw() } else { back.to_rgb8().into_raw() };
            let likeness = psnr(&want, &got);
            assert!(likeness > 27.0, "{layout:?} {width}x{height}: {likeness} dB");
            if layout.has_alpha() {
                let alpha = |pixels: &[u8]| pixels.iter().skip(3).step_by(4).copied().collect::<Vec<u8>>();
                assert_eq!(alpha(&want), alpha(&got), "alpha is lossless");
            }
        }
    }
}

#[test]
fn png_loses_nothing() {
    for layout in LAYOUTS {
        for (width, height) in [(203, 149), (1, 1), (1, 300), (300, 1)] {
            let picture = test_picture(width, height, layout);
            let file = codec::encode(&picture, OutputFormat::Png, Quality::default()).unwrap();
            assert_eq!(read_back(&file).into_bytes(), picture.data(), "{layout:?} {width}x{height}");
        }
    }
}

/// The bound of the tests above would catch swapped channels, a shifted picture and a forgotten background.
#[test]
fn the_comparison_can_fail() {
    let picture = test_picture(203, 149, Layout::Rgb);
    let swapped: Vec<u8> = picture.data().chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
    assert!(psnr(picture.data(), &swapped) < 27.0);
    let mut shifted = picture.data().to_vec();
    shifted.rotate_right(3 * 8);
    assert!(psnr(picture.data(), &shifted) < 27.0);
    let clear = test_picture(203, 149, Layout::Rgba);
    let bare: Vec<u8> = clear.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    assert!(psnr(&over_white(&clear), &bare) < 27.0);
}

#[test]
fn quality_has_an_effect() {
    let picture = test_picture(203, 149, Layout::Rgb);
    for format in [OutputFormat::Jpg, OutputFormat::Webp] {
        let size = |quality| codec::encode(&picture, format, Quality::new(quality)).unwrap().len();
        assert!(size(30) < size(80) && size(80) < size(98), "{format:?}");
    }
}
