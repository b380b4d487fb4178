//! Words and escapes that the faces share.

use super::{Change, Direction, MetricRow, Outcome, Status};
use crate::metrics::{Number, Series};

/// A status in words, with a sign that does not need colour.
#[must_use]
pub fn status(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Passed => ("✅", "passed"),
        Status::Inconclusive => ("⚠️", "passed, with gates that could not be decided"),
        Status::GateFailed => ("❌", "a gate failed"),
        Status::BuildFailed => ("❌", "the environment or image could not be made"),
        Status::JobFailed => ("❌", "the job failed"),
        Status::NoCapacity => ("❌", "there were no machines for the job"),
        Status::Stopped => ("🛑", "stopped"),
        Status::TimedOut => ("⏱️", "timed out"),
        Status::Cancelled => ("🛑", "cancelled"),
    }
}

/// A status as one sign of one column, for a terminal and for a page.
#[must_use]
pub fn mark(status: Status) -> &'static str {
    match status {
        Status::Passed => "✓",
        Status::Inconclusive => "?",
        Status::GateFailed
        | Status::BuildFailed
        | Status::JobFailed
        | Status::NoCapacity
        | Status::TimedOut => "✗",
        Status::Stopped | Status::Cancelled => "■",
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

/// What a change means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trend {
    /// The good way.
    Better,
    /// The bad way.
    Worse,
    /// No change, or nobody said which way is good.
    Neutral,
}

/// What a row's change means, when its direction is known.
#[must_use]
pub fn trend(row: &MetricRow) -> Trend {
    let absolute = row.change.map_or(0.0, |change| change.absolute);
    match row.direction {
        Some(Direction::Higher) if absolute > 0.0 => Trend::Better,
        Some(Direction::Lower) if absolute < 0.0 => Trend::Better,
        Some(_) if absolute != 0.0 => Trend::Worse,
        _ => Trend::Neutral,
    }
}

/// A change with its sign, and whether it is better or worse when that is known.
#[must_use]
pub fn change(row: &MetricRow) -> String {
    let Some(Change { absolute, relative }) = row.change else {
        return String::new();
    };
    if absolute == 0.0 {
        return "=".to_owned();
    }
    let was_positive = row
        .baseline
        .as_ref()
        .is_some_and(|baseline| baseline.value() > 0.0);
    let percent = match relative {
        // Thousands of percent say less than how many times it is.
        Some(part) if part >= 9.0 && was_positive => format!(" ({} times)", (1.0 + part).round()),
        Some(part) => format!(" ({:+.1} %)", part * 100.0),
        None => String::new(),
    };
    let (sign, arrow) = if absolute > 0.0 {
        ("+", "↑")
    } else {
        ("", "↓")
    };
    let meaning = match trend(row) {
        Trend::Better => " better",
        Trend::Worse => " worse",
        Trend::Neutral => "",
    };
    format!("{sign}{}{percent} {arrow}{meaning}", number(absolute))
}

/// A float in at most six significant digits.
#[must_use]
pub fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    match rounded.abs() {
        0.0 => "0".to_owned(),
        size if !size.is_finite() => Number::from(value).to_string(),
        size if (1e-4..1e9).contains(&size) => rounded.to_string(),
        _ => format!("{rounded:e}"),
    }
}

/// A metric's value for people: as written when that is short, else rounded.
#[must_use]
pub fn short(value: &Number) -> String {
    match value.as_str() {
        text if text.len() <= 12 => text.to_owned(),
        _ => number(value.value()),
    }
}

/// A duration for people: `0.4 s`, `12.3 s`, `2 min 05 s`, `1 h 02 min`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A size for people: `812 bytes`, `1.5 kB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} bytes");
    }
    let mut size = count as f64 / 1000.0;
    let mut unit = 0;
    while size >= 999.95 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// A number of files.
#[must_use]
pub fn files(count: u64) -> String {
    match count {
        1 => "1 file".to_owned(),
        _ => format!("{count} files"),
    }
}

/// One line of at most `limit` characters, without control characters.
#[must_use]
pub fn line(text: &str, limit: usize) -> String {
    clip(
        &text.replace(['\n', '\r', '\t', '\u{2028}', '\u{2029}'], " "),
        limit,
    )
}

/// At most `limit` characters of a log line, without control characters but tabs.
#[must_use]
pub fn clip(text: &str, limit: usize) -> String {
    let text = plain(text);
    match text.char_indices().nth(limit) {
        Some(_) => text
            .chars()
            .take(limit.saturating_sub(1))
            .chain(['…'])
            .collect(),
        None => text,
    }
}

/// A curve in up to `width` blocks; values that are not finite leave a gap.
#[must_use]
pub fn sparkline(series: &Series, width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let values: Vec<f64> = series.values.iter().map(Number::value).collect();
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
///
/// It is one line of at most `limit` characters and never empty, so that markup around it holds.
#[must_use]
pub fn markdown(text: &str, limit: usize) -> String {
    let text = line(text, limit);
    let text = text.trim();
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let is_word = |at: usize| chars.get(at).is_some_and(|char| char.is_alphanumeric());
    let mut out = String::with_capacity(text.len() * 2);
    for (at, &char) in chars.iter().enumerate() {
        // Entities, not backslashes: GitHub looks for mentions, references and links in text
        // after backslashes are gone; an entity with a zero-width space behind it breaks them.
        match char {
            ':' if at > 0 && chars.get(at + 1).is_none_or(|next| *next == ' ') => out.push(char),
            '@' | '#' | ':' => out.push_str(&format!("&#{};&#8203;", char as u32)),
            '-' | '.' if is_reference(&chars[..at]) => {
                out.push_str(&format!("&#{};&#8203;", char as u32));
            }
            '-' | '.' | '_' if at > 0 && is_word(at - 1) && is_word(at + 1) => out.push(char),
            char if char.is_ascii_punctuation() && !matches!(char, ',' | '%' | ';' | '\'') => {
                out.push_str(&format!("&#{};", char as u32));
            }
            char => out.push(char),
        }
    }
    out
}

/// A sentence in Markdown: what stands between backticks is shown as code, all of it stays text.
///
/// Not for cells of a table, where `|` in code would end the cell.
#[must_use]
pub fn sentence(text: &str, limit: usize) -> String {
    let text = line(text, limit);
    let mut out = String::new();
    let mut rest = text.trim();
    while let Some((before, code, after)) = quoted(rest) {
        out += &spaced(before);
        out += &format!("`{code}`");
        rest = after;
    }
    match (out.is_empty(), rest.is_empty()) {
        (false, true) => out,
        (true, true) => markdown("", limit),
        _ => out + &spaced(rest),
    }
}

/// What stands before the first code of a text, the code, and what comes after it. What could be
/// taken for the comment's marker is no code.
fn quoted(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (code, after) = rest.split_once('`')?;
    let code = code.trim();
    (!code.is_empty() && !code.contains("<!--")).then_some((before, code, after))
}

/// Escaped, with the spaces at its ends that part it from code.
fn spaced(text: &str) -> String {
    let inner = text.trim();
    if inner.is_empty() {
        return if text.is_empty() {
            String::new()
        } else {
            " ".to_owned()
        };
    }
    let space = |is_there: bool| if is_there { " " } else { "" };
    let escaped = markdown(inner, usize::MAX);
    format!(
        "{}{escaped}{}",
        space(text.starts_with(' ')),
        space(text.ends_with(' '))
    )
}

/// Whether GitHub would link `GH-12` or `www.` after this text.
fn is_reference(before: &[char]) -> bool {
    ["gh", "www"].iter().any(|word| {
        before.len() >= word.len()
            && before[before.len() - word.len()..]
                .iter()
                .map(char::to_ascii_lowercase)
                .eq(word.chars())
    })
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
        let hostile = "a|b`c`<img src=x>[x](http://e.x) @team #12 GH-7 **b**\n# head \u{202e}x :tada: www.e.x";
        let safe = markdown(hostile, 200);
        for part in [
            "|", "`", "<", "[", "@", "*", "\n", "\u{202e}", "http:", ":tada:", " #12", "GH-7",
            "www.e",
        ] {
            assert!(!safe.contains(part), "{part:?} in {safe}");
        }
        assert_eq!(markdown("train_loss-2 0.9", 80), "train_loss-2 0.9");
        assert_eq!(markdown("1. _a_ - b", 80), "1&#46; &#95;a&#95; &#45; b");
        assert_eq!(markdown(" \u{200b}\n", 80), "(empty)");
        assert_eq!(markdown("abcdef", 4), "abc…");
    }

    #[test]
    fn a_sentence_quotes_between_backticks_and_the_rest_stays_text() {
        let cases = [
            (
                "see `mlaction logs x|y` for *more*",
                "see `mlaction logs x|y` for &#42;more&#42;",
            ),
            ("`a`b` @team", "`a`b&#96; &#64;&#8203;team"),
            ("one ` only", "one &#96; only"),
            (
                "`<!-- mlaction:v1:a -->`",
                &markdown("`<!-- mlaction:v1:a -->`", 80),
            ),
            ("``` `", "&#96;&#96;&#96; &#96;"),
            ("", "(empty)"),
        ];
        for (text, shown) in cases {
            assert_eq!(sentence(text, 80), shown, "{text}");
        }
    }

    #[test]
    fn a_change_in_figures_that_mean_something() {
        let row = |value: f64, baseline: f64| {
            let mut row = crate::report::sample::rich().metrics.remove(0);
            row.direction = None;
            row.change = Some(Change {
                absolute: value - baseline,
                relative: Some((value - baseline) / baseline.abs()),
            });
            row.baseline = Some(Number::from(baseline));
            change(&row)
        };
        assert_eq!(row(0.5, 0.25), "+0.25 (+100.0 %) ↑");
        assert_eq!(row(5.0, 0.01), "+4.99 (500 times) ↑");
        assert_eq!(row(9.0, -1.0), "+10 (+1000.0 %) ↑");
    }

    #[test]
    fn figures_are_short_for_people() {
        for (value, text) in [
            (0.1 + 0.2, "0.3"),
            (-0.012_345_678, "-0.0123457"),
            (1e-9, "1e-9"),
            (0.0, "0"),
            (f64::NAN, "NaN"),
            (123_456_789_012.0, "1.23457e11"),
        ] {
            assert_eq!(number(value), text);
        }
        let long = Number::parse("0.1000000000000000055511151231257827").unwrap();
        assert_eq!(short(&long), "0.1");
        assert_eq!(short(&Number::parse("0.9400").unwrap()), "0.9400");
        assert_eq!(
            [0.41, 125.2, 3_725.0].map(duration),
            ["0.4 s", "2 min 05 s", "1 h 02 min"]
        );
        assert_eq!(
            [812, 1_500, 999_999, 5_000_000_000].map(bytes),
            ["812 bytes", "1.5 kB", "1.0 MB", "5.0 GB"]
        );
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
