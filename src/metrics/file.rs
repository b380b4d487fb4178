//! `metrics.json`, written by the training or validation program.
//!
//! One JSON object: numbers by name, nested names joined by dots. `series`, `confusion_matrix`
//! and `per_class` are reserved. Python's bare `NaN` and `Infinity` are understood.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ConfusionMatrix, Metric, MetricSet, Number, Series, Source};

/// A metrics file is small; a larger one is a mistake or an attack.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Nesting of names.
const MAX_DEPTH: usize = 16;

/// Why a metrics file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not JSON, or not of the documented form.
    #[error("it is not a metrics file: {0}")]
    Form(#[from] serde_json::Error),
    /// It is larger than [`MAX_BYTES`].
    #[error("it has {0} bytes; a metrics file has at most {MAX_BYTES}")]
    TooLarge(usize),
    /// A confusion matrix is not square or does not fit its labels.
    #[error("`confusion_matrix` needs as many rows and columns as labels")]
    Matrix,
    /// A series has other steps than values.
    #[error("series `{0}` needs as many steps as values")]
    Steps(String),
}

/// Reads a metrics file, and what in it is worth a warning.
///
/// # Errors
/// Not JSON, too large, or a reserved key of another form.
pub fn parse(bytes: &[u8]) -> Result<(MetricSet, Vec<String>), FileError> {
    if bytes.len() > MAX_BYTES {
        return Err(FileError::TooLarge(bytes.len()));
    }
    let text = quote_bare_words(&String::from_utf8_lossy(bytes));
    let document: IndexMap<String, Box<RawValue>> = serde_json::from_str(&text)?;
    let mut set = MetricSet::default();
    let mut warnings = Vec::new();
    for (name, value) in document {
        match name.as_str() {
            "series" => {
                let all: IndexMap<String, Box<RawValue>> = serde_json::from_str(value.get())?;
                for (name, raw) in all {
                    let series = parse_series(&name, raw.get())?;
                    set.series.insert(clean(&name), series);
                }
            }
            "confusion_matrix" => {
                let matrix: ConfusionMatrix = serde_json::from_str(value.get())?;
                let size = matrix.labels.len();
                if matrix.matrix.len() != size || matrix.matrix.iter().any(|row| row.len() != size)
                {
                    return Err(FileError::Matrix);
                }
                set.confusion_matrix = Some(matrix);
            }
            "per_class" => set.per_class = serde_json::from_str(value.get())?,
            _ => flatten(&clean(&name), value.get(), 0, &mut set, &mut warnings),
        }
    }
    Ok((set, warnings))
}

fn parse_series(name: &str, raw: &str) -> Result<Series, FileError> {
    let (steps, values) = if raw.trim_start().starts_with('[') {
        let values: Vec<Number> = serde_json::from_str(raw)?;
        ((0..values.len()).map(|step| step as f64).collect(), values)
    } else {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Points {
            steps: Vec<f64>,
            values: Vec<Number>,
        }
        let Points { steps, values } = serde_json::from_str(raw)?;
        (steps, values)
    };
    if steps.len() != values.len() {
        return Err(FileError::Steps(name.to_owned()));
    }
    Ok(Series {
        count: values.len() as u64,
        steps,
        values,
    })
}

fn flatten(name: &str, raw: &str, depth: usize, set: &mut MetricSet, warnings: &mut Vec<String>) {
    let raw = raw.trim();
    if raw.starts_with('{') && depth < MAX_DEPTH {
        let nested: Result<IndexMap<String, Box<RawValue>>, _> = serde_json::from_str(raw);
        for (inner, value) in nested.unwrap_or_default() {
            flatten(
                &format!("{name}.{}", clean(&inner)),
                value.get(),
                depth + 1,
                set,
                warnings,
            );
        }
    } else if let Some(value) = number(raw) {
        set.values.insert(
            name.to_owned(),
            Metric {
                value,
                source: Source::File,
            },
        );
    } else {
        warnings.push(format!(
            "`{name}` in metrics.json is not a number and is left out"
        ));
    }
}

/// A JSON number, or one of the three words for what JSON has no number for.
fn number(raw: &str) -> Option<Number> {
    match raw {
        "\"NaN\"" | "\"Infinity\"" | "\"-Infinity\"" => Number::parse(raw.trim_matches('"')),
        _ if raw.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) => {
            Number::parse(raw)
        }
        _ => None,
    }
}

fn clean(name: &str) -> String {
    name.chars()
        .filter(|char| !char.is_control())
        .take(256)
        .collect()
}

/// Puts Python's `NaN`, `Infinity` and `-Infinity` in quotes, outside of strings.
fn quote_bare_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let mut end = 1;
            let bytes = rest.as_bytes();
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            let end = (end + 1).min(rest.len());
            let end = (end..=rest.len())
                .find(|&at| rest.is_char_boundary(at))
                .unwrap_or(rest.len());
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if let Some(word) = ["NaN", "Infinity", "-Infinity"]
            .iter()
            .find(|word| rest.starts_with(**word))
        {
            out.push('"');
            out.push_str(word);
            out.push('"');
            rest = &rest[word.len()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_nested_names_and_reserved_keys_are_read() {
        let (set, warnings) = parse(
            br#"{"accuracy": 0.970, "val": {"loss": NaN, "best": -Infinity}, "note": "hi",
                "series": {"loss": [0.50, NaN], "lr": {"steps": [1, 5], "values": [1e-3, 1e-4]}},
                "confusion_matrix": {"labels": ["a", "b"], "matrix": [[3, 0], [1, 2]]},
                "per_class": {"a": {"recall": 1.0}}}"#,
        )
        .unwrap();
        let values: Vec<(&str, &str)> = set
            .values
            .iter()
            .map(|(name, metric)| (name.as_str(), metric.value.as_str()))
            .collect();
        assert_eq!(
            values,
            [
                ("accuracy", "0.970"),
                ("val.loss", "NaN"),
                ("val.best", "-Infinity")
            ]
        );
        assert_eq!(set.series["lr"].steps, [1.0, 5.0]);
        assert_eq!(set.series["loss"].values[0].as_str(), "0.50");
        assert_eq!(set.per_class["a"]["recall"].as_str(), "1.0");
        assert_eq!(
            warnings,
            ["`note` in metrics.json is not a number and is left out"]
        );
    }

    #[test]
    fn what_is_not_a_metrics_file_is_refused_with_the_reason() {
        assert!(parse(b"[1, 2]").is_err());
        assert!(
            parse(b"{\"a\": 1,}")
                .unwrap_err()
                .to_string()
                .contains("line 1 column")
        );
        assert!(matches!(
            parse(br#"{"confusion_matrix": {"labels": ["a"], "matrix": []}}"#),
            Err(FileError::Matrix)
        ));
        assert!(matches!(
            parse(br#"{"series": {"x": {"steps": [1], "values": []}}}"#),
            Err(FileError::Steps(_))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn words_in_strings_are_left_alone(text in "[a-zNI\"\\\\ ]{0,40}") {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(quote_bare_words(&json), json);
        }
    }
}
