//! The page as a person meets it: the program, and a real browser that is driven by WebDriver.
//!
//! Needs Chromium and its driver. Where they are not there the stories say `skipped: no browser`, or fail with `REQUIRE_BROWSER=1`.
//! Pictures of the page lie in `target/tmp/screenshots` afterwards.
#![cfg(test)]

mod access;
#[expect(dead_code, reason = "what the stories of tests/api need, of which some is needed here")]
#[path = "../api/binary.rs"]
mod binary;
mod browser;
#[expect(dead_code, reason = "what the stories of tests/api need, of which some is needed here")]
#[path = "../api/client.rs"]
mod client;
#[expect(dead_code, reason = "what the stories of tests/api need, of which some is needed here")]
#[path = "../api/form.rs"]
mod form;
mod landscape;
mod looks;
mod operator;
mod playground;
mod upload;
