//! A block of [`super::add`] in the instruction that multiplies pairs and adds the two products, which the compiler does not
//! find.

use std::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi32, _mm256_madd_epi16, _mm256_set1_epi32, _mm512_add_epi32, _mm512_madd_epi16,
    _mm512_set1_epi32,
};

use super::{GROUP, Pair, TILE};

/// [`super::added`] for AVX-512.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn added_avx512<const G: usize>(
    rows: &[[Pair; TILE]],
    weights: &[[Pair; GROUP]],
    at: usize,
    block: [[i32; 16]; G],
) -> [[i32; 16]; G] {
    let mut block: [__m512i; G] = block.map(bytemuck::cast);
    for (row, weights) in rows.iter().zip(weights) {
        let pairs: __m512i = bytemuck::cast(row.as_chunks::<16>().0[at]);
        for (sums, weights) in block.iter_mut().zip(weights) {
            let weights = _mm512_set1_epi32(bytemuck::cast(*weights));
            *sums = _mm512_add_epi32(*sums, _mm512_madd_epi16(pairs, weights));
        }
    }
    block.map(bytemuck::cast)
}

/// [`super::added`] for AVX2.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn added_avx2<const G: usize>(
    rows: &[[Pair; TILE]],
    weights: &[[Pair; GROUP]],
    at: usize,
    block: [[i32; 16]; G],
) -> [[i32; 16]; G] {
    let mut block: [[__m256i; 2]; G] = block.map(bytemuck::cast);
    for (row, weights) in rows.iter().zip(weights) {
        let pairs: [__m256i; 2] = bytemuck::cast(row.as_chunks::<16>().0[at]);
        for (sums, weights) in block.iter_mut().zip(weights) {
            let weights = _mm256_set1_epi32(bytemuck::cast(*weights));
            for (sums, pairs) in sums.iter_mut().zip(pairs) {
                *sums = _mm256_add_epi32(*sums, _mm256_madd_epi16(pairs, weights));
            }
        }
    }
    block.map(bytemuck::cast)
}
