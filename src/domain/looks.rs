//! What a picture looks like, in few bytes: placeholders, colours, and where the eye goes.

use serde::{Deserialize, Serialize};

/// What a picture looks like, of its first frame, upright. Under 1 KB as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    /// A BlurHash of it: 4 by 3 components where it is wider than high, 3 by 4 where it is higher. Alpha is laid on white.
    pub blurhash: String,
    /// A ThumbHash of it, with its alpha, in Base64.
    pub thumbhash: String,
    /// The colour that most of it is like: red, green and blue, sRGB-encoded.
    pub dominant: [u8; 3],
    /// Up to [`Looks::COLOURS`] colours that it is made of, the most frequent first.
    pub palette: Vec<[u8; 3]>,
    /// Whether nothing can be seen through it.
    pub opaque: bool,
    /// Where the eye goes.
    pub saliency: Saliency,
}

impl Looks {
    /// The most colours of a palette.
    pub const COLOURS: usize = 6;
}

/// How much there is to see in each cell of a grid over a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saliency {
    /// Cells of a row, 1 to [`Saliency::SIDE`].
    pub columns: u8,
    /// Rows of the cells, row after row, as two hexadecimal digits each: 255 is the most.
    pub cells: String,
}

impl Saliency {
    /// The most cells along a side.
    pub const SIDE: u8 = 12;

    /// Of cells, row after row.
    #[must_use]
    pub fn new(columns: u8, cells: &[u8]) -> Self {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(2 * cells.len());
        for cell in cells {
            // Nothing fails that is written to memory.
            let _written = write!(text, "{cell:02x}");
        }
        Self { columns, cells: text }
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<u8>> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
        let (pairs, _) = self.cells.as_bytes().as_chunks::<2>();
        let cells: Vec<u8> = pairs.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect();
        cells.chunks(usize::from(self.columns.max(1))).map(<[u8]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_read_back_and_fit_a_record() {
        let cells: Vec<u8> = (0..=143).map(|cell: u8| cell.wrapping_mul(37)).collect();
        let saliency = Saliency::new(12, &cells);
        assert_eq!(saliency.rows().concat(), cells);
        assert!(saliency.rows().iter().all(|row| row.len() == 12));
        let looks = Looks {
            blurhash: "x".repeat(28),
            thumbhash: "x".repeat(36),
            dominant: [255; 3],
            palette: vec![[255; 3]; Looks::COLOURS],
            opaque: false,
            saliency,
        };
        assert!(serde_json::to_vec(&looks).unwrap().len() < 700);
        let odd = Saliency { columns: 0, cells: "zzé".to_owned() };
        assert_eq!(odd.rows().len(), 2, "damage is no panic");
    }
}
