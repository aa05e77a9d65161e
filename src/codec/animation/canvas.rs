//! What frames are painted on: RGBA, straight alpha, transparent at first.

use crate::codec::error::CodecError;
use crate::codec::raster::Raster;

/// A part of a canvas, in pixels. It may reach past the edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::codec) struct Area {
    pub(in crate::codec) x: usize,
    pub(in crate::codec) y: usize,
    pub(in crate::codec) width: usize,
    pub(in crate::codec) height: usize,
}

/// What becomes of a frame before the next one is painted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::codec) enum Disposal {
    /// It stays.
    #[default]
    Keep,
    /// Its area becomes transparent.
    Clear,
    /// The canvas becomes what it was before it.
    Restore,
}

/// A canvas and how to dispose of the last frame.
#[derive(Debug)]
pub(in crate::codec) struct Canvas {
    raster: Raster,
    /// Of the last frame.
    disposal: (Disposal, Area),
    /// What to restore.
    before: Vec<u8>,
}

impl Canvas {
    /// An empty canvas. The caller has checked the size against the budget.
    ///
    /// # Errors
    /// [`CodecError::TooMuchMemory`].
    pub(in crate::codec) fn new(width: u32, height: u32) -> Result<Self, CodecError> {
        Ok(Self { raster: Raster::zeroed(width, height, 4)?, disposal: Default::default(), before: Vec::new() })
    }

    /// Disposes of the frame before, and calls `paint` for each row of `area` that is on the canvas: with its number in the area
    /// and the pixels of the canvas from the area's first column on, at most as many as the area has.
    pub(in crate::codec) fn frame(
        &mut self,
        area: Area,
        disposal: Disposal,
        mut paint: impl FnMut(usize, &mut [[u8; 4]]),
    ) {
        match self.disposal {
            (Disposal::Keep, _) => {}
            (Disposal::Clear, last) => self.rows(last, |_, pixels| pixels.fill([0; 4])),
            (Disposal::Restore, _) => self.raster.data.copy_from_slice(&self.before),
        }
        self.disposal = (disposal, area);
        if disposal == Disposal::Restore {
            self.before.clone_from(&self.raster.data);
        }
        self.rows(area, |at, pixels| paint(at, pixels));
    }

    fn rows(&mut self, area: Area, mut each: impl FnMut(usize, &mut [[u8; 4]])) {
        let (pixels, _) = self.raster.data.as_chunks_mut::<4>();
        let rows = pixels.chunks_exact_mut(self.raster.width as usize);
        for (row, at) in rows.skip(area.y).take(area.height).zip(0..) {
            let end = row.len().min(area.x + area.width);
            each(at, row.get_mut(area.x..end).unwrap_or_default());
        }
    }

    /// A copy of what is to be seen now.
    pub(in crate::codec) fn seen(&self) -> Raster {
        let Raster { width, height, channels, ref data } = self.raster;
        Raster { width, height, channels, data: data.clone() }
    }
}

/// Lays a pixel of straight alpha over another: `a = s + d (1 - s)`, each colour weighed by its share of `a`. In integers, rounded
/// once.
pub(in crate::codec) fn over(source: [u8; 4], under: [u8; 4]) -> [u8; 4] {
    let (top, below) = (u32::from(source[3]), u32::from(under[3]));
    if top == 255 || below == 0 {
        return source;
    }
    // Both weights and their sum in 255ths of 255ths.
    let (share, rest) = (top * 255, below * (255 - top));
    let all = share + rest;
    if all == 0 {
        return [0; 4];
    }
    let byte = |value: u32| u8::try_from(value).unwrap_or(255);
    let mix = |at: usize| {
        let one = |pixel: [u8; 4]| pixel.get(at).copied().map_or(0, u32::from);
        byte((one(source) * share + one(under) * rest + all / 2) / all)
    };
    [mix(0), mix(1), mix(2), byte((all + 127) / 255)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(x: usize, y: usize, width: usize, height: usize) -> Area {
        Area { x, y, width, height }
    }

    fn filled(canvas: &mut Canvas, part: Area, disposal: Disposal, value: u8) -> Vec<u8> {
        canvas.frame(part, disposal, |_, pixels| pixels.fill([value; 4]));
        canvas.seen().data.chunks_exact(4).map(|pixel| pixel[0]).collect()
    }

    #[test]
    fn frames_are_disposed_of_as_they_say() {
        let mut canvas = Canvas::new(3, 1).unwrap();
        assert_eq!(filled(&mut canvas, area(0, 0, 3, 1), Disposal::Keep, 1), [1, 1, 1]);
        assert_eq!(filled(&mut canvas, area(1, 0, 1, 1), Disposal::Restore, 2), [1, 2, 1]);
        assert_eq!(filled(&mut canvas, area(2, 0, 1, 1), Disposal::Clear, 3), [1, 1, 3]);
        assert_eq!(filled(&mut canvas, area(0, 0, 1, 1), Disposal::Keep, 4), [4, 1, 0]);
        assert_eq!(filled(&mut canvas, area(2, 0, 9, 9), Disposal::Keep, 5), [4, 1, 5], "past the edges");
        assert_eq!(filled(&mut canvas, area(7, 7, 2, 2), Disposal::Clear, 6), [4, 1, 5]);
    }

    #[test]
    fn over_is_the_formula() {
        assert_eq!(over([9, 8, 7, 255], [1, 2, 3, 255]), [9, 8, 7, 255]);
        assert_eq!(over([9, 8, 7, 40], [1, 2, 3, 0]), [9, 8, 7, 40]);
        assert_eq!(over([0, 0, 0, 0], [1, 2, 3, 77]), [1, 2, 3, 77]);
        for (s, d) in [(128_u8, 255_u8), (1, 1), (200, 3), (77, 99)] {
            let [r, _, _, a] = over([250, 0, 0, s], [10, 0, 0, d]);
            let (sa, da) = (f64::from(s) / 255.0, f64::from(d) / 255.0);
            let alpha = sa + da * (1.0 - sa);
            let red = (250.0 * sa + 10.0 * da * (1.0 - sa)) / alpha;
            assert!((f64::from(a) - alpha * 255.0).abs() <= 0.5 && (f64::from(r) - red).abs() <= 0.5, "{s} {d}");
        }
    }
}
