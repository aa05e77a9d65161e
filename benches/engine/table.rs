//! The one table: for each work and source, how everybody compares with the cpu engine, then the times.

use std::fmt::Write as _;

use glimt::pixels::Backend;

use crate::clock::Time;

/// Who does the work, in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The cpu engine: what all others are held against.
    Cpu,
    /// The shaders on a software adapter.
    Software,
    /// The shaders on a hardware adapter.
    Gpu,
    /// `fast_image_resize` and `libblur` in linear light.
    Linear,
    /// The same crates on codes.
    Codes,
    /// `image::imageops`.
    Newcomer,
}

impl Who {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [Self::Cpu, Self::Software, Self::Gpu, Self::Linear, Self::Codes, Self::Newcomer];

    /// What its columns are called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Software => "software",
            Self::Gpu => "gpu",
            Self::Linear => "crates, linear",
            Self::Codes => "crates, codes",
            Self::Newcomer => "imageops",
        }
    }

    /// The columns of an engine.
    pub(crate) const fn of(backend: Backend) -> Self {
        match backend {
            Backend::Gpu => Self::Gpu,
            Backend::Software => Self::Software,
            Backend::Cpu | Backend::Auto => Self::Cpu,
        }
    }
}

/// What is known of one who does one work.
#[derive(Clone, Debug)]
pub(crate) enum Figure {
    /// It took so long.
    Timed(Time),
    /// It was not measured, for this reason.
    LeftOut(String),
}

/// One work on one source.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    work: String,
    source: String,
    figures: Vec<(Who, Figure)>,
    notes: Vec<String>,
}

impl Row {
    /// A row without figures.
    pub(crate) const fn new(work: String, source: String) -> Self {
        Self { work, source, figures: Vec::new(), notes: Vec::new() }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        format!("{}, {}", self.work, self.source)
    }

    /// Adds what is known of `who`.
    pub(crate) fn add(&mut self, who: Who, figure: Figure) {
        self.figures.push((who, figure));
    }

    /// Adds a remark.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn figure(&self, who: Who) -> Option<&Figure> {
        self.figures.iter().find(|(its, _)| *its == who).map(|(_, figure)| figure)
    }

    fn time(&self, who: Who) -> Option<Time> {
        match self.figure(who)? {
            Figure::Timed(time) => Some(*time),
            Figure::LeftOut(_) => None,
        }
    }
}

/// The table in Markdown. Columns of those who did nothing are left out.
pub(crate) fn markdown(rows: &[Row]) -> Result<String, std::fmt::Error> {
    let did = |who: &Who| rows.iter().any(|row| row.figure(*who).is_some());
    let all: Vec<Who> = Who::ALL.into_iter().filter(did).collect();
    let others: Vec<Who> = all.iter().copied().filter(|who| *who != Who::Cpu).collect();
    let mut text = String::from("| work | source |");
    for who in &others {
        write!(text, " {} / cpu |", who.name())?;
    }
    for who in &all {
        write!(text, " {}, ms |", who.name())?;
    }
    text.push_str(" notes |\n|---|---|");
    text.push_str(&"---:|".repeat(others.len() + all.len()));
    text.push_str("---|\n");
    for row in rows {
        write!(text, "| {} | {} |", row.work, row.source)?;
        for who in &others {
            match row.time(*who).zip(row.time(Who::Cpu)) {
                Some((its, ours)) => {
                    let processor = its.processor_ms.zip(ours.processor_ms).map(|(its, ours)| its / ours);
                    write!(text, " {} |", both(its.wall_ms / ours.wall_ms, processor))?;
                }
                None => text.push_str(" |"),
            }
        }
        for who in &all {
            match row.figure(*who) {
                Some(Figure::Timed(time)) => write!(text, " {} |", both(time.wall_ms, time.processor_ms))?,
                Some(Figure::LeftOut(reason)) => write!(text, " {reason} |")?,
                None => text.push_str(" |"),
            }
        }
        writeln!(text, " {} |", row.notes.join("; "))?;
    }
    Ok(text)
}

/// A number of the clock, and in brackets that of processor time where there is one.
fn both(wall: f64, processor: Option<f64>) -> String {
    processor.map_or_else(|| short(wall), |processor| format!("{} ({})", short(wall), short(processor)))
}

/// Three digits, as far as they are behind the point.
fn short(number: f64) -> String {
    match number {
        number if number < 10.0 => format!("{number:.2}"),
        number if number < 100.0 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    }
}
