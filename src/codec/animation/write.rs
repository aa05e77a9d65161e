//! Frames into a file: of each only what is different from the one before.

mod apng;
mod gif;
mod webp;

use super::{Area, Plays};
use crate::codec::error::CodecError;
use crate::domain::{OutputFormat, Settings};
use crate::pixels::{Layout, Pixmap};

/// A frame as the writers have it: RGBA, straight alpha.
#[derive(Debug)]
struct Picture {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

/// A file that grows frame by frame.
pub(in crate::codec) enum Writer {
    Gif(gif::Writer),
    Webp(webp::Writer),
    Apng(apng::Writer),
}

impl Writer {
    /// A file for `frames` frames, all of the size of `first`, to be shown `plays` times.
    ///
    /// # Errors
    /// [`CodecError::TooLargeForFormat`]; [`CodecError::Encode`], for a format whose pictures stand still too.
    pub(in crate::codec) fn new(
        format: OutputFormat,
        settings: Settings,
        first: &Pixmap,
        plays: Plays,
        frames: u32,
    ) -> Result<Self, CodecError> {
        let (width, height) = (first.width(), first.height());
        match format {
            OutputFormat::Gif => gif::Writer::new(width, height, plays).map(Self::Gif),
            OutputFormat::Webp => webp::Writer::new(width, height, settings, plays).map(Self::Webp),
            OutputFormat::Apng => apng::Writer::new(width, height, settings.effort, plays, frames).map(Self::Apng),
            OutputFormat::Jpg | OutputFormat::Png => {
                let format = crate::codec::encode::name(format);
                Err(CodecError::Encode { format, cause: "it has one picture only".to_owned() })
            }
        }
    }

    /// Adds a frame and how long it is shown.
    ///
    /// # Errors
    /// [`CodecError::Encode`].
    pub(in crate::codec) fn add(&mut self, frame: &Pixmap, delay_millis: u32) -> Result<(), CodecError> {
        let picture = Picture::of(frame);
        match self {
            Self::Gif(writer) => writer.add(picture, delay_millis),
            Self::Webp(writer) => writer.add(picture, delay_millis),
            Self::Apng(writer) => writer.add(picture, delay_millis),
        }
    }

    /// The file.
    ///
    /// # Errors
    /// [`CodecError::Encode`].
    pub(in crate::codec) fn finish(self) -> Result<Vec<u8>, CodecError> {
        match self {
            Self::Gif(writer) => writer.finish(),
            Self::Webp(writer) => writer.finish(),
            Self::Apng(writer) => writer.finish(),
        }
    }
}

impl Picture {
    fn of(frame: &Pixmap) -> Self {
        let data = match frame.layout() {
            Layout::Rgba => frame.data().to_vec(),
            Layout::Rgb => frame.data().as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect(),
            Layout::Luma => frame.data().iter().flat_map(|&grey| [grey, grey, grey, 255]).collect(),
            Layout::LumaAlpha => {
                frame.data().as_chunks::<2>().0.iter().flat_map(|&[grey, alpha]| [grey, grey, grey, alpha]).collect()
            }
        };
        Self { width: frame.width() as usize, height: frame.height() as usize, data }
    }

    const fn whole(&self) -> Area {
        Area { x: 0, y: 0, width: self.width, height: self.height }
    }

    /// The rows of a part of it.
    fn rows(&self, area: Area) -> impl Iterator<Item = &[u8]> {
        let rows = self.data.chunks_exact(self.width * 4).skip(area.y).take(area.height);
        rows.map(move |row| row.get(area.x * 4..(area.x + area.width) * 4).unwrap_or_default())
    }

    /// A part of it.
    fn part(&self, area: Area) -> Vec<u8> {
        self.rows(area).flatten().copied().collect()
    }

    /// The smallest part that holds every pixel which is different in `before`, a picture of the same size; grown to begin at
    /// even columns and rows, and never empty.
    fn changed(&self, before: &Self) -> Area {
        let row = self.width * 4;
        let rows = || self.data.chunks_exact(row).zip(before.data.chunks_exact(row));
        let (mut left, mut right, mut top, mut bottom) = (self.width, 0, self.height, 0);
        for ((now, then), y) in rows().zip(0..) {
            if now == then {
                continue;
            }
            (top, bottom) = (top.min(y), y + 1);
            let pixels = || now.as_chunks::<4>().0.iter().zip(then.as_chunks::<4>().0);
            if let Some(x) = pixels().position(|(now, then)| now != then) {
                left = left.min(x);
            }
            if let Some(x) = pixels().rposition(|(now, then)| now != then) {
                right = right.max(x + 1);
            }
        }
        if bottom == 0 {
            return Area { x: 0, y: 0, width: 1, height: 1 };
        }
        let (x, y) = (left & !1, top & !1);
        Area { x, y, width: right - x, height: bottom - y }
    }
}

fn failure(format: &'static str, cause: impl std::fmt::Display) -> CodecError {
    CodecError::Encode { format, cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_found_to_the_pixel() {
        let black = || Picture { width: 9, height: 7, data: vec![0; 9 * 7 * 4] };
        let mut other = black();
        assert_eq!(other.changed(&black()), Area { x: 0, y: 0, width: 1, height: 1 });
        other.data[(3 * 9 + 5) * 4 + 3] = 1;
        assert_eq!(other.changed(&black()), Area { x: 4, y: 2, width: 2, height: 2 });
        other.data[(6 * 9 + 8) * 4] = 1;
        assert_eq!(other.changed(&black()), Area { x: 4, y: 2, width: 5, height: 5 });
        assert_eq!(other.part(Area { x: 8, y: 6, width: 1, height: 1 }), [1, 0, 0, 0]);
    }
}
