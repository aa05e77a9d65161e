//! 32 look-ups at once by permuting bytes among 16 (AVX2).
//!
//! A part of the table is sixteen runs of 16 bytes. For each run all codes are permuted among its bytes, those of other runs to
//! 0, and what comes is joined: about 4 instructions a number, where loads one by one take 11. Gathers take longer.

use std::arch::x86_64::{
    __m128i, __m256i, _mm256_adds_epu8, _mm256_broadcastsi128_si256, _mm256_or_si256, _mm256_permute2x128_si256,
    _mm256_set_m128i, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_sub_epi8,
    _mm256_unpackhi_epi8, _mm256_unpackhi_epi16, _mm256_unpacklo_epi8, _mm256_unpacklo_epi16,
};

use super::Table;

/// Pixels looked up together, half of them in each lane.
const BLOCK: usize = 32;

/// Codes of a lane, and bytes of a run.
const LANE: usize = 16;

/// Looks up all whole blocks of pixels; returns how many pixels that were.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn look_up<const N: usize>(
    rows: [&[[u8; N]]; 2],
    tables: [&Table; N],
    planes: &mut [&mut [[u16; 2]]; N],
) -> usize {
    let (above, below) = (rows[0].as_chunks::<BLOCK>().0, rows[1].as_chunks::<BLOCK>().0);
    for ((plane, table), orders) in planes.iter_mut().zip(tables).zip(&Orders::<N>::OF) {
        for ((above, below), pairs) in above.iter().zip(below).zip(plane.as_chunks_mut::<BLOCK>().0) {
            let [(a, b), (c, d)] = parts(table, [channel(above, orders), channel(below, orders)]);
            let (above, above_next) = (_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b));
            let (below, below_next) = (_mm256_unpacklo_epi8(c, d), _mm256_unpackhi_epi8(c, d));
            let (p, q) = (_mm256_unpacklo_epi16(above, below), _mm256_unpackhi_epi16(above, below));
            let (r, s) = (_mm256_unpacklo_epi16(above_next, below_next), _mm256_unpackhi_epi16(above_next, below_next));
            // Zipping works within lanes.
            let [first, second, third, fourth] = pairs.as_chunks_mut::<8>().0 else { continue };
            *first = bytemuck::cast(_mm256_permute2x128_si256::<0x20>(p, q));
            *second = bytemuck::cast(_mm256_permute2x128_si256::<0x20>(r, s));
            *third = bytemuck::cast(_mm256_permute2x128_si256::<0x31>(p, q));
            *fourth = bytemuck::cast(_mm256_permute2x128_si256::<0x31>(r, s));
        }
    }
    let blocks = above.len().min(below.len());
    planes.iter().fold(blocks * BLOCK, |done, plane| done.min(plane.len() / BLOCK * BLOCK))
}

/// The codes of one channel of a block of pixels.
#[inline]
#[target_feature(enable = "avx2")]
fn channel<const N: usize>(block: &[[u8; N]; BLOCK], orders: &[[u8; LANE]; N]) -> __m256i {
    let (first, second) = block.as_flattened().split_at(LANE * N);
    let registers = first.as_chunks::<LANE>().0.iter().zip(second.as_chunks::<LANE>().0);
    let mut codes = _mm256_setzero_si256();
    for ((first, second), order) in registers.zip(orders) {
        let bytes = _mm256_set_m128i(load(second), load(first));
        codes = _mm256_or_si256(codes, _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(load(order))));
    }
    codes
}

/// The lower bytes of the numbers, and the upper ones, for codes of two rows.
#[inline]
#[target_feature(enable = "avx2")]
fn parts(table: &Table, mut codes: [__m256i; 2]) -> [(__m256i, __m256i); 2] {
    let mut found = [(_mm256_setzero_si256(), _mm256_setzero_si256()); 2];
    let low: &[[u8; LANE]; 256 / LANE] = bytemuck::cast_ref(&table.parts[0]);
    let high: &[[u8; LANE]; 256 / LANE] = bytemuck::cast_ref(&table.parts[1]);
    for run in 0..256 / LANE {
        let (low, high) = (_mm256_broadcastsi128_si256(load(&low[run])), _mm256_broadcastsi128_si256(load(&high[run])));
        for row in 0..2 {
            // Codes of this run are 0 to 15 by now: 112 to 127 here, all others more, for which a permutation has 0.
            let places = _mm256_adds_epu8(codes[row], _mm256_set1_epi8(112));
            found[row].0 = _mm256_or_si256(found[row].0, _mm256_shuffle_epi8(low, places));
            found[row].1 = _mm256_or_si256(found[row].1, _mm256_shuffle_epi8(high, places));
            codes[row] = _mm256_sub_epi8(codes[row], _mm256_set1_epi8(16));
        }
    }
    found
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; LANE]) -> __m128i {
    bytemuck::cast(*bytes)
}

/// Where in each of the N registers of 16 pixels the codes of a channel lie: over 127 for those in another.
struct Orders<const N: usize>;

impl<const N: usize> Orders<N> {
    /// Those of each channel.
    const OF: [[[u8; LANE]; N]; N] = {
        let mut orders = [[[255; LANE]; N]; N];
        let mut at = 0;
        while at < N * LANE {
            let (channel, place) = (at / LANE, at % LANE);
            let byte = place * N + channel;
            #[expect(clippy::cast_possible_truncation, reason = "under 16")]
            let narrow = (byte % LANE) as u8;
            orders[channel][byte / LANE][place] = narrow;
            at += 1;
        }
        orders
    };
}
