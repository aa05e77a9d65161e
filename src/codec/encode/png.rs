//! PNG: lossless, so effort is all there is to choose.

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};

use super::failure;
use crate::codec::error::CodecError;
use crate::domain::Effort;
use crate::pixels::{Layout, Pixmap};

/// Compressor and filter, of APNG too.
pub(in crate::codec) const fn compression(effort: Effort) -> (Compression, Filter) {
    match effort {
        Effort::Fast => (Compression::Fast, Filter::Paeth),
        Effort::Balanced => (Compression::Balanced, Filter::Adaptive),
        Effort::Small => (Compression::High, Filter::Adaptive),
    }
}

/// The channels it has, 8 bits each.
pub(super) fn encode(pixmap: &Pixmap, effort: Effort) -> Result<Vec<u8>, CodecError> {
    let mut file = Vec::new();
    let mut write = || -> Result<(), EncodingError> {
        let mut encoder = Encoder::new(&mut file, pixmap.width(), pixmap.height());
        encoder.set_color(match pixmap.layout() {
            Layout::Luma => ColorType::Grayscale,
            Layout::LumaAlpha => ColorType::GrayscaleAlpha,
            Layout::Rgb => ColorType::Rgb,
            Layout::Rgba => ColorType::Rgba,
        });
        encoder.set_depth(BitDepth::Eight);
        let (compression, filter) = compression(effort);
        encoder.set_compression(compression);
        encoder.set_filter(filter);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(pixmap.data())?;
        writer.finish()
    };
    write().map_err(|error| failure("PNG", error))?;
    Ok(file)
}
