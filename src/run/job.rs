//! One job of a run: launched, followed to its end, its results taken.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::measured::Measured;
use crate::destination::process::ProcessDestination;
use crate::destination::watch::{Interrupts, Outcome, watch};
use crate::destination::{Artifacts, Destination as _, Patience};
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::metrics::log::LogMetrics;
use crate::metrics::pieces::{End, Piece, Splitter};
use crate::metrics::{MetricSet, file};
use crate::plan::{Job, Plan};
use crate::record::Record;
use crate::report::{ModelInfo, text};
use crate::talk::Step;

/// What the jobs of a run gave so far.
#[derive(Debug)]
pub(super) struct Results {
    log: LogMetrics,
    files: MetricSet,
    pub(super) model: Option<ModelInfo>,
    warnings: Vec<String>,
}

/// Launches one job and follows it to its end.
pub(super) async fn follow(
    plan: &Plan,
    job: &Job,
    record: &Record,
    interrupts: &mut Interrupts,
    results: &mut Results,
    step: &Step,
) -> Result<Outcome> {
    let mut destination = ProcessDestination::new(&plan.root, record.folder(), &plan.destination);
    let patience = Patience {
        poll: (Duration::from_millis(10), Duration::from_millis(250)),
        max_runtime: Duration::from_secs(job.max_runtime_seconds),
        stop_within: Duration::from_secs(plan.destination.grace_seconds + 10),
        max_poll_errors: 5,
    };
    destination.launch(&job.request).await?;
    let mut splitter = Splitter::new();
    let log = &mut results.log;
    let mut piece = |piece: Piece<'_>| {
        log.piece(piece.text);
        match piece.end {
            End::Line => step.output(&text::plain(piece.text)),
            End::Return => step.now(text::plain(piece.text)),
        }
    };
    let outcome = watch(
        &mut destination,
        &patience,
        interrupts,
        &mut |bytes: &[u8]| splitter.push(bytes, &mut piece),
    )
    .await?;
    splitter.finish(&mut piece);
    let Artifacts {
        output,
        model,
        metrics,
    } = destination.fetch().await?;
    results.take(model, &metrics)?;
    if let Some(output) = output {
        keep_output(&output, &record.folder().join("output").join(&job.role))?;
    }
    Ok(outcome)
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
    pub(super) fn new(plan: &Plan) -> Result<Self> {
        let log = LogMetrics::new(&plan.metrics.definitions, &plan.metrics.presets).map_err(
            |errors| {
                let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
                Error::new(ExitCode::Config, texts.join("; "))
            },
        )?;
        Ok(Self {
            log,
            files: MetricSet::default(),
            model: None,
            warnings: Vec::new(),
        })
    }

    fn take(&mut self, model: Option<ModelInfo>, metrics: &[PathBuf]) -> Result<()> {
        self.model = self.model.take().or(model);
        for path in metrics {
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
            self.files.merge(set);
            self.warnings.extend(warnings);
        }
        Ok(())
    }

    /// Hands everything over; what a program wrote to its file wins over what its log says.
    pub(super) fn store(self, measured: &mut Measured) {
        let Self {
            log,
            files,
            model,
            warnings,
        } = self;
        let (mut metrics, from_log) = log.finish();
        metrics.merge(files);
        measured.metrics = metrics;
        measured.model = model;
        measured.warnings = warnings;
        measured.warnings.extend(from_log);
    }
}
