//! The file without what identifies people and places. Nothing is removed item by item: the tables are written anew with what
//! the picture needs, and behind them come the bytes that it needs. What was between, behind or around is not copied.

use std::ops::Range;

use super::super::super::error::CodecError;
use super::super::{Piece, Pieces};
use super::boxes::{Fields, Found, boxes};
use super::items::{Item, Meta};
use super::picture::{KNOWN, alpha_of};

/// The boxes of the file that matter here.
#[derive(Debug, Default)]
pub(super) struct Top {
    pub(super) brands: Range<usize>,
    /// Bodies of the `mdat` boxes.
    pub(super) data: Vec<Range<usize>>,
    /// There are other boxes, or bytes that are in none.
    pub(super) extra: bool,
}

/// The pieces of the new file; the whole old one where nothing is to be removed from it.
pub(super) fn pieces(bytes: &[u8], top: &Top, meta: &Meta, keep_profile: bool) -> Result<Vec<Piece>, CodecError> {
    let kept = kept(bytes, meta);
    let dropped_property = |property: &Found| {
        let colour = || Fields::new(bytes, property.body.clone()).array::<4>().unwrap_or_default();
        match &property.kind {
            b"colr" => match &colour() {
                b"nclx" => false,
                b"prof" | b"rICC" => !keep_profile,
                // Whatever it is, it says nothing about the colours.
                _ => true,
            },
            kind => !KNOWN.contains(&kind),
        }
    };
    let ranges = union(kept.iter().flat_map(|item| item.extents.iter().cloned()));
    let clean = !top.extra
        && !meta.extra
        && kept.len() == meta.items.len()
        && !kept.iter().any(|item| item.named)
        && !meta.properties.iter().any(dropped_property)
        && outside(&ranges, &top.data).eq(&0);
    if clean {
        return Ok(vec![Piece::Keep(0..bytes.len())]);
    }
    let length: usize = ranges.iter().map(Range::len).sum();
    // Every reader knows the narrow form; the wide one is for ids that need it.
    let narrow = kept.iter().all(|item| u16::try_from(item.id).is_ok());
    let writer = Writer { bytes, meta, kept: &kept, narrow };
    let tables = |places: &dyn Fn(usize) -> usize| {
        let parts = [
            handler(),
            full(b"pitm", u8::from(!narrow), 0, &writer.id(meta.primary)),
            writer.locations(places),
            writer.information(),
            writer.relations(),
            writer.properties(&dropped_property),
            writer.groups(),
        ];
        full(b"meta", 0, 0, &parts.concat())
    };
    // The tables are as long wherever the data lies.
    let start = top.brands.len() + tables(&|_| 0).len() + 8;
    let places = |at: usize| {
        let before = ranges.partition_point(|range| range.end <= at);
        let passed: usize = ranges.iter().take(before).map(Range::len).sum();
        start + passed + ranges.get(before).map_or(0, |range| at - range.start)
    };
    let mut pieces = Pieces::default();
    pieces.keep(top.brands.clone());
    let data_length = u32::try_from(length + 8).map_err(|_over| CodecError::unsupported("AVIF of over 4 GB"))?;
    pieces.insert([&tables(&places)[..], &data_length.to_be_bytes(), b"mdat"].concat());
    ranges.into_iter().for_each(|range| pieces.keep(range));
    pieces.finish()
}

/// What the picture is made of: the primary item, its tiles, its alpha with its tiles, and the rendition for bright displays
/// that is made from it (`tmap`) with its gain map. Thumbnails, depth maps and everything that is no picture are not.
fn kept<'a>(bytes: &[u8], meta: &'a Meta) -> Vec<&'a Item> {
    let mut ids = Vec::new();
    let mut add = |id: u32| {
        ids.push(id);
        ids.extend(meta.targets(b"dimg", id));
    };
    add(meta.primary);
    if let Some(alpha) = meta.item(meta.primary).and_then(|primary| alpha_of(bytes, meta, primary)) {
        add(alpha.id);
    }
    for tone_map in meta.items.iter().filter(|item| item.kind == *b"tmap" && !item.elsewhere) {
        if meta.targets(b"dimg", tone_map.id).any(|id| id == meta.primary) {
            add(tone_map.id);
            meta.targets(b"dimg", tone_map.id).for_each(&mut add);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    let picture = |item: &&Item| matches!(&item.kind, b"av01" | b"grid" | b"tmap") && !item.elsewhere;
    ids.into_iter().filter_map(|id| meta.item(id)).filter(picture).collect()
}

/// The ranges in their order, joined where they touch or overlap: bytes that several items share are written once.
fn union(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut sorted: Vec<_> = ranges.collect();
    sorted.sort_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            Some(_) | None => joined.push(range),
        }
    }
    joined
}

/// Bytes of `data` that are in none of `ranges`; both in order.
fn outside(ranges: &[Range<usize>], data: &[Range<usize>]) -> usize {
    data.iter().fold(0, |outside, body| {
        let inside = ranges.iter().map(|range| range.end.min(body.end).saturating_sub(range.start.max(body.start)));
        outside + body.len() - inside.sum::<usize>().min(body.len())
    })
}

/// A box.
fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], kind, body].concat()
}

/// A box with a version and flags.
fn full(kind: &[u8; 4], version: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    boxed(kind, &[&[version, 0, 0, flags][..], body].concat())
}

fn half(count: usize) -> [u8; 2] {
    u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes()
}

fn word(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

fn handler() -> Vec<u8> {
    full(b"hdlr", 0, 0, b"\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0")
}

/// Writes the tables.
struct Writer<'a> {
    bytes: &'a [u8],
    meta: &'a Meta,
    kept: &'a [&'a Item],
    narrow: bool,
}

impl Writer<'_> {
    /// The number of an item, or of items.
    fn id(&self, id: u32) -> Vec<u8> {
        match u16::try_from(id) {
            Ok(id) if self.narrow => id.to_be_bytes().to_vec(),
            Ok(_) | Err(_) => id.to_be_bytes().to_vec(),
        }
    }

    fn count(&self) -> Vec<u8> {
        self.id(u32::try_from(self.kept.len()).unwrap_or(u32::MAX))
    }

    fn is_kept(&self, id: u32) -> bool {
        self.kept.binary_search_by_key(&id, |item| item.id).is_ok()
    }

    /// Places in four bytes each, in the file itself.
    fn locations(&self, places: &dyn Fn(usize) -> usize) -> Vec<u8> {
        let mut body = vec![0x44, 0x00];
        body.extend(self.count());
        for item in self.kept {
            body.extend(self.id(item.id));
            // No other file; in the wide form, method 0 before that.
            body.extend(if self.narrow { &[0, 0][..] } else { &[0, 0, 0, 0] });
            body.extend(half(item.extents.len()));
            for extent in &item.extents {
                body.extend(word(places(extent.start)));
                body.extend(word(extent.len()));
            }
        }
        full(b"iloc", if self.narrow { 0 } else { 2 }, 0, &body)
    }

    fn information(&self) -> Vec<u8> {
        let mut body = self.count();
        for item in self.kept {
            let entry = [&self.id(item.id)[..], &[0, 0], &item.kind, &[0]].concat();
            body.extend(full(b"infe", if self.narrow { 2 } else { 3 }, u8::from(item.hidden), &entry));
        }
        full(b"iinf", u8::from(!self.narrow), 0, &body)
    }

    /// References of what is kept to what is kept.
    fn relations(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for reference in &self.meta.references {
            let to: Vec<u32> = reference.to.iter().copied().filter(|&id| self.is_kept(id)).collect();
            let meant = matches!(&reference.kind, b"dimg" | b"auxl" | b"prem");
            if meant && self.is_kept(reference.from) && !to.is_empty() {
                let ids: Vec<u8> = to.iter().flat_map(|&id| self.id(id)).collect();
                body.extend(boxed(&reference.kind, &[&self.id(reference.from)[..], &half(to.len()), &ids].concat()));
            }
        }
        if body.is_empty() { body } else { full(b"iref", u8::from(!self.narrow), 0, &body) }
    }

    /// Properties keep their numbers: in the place of one that goes stands an empty box.
    fn properties(&self, dropped: &dyn Fn(&Found) -> bool) -> Vec<u8> {
        let mut container = Vec::new();
        for property in &self.meta.properties {
            if dropped(property) {
                container.extend(boxed(b"free", &[]));
            } else {
                container.extend(boxed(&property.kind, self.bytes.get(property.body.clone()).unwrap_or_default()));
            }
        }
        // Always a word here, whatever the width of the ids.
        let mut owners = word(self.kept.len()).to_vec();
        for item in self.kept {
            let stays = |&(number, _): &(u16, bool)| {
                let property = usize::from(number).checked_sub(1).and_then(|at| self.meta.properties.get(at));
                property.is_some_and(|property| !dropped(property))
            };
            let owned: Vec<(u16, bool)> = item.properties.iter().copied().filter(stays).collect();
            owners.extend(self.id(item.id));
            owners.push(u8::try_from(owned.len()).unwrap_or(u8::MAX));
            let packed =
                owned.iter().flat_map(|&(number, essential)| (number | u16::from(essential) << 15).to_be_bytes());
            owners.extend(packed);
        }
        boxed(b"iprp", &[boxed(b"ipco", &container), full(b"ipma", u8::from(!self.narrow), 1, &owners)].concat())
    }

    /// Alternatives (`altr`), where one of them is the rendition for bright displays.
    fn groups(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let found = self.meta.groups.as_ref().filter(|_| self.kept.iter().any(|item| item.kind == *b"tmap"));
        for group in found.into_iter().flat_map(|found| boxes(self.bytes, found.body.clone())) {
            let Ok(group) = group else { break };
            let mut fields = Fields::new(self.bytes, group.body);
            if group.kind != *b"altr" || fields.version().is_err() {
                continue;
            }
            let (Ok(id), Ok(count)) = (fields.small(4), fields.small(4)) else { continue };
            let ids: Vec<u32> = (0..count).map_while(|_| fields.small(4).ok()).filter(|&id| self.is_kept(id)).collect();
            if ids.len() > 1 {
                let list: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
                body.extend(full(b"altr", 0, 0, &[&id.to_be_bytes()[..], &word(ids.len()), &list].concat()));
            }
        }
        if body.is_empty() { body } else { boxed(b"grpl", &body) }
    }
}
