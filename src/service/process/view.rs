//! What is seen of a picture while it is cropped and turned, and so what is to be kept of it where something has to go.

use crate::{
    domain::{Gravity, Saliency},
    pixels::{Anchor, Op, Orientation, Rect, Size},
};

/// What is there to see of a picture after some steps.
pub(super) struct View {
    /// The size by now, in pixels.
    pub(super) size: Size,
    /// What is left of the whole picture, as parts of its sides, before it is turned: the first and the end, across and down.
    left: [[f64; 2]; 2],
    orientation: Orientation,
    /// Where the eye goes in the whole picture, row by row.
    cells: Vec<Vec<u8>>,
}

impl View {
    /// All of an upright picture.
    pub(super) fn new(whole: Size, saliency: Option<&Saliency>) -> Self {
        let cells = saliency.map(Saliency::rows).unwrap_or_default();
        Self { size: whole, left: [[0.0, 1.0]; 2], orientation: Orientation::UPRIGHT, cells }
    }

    /// Goes on to what there is to see after `op`.
    pub(super) fn follow(&mut self, op: Op) {
        match op {
            Op::Orient(next) => {
                self.orientation = self.orientation.then(next);
                self.size = next.size(self.size);
            }
            Op::Crop(rect) => self.keep(rect, self.size),
            Op::CropAspect { aspect, at } => self.keep(at.part(self.size, self.size.aspect(aspect)), self.size),
            Op::Resize { to, .. } => {
                let (resized, kept) = to.of(self.size);
                self.keep(kept, resized);
            }
            Op::Blur { .. } | Op::Sharpen { .. } | Op::Colour(_) => {}
        }
    }

    /// Only `kept` is left of what is `size` by now.
    fn keep(&mut self, kept: Rect, size: Size) {
        let part = |from: u32, length: u32, whole: u32| {
            [f64::from(from), f64::from(from) + f64::from(length)].map(|at| at / f64::from(whole.max(1)))
        };
        let parts = [part(kept.x, kept.size.width, size.width), part(kept.y, kept.size.height, size.height)];
        for (axis, part) in parts.into_iter().enumerate() {
            let (stored, mirrored) = self.stored(axis);
            let [from, to] = if mirrored { [1.0 - part[1], 1.0 - part[0]] } else { part };
            let [first, end] = self.left[stored];
            self.left[stored] = [from, to].map(|at| first + at * (end - first));
        }
        self.size = kept.size;
    }

    /// The axis of the whole picture that an axis of what is seen lies along (0: across), and whether it is seen from its end.
    const fn stored(&self, axis: usize) -> (usize, bool) {
        let stored = if self.orientation.swap { 1 - axis } else { axis };
        (stored, if stored == 0 { self.orientation.mirror_x } else { self.orientation.mirror_y })
    }

    /// Where the part of this size lies in what is `whole` by now.
    pub(super) fn anchor(&self, gravity: Gravity, whole: Size, kept: Size) -> Anchor {
        const MIDDLE: u32 = Anchor::END / 2;
        let at = |x, y| Anchor { x, y };
        match gravity {
            Gravity::Center => Anchor::CENTRE,
            Gravity::North => at(MIDDLE, 0),
            Gravity::NorthEast => at(Anchor::END, 0),
            Gravity::East => at(Anchor::END, MIDDLE),
            Gravity::SouthEast => at(Anchor::END, Anchor::END),
            Gravity::South => at(MIDDLE, Anchor::END),
            Gravity::SouthWest => at(0, Anchor::END),
            Gravity::West => at(0, MIDDLE),
            Gravity::NorthWest => at(0, 0),
            Gravity::Smart => at(
                self.busiest(0, f64::from(kept.width) / f64::from(whole.width.max(1))),
                self.busiest(1, f64::from(kept.height) / f64::from(whole.height.max(1))),
            ),
        }
    }

    /// Where the window of this part of the side lies that has most to see, along an axis of what is seen; of several as good the one
    /// next to the middle.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and END")]
    fn busiest(&self, axis: usize, part: f64) -> u32 {
        /// How many places are tried.
        const PLACES: u32 = 64;
        if part >= 1.0 || self.cells.is_empty() {
            return Anchor::END / 2;
        }
        let (stored, mirrored) = self.stored(axis);
        let line = self.line(stored);
        let [first, end] = self.left[stored];
        let mut best = (f64::NEG_INFINITY, 0.5);
        for place in 0..=PLACES {
            let at = f64::from(place) / f64::from(PLACES);
            let from = at * (1.0 - part);
            let window = [from, from + part].map(|at| first + at * (end - first));
            let seen = line.between(window);
            // Less than a thousandth is no reason to leave the middle, and where there is nothing none is.
            let from_middle = (at - 0.5).abs();
            let worth = seen - (1e-3 * line.all + 1e-6) * from_middle;
            if worth > best.0 {
                best = (worth, at);
            }
        }
        let at = if mirrored { 1.0 - best.1 } else { best.1 };
        (at * f64::from(Anchor::END)).round() as u32
    }

    /// How much there is to see along an axis of the whole picture, in what is left of it across that axis.
    fn line(&self, axis: usize) -> Line {
        let [first, end] = self.left[1 - axis];
        let rows = self.cells.len();
        let columns = self.cells.first().map_or(0, Vec::len);
        let (along, across) = if axis == 0 { (columns, rows) } else { (rows, columns) };
        let cell = |along: usize, across: usize| {
            let (row, column) = if axis == 0 { (across, along) } else { (along, across) };
            f64::from(self.cells.get(row).and_then(|row| row.get(column)).copied().unwrap_or(0))
        };
        let sums: Vec<f64> = (0..along)
            .map(|at| (0..across).map(|other| cell(at, other) * overlap(other, across, first, end)).sum())
            .collect();
        let all = sums.iter().sum();
        Line { sums, all }
    }
}

/// How much of the cell `at` of `count` along a side lies between two parts of the side: 0 to 1.
fn overlap(at: usize, count: usize, from: f64, to: f64) -> f64 {
    // A grid has a few cells.
    let [at, count] = [at, count].map(|number| f64::from(u32::try_from(number).unwrap_or(u32::MAX)));
    ((to * count).min(at + 1.0) - (from * count).max(at)).max(0.0)
}

/// How much there is to see in each piece of a side.
struct Line {
    sums: Vec<f64>,
    all: f64,
}

impl Line {
    /// How much there is between two parts of the side.
    fn between(&self, [from, to]: [f64; 2]) -> f64 {
        let count = self.sums.len();
        self.sums.iter().enumerate().map(|(at, sum)| sum * overlap(at, count, from, to)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::{ResizeFilter, Target};

    /// A picture of 400 by 300 with one thing to see, in the cell of this column and row of 4 by 3.
    fn view(column: usize, row: usize) -> View {
        let mut cells = [0; 12];
        cells[4 * row + column] = 255;
        View::new(Size::new(400, 300), Some(&Saliency::new(4, &cells)))
    }

    /// The part that a smart crop to this aspect keeps.
    fn kept(view: &View, aspect: Size) -> Rect {
        let kept = view.size.aspect(aspect);
        view.anchor(Gravity::Smart, view.size, kept).part(view.size, kept)
    }

    #[test]
    fn what_is_to_be_seen_is_kept() {
        let narrow = Size::new(1, 3);
        for (column, least) in [(0, 0), (1, 100), (2, 200), (3, 300)] {
            let part = kept(&view(column, 1), narrow);
            // The places that are tried are some pixels apart.
            assert!(part.x.abs_diff(least) <= 5, "{column}: {part:?}");
        }
        let flat = Size::new(4, 1);
        for (row, least) in [(0, 0), (1, 100), (2, 200)] {
            let part = kept(&view(2, row), flat);
            assert!(part.y.abs_diff(least) <= 5, "{row}: {part:?}");
        }
    }

    #[test]
    fn nothing_to_see_is_the_middle() {
        let blank = View::new(Size::new(400, 300), Some(&Saliency::new(4, &[0; 12])));
        let even = View::new(Size::new(400, 300), Some(&Saliency::new(4, &[9; 12])));
        let unknown = View::new(Size::new(400, 300), None);
        for view in [blank, even, unknown] {
            assert_eq!(kept(&view, Size::new(1, 1)), Rect { x: 50, y: 0, size: Size::new(300, 300) });
        }
    }

    #[test]
    fn it_is_found_where_it_went() {
        // Turned clockwise, the first column is the first row, and the first row the last column.
        let mut turned = view(0, 1);
        turned.follow(Op::Orient(Orientation::ROTATE_90));
        assert_eq!(turned.size, Size::new(300, 400));
        assert_eq!(kept(&turned, Size::new(3, 1)).y, 0);
        let mut top = view(1, 0);
        top.follow(Op::Orient(Orientation::ROTATE_90));
        let part = kept(&top, Size::new(1, 4));
        assert_eq!(part.x + part.size.width, 300);
        let mut mirrored = view(0, 1);
        mirrored.follow(Op::Orient(Orientation::FLIP_HORIZONTAL));
        assert_eq!(kept(&mirrored, Size::new(1, 3)).x, 300);
        // Cropped to the right half and reduced, the third column is the first.
        let mut cropped = view(2, 1);
        cropped.follow(Op::Crop(Rect { x: 200, y: 0, size: Size::new(200, 300) }));
        cropped.follow(Op::Resize { to: Target::Fit(Size::new(100, 150)), filter: ResizeFilter::Lanczos3 });
        assert_eq!(cropped.size, Size::new(100, 150));
        assert!(kept(&cropped, Size::new(1, 3)).x <= 1);
        // And of what is turned before it is cropped, the same.
        let mut both = view(2, 1);
        both.follow(Op::Orient(Orientation::ROTATE_90));
        both.follow(Op::Crop(Rect { x: 0, y: 200, size: Size::new(300, 200) }));
        assert!(kept(&both, Size::new(3, 1)).y <= 1);
    }
}
