//! `metrics.json`, written by the training or validation program.
//!
//! One JSON object: numbers by name, nested names joined by dots. `series`, `confusion_matrix`
//! and `per_class` are reserved. Python's bare `NaN` and `Infinity` are understood. [`Form`] is
//! the documented form; what is read is a little more, with a warning for what is left out.

use std::collections::HashSet;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::json::{Members, clean, quote_bare_words, walk};
use super::number;
use super::series::Recorder;
use super::{ConfusionMatrix, Metric, MetricSet, Number, Series, Source};

/// A metrics file is small; a larger one is a mistake or an attack.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What a report can show; more is left out, with a warning.
const MAX_VALUES: usize = 1000;
const MAX_SERIES: usize = 256;
const MAX_CLASSES: usize = 1000;

/// Warnings about single names; the rest is counted.
const MAX_WARNINGS: usize = 20;

/// The documented form of a metrics file.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "metrics.json", example = example())]
pub struct Form {
    /// Curves by name: a list of values, or steps and values.
    #[serde(default)]
    pub series: IndexMap<String, Curve>,
    /// Counts of predictions by true and predicted class.
    #[serde(default)]
    pub confusion_matrix: Option<ConfusionMatrix>,
    /// Values by class, then by metric; a gate names one as `per_class.CLASS.METRIC`.
    #[serde(default)]
    pub per_class: IndexMap<String, IndexMap<String, Number>>,
    /// Every other key is a metric.
    #[serde(flatten)]
    pub values: IndexMap<String, Value>,
}

/// A curve in a metrics file.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Curve {
    /// Values at the steps 0, 1, 2, …
    Values(Vec<Number>),
    /// Values at steps of their own.
    Points(Points),
}

/// Values and the steps (epochs, iterations) at which they were measured.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Points {
    /// As many as `values`.
    pub steps: Vec<f64>,
    /// The values.
    pub values: Vec<Number>,
}

/// A metric, or a group of metrics whose names are joined to the group's by a dot.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// A metric.
    Number(Number),
    /// A group.
    Group(IndexMap<String, Self>),
}

/// What the schema shows.
fn example() -> serde_json::Value {
    serde_json::json!({
        "accuracy": 0.93,
        "validation": { "loss": 0.21, "calibration": "NaN" },
        "series": { "loss": [0.9, 0.4, 0.21], "lr": { "steps": [1, 10], "values": [0.001, 0.0001] } },
        "confusion_matrix": { "labels": ["cat", "dog"], "matrix": [[48, 2], [5, 45]] },
        "per_class": { "cat": { "recall": 0.96 }, "dog": { "recall": 0.9 } }
    })
}

/// Why a metrics file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not JSON, or not of the documented form.
    #[error("it is not a metrics file: {0}")]
    Form(#[from] serde_json::Error),
    /// It is in an encoding that JSON does not have.
    #[error("it is UTF-16; JSON is UTF-8")]
    Encoding,
    /// It is larger than [`MAX_BYTES`].
    #[error("it has {0} bytes; a metrics file has at most {MAX_BYTES}")]
    TooLarge(usize),
    /// A reserved key has another form.
    #[error("`{name}`: {cause}")]
    Reserved {
        /// The key.
        name: String,
        /// What the parser says.
        cause: serde_json::Error,
    },
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
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(FileError::Encoding);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let text = quote_bare_words(&text);
    let Members(members) = serde_json::from_str(&text)?;
    let mut reader = Reader::default();
    if std::str::from_utf8(bytes).is_err() {
        reader.warn("metrics.json is not UTF-8; some names in it are damaged".to_owned());
    }
    let mut seen = HashSet::new();
    let mut values = Vec::new();
    for (name, value) in members {
        if matches!(&*name, "series" | "confusion_matrix" | "per_class") {
            if !seen.insert(name.clone()) {
                reader.warn(format!("`{name}` is there twice; the last one counts"));
            }
            let failed = |cause| FileError::Reserved {
                name: name.to_string(),
                cause,
            };
            match &*name {
                "series" => reader.series(serde_json::from_str(value.get()).map_err(failed)?)?,
                "per_class" => reader.classes(serde_json::from_str(value.get()).map_err(failed)?),
                _ => reader.matrix(serde_json::from_str(value.get()).map_err(failed)?)?,
            }
        } else {
            values.push((name, value));
        }
    }
    walk(Members(values), &mut |name, raw| reader.value(name, raw));
    Ok(reader.finish())
}

#[derive(Default)]
struct Reader {
    set: MetricSet,
    warnings: Vec<String>,
    /// Warnings and values that are not kept.
    unsaid: usize,
    too_many: usize,
}

impl Reader {
    fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        } else {
            self.unsaid += 1;
        }
    }

    fn value(&mut self, name: &str, raw: &str) {
        let Some(value) = Number::from_json(raw).filter(|_| !name.is_empty()) else {
            let hint = match raw.trim_matches('"').parse::<f64>() {
                Ok(_) if raw.len() > number::MAX_CHARS => {
                    &format!(" (more than {} characters)", number::MAX_CHARS)
                }
                Ok(_) if raw.starts_with('"') => " (write it without quotes)",
                _ if raw.starts_with('[') => " (a curve belongs into `series`)",
                _ => "",
            };
            return self.warn(format!(
                "`{name}` in metrics.json is not a number and is left out{hint}"
            ));
        };
        if self.set.values.len() == MAX_VALUES && !self.set.values.contains_key(name) {
            self.too_many += 1;
            return;
        }
        let metric = Metric {
            value,
            source: Source::File,
        };
        if self.set.values.insert(name.to_owned(), metric).is_some() {
            self.warn(format!(
                "`{name}` is in metrics.json twice; the last one counts"
            ));
        }
    }

    fn series(&mut self, all: IndexMap<String, Box<RawValue>>) -> Result<(), FileError> {
        self.set.series.clear();
        for (name, raw) in all {
            if self.set.series.len() == MAX_SERIES {
                self.warn(format!(
                    "metrics.json has more than {MAX_SERIES} series; the rest is left out"
                ));
                break;
            }
            let series = curve(&name, raw.get())?;
            self.set
                .series
                .extend(series.map(|series| (clean(&name), series)));
        }
        Ok(())
    }

    fn matrix(&mut self, matrix: Option<ConfusionMatrix>) -> Result<(), FileError> {
        if let Some(ConfusionMatrix { labels, matrix }) = &matrix {
            let size = labels.len();
            if matrix.len() != size || matrix.iter().any(|row| row.len() != size) {
                return Err(FileError::Matrix);
            }
        }
        let is_too_large = |matrix: &ConfusionMatrix| matrix.labels.len() > MAX_CLASSES;
        if matrix.as_ref().is_some_and(is_too_large) {
            self.warn(format!(
                "`confusion_matrix` has more than {MAX_CLASSES} classes and is left out"
            ));
        }
        self.set.confusion_matrix = matrix.filter(|matrix| !is_too_large(matrix));
        Ok(())
    }

    fn classes(&mut self, all: IndexMap<String, IndexMap<String, Number>>) {
        if all.len() > MAX_CLASSES {
            self.warn(format!(
                "`per_class` has more than {MAX_CLASSES} classes; the rest is left out"
            ));
        }
        let metrics = |metrics: IndexMap<String, Number>| {
            let metrics = metrics.into_iter();
            metrics
                .map(|(name, number)| (clean(&name), number))
                .collect()
        };
        self.set.per_class = all
            .into_iter()
            .take(MAX_CLASSES)
            .map(|(class, values)| (clean(&class), metrics(values)))
            .collect();
    }

    fn finish(self) -> (MetricSet, Vec<String>) {
        let Self {
            set,
            mut warnings,
            unsaid,
            too_many,
        } = self;
        if too_many > 0 {
            warnings.push(format!(
                "metrics.json has {too_many} more than {MAX_VALUES} metrics; they are left out"
            ));
        }
        if unsaid > 0 {
            warnings.push(format!("and {unsaid} more notes about metrics.json"));
        }
        (set, warnings)
    }
}

/// A curve, thinned when it is long; nothing when it has no values.
fn curve(name: &str, raw: &str) -> Result<Option<Series>, FileError> {
    let failed = |cause| FileError::Reserved {
        name: format!("series.{}", clean(name)),
        cause,
    };
    // NOTE: not through the untagged `Curve`, whose messages do not say what is wrong.
    let (steps, values) = if raw.starts_with('[') {
        let values: Vec<Number> = serde_json::from_str(raw).map_err(failed)?;
        ((0..values.len()).map(|step| step as f64).collect(), values)
    } else {
        let Points { steps, values } = serde_json::from_str(raw).map_err(failed)?;
        (steps, values)
    };
    if steps.len() != values.len() {
        return Err(FileError::Steps(clean(name)));
    }
    let mut recorder = Recorder::default();
    for (step, value) in steps.into_iter().zip(values) {
        recorder.push(step, value);
    }
    Ok(recorder.finish().map(|(_, series)| series))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(set: &MetricSet) -> Vec<(&str, &str)> {
        let values = set.values.iter();
        values
            .map(|(name, metric)| (name.as_str(), metric.value.as_str()))
            .collect()
    }

    #[test]
    fn numbers_nested_names_and_reserved_keys_are_read() {
        let (set, warnings) = parse(
            br#"{"accuracy": 0.970, "val": {"loss": NaN, "best": -Infinity}, "note": "hi",
                "series": {"loss": [0.50, NaN], "lr": {"steps": [1, 5], "values": [1e-3, 1e-4]}},
                "confusion_matrix": {"labels": ["a", "b"], "matrix": [[3, 0], [1, 2]]},
                "per_class": {"a": {"recall": 1.0}}}"#,
        )
        .unwrap();
        assert_eq!(
            values(&set),
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
        for (bytes, reason) in [
            (
                &b"[1, 2]"[..],
                "it is not a metrics file: invalid type: sequence, expected an object",
            ),
            (
                b"{\"a\": 1,}",
                "it is not a metrics file: trailing comma at line 1 column 9",
            ),
            (b"", "it is not a metrics file: EOF"),
            (b"{} {}", "it is not a metrics file: trailing characters"),
            (b"{\"a\": nan}", "it is not a metrics file: expected ident"),
            (b"\xff\xfe{\0}\0", "it is UTF-16; JSON is UTF-8"),
            (
                b"{\"series\": 1}",
                "`series`: invalid type: integer `1`, expected a map",
            ),
            (
                b"{\"series\": {\"x\": [1, null]}}",
                "`series.x`: `null` is not a number",
            ),
            (
                b"{\"series\": {\"x\": {\"steps\": [1], \"values\": []}}}",
                "series `x` needs as many steps as values",
            ),
            (
                b"{\"confusion_matrix\": {\"labels\": [\"a\"], \"matrix\": []}}",
                "`confusion_matrix` needs as many rows",
            ),
            (
                b"{\"per_class\": {\"a\": {\"f1\": \"0.5\"}}}",
                "`per_class`: `\"0.5\"` is not a number",
            ),
        ] {
            let message = parse(bytes).unwrap_err().to_string();
            assert!(message.starts_with(reason), "{message}");
        }
        let large = vec![b' '; MAX_BYTES + 1];
        assert!(matches!(parse(&large), Err(FileError::TooLarge(_))));
    }

    #[test]
    fn odd_files_are_read_with_a_warning() {
        let (set, warnings) = parse(
            b"\xef\xbb\xbf{\"a.b\": 1, \"a\": {\"b\": 2}, \"n\": 1e999, \"t\": 1e-400, \"q\": \"0.5\",
              \"l\": [1], \"\": 3, \"x\": null, \"k\xff\": 4}",
        )
        .unwrap();
        assert_eq!(
            values(&set),
            [
                ("a.b", "2"),
                ("n", "Infinity"),
                ("t", "1e-400"),
                ("k\u{fffd}", "4")
            ]
        );
        assert_eq!(
            warnings,
            [
                "metrics.json is not UTF-8; some names in it are damaged",
                "`a.b` is in metrics.json twice; the last one counts",
                "`q` in metrics.json is not a number and is left out (write it without quotes)",
                "`l` in metrics.json is not a number and is left out (a curve belongs into `series`)",
                "`` in metrics.json is not a number and is left out",
                "`x` in metrics.json is not a number and is left out",
            ]
        );
    }

    #[test]
    fn a_hostile_file_gives_a_report_of_bounded_size() {
        let many: Vec<String> = (0..5_000).map(|i| format!("\"m{i}\": {i}")).collect();
        let bad: Vec<String> = (0..5_000).map(|i| format!("\"b{i}\": null")).collect();
        let deep = format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
        let long: Vec<String> = (0..50_000).map(|i| i.to_string()).collect();
        let text = format!(
            "{{{}, {}, \"deep\": {deep}, \"{}\\u0000\": 1, \"series\": {{\"x\": [{}]}}}}",
            many.join(","),
            bad.join(","),
            "n".repeat(100_000),
            long.join(","),
        );
        let (set, warnings) = parse(text.as_bytes()).unwrap();
        assert_eq!(
            (set.values.len(), warnings.len()),
            (MAX_VALUES, MAX_WARNINGS + 2)
        );
        assert!(set.series["x"].values.len() < 2_000);
        assert_eq!(set.series["x"].count, 50_000);
        assert_eq!(set.series["x"].values.last().unwrap().as_str(), "49999");
    }

    #[test]
    fn the_schema_describes_what_is_read() {
        let schema = schemars::schema_for!(Form).to_value();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let (set, warnings) = parse(example().to_string().as_bytes()).unwrap();
        assert!(validator.is_valid(&example()), "{schema:#}");
        assert_eq!(
            (set.values.len(), set.series.len(), warnings.len()),
            (3, 2, 0)
        );
        for wrong in [
            serde_json::json!([1]),
            serde_json::json!({"a": "0.5"}),
            serde_json::json!({"a": {"b": null}}),
            serde_json::json!({"series": {"x": 1}}),
            serde_json::json!({"confusion_matrix": {"labels": ["a"]}}),
        ] {
            assert!(!validator.is_valid(&wrong), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_text_of_the_right_letters_makes_it_panic(text in r#"\{("(series|per_class|a|NaN)":|[\[\]{},0-9eE.-]|NaN|"\\?"|null){0,30}\}"#) {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn every_number_is_read_digit_by_digit(value in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,40})?([eE][-+]?[0-9]{1,2})?") {
            let (set, _) = parse(format!("{{\"a\": {{\"b\":{value} }}}}").as_bytes()).unwrap();
            prop_assert_eq!(set.values["a.b"].value.as_str(), value);
        }
    }
}
