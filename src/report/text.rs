//! Words and escapes that the faces share.

use super::{Change, Direction, MetricRow, Outcome, Status};
use crate::metrics::Series;

/// A status in words, with a sign that does not need colour.
#[must_use]
pub fn status(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Passed => ("✅", "passed"),
        Status::Inconclusive => ("⚠️", "passed, with gates that could not be decided"),
        Status::GateFailed => ("❌", "a gate failed"),
        Status::BuildFailed => ("❌", "the environment could not be made"),
        Status::JobFailed => ("❌", "the job failed"),
        Status::Stopped => ("🛑", "stopped"),
        Status::TimedOut => ("⏱️", "timed out"),
        Status::Cancelled => ("🛑", "cancelled"),
    }
}

/// A verdict in words.
#[must_use]
pub fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "✓ pass",
        Outcome::Fail => "✗ fail",
        Outcome::Inconclusive => "? inconclusive",
    }
}

/// A change with its sign, and whether it is better or worse when that is known.
#[must_use]
pub fn change(row: &MetricRow) -> String {
    let Some(Change { absolute, relative }) = row.change else {
        return String::new();
    };
    let percent = relative
        .map(|part| format!(" ({:+.1} %)", part * 100.0))
        .unwrap_or_default();
    let meaning = match row.direction {
        _ if absolute == 0.0 => " =",
        Some(Direction::Higher) if absolute > 0.0 => " ↑ better",
        Some(Direction::Higher) => " ↓ worse",
        Some(Direction::Lower) if absolute < 0.0 => " ↓ better",
        Some(Direction::Lower) => " ↑ worse",
        None => "",
    };
    format!("{absolute:+}{percent}{meaning}")
}

/// A curve in up to `width` blocks; values that are not finite leave a gap.
#[must_use]
pub fn sparkline(series: &Series, width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let values: Vec<f64> = series.values.iter().map(super::Number::value).collect();
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (least, most) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| {
        (a.min(value), b.max(value))
    });
    let points = values.len().min(width);
    (0..points)
        .map(|point| {
            let value = values[point * values.len() / points];
            if !value.is_finite() {
                return ' ';
            }
            let height = if most > least {
                (value - least) / (most - least)
            } else {
                0.5
            };
            BLOCKS[((height * 7.0).round() as usize).min(7)]
        })
        .collect()
}

/// Text for a terminal: no control characters, nothing that reorders text.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars()
        .filter(|&char| char == '\t' || !(char.is_control() || is_invisible(char)))
        .collect()
}

/// Text in Markdown that stays text: no markup, links, mentions, references or cells of its own.
#[must_use]
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' => out.push(' '),
            char if char.is_control() || is_invisible(char) => {}
            // Entities, not backslashes: GitHub looks for mentions, references and links in text
            // after backslashes are gone; an entity with a zero-width space behind it breaks them.
            '@' | '#' | ':' => out.push_str(&format!("&#{};&#8203;", char as u32)),
            char if char.is_ascii_punctuation() && !matches!(char, ',' | '.' | '%' | ';') => {
                out.push_str(&format!("&#{};", char as u32));
            }
            '.' => out.push_str(".&#8203;"),
            char => out.push(char),
        }
    }
    out
}

/// Direction overrides, zero-width and byte-order characters.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Number;

    #[test]
    fn hostile_text_has_no_markup_left() {
        let hostile = "a|b`c`<img src=x>[x](http://e.x) @team #12 **b**\n# head \u{202e}x :tada:";
        let safe = markdown(hostile);
        let visible: String = safe.replace("&#8203;", "");
        for part in [
            "|", "`", "<", "[", "@", "*", "\n", "\u{202e}", "http:", ":tada:", " #12",
        ] {
            assert!(!visible.contains(part), "{part:?} in {visible}");
        }
    }

    #[test]
    fn a_sparkline_shows_the_shape_and_gaps() {
        let values = ["0", "1", "nan", "2"]
            .map(|text| Number::parse(text).unwrap())
            .to_vec();
        let series = Series {
            steps: vec![0.0; 4],
            values,
            count: 4,
        };
        assert_eq!(sparkline(&series, 10), "▁▅ █");
        assert_eq!(sparkline(&series, 0), "");
    }

    #[test]
    fn terminals_get_no_escape_sequences() {
        assert_eq!(plain("a\x1b[2Jb\u{202e}c\n"), "a[2Jbc");
    }
}
