//! A query: whatever it says, the key of its variant says the same again.

#![no_main]

use glimt::domain::{Filter, OutputFormat, Variant};
use libfuzzer_sys::fuzz_target;

/// The filters of `name=value&name=value`, those that cannot be read left out.
fn filters(query: &str) -> Vec<Filter> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(name, value)| Filter::parse(name, value)).filter_map(Result::ok).collect()
}

fuzz_target!(|query: &str| {
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let Some(Err(error)) = Filter::parse(name, value) {
            let message = error.to_string();
            assert!(message.chars().count() < 200 && !message.contains(char::is_control), "{message:?}");
        }
    }
    let extension = query.rsplit(['&', '.']).next().unwrap_or_default();
    let format = OutputFormat::from_extension(extension).unwrap_or(OutputFormat::Jpg);
    let Ok(variant) = Variant::new(&filters(query), format) else { return };
    let key = variant.key();
    let (again, extension) = key.as_str().rsplit_once('&').unwrap_or(("", key.as_str()));
    let format = OutputFormat::from_extension(extension).expect("a key ends with a format");
    let again = Variant::new(&filters(again), format).expect("a key has no more filters than its query");
    assert_eq!((&again.key(), &again), (&key, &variant));
    // It is a part of the name of a file.
    assert!(key.as_str().len() < 1000 && key.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'));
});
