//! What an engine is to do for a variant, and in which form it is to hand that over.

use super::view::View;
use crate::{
    codec::{Chroma, Settings},
    domain::{
        Filter, OutputFormat, Saliency,
        filter::{Bound, Frame, Mirror, Resampling, Turn},
    },
    pixels::{Anchor, Colour, Form, Op, Orientation, Picture, ResizeFilter, Size, Target, plan},
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

/// What the engine does for each filter, to an upright picture of size `whole`. `saliency` says where the eye goes in it: without, what
/// is to be kept by that is the middle.
pub(super) fn ops(filters: &[Filter], whole: Size, saliency: Option<&Saliency>) -> Vec<Op> {
    let mut view = View::new(whole, saliency);
    let mut ops = Vec::with_capacity(filters.len());
    for filter in filters {
        if let Some(op) = op(*filter, &view) {
            view.follow(op);
            ops.push(op);
        }
    }
    ops
}

/// What the engine does for a filter, to a picture that is seen like this.
fn op(filter: Filter, view: &View) -> Option<Op> {
    let resize = |to, with| Op::Resize { to, filter: with };
    let lanczos = ResizeFilter::Lanczos3;
    Some(match filter {
        Filter::Identity | Filter::Rotate(Turn::None) => return None,
        Filter::Thumbnail(side_px) => Op::fit(side_px),
        Filter::Resize(Bound::Side(side_px), with) => {
            resize(Target::Fit(Size::new(side_px, side_px)), resampling(with))
        }
        Filter::Resize(Bound::Area(area_px), with) => resize(Target::Fit(view.size.within(area_px)), resampling(with)),
        Filter::Fit(frame) => resize(Target::Fit(size(frame)), lanczos),
        Filter::Cover(frame, gravity) => {
            let (resized, kept) = Target::Cover(size(frame), Anchor::CENTRE).of(view.size);
            resize(Target::Cover(size(frame), view.anchor(gravity, resized, kept.size)), lanczos)
        }
        Filter::Crop(aspect, gravity) => {
            let aspect = size(aspect);
            Op::CropAspect { aspect, at: view.anchor(gravity, view.size, view.size.aspect(aspect)) }
        }
        Filter::Blur(sigma) => Op::Blur { sigma },
        Filter::Sharpen(sigma, amount) => Op::Sharpen { sigma, amount },
        Filter::Grayscale => Op::Colour(Colour::Grayscale),
        Filter::Brightness(percent) => Op::Colour(Colour::Brightness(factor(percent))),
        Filter::Contrast(percent) => Op::Colour(Colour::Contrast(factor(percent))),
        Filter::Saturation(percent) => Op::Colour(Colour::Saturation(factor(percent))),
        Filter::Rotate(Turn::Quarter) => Op::Orient(Orientation::ROTATE_90),
        Filter::Rotate(Turn::Half) => Op::Orient(Orientation::ROTATE_180),
        Filter::Rotate(Turn::ThreeQuarters) => Op::Orient(Orientation::ROTATE_270),
        Filter::Flip(Mirror::Horizontal) => Op::Orient(Orientation::FLIP_HORIZONTAL),
        Filter::Flip(Mirror::Vertical) => Op::Orient(Orientation::FLIP_VERTICAL),
        // Left and right, top and bottom: half a turn.
        Filter::Flip(Mirror::Both) => Op::Orient(Orientation::ROTATE_180),
    })
}

const fn size(frame: Frame) -> Size {
    Size::new(frame.width, frame.height)
}

/// What a change in percent multiplies by.
fn factor(percent: f32) -> f32 {
    1.0 + percent / 100.0
}

const fn resampling(with: Resampling) -> ResizeFilter {
    match with {
        Resampling::Lanczos3 => ResizeFilter::Lanczos3,
        Resampling::CatmullRom => ResizeFilter::CatmullRom,
        Resampling::Mitchell => ResizeFilter::Mitchell,
        Resampling::Bilinear => ResizeFilter::Bilinear,
        Resampling::Box => ResizeFilter::Box,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &str, whole: Size) -> Op {
        let filter = Filter::parse(name, value).unwrap().unwrap();
        let ops = ops(&[filter], whole, None);
        assert_eq!(ops.len(), 1, "{name}={value}");
        ops[0]
    }

    #[test]
    fn each_filter_is_what_it_says() {
        let whole = Size::new(400, 300);
        let lanczos = ResizeFilter::Lanczos3;
        let frame = Size::new(30, 20);
        for (name, value, op) in [
            ("thumbnail", "64", Op::fit(64)),
            ("resize", "64", Op::fit(64)),
            (
                "resize",
                "mitchell.64",
                Op::Resize { to: Target::Fit(Size::new(64, 64)), filter: ResizeFilter::Mitchell },
            ),
            ("resize", "a30000", Op::Resize { to: Target::Fit(Size::new(200, 150)), filter: lanczos }),
            ("fit", "30x20", Op::Resize { to: Target::Fit(frame), filter: lanczos }),
            ("cover", "30x20", Op::Resize { to: Target::Cover(frame, Anchor::CENTRE), filter: lanczos }),
            (
                "cover",
                "30x20.southeast",
                Op::Resize { to: Target::Cover(frame, Anchor { x: Anchor::END, y: Anchor::END }), filter: lanczos },
            ),
            ("crop", "30x20.west", Op::CropAspect { aspect: frame, at: Anchor { x: 0, y: Anchor::END / 2 } }),
            ("blur", "2", Op::Blur { sigma: 2.0 }),
            ("sharpen", "1x0.5", Op::Sharpen { sigma: 1.0, amount: 0.5 }),
            ("grayscale", "true", Op::Colour(Colour::Grayscale)),
            ("brightness", "50", Op::Colour(Colour::Brightness(1.5))),
            ("contrast", "-100", Op::Colour(Colour::Contrast(0.0))),
            ("saturation", "-50", Op::Colour(Colour::Saturation(0.5))),
            ("rotate", "90", Op::Orient(Orientation::ROTATE_90)),
            ("rotate", "-90", Op::Orient(Orientation::ROTATE_270)),
            ("flip", "vertical", Op::Orient(Orientation::FLIP_VERTICAL)),
            ("flip", "both", Op::Orient(Orientation::ROTATE_180)),
        ] {
            assert_eq!(of(name, value, whole), op, "{name}={value}");
        }
        // A smart one of a picture that nothing is known of.
        assert_eq!(of("crop", "1x1.smart", whole), of("crop", "1x1", whole));
    }
}
