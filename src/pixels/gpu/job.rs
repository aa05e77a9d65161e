//! One picture's way through a device: made and filled on the caller's thread, read on it too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::DeviceError;
use super::program::Program;
use super::vram::{Lease, Reservation, Use, Vram};
use crate::pixels::pixmap::{Picture, Source};
use crate::pixels::stop::{Stop, Stopped};

/// A job ready for the device: its bytes are in memory that the device can copy from.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) program: Program,
    pub(super) upload: Lease,
    pub(super) promised: Arc<Reservation>,
    pub(super) stop: Stop,
}

/// Why a job was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unmade {
    Stopped(Stopped),
    Device(DeviceError),
}

impl Job {
    /// Waits for memory on the device, and copies constants and pixels once, to where the device takes them from.
    pub(super) fn new(program: Program, source: Source<'_>, vram: &Arc<Vram>, stop: &Stop) -> Result<Self, Unmade> {
        let bytes = program.classed_bytes(|bytes| vram.class(bytes));
        let promised = vram.reserve(bytes, stop).map_err(Unmade::Stopped)?;
        let promised = Arc::new(promised.ok_or(Unmade::Device(DeviceError::Unavailable))?);
        let fill = || {
            let mut upload = vram.lend(Use::Upload, program.up_bytes());
            let start = program.source_start();
            upload.fill(|put| {
                put(0, &program.constants);
                program.upload.write(source, |offset, bytes| put(start + offset, bytes));
            })?;
            Ok(upload)
        };
        // A device that goes away just now may panic in here.
        let upload =
            catch_unwind(AssertUnwindSafe(fill)).unwrap_or(Err(DeviceError::Panicked)).map_err(Unmade::Device)?;
        Ok(Self { program, upload, promised, stop: stop.clone() })
    }
}

/// A job that is done: its bytes are in memory that can be read.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) program: Program,
    pub(super) read_back: Lease,
    /// Held until the bytes are out.
    pub(super) promised: Arc<Reservation>,
}

impl Done {
    /// The pictures; copied once, on the caller's thread.
    pub(super) fn pictures(self) -> Result<Vec<Picture>, DeviceError> {
        let Self { program, read_back, promised } = self;
        let invalid = |reason: String| DeviceError::Invalid { reason };
        let read = || {
            let view =
                read_back.buffer().get_mapped_range(0..program.down_bytes()).map_err(|e| invalid(e.to_string()))?;
            program.pictures(&view).map_err(|error| invalid(error.to_string()))
        };
        let pictures = catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(DeviceError::Panicked));
        drop(read_back);
        drop(promised);
        pictures
    }
}
