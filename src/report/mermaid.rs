//! Curves as Mermaid charts, which GitHub draws inside a comment.
//!
//! Mermaid's `xychart-beta` knows neither legends nor gaps nor exponents: the caption names the
//! colours, gaps are bridged, and a curve that needs exponents is skipped.

use std::fmt::Write as _;

use super::curves::{Group, bounds, points};
use super::text::line;

/// Lines of a chart: as many as there are colours to name.
pub const LINES: usize = COLORS.len();

/// Points of a line.
const POINTS: usize = 40;

/// Names and values of the lines' colours, readable in light and dark mode.
const COLORS: [(&str, &str); 4] = [
    ("blue", "#3b82f6"),
    ("orange", "#f97316"),
    ("green", "#10b981"),
    ("purple", "#a855f7"),
];

/// The largest magnitude that prints well without an exponent, and the smallest span.
const LIMITS: (f64, f64) = (1e9, 1e-6);

/// The chart's source, without its fence: at most [`LINES`] of the group's curves.
///
/// `None` when there is nothing that Mermaid can draw.
#[must_use]
pub fn chart(group: &Group<'_>) -> Option<String> {
    let lines: Vec<Vec<(f64, f64)>> = group
        .lines
        .iter()
        .take(LINES)
        .map(|(_, series)| points(series, POINTS).into_iter().flatten().collect())
        .collect();
    let all: Vec<_> = lines.iter().flatten().copied().map(Some).collect();
    let [(first, least), (last, most)] = bounds(all.iter())?;
    let span = if most > least {
        most - least
    } else {
        least.abs().max(1.0) * 0.01
    };
    let large = [first, last, least, most]
        .into_iter()
        .any(|value| value.abs() > LIMITS.0);
    let draws = lines.iter().all(|line| line.len() > 1)
        && !large
        && last - first > LIMITS.1
        && span > LIMITS.1;
    if !draws {
        return None;
    }
    let palette: Vec<&str> = COLORS.iter().map(|(_, color)| *color).collect();
    let names: Vec<String> = group
        .lines
        .iter()
        .take(LINES)
        .map(|(name, _)| label(name))
        .collect();
    let mut out = format!(
        "%%{{init: {{\"themeVariables\": {{\"xyChart\": {{\"plotColorPalette\": \"{}\"}}}}}}}}%%\n\
         xychart-beta\n    \
         title \"{}\"\n    \
         x-axis \"step\" {} --> {}\n    \
         y-axis {} --> {}\n",
        palette.join(", "),
        names.join(", "),
        decimal(first, last - first),
        decimal(last, last - first),
        decimal(least - span * 0.05, span),
        decimal(most + span * 0.05, span)
    );
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0).min(POINTS);
    for line in lines {
        let values: Vec<String> = (0..columns)
            .map(|column| first + (last - first) * column as f64 / (columns - 1) as f64)
            .map(|step| decimal(value_at(&line, step), span))
            .collect();
        // NOTE: writing to a String cannot fail.
        let _ = writeln!(out, "    line [{}]", values.join(", "));
    }
    Some(out)
}

/// The value of a line at a step: Mermaid spreads values evenly, whatever their steps were.
fn value_at(line: &[(f64, f64)], step: f64) -> f64 {
    let after = line.partition_point(|point| point.0 < step);
    match (
        after.checked_sub(1).map(|before| line[before]),
        line.get(after),
    ) {
        (Some(a), Some(b)) => a.1 + (b.1 - a.1) * (step - a.0) / (b.0 - a.0),
        (None, Some(nearest)) => nearest.1,
        (Some(nearest), None) => nearest.1,
        (None, None) => 0.0,
    }
}

/// The colours' names, in the order of a group's lines.
pub fn colors() -> impl Iterator<Item = &'static str> {
    COLORS.into_iter().map(|(name, _)| name)
}

/// A number as fine as a span of that size shows, without an exponent, which Mermaid cannot read.
fn decimal(value: f64, span: f64) -> String {
    let places = (3.0 - span.log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A name as a Mermaid label: letters, digits and a few marks that mean nothing there.
fn label(name: &str) -> String {
    let kept: String = line(name, 40)
        .chars()
        .map(|char| match char {
            char if char.is_alphanumeric() => char,
            ' ' | '_' | '-' | '.' | '/' | '…' => char,
            _ => '_',
        })
        .collect();
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::{Number, Series};
    use crate::report::sample::series;

    fn draw(name: &str, series: &Series) -> Option<String> {
        chart(&Group {
            lines: vec![(name, series)],
        })
    }

    #[test]
    fn a_chart_has_axes_and_a_line_for_each_curve() {
        let (one, two) = (series(3, |step| step / 3.0), series(3, |step| -step));
        let group = Group {
            lines: vec![("train_loss", &one), ("val_loss", &two)],
        };
        insta::assert_snapshot!(chart(&group).unwrap(), @r##"
        %%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#3b82f6, #f97316, #10b981, #a855f7"}}}}%%
        xychart-beta
            title "train_loss, val_loss"
            x-axis "step" 1 --> 3
            y-axis -3.2 --> 1.2
            line [0.333, 0.667, 1]
            line [-1, -2, -3]
        "##);
    }

    #[test]
    fn what_mermaid_cannot_read_is_not_drawn() {
        for values in [
            vec![1e-30, 2e-30],
            vec![1e30, 1.0],
            vec![f64::NAN; 3],
            vec![1.0],
            vec![],
        ] {
            let series = Series {
                steps: Vec::new(),
                count: values.len() as u64,
                values: values.into_iter().map(Number::from).collect(),
            };
            assert_eq!(draw("x", &series), None);
        }
        let flat = draw("x", &series(3, |_| 0.0)).unwrap();
        assert!(flat.contains("y-axis -0.0005 --> 0.0005"), "{flat}");
    }

    proptest! {
        #[test]
        fn a_name_adds_no_line_quote_or_directive(name in "\\PC{0,60}|(\"|`|\n|%%\\{init|click |-->|;|#|@){0,20}") {
            let chart = draw(&name, &series(3, |step| step)).unwrap();
            prop_assert_eq!(chart.lines().count(), 6);
            let title = chart.lines().nth(2).unwrap();
            prop_assert_eq!(title.matches('"').count(), 2);
            let forbidden = ['`', '%', '#', '@', ';', '<', '>', '{', '}', '&', '\\'];
            prop_assert!(!title.contains(forbidden), "{}", title);
        }

        #[test]
        fn numbers_are_plain_decimals(values in proptest::collection::vec(any::<f64>(), 0..60)) {
            let series = Series {
                steps: Vec::new(),
                count: values.len() as u64,
                values: values.into_iter().map(Number::from).collect(),
            };
            if let Some(chart) = draw("x", &series) {
                let numbers = chart.lines().last().unwrap().trim().trim_start_matches("line [").trim_end_matches(']').to_owned();
                prop_assert!(numbers.chars().all(|char| "0123456789.-, ".contains(char)), "{}", numbers);
            }
        }
    }
}
