//! Whether all that are timed do the same work: their results are held against each other once, before the clock runs.

use glimt::pixels::{Engines, Layout, Op, Picture, Pixmap};

use crate::table::Who;
use crate::work::{Kind, TWO, Work, is_for_crates};
use crate::{Outcome, crates};

/// The least likeness, in decibels of 255: of the crates in linear light to the cpu engine.
const LINEAR_DB: f64 = 55.0;
/// Of devices to the cpu engine.
const DEVICE_DB: f64 = 60.0;
/// Of `image::imageops` to the crates on codes, which round to 8 bits between passes.
const CODES_DB: f64 = 50.0;

/// Peak signal to noise of two pictures of the same size; infinite where they are equal.
fn decibels(one: &[u8], other: &[u8]) -> Outcome<f64> {
    if one.len() != other.len() || one.is_empty() {
        return Err(format!("{} bytes beside {}", one.len(), other.len()).into());
    }
    let squares = one.iter().zip(other).map(|(one, other)| f64::from(one.abs_diff(*other)).powi(2));
    let mean = squares.sum::<f64>() / f64::from(u32::try_from(one.len())?);
    Ok(10.0 * (255.0 * 255.0 / mean).log10())
}

/// What one does to a picture.
pub(crate) type Alone = fn(&Pixmap, &[Op]) -> Outcome<Vec<u8>>;

/// The crates alone, and how.
pub(crate) const ALONE: [(Who, Alone); 3] =
    [(Who::Linear, crates::linear), (Who::Codes, crates::codes), (Who::Newcomer, crates::newcomer)];

/// One line a work: how alike the results are.
///
/// # Errors
/// When two that are compared do not do the same.
pub(crate) fn check(all: &[Engines], works: &[&Work]) -> Outcome<Vec<String>> {
    let kind = Kind::Packed(Layout::Rgb);
    let picture = kind.picture(TWO.1)?;
    let Picture::Packed(image) = &picture else { return Err("a packed picture was asked for".into()) };
    let mut lines = Vec::new();
    for work in works {
        let mut reference = None;
        let mut told = Vec::new();
        for engines in all {
            let made = work.job(kind, &picture, engines)?()?.into_iter().next().ok_or("no picture")?;
            let made = made.into_pixmap()?.into_data();
            match &reference {
                None => reference = Some(made),
                Some(cpu) => told.push((Who::of(engines.chosen()), decibels(cpu, &made)?, DEVICE_DB)),
            }
        }
        let (cpu, ops) = (reference.ok_or("no engine")?, (work.ops)(TWO.1));
        if is_for_crates(&ops) {
            let codes = crates::codes(image, &ops)?;
            told.push((Who::Linear, decibels(&cpu, &crates::linear(image, &ops)?)?, LINEAR_DB));
            told.push((Who::Newcomer, decibels(&codes, &crates::newcomer(image, &ops)?)?, CODES_DB));
        }
        let parts: Vec<String> = told.iter().map(|(who, got, _)| format!("{} {got:.1} dB", who.name())).collect();
        lines.push(format!("{}: {}", work.name, parts.join(", ")));
        for (who, got, least) in told {
            // Not a number is not alike either.
            if got.is_nan() || got < least {
                let name = who.name();
                return Err(format!("{}: {name} is only {got:.1} dB like, {least} are asked", work.name).into());
            }
        }
    }
    Ok(lines)
}

/// That the comparison tells: a picture shifted by one pixel, and a blur that is a little wider, must fail it.
///
/// # Errors
/// When they pass.
pub(crate) fn check_the_check() -> Outcome<()> {
    let Picture::Packed(image) = Kind::Packed(Layout::Rgb).picture(TWO.1)? else { return Err("not packed".into()) };
    let shifted = [image.data().get(3..).unwrap_or_default(), &[0; 3]].concat();
    let blurred = |sigma| crates::linear(&image, &[Op::Blur { sigma }]);
    let three = blurred(3.0)?;
    for (one, other, bound) in
        [(image.data(), &shifted, CODES_DB), (&three, &blurred(3.2)?, LINEAR_DB), (&three, &blurred(3.5)?, CODES_DB)]
    {
        let got = decibels(one, other)?;
        if got >= bound {
            return Err(format!("{got:.1} dB of likeness tell nothing").into());
        }
    }
    Ok(())
}
