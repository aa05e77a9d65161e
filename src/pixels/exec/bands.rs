//! A plan that a device cannot hold, in bands of rows that it can: the same bytes as in one piece.
//!
//! A band is the plan cut to some rows of its result, and every step before to what those read. Each pixel is the same sum
//! of the same terms in the same order as in the whole, with zeros added at most, so it is the same to the bit.

use std::ops::Range;

use crate::pixels::cpu::{chroma, orient};
use crate::pixels::gpu::queue::Failure;
use crate::pixels::gpu::{Caps, DeviceError, Handle, Program, Upload};
use crate::pixels::orientation::Orientation;
use crate::pixels::pixmap::{Layout, Picture, Pixmap, PixmapError, Source};
use crate::pixels::plan::{Form, Plan};
use crate::pixels::stop::Stop;

/// The most bands of one result.
const MAX_BANDS: u32 = 256;

/// Result after result, each in bands where it has to be. `Ok(None)`: one cannot be cut so that the device takes it.
pub(super) fn run(
    handle: &Handle,
    caps: &Caps,
    plan: &Plan,
    source: Source<'_>,
    stop: &Stop,
) -> Result<Option<Vec<Picture>>, Failure> {
    let mut pictures = Vec::new();
    for (chain, at) in plan.chains().iter().zip(0..) {
        let Some(alone) = plan.only(at).filter(|_| !chain.steps.is_empty()) else { continue };
        let Some(picture) = one(handle, caps, &alone, source, stop)? else { return Ok(None) };
        pictures.push(picture);
    }
    Ok(Some(pictures))
}

fn one(handle: &Handle, caps: &Caps, plan: &Plan, source: Source<'_>, stop: &Stop) -> Result<Option<Picture>, Failure> {
    let program = |plan: &Plan| Program::new(plan, Upload::of(source, plan.region()));
    let whole = program(plan);
    if whole.footprint().fits(caps) {
        return Ok(handle.run(whole, source, stop)?.pop());
    }
    let Some((chain, bands)) = plan.chains().first().zip(cut(caps, plan, source)) else { return Ok(None) };
    let (stored, layout) = (chain.stored(), source.layout());
    let row = stored.width as usize * layout.channels();
    let mut data = Vec::with_capacity(row * stored.height as usize);
    for band in bands {
        let picture = handle.run(program(&band), source, stop)?.pop();
        let rows = picture.ok_or(DeviceError::Unavailable)?.into_pixmap().map_err(broken)?;
        data.extend_from_slice(rows.data());
    }
    let turned = if chain.orientation == Orientation::UPRIGHT {
        data
    } else {
        let mut turned = vec![0; data.len()];
        for (pixels, y) in data.chunks_exact(row).zip(0..) {
            orient::place(chain.orientation, stored, y, pixels, layout.channels(), &mut turned);
        }
        turned
    };
    let picture = Pixmap::new(chain.output.width, chain.output.height, layout, turned).map_err(broken)?;
    Ok(Some(match (plan.form(), layout) {
        (Form::Ycbcr420, Layout::Rgb) => Picture::Planar(chroma::run(&picture).map_err(broken)?),
        (Form::Ycbcr420 | Form::Pixels, _) => Picture::Packed(picture),
    }))
}

/// As few bands as the device takes, by doubling.
fn cut(caps: &Caps, plan: &Plan, source: Source<'_>) -> Option<Vec<Plan>> {
    let height = plan.chains().first()?.stored().height;
    let mut count = 2;
    while count <= MAX_BANDS && count <= height {
        let bands = ranges(height, count).map(|rows| plan.band(&rows)).collect::<Option<Vec<Plan>>>()?;
        let fits = |band: &Plan| Program::new(band, Upload::of(source, band.region())).footprint().fits(caps);
        if bands.iter().all(fits) {
            return Some(bands);
        }
        count *= 2;
    }
    None
}

/// `0..height` in `count` parts of nearly one length.
fn ranges(height: u32, count: u32) -> impl Iterator<Item = Range<u32>> {
    let edge = move |at: u32| {
        let edge = u64::from(height) * u64::from(at) / u64::from(count);
        u32::try_from(edge).unwrap_or(height)
    };
    (0..count).map(move |at| edge(at)..edge(at + 1))
}

fn broken(error: PixmapError) -> DeviceError {
    DeviceError::Invalid { reason: error.to_string() }
}
