//! A run: execute the plan's jobs, measure, judge, report.

pub mod baseline;
pub mod detached;
pub(crate) mod hint;
pub mod image;
mod job;
pub mod measured;
mod prices;
mod pull;
mod reuse;
mod surroundings;
mod upload;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::context::Context;
use crate::data::fingerprint::{Content, DataError, fingerprint, is_touched};
use crate::data::known::Known;
use crate::destination::place::Request;
use crate::destination::watch::{Interrupts, Outcome};
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::plan::inputs::data_error;
use crate::plan::{Job, Plan, Reuse, TRAIN};
use crate::record::{self, Phase, Record};
use crate::report::{Report, Status, html, json, markdown};
use crate::talk::{Talk, always};
use detached::Launched;
use measured::{Failure, Measured};
use surroundings::Surroundings;

/// What somebody hears who interrupts a run.
pub(crate) const STOPPING: &str = "stopping; once more to end it at once";

/// A run's report, and the folder of its record.
#[derive(Debug)]
pub struct Reported {
    /// The report.
    pub report: Report,
    /// `.mlaction/runs/RUN`.
    pub folder: PathBuf,
}

/// Runs a plan, or takes the finished run that the plan names; then judges it by the plan's
/// gates and baseline, and writes the report into the record.
///
/// # Errors
/// What is no result of a job: a full disk, an environment that cannot be written, a gate on a
/// metric that does not exist.
pub async fn run(
    plan: &Plan,
    context: &Context,
    interrupts: &mut Interrupts,
    talk: &Talk,
) -> Result<Reported> {
    let reused = unless_interrupted(reused(plan, context, talk), interrupts);
    let folder = match reused.await? {
        Some(folder) => folder,
        None => {
            let looking = prices::looked_up(plan, context, talk);
            let plan = &*unless_interrupted(looking, interrupts).await?;
            let record = Record::create(plan)?;
            execute(plan, &Start::New, record, interrupts, context, talk).await?
        }
    };
    report(plan, folder)
}

/// Judges what a run gave, and writes the report into its record.
fn report(plan: &Plan, folder: PathBuf) -> Result<Reported> {
    let measured: Measured = record::read_json(&folder, record::METRICS)?;
    let mut report = measured.report(&record::load_plan(&folder)?, plan, &folder)?;
    report.warnings.extend(plan.notes.iter().cloned());
    if report.run != plan.run {
        report.warnings.push(format!(
            "nothing was trained: run `{}` had the same code, data and settings, and was judged again",
            report.run
        ));
    }
    write_faces(&folder, &report)?;
    Ok(Reported { report, folder })
}

/// The record of the finished run that is taken instead of training again.
async fn reused(plan: &Plan, context: &Context, talk: &Talk) -> Result<Option<PathBuf>> {
    let Some(Reuse { run, .. }) = &plan.reuse else {
        return Ok(None);
    };
    let folder = record::runs_dir(&plan.root).join(run);
    let made: Measured = record::read_json(&folder, record::METRICS)?;
    if !reuse::is_current(plan, &made, context, talk).await? {
        talk.say(&format!("a base image is another one than for run {run}"));
        return Ok(None);
    }
    talk.say(&format!(
        "same inputs, same code: result of run {run} reused (`--force` trains again)"
    ));
    Record::open(folder.clone())?.judged(Timestamp::now())?;
    Ok(Some(folder))
}

fn write_faces(folder: &Path, report: &Report) -> Result<()> {
    record::write(folder, record::REPORT, &json::render(report)?)?;
    record::write(folder, record::REPORT_MARKDOWN, &markdown::render(report))?;
    record::write(folder, record::REPORT_HTML, &html::render(report)?)
}

/// What is there when a run begins.
#[derive(Debug)]
enum Start<'a> {
    /// Nothing: image, data and jobs are its own.
    New,
    /// The training job was launched by another command.
    Launched(&'a Launched),
}

/// Executes the jobs and leaves what they gave in the record.
async fn execute(
    plan: &Plan,
    start: &Start<'_>,
    mut record: Record,
    interrupts: &mut Interrupts,
    context: &Context,
    talk: &Talk,
) -> Result<PathBuf> {
    let mut measured = Measured::default();
    let surroundings = match start {
        Start::New => {
            Surroundings::prepare(plan, context, &record, &mut measured, interrupts, talk).await
        }
        Start::Launched(launched) => launched
            .surroundings(plan, context, interrupts, talk)
            .await
            .map(|made| {
                measured.environment = made.describe(plan);
                Some(made)
            }),
    };
    let ended = match surroundings {
        Ok(Some(surroundings)) => {
            jobs(
                plan,
                &surroundings,
                &record,
                &mut measured,
                interrupts,
                talk,
            )
            .await
        }
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    let phase = match &ended {
        Ok(()) if measured.failure.is_none() => Phase::Complete {
            finished_at: Timestamp::now(),
        },
        Ok(()) => Phase::Ended {
            reason: measured.reason(),
        },
        Err(error) => Phase::Ended {
            reason: error.to_string(),
        },
    };
    if let Err(error) = record.write_json(record::METRICS, &measured) {
        // A full disk, most often: make room, so that the record can say so.
        record.clean();
        let reason = error.to_string();
        record.enter(Phase::Ended { reason })?;
        return Err(error);
    }
    record.enter(phase)?;
    if measured.failure.is_none()
        && ended.is_ok()
        && let Some(left) = record.clean()
    {
        talk.say(&left);
    }
    ended.map(|()| record.folder().to_path_buf())
}

/// Training, validation, in this order; the first failure ends the run.
async fn jobs(
    plan: &Plan,
    surroundings: &Surroundings,
    record: &Record,
    measured: &mut Measured,
    interrupts: &mut Interrupts,
    talk: &Talk,
) -> Result<()> {
    let mut results = job::Results::default();
    for (name, job) in [
        ("train", Some(&plan.training)),
        ("validate", plan.validation.as_ref()),
    ] {
        let Some(job) = job else { continue };
        let started = Instant::now();
        let step = talk.step(name);
        let place = surroundings.open(plan, job, record, results.model_at(), talk)?;
        let outcome = job::follow(plan, job, place, record, interrupts, &mut results, &step).await;
        measured.phase(name, started.elapsed());
        measured.failure = match outcome {
            Ok(outcome) => failure(
                plan,
                job,
                outcome,
                name == "train" && plan.validation.is_some() && results.model.is_none(),
            ),
            Err(error) if is_of_job(&error) => Some(Failure {
                status: match error.exit_code() {
                    ExitCode::NoCapacity => Status::NoCapacity,
                    _ => Status::JobFailed,
                },
                reason: format!("{name} failed: {error}"),
                hint: error.advice().map(str::to_owned),
                is_passing: error.is_passing(),
            }),
            Err(error) => return Err(error),
        };
        step.end(&match &measured.failure {
            None => format!(
                "done in {}",
                crate::config::duration::display(started.elapsed())
            ),
            Some(failure) => failure.reason.clone(),
        });
        if measured.failure.is_some() {
            break;
        }
    }
    results.store(measured);
    if measured.failure.is_none() {
        data_is_unchanged(plan)?;
    }
    Ok(())
}

/// The jobs read the project's own files: what the report says of them must still be true.
fn data_is_unchanged(plan: &Plan) -> Result<()> {
    // NOTE: file systems round their times, and the kernel's clock for them ticks slowly.
    let planned = plan.created_at.as_second() - 2;
    let inputs = [Some(&plan.training), plan.validation.as_ref()];
    let inputs = inputs
        .into_iter()
        .flatten()
        // What was sent elsewhere lies there under the address of its content.
        .filter(|job| !matches!(job.request, Request::Sagemaker(_)))
        .flat_map(|job| job.request.inputs());
    for (channel, path) in inputs {
        // NOTE: validation's `model` is no data of the project.
        let Some(source) = plan.data.iter().find(|source| source.channel == *channel) else {
            continue;
        };
        let same = || -> std::result::Result<bool, DataError> {
            Ok(!is_touched(path, planned)?
                || fingerprint(path, Content::Data, &Known::default())?.hash == source.fingerprint)
        };
        if !same().map_err(|error| data_error(&error))? {
            let changed = format!(
                "the data of `{}` changed while the run used it",
                source.channel
            );
            return Err(Error::new(ExitCode::Data, changed)
                .hint("run again; a job writes its own files to its output, never to a channel"));
        }
    }
    Ok(())
}

/// Whether an error is a result of the run: the report says it.
fn is_of_job(error: &Error) -> bool {
    matches!(
        error.exit_code(),
        ExitCode::JobFailed | ExitCode::NoCapacity
    )
}

fn failure(plan: &Plan, job: &Job, outcome: Outcome, lacks_model: bool) -> Option<Failure> {
    let name = &job.role;
    let (status, reason) = match outcome {
        Outcome::Succeeded if lacks_model => (
            Status::JobFailed,
            "training ended without writing a model".to_owned(),
        ),
        Outcome::Succeeded => return None,
        Outcome::Failed { reason } => (Status::JobFailed, format!("{name} failed: {reason}")),
        Outcome::NoCapacity { reason } => (Status::NoCapacity, format!("{name} failed: {reason}")),
        Outcome::Expired { reason } => (Status::TimedOut, format!("{name}: {reason}")),
        Outcome::Stopped { reason } => (Status::Stopped, format!("{name} was stopped: {reason}")),
        Outcome::TimedOut => {
            let limit = Duration::from_secs(job.max_runtime_seconds);
            (
                Status::TimedOut,
                format!(
                    "{name} ran longer than {}",
                    crate::config::duration::display(limit)
                ),
            )
        }
        Outcome::Cancelled if plan.destination.leaves(&job.request) => (
            Status::Cancelled,
            format!("cancelled during {name}; the job runs on (`on_cancel = \"leave\"`)"),
        ),
        Outcome::Cancelled => (
            Status::Cancelled,
            format!("cancelled during {name}; the job was stopped"),
        ),
    };
    Some(Failure {
        // Of a training job, it is how it ended.
        is_passing: status == Status::Cancelled
            || status == Status::NoCapacity && job.role != TRAIN,
        status,
        reason,
        hint: None,
    })
}

/// Counts SIGINT, SIGTERM, and SIGHUP unless it is ignored, as under `nohup`; the first one is
/// answered with a word.
pub(crate) fn interrupts(word: &'static str) -> Result<Interrupts> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = tokio::sync::watch::channel(0);
    let mut interrupt =
        signal(SignalKind::interrupt()).doing(|| "cannot catch SIGINT".to_owned())?;
    let mut terminate =
        signal(SignalKind::terminate()).doing(|| "cannot catch SIGTERM".to_owned())?;
    let mut hangup = match is_hangup_ignored() {
        true => None,
        false => Some(signal(SignalKind::hangup()).doing(|| "cannot catch SIGHUP".to_owned())?),
    };
    tokio::spawn(async move {
        let mut said = word;
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hung_up => {}
            }
            sender.send_modify(|count| *count += 1);
            always(said);
            said = "ending it at once";
        }
    });
    Ok(receiver)
}

/// Dropping the work ends what is under way: a build, a push, a request.
///
/// # Errors
/// Those of the work; somebody interrupted it.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T>>,
    interrupts: &mut Interrupts,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        _ = interrupts.wait_for(|count| *count > 0) => Err(Error::new(
            ExitCode::Cancelled,
            "cancelled before the first job",
        )),
    }
}

/// The same for work that keeps a thread busy. That goes on until the process ends.
///
/// # Errors
/// As above.
pub(crate) async fn thread_unless_interrupted<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
    interrupts: &mut Interrupts,
) -> Result<T> {
    let (sender, done) = tokio::sync::oneshot::channel();
    // NOTE: whoever was interrupted does not listen any more.
    std::thread::spawn(move || drop(sender.send(work())));
    let done = async {
        done.await
            .doing(|| "the work ended without a result".to_owned())?
    };
    unless_interrupted(done, interrupts).await
}

fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// The exit code that a report's status stands for.
#[must_use]
pub fn exit_code(plan: &Plan, status: Status) -> ExitCode {
    match status {
        Status::Passed => ExitCode::Ok,
        Status::Inconclusive
            if plan.report.inconclusive == crate::config::raw::Inconclusive::Pass =>
        {
            ExitCode::Ok
        }
        Status::Inconclusive | Status::GateFailed => ExitCode::GateFailed,
        Status::BuildFailed => ExitCode::Build,
        Status::JobFailed => ExitCode::JobFailed,
        Status::NoCapacity => ExitCode::NoCapacity,
        Status::Stopped => ExitCode::JobStopped,
        Status::TimedOut => ExitCode::TimedOut,
        Status::Cancelled => ExitCode::Cancelled,
    }
}
