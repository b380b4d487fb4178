//! The report: one value, several faces.
//!
//! [`Report`] is what a run has to say. Its JSON face is the value itself; Markdown, HTML and
//! the terminal are renderers without decisions of their own. All text in it is untrusted.

pub(crate) mod blocks;
pub mod chart;
pub mod curves;
pub mod html;
pub mod jobs;
pub mod json;
pub mod markdown;
pub mod mermaid;
mod tables;
pub mod terminal;
pub mod text;

#[cfg(test)]
pub(crate) mod hostile;
#[cfg(test)]
pub(crate) mod sample;

use indexmap::IndexMap;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::{ConfusionMatrix, Number, Series, Source};
use jobs::JobInfo;

/// Version of the report's JSON form.
pub const SCHEMA_VERSION: u32 = 1;

/// What a run has to say, complete: every face is rendered from this value alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "mlaction report")]
pub struct Report {
    /// Version of this document's form.
    pub schema_version: u32,
    /// The run's id, as in `mlaction report RUN`.
    pub run: String,
    /// The project's name.
    pub project: String,
    /// Where the job ran: `process`, `docker`, `sagemaker`.
    pub destination: String,
    /// How the run ended.
    pub status: Status,
    /// Why, in one sentence, when the run did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do now, when there is advice to give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When the run started (UTC).
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: Timestamp,
    /// The phases of the run and how long each took, in order.
    pub phases: Vec<Phase>,
    /// The jobs that ran elsewhere, for money.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobInfo>,
    /// Metrics in order of importance: gated ones first.
    pub metrics: Vec<MetricRow>,
    /// Curves by metric name, from training and validation.
    pub curves: IndexMap<String, Series>,
    /// Confusion matrix on held-out data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion_matrix: Option<ConfusionMatrix>,
    /// Per-class values on held-out data: class → metric → value.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub per_class: IndexMap<String, IndexMap<String, Number>>,
    /// The baseline that the metrics were compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineInfo>,
    /// What the model was made from.
    pub lineage: Lineage,
    /// Hyperparameters, as the strings that the job was given.
    pub hyperparameters: IndexMap<String, String>,
    /// The job's last log lines; rendered when the run did not pass.
    pub log_tail: Vec<String>,
    /// Things worth knowing that are not failures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Trained, validated, every gate passed.
    Passed,
    /// Trained and validated; no gate failed, and at least one could not be decided.
    Inconclusive,
    /// Trained and validated; at least one gate failed.
    GateFailed,
    /// The Python environment or the image could not be made.
    BuildFailed,
    /// A job ended with an error.
    JobFailed,
    /// There were no machines for a job.
    NoCapacity,
    /// A job was stopped before its end.
    Stopped,
    /// A job ran longer than it may.
    TimedOut,
    /// The user stopped the run.
    Cancelled,
}

impl Status {
    /// Whether the run came to the point where its gates were judged.
    #[must_use]
    pub fn is_judged(self) -> bool {
        match self {
            Self::Passed | Self::Inconclusive | Self::GateFailed => true,
            Self::BuildFailed
            | Self::JobFailed
            | Self::NoCapacity
            | Self::Stopped
            | Self::TimedOut
            | Self::Cancelled => false,
        }
    }
}

/// One phase of a run, or of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// `environment`, `train`, `validate`; of a job, what the place calls it.
    pub name: String,
    /// Duration in seconds.
    pub seconds: f64,
}

/// Which way of a metric is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// More is better (accuracy).
    Higher,
    /// Less is better (loss).
    Lower,
}

/// One metric with its baseline, change and gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricRow {
    /// Name; nested names are joined by dots.
    pub name: String,
    /// Value of this run.
    pub value: Number,
    /// Where the value was read.
    pub source: Source,
    /// The baseline's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Number>,
    /// Change against the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// Which way is better, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The gate on this metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateResult>,
}

/// `value - baseline`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// In the metric's unit.
    pub absolute: f64,
    /// As a fraction of the baseline's magnitude; absent when the baseline is zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative: Option<f64>,
}

/// What a gate said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateResult {
    /// Pass, fail or inconclusive.
    pub outcome: Outcome,
    /// The rule in words: `≥ 0.9 · drop ≤ 0.01`.
    pub rule: String,
    /// Why it failed or could not be decided; what passed otherwise.
    pub reason: String,
}

/// A gate's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All of the gate's rules hold.
    Pass,
    /// A rule does not hold.
    Fail,
    /// A rule could not be decided: no comparable baseline.
    Inconclusive,
}

/// Where the baseline came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaselineInfo {
    /// The file it was read from.
    pub source: String,
    /// The run it was set from.
    pub run: String,
    /// The commit of that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When it was set (UTC).
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub created_at: Timestamp,
}

/// What a model was made from, and what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// Git commit, 40 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether the working tree differed from the commit.
    pub dirty: bool,
    /// Content hash that identifies the run: the same inputs give the same hash.
    pub content_hash: String,
    /// Content hash of the code that ran.
    pub code: String,
    /// Data channels.
    pub data: Vec<DataSource>,
    /// The environment: name → value (python, requirements).
    pub environment: IndexMap<String, String>,
    /// The packed model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelInfo>,
    /// Version of mlaction that ran it.
    pub mlaction: String,
}

/// One data channel's fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// Channel name.
    pub channel: String,
    /// Path or URI, as in the config.
    pub path: String,
    /// Content hash over names and bytes; the address of data in S3, which is not read.
    pub fingerprint: String,
    /// Number of files.
    pub files: u64,
    /// Total size in bytes.
    pub bytes: u64,
}

/// The model archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelInfo {
    /// File name in the run record, or the address of one that stays where the job left it.
    pub file: String,
    /// SHA-256 of `model.tar.gz`, hexadecimal; absent for one that is not in the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Size in bytes.
    pub bytes: u64,
}

impl Report {
    /// Decides status and reason of a run that has a result, from the verdicts of its gates.
    pub fn conclude(&mut self) {
        let said = |wanted: Outcome| -> Vec<String> {
            let gates = self
                .metrics
                .iter()
                .filter_map(|row| Some((row, row.gate.as_ref()?)));
            gates
                .filter(|(_, gate)| gate.outcome == wanted)
                .map(|(row, gate)| format!("{}: {}", row.name, gate.reason))
                .collect()
        };
        let (failed, undecided) = (said(Outcome::Fail), said(Outcome::Inconclusive));
        (self.status, self.reason) = match (failed.is_empty(), undecided.is_empty()) {
            (false, _) => (Status::GateFailed, Some(failed.join("; "))),
            (true, false) => (Status::Inconclusive, Some(undecided.join("; "))),
            (true, true) => (Status::Passed, None),
        };
    }
}
