//! Codes of two rows of packed pixels, looked up in tables of whole numbers: a plane a channel, the rows zipped.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod vbmi;

use multiversion::target::match_target;

/// A number of 16 bits for every code.
pub struct Table {
    numbers: [u16; 256],
    /// The same cut up: the lower bytes of all numbers, and the upper ones.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "for processors that permute bytes"))]
    parts: [[u8; 256]; 2],
}

impl Table {
    /// The table of these numbers.
    #[must_use]
    pub const fn new(numbers: [u16; 256]) -> Self {
        let mut parts = [[0; 256]; 2];
        let mut code = 0;
        while code < 256 {
            let [low, high] = numbers[code].to_le_bytes();
            parts[0][code] = low;
            parts[1][code] = high;
            code += 1;
        }
        Self { numbers, parts }
    }
}

/// `planes[c][i] = [tables[c][rows[0][i][c]], tables[c][rows[1][i][c]]]`, for all pixels for which there is room. The rows
/// are of one length; N is 1 to 4.
///
/// One by one, which costs two loads and a store a sample; where a processor can permute bytes among 128 (AVX-512 VBMI), 64
/// at once, or among 16 (AVX2), 32 at once, at a third of the time. All copy numbers, so they agree to the bit.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vbmi", "x86_64+avx2"))]
pub fn look_up<const N: usize>(rows: [&[[u8; N]]; 2], tables: [&Table; N], mut planes: [&mut [[u16; 2]]; N]) {
    let done = match_target! {
        "x86_64+avx512f+avx512bw+avx512vbmi" => vbmi::look_up(rows, tables, &mut planes),
        "x86_64+avx2" => avx2::look_up(rows, tables, &mut planes),
        _ => 0,
    };
    let [first, second] = rows.map(|row| row.get(done..).unwrap_or(&[]));
    for ((plane, table), channel) in planes.iter_mut().zip(tables).zip(0..N) {
        let plane = plane.get_mut(done..).unwrap_or(&mut []);
        for ((pair, first), second) in plane.iter_mut().zip(first).zip(second) {
            let code = |pixel: &[u8; N]| usize::from(pixel[channel]);
            *pair = [table.numbers[code(first)], table.numbers[code(second)]];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain<const N: usize>(rows: [&[[u8; N]]; 2], tables: [&Table; N], wrong: usize) -> Vec<Vec<[u16; 2]>> {
        let plane = |channel: usize| {
            let number = |pixel: &[u8; N]| tables[channel].numbers[(usize::from(pixel[channel]) + wrong) % 256];
            rows[0].iter().zip(rows[1]).map(|(first, second)| [number(first), number(second)]).collect()
        };
        (0..N).map(plane).collect()
    }

    fn assert_plain<const N: usize>() {
        let table = |factor: u16| {
            Table::new(std::array::from_fn(|code| u16::try_from(code).unwrap().wrapping_mul(factor).wrapping_add(17)))
        };
        let (one, two) = (table(257), table(30_011));
        let tables: [&Table; N] = std::array::from_fn(|channel| if channel == 3 { &two } else { &one });
        let mut state = 7_u32;
        for len in [0, 1, 63, 64, 65, 128, 200, 256, 1000] {
            let mut pixel = || {
                [0; N].map(|_: u8| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    state.to_le_bytes()[3]
                })
            };
            let mut row = || -> Vec<[u8; N]> { (0..len).map(|_| pixel()).collect() };
            let (first, second) = (row(), row());
            let mut got = vec![vec![[0; 2]; len]; N];
            let mut planes = got.iter_mut();
            look_up([&first, &second], tables, std::array::from_fn(|_| planes.next().unwrap().as_mut_slice()));
            assert_eq!(got, plain([&first, &second], tables, 0), "{N} channels, {len} pixels");
            assert!(len == 0 || got != plain([&first, &second], tables, 1), "the control: its neighbour in the table");
            assert!(len < 63 || got != plain([&second, &first], tables, 0), "the control: rows in the wrong order");
        }
    }

    #[test]
    fn every_way_of_looking_up_copies_the_same_numbers() {
        assert_plain::<1>();
        assert_plain::<2>();
        assert_plain::<3>();
        assert_plain::<4>();
    }
}
