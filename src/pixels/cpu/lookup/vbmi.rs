//! 64 look-ups at once by permuting bytes (AVX-512 VBMI).
//!
//! An instruction picks 64 bytes among 128; two of them and a blend pick among the 256 bytes of a part of the table. Both
//! parts of 64 numbers of both rows are then zipped together. No gathers: they take longer than loads one by one.

use std::arch::x86_64::{
    __m512i, _mm512_mask_blend_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8, _mm512_permutexvar_epi8,
    _mm512_unpackhi_epi8, _mm512_unpackhi_epi16, _mm512_unpacklo_epi8, _mm512_unpacklo_epi16,
};

use super::Table;

/// Pixels looked up together.
const BLOCK: usize = 64;

/// Looks up all whole blocks of pixels; returns how many pixels that were.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) fn look_up<const N: usize>(
    rows: [&[[u8; N]]; 2],
    tables: [&Table; N],
    planes: &mut [&mut [[u16; 2]]; N],
) -> usize {
    let [(above, _), (below, _)] = rows.map(<[[u8; N]]>::as_chunks::<BLOCK>);
    for ((plane, table), orders) in planes.iter_mut().zip(tables).zip(&Orders::<N>::OF) {
        let [low, high] = &table.parts;
        for ((above, below), pairs) in above.iter().zip(below).zip(plane.as_chunks_mut::<BLOCK>().0) {
            let above = channel(above.as_flattened().as_chunks::<BLOCK>().0, orders);
            let below = channel(below.as_flattened().as_chunks::<BLOCK>().0, orders);
            let (a, b) = (part(low, above), part(high, above));
            let (c, d) = (part(low, below), part(high, below));
            let (above, above_next) = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
            let (below, below_next) = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
            let [first, second, third, fourth] = pairs.as_chunks_mut::<16>().0 else { continue };
            *first = bytemuck::cast(_mm512_unpacklo_epi16(above, below));
            *second = bytemuck::cast(_mm512_unpackhi_epi16(above, below));
            *third = bytemuck::cast(_mm512_unpacklo_epi16(above_next, below_next));
            *fourth = bytemuck::cast(_mm512_unpackhi_epi16(above_next, below_next));
        }
    }
    let blocks = above.len().min(below.len());
    planes.iter().fold(blocks * BLOCK, |done, plane| done.min(plane.len() / BLOCK * BLOCK))
}

/// The codes of one channel of a block of pixels.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn channel<const N: usize>(packed: &[[u8; BLOCK]], orders: &[[u8; BLOCK]; N]) -> __m512i {
    let [first, packed @ ..] = packed else { return load(&[0; BLOCK]) };
    let [order, orders @ ..] = orders.as_slice() else { return load(first) };
    let mut codes = load(first);
    if packed.is_empty() {
        return _mm512_permutexvar_epi8(load(order), codes);
    }
    for (packed, order) in packed.iter().zip(orders) {
        codes = _mm512_permutex2var_epi8(codes, load(order), load(packed));
    }
    codes
}

/// One byte of each number.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn part(table: &[u8; 256], codes: __m512i) -> __m512i {
    let [p, q, r, s] = table.as_chunks::<BLOCK>().0 else { return codes };
    let lower = _mm512_permutex2var_epi8(load(p), codes, load(q));
    let upper = _mm512_permutex2var_epi8(load(r), codes, load(s));
    _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), lower, upper)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; BLOCK]) -> __m512i {
    bytemuck::cast(*bytes)
}

/// The orders in which the codes of a channel are taken from the N registers of a block of pixels: the first step takes
/// from the first two registers (the first order is for N = 1 alone), each later one from what it has and the next register.
///
/// Zipping works within lanes of 16 bytes. So that numbers come out in order, place `4 j + i` of lane `l` is code
/// `16 j + 4 l + i`.
struct Orders<const N: usize>;

impl<const N: usize> Orders<N> {
    /// Those of each channel.
    const OF: [[[u8; BLOCK]; N]; N] = {
        let mut orders = [[[0; BLOCK]; N]; N];
        let mut at = 0;
        while at < N * N * BLOCK {
            let (channel, step, place) = (at / BLOCK / N, at / BLOCK % N, at % BLOCK);
            let byte = (16 * (place % 16 / 4) + 4 * (place / 16) + place % 4) * N + channel;
            let from = if step > 0 && byte / BLOCK == step {
                BLOCK + byte % BLOCK
            } else if step <= 1 {
                byte % BLOCK
            } else {
                place
            };
            #[expect(clippy::cast_possible_truncation, reason = "under 128")]
            let narrow = from as u8;
            orders[channel][step][place] = narrow;
            at += 1;
        }
        orders
    };
}
