//! What an engine is to do for a variant, and in which form it is to hand that over.

use crate::{
    codec::{Chroma, Settings},
    domain::{Filter, OutputFormat},
    pixels::{Form, Op, Picture, plan},
};

/// What an engine makes for the encoder. For a JPEG or an AVIF of 4:2:0 it makes those planes, which the encoder would have to: half the bytes
/// on their way back. Where the chroma is to be as the picture needs, that is decided by its pixels; but a JPEG whose own chroma
/// has half the columns or rows is not asked, since it has lost already what 4:2:0 would lose; nor is one that is blurred, which
/// will have.
pub(super) fn form(picture: &Picture, ops: &[Op], format: OutputFormat, settings: Settings) -> Form {
    let is_halved = || match picture {
        Picture::Planar(planes) => planes.sampling().half_width || planes.sampling().half_height,
        Picture::Packed(_) => false,
    };
    let quarter = match settings.chroma {
        Chroma::Quarter => true,
        Chroma::Full => false,
        Chroma::Auto => is_halved() || plan::is_smooth(ops),
    };
    if matches!(format, OutputFormat::Jpg | OutputFormat::Avif) && quarter { Form::Ycbcr420 } else { Form::Pixels }
}

/// What the engine does for each filter.
pub(super) fn ops(filters: &[Filter]) -> Vec<Op> {
    filters
        .iter()
        .filter_map(|filter| match *filter {
            Filter::Identity => None,
            Filter::Thumbnail(side_px) => Some(Op::fit(side_px)),
            Filter::Blur(sigma) => Some(Op::Blur { sigma }),
        })
        .collect()
}
