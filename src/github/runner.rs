//! The files by which a step tells the runner something: outputs and the job's summary.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#environment-files>

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::body::{self, Links};
use crate::destination::sagemaker::location::is_s3;
use crate::error::{Error, IoContext as _, Result};
use crate::plan::TRAIN;
use crate::record;
use crate::report::jobs::JobInfo;
use crate::report::{Report, Status, markdown};

/// A longer summary is not shown at all.
/// <https://github.com/actions/runner/blob/v2.336.0/src/Runner.Worker/FileCommandManager.cs>
const MOST_SUMMARY: u64 = 1024 * 1024;

/// What is said in place of what is too long.
const CUT: &str = "\n\n… The rest is in `report.md`.\n";

/// The step that this process is.
#[derive(Debug, Clone)]
pub struct Runner {
    output: Option<PathBuf>,
    summary: Option<PathBuf>,
    state: Option<PathBuf>,
    workspace: Option<PathBuf>,
}

impl Runner {
    /// The runner that the environment speaks of.
    #[must_use]
    pub fn of(env: &BTreeMap<String, String>) -> Option<Self> {
        let file = |name: &str| {
            let path = env.get(name).filter(|path| !path.is_empty())?;
            Some(PathBuf::from(path))
        };
        is_runner(env).then(|| Self {
            output: file("GITHUB_OUTPUT"),
            summary: file("GITHUB_STEP_SUMMARY"),
            state: file("GITHUB_STATE"),
            workspace: file("GITHUB_WORKSPACE"),
        })
    }

    /// Hands a run's result, and whether the command ends well, to the steps after this one, and its report to the job's summary.
    ///
    /// # Errors
    /// The runner's files cannot be written.
    pub fn report(&self, report: &Report, folder: &Path, passed: bool) -> Result<()> {
        for (name, value) in outputs(report, &self.in_workspace(folder), passed) {
            self.output(name, &value)?;
        }
        self.summary(&markdown::render(report))
    }

    /// Hands on what another workflow's run reported.
    ///
    /// # Errors
    /// The runner's files cannot be written.
    pub fn report_of_another(&self, report: &Report) -> Result<()> {
        self.output("run", &report.run)?;
        self.output("status", &status(report))?;
        self.output("outcome", outcome(report.status))?;
        self.summary(&markdown::render(report))
    }

    /// Hands on that a run ended without a report.
    ///
    /// # Errors
    /// The runner's files cannot be written.
    pub fn broken(&self, project: &str, destination: &str, error: &Error) -> Result<()> {
        self.output("passed", "false")?;
        self.output("outcome", "failure")?;
        let links = Links::default();
        self.summary(&body::broken(project, destination, &error.render(), &links))
    }

    /// A folder as other steps find it: those that run beside the Action's container see the
    /// workspace at another place.
    fn in_workspace(&self, folder: &Path) -> PathBuf {
        let inner = |workspace: &PathBuf| {
            let (workspace, folder) = (workspace.canonicalize().ok()?, folder.canonicalize().ok()?);
            folder.strip_prefix(workspace).map(Path::to_path_buf).ok()
        };
        let inner = self.workspace.as_ref().and_then(inner);
        inner.unwrap_or_else(|| folder.to_path_buf())
    }

    /// Sets an output of the step.
    ///
    /// # Errors
    /// The runner's file cannot be written.
    pub fn output(&self, name: &str, value: &str) -> Result<()> {
        set(self.output.as_deref(), name, value)
    }

    /// Leaves something for the step that cleans up.
    ///
    /// # Errors
    /// The runner's file cannot be written.
    pub fn state(&self, name: &str, value: &str) -> Result<()> {
        set(self.state.as_deref(), name, value)
    }

    /// Adds Markdown to the job's summary, as much of it as fits.
    ///
    /// # Errors
    /// The runner's file cannot be written.
    pub fn summary(&self, text: &str) -> Result<()> {
        let Some(path) = &self.summary else {
            return Ok(());
        };
        let used = path.metadata().map_or(0, |meta| meta.len());
        let room = usize::try_from(MOST_SUMMARY.saturating_sub(used)).unwrap_or(0);
        append(path, &fitting(text, room)).doing(|| format!("cannot write `{}`", path.display()))
    }
}

/// Whether this process is part of a step of GitHub Actions.
#[must_use]
pub fn is_runner(env: &BTreeMap<String, String>) -> bool {
    env.get("GITHUB_ACTIONS")
        .is_some_and(|value| value == "true")
}

/// Adds a name and its value to a file of the runner.
fn set(path: Option<&Path>, name: &str, value: &str) -> Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    let what = || format!("cannot write `{}`", path.display());
    // Whoever knows where the value ends could begin another one.
    let end = format!("end-{}", random().doing(what)?);
    append(path, &format!("{name}<<{end}\n{value}\n{end}\n")).doing(what)
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    file.write_all(text.as_bytes())
}

/// 128 bits that nobody can guess.
pub(crate) fn random() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// As much of a text as fits into so many bytes, whole lines.
fn fitting(text: &str, room: usize) -> String {
    if text.len() < room {
        return format!("{text}\n");
    }
    let Some(room) = room.checked_sub(CUT.len()) else {
        return String::new();
    };
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if end + line.len() > room {
            break;
        }
        end += line.len();
    }
    format!("{}{CUT}", &text[..end])
}

/// What the steps after this one may want to know.
fn outputs(report: &Report, folder: &Path, passed: bool) -> Vec<(&'static str, String)> {
    let metrics = report.metrics.iter();
    let metrics: Map<String, Value> = metrics
        .map(|row| (row.name.clone(), json!(row.value)))
        .collect();
    let file = |name: &str| folder.join(name).display().to_string();
    let environment = &report.lineage.environment;
    let mut all = vec![
        ("run", report.run.clone()),
        ("status", status(report)),
        ("outcome", outcome(report.status).to_owned()),
        ("passed", passed.to_string()),
        ("metrics", Value::Object(metrics).to_string()),
        ("report_path", file(record::REPORT_HTML)),
        ("record", folder.display().to_string()),
        (
            "image",
            environment.get("image").cloned().unwrap_or_default(),
        ),
    ];
    if let Some(job) = report.jobs.iter().find(|job| job.role == TRAIN) {
        all.push(("job", job.name.clone()));
        let costs: Option<Vec<f64>> = report.jobs.iter().map(cost).collect();
        let known = costs.map(|costs| format!("{:.4}", costs.iter().sum::<f64>()));
        all.push(("cost", known.unwrap_or_else(|| "unknown".to_owned())));
    }
    if let Some(model) = &report.lineage.model {
        // A large one stays where the job left it.
        let place = match is_s3(&model.file) {
            true => model.file.clone(),
            false => file(&model.file),
        };
        all.push(("model", place));
    }
    all
}

fn status(report: &Report) -> String {
    json!(report.status).as_str().unwrap_or_default().to_owned()
}

/// How a run ended, in the words that GitHub has for steps and checks.
#[must_use]
pub fn outcome(status: Status) -> &'static str {
    match status {
        Status::Passed => "success",
        Status::Inconclusive => "neutral",
        Status::Cancelled | Status::Stopped => "cancelled",
        Status::GateFailed
        | Status::BuildFailed
        | Status::JobFailed
        | Status::NoCapacity
        | Status::TimedOut => "failure",
    }
}

fn cost(job: &JobInfo) -> Option<f64> {
    job.cost.as_ref().map(|cost| cost.amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn runner(place: &Path) -> Runner {
        let env = [
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_OUTPUT", place.join("out").display().to_string()),
            (
                "GITHUB_STEP_SUMMARY",
                place.join("summary").display().to_string(),
            ),
        ];
        Runner::of(&env.map(|(name, value)| (name.to_owned(), value)).into()).unwrap()
    }

    /// Reads outputs as the runner does (`EnvFileKeyValuePairs`).
    fn read(text: &str) -> Vec<(String, String)> {
        let mut lines = text.split('\n');
        let mut all = Vec::new();
        while let Some(line) = lines.next() {
            let Some((name, end)) = line.split_once("<<") else {
                assert_eq!(line, "");
                continue;
            };
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
            all.push((name.to_owned(), value.join("\n")));
        }
        all
    }

    #[test]
    fn a_value_cannot_begin_another_output() {
        let place = tempfile::tempdir().unwrap();
        let runner = runner(place.path());
        let hostile = "a\nend\nPATH<<x\n/evil\nx\nstatus=passed";
        runner.output("first", hostile).unwrap();
        runner.output("second", "").unwrap();
        let text = fs::read_to_string(place.path().join("out")).unwrap();
        let pairs = [("first", hostile), ("second", "")];
        assert_eq!(
            read(&text),
            pairs.map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        let ends: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("end-"))
            .collect();
        assert_ne!(ends[0], ends[1]);
    }

    #[test]
    fn a_summary_keeps_within_the_limit() {
        let place = tempfile::tempdir().unwrap();
        let runner = runner(place.path());
        let line = "é".repeat(49) + "\n";
        for _ in 0..3 {
            runner.summary(&line.repeat(6_000)).unwrap();
        }
        let text = fs::read_to_string(place.path().join("summary")).unwrap();
        assert!(text.len() as u64 <= MOST_SUMMARY, "{}", text.len());
        assert!(text.ends_with(CUT));
        let before = text.len();
        runner.summary(&line.repeat(6_000)).unwrap();
        let after = fs::read_to_string(place.path().join("summary")).unwrap();
        assert!(after.len() as u64 <= MOST_SUMMARY && after.len() >= before);
    }

    #[test]
    fn a_report_becomes_outputs() {
        let place = tempfile::tempdir().unwrap();
        let report = sample::rich();
        runner(place.path())
            .report(&report, Path::new("/runs/r"), true)
            .unwrap();
        let text = fs::read_to_string(place.path().join("out")).unwrap();
        let outputs: BTreeMap<String, String> = read(&text).into_iter().collect();
        assert_eq!(outputs["run"], report.run);
        assert_eq!(outputs["report_path"], "/runs/r/report.html");
        assert_eq!(outputs["job"], report.jobs[0].name);
        // One of them has no price.
        assert_eq!(outputs["cost"], "unknown");
        let metrics: Value = serde_json::from_str(&outputs["metrics"]).unwrap();
        assert_eq!(metrics.as_object().unwrap().len(), report.metrics.len());
        assert!(Runner::of(&BTreeMap::new()).is_none());
    }
}
