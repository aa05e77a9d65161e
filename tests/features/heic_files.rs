//! HEIC files put together from the data of one: as a picture of its own, as tiles of a grid, and with parameters that lie.

use std::path::Path;

/// A file of the fixtures.
pub(crate) fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/heic")).join(name)).unwrap()
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes()[..], kind, body].concat()
}

fn full(kind: &[u8; 4], version: u8, body: &[u8]) -> Vec<u8> {
    boxed(kind, &[&[version, 0, 0, 0][..], body].concat())
}

/// What is in a box of this kind, wherever it is.
fn inside<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> &'a [u8] {
    let at = bytes.windows(4).position(|window| window == kind).unwrap();
    let length = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) as usize;
    &bytes[at + 4..at - 4 + length]
}

/// A picture's parameters and its data.
#[derive(Clone)]
pub(crate) struct Tiles {
    /// Before the parameter sets: the record without its last byte, which counts them.
    head: Vec<u8>,
    sets: Vec<Vec<u8>>,
    data: Vec<u8>,
}

impl Tiles {
    /// Those of a file of one picture.
    pub(crate) fn of(file: &[u8]) -> Self {
        let record = inside(file, b"hvcC");
        let mut sets = Vec::new();
        let mut rest = &record[23..];
        for _ in 0..record[22] {
            let count = u16::from_be_bytes([rest[1], rest[2]]);
            rest = &rest[3..];
            for _ in 0..count {
                let (set, tail) = rest[2..].split_at(usize::from(u16::from_be_bytes([rest[0], rest[1]])));
                sets.push(set.to_vec());
                rest = tail;
            }
        }
        Self { head: record[..22].to_vec(), sets, data: inside(file, b"mdat").to_vec() }
    }

    fn record(&self) -> Vec<u8> {
        let arrays = self.sets.iter().map(|set| {
            let length = u16::try_from(set.len()).unwrap();
            [&[set[0] >> 1 & 63, 0, 1][..], &length.to_be_bytes(), set].concat()
        });
        [&self.head[..], &[u8::try_from(self.sets.len()).unwrap()], &arrays.collect::<Vec<_>>().concat()].concat()
    }

    /// With another sequence parameter set.
    pub(crate) fn with_set(&self, set: &[u8]) -> Self {
        let sets = self.sets.iter().map(|old| if old[0] >> 1 == 33 { set.to_vec() } else { old.clone() }).collect();
        Self { sets, ..self.clone() }
    }

    pub(crate) fn with_sets(&self, count: usize) -> Self {
        let last = self.sets.last().unwrap().clone();
        Self { sets: self.sets.iter().cloned().chain(std::iter::repeat(last)).take(count).collect(), ..self.clone() }
    }

    pub(crate) fn with_two_sequences(&self) -> Self {
        let mut sets = self.sets.clone();
        sets.push(self.sets.iter().find(|set| set[0] >> 1 == 33).unwrap().clone());
        Self { sets, ..self.clone() }
    }

    /// The same slice again and again.
    pub(crate) fn with_slices(&self, count: usize) -> Self {
        let mut rest = &self.data[..];
        loop {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            let (unit, tail) = rest.split_at(4 + length);
            if unit[4] >> 1 & 63 < 32 {
                return Self { data: unit.repeat(count), ..self.clone() };
            }
            rest = tail;
        }
    }

    /// With a second sequence parameter set hidden in the first parameter set of all.
    pub(crate) fn with_a_unit_inside(&self) -> Self {
        let mut sets = self.sets.clone();
        let hidden = set(6000, 6000, (64, 64));
        sets[0].extend([&[0, 0, 1][..], &hidden].concat());
        Self { sets, ..self.clone() }
    }

    /// A file of this one picture, which it says is of this size.
    pub(crate) fn single(&self, size: (u32, u32)) -> Vec<u8> {
        let properties = [ispe(size), boxed(b"hvcC", &self.record())].concat();
        self.file(&[(1, b"hvc1", &[1, 2])], &properties, &[], &[])
    }

    /// A file of a grid, each tile this picture.
    pub(crate) fn grid(&self, columns: u16, rows: u16, tile: (u32, u32), size: (u32, u32)) -> Vec<u8> {
        let count = columns * rows;
        let side = |side: u32| u16::try_from(side).unwrap().to_be_bytes();
        let [across, down] = [columns, rows].map(|count| u8::try_from(count - 1).unwrap());
        let data = [&[0, 0, down, across][..], &side(size.0), &side(size.1)].concat();
        let properties = [ispe(tile), boxed(b"hvcC", &self.record()), ispe(size)].concat();
        let tiles: Vec<u16> = (2..2 + count).collect();
        let mut items: Vec<(u16, &[u8; 4], &[u8])> = vec![(1, b"grid", &[3])];
        items.extend(tiles.iter().map(|&id| (id, b"hvc1", &[1_u8, 2][..])));
        let references: Vec<u8> = tiles.iter().flat_map(|id| id.to_be_bytes()).collect();
        let body = [&1_u16.to_be_bytes()[..], &count.to_be_bytes(), &references].concat();
        self.file(&items, &properties, &full(b"iref", 0, &boxed(b"dimg", &body)), &data)
    }

    fn file(&self, items: &[(u16, &[u8; 4], &[u8])], properties: &[u8], references: &[u8], derived: &[u8]) -> Vec<u8> {
        let count = u16::try_from(items.len()).unwrap().to_be_bytes();
        let head = boxed(b"ftyp", b"heic\0\0\0\0mif1heic");
        let meta = |start: u32| {
            let mut entries = count.to_vec();
            let mut places = [&[0x44, 0][..], &count].concat();
            let mut owners = u32::try_from(items.len()).unwrap().to_be_bytes().to_vec();
            for (id, kind, owned) in items {
                entries.extend(full(b"infe", 2, &[&id.to_be_bytes()[..], &[0, 0], &kind[..], b"\0"].concat()));
                let inside = *kind == b"grid";
                let (from, length) = if inside { (0, derived.len()) } else { (start, self.data.len()) };
                let length = u32::try_from(length).unwrap();
                places.extend(
                    [
                        &id.to_be_bytes()[..],
                        &[0, u8::from(inside), 0, 0, 0, 1],
                        &from.to_be_bytes(),
                        &length.to_be_bytes(),
                    ]
                    .concat(),
                );
                owners.extend([&id.to_be_bytes()[..], &[u8::try_from(owned.len()).unwrap()], owned].concat());
            }
            let parts = [
                full(b"hdlr", 0, b"\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0"),
                full(b"pitm", 0, &1_u16.to_be_bytes()),
                full(b"iinf", 0, &entries),
                full(b"iloc", 1, &places),
                boxed(b"iprp", &[boxed(b"ipco", properties), full(b"ipma", 0, &owners)].concat()),
                references.to_vec(),
                if derived.is_empty() { Vec::new() } else { boxed(b"idat", derived) },
            ];
            full(b"meta", 0, &parts.concat())
        };
        let start = u32::try_from(head.len() + meta(0).len() + 8).unwrap();
        [head, meta(start), boxed(b"mdat", &self.data)].concat()
    }
}

fn ispe((width, height): (u32, u32)) -> Vec<u8> {
    full(b"ispe", 0, &[width.to_be_bytes(), height.to_be_bytes()].concat())
}

/// Bits as H.265 writes them.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn number(&mut self, value: u64, count: u32) {
        self.0.extend((0..count).rev().map(|at| at < 64 && value >> at & 1 == 1));
    }

    /// Zeros, and as many bits behind them.
    fn exponential(&mut self, values: &[u32]) {
        for value in values {
            let value = u64::from(*value) + 1;
            self.number(value, 2 * (64 - value.leading_zeros()) - 1);
        }
    }

    /// As a unit: no three bytes in it look like the beginning of another.
    fn unit(mut self, kind: u8) -> Vec<u8> {
        self.number(1, 1);
        self.0.resize(self.0.len().next_multiple_of(8), false);
        let (mut unit, mut zeros) = (vec![kind << 1, 1], 0);
        for byte in self.0.chunks(8).map(|byte| byte.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit))) {
            if zeros >= 2 && byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            unit.push(byte);
        }
        unit
    }
}

/// A sequence parameter set of 8 bits and 4:2:0 for a picture of this size, cut on the right and below to that one.
pub(crate) fn set(width: u32, height: u32, shown: (u32, u32)) -> Vec<u8> {
    let mut bits = Bits::default();
    // One layer; profile and level, for which nobody asks.
    bits.number(1, 8);
    bits.number(3, 8);
    bits.number(0, 32 + 48);
    bits.number(180, 8);
    bits.exponential(&[0, 1, width, height]);
    bits.number(1, 1);
    bits.exponential(&[0, (width - shown.0) / 2, 0, (height - shown.1) / 2, 0, 0, 4]);
    bits.number(1, 1);
    // Pictures to hold; blocks of 64 down to 8, transforms of 32 down to 4; how deep they go.
    bits.exponential(&[0, 0, 0, 0, 3, 0, 3, 1, 1]);
    // No lists and no other tools; no other pictures; nothing about colour, no extension.
    bits.number(0, 4);
    bits.exponential(&[0]);
    bits.number(0, 5);
    bits.unit(33)
}
