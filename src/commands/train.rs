//! `train` and `plan`: decide, run, judge, report.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{color, print, runtime, say, screen};
use crate::cli;
use crate::config;
use crate::context::Context;
use crate::destination::process::{ProcessDestination, environment};
use crate::destination::watch::{Interrupts, Outcome, watch};
use crate::destination::{Artifacts, Destination as _, Patience};
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::metrics::log::LogMetrics;
use crate::metrics::pieces::{End, Splitter};
use crate::metrics::{MetricSet, file, gate};
use crate::plan::{Choices, Job, Plan, text};
use crate::record::{self, Phase, Record};
use crate::report::{self, Report, Status, html, markdown};

pub(super) fn run(root: &Path, arguments: cli::Train, quiet: bool) -> Result<u8> {
    let cli::Train {
        dry_run,
        json,
        force,
        destination,
        baseline,
        hyperparameters,
    } = arguments;
    let config = config::load(root, color())?;
    let context = Context::read(root);
    let choices = Choices {
        destination,
        baseline,
        force,
        hyperparameters,
    };
    let plan = Plan::new(config, choices, &context, &record::past(root))?;
    if dry_run {
        return print(&if json {
            to_json(&plan)?
        } else {
            text::render(&plan)
        });
    }
    if !quiet {
        for line in record::explain_interrupted(root)? {
            say(&line);
        }
    }
    let report = match &plan.reuse {
        Some(reuse) => {
            if !quiet {
                say(&format!(
                    "same inputs, same code: result of run {} reused (`--force` trains again)",
                    reuse.run
                ));
            }
            judge_again(&plan, &record::runs_dir(root).join(&reuse.run))?
        }
        None => runtime()?.block_on(execute(&plan, &context, quiet))?,
    };
    print(&if json {
        to_json(&report)?
    } else {
        screen(&report)
    })?;
    Ok(exit_code(&plan, report.status).code())
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value).doing(|| "cannot write JSON".to_owned())? + "\n")
}

fn exit_code(plan: &Plan, status: Status) -> ExitCode {
    match status {
        Status::Passed => ExitCode::Ok,
        Status::Inconclusive if plan.report.inconclusive == config::raw::Inconclusive::Pass => {
            ExitCode::Ok
        }
        Status::Inconclusive | Status::GateFailed => ExitCode::GateFailed,
        Status::JobFailed => ExitCode::JobFailed,
        Status::Stopped => ExitCode::JobStopped,
        Status::TimedOut => ExitCode::TimedOut,
    }
}

/// The run itself: environment, training, validation, report.
async fn execute(plan: &Plan, context: &Context, quiet: bool) -> Result<Report> {
    let mut record = Record::create(plan)?;
    let result = jobs(plan, context, &record, quiet).await;
    let report = match result {
        Ok(report) => report,
        Err(error) => {
            record.enter(Phase::Ended {
                reason: error.to_string(),
            })?;
            return Err(error);
        }
    };
    record.write_json(record::REPORT, &report)?;
    record.write("report.md", &markdown::render(&report))?;
    record.write("report.html", &html::render(&report)?)?;
    if !quiet {
        let page = record.folder().join("report.html");
        say(&format!("report: {}", page.display()));
    }
    match (&report.status, &report.reason) {
        (Status::Passed | Status::Inconclusive | Status::GateFailed, _) => {
            record.clean()?;
            record.enter(Phase::Complete {
                finished_at: Timestamp::now(),
            })?;
        }
        (_, reason) => record.enter(Phase::Ended {
            reason: reason.clone().unwrap_or_default(),
        })?,
    }
    Ok(report)
}

async fn jobs(plan: &Plan, context: &Context, record: &Record, quiet: bool) -> Result<Report> {
    let mut interrupts = interrupts()?;
    let mut phases = Vec::new();
    let started = Instant::now();
    let log = record.folder().join("environment.txt");
    if environment::ensure(
        &plan.destination.environment,
        context,
        &log,
        &mut interrupts,
    )
    .await?
    {
        phases.push(report::Phase {
            name: "environment".to_owned(),
            seconds: started.elapsed().as_secs_f64(),
        });
    }
    let mut results = Results::new(plan)?;
    for (name, job) in [
        ("train", Some(&plan.training)),
        ("validate", plan.validation.as_ref()),
    ] {
        let Some(job) = job else { continue };
        if !quiet {
            say(&format!("{name}: {}", job.name));
        }
        let started = Instant::now();
        let outcome = follow(plan, job, record, &mut interrupts, &mut results, quiet).await?;
        phases.push(report::Phase {
            name: name.to_owned(),
            seconds: started.elapsed().as_secs_f64(),
        });
        let status = match outcome {
            Outcome::Succeeded
                if name == "train" && plan.validation.is_some() && results.model.is_none() =>
            {
                (
                    Status::JobFailed,
                    "training ended without writing a model".to_owned(),
                )
            }
            Outcome::Succeeded => continue,
            Outcome::Failed { reason } => (Status::JobFailed, format!("{name} failed: {reason}")),
            Outcome::Stopped { reason } => {
                (Status::Stopped, format!("{name} was stopped: {reason}"))
            }
            Outcome::TimedOut => (
                Status::TimedOut,
                format!("{name} ran longer than {} s", job.max_runtime_seconds),
            ),
            Outcome::Cancelled => {
                return Err(Error::new(
                    ExitCode::Cancelled,
                    "cancelled; the job was stopped",
                ));
            }
        };
        return Ok(results.failed(plan, record, phases, status));
    }
    results.judged(plan, phases)
}

/// Launches one job and follows it to its end.
async fn follow(
    plan: &Plan,
    job: &Job,
    record: &Record,
    interrupts: &mut Interrupts,
    results: &mut Results,
    quiet: bool,
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
    let mut piece = |piece: crate::metrics::pieces::Piece<'_>| {
        log.piece(piece.text);
        if !quiet && piece.end == End::Line {
            say(&format!("  {}", report::text::plain(piece.text)));
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
        keep_output(&output, &record.folder().join("output").join(&job.name))?;
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

/// Counts SIGINT and SIGTERM.
fn interrupts() -> Result<Interrupts> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = tokio::sync::watch::channel(0);
    let mut interrupt =
        signal(SignalKind::interrupt()).doing(|| "cannot catch SIGINT".to_owned())?;
    let mut terminate =
        signal(SignalKind::terminate()).doing(|| "cannot catch SIGTERM".to_owned())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            sender.send_modify(|count| *count += 1);
            say("stopping the job; once more to kill it");
        }
    });
    Ok(receiver)
}

/// What the jobs of a run gave so far.
struct Results {
    log: LogMetrics,
    files: MetricSet,
    model: Option<report::ModelInfo>,
    warnings: Vec<String>,
}

impl Results {
    fn new(plan: &Plan) -> Result<Self> {
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

    fn take(
        &mut self,
        model: Option<report::ModelInfo>,
        metrics: &[std::path::PathBuf],
    ) -> Result<()> {
        self.model = self.model.take().or(model);
        for path in metrics {
            let size = path.metadata().map_or(0, |meta| meta.len());
            let failed = |cause: String| {
                Error::new(ExitCode::JobFailed, "cannot use the job's metrics.json").because(cause)
            };
            if size > file::MAX_BYTES as u64 {
                return Err(failed(
                    file::FileError::TooLarge(usize::try_from(size).unwrap_or(usize::MAX))
                        .to_string(),
                ));
            }
            let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            let (set, warnings) = file::parse(&bytes).map_err(|error| failed(error.to_string()))?;
            self.files.merge(set);
            self.warnings.extend(warnings);
        }
        Ok(())
    }

    fn into_parts(self) -> (MetricSet, Option<report::ModelInfo>, Vec<String>) {
        let Self {
            log,
            files,
            model,
            mut warnings,
        } = self;
        let (mut metrics, from_log) = log.finish();
        metrics.merge(files);
        warnings.extend(from_log);
        (metrics, model, warnings)
    }

    fn judged(self, plan: &Plan, phases: Vec<report::Phase>) -> Result<Report> {
        let (metrics, model, warnings) = self.into_parts();
        let rows = gate::rows(
            &metrics,
            &plan.gates,
            &plan.comparison(&plan.held_out(), &plan.definitions()),
        )
        .map_err(unknown)?;
        let mut report = plan.report(Status::Passed, phases, model);
        report.metrics = rows;
        report.curves = metrics.series;
        report.confusion_matrix = metrics.confusion_matrix;
        report.per_class = metrics.per_class;
        report.warnings = warnings;
        report.conclude();
        Ok(report)
    }

    fn failed(
        self,
        plan: &Plan,
        record: &Record,
        phases: Vec<report::Phase>,
        (status, reason): (Status, String),
    ) -> Report {
        let (metrics, model, warnings) = self.into_parts();
        let mut report = plan.report(status, phases, model);
        let none = indexmap::IndexMap::new();
        report.metrics = gate::rows(
            &metrics,
            &none,
            &plan.comparison(&plan.held_out(), &plan.definitions()),
        )
        .unwrap_or_default();
        report.curves = metrics.series;
        report.reason = Some(reason);
        report.hint = Some(format!(
            "the whole log: `mlaction logs {}`; the job's files are in {}",
            plan.run,
            record.folder().display()
        ));
        report.log_tail = record::tail(
            &record.folder().join(record::LOG),
            plan.report.log_lines as usize,
        );
        report.warnings = warnings;
        report
    }
}

fn unknown(error: gate::UnknownMetrics) -> Error {
    let existing: Vec<&str> = error.existing.iter().map(String::as_str).collect();
    let hint = format!("the run reported {}", config::problem::one_of(existing));
    Error::new(ExitCode::Config, error.to_string()).hint(hint)
}

/// Holds a finished run's metrics against today's gates and baseline.
fn judge_again(plan: &Plan, folder: &Path) -> Result<Report> {
    let mut report = super::show::load(folder)?;
    let mut metrics = MetricSet {
        per_class: report.per_class.clone(),
        ..MetricSet::default()
    };
    for row in report.metrics {
        metrics.values.insert(
            row.name,
            crate::metrics::Metric {
                value: row.value,
                source: row.source,
            },
        );
    }
    report.metrics = gate::rows(
        &metrics,
        &plan.gates,
        &plan.comparison(&plan.held_out(), &plan.definitions()),
    )
    .map_err(unknown)?;
    report.baseline = plan.baseline_info();
    report.conclude();
    Ok(report)
}
