//! The `meta` box as tables: which items there are, where their bytes lie, and what is said about them
//! (ISO/IEC 14496-12:2022, section 8.11; ISO/IEC 23008-12:2022, sections 6.5 and 9.3).

use std::ops::Range;

use super::super::super::error::CodecError;
use super::NAME;
use super::boxes::{Fields, Found, boxes};

/// Items of a file. A picture has a handful, a grid one a tile.
const MAX_ITEMS: usize = 1024;

/// Ranges that all items together may be scattered over.
const MAX_EXTENTS: usize = 8192;

/// References that all items together may make.
const MAX_REFERENCES: usize = 4096;

/// One item.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) id: u32,
    pub(super) kind: [u8; 4],
    pub(super) hidden: bool,
    /// It has a name of its own, or is protected: nothing that is kept.
    pub(super) named: bool,
    /// Where its bytes lie in the file.
    pub(super) extents: Vec<Range<usize>>,
    /// Its bytes lie in another file, or in another item.
    pub(super) elsewhere: bool,
    /// Numbers of its properties, from 1, and whether each is essential.
    pub(super) properties: Vec<(u16, bool)>,
}

/// A typed reference from an item to others.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) kind: [u8; 4],
    pub(super) from: u32,
    pub(super) to: Vec<u32>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Meta {
    pub(super) primary: u32,
    /// In the order of their ids.
    pub(super) items: Vec<Item>,
    pub(super) properties: Vec<Found>,
    pub(super) references: Vec<Reference>,
    pub(super) groups: Option<Found>,
    /// There is something in it that is never kept.
    pub(super) extra: bool,
}

impl Meta {
    pub(super) fn item(&self, id: u32) -> Option<&Item> {
        self.items.binary_search_by_key(&id, |item| item.id).ok().and_then(|at| self.items.get(at))
    }

    fn item_mut(&mut self, id: u32) -> Option<&mut Item> {
        self.items.binary_search_by_key(&id, |item| item.id).ok().and_then(|at| self.items.get_mut(at))
    }

    /// What `from` refers to by references of this kind, in their order.
    pub(super) fn targets(&self, kind: &[u8; 4], from: u32) -> impl Iterator<Item = u32> {
        let of = move |reference: &&Reference| reference.kind == *kind && reference.from == from;
        self.references.iter().filter(of).flat_map(|reference| reference.to.iter().copied())
    }

    /// The properties of an item.
    pub(super) fn properties<'a>(&'a self, item: &'a Item) -> impl Iterator<Item = (&'a Found, bool)> {
        item.properties.iter().filter_map(|&(number, essential)| {
            let property = self.properties.get(usize::from(number).checked_sub(1)?)?;
            Some((property, essential))
        })
    }

    /// Reads the box.
    ///
    /// # Errors
    /// [`CodecError::Damaged`] when a part that a picture needs is missing or broken.
    pub(super) fn read(bytes: &[u8], found: &Found) -> Result<Self, CodecError> {
        let mut meta = Self::default();
        let mut fields = Fields::new(bytes, found.body.clone());
        fields.version()?;
        let mut parts: [Option<Found>; 6] = Default::default();
        const NAMES: [&[u8; 4]; 6] = [b"pitm", b"iinf", b"iloc", b"idat", b"iref", b"iprp"];
        for part in boxes(bytes, fields.rest()) {
            let part = part?;
            match &part.kind {
                b"hdlr" => meta.handler(bytes, &part)?,
                b"grpl" => meta.groups = Some(part),
                kind => match NAMES.iter().position(|name| *name == kind).and_then(|at| parts.get_mut(at)) {
                    Some(slot @ None) => *slot = Some(part),
                    Some(Some(_)) => return Err(CodecError::damaged(NAME, "it has a table twice")),
                    None => meta.extra = true,
                },
            }
        }
        let [pitm, iinf, iloc, idat, iref, iprp] = parts;
        let (Some(pitm), Some(iinf), Some(iloc), Some(iprp)) = (pitm, iinf, iloc, iprp) else {
            return Err(CodecError::damaged(NAME, "a table of its items is missing"));
        };
        let mut fields = Fields::new(bytes, pitm.body);
        let (version, _) = fields.version()?;
        meta.primary = fields.small(if version == 0 { 2 } else { 4 })?;
        meta.names(bytes, &iinf)?;
        meta.places(bytes, &iloc, idat.map_or(0..0, |idat| idat.body))?;
        meta.qualities(bytes, &iprp)?;
        if let Some(iref) = iref {
            meta.relations(bytes, &iref)?;
        }
        Ok(meta)
    }

    fn handler(&mut self, bytes: &[u8], found: &Found) -> Result<(), CodecError> {
        let mut fields = Fields::new(bytes, found.body.clone());
        fields.take(8)?;
        if fields.array()? != *b"pict" {
            return Err(CodecError::damaged(NAME, "its items are no pictures"));
        }
        fields.take(12)?;
        let name = bytes.get(fields.rest()).unwrap_or_default();
        self.extra |= !matches!(name, b"" | b"\0" | b"libavif\0");
        Ok(())
    }

    /// `iinf`: what each item is.
    fn names(&mut self, bytes: &[u8], found: &Found) -> Result<(), CodecError> {
        let mut fields = Fields::new(bytes, found.body.clone());
        let (version, _) = fields.version()?;
        fields.take(if version == 0 { 2 } else { 4 })?;
        for entry in boxes(bytes, fields.rest()) {
            let entry = entry?;
            let mut fields = Fields::new(bytes, entry.body);
            let (version, flags) = fields.version()?;
            if entry.kind != *b"infe" || version < 2 {
                self.extra = true;
                continue;
            }
            if self.items.len() >= MAX_ITEMS {
                return Err(CodecError::TooScattered { got: MAX_ITEMS + 1, max: MAX_ITEMS });
            }
            let id = fields.small(if version == 2 { 2 } else { 4 })?;
            let protection = fields.small(2)?;
            let kind = fields.array()?;
            let name = bytes.get(fields.rest()).unwrap_or_default();
            let named = protection != 0 || !matches!(name, b"" | b"\0" | b"Color\0" | b"Alpha\0" | b"GMap\0");
            self.items.push(Item { id, kind, hidden: flags & 1 != 0, named, ..Item::default() });
        }
        self.items.sort_by_key(|item| item.id);
        if self.items.windows(2).any(|pair| matches!(pair, [a, b] if a.id == b.id)) {
            return Err(CodecError::damaged(NAME, "two items have the same number"));
        }
        Ok(())
    }

    /// `iloc`: where the bytes of each item lie.
    fn places(&mut self, bytes: &[u8], found: &Found, idat: Range<usize>) -> Result<(), CodecError> {
        let mut fields = Fields::new(bytes, found.body.clone());
        let (version, _) = fields.version()?;
        if version > 2 {
            return Err(CodecError::unsupported("AVIF with this table of places"));
        }
        let [sizes, more] = fields.array()?;
        let [offset_size, length_size, base_size] = [sizes >> 4, sizes & 15, more >> 4].map(usize::from);
        let index_size = if version == 0 { 0 } else { usize::from(more & 15) };
        let count = fields.small(if version < 2 { 2 } else { 4 })?;
        let mut left = MAX_EXTENTS;
        for _ in 0..count {
            let id = fields.small(if version < 2 { 2 } else { 4 })?;
            let method = if version == 0 { 0 } else { fields.small(2)? & 15 };
            let external = fields.small(2)? != 0;
            let base = fields.number(base_size)?;
            let extents = fields.small(2)?;
            let source = if method == 1 { idat.clone() } else { 0..bytes.len() };
            let mut ranges = Vec::new();
            let mut outside = false;
            for _ in 0..extents {
                let many = CodecError::TooScattered { got: MAX_EXTENTS + 1, max: MAX_EXTENTS };
                left = left.checked_sub(1).ok_or(many)?;
                fields.number(index_size)?;
                let offset = fields.number(offset_size)?;
                let length = fields.number(length_size)?;
                let range = range_in(&source, base, offset, length);
                outside |= range.is_none();
                ranges.extend(range.filter(|range| !range.is_empty()));
            }
            let Some(item) = self.item_mut(id) else {
                self.extra = true;
                continue;
            };
            item.elsewhere = external || method > 1;
            if outside && !item.elsewhere {
                // Never Damaged here: an item that nobody needs may be broken. One that is needed is empty then.
                ranges.clear();
            }
            item.extents = ranges;
        }
        Ok(())
    }

    /// `iprp`: the properties, and whose they are.
    fn qualities(&mut self, bytes: &[u8], found: &Found) -> Result<(), CodecError> {
        for part in boxes(bytes, found.body.clone()) {
            let part = part?;
            match &part.kind {
                b"ipco" if self.properties.is_empty() => {
                    self.properties = boxes(bytes, part.body).collect::<Result<_, _>>()?;
                }
                b"ipma" => self.owners(bytes, part.body)?,
                _ => self.extra = true,
            }
        }
        Ok(())
    }

    fn owners(&mut self, bytes: &[u8], body: Range<usize>) -> Result<(), CodecError> {
        let mut fields = Fields::new(bytes, body);
        let (version, flags) = fields.version()?;
        let count = fields.small(4)?;
        for _ in 0..count {
            let id = fields.small(if version == 0 { 2 } else { 4 })?;
            let owned = fields.small(1)?;
            let mut properties = Vec::new();
            for _ in 0..owned {
                let (number, essential) = if flags & 1 == 0 {
                    let packed = fields.small(1)?;
                    (packed & 0x7F, packed & 0x80 != 0)
                } else {
                    let packed = fields.small(2)?;
                    (packed & 0x7FFF, packed & 0x8000 != 0)
                };
                properties.push((u16::try_from(number).unwrap_or(0), essential));
            }
            match self.item_mut(id) {
                Some(item) if item.properties.is_empty() => item.properties = properties,
                Some(_) => return Err(CodecError::damaged(NAME, "an item has its properties twice")),
                None => self.extra = true,
            }
        }
        Ok(())
    }

    /// `iref`: how items refer to each other.
    fn relations(&mut self, bytes: &[u8], found: &Found) -> Result<(), CodecError> {
        let mut fields = Fields::new(bytes, found.body.clone());
        let (version, _) = fields.version()?;
        let wide = if version == 0 { 2 } else { 4 };
        let mut left = MAX_REFERENCES;
        for reference in boxes(bytes, fields.rest()) {
            let reference = reference?;
            let mut fields = Fields::new(bytes, reference.body);
            let from = fields.small(wide)?;
            let count = fields.small(2)?;
            let cost = count as usize + 1;
            let many = CodecError::TooScattered { got: MAX_REFERENCES - left + cost, max: MAX_REFERENCES };
            left = left.checked_sub(cost).ok_or(many)?;
            let to = (0..count).map(|_| fields.small(wide)).collect::<Result<Vec<_>, _>>()?;
            self.references.push(Reference { kind: reference.kind, from, to });
        }
        Ok(())
    }
}

/// A range of the source, which it must not leave; a length of 0 is all that follows.
fn range_in(source: &Range<usize>, base: u64, offset: u64, length: u64) -> Option<Range<usize>> {
    let start = usize::try_from(base.checked_add(offset)?).ok()?.checked_add(source.start)?;
    let end = if length == 0 { source.end } else { start.checked_add(usize::try_from(length).ok()?)? };
    (start <= end && end <= source.end).then_some(start..end)
}
