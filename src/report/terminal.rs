//! The report for a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

use super::text::{self, Trend, duration, line, mark, short, sparkline, status, trend};
use super::{MetricRow, Outcome, Report, Status};

/// Rows of metrics; more scroll the verdict out of sight.
const ROWS: usize = 60;

/// Jobs that were paid for.
const JOBS: usize = 10;

/// Characters of a name or a rule, and of a sentence.
const NAME: usize = 40;
const TEXT: usize = 2_000;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const UNSURE: Style = AnsiColor::Yellow.on_default();
const SOFT: Style = Style::new().dimmed();

/// Renders the report for a terminal of `width` columns; without a width, lines are as long as
/// they are. `color` only adds to what signs and words say.
#[must_use]
pub fn render(report: &Report, color: bool, width: Option<usize>) -> String {
    let width = width.map_or(usize::MAX, |width| width.max(40));
    let mut out = String::new();
    // NOTE: writing to a String cannot fail.
    let _ = Screen {
        report,
        color,
        width,
    }
    .write(&mut out);
    out
}

struct Screen<'a> {
    report: &'a Report,
    color: bool,
    width: usize,
}

/// What of a row is shown where.
#[derive(Clone, Copy)]
struct Layout {
    name: usize,
    spark: usize,
    percent: bool,
    rule_below: bool,
}

/// Layouts from roomy to narrow.
const LAYOUTS: [Layout; 6] = {
    let roomy = Layout {
        name: NAME,
        spark: 16,
        percent: true,
        rule_below: false,
    };
    [
        roomy,
        Layout { spark: 10, ..roomy },
        Layout {
            spark: 10,
            rule_below: true,
            ..roomy
        },
        Layout {
            spark: 10,
            rule_below: true,
            percent: false,
            ..roomy
        },
        Layout {
            spark: 0,
            rule_below: true,
            percent: false,
            ..roomy
        },
        Layout {
            spark: 0,
            rule_below: true,
            percent: false,
            name: 14,
        },
    ]
};

/// A cell: its text, its style, whether it is a number.
type Cell = (String, Style, bool);

impl Screen<'_> {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        let report = self.report;
        let style = match report.status {
            Status::Passed => GOOD,
            Status::Inconclusive | Status::Stopped | Status::Cancelled => UNSURE,
            Status::GateFailed
            | Status::BuildFailed
            | Status::JobFailed
            | Status::NoCapacity
            | Status::TimedOut => BAD,
        };
        let words = format!(
            "{} {}: {}",
            mark(report.status),
            line(&report.project, NAME),
            status(report.status).1
        );
        writeln!(out, "{}", self.paint(&words, style.bold()))?;
        if let Some(reason) = &report.reason {
            self.paragraph(out, "", &line(reason, TEXT), Style::new())?;
        }
        if let Some(hint) = &report.hint {
            self.paragraph(out, "hint: ", &line(hint, TEXT), Style::new())?;
        }
        let seconds = report.phases.iter().map(|phase| phase.seconds).sum();
        let facts = format!(
            "run {} on {}, {}",
            line(&report.run, NAME * 2),
            line(&report.destination, NAME),
            duration(seconds)
        );
        self.paragraph(out, "", &facts, SOFT)?;
        for job in report.jobs.iter().take(JOBS) {
            self.paragraph(out, "", &job.sentence(), SOFT)?;
        }
        if !report.metrics.is_empty() {
            writeln!(out)?;
            self.metrics(out)?;
        }
        if !report.status.is_judged() && !report.log_tail.is_empty() {
            writeln!(out, "\n  last log lines")?;
            for text in &report.log_tail {
                let text = fit(
                    &text::plain(text).replace('\t', "    "),
                    self.width.saturating_sub(4),
                );
                writeln!(out, "  {} {text}", self.paint("│", style))?;
            }
        }
        if !report.warnings.is_empty() {
            writeln!(out)?;
        }
        for warning in &report.warnings {
            self.paragraph(out, "note: ", &line(warning, TEXT), Style::new())?;
        }
        Ok(())
    }

    fn metrics(&self, out: &mut String) -> std::fmt::Result {
        let rows = &self.report.metrics[..self.report.metrics.len().min(ROWS)];
        let (layout, lines) = LAYOUTS
            .into_iter()
            .map(|layout| (layout, self.table(rows, layout)))
            .find(|(_, lines)| {
                widths(lines).iter().sum::<usize>() + 2 * lines[0].len() <= self.width
            })
            .unwrap_or_else(|| {
                let last = LAYOUTS[LAYOUTS.len() - 1];
                (last, self.table(rows, last))
            });
        let widths = widths(&lines);
        for (at, cells) in lines.iter().enumerate() {
            let mut text = String::new();
            for ((words, style, is_number), width) in cells.iter().zip(&widths) {
                if *width == 0 {
                    continue;
                }
                let room = " ".repeat(width - words.width());
                let words = self.paint(words, *style);
                text += "  ";
                text += &if *is_number {
                    room + &words
                } else {
                    words + &room
                };
            }
            writeln!(out, "{}", text.trim_end())?;
            if let Some(gate) = at.checked_sub(1).and_then(|at| rows[at].gate.as_ref()) {
                let said = self
                    .report
                    .reason
                    .as_ref()
                    .is_some_and(|all| all.contains(&gate.reason));
                let passed = gate.outcome == Outcome::Pass;
                let reason = (!passed && !said).then_some(&gate.reason);
                let rule = (!passed && layout.rule_below).then_some(&gate.rule);
                let below: Vec<String> = [rule, reason]
                    .into_iter()
                    .flatten()
                    .map(|text| line(text, TEXT))
                    .collect();
                if !below.is_empty() {
                    self.paragraph(out, "   ", &below.join(": "), SOFT)?;
                }
            }
        }
        match self.report.metrics.len() - rows.len() {
            0 => Ok(()),
            more => writeln!(out, "  … and {more} more in report.json"),
        }
    }

    /// Header and rows as cells.
    fn table(&self, rows: &[MetricRow], layout: Layout) -> Vec<Vec<Cell>> {
        let header = ["", "metric", "value", "baseline", "change", "curve", "gate"];
        let is_number = [false, false, true, true, false, false, false];
        let any = [
            true,
            true,
            true,
            rows.iter().any(|row| row.baseline.is_some()),
            rows.iter().any(|row| row.change.is_some()),
            layout.spark > 0
                && rows
                    .iter()
                    .any(|row| self.report.curves.contains_key(&row.name)),
            !layout.rule_below && rows.iter().any(|row| row.gate.is_some()),
        ];
        let mut lines = vec![header.map(|name| (name.to_owned(), SOFT)).to_vec()];
        lines.extend(rows.iter().map(|row| self.row(row, layout)));
        lines
            .into_iter()
            .map(|cells| {
                cells
                    .into_iter()
                    .zip(is_number)
                    .zip(any)
                    .filter(|(_, any)| *any)
                    .map(|(((text, style), is_number), _)| (text, style, is_number))
                    .collect()
            })
            .collect()
    }

    fn row(&self, row: &MetricRow, layout: Layout) -> Vec<(String, Style)> {
        let (sign, style) = match row.gate.as_ref().map(|gate| gate.outcome) {
            Some(Outcome::Pass) => ("✓", GOOD),
            Some(Outcome::Fail) => ("✗", BAD),
            Some(Outcome::Inconclusive) => ("?", UNSURE),
            None => ("", Style::new()),
        };
        let change = if layout.percent {
            text::change(row)
        } else {
            let bare = row.change.map(|change| super::Change {
                relative: None,
                ..change
            });
            text::change(&MetricRow {
                change: bare,
                ..row.clone()
            })
        };
        let change_style = match trend(row) {
            Trend::Better => GOOD,
            Trend::Worse => BAD,
            Trend::Neutral => Style::new(),
        };
        let curve = self.report.curves.get(&row.name);
        let curve = curve
            .map(|series| sparkline(series, layout.spark))
            .unwrap_or_default();
        let rule = row
            .gate
            .as_ref()
            .map(|gate| line(&gate.rule, NAME))
            .unwrap_or_default();
        vec![
            (sign.to_owned(), style.bold()),
            (line(&row.name, layout.name), Style::new()),
            (short(&row.value), style),
            (
                row.baseline.as_ref().map(short).unwrap_or_default(),
                Style::new(),
            ),
            (change, change_style),
            (curve, Style::new()),
            (rule, Style::new()),
        ]
    }

    /// A label and words behind it, in lines of the terminal's width, all indented alike.
    fn paragraph(
        &self,
        out: &mut String,
        label: &str,
        words: &str,
        style: Style,
    ) -> std::fmt::Result {
        let indent = label.width() + 2;
        let mut start = format!("  {}", self.paint(label, UNSURE));
        let mut room = String::new();
        for word in words.split(' ') {
            if !room.is_empty() && indent + room.width() + 1 + word.width() > self.width {
                writeln!(out, "{start}{}", self.paint(&room, style))?;
                start = " ".repeat(indent);
                room.clear();
            }
            if !room.is_empty() {
                room.push(' ');
            }
            room += word;
        }
        writeln!(out, "{start}{}", self.paint(&room, style))
    }

    fn paint(&self, text: &str, style: Style) -> String {
        if self.color && !text.is_empty() && style != Style::new() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// The widest cell of each column.
fn widths(lines: &[Vec<Cell>]) -> Vec<usize> {
    let columns = lines.first().map_or(0, Vec::len);
    (0..columns)
        .map(|at| {
            lines
                .iter()
                .map(|cells| cells[at].0.width())
                .max()
                .unwrap_or(0)
        })
        .collect()
}

/// As much of a line as fits.
fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = String::new();
    for char in text.chars() {
        if room.width() + unicode_width::UnicodeWidthChar::width(char).unwrap_or(0) >= width {
            break;
        }
        room.push(char);
    }
    room + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_wide_terminal_shows_all_in_lines() {
        insta::assert_snapshot!(
            "terminal_rich_120",
            render(&sample::rich(), false, Some(120))
        );
    }

    #[test]
    fn a_narrow_terminal_puts_rules_below() {
        insta::assert_snapshot!("terminal_rich_80", render(&sample::rich(), false, Some(80)));
    }

    #[test]
    fn a_failed_run_shows_its_last_lines() {
        insta::assert_snapshot!(
            "terminal_failed",
            render(&sample::failed(), false, Some(80))
        );
    }

    #[test]
    fn every_line_fits_the_terminal() {
        for report in [
            sample::rich(),
            sample::failed(),
            sample::empty(),
            sample::huge(),
        ] {
            for width in [60, 80, 100, 120] {
                for line in render(&report, false, Some(width)).lines() {
                    assert!(line.width() <= width, "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn colour_only_adds_and_nothing_is_wrapped_without_a_width() {
        let plain = render(&sample::rich(), false, None);
        let coloured = render(&sample::rich(), true, None);
        assert!(!plain.contains('\u{1b}') && coloured.contains("\u{1b}[31m"));
        let mut stripped = coloured;
        while let Some(start) = stripped.find('\u{1b}') {
            let end = stripped[start..].find('m').unwrap();
            stripped.replace_range(start..=start + end, "");
        }
        assert_eq!(stripped, plain);
        assert!(
            plain.contains(
                "accuracy: fell by 0.0276543210988 from the baseline's 0.84 (allowed 0.01)"
            )
        );
    }
}
