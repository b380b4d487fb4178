//! One job of a run: launched, followed to its end, its results taken.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::measured::Measured;
use crate::destination::place::Place;
use crate::destination::process::copy_code;
use crate::destination::watch::{Interrupts, Outcome, asked_again, watch};
use crate::destination::{Artifacts, Destination as _};
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::metrics::log::LogMetrics;
use crate::metrics::pieces::{End, Piece, Splitter};
use crate::metrics::{Metric, MetricSet, Source, file};
use crate::plan::{Job, Plan};
use crate::record::Record;
use crate::report::jobs::JobInfo;
use crate::report::{ModelInfo, text};
use crate::talk::Step;

/// The copy of the code that the jobs of a run are made from.
const CODE: &str = "work/source";

/// What the jobs of a run gave so far.
#[derive(Debug, Default)]
pub(super) struct Results {
    metrics: MetricSet,
    pub(super) model: Option<ModelInfo>,
    warnings: Vec<String>,
    model_at: Option<String>,
    jobs: Vec<JobInfo>,
}

/// Launches one job and follows it to its end.
pub(super) async fn follow(
    plan: &Plan,
    job: &Job,
    mut place: Place,
    record: &Record,
    interrupts: &mut Interrupts,
    results: &mut Results,
    step: &Step,
) -> Result<Outcome> {
    let max_runtime = Duration::from_secs(job.max_runtime_seconds);
    let patience = place.patience(&plan.destination, max_runtime);
    let mut log =
        LogMetrics::new(&plan.metrics.definitions, &plan.metrics.presets).map_err(|errors| {
            let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Error::new(ExitCode::Config, texts.join("; "))
        })?;
    if !launch(&mut place, job, interrupts).await? {
        return Ok(Outcome::Cancelled);
    }
    let mut splitter = Splitter::new();
    let mut piece = |piece: Piece<'_>| {
        log.piece(piece.text);
        match piece.end {
            End::Line => step.output(&text::plain(piece.text)),
            End::Return => step.now(text::plain(piece.text)),
        }
    };
    let outcome = watch(&mut place, &patience, interrupts, &mut |bytes: &[u8]| {
        splitter.push(bytes, &mut piece);
    })
    .await;
    splitter.finish(&mut piece);
    results.take_log(log);
    results.jobs.extend(place.account());
    let outcome = outcome?;
    // What a stopped job saved is packed all the same, unless somebody asks again.
    let asked = match outcome {
        Outcome::Cancelled => *interrupts.borrow(),
        _ => 0,
    };
    let artifacts = tokio::select! {
        artifacts = place.fetch() => artifacts?,
        () = asked_again(interrupts, asked) => return Ok(Outcome::Cancelled),
    };
    let output = artifacts.output.clone();
    results.take(artifacts)?;
    if let Some(output) = output {
        keep_output(&output, &record.folder().join("output").join(&job.role))?;
    }
    Ok(outcome)
}

/// Launches a job; false when somebody asked to stop meanwhile, and there is no job now.
pub(super) async fn launch(
    place: &mut Place,
    job: &Job,
    interrupts: &mut Interrupts,
) -> Result<bool> {
    // Sending much data takes a while: who cancels does not wait for it.
    tokio::select! {
        launched = place.launch(&job.request) => return launched.map(|()| true),
        () = asked_again(interrupts, 0) => {}
    }
    // Who asks a second time does not wait until the launch is taken back for sure.
    let unsure = place.unsure();
    tokio::select! {
        withdrawn = place.withdraw() => withdrawn.map(|()| false),
        () = asked_again(interrupts, 1) => Err(unsure),
    }
}

/// Where the copy of the code is.
pub(super) fn code_of(record: &Record) -> PathBuf {
    record.folder().join(CODE)
}

/// Copies the code of both jobs into the record: what is edited meanwhile changes nothing.
pub(super) fn take_code(plan: &Plan, record: &Record) -> Result<()> {
    let sources = plan.code.sources.iter().map(|source| source.path.as_str());
    copy_code(
        &plan.root,
        &code_of(record),
        sources,
        &plan.code.fingerprint,
    )
}

/// Moves `output/data` into the record, unless it is empty.
fn keep_output(from: &Path, to: &Path) -> Result<()> {
    if std::fs::read_dir(from).map_or(true, |mut entries| entries.next().is_none()) {
        return Ok(());
    }
    let what = || format!("cannot keep the job's output in `{}`", to.display());
    std::fs::create_dir_all(to.parent().unwrap_or(to)).doing(what)?;
    std::fs::rename(from, to).doing(what)
}

impl Results {
    /// A later job's metrics win over an earlier one's: validation has the last word.
    fn take_log(&mut self, log: LogMetrics) {
        let (metrics, warnings) = log.finish();
        self.metrics.merge(metrics);
        self.warnings.extend(warnings);
    }

    /// What a program wrote to its file wins over what its log says.
    fn take(&mut self, artifacts: Artifacts) -> Result<()> {
        let Artifacts {
            output: _,
            model,
            metrics,
            last_metrics,
            warnings,
            model_at,
        } = artifacts;
        self.model = self.model.take().or(model);
        self.model_at = self.model_at.take().or(model_at);
        self.warnings.extend(warnings);
        for (name, value) in last_metrics {
            let source = Source::Destination;
            let metric = Metric { value, source };
            self.metrics.values.entry(name).or_insert(metric);
        }
        for path in &metrics {
            let size = path.metadata().map_or(0, |meta| meta.len());
            let failed = |cause: String| {
                Error::new(ExitCode::JobFailed, "cannot use the job's metrics.json").because(cause)
            };
            if size > file::MAX_BYTES as u64 {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                return Err(failed(file::FileError::TooLarge(size).to_string()));
            }
            let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            let (set, warnings) = file::parse(&bytes).map_err(|error| failed(error.to_string()))?;
            self.metrics.merge(set);
            self.warnings.extend(warnings);
        }
        Ok(())
    }

    /// Where the model is besides the record.
    pub(super) fn model_at(&self) -> Option<&str> {
        self.model_at.as_deref()
    }

    /// Hands everything over.
    pub(super) fn store(self, measured: &mut Measured) {
        let Self {
            metrics,
            model,
            warnings,
            model_at: _,
            jobs,
        } = self;
        measured.jobs = jobs;
        measured.metrics = metrics;
        measured.model = model;
        measured.warnings = warnings;
    }
}
