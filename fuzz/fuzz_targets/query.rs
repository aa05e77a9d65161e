//! A query: whatever it says, the key of its variant says the same again.

#![no_main]

use glimt::domain::{Asked, OutputFormat};
use libfuzzer_sys::fuzz_target;

/// The pairs of `name=value&name=value`.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fuzz_target!(|query: &str| {
    let mut good = Vec::new();
    for pair in pairs(query) {
        match Asked::read([pair], |_| true) {
            Ok(_) => good.push(pair),
            Err(error) => {
                let message = error.to_string();
                assert!(message.chars().count() < 300 && !message.contains(char::is_control), "{message:?}");
            }
        }
    }
    let extension = query.rsplit(['&', '.']).next().unwrap_or_default();
    let format = OutputFormat::from_extension(extension).unwrap_or(OutputFormat::Jpg);
    let asked = Asked::read(good, |_| true).expect("each was read by itself");
    let Ok(variant) = asked.variant(format) else { return };
    let key = variant.key();
    let (again, extension) = key.as_str().rsplit_once('&').unwrap_or(("", key.as_str()));
    let format = OutputFormat::from_extension(extension).expect("a key ends with a format");
    let again = Asked::read(pairs(again), |_| true).expect("a key is a query");
    let again = again.variant(format).expect("a key has no more filters than its query");
    assert_eq!(&again.key(), &key);
    // It is a part of the name of a file.
    assert!(key.as_str().len() < 1200 && key.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'));
});
