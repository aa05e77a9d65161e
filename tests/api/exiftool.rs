//! Metadata as another reader sees it: exiftool, which knows more of it than anybody, finds none in what is stored.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use glimt::codec::{self, Budget, InputFormat, sniff};
use image::ImageFormat;
use serde_json::{Map, Value};

use crate::{
    hostile::corpus,
    pictures::{self, encoded, metadata, photo},
};

/// What a stored file may tell, by exiftool's names: groups of which every tag is about how the picture is to look or about
/// the file on disk, and single tags of the others. All else is a finding.
const GROUPS: [&str; 4] = ["System", "JFIF", "Adobe", "PNG-pHYs"];
const TAGS: [(&str, &[&str]); 8] = [
    ("ExifTool", &["ExifToolVersion"]),
    // The byte order is the orientation block's.
    (
        "File",
        &[
            "FileType",
            "FileTypeExtension",
            "MIMEType",
            "ImageWidth",
            "ImageHeight",
            "EncodingProcess",
            "BitsPerSample",
            "ColorComponents",
            "YCbCrSubSampling",
            "ExifByteOrder",
        ],
    ),
    ("IFD0", &["Orientation"]),
    // Whether the lines of a frame of motion JPEG are every other one.
    ("AVI1", &["InterleavedField"]),
    (
        "PNG",
        &[
            "ImageWidth",
            "ImageHeight",
            "BitDepth",
            "ColorType",
            "Compression",
            "Filter",
            "Interlace",
            "Palette",
            "Transparency",
            "Gamma",
            "BackgroundColor",
            "SignificantBits",
            "WhitePointX",
            "WhitePointY",
            "RedX",
            "RedY",
            "GreenX",
            "GreenY",
            "BlueX",
            "BlueY",
            "SRGBRendering",
            "AnimationFrames",
            "AnimationPlays",
            "ProfileName",
            "ColorPrimaries",
            "TransferCharacteristics",
            "MatrixCoefficients",
            "VideoFullRangeFlag",
        ],
    ),
    (
        "RIFF",
        &[
            "ImageWidth",
            "ImageHeight",
            "VP8Version",
            "HorizontalScale",
            "VerticalScale",
            "WebP_Flags",
            "AlphaIsUsed",
            "AlphaPreprocessing",
            "AlphaFiltering",
            "AlphaCompression",
            "BackgroundColor",
            "AnimationLoopCount",
            "FrameCount",
            "Duration",
        ],
    ),
    (
        "GIF",
        &[
            "GIFVersion",
            "ImageWidth",
            "ImageHeight",
            "HasColorMap",
            "ColorResolutionDepth",
            "BitsPerPixel",
            "BackgroundColor",
            "AnimationIterations",
            "TransparentColor",
            "FrameCount",
            "Duration",
        ],
    ),
    ("Composite", &["ImageSize", "Megapixels"]),
];

/// A warning that says something about the file and nothing about what is in it.
const HARMLESS_WARNINGS: [&str; 0] = [];

fn is_profile(group: &str) -> bool {
    group == "ICC_Profile" || group.starts_with("ICC-")
}

/// `File:Comment` as its group and its name.
fn parts(tag: &str) -> (&str, &str) {
    tag.split_once(':').unwrap_or(("", tag))
}

fn is_allowed(tag: &str, value: &Value) -> bool {
    let (group, name) = parts(tag);
    if tag == "SourceFile" || is_profile(group) || GROUPS.contains(&group) {
        return true;
    }
    if tag == "ExifTool:Warning" {
        return HARMLESS_WARNINGS.iter().any(|harmless| value.as_str().is_some_and(|said| said.contains(harmless)));
    }
    TAGS.iter().any(|(known, names)| *known == group && names.contains(&name))
}

/// The tags of a file that tell what none of ours may.
fn findings(tags: &Map<String, Value>) -> BTreeSet<&str> {
    tags.iter().filter(|(tag, value)| !is_allowed(tag, value)).map(|(tag, _)| tag.as_str()).collect()
}

/// What the profile says, and how the picture is to be turned (nothing where that is not at all).
fn kept(tags: &Map<String, Value>) -> BTreeMap<&str, &Value> {
    let counts = |tag: &str, value: &Value| {
        is_profile(parts(tag).0) || tag == "IFD0:Orientation" && value.as_str() != Some("Horizontal (normal)")
    };
    tags.iter().filter(|(tag, value)| counts(tag, value)).map(|(tag, value)| (tag.as_str(), value)).collect()
}

/// The files of a folder as exiftool reads them, by their names; `None`, and said so, where there is no exiftool. All tags
/// it knows and does not know, in all places; trailers too, which it tells of only when asked.
fn read(folder: &Path) -> Option<BTreeMap<String, Map<String, Value>>> {
    let arguments = ["-json", "-G1", "-a", "-u", "-q", "-all", "-File:Trailer"];
    let said = match Command::new("exiftool").args(arguments).arg(folder).output() {
        Ok(said) => said,
        Err(error) => {
            assert!(
                std::env::var_os("REQUIRE_TOOLS").is_none(),
                "REQUIRE_TOOLS is set and exiftool does not run: {error}"
            );
            println!("skipped: no exiftool");
            return None;
        }
    };
    let files: Vec<Map<String, Value>> = serde_json::from_slice(&said.stdout).unwrap();
    let name = |tags: &Map<String, Value>| tags["System:FileName"].as_str().unwrap().to_owned();
    Some(files.into_iter().map(|tags| (name(&tags), tags)).collect())
}

/// The tags of a file as it is and as it is stored.
type BeforeAndAfter = (Map<String, Value>, Map<String, Value>);

/// Reads the files as they are and as they are stored.
fn before_and_after(files: &[(String, Vec<u8>)]) -> Option<BTreeMap<String, BeforeAndAfter>> {
    let (laden, clean) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, bytes) in files {
        let stored =
            codec::ingest(bytes.clone(), None, &Budget::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(sniff(&stored.stored), sniff(bytes), "{name} is converted");
        fs::write(laden.path().join(name), bytes).unwrap();
        fs::write(clean.path().join(name), stored.stored).unwrap();
    }
    let (before, mut after) = (read(laden.path())?, read(clean.path())?);
    assert_eq!(before.len(), files.len(), "exiftool reads every file");
    Some(before.into_iter().map(|(name, tags)| (name.clone(), (tags, after.remove(&name).unwrap()))).collect())
}

/// Nothing is found in what is stored, and what the picture needs is as it was.
fn assert_clean(name: &str, before: &Map<String, Value>, after: &Map<String, Value>) {
    assert_eq!(findings(after), BTreeSet::new(), "{name}");
    assert_eq!(kept(after), kept(before), "{name}: the profile or the orientation changed");
}

/// What exiftool has to find in laden files, by the beginnings of the tags' names.
const IN_JPEG: &[&str] =
    &["IFD0:Make", "GPS:GPSLatitude", "IFD1:ThumbnailOffset", "XMP", "IPTC", "File:Comment", "File:Trailer"];
const IN_PNG: &[&str] = &[
    "IFD0:Make",
    "GPS:GPSLatitude",
    "IFD1:ThumbnailOffset",
    "XMP",
    "PNG:Author",
    "PNG:ModifyDate",
    // It warns of a trailer.
    "ExifTool:Warning",
];
const IN_WEBP: &[&str] = &["IFD0:Make", "GPS:GPSLatitude", "IFD1:ThumbnailOffset", "XMP"];
// It does not take for XMP what the GIF has in that place.
const IN_GIF: &[&str] = &["File:Comment"];

/// A picture of each format, with something in every place that its format has, upright and turned; and what has to be
/// found in it.
fn laden() -> Vec<(String, Vec<u8>, &'static [&'static str])> {
    let picture = photo(1, 48, 32);
    let lossless = encoded(&picture.clone().into(), ImageFormat::WebP);
    let lossy = pictures::webp_lossy(&picture);
    let gif = pictures::animated_gif(&[[200, 0, 0], [0, 200, 0]], 12, 9);
    let mut files = Vec::new();
    for orientation in [1, 6] {
        for (kind, bytes, found) in [
            ("jpg", metadata::laden_jpeg(&picture, orientation), IN_JPEG),
            ("png", metadata::laden_png(&picture, orientation), IN_PNG),
            ("lossless.webp", metadata::laden_webp(&lossless, (48, 32), orientation), IN_WEBP),
            ("lossy.webp", metadata::laden_webp(&lossy, (48, 32), orientation), IN_WEBP),
            ("gif", metadata::laden_gif(&gif), IN_GIF),
        ] {
            files.push((format!("turned_{orientation}.{kind}"), [&bytes[..], b"SECRET-TRAILER"].concat(), found));
        }
    }
    files
}

#[test]
fn another_reader_finds_nothing_in_what_is_stored() {
    let laden = laden();
    let files: Vec<_> = laden.iter().map(|(name, bytes, _)| (name.clone(), bytes.clone())).collect();
    let Some(read) = before_and_after(&files) else { return };
    for (name, _, groups) in laden {
        let (before, after) = &read[&name];
        let found = findings(before);
        for group in groups {
            assert!(
                found.iter().any(|tag| tag.starts_with(group)),
                "the control: {name} shows no {group}, only {found:?}"
            );
        }
        assert_clean(&name, before, after);
        let turned = after.get("IFD0:Orientation").is_some();
        assert_eq!(turned, name.starts_with("turned_6") && !name.ends_with(".gif"), "{name}");
        assert_eq!(kept(after).keys().any(|tag| tag.starts_with("ICC")), !name.ends_with(".gif"), "{name}");
    }
}

#[test]
fn another_reader_finds_nothing_in_the_corpus() {
    let Some(paths) = corpus("photos").and_then(|photos| Some([photos, corpus("formats")?].concat())) else { return };
    let served = [InputFormat::Jpeg, InputFormat::Png, InputFormat::Webp, InputFormat::Gif];
    let files: Vec<(String, Vec<u8>)> = paths
        .iter()
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .filter(|(_, bytes)| sniff(bytes).is_some_and(|format| served.contains(&format)))
        .collect();
    let Some(read) = before_and_after(&files) else { return };
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, (before, after)) in &read {
        for group in findings(before).into_iter().map(|tag| parts(tag).0).collect::<BTreeSet<_>>() {
            *groups.entry(group).or_default() += 1;
        }
        // Its profile cannot be unpacked, so it goes.
        if name == "png_broken_iccp.png" {
            assert_eq!(findings(after), BTreeSet::new(), "{name}");
        } else {
            assert_clean(name, before, after);
        }
    }
    println!("{} files; before, found in: {groups:?}", read.len());
    for group in ["IFD0", "IFD1", "ExifIFD", "GPS", "IPTC", "Photoshop", "XMP-x", "PNG"] {
        assert!(groups.contains_key(group), "the control: no file of the corpus shows {group}");
    }
}
