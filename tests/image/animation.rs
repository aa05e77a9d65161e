//! Animations through the codecs: every frame as the `image` crate composes it, and back into every format that moves.

#![expect(clippy::unwrap_used, reason = "clippy takes only test functions for tests; this is what they call")]

use std::io::Cursor;

use glimt::codec::{Budget, CodecError, Quality, animate};
use glimt::domain::OutputFormat;
use glimt::pixels::{Layout, Pixmap};
use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, Frame};

use crate::corpus;

/// A frame: its pixels as RGBA, and its delay in milliseconds.
type Shown = (Pixmap, u32);

const MOVING: [OutputFormat; 3] = [OutputFormat::Gif, OutputFormat::Webp, OutputFormat::Apng];

fn read(bytes: &[u8], budget: &Budget) -> Result<Vec<Pixmap>, CodecError> {
    let mut frames = Vec::new();
    animate(bytes, OutputFormat::Apng, Quality::default(), budget, |frame| {
        frames.push(frame.clone());
        Ok::<_, CodecError>(frame)
    })?;
    Ok(frames)
}

fn written(bytes: &[u8], format: OutputFormat) -> Vec<u8> {
    animate(bytes, format, Quality::new(95), &Budget::default(), Ok::<_, CodecError>).unwrap()
}

/// All frames by the `image` crate, which composes GIF and APNG in code of its own.
fn independent(bytes: &[u8]) -> Option<Vec<Shown>> {
    let cursor = || Cursor::new(bytes);
    let frames: Vec<Frame> = match bytes {
        [b'G', b'I', b'F', ..] => GifDecoder::new(cursor()).ok()?.into_frames().collect::<Result<_, _>>().ok()?,
        [b'R', b'I', b'F', b'F', ..] => {
            WebPDecoder::new(cursor()).ok()?.into_frames().collect::<Result<_, _>>().ok()?
        }
        _ => PngDecoder::new(cursor()).ok()?.apng().ok()?.into_frames().collect::<Result<_, _>>().ok()?,
    };
    let shown = |frame: Frame| {
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let buffer = frame.into_buffer();
        let (width, height) = buffer.dimensions();
        (Pixmap::new(width, height, Layout::Rgba, buffer.into_raw()).unwrap(), numerator / denominator)
    };
    Some(frames.into_iter().map(shown).collect())
}

/// The largest difference of a channel, where a pixel is to be seen at all.
fn off(a: &Pixmap, b: &Pixmap) -> u8 {
    assert_eq!((a.width(), a.height(), a.layout()), (b.width(), b.height(), b.layout()));
    let pixels = a.data().chunks_exact(4).zip(b.data().chunks_exact(4)).filter(|(a, b)| a[3] > 0 || b[3] > 0);
    pixels.flat_map(|(a, b)| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b))).max().unwrap_or(0)
}

/// How often a file says it is shown, by the container's own numbers: 0 for ever.
fn plays(bytes: &[u8]) -> u32 {
    let find = |name: &[u8]| bytes.windows(name.len()).position(|window| window == name);
    let le16 = |at: usize| u32::from(bytes[at]) | u32::from(bytes[at + 1]) << 8;
    match bytes {
        [b'G', b'I', b'F', ..] => match find(b"NETSCAPE2.0").map(|at| le16(at + 13)) {
            None => 1,
            Some(0) => 0,
            Some(repetitions) => repetitions + 1,
        },
        [b'R', b'I', b'F', b'F', ..] => le16(find(b"ANIM").unwrap() + 12),
        _ => {
            let at = find(b"acTL").unwrap() + 8;
            u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        }
    }
}

/// A GIF whose frames are parts of the canvas, with every way to dispose of them.
fn patchwork(repeat: Option<gif::Repeat>) -> Vec<u8> {
    use gif::DisposalMethod::{Any, Background, Keep, Previous};
    let palette = [[0, 0, 0], [250, 10, 20], [30, 240, 10], [20, 30, 220], [250, 250, 250]].as_flattened().to_vec();
    let mut encoder = gif::Encoder::new(Vec::new(), 31, 23, &palette).unwrap();
    if let Some(repeat) = repeat {
        encoder.set_repeat(repeat).unwrap();
    }
    let parts = [
        (0, 0, 31, 23, Keep, 3, Some(0)),
        (3, 2, 9, 7, Background, 5, None),
        (5, 4, 11, 13, Previous, 0, Some(2)),
        (20, 10, 11, 13, Any, 7, Some(1)),
        (1, 1, 29, 21, Previous, 11, Some(4)),
        (0, 0, 31, 23, Background, 13, Some(3)),
        (8, 8, 8, 8, Keep, 17, None),
    ];
    for ((left, top, width, height, dispose, delay, transparent), at) in parts.into_iter().zip(0_u16..) {
        let buffer = (0..width * height).map(|pixel| u8::try_from((pixel / 3 + at * 2) % 5).unwrap()).collect();
        let frame =
            gif::Frame { left, top, width, height, dispose, delay, transparent, buffer, ..gif::Frame::default() };
        encoder.write_frame(&frame).unwrap();
    }
    encoder.into_inner().unwrap()
}

/// An APNG whose frames are parts of the canvas, with every way to blend and to dispose of them, half-transparent pixels
/// among them. With `separate` the default image is no frame. (What is restored after a cleared frame is not here: the `image`
/// crate brings the frame back that was to be cleared.)
fn blended(separate: bool) -> Vec<u8> {
    use png::{BlendOp, DisposeOp};
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 30, 20);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(5, 3).unwrap();
    encoder.set_sep_def_img(separate).unwrap();
    let mut writer = encoder.write_header().unwrap();
    let picture = |width: u32, height: u32, seed: u32| -> Vec<u8> {
        let bytes = (0..width * height * 4).map(|at| u8::try_from((at * 37 + seed * 101 + at / 7) % 256).unwrap());
        bytes.collect()
    };
    if separate {
        writer.write_image_data(&picture(30, 20, 99)).unwrap();
    }
    let parts = [
        (0, 0, 30, 20, BlendOp::Source, DisposeOp::None),
        (4, 3, 12, 9, BlendOp::Over, DisposeOp::Previous),
        (0, 0, 30, 20, BlendOp::Over, DisposeOp::None),
        (7, 1, 20, 19, BlendOp::Over, DisposeOp::Background),
        (2, 2, 5, 5, BlendOp::Source, DisposeOp::None),
    ];
    for ((x, y, width, height, blend, dispose), seed) in parts.into_iter().zip(0..) {
        writer.reset_frame_position().unwrap();
        writer.set_frame_dimension(width, height).unwrap();
        writer.set_frame_position(x, y).unwrap();
        writer.set_blend_op(blend).unwrap();
        writer.set_dispose_op(dispose).unwrap();
        writer.set_frame_delay(u16::try_from(seed + 1).unwrap(), 20).unwrap();
        writer.write_image_data(&picture(width, height, seed)).unwrap();
    }
    writer.finish().unwrap();
    file
}

#[test]
fn frames_are_composed_as_the_image_crate_does() {
    // Blending differs by its rounding.
    for (what, file, most) in [("GIF", patchwork(None), 0), ("APNG", blended(false), 2), ("separate", blended(true), 2)]
    {
        let (got, want) = (read(&file, &Budget::default()).unwrap(), independent(&file).unwrap());
        assert_eq!(got.len(), want.len(), "{what}");
        for ((got, (want, _)), at) in got.iter().zip(&want).zip(0..) {
            let off = off(got, want);
            assert!(off <= most, "{what}, frame {at}: off by {off}");
        }
        assert!(off(&got[0], &got[1]) > 40, "the control: frames are different");
    }
}

#[test]
fn all_that_moves_becomes_all_that_moves() {
    let still = glimt::codec::encode(
        &Pixmap::new(9, 7, Layout::Rgb, (0..189).collect()).unwrap(),
        OutputFormat::Png,
        Quality::default(),
    )
    .unwrap();
    for (what, file) in [("GIF", patchwork(Some(gif::Repeat::Finite(2)))), ("APNG", blended(false)), ("still", still)] {
        let frames = read(&file, &Budget::default()).unwrap();
        for format in MOVING {
            let made = written(&file, format);
            let back = if frames.len() == 1 && format == OutputFormat::Apng { None } else { independent(&made) };
            let Some(back) = back else { continue };
            assert_eq!(back.len(), frames.len(), "{what} to {format:?}");
            assert!(frames.len() == 1 || plays(&made) == 3, "{what} to {format:?}: shown {} times", plays(&made));
            for ((got, _), want) in back.iter().zip(&frames) {
                match format {
                    OutputFormat::Apng => assert_eq!(off(got, want), 0, "{what}"),
                    OutputFormat::Gif if what == "GIF" => assert_eq!(off(got, want), 0, "few colours stay exact"),
                    OutputFormat::Gif | OutputFormat::Webp => {}
                    OutputFormat::Jpg | OutputFormat::Png | OutputFormat::Avif => panic!("{format:?} stands still"),
                }
            }
            let sum = |shown: &[Shown]| shown.iter().map(|(_, delay)| *delay).collect::<Vec<_>>();
            if frames.len() > 1 {
                let want = sum(&independent(&file).unwrap());
                // A GIF counts in hundredths of a second.
                let round = |delay: u32| if format == OutputFormat::Gif { (delay + 5) / 10 * 10 } else { delay };
                assert_eq!(sum(&back), want.into_iter().map(round).collect::<Vec<_>>(), "{what} to {format:?}");
            }
        }
    }
}

/// Smooth frames, of which a part moves: what lossy formats are for.
fn moving(frames: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 96, 64);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(frames, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for at in 0..frames {
        let pixel = |x: u32, y: u32| {
            let inside = (x.abs_diff(20 + at * 9)).pow(2) + y.abs_diff(30).pow(2) < 200;
            let base = [x * 2 + 20, y * 3 + 10, 128, 255];
            let lit = [250, 200 - y, 40, 255];
            (if inside { lit } else { base }).map(|value| u8::try_from(value).unwrap())
        };
        let data: Vec<u8> = (0..64).flat_map(|y| (0..96).flat_map(move |x| pixel(x, y))).collect();
        writer.write_image_data(&data).unwrap();
    }
    writer.finish().unwrap();
    file
}

#[test]
fn lossy_formats_come_close_and_write_what_changed_only() {
    let file = moving(6);
    let frames = read(&file, &Budget::default()).unwrap();
    for (format, least) in [(OutputFormat::Webp, 31.0), (OutputFormat::Gif, 30.0)] {
        let made = written(&file, format);
        let back = independent(&made).unwrap();
        assert_eq!(plays(&made), 0);
        for ((got, _), want) in back.iter().zip(&frames) {
            let psnr = corpus::psnr(got.data(), want.data());
            assert!(psnr > least, "{format:?}: {psnr}");
        }
        let first = written(&moving(1), format);
        println!("{format:?}: {} bytes, one frame of it {}", made.len(), first.len());
        assert!(made.len() < first.len() * 5, "{format:?}: {} bytes, one frame is {}", made.len(), first.len());
    }
}

#[test]
fn what_stands_still_is_no_animation_and_limits_hold() {
    let file = patchwork(None);
    for format in [OutputFormat::Jpg, OutputFormat::Png] {
        let made = animate(&file, format, Quality::default(), &Budget::default(), Ok::<_, CodecError>);
        assert!(matches!(made, Err(CodecError::Encode { .. })), "{made:?}");
    }
    let few = Budget { max_frames: 6, ..Budget::default() };
    assert_eq!(read(&file, &few), Err(CodecError::TooManyFrames { got: 7, max: 6 }));
    let stopped =
        animate(&file, OutputFormat::Gif, Quality::default(), &Budget::default(), |_| Err(CodecError::TimedOut));
    assert_eq!(stopped, Err(CodecError::TimedOut), "what the caller says ends it");
}

#[test]
fn the_corpus_moves_as_the_image_crate_says() {
    let mut seen = 0;
    let files = corpus::files("formats");
    let is_there = !files.is_empty();
    for (name, path) in files {
        let bytes = std::fs::read(path).unwrap();
        let budget = Budget { max_frames: 1000, ..Budget::default() };
        let Ok(frames) = read(&bytes, &budget) else { continue };
        if frames.len() < 2 {
            continue;
        }
        let Some(want) = independent(&bytes) else { continue };
        seen += 1;
        assert_eq!(frames.len(), want.len(), "{name}");
        for ((got, (want, _)), at) in frames.iter().zip(&want).zip(0..) {
            let off = off(got, want);
            assert!(off <= 2, "{name}, frame {at}: off by {off}");
        }
        for format in MOVING {
            let back = independent(&written(&bytes, format)).unwrap();
            assert_eq!(back.len(), frames.len(), "{name} to {format:?}");
        }
        println!("{name}: {} frames", frames.len());
    }
    assert!(seen > 3 || !is_there, "{seen} animations");
}
