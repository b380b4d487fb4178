//! Check runs and commit statuses: the bodies of the requests that begin and end them.
//!
//! <https://docs.github.com/en/rest/checks/runs>, <https://docs.github.com/en/rest/commits/statuses>

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::body;
use crate::config::gate_lines;
use crate::config::raw::Inconclusive;
use crate::error::{Error, ExitCode};
use crate::plan::Plan;
use crate::report::blocks::{NAME, TEXT, Table};
use crate::report::text::{self, line, markdown, outcome, short};
use crate::report::{self, MetricRow, Outcome, Report, Status};

/// Most annotations of a request; each request adds to those before it.
const ANNOTATIONS: usize = 50;

/// Most characters of a title, of a check's and of an annotation's.
const TITLE: usize = 255;

/// Most characters of an annotation's message: GitHub takes 64 KB.
const MESSAGE: usize = 4_000;

/// Most characters of a status's description.
const DESCRIPTION: usize = 140;

/// Gated metrics that a title has room for.
const METRICS: usize = 3;

/// Where a gate stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatePlace {
    /// Its metric.
    pub gate: String,
    /// The file's path in the repository.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
}

/// Where the gates of a configuration stand. `path` is that of the file in the repository.
#[must_use]
pub fn gate_places(source: &str, path: &str) -> Vec<GatePlace> {
    let lines = gate_lines(source).into_iter();
    lines
        .map(|(gate, line)| GatePlace {
            gate,
            path: path.to_owned(),
            line,
        })
        .collect()
}

/// The name of a check, and of a status.
#[must_use]
pub fn name(project: &str, destination: &str) -> String {
    line(&format!("mlaction: {project} ({destination})"), TITLE)
}

/// The name of a check whose result is a stranger's word: no branch protection may wait for it.
#[must_use]
pub fn name_of_stranger(project: &str, destination: &str) -> String {
    line(
        &format!("mlaction, as reported by the fork: {project} ({destination})"),
        TITLE,
    )
}

/// The same request with a result that is nothing to rely on.
#[must_use]
pub fn without_success(mut update: Value) -> Value {
    if update["conclusion"] == "success" {
        update["conclusion"] = "neutral".into();
    }
    update
}

/// The request that makes a check of a run that begins.
#[must_use]
pub fn begin(
    name: &str,
    head_sha: &str,
    run_id: &str,
    details_url: Option<&str>,
    started_at: Timestamp,
    plan: &Plan,
) -> Value {
    let title = format!("training on {}", plan.destination.name());
    let update = json!({
        "status": "in_progress",
        "started_at": time(started_at),
        "output": { "title": line(&title, TITLE), "summary": body::plan(plan) },
    });
    create(name, head_sha, run_id, with_url(update, details_url))
}

/// The request that makes a check out of one that changes it, when there is none to change.
#[must_use]
pub fn create(name: &str, head_sha: &str, run_id: &str, mut update: Value) -> Value {
    update["name"] = name.into();
    update["head_sha"] = head_sha.into();
    update["external_id"] = run_id.into();
    update
}

/// The requests that end a check: the first has the result, those after it further annotations.
#[must_use]
pub fn end(
    report: &Report,
    gate_places: &[GatePlace],
    inconclusive: Inconclusive,
    details_url: Option<&str>,
    completed_at: Timestamp,
) -> Vec<Value> {
    let annotations = annotations(report, gate_places);
    let output = json!({
        "title": line(&title(report), TITLE),
        "summary": summary(report),
        "text": report::markdown::render(report),
    });
    // Without annotations, there is one request all the same.
    let first: &[Value] = &[];
    let groups = annotations.chunks(ANNOTATIONS);
    let groups = std::iter::once(first)
        .filter(|_| annotations.is_empty())
        .chain(groups);
    let update = |group: &[Value]| {
        let mut update = json!({
            "status": "completed",
            "conclusion": conclusion(report.status, inconclusive),
            "completed_at": time(completed_at),
            "output": output.clone(),
        });
        update["output"]["annotations"] = group.into();
        with_url(update, details_url)
    };
    groups.map(update).collect()
}

/// The request that ends the check of a run that has no report.
#[must_use]
pub fn failed(error: &Error, details_url: Option<&str>, completed_at: Timestamp) -> Value {
    let update = json!({
        "status": "completed",
        "conclusion": conclusion_of_error(error),
        "completed_at": time(completed_at),
        "output": {
            "title": line(&error.to_string(), TITLE),
            "summary": body::excerpt(&error.render()),
        },
    });
    with_url(update, details_url)
}

/// The status of a commit whose run has begun.
#[must_use]
pub fn status_begun(name: &str, plan: &Plan, target_url: Option<&str>) -> Value {
    let description = format!("training on {}", plan.destination.name());
    commit_status(name, "pending", &description, target_url)
}

/// The status of a commit whose run has a report.
#[must_use]
pub fn status(
    name: &str,
    report: &Report,
    inconclusive: Inconclusive,
    target_url: Option<&str>,
) -> Value {
    let state = state(conclusion(report.status, inconclusive));
    commit_status(name, state, &title(report), target_url)
}

/// The status of a commit whose run has none.
#[must_use]
pub fn status_failed(name: &str, error: &Error, target_url: Option<&str>) -> Value {
    let state = state(conclusion_of_error(error));
    commit_status(name, state, &error.to_string(), target_url)
}

fn commit_status(name: &str, state: &str, description: &str, target_url: Option<&str>) -> Value {
    json!({
        "context": name,
        "state": state,
        "description": line(description, DESCRIPTION),
        "target_url": target_url.filter(|url| body::is_url(url)),
    })
}

/// How a check says that a run ended. A neutral one lets a pull request be merged.
#[must_use]
pub fn conclusion(status: Status, inconclusive: Inconclusive) -> &'static str {
    match (status, inconclusive) {
        (Status::Passed, _) => "success",
        (Status::Inconclusive, Inconclusive::Pass) => "neutral",
        (Status::Inconclusive, Inconclusive::Fail)
        | (Status::GateFailed | Status::BuildFailed | Status::JobFailed | Status::NoCapacity, _) => {
            "failure"
        }
        (Status::TimedOut, _) => "timed_out",
        (Status::Stopped | Status::Cancelled, _) => "cancelled",
    }
}

fn conclusion_of_error(error: &Error) -> &'static str {
    match error.exit_code() {
        ExitCode::Cancelled | ExitCode::JobStopped => "cancelled",
        ExitCode::TimedOut => "timed_out",
        _ => "failure",
    }
}

/// The same for a status, which knows less.
fn state(conclusion: &str) -> &'static str {
    match conclusion {
        "success" | "neutral" => "success",
        "failure" => "failure",
        _ => "error",
    }
}

/// The result in one line of plain text.
fn title(report: &Report) -> String {
    let (_, words) = text::status(report.status);
    if let Some(reason) = &report.reason {
        return format!("{words}: {reason}");
    }
    let metrics = gated(report).take(METRICS);
    let metrics: Vec<String> = metrics
        .map(|(row, _)| format!("{} {}", row.name, short(&row.value)))
        .collect();
    match metrics.is_empty() {
        true => words.to_owned(),
        false => format!("{words}: {}", metrics.join(", ")),
    }
}

fn gated(report: &Report) -> impl Iterator<Item = (&MetricRow, &report::GateResult)> {
    let rows = report.metrics.iter();
    rows.filter_map(|row| Some((row, row.gate.as_ref()?)))
}

/// Every gate and what it said.
fn summary(report: &Report) -> String {
    let mut table = Table::new(&["gate", ":value", "passes with", "result"]);
    let mut count = 0_usize;
    for (row, gate) in gated(report) {
        count += 1;
        table.push(&[
            markdown(&row.name, NAME),
            short(&row.value),
            markdown(&gate.rule, NAME),
            format!(
                "{}: {}",
                outcome(gate.outcome),
                markdown(&gate.reason, TEXT)
            ),
        ]);
    }
    match (count, &report.reason) {
        (1.., _) => table.finish(),
        (0, Some(reason)) => markdown(reason, TEXT),
        (0, None) => "There are no gates.".to_owned(),
    }
}

/// One for each gate that failed or could not be decided, where it stands.
fn annotations(report: &Report, gate_places: &[GatePlace]) -> Vec<Value> {
    let said = gated(report).filter_map(|(row, gate)| {
        let level = match gate.outcome {
            Outcome::Pass => return None,
            Outcome::Fail => "failure",
            Outcome::Inconclusive => "warning",
        };
        let place = gate_places.iter().find(|place| place.gate == row.name)?;
        let title = format!("{} of {}: {}", outcome(gate.outcome), row.name, gate.rule);
        Some(json!({
            "path": place.path,
            "start_line": place.line,
            "end_line": place.line,
            "annotation_level": level,
            "title": line(&title, TITLE),
            "message": line(&gate.reason, MESSAGE),
        }))
    });
    said.collect()
}

fn with_url(mut request: Value, details_url: Option<&str>) -> Value {
    if let Some(url) = details_url.filter(|url| body::is_url(url)) {
        request["details_url"] = url.into();
    }
    request
}

fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
