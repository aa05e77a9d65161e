//! JPEG to planes: our own decoder, for what nearly every photo is.
//!
//! It takes sequential and progressive frames with Huffman codes, 8 bits a sample, grey or YCbCr with chroma of the same
//! size or halved. Everything else it leaves alone: other kinds, but also whatever is odd or damaged. So it never judges a
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
use self::scale::Side;
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
    side: Side,
    plane: Plane,
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
        let target = |component: &header::Component| {
            let side = self.side(&frame, component);
            let share = |samples: usize| (samples * side.samples()).div_ceil(8);
            let blocks = || (frame.mcus.0 * component.across, frame.mcus.1 * component.down);
            Target {
                side,
                plane: Plane::new(share(component.width), share(component.height)),
                quantiser: None,
                coefficients: frame
                    .progressive
                    .then(blocks)
                    .map(|(across, down)| Coefficients::new(across, down, side)),
            }
        };
        self.targets = frame.components.iter().map(target).collect();
        self.frame = Some(frame);
        Ok(())
    }

    /// What blocks of this component become. Chroma that is halved both ways keeps twice as much as luma, so that it is as large:
    /// what is left out of it then is no more than is left out of luma.
    fn side(&self, frame: &Frame, component: &header::Component) -> Side {
        let side = Side::from(self.scale);
        let is_halved = frame.components.first().is_some_and(|luma| {
            self.scale != Scale::Whole && component.across < luma.across && component.down < luma.down
        });
        if is_halved { side.doubled() } else { side }
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
        let is_halved = match &self.targets[..] {
            [luma, chroma, _] => luma.side == chroma.side,
            _ => false,
        };
        let mut planes = Vec::with_capacity(self.targets.len());
        for Target { side, mut plane, quantiser, coefficients } in self.targets {
            let quantiser = quantiser.ok_or(Declined::NotMine)?;
            if let Some(coefficients) = coefficients {
                if !coefficients.are_complete() {
                    return Err(Declined::NotMine);
                }
                coefficients.render(&mut plane, side, &quantiser, self.budget)?;
            }
            planes.push(plane.into_samples());
        }
        let (width, height) = (self.scale.side(frame.width), self.scale.side(frame.height));
        let mut planes = planes.into_iter();
        let picture = match (planes.next(), planes.next(), planes.next(), &frame.components[..]) {
            (Some(luma), Some(blue), Some(red), [first, chroma, _]) => {
                let sampling = Sampling {
                    half_width: is_halved && chroma.across < first.across,
                    half_height: is_halved && chroma.down < first.down,
                    siting: Siting::Centre,
                };
                Ycbcr::new(width, height, sampling, luma, [blue, red]).map(Picture::Planar)
            }
            (Some(luma), None, ..) => Pixmap::new(width, height, Layout::Luma, luma).map(Picture::Packed),
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
            ac: (target.side != Side::One).then(|| lookup(&tables.ac, *ac, Of::Numbers)).transpose()?,
            skip: (target.side != Side::Eight).then(|| code_of(&tables.ac, *ac).map(Skip::new)).transpose()?,
            side: target.side,
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
            if target.side == Side::One {
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
