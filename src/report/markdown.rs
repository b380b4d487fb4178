//! The report as Markdown for a pull request.

use std::fmt::Write as _;

use super::text::{change, markdown, outcome, sparkline, status};
use super::{Report, Status};

/// Rows shown before the rest is folded.
const ROWS: usize = 20;

/// Points of a sparkline.
const SPARK: usize = 24;

/// Renders the report. All of its text is untrusted and stays text.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    // NOTE: writing to a String cannot fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let (sign, words) = status(report.status);
    writeln!(out, "### {sign} {}: {words}\n", markdown(&report.project))?;
    if let Some(reason) = &report.reason {
        writeln!(out, "**{}**\n", markdown(reason))?;
    }
    if let Some(hint) = &report.hint {
        writeln!(out, "{}\n", markdown(hint))?;
    }
    for (part, rows) in report.metrics.chunks(ROWS).enumerate() {
        if part > 0 {
            writeln!(out, "<details><summary>More metrics</summary>\n")?;
        }
        writeln!(
            out,
            "| metric | value | baseline | change | gate |\n|---|---:|---:|---|---|"
        )?;
        for row in rows {
            let gate = row.gate.as_ref().map(|gate| {
                format!(
                    "{} ({}): {}",
                    outcome(gate.outcome),
                    markdown(&gate.rule),
                    markdown(&gate.reason)
                )
            });
            let baseline = row
                .baseline
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            let (name, gate) = (markdown(&row.name), gate.unwrap_or_default());
            writeln!(
                out,
                "| {name} | {} | {baseline} | {} | {gate} |",
                row.value,
                change(row)
            )?;
        }
        writeln!(out)?;
        if part > 0 {
            writeln!(out, "</details>\n")?;
        }
    }
    if !report.curves.is_empty() {
        writeln!(
            out,
            "<details><summary>Curves</summary>\n\n| metric | curve | points |\n|---|---|---:|"
        )?;
        for (name, series) in &report.curves {
            writeln!(
                out,
                "| {} | {} | {} |",
                markdown(name),
                sparkline(series, SPARK),
                series.count
            )?;
        }
        writeln!(out, "\n</details>\n")?;
    }
    if let Some(matrix) = &report.confusion_matrix {
        writeln!(
            out,
            "<details><summary>Confusion matrix (rows: true, columns: predicted)</summary>\n"
        )?;
        let labels: Vec<String> = matrix.labels.iter().map(|label| markdown(label)).collect();
        writeln!(
            out,
            "| | {} |\n|---|{}",
            labels.join(" | "),
            "---:|".repeat(labels.len())
        )?;
        for (label, row) in labels.iter().zip(&matrix.matrix) {
            let row: Vec<String> = row.iter().map(ToString::to_string).collect();
            writeln!(out, "| {label} | {} |", row.join(" | "))?;
        }
        writeln!(out, "\n</details>\n")?;
    }
    lineage(report, out)?;
    if !matches!(
        report.status,
        Status::Passed | Status::Inconclusive | Status::GateFailed
    ) && !report.log_tail.is_empty()
    {
        writeln!(out, "<details open><summary>Last log lines</summary>\n")?;
        for line in &report.log_tail {
            writeln!(out, "    {}", super::text::plain(line))?;
        }
        writeln!(out, "\n</details>")?;
    }
    for warning in &report.warnings {
        writeln!(out, "- {}", markdown(warning))?;
    }
    Ok(())
}

fn lineage(report: &Report, out: &mut String) -> std::fmt::Result {
    let lineage = &report.lineage;
    writeln!(
        out,
        "<details><summary>Lineage and hyperparameters</summary>\n\n| | |\n|---|---|"
    )?;
    writeln!(out, "| run | {} |", markdown(&report.run))?;
    if let Some(commit) = &lineage.commit {
        writeln!(
            out,
            "| commit | `{}`{} |",
            commit,
            if lineage.dirty {
                " with local changes"
            } else {
                ""
            }
        )?;
    }
    writeln!(
        out,
        "| code | `{}` |\n| content | `{}` |",
        lineage.code, lineage.content_hash
    )?;
    for data in &lineage.data {
        writeln!(
            out,
            "| data {} | `{}` ({} files, {} bytes) |",
            markdown(&data.channel),
            data.fingerprint,
            data.files,
            data.bytes
        )?;
    }
    if let Some(model) = &lineage.model {
        writeln!(
            out,
            "| model | `sha256 {}` ({} bytes) |",
            model.sha256, model.bytes
        )?;
    }
    for (name, value) in lineage.environment.iter().chain(&report.hyperparameters) {
        writeln!(out, "| {} | {} |", markdown(name), markdown(value))?;
    }
    writeln!(out, "\n</details>\n")
}
