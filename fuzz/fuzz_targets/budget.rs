//! The budget of all targets: small, so that many inputs are tried in little time.

use glimt::codec::Budget;

/// 1 megapixel, 16 frames, 64 MiB.
pub fn small() -> Budget {
    Budget {
        max_pixels: 1_000_000,
        max_frames: 16,
        max_animation_pixels: 2_000_000,
        max_scans: 20,
        max_scan_pixels: 10_000_000,
        max_memory_bytes: 64 << 20,
        ..Budget::default()
    }
}

/// Says nothing of panics that are caught: the codec catches those of its libraries, and the targets look at what it
/// answers then. A panic that is not caught still ends the run.
pub fn quiet() {
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
}
