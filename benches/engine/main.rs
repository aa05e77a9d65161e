//! Every stage and whole plans on every engine there is, beside the crates alone, and one table at the end.
//!
//! `cargo bench --bench engine`, or, without a release build of every dependency (they are at `opt-level = 3` in the
//! dev profile too), `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench --profile dev --bench engine`. An argument is part of the
//! names of the rows to measure: `-- "thumbnail 256, 12 MP"`. `GLIMT_BENCH=quick` leaves out the large sizes and half of
//! the rest. `docs/benchmarks.md` says what each row is.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use glimt::pixels::{Backend, EngineOptions, Engines, Layout, Picture};

use crate::clock::Clock;
use crate::likeness::ALONE;
use crate::table::{Figure, Row, Who};
use crate::work::{FIFTY, HALF, IN_LAYOUTS, Kind, Named, PLANS, TWELVE, TWO, Work};

mod clock;
mod crates;
mod flight;
mod likeness;
mod table;
mod work;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const RGB: Kind = Kind::Packed(Layout::Rgb);

fn main() -> Outcome<()> {
    let all: Vec<Engines> = [Backend::Cpu, Backend::Software, Backend::Gpu]
        .into_iter()
        .filter_map(|backend| {
            let started = Engines::start(backend, &EngineOptions::default());
            started.map_err(|error| println!("not here: {error}: {}", cause(&error))).ok()
        })
        .collect();
    let stages = work::stages();
    let works: Vec<&Work> = PLANS.iter().chain(&stages).collect();
    let alike = likeness::check(&all, &works)?;
    println!("How alike the results are, {} RGB:\n\n{}\n", TWO.0, alike.join("\n"));
    likeness::check_the_check()?;
    // `cargo test --benches` says nothing: then that was all.
    if !std::env::args().any(|arg| arg == "--bench") {
        return Ok(());
    }
    let mut clock = Clock::new(std::env::var("GLIMT_BENCH").is_ok_and(|value| value == "quick"));
    let mut rows = Vec::new();
    let (sizes, counts): (&[Named], &[u32]) =
        if clock.is_quick() { (&[HALF, TWO], &[1, 8]) } else { (&[HALF, TWO, TWELVE, FIFTY], &[1, 8, 64]) };
    // Stages at one size tell as much in the short run.
    let of_stages = if clock.is_quick() { &sizes[1..] } else { sizes };
    for work in &PLANS {
        for at in sizes {
            rows.extend(row(&mut clock, &all, work, *at, RGB)?);
        }
    }
    if !clock.is_quick() {
        for kind in [Kind::Packed(Layout::Rgba), Kind::Packed(Layout::Luma), Kind::Planar] {
            for work in IN_LAYOUTS {
                rows.extend(row(&mut clock, &all, &PLANS[work], TWO, kind)?);
            }
        }
    }
    for work in &stages {
        for at in of_stages {
            rows.extend(row(&mut clock, &all, work, *at, RGB)?);
        }
    }
    let flying: &[Named] = if clock.is_quick() { &[TWO] } else { &[TWO, TWELVE] };
    for at in flying {
        for count in counts {
            rows.extend(flight::row(&mut clock, &all, &PLANS[0], *at, *count)?);
        }
    }
    println!("\n{}\n", machine());
    for engines in &all {
        println!("{}", engines.describe());
    }
    println!("\n{}", table::markdown(&rows)?);
    Ok(())
}

fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(String::new, ToString::to_string)
}

/// The processor and its threads.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = model.map_or(std::env::consts::ARCH, |(_, name)| name);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    #[cfg(target_arch = "x86_64")]
    let simd = if std::is_x86_feature_detected!("avx512f") { ", AVX-512" } else { "" };
    #[cfg(not(target_arch = "x86_64"))]
    let simd = "";
    format!("{name}, {threads} threads{simd}")
}

/// One work on one source, by everybody who can; `None` where it is not asked for, or there is nothing to do.
fn row(clock: &mut Clock, all: &[Engines], work: &Work, at: Named, kind: Kind) -> Outcome<Option<Row>> {
    let (name, size) = at;
    let mut row = Row::new(work.name.to_owned(), format!("{name} {}", kind.name()));
    // Nothing is enlarged: a thumbnail of a smaller picture is that picture.
    if !clock.asked(&row.name()) || work.plan(size)?.is_identity() {
        return Ok(None);
    }
    let picture = kind.picture(size)?;
    let kin = (format!("{} {}", work.name, kind.name()), work::megapixels(size));
    for engines in all {
        let (who, before) = (Who::of(engines.chosen()), engines.stats());
        let job = work.job(kind, &picture, engines)?;
        let figure = clock.time(&row.name(), who.name(), (&kin.0, kin.1), &|| job().map(drop))?;
        // What a device did not take would be the cpu engine, measured under another name.
        let fell = who != Who::Cpu && engines.stats().cpu > before.cpu;
        row.add(who, if fell { Figure::LeftOut("the cpu engine did it".to_owned()) } else { figure });
    }
    let ops = (work.ops)(size);
    let packed = match &picture {
        Picture::Packed(image) => Some(image),
        // No crate alone takes planes.
        Picture::Planar(_) => None,
    };
    if let Some(image) = packed.filter(|_| work::is_for_crates(&ops)) {
        // How the newcomer's baseline compares is told by the whole plans.
        for (who, alone) in ALONE.into_iter().filter(|(who, _)| *who != Who::Newcomer || !work.is_stage()) {
            let job = || alone(image, &ops).map(drop);
            let figure = clock.time(&row.name(), who.name(), (&kin.0, kin.1), &job)?;
            row.add(who, figure);
        }
    }
    Ok(Some(row))
}
