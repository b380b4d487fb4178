//! The baseline: the metrics of a run that is known to be good, in a file beside the code.

use std::fmt;
use std::path::Path;

use indexmap::IndexMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log::Definition;
use super::preset::Preset;
use super::{Number, Source};
use crate::atomic;

/// Version of the file's form.
pub const SCHEMA_VERSION: u32 = 1;

/// The baseline file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "mlaction baseline")]
pub struct Baseline {
    /// Version of this document's form.
    pub schema_version: u32,
    /// The run it was set from.
    pub run: String,
    /// The commit of that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When it was set (UTC).
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub created_at: Timestamp,
    /// When the run that it was set from was planned (UTC): an older one does not replace it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub planned_at: Option<Timestamp>,
    /// Fingerprints of the held-out data: channel → hash.
    pub data: IndexMap<String, String>,
    /// Content hash of the validation program; defines metrics that come from `metrics.json`.
    pub validation: String,
    /// The metrics.
    pub metrics: IndexMap<String, BaselineMetric>,
}

/// One metric of a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaselineMetric {
    /// The value.
    pub value: Number,
    /// How the log was read, for a metric from log lines: the regular expression, or presets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
}

/// Why a metric cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incomparable {
    /// There is no baseline.
    NoBaseline,
    /// The baseline does not have the metric.
    NoMetric,
    /// The baseline was measured on other held-out data.
    OtherData(String),
    /// The metric was made by another validation program.
    OtherProgram,
    /// The metric was read in another way: by another regular expression or preset, or from
    /// log lines instead of `metrics.json`.
    OtherDefinition,
}

impl fmt::Display for Incomparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBaseline => {
                f.write_str("there is no baseline yet; `mlaction baseline set` makes one")
            }
            Self::NoMetric => f.write_str("the baseline does not have this metric"),
            Self::OtherData(channel) => write!(
                f,
                "the baseline was measured on other data (channel `{channel}`)"
            ),
            Self::OtherProgram => {
                f.write_str("the validation program has changed since the baseline")
            }
            Self::OtherDefinition => {
                f.write_str("the metric's definition has changed since the baseline")
            }
        }
    }
}

/// Why a baseline file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the baseline `{path}`: {reason}")]
pub struct BaselineError {
    path: String,
    reason: String,
}

/// A baseline is a few kilobytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

impl Baseline {
    /// Reads a baseline; nothing when the file does not exist.
    ///
    /// # Errors
    /// The file cannot be read or has another form.
    pub fn load(path: &Path) -> Result<Option<Self>, BaselineError> {
        let failed = |reason: String| BaselineError {
            path: path.display().to_string(),
            reason,
        };
        if path
            .metadata()
            .is_ok_and(|meta| !meta.is_file() || meta.len() > MAX_BYTES)
        {
            let reason = format!("it is no regular file of at most {MAX_BYTES} bytes");
            return Err(failed(reason));
        }
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        Self::parse(text.as_bytes()).map(Some).map_err(failed)
    }

    /// Reads a baseline's document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let baseline: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        match baseline.schema_version {
            SCHEMA_VERSION => Ok(baseline),
            other => Err(format!(
                "its form has version {other}, this mlaction knows {SCHEMA_VERSION}"
            )),
        }
    }

    /// Writes the baseline to a temporary name and renames it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), BaselineError> {
        let failed = |reason: String| BaselineError {
            path: path.display().to_string(),
            reason,
        };
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(error.to_string()))?;
        atomic::write(path, text + "\n").map_err(|error| failed(error.to_string()))
    }
}

/// A baseline beside what this run was measured with.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The baseline, when there is one.
    pub baseline: Option<&'a Baseline>,
    /// Fingerprints of the held-out data of this run.
    pub data: &'a IndexMap<String, String>,
    /// Content hash of this run's validation program.
    pub validation: &'a str,
    /// How this run's log was read.
    pub definitions: &'a Definitions,
}

/// How metrics are read from log lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definitions {
    regexes: IndexMap<String, String>,
    presets: Option<String>,
}

impl Definitions {
    /// From the settings.
    #[must_use]
    pub fn new(definitions: &[Definition], presets: &[Preset]) -> Self {
        let regexes = definitions
            .iter()
            .map(|definition| (definition.name.clone(), definition.regex.clone()))
            .collect();
        // Sorted: their order changes nothing that is worth a new baseline.
        let mut names: Vec<&str> = presets.iter().map(|preset| preset.name()).collect();
        names.sort_unstable();
        let presets = (!names.is_empty()).then(|| format!("presets: {}", names.join(", ")));
        Self { regexes, presets }
    }

    /// What defines a metric: its regular expression or the presets that may have found it;
    /// nothing for one that the program wrote itself.
    #[must_use]
    pub fn of(&self, name: &str, source: Source) -> Option<&str> {
        match source {
            Source::File => None,
            Source::Log | Source::Destination => self
                .regexes
                .get(name)
                .or(self.presets.as_ref())
                .map(String::as_str),
        }
    }
}

impl Comparison<'_> {
    /// The baseline's value of a metric.
    ///
    /// # Errors
    /// Why the two cannot be compared.
    pub fn value(&self, name: &str, source: Source) -> Result<&Number, Incomparable> {
        let baseline = self.baseline.ok_or(Incomparable::NoBaseline)?;
        let metric = baseline.metrics.get(name).ok_or(Incomparable::NoMetric)?;
        let channels = self.data.keys().chain(baseline.data.keys());
        for channel in channels {
            if self.data.get(channel) != baseline.data.get(channel) {
                return Err(Incomparable::OtherData(channel.clone()));
            }
        }
        if source == Source::File && baseline.validation != self.validation {
            return Err(Incomparable::OtherProgram);
        }
        if metric.definition.as_deref() != self.definitions.of(name, source) {
            return Err(Incomparable::OtherDefinition);
        }
        Ok(&metric.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_survives_the_file_and_other_data_cannot_be_compared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        assert!(Baseline::load(&path).unwrap().is_none());
        let data = IndexMap::from([("held_out".to_owned(), "b3:1".to_owned())]);
        let metric = BaselineMetric {
            value: Number::parse("0.970").unwrap(),
            definition: None,
        };
        let baseline = Baseline {
            schema_version: SCHEMA_VERSION,
            run: "demo-1".to_owned(),
            commit: None,
            created_at: Timestamp::UNIX_EPOCH,
            planned_at: None,
            data: data.clone(),
            validation: "b3:v".to_owned(),
            metrics: IndexMap::from([("accuracy".to_owned(), metric)]),
        };
        baseline.save(&path).unwrap();
        let loaded = Baseline::load(&path).unwrap().unwrap();
        assert_eq!(loaded, baseline);

        let none = Definitions::default();
        let mut same = Comparison {
            baseline: Some(&loaded),
            data: &data,
            validation: "b3:v",
            definitions: &none,
        };
        assert_eq!(
            same.value("accuracy", Source::File).unwrap().as_str(),
            "0.970"
        );
        assert_eq!(
            same.value("loss", Source::File),
            Err(Incomparable::NoMetric)
        );
        same.validation = "b3:w";
        assert_eq!(
            same.value("accuracy", Source::File),
            Err(Incomparable::OtherProgram)
        );
        let other = IndexMap::from([("held_out".to_owned(), "b3:2".to_owned())]);
        let moved = Comparison {
            baseline: Some(&loaded),
            data: &other,
            validation: "b3:v",
            definitions: &none,
        };
        assert_eq!(
            moved.value("accuracy", Source::File),
            Err(Incomparable::OtherData("held_out".to_owned()))
        );
    }

    #[test]
    fn a_metric_that_is_read_in_another_way_cannot_be_compared() {
        let regex = |regex: &str| {
            let definition = Definition {
                name: "loss".to_owned(),
                regex: regex.to_owned(),
            };
            Definitions::new(&[definition], &[])
        };
        let presets = |presets: &[Preset]| Definitions::new(&[], presets);
        let ways = [
            (regex("loss=(.*)"), Source::Log),
            (regex("loss: (.*)"), Source::Log),
            (presets(&[Preset::Keras]), Source::Log),
            (presets(&[Preset::Json, Preset::Keras]), Source::Log),
            (regex("loss=(.*)"), Source::File),
        ];
        for (before, (was, was_from)) in ways.iter().enumerate() {
            let metric = BaselineMetric {
                value: Number::from(1.0),
                definition: was.of("loss", *was_from).map(str::to_owned),
            };
            let baseline = Baseline {
                schema_version: SCHEMA_VERSION,
                run: "demo-1".to_owned(),
                commit: None,
                created_at: Timestamp::UNIX_EPOCH,
                planned_at: None,
                data: IndexMap::new(),
                validation: "b3:v".to_owned(),
                metrics: IndexMap::from([("loss".to_owned(), metric)]),
            };
            for (now, (is, is_from)) in ways.iter().enumerate() {
                let comparison = Comparison {
                    baseline: Some(&baseline),
                    data: &IndexMap::new(),
                    validation: "b3:v",
                    definitions: is,
                };
                let value = comparison.value("loss", *is_from);
                assert_eq!(value.is_ok(), before == now, "{before} {now}: {value:?}");
            }
        }
        let order = presets(&[Preset::Keras, Preset::Json]);
        assert_eq!(order, presets(&[Preset::Json, Preset::Keras]));
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        std::fs::write(&path, "{").unwrap();
        assert!(
            Baseline::load(&path)
                .unwrap_err()
                .to_string()
                .contains("baseline.json")
        );
    }
}
