//! Walks a JPEG file from marker to marker (ITU-T T.81 annex B).
//!
//! Kept: the picture (tables, frame, scans), the JFIF header without its thumbnail, the Adobe marker (it says which colour
//! transform), the colour profile. Everything else goes: EXIF, XMP, IPTC, comments, thumbnails, maker notes, and what
//! follows the end of the image (more pictures, videos, maps).

use std::ops::Range;

use super::super::budget::area;
use super::super::error::CodecError;
use super::super::orientation::{self, Orientation};
use super::{Pieces, Walked, array, be16};

const NAME: &str = "JPEG";

const SOF_BASELINE: u8 = 0xC0;
const SOF_EXTENDED: u8 = 0xC1;
const SOF_PROGRESSIVE: u8 = 0xC2;
const DHT: u8 = 0xC4;
const DAC: u8 = 0xCC;
const RST0: u8 = 0xD0;
const RST7: u8 = 0xD7;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;
const DNL: u8 = 0xDC;
const DRI: u8 = 0xDD;
const APP0: u8 = 0xE0;
const APP15: u8 = 0xEF;
const COM: u8 = 0xFE;

/// An EXIF segment's body that says the orientation and nothing else.
const MINIMAL_EXIF_BYTES: usize = 6 + 26;

const ICC_NAME: &[u8; 12] = b"ICC_PROFILE\0";

/// The frame header.
#[derive(Debug)]
struct Frame {
    kind: u8,
    width: u32,
    height: u32,
    components: u8,
    /// Samples of all components together, padded to whole blocks.
    samples: u64,
}

/// What a walk of a JPEG says beyond any container.
#[derive(Debug)]
pub(crate) struct Jpeg {
    pub(crate) walked: Walked,
    /// Scans in the file.
    pub(crate) scans: u32,
    /// Components of the frame: 1, 3 or 4.
    pub(crate) components: u8,
    /// Sequential, and one scan brings every component: the data of that scan has to last to the end.
    pub(crate) one_scan: bool,
}

/// Walks the file. Without `keep_profile` the colour profile goes too.
///
/// # Errors
/// [`CodecError::Damaged`] or [`CodecError::Unsupported`] when there is no usable frame header; what is wrong behind it is
/// the `fault` of the result.
pub(crate) fn walk(bytes: &[u8], keep_profile: bool) -> Result<Jpeg, CodecError> {
    let mut walker = Walker { bytes, keep_profile, ..Walker::default() };
    let fault = walker.run().err();
    walker.finish(fault)
}

#[derive(Default)]
struct Walker<'a> {
    bytes: &'a [u8],
    keep_profile: bool,
    frame: Option<Frame>,
    /// Components named in the first scan.
    first_scan_components: u8,
    scans: u32,
    orientation: Option<Orientation>,
    /// Something in front of the end was left out: bytes that belong to nothing, which the strict decoder refuses, or
    /// metadata, whose inside it has opinions about. Decoding what will be stored also proves what will be stored.
    irregular: bool,
    profile: Vec<(u8, Range<usize>)>,
    /// The JFIF header and what else has to stand first, then the rest: the orientation goes in between.
    head: Pieces,
    body: Pieces,
}

impl Walker<'_> {
    fn run(&mut self) -> Result<(), CodecError> {
        self.head.keep(0..2);
        let mut at = 2;
        loop {
            let (marker, after) = self.next_marker(at)?;
            match marker {
                EOI => {
                    self.body.keep(after - 2..after);
                    return self.check_complete();
                }
                // TEM and restart markers outside of a scan carry nothing.
                0x01 | RST0..=RST7 => at = after,
                _ => at = self.segment(marker, after)?,
            }
        }
    }

    /// The next marker and where it ends. Bytes in front of it that belong to nothing are skipped, as every decoder does.
    fn next_marker(&mut self, from: usize) -> Result<(u8, usize), CodecError> {
        let mut at = from;
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let Some(skip) = memchr::memchr(0xFF, rest) else {
                return Err(CodecError::truncated(NAME));
            };
            self.irregular |= skip > 0;
            at += skip + 1;
            match self.bytes.get(at) {
                None => return Err(CodecError::truncated(NAME)),
                Some(0xFF) => {}
                Some(0x00) => self.irregular = true,
                Some(&marker) => return Ok((marker, at + 1)),
            }
        }
    }

    /// Handles the segment of this marker whose length stands at `start`; returns where it (and its scan) ends.
    fn segment(&mut self, marker: u8, start: usize) -> Result<usize, CodecError> {
        let length = usize::from(be16(self.bytes, start).ok_or_else(|| CodecError::truncated(NAME))?);
        if length < 2 {
            return Err(CodecError::damaged(NAME, format_args!("a segment of {length} bytes")));
        }
        let end = start + length;
        let body = self.bytes.get(start + 2..end).ok_or_else(|| CodecError::truncated(NAME))?;
        // Fill bytes in front of the marker are left out: whole is the marker's own two bytes and its segment.
        let whole = start - 2..end;
        match marker {
            0xC0..=0xCF if !matches!(marker, DHT | DAC | 0xC8) => {
                self.start_of_frame(marker, body)?;
                self.body.keep(whole);
            }
            DHT | DQT | DRI | DNL | DAC => self.body.keep(whole),
            SOS => {
                if self.frame.is_none() {
                    return Err(CodecError::damaged(NAME, "a scan before the frame header"));
                }
                if self.scans == 0 {
                    self.first_scan_components = body.first().copied().unwrap_or(0);
                }
                self.scans = self.scans.saturating_add(1);
                let scan_end = self.entropy_end(end)?;
                self.body.keep(whole.start..scan_end);
                return Ok(scan_end);
            }
            APP0..=APP15 => self.application(marker, body, whole),
            COM => self.irregular = true,
            // Hierarchical and reserved markers: no decoder here knows them, and what is inside may be anything.
            _ => return Err(CodecError::damaged(NAME, format_args!("an unknown marker {marker:#04x}"))),
        }
        Ok(end)
    }

    /// Where the entropy-coded data ends: at the first marker that is no restart and no stuffed zero.
    fn entropy_end(&self, from: usize) -> Result<usize, CodecError> {
        let mut at = from;
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let Some(skip) = memchr::memchr(0xFF, rest) else {
                return Err(CodecError::truncated(NAME));
            };
            at += skip;
            match self.bytes.get(at + 1) {
                None => return Err(CodecError::truncated(NAME)),
                Some(0x00 | RST0..=RST7) => at += 2,
                // A fill byte: part of the data's tail or of the next marker, and harmless as either.
                Some(0xFF) => at += 1,
                Some(_) => return Ok(at),
            }
        }
    }

    fn start_of_frame(&mut self, kind: u8, body: &[u8]) -> Result<(), CodecError> {
        if self.frame.is_some() {
            return Err(CodecError::damaged(NAME, "two frame headers"));
        }
        let kind_name = match kind {
            SOF_BASELINE | SOF_EXTENDED | SOF_PROGRESSIVE => None,
            0xC3 | 0xC7 | 0xCB | 0xCF => Some("lossless JPEG"),
            0xC9 | 0xCA | 0xCD | 0xCE => Some("JPEG with arithmetic coding"),
            _ => Some("hierarchical JPEG"),
        };
        if let Some(what) = kind_name {
            return Err(CodecError::unsupported(what));
        }
        let (Some(&precision), Some(height), Some(width), Some(&components)) =
            (body.first(), be16(body, 1), be16(body, 3), body.get(5))
        else {
            return Err(CodecError::truncated(NAME));
        };
        if precision != 8 {
            return Err(CodecError::unsupported(format!("JPEG with {precision} bits a sample")));
        }
        if height == 0 {
            // The number of lines would follow the first scan.
            return Err(CodecError::unsupported("JPEG without a height in its header"));
        }
        if width == 0 {
            return Err(CodecError::damaged(NAME, "it is 0 pixels wide"));
        }
        if !matches!(components, 1 | 3 | 4) {
            return Err(CodecError::unsupported(format!("JPEG with {components} components")));
        }
        let (width, height) = (u32::from(width), u32::from(height));
        let samples = padded_samples(body, width, height, components)
            .ok_or_else(|| CodecError::damaged(NAME, "impossible sampling factors"))?;
        if components == 3 && (0..3).any(|at| more_than_luma(body, at)) {
            // The library takes such a file for another picture, and says nothing.
            return Err(CodecError::unsupported("JPEG with less luma than chroma"));
        }
        self.frame = Some(Frame { kind, width, height, components, samples });
        Ok(())
    }

    fn application(&mut self, marker: u8, body: &[u8], whole: Range<usize>) {
        match marker {
            APP0 if body.starts_with(b"JFIF\0") && self.head.len() == 2 => self.jfif(body, whole),
            // Motion JPEG: says that the standard tables are meant where none are sent.
            APP0 if body.starts_with(b"AVI1") && self.head.len() == 2 => self.head.keep(whole),
            0xE1 if self.orientation.is_none() && body.starts_with(b"Exif\0") => {
                // Behind the name stands a zero or, in a few cameras' files, another filler.
                self.orientation = Some(orientation::from_exif(body.get(6..).unwrap_or_default()));
                self.irregular |= body.len() != MINIMAL_EXIF_BYTES;
            }
            0xE2 if body.starts_with(ICC_NAME) && body.len() > 14 => {
                // One-based number of this part, number of parts, bytes.
                if let Some(&number) = body.get(12) {
                    self.profile.push((number, whole.start + 4 + 14..whole.end));
                }
                if self.keep_profile {
                    self.body.keep(whole);
                }
            }
            0xEE if body.starts_with(b"Adobe") && body.len() >= 12 => {
                if body.len() == 12 {
                    self.body.keep(whole);
                } else {
                    self.irregular = true;
                    // Longer than it has any business to be: the twelve bytes that have a meaning.
                    self.body.insert([&[0xFF, 0xEE, 0, 14], body.get(..12).unwrap_or_default()].concat());
                }
            }
            _ => self.irregular = true,
        }
    }

    /// The JFIF header, without the thumbnail that it may carry behind its first 14 bytes.
    fn jfif(&mut self, body: &[u8], whole: Range<usize>) {
        match array::<14>(body, 0) {
            Some([fixed @ .., 0, 0]) if body.len() == fixed.len() + 2 => self.head.keep(whole),
            Some([fixed @ .., _, _]) => {
                self.irregular = true;
                self.head.insert([&[0xFF, APP0, 0, 16], &fixed[..], &[0, 0]].concat());
            }
            // Too short to be one; it says nothing then.
            None => self.irregular = true,
        }
    }

    /// What must be true of a whole file: a picture, and nothing between scans where no second scan can be. The latter
    /// is how damage that looks like a marker shows: a decoder would stop there and call the rest grey.
    fn check_complete(&self) -> Result<(), CodecError> {
        let Some(frame) = &self.frame else { return Err(CodecError::damaged(NAME, "it has no frame header")) };
        if self.scans == 0 {
            return Err(CodecError::damaged(NAME, "it has no scan"));
        }
        if self.one_scan(frame) && self.scans > 1 {
            return Err(CodecError::damaged(NAME, format_args!("{} scans where one holds all", self.scans)));
        }
        Ok(())
    }

    const fn one_scan(&self, frame: &Frame) -> bool {
        frame.kind != SOF_PROGRESSIVE && self.first_scan_components == frame.components
    }

    fn finish(mut self, fault: Option<CodecError>) -> Result<Jpeg, CodecError> {
        let Some(frame) = self.frame.take() else {
            return Err(fault.unwrap_or_else(|| CodecError::damaged(NAME, "it has no frame header")));
        };
        let one_scan = self.one_scan(&frame);
        let turn = self.orientation.unwrap_or(Orientation::NoTransforms);
        if turn != Orientation::NoTransforms {
            self.head.insert([&[0xFF, 0xE1, 0, 34][..], b"Exif\0\0", &orientation::minimal_exif(turn)].concat());
        }
        self.head.append(self.body);
        self.profile.sort_by_key(|(number, _)| *number);
        let pixels = area(frame.width, frame.height);
        let picture = pixels.saturating_mul(u64::from(frame.components));
        // Two bytes a coefficient for the whole picture, unless one scan brings every component row by row; and a bit a
        // coefficient that says which are 0.
        let coefficients = if one_scan { 0 } else { frame.samples.saturating_mul(2) + frame.samples / 8 };
        // The quarter turns hold the picture twice, but only after the coefficients have gone; and our own decoder has its
        // planes beside the picture while it makes that of them.
        let turned = if orientation::swaps_sides(turn) { picture } else { 0 };
        let planes = if frame.components == 3 { frame.samples } else { 0 };
        let rows = u64::from(frame.width) * u64::from(frame.components) * 64;
        // Both validation and decoding of an irregular file work on a copy of the file.
        let copy = self.bytes.len() as u64;
        let beside = coefficients.max(turned).max(planes);
        let peak_bytes = picture.saturating_add(beside).saturating_add(rows).saturating_add(copy);
        let (pieces, fault) = match (self.head.finish(), fault) {
            (Ok(pieces), fault) => (pieces, fault),
            (Err(error), fault) => (Vec::new(), fault.or(Some(error))),
        };
        Ok(Jpeg {
            scans: self.scans,
            components: frame.components,
            one_scan,
            walked: Walked {
                width: frame.width,
                height: frame.height,
                frames: 1,
                frame_pixels: pixels,
                orientation: turn,
                profile: self.profile.into_iter().map(|(_, range)| range).collect(),
                peak_bytes,
                pieces,
                irregular: self.irregular,
                fault,
            },
        })
    }
}

/// Whether component `at` has more samples along a side than the first one.
fn more_than_luma(body: &[u8], at: usize) -> bool {
    let factors = |at: usize| body.get(7 + 3 * at).map_or((0, 0), |&byte| (byte >> 4, byte & 15));
    let (luma, other) = (factors(0), factors(at));
    other.0 > luma.0 || other.1 > luma.1
}

/// Samples of all components, each padded to whole MCUs; `None` when a sampling factor is not 1 to 4.
fn padded_samples(body: &[u8], width: u32, height: u32, components: u8) -> Option<u64> {
    let factors: Vec<(u32, u32)> = (0..usize::from(components))
        .map(|at| body.get(7 + 3 * at).map(|&byte| (u32::from(byte >> 4), u32::from(byte & 15))))
        .collect::<Option<_>>()?;
    if factors.iter().any(|&(h, v)| !(1..=4).contains(&h) || !(1..=4).contains(&v)) {
        return None;
    }
    let h_max = factors.iter().map(|&(h, _)| h).max()?;
    let v_max = factors.iter().map(|&(_, v)| v).max()?;
    let mcus = area(width.div_ceil(8 * h_max), height.div_ceil(8 * v_max));
    Some(factors.iter().map(|&(h, v)| mcus * u64::from(h * v) * 64).sum())
}
