//! Codes of packed pixels, looked up in tables of floats: a plane a channel.

#[cfg(target_arch = "x86_64")]
mod vbmi;

use multiversion::target::match_target;

/// A float for every code.
pub struct Table {
    floats: [f32; 256],
    /// The same cut up: the first bytes of all floats, the second, the third, and the fourth.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "for processors that permute bytes"))]
    parts: [[u8; 256]; 4],
}

impl Table {
    /// The table of these floats.
    #[must_use]
    pub const fn new(floats: [f32; 256]) -> Self {
        let mut parts = [[0; 256]; 4];
        let mut code = 0;
        while code < 256 {
            let bytes = floats[code].to_le_bytes();
            let mut part = 0;
            while part < 4 {
                parts[part][code] = bytes[part];
                part += 1;
            }
            code += 1;
        }
        Self { floats, parts }
    }
}

/// `planes[c][i] = tables[c][pixels[i][c]]`, for all pixels for which there is room. N is 1 to 4.
///
/// One by one, which costs two loads and a store a sample; where a processor can permute bytes among 128 (AVX-512 VBMI), 64
/// at once, at half the time. Both copy floats, so they agree to the bit.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vbmi", "x86_64+avx2"))]
pub fn look_up<const N: usize>(pixels: &[[u8; N]], tables: [&Table; N], mut planes: [&mut [f32]; N]) {
    let done = match_target! {
        "x86_64+avx512f+avx512bw+avx512vbmi" => vbmi::look_up(pixels, tables, &mut planes),
        _ => 0,
    };
    let rest = pixels.get(done..).unwrap_or(&[]);
    for ((plane, table), channel) in planes.iter_mut().zip(tables).zip(0..N) {
        let plane = plane.get_mut(done..).unwrap_or(&mut []);
        for (float, pixel) in plane.iter_mut().zip(rest) {
            *float = table.floats[usize::from(pixel[channel])];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain<const N: usize>(pixels: &[[u8; N]], tables: [&Table; N], wrong: usize) -> Vec<Vec<f32>> {
        let plane = |channel: usize| {
            let code = |pixel: &[u8; N]| usize::from(pixel[channel]);
            pixels.iter().map(|pixel| tables[channel].floats[(code(pixel) + wrong) % 256]).collect()
        };
        (0..N).map(plane).collect()
    }

    fn assert_plain<const N: usize>() {
        let odd = |code: u16| f32::from(code) * 1.000_3 - 17.123;
        let one = Table::new(std::array::from_fn(|code| odd(u16::try_from(code).unwrap())));
        let two = Table::new(std::array::from_fn(|code| odd(u16::try_from(code).unwrap()).exp()));
        let tables: [&Table; N] = std::array::from_fn(|channel| if channel == 3 { &two } else { &one });
        let mut state = 7_u32;
        for len in [0, 1, 63, 64, 65, 128, 200, 256, 1000] {
            let mut pixel = || {
                [0; N].map(|_: u8| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    state.to_le_bytes()[3]
                })
            };
            let pixels: Vec<[u8; N]> = (0..len).map(|_| pixel()).collect();
            let mut got = vec![vec![0.0; len]; N];
            let mut rows = got.iter_mut();
            look_up(&pixels, tables, std::array::from_fn(|_| rows.next().unwrap().as_mut_slice()));
            assert_eq!(got, plain(&pixels, tables, 0), "{N} channels, {len} pixels");
            assert!(len == 0 || got != plain(&pixels, tables, 1), "the control: its neighbour in the table");
        }
    }

    #[test]
    fn every_way_of_looking_up_copies_the_same_floats() {
        assert_plain::<1>();
        assert_plain::<2>();
        assert_plain::<3>();
        assert_plain::<4>();
    }
}
