//! What becomes of each file of the corpus, by a table; and what is decoded is held against a second decoder.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use glimt::codec::{self, Budget, CodecError, Ingested, sniff};
use glimt::pixels::{Layout, Pixmap};
use image::{DynamicImage, ImageDecoder, ImageReader};

use crate::compare::shifted;
use crate::corpus::{self, psnr};

/// The table: a row a file. Its head says how to read it.
const TABLE: &str = include_str!("outcomes.txt");

/// By how much two decoders may differ, in codes of 255, over what shows: colour under no alpha is no matter.
#[derive(Clone, Copy, Debug)]
struct Class {
    name: &'static str,
    mean: f64,
    max: u8,
    /// Through the colour profile of the file into sRGB, which the second decoder does when it is told to.
    managed: bool,
}

/// Tolerances, each about twice what was seen.
const CLASSES: [Class; 7] = [
    // Nothing is lost, so nothing may differ.
    Class { name: "exact", mean: 0.0, max: 0, managed: false },
    // 16 bits or 5 to 8: halves round either way.
    Class { name: "rounded", mean: 1.0, max: 1, managed: false },
    // Transforms and colour in integers of their own.
    Class { name: "lossy", mean: 0.2, max: 255, managed: false },
    // Chroma of a quarter of the columns or rows is interpolated here, and repeated by libjpeg.
    Class { name: "repeated", mean: 0.8, max: 255, managed: false },
    // Profiles: other curves, other rounding.
    Class { name: "managed", mean: 0.9, max: 255, managed: true },
    // Which is not compared, and the row says why.
    Class { name: "alone", mean: 255.0, max: 255, managed: false },
    // Refused, so there is nothing to compare.
    Class { name: "-", mean: 255.0, max: 255, managed: false },
];

#[derive(Clone, Copy, Debug)]
struct Row {
    outcome: &'static str,
    class: Class,
}

fn rows() -> BTreeMap<&'static str, Row> {
    let mut rows = BTreeMap::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [file, outcome, class, why] = columns[..] else { panic!("{line:?} is no row") };
        let class = CLASSES.into_iter().find(|known| known.name == class).unwrap_or_else(|| panic!("{line:?}"));
        assert!(!why.is_empty() || !matches!(class.name, "alone" | "-"), "{file}: a row of its kind says why");
        assert_eq!(class.name == "-", outcome.starts_with("refused: "), "{file}");
        assert!(rows.insert(file, Row { outcome, class }).is_none(), "{file} has two rows");
    }
    rows
}

/// What became of a file, in the words of the table.
fn outcome(bytes: &[u8], ingested: &Result<Ingested, CodecError>) -> String {
    match ingested {
        Ok(ingested) => {
            let format = ingested.details.format.extension();
            let kept = sniff(bytes) == sniff(&ingested.stored);
            if kept { format.to_owned() } else { format!("to {format}") }
        }
        Err(error) => format!("refused: {error}"),
    }
}

#[test]
fn every_file_of_the_corpus_has_the_outcome_of_its_row() {
    let rows = rows();
    let mut faults = Vec::new();
    for (name, path) in corpus::files("formats") {
        let bytes = std::fs::read(path).unwrap();
        let ingested = codec::ingest(bytes.to_vec(), None, &Budget::default());
        let got = outcome(&bytes, &ingested);
        let Some(row) = rows.get(&name[..]) else {
            faults.push(format!("{name} has no row; it is {got}"));
            continue;
        };
        if got != row.outcome {
            faults.push(format!("{name} is {got}, where its row says {}", row.outcome));
        }
        let Ok(ingested) = ingested else {
            assert!(codec::decode(&bytes, &Budget::default()).is_err(), "{name} is refused and decodes");
            continue;
        };
        let pixmap = codec::decode(&bytes, &Budget::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let details = ingested.details;
        assert_eq!((details.width, details.height), (pixmap.width(), pixmap.height()), "{name}");
        if let Some(want) = by_the_image_crate(&bytes) {
            assert_eq!(want.color().channel_count(), u8::try_from(pixmap.layout().channels()).unwrap(), "{name}");
            // Of JPEG we have a decoder of our own, which is held against others elsewhere; inks round by themselves.
            let (want, got) = (want.as_bytes(), pixmap.data());
            let least = if name.ends_with(".jpg") || name.ends_with(".jpeg") { 38.0 } else { f64::INFINITY };
            let least = if LIBRARY_WRONG.contains(&&name[..]) { 0.0 } else { least };
            assert!(want == got || psnr(want, got) > least, "{name}: {} dB off the image crate", psnr(want, got));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What the library's JPEG decoder takes for another picture, and says nothing; and alpha that it does not divide by.
const LIBRARY_WRONG: [&str; 3] =
    ["ir_hpredict.tiff", "ir_hpredict_packbits.tiff", "jt_flower_small.q85_420_partially_interleaved.jpg"];

/// What the `image` crate makes of a file of one picture without a profile, upright, at 8 bits. GIF is left out: that
/// decoder always gives RGBA.
fn by_the_image_crate(bytes: &[u8]) -> Option<DynamicImage> {
    let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format().unwrap().into_decoder().ok()?;
    let plain = decoder.icc_profile().ok()?.is_none() && !bytes.starts_with(b"GIF");
    let orientation = decoder.orientation().ok()?;
    if !plain {
        return None;
    }
    let mut picture = DynamicImage::from_decoder(decoder).ok()?;
    picture.apply_orientation(orientation);
    Some(match picture.color().channel_count() {
        1 => picture.into_luma8().into(),
        2 => picture.into_luma_alpha8().into(),
        3 => picture.into_rgb8().into(),
        _ => picture.into_rgba8().into(),
    })
}

/// Whether ImageMagick is there; where it is required, it must be.
fn has_second_decoder() -> bool {
    let found = Command::new("convert").arg("-version").output();
    let found = found.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("ImageMagick"));
    assert!(found || std::env::var_os("REQUIRE_TOOLS").is_none(), "REQUIRE_TOOLS is set and there is no ImageMagick");
    if !found {
        println!("skipped: no ImageMagick");
    }
    found
}

/// What ImageMagick makes of the first picture of a file: upright, on its canvas, RGBA of 8 bits; into sRGB through the
/// file's own profile where one to go to is given.
fn by_imagemagick(path: &Path, srgb: Option<&Path>) -> Result<Pixmap, String> {
    let mut command = Command::new("convert");
    command.env("MAGICK_THREAD_LIMIT", "1").arg(format!("{}[0]", path.display())).args(["-auto-orient", "-coalesce"]);
    match srgb {
        Some(srgb) => command.arg("-profile").arg(srgb),
        // Numbers as they stand: a gAMA chunk that says they are linear is not followed here either.
        None if path.extension().is_some_and(|extension| extension == "png") => {
            command.args(["-set", "colorspace", "sRGB"])
        }
        None => &mut command,
    };
    let said = command.args(["-depth", "8", "-type", "TrueColorAlpha", "pam:-"]).output().unwrap();
    let end = said.stdout.windows(7).position(|word| word == b"ENDHDR\n");
    let Some(end) = end else { return Err(String::from_utf8_lossy(&said.stderr).into_owned()) };
    let head = String::from_utf8_lossy(&said.stdout[..end]);
    let number = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().parse::<u32>().map_err(|error| format!("{name} in {head:?}: {error}"))
    };
    assert_eq!((number("DEPTH"), number("MAXVAL")), (Ok(4), Ok(255)), "{}: {head}", path.display());
    let pixels = said.stdout[end + 7..].to_vec();
    Pixmap::new(number("WIDTH")?, number("HEIGHT")?, Layout::Rgba, pixels).map_err(|error| error.to_string())
}

fn rgba(picture: &Pixmap) -> Pixmap {
    let pixels = picture.data().chunks_exact(picture.layout().channels()).flat_map(|pixel| match *pixel {
        [grey] => [grey, grey, grey, 255],
        [grey, alpha] => [grey, grey, grey, alpha],
        [r, g, b] => [r, g, b, 255],
        [r, g, b, alpha] => [r, g, b, alpha],
        _ => panic!("no layout"),
    });
    Pixmap::new(picture.width(), picture.height(), Layout::Rgba, pixels.collect()).unwrap()
}

/// The mean and the largest difference of two RGBA pictures; `None` where they are not of one size.
fn difference(a: &Pixmap, b: &Pixmap) -> Option<(f64, u8)> {
    if (a.width(), a.height()) != (b.width(), b.height()) {
        return None;
    }
    let (mut sum, mut max) = (0_u64, 0);
    for (a, b) in a.data().chunks_exact(4).zip(b.data().chunks_exact(4)) {
        if a[3] == 0 && b[3] == 0 {
            continue;
        }
        for (a, b) in a.iter().zip(b) {
            sum += u64::from(a.abs_diff(*b));
            max = max.max(a.abs_diff(*b));
        }
    }
    Some((sum as f64 / a.data().len() as f64, max))
}

impl Class {
    fn takes(self, seen: Option<(f64, u8)>) -> bool {
        seen.is_some_and(|(mean, max)| mean <= self.mean && max <= self.max)
    }
}

/// What came of comparing a file.
struct Seen {
    class: &'static str,
    difference: Option<(f64, u8)>,
    fault: Option<String>,
    /// A picture a pixel to the side was told from it.
    told: bool,
}

fn compared(name: &str, path: &Path, row: Row, srgb: &Path) -> Option<Seen> {
    let class = row.class;
    if matches!(class.name, "alone" | "-") {
        return None;
    }
    let ours = rgba(&codec::decode(&std::fs::read(path).unwrap(), &Budget::default()).unwrap());
    let seen = by_imagemagick(path, class.managed.then_some(srgb)).map(|theirs| {
        let brighter = ours.data().iter().map(|&code| if code < 128 { code + 8 } else { code - 8 }).collect();
        let brighter = Pixmap::new(ours.width(), ours.height(), Layout::Rgba, brighter).unwrap();
        assert!(!class.takes(difference(&brighter, &theirs)), "the control: {name} may be anything");
        (difference(&ours, &theirs), !class.takes(difference(&shifted(&ours), &theirs)))
    });
    Some(match seen {
        Ok((difference, told)) => {
            let fault = (!class.takes(difference)).then(|| format!("{name}: {difference:?} is not {}", class.name));
            Seen { class: class.name, difference, fault, told }
        }
        Err(error) => Seen { class: class.name, difference: None, fault: Some(format!("{name}: {error}")), told: true },
    })
}

#[test]
fn a_second_decoder_sees_the_same_pictures() {
    if !has_second_decoder() {
        return;
    }
    let (rows, files) = (rows(), corpus::files("formats"));
    let folder = tempfile::tempdir().unwrap();
    let srgb = folder.path().join("srgb.icc");
    std::fs::write(&srgb, moxcms::ColorProfile::new_srgb().encode().unwrap()).unwrap();
    // The other test says which files have no row.
    let jobs: Vec<(&str, &PathBuf, Row)> =
        files.iter().filter_map(|(name, path)| Some((&name[..], path, *rows.get(&name[..])?))).collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let job = |part: usize| {
            let (jobs, srgb) = (&jobs, &srgb);
            let mine = move || {
                let mine = jobs.iter().skip(part).step_by(workers);
                mine.filter_map(|(name, path, row)| compared(name, path, *row, srgb)).collect::<Vec<_>>()
            };
            std::thread::Builder::new().name(format!("compare {part}")).spawn_scoped(scope, mine).unwrap()
        };
        let threads: Vec<_> = (0..workers).map(job).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for class in CLASSES.iter().filter(|class| !matches!(class.name, "alone" | "-")) {
        let of: Vec<&Seen> = seen.iter().filter(|seen| seen.class == class.name).collect();
        let means = of.iter().filter_map(|seen| seen.difference).map(|(mean, _)| mean);
        let (told, mean) = (of.iter().filter(|seen| seen.told).count(), means.fold(0.0, f64::max));
        println!("{}: {} files, the largest mean {mean:.3}, {told} told from shifted ones", class.name, of.len());
        assert!(told * 2 > of.len() || of.is_empty(), "the control: {} takes shifted pictures", class.name);
    }
    let faults: Vec<&str> = seen.iter().filter_map(|seen| seen.fault.as_deref()).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
