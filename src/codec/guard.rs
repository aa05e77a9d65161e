//! The line a panicking codec does not cross: it costs one request, not the process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::CodecError;

/// What `work` returns, or [`CodecError::Panicked`] when it panics.
///
/// Unwind safety: `work` owns or only reads what it touches, so nothing half-changed outlives the panic.
pub(super) fn guard<T>(format: &'static str, work: impl FnOnce() -> Result<T, CodecError>) -> Result<T, CodecError> {
    catch_unwind(AssertUnwindSafe(|| {
        #[cfg(test)]
        tests::trip();
        work()
    }))
    .unwrap_or(Err(CodecError::Panicked { format }))
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static ARMED: Cell<bool> = const { Cell::new(false) };
    }

    /// Makes the next guarded work of this thread panic.
    pub(in crate::codec) fn arm() {
        ARMED.set(true);
    }

    /// Panics once after [`arm`].
    pub(super) fn trip() {
        assert!(!ARMED.replace(false), "injected");
    }

    #[test]
    fn a_panic_is_an_error_and_an_error_stays_itself() {
        assert_eq!(guard::<()>("PNG", || panic!("boom")), Err(CodecError::Panicked { format: "PNG" }));
        assert_eq!(guard::<()>("PNG", || Err(CodecError::TimedOut)), Err(CodecError::TimedOut));
        assert_eq!(guard("PNG", || Ok(1)), Ok(1));
    }
}
