//! The first thing that went wrong with a device.

use std::sync::{Arc, Mutex, PoisonError};

use super::DeviceError;

/// Shared with wgpu's callbacks, which may run on any thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault(Arc<Mutex<Option<DeviceError>>>);

impl Fault {
    /// Keeps the error unless one is kept already: later ones follow from it.
    pub(super) fn record(&self, error: DeviceError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// The error kept.
    ///
    /// # Errors
    /// That error.
    pub(super) fn check(&self) -> Result<(), DeviceError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
}
