//! One decoded HEVC picture. Decoded by `heic-rs`, on the calling thread, once its parameter sets have been read here: it takes the
//! memory that those ask for and looks at no clock.

use heic_rs::hevc::{self, ChromaFormat};

use super::super::error::CodecError;
use super::super::metadata::avif::{Hevc, Tile};
use super::frame::{Frame, Plane};

const NAME: &str = "HEIC";

/// Decodes a tile, which is as large as its own parameters say, or an odd row and column larger than the picture. Holds what the walker
/// has estimated.
///
/// # Errors
/// [`CodecError::Damaged`] when the decoder refuses, or its picture is another than the parameters say.
pub(super) fn decode(bytes: &[u8], tile: &Tile, parameters: &Hevc) -> Result<Frame, CodecError> {
    let sets: Vec<&[u8]> = parameters.sets.iter().filter_map(|set| bytes.get(set.clone())).collect();
    let data = tile.data(bytes);
    let slices = parameters.slices(&data).collect::<Result<Vec<_>, _>>()?;
    let picture = hevc::decode_still(&sets, &slices).map_err(|error| refusal(&error))?;
    picture.validate().map_err(|error| refusal(&error))?;
    let sequence = &tile.sequence;
    let halved = match picture.chroma {
        ChromaFormat::Monochrome => None,
        ChromaFormat::Yuv420 => Some((true, true)),
        ChromaFormat::Yuv422 => Some((true, false)),
        ChromaFormat::Yuv444 => Some((false, false)),
    };
    let expected = (!sequence.grey).then_some(sequence.halved);
    if (picture.width, picture.height) != (sequence.width, sequence.height)
        || halved != expected
        || u32::from(picture.bit_depth) != sequence.depth
    {
        return Err(CodecError::damaged(NAME, "the picture is not what the header says"));
    }
    let plane = |levels, stride: u32| Plane::Words(levels, stride as usize);
    let mut planes = vec![plane(picture.y, picture.y_stride)];
    if halved.is_some() {
        planes.extend([plane(picture.cb, picture.c_stride), plane(picture.cr, picture.c_stride)]);
    }
    Ok(Frame {
        planes,
        width: picture.width as usize,
        height: picture.height as usize,
        depth: sequence.depth,
        halved: halved.unwrap_or((false, false)),
    })
}

/// The decoder's refusal as ours.
fn refusal(error: &heic_rs::Error) -> CodecError {
    if let heic_rs::Error::Unsupported(what) = error {
        return CodecError::unsupported(format!("HEIC with {what}"));
    }
    CodecError::damaged(NAME, error)
}
