//! Many jobs at a time: as many threads, each with one picture after the other.

use std::sync::atomic::{AtomicBool, Ordering};

use glimt::pixels::{Engines, Layout};

use crate::Outcome;
use crate::clock::{Clock, Time};
use crate::table::{Figure, Row, Who};
use crate::work::{Kind, Named, Work, megapixels};

/// The time an image of `work` with `count` of them in flight, on each engine.
pub(crate) fn row(clock: &mut Clock, all: &[Engines], work: &Work, at: Named, count: u32) -> Outcome<Option<Row>> {
    let (kind, (name, size)) = (Kind::Packed(Layout::Rgb), at);
    let mut row = Row::new(format!("{}, {count} in flight, an image", work.name), format!("{name} {}", kind.name()));
    if !clock.asked(&row.name()) {
        return Ok(None);
    }
    let picture = kind.picture(size)?;
    for engines in all {
        let job = work.job(kind, &picture, engines)?;
        // One round is `count` images, each on a thread of its own. Starting that takes some 20 us of an image's time.
        let round = || -> Outcome<()> {
            let failed = AtomicBool::new(false);
            std::thread::scope(|scope| -> std::io::Result<()> {
                for _ in 0..count {
                    std::thread::Builder::new().name("flight".to_owned()).spawn_scoped(scope, || {
                        if job().is_err() {
                            failed.store(true, Ordering::Relaxed);
                        }
                    })?;
                }
                Ok(())
            })?;
            if failed.into_inner() { Err("a job failed".into()) } else { Ok(()) }
        };
        let (who, before) = (Who::of(engines.chosen()), engines.batches());
        let units = megapixels(size) * f64::from(count);
        let kin = format!("{} in flight", work.name);
        let figure = match clock.time(&row.name(), who.name(), (&kin, units), &round)? {
            Figure::Timed(Time { wall_ms, processor_ms }) => {
                let each = |all: f64| all / f64::from(count);
                Figure::Timed(Time { wall_ms: each(wall_ms), processor_ms: processor_ms.map(each) })
            }
            left_out @ Figure::LeftOut(_) => left_out,
        };
        let after = engines.batches();
        if let (Figure::Timed(_), jobs @ 1.., sent @ 1..) = (&figure, after.0 - before.0, after.1 - before.1) {
            let jobs = f64::from(u32::try_from(jobs)?) / f64::from(u32::try_from(sent)?);
            row.note(format!("{} {jobs:.1} jobs a submission", who.name()));
        }
        row.add(who, figure);
    }
    Ok(Some(row))
}
