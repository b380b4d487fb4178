//! The report as Markdown for a comment on a pull request.
//!
//! A comment holds 65,536 characters, and GitHub refuses a longer one whole. Every section has a
//! limit of its own, and sections are dropped, the least important first, until the rest fits.

use std::fmt::Write as _;

use super::blocks::{NAME, SECTION, TEXT, Table, digest, fence, fold};
use super::curves::groups;
use super::tables::{Classes, Matrix};
use super::text::{
    bytes, change, clip, duration, files, markdown, outcome, sentence, short, sparkline, status,
};
use super::{MetricRow, Outcome, Report, mermaid};

/// Bytes of the whole, with room for what the sender puts around it.
pub const BUDGET: usize = 60_000;

/// Rows shown before the rest is folded.
const ROWS: usize = 20;

/// Points of a sparkline.
const SPARK: usize = 16;

/// Mermaid charts: GitHub draws each in a frame of its own, which takes time.
const CHARTS: usize = 6;

/// Lines and characters of the log.
const LOG: (usize, usize) = (40, 300);

/// Classes of a table: more columns do not fit a comment's width.
const CLASSES: usize = 12;

/// A part of the comment.
struct Section {
    /// What is said when it is dropped.
    name: &'static str,
    /// The larger, the sooner it is dropped.
    rank: u8,
    text: String,
}

/// Renders the report. All of its text is untrusted and stays text.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut shown = rows(&report.metrics, report);
    let head = shown.next();
    let more = shown.next().map(|table| fold("More metrics", &table));
    let rest = shown.next().is_some();
    let mut sections: Vec<Section> = [
        ("status", 0, Some(banner(report))),
        ("metrics", 0, head),
        ("log", 1, log(report)),
        ("warnings", 2, warnings(report)),
        ("jobs", 3, jobs(report)),
        ("further metrics", 5, more),
        ("confusion matrix", 4, confusion(report)),
        ("classes", 6, classes(report)),
        ("curves", 8, curves(report)),
        ("lineage", 3, Some(lineage(report))),
        ("hyperparameters", 7, hyperparameters(report)),
    ]
    .into_iter()
    .filter_map(|(name, rank, text)| {
        Some(Section {
            name,
            rank,
            text: text?,
        })
    })
    .collect();
    let mut dropped = Vec::new();
    if rest {
        dropped.push("the other metrics");
    }
    while sections
        .iter()
        .map(|section| section.text.len() + 1)
        .sum::<usize>()
        > BUDGET - 500
    {
        let Some(least) = (0..sections.len()).max_by_key(|&at| sections[at].rank) else {
            break;
        };
        dropped.push(sections.remove(least).name);
    }
    let mut parts: Vec<String> = sections.into_iter().map(|section| section.text).collect();
    if !dropped.is_empty() {
        parts.push(format!(
            "Left out to fit a comment: {}. The run's report has them.\n",
            dropped.join(", ")
        ));
    }
    parts.join("\n")
}

fn banner(report: &Report) -> String {
    let (sign, words) = status(report.status);
    let mut out = format!("### {sign} {}: {words}\n", markdown(&report.project, NAME));
    if let Some(reason) = &report.reason {
        out += &format!("\n**{}**\n", sentence(reason, TEXT));
    }
    if let Some(hint) = &report.hint {
        out += &format!("\n{}\n", sentence(hint, TEXT));
    }
    let seconds = report.phases.iter().map(|phase| phase.seconds).sum();
    out += &format!(
        "\nRun {} on {}, {}{}\n",
        markdown(&report.run, NAME),
        markdown(&report.destination, NAME),
        duration(seconds),
        match &report.baseline {
            Some(baseline) => format!(", compared with {}", markdown(&baseline.run, NAME)),
            None => String::new(),
        }
    );
    out
}

/// The metrics as tables that fit: the first is short, each other is as long as it may be.
fn rows<'a>(all: &'a [MetricRow], report: &'a Report) -> impl Iterator<Item = String> + 'a {
    let mut left = all;
    let mut limit = ROWS;
    let has_baseline = all.iter().any(|row| row.baseline.is_some());
    let has_curve = all.iter().any(|row| report.curves.contains_key(&row.name));
    let has_gate = all.iter().any(|row| row.gate.is_some());
    std::iter::from_fn(move || {
        if left.is_empty() {
            return None;
        }
        let mut columns = vec!["metric", ":value"];
        columns.extend_from_slice(if has_baseline {
            &[":baseline", "change"]
        } else {
            &[]
        });
        columns.extend_from_slice(if has_curve { &["curve"] } else { &[] });
        columns.extend_from_slice(if has_gate { &["gate"] } else { &[] });
        let mut table = Table::new(&columns);
        let mut taken = 0;
        for row in left.iter().take(limit) {
            let mut cells = vec![markdown(&row.name, NAME), short(&row.value)];
            if has_baseline {
                cells.push(row.baseline.as_ref().map(short).unwrap_or_default());
                cells.push(change(row));
            }
            if has_curve {
                let series = report.curves.get(&row.name);
                cells.push(
                    series
                        .map(|series| sparkline(series, SPARK))
                        .unwrap_or_default(),
                );
            }
            if has_gate {
                cells.push(gate(row, report.reason.as_deref()));
            }
            if !table.push(&cells) {
                break;
            }
            taken += 1;
        }
        left = &left[taken.max(1)..];
        limit = usize::MAX;
        Some(table.text)
    })
}

/// What a gate said, and why, unless that stands above the table.
fn gate(row: &MetricRow, said: Option<&str>) -> String {
    let Some(gate) = &row.gate else {
        return String::new();
    };
    let rule = markdown(&gate.rule, NAME);
    match gate.outcome {
        Outcome::Pass => format!("{} ({rule})", outcome(gate.outcome)),
        Outcome::Fail | Outcome::Inconclusive
            if said.is_some_and(|said| said.contains(&gate.reason)) =>
        {
            format!("**{}** ({rule})", outcome(gate.outcome))
        }
        Outcome::Fail | Outcome::Inconclusive => format!(
            "**{}** ({rule}): {}",
            outcome(gate.outcome),
            markdown(&gate.reason, TEXT)
        ),
    }
}

/// The last log lines.
fn log(report: &Report) -> Option<String> {
    if report.status.is_judged() || report.log_tail.is_empty() {
        return None;
    }
    let skipped = report.log_tail.len().saturating_sub(LOG.0);
    let lines: Vec<String> = report.log_tail[skipped..]
        .iter()
        .map(|line| clip(line, LOG.1))
        .collect();
    let summary = format!("Last {} log lines", lines.len());
    let body = fence(&lines.join("\n"));
    Some(fold(&summary, &body).replacen("<details>", "<details open>", 1))
}

fn warnings(report: &Report) -> Option<String> {
    let mut out = String::new();
    for warning in &report.warnings {
        let line = format!("- ⚠️ {}\n", sentence(warning, TEXT));
        if out.len() + line.len() > SECTION {
            out += "- further warnings are left out\n";
            break;
        }
        out += &line;
    }
    (!out.is_empty()).then_some(out)
}

/// What was paid for.
fn jobs(report: &Report) -> Option<String> {
    let mut table = Table::new(&["job", "ended", "steps", "billed", "cost"]);
    for job in &report.jobs {
        table.push(&[
            markdown(&format!("{} {}", job.role, job.name), NAME * 2),
            markdown(&job.ended(), NAME * 2),
            markdown(&job.steps(), TEXT),
            markdown(&job.billed(), TEXT),
            markdown(&job.cost(), TEXT),
        ]);
    }
    (!report.jobs.is_empty()).then(|| table.finish())
}

fn confusion(report: &Report) -> Option<String> {
    let matrix = Matrix::new(report.confusion_matrix.as_ref()?);
    let names: Vec<String> = matrix
        .labels
        .iter()
        .map(|label| markdown(label, NAME))
        .collect();
    if matrix.left_out > 0 || names.len() > CLASSES {
        let mut table = Table::new(&["true", "predicted", ":count", ":of the true class"]);
        for pair in &matrix.confusions {
            table.push(&[
                markdown(&pair.truth, NAME),
                markdown(&pair.predicted, NAME),
                pair.count.to_string(),
                pair.share.clone(),
            ]);
        }
        return Some(fold("Most frequent confusions", &table.finish()));
    }
    let columns: Vec<String> = names.iter().map(|name| format!(":{name}")).collect();
    let columns: Vec<&str> = std::iter::once("true ╲ predicted")
        .chain(columns.iter().map(String::as_str))
        .collect();
    let mut table = Table::new(&columns);
    for (row, name) in matrix.rows.iter().zip(&names) {
        let cells = row.cells.iter().map(|cell| {
            let mark = if cell.right { "**" } else { "" };
            format!("{mark}{}{mark} ({})", cell.count, cell.share)
        });
        let cells: Vec<String> = std::iter::once(name.clone()).chain(cells).collect();
        table.push(&cells);
    }
    Some(fold("Confusion matrix", &table.finish()))
}

fn classes(report: &Report) -> Option<String> {
    let classes = Classes::new(&report.per_class)?;
    let names: Vec<String> = classes
        .columns
        .iter()
        .map(|name| format!(":{}", markdown(name, NAME)))
        .collect();
    let columns: Vec<&str> = std::iter::once("class")
        .chain(names.iter().map(String::as_str))
        .collect();
    let mut table = Table::new(&columns);
    for row in &classes.rows {
        let cells: Vec<String> = std::iter::once(markdown(&row.label, NAME))
            .chain(row.cells.iter().map(|cell| cell.value.clone()))
            .collect();
        table.push(&cells);
    }
    table.full |= classes.left_out > 0;
    Some(fold("Values by class", &table.finish()))
}

fn curves(report: &Report) -> Option<String> {
    let mut groups = groups(&report.curves, mermaid::LINES).into_iter();
    let mut out = String::new();
    let mut drawn = 0;
    while drawn < CHARTS && out.len() < SECTION {
        let Some(group) = groups.next() else { break };
        let names: Vec<String> = group
            .lines
            .iter()
            .zip(mermaid::colors())
            .map(|((name, series), color)| {
                let last = series.values.last().map(short).unwrap_or_default();
                let gaps = series.values.iter().any(|value| !value.is_finite());
                format!(
                    "{} ({color}, last {last}, {} points{})",
                    markdown(name, NAME),
                    series.count,
                    if gaps { ", gaps bridged" } else { "" }
                )
            })
            .collect();
        // NOTE: writing to a String cannot fail.
        let _ = writeln!(out, "{}\n", names.join(" · "));
        match mermaid::chart(&group) {
            Some(chart) => {
                let _ = writeln!(out, "```mermaid\n{chart}```\n");
                drawn += 1;
            }
            None => {
                for (_, series) in &group.lines {
                    let _ = writeln!(out, "{}\n", sparkline_or_words(series));
                }
            }
        }
    }
    match groups.count() {
        0 => {}
        left => {
            let _ = writeln!(out, "{left} more plots are left out to fit a comment.");
        }
    }
    (!out.is_empty()).then(|| fold("Curves", &out))
}

fn sparkline_or_words(series: &crate::metrics::Series) -> String {
    match sparkline(series, SPARK * 2).trim() {
        "" => "no finite value".to_owned(),
        line => line.to_owned(),
    }
}

fn lineage(report: &Report) -> String {
    let lineage = &report.lineage;
    let mut table = Table::new(&["made from", ""]);
    let mut add = |name: &str, value: String| table.push(&[name.to_owned(), value]);
    if let Some(commit) = &lineage.commit {
        let dirty = if lineage.dirty {
            " with local changes"
        } else {
            ""
        };
        add("commit", format!("{}{dirty}", markdown(commit, NAME)));
    }
    add("content", digest(&lineage.content_hash));
    add("code", digest(&lineage.code));
    for data in &lineage.data {
        let name = format!("data {}", markdown(&data.channel, NAME));
        let hash = digest(&data.fingerprint);
        add(
            &name,
            format!("{hash} ({}, {})", files(data.files), bytes(data.bytes)),
        );
    }
    for (name, value) in &lineage.environment {
        let shown = match name.as_str() {
            "requirements" => digest(value),
            _ => markdown(value, NAME),
        };
        add(&markdown(name, NAME), shown);
    }
    if let Some(model) = &lineage.model {
        let what = match &model.sha256 {
            Some(sum) => format!("sha256 {}", digest(sum)),
            None => markdown(&model.file, NAME * 2),
        };
        add("model", format!("{what} ({})", bytes(model.bytes)));
    }
    add("mlaction", markdown(&lineage.mlaction, NAME));
    fold("Lineage", &table.finish())
}

fn hyperparameters(report: &Report) -> Option<String> {
    let mut table = Table::new(&["hyperparameter", "value"]);
    for (name, value) in &report.hyperparameters {
        table.push(&[markdown(name, NAME), markdown(value, NAME)]);
    }
    (!report.hyperparameters.is_empty()).then(|| fold("Hyperparameters", &table.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_comment_of_a_rich_report() {
        insta::assert_snapshot!("markdown_rich", render(&sample::rich()));
    }

    #[test]
    fn the_comment_of_a_failed_run() {
        insta::assert_snapshot!("markdown_failed", render(&sample::failed()));
    }

    #[test]
    fn the_comment_of_a_run_without_metrics_has_no_empty_section() {
        let comment = render(&sample::empty());
        assert!(
            !comment.contains("metric |") && !comment.contains("Curves"),
            "{comment}"
        );
    }

    #[test]
    fn a_huge_report_fits_a_comment_and_says_what_is_missing() {
        let comment = render(&sample::huge());
        assert!(comment.len() <= BUDGET, "{}", comment.len());
        for part in [
            "### ❌ churn",
            "Last 40 log lines",
            "Left out to fit a comment: ",
            "Lineage",
        ] {
            assert!(comment.contains(part), "{part}");
        }
        assert_eq!(
            comment.matches("<details").count(),
            comment.matches("</details>").count()
        );
    }
}
