//! Metrics: what a run wrote or printed, as numbers that keep every digit.

pub mod baseline;
mod definition;
pub mod file;
pub mod gate;
mod json;
pub mod log;
pub mod number;
pub mod pieces;
mod prefilter;
pub mod preset;
mod series;

pub use number::Number;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a metric was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `metrics.json`, written by the training or validation program.
    File,
    /// A log line that a metric definition matched.
    Log,
    /// The destination read it from the log by itself, in 32 bits: SageMaker's
    /// `FinalMetricDataList`. Only for what neither file nor log says here.
    Destination,
}

/// Everything that one job reported.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricSet {
    /// The last value of each metric, by name (nested names are joined by dots).
    #[serde(default)]
    pub values: IndexMap<String, Metric>,
    /// Curves by name.
    #[serde(default)]
    pub series: IndexMap<String, Series>,
    /// The confusion matrix, when the job wrote one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion_matrix: Option<ConfusionMatrix>,
    /// Per-class values: class → metric → value.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_class: IndexMap<String, IndexMap<String, Number>>,
}

/// One metric's last value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The value as it was written, every digit kept.
    pub value: Number,
    /// Where the value was read.
    pub source: Source,
}

/// A curve: values in the order in which they were reported.
///
/// Long series are thinned to a bounded number of points; `count` says how many there were.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Step (epoch, iteration) of each value; as long as `values`.
    pub steps: Vec<f64>,
    /// The values.
    pub values: Vec<Number>,
    /// How many values were reported before thinning.
    pub count: u64,
}

/// Counts of predictions by true class (rows) and predicted class (columns).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfusionMatrix {
    /// Class labels, in the order of rows and columns.
    pub labels: Vec<String>,
    /// `matrix[i][j]`: rows of true class `i` predicted as class `j`.
    #[serde(deserialize_with = "counts")]
    pub matrix: Vec<Vec<u64>>,
}

/// Counts, also as programs write them that count in floats: `48.0`.
fn counts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u64>>, D::Error> {
    let rows: Vec<Vec<f64>> = Deserialize::deserialize(deserializer)?;
    let count = |value: f64| match value >= 0.0 && value.fract() == 0.0 && value < 2f64.powi(53) {
        true => Ok(value as u64),
        false => Err(serde::de::Error::custom(format!("{value} is not a count"))),
    };
    rows.into_iter()
        .map(|row| row.into_iter().map(count).collect())
        .collect()
}

impl MetricSet {
    /// Adds another set; where both have a name, the other one wins.
    pub fn merge(&mut self, other: Self) {
        let Self {
            values,
            series,
            confusion_matrix,
            per_class,
        } = other;
        self.values.extend(values);
        self.series.extend(series);
        self.per_class.extend(per_class);
        self.confusion_matrix = confusion_matrix.or(self.confusion_matrix.take());
    }

    /// A metric's value by name; `per_class.CLASS.METRIC` reaches the per-class values.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<&Number> {
        if let Some(metric) = self.values.get(name) {
            return Some(&metric.value);
        }
        // Classes and metrics may have dots themselves.
        let rest = name.strip_prefix("per_class.")?;
        rest.match_indices('.')
            .find_map(|(dot, _)| self.per_class.get(&rest[..dot])?.get(&rest[dot + 1..]))
    }

    /// Every name that [`Self::lookup`] knows.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let classes = self.per_class.iter().flat_map(|(class, values)| {
            let name = move |metric: &String| format!("per_class.{class}.{metric}");
            values.keys().map(name)
        });
        self.values.keys().cloned().chain(classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_class_are_found_by_their_whole_name() {
        let number = Number::from(0.5);
        let values = IndexMap::from([
            ("f1".to_owned(), number.clone()),
            ("f.1".to_owned(), number),
        ]);
        let set = MetricSet {
            per_class: IndexMap::from([("v1.0".to_owned(), values)]),
            ..MetricSet::default()
        };
        let names: Vec<String> = set.names().collect();
        assert_eq!(names, ["per_class.v1.0.f1", "per_class.v1.0.f.1"]);
        assert!(names.iter().all(|name| set.lookup(name).is_some()));
        assert!(set.lookup("per_class.v1.0").is_none() && set.lookup("v1.0.f1").is_none());
    }
}
