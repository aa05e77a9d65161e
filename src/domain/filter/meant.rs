//! Which value somebody may have meant whose value is none.

use super::{Gravity, Resampling};
use crate::domain::nearest;

/// The end of a message that `value` is none that the filter or parameter takes: the nearest that is, or nothing where that cannot be told.
pub(super) fn meant(name: &str, value: &str) -> String {
    nearest_to(name, value).map_or_else(String::new, |value| format!("; the nearest is {value}"))
}

fn nearest_to(name: &str, value: &str) -> Option<String> {
    let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let word = |known: &[&'static str]| nearest(value, known.iter().copied()).map(str::to_owned);
    let within = |min: f64, max: f64| number.map(|number| (number.clamp(min, max) + 0.0).to_string());
    let whole = |min: f64, max: f64| number.map(|number| number.round().clamp(min, max).to_string());
    match name {
        "thumbnail" | "max_bytes" => whole(1.0, f64::from(u32::MAX)),
        "quality" => whole(1.0, 100.0).or_else(|| word(&["auto"])),
        "dpr" => within(0.25, 8.0),
        "brightness" | "contrast" | "saturation" => within(-100.0, 100.0),
        "rotate" => number.map(|degrees| (90.0 * (degrees / 90.0).round()).rem_euclid(360.0).to_string()),
        "grayscale" => word(&["true", "false"]),
        "flip" => word(&["horizontal", "vertical", "both"]),
        "gravity" => nearest(value, Gravity::ALL.map(Gravity::name)).map(str::to_owned),
        "crop" | "cover" => {
            let (frame, gravity) = value.split_once('.')?;
            nearest(gravity, Gravity::ALL.map(Gravity::name)).map(|gravity| format!("{frame}.{gravity}"))
        }
        "resize" => match value.split_once('.') {
            Some((with, side)) => {
                nearest(with, Resampling::ALL.map(Resampling::name)).map(|with| format!("{with}.{side}"))
            }
            None => whole(1.0, f64::from(u32::MAX)),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::Asked;

    #[test]
    fn what_is_told_to_be_nearest_is_taken() {
        for (name, wrong, right) in [
            ("thumbnail", "0", "1"),
            ("thumbnail", "12.7", "13"),
            ("thumbnail", "-3", "1"),
            ("resize", "0", "1"),
            ("resize", "lanczos4.9", "lanczos3.9"),
            ("resize", "bilinaer.a100", "bilinear.a100"),
            ("quality", "101", "100"),
            ("quality", "0", "1"),
            ("quality", "auot", "auto"),
            ("dpr", "9", "8"),
            ("dpr", "-1", "0.25"),
            ("contrast", "150", "100"),
            ("brightness", "-100.5", "-100"),
            ("rotate", "95", "90"),
            ("rotate", "-80", "270"),
            ("rotate", "359", "0"),
            ("grayscale", "ture", "true"),
            ("flip", "horizontl", "horizontal"),
            ("gravity", "smrt", "smart"),
            ("gravity", "NorthEast", "northeast"),
            ("crop", "16x9.nroth", "16x9.north"),
            ("max_bytes", "0.5", "1"),
        ] {
            let told = Asked::read([(name, wrong)], |_| true).unwrap_err().to_string();
            assert!(told.ends_with(&format!("; the nearest is {right}")), "{name}={wrong}: {told}");
            Asked::read([(name, right)], |_| true).unwrap();
        }
        for (name, wrong) in [("thumbnail", "big"), ("crop", "wide"), ("fit", "9"), ("blur", "NaN"), ("gravity", "?")] {
            let told = Asked::read([(name, wrong)], |_| true).unwrap_err().to_string();
            assert!(!told.contains("nearest"), "{name}={wrong}: {told}");
        }
    }
}
