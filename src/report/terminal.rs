//! The report for a terminal.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use super::Report;
use super::text::{change, outcome, plain, sparkline, status};

/// Renders the report as plain text.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    // NOTE: writing to a String cannot fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let (sign, words) = status(report.status);
    writeln!(
        out,
        "{sign} {}: {words}  (run {})",
        plain(&report.project),
        plain(&report.run)
    )?;
    if let Some(reason) = &report.reason {
        writeln!(out, "  {}", plain(reason))?;
    }
    if let Some(hint) = &report.hint {
        writeln!(out, "  hint: {}", plain(hint))?;
    }
    if !report.metrics.is_empty() {
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_header(["metric", "value", "baseline", "change", "curve", "gate"]);
        for row in &report.metrics {
            let curve = report
                .curves
                .get(&row.name)
                .map(|series| sparkline(series, 12))
                .unwrap_or_default();
            let gate = row
                .gate
                .as_ref()
                .map(|gate| format!("{}: {}", outcome(gate.outcome), plain(&gate.reason)));
            let baseline = row
                .baseline
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            table.add_row([
                plain(&row.name),
                row.value.to_string(),
                baseline,
                change(row),
                curve,
                gate.unwrap_or_default(),
            ]);
        }
        for column in [1, 2] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(out, "{table}")?;
    }
    for line in &report.log_tail {
        writeln!(out, "  │ {}", plain(line))?;
    }
    for warning in &report.warnings {
        writeln!(out, "  note: {}", plain(warning))?;
    }
    Ok(())
}
