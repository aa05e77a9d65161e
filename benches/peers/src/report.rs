//! Tables, as Markdown: for the terminal and for docs/peers.md alike.

use std::fmt::Write as _;

use crate::results::{Column, Results, Row, Workload, aims, columns};

/// The tables of a run, of those workloads that are wanted.
pub fn tables(results: &Results, is_wanted: impl Fn(&Workload) -> bool) -> String {
    let mut text = String::new();
    let _written = write_all(results, is_wanted, &mut text);
    text
}

fn write_all(results: &Results, is_wanted: impl Fn(&Workload) -> bool, text: &mut String) -> std::fmt::Result {
    let seconds: f64 = results.workloads.iter().map(|workload| workload.seconds).sum();
    writeln!(text, "{}, commit {}, {}, {seconds:.0} s.", results.date, results.commit, results.machine)?;
    writeln!(text, "{}.", results.versions.join(", "))?;
    writeln!(text, "Photos: {}.\n", results.photos)?;
    writeln!(text, "### What is aimed at\n\n| figure | aim | measured | |\n|---|---|---|---|")?;
    for aim in aims(results) {
        let got = aim.got.map_or("not measured".to_owned(), |got| format!("{}{}", number(got, 2), aim.unit));
        let verdict = if aim.got.is_none() {
            ""
        } else if aim.is_met {
            "met"
        } else {
            "**missed**"
        };
        writeln!(text, "| {} | {}{} | {got} | {verdict} |", aim.what, aim.wanted, aim.unit)?;
    }
    for workload in results.workloads.iter().filter(|workload| is_wanted(workload)) {
        writeln!(text)?;
        table(workload, &results.commit, text)?;
    }
    Ok(())
}

fn table(workload: &Workload, commit: &str, text: &mut String) -> std::fmt::Result {
    let shown: Vec<&Column> = columns(&workload.id).iter().collect();
    let titles: Vec<_> = shown.iter().map(|column| column.title).collect();
    let warning = if workload.quick { "**Few rounds: a try, no measurement.** " } else { "" };
    writeln!(text, "### {}\n\n{warning}{}\n", capitalised(&workload.title), workload.note)?;
    if !workload.commit.is_empty() && workload.commit != commit {
        writeln!(text, "Measured by itself, at commit {}.\n", workload.commit)?;
    }
    writeln!(text, "| server | {} |", titles.join(" | "))?;
    writeln!(text, "|---|{}", "--:|".repeat(shown.len()))?;
    for row in &workload.rows {
        let cells: Vec<_> = shown.iter().map(|column| cell(workload, row, column)).collect();
        writeln!(text, "| {} | {} |", row.server, cells.join(" | "))?;
    }
    Ok(())
}

fn cell(workload: &Workload, row: &Row, column: &Column) -> String {
    if let Some(word) = row.words.get(column.key) {
        return word.clone();
    }
    let Some(figure) = row.get(column.key) else { return "-".to_owned() };
    let shown = number(figure, column.digits);
    let best = column.ratio.and_then(|is_less_better| workload.best_peer(column.key, is_less_better));
    match best {
        Some(best) if row.get("ceiling").is_none() => format!("{shown} ({:.2})", figure / best),
        _ => shown,
    }
}

/// With a mark between thousands, as 12,345.6.
pub fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut marked = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !marked.ends_with('-') {
            marked.push(',');
        }
        marked.push(digit);
    }
    marked + rest
}

pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

const BEGIN: &str = "<!-- measured: made by `make bench-peers` -->";
const END: &str = "<!-- end of what was measured -->";

/// The page with what was measured in place of what stood there before.
pub fn into_page(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{tables}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_marks() {
        let read = [number(1234567.0, 0), number(999.5, 1), number(-1234.0, 0), number(0.125, 2)];
        assert_eq!(read, ["1,234,567", "999.5", "-1,234", "0.12"]);
    }

    #[test]
    fn a_page_keeps_what_is_not_measured() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(into_page(&page, "new\n"), Some(format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n")));
        assert_eq!(into_page("no marks", "new"), None);
    }
}
