//! JPEG to planes: our own decoder, for what nearly every photo is.
//!
//! It takes sequential and progressive frames with Huffman codes, 8 bits a sample, grey or YCbCr with chroma of which a sample lies
//! under any whole number of samples of luma. Everything else it leaves alone: other kinds, but also whatever is odd or damaged. So it never judges a
//! file and never shows a broken picture: that is for the library decoder, which gets what is declined here.
//!
//! Sequential blocks go straight into their planes; progressive frames hold 2 bytes a coefficient until the last scan.
//!
//! A picture can be divided on the way ([`Scale`]): blocks then become smaller squares of the frequencies that those have, and
//! coefficients that none of them needs are passed over, several at a time; scans of a progressive frame, unread. It is nearer to
//! the picture than means of squares are.

mod bits;
mod header;
mod huffman;
mod idct;
mod plane;
mod progressive;
mod scale;
mod sequential;
mod skip;
#[cfg(test)]
mod tests;

use crate::codec::budget::Budget;
use crate::codec::error::CodecError;
use crate::codec::metadata::be16;
use crate::pixels::pixmap::{Picture, Sampling, Siting, Ycbcr};
use crate::pixels::{Layout, Pixmap};

use self::bits::Bits;
use self::header::{Frame, ScanHeader, Tables};
use self::huffman::{Differences, Lookup, Of};
use self::idct::Quantiser;
use self::plane::Plane;
use self::progressive::{Band, Coefficients, DcPart};
use self::scale::{Fit, Shape};
use self::sequential::Part;
use self::skip::Skip;

pub use self::scale::Scale;

/// Why there are no planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Declined {
    /// The library decoder has to see to it.
    NotMine,
    /// The deadline has passed.
    TimedOut,
}

/// The planes of a file, as stored but divided; grey as pixels of one channel. `None`: it is not for this decoder, and nothing is
/// said about it. What the header asks for must have been checked against the budget.
///
/// # Errors
/// [`CodecError::TimedOut`].
pub(crate) fn decode(bytes: &[u8], scale: Scale, budget: &Budget) -> Result<Option<Picture>, CodecError> {
    match Decoder::new(bytes, scale, budget).run() {
        Ok(picture) => Ok(Some(picture)),
        Err(Declined::NotMine) => Ok(None),
        Err(Declined::TimedOut) => Err(CodecError::TimedOut),
    }
}

/// The most that [`decode`] holds for a file of this size that it takes, and the picture as RGB besides, tables not counted: a
/// progressive one whose chroma is sampled in the way that takes most.
pub(crate) fn peak_bytes(width: u32, height: u32, scale: Scale) -> u64 {
    let luma = scale::shape_of(scale);
    let of = |shape| Coefficients::block_bytes(shape);
    let chroma = |(across, down): (usize, usize)| {
        let fits = |side, ratio| [false, true].into_iter().filter_map(move |half| Fit::new(side, ratio, half));
        let shapes = fits(luma.0, across).flat_map(|x| fits(luma.1, down).map(move |y| (x.samples, y.samples)));
        shapes.map(of).max().unwrap_or(0).div_ceil((across * down) as u64)
    };
    let most_chroma = (1..=4).flat_map(|across| (1..=4).map(move |down| chroma((across, down)))).max().unwrap_or(0);
    // An MCU has 4 by 4 blocks of luma at most.
    let blocks = |side: u32| u64::from(side.div_ceil(8).next_multiple_of(4));
    let coefficients = blocks(width) * blocks(height) * (of(luma) + 2 * most_chroma);
    let pixels = u64::from(scale.side(width) + 8) * u64::from(scale.side(height) + 8);
    // Planes, of which one may be held twice while it is stretched; after that planes and RGB.
    (coefficients + 4 * pixels).max(6 * pixels)
}

/// Counts MCUs up to restart markers (T.81 E.2.4).
struct Restarts {
    /// MCUs of an interval; 0: there is only one.
    interval: usize,
    left: usize,
    number: u8,
}

impl Restarts {
    const fn new(interval: usize) -> Self {
        Self { interval, left: interval, number: 0 }
    }

    /// Counts an MCU; says whether a new interval began, whose marker has been passed.
    #[inline(always)]
    fn due(&mut self, bits: &mut Bits<'_>) -> Result<bool, Declined> {
        if self.interval == 0 {
            return Ok(false);
        }
        let due = self.left == 0;
        if due {
            *bits = bits.restarted(self.number)?;
            self.number = (self.number + 1) % 8;
            self.left = self.interval;
        }
        self.left -= 1;
        Ok(due)
    }
}

/// The prediction as a DC coefficient: one of 8 bits a sample has at most 11 and a sign. Out of that, it is damaged.
#[inline(always)]
fn dc_of(prediction: i32) -> Result<i16, Declined> {
    if (-2048..2048).contains(&prediction) { Ok(i16_of(prediction)) } else { Err(Declined::NotMine) }
}

/// A number that is known to fit.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "numbers are of 11 bits at most")]
const fn i16_of(value: i32) -> i16 {
    value as i16
}

/// Where a component's samples come together.
struct Target {
    /// What its blocks become.
    shape: Shape,
    plane: Plane,
    /// By how much the plane is stretched when it is done, and what is cut from that.
    stretch: (usize, usize),
    size: (usize, usize),
    /// As they were at its first scan.
    quantiser: Option<Quantiser>,
    /// Of progressive frames.
    coefficients: Option<Coefficients>,
}

struct Decoder<'a> {
    bytes: &'a [u8],
    scale: Scale,
    budget: &'a Budget,
    tables: Tables,
    frame: Option<Frame>,
    targets: Vec<Target>,
    /// How chroma lies under luma in the planes that come out.
    sampling: Sampling,
    scans: u32,
    /// The colour transform that an Adobe marker names.
    adobe: Option<u8>,
}

impl<'a> Decoder<'a> {
    fn new(bytes: &'a [u8], scale: Scale, budget: &'a Budget) -> Self {
        Self {
            bytes,
            scale,
            budget,
            tables: Tables::default(),
            frame: None,
            targets: Vec::new(),
            sampling: Sampling::default(),
            scans: 0,
            adobe: None,
        }
    }

    /// From the first marker to the last.
    fn run(mut self) -> Result<Picture, Declined> {
        if !self.bytes.starts_with(&[0xFF, 0xD8]) {
            return Err(Declined::NotMine);
        }
        let mut at = 2;
        loop {
            let (marker, body, end) = self.segment(at)?;
            at = end;
            match marker {
                0xC4 => self.tables.read_codes(body)?,
                0xDB => self.tables.read_quantisers(body)?,
                0xDD => match (be16(body, 0), body.len()) {
                    (Some(interval), 2) => self.tables.restart_interval = usize::from(interval),
                    _ => return Err(Declined::NotMine),
                },
                0xDA => at = self.scan(body, end)?,
                0xC0..=0xC2 => self.start(marker, body)?,
                0xD9 => return self.finish(),
                0xEE if body.starts_with(b"Adobe") => self.adobe = body.get(11).copied().or(self.adobe),
                0xE0..=0xEF | 0xFE => {}
                _ => return Err(Declined::NotMine),
            }
        }
    }

    /// The marker at `at`, its segment's body, and where that ends.
    fn segment(&self, mut at: usize) -> Result<(u8, &'a [u8], usize), Declined> {
        if self.bytes.get(at) != Some(&0xFF) {
            return Err(Declined::NotMine);
        }
        while self.bytes.get(at) == Some(&0xFF) {
            at += 1;
        }
        let marker = *self.bytes.get(at).ok_or(Declined::NotMine)?;
        if marker == 0xD9 {
            return Ok((marker, &[], at + 1));
        }
        let length = be16(self.bytes, at + 1).ok_or(Declined::NotMine)?;
        let end = at + 1 + usize::from(length);
        let body = self.bytes.get(at + 3..end).ok_or(Declined::NotMine)?;
        Ok((marker, body, end))
    }

    /// Takes the frame header and allocates what it asks for.
    fn start(&mut self, kind: u8, body: &[u8]) -> Result<(), Declined> {
        let frame = Frame::read(kind, body)?;
        if self.frame.is_some() || self.budget.check_size(frame.width, frame.height).is_err() {
            return Err(Declined::NotMine);
        }
        let luma = scale::shape_of(self.scale);
        let ratios = |along: fn(&header::Component) -> usize| -> Vec<usize> {
            frame.components.iter().skip(1).map(along).collect()
        };
        let (half_width, across) = Fit::of(luma.0, &ratios(|its| its.ratios.0)).ok_or(Declined::NotMine)?;
        let (half_height, down) = Fit::of(luma.1, &ratios(|its| its.ratios.1)).ok_or(Declined::NotMine)?;
        self.sampling = Sampling { half_width, half_height, siting: Siting::Centre };
        let (width, height) = (self.scale.side(frame.width), self.scale.side(frame.height));
        let chroma_size = self.sampling.chroma_size(width, height);
        let as_luma = |samples| Fit { samples, stretch: 1 };
        let fits = [(as_luma(luma.0), as_luma(luma.1))].into_iter().chain(across.into_iter().zip(down));
        let mut size = (width, height);
        for (component, (across, down)) in frame.components.iter().zip(fits) {
            let shape = (across.samples, down.samples);
            let wanted = (size.0 as usize, size.1 as usize);
            // What is stretched is cut afterwards.
            let side = |fit: Fit, samples: usize, wanted: usize| {
                if fit.stretch == 1 { wanted } else { (samples * fit.samples).div_ceil(8) }
            };
            let blocks = || (frame.mcus.0 * component.across, frame.mcus.1 * component.down);
            let coefficients =
                frame.progressive.then(blocks).map(|(columns, rows)| Coefficients::new(columns, rows, shape));
            self.targets.push(Target {
                shape,
                plane: Plane::new(side(across, component.width, wanted.0), side(down, component.height, wanted.1)),
                stretch: (across.stretch, down.stretch),
                size: wanted,
                quantiser: None,
                coefficients,
            });
            size = chroma_size;
        }
        self.frame = Some(frame);
        Ok(())
    }

    /// Decodes the scan of this header, whose data begin at `at`; returns where they end.
    fn scan(&mut self, body: &[u8], at: usize) -> Result<usize, Declined> {
        let frame = self.frame.as_ref().ok_or(Declined::NotMine)?;
        let header = ScanHeader::read(body, frame)?;
        self.scans += 1;
        // 1 says YCbCr, as do three components without a marker. For grey there is nothing to say.
        let other_colours = frame.components.len() == 3 && self.adobe.is_some_and(|transform| transform != 1);
        if self.scans > self.budget.max_scans || other_colours {
            return Err(Declined::NotMine);
        }
        for (component, ..) in &header.parts {
            let which = frame.components.get(*component).ok_or(Declined::NotMine)?.quantiser;
            let target = self.targets.get_mut(*component).ok_or(Declined::NotMine)?;
            if target.quantiser.is_none() {
                let steps = self.tables.quantisers.get(which).and_then(Option::as_ref).ok_or(Declined::NotMine)?;
                target.quantiser = Some(Quantiser::new(steps));
            } else if !frame.progressive {
                // A component has one scan.
                return Err(Declined::NotMine);
            }
        }
        let bits = Bits::new(self.bytes, at);
        let bits = if frame.progressive {
            progressive_scan(bits, frame, &header, &self.tables, &mut self.targets, self.budget)?
        } else {
            sequential_scan(bits, frame, &header, &self.tables, &mut self.targets, self.budget)?
        };
        bits.end()
    }

    /// All that was decoded, if it is all of the picture.
    fn finish(self) -> Result<Picture, Declined> {
        let frame = self.frame.ok_or(Declined::NotMine)?;
        let mut planes = Vec::with_capacity(self.targets.len());
        for Target { shape, mut plane, stretch, size, quantiser, coefficients } in self.targets {
            let quantiser = quantiser.ok_or(Declined::NotMine)?;
            if let Some(coefficients) = coefficients {
                if !coefficients.are_complete() {
                    return Err(Declined::NotMine);
                }
                coefficients.render(&mut plane, shape, &quantiser, self.budget)?;
            }
            if stretch != (1, 1) {
                plane = plane.stretched(stretch, size, self.budget)?;
            }
            planes.push(plane.into_samples());
        }
        let (width, height) = (self.scale.side(frame.width), self.scale.side(frame.height));
        let mut planes = planes.into_iter();
        let picture = match (planes.next(), planes.next(), planes.next()) {
            (Some(luma), Some(blue), Some(red)) => {
                Ycbcr::new(width, height, self.sampling, luma, [blue, red]).map(Picture::Planar)
            }
            (Some(luma), None, _) => Pixmap::new(width, height, Layout::Luma, luma).map(Picture::Packed),
            _ => return Err(Declined::NotMine),
        };
        picture.map_err(|_misfit| Declined::NotMine)
    }
}

/// Columns and rows of MCUs of a scan: of a component alone, its blocks (T.81 A.2).
fn mcus_of(frame: &Frame, header: &ScanHeader) -> Result<(usize, usize), Declined> {
    match &header.parts[..] {
        [(component, ..)] => frame.components.get(*component).map(header::Component::blocks).ok_or(Declined::NotMine),
        _ => Ok(frame.mcus),
    }
}

/// The table of the code in this place.
fn lookup(codes: &[Option<huffman::Code>; 4], which: usize, of: Of) -> Result<Lookup, Declined> {
    Ok(Lookup::new(code_of(codes, which)?, of))
}

fn code_of(codes: &[Option<huffman::Code>; 4], which: usize) -> Result<&huffman::Code, Declined> {
    codes.get(which).and_then(Option::as_ref).ok_or(Declined::NotMine)
}

fn sequential_scan<'a>(
    bits: Bits<'a>,
    frame: &Frame,
    header: &ScanHeader,
    tables: &Tables,
    targets: &mut [Target],
    budget: &Budget,
) -> Result<Bits<'a>, Declined> {
    let mcus = mcus_of(frame, header)?;
    let alone = header.parts.len() == 1;
    let mut parts = Vec::with_capacity(header.parts.len());
    for ((component, target), at) in frame.components.iter().zip(targets).zip(0..) {
        let Some((_, dc, ac)) = header.parts.iter().find(|(named, ..)| *named == at) else { continue };
        parts.push(Part {
            plane: &mut target.plane,
            quantiser: target.quantiser.as_ref().ok_or(Declined::NotMine)?,
            dc: Differences::new(code_of(&tables.dc, *dc)?),
            ac: (target.shape != (1, 1)).then(|| lookup(&tables.ac, *ac, Of::Blocks)).transpose()?,
            skip: (target.shape != (8, 8)).then(|| code_of(&tables.ac, *ac).map(Skip::new)).transpose()?,
            shape: target.shape,
            prediction: 0,
            across: if alone { 1 } else { component.across },
            down: if alone { 1 } else { component.down },
        });
    }
    sequential::scan(bits, &mut parts, mcus, Restarts::new(tables.restart_interval), budget)
}

fn progressive_scan<'a>(
    bits: Bits<'a>,
    frame: &Frame,
    header: &ScanHeader,
    tables: &Tables,
    targets: &mut [Target],
    budget: &Budget,
) -> Result<Bits<'a>, Declined> {
    let mcus = mcus_of(frame, header)?;
    let alone = header.parts.len() == 1;
    let band = Band { first: header.first, last: header.last, refines: header.high > 0, low: header.low };
    let restarts = Restarts::new(tables.restart_interval);
    let mut parts = Vec::with_capacity(header.parts.len());
    for ((component, target), at) in frame.components.iter().zip(targets).zip(0..) {
        let Some((_, dc, ac)) = header.parts.iter().find(|(named, ..)| *named == at) else { continue };
        let coefficients = target.coefficients.as_mut().ok_or(Declined::NotMine)?;
        coefficients.turn(band)?;
        if band.first > 0 {
            if target.shape == (1, 1) {
                return Ok(bits.past_data());
            }
            let ac = lookup(&tables.ac, *ac, if band.refines { Of::Corrections } else { Of::Numbers })?;
            return progressive::scan_ac(bits, coefficients, &ac, band, mcus, restarts, budget);
        }
        parts.push(DcPart {
            coefficients,
            dc: if band.refines { None } else { Some(Differences::new(code_of(&tables.dc, *dc)?)) },
            across: if alone { 1 } else { component.across },
            down: if alone { 1 } else { component.down },
        });
    }
    progressive::scan_dc(bits, &mut parts, band.low, mcus, restarts, budget)
}
