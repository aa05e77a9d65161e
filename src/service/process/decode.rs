//! From the file of an original to pixels for the engine, and to its proxy on the way.

use super::{super::ServiceError, Work};
use crate::{
    codec::{self, Budget, Decoded, Scale},
    pixels::{Engines, Op, Orientation, Picture, Plan, PlanError, PlanLimits, Size, Stop, exec},
    service::proxies::Proxy,
    timing::{Stage, Stages},
};

/// What there is memory for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A JPEG as our own decoder divides it.
    Divided,
    /// Any picture, whole.
    Any,
}

/// The plan of `ops` for a picture that comes as its proxy.
pub(super) fn plan_for(ops: &[Op], proxy: &Proxy, limits: &PlanLimits) -> Result<Plan, PlanError> {
    let ops: Vec<Op> = [Op::Orient(proxy.orientation)].into_iter().chain(ops.iter().copied()).collect();
    Plan::divided(&ops, proxy.whole, proxy.divisor, limits)
}

/// The proxy of what was decoded: that itself where its decoder has divided it, else the picture divided now.
pub(super) fn divided(
    decoded: Decoded,
    divisor: u32,
    limits: &PlanLimits,
    engines: &Engines,
    stop: &Stop,
) -> Result<Proxy, ServiceError> {
    if decoded.scale.divisor() == divisor {
        return Ok(decoded.into());
    }
    let Decoded { picture, orientation, whole: (width, height), .. } = decoded;
    let whole = Size::new(width, height);
    let plan = Plan::dividing(whole, divisor, limits)?;
    let mut made = exec::run_all(&plan, (&picture).into(), engines, stop)?;
    let picture = made.pop().ok_or(ServiceError::Panicked)?;
    Ok(Proxy { picture, orientation, divisor, whole })
}

/// A picture for the engine, and what to do with it.
pub(super) struct Ready {
    pub(super) picture: Picture,
    pub(super) plan: Plan,
    /// The same picture, where that is one.
    pub(super) proxy: Option<Proxy>,
}

/// The picture for the engine, and the plan for it; `None` where `source` is not to be had of this file.
///
/// Planes are worth it on every engine. The cpu engine turns them into RGB row by row, which costs less than a decoder that
/// does it: all of the 12 photos (121 MP), decoded and reduced to 256 px on one thread, took 0.93 s of CPU from planes and 1.20 s
/// from the library decoder's RGB; to 1024 px 1.19 and 1.45 s. A device takes half the bytes besides.
///
/// Planes that are stored turned are planned again as they lie. Steps then go down where they went across, so what the
/// engine holds may be some rows more than was reserved for; but by then what the decoder held is down to the planes, 3 bytes
/// a pixel at most of [`DECODE_BYTES_A_PIXEL`] and of the 4 in the plan.
pub(super) fn decode(
    bytes: &[u8],
    (apart, budget): (Option<codec::Apart<'_>>, &Budget),
    work: &Work,
    limits: &PlanLimits,
    source: Source,
    stages: &Stages,
    divide: impl FnOnce(Decoded, u32) -> Result<Proxy, ServiceError>,
) -> Result<Option<Ready>, ServiceError> {
    let plan = &work.plan;
    let decoded = stages.time(Stage::Decode, || match source {
        Source::Divided => codec::decode_divided(bytes, work.scale(), budget),
        Source::Any => codec::decode_for_engine_by(bytes, work.scale(), apart, budget).map(Some),
    })?;
    let Some(decoded) = decoded else { return Ok(None) };
    if let Some(divisor) = work.wanted {
        let proxy = divide(decoded, divisor)?;
        if let Ok(plan) = plan_for(&work.ops, &proxy, limits) {
            let picture = proxy.picture.clone();
            return Ok(Some(Ready { picture, plan, proxy: Some(proxy) }));
        }
    } else {
        let Decoded { picture, orientation, scale, whole } = decoded;
        if orientation == Orientation::UPRIGHT && scale == Scale::Whole {
            return Ok(Some(Ready { picture, plan: plan.clone(), proxy: None }));
        }
        let ops: Vec<Op> = [Op::Orient(orientation)].into_iter().chain(work.ops.iter().copied()).collect();
        let whole = Size::new(whole.0, whole.1);
        if let Ok(plan) = Plan::divided(&ops, whole, scale.divisor(), limits) {
            return Ok(Some(Ready { picture, plan, proxy: None }));
        }
    }
    // Within the limits one way round and past them the other.
    match source {
        Source::Divided => Ok(None),
        Source::Any => {
            let decoded = stages.time(Stage::Decode, || codec::decode_by(bytes, apart, budget))?;
            let picture = Picture::Packed(decoded);
            Ok(Some(Ready { picture, plan: plan.clone(), proxy: None }))
        }
    }
}
