//! One decoded HEVC picture. Decoded by `heifer`, on the calling thread, once its parameter sets have been read here: it looks at no
//! clock.

use heifer_hevc_dec::Error;
use heifer_hevc_dec::decoder::{DecodeOptions, decode_picture};

use super::super::budget::area;
use super::super::error::CodecError;
use super::super::metadata::avif::{Hevc, Tile};
use super::frame::{Frame, Plane};

const NAME: &str = "HEIC";

/// What stands in front of each unit.
const MARK: [u8; 4] = [0, 0, 0, 1];

/// Decodes a tile, which is as large as its own parameters say, or an odd row and column larger than the picture. Holds what the walker
/// has estimated.
///
/// # Errors
/// [`CodecError::Damaged`] when the decoder refuses, or its picture is another than the parameters say.
pub(super) fn decode(bytes: &[u8], tile: &Tile, parameters: &Hevc) -> Result<Frame, CodecError> {
    let data = tile.data(bytes);
    let mut stream = Vec::with_capacity(data.len() + 1024);
    let sets = parameters.sets.iter().filter_map(|set| bytes.get(set.clone()));
    for unit in sets.map(Ok).chain(parameters.slices(&data)) {
        stream.extend_from_slice(&MARK);
        stream.extend_from_slice(unit?);
    }
    let max_pixels = area(parameters.coded_width, parameters.coded_height);
    let options = DecodeOptions { max_pixels, ..DecodeOptions::default() };
    let picture = decode_picture(&stream, options).map_err(|error| refusal(&error))?;
    let sequence = &tile.sequence;
    let halved = match picture.chroma_format {
        1 => Some((true, true)),
        2 => Some((true, false)),
        3 => Some((false, false)),
        _ => None,
    };
    let expected = (!sequence.grey).then_some(sequence.halved);
    let [width, _, _] = picture.widths;
    let [height, _, _] = picture.heights;
    let [depth, _] = picture.bit_depth;
    if (width, height) != (sequence.width, sequence.height) || halved != expected || u32::from(depth) != sequence.depth
    {
        return Err(CodecError::damaged(NAME, "the picture is not what the header says"));
    }
    let count = if halved.is_some() { 3 } else { 1 };
    let planes = picture.planes.into_iter().zip(picture.widths).take(count);
    Ok(Frame {
        planes: planes.map(|(levels, width)| Plane::Words(levels, (width as usize).max(1))).collect(),
        width: width as usize,
        height: height as usize,
        depth: sequence.depth,
        halved: halved.unwrap_or((false, false)),
    })
}

/// The decoder's refusal as ours.
fn refusal(error: &Error) -> CodecError {
    if let Error::Unimplemented(what) = error {
        return CodecError::unsupported(format!("HEIC with {what}"));
    }
    CodecError::damaged(NAME, error)
}
