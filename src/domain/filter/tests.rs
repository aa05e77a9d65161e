//! Filters as queries have them.

use super::*;

fn parse(name: &str, value: &str) -> Option<Filter> {
    Filter::parse(name, value).map(Result::unwrap)
}

#[test]
fn values_are_read_as_the_contract_says() {
    assert_eq!(parse("thumbnail", "256"), Some(Filter::Thumbnail(256)));
    assert_eq!(parse("thumbnail", "99999999999999999999"), Some(Filter::Thumbnail(u32::MAX)));
    assert_eq!(parse("blur", "3.0"), Some(Filter::Blur(3.0)));
    assert_eq!(parse("blur", "-1"), Some(Filter::Blur(0.0)));
    assert_eq!(parse("blur", "1e4"), Some(Filter::Blur(10_000.0)));
    assert_eq!(parse("identity", "true"), Some(Filter::Identity));
    assert_eq!(parse("Thumbnail", "256"), None);
    assert_eq!(parse("utm_source", "x"), None);
}

#[test]
fn unreadable_values_are_named() {
    for value in ["", "abc", "0", "-1", "1e9", "1.5", "+5", " 5", "0x10"] {
        let error = Filter::parse("thumbnail", value).unwrap().unwrap_err();
        assert!(error.to_string().starts_with(&format!("thumbnail={value} cannot be read")), "{error}");
    }
    for value in ["", "abc", "NaN", "inf", "-inf", "1e999"] {
        let error = Filter::parse("blur", value).unwrap().unwrap_err();
        assert!(error.to_string().starts_with(&format!("blur={value} cannot be read")), "{error}");
    }
    let error = Filter::parse("blur", "1e9").unwrap().unwrap_err();
    assert_eq!(error.to_string(), "blur=1e9 is over the limit of 10000");
}

#[test]
fn every_filter_reads_back_as_it_is_shown() {
    for (name, value, shown) in [
        ("thumbnail", "256", "thumbnail=256"),
        ("resize", "256", "resize=lanczos3.256"),
        ("resize", "CatmullRom.100", "resize=catmullrom.100"),
        ("resize", "Catrom.a10000", "resize=catmullrom.a10000"),
        ("resize", "a10000", "resize=lanczos3.a10000"),
        ("fit", "300x200", "fit=300x200"),
        ("cover", "300x200", "cover=300x200"),
        ("crop", "16x9", "crop=16x9"),
        ("crop", "16x9.centre", "crop=16x9"),
        ("crop", "16x9.northwest", "crop=16x9.northwest"),
        ("cover", "16x9.smart", "cover=16x9.smart"),
        ("blur", "3.0", "blur=3"),
        ("sharpen", "1.5", "sharpen=1.5x1"),
        ("sharpen", "1x0.5", "sharpen=1x0.5"),
        ("grayscale", "", "grayscale=true"),
        ("brightness", "-12.504", "brightness=-12.5"),
        ("contrast", "100", "contrast=100"),
        ("saturation", "-100", "saturation=-100"),
        ("rotate", "-90", "rotate=270"),
        ("flip", "h", "flip=horizontal"),
        ("flip", "both", "flip=both"),
    ] {
        let filter = parse(name, value).unwrap();
        assert_eq!(filter.to_string(), shown);
        let (again, value) = shown.split_once('=').unwrap();
        assert_eq!((again, parse(again, value)), (filter.name(), Some(filter)));
        assert!(Filter::NAMES.contains(&filter.name()) && !filter.is_identity());
    }
    for (name, value) in [("rotate", "360"), ("brightness", "-0"), ("sharpen", "0"), ("sharpen", "1x0")] {
        assert!(parse(name, value).unwrap().is_identity(), "{name}={value}");
    }
    assert_eq!(parse("contrast", "-0").unwrap().to_string(), "contrast=0");
    for name in Filter::NAMES {
        assert!(Filter::parse(name, "1").is_some(), "{name}");
    }
}

#[test]
fn what_is_wrong_is_told_with_what_would_be_right() {
    for (name, value, part) in [
        ("resize", "Lanczos9.10", "resize=Lanczos9.10 cannot be read: resize takes a whole number"),
        ("resize", "lanczos3.", "cannot be read"),
        ("resize", "a0", "cannot be read"),
        ("fit", "300", "takes a width and a height, as 300x200"),
        ("cover", "300x", "cannot be read"),
        ("crop", "0x9", "cannot be read"),
        ("crop", "70000x9", "crop=70000x9 is over the limit of 65535"),
        ("crop", "-1x9", "cannot be read"),
        ("crop", "16x9.up", "crop=16x9.up cannot be read: crop takes a width and a height, as 300x200, and a gravity"),
        ("sharpen", "4.5", "sharpen=4.5 is over the limit of 4"),
        ("sharpen", "1x11", "sharpen=11 is over the limit of 10"),
        ("sharpen", "sharp", "takes a standard deviation in pixels"),
        ("grayscale", "maybe", "takes true or false"),
        ("brightness", "101", "takes a change in percent, from -100 to 100"),
        ("contrast", "NaN", "cannot be read"),
        ("rotate", "45", "takes degrees clockwise: 90, 180 or 270"),
        ("flip", "diagonal", "takes horizontal, vertical or both"),
    ] {
        let error = Filter::parse(name, value).unwrap().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(Gravity::parse("middle").unwrap_err().to_string().contains("takes smart, center"));
    assert_eq!(Gravity::parse("centre"), Ok(Gravity::Center));
    for gravity in Gravity::ALL {
        assert_eq!(Gravity::parse(gravity.name()), Ok(gravity));
    }
}

#[test]
fn what_is_said_in_pixels_is_scaled() {
    let scaled = |name, value, by| parse(name, value).unwrap().scaled(by).to_string();
    assert_eq!(scaled("thumbnail", "101", 1.5), "thumbnail=152");
    assert_eq!(scaled("thumbnail", "99999999999", 4.0), "thumbnail=4294967295");
    assert_eq!(scaled("thumbnail", "1", 0.25), "thumbnail=1");
    assert_eq!(scaled("resize", "a100", 2.0), "resize=lanczos3.a400");
    assert_eq!(scaled("cover", "30x20", 2.0), "cover=60x40");
    assert_eq!(scaled("crop", "16x9", 2.0), "crop=16x9");
    assert_eq!(scaled("blur", "3", 2.0), "blur=6");
    assert_eq!(scaled("sharpen", "3x1", 2.0), "sharpen=4x1");
}
