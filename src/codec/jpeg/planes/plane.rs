//! A plane of samples that blocks are put into.

/// Rows of 8-bit samples from the top, without padding.
pub(super) struct Plane {
    width: usize,
    samples: Vec<u8>,
}

/// Rows of samples of a block.
pub(super) type Samples = [[u8; 8]; 8];

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
    pub(super) fn put(&mut self, (column, row): (usize, usize), samples: &Samples) {
        let (x, y) = (8 * column, 8 * row);
        let rows = self.samples.get_mut(y * self.width..).unwrap_or_default().chunks_exact_mut(self.width);
        for (target, row) in rows.zip(samples) {
            let target = target.get_mut(x..).unwrap_or_default();
            if let Some(eight) = target.first_chunk_mut() {
                *eight = *row;
            } else {
                target.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
            }
        }
    }

    /// Puts a block of one value.
    #[inline(always)]
    pub(super) fn fill(&mut self, at: (usize, usize), value: u8) {
        self.put(at, &[[value; 8]; 8]);
    }
}
