//! What the tables say the picture is: its tiles, its alpha, its colour, how it is cut and turned
//! (AV1 Image File Format 1.1; ISO/IEC 23000-22 (MIAF); ISO/IEC 23008-12, sections 6.5 and 6.6).

use std::borrow::Cow;
use std::ops::Range;

use super::super::super::error::CodecError;
use super::super::super::orientation::Orientation;
use super::NAME;
use super::boxes::{Fields, Found};
#[cfg(feature = "heic")]
use super::hevc::{self, Hevc};
use super::items::{Item, Meta};
use super::sequence::{Cicp, Sequence, picture_units};

/// One coded picture: a tile, or rows of tiles that join.
#[derive(Debug)]
pub(crate) struct Coded {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) columns: u32,
    pub(crate) tile_width: u32,
    pub(crate) tile_height: u32,
    pub(crate) tiles: Vec<Tile>,
}

/// One AV1 picture.
#[derive(Debug)]
pub(crate) struct Tile {
    /// Its bytes; more than one range where they are scattered.
    pub(crate) extents: Vec<Range<usize>>,
    pub(crate) sequence: Sequence,
    pub(crate) coding: Coding,
}

/// How a tile is coded.
#[derive(Debug)]
pub(crate) enum Coding {
    Av1 {
        operating_point: u32,
    },
    #[cfg(feature = "heic")]
    Hevc(Hevc),
}

impl Coded {
    /// Whether the AV1 data is for frames of the size that the tables say.
    pub(crate) fn agrees(&self) -> bool {
        self.tiles.iter().all(|tile| match tile.coding {
            Coding::Av1 { .. } => (tile.sequence.width, tile.sequence.height) == (self.tile_width, self.tile_height),
            // HEVC has no odd sizes where chroma is halved.
            #[cfg(feature = "heic")]
            Coding::Hevc(_) => {
                let over = |size: u32, tile: u32| size.checked_sub(tile).is_some_and(|over| over < 2);
                over(tile.sequence.width, self.tile_width) && over(tile.sequence.height, self.tile_height)
            }
        })
    }
}

impl Tile {
    /// What a decoder needs of its bytes, in one piece.
    pub(crate) fn av1(&self, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        picture_units(&joined(bytes, &self.extents))
    }

    /// All of its bytes, in one piece.
    #[cfg(feature = "heic")]
    pub(crate) fn data<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        joined(bytes, &self.extents)
    }
}

/// The picture.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) colour: Coded,
    pub(crate) alpha: Option<Coded>,
    /// The colours have been multiplied by alpha.
    pub(crate) premultiplied: bool,
    pub(crate) cicp: Cicp,
    /// Where the colour profile lies in the file.
    pub(crate) profile: Option<Range<usize>>,
    /// The part that is shown: left, top, width, height.
    pub(crate) crop: Option<[u32; 4]>,
    pub(crate) orientation: Orientation,
}

/// Properties that are understood, or whose loss changes nothing here.
pub(super) const KNOWN: [&[u8; 4]; 16] = [
    b"ispe", b"pixi", b"colr", b"av1C", b"auxC", b"irot", b"imir", b"clap", b"pasp", b"clli", b"mdcv", b"cclv",
    b"amve", b"a1op", b"lsel", b"a1lx",
];

fn joined<'a>(bytes: &'a [u8], extents: &[Range<usize>]) -> Cow<'a, [u8]> {
    let part = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
    match extents {
        [one] => Cow::Borrowed(part(one)),
        several => Cow::Owned(several.iter().flat_map(|range| part(range).iter().copied()).collect()),
    }
}

fn damaged(cause: &str) -> CodecError {
    CodecError::damaged(NAME, cause)
}

/// Bytes behind a property's name.
fn body<'a>(bytes: &'a [u8], meta: &'a Meta, item: &'a Item, kind: &[u8; 4]) -> Option<(Fields<'a>, &'a Found)> {
    let found = meta.properties(item).map(|(property, _)| property).find(|property| property.kind == *kind)?;
    Some((Fields::new(bytes, found.body.clone()), found))
}

impl Picture {
    /// Finds the primary item's picture.
    ///
    /// # Errors
    /// [`CodecError`]: it is missing, incomplete, or of a kind that is not read here.
    pub(super) fn read(bytes: &[u8], meta: &Meta) -> Result<Self, CodecError> {
        let primary = meta.item(meta.primary).ok_or_else(|| damaged("it has no picture"))?;
        let colour = Coded::read(bytes, meta, primary)?;
        let alpha = alpha_of(bytes, meta, primary);
        let premultiplied = alpha.is_some_and(|alpha| meta.targets(b"prem", primary.id).any(|to| to == alpha.id));
        let alpha = alpha.map(|alpha| Coded::read(bytes, meta, alpha)).transpose()?;
        if alpha.as_ref().is_some_and(|alpha| (alpha.width, alpha.height) != (colour.width, colour.height)) {
            return Err(CodecError::unsupported("AVIF with alpha of another size"));
        }
        let coded = colour.tiles.first().map(|tile| tile.sequence.colour).ok_or_else(|| damaged("it has no tile"))?;
        let mut picture = Self {
            crop: crop(bytes, meta, primary, &colour),
            orientation: turn(bytes, meta, primary)?,
            premultiplied,
            cicp: coded,
            profile: None,
            colour,
            alpha,
        };
        picture.read_colour(bytes, meta, primary)?;
        Ok(picture)
    }

    /// `colr`: once as numbers, once as a profile.
    fn read_colour(&mut self, bytes: &[u8], meta: &Meta, primary: &Item) -> Result<(), CodecError> {
        for (property, _) in meta.properties(primary).filter(|(property, _)| property.kind == *b"colr") {
            let mut fields = Fields::new(bytes, property.body.clone());
            match &fields.array()? {
                b"nclx" => {
                    let [a, b, c, d, e, f, range] = fields.array()?;
                    let [primaries, transfer, matrix] = [[a, b], [c, d], [e, f]].map(u16::from_be_bytes);
                    self.cicp = Cicp { primaries, transfer, matrix, full_range: range & 0x80 != 0 };
                }
                b"prof" | b"rICC" => self.profile = Some(fields.rest()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The item that holds the alpha of this one.
pub(super) fn alpha_of<'a>(bytes: &[u8], meta: &'a Meta, primary: &Item) -> Option<&'a Item> {
    let of =
        meta.references.iter().filter(|reference| reference.kind == *b"auxl" && reference.to.contains(&primary.id));
    of.filter_map(|reference| meta.item(reference.from)).find(|item| {
        let urn = body(bytes, meta, item, b"auxC").and_then(|(mut fields, _)| {
            fields.version().ok()?;
            bytes.get(fields.rest())
        });
        urn.is_some_and(|urn| {
            let urn = urn.split(|&byte| byte == 0).next().unwrap_or_default();
            urn == b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha" || urn == b"urn:mpeg:hevc:2015:auxid:1"
        })
    })
}

impl Coded {
    fn read(bytes: &[u8], meta: &Meta, item: &Item) -> Result<Self, CodecError> {
        known(meta, item)?;
        let (width, height) = size(bytes, meta, item)?;
        match &item.kind {
            kind if coded(kind) => {
                let tiles = vec![Tile::read(bytes, meta, item)?];
                Ok(Self { width, height, columns: 1, tile_width: width, tile_height: height, tiles })
            }
            b"grid" => Self::grid(bytes, meta, item, (width, height)),
            kind => Err(CodecError::unsupported(format!("AVIF whose picture is of the kind {}", kind.escape_ascii()))),
        }
    }

    /// ISO/IEC 23008-12, section 6.6.2.3: rows and columns of equal tiles that cover the picture.
    fn grid(bytes: &[u8], meta: &Meta, item: &Item, (width, height): (u32, u32)) -> Result<Self, CodecError> {
        if item.elsewhere {
            return Err(CodecError::unsupported("AVIF with its data elsewhere"));
        }
        let data = joined(bytes, item.extents.get(..1).unwrap_or_default());
        let mut fields = Fields::new(&data, 0..data.len());
        let [_, flags, rows, columns] = fields.array()?;
        let side = if flags & 1 == 0 { 2 } else { 4 };
        let (claimed_width, claimed_height) = (fields.small(side)?, fields.small(side)?);
        let (rows, columns) = (u32::from(rows) + 1, u32::from(columns) + 1);
        let sources: Vec<u32> = meta.targets(b"dimg", item.id).collect();
        let first = sources.first().and_then(|&id| meta.item(id)).ok_or_else(|| damaged("a grid has no tiles"))?;
        let (tile_width, tile_height) = size(bytes, meta, first)?;
        let covered = |tile: u32, count: u32, side: u32| {
            let (tile, count, side) = (u64::from(tile), u64::from(count), u64::from(side));
            tile * count >= side && tile * (count - 1) < side
        };
        if sources.len() as u64 != u64::from(rows) * u64::from(columns)
            || (claimed_width, claimed_height) != (width, height)
            || !covered(tile_width, columns, width)
            || !covered(tile_height, rows, height)
        {
            return Err(damaged("a grid does not cover its picture"));
        }
        // Tiles may share their bytes, but reading a file over and over is work that its size does not explain.
        let lengths = sources.iter().filter_map(|&id| meta.item(id)).flat_map(|tile| &tile.extents).map(Range::len);
        if lengths.fold(0_usize, usize::saturating_add) > bytes.len().saturating_mul(4) {
            return Err(damaged("the tiles of a grid share too much"));
        }
        let kind = first.kind;
        let mut tiles = Vec::with_capacity(sources.len());
        for id in sources {
            let tile = meta
                .item(id)
                .filter(|tile| coded(&tile.kind) && tile.kind == kind)
                .ok_or_else(|| damaged("a tile is missing"))?;
            known(meta, tile)?;
            tiles.push(Tile::read(bytes, meta, tile)?);
        }
        if tiles.windows(2).any(|pair| matches!(pair, [a, b] if !a.joins(b))) {
            return Err(damaged("the tiles of a grid differ"));
        }
        Ok(Self { width, height, columns, tile_width, tile_height, tiles })
    }
}

impl Tile {
    fn read(bytes: &[u8], meta: &Meta, item: &Item) -> Result<Self, CodecError> {
        if item.elsewhere {
            return Err(CodecError::unsupported("AVIF with its data elsewhere"));
        }
        let length = item.extents.iter().fold(0_usize, |sum, extent| sum.saturating_add(extent.len()));
        if length == 0 || length > bytes.len() {
            return Err(CodecError::truncated(NAME));
        }
        #[cfg(feature = "heic")]
        if item.kind == *b"hvc1" {
            let (record, _) = body(bytes, meta, item, b"hvcC").ok_or_else(|| damaged("a picture has no parameters"))?;
            let (sequence, hevc) = hevc::read(bytes, record, &joined(bytes, &item.extents))?;
            return Ok(Self { extents: item.extents.clone(), sequence, coding: Coding::Hevc(hevc) });
        }
        let sequence = Sequence::read(&joined(bytes, &item.extents))?;
        let mut operating_point = 0;
        if let Some((mut fields, _)) = body(bytes, meta, item, b"a1op") {
            operating_point = fields.small(1)? & 31;
        }
        // A layer chosen by number is one that is not the last; 0xFFFF leaves the choice to the reader.
        if let Some((mut fields, _)) = body(bytes, meta, item, b"lsel")
            && fields.small(2)? != 0xFFFF
        {
            return Err(CodecError::unsupported("AVIF of a chosen layer"));
        }
        Ok(Self { extents: item.extents.clone(), sequence, coding: Coding::Av1 { operating_point } })
    }

    /// Whether two tiles can be of one picture.
    fn joins(&self, other: &Self) -> bool {
        let shape = |tile: &Self| (tile.sequence.depth, tile.sequence.grey, tile.sequence.halved, tile.sequence.colour);
        shape(self) == shape(other)
    }
}

/// Whether items of this kind are pictures that are decoded here.
fn coded(kind: &[u8; 4]) -> bool {
    kind == b"av01" || cfg!(feature = "heic") && kind == b"hvc1"
}

/// Whether every property without which the item cannot be shown is understood.
fn known(meta: &Meta, item: &Item) -> Result<(), CodecError> {
    let unknown = |&(property, essential): &(&Found, bool)| {
        essential && !KNOWN.contains(&&property.kind) && property.kind != *b"hvcC"
    };
    match meta.properties(item).find(unknown) {
        Some((property, _)) => {
            Err(CodecError::unsupported(format!("AVIF with the property {}", property.kind.escape_ascii())))
        }
        None => Ok(()),
    }
}

/// `ispe`: columns and rows.
fn size(bytes: &[u8], meta: &Meta, item: &Item) -> Result<(u32, u32), CodecError> {
    let (mut fields, _) = body(bytes, meta, item, b"ispe").ok_or_else(|| damaged("a picture has no size"))?;
    fields.version()?;
    match (fields.small(4)?, fields.small(4)?) {
        (0, _) | (_, 0) => Err(damaged("a picture without pixels")),
        size => Ok(size),
    }
}

/// `irot`, quarter turns against the clock, and after it `imir`: top and bottom change places, or left and right.
fn turn(bytes: &[u8], meta: &Meta, item: &Item) -> Result<Orientation, CodecError> {
    let number = |kind| body(bytes, meta, item, kind).map(|(mut fields, _)| fields.small(1)).transpose();
    let quarters = number(b"irot")?.unwrap_or(0) & 3;
    let mirror = number(b"imir")?.map(|axis| axis & 1 == 1);
    // Top and bottom changed are left and right changed after a half turn.
    let quarters = if mirror == Some(false) { (quarters + 2) & 3 } else { quarters };
    Ok(match (quarters, mirror.is_some()) {
        (0, false) => Orientation::NoTransforms,
        (1, false) => Orientation::Rotate270,
        (2, false) => Orientation::Rotate180,
        (_, false) => Orientation::Rotate90,
        (0, true) => Orientation::FlipHorizontal,
        (1, true) => Orientation::Rotate270FlipH,
        (2, true) => Orientation::FlipVertical,
        (_, true) => Orientation::Rotate90FlipH,
    })
}

/// `clap`: a width, a height and the offset of its centre, as fractions. One that is not of whole pixels, or not inside of the
/// picture, is ignored, as browsers do.
fn crop(bytes: &[u8], meta: &Meta, item: &Item, coded: &Coded) -> Option<[u32; 4]> {
    let (mut fields, _) = body(bytes, meta, item, b"clap")?;
    let mut next = || fields.array().ok().map(i32::from_be_bytes).map(i64::from);
    let mut fraction = || {
        let (over, under) = (next()?, next()?);
        (under > 0).then_some((over, under))
    };
    let (width, height, x, y) = (fraction()?, fraction()?, fraction()?, fraction()?);
    let whole = |(over, under): (i64, i64)| (over % under == 0).then_some(over / under);
    // The left edge is (coded - clean) / 2 + offset of the centre.
    let edge = |coded: u32, clean: i64, (over, under): (i64, i64)| {
        whole(((i64::from(coded) - clean).checked_mul(under)?.checked_add(2 * over)?, 2 * under))
    };
    let (width, height) = (whole(width)?, whole(height)?);
    let (left, top) = (edge(coded.width, width, x)?, edge(coded.height, height, y)?);
    let inside = width > 0
        && height > 0
        && left >= 0
        && top >= 0
        && left + width <= i64::from(coded.width)
        && top + height <= i64::from(coded.height);
    let [left, top, width, height] = [left, top, width, height].map(|side| u32::try_from(side).unwrap_or(0));
    inside.then_some([left, top, width, height])
}
