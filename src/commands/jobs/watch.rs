//! `watch`: a job's log to its end, and how it ended. The job does not notice.

use std::io::Write as _;
use std::path::Path;

use super::super::log_screen::LogScreen;
use super::super::{print, runtime, to_json};
use super::{Site, which};
use crate::aws::Access;
use crate::cli;
use crate::destination::sagemaker::job::{SagemakerDestination, Settings, Way};
use crate::destination::sagemaker::jobs::{ListedJob, Which};
use crate::destination::sagemaker::settings::OnCancel;
use crate::destination::watch::{Outcome, watch as follow};
use crate::error::{Error, ExitCode, IoContext as _, Result};
use crate::run;
use crate::talk::Talk;

/// Follows a job.
pub(in crate::commands) fn watch(root: &Path, arguments: cli::Watch, talk: &Talk) -> Result<u8> {
    let cli::Watch { job, json, place } = arguments;
    let site = Site::find(root, place.destination)?;
    runtime()?.block_on(async {
        let aws = site.access().await;
        let jobs = site.jobs(&aws);
        let found = jobs.find(&which(&job)).await?;
        talk.say(&format!("{}: {}", found.name, found.phase));
        let outcome = to_the_end(&site, &aws, &found, talk, None, !json).await?;
        let ended = jobs.find(&Which::Name(found.name.clone())).await?;
        if json {
            print(&to_json(&ended)?)?;
        }
        conclude(&ended, outcome, talk)
    })
}

/// Shows a job's log, or its end and what follows, until the job ends or somebody has seen enough.
pub(super) async fn to_the_end(
    site: &Site,
    aws: &Access,
    job: &ListedJob,
    talk: &Talk,
    tail: Option<usize>,
    shows: bool,
) -> Result<Outcome> {
    let folder = tempfile::tempdir().doing(|| "cannot make a folder for the log".to_owned())?;
    let mut plan = site.plan.clone();
    plan.settings.on_cancel = OnCancel::Leave;
    let mut place = SagemakerDestination::new(Settings {
        access: aws,
        plan: &plan,
        way: Way::Follow {
            job: job.name.clone(),
            hosts: job.hosts(),
        },
        run: folder.path(),
        role: job.tag("role").unwrap_or_default(),
        talk: *talk,
    });
    place.attach(tail).await?;
    let mut interrupts = run::interrupts("not watching any more; the job goes on")?;
    let mut screen = LogScreen::new();
    let patience = place.patience();
    let outcome = follow(&mut place, &patience, &mut interrupts, &mut |bytes| {
        if shows {
            // NOTE: whoever read has gone away; the job's end is all that is waited for now.
            let _ = screen.write_all(bytes).and_then(|()| screen.flush());
        }
    })
    .await?;
    screen.finish();
    Ok(outcome)
}

/// How the job ended, as the command ends.
fn conclude(job: &ListedJob, outcome: Outcome, talk: &Talk) -> Result<u8> {
    let name = &job.name;
    let ended = |code, reason: &str| {
        let error = Error::new(code, format!("{name}: {}", job.phase)).because(reason.to_owned());
        match run::hint::of(reason, &[]) {
            Some(hint) => Err(error.hint(hint)),
            None => Err(error),
        }
    };
    match outcome {
        Outcome::Succeeded => {
            talk.say(&format!("{name}: {}", job.phase));
            Ok(0)
        }
        Outcome::Cancelled => {
            talk.say(&format!("{name} goes on; `mlaction stop {name}` stops it"));
            Ok(ExitCode::Cancelled.code())
        }
        Outcome::Failed { reason } => ended(ExitCode::JobFailed, &reason),
        Outcome::NoCapacity { reason } => ended(ExitCode::NoCapacity, &reason),
        Outcome::Expired { reason } => ended(ExitCode::TimedOut, &reason),
        Outcome::Stopped { reason } => ended(ExitCode::JobStopped, &reason),
        Outcome::TimedOut => ended(ExitCode::TimedOut, "it is watched for too long"),
    }
}
