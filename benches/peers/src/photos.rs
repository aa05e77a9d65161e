//! The sets of photos: made from real ones, the same for every server, kept from run to run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use turbojpeg::{Compressor, Decompressor, OutputBuf, Subsamp, Transform, TransformOp, Transformer};

use crate::picture::{Flip, Picture};

/// Photos of fewer megapixels are not for the set of 12.
const LEAST_MEGAPIXELS: f64 = 7.5;
const MOST_MEGAPIXELS: f64 = 20.0;
const MOST_PHOTOS: usize = 10;
/// Raised when what is made changes.
const VERSION: u32 = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// As the cameras wrote them, without their metadata: those of the folder that have about 12 megapixels.
    Twelve,
    /// Reduced to 1728 pixels: of four files two are 4:2:0, one is 4:2:0 and progressive, one is 4:4:4, all of quality 90.
    Two,
    /// Reduced to 2040 pixels, 4:2:0, quality 92: the shape of DIV2K, which the harness of imgproxy asks for.
    Harness,
    /// Reduced to 1152 pixels, 4:2:0, quality 90.
    One,
}

impl Set {
    pub fn name(self) -> &'static str {
        match self {
            Self::Twelve => "12mp",
            Self::Two => "2mp",
            Self::Harness => "harness",
            Self::One => "1mp",
        }
    }

    /// The long side, if the photos are reduced.
    fn side(self) -> Option<usize> {
        match self {
            Self::Twelve => None,
            Self::Two => Some(1728),
            Self::Harness => Some(2040),
            Self::One => Some(1152),
        }
    }

    fn coded(self, at: usize) -> (i32, Subsamp, bool) {
        match (self, at % 4) {
            (Self::Two, 1) => (90, Subsamp::Sub2x2, true),
            (Self::Two, 3) => (90, Subsamp::None, false),
            (Self::Harness, _) => (92, Subsamp::Sub2x2, false),
            _ => (90, Subsamp::Sub2x2, false),
        }
    }
}

/// One file of a set.
#[derive(Clone)]
pub struct Photo {
    /// In the folder of its set.
    pub file: String,
    /// Which of the real photos, and how it lies.
    pub of: usize,
    pub flip: Flip,
    pub width: usize,
    pub height: usize,
    pub bytes: Vec<u8>,
}

/// A set on the disk and in memory.
pub struct Photos {
    pub folder: PathBuf,
    pub photos: Vec<Photo>,
}

impl Photos {
    /// Takes the photos of `folder`, makes the set under `target` unless it is there, and reads it.
    ///
    /// # Errors
    /// When there is no photo of about 12 megapixels.
    pub fn of(set: Set, folder: &Path, target: &Path) -> Result<Self> {
        let sources = sources(folder)?;
        let names: Vec<_> = sources.iter().map(|path| path.display().to_string()).collect();
        let made_of = format!("{VERSION}\n{}", names.join("\n"));
        let (folder, note) = (target.join(set.name()), target.join(format!("{}.made-of", set.name())));
        if fs::read_to_string(&note).ok().as_ref() != Some(&made_of) {
            eprintln!("making the photos of {}", folder.display());
            let _old = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder)?;
            for (of, path) in sources.iter().enumerate() {
                make(set, of, &fs::read(path)?, &folder).with_context(|| path.display().to_string())?;
            }
            fs::write(note, made_of)?;
        }
        let mut photos = Vec::new();
        // All that lie one way, then all that lie another: neighbours are different photos.
        for (way, flip) in Flip::ALL.into_iter().enumerate() {
            for of in 0..sources.len() {
                let file = name(of, way);
                let bytes = fs::read(folder.join(&file))?;
                let header = turbojpeg::read_header(&bytes)?;
                photos.push(Photo { file, of, flip, width: header.width, height: header.height, bytes });
            }
        }
        Ok(Self { folder, photos })
    }

    /// The first so many of the set.
    pub fn first(&self, count: usize) -> Self {
        Self { folder: self.folder.clone(), photos: self.photos.iter().take(count).cloned().collect() }
    }

    pub fn megapixels(&self) -> f64 {
        self.photos.iter().map(|photo| (photo.width * photo.height) as f64 / 1e6).sum::<f64>()
            / self.photos.len() as f64
    }
}

fn name(of: usize, way: usize) -> String {
    format!("{of:02}{}.jpg", ["a", "b", "c", "d"][way])
}

/// The photos of about 12 megapixels, by name.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{} (PHOTOS is the folder of photos)", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "jpg" || end == "jpeg"));
    paths.sort();
    let mut wanted = Vec::new();
    for path in paths {
        let Ok(header) = turbojpeg::read_header(&fs::read(&path)?) else { continue };
        let megapixels = (header.width * header.height) as f64 / 1e6;
        if (LEAST_MEGAPIXELS..MOST_MEGAPIXELS).contains(&megapixels) {
            wanted.push(path);
        }
    }
    wanted.truncate(MOST_PHOTOS);
    ensure!(
        wanted.len() >= 4,
        "{} holds {} JPEGs of {LEAST_MEGAPIXELS} to {MOST_MEGAPIXELS} megapixels, and 4 are wanted: name a folder of real photos in PHOTOS",
        folder.display(),
        wanted.len()
    );
    Ok(wanted)
}

fn make(set: Set, of: usize, source: &[u8], folder: &Path) -> Result<()> {
    if let Some(side) = set.side() {
        let whole = Picture::decode(source)?;
        let scale = side as f64 / whole.width.max(whole.height) as f64;
        let [width, height] =
            [whole.width, whole.height].map(|length| ((length as f64 * scale).round() as usize).max(1));
        let reduced = whole.reduced(width, height);
        for (way, flip) in Flip::ALL.into_iter().enumerate() {
            let (quality, subsamp, progressive) = set.coded(of + way);
            let mut encoder = Compressor::new()?;
            encoder.set_quality(quality)?;
            encoder.set_subsamp(subsamp)?;
            encoder.set_progressive(progressive)?;
            fs::write(folder.join(name(of, way)), encoder.compress_to_vec(reduced.flipped(flip).as_image())?)?;
        }
        return Ok(());
    }
    let is_progressive = Decompressor::new()?.read_header(source).is_ok() && progressive(source);
    for (way, flip) in Flip::ALL.into_iter().enumerate() {
        let op = match flip {
            Flip::None => TransformOp::None,
            Flip::Horizontal => TransformOp::Hflip,
            Flip::Vertical => TransformOp::Vflip,
            Flip::Both => TransformOp::Rot180,
        };
        let mut transform = Transform::op(op);
        transform.trim = true;
        transform.copy_none = true;
        transform.progressive = is_progressive;
        let mut output = OutputBuf::new_owned();
        Transformer::new()?.transform(&transform, source, &mut output)?;
        fs::write(folder.join(name(of, way)), &output[..])?;
    }
    Ok(())
}

/// Whether a JPEG's frame is a progressive one.
fn progressive(jpeg: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = jpeg.get(at..at + 4) {
        match marker {
            0xc2 => return true,
            0xc0 | 0xc1 | 0xda => return false,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    false
}
