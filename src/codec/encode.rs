//! Pixels to bytes.

mod avif;
mod chroma;
mod jpeg;
pub(super) mod png;

use std::num::NonZeroU32;

use crate::domain::{Effort, OutputFormat, Settings};
use crate::pixels::pixmap::Ycbcr;
use crate::pixels::{Layout, Pixmap, PixmapError};

use super::animation::Writer;
use super::error::CodecError;

/// The picture as a file of this format: see [`super::encode`].
pub(super) fn encode(pixmap: &Pixmap, format: OutputFormat, settings: Settings) -> Result<Vec<u8>, CodecError> {
    match format {
        OutputFormat::Jpg => jpeg::encode(pixmap, settings),
        OutputFormat::Png => png::encode(pixmap, settings.effort),
        OutputFormat::Webp => webp(pixmap, settings),
        OutputFormat::Avif => avif::encode(pixmap, settings),
        OutputFormat::Gif | OutputFormat::Apng => still(pixmap, format, settings),
    }
}

/// An animation of one frame.
fn still(pixmap: &Pixmap, format: OutputFormat, settings: Settings) -> Result<Vec<u8>, CodecError> {
    let mut writer = Writer::new(format, settings, pixmap, NonZeroU32::new(1), 1)?;
    writer.add(pixmap, 0)?;
    writer.finish()
}

/// Planes as a file of this format: into a JPEG or an AVIF as they are where they fit the settings, all else by way of RGB.
pub(super) fn encode_planes(planes: &Ycbcr, format: OutputFormat, settings: Settings) -> Result<Vec<u8>, CodecError> {
    let as_they_are = match format {
        OutputFormat::Jpg => jpeg::encode_planes(planes, settings),
        OutputFormat::Avif => avif::encode_planes(planes, settings),
        OutputFormat::Png | OutputFormat::Webp | OutputFormat::Gif | OutputFormat::Apng => None,
    };
    if let Some(file) = as_they_are {
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
        OutputFormat::Avif => "AVIF",
    }
}

/// The longest side of a WebP.
pub const WEBP_MAX_SIDE: u32 = 16_383;

fn check_side(width: u32, height: u32, format: &'static str, max: u32) -> Result<(), CodecError> {
    let side = width.max(height);
    if side > max { Err(CodecError::TooLargeForFormat { format, side, max }) } else { Ok(()) }
}

/// Laid over white, the alpha dropped: [`flatten_on`].
fn flatten<const N: usize, const M: usize>(data: &[u8]) -> Vec<u8> {
    flatten_on::<N, M>(data, [255; M])
}

/// Laid over a colour `b`: `round((c * a + b * (255 - a)) / 255)` of sRGB-encoded values with straight alpha, the last of `N` channels.
fn flatten_on<const N: usize, const M: usize>(data: &[u8], colour: [u8; M]) -> Vec<u8> {
    let mut flat = vec![0; data.len() / N * M];
    for (pixel, flat) in data.as_chunks::<N>().0.iter().zip(flat.as_chunks_mut::<M>().0) {
        let alpha = u32::from(pixel.last().copied().unwrap_or(255));
        for ((&sample, behind), flat) in pixel.iter().zip(colour).zip(flat) {
            // Never over 255 * 255, so the quotient is a byte.
            let laid = u32::from(sample) * alpha + u32::from(behind) * (255 - alpha) + 127;
            *flat = u8::try_from(laid / 255).unwrap_or(255);
        }
    }
    flat
}

/// The picture laid over a colour (red, green and blue, sRGB-encoded); a picture without alpha as it is. What was grey stays so on grey.
///
/// # Errors
/// Never: the shape is that of the picture.
pub fn lay_on(pixmap: Pixmap, colour: [u8; 3]) -> Result<Pixmap, PixmapError> {
    let (width, height) = (pixmap.width(), pixmap.height());
    let [red, green, blue] = colour;
    match pixmap.layout() {
        Layout::Rgb | Layout::Luma => Ok(pixmap),
        Layout::Rgba => Pixmap::new(width, height, Layout::Rgb, flatten_on::<4, 3>(pixmap.data(), colour)),
        Layout::LumaAlpha if red == green && green == blue => {
            Pixmap::new(width, height, Layout::Luma, flatten_on::<2, 1>(pixmap.data(), [red]))
        }
        Layout::LumaAlpha => {
            let spread = |&[level, alpha]: &[u8; 2]| [level, level, level, alpha];
            let spread: Vec<u8> = pixmap.data().as_chunks::<2>().0.iter().flat_map(spread).collect();
            Pixmap::new(width, height, Layout::Rgb, flatten_on::<4, 3>(&spread, colour))
        }
    }
}

/// Lossy, at libwebp's method 1, 4 or 6; grey is written as colour, which the format has no other way for.
fn webp(pixmap: &Pixmap, settings: Settings) -> Result<Vec<u8>, CodecError> {
    check_side(pixmap.width(), pixmap.height(), "WebP", WEBP_MAX_SIDE)?;
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
    fn a_picture_is_laid_on_a_colour() {
        let lay = |layout, data: &[u8], colour| {
            let laid = lay_on(Pixmap::new(1, 1, layout, data.to_vec()).unwrap(), colour).unwrap();
            (laid.layout(), laid.into_data())
        };
        assert_eq!(lay(Layout::Rgba, &[10, 20, 30, 255], [9; 3]), (Layout::Rgb, vec![10, 20, 30]));
        assert_eq!(lay(Layout::Rgba, &[10, 20, 30, 0], [1, 2, 3]), (Layout::Rgb, vec![1, 2, 3]));
        assert_eq!(lay(Layout::Rgba, &[255, 0, 100, 51], [0, 255, 100]), (Layout::Rgb, vec![51, 204, 100]));
        assert_eq!(lay(Layout::LumaAlpha, &[100, 51], [255; 3]), (Layout::Luma, vec![224]));
        assert_eq!(lay(Layout::LumaAlpha, &[100, 0], [1, 2, 3]), (Layout::Rgb, vec![1, 2, 3]));
        assert_eq!(lay(Layout::Rgb, &[1, 2, 3], [9; 3]), (Layout::Rgb, vec![1, 2, 3]));
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
