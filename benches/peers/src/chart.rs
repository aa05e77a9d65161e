//! The chart: CPU time an image as bars, one field a workload. Legible on light and on dark; says in words what it shows.

use std::fmt::Write as _;

use crate::{
    report::{capitalised, number},
    results::{Results, Row, Workload},
};

/// In the order of the fields, row by row.
const FIELDS: [&str; 6] =
    ["cold-12mp-jpeg", "cold-12mp-webp", "cold-2mp-jpeg", "cold-harness-jpeg", "blur-1mp", "uploads"];
const COLUMNS: usize = 2;
const FIELD_WIDTH: usize = 400;
const GAP: usize = 40;
const MARGIN: usize = 16;
const HEAD: usize = 64;
const LABEL: usize = 122;
const VALUE: usize = 62;
const BAR: usize = 16;
const STEP: usize = 22;
const TITLE: usize = 26;

pub fn chart(results: &Results) -> String {
    let mut text = String::new();
    let _written = draw(results, &mut text);
    text
}

fn draw(results: &Results, text: &mut String) -> std::fmt::Result {
    let fields: Vec<&Workload> = FIELDS.iter().filter_map(|id| results.workload(id)).collect();
    let bars = |workload: &Workload| workload.rows.iter().filter(|row| row.get("cpu_ms").is_some()).count();
    let heights: Vec<usize> = fields
        .chunks(COLUMNS)
        .map(|row| TITLE + STEP * row.iter().map(|workload| bars(workload)).max().unwrap_or(0) + 22)
        .collect();
    let (width, height) =
        (MARGIN * 2 + FIELD_WIDTH * COLUMNS + GAP * (COLUMNS - 1), HEAD + heights.iter().sum::<usize>() + 8);
    writeln!(
        text,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title words">"#
    )?;
    writeln!(text, r#"<title id="title">Processor time an image: glimt and its peers</title>"#)?;
    writeln!(text, r#"<desc id="words">{}</desc>"#, escaped(&words(&fields)))?;
    text.push_str(
        "<style>\n\
        text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }\n\
        .page { fill: #ffffff } .head { font-size: 17px; font-weight: 600 } .name { font-weight: 600 } .note { fill: #59636e; font-size: 12px }\n\
        .ours { fill: #0b6e4f } .theirs { fill: #8c959f } .axis { stroke: #d1d9e0 }\n\
        @media (prefers-color-scheme: dark) {\n\
        text { fill: #f0f6fc } .page { fill: #0d1117 } .note { fill: #9198a1 } .ours { fill: #3fb68b } .theirs { fill: #656c76 } .axis { stroke: #3d444d }\n\
        }\n\
        </style>\n",
    );
    writeln!(text, r#"<rect class="page" width="{width}" height="{height}" rx="6"/>"#)?;
    writeln!(
        text,
        r#"<text class="head" x="{MARGIN}" y="28">Processor time an image, in milliseconds: less is better</text>"#
    )?;
    writeln!(text, r#"<text class="note" x="{MARGIN}" y="48">{}</text>"#, escaped(&subtitle(results)))?;
    let mut top = HEAD;
    for (row, height) in fields.chunks(COLUMNS).zip(heights) {
        for (column, workload) in row.iter().enumerate() {
            field(workload, MARGIN + column * (FIELD_WIDTH + GAP), top, text)?;
        }
        top += height;
    }
    writeln!(text, "</svg>")
}

fn subtitle(results: &Results) -> String {
    let quick = if results.workloads.iter().any(|workload| workload.quick) { "a try with few rounds, " } else { "" };
    format!("make bench-peers, {quick}{}, {}", results.date, results.machine)
}

fn field(workload: &Workload, left: usize, top: usize, text: &mut String) -> std::fmt::Result {
    let rows: Vec<(&Row, f64)> = workload.rows.iter().filter_map(|row| Some((row, row.get("cpu_ms")?))).collect();
    let most = rows.iter().map(|(_, cpu_ms)| *cpu_ms).fold(f64::MIN_POSITIVE, f64::max);
    let room = (FIELD_WIDTH - LABEL - VALUE) as f64;
    writeln!(
        text,
        r#"<text class="name" x="{left}" y="{}">{}</text>"#,
        top + 14,
        escaped(&capitalised(&workload.title))
    )?;
    let base = left + LABEL;
    for (number_of, (row, cpu_ms)) in rows.iter().enumerate() {
        let y = top + TITLE + number_of * STEP;
        let (class, long) = (if row.is_glimt { "ours" } else { "theirs" }, (cpu_ms / most * room).max(1.0));
        writeln!(text, r#"<text x="{}" y="{}" text-anchor="end">{}</text>"#, base - 8, y + 13, escaped(&row.server))?;
        writeln!(text, r#"<rect class="{class}" x="{base}" y="{y}" width="{long:.1}" height="{BAR}" rx="2"/>"#)?;
        let beside = if row.words.get("refuses").is_some_and(|word| word == "taken") { " *" } else { "" };
        writeln!(
            text,
            r#"<text x="{:.1}" y="{}">{}{beside}</text>"#,
            base as f64 + long + 6.0,
            y + 13,
            number(*cpu_ms, 1)
        )?;
    }
    let end = top + TITLE + rows.len() * STEP;
    writeln!(text, r#"<line class="axis" x1="{base}" y1="{}" x2="{base}" y2="{}"/>"#, top + TITLE - 3, end - 3)?;
    if rows.iter().any(|(row, _)| row.words.get("refuses").is_some_and(|word| word == "taken")) {
        writeln!(text, r#"<text class="note" x="{base}" y="{}">* takes damaged files, too</text>"#, end + 10)?;
    }
    Ok(())
}

/// What the bars say, for those who do not see them.
fn words(fields: &[&Workload]) -> String {
    let mut said = Vec::new();
    for workload in fields {
        let bars: Vec<_> = workload
            .rows
            .iter()
            .filter_map(|row| Some(format!("{} {} ms", row.server, number(row.get("cpu_ms")?, 1))))
            .collect();
        said.push(format!("{}: {}.", capitalised(&workload.title), bars.join(", ")));
    }
    said.join(" ")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
