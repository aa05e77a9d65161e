//! What files decode to.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Cursor;

use glimt::codec::{self, Budget, CodecError, InputFormat, sniff};
use glimt::domain::{Format, OutputFormat};
use glimt::pixels::{Layout, Pixmap};

use crate::corpus::{self, psnr, test_picture};
use crate::malformed::{animated_gif, animated_png, animated_webp};

fn decode(bytes: &[u8]) -> Pixmap {
    codec::decode(bytes, &Budget::default()).unwrap()
}

fn pixel(pixmap: &Pixmap, x: u32, y: u32) -> &[u8] {
    let channels = pixmap.layout().channels();
    &pixmap.rows().nth(y as usize).unwrap()[x as usize * channels..][..channels]
}

/// PngSuite has each picture twice, `basi` interlaced and `basn` not: they must decode to the same.
#[test]
fn interlaced_and_plain_are_one_picture() {
    let files = corpus::files("formats");
    let mut pairs = 0;
    for (name, path) in &files {
        let Some(kind) = name.strip_prefix("pngsuite_basi") else { continue };
        let plain = files.iter().find(|(other, _)| other.strip_prefix("pngsuite_basn") == Some(kind));
        let Some((_, plain)) = plain else { continue };
        assert!(decode(&std::fs::read(path).unwrap()) == decode(&std::fs::read(plain).unwrap()), "{name}");
        pairs += 1;
    }
    assert!(pairs > 10 || files.is_empty(), "{pairs} pairs");
}

fn png(
    width: u32,
    height: u32,
    colour: png::ColorType,
    depth: png::BitDepth,
    data: &[u8],
    extra: impl FnOnce(&mut png::Encoder<'_, &mut Vec<u8>>),
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    extra(&mut encoder);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    file
}

#[test]
fn sixteen_bits_round_to_eight() {
    // 128 of 65,535 is under half a level, 129 over it.
    let samples: Vec<u8> = [0_u16, 128, 129, 65_535, 32_768, 257].iter().flat_map(|v| v.to_be_bytes()).collect();
    let picture = decode(&png(6, 1, png::ColorType::Grayscale, png::BitDepth::Sixteen, &samples, |_| {}));
    assert_eq!((picture.layout(), picture.data()), (Layout::Luma, &[0, 0, 1, 255, 128, 1][..]));
}

#[test]
fn few_bits_spread_over_the_range() {
    let picture = decode(&png(8, 1, png::ColorType::Grayscale, png::BitDepth::One, &[0b1010_0001], |_| {}));
    assert_eq!(picture.data(), [255, 0, 255, 0, 0, 0, 0, 255]);
    let picture = decode(&png(4, 1, png::ColorType::Grayscale, png::BitDepth::Two, &[0b00_01_10_11], |_| {}));
    assert_eq!(picture.data(), [0, 85, 170, 255]);
    let picture = decode(&png(2, 1, png::ColorType::Grayscale, png::BitDepth::Four, &[0x1F], |_| {}));
    assert_eq!(picture.data(), [17, 255]);
}

#[test]
fn palettes_and_their_alpha_are_looked_up() {
    let palette =
        |encoder: &mut png::Encoder<'_, &mut Vec<u8>>| encoder.set_palette(vec![1, 2, 3, 40, 50, 60, 7, 8, 9]);
    let picture = decode(&png(3, 1, png::ColorType::Indexed, png::BitDepth::Two, &[0b00_01_10_00], palette));
    assert_eq!((picture.layout(), picture.data()), (Layout::Rgb, &[1, 2, 3, 40, 50, 60, 7, 8, 9][..]));
    let picture = decode(&png(3, 1, png::ColorType::Indexed, png::BitDepth::Eight, &[0, 1, 2], |encoder| {
        palette(encoder);
        encoder.set_trns(vec![0, 128]);
    }));
    assert_eq!(picture.layout(), Layout::Rgba);
    assert_eq!(picture.data(), [1, 2, 3, 0, 40, 50, 60, 128, 7, 8, 9, 255]);
}

#[test]
fn first_frames_lie_on_their_canvas() {
    let gif = decode(&animated_gif());
    assert_eq!((gif.width(), gif.height(), gif.layout()), (61, 47, Layout::Rgba));
    assert_eq!(pixel(&gif, 0, 0), [0; 4], "outside of the frame");
    assert_eq!(pixel(&gif, 5, 7), [250, 120, 30, 255], "the frame's first pixel");
    assert_eq!(pixel(&gif, 14, 16), [250, 120, 30, 255]);
    assert_eq!(pixel(&gif, 15, 7), [0; 4], "transparent in the frame");
    assert_eq!(pixel(&gif, 14, 17), [0; 4], "below the frame");
    let webp = decode(&animated_webp());
    assert_eq!((webp.width(), webp.height(), webp.layout()), (61, 47, Layout::Rgba));
    assert_eq!(pixel(&webp, 3, 6), [0; 4]);
    assert_eq!(pixel(&webp, 4, 6)[3], 255);
    assert_eq!(pixel(&webp, 23, 25)[3], 255);
    assert_eq!(pixel(&webp, 24, 25), [0; 4]);
    assert!(decode(&animated_png()) == test_picture(61, 47, Layout::Rgb));
}

#[test]
fn frames_are_counted() {
    for (file, format) in
        [(animated_gif(), Format::Gif), (animated_webp(), Format::Webp), (animated_png(), Format::Png)]
    {
        let details = codec::ingest(file.to_vec(), None, &Budget::default()).unwrap().details;
        assert_eq!((details.format, details.frames, details.width, details.height), (format, 2, 61, 47));
        let one = Budget { max_frames: 1, ..Budget::default() };
        assert_eq!(codec::ingest(file.to_vec(), None, &one), Err(CodecError::TooManyFrames { got: 2, max: 1 }));
        let few = Budget { max_animation_pixels: 5_000, ..Budget::default() };
        assert_eq!(
            codec::ingest(file.to_vec(), None, &few),
            Err(CodecError::TooManyAnimationPixels { got: 5_734, max: 5_000 })
        );
    }
}

/// Adobe's files hold light where the name says ink; so do this encoder's.
#[test]
fn inks_become_colours() {
    let inks = |cmyk: [u8; 4], kind| {
        let mut file = Vec::new();
        let encoder = jpeg_encoder::Encoder::new(&mut file, 100);
        encoder.encode(&cmyk.repeat(64), 8, 8, kind).unwrap();
        decode(&file)
    };
    for kind in [jpeg_encoder::ColorType::Cmyk, jpeg_encoder::ColorType::CmykAsYcck] {
        for (cmyk, rgb) in [
            ([0, 0, 0, 0], [255, 255, 255]),
            ([0, 255, 255, 0], [255, 0, 0]),
            ([0, 0, 0, 255], [0, 0, 0]),
            ([255, 0, 0, 128], [0, 127, 127]),
        ] {
            let picture = inks(cmyk, kind);
            assert_eq!(picture.layout(), Layout::Rgb);
            for (got, want) in pixel(&picture, 4, 4).iter().zip(rgb) {
                assert!(got.abs_diff(want) <= 3, "{cmyk:?}: {:?} for {rgb:?}", pixel(&picture, 4, 4));
            }
        }
    }
}

/// The same photo as ink and as light.
#[test]
fn a_photo_in_inks_is_the_photo() {
    let find = |folder, wanted: &str| corpus::files(folder).into_iter().find(|(name, _)| name == wanted);
    let (Some((_, inks)), Some((_, light))) = (find("formats", "gen_cmyk_adobe.jpg"), find("photos", "Birdie.jpg"))
    else {
        return;
    };
    let (inks, light) = (decode(&std::fs::read(inks).unwrap()), decode(&std::fs::read(light).unwrap()));
    assert_eq!((inks.width(), inks.height()), (light.width(), light.height()));
    let likeness = psnr(inks.data(), light.data());
    assert!(likeness > 30.0, "{likeness} dB");
    let negative: Vec<u8> = inks.data().iter().map(|&sample| 255 - sample).collect();
    assert!(psnr(&negative, light.data()) < 30.0, "the control");
}

/// A profile for four inks (ICC.1:2022 section 10.11, lut8Type): two points an ink, so that each corner of the table is a
/// mixture; any black is black, cyan alone is a bright cyan that a plain multiplication would not give.
fn ink_profile() -> Vec<u8> {
    let mut table = Vec::new();
    for mixture in 0..16_u8 {
        let [cyan, magenta, yellow, black] = [mixture & 8, mixture & 4, mixture & 2, mixture & 1].map(|bit| bit != 0);
        // Lab at 8 bits: lightness over 255, a and b around 128.
        table.extend(match (cyan, magenta, yellow, black) {
            (_, _, _, true) => [0, 128, 128],
            (false, false, false, _) => [255, 128, 128],
            (true, false, false, _) => [180, 100, 90],
            _ => [120, 128, 128],
        });
    }
    let ramp: Vec<u8> = (0..=255).collect();
    let identity = [1_i32 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 16].map(i32::to_be_bytes).concat();
    let lut = [&b"mft1\0\0\0\0\x04\x03\x02\0"[..], &identity, &ramp.repeat(4), &table, &ramp.repeat(3)].concat();
    let white = [&b"XYZ \0\0\0\0"[..], &[0xF6D6_u32, 0x1_0000, 0xD32D].map(u32::to_be_bytes).concat()].concat();
    let tags = 128 + 4 + 2 * 12;
    let directory = [
        &2_u32.to_be_bytes()[..],
        b"wtpt",
        &u32::to_be_bytes(tags),
        &u32::to_be_bytes(20),
        b"A2B0",
        &u32::to_be_bytes(tags + 20),
        &u32::try_from(lut.len()).unwrap().to_be_bytes(),
    ]
    .concat();
    let mut header = vec![0; 128];
    let size = u32::try_from(128 + directory.len() + white.len() + lut.len()).unwrap();
    header[0..4].copy_from_slice(&size.to_be_bytes());
    header[8..12].copy_from_slice(&0x0220_0000_u32.to_be_bytes());
    header[12..24].copy_from_slice(b"prtrCMYKLab ");
    header[36..40].copy_from_slice(b"acsp");
    header[68..80].copy_from_slice(&[0xF6D6_u32, 0x1_0000, 0xD32D].map(u32::to_be_bytes).concat());
    [header, directory, white, lut].concat()
}

#[test]
fn an_ink_profile_is_applied_the_right_way_round() {
    let through = |cmyk: [u8; 4]| {
        let mut file = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut file, 100);
        encoder.add_icc_profile(&ink_profile()).unwrap();
        encoder.encode(&cmyk.repeat(64), 8, 8, jpeg_encoder::ColorType::Cmyk).unwrap();
        let picture = decode(&file);
        let pixel = pixel(&picture, 4, 4);
        [pixel[0], pixel[1], pixel[2]]
    };
    assert!(through([0; 4]).iter().all(|&sample| sample > 250), "no ink is paper: {:?}", through([0; 4]));
    assert!(through([0, 0, 0, 255]).iter().all(|&sample| sample < 5), "black is black");
    // Lab (71, -28, -38) is about (0, 194, 243); without the profile it would be (0, 255, 255).
    let [r, g, b] = through([255, 0, 0, 0]);
    assert!(r < 20 && g.abs_diff(194) < 8 && b.abs_diff(243) < 8, "{r} {g} {b}");
}

/// A file in Display P3 and the same scene in sRGB: decoded, they are alike; unconverted, they are not.
#[test]
fn profiles_are_applied() {
    let p3 = moxcms::ColorProfile::new_display_p3();
    let srgb = moxcms::ColorProfile::new_srgb();
    // Inside of both gamuts, or it could not come back.
    let scene: Vec<u8> = test_picture(64, 48, Layout::Rgb).data().iter().map(|&v| 64 + v / 2).collect();
    let mut seen_as_p3 = vec![0; scene.len()];
    srgb.create_transform_8bit(moxcms::Layout::Rgb, &p3, moxcms::Layout::Rgb, moxcms::TransformOptions::default())
        .unwrap()
        .transform(&scene, &mut seen_as_p3)
        .unwrap();
    let mut file = Cursor::new(Vec::new());
    let mut encoder = image::codecs::png::PngEncoder::new(&mut file);
    image::ImageEncoder::set_icc_profile(&mut encoder, p3.encode().unwrap()).unwrap();
    image::ImageEncoder::write_image(encoder, &seen_as_p3, 64, 48, image::ExtendedColorType::Rgb8).unwrap();
    let file = file.into_inner();
    assert!(psnr(decode(&file).data(), &scene) > 45.0, "{} dB", psnr(decode(&file).data(), &scene));
    assert!(psnr(&seen_as_p3, &scene) < 45.0, "the control");
    // Converted on the way in, it is sRGB without a profile.
    let converted = codec::ingest(file.to_vec(), Some(OutputFormat::Webp), &Budget::default()).unwrap();
    let webp = converted.stored;
    assert_eq!(sniff(&webp), Some(InputFormat::Webp));
    assert!(psnr(decode(&webp).data(), &scene) > 30.0);
    assert!(!webp.windows(4).any(|name| name == b"ICCP"));
}

#[test]
fn what_cannot_be_served_becomes_png() {
    let picture = test_picture(33, 21, Layout::Rgb);
    for format in [image::ImageFormat::Bmp, image::ImageFormat::Tiff, image::ImageFormat::Qoi, image::ImageFormat::Pnm]
    {
        let mut file = Cursor::new(Vec::new());
        image::RgbImage::from_raw(33, 21, picture.data().to_vec()).unwrap().write_to(&mut file, format).unwrap();
        let file = file.into_inner();
        for ingested in
            [codec::ingest(file.to_vec(), None, &Budget::default()), codec::accept(file.to_vec(), &Budget::default())]
        {
            let ingested = ingested.unwrap();
            assert_eq!((ingested.details.format, ingested.details.frames), (Format::Png, 1), "{format:?}");
            assert_eq!(sniff(&ingested.stored), Some(InputFormat::Png), "{format:?} kept as it is");
            assert!(decode(&ingested.stored) == picture, "{format:?}");
        }
        let jpeg = codec::ingest(file.to_vec(), Some(OutputFormat::Jpg), &Budget::default()).unwrap();
        assert_eq!(jpeg.details.format, Format::Jpg);
    }
}

/// The same format asked for is no conversion; another one is, and takes the first frame.
#[test]
fn conversion_is_only_between_formats() {
    let gif = animated_gif();
    let converted = codec::ingest(gif.to_vec(), Some(OutputFormat::Png), &Budget::default()).unwrap();
    assert_eq!((converted.details.format, converted.details.frames), (Format::Png, 1));
    assert_eq!(sniff(&converted.stored), Some(InputFormat::Png));
    assert!(decode(&converted.stored) == decode(&gif));
    let webp = animated_webp();
    let kept = codec::ingest(webp.clone(), Some(OutputFormat::Webp), &Budget::default()).unwrap();
    assert_eq!(kept.details.frames, 2);
    assert_eq!(kept.stored, webp);
}

/// An import without validation keeps the bytes, even of a file that ends early.
#[test]
fn an_accepted_file_is_kept_as_it_is() {
    let file = animated_gif();
    let cut = &file[..file.len() - 3];
    assert!(codec::ingest(cut.to_vec(), None, &Budget::default()).is_err());
    let accepted = codec::accept(cut.to_vec(), &Budget::default()).unwrap();
    assert_eq!(accepted.stored, cut);
    assert_eq!((accepted.details.width, accepted.details.height, accepted.details.format), (61, 47, Format::Gif));
}

/// What no library here reads is said to be what it is.
#[test]
fn odd_jpegs_are_refused_by_name() {
    let plain =
        codec::encode(&test_picture(32, 24, Layout::Rgb), OutputFormat::Jpg, codec::Quality::default()).unwrap();
    let frame = plain.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    for (at, value, name) in [
        (frame + 4, 12, "JPEG with 12 bits a sample is not supported"),
        (frame + 1, 0xC9, "JPEG with arithmetic coding is not supported"),
    ] {
        let mut odd = plain.clone();
        odd[at] = value;
        assert_eq!(codec::decode(&odd, &Budget::default()).unwrap_err().to_string(), name);
        assert_eq!(codec::ingest(odd, None, &Budget::default()).unwrap_err().to_string(), name);
    }
}
