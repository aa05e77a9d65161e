//! Any bytes: no panic, no more memory than was said, and the ways to decode agree on what decodes, and on its size.

#![no_main]

mod budget;

use glimt::codec::{self, CodecError, Quality, Scale};
use glimt::domain::OutputFormat;
use glimt::pixels::Size;
use glimt::pixels::pixmap::Source;
use libfuzzer_sys::fuzz_target;

/// Why an animation is made no further.
#[derive(Debug)]
enum Stop {
    Enough,
    Codec(CodecError),
}

impl From<CodecError> for Stop {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

fn survived<T>(result: &Result<T, CodecError>) {
    if let Err(error) = result {
        assert!(!matches!(error, CodecError::Panicked { .. }), "{error}");
        assert!(!error.to_string().is_empty());
    }
}

fuzz_target!(init: budget::quiet(), |bytes: &[u8]| {
    let budget = budget::small();
    let (peak, plain, engine) =
        (codec::peak_bytes(bytes), codec::decode(bytes, &budget), codec::decode_for_engine(bytes, Scale::Whole, &budget));
    survived(&peak);
    survived(&plain);
    survived(&engine);
    match (&plain, &engine) {
        (Ok(plain), Ok(engine)) => {
            assert!(codec::sniff(bytes).is_some() && peak.is_ok());
            let (width, height) = Source::from(&engine.picture).size();
            let upright = engine.orientation.size(Size::new(width, height));
            assert_eq!((upright.width, upright.height), (plain.width(), plain.height()));
        }
        (Err(plain), Err(engine)) => assert_eq!(plain, engine),
        _ => panic!("{:?} and {:?}", plain.is_ok(), engine.is_ok()),
    }
    let mut frames = 0;
    let moved = codec::animate::<Stop>(bytes, OutputFormat::Webp, Quality::default(), &budget, |frame| {
        frames += 1;
        // Enough of them to see that frames follow each other, and few enough to be quick: only small ones are written.
        if frames > 3 || frame.width() > 64 || frame.height() > 64 { Err(Stop::Enough) } else { Ok(frame) }
    });
    if let Err(Stop::Codec(error)) = moved {
        survived::<()>(&Err(error));
    }
});
