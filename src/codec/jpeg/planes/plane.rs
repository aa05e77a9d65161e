//! A plane of samples that blocks are put into.

/// Rows of 8-bit samples from the top, without padding.
pub(super) struct Plane {
    width: usize,
    samples: Vec<u8>,
}

/// Rows of samples of what a block became, `N` on a side.
pub(super) type Samples<const N: usize> = [[u8; N]; N];

impl Plane {
    /// Zeros. The caller has checked the size against the budget.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, samples: vec![0; width * height] }
    }

    /// The samples, for whoever goes on to own them.
    pub(super) fn into_samples(self) -> Vec<u8> {
        self.samples
    }

    /// Puts a block in this column and row of blocks; what lies outside of the plane is dropped.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, (column, row): (usize, usize), samples: &Samples<N>) {
        let (x, mut start) = (N * column, N * row * self.width);
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
    pub(super) fn fill<const N: usize>(&mut self, at: (usize, usize), value: u8) {
        self.put(at, &[[value; N]; N]);
    }
}
