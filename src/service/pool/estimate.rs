//! How long a job would wait: Little's law with what is known before it comes in.

use std::time::Duration;

/// The time until a thread is free for one more job in a lane with `held` jobs, running ones among them, of `service` each; the `other`
/// lane has up to half of the `workers`.
pub(super) fn expected_wait(held: usize, other: usize, workers: usize, service: Duration) -> Duration {
    // Halves of a thread, so that it comes out whole.
    let share = (2 * workers - other.min(workers)).max(1);
    // Those that run are half done on average, and the one that asks needs one thread of them.
    let before = (2 * held + 1).saturating_sub(share);
    if before == 0 {
        return Duration::ZERO;
    }
    let (before, share) = (u32::try_from(before).unwrap_or(u32::MAX), u32::try_from(share).unwrap_or(u32::MAX));
    service.saturating_mul(before) / share
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn nobody_waits_while_a_thread_is_free() {
        for workers in 1..9 {
            for held in 0..workers {
                assert_eq!(expected_wait(held, 0, workers, SECOND), Duration::ZERO, "{held} of {workers}");
            }
            assert!(expected_wait(workers, 0, workers, SECOND) > Duration::ZERO);
        }
    }

    #[test]
    fn a_queue_is_done_in_the_time_of_its_jobs_over_its_threads() {
        let wait = |held, other| expected_wait(held, other, 2, SECOND).as_secs_f64();
        assert!((wait(66, 0) - 32.25).abs() < 1e-6, "{}", wait(66, 0));
        // With uploads on one of two threads it takes twice as long, however many uploads wait.
        assert!((wait(66, 2) - 65.5).abs() < 1e-6 && (wait(66, 2) - wait(66, 50)).abs() < 1e-6);
        assert!(wait(66, 1) > wait(66, 0) && wait(66, 1) < wait(66, 2));
        assert_eq!(expected_wait(1000, 9, 2, Duration::ZERO), Duration::ZERO, "nothing is known yet");
        assert!(expected_wait(usize::MAX / 4, 0, 1, Duration::MAX) > SECOND);
    }
}
