//! The transform with a line a register: the compiler does not find the shuffles.

use std::arch::x86_64::{
    __m256, __m256i, _mm_cvtsi64_si128, _mm256_add_ps, _mm256_cmpeq_epi16, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi32,
    _mm256_cvtps_epi32, _mm256_max_ps, _mm256_min_ps, _mm256_movemask_epi8, _mm256_mul_ps, _mm256_packs_epi16,
    _mm256_packs_epi32, _mm256_permute2f128_ps, _mm256_permute4x64_epi64, _mm256_set_ps, _mm256_set1_ps,
    _mm256_setzero_si256, _mm256_shuffle_ps, _mm256_sub_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
};

use super::{Coefficients, Factors, HALF_ROOT, LARGEST, LOWER, MIDDLE, SIXTH, Square, UPPER};

type Lines = [__m256; 8];

/// [`super::quantised`] for AVX2.
#[inline]
#[target_feature(enable = "avx2")]
pub(in super::super) fn quantised(square: &Square, factors: &Factors) -> (Coefficients, u64) {
    let mut lines: Lines = bytemuck::cast([[0.0_f32; 8]; 8]);
    for (line, row) in lines.iter_mut().zip(square) {
        *line = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(i64::from_le_bytes(*row))));
    }
    let mut lines = transformed(turned(transformed(lines)));
    lines[0] = _mm256_sub_ps(lines[0], _mm256_set_ps(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, MIDDLE));
    let mut whole = [_mm256_setzero_si256(); 8];
    for ((whole, line), factors) in whole.iter_mut().zip(lines).zip(factors.0) {
        let value = _mm256_mul_ps(line, bytemuck::cast(factors));
        let value = _mm256_min_ps(_mm256_max_ps(value, _mm256_set1_ps(-LARGEST)), _mm256_set1_ps(LARGEST));
        // To the nearest, halves to even, as processors are set.
        *whole = _mm256_cvtps_epi32(value);
    }
    let [a, b, c, d, e, f, g, h] = whole;
    let pairs = [packed(a, b), packed(c, d), packed(e, f), packed(g, h)];
    let mask = u64::from(zeros(pairs[0], pairs[1])) | u64::from(zeros(pairs[2], pairs[3])) << 32;
    (bytemuck::cast(pairs), !mask)
}

/// Two lines as one of 16 bits a number.
#[inline]
#[target_feature(enable = "avx2")]
fn packed(first: __m256i, second: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(first, second))
}

/// A bit for each number that is 0.
#[inline]
#[target_feature(enable = "avx2")]
fn zeros(first: __m256i, second: __m256i) -> u32 {
    let zero = _mm256_setzero_si256();
    let bytes = _mm256_packs_epi16(_mm256_cmpeq_epi16(first, zero), _mm256_cmpeq_epi16(second, zero));
    _mm256_movemask_epi8(_mm256_permute4x64_epi64::<0b11_01_10_00>(bytes)).cast_unsigned()
}

/// [`super::column_of`] for eight columns.
#[inline]
#[target_feature(enable = "avx2")]
fn transformed([a, b, c, d, e, f, g, h]: Lines) -> Lines {
    let (s0, s1, s2, s3) = (_mm256_add_ps(a, h), _mm256_add_ps(b, g), _mm256_add_ps(c, f), _mm256_add_ps(d, e));
    let (d0, d1, d2, d3) = (_mm256_sub_ps(a, h), _mm256_sub_ps(b, g), _mm256_sub_ps(c, f), _mm256_sub_ps(d, e));
    let (even, inner) = (_mm256_add_ps(s0, s3), _mm256_add_ps(s1, s2));
    let (outer, between) = (_mm256_sub_ps(s0, s3), _mm256_sub_ps(s1, s2));
    let turn = _mm256_mul_ps(_mm256_add_ps(between, outer), _mm256_set1_ps(HALF_ROOT));
    let (low, mid, high) = (_mm256_add_ps(d3, d2), _mm256_add_ps(d2, d1), _mm256_add_ps(d1, d0));
    let shared = _mm256_mul_ps(_mm256_sub_ps(low, high), _mm256_set1_ps(SIXTH));
    let low = _mm256_add_ps(_mm256_mul_ps(low, _mm256_set1_ps(LOWER)), shared);
    let high = _mm256_add_ps(_mm256_mul_ps(high, _mm256_set1_ps(UPPER)), shared);
    let mid = _mm256_mul_ps(mid, _mm256_set1_ps(HALF_ROOT));
    let (plus, minus) = (_mm256_add_ps(d0, mid), _mm256_sub_ps(d0, mid));
    [
        _mm256_add_ps(even, inner),
        _mm256_add_ps(plus, high),
        _mm256_add_ps(outer, turn),
        _mm256_sub_ps(minus, low),
        _mm256_sub_ps(even, inner),
        _mm256_add_ps(minus, low),
        _mm256_sub_ps(outer, turn),
        _mm256_sub_ps(plus, high),
    ]
}

/// The lines with columns for rows: pairs are zipped, pairs of pairs joined, and halves swapped.
#[inline]
#[target_feature(enable = "avx2")]
fn turned([a, b, c, d, e, f, g, h]: Lines) -> Lines {
    let (low, next) = (quarter_turned(a, b, c, d), quarter_turned(e, f, g, h));
    [
        _mm256_permute2f128_ps::<0x20>(low[0], next[0]),
        _mm256_permute2f128_ps::<0x20>(low[1], next[1]),
        _mm256_permute2f128_ps::<0x20>(low[2], next[2]),
        _mm256_permute2f128_ps::<0x20>(low[3], next[3]),
        _mm256_permute2f128_ps::<0x31>(low[0], next[0]),
        _mm256_permute2f128_ps::<0x31>(low[1], next[1]),
        _mm256_permute2f128_ps::<0x31>(low[2], next[2]),
        _mm256_permute2f128_ps::<0x31>(low[3], next[3]),
    ]
}

/// Of four lines: in place `i` column `i` in the lower half, and column `4 + i` in the upper.
#[inline]
#[target_feature(enable = "avx2")]
fn quarter_turned(a: __m256, b: __m256, c: __m256, d: __m256) -> [__m256; 4] {
    let (upper, lower) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let (next_upper, next_lower) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    [
        _mm256_shuffle_ps::<0x44>(upper, next_upper),
        _mm256_shuffle_ps::<0xEE>(upper, next_upper),
        _mm256_shuffle_ps::<0x44>(lower, next_lower),
        _mm256_shuffle_ps::<0xEE>(lower, next_lower),
    ]
}
