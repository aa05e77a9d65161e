//! JPEGs of given coefficients, for tests: grey ones, sequential, and progressive with every kind of scan (ITU-T T.81 annex G); and
//! such of three components in any sampling. The encoders at hand do not make them.

/// Coefficients of a block in the order of coding.
pub(super) type Coded = [i16; 64];

/// The same step for all coefficients.
pub(super) const STEP: u8 = 3;

/// Words of each length 1 to 16, from a few short ones to many long ones, for all 256 symbols.
const COUNTS: [u8; 16] = [0, 1, 1, 2, 2, 2, 0, 8, 0, 16, 0, 64, 0, 0, 0, 160];

/// The symbols, those often used in front.
fn symbols() -> Vec<u8> {
    let first = [0x00, 0x01, 0x02, 0x11, 0x03, 0x21, 0x12, 0x04, 0xF0, 0x31];
    first.into_iter().chain((0..=255).filter(|symbol| !first.contains(symbol))).collect()
}

/// Word and length of a symbol (C.2).
fn word(symbol: u8) -> (u32, u32) {
    let place = symbols().iter().position(|its| *its == symbol).unwrap();
    let (mut word, mut before) = (0, 0);
    for (&count, length) in COUNTS.iter().zip(1..) {
        let count = usize::from(count);
        if place < before + count {
            return (u32::try_from(word + place - before).unwrap(), length);
        }
        word = (word + count) << 1;
        before += count;
    }
    unreachable!()
}

#[derive(Default)]
struct Writer {
    file: Vec<u8>,
    bits: Vec<bool>,
    /// End-of-band blocks not yet written, and the correction bits of those.
    empty: u32,
    corrections: Vec<bool>,
}

impl Writer {
    fn segment(&mut self, marker: u8, body: &[u8]) {
        self.file.extend([0xFF, marker]);
        self.file.extend(u16::try_from(body.len() + 2).unwrap().to_be_bytes());
        self.file.extend(body);
    }

    fn put(&mut self, value: u32, count: u32) {
        self.bits.extend((0..count).rev().map(|at| value >> at & 1 == 1));
    }

    fn symbol(&mut self, symbol: u8) {
        let (word, length) = word(symbol);
        self.put(word, length);
    }

    /// Run and size in front, then the number (F.1.2.1).
    fn number(&mut self, run: u8, value: i16) {
        let size = 16 - value.unsigned_abs().leading_zeros();
        self.symbol(run << 4 | u8::try_from(size).unwrap());
        let value = if value < 0 { i32::from(value) + (1 << size) - 1 } else { i32::from(value) };
        self.put(u32::try_from(value).unwrap(), size);
    }

    fn end_run(&mut self) {
        if self.empty > 0 {
            let exponent = self.empty.ilog2();
            self.symbol(u8::try_from(exponent).unwrap() << 4);
            self.put(self.empty - (1 << exponent), exponent);
            self.empty = 0;
            let corrections = std::mem::take(&mut self.corrections);
            self.bits.extend(corrections);
        }
    }

    /// Ends an interval: what waits is written, the last byte filled up with ones, zeros stuffed.
    fn end(&mut self) {
        self.end_run();
        for byte in std::mem::take(&mut self.bits).chunks(8) {
            let byte = (0..8).fold(0, |sum, at| sum << 1 | u8::from(byte.get(at).copied().unwrap_or(true)));
            self.file.push(byte);
            if byte == 0xFF {
                self.file.push(0);
            }
        }
    }

    fn head(marker: u8, (width, height): (u16, u16), interval: u16) -> Self {
        let mut writer = Self { file: vec![0xFF, 0xD8], ..Self::default() };
        writer.segment(0xDB, &[&[0][..], &[STEP; 64]].concat());
        writer.segment(marker, &[&[8][..], &height.to_be_bytes(), &width.to_be_bytes(), &[1, 1, 0x11, 0]].concat());
        for kind in [0x00, 0x10] {
            writer.segment(0xC4, &[&[kind][..], &COUNTS, &symbols()].concat());
        }
        writer.segment(0xDD, &interval.to_be_bytes());
        writer
    }

    /// A scan in which `block` writes each block; it is told where intervals begin.
    fn scan(
        &mut self,
        [first, last, bits]: [u8; 3],
        blocks: &[Coded],
        interval: u16,
        mut block: impl FnMut(&mut Self, &Coded, bool),
    ) {
        self.segment(0xDA, &[1, 1, 0x00, first, last, bits]);
        for (coded, at) in blocks.iter().zip(0_usize..) {
            let begins = at == 0 || interval > 0 && at.is_multiple_of(usize::from(interval));
            if begins && at > 0 {
                self.end();
                let number = (at / usize::from(interval) - 1) % 8;
                self.file.extend([0xFF, 0xD0 + u8::try_from(number).unwrap()]);
            }
            block(self, coded, begins);
        }
        self.end();
    }

    /// The first bits of a band, shifted by `low`. A sequential band has no runs of empty blocks.
    fn band(&mut self, coded: &Coded, first: usize, last: usize, low: u32) {
        let mut run = 0;
        for value in coded[first..=last].iter().map(|value| value / (1 << low)) {
            if value == 0 {
                run += 1;
                continue;
            }
            self.end_run();
            while run > 15 {
                self.symbol(0xF0);
                run -= 16;
            }
            self.number(run, value);
            run = 0;
        }
        if run > 0 {
            self.empty += 1;
        }
    }

    /// One more bit of a band (G.1.2.3).
    fn refine(&mut self, coded: &Coded, first: usize, last: usize, low: u32) {
        let values = coded.map(|value| value.unsigned_abs() >> low);
        let newest = (first..=last).rev().find(|at| values[*at] == 1).unwrap_or(0);
        let (mut run, mut corrections) = (0, Vec::new());
        for at in first..=last {
            match values[at] {
                0 => {
                    run += 1;
                    continue;
                }
                _ => {
                    while run > 15 && at <= newest {
                        self.end_run();
                        self.symbol(0xF0);
                        self.bits.append(&mut corrections);
                        run -= 16;
                    }
                }
            }
            if values[at] > 1 {
                corrections.push(values[at] & 1 == 1);
                continue;
            }
            self.end_run();
            self.symbol(run << 4 | 1);
            self.bits.push(coded[at] > 0);
            self.bits.append(&mut corrections);
            run = 0;
        }
        if run > 0 || !corrections.is_empty() {
            self.empty += 1;
            self.corrections.append(&mut corrections);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.file.extend([0xFF, 0xD9]);
        self.file
    }
}

/// A sequential file.
pub(super) fn sequential(size: (u16, u16), blocks: &[Coded], interval: u16) -> Vec<u8> {
    let mut writer = Writer::head(0xC0, size, interval);
    let mut before = 0;
    writer.scan([0, 63, 0], blocks, interval, |writer, coded, begins| {
        before = if begins { 0 } else { before };
        writer.number(0, coded[0] - before);
        before = coded[0];
        writer.band(coded, 1, 63, 0);
        writer.end_run();
    });
    writer.finish()
}

/// A progressive file: DC and AC each in two or three goes.
pub(super) fn progressive(size: (u16, u16), blocks: &[Coded], interval: u16) -> Vec<u8> {
    let mut writer = Writer::head(0xC2, size, interval);
    let mut before = 0;
    writer.scan([0, 0, 0x01], blocks, interval, |writer, coded, begins| {
        before = if begins { 0 } else { before };
        let dc = coded[0] >> 1;
        writer.number(0, dc - before);
        before = dc;
    });
    for (first, last) in [(1, 5), (6, 63)] {
        writer.scan([first, last, 0x02], blocks, interval, |writer, coded, _| {
            writer.band(coded, usize::from(first), usize::from(last), 2);
        });
    }
    writer.scan([1, 63, 0x21], blocks, interval, |writer, coded, _| writer.refine(coded, 1, 63, 1));
    writer.scan([0, 0, 0x10], blocks, interval, |writer, coded, _| writer.bits.push(coded[0] & 1 == 1));
    writer.scan([1, 63, 0x10], blocks, interval, |writer, coded, _| writer.refine(coded, 1, 63, 0));
    writer.finish()
}

/// A component: its factors across and down, and its blocks in rows, with the padding to whole MCUs.
pub(super) struct Component {
    pub(super) factors: (usize, usize),
    /// Columns and rows of blocks that hold its samples; what a scan of it alone has.
    pub(super) used: (usize, usize),
    pub(super) columns: usize,
    pub(super) blocks: Vec<Coded>,
}

impl Component {
    /// A component of a picture of this size, whose blocks `block` makes.
    pub(super) fn new(
        (width, height): (u16, u16),
        factors: (usize, usize),
        most: (usize, usize),
        blocks: impl FnOnce(usize) -> Vec<Coded>,
    ) -> Self {
        let of = |side: u16, part: usize, most: usize| {
            let samples = (usize::from(side) * part).div_ceil(most);
            (samples.div_ceil(8), usize::from(side).div_ceil(8 * most) * part)
        };
        let (across, down) = (of(width, factors.0, most.0), of(height, factors.1, most.1));
        Self { factors, used: (across.0, down.0), columns: across.1, blocks: blocks(across.1 * down.1) }
    }
}

/// A file of several components. Sequential: in one scan if MCUs of ten blocks hold all, else in one a component; or progressive, with
/// DC in one scan, or one a component, and AC in two each.
pub(super) fn colour(size: (u16, u16), components: &[Component], progressive: bool) -> Vec<u8> {
    let mut writer = Writer { file: vec![0xFF, 0xD8], ..Writer::default() };
    writer.segment(0xDB, &[&[0][..], &[STEP; 64]].concat());
    let mut frame = [&[8][..], &size.1.to_be_bytes(), &size.0.to_be_bytes()].concat();
    frame.push(u8::try_from(components.len()).unwrap());
    for (component, id) in components.iter().zip(1..) {
        let (across, down) = component.factors;
        frame.extend([id, u8::try_from(across << 4 | down).unwrap(), 0]);
    }
    writer.segment(if progressive { 0xC2 } else { 0xC0 }, &frame);
    for kind in [0x00, 0x10] {
        writer.segment(0xC4, &[&[kind][..], &COUNTS, &symbols()].concat());
    }
    let all: Vec<usize> = (0..components.len()).collect();
    let blocks: usize = components.iter().map(|its| its.factors.0 * its.factors.1).sum();
    let scans: Vec<&[usize]> = if blocks <= 10 { vec![&all] } else { all.chunks(1).collect() };
    for scan in scans {
        let mut before = vec![0; components.len()];
        writer.scan_of(components, scan, if progressive { [0, 0, 0] } else { [0, 63, 0] }, |writer, at, coded| {
            writer.number(0, coded[0] - before[at]);
            before[at] = coded[0];
            if !progressive {
                writer.band(coded, 1, 63, 0);
                writer.end_run();
            }
        });
    }
    if progressive {
        for at in 0..components.len() {
            for (first, last) in [(1, 9), (10, 63)] {
                writer.scan_of(components, &[at], [first, last, 0], |writer, _, coded| {
                    writer.band(coded, usize::from(first), usize::from(last), 0);
                });
            }
        }
    }
    writer.finish()
}

impl Writer {
    /// A scan of some components, in which `block` writes each block; it is told of which component.
    fn scan_of(
        &mut self,
        components: &[Component],
        scan: &[usize],
        [first, last, bits]: [u8; 3],
        mut block: impl FnMut(&mut Self, usize, &Coded),
    ) {
        let ids = scan.iter().flat_map(|at| [u8::try_from(at + 1).unwrap(), 0x00]);
        let count = u8::try_from(scan.len()).unwrap();
        self.segment(0xDA, &[count].into_iter().chain(ids).chain([first, last, bits]).collect::<Vec<u8>>());
        if let [at] = scan {
            let component = &components[*at];
            for row in component.blocks.chunks(component.columns).take(component.used.1) {
                row.iter().take(component.used.0).for_each(|coded| block(self, *at, coded));
            }
        } else {
            let across = components[scan[0]].columns / components[scan[0]].factors.0;
            let mcus =
                components[scan[0]].blocks.len() / (components[scan[0]].factors.0 * components[scan[0]].factors.1);
            for mcu in 0..mcus {
                for &at in scan {
                    let Component { factors, columns, blocks, .. } = &components[at];
                    for place in 0..factors.0 * factors.1 {
                        let column = mcu % across * factors.0 + place % factors.0;
                        let row = mcu / across * factors.1 + place / factors.0;
                        block(self, at, &blocks[row * columns + column]);
                    }
                }
            }
        }
        self.end();
    }
}
