//! SVG: read by `usvg` and drawn by `resvg`, on the calling thread. Behind the feature `svg`.
//!
//! A picture of a few lines can take any memory and any time to draw, so everything is counted first: the text and its entities
//! (`markup`), what references multiply (`references`), and, once there is a tree, every layer and every edge (`bill`). Nothing is
//! loaded from anywhere: there are no fonts, and pictures inside are refused.

mod bill;
mod markup;
mod references;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::roxmltree::Document;
use resvg::usvg::{Error, ImageHrefResolver, Options, Tree};

use super::budget::{Budget, area};
use super::error::CodecError;
use super::raster::Raster;

const NAME: &str = "SVG";

/// What one may hold at most, whatever the budget: reserved before it is read, as its first bytes do not tell.
pub(crate) const PEAK_BYTES: u64 = 256 * 1024 * 1024;

/// What the tree takes, and what it is made of, for each element that it comes to, and for each byte of text. Measured, and rounded up.
const ELEMENT_BYTES: u64 = 800;
const TEXT_BYTES: u64 = 8;

/// Work that drawing may come to: billionths of a second, about.
const MAX_WORK: u64 = 5_000_000_000;

/// The longer side of a picture that has proportions and no size.
const UNSIZED: f32 = 1024.0;

fn too_complex(what: &'static str, got: u64, max: u64) -> CodecError {
    CodecError::TooComplex { format: NAME, what: what.into(), got, max }
}

/// The picture as RGB, or RGBA with straight alpha where something shows through. In sRGB.
///
/// It is as large as its width and height say, in CSS pixels of 1/96 inch, rounded, and at least 1. With one of them, or none and a view
/// box, that gives the proportions; with none of them its longer side is 1024 pixels. Without a view box either, it is as large as what is drawn.
///
/// # Errors
/// [`CodecError`]: damaged, past the budget or a limit, or with something inside that cannot be drawn.
pub(crate) fn decode(bytes: &[u8], budget: &Budget) -> Result<Raster, CodecError> {
    let text = markup::text(bytes)?;
    budget.check_deadline()?;
    let document = markup::parse(text)?;
    budget.check_deadline()?;
    let elements = references::check(&document)?;
    let budget = Budget { max_memory_bytes: budget.max_memory_bytes.min(PEAK_BYTES), ..*budget };
    let tree_bytes =
        elements.saturating_mul(ELEMENT_BYTES).saturating_add((bytes.len() as u64).saturating_mul(TEXT_BYTES));
    budget.check_memory(tree_bytes)?;
    budget.check_deadline()?;
    let unsized_ = is_unsized(&document);
    let tree = Tree::from_xmltree(&document, &options()).map_err(|error| refusal(&error))?;
    drop(document);
    let (width, height) = size(&tree, unsized_);
    budget.check_size(width, height)?;
    let transform =
        Transform::from_scale(as_float(width) / tree.size().width(), as_float(height) / tree.size().height());
    budget.check_deadline()?;
    let bill = bill::of(tree.root(), transform, width, height);
    let picture = area(width, height).saturating_mul(4);
    budget.check_memory(tree_bytes.saturating_add(picture).saturating_add(whole(bill.bytes)))?;
    let work = whole(bill.work);
    if work > MAX_WORK {
        return Err(too_complex("steps to draw it", work, MAX_WORK));
    }
    budget.check_deadline()?;
    let mut pixmap = Pixmap::new(width, height).ok_or_else(|| CodecError::damaged(NAME, "it has no pixels"))?;
    resvg::render(&tree, transform, &mut pixmap.as_mut());
    drop(tree);
    budget.check_deadline()?;
    Ok(straight(pixmap, width, height))
}

/// No file and no data is ever read.
fn options() -> Options<'static> {
    Options {
        image_href_resolver: ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        ..Options::default()
    }
}

/// Whether it has proportions and no size.
fn is_unsized(document: &Document<'_>) -> bool {
    let root = document.root_element();
    let open = |name| root.attribute(name).is_none_or(|value| value.trim_end().ends_with('%'));
    root.has_attribute("viewBox") && open("width") && open("height")
}

/// Columns and rows of the picture.
fn size(tree: &Tree, unsized_: bool) -> (u32, u32) {
    let (width, height) = (tree.size().width(), tree.size().height());
    let scale = if unsized_ { UNSIZED / width.max(height) } else { 1.0 };
    let side = |length: f32| u32::try_from(whole(f64::from(length * scale).round())).unwrap_or(u32::MAX).max(1);
    (side(width), side(height))
}

#[expect(clippy::cast_precision_loss, reason = "a side of a picture; below 2^24 exact, above it is refused")]
fn as_float(side: u32) -> f32 {
    side as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it stops at the ends; what is no number is the most"
)]
fn whole(value: f64) -> u64 {
    if value.is_nan() { u64::MAX } else { value.ceil() as u64 }
}

fn straight(pixmap: Pixmap, width: u32, height: u32) -> Raster {
    let mut data = pixmap.take_demultiplied();
    if data.as_chunks::<4>().0.iter().any(|&[.., alpha]| alpha != 255) {
        return Raster { width, height, channels: 4, data };
    }
    // Written at or before where it was read.
    for pixel in 0..data.len() / 4 {
        data.copy_within(4 * pixel..4 * pixel + 3, 3 * pixel);
    }
    data.truncate(data.len() / 4 * 3);
    data.shrink_to_fit();
    Raster { width, height, channels: 3, data }
}

fn refusal(error: &Error) -> CodecError {
    match error {
        Error::InvalidSize => CodecError::damaged(NAME, "it has no size"),
        Error::NotAnUtf8Str
        | Error::SvgzFeatureNotEnabled
        | Error::MalformedGZip
        | Error::ElementsLimitReached
        | Error::ParsingFailed(_) => CodecError::damaged(NAME, error),
    }
}
