//! One decoded picture, and its way into the result; how one of AV1 is decoded.

use re_rav1d::dav1d::{self, Decoder, Error, PixelLayout, PlanarImageComponent, Settings};

use super::super::error::CodecError;
use super::super::light::{Mapping, byte};
use super::super::metadata::avif::{Coding, Tile};
use super::super::raster::Raster;
use super::NAME;
use super::colour::Weights;

/// A plane as the decoder leaves it.
pub(super) enum Plane {
    /// Rows of so many bytes, samples of one byte or of two in the machine's order.
    Bytes(dav1d::Plane, usize),
    /// Rows of so many samples.
    #[cfg(feature = "heic")]
    Words(Vec<u16>, usize),
}

/// A picture as the decoder leaves it.
pub(super) struct Frame {
    /// Luma; and both chroma planes but for grey.
    pub(super) planes: Vec<Plane>,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) depth: u32,
    /// Chroma has half the columns, and half the rows.
    pub(super) halved: (bool, bool),
}

/// What the samples mean.
pub(super) struct Meaning<'a> {
    pub(super) weights: Weights,
    pub(super) full_range: bool,
    pub(super) premultiplied: bool,
    pub(super) mapping: &'a Mapping,
}

impl Frame {
    /// Decodes a tile that must be of this size, or odd where HEVC has only even ones.
    ///
    /// # Errors
    /// [`CodecError::Damaged`] when the decoder refuses, or its picture is another than the header says.
    pub(super) fn decode(bytes: &[u8], tile: &Tile, size: (u32, u32)) -> Result<Self, CodecError> {
        match &tile.coding {
            Coding::Av1 { operating_point } => Self::av1(tile.av1(bytes)?, tile, *operating_point, size),
            #[cfg(feature = "heic")]
            Coding::Hevc(parameters) => super::hevc::decode(bytes, tile, parameters),
        }
    }

    /// Decodes a tile of AV1. One thread, one frame at a time; holds what the walker has estimated.
    fn av1(data: Vec<u8>, tile: &Tile, operating_point: u32, (width, height): (u32, u32)) -> Result<Self, CodecError> {
        let mut settings = Settings::new();
        settings.set_n_threads(1);
        settings.set_max_frame_delay(1);
        settings.set_all_layers(false);
        settings.set_operating_point(operating_point);
        settings.set_frame_size_limit(width.saturating_mul(height));
        let mut decoder = Decoder::with_settings(&settings).map_err(refusal)?;
        match decoder.send_data(data, None, None, None) {
            Ok(()) | Err(Error::Again) => {}
            Err(error) => return Err(refusal(error)),
        }
        // One file of several layers gives the finest alone. Not one call more than is needed: each leaks 48 bytes.
        let mut idle = 0;
        let picture = loop {
            match decoder.get_picture() {
                Ok(picture) => break picture,
                Err(Error::Again) if idle < 2 => match decoder.send_pending_data() {
                    Ok(()) | Err(Error::Again) => idle += 1,
                    Err(error) => return Err(refusal(error)),
                },
                Err(Error::Again) => return Err(CodecError::truncated(NAME)),
                Err(error) => return Err(refusal(error)),
            }
        };
        let layout = picture.pixel_layout();
        let sequence = &tile.sequence;
        let expected = match (sequence.grey, sequence.halved) {
            (true, _) => PixelLayout::I400,
            (false, (true, true)) => PixelLayout::I420,
            (false, (true, false)) => PixelLayout::I422,
            (false, (false, _)) => PixelLayout::I444,
        };
        let depth = u32::try_from(picture.bit_depth()).unwrap_or(0);
        if (picture.width(), picture.height()) != (width, height) || layout != expected || depth != sequence.depth {
            return Err(CodecError::damaged(NAME, "the picture is not what the header says"));
        }
        let components: &[_] = if sequence.grey {
            &[PlanarImageComponent::Y]
        } else {
            &[PlanarImageComponent::Y, PlanarImageComponent::U, PlanarImageComponent::V]
        };
        let plane = |&plane| Plane::Bytes(picture.plane(plane), picture.stride(plane) as usize);
        let planes = components.iter().map(plane).collect();
        let halved = if sequence.grey { (false, false) } else { sequence.halved };
        Ok(Self { planes, width: width as usize, height: height as usize, depth, halved })
    }

    /// Levels of a row of a plane.
    fn row(&self, plane: usize, y: usize, out: &mut [f32]) {
        let (data, stride) = match self.planes.get(plane) {
            Some(Plane::Bytes(data, stride)) => (data, *stride),
            #[cfg(feature = "heic")]
            Some(Plane::Words(data, stride)) => {
                let row = data.chunks(*stride).nth(y).unwrap_or_default();
                out.iter_mut().zip(row).for_each(|(out, &level)| *out = f32::from(level));
                return;
            }
            None => return,
        };
        let Some(row) = data.chunks(stride).nth(y) else { return };
        if self.depth == 8 {
            out.iter_mut().zip(row).for_each(|(out, &level)| *out = f32::from(level));
        } else {
            let levels = row.as_chunks::<2>().0;
            out.iter_mut().zip(levels).for_each(|(out, &level)| *out = f32::from(u16::from_ne_bytes(level)));
        }
    }

    /// A row of a chroma plane at the size of luma. Samples stand in the middle of those they are for, as other readers take it
    /// whatever the header says; each result is the mean of the nearest two or four, weighted 3 to 1.
    fn chroma_row(&self, plane: usize, y: usize, rows: &mut [Vec<f32>; 2], out: &mut [f32]) {
        let (width, height) = self.chroma_size();
        let [near, far] = rows;
        if self.halved.1 {
            let beside = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(height - 1) };
            self.row(plane, y / 2, near);
            self.row(plane, beside, far);
            near.iter_mut().zip(far.iter()).for_each(|(near, far)| *near = 0.75 * *near + 0.25 * far);
        } else {
            self.row(plane, y, near);
        }
        if !self.halved.0 {
            out.iter_mut().zip(near.iter()).for_each(|(out, near)| *out = *near);
            return;
        }
        let at = |x: usize| near.get(x.min(width - 1)).copied().unwrap_or(0.0);
        for (x, pair) in out.chunks_mut(2).enumerate() {
            let (before, own, after) = (at(x.saturating_sub(1)), at(x), at(x + 1));
            for (out, beside) in pair.iter_mut().zip([before, after]) {
                *out = 0.75 * own + 0.25 * beside;
            }
        }
    }

    const fn chroma_size(&self) -> (usize, usize) {
        let (columns, rows) = self.halved;
        (
            if columns { self.width.div_ceil(2) } else { self.width },
            if rows { self.height.div_ceil(2) } else { self.height },
        )
    }

    /// Puts luma into the last channel of the raster, this frame's corner at (x, y); what lies outside is left out.
    pub(super) fn paint_alpha(&self, raster: &mut Raster, x: u32, y: u32, full_range: bool) {
        let levels = Levels::new(self.depth, full_range);
        let mut luma = vec![0.0; self.width];
        for (row, pixels) in target(raster, x, y).take(self.height).enumerate() {
            self.row(0, row, &mut luma);
            for (pixel, &level) in pixels.zip(&luma) {
                if let Some(alpha) = pixel.last_mut() {
                    *alpha = byte(levels.luma(level));
                }
            }
        }
    }

    /// Puts the colours into the other channels.
    pub(super) fn paint(&self, raster: &mut Raster, (x, y): (u32, u32), meaning: &Meaning<'_>) {
        let levels = Levels::new(self.depth, meaning.full_range);
        let has_alpha = raster.channels.is_multiple_of(2);
        let grey = self.planes.len() == 1;
        let [mut luma, mut blue, mut red] = [0; 3].map(|_| vec![0.0; self.width]);
        let mut rows = [0; 2].map(|_| vec![0.0; self.chroma_size().0]);
        for (row, pixels) in target(raster, x, y).take(self.height).enumerate() {
            self.row(0, row, &mut luma);
            if !grey {
                self.chroma_row(1, row, &mut rows, &mut blue);
                self.chroma_row(2, row, &mut rows, &mut red);
            }
            for (((pixel, &y), &cb), &cr) in pixels.zip(&luma).zip(&blue).zip(&red) {
                let mut rgb = if grey { [levels.luma(y); 3] } else { meaning.weights.rgb(&levels, y, cb, cr) };
                if meaning.premultiplied && has_alpha {
                    let alpha = f32::from(pixel.last().copied().unwrap_or(255)) / 255.0;
                    rgb = rgb.map(|colour| if alpha > 0.0 { (colour / alpha).min(1.0) } else { 0.0 });
                }
                let colour = meaning.mapping.srgb(rgb);
                match pixel {
                    [level] | [level, _] => *level = colour[1],
                    [r, g, b, ..] => [*r, *g, *b] = colour,
                    [] => {}
                }
            }
        }
    }
}

/// Pixels of the raster from (x, y) on, row by row.
fn target(raster: &mut Raster, x: u32, y: u32) -> impl Iterator<Item = std::slice::ChunksExactMut<'_, u8>> {
    let (row, channels) = (raster.row_bytes(), raster.channels);
    raster.data.chunks_exact_mut(row).skip(y as usize).map(move |row| {
        let start = (x as usize * channels).min(row.len());
        row.get_mut(start..).unwrap_or_default().chunks_exact_mut(channels)
    })
}

/// Which levels mean 0 and 1 (ITU-T H.273, equations 18 to 30).
pub(super) struct Levels {
    black: f32,
    white: f32,
    middle: f32,
    chroma: f32,
}

impl Levels {
    pub(super) fn new(depth: u32, full_range: bool) -> Self {
        let scale = f32::from(1_u16 << (depth - 8).min(8));
        let top = scale * 256.0 - 1.0;
        let middle = 128.0 * scale;
        if full_range {
            Self { black: 0.0, white: 1.0 / top, middle, chroma: 1.0 / top }
        } else {
            Self { black: 16.0 * scale, white: 1.0 / (219.0 * scale), middle, chroma: 1.0 / (224.0 * scale) }
        }
    }

    /// Luma, or a colour as it is: 0 to 1.
    pub(super) fn luma(&self, level: f32) -> f32 {
        (level - self.black) * self.white
    }

    /// A difference: -0.5 to 0.5.
    pub(super) fn chroma(&self, level: f32) -> f32 {
        (level - self.middle) * self.chroma
    }
}

/// The decoder's refusal as ours.
fn refusal(error: Error) -> CodecError {
    if error == Error::UnsupportedBitstream {
        return CodecError::unsupported("this kind of AVIF");
    }
    CodecError::damaged(NAME, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_meet_their_ends() {
        for (depth, full, black, white) in
            [(8, false, 16.0, 235.0), (8, true, 0.0, 255.0), (10, false, 64.0, 940.0), (12, true, 0.0, 4095.0)]
        {
            let levels = Levels::new(depth, full);
            assert!(levels.luma(black).abs() < 1e-6 && (levels.luma(white) - 1.0).abs() < 1e-6, "{depth} {full}");
            assert!(levels.chroma(f32::from(128_u16 << (depth - 8))).abs() < 1e-6);
        }
        assert!((Levels::new(8, false).chroma(240.0) - 0.5).abs() < 1e-6);
    }
}
