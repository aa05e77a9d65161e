//! JPEG: mozjpeg's encoder in Rust, without its trellis, with the tables of the standard's annex K.

use mozjpeg_rs::{Encoder, QuantTableIdx, Subsampling};

use super::{check_side, chroma, failure, flatten};
use crate::codec::error::CodecError;
use crate::domain::{Chroma, Effort, Settings};
use crate::pixels::pixmap::{Sampling, Ycbcr};
use crate::pixels::{Layout, Pixmap};

const NAME: &str = "JPEG";

/// The longest side.
pub(super) const SIDE: u32 = 65_535;

/// The encoder for these settings. Quality means the same at every effort: what is saved is saved in the coding of the very
/// same coefficients. `Fast` has the standard's Huffman tables, `Balanced` the picture's own, `Small` is progressive too.
fn encoder(settings: Settings, subsampling: Subsampling) -> Encoder {
    Encoder::fastest()
        .quality(settings.quality.get())
        .quant_tables(QuantTableIdx::JpegAnnexK)
        .subsampling(subsampling)
        .optimize_huffman(settings.effort != Effort::Fast)
        .progressive(settings.effort == Effort::Small)
}

/// Grey pictures as grey. Alpha is flattened on white in sRGB-encoded space, as the contract says.
pub(super) fn encode(pixmap: &Pixmap, settings: Settings) -> Result<Vec<u8>, CodecError> {
    let (width, height) = (pixmap.width(), pixmap.height());
    check_side(width, height, NAME, SIDE)?;
    let flat;
    let (data, grey) = match pixmap.layout() {
        Layout::Luma => (pixmap.data(), true),
        Layout::Rgb => (pixmap.data(), false),
        Layout::LumaAlpha => {
            flat = flatten::<2, 1>(pixmap.data());
            (&flat[..], true)
        }
        Layout::Rgba => {
            flat = flatten::<4, 3>(pixmap.data());
            (&flat[..], false)
        }
    };
    let file = if grey {
        encoder(settings, Subsampling::Gray).encode_gray(data, width, height)
    } else {
        let full = match settings.chroma {
            Chroma::Auto => chroma::is_needed(data, width as usize),
            Chroma::Quarter => false,
            Chroma::Full => true,
        };
        let subsampling = if full { Subsampling::S444 } else { Subsampling::S420 };
        encoder(settings, subsampling).encode_rgb(data, width, height)
    };
    file.map_err(|error| failure(NAME, error))
}

/// Planes as they are; `None` for those that the settings, or JPEG, want sampled otherwise.
pub(super) fn encode_planes(planes: &Ycbcr, settings: Settings) -> Option<Result<Vec<u8>, CodecError>> {
    let full = Sampling::default();
    let subsampling = match (settings.chroma, planes.sampling()) {
        (Chroma::Auto | Chroma::Quarter, Sampling::JPEG_420) => Subsampling::S420,
        (Chroma::Full, sampling) if sampling == full => Subsampling::S444,
        _ => return None,
    };
    let (width, height) = (planes.width(), planes.height());
    if let Err(refused) = check_side(width, height, NAME, SIDE) {
        return Some(Err(refused));
    }
    let [blue, red] = planes.chroma();
    let file = encoder(settings, subsampling).encode_ycbcr_planar(planes.luma(), blue, red, width, height);
    Some(file.map_err(|error| failure(NAME, error)))
}
