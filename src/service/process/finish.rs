//! From pixels to the file of a variant.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::ops::form;
use crate::{
    codec::{self, Budget, CodecError, Encoders, Settings},
    domain::{Aim, Finish, Hash, OutputFormat, Variant},
    pixels::{Engines, Layout, Op, Picture, Pixmap, Plan, Size, Stop, exec},
    service::ServiceError,
    timing::{Stage, Stages},
};

/// What the encoder of AVIF holds for a pixel at most: its planes, and what it makes of them. Measured: 8 bytes at 4:2:0, 13 at
/// 4:4:4, and alpha is a picture of its own.
const AVIF_BYTES_A_PIXEL: u64 = 24;

/// A variant as it leaves the pool.
pub(super) struct Encoded {
    pub(super) bytes: Bytes,
    pub(super) etag: Hash,
}

impl From<Vec<u8>> for Encoded {
    fn from(bytes: Vec<u8>) -> Self {
        Self { etag: Hash::from_bytes(Sha256::digest(&bytes).into()), bytes: bytes.into() }
    }
}

/// The file that is to come of the pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) format: OutputFormat,
    pub(super) settings: Settings,
    finish: Finish,
}

impl Target {
    /// That of a variant.
    pub(super) fn of(variant: &Variant, encoders: &Encoders) -> Self {
        let format = variant.format();
        Self { format, settings: encoders.of(format, variant.quality()), finish: variant.finish() }
    }

    /// The picture as a file.
    fn encoded(&self, picture: &Picture, stop: &Stop) -> Result<Vec<u8>, CodecError> {
        let aim = (self.finish.aim == Some(Aim::Likeness), self.finish.max_bytes);
        if aim == (false, None) {
            return codec::encode_picture(picture, self.format, self.settings);
        }
        let budget = Budget { deadline: stop.deadline(), ..Budget::default() };
        codec::encode_aiming(picture, self.format, self.settings, aim, &budget)
    }

    /// The picture on the background that was asked for.
    pub(super) fn laid(&self, pixmap: Pixmap) -> Result<Pixmap, ServiceError> {
        let Some(background) = self.finish.background else { return Ok(pixmap) };
        codec::lay_on(pixmap, background.0).map_err(|_misshapen| ServiceError::Panicked)
    }
}

/// What encoding the result of the plan holds at its peak.
pub(super) fn encoding_bytes(plan: &Plan, variant: &Variant) -> u64 {
    let avif_bytes = if variant.format() == OutputFormat::Avif { AVIF_BYTES_A_PIXEL } else { 0 };
    let Size { width, height } = plan.output();
    let is_tried = variant.finish().aim == Some(Aim::Likeness);
    let likeness_bytes = if is_tried { codec::likeness_bytes(width, height) } else { 0 };
    plan.output().pixels() * (avif_bytes + 4) + likeness_bytes
}

/// Runs the plan on the picture and encodes what comes out.
pub(super) fn finish(
    picture: Picture,
    plan: Plan,
    ops: &[Op],
    target: Target,
    (engines, stages): (&Engines, &Stages),
    stop: &Stop,
) -> Result<Encoded, ServiceError> {
    let plan = plan.with_form(form(&picture, ops, target.format, target.settings));
    let made = if plan.is_identity() {
        picture
    } else {
        let mut made = exec::run_all(&plan, (&picture).into(), engines, stop)?;
        drop(picture);
        made.pop().ok_or(ServiceError::Panicked)?
    };
    let made = match made {
        Picture::Packed(pixmap) if matches!(pixmap.layout(), Layout::Rgba | Layout::LumaAlpha) => {
            Picture::Packed(target.laid(pixmap)?)
        }
        opaque @ (Picture::Packed(_) | Picture::Planar(_)) => opaque,
    };
    Ok(Encoded::from(stages.time(Stage::Encode, || target.encoded(&made, stop))?))
}
