//! What the jobs of a run gave: `metrics.json` of the run record. Together with the plan it is
//! enough to judge the run again, against other gates or another baseline, without training.

use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::config::problem;
use crate::error::{Error, ExitCode, Result};
use crate::metrics::{MetricSet, gate};
use crate::plan::Plan;
use crate::record;
use crate::report::jobs::JobInfo;
use crate::report::{ModelInfo, Phase, Report, Status};

/// Version of the document's form.
const SCHEMA_VERSION: u32 = 1;

/// The measurements of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Version of this document's form.
    pub schema_version: u32,
    /// Metrics from the log and from `metrics.json`.
    pub metrics: MetricSet,
    /// The packed model, when there is one.
    pub model: Option<ModelInfo>,
    /// The environment that the jobs ran in.
    pub environment: IndexMap<String, String>,
    /// How long each phase took.
    pub phases: Vec<Phase>,
    /// The jobs that ran elsewhere, for money.
    pub jobs: Vec<JobInfo>,
    /// Things worth knowing that are not failures.
    pub warnings: Vec<String>,
    /// How the run failed, if it did.
    pub failure: Option<Failure>,
}

/// How a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The kind of failure.
    pub status: Status,
    /// Why, in one sentence.
    pub reason: String,
    /// What to do now.
    pub hint: Option<String>,
    /// Whether it says nothing of the job: who followed it was stopped, or lost it.
    #[serde(default)]
    pub is_passing: bool,
}

impl Default for Measured {
    fn default() -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            metrics: MetricSet::default(),
            model: None,
            environment: IndexMap::new(),
            phases: Vec::new(),
            jobs: Vec::new(),
            warnings: Vec::new(),
            failure: None,
        }
    }
}

impl Measured {
    /// Notes how long a phase took.
    pub fn phase(&mut self, name: &str, took: Duration) {
        self.phases.push(Phase {
            name: name.to_owned(),
            seconds: took.as_secs_f64(),
        });
    }

    /// Why the run failed, empty when it did not.
    #[must_use]
    pub fn reason(&self) -> String {
        self.failure
            .as_ref()
            .map(|failure| failure.reason.clone())
            .unwrap_or_default()
    }

    /// The report of the run that `made` these measurements, judged as `judge` says.
    ///
    /// # Errors
    /// A gate names a metric that the run did not report.
    pub fn report(self, made: &Plan, judge: &Plan, folder: &Path) -> Result<Report> {
        let Self {
            schema_version: _,
            metrics,
            model,
            environment,
            phases,
            jobs,
            warnings,
            failure,
        } = self;
        let mut report = made.report(Status::Passed, phases, model);
        report.lineage.environment = environment;
        report.jobs = jobs;
        let none = IndexMap::new();
        // A run that failed has no result to judge; what it reported is shown all the same.
        let gates = if failure.is_some() {
            &none
        } else {
            &judge.gates
        };
        report.metrics = gate::rows(
            &metrics,
            gates,
            &judge.comparison(&made.held_out(), &made.definitions()),
        )
        .map_err(|error| unknown(&error, &warnings))?;
        report.baseline = judge.baseline_info();
        report.curves = metrics.series;
        report.confusion_matrix = metrics.confusion_matrix;
        report.per_class = metrics.per_class;
        report.warnings = warnings;
        match failure {
            None => report.conclude(),
            Some(Failure {
                status,
                reason,
                hint,
                is_passing: _,
            }) => {
                report.status = status;
                report.log_tail =
                    record::tail(&folder.join(record::LOG), judge.report.log_lines as usize);
                let known = || match status {
                    Status::Cancelled => None,
                    _ => super::hint::of(&reason, &report.log_tail).map(str::to_owned),
                };
                let whole = || format!("the whole log: `mlaction logs {}`", made.run);
                let has_log = !report.log_tail.is_empty();
                report.hint = hint.or_else(known).or_else(|| has_log.then(whole));
                report.reason = Some(reason);
            }
        }
        Ok(report)
    }
}

fn unknown(error: &gate::UnknownMetrics, warnings: &[String]) -> Error {
    let existing = error.existing.iter().map(String::as_str);
    let hint = format!(
        "the run reported {}; correct the gate and run again: the model is not trained again",
        problem::one_of(existing)
    );
    let unknown = Error::new(ExitCode::Config, error.to_string()).hint(hint);
    // Why it is not among them, perhaps: `accuracy` is there, but is no number.
    match warnings.is_empty() {
        true => unknown,
        false => unknown.because(warnings.join("; ")),
    }
}
