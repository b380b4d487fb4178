//! `post-action`: the step that GitHub's runner starts when the Action's own step is over, also
//! when it was killed. What that one left running is stopped, and GitHub is told so.

use std::collections::BTreeMap;

use super::{action, runtime};
use crate::aws::Access;
use crate::cli;
use crate::context::environment;
use crate::destination::docker::sweep;
use crate::destination::place::DestinationPlan;
use crate::destination::sagemaker::jobs::{Jobs, Wanted, Which};
use crate::destination::sagemaker::plan::SagemakerPlan;
use crate::error::{Error, ExitCode, Result};
use crate::github::entry::Entry;
use crate::github::inputs;
use crate::github::state::Begun;
use crate::github::tell::{self, Desk, Told};
use crate::image::engine::Engine;
use crate::plan::Plan;
use crate::record::{self, Phase};
use crate::report::Report;
use crate::talk::{self, Talk, always};

/// At most so many jobs of a project that run are looked at.
const MOST: usize = 200;

/// Stops what is left of the run that the step began.
pub(super) fn run(wanted: &cli::Tell, talk: &Talk) -> Result<u8> {
    let env = environment();
    if env.keys().any(|name| inputs::is_input(name)) {
        // Role, region and token are variables for all that follows.
        let asked = inputs::read(&env).inspect_err(|_| talk::meet_runner())?;
        let arguments = [vec!["post-action".to_owned()], asked.telling()].concat();
        return action::become_(&arguments, &asked.variables);
    }
    talk::meet_runner();
    let Some(begun) = Begun::of(&env) else {
        talk.say("the step began no run");
        return Ok(0);
    };
    let run = &begun.run;
    let states = record::states(&begun.root);
    let state = states.iter().find(|state| state.run == *run);
    match state.map(|state| &state.phase) {
        Some(Phase::Running) => {
            always(&format!(
                "run {run} was killed before its end: what it left is stopped now"
            ));
            killed(&begun, wanted, &env, talk)?;
        }
        Some(_) if begun.is_untold => late(&begun, wanted, &env, talk)?,
        Some(_) | None => talk.say(&format!("run {run} came to its end")),
    }
    Ok(0)
}

/// Stops what a killed run left, and ends its comment and check.
fn killed(
    begun: &Begun,
    wanted: &cli::Tell,
    env: &BTreeMap<String, String>,
    talk: &Talk,
) -> Result<()> {
    let plan = record::load_plan(&begun.folder())?;
    let runtime = runtime()?;
    let stopped = runtime.block_on(stop(&plan, env));
    let error = word(&plan, stopped.as_ref().err());
    let told = runtime.block_on(told(&plan, begun, wanted, env, &Err(error)));
    for line in record::explain_interrupted(&begun.root)? {
        talk.say(&line);
    }
    stopped?;
    tell::conclude(&told?, wanted, None, talk)
}

/// Tells how a run ended that had no time to.
fn late(
    begun: &Begun,
    wanted: &cli::Tell,
    env: &BTreeMap<String, String>,
    talk: &Talk,
) -> Result<()> {
    let plan = record::load_plan(&begun.folder())?;
    let report: Result<Report> = record::read_json(&begun.folder(), record::REPORT);
    let ended =
        report.map_err(|_| Error::new(ExitCode::Cancelled, "cancelled before it had a result"));
    let told = runtime()?.block_on(told(&plan, begun, wanted, env, &ended));
    tell::conclude(&told?, wanted, None, talk)
}

/// Says how a run ended, where it was told about.
async fn told(
    plan: &Plan,
    begun: &Begun,
    wanted: &cli::Tell,
    env: &BTreeMap<String, String>,
    ended: &Result<Report>,
) -> Result<Told> {
    let (project, destination) = (plan.project.as_str(), plan.destination.name());
    let entry = Entry::look(env, None, wanted).await?;
    let desk = entry.and_then(|entry| Desk::open(env, entry, wanted, project, destination));
    let Some(desk) = desk.map(|desk| desk.with_check(begun.check)) else {
        return Ok(Told::default());
    };
    Ok(match ended {
        Ok(report) => desk.report(report, plan.report.inconclusive).await,
        Err(error) => desk.broken(project, destination, &plan.run, error).await,
    })
}

/// How a killed run ended; `trouble` is why what it left could not be stopped.
fn word(plan: &Plan, trouble: Option<&Error>) -> Error {
    let error = Error::new(ExitCode::Cancelled, "the run was killed before its end");
    match trouble {
        None if plan.destination.leaves(&plan.training.request) => {
            error.hint("its job runs on; run the workflow again to take it up")
        }
        None => error.hint("what it left was stopped; run the workflow again"),
        Some(trouble) => error
            .because(format!("what it left could not be stopped: {trouble}"))
            .hint("look for its jobs: `mlaction jobs --running`"),
    }
}

async fn stop(plan: &Plan, env: &BTreeMap<String, String>) -> Result<()> {
    match &plan.destination {
        // It ended with the container of the step.
        DestinationPlan::Process(_) => Ok(()),
        DestinationPlan::Docker(docker) => {
            let engine = Engine::connect(env).await?;
            let is_alive = |run: &str| run != plan.run;
            for line in sweep(engine.docker(), &docker.owner, is_alive).await? {
                always(&line);
            }
            Ok(())
        }
        DestinationPlan::Sagemaker(_) if plan.destination.leaves(&plan.training.request) => {
            always("its jobs run on (`on_cancel = \"leave\"`)");
            Ok(())
        }
        DestinationPlan::Sagemaker(sagemaker) => stop_jobs(plan, sagemaker, env).await,
    }
}

/// Stops the jobs of a run: those of its names, and those that were tried after them, by their
/// content.
async fn stop_jobs(
    plan: &Plan,
    sagemaker: &SagemakerPlan,
    env: &BTreeMap<String, String>,
) -> Result<()> {
    let access = Access::new(&sagemaker.settings.region, plan.aws.as_ref(), env).await;
    let jobs = Jobs::new(&access.config, sagemaker, &plan.project);
    let running = Wanted {
        running: true,
        ..Wanted::default()
    };
    let mut found = jobs.list(&running, MOST).await?;
    found.retain(|job| job.tag("content") == Some(plan.content_hash.as_str()));
    // What was launched a moment ago is not on the list yet.
    let mut failed = Ok(());
    for job in std::iter::once(&plan.training).chain(&plan.validation) {
        if found.iter().any(|one| one.name == job.name) {
            continue;
        }
        match jobs.find(&Which::Name(job.name.clone())).await {
            Ok(job) if job.is_running() => found.push(job),
            Ok(_) => {}
            // It was never launched.
            Err(error) if error.exit_code() == ExitCode::Usage => {}
            Err(error) => failed = Err(error),
        }
    }
    // What goes wrong with one keeps nobody from the others.
    for job in &found {
        match jobs.stop(&job.name).await {
            Ok(()) => always(&format!("{} is told to stop", job.name)),
            Err(error) => failed = Err(error),
        }
    }
    if found.is_empty() && failed.is_ok() {
        always("none of its jobs runs");
    }
    failed
}
