//! Orientation 1 to 8 in every format that says it: always the same upright picture. AVIF and JPEG XL, which nothing here writes, have
//! files of their own and their tests in `avif.rs` and `jxl.rs`.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Cursor;

use glimt::codec::{self, Budget, Scale, sniff};
use glimt::domain::Format;
use glimt::pixels::Layout;
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageReader};

use crate::corpus::{psnr, test_picture};

/// A TIFF structure that says this orientation and nothing else.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    [&b"II*\0\x08\0\0\0\x01\0"[..], &entry, &[0; 4]].concat()
}

/// What a camera that was held so would store for the upright picture to be this one.
fn stored(upright: &DynamicImage, orientation: u8) -> DynamicImage {
    let back = match orientation {
        6 => 8,
        8 => 6,
        same => same,
    };
    let mut picture = upright.clone();
    picture.apply_orientation(Orientation::from_exif(back).unwrap());
    picture
}

fn with_exif<E: ImageEncoder>(mut encoder: E, picture: &DynamicImage, orientation: u8) {
    encoder.set_exif_metadata(exif(orientation)).unwrap();
    let colour = image::ExtendedColorType::Rgb8;
    encoder.write_image(picture.as_bytes(), picture.width(), picture.height(), colour).unwrap();
}

/// RGB without compression, in one strip (TIFF 6.0, section 6).
fn tiff(picture: &DynamicImage, orientation: u8) -> Vec<u8> {
    let long = |tag: u16, value: u32| {
        [&tag.to_le_bytes()[..], &4_u16.to_le_bytes(), &1_u32.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let length = u32::try_from(picture.as_bytes().len()).unwrap();
    let entries = [
        long(256, picture.width()),
        long(257, picture.height()),
        // Three numbers do not fit in the entry: they stand before the pixels.
        [&258_u16.to_le_bytes()[..], &3_u16.to_le_bytes(), &3_u32.to_le_bytes(), &8_u32.to_le_bytes()].concat(),
        long(259, 1),
        long(262, 2),
        long(273, 14),
        long(274, u32::from(orientation)),
        long(277, 3),
        long(278, picture.height()),
        long(279, length),
    ];
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    let directory = (14 + length).to_le_bytes();
    [&b"II*\0"[..], &directory, &[8, 0, 8, 0, 8, 0], picture.as_bytes(), &count, &entries.concat(), &[0; 4]].concat()
}

#[test]
fn every_orientation_gives_the_same_upright_picture() {
    let drawn = test_picture(50, 30, Layout::Rgb);
    let upright = DynamicImage::from(image::RgbImage::from_raw(50, 30, drawn.data().to_vec()).unwrap());
    for orientation in 1..=8 {
        let sensor = stored(&upright, orientation);
        assert_eq!(sensor.width() == 30, orientation > 4, "the test's own turn");
        let mut files = [(); 3].map(|()| Cursor::new(Vec::new()));
        let [jpeg, png, webp] = &mut files;
        with_exif(JpegEncoder::new_with_quality(jpeg, 97), &sensor, orientation);
        with_exif(PngEncoder::new(png), &sensor, orientation);
        with_exif(WebPEncoder::new_lossless(webp), &sensor, orientation);
        let [jpeg, png, webp] = files.map(Cursor::into_inner);
        for (file, format) in
            [(jpeg, Format::Jpg), (png, Format::Png), (webp, Format::Webp), (tiff(&sensor, orientation), Format::Png)]
        {
            let name = format!("{:?}, orientation {orientation}", sniff(&file));
            let seen = codec::decode(&file, &Budget::default()).unwrap();
            assert_eq!((seen.width(), seen.height()), (50, 30), "{name}");
            let likeness = psnr(seen.data(), upright.as_bytes());
            assert!(
                if format == Format::Jpg { likeness > 33.0 } else { likeness.is_infinite() },
                "{name}: {likeness:.1} dB"
            );
            // As planes for an engine, it is turned there.
            let engine = codec::decode_for_engine(&file, Scale::Whole, &Budget::default()).unwrap();
            let told = engine.orientation != glimt::pixels::Orientation::UPRIGHT;
            assert!(!told || format == Format::Jpg && orientation > 1, "{name}");
            // What is stored looks the same, and still says how it lies; what is converted lies right.
            let stored = codec::ingest(file, None, &Budget::default()).unwrap();
            assert_eq!(
                (stored.details.format, stored.details.width, stored.details.height),
                (format, 50, 30),
                "{name}"
            );
            assert!(codec::decode(&stored.stored, &Budget::default()).unwrap() == seen, "{name}");
            let reader = ImageReader::new(Cursor::new(&stored.stored)).with_guessed_format().unwrap();
            let says = reader.into_decoder().unwrap().orientation().unwrap().to_exif();
            let converted = name.contains("Tiff");
            assert_eq!(says, if converted { 1 } else { orientation }, "{name}");
        }
    }
    // The control: the other way round, it is another picture.
    let wrong = tiff(&stored(&upright, 6), 8);
    let wrong = codec::decode(&wrong, &Budget::default()).unwrap();
    assert!(psnr(wrong.data(), upright.as_bytes()) < 20.0);
}
