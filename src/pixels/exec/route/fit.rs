//! A line through measurements: non-negative rates that come closest to what jobs took.

use std::time::Duration;

/// Terms of a line.
pub const PARTS: usize = 4;

/// Seconds for each unit of each part of a job; none is negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// In the order of the parts.
    pub secs: [f64; PARTS],
}

/// A job that was measured: its parts, and how long it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// How much of each part it has.
    pub parts: [f64; PARTS],
    /// How long it took.
    pub took: Duration,
}

/// Rounds over all parts; each round lowers the error, and a few dozen are enough for four.
const ROUNDS: usize = 400;

impl Line {
    /// Seconds for a job of these parts.
    #[must_use]
    pub fn secs(&self, parts: &[f64; PARTS]) -> f64 {
        self.secs.iter().zip(parts).map(|(secs, part)| secs * part).sum()
    }

    /// The line with the smallest sum of squares of *relative* errors, so that a small job counts as much as a large one.
    /// Least squares under non-negative rates, one coordinate after the other (Franc, Hlavac, Navara: Sequential
    /// Coordinate-wise Algorithm for the Non-negative Least Squares Problem, 2005). Zeros without samples.
    #[must_use]
    pub fn fit(samples: &[Sample]) -> Self {
        let rows: Vec<[f64; PARTS]> =
            samples.iter().map(|sample| sample.parts.map(|part| part / sample.took.as_secs_f64().max(1e-9))).collect();
        let mut line = Self { secs: [0.0; PARTS] };
        for _ in 0..ROUNDS {
            for part in 0..PARTS {
                let (mut top, mut bottom) = (0.0, 0.0);
                for row in &rows {
                    let own = row.get(part).copied().unwrap_or(0.0);
                    let rate = line.secs.get(part).copied().unwrap_or(0.0);
                    let others = line.secs(row) - rate * own;
                    top += own * (1.0 - others);
                    bottom += own * own;
                }
                if let Some(rate) = line.secs.get_mut(part) {
                    *rate = if bottom > 0.0 { (top / bottom).max(0.0) } else { 0.0 };
                }
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_its_own_samples_is_found_again() {
        let line = Line { secs: [1e-4, 2e-9, 3e-10, 5e-9] };
        let jobs = [
            [1.0, 1e4, 1e5, 1e3],
            [1.0, 1e6, 1e8, 3e5],
            [1.0, 3e6, 2e7, 2e5],
            [1.0, 1e6, 1e9, 1e6],
            [1.0, 2e5, 1e6, 2e5],
        ];
        let samples = jobs.map(|parts| Sample { parts, took: Duration::from_secs_f64(line.secs(&parts)) });
        let found = Line::fit(&samples);
        for parts in jobs {
            assert!((found.secs(&parts) / line.secs(&parts) - 1.0).abs() < 0.02, "{found:?}");
        }
        assert!(found.secs.iter().all(|secs| *secs >= 0.0));
        assert_eq!(Line::fit(&[]).secs, [0.0; PARTS]);
    }
}
