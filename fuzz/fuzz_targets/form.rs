//! A multipart form: no panic, nothing that did not come in, and the same however the network cuts it.

#![no_main]

use bytes::Bytes;
use glimt::http::parts_of;
use libfuzzer_sys::fuzz_target;

/// The body after the first line, cut into frames of this many bytes.
fn frames(body: &[u8], length: usize) -> Vec<Bytes> {
    body.chunks(length.max(1)).map(Bytes::copy_from_slice).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (line, body) = bytes.split_at(end);
    let content_type = std::str::from_utf8(line).ok().filter(|line| line.contains("boundary"));
    let content_type = content_type.unwrap_or("multipart/form-data; boundary=b");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let parse = |length| runtime.block_on(parts_of(content_type, frames(body, length)));
    let (whole, cut) = (parse(body.len()), parse(usize::from(cut)));
    if let Ok(parts) = &whole {
        assert!(parts.iter().map(|part| part.body.len()).sum::<usize>() <= body.len());
    }
    assert_eq!(whole.is_ok(), cut.is_ok(), "{whole:?} in one piece, {cut:?} in many");
    if let (Ok(whole), Ok(cut)) = (whole, cut) {
        assert_eq!(whole, cut);
    }
});
