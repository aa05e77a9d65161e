//! A plane of samples that blocks are put into.

use super::Declined;
use crate::codec::budget::Budget;

/// Rows of 8-bit samples from the top, without padding.
pub(super) struct Plane {
    width: usize,
    samples: Vec<u8>,
}

/// Rows of samples of what a block became.
pub(super) type Samples<const W: usize, const H: usize> = [[u8; W]; H];

impl Plane {
    /// Zeros. The caller has checked the size against the budget.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, samples: vec![0; width * height] }
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.samples.capacity()
    }

    /// The samples, for whoever goes on to own them.
    pub(super) fn into_samples(self) -> Vec<u8> {
        self.samples
    }

    /// Puts a block in this column and row of blocks; what lies outside of the plane is dropped.
    #[inline(always)]
    pub(super) fn put<const W: usize, const H: usize>(
        &mut self,
        (column, row): (usize, usize),
        samples: &Samples<W, H>,
    ) {
        let (x, mut start) = (W * column, H * row * self.width);
        for row in samples {
            let Some(target) = self.samples.get_mut(start..start + self.width) else { return };
            start += self.width;
            let target = target.get_mut(x..).unwrap_or_default();
            if let Some(whole) = target.first_chunk_mut() {
                *whole = *row;
            } else {
                target.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
            }
        }
    }

    /// Puts a block of one value.
    #[inline(always)]
    pub(super) fn fill<const W: usize, const H: usize>(&mut self, at: (usize, usize), value: u8) {
        self.put(at, &[[value; W]; H]);
    }

    /// Puts the first so many columns and rows of a block, in a plane whose blocks are of that shape.
    pub(super) fn put_part(
        &mut self,
        (column, row): (usize, usize),
        (across, down): (usize, usize),
        samples: &Samples<8, 8>,
    ) {
        let (x, mut start) = (across * column, down * row * self.width);
        for row in samples.iter().take(down) {
            let Some(target) = self.samples.get_mut(start..start + self.width) else { return };
            start += self.width;
            let target = target.get_mut(x..).unwrap_or_default();
            target.iter_mut().zip(row).take(across).for_each(|(to, from)| *to = *from);
        }
    }

    /// Each sample as a rectangle of so many, interpolated linearly with what lies in the middle of them, cut to this size.
    ///
    /// # Errors
    /// [`Declined::TimedOut`].
    pub(super) fn stretched(
        &self,
        by: (usize, usize),
        (width, height): (usize, usize),
        budget: &Budget,
    ) -> Result<Self, Declined> {
        let mut stretched = Self::new(width, height);
        let rows = self.samples.len() / self.width.max(1);
        let columns: Vec<_> = (0..width).map(|x| between(x, by.0, self.width)).collect();
        let weight = 4 * by.0 * by.1;
        for (to, y) in stretched.samples.chunks_exact_mut(width.max(1)).zip(0..) {
            budget.check_deadline().map_err(|_late| Declined::TimedOut)?;
            let (upper, lower, down) = between(y, by.1, rows);
            let row = |at: usize| self.samples.get(at * self.width..(at + 1) * self.width).unwrap_or_default();
            let (above, below) = (row(upper), row(lower));
            let mixed = |x: usize| {
                let of = |row: &[u8]| row.get(x).copied().map_or(0, usize::from);
                of(above) * (2 * by.1 - down) + of(below) * down
            };
            for (to, &(left, right, across)) in to.iter_mut().zip(&columns) {
                let sum = mixed(left) * (2 * by.0 - across) + mixed(right) * across;
                *to = u8::try_from((sum + weight / 2) / weight).unwrap_or(255);
            }
        }
        Ok(stretched)
    }
}

/// The two of `len` samples that place `at` of a line stretched `by` so much lies between, and the weight of the second of `2 * by`.
/// Ends repeat.
fn between(at: usize, by: usize, len: usize) -> (usize, usize, usize) {
    // A place before the first one is taken for one sample on, so that nothing is below 0.
    let place = 2 * at + 1 + by;
    let (after, weight) = (place / (2 * by), place % (2 * by));
    let last = len.saturating_sub(1);
    (after.saturating_sub(1).min(last), after.min(last), weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretched_lines_lie_in_the_middle() {
        let plane = Plane { width: 2, samples: vec![0, 120, 0, 120] };
        let rows = |by, width, height| plane.stretched(by, (width, height), &Budget::default()).ok().unwrap().samples;
        assert_eq!(rows((2, 1), 4, 2), [0, 30, 90, 120, 0, 30, 90, 120]);
        assert_eq!(rows((3, 1), 5, 1), [0, 0, 40, 80, 120]);
        assert_eq!(rows((1, 4), 2, 7), [0, 120].repeat(7));
        let steps = Plane { width: 1, samples: vec![10, 50] };
        let columns = steps.stretched((1, 4), (1, 8), &Budget::default()).ok().unwrap().samples;
        assert_eq!(columns, [10, 10, 15, 25, 35, 45, 50, 50]);
    }
}
