//! Pixels to bytes.

mod chroma;
mod jpeg;
pub(super) mod png;

use std::num::NonZeroU32;

use crate::domain::{Effort, OutputFormat, Settings};
use crate::pixels::pixmap::Ycbcr;
use crate::pixels::{Layout, Pixmap};

use super::animation::Writer;
use super::error::CodecError;

/// The picture as a file of this format: see [`super::encode`].
pub(super) fn encode(pixmap: &Pixmap, format: OutputFormat, settings: Settings) -> Result<Vec<u8>, CodecError> {
    match format {
        OutputFormat::Jpg => jpeg::encode(pixmap, settings),
        OutputFormat::Png => png::encode(pixmap, settings.effort),
        OutputFormat::Webp => webp(pixmap, settings),
        OutputFormat::Gif | OutputFormat::Apng => still(pixmap, format, settings),
    }
}

/// An animation of one frame.
fn still(pixmap: &Pixmap, format: OutputFormat, settings: Settings) -> Result<Vec<u8>, CodecError> {
    let mut writer = Writer::new(format, settings, pixmap, NonZeroU32::new(1), 1)?;
    writer.add(pixmap, 0)?;
    writer.finish()
}

/// Planes as a file of this format: into a JPEG as they are where they fit the settings, all else by way of RGB.
pub(super) fn encode_planes(planes: &Ycbcr, format: OutputFormat, settings: Settings) -> Result<Vec<u8>, CodecError> {
    if format == OutputFormat::Jpg
        && let Some(file) = jpeg::encode_planes(planes, settings)
    {
        return file;
    }
    let pixmap = planes.to_rgb().map_err(|error| failure(name(format), error))?;
    encode(&pixmap, format, settings)
}

/// The name of an output format for people.
pub(super) const fn name(format: OutputFormat) -> &'static str {
    match format {
        OutputFormat::Jpg => "JPEG",
        OutputFormat::Png => "PNG",
        OutputFormat::Webp => "WebP",
        OutputFormat::Gif => "GIF",
        OutputFormat::Apng => "APNG",
    }
}

/// The longest side of a WebP.
const WEBP_SIDE: u32 = 16_383;

fn check_side(width: u32, height: u32, format: &'static str, max: u32) -> Result<(), CodecError> {
    let side = width.max(height);
    if side > max { Err(CodecError::TooLargeForFormat { format, side, max }) } else { Ok(()) }
}

/// Laid over white: `round(c * a / 255 + 255 - a)`, the alpha (the last of `N` channels) dropped.
fn flatten<const N: usize, const M: usize>(data: &[u8]) -> Vec<u8> {
    let mut flat = vec![0; data.len() / N * M];
    for (pixel, flat) in data.as_chunks::<N>().0.iter().zip(flat.as_chunks_mut::<M>().0) {
        let alpha = u32::from(pixel.last().copied().unwrap_or(255));
        for (&sample, flat) in pixel.iter().zip(flat) {
            // Never over 255 * 255, so the quotient is a byte.
            let laid = u32::from(sample) * alpha + 255 * (255 - alpha) + 127;
            *flat = u8::try_from(laid / 255).unwrap_or(255);
        }
    }
    flat
}

/// Lossy, at libwebp's method 1, 4 or 6; grey is written as colour, which the format has no other way for.
fn webp(pixmap: &Pixmap, settings: Settings) -> Result<Vec<u8>, CodecError> {
    check_side(pixmap.width(), pixmap.height(), "WebP", WEBP_SIDE)?;
    let mut config = webp::WebPConfig::new().map_err(|()| failure("WebP", "the library does not fit its header"))?;
    config.quality = f32::from(settings.quality.get());
    config.method = match settings.effort {
        Effort::Fast => 1,
        Effort::Balanced => 4,
        Effort::Small => 6,
    };
    let spread;
    let (data, layout) = match pixmap.layout() {
        Layout::Rgb => (pixmap.data(), webp::PixelLayout::Rgb),
        Layout::Rgba => (pixmap.data(), webp::PixelLayout::Rgba),
        Layout::Luma => {
            spread = pixmap.data().iter().flat_map(|&level| [level; 3]).collect::<Vec<u8>>();
            (&spread[..], webp::PixelLayout::Rgb)
        }
        Layout::LumaAlpha => {
            let pixels = pixmap.data().as_chunks::<2>().0.iter();
            spread = pixels.flat_map(|&[level, alpha]| [level, level, level, alpha]).collect::<Vec<u8>>();
            (&spread[..], webp::PixelLayout::Rgba)
        }
    };
    let file = webp::Encoder::new(data, layout, pixmap.width(), pixmap.height())
        .encode_advanced(&config)
        .map_err(|error| failure("WebP", format_args!("{error:?}")))?;
    Ok(file.to_vec())
}

fn failure(format: &'static str, cause: impl std::fmt::Display) -> CodecError {
    CodecError::Encode { format, cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flattening_meets_white() {
        assert_eq!(
            flatten::<4, 3>(&[10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 128]),
            [10, 20, 30, 255, 255, 255, 127, 127, 127]
        );
        assert_eq!(flatten::<2, 1>(&[100, 51]), [224]);
    }

    #[test]
    fn sides_past_the_format_are_refused() {
        let wide = Pixmap::new(16_384, 1, Layout::Luma, vec![0; 16_384]).unwrap();
        assert_eq!(
            encode(&wide, OutputFormat::Webp, Settings::default()),
            Err(CodecError::TooLargeForFormat { format: "WebP", side: 16_384, max: 16_383 })
        );
        let wider = Pixmap::new(65_536, 1, Layout::Luma, vec![0; 65_536]).unwrap();
        assert_eq!(
            encode(&wider, OutputFormat::Jpg, Settings::default()),
            Err(CodecError::TooLargeForFormat { format: "JPEG", side: 65_536, max: 65_535 })
        );
        assert!(encode(&wider, OutputFormat::Png, Settings::default()).is_ok());
    }
}
