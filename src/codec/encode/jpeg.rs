//! JPEG: baseline files by our own encoder ([`baseline`]), progressive ones by mozjpeg's in Rust, without its trellis; with the
//! tables of the standard's annex K.

mod baseline;
mod huffman;
mod symbols;
mod transform;

use mozjpeg_rs::{Encoder, QuantTableIdx, Subsampling};

use super::{check_side, chroma, failure, flatten};
use crate::codec::error::CodecError;
use crate::domain::{Chroma, Effort, Settings};
use crate::pixels::pixmap::{Sampling, Ycbcr};
use crate::pixels::{Layout, Pixmap};

const NAME: &str = "JPEG";

/// The longest side.
pub(super) const SIDE: u32 = 65_535;

/// Grey pictures as grey. Alpha is flattened on white in sRGB-encoded space, as the contract says.
pub(super) fn encode(pixmap: &Pixmap, settings: Settings) -> Result<Vec<u8>, CodecError> {
    let (width, height) = (pixmap.width(), pixmap.height());
    let size = sides(width, height)?;
    let flat;
    let rgb = match pixmap.layout() {
        Layout::Luma => return grey(pixmap.data(), size, settings),
        Layout::LumaAlpha => return grey(&flatten::<2, 1>(pixmap.data()), size, settings),
        Layout::Rgb => pixmap,
        Layout::Rgba => {
            flat = Pixmap::new(width, height, Layout::Rgb, flatten::<4, 3>(pixmap.data()))
                .map_err(|error| failure(NAME, error))?;
            &flat
        }
    };
    let full = match settings.chroma {
        Chroma::Auto => chroma::is_needed(rgb.data(), width as usize),
        Chroma::Quarter => false,
        Chroma::Full => true,
    };
    let planes = Ycbcr::from_rgb(rgb, !full).map_err(|error| failure(NAME, error))?;
    colour(&planes, size, settings)
}

/// Planes as they are; `None` for those that the settings, or JPEG, want sampled otherwise.
pub(super) fn encode_planes(planes: &Ycbcr, settings: Settings) -> Option<Result<Vec<u8>, CodecError>> {
    match (settings.chroma, planes.sampling()) {
        (Chroma::Auto | Chroma::Quarter, Sampling::JPEG_420) => {}
        (Chroma::Full, sampling) if sampling == Sampling::default() => {}
        _ => return None,
    }
    let size = sides(planes.width(), planes.height());
    Some(size.and_then(|size| colour(planes, size, settings)))
}

fn sides(width: u32, height: u32) -> Result<(u16, u16), CodecError> {
    check_side(width, height, NAME, SIDE)?;
    u16::try_from(width).and_then(|width| Ok((width, u16::try_from(height)?))).map_err(|error| failure(NAME, error))
}

/// Quality means the same at every effort: what is saved is saved in the coding of the very same coefficients. `Fast` and
/// `Balanced` have the picture's own Huffman tables, `Small` is progressive too.
fn grey(luma: &[u8], (width, height): (u16, u16), settings: Settings) -> Result<Vec<u8>, CodecError> {
    if settings.effort == Effort::Small {
        let encoder = progressive(settings, Subsampling::Gray);
        return encoder.encode_gray(luma, width.into(), height.into()).map_err(|error| failure(NAME, error));
    }
    Ok(baseline::encode([luma, &[], &[]], (width, height), false, settings.quality))
}

/// The same for planes of 4:2:0 or 4:4:4.
fn colour(planes: &Ycbcr, (width, height): (u16, u16), settings: Settings) -> Result<Vec<u8>, CodecError> {
    let halved = planes.sampling() == Sampling::JPEG_420;
    let [blue, red] = planes.chroma();
    if settings.effort == Effort::Small {
        let encoder = progressive(settings, if halved { Subsampling::S420 } else { Subsampling::S444 });
        let file = encoder.encode_ycbcr_planar(planes.luma(), blue, red, width.into(), height.into());
        return file.map_err(|error| failure(NAME, error));
    }
    Ok(baseline::encode([planes.luma(), blue, red], (width, height), halved, settings.quality))
}

fn progressive(settings: Settings, subsampling: Subsampling) -> Encoder {
    Encoder::fastest()
        .quality(settings.quality.get())
        .quant_tables(QuantTableIdx::JpegAnnexK)
        .subsampling(subsampling)
        .optimize_huffman(true)
        .progressive(true)
}
