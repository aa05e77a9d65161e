//! Planes of rows laid on their side and stood up again, eight by eight.

use multiversion::target::match_target;

use super::row::Light;

/// Rows that lie side by side.
pub const ROWS: usize = 8;

/// Samples of a side of what is turned at once.
const SIDE: usize = ROWS;

type Square = [[f32; SIDE]; SIDE];

/// `columns[x][r] = rows[r][start + x]`, as light, for at most [`ROWS`] rows; 0 where there is no row. The columns are
/// a multiple of 8, and rows go on for that long.
#[multiversion::multiversion(targets("x86_64+avx2"))]
pub fn lay<T: Light>(rows: &[&[T]], start: usize, columns: &mut [[f32; ROWS]]) {
    for (columns, at) in columns.as_chunks_mut::<SIDE>().0.iter_mut().zip((start..).step_by(SIDE)) {
        let mut square = [[0.0; SIDE]; SIDE];
        for (line, row) in square.iter_mut().zip(rows) {
            let samples = row.get(at..).and_then(<[T]>::first_chunk::<SIDE>).copied().unwrap_or_default();
            line.iter_mut().zip(samples).for_each(|(line, sample)| *line = sample.light());
        }
        let square = match_target! {
            "x86_64+avx2" => avx2::turned(square),
            _ => turned(square),
        };
        for (column, line) in columns.iter_mut().zip(square) {
            *column = line;
        }
    }
}

/// `rows[r][start + x] = columns[x][r]`, for at most [`ROWS`] rows. The columns are a multiple of 8, and rows go on for
/// that long.
#[multiversion::multiversion(targets("x86_64+avx2"))]
pub fn stand(columns: &[[f32; ROWS]], rows: &mut [&mut [f32]], start: usize) {
    for (columns, at) in columns.as_chunks::<SIDE>().0.iter().zip((start..).step_by(SIDE)) {
        let mut square = [[0.0; SIDE]; SIDE];
        for (line, column) in square.iter_mut().zip(columns) {
            *line = *column;
        }
        let square = match_target! {
            "x86_64+avx2" => avx2::turned(square),
            _ => turned(square),
        };
        for (row, line) in rows.iter_mut().zip(square) {
            if let Some(samples) = row.get_mut(at..).and_then(<[f32]>::first_chunk_mut) {
                *samples = line;
            }
        }
    }
}

/// The square with rows for columns.
#[cfg_attr(target_feature = "avx2", expect(dead_code, reason = "for other processors"))]
#[inline(always)]
fn turned(square: Square) -> Square {
    let mut turned = [[0.0; SIDE]; SIDE];
    for (row, x) in square.iter().zip(0..SIDE) {
        for (sample, column) in row.iter().zip(&mut turned) {
            column[x] = *sample;
        }
    }
    turned
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, _mm256_permute2f128_ps, _mm256_shuffle_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };

    use super::Square;

    /// The same in 24 shuffles, three times as fast: pairs of rows are zipped, pairs of pairs joined, and halves
    /// swapped.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn turned(square: Square) -> Square {
        let [a, b, c, d, e, f, g, h]: [__m256; 8] = bytemuck::cast(square);
        let (low, next) = (quarter_turned(a, b, c, d), quarter_turned(e, f, g, h));
        bytemuck::cast([
            _mm256_permute2f128_ps::<0x20>(low[0], next[0]),
            _mm256_permute2f128_ps::<0x20>(low[1], next[1]),
            _mm256_permute2f128_ps::<0x20>(low[2], next[2]),
            _mm256_permute2f128_ps::<0x20>(low[3], next[3]),
            _mm256_permute2f128_ps::<0x31>(low[0], next[0]),
            _mm256_permute2f128_ps::<0x31>(low[1], next[1]),
            _mm256_permute2f128_ps::<0x31>(low[2], next[2]),
            _mm256_permute2f128_ps::<0x31>(low[3], next[3]),
        ])
    }

    /// Of four rows: in place `i` column `i` in the lower half, and column `4 + i` in the upper.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn quarter_turned(a: __m256, b: __m256, c: __m256, d: __m256) -> [__m256; 4] {
        let (upper, lower) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (upper_next, lower_next) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        [
            _mm256_shuffle_ps::<0x44>(upper, upper_next),
            _mm256_shuffle_ps::<0xee>(upper, upper_next),
            _mm256_shuffle_ps::<0x44>(lower, lower_next),
            _mm256_shuffle_ps::<0xee>(lower, lower_next),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lie_and_stand_where_they_should() {
        let (width, start, len) = (24, 3, 40);
        for count in [1, 7, 8] {
            let place = |row: usize, x: usize| f32::from(u16::try_from(row * 100 + x).unwrap());
            let data: Vec<Vec<f32>> = (0..count).map(|row| (0..len).map(|x| place(row, x)).collect()).collect();
            let rows: Vec<&[f32]> = data.iter().map(Vec::as_slice).collect();
            let mut columns = vec![[9.0; ROWS]; width];
            lay(&rows, start, &mut columns);
            for (x, column) in columns.iter().enumerate() {
                for (row, &got) in column.iter().enumerate() {
                    assert_eq!(got, if row < count { place(row, start + x) } else { 0.0 }, "row {row}, column {x}");
                }
            }
            let mut stood = vec![-1.0; count * len];
            stand(&columns, &mut stood.chunks_exact_mut(len).collect::<Vec<_>>(), start);
            for (row, got) in stood.chunks_exact(len).enumerate() {
                for (x, &got) in got.iter().enumerate() {
                    let inside = (start..start + width).contains(&x);
                    assert_eq!(got, if inside { place(row, x) } else { -1.0 }, "row {row}, column {x}");
                }
            }
        }
    }
}
